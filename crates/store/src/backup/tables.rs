//! What is backed up, table by table, and the statements for it.
//!
//! A row leaves either database as the same JSON object and comes back from
//! it. The statements are put together when this is compiled.

use picloud_shared::AppId;

/// A table, and how its rows are read and written.
#[derive(Clone, Copy)]
pub(crate) struct Table {
    pub name: &'static str,
    /// Empty for what is no table of its own.
    #[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "compared by a test"))]
    pub columns: &'static [&'static str],
    /// Whether it lies in SQLite's `history.db`.
    pub is_history: bool,
    pub sqlite: Statements,
    pub postgres: Statements,
}

impl Table {
    /// `get`, of this app's rows alone if it is to be of one.
    pub(crate) fn of(&self, get: &str, only: Option<AppId>) -> String {
        let Some(AppId(app)) = only else { return get.to_owned() };
        let column = if self.name == "apps" { "id" } else { "app_id" };
        format!("{get} WHERE {column} = {app}")
    }
}

/// `get` has each row as one text, a JSON object; `put` takes a JSON array of
/// them.
#[derive(Clone, Copy)]
pub(crate) struct Statements {
    pub get: &'static str,
    pub put: &'static str,
}

/// A table of these columns, each of a kind:
///
/// | kind | SQLite | PostgreSQL | in a backup |
/// |---|---|---|---|
/// | `int` | INTEGER | any integer | a number |
/// | `bool` | INTEGER | boolean | 0 or 1 |
/// | `text` | TEXT | text | a string |
/// | `document` | TEXT | jsonb | JSON within a string |
/// | `json` | JSONB | jsonb | JSON within a string |
/// | `bytes` | BLOB | bytea | hexadecimal digits |
/// | `uuid` | BLOB | uuid | hexadecimal digits |
///
/// JSON is within a string because an object's `null` would come back as no
/// value at all.
macro_rules! table {
    (history $name:ident $columns:tt) => { table!(@ true, $name $columns) };
    ($name:ident $columns:tt) => { table!(@ false, $name $columns) };
    (@ $is_history:literal, $name:ident
        { $first:ident: $kind:ident $(, $column:ident: $kinds:ident)* $(,)? }) => {
        Table {
            name: stringify!($name),
            columns: &[stringify!($first) $(, stringify!($column))*],
            is_history: $is_history,
            sqlite: Statements {
                get: concat!(
                    "SELECT json_object('", stringify!($first), "', ", sqlite_get!($kind $first)
                    $(, ", '", stringify!($column), "', ", sqlite_get!($kinds $column))*,
                    ") FROM ", stringify!($name)
                ),
                put: concat!(
                    "INSERT INTO ", stringify!($name), " (", stringify!($first)
                    $(, ", ", stringify!($column))*, ") SELECT ", sqlite_put!($kind $first)
                    $(, ", ", sqlite_put!($kinds $column))*, " FROM json_each(?1)"
                ),
            },
            postgres: Statements {
                get: concat!(
                    "SELECT json_build_object('", stringify!($first), "', ",
                    postgres_get!($kind $first)
                    $(, ", '", stringify!($column), "', ", postgres_get!($kinds $column))*,
                    ")::text FROM ", stringify!($name)
                ),
                put: concat!(
                    "INSERT INTO ", stringify!($name), " (", stringify!($first)
                    $(, ", ", stringify!($column))*, ") OVERRIDING SYSTEM VALUE SELECT ",
                    postgres_put!($kind $first) $(, ", ", postgres_put!($kinds $column))*,
                    " FROM json_to_recordset($1::json) AS r (", stringify!($first), " ",
                    postgres_type!($kind)
                    $(, ", ", stringify!($column), " ", postgres_type!($kinds))*, ")"
                ),
            },
        }
    };
}

macro_rules! sqlite_get {
    (bytes $column:ident) => {
        concat!("iif(", stringify!($column), " IS NULL, NULL, lower(hex(", stringify!($column), ")))")
    };
    (uuid $column:ident) => { sqlite_get!(bytes $column) };
    // Text put together is no longer JSON to `json_object`, but a string.
    (json $column:ident) => { concat!("json(", stringify!($column), ") || ''") };
    ($kind:ident $column:ident) => { stringify!($column) };
}

