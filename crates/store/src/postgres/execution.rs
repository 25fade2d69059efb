//! Executions and logs on PostgreSQL.

use async_trait::async_trait;
use picloud_shared::execution::{
    Bucket, ExecutionPage, ExecutionQuery, HistoryCap, LINE_OVERHEAD_BYTES, LogQuery, StatsQuery,
};
use picloud_shared::{
    AppId, Execution, ExecutionId, ExecutionStore, Level, LogLine, ReleaseNumber, StoreError, Usage,
};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::PostgresDatabase;
use crate::convert::{
    corrupt, failed, level, level_number, signed, to_json, unsigned, without_nul,
};
use crate::execution_row::{Filters, Receipt, STATS, StatsRow, bucket};

pub(crate) struct PostgresExecutionStore(pub(crate) PostgresDatabase);

/// The advisory lock of whoever stores log lines: "picloud" in ASCII.
const LOGS: i64 = 0x0070_6963_6c6f_7564;

#[async_trait]
impl ExecutionStore for PostgresExecutionStore {
    async fn record(&self, executions: &[Execution], lines: &[LogLine]) -> Result<(), StoreError> {
        let mut transaction = self.0.pool.begin().await.map_err(failed)?;
        if !executions.is_empty() {
            record_executions(&mut transaction, executions).await?;
        }
        if !lines.is_empty() {
            record_lines(&mut transaction, lines).await?;
        }
        transaction.commit().await.map_err(failed)
    }

    async fn executions(
        &self,
        app: AppId,
        query: &ExecutionQuery,
    ) -> Result<ExecutionPage, StoreError> {
        // Statements of their own for failures, so that these have their index.
        macro_rules! select {
            ($columns:literal, $from:literal, $rest:literal) => {
                concat!(
                    "SELECT ",
                    $columns,
                    " FROM executions ",
                    $from,
                    " AND app_id = $1 AND id BETWEEN $2 AND $3 ",
                    $rest
                )
            };
        }
        macro_rules! last {
            ($from:literal) => {
                select!("id", $from, "ORDER BY id DESC LIMIT 1 OFFSET $4")
            };
        }
        macro_rules! page {
            ($from:literal) => {
                select!(
                    "*",
                    $from,
                    "AND ($4::text IS NULL OR outcome = $4)
                     AND ($5::text IS NULL OR handler = $5)
                     AND ($6::bigint IS NULL OR release = $6)
                     AND ($7::integer IS NULL OR status = $7)
                     AND ($8::text IS NULL OR strpos(error, $9) > 0 OR EXISTS (
                        SELECT 1 FROM logs
                        WHERE logs.app_id = $1 AND logs.execution = executions.id
                            AND (strpos(message, $8) > 0 OR strpos(fields, $8) > 0)))
                     ORDER BY id DESC LIMIT $10"
                )
            };
        }
        let Some((mut low, high)) = query.ids() else { return Ok(query.page(Vec::new(), None)) };
        let filters = Filters::of(query)?;
        let (last, page) = if filters.is_failed {
            (last!("WHERE outcome <> 'ok'"), page!("WHERE outcome <> 'ok'"))
        } else {
            (last!("WHERE true"), page!("WHERE true"))
        };
        let mut ended_at = None;
        if query.is_selective() {
            let last: Option<Uuid> = sqlx::query_scalar(last)
                .bind(app.0)
                .bind(low.0)
                .bind(high.0)
                .bind(i64::from(query.scan.saturating_sub(1)))
                .fetch_optional(&self.0.pool)
                .await
                .map_err(failed)?;
            ended_at = last.map(ExecutionId);
            low = ended_at.unwrap_or(low);
        }
        let rows = sqlx::query(page)
            .bind(app.0)
            .bind(low.0)
            .bind(high.0)
            .bind(filters.outcome)
            .bind(filters.handler)
            .bind(filters.release)
            .bind(filters.status)
            .bind(filters.text)
            .bind(filters.text_in_json)
            .bind(i64::from(query.limit.saturating_add(1)))
            .fetch_all(&self.0.pool)
            .await
            .map_err(failed)?;
        let executions = rows.iter().map(execution).collect::<Result<_, _>>()?;
        Ok(query.page(executions, ended_at))
    }

    async fn execution(
        &self,
        app: AppId,
        id: ExecutionId,
    ) -> Result<Option<Execution>, StoreError> {
        let row = sqlx::query("SELECT * FROM executions WHERE app_id = $1 AND id = $2")
            .bind(app.0)
            .bind(id.0)
            .fetch_optional(&self.0.pool)
            .await
            .map_err(failed)?;
        row.as_ref().map(execution).transpose()
    }

