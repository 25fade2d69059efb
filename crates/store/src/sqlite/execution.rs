//! Executions and logs on SQLite, in a file of their own.

use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::execution::{
    Bucket, ExecutionPage, ExecutionQuery, HistoryCap, LINE_OVERHEAD_BYTES, LogQuery, StatsQuery,
};
use picloud_shared::{
    AppId, Execution, ExecutionId, ExecutionStore, Level, LogLine, ReleaseNumber, StoreError, Usage,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use uuid::Uuid;

use super::SqliteDatabase;
use crate::convert::{
    corrupt, failed, level, level_number, signed, to_json, unsigned, without_nul,
};
use crate::execution_row::{Filters, Receipt, STATS, StatsRow, bucket};

pub(crate) struct SqliteExecutionStore(pub(crate) Arc<SqliteDatabase>);

#[async_trait]
impl ExecutionStore for SqliteExecutionStore {
    async fn record(&self, executions: &[Execution], lines: &[LogLine]) -> Result<(), StoreError> {
        let executions = executions_json(executions)?;
        let lines = lines_json(lines)?;
        let mut transaction = self.0.history.writer.begin().await?;
        let recorded = record(transaction.connection()?, executions, lines).await;
        transaction.finish(recorded).await
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
                    " AND app_id = ?1 AND id BETWEEN ?2 AND ?3 ",
                    $rest
                )
            };
        }
        macro_rules! last {
            ($from:literal) => {
                select!("id", $from, "ORDER BY id DESC LIMIT 1 OFFSET ?4")
            };
        }
        macro_rules! page {
            ($from:literal) => {
                select!(
                    "*",
                    $from,
                    "AND (?4 IS NULL OR outcome = ?4)
                     AND (?5 IS NULL OR handler = ?5)
                     AND (?6 IS NULL OR release = ?6)
                     AND (?7 IS NULL OR status = ?7)
                     AND (?8 IS NULL OR instr(error, ?9) > 0 OR EXISTS (
                        SELECT 1 FROM logs
                        WHERE logs.app_id = ?1 AND logs.execution = executions.id
                            AND (instr(message, ?8) > 0 OR instr(fields, ?8) > 0)))
                     ORDER BY id DESC LIMIT ?10"
                )
            };
        }
        let Some((mut low, high)) = query.ids() else { return Ok(query.page(Vec::new(), None)) };
        let filters = Filters::of(query)?;
        let (last, page) = if filters.is_failed {
            (
                last!("INDEXED BY executions_failed WHERE outcome <> 'ok'"),
                page!("INDEXED BY executions_failed WHERE outcome <> 'ok'"),
            )
        } else {
            (last!("WHERE true"), page!("WHERE true"))
        };
        let mut ended_at = None;
        if query.is_selective() {
            let last: Option<Uuid> = sqlx::query_scalar(last)
                .bind(app.0)
                .bind(low.0)
                .bind(high.0)
                .bind(query.scan.saturating_sub(1))
                .fetch_optional(&self.0.history.readers)
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
            .bind(query.limit.saturating_add(1))
            .fetch_all(&self.0.history.readers)
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
        let row = sqlx::query("SELECT * FROM executions WHERE app_id = ?1 AND id = ?2")
            .bind(app.0)
            .bind(id.0)
            .fetch_optional(&self.0.history.readers)
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
            .fetch_all(&self.0.history.readers)
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
                    "SELECT * FROM logs WHERE app_id = ?1 AND seq > ?2 AND level >= ?3 ",
                    $filter,
                    " ORDER BY seq ",
                    $order,
                    " LIMIT ?4"
                )
            };
        }
        let forward = query.after.is_some();
        let sql = match (query.execution, forward) {
            (None, true) => select!("", "ASC"),
            (None, false) => select!("", "DESC"),
            (Some(_), true) => select!("AND execution = ?5", "ASC"),
            (Some(_), false) => select!("AND execution = ?5", "DESC"),
        };
        let rows = sqlx::query(sql)
            .bind(app.0)
            .bind(query.after.unwrap_or(0))
            .bind(level_number(query.min_level.unwrap_or(Level::Debug)))
            .bind(query.limit)
            .bind(query.execution.map(|id| id.0))
            .fetch_all(&self.0.history.readers)
            .await
            .map_err(failed)?;
        let lines = rows.iter().map(line);
        if forward { lines.collect() } else { lines.rev().collect() }
    }

    async fn prune(&self, before_ms: u64, limit: u32) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "DELETE FROM executions WHERE (app_id, id) IN (
                SELECT app_id, id FROM executions WHERE started_at_ms < ?1
                ORDER BY started_at_ms LIMIT ?2);
             DELETE FROM logs WHERE seq IN (
                SELECT seq FROM logs WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)",
        )
        .bind(signed(before_ms))
        .bind(limit);
        self.0.history.writer.begin().await?.execute(query).await
    }

    async fn trim(&self, app: AppId, cap: HistoryCap, limit: u32) -> Result<u64, StoreError> {
        let history = &self.0.history;
        // What is to go is found without holding up whoever records.
        let last_execution: Option<Uuid> = sqlx::query_scalar(
            "SELECT id FROM executions WHERE app_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2",
        )
        .bind(app.0)
        .bind(signed(cap.executions))
        .fetch_optional(&history.readers)
        .await
        .map_err(failed)?;
        let last_line: Option<i64> = sqlx::query_scalar(
            "SELECT seq FROM (
                SELECT seq, sum(octet_length(message) + ifnull(octet_length(fields), 0) + ?3)
                    OVER (ORDER BY seq DESC) AS bytes
                FROM logs WHERE app_id = ?1)
             WHERE bytes > ?2 ORDER BY seq DESC LIMIT 1",
        )
        .bind(app.0)
        .bind(signed(cap.log_bytes))
        .bind(signed(LINE_OVERHEAD_BYTES))
        .fetch_optional(&history.readers)
        .await
        .map_err(failed)?;
        let mut rows = 0;
        if last_execution.is_none() && last_line.is_none() {
            return Ok(rows);
        }
        loop {
            let mut transaction = history.writer.begin().await?;
            let trimmed = sqlx::query(
                "DELETE FROM executions WHERE app_id = ?1 AND id IN (
                    SELECT id FROM executions WHERE app_id = ?1 AND id <= ?2
                    ORDER BY id LIMIT ?4);
                 DELETE FROM logs WHERE seq IN (
                    SELECT seq FROM logs WHERE app_id = ?1 AND seq <= ?3
                    ORDER BY seq LIMIT ?4)",
            )
            .bind(app.0)
            .bind(last_execution)
            .bind(last_line)
            .bind(limit)
            .execute(transaction.connection()?)
            .await
            .map(|done| done.rows_affected())
            .map_err(failed);
            match transaction.finish(trimmed).await? {
                0 => return Ok(rows),
                some => rows += some,
            }
        }
    }
}

