//! Events and deliveries on PostgreSQL.

use async_trait::async_trait;
use picloud_shared::outbox::{
    Claim, Claimed, Delivery, DeliveryId, Depth, Emitted, Event, EventId, Failure, Lane,
    MAX_PER_ROOT, OutboxStore, QueueState, Recorded,
};
use picloud_shared::{AppId, StoreError};
use uuid::Uuid;

use super::PostgresDatabase;
use crate::convert::{corrupt, failed, signed, to_json, unsigned};
use crate::outbox_row::{
    DeliveryRow, DepthRow, EventRow, NewDelivery, NewEvent, claimed, depth, put_off, recorded,
    stopped, too_many, with_events,
};

pub(crate) struct PostgresOutboxStore(pub(crate) PostgresDatabase);

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

/// Events as `outbox_commit` takes them.
pub(super) struct Outbox {
    /// `None` for no events.
    pub(super) events: Option<String>,
    pub(super) deliveries: Option<String>,
    pub(super) too_many: String,
}

impl Outbox {
    pub(super) fn of(events: &[Emitted]) -> Result<Self, StoreError> {
        let too_many = to_json(&too_many())?;
        if events.is_empty() {
            return Ok(Self { events: None, deliveries: None, too_many });
        }
        let mut deliveries = Vec::new();
        for emitted in events {
            // Whether there are too many of the root is the database's to say.
            let stopped = stopped(&emitted.event, 0);
            deliveries.extend(NewDelivery::all_of(emitted, stopped.as_ref())?);
        }
        let events: Vec<_> = events.iter().map(NewEvent::of).collect();
        Ok(Self {
            events: Some(to_json(&events)?),
            deliveries: Some(to_json(&deliveries)?),
            too_many,
        })
    }
}

