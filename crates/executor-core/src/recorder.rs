//! The recorder: executions and log lines, stored in batches off the request's
//! path, and shown live to whoever follows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use opentelemetry::trace::SpanContext;
use picloud_shared::receipt::HostCall;
use picloud_shared::{AppSlug, Execution, ExecutionStore, LogLine};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};

/// Records that may wait to be stored. Beyond that they are dropped and
/// counted: an invocation never waits for its own record.
const QUEUE: usize = 16_384;
/// Bytes of log lines that may wait. Beyond that a record goes without its lines.
const QUEUE_BYTES: usize = 32 << 20;
/// Records stored in one transaction, and bytes of their lines.
const BATCH: usize = 4_096;
const BATCH_BYTES: usize = 8 << 20;
/// How long a batch gathers: a transaction for every few records would cost
/// more than the requests that they are about.
const GATHER: Duration = Duration::from_millis(100);
/// Bytes that are stored before whoever cleans up is told. A record without
/// lines counts as [`RECORD_BYTES`].
const GROWTH_BYTES: usize = 64 << 20;
const RECORD_BYTES: usize = 256;
/// Records that a slow follower may lag behind.
const LIVE: usize = 256;

/// One invocation's record with its log lines.
#[derive(Clone, Debug)]
pub struct Record {
    pub execution: Execution,
    pub lines: Vec<LogLine>,
    /// `None` where nothing is traced.
    pub trace: Option<Trace>,
}

/// What a trace has beyond the record. It is not stored.
#[derive(Clone, Debug)]
pub struct Trace {
    pub app: AppSlug,
    /// The span that has led to the invocation, [`SpanContext::NONE`] if there
    /// is none.
    pub parent: SpanContext,
    /// When it was admitted.
    pub began: Instant,
    /// Calls to the host, of all attempts.
    pub calls: Vec<HostCall>,
}

impl Record {
    fn line_bytes(&self) -> usize {
        let bytes =
            |line: &LogLine| line.message.len() + line.fields.as_ref().map_or(0, String::len);
        self.lines.iter().map(bytes).sum()
    }
}

enum Message {
    Record(Arc<Record>),
    /// Answered when all that came before is stored.
    Flush(oneshot::Sender<()>),
}

/// Takes records, stores them, shows them.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Message>,
    /// Bytes of the lines in the queue.
    queued_bytes: Arc<AtomicUsize>,
    /// Ends the gathering of a batch.
    wanted_now: Arc<Notify>,
    grown: Arc<Notify>,
    /// Changes whenever a batch was stored.
    stored: watch::Sender<()>,
    live: broadcast::Sender<Arc<Record>>,
}

impl Recorder {
    /// Starts the task that stores. It ends when the last clone of the recorder
    /// is gone and everything is stored; await the handle at shutdown.
    #[must_use]
    pub fn start(store: Arc<dyn ExecutionStore>) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, messages) = mpsc::channel(QUEUE);
        let (live, _) = broadcast::channel(LIVE);
        let wanted_now = Arc::new(Notify::new());
        let grown = Arc::default();
        let stored = watch::Sender::new(());
        let queued_bytes = Arc::default();
        let recorder = Self { queue, queued_bytes, wanted_now, grown, stored, live };
        let task = tokio::spawn(store_batches(
            store,
            messages,
            Arc::clone(&recorder.queued_bytes),
            Arc::clone(&recorder.wanted_now),
            Arc::clone(&recorder.grown),
            recorder.stored.clone(),
        ));
        (recorder, task)
    }

    /// Hands a record over. Never waits.
    pub fn record(&self, mut record: Record) {
        let bytes = record.line_bytes();
        if self.queued_bytes.load(Ordering::Relaxed).saturating_add(bytes) > QUEUE_BYTES {
            metrics::counter!("picloud_log_lines_dropped_total")
                .increment(record.lines.len() as u64);
            record.lines.clear();
        }
        let bytes = record.line_bytes();
        let record = Arc::new(record);
        if self.live.receiver_count() > 0 {
            // An error means that the last follower has just left.
            let _ = self.live.send(Arc::clone(&record));
        }
        self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.queue.try_send(Message::Record(record)).is_err() {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            metrics::counter!("picloud_records_dropped_total").increment(1);
        }
    }

    /// Waits until all records handed over so far are stored, so that whoever
    /// lists executions sees the one that just answered.
    pub async fn flush(&self) {
        let (done, stored) = oneshot::channel();
        if self.queue.send(Message::Flush(done)).await.is_ok() {
            self.wanted_now.notify_one();
            let _ = stored.await;
        }
    }

    /// Resolves when so much was stored, since it last did, that it is time to
    /// see what is over its cap.
    pub async fn grown(&self) {
        self.grown.notified().await;
    }

    /// Changes whenever records were stored.
    #[must_use]
    pub fn stored(&self) -> watch::Receiver<()> {
        self.stored.subscribe()
    }

    /// Records from now on, as they come in.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Arc<Record>> {
        self.live.subscribe()
    }
}

async fn store_batches(
    store: Arc<dyn ExecutionStore>,
    mut messages: mpsc::Receiver<Message>,
    queued_bytes: Arc<AtomicUsize>,
    wanted_now: Arc<Notify>,
    grown: Arc<Notify>,
    stored: watch::Sender<()>,
) {
    let mut growth = 0;
    while let Some(first) = messages.recv().await {
        // Asleep meanwhile: to be woken by every record would cost as much.
        tokio::select! {
            () = tokio::time::sleep(GATHER) => {}
            () = wanted_now.notified() => {}
        }
        let mut batch = Batch::default();
        batch.take(first);
        while batch.executions.len() < BATCH
            && batch.bytes < BATCH_BYTES
            && let Ok(message) = messages.try_recv()
        {
            batch.take(message);
        }
        let Batch { executions, lines, bytes, waiting } = batch;
        queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        growth += bytes + executions.len() * RECORD_BYTES;
        if !executions.is_empty()
            && let Err(error) = store.record(&executions, &lines).await
        {
            metrics::counter!("picloud_records_dropped_total").increment(executions.len() as u64);
            tracing::error!(
                error = &error as &dyn std::error::Error,
                records = executions.len(),
                "execution records could not be stored"
            );
        }
        stored.send_replace(());
        if growth >= GROWTH_BYTES {
            growth = 0;
            grown.notify_one();
        }
        for done in waiting {
            let _ = done.send(());
        }
    }
}

/// Records on their way to the store.
#[derive(Default)]
struct Batch {
    executions: Vec<Execution>,
    lines: Vec<LogLine>,
    /// Of the lines.
    bytes: usize,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Batch {
    fn take(&mut self, message: Message) {
        match message {
            Message::Record(record) => {
                self.bytes += record.line_bytes();
                // A follower may still hold it; usually nobody does.
                let Record { execution, lines, trace: _ } = Arc::unwrap_or_clone(record);
                self.executions.push(execution);
                self.lines.extend(lines);
            }
            Message::Flush(done) => self.waiting.push(done),
        }
    }
}
