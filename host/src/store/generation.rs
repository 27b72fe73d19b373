//! How far the MTA's tables follow the store.

use super::{Generation, Result, Store, Transaction};
use crate::clock::unix_now_ms;
use crate::lists::{DomainName, ListAddress};
use std::fmt;

/// A change that an adapter must see. It is kept as text, for [`Generation::change`].
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ChangeNote<'a> {
    ListAdded(&'a ListAddress),
    ListRemoved(&'a ListAddress),
    DomainAdded(&'a DomainName),
    DomainRemoved(&'a DomainName),
}

impl fmt::Display for ChangeNote<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeNote::ListAdded(list) => write!(f, "list {list} added"),
            ChangeNote::ListRemoved(list) => write!(f, "list {list} removed"),
            ChangeNote::DomainAdded(domain) => write!(f, "domain {domain} added"),
            ChangeNote::DomainRemoved(domain) => write!(f, "domain {domain} removed"),
        }
    }
}

impl Store {
    /// How far the MTA's tables follow.
    pub async fn generation(&self) -> Result<Generation> {
        let (wanted, applied, name, name_before, change, changed_before) =
            sqlx::query_as("SELECT wanted, applied, name, name_before, change, changed_before FROM generation")
                .fetch_one(&self.inner.readers)
                .await
                .map_err(|error| self.sqlx(&error))?;
        Ok(Generation { wanted, applied, id: name, id_before: name_before, change, changed_before })
    }

    /// Marks a generation as published. A lower one than the last is ignored, and so is one that
    /// was never wanted.
    pub async fn mark_applied(&self, generation: i64) -> Result<()> {
        sqlx::query("UPDATE generation SET applied = $1 WHERE applied < $1 AND $1 <= wanted")
            .bind(generation)
            .execute(&self.inner.writer)
            .await
            .map(|_| ())
            .map_err(|error| self.sqlx(&error))
    }
}

/// Part of every transaction after which the MTA's tables must change.
pub(super) async fn wanted_generation_rises(transaction: &mut Transaction, change: ChangeNote<'_>) -> sqlx::Result<()> {
    // PostgreSQL has gen_random_uuid() instead of randomblob().
    sqlx::query(
        "UPDATE generation SET wanted = wanted + 1, change = $1, changed_before = changed, changed = $2,
         name_before = name, name = lower(hex(randomblob(16)))",
    )
    .bind(change.to_string())
    .bind(unix_now_ms())
    .execute(&mut **transaction)
    .await
    .map(|_| ())
}
