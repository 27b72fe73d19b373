//! Posts that no member wrote get the list's `nonmember_action`.

use super::{Examined, Verdict};

pub(super) fn check(post: &Examined<'_>) -> Option<Verdict> {
    if post.member.is_some() {
        return None;
    }
    Verdict::of_action(post.list.settings.nonmember_action, "the author is not a member of the list")
}
