//! How far the MTA's tables follow the store.

use super::{Generation, Result, Store, Transaction};

impl Store {
    /// How far the MTA's tables follow.
    pub async fn generation(&self) -> Result<Generation> {
        let (wanted, applied) = sqlx::query_as("SELECT wanted, applied FROM generation")
            .fetch_one(&self.inner.readers)
            .await
            .map_err(|error| self.sqlx(&error))?;
        Ok(Generation { wanted, applied })
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
pub(super) async fn wanted_generation_rises(transaction: &mut Transaction) -> sqlx::Result<()> {
    sqlx::query("UPDATE generation SET wanted = wanted + 1").execute(&mut **transaction).await.map(|_| ())
}
