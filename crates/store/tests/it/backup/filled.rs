//! Something in every table.

use picloud_shared::access::{AppRole, NewInvite, NewToken, Purpose, Scope};
use picloud_shared::audit::Change;
use picloud_shared::domain::Token;
use picloud_shared::execution::Execution;
use picloud_shared::files::{self, Contents as _, Info};
use picloud_shared::idempotency::{Idempotency, NewDeploy};
use picloud_shared::kv::{Seen, WriteSet};
use picloud_shared::outbox::{Cause, DeliveryId, Emitted, Event, EventId, NewDelivery};
use picloud_shared::owner::OwnerLimitOverrides;
use picloud_shared::receipt::Commit;
use picloud_shared::schedule::Planned;
use picloud_shared::trigger::EventType;
use picloud_shared::unit;
use picloud_shared::usage::{Counters, Day, Used};
use picloud_shared::{AppId, BlobHash, InstanceRole, LimitOverrides, NewRelease, UserId};
use picloud_store::{DirContents, Stores};
use uuid::Uuid;

use crate::support::{
    NOW, PLENTY, app, commit, commit_kv, entry, execution, line, quotas, set, set_until, value,
};

const HELLO: &str = "hello";

/// Fills every table.
pub(super) async fn fill(stores: &Stores, contents: &DirContents) {
    stores.remember("master key", "fingerprint").await.unwrap();
    let anna = user(stores, "anna", 1).await;
    let slug = "shop".parse().unwrap();
    let shop = stores.apps.create(&slug, Some(anna), NOW).await.unwrap().id;
    let blog = app(stores, "blog").await.id;
    // Its number is given to nobody else.
    let gone = app(stores, "gone").await.id;
    stores.apps.delete(gone).await.unwrap();
    let limits = LimitOverrides { fuel: Some(7), ..LimitOverrides::default() };
    stores.apps.set_limits(shop, &limits).await.unwrap();
    let bert = user(stores, "bert", 2).await;
    stores.members.set(blog, bert, AppRole::Owner).await.unwrap();
    stores.tokens.create(&token(anna, 3, None), 9).await.unwrap();
    stores.tokens.create(&token(anna, 4, Some(shop)), 9).await.unwrap();
    let limits = OwnerLimitOverrides { apps: Some(3), ..OwnerLimitOverrides::default() };
    stores.owners.set_limits(anna, &limits).await.unwrap();
    let domain = "shop.example".parse().unwrap();
    stores.domains.claim(shop, &domain, &Token::new([7; 16]), NOW).await.unwrap();
    stores.domains.verify(shop, &domain, NOW + 1).await.unwrap();
    stores.usage.add(&[used(shop)]).await.unwrap();
    change(stores, shop).await;

    stores.releases.create(shop, &release("1 + 1")).await.unwrap();
    stores.releases.create(shop, &release("\0\u{1F980} é")).await.unwrap();
    entries(stores, shop).await;
    commit(stores, blog, [set("c", "k", Seen::Unread, "\"blog's\"")]).await.unwrap();
    put_file(stores, contents, shop, "a.txt", HELLO).await;
    put_file(stores, contents, shop, "same.txt", HELLO).await;
    put_file(stores, contents, blog, "empty", "").await;
    stores.secrets.set(shop, &"KEY".parse().unwrap(), b"\0sealed\xff", NOW).await.unwrap();
    let events = vec![emitted(1, None), emitted(2, Some("once"))];
    let write_set = unit::WriteSet { events, ..WriteSet::default().into() };
    stores.units.commit(shop, write_set, quotas(PLENTY, PLENTY), NOW).await.unwrap();
    let first = Execution { commit: Some(Commit::default()), ..execution(shop, 1) };
    let lines = [line(shop, first.id, "a\nb \"c\""), line(gone, first.id, "of nobody")];
    stores.executions.record(&[first], &lines).await.unwrap();
}

