//! Lists, and what a recipient address means.

use super::prompt::Answer;
use super::{Result, Route, Store, StoreError, wanted_generation_rises};
use crate::clock::unix_now;
use crate::lists::{
    Domain, DomainName, EmailAddress, List, ListAddress, ListSettings, NewList, RosterChange, Subaddress, Subject,
    split_local_part,
};
use rusqlite::OptionalExtension as _;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteExecutor};

/// The list of this name in a domain, or in the one of which that is the alias.
const FIND: &str = "SELECT id, name, domain FROM list WHERE domain = $1 AND name = $2
    UNION ALL
    SELECT l.id, l.name, l.domain FROM domain d JOIN list l ON l.domain = d.name WHERE d.alias = $1 AND l.name = $2
    LIMIT 1";
const COUNT: &str = "UPDATE list SET post_count = post_count + 1 WHERE id = $1 RETURNING post_count";

/// What [`Columns`] are read from.
macro_rules! select_list {
    ($rest:literal) => {
        concat!("SELECT id, name, domain, settings, post_count, created FROM list ", $rest)
    };
}

impl Store {
    /// Makes a list, and its domain too if `add_domain`. Raises the wanted generation.
    ///
    /// # Errors
    /// `ListExists`, `DomainUnknown`, `TooLongInAlias`, `ListIdTaken` (`a.b@c` and `a@b.c` would share one).
    pub async fn create_list(&self, new: &NewList, add_domain: bool) -> Result<List> {
        let sqlx = |error| self.sqlx(&error);
        let NewList { address, settings } = new;
        let mut transaction = self.begin().await?;
        let known: Option<Option<String>> = sqlx::query_scalar("SELECT alias FROM domain WHERE name = $1")
            .bind(address.domain.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(sqlx)?;
        if known.is_none() {
            if !add_domain {
                return Err(StoreError::DomainUnknown(address.domain.to_string()));
            }
            let domain = Domain { name: address.domain.clone(), alias: None, description: String::new() };
            self.insert_domain(&mut transaction, &domain).await?;
        }
        // A domain keeps its alias, and has lists only once it is there: here is the place where both meet.
        let alias = known.flatten().and_then(|alias| DomainName::parse(&alias).ok());
        if let Some(alias) = &alias
            && !address.name.fits(alias)
        {
            return Err(StoreError::TooLongInAlias { address: address.to_string(), alias: alias.to_string() });
        }
        let list_id = address.list_id();
        let same_id = sqlx::query(select_list!("WHERE list_id = $1"))
            .bind(list_id.as_str())
            .try_map(|row| list(&row))
            .fetch_optional(&mut *transaction)
            .await
            .map_err(sqlx)?;
        match same_id {
            Some(other) if other.address == *address => return Err(StoreError::ListExists(address.to_string())),
            Some(other) => {
                return Err(StoreError::ListIdTaken {
                    address: address.to_string(),
                    list_id: list_id.to_string(),
                    other: other.address.to_string(),
                });
            }
            None => {}
        }
        let created = unix_now();
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO list (name, domain, list_id, settings, created) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        )
        .bind(address.name.as_str())
        .bind(address.domain.as_str())
        .bind(list_id.as_str())
        .bind(self.json(settings)?)
        .bind(created)
        .fetch_one(&mut *transaction)
        .await
        .map_err(sqlx)?;
        let change = RosterChange { subject: Subject::List(address.clone()), alias, added: true };
        wanted_generation_rises(&mut transaction, &change).await.map_err(sqlx)?;
        self.commit(transaction).await?;
        Ok(List { id, address: address.clone(), list_id, settings: settings.clone(), post_count: 0, created })
    }

