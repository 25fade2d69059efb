//! Decides what a batch of write-sets does, without touching the database.
//!
//! The batch is one database transaction, and nobody else writes meanwhile. So
//! it is enough to know the rows that it touches as they were when it began:
//! each write-set is judged against them and against what the write-sets before
//! it did, and the database only hears of the outcome. However many write-sets
//! there are, the statements are the same few, and one that is refused leaves
//! nothing to undo.

use std::collections::{BTreeSet, HashMap, HashSet};

use picloud_shared::kv::{Change, Collection, Key, Seen, Write, WriteSet};
use picloud_shared::outbox::{DeliveryId, Emitted, Lease};
use picloud_shared::unit::Quotas;
use picloud_shared::{AppId, Quota, ScriptError};
use uuid::Uuid;

use crate::outbox_row;

/// One write-set with what it is judged by.
#[derive(Debug)]
pub(super) struct Member {
    pub app: AppId,
    pub write_set: WriteSet,
    pub events: Vec<Emitted>,
    pub ack: Option<Lease>,
    pub quotas: Quotas,
    pub now_ms: u64,
}

pub(super) type EntryId<'a> = (AppId, &'a Collection, &'a Key);
pub(super) type CollectionId<'a> = (AppId, &'a Collection);

/// The part of the database that a batch touches, as it was when it began.
#[derive(Debug, Default)]
pub(super) struct Snapshot<'a> {
    /// The rows there are of the entries that the batch writes.
    pub rows: HashMap<EntryId<'a>, Row>,
    /// Bytes that each of the batch's apps uses. An app not in here is gone.
    pub usage: HashMap<AppId, u64>,
    /// Bytes of each collection that the batch clears.
    pub collections: HashMap<CollectionId<'a>, u64>,
    /// The last token of each delivery that runs, of those that the batch
    /// acknowledges.
    pub tokens: HashMap<(AppId, DeliveryId), i64>,
    /// Deliveries of each app whose outbox the batch adds to, and bytes of
    /// their events.
    pub outbox: HashMap<AppId, (u64, u64)>,
    /// Events of each root cause that the batch adds to.
    pub roots: HashMap<(AppId, Uuid), u64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// `None` if this very batch wrote it: nobody can have seen it yet.
    pub version: Option<i64>,
    pub bytes: u64,
    pub expires_at_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Conflict,
    QuotaExceeded(Quota),
    Superseded,
}

/// What becomes of the batch.
#[derive(Debug, Default)]
pub(super) struct Plan<'a> {
    /// For each member, its app's usage afterwards or why it was refused.
    pub answers: Vec<Result<u64, Refusal>>,
    /// To be emptied first.
    pub clears: BTreeSet<CollectionId<'a>>,
    /// To be written or, without a value, deleted: in any order.
    pub writes: HashMap<EntryId<'a>, Option<Set<'a>>>,
    /// Apps' usage where it changed.
    pub usage: HashMap<AppId, u64>,
    /// Deliveries that are done.
    pub acks: Vec<(AppId, Lease)>,
    /// To be written, each with the reason why it is not to go further.
    pub events: Vec<(AppId, &'a Emitted, Option<ScriptError>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Set<'a> {
    pub value: &'a str,
    pub expires_at_ms: Option<u64>,
    pub bytes: u64,
}

/// The entries that a batch writes, each once.
pub(super) fn entries(batch: &[Member]) -> HashSet<EntryId<'_>> {
    batch.iter().flat_map(|m| m.write_set.writes.iter().map(|w| id(m.app, w))).collect()
}

/// The collections that a batch clears, each once.
pub(super) fn clears(batch: &[Member]) -> BTreeSet<CollectionId<'_>> {
    batch.iter().flat_map(|m| m.write_set.clears.iter().map(|c| (m.app, c))).collect()
}

/// The deliveries that a batch acknowledges.
pub(super) fn acks(batch: &[Member]) -> Vec<(AppId, Lease)> {
    batch.iter().filter_map(|member| Some((member.app, member.ack?))).collect()
}

/// The apps whose outbox a batch adds to, each once.
pub(super) fn senders(batch: &[Member]) -> BTreeSet<AppId> {
    batch.iter().filter(|member| !member.events.is_empty()).map(|member| member.app).collect()
}

/// The root causes of a batch's events that are not the first of theirs, each once.
pub(super) fn roots(batch: &[Member]) -> HashSet<(AppId, Uuid)> {
    batch
        .iter()
        .flat_map(|member| member.events.iter().map(|emitted| (member.app, &emitted.event.cause)))
        .filter(|(_, cause)| cause.depth > 0)
        .map(|(app, cause)| (app, cause.root))
        .collect()
}

/// Judges the members in their order.
pub(super) fn plan<'a>(batch: &'a [Member], mut now: Snapshot<'a>) -> Plan<'a> {
    let mut plan = Plan::default();
    for member in batch {
        let answer = judge(member, &now);
        if let Ok(usage) = answer {
            apply(member, &mut now, &mut plan);
            if now.usage.insert(member.app, usage) != Some(usage) {
                plan.usage.insert(member.app, usage);
            }
        }
        plan.answers.push(answer);
    }
    plan
}

