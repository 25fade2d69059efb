//! Group commit: write-sets that arrive while one batch is being committed
//! become the next batch, so that they share a transaction and its flush to disk.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use picloud_shared::{AppId, Quota, StoreError, fault};
use sqlx::SqliteConnection;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::outbox;
use super::plan::{self, Member, Plan, Refusal, Row, Snapshot};
use super::writer::Writer;
use crate::convert::{failed, signed, to_json, unsigned};

/// Write-sets that may wait before committers have to.
const QUEUE: usize = 1024;
/// Write-sets of one batch.
const BATCH: usize = 256;
/// Bytes of values after which a batch takes no further write-set.
const BATCH_BYTES: usize = 8 << 20;

type Answer = Result<u64, StoreError>;

/// Where write-sets are handed in.
pub(super) struct Committer {
    /// `None` asks the task to finish.
    queue: mpsc::Sender<Option<Job>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Job {
    member: Member,
    reply: oneshot::Sender<Answer>,
}

impl Committer {
    pub(super) fn start(writer: Arc<Writer>) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let task = Mutex::new(Some(tokio::spawn(run(writer, jobs))));
        Self { queue, task }
    }

    /// Returns when the write-set is on the disk, or refused.
    pub(super) async fn commit(&self, member: Member) -> Answer {
        let (reply, answer) = oneshot::channel();
        let closed = || StoreError::unavailable("the store is closed");
        self.queue.send(Some(Job { member, reply })).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Commits what waits and ends.
    pub(super) async fn close(&self) {
        self.queue.send(None).await.ok();
        if let Some(task) = self.task.lock().await.take() {
            task.await.ok();
        }
    }
}

async fn run(writer: Arc<Writer>, mut jobs: mpsc::Receiver<Option<Job>>) {
    while let Some(first) = jobs.recv().await {
        let mut next = Some(first);
        let mut batch = Vec::new();
        let mut replies = Vec::new();
        let mut bytes = 0;
        while let Some(job) = next {
            match job {
                // Nobody waits for it any more, so it must not happen any more.
                Some(job) if job.reply.is_closed() => {}
                Some(job) => {
                    bytes += value_bytes(&job.member);
                    batch.push(job.member);
                    replies.push(job.reply);
                }
                None => jobs.close(),
            }
            let full = batch.len() >= BATCH || bytes >= BATCH_BYTES;
            next = if full { None } else { jobs.try_recv().ok() };
        }
        for (reply, answer) in replies.into_iter().zip(commit(&writer, &batch).await) {
            reply.send(answer).ok();
        }
    }
}

fn value_bytes(member: &Member) -> usize {
    let values = member.write_set.writes.iter().filter_map(plan::set).map(|set| set.value.len());
    let events = member.events.iter().map(|emitted| emitted.event.fields.len());
    values.chain(events).sum()
}

/// One answer per member.
async fn commit(writer: &Writer, batch: &[Member]) -> Vec<Answer> {
    let mut transaction = match writer.begin().await {
        Ok(transaction) => transaction,
        Err(error) => return all_failed(batch, &error),
    };
    let written = match transaction.connection() {
        Ok(connection) => write(connection, batch).await,
        Err(error) => Err(error),
    };
    let alone = written.is_err() && batch.len() > 1;
    fault::point("commit.before");
    let finished = transaction.finish(written).await;
    fault::point("commit.after");
    match finished {
        Ok(answers) => answers,
        // One member can bring a statement down for all, with a value that is
        // no JSON say. Alone, each gets the answer that is its own.
        Err(_) if alone => {
            let mut answers = Vec::with_capacity(batch.len());
            for member in batch {
                answers.extend(Box::pin(commit(writer, std::slice::from_ref(member))).await);
            }
            answers
        }
        Err(error) => all_failed(batch, &error),
    }
}

fn all_failed(batch: &[Member], error: &StoreError) -> Vec<Answer> {
    let text = match error {
        StoreError::Unavailable(source) => source.to_string(),
        other => other.to_string(),
    };
    batch.iter().map(|_| Err(StoreError::unavailable(text.as_str()))).collect()
}

async fn write(
    connection: &mut SqliteConnection,
    batch: &[Member],
) -> Result<Vec<Answer>, StoreError> {
    let mut plan = plan::plan(batch, load(connection, batch).await?);
    while make_room(connection, batch, &plan).await? {
        plan = plan::plan(batch, load(connection, batch).await?);
    }
    store(connection, &plan).await?;
    let answer = |answer| match answer {
        Ok(usage) => Ok(usage),
        Err(Refusal::Conflict) => Err(StoreError::Conflict),
        Err(Refusal::QuotaExceeded(quota)) => Err(StoreError::QuotaExceeded(quota)),
        Err(Refusal::Superseded) => Err(StoreError::Superseded),
    };
    Ok(plan.answers.into_iter().map(answer).collect())
}

/// Applies one member within a transaction of the caller's.
pub(super) async fn alone(
    connection: &mut SqliteConnection,
    member: &Member,
) -> Result<u64, StoreError> {
    let answers = write(connection, std::slice::from_ref(member)).await?;
    answers.into_iter().next().unwrap_or(Err(StoreError::Conflict))
}

/// Reads what the batch is judged against. Lists go in as one JSON array, so
/// that a statement is the same for any number of entries.
async fn load<'a>(
    connection: &mut SqliteConnection,
    batch: &'a [Member],
) -> Result<Snapshot<'a>, StoreError> {
    let mut snapshot = Snapshot::default();

    let entries: Vec<_> = plan::entries(batch).into_iter().collect();
    if !entries.is_empty() {
        let ids: Vec<_> = entries.iter().map(|(a, c, k)| (a, c.as_str(), k.as_str())).collect();
        let rows: Vec<(i64, i64, i64, Option<i64>)> = sqlx::query_as(
            "SELECT asked.key, kv.version, kv.bytes, kv.expires_at_ms
             FROM json_each(?1) AS asked CROSS JOIN kv
             ON kv.app_id = asked.value ->> 0
                AND kv.collection = asked.value ->> 1
                AND kv.key = asked.value ->> 2",
        )
        .bind(to_json(&ids)?)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
        for (index, version, bytes, expires_at_ms) in rows {
            let index: usize = unsigned("an index", index)?;
            let stored = Row {
                version: Some(version),
                bytes: unsigned("an entry's size", bytes)?,
                expires_at_ms: expires_at_ms.map(|at| unsigned("a time", at)).transpose()?,
            };
            if let Some(entry) = entries.get(index) {
                snapshot.rows.insert(*entry, stored);
            }
        }
    }

    let acks = plan::acks(batch);
    if !acks.is_empty() {
        for (app, lease) in outbox::running(connection, &acks).await? {
            snapshot.tokens.insert((app, lease.delivery), lease.token);
        }
    }
    for app in plan::senders(batch) {
        let held: Option<(i64, i64)> =
            sqlx::query_as("SELECT rows, bytes FROM outbox_usage WHERE app_id = ?1")
                .bind(app.0)
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed)?;
        let (rows, bytes) = held.unwrap_or_default();
        let size = |number| unsigned("an outbox's size", number);
        snapshot.outbox.insert(app, (size(rows)?, size(bytes)?));
    }
    let roots = plan::roots(batch).into_iter();
    snapshot.roots.extend(outbox::count_roots(connection, roots).await?);

    let apps: Vec<AppId> = batch.iter().map(|member| member.app).collect();
    let usage: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT app_id, bytes FROM kv_usage WHERE app_id IN (SELECT value FROM json_each(?1))",
    )
    .bind(to_json(&apps)?)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    for (app, bytes) in usage {
        snapshot.usage.insert(AppId(app), unsigned("an app's usage", bytes)?);
    }

    for (app, collection) in plan::clears(batch) {
        let bytes: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(bytes), 0) FROM kv WHERE app_id = ?1 AND collection = ?2",
        )
        .bind(app.0)
        .bind(collection.as_str())
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
        let bytes = unsigned("a collection's size", bytes)?;
        snapshot.collections.insert((app, collection), bytes);
    }
    Ok(snapshot)
}

