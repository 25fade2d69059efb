//! `files::`: bytes under a bucket and a path.

use std::rc::Rc;

use rhai::{Array, Blob, Dynamic, EvalAltResult, ImmutableString, Map};

use super::options::Options;
use super::page::{self, Range};
use super::{Host, Namespace, Registrar, Result, Shared, throw, type_name};

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "files", doc: "Files under a bucket and a path.", register };

/// What the caller did wrong, or has run out of. A script can catch these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    InvalidBucket(String),
    InvalidPath(String),
    InvalidContentType(String),
    TooLarge(String),
    QuotaExceeded(String),
}

/// What is known of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    pub path: String,
    pub bytes: u64,
    pub content_type: String,
    /// With its quotes.
    pub etag: String,
    /// Unix time in milliseconds.
    pub modified_ms: u64,
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In the order of the paths' bytes.
    pub files: Vec<Info>,
    pub next: Option<String>,
}

/// What `files::bucket` returns.
#[derive(Clone)]
struct Bucket {
    context: Shared,
    name: ImmutableString,
}

fn register(to: &mut Registrar<'_>, context: &Shared) {
    to.value::<Bucket>("files bucket");
    let ctx = Rc::clone(context);
    to.function(
        "bucket(name) -> bucket",
        "A bucket of files. It exists as soon as something is in it.",
        move |name: ImmutableString| Bucket { context: Rc::clone(&ctx), name },
    );
    register_one(to);
    register_lists(to);
    register_urls(to);
}

fn register_one(to: &mut Registrar<'_>) {
    to.method(
        "put(path, data) -> #{path, bytes, content_type, etag, modified}",
        "Writes the file, a string or a blob of up to 6 MiB; the path's extension decides the \
         content type.",
        |b: &mut Bucket, path: ImmutableString, data: Dynamic| b.put(&path, data, None),
    );
    to.method(
        "put(path, data, #{content_type}) -> #{path, bytes, content_type, etag, modified}",
        "Writes the file with that content type.",
        |b: &mut Bucket, path: ImmutableString, data: Dynamic, options: Map| -> Result<Map> {
            let content_type =
                Options::new("files", options, &["content_type"])?.string("content_type")?;
            b.put(&path, data, content_type.as_deref())
        },
    );
    to.method(
        "get(path) -> blob",
        "The file's contents; `()` if there is no such file.",
        |b: &mut Bucket, path: ImmutableString| -> Result<Dynamic> {
            let contents = b.host()?.file_get(&b.name, &path)?;
            Ok(contents.map_or(Dynamic::UNIT, Dynamic::from_blob))
        },
    );
    to.method(
        "info(path) -> #{path, bytes, content_type, etag, modified}",
        "What is known of the file; `()` if there is no such file.",
        |b: &mut Bucket, path: ImmutableString| -> Result<Dynamic> {
            let found = b.host()?.file_info(&b.name, &path)?;
            Ok(found.map_or(Dynamic::UNIT, |found| info(found).into()))
        },
    );
    to.method(
        "delete(path) -> bool",
        "Deletes the file and tells whether there was one.",
        |b: &mut Bucket, path: ImmutableString| -> Result<bool> {
            Ok(b.host()?.file_delete(&b.name, &path)?)
        },
    );
}

fn register_lists(to: &mut Registrar<'_>) {
    to.method(
        "list() -> #{items, next}",
        "The first 100 files, in the paths' order, each as `info` has it.",
        |b: &mut Bucket| b.list(&Range::default()),
    );
    to.method(
        "list(prefix) -> #{items, next}",
        "The first 100 files whose paths start with the prefix.",
        |b: &mut Bucket, prefix: ImmutableString| b.list(&Range::of_prefix(&prefix)),
    );
    to.method(
        "list(#{prefix, after, limit}) -> #{items, next}",
        "At most `limit` (1 to 1000) files whose paths come after `after`, which is `next` of the \
         page before; `next` is `()` on the last page.",
        |b: &mut Bucket, options: Map| b.list(&Range::from_options("files", options)?),
    );
}

fn register_urls(to: &mut Registrar<'_>) {
    to.method(
        "url(path) -> string",
        "A URL at which whoever has it can download the file for an hour.",
        |b: &mut Bucket, path: ImmutableString| -> Result<String> {
            Ok(b.host()?.file_url(&b.name, &path, None)?)
        },
    );
    to.method(
        "url(path, #{ttl}) -> string",
        "The same for `ttl` seconds, a week at most.",
        |b: &mut Bucket, path: ImmutableString, options: Map| -> Result<String> {
            let ttl_s = Options::new("files", options, &["ttl"])?.positive("ttl")?;
            Ok(b.host()?.file_url(&b.name, &path, ttl_s)?)
        },
    );
}

impl Bucket {
    fn host(&self) -> Result<&dyn Host> {
        self.context.host("files")
    }

    fn put(&self, path: &str, data: Dynamic, content_type: Option<&str>) -> Result<Map> {
        let host = self.host()?;
        let put = |contents: &[u8]| host.file_put(&self.name, path, contents, content_type);
        if let Ok(text) = data.as_immutable_string_ref() {
            return Ok(info(put(text.as_bytes())?));
        }
        match data.try_cast_result::<Blob>() {
            Ok(blob) => Ok(info(put(&blob)?)),
            Err(other) => {
                let message = format!("a file is a string or a blob, not {}", type_name(&other));
                Err(throw("files", "invalid_data", message))
            }
        }
    }

    fn list(&self, range: &Range) -> Result<Map> {
        let Range { prefix, after, limit } = range;
        let listed = self.host()?.file_list(&self.name, prefix, after.as_deref(), *limit)?;
        let items: Array = listed.files.into_iter().map(|file| info(file).into()).collect();
        Ok(page::page(items, listed.next))
    }
}

fn info(info: Info) -> Map {
    Map::from([
        ("path".into(), info.path.into()),
        ("bytes".into(), info.bytes.cast_signed().into()),
        ("content_type".into(), info.content_type.into()),
        ("etag".into(), info.etag.into()),
        ("modified".into(), info.modified_ms.cast_signed().into()),
    ])
}

/// What a script catches.
impl From<Error> for Box<EvalAltResult> {
    fn from(error: Error) -> Self {
        let (code, message) = match error {
            Error::InvalidBucket(message) => ("invalid_bucket", message),
            Error::InvalidPath(message) => ("invalid_path", message),
            Error::InvalidContentType(message) => ("invalid_content_type", message),
            Error::TooLarge(message) => ("too_large", message),
            Error::QuotaExceeded(message) => ("quota_exceeded", message),
        };
        throw("files", code, message)
    }
}
