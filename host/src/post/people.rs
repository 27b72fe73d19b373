//! The people behind a list.

use super::process::PostSettings;
use crate::lists::{EmailAddress, List, Role};
use crate::store::{self, Store};

/// Owners and moderators of a list, once each; `site_owner` when there are none; nobody when that
/// is not set either.
pub(super) async fn recipients_for_people(
    store: &Store,
    list: &List,
    settings: &PostSettings,
) -> store::Result<Vec<EmailAddress>> {
    let mut people = Vec::new();
    for role in [Role::Owner, Role::Moderator] {
        people.extend(store.members(list.id, Some(role)).await?.into_iter().map(|member| member.address));
    }
    people.sort();
    people.dedup();
    if people.is_empty() {
        people.extend(settings.site_owner.clone());
    }
    Ok(people)
}
