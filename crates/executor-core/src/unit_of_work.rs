//! The unit of work: one invocation's view of its app's KV.
//!
//! Reads go to the store and remember the version they saw. Writes go into a
//! write-set, which later reads see. Nothing reaches the store until the
//! executor commits the write-set, in one transaction that checks every version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use picloud_shared::kv::{
    Change, Collection, Entry, Error, Key, Kv, KvStore, Listed, MAX_PAGE, MAX_VALUE_BYTES, Page,
    Range, Seen, Write, WriteSet,
};
use picloud_shared::{AppId, Budget, Limits};
use serde_json::Value;

/// One attempt of one invocation, bound to its app.
pub struct UnitOfWork {
    app: AppId,
    store: Arc<dyn KvStore>,
    now_ms: u64,
    quota: Quota,
    max_writes: u64,
    max_write_bytes: u64,
    max_read_bytes: u64,
    state: Mutex<State>,
}

/// How full the app's storage is, as far as is known without asking.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    pub max_bytes: u64,
    /// The usage after the app's last commit; `None` before the first.
    pub used_bytes: Option<u64>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<(Collection, Key), Slot>,
    cleared: BTreeSet<Collection>,
    writes: u64,
    write_bytes: u64,
    read_bytes: u64,
}

/// What the invocation knows of one entry.
struct Slot {
    seen: Seen,
    read: Read,
    change: Option<Change>,
}

/// Whether the entry was read for itself, not only seen in a list.
enum Read {
    NotYet,
    Found(Option<String>),
}

impl Slot {
    const UNREAD: Self = Self { seen: Seen::Unread, read: Read::NotYet, change: None };

    /// What was seen first is what the commit must find.
    fn see(&mut self, seen: Seen) {
        if self.seen == Seen::Unread {
            self.seen = seen;
        }
    }
}

impl UnitOfWork {
    pub fn new(
        app: AppId,
        store: Arc<dyn KvStore>,
        now_ms: u64,
        limits: &Limits,
        quota: Quota,
    ) -> Self {
        Self {
            app,
            store,
            now_ms,
            quota,
            max_writes: limits.kv_writes,
            max_write_bytes: limits.kv_write_bytes,
            max_read_bytes: limits.host_bytes,
            state: Mutex::default(),
        }
    }

