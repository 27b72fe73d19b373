//! Who receives a post: the members with delivery enabled, the author among them; with the list's
//! `skip_addressed` not those who were sent a copy directly, because To or Cc names them.

use super::facts::Facts;
use crate::lists::{EmailAddress, List};
use std::collections::HashSet;

/// Takes out of `members` (addresses with names) whom the post reaches without us. The order stays.
pub fn choose<N>(list: &List, members: Vec<(EmailAddress, N)>, facts: &Facts) -> Vec<(EmailAddress, N)> {
    if !list.settings.skip_addressed || facts.addressed.is_empty() {
        return members;
    }
    let addressed: HashSet<&EmailAddress> = facts.addressed.iter().collect();
    members.into_iter().filter(|(member, _)| !addressed.contains(member)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::post::testing::{address, ants};

    #[test]
    fn the_addressed_are_left_out_only_where_the_list_wants_it() {
        let members = || vec![(address("anne@x"), 1), (address("Bob@x"), 2), (address("eve@x"), 3)];
        let facts = Facts { from: vec![address("eve@x")], addressed: vec![address("bob@X")], ..Facts::default() };
        let mut list = ants();
        assert_eq!(choose(&list, members(), &facts), members());
        list.settings.skip_addressed = true;
        assert_eq!(choose(&list, members(), &facts), [(address("anne@x"), 1), (address("eve@x"), 3)]);
    }
}
