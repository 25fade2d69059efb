//! One invocation's view of its app's KV.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use picloud_shared::kv::{
    Change, Collection, Entry, Error, Key, Kv, KvStore, Listed, MAX_PAGE, MAX_VALUE_BYTES, Page,
    Range, Seen, Write, WriteSet,
};
use picloud_shared::outbox::{Emitted, MAX_SENT};
use picloud_shared::{AppId, Budget, EventType, Limits};

use super::Quota;
use super::merge::merge;
use super::value::{self, Invalid};
use crate::emitter::{ServiceEvent, ServiceEventEmitter};

/// Collections that one invocation may clear.
const MAX_CLEARS: usize = 16;
/// Bytes of values that are kept for a second read. What is read beyond them
/// is asked for again.
const MAX_KEPT_BYTES: u64 = 4 << 20;

/// One attempt of one invocation, bound to its app.
pub struct KvUnit {
    app: AppId,
    store: Arc<dyn KvStore>,
    now_ms: u64,
    quota: Quota,
    max_writes: u64,
    max_write_bytes: u64,
    max_read_bytes: u64,
    state: Mutex<State>,
}

/// Collection and key.
type Id = (Collection, Key);

#[derive(Default)]
struct State {
    /// What the store was found to hold.
    found: HashMap<Id, Found>,
    /// What the invocation makes of it, bounded by its budget of writes.
    changes: BTreeMap<Collection, BTreeMap<Key, Change>>,
    cleared: BTreeSet<Collection>,
    writes: u64,
    write_bytes: u64,
    read_bytes: u64,
    /// The usage, asked for once when the app seemed to be full.
    used_bytes: Option<u64>,
}

/// An entry as the store had it when it was first looked at.
struct Found {
    seen: Seen,
    /// Its value, if it was read for itself and is small enough to keep.
    value: Option<Kept>,
}

/// A value that was read; `None` for no entry.
struct Kept(Option<String>);

impl State {
    /// What was seen first is what the commit must find.
    fn see(&mut self, id: Id, seen: Seen) -> &mut Found {
        self.found.entry(id).or_insert(Found { seen, value: None })
    }

    fn change(&self, (collection, key): &Id) -> Option<&Change> {
        self.changes.get(collection)?.get(key)
    }

    /// The changes of a range of keys, in their order.
    fn changes_in<'a>(
        &'a self,
        collection: &Collection,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Change)> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let of_collection = self.changes.get(collection).into_iter();
        of_collection
            .flat_map(move |changes| changes.range::<str, _>((start, Bound::Unbounded)))
            .take_while(move |(key, _)| key.as_str().starts_with(prefix))
    }
}

