//! Users on PostgreSQL.

use async_trait::async_trait;
use picloud_shared::access::Digest;
use picloud_shared::user::UserStore;
use picloud_shared::{InstanceRole, StoreError, User, UserId, UserName};
use sqlx::PgConnection;

use super::PostgresDatabase;
use crate::access_row::user::{
    DELETE, END_OTHER_SESSIONS, END_SESSIONS, EXISTS, FIND, IS_EMPTY, LIST, PASSWORD_HASH,
    SET_PASSWORD, SET_ROLE,
};
use crate::access_row::{UserRow, role_name, user};
use crate::convert::failed;

pub(crate) struct PostgresUserStore(pub(crate) PostgresDatabase);

/// Whoever takes an app's owner waits for whoever takes another one of it.
const LOCK_APPS: &str = "SELECT 1 FROM apps
     WHERE id IN (SELECT app_id FROM members WHERE user_id = $1) ORDER BY id FOR NO KEY UPDATE";

#[async_trait]
impl UserStore for PostgresUserStore {
    async fn find(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        let row = sqlx::query_as(FIND)
            .bind(name.as_str())
            .fetch_optional(&self.0.pool)
            .await
            .map_err(failed)?;
        row.map(user).transpose()
    }

    async fn list(&self, after: Option<&UserName>, limit: u32) -> Result<Vec<User>, StoreError> {
        let rows: Vec<UserRow> = sqlx::query_as(LIST)
            .bind(after.map_or("", UserName::as_str))
            .bind(i64::from(limit))
            .fetch_all(&self.0.pool)
            .await
            .map_err(failed)?;
        rows.into_iter().map(user).collect()
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        sqlx::query_scalar(IS_EMPTY).fetch_one(&self.0.pool).await.map_err(failed)
    }

    async fn password_hash(&self, user: UserId) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar(PASSWORD_HASH)
            .bind(user.0)
            .fetch_optional(&self.0.pool)
            .await
            .map_err(failed)
    }

    async fn set_password(
        &self,
        user: UserId,
        hash: &str,
        kept: Option<&Digest>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.0.pool.begin().await.map_err(failed)?;
        let set = set_password(&mut transaction, user, hash, kept).await?;
        set.ok_or(StoreError::Conflict)?;
        transaction.commit().await.map_err(failed)
    }

    async fn set_role(&self, user: UserId, role: InstanceRole) -> Result<(), StoreError> {
        let done = sqlx::query(SET_ROLE)
            .bind(user.0)
            .bind(role_name(role))
            .execute(&self.0.pool)
            .await
            .map_err(failed)?;
        if done.rows_affected() == 0 { Err(StoreError::Conflict) } else { Ok(()) }
    }

    async fn delete(&self, user: UserId) -> Result<bool, StoreError> {
        let mut transaction = self.0.pool.begin().await.map_err(failed)?;
        sqlx::query(LOCK_APPS).bind(user.0).execute(&mut *transaction).await.map_err(failed)?;
        let done =
            sqlx::query(DELETE).bind(user.0).execute(&mut *transaction).await.map_err(failed)?;
        if done.rows_affected() == 0 {
            let exists: bool = sqlx::query_scalar(EXISTS)
                .bind(user.0)
                .fetch_one(&mut *transaction)
                .await
                .map_err(failed)?;
            return if exists { Err(StoreError::Conflict) } else { Ok(false) };
        }
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }
}

/// Sets the password, and ends the sessions but for `kept`. The user, unless
/// there is none.
pub(super) async fn set_password(
    connection: &mut PgConnection,
    id: UserId,
    hash: &str,
    kept: Option<&Digest>,
) -> Result<Option<User>, StoreError> {
    let row: Option<UserRow> = sqlx::query_as(SET_PASSWORD)
        .bind(id.0)
        .bind(hash)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    let ended = match kept {
        Some(kept) => sqlx::query(END_OTHER_SESSIONS).bind(id.0).bind(kept.as_slice()),
        None => sqlx::query(END_SESSIONS).bind(id.0),
    };
    ended.execute(connection).await.map_err(failed)?;
    row.map(user).transpose()
}
