//! Automatic answers are held: a delivery report (its envelope sender is empty, RFC 5321, section
//! 4.5.5) or `Auto-Submitted: auto-replied` (RFC 3834) that came to the posting address. A member's
//! vacation notice must not reach the list, and it must not vanish either.

use super::{Examined, Verdict};

pub(super) fn check(post: &Examined<'_>) -> Option<Verdict> {
    if post.facts.auto_submitted == "auto-replied" {
        return Some(Verdict::Hold("it is an automatic answer (Auto-Submitted: auto-replied)".to_owned()));
    }
    post.envelope_sender
        .is_none()
        .then(|| Verdict::Hold("its envelope sender is empty, as that of a delivery report".to_owned()))
}