impl KvUnit {
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
        let mut writes = Vec::new();
        for (collection, changes) in &state.changes {
            for (key, change) in changes {
                let id = (collection.clone(), key.clone());
                let seen = state.found.get(&id).map_or(Seen::Unread, |found| found.seen);
                let (collection, key) = id;
                writes.push(Write { collection, key, seen, change: change.clone() });
            }
        }
        WriteSet { clears: state.cleared.iter().cloned().collect(), writes }
    }

    /// What the changes make known. To be asked before [`KvUnit::write_set`]:
    /// an event tells what an entry was before, so that is read, and looked at
    /// again by the commit; and a collection that is cleared while somebody
    /// wants to know of each entry is emptied entry by entry.
    ///
    /// # Errors
    /// [`Error::BudgetExceeded`] if a cleared collection has more entries than
    /// one invocation may tell of; [`Error::Unavailable`].
    pub async fn events(&self, emitter: &ServiceEventEmitter) -> Result<Vec<Emitted>, Error> {
        let (sets, deletes) =
            (emitter.may_want(EventType::KvSet), emitter.may_want(EventType::KvDelete));
        if !sets && !deletes {
            return Ok(Vec::new());
        }
        let cleared: Vec<Collection> = self.lock().cleared.iter().cloned().collect();
        for collection in cleared {
            if emitter.may_want_deletes(collection.as_str()) {
                self.clear_one_by_one(&collection).await?;
            }
        }
        let changes: Vec<(Id, Change)> = {
            let state = self.lock();
            let of = |(collection, changes): (&Collection, &BTreeMap<Key, Change>)| {
                let id = |key: &Key| (collection.clone(), key.clone());
                let changes = changes.iter().map(|(key, change)| (id(key), change.clone()));
                changes.collect::<Vec<_>>()
            };
            state.changes.iter().flat_map(of).collect()
        };
        let mut events = Vec::new();
        for (id, change) in changes {
            let (collection, key) = (id.0.as_str(), id.1.as_str());
            let on = match change {
                Change::Set { .. } => EventType::KvSet,
                Change::Delete => EventType::KvDelete,
            };
            if !emitter.wants_kv(on, collection, key) {
                continue;
            }
            let old = self.stored(&id).await?;
            events.extend(match (&change, old.as_deref()) {
                (Change::Set { value, .. }, old) => {
                    emitter.emit(&ServiceEvent::KvSet { collection, key, value, old })
                }
                (Change::Delete, Some(old)) => {
                    emitter.emit(&ServiceEvent::KvDelete { collection, key, old })
                }
                // It came and went within the invocation.
                (Change::Delete, None) => None,
            });
        }
        Ok(events)
    }

    /// Makes deletions out of a clear.
    async fn clear_one_by_one(&self, collection: &Collection) -> Result<(), Error> {
        self.lock().cleared.remove(collection);
        let mut after: Option<Key> = None;
        loop {
            let range =
                Range { prefix: "", after: after.as_ref().map(Key::as_str), limit: MAX_PAGE };
            let listed = self.store.list(self.app, collection, range, self.now_ms).await;
            let Listed { entries, more } = listed.map_err(Error::Unavailable)?;
            self.saw(collection, &entries)?;
            after = entries.last().map(|(key, _)| key.clone());
            let mut state = self.lock();
            let changes = state.changes.entry(collection.clone()).or_default();
            for (key, _) in entries {
                changes.entry(key).or_insert(Change::Delete);
            }
            if changes.len() > MAX_SENT {
                return Err(Error::BudgetExceeded(Budget::Events));
            }
            if !more {
                return Ok(());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is a single insert or a sum.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry's value as this invocation sees it.
    async fn read(&self, id: &Id) -> Result<Option<String>, Error> {
        let change = self.lock().change(id).cloned();
        match change {
            Some(Change::Set { value, .. }) => Ok(Some(value)),
            Some(Change::Delete) => Ok(None),
            None => self.stored(id).await,
        }
    }

    /// The entry's value without this invocation's change to it.
    async fn stored(&self, id: &Id) -> Result<Option<String>, Error> {
        {
            let state = self.lock();
            if state.cleared.contains(&id.0) {
                return Ok(None);
            }
            if let Some(Found { value: Some(Kept(value)), .. }) = state.found.get(id) {
                return Ok(value.clone());
            }
        }
        let found = self.store.get(self.app, &id.0, &id.1, self.now_ms).await;
        let found = found.map_err(Error::Unavailable)?;
        let seen = found.as_ref().map_or(Seen::Absent, |entry| Seen::Version(entry.version));
        let value = found.map(|entry| entry.value);
        let mut state = self.lock();
        self.charge_read(&mut state, value.as_ref().map_or(0, String::len))?;
        let keep = state.read_bytes <= MAX_KEPT_BYTES;
        state.see(id.clone(), seen).value = keep.then(|| Kept(value.clone()));
        Ok(value)
    }

    fn write(&self, (collection, key): Id, change: Change) -> Result<(), Error> {
        let value_bytes = match &change {
            Change::Set { value, .. } => value.len(),
            Change::Delete => 0,
        };
        let mut state = self.lock();
        let bytes = collection.as_str().len() + key.as_str().len() + value_bytes;
        self.charge_write(&mut state, bytes)?;
        state.changes.entry(collection).or_default().insert(key, change);
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
    /// the script learns of it while it can still react. The commit decides.
    async fn check_quota(&self, id: &Id, value: &str) -> Result<(), Error> {
        let id_bytes = id.0.as_str().len() + id.1.as_str().len();
        let new_bytes = (id_bytes + value.len()) as u64;
        let fits = |used: u64, bytes| used.saturating_add(bytes) <= self.quota.max_bytes;
        if self.quota.used_bytes.is_none_or(|used| fits(used, new_bytes)) {
            return Ok(());
        }
        let old = self.read(id).await?;
        let old_bytes = old.map_or(0, |old| (id_bytes + old.len()) as u64);
        let growth = new_bytes.saturating_sub(old_bytes);
        // Much may have expired, or been deleted, since the last commit.
        if growth == 0 || fits(self.used_bytes().await?, growth) {
            return Ok(());
        }
        Err(Error::QuotaExceeded)
    }

    async fn used_bytes(&self) -> Result<u64, Error> {
        if let Some(used) = self.lock().used_bytes {
            return Ok(used);
        }
        let used = self.store.usage(self.app, self.now_ms).await.map_err(Error::Unavailable)?;
        self.lock().used_bytes = Some(used);
        Ok(used)
    }

    /// Remembers the versions of entries that a list showed.
    fn saw(&self, collection: &Collection, entries: &[(Key, Entry)]) -> Result<(), Error> {
        let mut state = self.lock();
        for (key, entry) in entries {
            state.see((collection.clone(), key.clone()), Seen::Version(entry.version));
        }
        let bytes = entries.iter().map(|(key, entry)| key.as_str().len() + entry.value.len());
        self.charge_read(&mut state, bytes.sum())
    }
}

#[async_trait]
impl Kv for KvUnit {
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
        let (is_cleared, deletions) = {
            let state = self.lock();
            let changes = state.changes_in(&collection, prefix, after);
            let deletions = changes.filter(|(_, change)| **change == Change::Delete).count();
            (state.cleared.contains(&collection), deletions)
        };
        let mut stored = Listed::default();
        if !is_cleared {
            // Enough that a full page remains after the deletions.
            let limit = limit.saturating_add(u32::try_from(deletions).unwrap_or(u32::MAX));
            let range = Range { prefix, after, limit };
            let listed = self.store.list(self.app, &collection, range, self.now_ms).await;
            stored = listed.map_err(Error::Unavailable)?;
            self.saw(&collection, &stored.entries)?;
        }
        let state = self.lock();
        let changes = state.changes_in(&collection, prefix, after).map(|(key, change)| {
            let value = match change {
                Change::Set { value, .. } => Some(value.clone()),
                Change::Delete => None,
            };
            (key.as_str(), value)
        });
        let stored_values =
            stored.entries.into_iter().map(|(key, entry)| (key.as_str().to_owned(), entry.value));
        let (entries, next) = merge(stored_values, stored.more, changes, limit as usize);
        Ok(Page { entries, next })
    }

    async fn count(&self, collection: &str) -> Result<u64, Error> {
        let collection: Collection = collection.parse()?;
        let (is_cleared, changes) = {
            let state = self.lock();
            let changes = state.changes_in(&collection, "", None);
            let changes = changes.map(|(key, change)| (key.clone(), *change != Change::Delete));
            (state.cleared.contains(&collection), changes.collect::<Vec<_>>())
        };
        if is_cleared {
            return Ok(changes.iter().filter(|(_, is_set)| *is_set).count() as u64);
        }
        let stored = self.store.count(self.app, &collection, self.now_ms).await;
        let mut count = stored.map_err(Error::Unavailable)?;
        for (key, is_set) in changes {
            let existed = self.stored(&(collection.clone(), key)).await?.is_some();
            match (existed, is_set) {
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
        // What was seen stays seen: an entry that was read and is written anew
        // after the clear must not have changed meanwhile.
        state.changes.remove(&collection);
        state.cleared.insert(collection);
        if state.cleared.len() > MAX_CLEARS {
            return Err(Error::BudgetExceeded(Budget::KvWrites));
        }
        Ok(())
    }
}

/// Whether a value is JSON that both databases can keep.
fn check_value(text: &str) -> Result<(), Error> {
    value::check("the value", text, MAX_VALUE_BYTES).map_err(|invalid| match invalid {
        Invalid::TooLarge(bytes) => Error::ValueTooLarge(bytes),
        Invalid::NotJson(reason) => Error::InvalidValue(reason),
    })
}
