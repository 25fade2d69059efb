//! Between the model's types and what databases can hold.

use std::borrow::Cow;
use std::fmt::Display;

use picloud_shared::{BlobHash, Level, LimitOverrides, StoreError};

/// A database's own error, reduced to its text: no type of sqlx leaves here.
pub(crate) fn failed(error: impl Display) -> StoreError {
    StoreError::unavailable(error.to_string())
}

/// A row that holds what this crate never writes.
pub(crate) fn corrupt(what: &str, found: impl Display) -> StoreError {
    StoreError::unavailable(format!("the database holds {found} for {what}"))
}

/// Databases' integers are signed. What is too large becomes the largest: no
/// time, size or fuel comes near it except as "without limit".
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned<T>(what: &str, number: i64) -> Result<T, StoreError>
where
    T: TryFrom<i64>,
{
    T::try_from(number).map_err(|_| corrupt(what, number))
}

/// PostgreSQL's text cannot hold NUL; both stores replace it, to be alike.
pub(crate) fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{FFFD}"))
    } else {
        Cow::Borrowed(text)
    }
}

pub(crate) fn level_number(level: Level) -> i16 {
    match level {
        Level::Debug => 0,
        Level::Info => 1,
        Level::Warn => 2,
        Level::Error => 3,
    }
}

pub(crate) fn level(number: i16) -> Result<Level, StoreError> {
    match number {
        0 => Ok(Level::Debug),
        1 => Ok(Level::Info),
        2 => Ok(Level::Warn),
        3 => Ok(Level::Error),
        _ => Err(corrupt("a level", number)),
    }
}

pub(crate) fn hash(bytes: &[u8]) -> Result<BlobHash, StoreError> {
    BlobHash::try_from(bytes).map_err(|_| corrupt("a hash", format_args!("{} bytes", bytes.len())))
}

pub(crate) fn limits(json: &str) -> Result<LimitOverrides, StoreError> {
    serde_json::from_str(json).map_err(|error| corrupt("an app's limits", error))
}

pub(crate) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_values_are_reported_and_not_guessed_at() {
        for error in [
            unsigned::<u64>("a time", -1).unwrap_err(),
            level(4).unwrap_err(),
            hash(&[0; 31]).unwrap_err(),
            limits("{\"fuel\": -1}").unwrap_err(),
        ] {
            let StoreError::Unavailable(source) = error else { panic!("{error}") };
            assert!(source.to_string().starts_with("the database holds"), "{source}");
        }
    }

    #[test]
    fn levels_come_back() {
        for each in [Level::Debug, Level::Info, Level::Warn, Level::Error] {
            assert_eq!(level(level_number(each)).unwrap(), each);
        }
        assert!(level_number(Level::Debug) < level_number(Level::Error));
    }
}
