//! An invocation's view of its KV.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use picloud_executor_core::unit_of_work::{KvUnit, Quota};
use picloud_shared::kv::{Error, Kv, KvStore, Page, Seen, WriteSet};
use picloud_shared::{AppId, Budget, Limits};

use crate::support::{APP, MemoryStore};

fn unit(store: &Arc<MemoryStore>, limits: &Limits) -> KvUnit {
    let quota = Quota { max_bytes: limits.kv_bytes, used_bytes: None };
    KvUnit::new(APP, Arc::clone(store) as _, 1_000, limits, quota)
}

async fn commit(store: &MemoryStore, unit: &KvUnit) {
    store.commit_kv(APP, unit.write_set(), u64::MAX, 1_000).await.unwrap();
}

async fn with_entries(entries: &[(&str, &str)]) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
    let unit = unit(&store, &Limits::default());
    for (key, value) in entries {
        unit.set("c", key, (*value).to_owned(), None).await.unwrap();
    }
    commit(&store, &unit).await;
    store
}

fn keys(page: &Page) -> Vec<&str> {
    page.entries.iter().map(|(key, _)| key.as_str()).collect()
}

#[tokio::test]
async fn reads_see_the_invocations_own_writes_and_the_store_does_not() {
    let store = with_entries(&[("a", "1")]).await;
    let unit = unit(&store, &Limits::default());
    unit.set("c", "a", "2".into(), None).await.unwrap();
    unit.set("c", "b", "3".into(), None).await.unwrap();
    assert_eq!(unit.get("c", "a").await.unwrap().as_deref(), Some("2"));
    assert!(unit.delete("c", "b").await.unwrap());
    assert!(!unit.delete("c", "b").await.unwrap());
    assert_eq!(unit.get("c", "b").await.unwrap(), None);
    assert_eq!(store.value("c", "a").unwrap(), "1");
}

