//! Executions and logs.

use picloud_shared::execution::{
    Bucket, ExecutionQuery, HistoryCap, LINE_OVERHEAD_BYTES, LogQuery, OutcomeFilter, StatsQuery,
};
use picloud_shared::outbox::EventId;
use picloud_shared::receipt::{Commit, Service};
use picloud_shared::{AppId, Execution, Level, LogLine, Position, ReleaseNumber, ScriptError};
use picloud_store::Stores;

use crate::support::{NOW, app, execution, line, newest, on_both, two_apps};

on_both![
    an_execution_comes_back_as_it_was_recorded,
    numbers_too_large_for_a_database_become_its_largest,
    a_receipt_comes_back_service_by_service,
    executions_are_listed_newest_first_in_pages,
    executions_are_found_by_what_they_are,
    executions_are_found_by_text_letter_by_letter,
    a_search_ends_after_so_many_and_says_where_to_go_on,
    an_execution_recorded_twice_is_there_once,
    lines_come_oldest_first_and_go_on_after_a_cursor,
    lines_are_chosen_by_level_and_execution,
    a_nul_becomes_a_replacement_character,
    pruning_takes_the_oldest_first_and_so_many_at_most,
    an_app_keeps_its_newest_up_to_its_cap,
    what_an_app_has_done_is_added_up_by_time,
    two_apps_never_meet,
    records_of_an_app_that_is_gone_do_not_hold_up_the_rest,
    followers_see_every_line_of_many_recorders_once,
];

async fn record(stores: &Stores, lines: &[LogLine]) {
    stores.executions.record(&[], lines).await.unwrap();
}

fn everything() -> ExecutionQuery {
    ExecutionQuery { limit: 9, scan: 1_000, ..ExecutionQuery::default() }
}

/// What a query finds, and where it would go on: each by its `n`.
async fn found(stores: &Stores, app: AppId, query: ExecutionQuery) -> (Vec<u64>, Option<u64>) {
    let page = stores.executions.executions(app, &query).await.unwrap();
    let n = |execution: Execution| execution.started_at_ms - NOW;
    let next = page.next.map(|id| (0..=u8::MAX).find(|&n| execution(app, n).id == id).unwrap());
    (page.executions.into_iter().map(n).collect(), next.map(u64::from))
}

async fn messages(stores: &Stores, app: AppId, query: LogQuery) -> Vec<String> {
    let lines = stores.executions.logs(app, &query).await.unwrap();
    lines.into_iter().map(|line| line.message).collect()
}

async fn an_execution_comes_back_as_it_was_recorded(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let plain = execution(app, 1);
    let position = Some(Position { file: "é.rhai".to_owned(), line: 1, column: 2 });
    let failed = Execution {
        outcome: "script_error".to_owned(),
        status: None,
        error: Some(ScriptError { position, ..ScriptError::new("NUL \0 and 'quotes' \u{1F600}") }),
        attempts: u32::MAX,
        ..execution(app, 2)
    };
    stores.executions.record(&[plain.clone(), failed.clone()], &[]).await.unwrap();
    let found = stores.executions.execution(app, plain.id).await.unwrap();
    assert_eq!(found, Some(plain));
    let found = stores.executions.execution(app, failed.id).await.unwrap();
    assert_eq!(found, Some(failed));
    let other = execution(app, 3).id;
    assert_eq!(stores.executions.execution(app, other).await.unwrap(), None);
}

async fn numbers_too_large_for_a_database_become_its_largest(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let mut huge = execution(app, 1);
    huge.usage.fuel = u64::MAX;
    stores.executions.record(std::slice::from_ref(&huge), &[]).await.unwrap();
    huge.usage.fuel = i64::MAX as u64;
    assert_eq!(stores.executions.execution(app, huge.id).await.unwrap(), Some(huge));
}

