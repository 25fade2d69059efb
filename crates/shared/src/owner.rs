//! What all apps of one owner may use together.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::usage::{Bounded, Counters, Storage};
use crate::{AppId, Limits, StoreError, UserId};

/// Declares [`OwnerLimits`] and [`OwnerLimitOverrides`], one field per limit.
macro_rules! limits {
    ($($(#[$doc:meta])* $field:ident = $default:expr),* $(,)?) => {
        /// An owner's limits, complete.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct OwnerLimits {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl Default for OwnerLimits {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }

        /// Where an admin departed from the default limits.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(default, deny_unknown_fields)]
        pub struct OwnerLimitOverrides {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<u64>,)*
        }

        impl OwnerLimits {
            /// The default limits with these departures.
            #[must_use]
            pub fn of(overrides: &OwnerLimitOverrides) -> Self {
                let default = Self::default();
                Self { $($field: overrides.$field.unwrap_or(default.$field)),* }
            }
        }
    };
}

limits!(
    /// Apps of which the user is an owner.
    apps = 20,
    /// Bytes of KV entries.
    kv_bytes = 1 << 30,
    /// Bytes of files.
    file_bytes = 4 << 30,
    /// Bytes of what releases keep.
    release_bytes = 1 << 30,
    /// Bytes of events in outboxes.
    outbox_bytes = 256 << 20,
    /// Requests within a day, in UTC; without end unless an admin says so.
    requests_per_day = u64::MAX,
    /// Fuel within a day, in UTC; without end unless an admin says so.
    fuel_per_day = u64::MAX,
);

/// What an owner may use, and of which apps the user is an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub user: UserId,
    pub limits: OwnerLimits,
    pub apps: Vec<AppId>,
}

impl OwnerLimits {
    /// What is used of them: `storage` of all apps now, `today` of them today.
    /// Limits without an end are left out.
    #[must_use]
    pub fn bounded(&self, apps: u64, storage: &Storage, today: &Counters) -> Vec<Bounded> {
        let mut bounded = vec![
            Bounded::new("apps", apps, self.apps),
            Bounded::new("kv_bytes", storage.kv_bytes, self.kv_bytes),
            Bounded::new("file_bytes", storage.file_bytes, self.file_bytes),
            Bounded::new("release_bytes", storage.release_bytes, self.release_bytes),
            Bounded::new("outbox_bytes", storage.outbox_bytes, self.outbox_bytes),
            Bounded::new("requests_per_day", today.requests, self.requests_per_day),
            Bounded::new("fuel_per_day", today.fuel, self.fuel_per_day),
        ];
        bounded.retain(|one| one.max != u64::MAX);
        bounded
    }
}

/// Says what owners have left.
#[async_trait]
pub trait OwnerQuotas: Send + Sync {
    /// The app's limits, lowered to what its owners have left.
    async fn lower(&self, app: AppId, limits: &Limits) -> Limits;

    /// Whether the user may own one more app.
    async fn has_room_for_app(&self, user: UserId) -> Result<bool, StoreError>;
}

/// Knows the owners of apps and their limits.
#[async_trait]
pub trait OwnerStore: Send + Sync {
    /// The accounts of the app's owners. An app that is the operator's alone
    /// has none.
    async fn of_app(&self, app: AppId) -> Result<Vec<Account>, StoreError>;

    /// The user's account; `None` if there is no such user.
    async fn account(&self, user: UserId) -> Result<Option<Account>, StoreError>;

    /// The user's departures from the default limits; `None` if there is no such
    /// user.
    async fn limits(&self, user: UserId) -> Result<Option<OwnerLimitOverrides>, StoreError>;

    /// Replaces the user's departures from the default limits.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the user is gone.
    async fn set_limits(
        &self,
        user: UserId,
        limits: &OwnerLimitOverrides,
    ) -> Result<(), StoreError>;
}
