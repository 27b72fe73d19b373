//! Posts larger than the list's `max_message_size` are held.

use super::{Examined, Verdict};

pub(super) fn check(post: &Examined<'_>) -> Option<Verdict> {
    let limit = post.list.settings.max_message_size;
    if limit == 0 || post.size <= limit.saturating_mul(1024) {
        return None;
    }
    let size = post.size.div_ceil(1024);
    Some(Verdict::Hold(format!("it has {size} KiB, and the list takes posts of up to {limit} KiB")))
}