/// Rows go in as one JSON array of arrays, so that a batch is one statement
/// whatever its size.
async fn record(
    connection: &mut SqliteConnection,
    executions: String,
    lines: String,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO executions (id, app_id, release, handler, cause, started_at_ms, duration_us,
            outcome, status, error, fuel, memory_bytes, host_calls, host_bytes, attempts,
            receipt)
         SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4,
            value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10,
            value ->> 11, value ->> 12, value ->> 13, value ->> 14, value ->> 15
         FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING;
         INSERT INTO logs (execution, app_id, at_ms, level, message, fields)
         SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
         FROM json_each(?2) ORDER BY json_each.key",
    )
    .bind(executions)
    .bind(lines)
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

fn executions_json(executions: &[Execution]) -> Result<String, StoreError> {
    let rows = executions
        .iter()
        .map(|execution| {
            let usage = &execution.usage;
            let error = execution.error.as_ref().map(to_json).transpose()?;
            Ok((
                execution.id.0.simple().to_string(),
                execution.app,
                execution.release,
                without_nul(&execution.handler),
                without_nul(&execution.cause),
                signed(execution.started_at_ms),
                signed(execution.duration_us),
                &execution.outcome,
                execution.status,
                error,
                signed(usage.fuel),
                signed(usage.memory_bytes),
                signed(usage.host_calls),
                signed(usage.host_bytes),
                execution.attempts,
                Receipt::column(execution)?,
            ))
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    to_json(&rows)
}

fn lines_json(lines: &[LogLine]) -> Result<String, StoreError> {
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line.execution.0.simple().to_string(),
                line.app,
                signed(line.at_ms),
                level_number(line.level),
                without_nul(&line.message),
                line.fields.as_deref().map(without_nul),
            )
        })
        .collect();
    to_json(&rows)
}

fn execution(row: &SqliteRow) -> Result<Execution, StoreError> {
    let get = |column| -> Result<u64, StoreError> {
        unsigned(column, row.try_get(column).map_err(failed)?)
    };
    let text = |column| row.try_get::<String, _>(column).map_err(failed);
    let error: Option<String> = row.try_get("error").map_err(failed)?;
    let error = error.map(|json| serde_json::from_str(&json)).transpose();
    let status: Option<i64> = row.try_get("status").map_err(failed)?;
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
        status: status.map(|status| unsigned("a status", status)).transpose()?,
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

fn line(row: &SqliteRow) -> Result<LogLine, StoreError> {
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
