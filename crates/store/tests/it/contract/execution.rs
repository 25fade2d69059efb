//! Executions and logs.

use picloud_shared::execution::LogQuery;
use picloud_shared::{AppId, Execution, Level, LogLine, Position, ScriptError};
use picloud_store::Stores;

use crate::support::{NOW, app, execution, line, on_both, two_apps};

on_both![
    an_execution_comes_back_as_it_was_recorded,
    numbers_too_large_for_a_database_become_its_largest,
    executions_are_listed_newest_first_in_pages,
    an_execution_recorded_twice_is_there_once,
    lines_come_oldest_first_and_go_on_after_a_cursor,
    lines_are_chosen_by_level_and_execution,
    a_nul_becomes_a_replacement_character,
    pruning_takes_the_oldest_first_and_so_many_at_most,
    two_apps_never_meet,
    records_of_an_app_that_is_gone_do_not_hold_up_the_rest,
    followers_see_every_line_of_many_recorders_once,
];

async fn record(stores: &Stores, lines: &[LogLine]) {
    stores.executions.record(&[], lines).await.unwrap();
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
        let page = stores.executions.executions(app, before, limit).await.unwrap();
        page.into_iter().map(|execution| execution.started_at_ms - NOW).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 9).await, [4, 3, 2, 1]);
    assert_eq!(page(None, 2).await, [4, 3]);
    assert_eq!(page(Some(3), 1).await, [2]);
    assert!(page(Some(1), 9).await.is_empty());
}

async fn an_execution_recorded_twice_is_there_once(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let first = execution(app, 1);
    stores.executions.record(std::slice::from_ref(&first), &[]).await.unwrap();
    stores.executions.record(&[first.clone(), execution(app, 2)], &[]).await.unwrap();
    assert_eq!(stores.executions.executions(app, None, 9).await.unwrap().len(), 2);
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
        let executions = stores.executions.executions(app, None, 9).await.unwrap();
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

async fn two_apps_never_meet(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    let mine = execution(alice, 1);
    let lines = [line(alice, mine.id, "secret")];
    stores.executions.record(std::slice::from_ref(&mine), &lines).await.unwrap();

    let all = LogQuery { limit: 9, ..LogQuery::default() };
    let seq = stores.executions.logs(alice, &all).await.unwrap()[0].seq;
    assert_eq!(stores.executions.execution(bob, mine.id).await.unwrap(), None);
    let later = Some(execution(alice, 9).id);
    assert!(stores.executions.executions(bob, later, 9).await.unwrap().is_empty());
    for forged in [
        all.clone(),
        LogQuery { execution: Some(mine.id), ..all.clone() },
        LogQuery { after: Some(seq - 1), ..all.clone() },
        LogQuery { after: Some(i64::MIN), execution: Some(mine.id), ..all },
    ] {
        assert!(messages(stores, bob, forged).await.is_empty());
    }

    // The same id in another app is another execution.
    let theirs = Execution { app: bob, outcome: "theirs".to_owned(), ..mine.clone() };
    stores.executions.record(std::slice::from_ref(&theirs), &[]).await.unwrap();
    assert_eq!(stores.executions.execution(alice, mine.id).await.unwrap(), Some(mine));
    assert_eq!(stores.executions.execution(bob, theirs.id).await.unwrap(), Some(theirs));
}

async fn records_of_an_app_that_is_gone_do_not_hold_up_the_rest(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    stores.apps.delete(alice).await.unwrap();
    let batch = [execution(alice, 1), execution(bob, 2)];
    let lines = [line(alice, batch[0].id, "x"), line(bob, batch[1].id, "y")];
    stores.executions.record(&batch, &lines).await.unwrap();
    assert_eq!(stores.executions.executions(bob, None, 9).await.unwrap().len(), 1);
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