async fn executions_are_listed_newest_first_in_pages(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let batch: Vec<_> = [2, 4, 1, 3].into_iter().map(|n| execution(app, n)).collect();
    stores.executions.record(&batch, &[]).await.unwrap();
    let page = async |before: Option<u8>, limit| {
        let before = before.map(|n| execution(app, n).id);
        found(stores, app, ExecutionQuery { before, limit, ..everything() }).await
    };
    assert_eq!(page(None, 9).await, (vec![4, 3, 2, 1], None));
    assert_eq!(page(None, 4).await, (vec![4, 3, 2, 1], None));
    assert_eq!(page(None, 2).await, (vec![4, 3], Some(3)));
    assert_eq!(page(Some(3), 1).await, (vec![2], Some(2)));
    assert_eq!(page(Some(1), 9).await, (vec![], None));
}

async fn a_receipt_comes_back_service_by_service(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let mut recorded = execution(app, 1);
    recorded.usage.calls.count(Service::Kv);
    recorded.usage.calls.count(Service::Kv);
    recorded.usage.calls.count(Service::Log);
    recorded.usage.received_bytes = u64::MAX;
    recorded.usage.compile_us = 7;
    recorded.event = Some(EventId(execution(app, 2).id.0));
    recorded.commit = Some(Commit { entries: 1, files: 2, events: 3, bytes: 4 });
    stores.executions.record(std::slice::from_ref(&recorded), &[]).await.unwrap();
    assert_eq!(newest(stores, app).await, [recorded]);
}

async fn executions_are_found_by_what_they_are(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let outcome = |n, outcome: &str| Execution { outcome: outcome.to_owned(), ..execution(app, n) };
    let batch = [
        execution(app, 1),
        outcome(2, "timed_out"),
        Execution { handler: "%.rhai".to_owned(), status: None, ..execution(app, 3) },
        Execution { release: ReleaseNumber(4), ..outcome(4, "script_error") },
        Execution { status: Some(404), handler: "a\0b".to_owned(), ..execution(app, 5) },
    ];
    stores.executions.record(&batch, &[]).await.unwrap();
    let found = async |query| found(stores, app, query).await.0;
    let handler = |handler: &str| Some(handler.to_owned());
    for (query, expected) in [
        (ExecutionQuery { outcome: Some(OutcomeFilter::Failed), ..everything() }, vec![4, 2]),
        (ExecutionQuery { outcome: Some(OutcomeFilter::Is("ok")), ..everything() }, vec![5, 3, 1]),
        (ExecutionQuery { outcome: Some(OutcomeFilter::Is("timed_out")), ..everything() }, vec![2]),
        (ExecutionQuery { handler: handler("%.rhai"), ..everything() }, vec![3]),
        (ExecutionQuery { handler: handler("a\0b"), ..everything() }, vec![5]),
        (ExecutionQuery { handler: handler("api.rhai"), ..everything() }, vec![]),
        (ExecutionQuery { handler: handler("' OR 1=1 --"), ..everything() }, vec![]),
        (ExecutionQuery { release: Some(ReleaseNumber(3)), ..everything() }, vec![5, 3, 2, 1]),
        (ExecutionQuery { release: Some(ReleaseNumber(i64::MIN)), ..everything() }, vec![]),
        (ExecutionQuery { status: Some(404), ..everything() }, vec![5]),
        (ExecutionQuery { status: Some(u16::MAX), ..everything() }, vec![]),
        (ExecutionQuery { from_ms: Some(NOW + 2), ..everything() }, vec![5, 4, 3, 2]),
        (ExecutionQuery { until_ms: Some(NOW + 3), ..everything() }, vec![2, 1]),
        (
            ExecutionQuery {
                from_ms: Some(NOW + 2),
                until_ms: Some(NOW + 5),
                outcome: Some(OutcomeFilter::Failed),
                release: Some(ReleaseNumber(3)),
                ..everything()
            },
            vec![2],
        ),
        (ExecutionQuery { id: batch[2].id.to_string().parse().ok(), ..everything() }, vec![3]),
        (ExecutionQuery { id: "0".parse().ok(), ..everything() }, vec![5, 4, 3, 2, 1]),
        (ExecutionQuery { id: "f".parse().ok(), ..everything() }, vec![]),
    ] {
        assert_eq!(found(query.clone()).await, expected, "{query:?}");
    }
}

