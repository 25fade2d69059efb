//! Owners' accounts, asked for alike on both databases.

use picloud_shared::StoreError;
use picloud_shared::owner::OwnerLimitOverrides;

use crate::convert::corrupt;

pub(crate) const OWNERS: &str =
    "SELECT user_id FROM members WHERE app_id = $1 AND role = 'owner' ORDER BY user_id";
pub(crate) const APPS: &str =
    "SELECT app_id FROM members WHERE user_id = $1 AND role = 'owner' ORDER BY app_id";
/// No row for a user that there is not.
pub(crate) const LIMITS: &str = "SELECT coalesce(limits, '{}') FROM users
     LEFT JOIN owner_limits ON user_id = id WHERE id = $1";
pub(crate) const SET_LIMITS: &str = "INSERT INTO owner_limits (user_id, limits)
     SELECT id, $2 FROM users WHERE id = $1
     ON CONFLICT (user_id) DO UPDATE SET limits = excluded.limits";

pub(crate) fn limits(json: &str) -> Result<OwnerLimitOverrides, StoreError> {
    serde_json::from_str(json).map_err(|error| corrupt("an owner's limits", error))
}
