//! Members' posts get the list's `member_action`.

use super::{Examined, Verdict};

pub(super) fn check(post: &Examined<'_>) -> Option<Verdict> {
    let member = post.member?;
    let action = post.list.settings.member_action;
    Verdict::of_action(action, &format!("posts of members are moderated, and {member} is one"))
}