/// The app's usage if the member is applied.
fn judge(member: &Member, now: &Snapshot<'_>) -> Result<u64, Refusal> {
    let Member { app, write_set, ack, quotas, now_ms, .. } = member;
    let has_lease = |lease: &Lease| now.tokens.get(&(*app, lease.delivery)) == Some(&lease.token);
    if !ack.as_ref().is_none_or(has_lease) {
        return Err(Refusal::Superseded);
    }
    // An app deleted meanwhile is a change by somebody else like any other.
    let before = *now.usage.get(app).ok_or(Refusal::Conflict)?;
    let mut freed = 0;
    let mut added = 0;
    for collection in clears(std::slice::from_ref(member)) {
        freed += now.collections.get(&collection).copied().unwrap_or(0);
    }
    for write in &write_set.writes {
        let row = now.rows.get(&id(*app, write));
        let live = row.filter(|row| row.expires_at_ms.is_none_or(|at| at > *now_ms));
        let holds = match write.seen {
            Seen::Unread => true,
            Seen::Absent => live.is_none(),
            Seen::Version(seen) => live.is_some_and(|row| row.version == Some(seen)),
        };
        if !holds {
            return Err(Refusal::Conflict);
        }
        if !write_set.clears.contains(&write.collection) {
            freed += row.map_or(0, |row| row.bytes);
        }
        added += set(write).map_or(0, |set| set.bytes);
    }
    let after = (before + added).saturating_sub(freed);
    if after > before && after > quotas.kv_bytes {
        return Err(Refusal::QuotaExceeded(Quota::Kv));
    }
    if !member.events.is_empty() {
        let (rows, bytes) = outbox_after(member, now);
        let (max_rows, max_bytes) = quotas.outbox(ack.is_some());
        if rows > max_rows || bytes > max_bytes {
            return Err(Refusal::QuotaExceeded(Quota::Outbox));
        }
    }
    Ok(after)
}

/// What the app's outbox holds if the member is applied, none of its messages
/// being there already.
fn outbox_after(member: &Member, now: &Snapshot<'_>) -> (u64, u64) {
    let (mut rows, mut bytes) = now.outbox.get(&member.app).copied().unwrap_or_default();
    for Emitted { event, deliveries } in &member.events {
        rows += deliveries.len() as u64;
        bytes += event.fields.len() as u64;
    }
    (rows, bytes)
}

fn apply<'a>(member: &'a Member, now: &mut Snapshot<'a>, plan: &mut Plan<'a>) {
    if let Some(lease) = member.ack {
        now.tokens.remove(&(member.app, lease.delivery));
        plan.acks.push((member.app, lease));
    }
    if !member.events.is_empty() {
        now.outbox.insert(member.app, outbox_after(member, now));
    }
    for emitted in &member.events {
        let of_root = now.roots.entry((member.app, emitted.event.cause.root)).or_default();
        let stopped = outbox_row::stopped(&emitted.event, *of_root);
        *of_root += 1;
        plan.events.push((member.app, emitted, stopped));
    }
    for collection in &member.write_set.clears {
        let cleared = (member.app, collection);
        now.rows.retain(|(app, of, _), _| (*app, *of) != cleared);
        plan.writes.retain(|(app, of, _), _| (*app, *of) != cleared);
        now.collections.insert(cleared, 0);
        plan.clears.insert(cleared);
    }
    for write in &member.write_set.writes {
        let entry = id(member.app, write);
        let set = set(write);
        let row = set.map(|set| Row {
            version: None,
            bytes: set.bytes,
            expires_at_ms: set.expires_at_ms,
        });
        let old = match row {
            Some(row) => now.rows.insert(entry, row),
            None => now.rows.remove(&entry),
        };
        if let Some(bytes) = now.collections.get_mut(&(member.app, &write.collection)) {
            *bytes += row.map_or(0, |row| row.bytes);
            *bytes = bytes.saturating_sub(old.map_or(0, |row| row.bytes));
        }
        plan.writes.insert(entry, set);
    }
}

fn id(app: AppId, write: &Write) -> EntryId<'_> {
    (app, &write.collection, &write.key)
}