    async fn stats(&self, app: AppId, query: &StatsQuery) -> Result<Vec<Bucket>, StoreError> {
        let Some((low, high)) = query.executions().ids() else { return Ok(Vec::new()) };
        let rows: Vec<StatsRow> = sqlx::query_as(STATS)
            .bind(app.0)
            .bind(low.0)
            .bind(high.0)
            .bind(signed(query.from_ms))
            .bind(signed(query.step_ms))
            .fetch_all(&self.0.pool)
            .await
            .map_err(failed)?;
        rows.into_iter().map(|row| bucket(query, row)).collect()
    }

    async fn logs(&self, app: AppId, query: &LogQuery) -> Result<Vec<LogLine>, StoreError> {
        // A statement for each case, so that each has its index: an execution's
        // lines are few, an app's are not.
        macro_rules! select {
            ($filter:literal, $order:literal) => {
                concat!(
                    "SELECT * FROM logs WHERE app_id = $1 AND seq > $2 AND level >= $3 ",
                    $filter,
                    " ORDER BY seq ",
                    $order,
                    " LIMIT $4"
                )
            };
        }
        let forward = query.after.is_some();
        let sql = match (query.execution, forward) {
            (None, true) => select!("", "ASC"),
            (None, false) => select!("", "DESC"),
            (Some(_), true) => select!("AND execution = $5", "ASC"),
            (Some(_), false) => select!("AND execution = $5", "DESC"),
        };
        let mut asked = sqlx::query(sql)
            .bind(app.0)
            .bind(query.after.unwrap_or(0))
            .bind(level_number(query.min_level.unwrap_or(Level::Debug)))
            .bind(i64::from(query.limit));
        if let Some(execution) = query.execution {
            asked = asked.bind(execution.0);
        }
        let rows = asked.fetch_all(&self.0.pool).await.map_err(failed)?;
        let lines = rows.iter().map(line);
        if forward { lines.collect() } else { lines.rev().collect() }
    }

    async fn prune(&self, before_ms: u64, limit: u32) -> Result<u64, StoreError> {
        let mut rows = 0;
        for prune in [
            "DELETE FROM executions WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM executions WHERE started_at_ms < $1
                ORDER BY started_at_ms LIMIT $2))",
            "DELETE FROM logs WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM logs WHERE at_ms < $1 ORDER BY at_ms LIMIT $2))",
        ] {
            let done = sqlx::query(prune)
                .bind(signed(before_ms))
                .bind(i64::from(limit))
                .execute(&self.0.pool)
                .await
                .map_err(failed)?;
            rows += done.rows_affected();
        }
        Ok(rows)
    }

    async fn trim(&self, app: AppId, cap: HistoryCap, limit: u32) -> Result<u64, StoreError> {
        let last_execution: Option<Uuid> = sqlx::query_scalar(
            "SELECT id FROM executions WHERE app_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2",
        )
        .bind(app.0)
        .bind(signed(cap.executions))
        .fetch_optional(&self.0.pool)
        .await
        .map_err(failed)?;
        let last_line: Option<i64> = sqlx::query_scalar(
            "SELECT seq FROM (
                SELECT seq, sum(octet_length(message) + coalesce(octet_length(fields), 0) + $3)
                    OVER (ORDER BY seq DESC) AS bytes
                FROM logs WHERE app_id = $1) AS line
             WHERE bytes > $2 ORDER BY seq DESC LIMIT 1",
        )
        .bind(app.0)
        .bind(signed(cap.log_bytes))
        .bind(signed(LINE_OVERHEAD_BYTES))
        .fetch_optional(&self.0.pool)
        .await
        .map_err(failed)?;
        let mut rows = 0;
        loop {
            let executions = sqlx::query(
                "DELETE FROM executions WHERE app_id = $1 AND id = ANY (ARRAY(
                    SELECT id FROM executions WHERE app_id = $1 AND id <= $2
                    ORDER BY id LIMIT $3))",
            )
            .bind(app.0)
            .bind(last_execution)
            .bind(i64::from(limit))
            .execute(&self.0.pool)
            .await
            .map_err(failed)?;
            let lines = sqlx::query(
                "DELETE FROM logs WHERE seq = ANY (ARRAY(
                    SELECT seq FROM logs WHERE app_id = $1 AND seq <= $2
                    ORDER BY seq LIMIT $3))",
            )
            .bind(app.0)
            .bind(last_line)
            .bind(i64::from(limit))
            .execute(&self.0.pool)
            .await
            .map_err(failed)?;
            match executions.rows_affected() + lines.rows_affected() {
                0 => return Ok(rows),
                some => rows += some,
            }
        }
    }
}

