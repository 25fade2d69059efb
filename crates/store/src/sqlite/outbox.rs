//! Events and deliveries on SQLite.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::outbox::{
    Claim, Claimed, Delivery, DeliveryId, Depth, Emitted, Event, EventId, Failure, Lane, Lease,
    MAX_PER_ROOT, OutboxStore, QueueState, Recorded,
};
use picloud_shared::{AppId, ScriptError, StoreError};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::SqliteDatabase;
use super::writer::Writer;
use crate::convert::{corrupt, failed, signed, to_json, unsigned};
use crate::outbox_row::{
    DeliveryRow, DepthRow, EventRow, NewDelivery, NewEvent, depth, hex, put_off, recorded, stopped,
    with_events,
};

/// Deliveries that are forgotten at one time where an outbox is full.
const FREED: i64 = 1_000;

pub(crate) struct SqliteOutboxStore(pub(crate) Arc<SqliteDatabase>);

/// A row of a query that asks for deliveries.
macro_rules! select_deliveries {
    ($($rest:literal),*) => {
        concat!(
            "SELECT id, event_id, handler, queue, status, due_at_ms, attempts, max_attempts, \
             error, fields FROM deliveries ",
            $($rest),*
        )
    };
}

/// A row of a query that asks for events.
macro_rules! select_events {
    ($($rest:literal),*) => {
        concat!(
            "SELECT id, name, fields, at_ms, root, parent, depth, execution FROM events ",
            $($rest),*
        )
    };
}

