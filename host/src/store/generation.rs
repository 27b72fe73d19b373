//! How far the MTA's tables follow the store, and what changed on the way.

use super::{Generation, Result, Store, Transaction};
use crate::clock::unix_now_ms;
use crate::lists::{Domain, DomainName, ListAddress, RosterChange, Subject};

/// So many of the last changes are kept: more than anybody plans one by one.
pub(super) const CHANGES_KEPT: i64 = 100;

/// What leads from the applied generation to the wanted one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The applied generation, see [`Generation::id`].
    pub from: String,
    /// In the order in which they came.
    pub changes: Vec<RosterChange>,
}

/// All that adapters see, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Everything {
    /// See [`Generation::id`].
    pub generation: String,
    /// Sorted by name.
    pub domains: Vec<Domain>,
    /// The posting addresses, in any order.
    pub lists: Vec<ListAddress>,
}

/// Generation, its id, kind of the subject, the subject, the alias of the domain, whether it came.
type Row = (i64, String, String, String, Option<String>, bool);

impl Store {
    /// How far the MTA's tables follow.
    pub async fn generation(&self) -> Result<Generation> {
        let (wanted, applied, id, changed_before) = sqlx::query_as(
            "SELECT wanted, applied, coalesce(last.name, ''), coalesce(before.came, 0) FROM generation
             LEFT JOIN change last ON last.generation = wanted
             LEFT JOIN change before ON before.generation = wanted - 1",
        )
        .fetch_one(&self.inner.readers)
        .await
        .map_err(|error| self.sqlx(&error))?;
        Ok(Generation { wanted, applied, id, changed_before })
    }

    /// All domains and lists of one moment, and the generation of that moment.
    pub async fn everything(&self) -> Result<Everything> {
        let read = async {
            let mut snapshot = self.inner.readers.begin().await?;
            let generation: String = sqlx::query_scalar(
                "SELECT coalesce(last.name, '') FROM generation LEFT JOIN change last ON last.generation = wanted",
            )
            .fetch_one(&mut *snapshot)
            .await?;
            let domains = super::domains::all(&mut *snapshot).await?;
            let lists = super::lists::addresses(&mut *snapshot).await?;
            snapshot.rollback().await?;
            Ok(Everything { generation, domains, lists })
        };
        read.await.map_err(|error| self.sqlx(&error))
    }

    /// What leads from the applied generation to the wanted one of `generation`; `None` if not all of it is kept (of an
    /// older Postrider's changes, and of more than a hundred).
    pub async fn changes(&self, generation: &Generation) -> Result<Option<Changes>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT generation, name, kind, subject, alias, added FROM change
             WHERE generation BETWEEN $1 AND $2 ORDER BY generation",
        )
        .bind(generation.applied)
        .bind(generation.wanted)
        .fetch_all(&self.inner.readers)
        .await
        .map_err(|error| self.sqlx(&error))?;
        let whole = rows.iter().map(|row| row.0).eq(generation.applied..=generation.wanted);
        let Some((from, later)) = rows.split_first().filter(|_| whole) else { return Ok(None) };
        let changes: Option<Vec<RosterChange>> = later.iter().map(change).collect();
        Ok(changes.map(|changes| Changes { from: from.1.clone(), changes }))
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
pub(super) async fn wanted_generation_rises(transaction: &mut Transaction, change: &RosterChange) -> sqlx::Result<()> {
    let wanted: i64 = sqlx::query_scalar("UPDATE generation SET wanted = wanted + 1 RETURNING wanted")
        .fetch_one(&mut **transaction)
        .await?;
    let kind = match change.subject {
        Subject::List(_) => LIST,
        Subject::Domain(_) => DOMAIN,
    };
    // PostgreSQL has gen_random_uuid() instead of randomblob().
    sqlx::query(
        "INSERT INTO change (generation, name, came, kind, subject, alias, added)
         VALUES ($1, lower(hex(randomblob(16))), $2, $3, $4, $5, $6)",
    )
    .bind(wanted)
    .bind(unix_now_ms())
    .bind(kind)
    .bind(change.subject.to_string())
    .bind(change.alias.as_ref().map(DomainName::as_str))
    .bind(change.added)
    .execute(&mut **transaction)
    .await?;
    sqlx::query("DELETE FROM change WHERE generation <= $1")
        .bind(wanted - CHANGES_KEPT)
        .execute(&mut **transaction)
        .await
        .map(|_| ())
}

const LIST: &str = "list";
const DOMAIN: &str = "domain";

/// `None` if we do not understand it.
fn change((_, _, kind, subject, alias, added): &Row) -> Option<RosterChange> {
    let subject = match kind.as_str() {
        LIST => Subject::List(ListAddress::parse(subject).ok()?),
        DOMAIN => Subject::Domain(DomainName::parse(subject).ok()?),
        _ => return None,
    };
    let alias = alias.as_deref().map(DomainName::parse).transpose().ok()?;
    Some(RosterChange { subject, alias, added: *added })
}
