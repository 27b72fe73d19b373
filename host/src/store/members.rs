//! Members of lists.
//!
//! An address is kept once, with the spelling and display name under which it was first given; what
//! is on no list any more is forgotten.
//!
//! Many addresses travel as one JSON array, which SQLite takes apart (`json_each`): 100,000 members
//! are three statements. PostgreSQL's word for it is `unnest($1::text[], …)`.

use super::prompt::Answer;
use super::{Added, Result, Store, StoreError, Transaction};
use crate::lists::{DeliveryStatus, EmailAddress, Member, Role};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use std::collections::HashSet;
use std::sync::Arc;

impl Store {
    /// Adds members in one transaction; the answer is in the order of `members`.
    ///
    /// # Errors
    /// `ListUnknown` when the list is gone; nothing is added then.
    pub async fn add_members(&self, list: i64, members: &[Member]) -> Result<Vec<Added>> {
        let sqlx = |error| self.sqlx(&error);
        let mut transaction = self.begin().await?;
        let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM list WHERE id = $1)")
            .bind(list)
            .fetch_one(&mut *transaction)
            .await
            .map_err(sqlx)?;
        if !known {
            return Err(StoreError::no_list(list));
        }
        let keys: Vec<String> = members.iter().map(|member| member.address.key()).collect();
        let mut present: HashSet<(String, String)> = sqlx::query_as(
            "SELECT a.key, m.role FROM address a JOIN member m ON m.address = a.id
             WHERE m.list = $1 AND a.key IN (SELECT value FROM json_each($2))",
        )
        .bind(list)
        .bind(array(&keys))
        .fetch_all(&mut *transaction)
        .await
        .map_err(sqlx)?
        .into_iter()
        .collect();

