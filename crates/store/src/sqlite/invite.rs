//! Invites on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::access::{Digest, Invite, InviteStore, NewInvite};
use picloud_shared::{StoreError, User, UserId, UserName};
use sqlx::SqliteConnection;

use super::{SqliteDatabase, user};
use crate::access_row::invite::{
    CREATE, DELETE, DELETE_RESET, DELETE_SETUP, FIND, LIST, MAKE_USER, USE,
};
use crate::access_row::{self, InviteRow, UsedInvite, UserRow, purpose_parts};
use crate::convert::{failed, signed};

pub(crate) struct SqliteInviteStore(pub(crate) Arc<SqliteDatabase>);

#[async_trait]
impl InviteStore for SqliteInviteStore {
    async fn create(&self, invite: &NewInvite) -> Result<Invite, StoreError> {
        let mut transaction = self.0.main.writer.begin().await?;
        let created = create(transaction.connection()?, invite).await;
        let id = transaction.finish(created).await?;
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
            .fetch_optional(&self.0.main.readers)
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
        let mut transaction = self.0.main.writer.begin().await?;
        let connection = transaction.connection()?;
        let accepted = accept(connection, digest, name, password_hash, now_ms).await;
        transaction.finish(accepted).await
    }

    async fn list(&self, now_ms: u64) -> Result<Vec<Invite>, StoreError> {
        let rows: Vec<InviteRow> = sqlx::query_as(LIST)
            .bind(signed(now_ms))
            .fetch_all(&self.0.main.readers)
            .await
            .map_err(failed)?;
        rows.into_iter().map(access_row::invite).collect()
    }

    async fn delete(&self, id: i64) -> Result<bool, StoreError> {
        let query = sqlx::query(DELETE).bind(id);
        Ok(self.0.main.writer.begin().await?.execute(query).await? > 0)
    }
}

async fn create(connection: &mut SqliteConnection, invite: &NewInvite) -> Result<i64, StoreError> {
    let (kind, role, user) = purpose_parts(&invite.purpose);
    if kind == "setup" {
        sqlx::query(DELETE_SETUP).execute(&mut *connection).await.map_err(failed)?;
    }
    // All rows: a statement that returns some is only then at its end.
    let rows: Vec<(i64, Option<i64>)> = sqlx::query_as(CREATE)
        .bind(invite.digest.as_slice())
        .bind(kind)
        .bind(role)
        .bind(user)
        .bind(signed(invite.created_at_ms))
        .bind(signed(invite.expires_at_ms))
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    let (id, user) = rows.into_iter().next().ok_or(StoreError::Conflict)?;
    sqlx::query(DELETE_RESET).bind(user).bind(id).execute(connection).await.map_err(failed)?;
    Ok(id)
}

async fn accept(
    connection: &mut SqliteConnection,
    digest: &Digest,
    name: Option<&UserName>,
    password_hash: &str,
    now_ms: u64,
) -> Result<Option<User>, StoreError> {
    let used: Vec<UsedInvite> = sqlx::query_as(USE)
        .bind(digest.as_slice())
        .bind(signed(now_ms))
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    let Some((_, role, user_id)) = used.into_iter().next() else { return Ok(None) };
    if let Some(id) = user_id {
        return user::set_password(connection, UserId(id), password_hash, None).await;
    }
    let name = name.ok_or(StoreError::Conflict)?;
    let made: Vec<UserRow> = sqlx::query_as(MAKE_USER)
        .bind(name.as_str())
        .bind(role)
        .bind(password_hash)
        .bind(signed(now_ms))
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    let made = made.into_iter().next().ok_or(StoreError::Conflict)?;
    sqlx::query(DELETE_SETUP).execute(connection).await.map_err(failed)?;
    access_row::user(made).map(Some)
}
