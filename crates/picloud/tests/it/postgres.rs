//! The whole server on PostgreSQL. Where there is none, this says that it was
//! skipped; `PICLOUD_REQUIRE_POSTGRES=1` makes that a failure.

use futures_util::future::join_all;
use picloud_store::testing::with_postgres;
use tempfile::TempDir;

use crate::support::Picloud;

const COUNTER: &str = "fn post(req) { `${kv::collection(\"c\").incr(req.query.key)}` }
    fn get(req) { log::info(\"asked\"); `${kv::collection(\"c\").get_or(req.query.key, 0)}` }";

#[tokio::test]
async fn two_servers_share_a_database_and_lose_no_increment() {
    with_postgres("two_servers_share_a_database_and_lose_no_increment", async |url| {
        let (a, b) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let key = "7".repeat(64);
        let token = ["--admin-token", "a-token-of-both-servers", "--database-url", url];
        let shared: Vec<&str> = token.into_iter().chain(["--master-key", &key]).collect();
        let first = Picloud::start_in(&a.path().join("data"), &shared);
        let second = Picloud::start_in(&b.path().join("data"), &shared);
        let deploy = ["deploy", "--app", "count", "--token", "a-token-of-both-servers"];
        let folder = a.path().join("app");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("index.rhai"), COUNTER).unwrap();
        first.cli(deploy.iter().copied().chain([folder.to_str().unwrap()])).ok();

        let posts = (0..100).map(|i| {
            let server = if i % 2 == 0 { &first } else { &second };
            server.request("count.localhost", "POST", "/?key=shared", "")
        });
        let answers = join_all(posts).await;
        let answered = answers.iter().filter(|answer| answer.status == 200).count();
        // Two nodes that keep meeting may give up with a conflict, and say so.
        assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 409)));
        let stored = first.get("count", "/?key=shared").await;
        assert_eq!(stored.text(), answered.to_string());
        let stored = second.get("count", "/?key=shared").await;
        assert_eq!(stored.text(), answered.to_string());

        let args = ["logs", "--app", "count", "--token", "a-token-of-both-servers"];
        assert!(second.cli(args).ok().contains("asked"));
    })
    .await;
}
