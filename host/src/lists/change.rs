//! What came or went, as far as the MTA must know of it.

use super::{DomainName, ListAddress};
use std::fmt;

/// A list or a domain came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterChange {
    /// Which.
    pub subject: Subject,
    /// What the MTA routes to us instead of the domain.
    pub alias: Option<DomainName>,
    /// It came; else it went.
    pub added: bool,
}

/// A list, or a domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The list with this posting address. Its domain may have come with it.
    List(ListAddress),
    /// The domain of this name.
    Domain(DomainName),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::List(address) => address.fmt(f),
            Subject::Domain(name) => name.fmt(f),
        }
    }
}
