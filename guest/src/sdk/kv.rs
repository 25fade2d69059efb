//! `kv::`: JSON values under a collection and a key.

use std::rc::Rc;

use rhai::{Array, Dynamic, EvalAltResult, FnPtr, ImmutableString, Map, NativeCallContext};

use super::arguments::call_back;
use super::options::Options;
use super::page::{self, Range};
use super::{Host, Namespace, Registrar, Result, Shared, json, throw, type_name};

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "kv", doc: "JSON values under a collection and a key.", register };

/// What the caller did wrong, or has run out of. A script can catch these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    InvalidCollection(String),
    InvalidKey(String),
    InvalidValue(String),
    ValueTooLarge(String),
    QuotaExceeded(String),
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys and their values as JSON, in the order of the keys' bytes.
    pub entries: Vec<(String, String)>,
    /// The key to pass as `after` for the next page; `None` on the last.
    pub next: Option<String>,
}

/// What `kv::collection` returns.
#[derive(Clone)]
struct Collection {
    context: Shared,
    name: ImmutableString,
}

fn register(to: &mut Registrar<'_>, context: &Shared) {
    to.value::<Collection>("kv collection");
    let ctx = Rc::clone(context);
    to.function(
        "collection(name) -> collection",
        "A collection of entries. It exists as soon as something is in it.",
        move |name: ImmutableString| Collection { context: Rc::clone(&ctx), name },
    );
    register_entries(to);
    register_updates(to);
    register_lists(to);
}

fn register_entries(to: &mut Registrar<'_>) {
    to.method(
        "get(key) -> value",
        "The entry's value; `()` if there is none.",
        |c: &mut Collection, key: ImmutableString| c.get(&key),
    );
    to.method(
        "get_or(key, default) -> value",
        "The entry's value; the default if there is none.",
        |c: &mut Collection, key: ImmutableString, default: Dynamic| -> Result<Dynamic> {
            Ok(c.read(&key)?.unwrap_or(default))
        },
    );
    to.method(
        "has(key) -> bool",
        "Whether there is such an entry.",
        |c: &mut Collection, key: ImmutableString| -> Result<bool> {
            Ok(c.host()?.kv_get(&c.name, &key)?.is_some())
        },
    );
    to.method(
        "set(key, value)",
        "Writes the entry; what JSON can say can be a value, up to 64 KiB of it.",
        |c: &mut Collection, key: ImmutableString, value: Dynamic| c.write(&key, &value, None),
    );
    to.method(
        "set(key, value, #{ttl})",
        "Writes the entry; after `ttl` seconds it ceases to exist.",
        |c: &mut Collection, key: ImmutableString, value: Dynamic, options: Map| {
            let ttl_s = Options::new("kv", options, &["ttl"])?.positive("ttl")?;
            c.write(&key, &value, ttl_s)
        },
    );
    to.method(
        "delete(key) -> bool",
        "Deletes the entry and tells whether there was one.",
        |c: &mut Collection, key: ImmutableString| -> Result<bool> {
            Ok(c.host()?.kv_delete(&c.name, &key)?)
        },
    );
    to.method(
        "count() -> int",
        "How many entries there are.",
        |c: &mut Collection| -> Result<i64> { Ok(c.host()?.kv_count(&c.name)?.cast_signed()) },
    );
    to.method(
        "clear()",
        "Deletes every entry of the collection.",
        |c: &mut Collection| -> Result<()> { Ok(c.host()?.kv_clear(&c.name)?) },
    );
}

fn register_updates(to: &mut Registrar<'_>) {
    to.method(
        "incr(key) -> int",
        "Adds 1 to the entry, an integer, and returns the sum; no entry counts as 0.",
        |c: &mut Collection, key: ImmutableString| c.increment(&key, 1),
    );
    to.method(
        "incr(key, n) -> int",
        "Adds n, which may be negative, and returns the sum.",
        |c: &mut Collection, key: ImmutableString, n: i64| c.increment(&key, n),
    );
    to.method(
        "update(key, |value| …) -> value",
        "Writes what the function makes of the entry's value, `()` if there is no entry, and \
         returns it; a function that returns `()` deletes the entry.",
        |ctx: NativeCallContext<'_>, c: &mut Collection, key: ImmutableString, f: FnPtr| {
            let old = c.get(&key)?;
            let new = call_back(&ctx, "kv", "update", &f, old)?;
            if new.is_unit() {
                c.host()?.kv_delete(&c.name, &key)?;
            } else {
                c.write(&key, &new, None)?;
            }
            Ok::<_, Box<EvalAltResult>>(new)
        },
    );
}

