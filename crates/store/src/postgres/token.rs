//! API tokens on PostgreSQL.

use async_trait::async_trait;
use picloud_shared::access::{Digest, NewToken, Token, TokenStore};
use picloud_shared::{Quota, StoreError, User, UserId};

use super::PostgresDatabase;
use crate::access_row::token::{COUNT, CREATE, DELETE, FIND, LIST, TOUCH};
use crate::access_row::{TokenRow, found_token, scope_name, token};
use crate::convert::{failed, signed};

pub(crate) struct PostgresTokenStore(pub(crate) PostgresDatabase);

#[async_trait]
impl TokenStore for PostgresTokenStore {
    /// Two at once can end one over the limit, which harms nobody.
    async fn create(&self, token: &NewToken, max: u32) -> Result<i64, StoreError> {
        let count: i64 = sqlx::query_scalar(COUNT)
            .bind(token.user.0)
            .fetch_one(&self.0.pool)
            .await
            .map_err(failed)?;
        if count >= i64::from(max) {
            return Err(StoreError::QuotaExceeded(Quota::Tokens));
        }
        let id: Option<i64> = sqlx::query_scalar(CREATE)
            .bind(token.user.0)
            .bind(token.digest.as_slice())
            .bind(token.app.map(|app| app.0))
            .bind(&token.name)
            .bind(scope_name(token.scope))
            .bind(signed(token.created_at_ms))
            .bind(token.expires_at_ms.map(signed))
            .fetch_optional(&self.0.pool)
            .await
            .map_err(failed)?;
        id.ok_or(StoreError::Conflict)
    }

    async fn find(
        &self,
        digest: &Digest,
        now_ms: u64,
    ) -> Result<Option<(Token, User)>, StoreError> {
        let row = sqlx::query_as(FIND)
            .bind(digest.as_slice())
            .bind(signed(now_ms))
            .fetch_optional(&self.0.pool)
            .await
            .map_err(failed)?;
        row.map(found_token).transpose()
    }

    async fn touch(&self, id: i64, now_ms: u64) -> Result<(), StoreError> {
        sqlx::query(TOUCH)
            .bind(id)
            .bind(signed(now_ms))
            .execute(&self.0.pool)
            .await
            .map(drop)
            .map_err(failed)
    }

    async fn list(&self, user: UserId) -> Result<Vec<Token>, StoreError> {
        let rows: Vec<TokenRow> =
            sqlx::query_as(LIST).bind(user.0).fetch_all(&self.0.pool).await.map_err(failed)?;
        rows.into_iter().map(token).collect()
    }

    async fn delete(&self, user: UserId, id: i64) -> Result<bool, StoreError> {
        let done = sqlx::query(DELETE)
            .bind(user.0)
            .bind(id)
            .execute(&self.0.pool)
            .await
            .map_err(failed)?;
        Ok(done.rows_affected() > 0)
    }
}
