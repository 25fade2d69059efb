//! API tokens on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::access::{Digest, NewToken, Token, TokenStore};
use picloud_shared::{Quota, StoreError, User, UserId};
use sqlx::SqliteConnection;

use super::SqliteDatabase;
use crate::access_row::token::{COUNT, CREATE, DELETE, FIND, LIST, TOUCH};
use crate::access_row::{TokenRow, found_token, scope_name, token};
use crate::convert::{failed, signed};

pub(crate) struct SqliteTokenStore(pub(crate) Arc<SqliteDatabase>);

#[async_trait]
impl TokenStore for SqliteTokenStore {
    async fn create(&self, token: &NewToken, max: u32) -> Result<i64, StoreError> {
        let mut transaction = self.0.main.writer.begin().await?;
        let created = create(transaction.connection()?, token, max).await;
        transaction.finish(created).await
    }

    async fn find(
        &self,
        digest: &Digest,
        now_ms: u64,
    ) -> Result<Option<(Token, User)>, StoreError> {
        let row = sqlx::query_as(FIND)
            .bind(digest.as_slice())
            .bind(signed(now_ms))
            .fetch_optional(&self.0.main.readers)
            .await
            .map_err(failed)?;
        row.map(found_token).transpose()
    }

    async fn touch(&self, id: i64, now_ms: u64) -> Result<(), StoreError> {
        let query = sqlx::query(TOUCH).bind(id).bind(signed(now_ms));
        self.0.main.writer.begin_unflushed().await?.execute(query).await.map(drop)
    }

    async fn list(&self, user: UserId) -> Result<Vec<Token>, StoreError> {
        let rows: Vec<TokenRow> = sqlx::query_as(LIST)
            .bind(user.0)
            .fetch_all(&self.0.main.readers)
            .await
            .map_err(failed)?;
        rows.into_iter().map(token).collect()
    }

    async fn delete(&self, user: UserId, id: i64) -> Result<bool, StoreError> {
        let query = sqlx::query(DELETE).bind(user.0).bind(id);
        Ok(self.0.main.writer.begin().await?.execute(query).await? > 0)
    }
}

async fn create(
    connection: &mut SqliteConnection,
    token: &NewToken,
    max: u32,
) -> Result<i64, StoreError> {
    let count: i64 = sqlx::query_scalar(COUNT)
        .bind(token.user.0)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if count >= i64::from(max) {
        return Err(StoreError::QuotaExceeded(Quota::Tokens));
    }
    // All rows: a statement that returns some is only then at its end.
    let ids: Vec<i64> = sqlx::query_scalar(CREATE)
        .bind(token.user.0)
        .bind(token.digest.as_slice())
        .bind(token.app.map(|app| app.0))
        .bind(&token.name)
        .bind(scope_name(token.scope))
        .bind(signed(token.created_at_ms))
        .bind(token.expires_at_ms.map(signed))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    ids.into_iter().next().ok_or(StoreError::Conflict)
}