#[tokio::test]
async fn an_entry_is_asked_for_once_however_often_it_is_read() {
    let store = with_entries(&[("a", "1")]).await;
    let unit = unit(&store, &Limits::default());
    for _ in 0..10 {
        assert_eq!(unit.get("c", "a").await.unwrap().as_deref(), Some("1"));
        assert_eq!(unit.get("c", "none").await.unwrap(), None);
    }
    assert_eq!(store.reads.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_write_carries_what_was_seen_first() {
    let store = with_entries(&[("a", "1")]).await;
    let unit = unit(&store, &Limits::default());
    unit.get("c", "a").await.unwrap();
    unit.get("c", "none").await.unwrap();
    for key in ["a", "none", "unread"] {
        unit.set("c", key, "9".into(), None).await.unwrap();
    }
    let seen: Vec<Seen> = unit.write_set().writes.iter().map(|write| write.seen).collect();
    assert!(matches!(seen.as_slice(), [Seen::Version(_), Seen::Absent, Seen::Unread]), "{seen:?}");
}

#[tokio::test]
async fn what_was_only_read_is_not_written() {
    let store = with_entries(&[("a", "1")]).await;
    let unit = unit(&store, &Limits::default());
    unit.get("c", "a").await.unwrap();
    unit.list("c", "", None, 10).await.unwrap();
    assert_eq!(unit.write_set(), WriteSet::default());
}

#[tokio::test]
async fn a_list_merges_the_invocations_changes_page_by_page() {
    let store = with_entries(&[("a", "1"), ("b", "1"), ("d", "1"), ("e", "1")]).await;
    let unit = unit(&store, &Limits::default());
    unit.delete("c", "b").await.unwrap();
    unit.set("c", "c", "2".into(), None).await.unwrap();
    unit.set("c", "z", "2".into(), None).await.unwrap();
    unit.set("c", "a", "2".into(), None).await.unwrap();

    let all = unit.list("c", "", None, 100).await.unwrap();
    assert_eq!(keys(&all), ["a", "c", "d", "e", "z"]);
    assert_eq!(all.entries[0].1, "2");
    assert_eq!(all.next, None);

    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = unit.list("c", "", after.as_deref(), 2).await.unwrap();
        paged.extend(page.entries.iter().map(|(key, _)| key.clone()));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(paged, ["a", "c", "d", "e", "z"]);
    assert_eq!(keys(&unit.list("c", "d", None, 10).await.unwrap()), ["d"]);
    assert_eq!(unit.list("c", "", None, 0).await.unwrap().entries, []);
    assert_eq!(unit.count("c").await.unwrap(), 5);
}

#[tokio::test]
async fn an_entry_seen_in_a_list_is_checked_when_it_is_written() {
    let store = with_entries(&[("a", "1")]).await;
    let unit = unit(&store, &Limits::default());
    unit.list("c", "", None, 10).await.unwrap();
    unit.set("c", "a", "2".into(), None).await.unwrap();
    assert!(matches!(unit.write_set().writes[0].seen, Seen::Version(_)));
}

#[tokio::test]
async fn a_cleared_collection_is_empty_until_it_is_written_again() {
    let store = with_entries(&[("a", "1"), ("b", "1")]).await;
    let unit = unit(&store, &Limits::default());
    unit.get("c", "a").await.unwrap();
    unit.set("c", "x", "1".into(), None).await.unwrap();
    unit.clear("c").await.unwrap();
    assert_eq!(unit.get("c", "a").await.unwrap(), None);
    assert_eq!(unit.count("c").await.unwrap(), 0);
    assert_eq!(unit.list("c", "", None, 10).await.unwrap(), Page::default());
    unit.set("c", "b", "2".into(), None).await.unwrap();
    assert_eq!(unit.count("c").await.unwrap(), 1);
    commit(&store, &unit).await;
    assert_eq!(store.value("c", "a"), None);
    assert_eq!(store.value("c", "x"), None);
    assert_eq!(store.value("c", "b").unwrap(), "2");
}

#[tokio::test]
async fn a_value_is_json_that_both_databases_can_keep() {
    let store = Arc::new(MemoryStore::default());
    let unit = unit(&store, &Limits::default());
    let largest = format!("\"{}\"", "x".repeat(64 * 1024 - 2));
    for good in ["null", "1.5", "\"\\\\u0000 is text\"", "{\"a\":[1,{}]}", &largest] {
        unit.set("c", "k", good.to_owned(), None).await.unwrap();
    }
    let deep = "[".repeat(1_000);
    for bad in ["", "nope", "{\"a\":}", "1 2", "\"\\u0000\"", "{\"\\u0000\":1}", &deep] {
        let error = unit.set("c", "k", bad.to_owned(), None).await.unwrap_err();
        assert!(matches!(error, Error::InvalidValue(_)), "{bad:?}: {error:?}");
    }
    let error = unit.set("c", "k", format!("{largest} "), None).await.unwrap_err();
    assert!(matches!(error, Error::ValueTooLarge(65_537)), "{error:?}");
    for key in ["", "a\0b", "a\nb", &"x".repeat(513)] {
        let error = unit.get("c", key).await.unwrap_err();
        assert!(matches!(error, Error::InvalidKey), "{key:?}");
    }
    let error = unit.get("../c", "k").await.unwrap_err();
    assert!(matches!(error, Error::InvalidCollection));
}

#[tokio::test]
async fn writes_are_counted_to_the_last_and_the_last_byte() {
    let store = Arc::new(MemoryStore::default());
    let limits = Limits { kv_writes: 3, ..Limits::default() };
    let few = unit(&store, &limits);
    for key in ["a", "b", "c"] {
        few.set("c", key, "1".into(), None).await.unwrap();
    }
    let error = few.set("c", "d", "1".into(), None).await.unwrap_err();
    assert!(matches!(error, Error::BudgetExceeded(Budget::KvWrites)));

    let limits = Limits { kv_write_bytes: 10, ..Limits::default() };
    let small = unit(&store, &limits);
    small.set("c", "k", "12345678".into(), None).await.unwrap();
    let error = small.set("c", "k", "1".into(), None).await.unwrap_err();
    assert!(matches!(error, Error::BudgetExceeded(Budget::KvWriteBytes)));
}

#[tokio::test]
async fn a_full_app_learns_of_it_when_it_writes_and_may_still_shrink() {
    let store = with_entries(&[("a", "\"0123456789\"")]).await;
    let limits = Limits::default();
    let quota = Quota { max_bytes: 12, used_bytes: Some(12) };
    let unit = KvUnit::new(APP, Arc::clone(&store) as _, 1_000, &limits, quota);
    let error = unit.set("c", "b", "1".into(), None).await.unwrap_err();
    assert!(matches!(error, Error::QuotaExceeded));
    unit.set("c", "a", "\"9876543210\"".into(), None).await.unwrap();
    unit.set("c", "a", "1".into(), None).await.unwrap();
    assert!(unit.delete("c", "a").await.unwrap());
}

#[tokio::test]
async fn an_app_that_was_full_may_write_once_its_entries_have_expired() {
    let store = Arc::new(MemoryStore::default());
    let first = unit(&store, &Limits::default());
    first.set("c", "old", "\"0123456789\"".into(), Some(1)).await.unwrap();
    commit(&store, &first).await;
    let limits = Limits::default();
    let quota = Quota { max_bytes: 12, used_bytes: Some(12) };
    let later = KvUnit::new(APP, Arc::clone(&store) as _, 2_000, &limits, quota);
    later.set("c", "new", "1".into(), None).await.unwrap();
}

#[tokio::test]
async fn what_was_read_before_a_clear_is_checked_when_it_is_written_after_it() {
    let store = with_entries(&[("n", "1")]).await;
    let unit = unit(&store, &Limits::default());
    unit.get("c", "n").await.unwrap();
    unit.clear("c").await.unwrap();
    unit.set("c", "n", "2".into(), None).await.unwrap();
    let other = self::unit(&store, &Limits::default());
    other.set("c", "n", "9".into(), None).await.unwrap();
    commit(&store, &other).await;
    let conflict = store.commit_kv(APP, unit.write_set(), u64::MAX, 1_000).await;
    assert!(matches!(conflict, Err(picloud_shared::StoreError::Conflict)), "{conflict:?}");
}

#[tokio::test]
async fn an_invocation_clears_a_few_collections_and_no_more() {
    let store = Arc::new(MemoryStore::default());
    let unit = unit(&store, &Limits::default());
    for n in 0..16 {
        unit.clear(&format!("c{n}")).await.unwrap();
    }
    unit.clear("c0").await.unwrap();
    let error = unit.clear("one-more").await.unwrap_err();
    assert!(matches!(error, Error::BudgetExceeded(Budget::KvWrites)));
}

#[tokio::test]
async fn a_ttl_counts_from_the_invocations_start() {
    let store = Arc::new(MemoryStore::default());
    let unit = unit(&store, &Limits::default());
    unit.set("c", "k", "1".into(), Some(60)).await.unwrap();
    unit.set("c", "forever", "1".into(), Some(u64::MAX)).await.unwrap();
    commit(&store, &unit).await;
    let get = async |now_ms| {
        let (collection, key) = ("c".parse().unwrap(), "k".parse().unwrap());
        store.get(APP, &collection, &key, now_ms).await.unwrap().is_some()
    };
    assert!(get(60_999).await);
    assert!(!get(61_000).await);
}

#[tokio::test]
async fn another_apps_entries_are_not_there() {
    let store = with_entries(&[("a", "1")]).await;
    let limits = Limits::default();
    let quota = Quota { max_bytes: 1 << 20, used_bytes: None };
    let other = KvUnit::new(AppId(2), Arc::clone(&store) as _, 1_000, &limits, quota);
    assert_eq!(other.get("c", "a").await.unwrap(), None);
    assert_eq!(other.list("c", "", None, 10).await.unwrap(), Page::default());
    assert_eq!(other.count("c").await.unwrap(), 0);
    assert!(!other.delete("c", "a").await.unwrap());
    other.clear("c").await.unwrap();
    store.commit_kv(AppId(2), other.write_set(), u64::MAX, 0).await.unwrap();
    assert_eq!(store.value("c", "a").unwrap(), "1");
}
