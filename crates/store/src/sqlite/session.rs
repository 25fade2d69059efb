//! Sessions on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::access::{Digest, NewSession, Session, SessionStore};
use picloud_shared::{StoreError, User, UserId};
use sqlx::SqliteConnection;

use super::SqliteDatabase;
use crate::access_row::session::{CREATE, DELETE, DELETE_OLDEST, FIND, LIST, PRUNE, TOUCH};
use crate::access_row::{SessionRow, found_session, session};
use crate::convert::{failed, signed, without_nul};

pub(crate) struct SqliteSessionStore(pub(crate) Arc<SqliteDatabase>);

#[async_trait]
impl SessionStore for SqliteSessionStore {
    async fn create(&self, session: &NewSession, max: u32) -> Result<(), StoreError> {
        let mut transaction = self.0.main.writer.begin().await?;
        let created = create(transaction.connection()?, session, max).await;
        transaction.finish(created).await
    }

    async fn find(
        &self,
        digest: &Digest,
        now_ms: u64,
    ) -> Result<Option<(Session, User)>, StoreError> {
        let row = sqlx::query_as(FIND)
            .bind(digest.as_slice())
            .bind(signed(now_ms))
            .fetch_optional(&self.0.main.readers)
            .await
            .map_err(failed)?;
        row.map(found_session).transpose()
    }

    async fn touch(&self, id: i64, now_ms: u64) -> Result<(), StoreError> {
        let query = sqlx::query(TOUCH).bind(id).bind(signed(now_ms));
        self.0.main.writer.begin_unflushed().await?.execute(query).await.map(drop)
    }

    async fn list(&self, user: UserId, now_ms: u64) -> Result<Vec<Session>, StoreError> {
        let rows: Vec<SessionRow> = sqlx::query_as(LIST)
            .bind(user.0)
            .bind(signed(now_ms))
            .fetch_all(&self.0.main.readers)
            .await
            .map_err(failed)?;
        rows.into_iter().map(session).collect()
    }

    async fn delete(&self, user: UserId, id: i64) -> Result<bool, StoreError> {
        let query = sqlx::query(DELETE).bind(user.0).bind(id);
        Ok(self.0.main.writer.begin().await?.execute(query).await? > 0)
    }

    async fn prune(&self, now_ms: u64) -> Result<(), StoreError> {
        for statement in PRUNE {
            let query = sqlx::query(statement).bind(signed(now_ms));
            self.0.main.writer.begin_unflushed().await?.execute(query).await?;
        }
        Ok(())
    }
}

async fn create(
    connection: &mut SqliteConnection,
    session: &NewSession,
    max: u32,
) -> Result<(), StoreError> {
    let done = sqlx::query(CREATE)
        .bind(session.user.0)
        .bind(session.digest.as_slice())
        .bind(signed(session.created_at_ms))
        .bind(signed(session.expires_at_ms))
        .bind(session.ip.to_string())
        .bind(without_nul(&session.user_agent))
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    if done.rows_affected() == 0 {
        return Err(StoreError::Conflict);
    }
    sqlx::query(DELETE_OLDEST)
        .bind(session.user.0)
        .bind(max)
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}