#[async_trait]
impl OutboxStore for SqliteOutboxStore {
    async fn lanes(&self) -> Result<Vec<Lane>, StoreError> {
        // Goes from lane to lane, each time to the first entry of the next
        // one, so that what waits in a lane need not be read.
        let rows: Vec<(i64, String, String, i64)> = sqlx::query_as(
            "WITH RECURSIVE lanes (app_id, queue) AS (
                SELECT * FROM (
                    SELECT app_id, queue FROM deliveries WHERE due_at_ms IS NOT NULL
                    ORDER BY app_id, queue LIMIT 1
                )
                UNION ALL
                SELECT next.value ->> 0, next.value ->> 1
                FROM lanes, json_each(json_array((
                    SELECT json_array(d.app_id, d.queue) FROM deliveries AS d
                    WHERE d.due_at_ms IS NOT NULL
                        AND (d.app_id, d.queue) > (lanes.app_id, lanes.queue)
                    ORDER BY d.app_id, d.queue LIMIT 1
                ))) AS next
                WHERE next.value IS NOT NULL
             )
             SELECT lanes.app_id, apps.slug, lanes.queue, (
                SELECT due_at_ms FROM deliveries AS d
                WHERE d.app_id = lanes.app_id AND d.queue = lanes.queue
                    AND d.due_at_ms IS NOT NULL
                ORDER BY d.due_at_ms LIMIT 1
             )
             FROM lanes JOIN apps ON apps.id = lanes.app_id",
        )
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        rows.into_iter()
            .map(|(app, slug, queue, due_at_ms)| {
                Ok(Lane {
                    app: AppId(app),
                    slug: slug.parse().map_err(|_| corrupt("an app's name", slug))?,
                    queue,
                    due_at_ms: unsigned("a time", due_at_ms)?,
                })
            })
            .collect()
    }

    async fn claim(&self, claims: &[Claim], now_ms: u64) -> Result<Vec<Claimed>, StoreError> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        // A claim that is undone has led to nothing that is not undone, too.
        let mut transaction = self.0.main.writer.begin_unflushed().await?;
        let claimed = claim(transaction.connection()?, claims, now_ms).await;
        transaction.finish(claimed).await
    }

    async fn fail(&self, failures: &[Failure]) -> Result<u64, StoreError> {
        // So with a failure: its delivery is run once more.
        let mut transaction = self.0.main.writer.begin_unflushed().await?;
        let failed = fail(transaction.connection()?, failures).await;
        transaction.finish(failed).await
    }

    async fn list(
        &self,
        app: AppId,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        let events = sqlx::query_as(select_events!(
            "WHERE app_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"
        ))
        .bind(app.0)
        .bind(before.map_or(Uuid::max(), |before| before.0))
        .bind(limit)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        self.recorded(app, events).await
    }

    async fn find(&self, app: AppId, event: EventId) -> Result<Option<Recorded>, StoreError> {
        let events = self.events(app, &[event.0]).await?;
        Ok(self.recorded(app, events).await?.pop())
    }

    async fn tree(&self, app: AppId, root: Uuid) -> Result<Vec<Recorded>, StoreError> {
        let events = sqlx::query_as(select_events!(
            "WHERE app_id = ?1 AND root = ?2 ORDER BY depth, id LIMIT ?3"
        ))
        .bind(app.0)
        .bind(root)
        .bind(signed(MAX_PER_ROOT))
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        self.recorded(app, events).await
    }

    async fn dead(
        &self,
        app: AppId,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<(Event, Delivery)>, StoreError> {
        let rows = sqlx::query_as(select_deliveries!(
            "WHERE app_id = ?1 AND status = 3 AND id < ?2 ORDER BY id DESC LIMIT ?3"
        ))
        .bind(app.0)
        .bind(before.map_or(Uuid::max(), |before| before.0))
        .bind(limit)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        self.with_events(app, rows).await
    }

    async fn delivery(
        &self,
        app: AppId,
        delivery: DeliveryId,
    ) -> Result<Option<(Event, Delivery)>, StoreError> {
        let rows = sqlx::query_as(select_deliveries!("WHERE app_id = ?1 AND id = ?2"))
            .bind(app.0)
            .bind(delivery.0)
            .fetch_all(&self.0.main.readers)
            .await
            .map_err(failed)?;
        Ok(self.with_events(app, rows).await?.pop())
    }

    async fn replay(
        &self,
        app: AppId,
        delivery: DeliveryId,
        fields: Option<&str>,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        // Its key is another's by now, perhaps.
        let query = sqlx::query(
            "UPDATE deliveries SET status = 0, due_at_ms = ?4, attempts = 0, lost = 0, key = NULL,
                fields = coalesce(?3, fields)
             WHERE app_id = ?1 AND id = ?2 AND status = 3",
        )
        .bind(app.0)
        .bind(delivery.0)
        .bind(fields)
        .bind(signed(now_ms));
        Ok(self.0.main.writer.begin().await?.execute(query).await? > 0)
    }

    async fn replay_all(&self, app: AppId, now_ms: u64) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "UPDATE deliveries SET status = 0, due_at_ms = ?2, attempts = 0, lost = 0, key = NULL
             WHERE app_id = ?1 AND status = 3",
        )
        .bind(app.0)
        .bind(signed(now_ms));
        self.0.main.writer.begin().await?.execute(query).await
    }

    async fn discard(&self, app: AppId, delivery: DeliveryId) -> Result<bool, StoreError> {
        let query =
            sqlx::query("DELETE FROM deliveries WHERE app_id = ?1 AND id = ?2 AND status = 3")
                .bind(app.0)
                .bind(delivery.0);
        Ok(self.0.main.writer.begin().await?.execute(query).await? > 0)
    }

    async fn queues(&self, app: AppId) -> Result<Vec<QueueState>, StoreError> {
        let rows: Vec<(String, i64, i64, i64, Option<i64>)> = sqlx::query_as(
            "SELECT queue, sum(status = 0), sum(status = 1), sum(status = 3),
                min(iif(status = 0, due_at_ms, NULL))
             FROM deliveries WHERE app_id = ?1 AND queue <> '' AND status <> 2
             GROUP BY queue ORDER BY queue",
        )
        .bind(app.0)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        rows.into_iter().map(crate::outbox_row::queue_state).collect()
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        let row: DepthRow = sqlx::query_as(
            "SELECT (SELECT count(*) FROM deliveries WHERE due_at_ms IS NOT NULL),
                (SELECT count(*) FROM deliveries WHERE status = 3),
                (SELECT min(due_at_ms) FROM deliveries WHERE due_at_ms IS NOT NULL)",
        )
        .fetch_one(&self.0.main.readers)
        .await
        .map_err(failed)?;
        depth(row)
    }

    async fn prune(&self, before_ms: u64, limit: u32) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "DELETE FROM events WHERE rowid IN (
                SELECT rowid FROM events AS e WHERE at_ms < ?1 AND NOT EXISTS (
                    SELECT 1 FROM deliveries AS d
                    WHERE d.app_id = e.app_id AND d.event_id = e.id AND d.status <> 2
                ) LIMIT ?2
             )",
        )
        .bind(signed(before_ms))
        .bind(limit);
        self.0.main.writer.begin().await?.execute(query).await
    }
}

