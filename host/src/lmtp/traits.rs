//! What the server needs from the rest of the house: who is here, and a place for mail.
//!
//! Two narrow traits, so that the dialogue is tested without any database.

use std::future::Future;

use crate::lists::EmailAddress;
use crate::spool::{self, Body, BodyWriter, Incoming, Spool};
use crate::store::{self, Route, Store};

/// The list number of mail to `postmaster`: there is no such list. Such an arrival has the
/// function [`Owner`](crate::lists::Subaddress::Owner), an empty list address, and the site
/// owner's address as its recipient; whoever processes it forwards it there.
pub const POSTMASTER_LIST: i64 = 0;

/// Knows which addresses are ours.
pub trait Directory: Send + Sync + 'static {
    /// What a recipient means; `None`: nothing here. An error is answered with 451.
    fn resolve(&self, recipient: &EmailAddress) -> impl Future<Output = store::Result<Option<Route>>> + Send;

    /// Whether this is the name or the alias of a domain of ours; case does not matter.
    fn is_local_domain(&self, domain: &str) -> impl Future<Output = store::Result<bool>> + Send;
}

/// Takes mail.
pub trait Intake: Send + Sync + 'static {
    /// Collects the octets of one message.
    type Writer: BodySink;

    /// Starts a message. Dropping the writer forgets the message.
    fn body_writer(&self) -> Self::Writer;

    /// Takes responsibility for a message: `Ok` means on disk. Returns its number.
    fn accept(&self, incoming: Incoming) -> impl Future<Output = spool::Result<i64>> + Send;

    /// No new mail should be taken for want of disk space.
    fn is_short_of_space(&self) -> bool;
}

/// Collects the octets of one message, in bounded memory.
pub trait BodySink: Send + 'static {
    /// Appends.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = spool::Result<()>> + Send;

    /// Everything was written.
    fn finish(self) -> impl Future<Output = spool::Result<Body>> + Send;
}

/// [`Directory`] by the store.
#[derive(Clone)]
pub struct StoreDirectory {
    store: Store,
    delimiter: String,
}

impl StoreDirectory {
    /// `delimiter` separates an address from its detail (`verp_delimiter`).
    pub fn new(store: Store, delimiter: impl Into<String>) -> Self {
        StoreDirectory { store, delimiter: delimiter.into() }
    }
}

impl Directory for StoreDirectory {
    async fn resolve(&self, recipient: &EmailAddress) -> store::Result<Option<Route>> {
        self.store.resolve(recipient, &self.delimiter).await
    }

    async fn is_local_domain(&self, domain: &str) -> store::Result<bool> {
        let Ok(name) = crate::lists::DomainName::parse(domain) else {
            return Ok(false);
        };
        let domains = self.store.domains().await?;
        Ok(domains.iter().any(|domain| domain.name == name || domain.alias.as_ref() == Some(&name)))
    }
}

impl Intake for Spool {
    type Writer = BodyWriter;

    fn body_writer(&self) -> BodyWriter {
        Spool::body_writer(self)
    }

    async fn accept(&self, incoming: Incoming) -> spool::Result<i64> {
        Spool::accept(self, incoming).await
    }

    fn is_short_of_space(&self) -> bool {
        Spool::is_short_of_space(self)
    }
}

impl BodySink for BodyWriter {
    async fn write(&mut self, bytes: &[u8]) -> spool::Result<()> {
        BodyWriter::write(self, bytes).await
    }

    async fn finish(self) -> spool::Result<Body> {
        BodyWriter::finish(self).await
    }
}