fn register_lists(to: &mut Registrar<'_>) {
    macro_rules! lists {
        ($name:literal, $page:ident, $all:literal, $some:literal) => {
            to.method(
                concat!($name, "() -> #{items, next}"),
                concat!("The first 100 ", $all, ", in the order of the keys."),
                |c: &mut Collection| $page(c, &Range::default()),
            );
            to.method(
                concat!($name, "(prefix) -> #{items, next}"),
                concat!("The first 100 ", $some, " start with the prefix."),
                |c: &mut Collection, prefix: ImmutableString| $page(c, &Range::of_prefix(&prefix)),
            );
            to.method(
                concat!($name, "(#{prefix, after, limit}) -> #{items, next}"),
                concat!(
                    "At most `limit` (1 to 1000) ",
                    $some,
                    " come after `after`, which is `next` of the page before; `next` is `()` on \
                     the last page."
                ),
                |c: &mut Collection, options: Map| $page(c, &Range::from_options("kv", options)?),
            );
        };
    }
    lists!("list", list, "entries, each as `#{key, value}`", "entries whose keys");
    lists!("keys", keys, "keys", "keys that");
}

impl Collection {
    fn host(&self) -> Result<&dyn Host> {
        self.context.host("kv")
    }

    fn read(&self, key: &str) -> Result<Option<Dynamic>> {
        match self.host()?.kv_get(&self.name, key)? {
            Some(text) => Ok(Some(json::parse("kv", "invalid_value", text.as_bytes())?)),
            None => Ok(None),
        }
    }

    fn get(&self, key: &str) -> Result<Dynamic> {
        Ok(self.read(key)?.unwrap_or_default())
    }

    fn write(&self, key: &str, value: &Dynamic, ttl_s: Option<u64>) -> Result<()> {
        let text = json::to_text("kv", value)?;
        Ok(self.host()?.kv_set(&self.name, key, &text, ttl_s)?)
    }

    fn increment(&self, key: &str, n: i64) -> Result<i64> {
        let old = self.read(key)?.unwrap_or(Dynamic::ZERO);
        let Ok(number) = old.as_int() else {
            let message = format!("incr needs an integer; \"{key}\" holds a {}", type_name(&old));
            return Err(throw("kv", "not_an_integer", message));
        };
        let Some(sum) = number.checked_add(n) else {
            let message = format!("\"{key}\" would no longer fit an integer");
            return Err(throw("kv", "overflow", message));
        };
        self.write(key, &sum.into(), None)?;
        Ok(sum)
    }

    fn fetch(&self, range: &Range) -> Result<Page> {
        let Range { prefix, after, limit } = range;
        Ok(self.host()?.kv_list(&self.name, prefix, after.as_deref(), *limit)?)
    }
}

fn list(c: &mut Collection, range: &Range) -> Result<Map> {
    let page = c.fetch(range)?;
    let mut items = Array::with_capacity(page.entries.len());
    for (key, value) in page.entries {
        let value = json::parse("kv", "invalid_value", value.as_bytes())?;
        items.push(Map::from([("key".into(), key.into()), ("value".into(), value)]).into());
    }
    Ok(page::page(items, page.next))
}

fn keys(c: &mut Collection, range: &Range) -> Result<Map> {
    let page = c.fetch(range)?;
    let items = page.entries.into_iter().map(|(key, _)| key.into()).collect();
    Ok(page::page(items, page.next))
}

/// What a script catches.
impl From<Error> for Box<EvalAltResult> {
    fn from(error: Error) -> Self {
        let (code, message) = match error {
            Error::InvalidCollection(message) => ("invalid_collection", message),
            Error::InvalidKey(message) => ("invalid_key", message),
            Error::InvalidValue(message) => ("invalid_value", message),
            Error::ValueTooLarge(message) => ("value_too_large", message),
            Error::QuotaExceeded(message) => ("quota_exceeded", message),
        };
        throw("kv", code, message)
    }
}