    /// Removes a list with its members and held posts. Raises the wanted generation.
    ///
    /// # Errors
    /// `ListUnknown` when it is gone already.
    pub async fn remove_list(&self, id: i64) -> Result<()> {
        let sqlx = |error| self.sqlx(&error);
        let mut transaction = self.begin().await?;
        // Members and held posts go with it (ON DELETE CASCADE).
        let removed = sqlx::query("DELETE FROM list WHERE id = $1 RETURNING name, domain")
            .bind(id)
            .try_map(|row| address(&row, 0))
            .fetch_optional(&mut *transaction)
            .await
            .map_err(sqlx)?;
        let Some(removed) = removed else { return Err(StoreError::no_list(id)) };
        super::members::forget_people_without_lists(&mut transaction).await.map_err(sqlx)?;
        let alias: Option<String> = sqlx::query_scalar("SELECT alias FROM domain WHERE name = $1")
            .bind(removed.domain.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(sqlx)?
            .flatten();
        let alias = alias.and_then(|alias| DomainName::parse(&alias).ok());
        let change = RosterChange { subject: Subject::List(removed), alias, added: false };
        wanted_generation_rises(&mut transaction, &change).await.map_err(sqlx)?;
        self.commit(transaction).await
    }

    /// All lists (of a domain), sorted by domain and then by name.
    pub async fn lists(&self, domain: Option<&DomainName>) -> Result<Vec<List>> {
        sqlx::query(select_list!("WHERE $1 IS NULL OR domain = $1 ORDER BY domain, name"))
            .bind(domain.map(DomainName::as_str))
            .try_map(|row| list(&row))
            .fetch_all(&self.inner.readers)
            .await
            .map_err(|error| self.sqlx(&error))
    }

    /// The list with this posting address (its domain may be given by its alias).
    pub async fn list(&self, address: &ListAddress) -> Result<Option<List>> {
        sqlx::query(select_list!(
            "WHERE name = $1 AND domain IN (SELECT d.name FROM domain d WHERE d.name = $2 OR d.alias = $2)"
        ))
        .bind(address.name.as_str())
        .bind(address.domain.as_str())
        .try_map(|row| list(&row))
        .fetch_optional(&self.inner.readers)
        .await
        .map_err(|error| self.sqlx(&error))
    }

    /// Whether there is a list with just this posting address, its domain not given by an alias.
    pub async fn has_list(&self, address: &ListAddress) -> Result<bool> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM list WHERE domain = $1 AND name = $2)")
            .bind(address.domain.as_str())
            .bind(address.name.as_str())
            .fetch_one(&self.inner.readers)
            .await
            .map_err(|error| self.sqlx(&error))
    }

    /// The list that a person names: a posting address or a list-id.
    ///
    /// # Errors
    /// `ListUnknown`, with the nearest existing name if one is near.
    pub async fn find_list(&self, name: &str) -> Result<List> {
        let found = if name.contains('@') {
            match ListAddress::parse(name) {
                Ok(address) => self.list(&address).await?,
                Err(_) => None,
            }
        } else {
            sqlx::query(select_list!("WHERE list_id = $1"))
                .bind(name.to_ascii_lowercase())
                .try_map(|row| list(&row))
                .fetch_optional(&self.inner.readers)
                .await
                .map_err(|error| self.sqlx(&error))?
        };
        match found {
            Some(list) => Ok(list),
            None => {
                Err(StoreError::ListUnknown { name: name.to_owned(), nearest: nearest(name, &self.lists(None).await?) })
            }
        }
    }

    /// The list with this number.
    pub async fn list_by_id(&self, id: i64) -> Result<Option<List>> {
        const BY_ID: &str = select_list!("WHERE id = $1");
        let ask = |db: &rusqlite::Connection| {
            let row = |row: &rusqlite::Row<'_>| {
                let columns = Columns {
                    id: row.get(0)?,
                    name: row.get_ref(1)?.as_str()?,
                    domain: row.get_ref(2)?.as_str()?,
                    settings: row.get_ref(3)?.as_str()?,
                    post_count: row.get(4)?,
                    created: row.get(5)?,
                };
                Ok(columns.list())
            };
            db.prepare_cached(BY_ID)?.query_row([id], row).optional()
        };
        if let Answer::Known(found) = self.inner.prompt.ask(&self.inner.file, ask) {
            return found.transpose().map_err(|error| self.sqlx(&error));
        }
        sqlx::query(BY_ID)
            .bind(id)
            .try_map(|row| list(&row))
            .fetch_optional(&self.inner.readers)
            .await
            .map_err(|error| self.sqlx(&error))
    }

    /// Replaces the settings of a list.
    ///
    /// # Errors
    /// `ListUnknown` when it is gone.
    pub async fn set_list_settings(&self, id: i64, settings: &ListSettings) -> Result<()> {
        let changed = sqlx::query("UPDATE list SET settings = $2 WHERE id = $1")
            .bind(id)
            .bind(self.json(settings)?)
            .execute(&self.inner.writer)
            .await
            .map_err(|error| self.sqlx(&error))?;
        if changed.rows_affected() == 0 { Err(StoreError::no_list(id)) } else { Ok(()) }
    }

    /// Counts a post; returns the new count. A power loss may take the last ones.
    ///
    /// # Errors
    /// `ListUnknown` when the list is gone.
    pub async fn count_post(&self, list: i64) -> Result<u64> {
        let count = |db: &rusqlite::Connection| {
            db.prepare_cached(COUNT)?.query_row([list], |row| row.get::<_, i64>(0)).optional()
        };
        let count = match self.inner.prompt.change_lightly(&self.inner.file, count) {
            Answer::Known(count) => count,
            Answer::Busy => sqlx::query_scalar(COUNT)
                .bind(list)
                .fetch_optional(&self.inner.writer)
                .await
                .map_err(|error| self.sqlx(&error))?,
        };
        count.map(|count| count as u64).ok_or_else(|| StoreError::no_list(list))
    }

    /// What an envelope recipient means: list, function and detail; `None` if nothing here.
    ///
    /// The longest list name wins: a list really called `foo-request` before `-request` of `foo`.
    /// The domain may be a list domain or its alias.
    pub async fn resolve(&self, recipient: &EmailAddress, delimiter: &str) -> Result<Option<Route>> {
        let Ok(domain) = DomainName::parse(recipient.domain()) else { return Ok(None) };
        let split = split_local_part(recipient.local_part(), delimiter);
        let whole = (split.whole.as_str(), Subaddress::Post);
        let shorter = split.with_function.as_ref().map(|(name, function)| (name.as_str(), *function));
        for (name, function) in std::iter::once(whole).chain(shorter) {
            if let Some((list, address)) = self.list_called(name, domain.as_str()).await? {
                return Ok(Some(Route { list, address, function, detail: split.detail }));
            }
        }
        Ok(None)
    }

    async fn list_called(&self, name: &str, domain: &str) -> Result<Option<(i64, ListAddress)>> {
        let ask = |db: &rusqlite::Connection| {
            let row = |row: &rusqlite::Row<'_>| {
                Ok((row.get(0)?, posting_address(row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?)))
            };
            db.prepare_cached(FIND)?.query_row([domain, name], row).optional()
        };
        match self.inner.prompt.ask(&self.inner.file, ask) {
            Answer::Known(None) => Ok(None),
            Answer::Known(Some((list, address))) => Ok(Some((list, address.map_err(|error| self.sqlx(&error))?))),
            Answer::Busy => sqlx::query(FIND)
                .bind(domain)
                .bind(name)
                .try_map(|row: SqliteRow| Ok((row.try_get(0)?, address(&row, 1)?)))
                .fetch_optional(&self.inner.readers)
                .await
                .map_err(|error| self.sqlx(&error)),
        }
    }

    fn json(&self, settings: &ListSettings) -> Result<String> {
        serde_json::to_string(settings).map_err(|error| StoreError::Database {
            file: self.inner.file.display().to_string(),
            message: format!("settings cannot be written: {error}"),
        })
    }
}

