//! The bundle as a whole.

use picloud_store::Stores;

use crate::support::{app, assert_unavailable, commit, on_both, set, value};
use picloud_shared::kv::Seen;

on_both![a_ping_changes_nothing_and_a_closed_store_answers_none];

async fn a_ping_changes_nothing_and_a_closed_store_answers_none(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    commit(stores, app, [set("c", "k", Seen::Absent, "1")]).await.unwrap();
    stores.ping().await.unwrap();
    stores.ping().await.unwrap();
    assert_eq!(value(stores, app, "c", "k").await.as_deref(), Some("1"));

    stores.close().await;
    assert_unavailable(stores.ping().await);
    assert_unavailable(commit(stores, app, [set("c", "k", Seen::Unread, "2")]).await);
    let (collection, key) = ("c".parse().unwrap(), "k".parse().unwrap());
    assert_unavailable(stores.kv.get(app, &collection, &key, 0).await);
    assert_unavailable(stores.kv.usage(app, 0).await);
    assert_unavailable(stores.outbox.lanes().await);
    assert_unavailable(stores.outbox.fail(&[]).await);
    assert_unavailable(stores.schedules.upcoming(1).await);
    assert_unavailable(stores.apps.delete(app).await);
    stores.close().await;
}
