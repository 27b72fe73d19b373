//! Domains.

use super::{Result, Store, StoreError, Transaction, wanted_generation_rises};
use crate::lists::{Domain, DomainName, RosterChange, Subject};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteExecutor};

impl Store {
    /// Adds a domain. Raises the wanted generation.
    ///
    /// # Errors
    /// `DomainExists`; `AliasTaken` when its name or alias already means another domain.
    pub async fn add_domain(&self, domain: &Domain) -> Result<()> {
        let mut transaction = self.begin().await?;
        self.insert_domain(&mut transaction, domain).await?;
        let (subject, alias) = (Subject::Domain(domain.name.clone()), domain.alias.clone());
        let change = RosterChange { subject, alias, added: true };
        wanted_generation_rises(&mut transaction, &change).await.map_err(|error| self.sqlx(&error))?;
        self.commit(transaction).await
    }

    /// Removes a domain that has no lists. Raises the wanted generation.
    ///
    /// # Errors
    /// `DomainUnknown`, `DomainHasLists`.
    pub async fn remove_domain(&self, name: &DomainName) -> Result<()> {
        let sqlx = |error| self.sqlx(&error);
        let mut transaction = self.begin().await?;
        let lists: i64 = sqlx::query_scalar("SELECT count(*) FROM list WHERE domain = $1")
            .bind(name.as_str())
            .fetch_one(&mut *transaction)
            .await
            .map_err(sqlx)?;
        if lists > 0 {
            return Err(StoreError::DomainHasLists { domain: name.to_string(), lists: lists as u64 });
        }
        let removed = sqlx::query("DELETE FROM domain WHERE name = $1 RETURNING name, alias, description")
            .bind(name.as_str())
            .try_map(|row| domain(&row))
            .fetch_optional(&mut *transaction)
            .await
            .map_err(sqlx)?;
        let Some(removed) = removed else { return Err(StoreError::DomainUnknown(name.to_string())) };
        let change = RosterChange { subject: Subject::Domain(removed.name), alias: removed.alias, added: false };
        wanted_generation_rises(&mut transaction, &change).await.map_err(sqlx)?;
        self.commit(transaction).await
    }

    /// All domains, sorted by name.
    pub async fn domains(&self) -> Result<Vec<Domain>> {
        all(&self.inner.readers).await.map_err(|error| self.sqlx(&error))
    }

    /// The domain with this name.
    pub async fn domain(&self, name: &DomainName) -> Result<Option<Domain>> {
        sqlx::query("SELECT name, alias, description FROM domain WHERE name = $1")
            .bind(name.as_str())
            .try_map(|row| domain(&row))
            .fetch_optional(&self.inner.readers)
            .await
            .map_err(|error| self.sqlx(&error))
    }

    /// The domains that the MTA routes to us under this name (their alias if they have one), sorted by name. Two
    /// unique indexes answer it.
    pub async fn domains_routed_to(&self, routed: &DomainName) -> Result<Vec<Domain>> {
        sqlx::query(
            "SELECT name, alias, description FROM domain WHERE alias = $1
             UNION ALL SELECT name, alias, description FROM domain WHERE name = $1 AND alias IS NULL ORDER BY name",
        )
        .bind(routed.as_str())
        .try_map(|row| domain(&row))
        .fetch_all(&self.inner.readers)
        .await
        .map_err(|error| self.sqlx(&error))
    }

    pub(super) async fn insert_domain(&self, transaction: &mut Transaction, domain: &Domain) -> Result<()> {
        let sqlx = |error| self.sqlx(&error);
        let alias = domain.alias.as_ref().map(DomainName::as_str);
        // No name may lead to two domains, whichever of them came first.
        let clash: Option<(String, bool, bool)> = sqlx::query_as(
            "SELECT name, name = $1, name = $1 OR coalesce(alias = $1, 0) FROM domain
             WHERE name IN ($1, $2) OR alias IN ($1, $2) ORDER BY name = $1 DESC",
        )
        .bind(domain.name.as_str())
        .bind(alias)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(sqlx)?;
        match clash {
            Some((_, true, _)) => return Err(StoreError::DomainExists(domain.name.to_string())),
            Some((other, false, by_name)) => {
                let taken = if by_name { domain.name.as_str() } else { alias.unwrap_or_default() };
                return Err(StoreError::AliasTaken { name: taken.to_owned(), domain: other });
            }
            None => {}
        }
        sqlx::query("INSERT INTO domain (name, alias, description) VALUES ($1, $2, $3)")
            .bind(domain.name.as_str())
            .bind(alias)
            .bind(&domain.description)
            .execute(&mut **transaction)
            .await
            .map_err(sqlx)?;
        Ok(())
    }
}

pub(super) async fn all(executor: impl SqliteExecutor<'_>) -> sqlx::Result<Vec<Domain>> {
    sqlx::query("SELECT name, alias, description FROM domain ORDER BY name")
        .try_map(|row| domain(&row))
        .fetch_all(executor)
        .await
}

fn domain(row: &SqliteRow) -> sqlx::Result<Domain> {
    let name = |index: usize, text: &str| {
        DomainName::parse(text)
            .map_err(|error| sqlx::Error::ColumnDecode { index: index.to_string(), source: Box::new(error) })
    };
    Ok(Domain {
        name: name(0, row.try_get(0)?)?,
        alias: row.try_get::<Option<&str>, _>(1)?.map(|text| name(1, text)).transpose()?,
        description: row.try_get(2)?,
    })
}
