//! The outbox: events that a committed change has caused, and their deliveries
//! to the handlers that triggers name.
//!
//! An event and its deliveries are written in the transaction of the change
//! ([`crate::unit::WriteSet`]), and a delivery is acknowledged in the
//! transaction of what its handler writes. So however often a handler is run,
//! its effect on the app's state happens once.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::trigger::EventType;
use crate::{AppId, AppSlug, ExecutionId, ScriptError, StoreError};

/// Events that may lie between a cause and its last effect.
pub const MAX_DEPTH: u32 = 16;
/// Events that one root cause may have.
pub const MAX_PER_ROOT: u64 = 1_000;
/// Claims of one delivery of which nothing was heard again, because the process
/// has ended, until it is given up.
pub const MAX_LOST: u64 = 16;
/// Bytes of JSON that a payload may have.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;
/// Bytes that a topic, a queue's name, or a key against duplicates may have.
pub const MAX_NAME_BYTES: usize = 128;
/// Seconds that a message may be delayed.
pub const MAX_DELAY_S: u64 = 30 * 24 * 3600;
/// Events and messages that an invocation may send.
pub const MAX_SENT: usize = 1_000;
/// Bytes of their payloads, all together.
pub const MAX_SENT_BYTES: usize = 4 << 20;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Composes an id from the Unix time in milliseconds and ten random bytes.
            #[must_use]
            pub fn new(now_ms: u64, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0.as_hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )*};
}

ids! {
    /// An event's name: a version 7 UUID, so ids sort by time.
    EventId,
    /// A delivery's name: a version 7 UUID.
    DeliveryId,
}

/// How something came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// What began it all: a request's execution, or the first event.
    pub root: Uuid,
    /// The event whose handler did it; `None` for a request, or from outside.
    pub parent: Option<EventId>,
    /// Events between the root and here.
    pub depth: u32,
}

impl Cause {
    /// A cause that has none itself.
    #[must_use]
    pub fn root(root: Uuid) -> Self {
        Self { root, parent: None, depth: 0 }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: EventId,
    pub on: EventType,
    /// A JSON object.
    pub fields: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    pub cause: Cause,
    /// The execution that did it, if one did.
    pub execution: Option<ExecutionId>,
}

/// One event for one handler, to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    pub id: DeliveryId,
    pub handler: String,
    /// The queue of its consumer, which may have a `*` in it; empty for what is
    /// no message.
    pub queue: String,
    /// While a delivery with this key waits or runs in the queue, another one
    /// with it is not written.
    pub key: Option<String>,
    pub due_at_ms: u64,
    pub max_attempts: u32,
}

/// An event with its deliveries, to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted {
    pub event: Event,
    pub deliveries: Vec<NewDelivery>,
}

/// The right to run a delivery and to acknowledge it, until somebody else
/// claims it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub delivery: DeliveryId,
    /// Counts the claims: the fencing token.
    pub token: i64,
}

/// A delivery to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub lease: Lease,
    pub app: AppId,
    pub event: Event,
    pub handler: String,
    pub queue: String,
    /// Counted from 1: the runs that have come to an end, and this one.
    pub attempt: u32,
    pub max_attempts: u32,
    /// Earlier claims of which nothing was heard again.
    pub lost: u64,
}

/// Where deliveries of one kind wait: an app's, or those of one of its queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    pub app: AppId,
    pub slug: AppSlug,
    /// Empty for what is no message.
    pub queue: String,
    /// When the first of them is due: Unix time in milliseconds.
    pub due_at_ms: u64,
}

/// A number of deliveries to be claimed from one lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub app: AppId,
    pub queue: String,
    pub limit: u32,
    /// How long they are leased, in milliseconds.
    pub lease_ms: u64,
}

/// What becomes of a delivery whose run has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is due again at this Unix time in milliseconds.
    Retry(u64),
    /// The same, and the run does not count as an attempt.
    HandBack(u64),
    /// It is a dead letter.
    Bury,
}

