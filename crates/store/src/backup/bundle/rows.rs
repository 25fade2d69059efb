//! The rows of a bundle, each read as what it must be.

use std::collections::{BTreeMap, HashMap};

use picloud_shared::files::{Bucket, Path};
use picloud_shared::kv::{Collection, Key, MAX_VALUE_BYTES};
use picloud_shared::{BlobHash, Quota, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Error, Numbers, Room, invalid, signed};
use crate::convert::failed;

/// Names of secrets, and schedules.
const MAX_NAMES: usize = 10_000;
/// Bytes of a text that has no limit of its own elsewhere.
const MAX_TEXT_BYTES: usize = 4 << 10;

/// What has been read so far.
pub(super) struct Checked {
    room: Room,
    is_path: fn(&str) -> bool,
    /// What is put into rows that are to be inserted.
    pub(super) numbers: Option<Numbers>,
    app: Option<AppRow>,
    pub(super) secrets: Vec<String>,
    releases: BTreeMap<i64, ReleaseRow>,
    /// Files of releases, by their contents.
    blobs: HashMap<BlobHash, i64>,
    /// Apps' files, by their contents.
    pub(super) stored: HashMap<BlobHash, i64>,
    schedules: usize,
    pub(super) kv_bytes: u64,
    pub(super) file_bytes: u64,
    release_bytes: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a bundle says it, and the instance decides it")]
struct AppRow {
    id: i64,
    slug: String,
    created_at_ms: i64,
    active_release: Option<i64>,
    limits: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretRow {
    app_id: i64,
    name: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ReleaseRow {
    app_id: i64,
    number: i64,
    created_at_ms: i64,
    note: String,
    files: i64,
    bytes: i64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct BlobRow {
    app_id: i64,
    hash: String,
    contents: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ReleaseFileRow {
    app_id: i64,
    number: i64,
    path: String,
    hash: String,
    bytes: i64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct EntryRow {
    app_id: i64,
    collection: String,
    key: String,
    value: String,
    version: i64,
    expires_at_ms: Option<i64>,
    bytes: i64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct FileRow {
    app_id: i64,
    bucket: String,
    path: String,
    hash: String,
    bytes: i64,
    content_type: String,
    modified_ms: i64,
    version: i64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ScheduleRow {
    app_id: i64,
    name: String,
    cron: String,
    paused: u8,
    last_fire_ms: Option<i64>,
    due_ms: Option<i64>,
}

impl Checked {
    pub(super) fn new(room: Room, is_path: fn(&str) -> bool) -> Self {
        Self {
            room,
            is_path,
            numbers: None,
            app: None,
            secrets: Vec::new(),
            releases: BTreeMap::new(),
            blobs: HashMap::new(),
            stored: HashMap::new(),
            schedules: 0,
            kv_bytes: 0,
            file_bytes: 0,
            release_bytes: 0,
        }
    }

    pub(super) fn active_release(&self) -> Option<i64> {
        self.app.as_ref().and_then(|app| app.active_release)
    }

    /// A row, checked; as it is to be inserted, if it is.
    pub(super) fn row(&mut self, table: &str, row: &RawValue) -> Result<Option<String>, Error> {
        let row = match table {
            "apps" => {
                let app = parse(row)?;
                match self.app.replace(app) {
                    None => return Ok(None),
                    Some(_) => return Err(invalid("it has two apps")),
                }
            }
            "secrets" => {
                self.secret(parse(row)?)?;
                return Ok(None);
            }
            "releases" => self.release(parse(row)?)?,
            "blobs" => self.blob(parse(row)?)?,
            "release_files" => self.release_file(parse(row)?)?,
            "kv" => self.entry(parse(row)?)?,
            "files" => self.file(parse(row)?)?,
            "schedules" => self.schedule(parse(row)?)?,
            _ => return Err(invalid("a row belongs to no table")),
        };
        Ok(Some(row))
    }

    pub(super) fn is_of_app(&self, app: i64) -> Result<(), Error> {
        match &self.app {
            Some(known) if known.id == app => Ok(()),
            _ => Err(invalid("a row is another app's")),
        }
    }

    /// The number that the app of this number has here.
    fn number(&self, app: i64) -> Result<i64, Error> {
        self.is_of_app(app)?;
        Ok(self.numbers.map_or(app, |numbers| numbers.app))
    }

    fn secret(&mut self, SecretRow { app_id, name }: SecretRow) -> Result<(), Error> {
        self.is_of_app(app_id)?;
        name.parse::<picloud_shared::secrets::Name>()
            .map_err(|_| invalid("a secret has no name"))?;
        self.secrets.push(name);
        few(self.secrets.len())
    }

    fn release(&mut self, row: ReleaseRow) -> Result<String, Error> {
        let app_id = self.number(row.app_id)?;
        natural(&[row.number, row.created_at_ms, row.files, row.bytes])?;
        text(&row.note)?;
        let row = ReleaseRow { app_id, ..row };
        let json = json(&row)?;
        // What its files say is taken from it, until nothing is left.
        match self.releases.insert(row.number, row) {
            None => Ok(json),
            Some(_) => Err(invalid("a release is there twice")),
        }
    }

    fn blob(&mut self, row: BlobRow) -> Result<String, Error> {
        let app_id = self.number(row.app_id)?;
        let contents = hex::decode(&row.contents).map_err(|_| invalid("a file is no hex"))?;
        let hash = hash(&row.hash)?;
        if BlobHash::of(&contents) != hash {
            return Err(invalid("a release's file is not what its hash says"));
        }
        self.release_bytes += contents.len() as u64;
        within(self.release_bytes, self.room.release_bytes, Quota::Releases)?;
        self.blobs.insert(hash, signed(contents.len() as u64));
        json(&BlobRow { app_id, ..row })
    }

    fn release_file(&mut self, row: ReleaseFileRow) -> Result<String, Error> {
        let app_id = self.number(row.app_id)?;
        if !(self.is_path)(&row.path) {
            return Err(invalid(format!("{:?} is no path of a release's file", cut(&row.path))));
        }
        if self.blobs.get(&hash(&row.hash)?) != Some(&row.bytes) {
            return Err(invalid("a release's file has no contents of its size"));
        }
        let release = self.releases.get_mut(&row.number);
        let release = release.ok_or_else(|| invalid("a file belongs to no release"))?;
        release.files -= 1;
        release.bytes -= row.bytes;
        json(&ReleaseFileRow { app_id, ..row })
    }

    fn entry(&mut self, row: EntryRow) -> Result<String, Error> {
        let app_id = self.number(row.app_id)?;
        natural(&[row.expires_at_ms.unwrap_or_default()])?;
        row.collection.parse::<Collection>().map_err(|_| invalid("a collection has no name"))?;
        row.key.parse::<Key>().map_err(|_| invalid("an entry has no key"))?;
        serde_json::from_str::<serde::de::IgnoredAny>(&row.value)
            .map_err(|_| invalid(format!("the entry {:?} is no JSON", row.key)))?;
        // As scripts write it; PostgreSQL puts spaces between.
        let value = compact(&row.value);
        if value.len() > MAX_VALUE_BYTES {
            return Err(invalid(format!("the entry {:?} is too long", row.key)));
        }
        let bytes = (row.collection.len() + row.key.len() + value.len()) as u64;
        self.kv_bytes += bytes;
        within(self.kv_bytes, self.room.kv_bytes, Quota::Kv)?;
        let version = self.numbers.map_or(row.version, |numbers| numbers.kv_version);
        json(&EntryRow { app_id, value, version, bytes: signed(bytes), ..row })
    }

    fn file(&mut self, row: FileRow) -> Result<String, Error> {
        let app_id = self.number(row.app_id)?;
        natural(&[row.bytes, row.modified_ms])?;
        text(&row.content_type)?;
        row.bucket.parse::<Bucket>().map_err(|_| invalid("a bucket has no name"))?;
        row.path
            .parse::<Path>()
            .map_err(|_| invalid(format!("{:?} is no path of a file", cut(&row.path))))?;
        if self.stored.insert(hash(&row.hash)?, row.bytes).is_some_and(|bytes| bytes != row.bytes) {
            return Err(invalid("a file has two sizes"));
        }
        self.file_bytes = self.file_bytes.saturating_add(row.bytes.unsigned_abs());
        within(self.file_bytes, self.room.file_bytes, Quota::Files)?;
        let version = self.numbers.map_or(row.version, |numbers| numbers.files_version);
        json(&FileRow { app_id, version, ..row })
    }

    fn schedule(&mut self, row: ScheduleRow) -> Result<String, Error> {
        let app_id = self.number(row.app_id)?;
        natural(&[row.last_fire_ms.unwrap_or_default(), row.due_ms.unwrap_or_default()])?;
        text(&row.name)?;
        text(&row.cron)?;
        self.schedules += 1;
        few(self.schedules)?;
        json(&ScheduleRow { app_id, paused: row.paused.min(1), ..row })
    }

    /// All rows have come.
    pub(super) fn end(&self) -> Result<(), Error> {
        let Some(app) = &self.app else { return Err(invalid("it has no app")) };
        if self.releases.values().any(|left| (left.files, left.bytes) != (0, 0)) {
            return Err(invalid("a release has not the files that it says"));
        }
        match app.active_release {
            Some(active) if !self.releases.contains_key(&active) => {
                Err(invalid("its active release is missing"))
            }
            _ => Ok(()),
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(row: &'a RawValue) -> Result<T, Error> {
    serde_json::from_str(row.get()).map_err(|error| invalid(format!("a row is none ({error})")))
}

fn json(row: &impl Serialize) -> Result<String, Error> {
    Ok(serde_json::to_string(row).map_err(failed)?)
}

fn hash(digits: &str) -> Result<BlobHash, Error> {
    digits.parse().map_err(|_| invalid("a file has no hash"))
}

/// Numbers of rows, times and sizes are never below zero.
fn natural(numbers: &[i64]) -> Result<(), Error> {
    if numbers.iter().all(|number| *number >= 0) {
        Ok(())
    } else {
        Err(invalid("a number is below zero"))
    }
}

fn text(text: &str) -> Result<(), Error> {
    if text.len() <= MAX_TEXT_BYTES && !text.contains('\0') {
        Ok(())
    } else {
        Err(invalid(format!("{:?}… is too long", cut(text))))
    }
}

fn few(names: usize) -> Result<(), Error> {
    if names <= MAX_NAMES { Ok(()) } else { Err(Error::TooLarge) }
}

fn within(bytes: u64, most: u64, quota: Quota) -> Result<(), Error> {
    if bytes <= most { Ok(()) } else { Err(StoreError::QuotaExceeded(quota).into()) }
}

/// The start of a text, for a message.
fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

/// JSON without spaces between its parts.
fn compact(json: &str) -> String {
    let (mut within, mut escaped) = (false, false);
    let keeps = |c: &char| {
        let keep = within || !c.is_ascii_whitespace();
        match c {
            '"' if !escaped => within = !within,
            _ => {}
        }
        escaped = within && *c == '\\' && !escaped;
        keep
    };
    json.chars().filter(keeps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_are_taken_out_between_and_kept_within_strings() {
        for (given, expected) in [
            ("{\"a b\": [1, 2]}", "{\"a b\":[1,2]}"),
            (r#"" \" , \\" "#, r#"" \" , \\""#),
            ("\n null\t", "null"),
        ] {
            assert_eq!(compact(given), expected);
        }
    }
}