macro_rules! sqlite_put {
    (bytes $column:ident) => { concat!("unhex(value ->> '", stringify!($column), "')") };
    (uuid $column:ident) => { sqlite_put!(bytes $column) };
    (json $column:ident) => { concat!("jsonb(value ->> '", stringify!($column), "')") };
    ($kind:ident $column:ident) => { concat!("value ->> '", stringify!($column), "'") };
}

macro_rules! postgres_get {
    (bytes $column:ident) => { concat!("encode(", stringify!($column), ", 'hex')") };
    (uuid $column:ident) => { concat!("replace(", stringify!($column), "::text, '-', '')") };
    (json $column:ident) => { concat!(stringify!($column), "::text") };
    (document $column:ident) => { postgres_get!(json $column) };
    (bool $column:ident) => { concat!(stringify!($column), "::int") };
    ($kind:ident $column:ident) => { stringify!($column) };
}

macro_rules! postgres_put {
    (bytes $column:ident) => {
        concat!("decode(", stringify!($column), ", 'hex')")
    };
    (uuid $column:ident) => {
        concat!(stringify!($column), "::uuid")
    };
    // PostgreSQL's JSON cannot hold NUL, which is replaced as it is elsewhere: a
    // `\u0000` whose backslash is not itself escaped.
    (json $column:ident) => {
        concat!(
            "(CASE WHEN position('\\u0000' IN ",
            stringify!($column),
            ") = 0 THEN ",
            stringify!($column),
            " ELSE regexp_replace(",
            stringify!($column),
            ", '(?<!\\\\)((?:\\\\\\\\)*)\\\\u0000', '\\1\\\\ufffd', 'g') END)::jsonb"
        )
    };
    (document $column:ident) => {
        concat!(stringify!($column), "::jsonb")
    };
    (bool $column:ident) => {
        concat!(stringify!($column), " <> 0")
    };
    ($kind:ident $column:ident) => {
        stringify!($column)
    };
}

/// The type in which JSON has it.
macro_rules! postgres_type {
    (int) => {
        "bigint"
    };
    (bool) => {
        "bigint"
    };
    ($kind:ident) => {
        "text"
    };
}

/// Tables that are left out, and why: who is logged in, and links that were
/// given out, are no part of what is to be brought back.
#[cfg(feature = "testing")]
pub(crate) const OMITTED: &[&str] = &["sessions", "invites"];

