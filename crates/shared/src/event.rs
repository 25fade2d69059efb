//! What calls a handler, and what the handler answers.

use bytes::Bytes;

use crate::{AppSlug, ExecutionId, ReleaseNumber};

/// Everything about an invocation that does not come from the script: the
/// guest has no clock and no randomness but these, so the same program,
/// invocation, event and host answers give the same output and the same fuel.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub id: ExecutionId,
    pub app: AppSlug,
    pub release: ReleaseNumber,
    /// Unix time in milliseconds, frozen for the invocation.
    pub now_ms: u64,
    /// Seeds the script's random numbers.
    pub seed: [u64; 4],
    /// The function that the handler names after `#`; `None` leaves the choice
    /// to the handler contract.
    pub function: Option<String>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    Http(Request),
    /// Something other than a request: a service's event, a schedule's tick,
    /// a queue's message.
    Named(NamedEvent),
}

/// An event under its `service.name`, with its fields as a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedEvent {
    pub service: String,
    pub name: String,
    pub fields: String,
}

/// An HTTP request as a script sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Upper case.
    pub method: String,
    /// Scheme, host, path and query as the client asked.
    pub url: String,
    /// The path alone, still percent-encoded.
    pub path: String,
    /// The query without its `?`, still percent-encoded.
    pub query: String,
    /// The route's parameters, percent-decoded.
    pub params: Vec<(String, String)>,
    /// In the order received, names in lower case.
    pub headers: Vec<(String, String)>,
    pub host: String,
    /// The client's address.
    pub ip: String,
    pub body: Bytes,
}

/// What a handler answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// As the script has them: [`Response::check`] says whether they can be sent.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Response {
    /// Whether this can be sent as it is. Status and headers are the script's
    /// own words and hostile: they may be malformed, or meant for the
    /// connection or for another app. Checked before anything is committed, so
    /// that an answer which cannot be given has written nothing.
    ///
    /// # Errors
    /// What is wrong, for the script's author.
    pub fn check(&self) -> Result<(), String> {
        if !(200..=599).contains(&self.status) {
            return Err(format!("{} is no status of an answer", self.status));
        }
        self.headers.iter().try_for_each(|(name, value)| check_header(name, value))
    }
}

/// Headers that belong to the connection, not to the answer.
const OF_THE_CONNECTION: &[&str] = &[
    "connection",
    "content-length",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// RFC 9110: a name is a token, a value has neither control characters nor an
/// encoding of its own.
pub(crate) fn check_header(name: &str, value: &str) -> Result<(), String> {
    if !is_header_name(name) {
        return Err(format!("{name:?} is no name of a header"));
    }
    if !value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)) {
        return Err(format!("the header {name:?} has a value with other than ASCII text"));
    }
    let name = name.to_ascii_lowercase();
    if OF_THE_CONNECTION.contains(&name.as_str()) {
        return Err(format!("the header {name:?} is not a script's to set"));
    }
    // A cookie with a domain would be sent to other apps too.
    let mut attributes = value.split(';').skip(1);
    let is_domain = |attribute: &str| {
        let name = attribute.split('=').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("domain")
    };
    if name == "set-cookie" && attributes.any(is_domain) {
        return Err("a cookie cannot be set for another domain".to_owned());
    }
    Ok(())
}

pub(crate) fn is_header_name(name: &str) -> bool {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str) -> bool {
        let headers = vec![(name.to_owned(), value.to_owned())];
        Response { status: 200, headers, ..Response::default() }.check().is_ok()
    }

    #[test]
    fn what_is_not_a_scripts_to_say_is_refused() {
        for (name, value) in [
            ("x-a", "b\r\nset-cookie: c=d"),
            ("x-a\r\nx-b", "c"),
            ("x-a", "b\0"),
            ("x-a", "ä"),
            ("", "a"),
            ("x a", "b"),
            ("x:a", "b"),
            ("content-length", "5"),
            ("Transfer-Encoding", "chunked"),
            ("connection", "close"),
            ("keep-alive", "timeout=5"),
            ("set-cookie", "a=b; Domain=localhost"),
            ("Set-Cookie", "a=b;domain=.example.org; Path=/"),
            ("set-cookie", "a=b; DOMAIN =x"),
        ] {
            assert!(!check(name, value), "{name}: {value}");
        }
        for (name, value) in
            [("x-a", "b\tc"), ("set-cookie", "domain=x; Path=/"), ("location", "/a?b=c")]
        {
            assert!(check(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn a_status_is_one_of_an_answer() {
        let check = |status| Response { status, ..Response::default() }.check().is_ok();
        assert!(check(200) && check(404) && check(599));
        assert!(!check(0) && !check(100) && !check(101) && !check(600) && !check(u16::MAX));
    }
}