async fn record_executions(
    connection: &mut PgConnection,
    executions: &[Execution],
) -> Result<(), StoreError> {
    let errors = executions
        .iter()
        .map(|execution| execution.error.as_ref().map(to_json).transpose())
        .collect::<Result<Vec<_>, _>>()?;
    let receipts = executions.iter().map(Receipt::column).collect::<Result<Vec<_>, _>>()?;
    macro_rules! column {
        ($execution:ident => $value:expr) => {
            executions.iter().map(|$execution| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "INSERT INTO executions (id, app_id, release, handler, cause, started_at_ms, duration_us,
            outcome, status, error, fuel, memory_bytes, host_calls, host_bytes, attempts,
            receipt)
         SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[],
            $6::bigint[], $7::bigint[], $8::text[], $9::integer[], $10::text[], $11::bigint[],
            $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::text[])
         ON CONFLICT DO NOTHING",
    )
    .bind(column!(e => e.id.0))
    .bind(column!(e => e.app.0))
    .bind(column!(e => e.release.0))
    .bind(column!(e => without_nul(&e.handler)))
    .bind(column!(e => without_nul(&e.cause)))
    .bind(column!(e => signed(e.started_at_ms)))
    .bind(column!(e => signed(e.duration_us)))
    .bind(column!(e => e.outcome.as_str()))
    .bind(column!(e => e.status.map(i32::from)))
    .bind(errors)
    .bind(column!(e => signed(e.usage.fuel)))
    .bind(column!(e => signed(e.usage.memory_bytes)))
    .bind(column!(e => signed(e.usage.host_calls)))
    .bind(column!(e => signed(e.usage.host_bytes)))
    .bind(column!(e => i64::from(e.attempts)))
    .bind(receipts)
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

async fn record_lines(connection: &mut PgConnection, lines: &[LogLine]) -> Result<(), StoreError> {
    // One at a time, until it has committed: a line with a lower `seq` must not
    // appear after somebody has read on past it.
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOGS)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    macro_rules! column {
        ($line:ident => $value:expr) => {
            lines.iter().map(|$line| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "INSERT INTO logs (execution, app_id, at_ms, level, message, fields)
         SELECT execution, app_id, at_ms, level, message, fields
         FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::smallint[], $5::text[], $6::text[])
            WITH ORDINALITY AS line (execution, app_id, at_ms, level, message, fields, position)
         ORDER BY position",
    )
    .bind(column!(l => l.execution.0))
    .bind(column!(l => l.app.0))
    .bind(column!(l => signed(l.at_ms)))
    .bind(column!(l => level_number(l.level)))
    .bind(column!(l => without_nul(&l.message)))
    .bind(column!(l => l.fields.as_deref().map(without_nul)))
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

fn execution(row: &PgRow) -> Result<Execution, StoreError> {
    let get = |column| -> Result<u64, StoreError> {
        unsigned(column, row.try_get(column).map_err(failed)?)
    };
    let text = |column| row.try_get::<String, _>(column).map_err(failed);
    let error: Option<String> = row.try_get("error").map_err(failed)?;
    let error = error.map(|json| serde_json::from_str(&json)).transpose();
    let status: Option<i32> = row.try_get("status").map_err(failed)?;
    let attempts = row.try_get("attempts").map_err(failed)?;
    let receipt: Option<String> = row.try_get("receipt").map_err(failed)?;
    let receipt = Receipt::of_column(receipt.as_deref())?;
    Ok(Execution {
        id: ExecutionId(row.try_get("id").map_err(failed)?),
        app: AppId(row.try_get("app_id").map_err(failed)?),
        release: ReleaseNumber(row.try_get("release").map_err(failed)?),
        handler: text("handler")?,
        cause: text("cause")?,
        event: receipt.event,
        started_at_ms: get("started_at_ms")?,
        duration_us: get("duration_us")?,
        outcome: text("outcome")?,
        status: status.map(|status| unsigned("a status", i64::from(status))).transpose()?,
        error: error.map_err(|error| corrupt("an execution's error", error))?,
        usage: Usage {
            fuel: get("fuel")?,
            memory_bytes: get("memory_bytes")?,
            host_calls: get("host_calls")?,
            host_bytes: get("host_bytes")?,
            received_bytes: receipt.received_bytes,
            calls: receipt.calls,
            compile_us: receipt.compile_us,
        },
        commit: receipt.commit,
        attempts: unsigned("attempts", attempts)?,
    })
}

fn line(row: &PgRow) -> Result<LogLine, StoreError> {
    Ok(LogLine {
        seq: row.try_get("seq").map_err(failed)?,
        app: AppId(row.try_get("app_id").map_err(failed)?),
        execution: ExecutionId(row.try_get("execution").map_err(failed)?),
        at_ms: unsigned("a time", row.try_get("at_ms").map_err(failed)?)?,
        level: level(row.try_get("level").map_err(failed)?)?,
        message: row.try_get("message").map_err(failed)?,
        fields: row.try_get("fields").map_err(failed)?,
    })
}
