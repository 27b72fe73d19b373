//! The read-only view of domains and lists that the host gives to an adapter.

use super::Result;

/// A mail domain that has (or may have) lists, lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DomainView<'a> {
    /// The domain of the list addresses, lower case, A-labels (RFC 5890).
    pub name: &'a str,
    /// The domain that the MTA really routes to the list server, when it differs: Mailman's
    /// `alias_domain`. Lower case, A-labels. Empty when there is none.
    pub alias: &'a str,
}

impl<'a> DomainView<'a> {
    /// A domain; `alias` is empty when there is none.
    pub const fn new(name: &'a str, alias: &'a str) -> Self {
        DomainView { name, alias }
    }

    /// The domain that the MTA routes to the list server: the alias if there is one.
    pub fn routed(&self) -> &'a str {
        if self.alias.is_empty() {
            self.name
        } else {
            self.alias
        }
    }
}

/// A mailing list, lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListView<'a> {
    /// The local part of the posting address, lower case, only `[-_.0-9a-z]`.
    pub local: &'a str,
    /// The domain of the posting address.
    pub domain: DomainView<'a>,
    /// The list-id (RFC 2919), without brackets.
    pub list_id: &'a str,
}

impl<'a> ListView<'a> {
    /// A list.
    pub const fn new(local: &'a str, domain: DomainView<'a>, list_id: &'a str) -> Self {
        ListView { local, domain, list_id }
    }
}

/// All domains and lists at one moment.
///
/// What is asked of one list or domain costs the same however many there are; looking at all of them is
/// for plans of everything.
///
/// Domains come sorted by name, lists sorted by domain name and then by local part, both in
/// byte order.
pub trait Roster {
    /// Shows every domain to `visit`.
    ///
    /// # Errors
    /// The first one of `visit`, which ends the visit; or the host cannot read its lists.
    fn for_each_domain(&self, visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()>;
    /// Shows every list to `visit`.
    ///
    /// # Errors
    /// As for [`for_each_domain`](Self::for_each_domain).
    fn for_each_list(&self, visit: &mut dyn FnMut(&ListView<'_>) -> Result<()>) -> Result<()>;
    /// How many lists there are.
    fn list_count(&self) -> u64;
    /// The list-id of the list with just this posting address, if there is one. `foo-request` may be a
    /// list of its own and then wins over the sub-address of `foo`. `domain` is a
    /// [`DomainView::name`].
    ///
    /// # Errors
    /// The host cannot read its lists. That there is no such list is no error.
    fn list_id(&self, local: &str, domain: &str) -> Result<Option<String>>;
    /// Is there a list with just this posting address?
    ///
    /// # Errors
    /// As for [`list_id`](Self::list_id).
    fn is_list(&self, local: &str, domain: &str) -> Result<bool> {
        Ok(self.list_id(local, domain)?.is_some())
    }
    /// Shows to `visit` every domain whose [`DomainView::routed`] is this one, sorted by name: usually
    /// one. Does not look at all domains for that.
    ///
    /// # Errors
    /// As for [`for_each_domain`](Self::for_each_domain).
    fn for_each_domain_routed_to(
        &self,
        routed: &str,
        visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>,
    ) -> Result<()>;
}
