//! Invites on PostgreSQL.

use async_trait::async_trait;
use picloud_shared::access::{Digest, Invite, InviteStore, NewInvite};
use picloud_shared::{StoreError, User, UserId, UserName};

use super::{PostgresDatabase, user};
use crate::access_row::invite::{
    CREATE, DELETE, DELETE_RESET, DELETE_SETUP, FIND, LIST, MAKE_USER, USE,
};
use crate::access_row::{self, InviteRow, UsedInvite, UserRow, purpose_parts};
use crate::convert::{failed, signed};

pub(crate) struct PostgresInviteStore(pub(crate) PostgresDatabase);

#[async_trait]
impl InviteStore for PostgresInviteStore {
    async fn create(&self, invite: &NewInvite) -> Result<Invite, StoreError> {
        let (kind, role, user) = purpose_parts(&invite.purpose);
        let mut transaction = self.0.pool.begin().await.map_err(failed)?;
        if kind == "setup" {
            sqlx::query(DELETE_SETUP).execute(&mut *transaction).await.map_err(failed)?;
        }
        let row: Option<(i64, Option<i64>)> = sqlx::query_as(CREATE)
            .bind(invite.digest.as_slice())
            .bind(kind)
            .bind(role)
            .bind(user)
            .bind(signed(invite.created_at_ms))
            .bind(signed(invite.expires_at_ms))
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        let (id, user) = row.ok_or(StoreError::Conflict)?;
        sqlx::query(DELETE_RESET)
            .bind(user)
            .bind(id)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Invite {
            id,
            purpose: invite.purpose.clone(),
            created_at_ms: invite.created_at_ms,
            expires_at_ms: invite.expires_at_ms,
        })
    }

    async fn find(&self, digest: &Digest, now_ms: u64) -> Result<Option<Invite>, StoreError> {
        let row = sqlx::query_as(FIND)
            .bind(digest.as_slice())
            .bind(signed(now_ms))
            .fetch_optional(&self.0.pool)
            .await
            .map_err(failed)?;
        row.map(access_row::invite).transpose()
    }

    async fn accept(
        &self,
        digest: &Digest,
        name: Option<&UserName>,
        password_hash: &str,
        now_ms: u64,
    ) -> Result<Option<User>, StoreError> {
        let mut transaction = self.0.pool.begin().await.map_err(failed)?;
        let used: Option<UsedInvite> = sqlx::query_as(USE)
            .bind(digest.as_slice())
            .bind(signed(now_ms))
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        let Some((_, role, user_id)) = used else { return Ok(None) };
        let user = if let Some(id) = user_id {
            user::set_password(&mut transaction, UserId(id), password_hash, None).await?
        } else {
            let name = name.ok_or(StoreError::Conflict)?;
            let made: Option<UserRow> = sqlx::query_as(MAKE_USER)
                .bind(name.as_str())
                .bind(role)
                .bind(password_hash)
                .bind(signed(now_ms))
                .fetch_optional(&mut *transaction)
                .await
                .map_err(failed)?;
            sqlx::query(DELETE_SETUP).execute(&mut *transaction).await.map_err(failed)?;
            Some(access_row::user(made.ok_or(StoreError::Conflict)?)?)
        };
        transaction.commit().await.map_err(failed)?;
        Ok(user)
    }

    async fn list(&self, now_ms: u64) -> Result<Vec<Invite>, StoreError> {
        let rows: Vec<InviteRow> = sqlx::query_as(LIST)
            .bind(signed(now_ms))
            .fetch_all(&self.0.pool)
            .await
            .map_err(failed)?;
        rows.into_iter().map(access_row::invite).collect()
    }

    async fn delete(&self, id: i64) -> Result<bool, StoreError> {
        let done = sqlx::query(DELETE).bind(id).execute(&self.0.pool).await.map_err(failed)?;
        Ok(done.rows_affected() > 0)
    }
}
