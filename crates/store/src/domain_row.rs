//! What both databases return of a claim to a domain.

use picloud_shared::domain::Claim;
use picloud_shared::{AppSlug, Domain, StoreError};

use crate::convert::{corrupt, unsigned};

/// `domain, token, created_at_ms, verified_at_ms`
pub(crate) type Row = (String, String, i64, Option<i64>);

pub(crate) fn claim((name, token, created, verified): Row) -> Result<Claim, StoreError> {
    Ok(Claim {
        domain: domain(name)?,
        // Not shown: it is a secret of the app's until it is published.
        token: token.parse().map_err(|_| corrupt("a domain's token", "something else"))?,
        created_at_ms: unsigned("a time", created)?,
        verified_at_ms: verified.map(|at| unsigned("a time", at)).transpose()?,
    })
}

/// `domain, slug`. A row that cannot be read takes no other domain with it.
pub(crate) fn owned((name, slug): (String, String)) -> Option<(Domain, AppSlug)> {
    let owned = name.parse().ok().zip(slug.parse().ok());
    if owned.is_none() {
        tracing::warn!(domain = name, app = slug, "a domain cannot be read and is left out");
    }
    owned
}

fn domain(name: String) -> Result<Domain, StoreError> {
    name.parse().map_err(|_| corrupt("a domain", name))
}

/// What a change means that would give one domain to two apps.
pub(crate) fn verified<T>(result: Result<T, sqlx::Error>) -> Result<T, StoreError> {
    result.map_err(|error| match error.as_database_error() {
        Some(error) if error.is_unique_violation() => StoreError::Conflict,
        _ => crate::convert::failed(error),
    })
}