/// Every table, in an order in which each comes after those it refers to.
pub(crate) static TABLES: &[Table] = &[
    NUMBERS,
    KV_SEQUENCE,
    FILES_SEQUENCE,
    table!(instance { name: text, value: text }),
    table!(apps { id: int, slug: text, created_at_ms: int, active_release: int, limits: document }),
    table!(users { id: int, name: text, role: text, password_hash: text, created_at_ms: int }),
    table!(tokens {
        id: int,
        digest: bytes,
        user_id: int,
        app_id: int,
        name: text,
        scope: text,
        created_at_ms: int,
        expires_at_ms: int,
        last_used_at_ms: int,
    }),
    table!(owner_limits { user_id: int, limits: text }),
    table!(members { app_id: int, user_id: int, role: text }),
    table!(domains {
        app_id: int,
        domain: text,
        token: text,
        created_at_ms: int,
        verified_at_ms: int,
    }),
    table!(audit {
        id: int,
        at_ms: int,
        actor: text,
        token: text,
        action: text,
        target: text,
        app_id: int,
        ip: text,
        status: int,
    }),
    table!(releases {
        app_id: int,
        number: int,
        created_at_ms: int,
        note: text,
        files: int,
        bytes: int,
    }),
    table!(blobs { app_id: int, hash: bytes, contents: bytes }),
    table!(release_files { app_id: int, number: int, path: text, hash: bytes, bytes: int }),
    table!(deploys {
        app_id: int,
        caller: text,
        key: text,
        number: int,
        request: bytes,
        answer: text,
        created_at_ms: int,
    }),
    table!(kv {
        app_id: int,
        collection: text,
        key: text,
        value: json,
        version: int,
        expires_at_ms: int,
        bytes: int,
    }),
    table!(kv_usage { app_id: int, bytes: int }),
    table!(files {
        app_id: int,
        bucket: text,
        path: text,
        hash: bytes,
        bytes: int,
        content_type: text,
        modified_ms: int,
        version: int,
    }),
    table!(files_usage { app_id: int, bytes: int }),
    table!(secrets { app_id: int, name: text, sealed: bytes, updated_at_ms: int }),
    table!(events {
        app_id: int,
        id: uuid,
        name: text,
        fields: text,
        at_ms: int,
        root: uuid,
        parent: uuid,
        depth: int,
        execution: uuid,
    }),
    table!(deliveries {
        app_id: int,
        id: uuid,
        event_id: uuid,
        handler: text,
        queue: text,
        key: text,
        status: int,
        due_at_ms: int,
        token: int,
        attempts: int,
        lost: int,
        max_attempts: int,
        error: text,
        fields: text,
    }),
    OUTBOX_USAGE,
    table!(usage {
        app_id: int,
        day: int,
        requests: int,
        invocations: int,
        failures: int,
        fuel: int,
        duration_us: int,
        host_calls: int,
        bytes_in: int,
        bytes_out: int,
        events: int,
        deliveries: int,
    }),
    table!(schedules {
        app_id: int,
        name: text,
        cron: text,
        paused: bool,
        last_fire_ms: int,
        due_ms: int,
    }),
    LOG_NUMBERS,
    table!(history executions {
        app_id: int,
        id: uuid,
        release: int,
        handler: text,
        cause: text,
        started_at_ms: int,
        duration_us: int,
        outcome: text,
        status: int,
        error: text,
        fuel: int,
        memory_bytes: int,
        host_calls: int,
        host_bytes: int,
        attempts: int,
        receipt: text,
    }),
    table!(history logs {
        seq: int,
        app_id: int,
        execution: uuid,
        at_ms: int,
        level: int,
        message: text,
        fields: text,
    }),
];

/// What a bundle of one app has, in this order: what makes it answer as it does
/// elsewhere. Left out are its members, tokens, domains and limits, which are of
/// the instance that it comes from; its history, usage and audit log, which tell
/// what happened there; and its outbox, which the original goes on to deliver.
pub(crate) const BUNDLED: &[&str] =
    &["apps", "secrets", "releases", "blobs", "release_files", "kv", "files", "schedules"];

/// The tables of a bundle. Of secrets there are only the names.
pub(crate) fn bundled() -> impl Iterator<Item = &'static Table> {
    BUNDLED.iter().filter_map(|&name| match name {
        "secrets" => Some(&SECRET_NAMES),
        _ => find(name),
    })
}

/// The table of this name.
pub(crate) fn find(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

/// What secrets are called. Their values are sealed with a key that another
/// instance has not got.
static SECRET_NAMES: Table = Table {
    name: "secrets",
    columns: &[],
    is_history: false,
    sqlite: Statements {
        get: "SELECT json_object('app_id', app_id, 'name', name) FROM secrets",
        put: "",
    },
    postgres: Statements {
        get: "SELECT json_build_object('app_id', app_id, 'name', name)::text FROM secrets",
        put: "",
    },
};

/// The last numbers given out, which are never given out twice. They come
/// before the rows: SQLite then only ever raises them.
const NUMBERS: Table = Table {
    name: "numbers",
    columns: &[],
    is_history: false,
    sqlite: Statements {
        get: "SELECT json_object('of', name, 'last', seq) FROM sqlite_sequence
              WHERE name IN ('apps', 'users', 'tokens', 'audit')",
        put: "INSERT INTO sqlite_sequence (name, seq)
              SELECT value ->> 'of', value ->> 'last' FROM json_each(?1)",
    },
    postgres: Statements {
        get: "SELECT json_build_object('of', name, 'last',
                  pg_sequence_last_value(pg_get_serial_sequence(name, 'id')::regclass))::text
              FROM unnest('{apps,users,tokens,audit}'::text[]) AS name
              WHERE pg_sequence_last_value(pg_get_serial_sequence(name, 'id')::regclass) > 0",
        put: "SELECT setval(seq, greatest(last, pg_sequence_last_value(seq), 1))
              FROM (SELECT pg_get_serial_sequence(r.of, 'id')::regclass AS seq, last
                    FROM json_to_recordset($1::json) AS r (of text, last bigint)) AS given",
    },
};