/// How full the whole outbox is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Deliveries that wait for their time, or run.
    pub waiting: u64,
    pub dead: u64,
    /// When the first that waits was or will be due: Unix time in milliseconds.
    pub oldest_due_ms: Option<u64>,
}

/// A delivery whose run has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub app: AppId,
    pub lease: Lease,
    pub error: ScriptError,
    pub then: Then,
    /// What that makes known, written with it.
    pub events: Vec<Emitted>,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It waits for its time, or its turn.
    Waiting,
    Running,
    Done,
    /// It has failed for good, and waits for somebody to look at it.
    Dead,
}

/// A delivery, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub id: DeliveryId,
    pub event: EventId,
    pub handler: String,
    pub queue: String,
    pub status: Status,
    /// When it is due, or its lease ends: Unix time in milliseconds.
    pub due_at_ms: Option<u64>,
    /// Runs that have come to an end.
    pub attempts: u32,
    pub max_attempts: u32,
    /// Why the last run failed.
    pub error: Option<ScriptError>,
    /// The fields that somebody has given it in place of the event's.
    pub fields: Option<String>,
}

/// An event with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub event: Event,
    pub deliveries: Vec<Delivery>,
}

/// How a queue stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueState {
    pub queue: String,
    pub waiting: u64,
    pub running: u64,
    pub dead: u64,
    /// When the first that waits was due: Unix time in milliseconds.
    pub oldest_due_ms: Option<u64>,
}

/// Keeps events and deliveries. They are written by
/// [`crate::UnitStore::commit`].
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Every lane in which something waits or runs, with the moment at which
    /// its first delivery is due (or its lease over).
    async fn lanes(&self) -> Result<Vec<Lane>, StoreError>;

    /// Leases deliveries that are due, the first due first. No delivery is
    /// leased twice at one time, whoever asks.
    async fn claim(&self, claims: &[Claim], now_ms: u64) -> Result<Vec<Claimed>, StoreError>;

    /// Puts off or buries deliveries that were claimed, and says how many of
    /// the leases still held; of the others nothing is changed.
    async fn fail(&self, failures: &[Failure]) -> Result<u64, StoreError>;

    /// Events of an app with their deliveries, newest first, from the first
    /// below `before`.
    async fn list(
        &self,
        app: AppId,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError>;

    /// One event with its deliveries.
    async fn find(&self, app: AppId, event: EventId) -> Result<Option<Recorded>, StoreError>;

    /// Every event of one root cause, in order, at most [`MAX_PER_ROOT`].
    async fn tree(&self, app: AppId, root: Uuid) -> Result<Vec<Recorded>, StoreError>;

    /// Dead letters with their events, newest first, from the first below
    /// `before`.
    async fn dead(
        &self,
        app: AppId,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<(Event, Delivery)>, StoreError>;

    /// One delivery with its event.
    async fn delivery(
        &self,
        app: AppId,
        delivery: DeliveryId,
    ) -> Result<Option<(Event, Delivery)>, StoreError>;

    /// Makes a dead letter due, with all its attempts before it, and with
    /// other fields if they are given. Whether it was a dead letter.
    async fn replay(
        &self,
        app: AppId,
        delivery: DeliveryId,
        fields: Option<&str>,
        now_ms: u64,
    ) -> Result<bool, StoreError>;

    /// Makes every dead letter of the app due, and says how many there were.
    async fn replay_all(&self, app: AppId, now_ms: u64) -> Result<u64, StoreError>;

    /// Removes a dead letter. Whether it was one.
    async fn discard(&self, app: AppId, delivery: DeliveryId) -> Result<bool, StoreError>;

    /// The queues of an app that hold anything.
    async fn queues(&self, app: AppId) -> Result<Vec<QueueState>, StoreError>;

    /// How full it is, over all apps.
    async fn depth(&self) -> Result<Depth, StoreError>;

    /// Removes up to `limit` events that are older than `before_ms` and have
    /// no delivery left to do or to look at. How many.
    async fn prune(&self, before_ms: u64, limit: u32) -> Result<u64, StoreError>;
}