        let mut answer = Vec::with_capacity(members.len());
        let mut rows = Vec::new();
        for (member, key) in members.iter().zip(keys) {
            let role = member.role.as_str();
            if present.contains(&(key.clone(), role.to_owned())) {
                answer.push(Added::Already(member.address.clone()));
                continue;
            }
            rows.push((key.clone(), member.address.as_str(), &member.display_name, role, member.delivery.as_str()));
            present.insert((key, role.to_owned()));
            answer.push(Added::New(member.address.clone()));
        }
        if rows.is_empty() {
            return Ok(answer);
        }
        let rows = array(&rows);
        // `WHERE true` tells SQLite that the `ON` after it belongs to the conflict.
        sqlx::query(
            "INSERT INTO address (key, text, display_name)
             SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1) WHERE true
             ON CONFLICT (key) DO UPDATE SET display_name = excluded.display_name
             WHERE address.display_name = '' AND excluded.display_name <> ''",
        )
        .bind(&rows)
        .execute(&mut *transaction)
        .await
        .map_err(sqlx)?;
        sqlx::query(
            "INSERT INTO member (list, role, address, delivery)
             SELECT $1, value ->> 3, (SELECT id FROM address WHERE address.key = value ->> 0), value ->> 4
             FROM json_each($2)",
        )
        .bind(list)
        .bind(&rows)
        .execute(&mut *transaction)
        .await
        .map_err(sqlx)?;
        self.commit(transaction).await?;
        Ok(answer)
    }

    /// Removes memberships of one role; returns those addresses that had none.
    pub async fn remove_members(&self, list: i64, role: Role, addresses: &[EmailAddress]) -> Result<Vec<EmailAddress>> {
        let sqlx = |error| self.sqlx(&error);
        let keys = array(&addresses.iter().map(EmailAddress::key).collect::<Vec<_>>());
        let mut transaction = self.begin().await?;
        let present: HashSet<String> = sqlx::query_scalar(
            "SELECT a.key FROM address a JOIN member m ON m.address = a.id
             WHERE m.list = $1 AND m.role = $2 AND a.key IN (SELECT value FROM json_each($3))",
        )
        .bind(list)
        .bind(role.as_str())
        .bind(&keys)
        .fetch_all(&mut *transaction)
        .await
        .map_err(sqlx)?
        .into_iter()
        .collect();
        if !present.is_empty() {
            sqlx::query(
                "DELETE FROM member WHERE list = $1 AND role = $2 AND address IN
                 (SELECT a.id FROM address a WHERE a.key IN (SELECT value FROM json_each($3)))",
            )
            .bind(list)
            .bind(role.as_str())
            .bind(&keys)
            .execute(&mut *transaction)
            .await
            .map_err(sqlx)?;
            sqlx::query(
                "DELETE FROM address WHERE key IN (SELECT value FROM json_each($1))
                 AND NOT EXISTS (SELECT 1 FROM member m WHERE m.address = address.id)",
            )
            .bind(&keys)
            .execute(&mut *transaction)
            .await
            .map_err(sqlx)?;
        }
        self.commit(transaction).await?;
        Ok(addresses.iter().filter(|address| !present.contains(&address.key())).cloned().collect())
    }

    /// Members (of one role), sorted by address.
    pub async fn members(&self, list: i64, role: Option<Role>) -> Result<Vec<Member>> {
        sqlx::query(
            "SELECT a.text, a.display_name, m.role, m.delivery FROM member m JOIN address a ON a.id = m.address
             WHERE m.list = $1 AND ($2 IS NULL OR m.role = $2) ORDER BY a.key, m.role",
        )
        .bind(list)
        .bind(role.map(Role::as_str))
        .try_map(|row| member(&row))
        .fetch_all(&self.inner.readers)
        .await
        .map_err(|error| self.sqlx(&error))
    }

    /// Whether an address has this role in a list.
    pub async fn has_role(&self, list: i64, role: Role, address: &EmailAddress) -> Result<bool> {
        const ASK: &str = "SELECT EXISTS (SELECT 1 FROM address a JOIN member m ON m.address = a.id
             WHERE m.list = $1 AND m.role = $2 AND a.key = $3)";
        let key = address.key();
        let ask = |db: &rusqlite::Connection| {
            db.prepare_cached(ASK)?.query_row(rusqlite::params![list, role.as_str(), key], |row| row.get(0))
        };
        match self.inner.prompt.ask(&self.inner.file, ask) {
            Answer::Known(found) => Ok(found),
            Answer::Busy => sqlx::query_scalar(ASK)
                .bind(list)
                .bind(role.as_str())
                .bind(address.key())
                .fetch_one(&self.inner.readers)
                .await
                .map_err(|error| self.sqlx(&error)),
        }
    }

    /// The addresses that a post goes to: members with delivery enabled, sorted; with `named` with their display names,
    /// which are empty without.
    pub async fn post_recipients(&self, list: i64, named: bool) -> Result<Vec<(EmailAddress, String)>> {
        const ASK: &str = "SELECT a.text, CASE WHEN $2 THEN a.display_name ELSE '' END
             FROM member m JOIN address a ON a.id = m.address
             WHERE m.list = $1 AND m.role = 'member' AND m.delivery = 'enabled' ORDER BY a.key";
        // There may be 100,000, and `sqlx` would hand them over one by one.
        let inner = Arc::clone(&self.inner);
        let asked = move || {
            inner.prompt.ask(&inner.file, |db| {
                let mut ask = db.prepare_cached(ASK)?;
                let row = |row: &rusqlite::Row<'_>| Ok((email(row.get_ref(0)?.as_str()?), row.get::<_, String>(1)?));
                let addresses = ask.query_map(rusqlite::named_params! { "$1": list, "$2": named }, row)?;
                let both =
                    |one: rusqlite::Result<_>| one.map(|(address, name): (sqlx::Result<_>, _)| Ok((address?, name)));
                addresses.map(both).collect::<rusqlite::Result<sqlx::Result<Vec<_>>>>()
            })
        };
        let answer = tokio::task::spawn_blocking(asked).await.unwrap_or(Answer::Busy);
        if let Answer::Known(addresses) = answer {
            return addresses.map_err(|error| self.sqlx(&error));
        }
        sqlx::query(ASK)
            .bind(list)
            .bind(named)
            .try_map(|row: SqliteRow| Ok((email(row.try_get(0)?)?, row.try_get(1)?)))
            .fetch_all(&self.inner.readers)
            .await
            .map_err(|error| self.sqlx(&error))
    }
}

/// Addresses that no list knows any more are not ours to keep.
pub(super) async fn forget_people_without_lists(transaction: &mut Transaction) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM address WHERE NOT EXISTS (SELECT 1 FROM member m WHERE m.address = address.id)")
        .execute(&mut **transaction)
        .await
        .map(|_| ())
}

fn member(row: &SqliteRow) -> sqlx::Result<Member> {
    let (role, delivery): (&str, &str) = (row.try_get(2)?, row.try_get(3)?);
    Ok(Member {
        address: email(row.try_get(0)?)?,
        display_name: row.try_get(1)?,
        role: Role::from_stored(role).ok_or_else(|| unreadable(role))?,
        delivery: DeliveryStatus::from_stored(delivery).ok_or_else(|| unreadable(delivery))?,
    })
}

pub(super) fn email(text: &str) -> sqlx::Result<EmailAddress> {
    EmailAddress::parse(text).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn unreadable(text: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{text:?} means nothing to this program").into())
}

/// JSON of strings; such a thing can always be written.
fn array(values: &impl serde::Serialize) -> String {
    serde_json::to_string(values).unwrap_or_else(|_| "[]".into())
}