impl SqliteOutboxStore {
    async fn events(&self, app: AppId, ids: &[Uuid]) -> Result<Vec<EventRow>, StoreError> {
        let ids: Vec<_> = ids.iter().map(|id| hex(*id)).collect();
        sqlx::query_as(select_events!(
            "WHERE app_id = ?1 AND id IN (SELECT unhex(value) FROM json_each(?2))"
        ))
        .bind(app.0)
        .bind(to_json(&ids)?)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)
    }

    async fn with_events(
        &self,
        app: AppId,
        deliveries: Vec<DeliveryRow>,
    ) -> Result<Vec<(Event, Delivery)>, StoreError> {
        let ids: Vec<_> = deliveries.iter().map(|row| row.1).collect();
        with_events(deliveries, self.events(app, &ids).await?)
    }

    async fn recorded(
        &self,
        app: AppId,
        events: Vec<EventRow>,
    ) -> Result<Vec<Recorded>, StoreError> {
        let ids: Vec<_> = events.iter().map(|row| hex(row.0)).collect();
        let deliveries = sqlx::query_as(select_deliveries!(
            "WHERE app_id = ?1 AND event_id IN (SELECT unhex(value) FROM json_each(?2))
             ORDER BY id"
        ))
        .bind(app.0)
        .bind(to_json(&ids)?)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        recorded(events, deliveries)
    }
}

/// Makes everything due that was leased: by a process that has ended, for no
/// other one uses this database.
pub(super) async fn recover(writer: &Writer) -> Result<(), StoreError> {
    let query = sqlx::query(
        "UPDATE deliveries SET status = 0, due_at_ms = 0, lost = lost + 1 WHERE status = 1",
    );
    let recovered = writer.begin().await?.execute(query).await?;
    if recovered > 0 {
        tracing::info!(recovered, "deliveries that were being handled are handed out again");
    }
    Ok(())
}

async fn fail(connection: &mut SqliteConnection, failures: &[Failure]) -> Result<u64, StoreError> {
    let mut held = 0;
    for Failure { app, lease, error, then, events } in failures {
        let (status, due_at_ms, ended) = put_off(*then);
        let done = sqlx::query(
            "UPDATE deliveries
             SET status = ?4, due_at_ms = ?5, attempts = attempts + ?6, error = ?7
             WHERE app_id = ?1 AND id = ?2 AND token = ?3 AND status = 1",
        )
        .bind(app.0)
        .bind(lease.delivery.0)
        .bind(lease.token)
        .bind(status)
        .bind(due_at_ms)
        .bind(ended)
        .bind(to_json(error)?)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
        if done.rows_affected() > 0 {
            held += 1;
            write_judged(connection, *app, events).await?;
        }
    }
    Ok(held)
}