async fn executions_are_found_by_text_letter_by_letter(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let error = Some(ScriptError::new("no \"such\" thing: 100%\n\\"));
    let batch = [execution(app, 1), execution(app, 2), Execution { error, ..execution(app, 3) }];
    let lines = [
        line(app, batch[0].id, "it took 100% of a_while\0"),
        LogLine { fields: Some(r#"{"order":"x-17"}"#.to_owned()), ..line(app, batch[1].id, "é") },
    ];
    stores.executions.record(&batch, &lines).await.unwrap();
    for (text, expected) in [
        ("100%", vec![3, 1]),
        ("100%\n\\", vec![3]),
        ("\"such\"", vec![3]),
        ("%", vec![3, 1]),
        ("a_w", vec![1]),
        ("a.w", vec![]),
        ("\0", vec![1]),
        ("é", vec![2]),
        ("É", vec![]),
        ("x-17", vec![2]),
        ("TOOK", vec![]),
        ("", vec![3, 2, 1]),
    ] {
        let query = ExecutionQuery { text: Some(text.to_owned()), ..everything() };
        let (found, next) = found(stores, app, query).await;
        // An empty text is in every line and every error, and only there.
        assert_eq!(found, expected, "{text:?}");
        assert_eq!(next, None);
    }
}

async fn a_search_ends_after_so_many_and_says_where_to_go_on(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let batch: Vec<_> = (1..=7)
        .map(|n| {
            let outcome = if n % 3 == 0 { "timed_out" } else { "ok" };
            let release = ReleaseNumber(if n == 1 { 1 } else { 2 });
            Execution { outcome: outcome.to_owned(), release, ..execution(app, n) }
        })
        .collect();
    stores.executions.record(&batch, &[]).await.unwrap();
    let rare = ExecutionQuery { release: Some(ReleaseNumber(1)), scan: 3, ..everything() };
    let page = async |before: Option<u8>| {
        let before = before.map(|n| execution(app, n).id);
        found(stores, app, ExecutionQuery { before, ..rare.clone() }).await
    };
    assert_eq!(page(None).await, (vec![], Some(5)));
    assert_eq!(page(Some(5)).await, (vec![], Some(2)));
    assert_eq!(page(Some(2)).await, (vec![1], None));

    // Failures are found without looking at what went well.
    let failed = ExecutionQuery { outcome: Some(OutcomeFilter::Failed), scan: 3, ..everything() };
    assert_eq!(found(stores, app, failed).await, (vec![6, 3], None));
    // A full page goes on after its last, not after the scan's.
    let full =
        ExecutionQuery { release: Some(ReleaseNumber(2)), limit: 1, scan: 3, ..everything() };
    assert_eq!(found(stores, app, full).await, (vec![7], Some(7)));
}

async fn an_execution_recorded_twice_is_there_once(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let first = execution(app, 1);
    stores.executions.record(std::slice::from_ref(&first), &[]).await.unwrap();
    stores.executions.record(&[first.clone(), execution(app, 2)], &[]).await.unwrap();
    assert_eq!(newest(stores, app).await.len(), 2);
}

async fn lines_come_oldest_first_and_go_on_after_a_cursor(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let id = execution(app, 1).id;
    let full = LogLine {
        level: Level::Error,
        fields: Some(r#"{"b": 1, "a": [1.0, "\u0000"]}"#.to_owned()),
        ..line(app, id, "one")
    };
    record(stores, &[full.clone(), line(app, id, "two"), line(app, id, "three")]).await;
    let all = LogQuery { limit: 9, ..LogQuery::default() };
    let lines = stores.executions.logs(app, &all).await.unwrap();
    assert!(lines.windows(2).all(|pair| pair[0].seq < pair[1].seq), "{lines:?}");
    assert_eq!(lines[0], LogLine { seq: lines[0].seq, ..full });

    let newest = LogQuery { limit: 2, ..LogQuery::default() };
    assert_eq!(messages(stores, app, newest).await, ["two", "three"]);
    record(stores, &[line(app, id, "four"), line(app, id, "five")]).await;
    let on = LogQuery { after: Some(lines[0].seq), limit: 2, ..LogQuery::default() };
    assert_eq!(messages(stores, app, on).await, ["two", "three"]);
    let rest = LogQuery { after: Some(lines[2].seq), limit: 9, ..LogQuery::default() };
    assert_eq!(messages(stores, app, rest).await, ["four", "five"]);
    let none = LogQuery { after: Some(i64::MAX), limit: 9, ..LogQuery::default() };
    assert!(messages(stores, app, none).await.is_empty());
}

async fn lines_are_chosen_by_level_and_execution(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let (first, second) = (execution(app, 1).id, execution(app, 2).id);
    let mut lines = Vec::new();
    for id in [first, second] {
        for level in [Level::Debug, Level::Info, Level::Warn, Level::Error] {
            let message = if id == first { format!("1 {level}") } else { format!("2 {level}") };
            lines.push(LogLine { level, ..line(app, id, &message) });
        }
    }
    record(stores, &lines).await;
    let query = LogQuery { min_level: Some(Level::Warn), limit: 9, ..LogQuery::default() };
    let chosen = messages(stores, app, query.clone()).await;
    assert_eq!(chosen, ["1 warn", "1 error", "2 warn", "2 error"]);
    let query = LogQuery { execution: Some(first), ..query };
    assert_eq!(messages(stores, app, query.clone()).await, ["1 warn", "1 error"]);
    let query = LogQuery { limit: 1, ..query };
    assert_eq!(messages(stores, app, query).await, ["1 error"]);
}

async fn a_nul_becomes_a_replacement_character(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let mut recorded = execution(app, 1);
    recorded.cause = "GET /\0".to_owned();
    let lines = [line(app, recorded.id, "a\0b\u{1b}[31m\r\n<b>\u{202e}")];
    stores.executions.record(std::slice::from_ref(&recorded), &lines).await.unwrap();
    let found = stores.executions.execution(app, recorded.id).await.unwrap().unwrap();
    assert_eq!(found.cause, "GET /\u{FFFD}");
    let query = LogQuery { limit: 9, ..LogQuery::default() };
    let message = "a\u{FFFD}b\u{1b}[31m\r\n<b>\u{202e}";
    assert_eq!(messages(stores, app, query).await, [message], "the rest is as it was");
}

async fn pruning_takes_the_oldest_first_and_so_many_at_most(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let executions: Vec<_> = [3, 1, 4, 2].into_iter().map(|n| execution(app, n)).collect();
    let lines: Vec<_> = executions
        .iter()
        .map(|e| LogLine { at_ms: e.started_at_ms, ..line(app, e.id, "x") })
        .collect();
    stores.executions.record(&executions, &lines).await.unwrap();
    let left = async || {
        let executions = newest(stores, app).await;
        let query = LogQuery { limit: 9, ..LogQuery::default() };
        let lines = stores.executions.logs(app, &query).await.unwrap();
        let mut at: Vec<_> = lines.iter().map(|line| line.at_ms - NOW).collect();
        at.sort_unstable();
        (executions.iter().rev().map(|e| e.started_at_ms - NOW).collect::<Vec<_>>(), at)
    };
    assert_eq!(stores.executions.prune(NOW, 9).await.unwrap(), 0);
    assert_eq!(stores.executions.prune(NOW + 4, 2).await.unwrap(), 4);
    assert_eq!(left().await, (vec![3, 4], vec![3, 4]));
    assert_eq!(stores.executions.prune(NOW + 4, 2).await.unwrap(), 2);
    assert_eq!(left().await, (vec![4], vec![4]));
    assert_eq!(stores.executions.prune(NOW + 4, 2).await.unwrap(), 0);
}

async fn an_app_keeps_its_newest_up_to_its_cap(stores: &Stores) {
    let (flooded, quiet) = two_apps(stores).await;
    let batch: Vec<_> = (1..=9).map(|n| execution(flooded, n)).collect();
    // With what a line takes beyond its text, 100 bytes each.
    let text = "x".repeat(100 - usize::try_from(LINE_OVERHEAD_BYTES).unwrap() - 2);
    let of = |e: &Execution| LogLine { fields: Some("{}".to_owned()), ..line(e.app, e.id, &text) };
    let lines: Vec<_> = batch.iter().map(of).collect();
    stores.executions.record(&batch, &lines).await.unwrap();
    let old = execution(quiet, 0);
    stores.executions.record(std::slice::from_ref(&old), &[of(&old)]).await.unwrap();

    let trim = async |app, executions, log_bytes| {
        let cap = HistoryCap { executions, log_bytes };
        stores.executions.trim(app, cap, 2).await.unwrap()
    };
    let left = async |app| {
        let query = LogQuery { limit: 99, ..LogQuery::default() };
        let lines = stores.executions.logs(app, &query).await.unwrap();
        (newest(stores, app).await.len(), lines.len())
    };
    assert_eq!(trim(flooded, 9, 900).await, 0);
    assert_eq!(trim(flooded, u64::MAX, u64::MAX).await, 0);
    // More than one transaction's worth goes, all the same.
    assert_eq!(trim(flooded, 4, 899).await, 5 + 1);
    assert_eq!(left(flooded).await, (4, 8));
    let kept: Vec<_> = newest(stores, flooded).await.iter().map(|e| e.id).collect();
    assert_eq!(kept, [9, 8, 7, 6].map(|n| execution(flooded, n).id));
    assert_eq!(trim(flooded, 4, 350).await, 5);
    assert_eq!(left(flooded).await, (4, 3));
    assert_eq!(left(quiet).await, (1, 1), "another app's past is its own");
    assert_eq!(trim(flooded, 0, 0).await, 7);
    assert_eq!(left(flooded).await, (0, 0));
}

async fn what_an_app_has_done_is_added_up_by_time(stores: &Stores) {
    let (app, other) = two_apps(stores).await;
    // One millisecond each from NOW on, taking 1,000 to 200,000 microseconds.
    let mut batch: Vec<_> = (0..200)
        .map(|n| Execution { duration_us: 1_000 * (u64::from(n) + 1), ..execution(app, n) })
        .collect();
    batch[0].outcome = "timed_out".to_owned();
    batch[1].status = Some(500);
    batch[2].status = Some(404);
    // No request, however long it took.
    batch[3].status = None;
    batch[3].outcome = "conflict".to_owned();
    batch[3].duration_us = u64::MAX >> 1;
    batch[199].status = None;
    for execution in &mut batch {
        execution.usage.fuel = 7;
    }
    batch.push(execution(other, 5));
    stores.executions.record(&batch, &[]).await.unwrap();

    let stats = async |from_ms, until_ms, step_ms| {
        let query = StatsQuery::new(from_ms, until_ms, step_ms).unwrap();
        stores.executions.stats(app, &query).await.unwrap()
    };
    assert_eq!(NOW % 100, 0, "buckets begin where the test says");
    let first = Bucket {
        at_ms: NOW,
        requests: 99,
        errors: 2,
        // Of 1, 2, 3 and 5 to 100 the 50th and the 99th.
        p50_us: Some(51_000),
        p99_us: Some(100_000),
        fuel: 700,
    };
    let second = Bucket {
        at_ms: NOW + 100,
        requests: 99,
        errors: 0,
        p50_us: Some(150_000),
        p99_us: Some(199_000),
        fuel: 700,
    };
    assert_eq!(stats(NOW - 1_000, NOW + 1_000, 100).await, [first, second]);
    assert_eq!(stats(NOW, NOW + 100, 100).await, [first]);
    let none = Bucket { at_ms: NOW + 199, fuel: 7, ..Bucket::default() };
    assert_eq!(stats(NOW + 199, NOW + 300, 1).await, [none]);
    assert_eq!(stats(0, 1, 1).await, []);
}

async fn two_apps_never_meet(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    let mine = execution(alice, 1);
    let lines = [line(alice, mine.id, "secret")];
    stores.executions.record(std::slice::from_ref(&mine), &lines).await.unwrap();

    let all = LogQuery { limit: 9, ..LogQuery::default() };
    let seq = stores.executions.logs(alice, &all).await.unwrap()[0].seq;
    assert_eq!(stores.executions.execution(bob, mine.id).await.unwrap(), None);
    let later = Some(execution(alice, 9).id);
    let text = Some("secret".to_owned());
    for forged in [
        ExecutionQuery { before: later, ..everything() },
        ExecutionQuery { id: mine.id.to_string().parse().ok(), ..everything() },
        ExecutionQuery { text: text.clone(), ..everything() },
    ] {
        assert_eq!(found(stores, bob, forged).await, (vec![], None));
    }
    for forged in [
        all.clone(),
        LogQuery { execution: Some(mine.id), ..all.clone() },
        LogQuery { after: Some(seq - 1), ..all.clone() },
        LogQuery { after: Some(i64::MIN), execution: Some(mine.id), ..all },
    ] {
        assert!(messages(stores, bob, forged).await.is_empty());
    }

    // The same id in another app is another execution, with another log.
    let theirs = Execution { app: bob, outcome: "theirs".to_owned(), ..mine.clone() };
    stores.executions.record(std::slice::from_ref(&theirs), &[]).await.unwrap();
    let query = ExecutionQuery { text, ..everything() };
    assert!(found(stores, bob, query.clone()).await.0.is_empty());
    assert_eq!(found(stores, alice, query).await.0, [1]);
    assert_eq!(stores.executions.execution(alice, mine.id).await.unwrap(), Some(mine));
    assert_eq!(stores.executions.execution(bob, theirs.id).await.unwrap(), Some(theirs));
}

async fn records_of_an_app_that_is_gone_do_not_hold_up_the_rest(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    stores.apps.delete(alice).await.unwrap();
    let batch = [execution(alice, 1), execution(bob, 2)];
    let lines = [line(alice, batch[0].id, "x"), line(bob, batch[1].id, "y")];
    stores.executions.record(&batch, &lines).await.unwrap();
    assert_eq!(newest(stores, bob).await.len(), 1);
    let all = LogQuery { limit: 9, ..LogQuery::default() };
    assert_eq!(messages(stores, bob, all).await, ["y"]);
}

async fn followers_see_every_line_of_many_recorders_once(stores: &Stores) {
    const RECORDERS: usize = 6;
    const BATCHES: usize = 10;
    let app = app(stores, "alice").await.id;
    let id = execution(app, 1).id;
    let recorders: Vec<_> = (0..RECORDERS)
        .map(|_| {
            let executions = stores.executions.clone();
            tokio::spawn(async move {
                for _ in 0..BATCHES {
                    let lines = vec![line(app, id, "x"); 20];
                    executions.record(&[], &lines).await.unwrap();
                }
            })
        })
        .collect();
    let mut seen = 0;
    let mut after = None;
    while seen < RECORDERS * BATCHES * 20 {
        let query = LogQuery { after, limit: 10_000, ..LogQuery::default() };
        let done = recorders.iter().all(tokio::task::JoinHandle::is_finished);
        let lines = stores.executions.logs(app, &query).await.unwrap();
        seen += lines.len();
        after = lines.last().map(|line| line.seq).or(after);
        assert!(!(done && lines.is_empty()), "only {seen} lines were seen");
    }
    for recorder in recorders {
        recorder.await.unwrap();
    }
    assert_eq!(seen, RECORDERS * BATCHES * 20);
}
