//! A post that has been here before is thrown away: it carries our own List-Id (RFC 2919) or
//! X-BeenThere. Distributing it again would let two lists, or a list and a forwarding member, play
//! ball for ever; answering it would too.

use super::{Examined, Verdict};

pub(super) fn check(post: &Examined<'_>) -> Option<Verdict> {
    let id = format!("<{}>", post.list.list_id);
    let address = post.list.address.to_string();
    let listed = post.headers.all("List-Id").any(|field| field.text().to_ascii_lowercase().contains(&id));
    let been_there = post.headers.all("X-BeenThere").any(|field| field.text().eq_ignore_ascii_case(&address));
    (listed || been_there).then(|| Verdict::Discard("it has been through this list already".to_owned()))
}