#[async_trait]
impl OutboxStore for PostgresOutboxStore {
    async fn lanes(&self) -> Result<Vec<Lane>, StoreError> {
        // Goes from lane to lane, each time to the first entry of the next
        // one, so that what waits in a lane need not be read.
        let rows: Vec<(i64, String, String, i64)> = sqlx::query_as(
            "WITH RECURSIVE lanes AS (
                (SELECT app_id, queue, due_at_ms FROM deliveries WHERE due_at_ms IS NOT NULL
                 ORDER BY app_id, queue, due_at_ms LIMIT 1)
                UNION ALL
                SELECT next.* FROM lanes, LATERAL (
                    SELECT d.app_id, d.queue, d.due_at_ms FROM deliveries AS d
                    WHERE d.due_at_ms IS NOT NULL
                        AND (d.app_id, d.queue) > (lanes.app_id, lanes.queue)
                    ORDER BY d.app_id, d.queue, d.due_at_ms LIMIT 1
                ) AS next
             )
             SELECT lanes.app_id, apps.slug, lanes.queue, lanes.due_at_ms
             FROM lanes JOIN apps ON apps.id = lanes.app_id",
        )
        .fetch_all(&self.0.pool)
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
        let mut all = Vec::new();
        for Claim { app, queue, limit, lease_ms } in claims {
            let leased: Vec<(Uuid, i64, i64)> = sqlx::query_as(
                // Materialized, for a plan may run a subquery more than once,
                // and then lock more rows than its limit.
                "WITH due AS MATERIALIZED (
                    SELECT id FROM deliveries
                    WHERE app_id = $1 AND queue = $2 AND due_at_ms <= $3
                    ORDER BY due_at_ms, id LIMIT $4 FOR UPDATE SKIP LOCKED
                 )
                 UPDATE deliveries AS d SET status = 1, due_at_ms = $5, token = token + 1,
                    lost = lost + CASE status WHEN 1 THEN 1 ELSE 0 END
                 FROM due WHERE d.app_id = $1 AND d.id = due.id
                 RETURNING d.id, token, lost",
            )
            .bind(app.0)
            .bind(queue)
            .bind(signed(now_ms))
            .bind(i64::from(*limit))
            .bind(signed(now_ms.saturating_add(*lease_ms)))
            .fetch_all(&self.0.pool)
            .await
            .map_err(failed)?;
            let ids: Vec<_> = leased.iter().map(|(id, ..)| *id).collect();
            let deliveries: Vec<DeliveryRow> = sqlx::query_as(select_deliveries!(
                "WHERE app_id = $1 AND id = ANY ($2) ORDER BY id"
            ))
            .bind(app.0)
            .bind(&ids)
            .fetch_all(&self.0.pool)
            .await
            .map_err(failed)?;
            let events: Vec<_> = deliveries.iter().map(|row| row.1).collect();
            let events = self.events(*app, &events).await?;
            all.extend(claimed(*app, &leased, deliveries, events)?);
        }
        Ok(all)
    }

    async fn fail(&self, failures: &[Failure]) -> Result<u64, StoreError> {
        let mut transaction = self.0.pool.begin().await.map_err(failed)?;
        let mut held = 0;
        for Failure { app, lease, error, then, events } in failures {
            let (status, due_at_ms, ended) = put_off(*then);
            let outbox = Outbox::of(events)?;
            let done = sqlx::query(
                "WITH held AS (
                    UPDATE deliveries
                    SET status = $4, due_at_ms = $5, attempts = attempts + $6, error = $7
                    WHERE app_id = $1 AND id = $2 AND token = $3 AND status = 1
                    RETURNING 1
                 )
                 SELECT CASE WHEN $8::jsonb IS NOT NULL
                    THEN outbox_write($1, $8::jsonb, $9::jsonb, $10, $11) END
                 FROM held",
            )
            .bind(app.0)
            .bind(lease.delivery.0)
            .bind(lease.token)
            .bind(status)
            .bind(due_at_ms)
            .bind(ended)
            .bind(to_json(error)?)
            .bind(&outbox.events)
            .bind(&outbox.deliveries)
            .bind(signed(MAX_PER_ROOT))
            .bind(&outbox.too_many)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
            held += done.rows_affected();
        }
        transaction.commit().await.map_err(failed)?;
        Ok(held)
    }

    async fn list(
        &self,
        app: AppId,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        let events = sqlx::query_as(select_events!(
            "WHERE app_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
        ))
        .bind(app.0)
        .bind(before.map_or(Uuid::max(), |before| before.0))
        .bind(i64::from(limit))
        .fetch_all(&self.0.pool)
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
            "WHERE app_id = $1 AND root = $2 ORDER BY depth, id LIMIT $3"
        ))
        .bind(app.0)
        .bind(root)
        .bind(signed(MAX_PER_ROOT))
        .fetch_all(&self.0.pool)
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
            "WHERE app_id = $1 AND status = 3 AND id < $2 ORDER BY id DESC LIMIT $3"
        ))
        .bind(app.0)
        .bind(before.map_or(Uuid::max(), |before| before.0))
        .bind(i64::from(limit))
        .fetch_all(&self.0.pool)
        .await
        .map_err(failed)?;
        self.with_events(app, rows).await
    }

    async fn delivery(
        &self,
        app: AppId,
        delivery: DeliveryId,
    ) -> Result<Option<(Event, Delivery)>, StoreError> {
        let rows = sqlx::query_as(select_deliveries!("WHERE app_id = $1 AND id = $2"))
            .bind(app.0)
            .bind(delivery.0)
            .fetch_all(&self.0.pool)
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
        let done = sqlx::query(
            "WITH replayed AS (
                UPDATE deliveries SET status = 0, due_at_ms = $4, attempts = 0, lost = 0, key = NULL,
                    fields = coalesce($3, fields)
                WHERE app_id = $1 AND id = $2 AND status = 3 RETURNING 1
             )
             SELECT pg_notify('picloud_outbox', '') FROM replayed",
        )
        .bind(app.0)
        .bind(delivery.0)
        .bind(fields)
        .bind(signed(now_ms))
        .execute(&self.0.pool)
        .await
        .map_err(failed)?;
        Ok(done.rows_affected() > 0)
    }

    async fn replay_all(&self, app: AppId, now_ms: u64) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "WITH replayed AS (
                UPDATE deliveries SET status = 0, due_at_ms = $2, attempts = 0, lost = 0, key = NULL
                WHERE app_id = $1 AND status = 3 RETURNING 1
             )
             SELECT pg_notify('picloud_outbox', '') FROM replayed",
        )
        .bind(app.0)
        .bind(signed(now_ms))
        .execute(&self.0.pool)
        .await
        .map_err(failed)?;
        Ok(done.rows_affected())
    }

    async fn discard(&self, app: AppId, delivery: DeliveryId) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "WITH gone AS (
                DELETE FROM deliveries WHERE app_id = $1 AND id = $2 AND status = 3 RETURNING 1
             )
             SELECT outbox_count($1, -1, 0) FROM gone",
        )
        .bind(app.0)
        .bind(delivery.0)
        .execute(&self.0.pool)
        .await
        .map_err(failed)?;
        Ok(done.rows_affected() > 0)
    }

    async fn queues(&self, app: AppId) -> Result<Vec<QueueState>, StoreError> {
        let rows: Vec<(String, i64, i64, i64, Option<i64>)> = sqlx::query_as(
            "SELECT queue, count(*) FILTER (WHERE status = 0),
                count(*) FILTER (WHERE status = 1), count(*) FILTER (WHERE status = 3),
                min(due_at_ms) FILTER (WHERE status = 0)
             FROM deliveries WHERE app_id = $1 AND queue <> '' AND status <> 2
             GROUP BY queue ORDER BY queue",
        )
        .bind(app.0)
        .fetch_all(&self.0.pool)
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
        .fetch_one(&self.0.pool)
        .await
        .map_err(failed)?;
        depth(row)
    }

    async fn prune(&self, before_ms: u64, limit: u32) -> Result<u64, StoreError> {
        // Deliveries are not left to the cascade, so that they are counted.
        let pruned: Vec<(i64, ())> = sqlx::query_as(
            "WITH old AS MATERIALIZED (
                SELECT app_id, id FROM events AS e WHERE at_ms < $1 AND NOT EXISTS (
                    SELECT 1 FROM deliveries AS d
                    WHERE d.app_id = e.app_id AND d.event_id = e.id AND d.status <> 2
                ) LIMIT $2 FOR UPDATE SKIP LOCKED
             ), deliveries_gone AS (
                DELETE FROM deliveries AS d USING old
                WHERE d.app_id = old.app_id AND d.event_id = old.id RETURNING d.app_id
             ), events_gone AS (
                DELETE FROM events AS e USING old
                WHERE e.app_id = old.app_id AND e.id = old.id
                RETURNING e.app_id, octet_length(e.fields) AS bytes
             ), freed AS (
                SELECT app_id, count(*) AS events, sum(bytes)::bigint AS bytes
                FROM events_gone GROUP BY app_id
             )
             SELECT events, outbox_count(
                app_id, -(SELECT count(*) FROM deliveries_gone AS d WHERE d.app_id = freed.app_id),
                -bytes
             )
             FROM freed ORDER BY app_id",
        )
        .bind(signed(before_ms))
        .bind(i64::from(limit))
        .fetch_all(&self.0.pool)
        .await
        .map_err(failed)?;
        pruned.into_iter().map(|(events, ())| unsigned::<u64>("a count", events)).sum()
    }
}

impl PostgresOutboxStore {
    async fn events(&self, app: AppId, ids: &[Uuid]) -> Result<Vec<EventRow>, StoreError> {
        sqlx::query_as(select_events!("WHERE app_id = $1 AND id = ANY ($2)"))
            .bind(app.0)
            .bind(ids)
            .fetch_all(&self.0.pool)
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
        let ids: Vec<_> = events.iter().map(|row| row.0).collect();
        let deliveries = sqlx::query_as(select_deliveries!(
            "WHERE app_id = $1 AND event_id = ANY ($2) ORDER BY id"
        ))
        .bind(app.0)
        .bind(&ids)
        .fetch_all(&self.0.pool)
        .await
        .map_err(failed)?;
        recorded(events, deliveries)
    }
}
