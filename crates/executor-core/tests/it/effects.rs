//! What invocations do beside KV: files, requests to others, secrets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use picloud_executor_core::Task;
use picloud_shared::files::{Error, MAX_BYTES, MAX_WRITES, Page};
use picloud_shared::http;
use picloud_shared::secrets::SecretStore as _;
use picloud_shared::{Budget, Limits, Outcome, ScriptError, Services};

use crate::support::{APP, Running, Setup, answer, setup, task};

/// Runs a task that must answer.
async fn run(script: impl Fn(Services) -> Running + Send + Sync + 'static) -> Setup {
    let setup = setup(script);
    assert_eq!(setup.executor.execute(task()).await.unwrap().outcome, answer());
    setup
}

fn paths(page: &Page) -> Vec<&str> {
    page.files.iter().map(|(path, _)| path.as_str()).collect()
}

async fn put(services: &Services, path: &str, text: &str) {
    services.files.put("b", path, Bytes::from(text.to_owned()), None).await.unwrap();
}

#[tokio::test]
async fn reads_see_the_invocations_own_files_and_nobody_else_does() {
    let setup = run(|services| {
        Box::pin(async move {
            put(&services, "a.txt", "old").await;
            put(&services, "b.txt", "gone").await;
            put(&services, "d.txt", "d").await;
            answer()
        })
    })
    .await;
    setup.replace(|services| {
        Box::pin(async move {
            let files = &services.files;
            put(&services, "a.txt", "new!").await;
            put(&services, "c.txt", "c").await;
            assert!(files.delete("b", "b.txt").await.unwrap());
            assert!(!files.delete("b", "b.txt").await.unwrap());
            assert_eq!(files.get("b", "a.txt").await.unwrap().unwrap(), "new!");
            assert_eq!(files.get("b", "b.txt").await.unwrap(), None);
            assert_eq!(files.info("b", "a.txt").await.unwrap().unwrap().bytes, 4);
            let page = files.list("b", "", None, 2).await.unwrap();
            assert_eq!(
                (paths(&page), page.next.as_deref()),
                (vec!["a.txt", "c.txt"], Some("c.txt"))
            );
            let page = files.list("b", "", Some("c.txt"), 2).await.unwrap();
            assert_eq!((paths(&page), page.next.as_deref()), (vec!["d.txt"], None));
            Outcome::ScriptError(ScriptError::new("thrown"))
        })
    });
    let outcome = setup.executor.execute(task()).await.unwrap().outcome;
    assert_eq!(outcome.code(), "script_error");
    assert_eq!(setup.files.kept_texts(), ["d", "gone", "old"].map(String::from).into());
}

#[tokio::test]
async fn contents_that_nobody_refers_to_are_removed_with_the_commit() {
    let setup = run(|services| {
        Box::pin(async move {
            put(&services, "a", "one").await;
            put(&services, "b", "one").await;
            put(&services, "c", "two").await;
            answer()
        })
    })
    .await;
    setup.replace(|services| {
        Box::pin(async move {
            put(&services, "a", "three").await;
            services.files.delete("b", "c").await.unwrap();
            answer()
        })
    });
    setup.executor.execute(task()).await.unwrap();
    assert_eq!(setup.files.kept_texts(), ["one", "three"].map(String::from).into());
}

