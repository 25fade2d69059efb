//! The lines of a backup.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One line.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line<'a> {
    /// The first one.
    #[serde(rename = "picloud_backup")]
    Head(Head),
    /// The rows of this table follow.
    #[serde(borrow)]
    Table(Cow<'a, str>),
    /// A row: its columns, by their names.
    #[serde(borrow)]
    Row(&'a RawValue),
    /// Some bytes of a file. Those of one file follow one another.
    #[serde(borrow)]
    Piece(Piece<'a>),
    /// The last one.
    End(End),
}

/// What a backup says of itself.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Head {
    pub format: u32,
    /// The version of PiCloud that made it.
    pub version: String,
    /// The database that it was made of.
    pub database: String,
    pub created_at_ms: u64,
    /// The fingerprint of the key that its secrets are sealed with.
    pub master_key: String,
    /// The one app that this is a bundle of; it holds no secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
}

/// A piece of an app's file.
#[derive(Deserialize, Serialize)]
pub(super) struct Piece<'a> {
    pub app: i64,
    #[serde(borrow)]
    pub hash: Cow<'a, str>,
    #[serde(borrow)]
    pub base64: Cow<'a, str>,
}

/// What a backup ends with.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct End {
    /// Rows of each table.
    pub rows: BTreeMap<String, u64>,
    /// Contents of files.
    pub contents: u64,
    /// Contents that were not there to be backed up.
    pub missing: u64,
    /// SHA-256 of all lines before this one, in hexadecimal digits.
    pub sha256: String,
}
