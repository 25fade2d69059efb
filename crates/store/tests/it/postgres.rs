//! What only PostgreSQL has: a server that can go away.

use picloud_shared::kv::Seen;
use picloud_store::Stores;
use picloud_store::testing::with_postgres;
use sqlx::{Connection as _, PgConnection};

use crate::support::{app, assert_unavailable, commit, keys, put, set};

#[tokio::test]
async fn lost_connections_are_replaced() {
    with_postgres("postgres::lost_connections_are_replaced", lost_connections).await;
}

async fn lost_connections(url: &str) {
    let mut admin = PgConnection::connect(url).await.unwrap();
    let schema: String =
        sqlx::query_scalar("SELECT current_schema()").fetch_one(&mut admin).await.unwrap();
    let stores = Stores::connect_postgres(&format!("{url}&application_name={schema}")).await;
    let stores = stores.unwrap();
    let app = app(&stores, "alice").await.id;
    put(&stores, app, "c", "before", "1").await;

    let lost = sqlx::query(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1",
    );
    let lost = lost.bind(&schema).fetch_all(&mut admin).await.unwrap();
    assert!(!lost.is_empty());
    // Each lost connection may fail one call, and none fails two.
    let mut failures = 0;
    while let Err(error) = commit(&stores, app, [set("c", "after", Seen::Absent, "1")]).await {
        assert_unavailable(Err::<(), _>(error));
        failures += 1;
        assert!(failures <= lost.len(), "{failures} failures");
    }
    stores.ping().await.unwrap();
    assert_eq!(keys(&stores, app, "c", "", None).await, ["after", "before"]);
    stores.close().await;
}

#[tokio::test]
async fn opening_again_changes_nothing() {
    let case = async |url: &str| {
        let first = Stores::connect_postgres(url).await.unwrap();
        let app = app(&first, "alice").await.id;
        put(&first, app, "c", "k", "1").await;
        // Another process, while the first one runs.
        let second = Stores::connect_postgres(url).await.unwrap();
        assert_eq!(keys(&second, app, "c", "", None).await, ["k"]);
        first.close().await;
        put(&second, app, "c", "l", "1").await;
        second.close().await;
    };
    with_postgres("postgres::opening_again_changes_nothing", case).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("postgres:///postgres?host={}&user=nobody", dir.path().display());
    assert_unavailable(Stores::connect_postgres(&url).await.map(drop));
    assert_unavailable(Stores::connect_postgres("mysql://localhost").await.map(drop));
}