    /// Everything that the invocation changed.
    #[must_use]
    pub fn write_set(&self) -> WriteSet {
        let state = self.lock();
        let writes = state.entries.iter().filter_map(|((collection, key), slot)| {
            let change = slot.change.clone()?;
            // The clear comes first and takes away whatever version was there.
            let seen = if state.cleared.contains(collection) { Seen::Unread } else { slot.seen };
            Some(Write { collection: collection.clone(), key: key.clone(), seen, change })
        });
        WriteSet { clears: state.cleared.iter().cloned().collect(), writes: writes.collect() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is a single insert or a sum.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry's value as this invocation sees it.
    async fn read(&self, id: &(Collection, Key)) -> Result<Option<String>, Error> {
        let change = self.lock().entries.get(id).and_then(|slot| slot.change.clone());
        match change {
            Some(Change::Set { value, .. }) => Ok(Some(value)),
            Some(Change::Delete) => Ok(None),
            None => self.stored(id).await,
        }
    }

    /// The entry's value without this invocation's change, asked for only once.
    async fn stored(&self, id: &(Collection, Key)) -> Result<Option<String>, Error> {
        {
            let state = self.lock();
            if state.cleared.contains(&id.0) {
                return Ok(None);
            }
            if let Some(Slot { read: Read::Found(value), .. }) = state.entries.get(id) {
                return Ok(value.clone());
            }
        }
        let found = self.store.get(self.app, &id.0, &id.1, self.now_ms).await;
        let found = found.map_err(Error::Unavailable)?;
        let seen = found.as_ref().map_or(Seen::Absent, |entry| Seen::Version(entry.version));
        let value = found.map(|entry| entry.value);
        let mut state = self.lock();
        self.charge_read(&mut state, value.as_ref().map_or(0, String::len))?;
        let slot = state.entries.entry(id.clone()).or_insert(Slot::UNREAD);
        slot.see(seen);
        slot.read = Read::Found(value.clone());
        Ok(value)
    }

    fn write(&self, id: (Collection, Key), change: Change) -> Result<(), Error> {
        let value_bytes = match &change {
            Change::Set { value, .. } => value.len(),
            Change::Delete => 0,
        };
        let mut state = self.lock();
        self.charge_write(&mut state, id_bytes(&id) + value_bytes)?;
        state.entries.entry(id).or_insert(Slot::UNREAD).change = Some(change);
        Ok(())
    }

    /// Counts bytes that the store had to fetch. The sandbox counts what it
    /// hands to the guest; a list that merges many deletions fetches more.
    fn charge_read(&self, state: &mut State, bytes: usize) -> Result<(), Error> {
        state.read_bytes = state.read_bytes.saturating_add(bytes as u64);
        if state.read_bytes > self.max_read_bytes {
            return Err(Error::BudgetExceeded(Budget::HostBytes));
        }
        Ok(())
    }

    fn charge_write(&self, state: &mut State, bytes: usize) -> Result<(), Error> {
        state.writes += 1;
        state.write_bytes = state.write_bytes.saturating_add(bytes as u64);
        if state.writes > self.max_writes {
            return Err(Error::BudgetExceeded(Budget::KvWrites));
        }
        if state.write_bytes > self.max_write_bytes {
            return Err(Error::BudgetExceeded(Budget::KvWriteBytes));
        }
        Ok(())
    }

    /// Refuses a write that an app without space left cannot commit, so that
    /// the script learns of it while it can still react. What is known of the
    /// usage may be old: the commit decides.
    async fn check_quota(&self, id: &(Collection, Key), value: &str) -> Result<(), Error> {
        let new_bytes = (id_bytes(id) + value.len()) as u64;
        let Some(used) = self.quota.used_bytes else { return Ok(()) };
        if used.saturating_add(new_bytes) <= self.quota.max_bytes {
            return Ok(());
        }
        let old = self.read(id).await?;
        let old_bytes = old.map_or(0, |old| (id_bytes(id) + old.len()) as u64);
        let growth = new_bytes.saturating_sub(old_bytes);
        if growth > 0 && used.saturating_add(growth) > self.quota.max_bytes {
            return Err(Error::QuotaExceeded);
        }
        Ok(())
    }

    /// The invocation's own changes within a range: `None` is a deletion.
    fn changes(
        &self,
        collection: &Collection,
        prefix: &str,
        after: Option<&str>,
    ) -> BTreeMap<String, Option<String>> {
        let state = self.lock();
        let in_range = |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
        let of_collection = state.entries.iter().filter(|((c, _), _)| c == collection);
        of_collection
            .filter(|((_, key), _)| in_range(key.as_str()))
            .filter_map(|((_, key), slot)| {
                let value = match slot.change.as_ref()? {
                    Change::Set { value, .. } => Some(value.clone()),
                    Change::Delete => None,
                };
                Some((key.as_str().to_owned(), value))
            })
            .collect()
    }

    fn is_cleared(&self, collection: &Collection) -> bool {
        self.lock().cleared.contains(collection)
    }

    /// Remembers the versions of entries that a list showed.
    fn saw(&self, collection: &Collection, entries: &[(Key, Entry)]) -> Result<(), Error> {
        let mut state = self.lock();
        for (key, entry) in entries {
            let id = (collection.clone(), key.clone());
            let slot = state.entries.entry(id).or_insert(Slot::UNREAD);
            slot.see(Seen::Version(entry.version));
        }
        let bytes = entries.iter().map(|(key, entry)| key.as_str().len() + entry.value.len());
        self.charge_read(&mut state, bytes.sum())
    }
}

fn id_bytes((collection, key): &(Collection, Key)) -> usize {
    collection.as_str().len() + key.as_str().len()
}

#[async_trait]
impl Kv for UnitOfWork {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<String>, Error> {
        self.read(&(collection.parse()?, key.parse()?)).await
    }

    async fn set(
        &self,
        collection: &str,
        key: &str,
        value: String,
        ttl_s: Option<u64>,
    ) -> Result<(), Error> {
        let id = (collection.parse()?, key.parse()?);
        check_value(&value)?;
        self.check_quota(&id, &value).await?;
        let expires_at_ms =
            ttl_s.map(|ttl_s| self.now_ms.saturating_add(ttl_s.saturating_mul(1000)));
        self.write(id, Change::Set { value, expires_at_ms })
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool, Error> {
        let id = (collection.parse()?, key.parse()?);
        let existed = self.read(&id).await?.is_some();
        if existed {
            self.write(id, Change::Delete)?;
        }
        Ok(existed)
    }

    async fn list(
        &self,
        collection: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, Error> {
        let collection: Collection = collection.parse()?;
        let limit = limit.min(MAX_PAGE);
        let changes = self.changes(&collection, prefix, after);

        let mut stored = Listed::default();
        if !self.is_cleared(&collection) {
            // Enough that a full page remains after the deletions.
            let deletions = changes.values().filter(|value| value.is_none()).count();
            let limit = limit.saturating_add(u32::try_from(deletions).unwrap_or(u32::MAX));
            let range = Range { prefix, after, limit };
            let listed = self.store.list(self.app, &collection, range, self.now_ms).await;
            stored = listed.map_err(Error::Unavailable)?;
            self.saw(&collection, &stored.entries)?;
        }
        Ok(merge(stored, changes, limit as usize))
    }

    async fn count(&self, collection: &str) -> Result<u64, Error> {
        let collection: Collection = collection.parse()?;
        let changes = self.changes(&collection, "", None);
        if self.is_cleared(&collection) {
            return Ok(changes.values().flatten().count() as u64);
        }
        let stored = self.store.count(self.app, &collection, self.now_ms).await;
        let mut count = stored.map_err(Error::Unavailable)?;
        for (key, value) in &changes {
            let existed = self.stored(&(collection.clone(), key.parse()?)).await?.is_some();
            match (existed, value.is_some()) {
                (false, true) => count += 1,
                (true, false) => count = count.saturating_sub(1),
                _ => {}
            }
        }
        Ok(count)
    }

    async fn clear(&self, collection: &str) -> Result<(), Error> {
        let collection: Collection = collection.parse()?;
        let mut state = self.lock();
        self.charge_write(&mut state, collection.as_str().len())?;
        state.entries.retain(|(c, _), _| *c != collection);
        state.cleared.insert(collection);
        Ok(())
    }
}

/// A page of what is stored with the invocation's changes put over it.
fn merge(stored: Listed, changes: BTreeMap<String, Option<String>>, limit: usize) -> Page {
    // What lies behind the stored entries' end is not known, so the page ends
    // there too, even if that makes it a short one.
    let end = stored.entries.last().filter(|_| stored.more);
    let end = end.map(|(key, _)| key.as_str().to_owned());
    let stored = stored.entries.into_iter();
    let mut merged: BTreeMap<String, Option<String>> =
        stored.map(|(key, entry)| (key.as_str().to_owned(), Some(entry.value))).collect();
    merged.extend(changes.into_iter().filter(|(key, _)| end.as_ref().is_none_or(|end| key <= end)));

    let mut live = merged.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let entries: Vec<_> = live.by_ref().take(limit).collect();
    let next = match live.next() {
        Some(_) => entries.last().map(|(key, _)| key.clone()),
        None => end,
    };
    Page { entries, next }
}

/// Whether a value is JSON that both databases can keep.
fn check_value(text: &str) -> Result<(), Error> {
    if text.len() > MAX_VALUE_BYTES {
        return Err(Error::ValueTooLarge(text.len()));
    }
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Error::InvalidValue(format!("the value is not JSON: {error}")))?;
    if has_nul(&value) {
        let reason = "the value has a NUL character in it, which cannot be stored";
        return Err(Error::InvalidValue(reason.to_owned()));
    }
    Ok(())
}

/// PostgreSQL's JSONB has no NUL; what one store refuses, both do. The depth of
/// `value` is bounded by the parser.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