/// Looks at a copy through the ports, and goes on with it.
pub(super) async fn check(stores: &Stores, contents: &DirContents) {
    let shop = stores.apps.find(&"shop".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(shop.limits.fuel, Some(7));
    let number = shop.active_release.unwrap();
    assert_eq!(number.0, 2);
    let files = stores.releases.files(shop.id, number).await.unwrap();
    assert!(!files.is_empty());
    assert_eq!(value(stores, shop.id, "c", "null").await.as_deref(), Some("null"));
    let soon = entry(stores, shop.id, "c", "soon").await.unwrap();
    assert_eq!(soon.expires_at_ms, Some(NOW + 1_000));
    assert_eq!(
        contents.read(shop.id, BlobHash::of(HELLO.as_bytes())).await.unwrap().as_deref(),
        Some(HELLO.as_bytes())
    );

    let claim = stores.domains.find(shop.id, &"shop.example".parse().unwrap()).await.unwrap();
    assert_eq!(claim.unwrap().verified_at_ms, Some(NOW + 1));
    assert_eq!(stores.usage.days(&[shop.id], Day(0)).await.unwrap(), [used(shop.id)]);
    let storage = stores.usage.storage(&[shop.id]).await.unwrap();
    assert_eq!(storage[0].1.outbox_rows, 2);

    // Nothing is given out twice, and usage is counted on.
    let next = app(stores, "next").await;
    assert_eq!(next.id.0, 4, "the number of a deleted app is not given out again");
    let before = stores.kv.usage(shop.id, NOW).await.unwrap();
    let write_set = WriteSet { clears: vec![], writes: vec![set("d", "k", Seen::Absent, "12")] };
    assert_eq!(commit_kv(stores, shop.id, write_set, PLENTY, NOW).await.unwrap(), before + 4);
    let written = entry(stores, shop.id, "d", "k").await.unwrap();
    assert!(written.version > soon.version);
    assert!(user(stores, "carl", 9).await.0 > 2);
    change(stores, shop.id).await;
    let again = execution(shop.id, 2);
    let lines = [line(shop.id, again.id, "again")];
    stores.executions.record(&[again], &lines).await.unwrap();
    put_file(stores, contents, shop.id, "a.txt", "hello again").await;
    assert_eq!(stores.outbox.lanes().await.unwrap().len(), 1);
    stores.secrets.set(next.id, &"KEY".parse().unwrap(), b"x", NOW).await.unwrap();
}

fn used(app: AppId) -> Used {
    let counters = Counters { requests: 3, fuel: 1 << 40, ..Counters::default() };
    Used { app, day: Day(20_000), counters }
}

async fn entries(stores: &Stores, app: AppId) {
    let writes = [
        set("c", "null", Seen::Unread, "null"),
        set("c", "text", Seen::Unread, "\"a\\nb é \\\"\u{1F980}\""),
        set("c", "number", Seen::Unread, "9007199254740993"),
        set("c", "float", Seen::Unread, "1.5"),
        set("c", "object", Seen::Unread, "{\"a\":[1,null,{\"b\":\"row\"}]}"),
        set("c", "%_'\"; DROP TABLE kv", Seen::Unread, "[]"),
        set_until("c", "soon", Seen::Unread, "true", Some(NOW + 1_000)),
    ];
    for write in writes {
        commit(stores, app, [write]).await.unwrap();
    }
}

async fn user(stores: &Stores, name: &str, n: u8) -> UserId {
    let invite = NewInvite {
        digest: [n; 32],
        purpose: Purpose::Join { role: InstanceRole::Member },
        created_at_ms: NOW,
        expires_at_ms: NOW + 1_000,
    };
    stores.invites.create(&invite).await.unwrap();
    let name = name.parse().unwrap();
    let made = stores.invites.accept(&[n; 32], Some(&name), "hash", NOW).await.unwrap();
    made.unwrap().id
}

fn token(user: UserId, n: u8, app: Option<AppId>) -> NewToken {
    NewToken {
        user,
        digest: [n; 32],
        name: "laptop".to_owned(),
        scope: Scope::Deploy,
        app,
        created_at_ms: NOW,
        expires_at_ms: None,
    }
}

async fn change(stores: &Stores, app: AppId) {
    let change = Change {
        at_ms: NOW,
        actor: "anna".to_owned(),
        token: None,
        action: "app_delete".to_owned(),
        target: "/apps/x".to_owned(),
        app: Some(app),
        ip: "2001:db8::1".parse().unwrap(),
    };
    stores.audit.begin(&change).await.unwrap();
}

fn release(script: &str) -> NewRelease {
    let cron = "0 4 * * *".to_owned();
    let schedule = Planned { name: "daily".to_owned(), cron, due_ms: Some(NOW + 5_000) };
    let idempotency = Idempotency { caller: "anna".to_owned(), key: script_key(script) };
    let (request, answer) = (BlobHash::of(script.as_bytes()), "{}".to_owned());
    NewRelease {
        activate: true,
        note: "a \"note\"".to_owned(),
        created_at_ms: NOW,
        files: [
            ("index.rhai".to_owned(), script.to_owned().into()),
            ("public/a.bin".to_owned(), vec![0, 255, 10].into()),
            ("public/empty".to_owned(), vec![].into()),
        ]
        .into(),
        derived_from: None,
        deploy: Some(NewDeploy { idempotency, request, answer }),
        schedules: vec![schedule],
        quota_bytes: PLENTY,
    }
}

fn script_key(script: &str) -> picloud_shared::idempotency::IdempotencyKey {
    format!("key-{}", script.len()).parse().unwrap()
}

fn emitted(n: u8, key: Option<&str>) -> Emitted {
    let at_ms = NOW + u64::from(n);
    Emitted {
        event: Event {
            id: EventId::new(at_ms, [n; 10]),
            on: EventType::QueueMessage,
            fields: "{\"queue\":\"mail\",\"payload\":null}".to_owned(),
            at_ms,
            cause: Cause::root(Uuid::from_bytes([n; 16])),
            execution: None,
        },
        deliveries: vec![NewDelivery {
            id: DeliveryId::new(at_ms, [n; 10]),
            handler: "on.rhai".to_owned(),
            queue: "mail".to_owned(),
            key: key.map(str::to_owned),
            due_at_ms: NOW,
            max_attempts: 8,
        }],
    }
}

/// Puts a file as an invocation does: its bytes first, then what is known of it.
pub(super) async fn put_file(
    stores: &Stores,
    contents: &DirContents,
    app: AppId,
    path: &str,
    text: &str,
) -> BlobHash {
    let staged = contents.stage(app, text.to_owned().into()).await.unwrap();
    staged.keep().await.unwrap();
    let info = Info {
        bytes: staged.bytes(),
        hash: staged.hash(),
        content_type: "text/plain".to_owned(),
        modified_ms: NOW,
    };
    write_file(stores, app, path, files::Change::Put(info)).await;
    staged.hash()
}

pub(super) async fn delete_file(stores: &Stores, app: AppId, path: &str) {
    write_file(stores, app, path, files::Change::Delete).await;
}

async fn write_file(stores: &Stores, app: AppId, path: &str, change: files::Change) {
    let (bucket, path) = ("b".parse().unwrap(), path.parse().unwrap());
    let write = files::Write { bucket, path, seen: Seen::Unread, change };
    let write_set = unit::WriteSet { files: vec![write], ..unit::WriteSet::default() };
    stores.units.commit(app, write_set, quotas(PLENTY, PLENTY), NOW).await.unwrap();
}

/// Text that compresses badly, the same each time.
pub(super) fn noise(bytes: usize) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap())
    };
    (0..bytes).map(|_| next()).collect()
}