/// The same of `logs`, which SQLite has in another file.
const LOG_NUMBERS: Table = Table {
    name: "log_numbers",
    columns: &[],
    is_history: true,
    sqlite: Statements {
        get: "SELECT json_object('last', seq) FROM sqlite_sequence WHERE name = 'logs'",
        put: "INSERT INTO sqlite_sequence (name, seq)
              SELECT 'logs', value ->> 'last' FROM json_each(?1)",
    },
    postgres: Statements {
        get: "SELECT json_build_object('last', last)::text
              FROM (SELECT pg_sequence_last_value(
                        pg_get_serial_sequence('logs', 'seq')::regclass) AS last) AS of_logs
              WHERE last > 0",
        put: "SELECT setval(seq, greatest(last, pg_sequence_last_value(seq), 1))
              FROM (SELECT pg_get_serial_sequence('logs', 'seq')::regclass AS seq, last
                    FROM json_to_recordset($1::json) AS r (last bigint)) AS given",
    },
};

/// What the outbox of each app takes, which PostgreSQL counts in slots. It comes
/// after what it counts: SQLite's triggers find nothing to change before that.
const OUTBOX_USAGE: Table = Table {
    name: "outbox_usage",
    columns: &["app_id", "rows", "bytes"],
    is_history: false,
    sqlite: Statements {
        get: "SELECT json_object('app_id', app_id, 'rows', rows, 'bytes', bytes)
              FROM outbox_usage",
        put: "INSERT INTO outbox_usage (app_id, rows, bytes)
              SELECT value ->> 'app_id', value ->> 'rows', value ->> 'bytes' FROM json_each(?1)",
    },
    postgres: Statements {
        get: "SELECT json_build_object('app_id', apps.id, 'rows', coalesce(sum(u.rows), 0)::bigint,
                  'bytes', coalesce(sum(u.bytes), 0)::bigint)::text
              FROM apps LEFT JOIN outbox_usage AS u ON u.app_id = apps.id GROUP BY apps.id",
        put: "INSERT INTO outbox_usage (app_id, slot, rows, bytes)
              SELECT app_id, 0, rows, bytes
              FROM json_to_recordset($1::json) AS r (app_id bigint, rows bigint, bytes bigint)",
    },
};

/// The last version of an entry.
const KV_SEQUENCE: Table = Table {
    name: "kv_sequence",
    columns: &["last"],
    is_history: false,
    sqlite: Statements {
        get: "SELECT json_object('last', last) FROM kv_sequence",
        put: "UPDATE kv_sequence SET last = (SELECT value ->> 'last' FROM json_each(?1))",
    },
    postgres: Statements {
        get: "SELECT json_build_object('last', last_value)::text FROM kv_version",
        put: "SELECT setval('kv_version', greatest(r.last, last_value, 1))
              FROM json_to_recordset($1::json) AS r (last bigint), kv_version",
    },
};

/// The last version of a file.
const FILES_SEQUENCE: Table = Table {
    name: "files_sequence",
    columns: &["last"],
    is_history: false,
    sqlite: Statements {
        get: "SELECT json_object('last', last) FROM files_sequence",
        put: "UPDATE files_sequence SET last = (SELECT value ->> 'last' FROM json_each(?1))",
    },
    postgres: Statements {
        get: "SELECT json_build_object('last', last_value)::text FROM files_version",
        put: "SELECT setval('files_version', greatest(r.last, last_value, 1))
              FROM json_to_recordset($1::json) AS r (last bigint), files_version",
    },
};