async fn claim(
    connection: &mut SqliteConnection,
    claims: &[Claim],
    now_ms: u64,
) -> Result<Vec<Claimed>, StoreError> {
    let mut claimed = Vec::new();
    for Claim { app, queue, limit, lease_ms } in claims {
        let leased: Vec<(Uuid, i64, i64)> = sqlx::query_as(
            "UPDATE deliveries SET status = 1, due_at_ms = ?5, token = token + 1,
                lost = lost + CASE status WHEN 1 THEN 1 ELSE 0 END
             WHERE app_id = ?1 AND id IN (
                SELECT id FROM deliveries
                WHERE app_id = ?1 AND queue = ?2 AND due_at_ms <= ?3
                ORDER BY due_at_ms, id LIMIT ?4
             )
             RETURNING id, token, lost",
        )
        .bind(app.0)
        .bind(queue)
        .bind(signed(now_ms))
        .bind(limit)
        .bind(signed(now_ms.saturating_add(*lease_ms)))
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
        let ids: Vec<_> = leased.iter().map(|(id, ..)| hex(*id)).collect();
        let ids = to_json(&ids)?;
        let deliveries: Vec<DeliveryRow> = sqlx::query_as(select_deliveries!(
            "WHERE app_id = ?1 AND id IN (SELECT unhex(value) FROM json_each(?2)) ORDER BY id"
        ))
        .bind(app.0)
        .bind(&ids)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
        let events: Vec<EventRow> = sqlx::query_as(select_events!(
            "WHERE app_id = ?1 AND id IN (
                SELECT event_id FROM deliveries
                WHERE app_id = ?1 AND id IN (SELECT unhex(value) FROM json_each(?2))
             )"
        ))
        .bind(app.0)
        .bind(&ids)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
        claimed.extend(crate::outbox_row::claimed(*app, &leased, deliveries, events)?);
    }
    Ok(claimed)
}

/// Writes events, or dead letters where their root has as many as it may.
pub(super) async fn write_judged(
    connection: &mut SqliteConnection,
    app: AppId,
    events: &[Emitted],
) -> Result<(), StoreError> {
    let roots = events.iter().map(|emitted| (app, emitted.event.cause.root));
    let mut counts: HashMap<_, _> = count_roots(connection, roots).await?.into_iter().collect();
    let mut judged = Vec::new();
    for emitted in events {
        let of_root = counts.entry((app, emitted.event.cause.root)).or_default();
        judged.push((app, emitted, stopped(&emitted.event, *of_root)));
        *of_root += 1;
    }
    write(connection, &judged).await
}

/// How many events each of these roots has.
pub(super) async fn count_roots(
    connection: &mut SqliteConnection,
    roots: impl Iterator<Item = (AppId, Uuid)>,
) -> Result<Vec<((AppId, Uuid), u64)>, StoreError> {
    let mut counts = Vec::new();
    for (app, root) in roots {
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM events WHERE app_id = ?1 AND root = ?2")
                .bind(app.0)
                .bind(root)
                .fetch_one(&mut *connection)
                .await
                .map_err(failed)?;
        counts.push(((app, root), unsigned("a count", count)?));
    }
    Ok(counts)
}

/// The tokens of these deliveries, as far as they run.
pub(super) async fn running(
    connection: &mut SqliteConnection,
    leases: &[(AppId, Lease)],
) -> Result<Vec<(AppId, Lease)>, StoreError> {
    let asked: Vec<_> = leases.iter().map(|(app, l)| (app, hex(l.delivery.0))).collect();
    let rows: Vec<(i64, Uuid, i64)> = sqlx::query_as(
        "SELECT d.app_id, d.id, d.token FROM json_each(?1) AS asked CROSS JOIN deliveries AS d
         ON d.app_id = asked.value ->> 0 AND d.id = unhex(asked.value ->> 1)
         WHERE d.status = 1",
    )
    .bind(to_json(&asked)?)
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    let lease = |(app, id, token)| (AppId(app), Lease { delivery: DeliveryId(id), token });
    Ok(rows.into_iter().map(lease).collect())
}