pub(super) fn set(write: &Write) -> Option<Set<'_>> {
    match &write.change {
        Change::Delete => None,
        Change::Set { value, expires_at_ms } => {
            let texts = [write.collection.as_str(), write.key.as_str(), value];
            let bytes = texts.iter().map(|text| text.len() as u64).sum();
            Some(Set { value, expires_at_ms: *expires_at_ms, bytes })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: AppId = AppId(1);

    fn write(key: &str, seen: Seen, value: Option<&str>) -> Write {
        let change = value.map_or(Change::Delete, |value| Change::Set {
            value: value.to_owned(),
            expires_at_ms: None,
        });
        Write { collection: "c".parse().unwrap(), key: key.parse().unwrap(), seen, change }
    }

    fn member(clears: bool, writes: Vec<Write>) -> Member {
        let clears = if clears { vec!["c".parse().unwrap()] } else { vec![] };
        Member {
            app: APP,
            write_set: WriteSet { clears, writes },
            events: vec![],
            ack: None,
            quotas: Quotas { kv_bytes: 10, file_bytes: 0, outbox_rows: 10, outbox_bytes: 100 },
            now_ms: 100,
        }
    }

    /// Plans a batch over one stored entry, `old` of 4 bytes at version 7.
    fn check(batch: &[Member], answers: &[Result<u64, Refusal>], writes: &[(&str, Option<&str>)]) {
        let old = write("old", Seen::Unread, None);
        let row = Row { version: Some(7), bytes: 4, expires_at_ms: None };
        let now = Snapshot {
            rows: HashMap::from([(id(APP, &old), row)]),
            usage: HashMap::from([(APP, 4)]),
            collections: HashMap::from([((APP, &old.collection), 4)]),
            ..Snapshot::default()
        };
        // The snapshot borrows from its own entry, the plan from the batch.
        let plan = plan(batch, now);
        assert_eq!(plan.answers, answers);
        let mut planned: Vec<_> =
            plan.writes.iter().map(|(e, set)| (e.2.as_str(), set.map(|set| set.value))).collect();
        planned.sort_unstable();
        assert_eq!(planned, writes);
    }

    #[test]
    fn later_members_see_what_earlier_ones_did() {
        check(
            &[
                member(false, vec![write("k", Seen::Absent, Some("1"))]),
                member(false, vec![write("k", Seen::Absent, Some("2"))]),
                member(false, vec![write("old", Seen::Version(7), Some("3"))]),
                member(false, vec![write("old", Seen::Version(7), Some("4"))]),
                member(false, vec![write("k", Seen::Unread, Some("55"))]),
            ],
            &[Ok(7), Err(Refusal::Conflict), Ok(8), Err(Refusal::Conflict), Ok(9)],
            &[("k", Some("55")), ("old", Some("3"))],
        );
    }

    #[test]
    fn a_refused_member_leaves_nothing_behind() {
        check(
            &[
                member(
                    true,
                    vec![write("a", Seen::Unread, Some("1")), write("b", Seen::Version(1), None)],
                ),
                member(false, vec![write("old", Seen::Version(7), None)]),
            ],
            &[Err(Refusal::Conflict), Ok(0)],
            &[("old", None)],
        );
    }

    #[test]
    fn the_quota_binds_only_what_grows() {
        check(
            &[
                member(false, vec![write("big", Seen::Unread, Some("1234567"))]),
                member(false, vec![write("k", Seen::Unread, Some("1234"))]),
                member(false, vec![write("k", Seen::Unread, Some("12345"))]),
                member(false, vec![write("old", Seen::Unread, None)]),
                member(true, vec![write("k", Seen::Unread, Some("12345678"))]),
            ],
            &[
                Err(Refusal::QuotaExceeded(Quota::Kv)),
                Ok(10),
                Err(Refusal::QuotaExceeded(Quota::Kv)),
                Ok(6),
                Ok(10),
            ],
            &[("k", Some("12345678"))],
        );
    }

    #[test]
    fn a_clear_frees_the_collection_once() {
        check(
            &[
                member(false, vec![write("k", Seen::Unread, Some("1"))]),
                member(true, vec![]),
                member(true, vec![]),
                member(false, vec![write("k", Seen::Absent, Some("2"))]),
            ],
            &[Ok(7), Ok(0), Ok(0), Ok(3)],
            &[("k", Some("2"))],
        );
    }

    #[test]
    fn what_was_seen_was_seen_before_the_clears() {
        check(
            &[
                member(true, vec![write("old", Seen::Version(7), Some("1"))]),
                member(true, vec![write("old", Seen::Absent, Some("2"))]),
            ],
            &[Ok(5), Err(Refusal::Conflict)],
            &[("old", Some("1"))],
        );
    }

    #[test]
    fn a_delivery_is_acknowledged_once_and_by_the_last_who_claimed_it() {
        let delivery = DeliveryId(Uuid::from_u128(1));
        let acks = |token, value| Member {
            ack: Some(Lease { delivery, token }),
            ..member(false, vec![write("k", Seen::Unread, Some(value))])
        };
        let batch = [acks(1, "1"), acks(2, "2"), acks(2, "3")];
        let now = Snapshot {
            usage: HashMap::from([(APP, 0)]),
            tokens: HashMap::from([((APP, delivery), 2)]),
            ..Snapshot::default()
        };
        let plan = plan(&batch, now);
        let superseded = Err(Refusal::Superseded);
        assert_eq!(plan.answers, [superseded, Ok(3), superseded]);
        assert_eq!(plan.writes.values().flatten().map(|set| set.value).collect::<Vec<_>>(), ["2"]);
        assert_eq!(plan.acks, [(APP, Lease { delivery, token: 2 })]);
    }

    #[test]
    fn an_app_that_is_gone_is_a_conflict() {
        let batch = [member(false, vec![write("k", Seen::Unread, Some("1"))])];
        let plan = plan(&batch, Snapshot::default());
        assert_eq!(plan.answers, [Err(Refusal::Conflict)]);
        assert!(plan.writes.is_empty());
    }
}
