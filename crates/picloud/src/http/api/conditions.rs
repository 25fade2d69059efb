//! On what a change of the active release depends: `If-Match` and
//! `Idempotency-Key`.

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};
use picloud_manager_core::{Conditions, Expected};
use picloud_shared::Release;
use picloud_shared::idempotency::{Idempotency, IdempotencyKey, InvalidIdempotencyKey};
use utoipa::IntoParams;

use crate::http::auth::By;
use crate::http::problem::Problem;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// `If-Match`, as the document has it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) struct IfMatchHeader {
    /// Entity tags of releases, one of which must be the active one, or `*` for any;
    /// otherwise nothing is changed and the answer is 412.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
}

/// `Idempotency-Key`.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) struct IdempotencyKeyHeader {
    /// A name for this deploy, of 1 to 200 visible ASCII characters. Asked for
    /// again under the same name within a day, it is not done again, and the
    /// answer is the first one.
    #[param(rename = "Idempotency-Key", max_length = 200)]
    idempotency_key: Option<String>,
}

/// `If-None-Match`.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) struct IfNoneMatchHeader {
    /// Entity tags that the client has already.
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

/// The request's conditions.
pub(super) struct Given(pub(super) Conditions);

impl<S: Send + Sync> FromRequestParts<S> for Given {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let By(caller) = By::from_request_parts(parts, state).await?;
        let caller =
            caller.user().map_or_else(|| "operator".to_owned(), |user| user.id.0.to_string());
        let idempotency = idempotency_key(&parts.headers)
            .map_err(|error| Problem::bad_request("invalid_idempotency_key", error.to_string()))?
            .map(|key| Idempotency { caller, key });
        Ok(Self(Conditions { expected: expected(&parts.headers), idempotency }))
    }
}

/// A release's entity tag. As its representation says whether it is the active
/// one, it has two; the first is what `If-Match` can name.
pub(super) fn etag(release: &Release, active: bool) -> String {
    let tag = release.tag();
    if active { format!("\"{tag}\"") } else { format!("\"{tag}-inactive\"") }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, InvalidIdempotencyKey> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(InvalidIdempotencyKey);
    }
    key.to_str().map_err(|_| InvalidIdempotencyKey)?.parse().map(Some)
}

/// Weak tags, and what is no tag, expect what no release is.
fn expected(headers: &HeaderMap) -> Option<Expected> {
    let mut lines = headers.get_all(header::IF_MATCH).iter().peekable();
    lines.peek()?;
    // None of ours has a comma in it, so a tag that is cut at one is another's.
    let tags = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let tags: Vec<&str> = tags.map(str::trim).collect();
    if tags == ["*"] {
        return Some(Expected::Any);
    }
    let opaque = |tag: &str| Some(tag.strip_prefix('"')?.strip_suffix('"')?.to_owned());
    Some(Expected::Tagged(tags.into_iter().filter_map(opaque).collect()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        let line = |line: &&str| (name.clone(), HeaderValue::from_bytes(line.as_bytes()).unwrap());
        lines.iter().map(line).collect()
    }

    #[test]
    fn any_of_the_expected_tags_will_do_and_a_weak_one_will_not() {
        let expected = |lines: &[&str]| expected(&headers(&header::IF_MATCH, lines));
        let tagged = |tags: &[&str]| {
            Some(Expected::Tagged(tags.iter().map(|tag| (*tag).to_owned()).collect()))
        };
        assert_eq!(expected(&[]), None);
        assert_eq!(expected(&["*"]), Some(Expected::Any));
        assert_eq!(expected(&["\"1-a\""]), tagged(&["1-a"]));
        assert_eq!(expected(&["\"1-a\", \"2-b\"", "\"3-c\""]), tagged(&["1-a", "2-b", "3-c"]));
        for none in [&[""][..], &["1-a"], &["W/\"1-a\""], &["\""], &["*", "*"], &["\u{e4}"]] {
            assert_eq!(expected(none), tagged(&[]), "{none:?}");
        }
    }

    #[test]
    fn a_request_has_one_key_or_none() {
        let key = |lines: &[&str]| {
            idempotency_key(&headers(&HeaderName::from_static(IDEMPOTENCY_KEY), lines))
        };
        assert_eq!(key(&[]), Ok(None));
        assert_eq!(key(&["k"]), Ok(Some("k".parse().unwrap())));
        for refused in [&["k", "k"][..], &[""], &["a b"], &["\u{e4}"]] {
            assert_eq!(key(refused), Err(InvalidIdempotencyKey), "{refused:?}");
        }
    }
}