#[tokio::test]
async fn a_refused_commit_leaves_no_contents_behind() {
    let setup = run(|services| {
        Box::pin(async move {
            put(&services, "a", "old").await;
            answer()
        })
    })
    .await;
    let (files, runs) = (Arc::clone(&setup.files), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&runs);
    setup.replace(move |services| {
        let (files, runs) = (Arc::clone(&files), Arc::clone(&counted));
        Box::pin(async move {
            services.files.info("b", "a").await.unwrap();
            if runs.fetch_add(1, Ordering::Relaxed) == 0 {
                // Another node is quicker.
                let delete = picloud_shared::files::Write {
                    bucket: "b".parse().unwrap(),
                    path: "a".parse().unwrap(),
                    seen: picloud_shared::kv::Seen::Unread,
                    change: picloud_shared::files::Change::Delete,
                };
                files.apply(APP, vec![delete], u64::MAX).unwrap();
                put(&services, "a", "first try").await;
            } else {
                assert_eq!(services.files.get("b", "a").await.unwrap(), None);
                put(&services, "a", "second try").await;
            }
            answer()
        })
    });
    let executed = setup.executor.execute(task()).await.unwrap();
    assert_eq!((executed.outcome, executed.attempts), (answer(), 2));
    let kept = setup.files.kept_texts();
    assert!(kept.contains("second try") && !kept.contains("first try"), "{kept:?}");
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed_and_nothing_else() {
    let setup = run(|services| {
        Box::pin(async move {
            put(&services, "a", "kept").await;
            answer()
        })
    })
    .await;
    let left = picloud_shared::BlobHash::of(b"left");
    setup.files.kept.lock().unwrap().insert((APP, left), Bytes::from_static(b"left"));
    setup.executor.remove_unreferenced(APP, 0).await.unwrap();
    assert_eq!(setup.files.kept_texts(), ["kept"].map(String::from).into());
}

#[tokio::test]
async fn files_have_limits() {
    let limited = |file_bytes| Task {
        limits: Arc::new(Limits { file_bytes, ..Limits::default() }),
        ..task()
    };
    let setup = setup(|services| {
        Box::pin(async move {
            let files = &services.files;
            let put = async |path: &str, bytes: usize| {
                files.put("b", path, vec![0; bytes].into(), None).await
            };
            assert!(matches!(put("a", MAX_BYTES + 1).await, Err(Error::TooLarge(_))));
            put("a", 6).await.unwrap();
            put("a", 8).await.unwrap();
            put("b", 2).await.unwrap();
            assert!(matches!(put("c", 1).await, Err(Error::QuotaExceeded)));
            assert!(matches!(put("b", 3).await, Err(Error::QuotaExceeded)));
            answer()
        })
    });
    for _ in 0..2 {
        let outcome = setup.executor.execute(limited(10)).await.unwrap().outcome;
        assert_eq!(outcome, answer());
    }

    let many = run(|services| {
        Box::pin(async move {
            for n in 0..MAX_WRITES {
                put(&services, &n.to_string(), "x").await;
            }
            let over = services.files.delete("b", "0").await;
            assert!(matches!(over, Err(Error::BudgetExceeded(Budget::FileWrites))));
            answer()
        })
    });
    many.await;
}

#[tokio::test]
async fn a_url_is_signed_for_the_app_and_ends() {
    let setup = run(|services| {
        Box::pin(async move {
            let url = services.files.url("b", "ü /x.png", None).unwrap();
            let (base, query) = url.split_once('?').unwrap();
            assert_eq!(base, "https://app.example/.picloud/files/b/%C3%BC%20/x.png");
            assert!(query.starts_with("expires=3600&signature="), "{query}");
            let week = services.files.url("b", "x", Some(u64::MAX)).unwrap();
            assert!(week.contains("expires=604800&"), "{week}");
            assert!(matches!(services.files.url("b", "../x", None), Err(Error::InvalidPath)));
            answer()
        })
    });
    setup.await;
}

#[tokio::test]
async fn requests_are_counted_and_carry_what_the_manifest_allows() {
    let setup = setup(|services| {
        Box::pin(async move {
            let get = async || services.http.send(http::Request::default()).await;
            for _ in 0..2 {
                get().await.unwrap();
            }
            assert!(matches!(get().await, Err(http::Error::TooManyRequests(2))));
            answer()
        })
    });
    let limits = Limits { http_requests: 2, http_response_bytes: 7, ..Limits::default() };
    let egress = Arc::from(["api.example.org".parse().unwrap()]);
    let task = Task { limits: Arc::new(limits), egress, ..task() };
    assert_eq!(setup.executor.execute(task).await.unwrap().outcome, answer());
    let requests = setup.http.0.lock().unwrap();
    let [(app, caps, _), _] = requests.as_slice() else { panic!("{} requests", requests.len()) };
    assert_eq!((*app, caps.response_bytes, caps.timeout.as_secs()), (APP, 7, 10));
    assert_eq!(caps.allow.iter().map(ToString::to_string).collect::<Vec<_>>(), ["api.example.org"]);
}

#[tokio::test]
async fn who_has_called_another_server_is_not_run_again() {
    for (calls, attempts, expected) in [(true, 1, Outcome::Conflict), (false, 2, answer())] {
        let store = Arc::new(std::sync::OnceLock::<Arc<crate::support::MemoryStore>>::new());
        let (seen, runs) = (Arc::clone(&store), Arc::new(AtomicU32::new(0)));
        let setup = setup(move |services| {
            let (store, runs) = (Arc::clone(seen.get().unwrap()), Arc::clone(&runs));
            Box::pin(async move {
                services.kv.get("c", "k").await.unwrap();
                services.kv.set("c", "k", "1".into(), None).await.unwrap();
                if calls {
                    services.http.send(http::Request::default()).await.unwrap();
                }
                if runs.fetch_add(1, Ordering::Relaxed) == 0 {
                    store.put("c", "k", "0").await;
                }
                answer()
            })
        });
        store.set(Arc::clone(&setup.store)).ok().unwrap();
        let executed = setup.executor.execute(task()).await.unwrap();
        assert_eq!((executed.outcome, executed.attempts), (expected, attempts));
        assert_eq!(setup.http.0.lock().unwrap().len(), usize::from(calls));
    }
}

#[tokio::test]
async fn a_secret_reaches_the_script_and_no_record() {
    let setup = setup(|services| {
        Box::pin(async move {
            let secret = services.secrets.get("API_KEY").await.unwrap().unwrap();
            assert_eq!(secret, "hunter2\"\n");
            assert_eq!(services.secrets.get("NONE").await.unwrap(), None);
            assert!(services.secrets.get("not a name").await.is_err());
            let fields = serde_json::json!({ "key": secret, "list": [&secret] }).to_string();
            services.log.write(picloud_shared::Level::Info, format!("a {secret} b"), Some(fields));
            Outcome::ScriptError(ScriptError::new(format!("bad key {secret}!")))
        })
    });
    let name = "API_KEY".parse().unwrap();
    let sealed = setup.vault.seal(APP, &name, "hunter2\"\n", [3; 24]);
    setup.secrets.set(APP, &name, &sealed, 0).await.unwrap();
    setup.executor.execute(task()).await.unwrap();
    setup.recorder.flush().await;
    let history = setup.history.0.lock().unwrap();
    assert_eq!(history.1[0].message, "a [secret API_KEY] b");
    let fields = history.1[0].fields.as_deref();
    assert_eq!(fields, Some(r#"{"key":"[secret API_KEY]","list":["[secret API_KEY]"]}"#));
    assert_eq!(history.0[0].error.as_ref().unwrap().message, "bad key [secret API_KEY]!");
}

#[tokio::test]
async fn a_secret_sealed_with_another_key_is_the_hosts_fault() {
    let setup = setup(|services| {
        Box::pin(async move {
            match services.secrets.get("KEY").await {
                Err(error) => Outcome::Unavailable(format!("{error:?}")),
                Ok(_) => answer(),
            }
        })
    });
    let name = "KEY".parse().unwrap();
    setup.secrets.set(APP, &name, b"not sealed with any key of ours", 0).await.unwrap();
    let outcome = setup.executor.execute(task()).await.unwrap().outcome;
    assert!(matches!(&outcome, Outcome::Unavailable(why) if why.contains("another master key")));
}

#[tokio::test]
async fn settings_and_origin_are_the_tasks() {
    let setup = setup(|services| {
        Box::pin(async move {
            assert_eq!(services.config.get("A").as_deref(), Some("1"));
            assert_eq!(services.config.get("B"), None);
            assert_eq!(&*services.origin, "https://app.example");
            answer()
        })
    });
    let settings = Arc::new([("A".to_owned(), "1".to_owned())].into());
    let outcome = setup.executor.execute(Task { settings, ..task() }).await.unwrap().outcome;
    assert_eq!(outcome, answer());
}
