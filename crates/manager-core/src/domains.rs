//! Domains of apps' own: claimed, proved, given up.
//!
//! A claim alone gives nothing. The domain is the app's once the claim's token
//! is found in the domain name system, where only the domain's owner can put
//! it, or once an admin of the instance has said so. That a request for the
//! domain arrives here proves nothing: a name that somebody has left pointing
//! to this server would be anybody's.

use std::sync::Arc;

use picloud_shared::domain::{Claim, MAX_DOMAINS, Resolver, ResolverError, Token};
use picloud_shared::{App, AppSlug, Clock, Domain, DomainStore, StoreError};
use tokio::sync::Semaphore;

/// Questions to the domain name system at one time.
const LOOKUPS: usize = 8;

/// Who decides which domain is whose. After a success of all but `list` and
/// `claim`, whoever caches domains has to be told.
pub struct DomainKeeper {
    store: Arc<dyn DomainStore>,
    resolver: Arc<dyn Resolver>,
    clock: Arc<dyn Clock>,
    reserved: Vec<String>,
    lookups: Semaphore,
}

/// Why a domain was not given, or not given up. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the app has no domain {0}")]
    NotFound(Domain),
    #[error("{domain} belongs to this server, whose own name is {name}")]
    Reserved { domain: Domain, name: String },
    #[error("an app has at most {MAX_DOMAINS} domains; remove one first")]
    TooMany,
    #[error("{0} is another app's")]
    Taken(Domain),
    #[error("{}", unproved(.claim, .found))]
    Unproved { claim: Box<Claim>, found: Vec<String> },
    #[error("the domain name system does not answer; try again shortly")]
    NoAnswer(#[source] ResolverError),
    #[error("there is no app {0}")]
    AppNotFound(AppSlug),
    #[error("the database is unavailable")]
    Store(#[from] StoreError),
}

impl Error {
    /// The stable code under which it is reported.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::NotFound(_) | Self::AppNotFound(_) => "not_found",
            Self::Reserved { .. } => "domain_reserved",
            Self::TooMany => "too_many_domains",
            Self::Taken(_) => "domain_taken",
            Self::Unproved { .. } => "domain_unproved",
            Self::NoAnswer(_) => "dns_unavailable",
            Self::Store(_) => "unavailable",
        }
    }
}

/// What is to be published, and what is published instead.
fn unproved(claim: &Claim, found: &[String]) -> String {
    let (name, value) = (claim.domain.record_name(), claim.token.record_value());
    let instead = match found {
        [] => "there is no TXT record of that name".to_owned(),
        found => format!("its TXT records are {found:?}"),
    };
    format!("the TXT record {name} must have the value {value}, but {instead}")
}

impl DomainKeeper {
    /// No app can have one of the `reserved` names, or one below them.
    #[must_use]
    pub fn new(
        store: Arc<dyn DomainStore>,
        resolver: Arc<dyn Resolver>,
        clock: Arc<dyn Clock>,
        reserved: Vec<String>,
    ) -> Self {
        Self { store, resolver, clock, reserved, lookups: Semaphore::new(LOOKUPS) }
    }

    /// The app's claims in the order of their domains.
    pub async fn list(&self, app: &App) -> Result<Vec<Claim>, Error> {
        Ok(self.store.list(app.id).await?)
    }

    /// Claims a domain, or finds the claim that the app has to it.
    pub async fn claim(&self, app: &App, domain: &Domain) -> Result<Claim, Error> {
        self.check(domain)?;
        let token = Token::new(rand::random());
        match self.store.claim(app.id, domain, &token, self.clock.now_ms()).await {
            Ok(claim) => Ok(claim),
            Err(StoreError::QuotaExceeded(_)) => Err(Error::TooMany),
            // The app was deleted meanwhile.
            Err(StoreError::Conflict) => Err(Error::AppNotFound(app.slug.clone())),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the domain the app's if its record says so. Once proved, it stays
    /// the app's until it is removed; it is not asked for again.
    pub async fn verify(&self, app: &App, domain: &Domain) -> Result<Claim, Error> {
        let claim = self.find(app, domain).await?;
        if claim.verified_at_ms.is_some() {
            return Ok(claim);
        }
        let name = domain.record_name();
        let found = {
            // An error says that it was closed, which nobody does.
            let _permit = self.lookups.acquire().await.ok();
            self.resolver.texts(&name).await.map_err(Error::NoAnswer)?
        };
        let wanted = claim.token.record_value();
        if !found.iter().any(|text| text.trim() == wanted) {
            return Err(Error::Unproved { claim: Box::new(claim), found: shown(found) });
        }
        self.give(app, domain).await
    }

    /// Makes the domain the app's without a record, on the word of an admin of
    /// the instance.
    pub async fn approve(&self, app: &App, domain: &Domain) -> Result<Claim, Error> {
        self.find(app, domain).await?;
        self.give(app, domain).await
    }

    pub async fn remove(&self, app: &App, domain: &Domain) -> Result<(), Error> {
        let removed = self.store.remove(app.id, domain).await?;
        if removed { Ok(()) } else { Err(Error::NotFound(domain.clone())) }
    }

    async fn find(&self, app: &App, domain: &Domain) -> Result<Claim, Error> {
        // Names that have become the server's since they were claimed.
        self.check(domain)?;
        let claim = self.store.find(app.id, domain).await?;
        claim.ok_or_else(|| Error::NotFound(domain.clone()))
    }

    async fn give(&self, app: &App, domain: &Domain) -> Result<Claim, Error> {
        match self.store.verify(app.id, domain, self.clock.now_ms()).await {
            Ok(Some(claim)) => Ok(claim),
            // It was removed meanwhile.
            Ok(None) => Err(Error::NotFound(domain.clone())),
            Err(StoreError::Conflict) => Err(Error::Taken(domain.clone())),
            Err(error) => Err(error.into()),
        }
    }

    fn check(&self, domain: &Domain) -> Result<(), Error> {
        match self.reserved.iter().find(|name| domain.is_within(name)) {
            Some(name) => Err(Error::Reserved { domain: domain.clone(), name: name.clone() }),
            None => Ok(()),
        }
    }
}

/// As much of a stranger's records as helps to see a mistake.
fn shown(found: Vec<String>) -> Vec<String> {
    let short = |mut text: String| {
        text.truncate(text.floor_char_boundary(100));
        text
    };
    found.into_iter().take(5).map(short).collect()
}