/// The posting addresses of all lists.
pub(super) async fn addresses(executor: impl SqliteExecutor<'_>) -> sqlx::Result<Vec<ListAddress>> {
    sqlx::query("SELECT name, domain FROM list").try_map(|row| address(&row, 0)).fetch_all(executor).await
}

/// A row of a list.
struct Columns<'a> {
    id: i64,
    name: &'a str,
    domain: &'a str,
    settings: &'a str,
    post_count: i64,
    created: i64,
}

impl Columns<'_> {
    fn list(self) -> sqlx::Result<List> {
        let address = posting_address(self.name, self.domain)?;
        let settings = serde_json::from_str(self.settings)
            .map_err(|error| sqlx::Error::ColumnDecode { index: "settings".into(), source: Box::new(error) })?;
        Ok(List {
            id: self.id,
            list_id: address.list_id(),
            address,
            settings,
            post_count: self.post_count as u64,
            created: self.created,
        })
    }
}

fn list(row: &SqliteRow) -> sqlx::Result<List> {
    let columns = Columns {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        domain: row.try_get(2)?,
        settings: row.try_get(3)?,
        post_count: row.try_get(4)?,
        created: row.try_get(5)?,
    };
    columns.list()
}

/// The posting address from a name and the domain behind it.
fn address(row: &SqliteRow, column: usize) -> sqlx::Result<ListAddress> {
    posting_address(row.try_get(column)?, row.try_get(column + 1)?)
}

fn posting_address(name: &str, domain: &str) -> sqlx::Result<ListAddress> {
    ListAddress::parse(&format!("{name}@{domain}"))
        .map_err(|error| sqlx::Error::ColumnDecode { index: "name".into(), source: Box::new(error) })
}

/// So many letters may be wrong, missing or swapped in a name that was probably meant.
const SLIPS: usize = 2;

/// The list that was probably meant.
fn nearest(name: &str, lists: &[List]) -> Option<String> {
    let name = name.to_lowercase();
    let names = |list: &List| [list.address.to_string(), list.list_id.to_string(), list.address.name.to_string()];
    lists
        .iter()
        .filter_map(|list| {
            let distance = names(list).iter().map(|one| strsim::damerau_levenshtein(&name, one)).min()?;
            Some((distance, list))
        })
        .filter(|(distance, _)| *distance <= SLIPS && 2 * distance < name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, list)| list.address.to_string())
}
