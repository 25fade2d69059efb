//! `multipart/form-data` (RFC 7578), the form that uploads files.

use std::convert::Infallible;
use std::future::Future;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::stream;
use multer::Multipart;

use super::Req;
use crate::sdk::{Result, throw};

/// One field of the form.
pub(super) struct Part {
    pub(super) name: String,
    /// Files have one, and it is the client's word: a name, not a path.
    pub(super) filename: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) bytes: Vec<u8>,
}

/// The fields, in the form's order; `None` if the body is no such form.
pub(super) fn parts(req: &Req) -> Option<Result<Vec<Part>>> {
    let content_type = req.headers.lines("content-type").next()?;
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    Some(read(content_type, &req.request.body))
}

fn read(content_type: &str, body: &[u8]) -> Result<Vec<Part>> {
    let invalid = |error: multer::Error| {
        throw("req", "invalid_body", format!("the body is not a form with files: {error}"))
    };
    let boundary = multer::parse_boundary(content_type).map_err(invalid)?;
    let body = Bytes::copy_from_slice(body);
    let whole = stream::once(async { Ok::<_, Infallible>(body) });
    let mut form = Multipart::new(whole, boundary);
    let mut parts = Vec::new();
    while let Some(field) = ready(form.next_field()).map_err(invalid)? {
        let name = field.name().unwrap_or_default().to_owned();
        let filename = field.file_name().map(str::to_owned);
        let content_type = field.content_type().map(ToString::to_string);
        let bytes = ready(field.bytes()).map_err(invalid)?.to_vec();
        parts.push(Part { name, filename, content_type, bytes });
    }
    Ok(parts)
}

/// What is read is there in one piece, so nothing ever waits for more of it.
fn ready<T>(step: impl Future<Output = multer::Result<T>>) -> multer::Result<T> {
    step.now_or_never().unwrap_or(Err(multer::Error::IncompleteStream))
}