/// Marks deliveries as done.
pub(super) async fn acknowledge(
    connection: &mut SqliteConnection,
    leases: &[(AppId, Lease)],
) -> Result<(), StoreError> {
    if leases.is_empty() {
        return Ok(());
    }
    let done: Vec<_> = leases.iter().map(|(app, l)| (app, hex(l.delivery.0))).collect();
    sqlx::query(
        "UPDATE deliveries
         SET status = 2, due_at_ms = NULL, error = NULL, attempts = attempts + 1
         WHERE (app_id, id) IN (SELECT value ->> 0, unhex(value ->> 1) FROM json_each(?1))",
    )
    .bind(to_json(&done)?)
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

/// Forgets deliveries of an app that are done, the oldest first, and the events
/// that have no other. Whether there were any.
pub(super) async fn free(
    connection: &mut SqliteConnection,
    app: AppId,
) -> Result<bool, StoreError> {
    let emptied: Vec<Uuid> = sqlx::query_scalar(
        "DELETE FROM deliveries WHERE app_id = ?1 AND id IN (
            SELECT id FROM deliveries WHERE app_id = ?1 AND status = 2 ORDER BY event_id LIMIT ?2
         )
         RETURNING event_id",
    )
    .bind(app.0)
    .bind(FREED)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    let emptied: Vec<_> = emptied.into_iter().map(hex).collect();
    sqlx::query(
        "DELETE FROM events WHERE app_id = ?1
            AND id IN (SELECT unhex(value) FROM json_each(?2))
            AND NOT EXISTS (
                SELECT 1 FROM deliveries AS d
                WHERE d.app_id = events.app_id AND d.event_id = events.id
            )",
    )
    .bind(app.0)
    .bind(to_json(&emptied)?)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(!emptied.is_empty())
}

/// Writes events with their deliveries, which are dead letters where the event
/// is not to go further.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    events: &[(AppId, &Emitted, Option<ScriptError>)],
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let mut deliveries = Vec::new();
    for (app, emitted, stopped) in events {
        let all = NewDelivery::all_of(emitted, stopped.as_ref())?;
        deliveries.extend(all.into_iter().map(|delivery| (app, delivery)));
    }
    let events: Vec<_> =
        events.iter().map(|(app, emitted, _)| (app, NewEvent::of(emitted))).collect();
    sqlx::query(
        "INSERT INTO events (app_id, id, name, fields, at_ms, root, parent, depth, execution)
         SELECT value ->> 0, unhex(value ->> '$[1].id'), value ->> '$[1].name',
            value ->> '$[1].fields', value ->> '$[1].at_ms', unhex(value ->> '$[1].root'),
            unhex(value ->> '$[1].parent'), value ->> '$[1].depth',
            unhex(value ->> '$[1].execution')
         FROM json_each(?1)",
    )
    .bind(to_json(&events)?)
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    sqlx::query(
        "INSERT INTO deliveries (app_id, id, event_id, handler, queue, key, status, due_at_ms,
            token, attempts, max_attempts, error)
         SELECT value ->> 0, unhex(value ->> '$[1].id'), unhex(value ->> '$[1].event'),
            value ->> '$[1].handler', value ->> '$[1].queue', value ->> '$[1].key',
            iif(value ->> '$[1].due_at_ms' IS NULL, 3, 0), value ->> '$[1].due_at_ms', 0, 0,
            value ->> '$[1].max_attempts', value ->> '$[1].error'
         FROM json_each(?1) WHERE true
         ON CONFLICT DO NOTHING",
    )
    .bind(to_json(&deliveries)?)
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    if deliveries.iter().all(|(_, delivery)| delivery.key.is_none()) {
        return Ok(());
    }
    // A message that is there already, under its key, has not been sent.
    let keyed: Vec<_> = deliveries
        .iter()
        .filter(|(_, delivery)| delivery.key.is_some())
        .map(|(app, delivery)| (app, &delivery.event))
        .collect();
    sqlx::query(
        "DELETE FROM events
         WHERE (app_id, id) IN (SELECT value ->> 0, unhex(value ->> 1) FROM json_each(?1))
            AND NOT EXISTS (
                SELECT 1 FROM deliveries AS d
                WHERE d.app_id = events.app_id AND d.event_id = events.id
            )",
    )
    .bind(to_json(&keyed)?)
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}
