//! Posts with a header too large to be looked at whole are held: what was not looked at may say
//! anything, for example that the post has been here before.

use super::super::headers::{MAX_FIELDS, MAX_HEADER};
use super::{Examined, Verdict};

pub(super) fn check(post: &Examined<'_>) -> Option<Verdict> {
    post.headers.is_cut().then(|| {
        let size = MAX_HEADER / 1024;
        Verdict::Hold(format!("its header has more than {MAX_FIELDS} fields or {size} KiB"))
    })
}
