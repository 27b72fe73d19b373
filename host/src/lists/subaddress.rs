//! Which function of a list a local part means: `ants-bounces+anne=example.com`.
//!
//! The local part is cut at the first delimiter, then split at the last dash; a last part that is
//! no function belongs to the name of the list. Which reading is right when both are possible
//! (a list really called `foo-request`) is for the store to say: the longer name wins.

/// A function of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subaddress {
    /// The posting address itself.
    Post,
    /// `-bounces`: delivery reports.
    Bounces,
    /// `-confirm`: replies to confirmation requests.
    Confirm,
    /// `-join` and `-subscribe`.
    Join,
    /// `-leave` and `-unsubscribe`.
    Leave,
    /// `-owner`: the people behind the list.
    Owner,
    /// `-request`: mail commands.
    Request,
}

/// Every name that follows the dash, its meaning, and whether mail programs and we put a detail
/// behind it. The order is that of Mailman's tables.
const SUFFIXES: [(&str, Subaddress, bool); 8] = [
    ("bounces", Subaddress::Bounces, true),
    ("confirm", Subaddress::Confirm, true),
    ("join", Subaddress::Join, false),
    ("leave", Subaddress::Leave, false),
    ("owner", Subaddress::Owner, false),
    ("request", Subaddress::Request, false),
    ("subscribe", Subaddress::Join, false),
    ("unsubscribe", Subaddress::Leave, false),
];

impl Subaddress {
    /// The names that may follow the dash and whether a detail may follow them; adapters get
    /// their list from here.
    pub fn suffixes() -> impl Iterator<Item = (&'static str, bool)> {
        SUFFIXES.iter().map(|(name, _, detail)| (*name, *detail))
    }

    /// The function with this name, if there is one.
    pub fn named(suffix: &str) -> Option<Self> {
        SUFFIXES.iter().find(|(name, ..)| name.eq_ignore_ascii_case(suffix)).map(|(_, function, _)| *function)
    }

    /// The name under which it is logged and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Subaddress::Post => "post",
            Subaddress::Bounces => "bounces",
            Subaddress::Confirm => "confirm",
            Subaddress::Join => "join",
            Subaddress::Leave => "leave",
            Subaddress::Owner => "owner",
            Subaddress::Request => "request",
        }
    }

    /// The inverse of [`Subaddress::as_str`].
    pub fn from_stored(text: &str) -> Option<Self> {
        use Subaddress::{Bounces, Confirm, Join, Leave, Owner, Post, Request};
        [Post, Bounces, Confirm, Join, Leave, Owner, Request].into_iter().find(|one| one.as_str() == text)
    }
}

/// A local part, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitLocalPart {
    /// The name if the whole is the name of a list; lower case.
    pub whole: String,
    /// The name and the function if the last part is one.
    pub with_function: Option<(String, Subaddress)>,
    /// What stood behind the delimiter, case kept; `None` without a delimiter.
    pub detail: Option<String>,
}

/// Takes a local part apart. Quotes around it are removed first (`"ants-owner"` is `ants-owner`).
pub fn split_local_part(local_part: &str, delimiter: &str) -> SplitLocalPart {
    let plain = local_part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(local_part);
    let (base, detail) = match plain.find(delimiter).filter(|_| !delimiter.is_empty()) {
        Some(cut) => (&plain[..cut], Some(plain[cut + delimiter.len()..].to_owned())),
        None => (plain, None),
    };
    let whole = base.to_ascii_lowercase();
    let with_function = whole
        .rsplit_once('-')
        .and_then(|(name, suffix)| Some((name.to_owned(), Subaddress::named(suffix)?)))
        .filter(|(name, _)| !name.is_empty());
    SplitLocalPart { whole, with_function, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_and_details_are_recognised() {
        let split = split_local_part("Ants-Bounces+Anne=Example.com", "+");
        assert_eq!(split.whole, "ants-bounces");
        assert_eq!(split.with_function, Some(("ants".into(), Subaddress::Bounces)));
        assert_eq!(split.detail.as_deref(), Some("Anne=Example.com"));
        assert_eq!(split_local_part("a-b-subscribe", "+").with_function, Some(("a-b".into(), Subaddress::Join)));
        assert_eq!(split_local_part("news-letter", "+").with_function, None);
        assert_eq!(split_local_part("-owner", "+").with_function, None);
        assert_eq!(split_local_part("\"ants-owner\"", "+").with_function, Some(("ants".into(), Subaddress::Owner)));
        assert_eq!(split_local_part("ants+", "+").detail.as_deref(), Some(""));
        assert_eq!(split_local_part("ants", "+").detail, None);
    }

    #[test]
    fn stored_names_round_trip() {
        for (_, function, _) in SUFFIXES {
            assert_eq!(Subaddress::from_stored(function.as_str()), Some(function));
        }
    }
}
