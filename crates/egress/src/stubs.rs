//! A network without servers, for tests of apps: requests are checked as ever,
//! and answered by what a test has prepared.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use http::{HeaderValue, StatusCode};
use picloud_shared::http::{Caps, Error, HttpClient, Request, Response};
use picloud_shared::test::{self, Stub};
use picloud_shared::{AppId, Response as Answer};

use crate::check_host;
use crate::request::{Prepared, checked};

/// Answers requests of scripts without any connection, and remembers them.
#[derive(Default)]
pub struct Stubs {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stubs: Vec<Stub>,
    sent: Vec<Request>,
}

impl Stubs {
    /// Forgets everything.
    pub fn reset(&self) {
        *self.lock() = State::default();
    }

    /// From now on this is the first that is asked.
    ///
    /// # Errors
    /// [`test::Error::InvalidRequest`] if it could answer no request.
    pub fn add(&self, mut stub: Stub) -> Result<(), test::Error> {
        // A wildcard can be anything, a port's number, too.
        let url = stub.url.replace('*', "1").parse().map_err(|error| {
            test::Error::InvalidRequest(format!("{:?} is no URL: {error}", stub.url))
        })?;
        let url = checked(url).map_err(|error| test::Error::InvalidRequest(error.to_string()))?;
        if !stub.url.contains('*') {
            // As a request has it: with a slash after the host.
            stub.url = url.into();
        }
        self.lock().stubs.push(stub);
        Ok(())
    }

    /// What was sent since the last reset, redirects included.
    pub fn sent(&self) -> Vec<Request> {
        self.lock().sent.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is a single push.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Prepared) -> Result<Answer, Error> {
        let mut state = self.lock();
        let sent = request.to_script();
        let fits = |stub: &&Stub| {
            let method = stub.method.as_deref();
            method.is_none_or(|method| method == sent.method) && matches(&stub.url, &sent.url)
        };
        let answer = state.stubs.iter().rev().find(fits).map(|stub| stub.response.clone());
        let missing = || {
            let (method, url) = (&sent.method, &sent.url);
            Error::Failed(format!(
                "no test::stub answers {method} {url}, and tests reach no other servers"
            ))
        };
        let answer = answer.ok_or_else(missing);
        state.sent.push(sent);
        answer
    }
}

#[async_trait]
impl HttpClient for Stubs {
    async fn send(&self, _app: AppId, caps: &Caps, request: Request) -> Result<Response, Error> {
        let mut request = Prepared::new(request)?;
        loop {
            check_host(&request.url, caps, &[])?;
            let Answer { status, headers, body } = self.answer(&request)?;
            let status = StatusCode::from_u16(status).unwrap_or_default();
            let location = headers.iter().find(|(name, _)| name == "location");
            if let Some((_, location)) = location
                && status.is_redirection()
                && request.follows_redirects()
            {
                let location = HeaderValue::from_str(location).map_err(|_| {
                    Error::Failed("a redirect leads to something that is no URL".to_owned())
                })?;
                request = request.redirected(status, &location)?;
                continue;
            }
            if body.len() as u64 > caps.response_bytes {
                return Err(Error::TooLarge(caps.response_bytes));
            }
            let (status, url) = (status.as_u16(), request.url.into());
            return Ok(Response { status, headers, body, url });
        }
    }
}

/// Whether the text is what the pattern says, in which `*` is any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("a*", "a", true),
            ("*b", "ab", true),
            ("a*b", "a/x/b", true),
            ("a*b", "a/x/bc", false),
            ("a*b*c", "axbyc", true),
            ("a*b*c", "axyc", false),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
