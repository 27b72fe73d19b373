//! Posts that wait for a moderator.

use super::members::email;
use super::{HeldPost, Result, Store, StoreError};
use crate::lists::EmailAddress;
use sha1::{Digest, Sha1};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

impl Store {
    /// Keeps a post for a moderator, with its message. Holding the same arrival again changes
    /// nothing and returns the number it has. `post.id` and `post.size` are ignored.
    ///
    /// # Errors
    /// `ListUnknown` when the list is gone.
    pub async fn hold(&self, post: &HeldPost, message: &[u8]) -> Result<i64> {
        let sqlx = |error: sqlx::Error| match &error {
            sqlx::Error::Database(database) if database.is_foreign_key_violation() => StoreError::no_list(post.list),
            _ => self.sqlx(&error),
        };
        let digest = data_encoding::HEXLOWER.encode(&Sha1::digest(message));
        let mut transaction = self.begin().await?;
        let new: Option<i64> = sqlx::query_scalar(
            "INSERT INTO held (list, arrival, digest, sender, subject, from_, reason, held, size, message)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (list, arrival, digest) DO NOTHING RETURNING id",
        )
        .bind(post.list)
        .bind(post.arrival)
        .bind(&digest)
        .bind(post.sender.as_ref().map(EmailAddress::as_str))
        .bind(&post.subject)
        .bind(&post.from)
        .bind(&post.reason)
        .bind(post.held)
        .bind(message.len() as i64)
        .bind(message)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(sqlx)?;
        let id = match new {
            Some(id) => id,
            None => sqlx::query_scalar("SELECT id FROM held WHERE list = $1 AND arrival = $2 AND digest = $3")
                .bind(post.list)
                .bind(post.arrival)
                .bind(&digest)
                .fetch_one(&mut *transaction)
                .await
                .map_err(sqlx)?,
        };
        self.commit(transaction).await?;
        Ok(id)
    }

    /// Held posts (of a list), oldest first.
    pub async fn held(&self, list: Option<i64>) -> Result<Vec<HeldPost>> {
        sqlx::query(
            "SELECT id, list, arrival, sender, subject, from_, reason, held, size FROM held
             WHERE $1 IS NULL OR list = $1 ORDER BY id",
        )
        .bind(list)
        .try_map(|row: SqliteRow| held_post(&row))
        .fetch_all(&self.inner.readers)
        .await
        .map_err(|error| self.sqlx(&error))
    }

    /// One held post and its message.
    pub async fn held_post(&self, id: i64) -> Result<Option<(HeldPost, Vec<u8>)>> {
        sqlx::query(
            "SELECT id, list, arrival, sender, subject, from_, reason, held, size, message FROM held WHERE id = $1",
        )
        .bind(id)
        .try_map(|row: SqliteRow| Ok((held_post(&row)?, row.try_get(9)?)))
        .fetch_optional(&self.inner.readers)
        .await
        .map_err(|error| self.sqlx(&error))
    }

    /// Forgets a held post, after it was accepted, rejected or discarded.
    pub async fn drop_held(&self, id: i64) -> Result<()> {
        sqlx::query("DELETE FROM held WHERE id = $1")
            .bind(id)
            .execute(&self.inner.writer)
            .await
            .map(|_| ())
            .map_err(|error| self.sqlx(&error))
    }
}

fn held_post(row: &SqliteRow) -> sqlx::Result<HeldPost> {
    Ok(HeldPost {
        id: row.try_get(0)?,
        list: row.try_get(1)?,
        arrival: row.try_get(2)?,
        sender: row.try_get::<Option<&str>, _>(3)?.map(email).transpose()?,
        subject: row.try_get(4)?,
        from: row.try_get(5)?,
        reason: row.try_get(6)?,
        held: row.try_get(7)?,
        size: row.try_get::<i64, _>(8)? as u64,
    })
}