/// Carries the plan out.
async fn store(connection: &mut SqliteConnection, plan: &Plan<'_>) -> Result<(), StoreError> {
    let mut sets = Vec::new();
    let mut deletes = Vec::new();
    for ((app, collection, key), set) in &plan.writes {
        match set {
            Some(set) => sets.push((
                app,
                collection.as_str(),
                key.as_str(),
                set.value,
                set.expires_at_ms.map(signed),
                set.bytes,
            )),
            None => deletes.push((app, collection.as_str(), key.as_str())),
        }
    }

    for (app, collection) in &plan.clears {
        sqlx::query("DELETE FROM kv WHERE app_id = ?1 AND collection = ?2")
            .bind(app.0)
            .bind(collection.as_str())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    if !deletes.is_empty() {
        sqlx::query(
            "DELETE FROM kv WHERE (app_id, collection, key) IN
             (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1))",
        )
        .bind(to_json(&deletes)?)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    if !sets.is_empty() {
        // Every write gets a version of its own, counting on from the last.
        sqlx::query(
            "INSERT INTO kv (app_id, collection, key, value, expires_at_ms, bytes, version)
             SELECT value ->> 0, value ->> 1, value ->> 2, jsonb(value ->> 3), value ->> 4,
                value ->> 5, asked.key + (SELECT last + 1 FROM kv_sequence)
             FROM json_each(?1) AS asked WHERE true
             ON CONFLICT DO UPDATE SET value = excluded.value, version = excluded.version,
                expires_at_ms = excluded.expires_at_ms, bytes = excluded.bytes;
             UPDATE kv_sequence SET last = last + ?2",
        )
        .bind(to_json(&sets)?)
        .bind(signed(sets.len() as u64))
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    if !plan.usage.is_empty() {
        let usage: Vec<_> = plan.usage.iter().map(|(app, bytes)| (app, signed(*bytes))).collect();
        sqlx::query(
            "UPDATE kv_usage SET bytes = asked.value ->> 1
             FROM json_each(?1) AS asked WHERE app_id = asked.value ->> 0",
        )
        .bind(to_json(&usage)?)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    // First what is done: a message may have the key of the one whose handler
    // sends it.
    outbox::acknowledge(connection, &plan.acks).await?;
    outbox::write(connection, &plan.events).await
}

/// Deletes what need not be there, of the apps that were refused more. Whether
/// there was anything.
async fn make_room(
    connection: &mut SqliteConnection,
    batch: &[Member],
    plan: &Plan<'_>,
) -> Result<bool, StoreError> {
    let is_refused = |quota| plan.answers.contains(&Err(Refusal::QuotaExceeded(quota)));
    if is_refused(Quota::Kv) && free(connection, batch).await? {
        return Ok(true);
    }
    let mut freed = false;
    if is_refused(Quota::Outbox) {
        let refused = batch.iter().zip(&plan.answers);
        let refused = refused.filter(|(_, a)| **a == Err(Refusal::QuotaExceeded(Quota::Outbox)));
        let apps: BTreeSet<AppId> = refused.map(|(member, _)| member.app).collect();
        for app in apps {
            freed |= outbox::free(connection, app).await?;
        }
    }
    Ok(freed)
}

/// Deletes what of the batch's apps has expired, for it takes no space, though
/// it may still be there. Whether there was anything.
async fn free(connection: &mut SqliteConnection, batch: &[Member]) -> Result<bool, StoreError> {
    let apps: Vec<AppId> = batch.iter().map(|member| member.app).collect();
    let now_ms = batch.iter().map(|member| member.now_ms).min().unwrap_or(0);
    let gone = sqlx::query_as(
        "DELETE FROM kv
         WHERE expires_at_ms <= ?2 AND app_id IN (SELECT value FROM json_each(?1))
         RETURNING app_id, bytes",
    )
    .bind(to_json(&apps)?)
    .bind(signed(now_ms))
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    lower_usage(connection, &gone).await?;
    Ok(!gone.is_empty())
}

/// Takes deleted rows, each an app and a number of bytes, off their apps' usage.
pub(super) async fn lower_usage(
    connection: &mut SqliteConnection,
    gone: &[(i64, i64)],
) -> Result<(), StoreError> {
    let mut freed = HashMap::<i64, i64>::new();
    for (app, bytes) in gone {
        *freed.entry(*app).or_default() += bytes;
    }
    for (app, bytes) in freed {
        sqlx::query("UPDATE kv_usage SET bytes = bytes - ?2 WHERE app_id = ?1")
            .bind(app)
            .bind(bytes)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}
