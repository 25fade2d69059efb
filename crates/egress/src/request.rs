//! A script's request, checked, and what a redirect makes of it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::Full;
use picloud_shared::http::{Error, MAX_HEADERS, Request};
use url::Url;

/// Headers that belong to the connection: the client sets them, or nobody.
const OF_THE_CONNECTION: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Headers that are meant for one host and do not follow a redirect to another.
const OF_THE_HOST: &[HeaderName] = &[header::AUTHORIZATION, header::COOKIE];
const USER_AGENT: &str = concat!("PiCloud/", env!("CARGO_PKG_VERSION"));

/// A request that can be sent.
pub(crate) struct Prepared {
    method: Method,
    pub(crate) url: Url,
    headers: HeaderMap,
    body: Bytes,
    redirects: u32,
    asked_redirects: u32,
}

impl Prepared {
    pub(crate) fn new(request: Request) -> Result<Self, Error> {
        let Request { method, url, headers, body, redirects, timeout_ms: _ } = request;
        let url: Url = url.parse().map_err(|error| {
            invalid(format!("{url:?} is not a URL that can be called: {error}"))
        })?;
        Ok(Self {
            method: parse_method(&method)?,
            url: checked(url)?,
            headers: parse_headers(headers)?,
            body,
            redirects,
            asked_redirects: redirects,
        })
    }

    /// Whether a redirect is to be followed rather than returned.
    pub(crate) fn follows_redirects(&self) -> bool {
        self.asked_redirects > 0
    }

    pub(crate) fn to_http(&self) -> Result<http::Request<Full<Bytes>>, Error> {
        let mut request = http::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() =
            self.url.as_str().parse().map_err(|_| invalid("the URL cannot be sent".to_owned()))?;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }

    /// As a script would have it.
    pub(crate) fn to_script(&self) -> Request {
        Request {
            method: self.method.to_string(),
            url: self.url.to_string(),
            headers: crate::lines(&self.headers),
            body: self.body.clone(),
            timeout_ms: None,
            redirects: self.redirects,
        }
    }

    /// The request that a redirect asks for, RFC 9110.
    pub(crate) fn redirected(
        mut self,
        status: StatusCode,
        location: &HeaderValue,
    ) -> Result<Self, Error> {
        if self.redirects == 0 {
            let max = self.asked_redirects;
            return Err(Error::Failed(format!("there were more than {max} redirects")));
        }
        self.redirects -= 1;
        let target = location.to_str().ok().and_then(|location| self.url.join(location).ok());
        let target = target
            .ok_or_else(|| Error::Failed("a redirect leads to something that is no URL".into()))?;
        let target = checked(target)?;
        if target.origin() != self.url.origin() {
            for name in OF_THE_HOST {
                self.headers.remove(name);
            }
        }
        let becomes_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            self.method = Method::GET;
            self.body = Bytes::new();
            self.headers.remove(header::CONTENT_TYPE);
        }
        self.url = target;
        Ok(self)
    }
}

fn invalid(message: String) -> Error {
    Error::InvalidRequest(message)
}

/// A URL that names a host to call, and nothing to say to it in secret.
pub(crate) fn checked(mut url: Url) -> Result<Url, Error> {
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(invalid("a URL begins with http:// or https:// and a host".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let advice = "a URL takes no name and password; send an authorization header instead";
        return Err(invalid(advice.to_owned()));
    }
    url.set_fragment(None);
    Ok(url)
}

fn parse_method(method: &str) -> Result<Method, Error> {
    let upper = method.to_ascii_uppercase();
    match Method::from_bytes(upper.as_bytes()) {
        Ok(Method::CONNECT | Method::TRACE) | Err(_) => {
            Err(invalid(format!("{method:?} is not a method that can be used")))
        }
        Ok(method) => Ok(method),
    }
}

fn parse_headers(lines: Vec<(String, String)>) -> Result<HeaderMap, Error> {
    if lines.len() > MAX_HEADERS {
        return Err(invalid(format!("a request has at most {MAX_HEADERS} headers")));
    }
    let mut headers = HeaderMap::with_capacity(lines.len() + 2);
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| invalid(format!("{name:?} cannot be a header's name")))?;
        if OF_THE_CONNECTION.contains(&name.as_str()) {
            return Err(invalid(format!("the header {name} is not a script's to set")));
        }
        let value = HeaderValue::from_str(&value)
            .map_err(|_| invalid(format!("the value of header {name} has characters it cannot")))?;
        headers.append(name, value);
    }
    let defaults = [(header::ACCEPT, "*/*"), (header::USER_AGENT, USER_AGENT)];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(method: &str, url: &str, headers: &[(&str, &str)]) -> Result<Prepared, Error> {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Prepared::new(Request {
            method: method.into(),
            url: url.into(),
            headers,
            body: "b".into(),
            redirects: 2,
            timeout_ms: None,
        })
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for (method, url, headers) in [
            ("GET", "", &[][..]),
            ("GET", "/path", &[]),
            ("GET", "ftp://h/", &[]),
            ("GET", "file:///etc/passwd", &[]),
            ("GET", "http://", &[]),
            ("GET", "http://me:pw@h/", &[]),
            ("CONNECT", "http://h/", &[]),
            ("TRACE", "http://h/", &[]),
            ("GE T", "http://h/", &[]),
            ("", "http://h/", &[]),
            ("GET", "http://h/", &[("a b", "c")]),
            ("GET", "http://h/", &[("a", "b\r\nc: d")]),
            ("GET", "http://h/", &[("Host", "other")]),
            ("GET", "http://h/", &[("Transfer-Encoding", "chunked")]),
            ("GET", "http://h/", &[("content-length", "5")]),
        ] {
            let error = prepared(method, url, headers).err();
            assert!(matches!(error, Some(Error::InvalidRequest(_))), "{method} {url} {headers:?}");
        }
    }

    #[test]
    fn odd_forms_of_an_address_are_that_address() {
        for url in ["http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.1/"] {
            let url = prepared("GET", url, &[]).unwrap().url;
            assert_eq!(url.host_str(), Some("127.0.0.1"), "{url}");
        }
    }

    #[test]
    fn a_redirect_to_another_host_takes_no_credentials_along() {
        let sent = [("authorization", "secret"), ("cookie", "a=b"), ("x-tag", "1")];
        let redirect = |location: &'static str| {
            let request = prepared("GET", "https://a.example/x", &sent).unwrap();
            request.redirected(StatusCode::FOUND, &HeaderValue::from_static(location)).unwrap()
        };
        let same = redirect("/y");
        assert_eq!(same.url.as_str(), "https://a.example/y");
        assert!(same.headers.contains_key("authorization"));
        for location in ["https://b.example/", "http://a.example/", "https://a.example:8443/"] {
            let other = redirect(location);
            assert!(!other.headers.contains_key("authorization"), "{location}");
            assert!(!other.headers.contains_key("cookie"), "{location}");
            assert!(other.headers.contains_key("x-tag"), "{location}");
        }
    }

    #[test]
    fn redirects_keep_or_change_the_method_as_rfc_9110_has_it() {
        for (method, status, becomes, body) in [
            ("POST", 301, "GET", ""),
            ("POST", 302, "GET", ""),
            ("PUT", 302, "PUT", "b"),
            ("PUT", 303, "GET", ""),
            ("HEAD", 303, "HEAD", "b"),
            ("POST", 307, "POST", "b"),
            ("POST", 308, "POST", "b"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let request = prepared(method, "http://h/", &[]).unwrap();
            let request = request.redirected(status, &HeaderValue::from_static("/n")).unwrap();
            assert_eq!((request.method.as_str(), &request.body[..]), (becomes, body.as_bytes()));
        }
    }

    #[test]
    fn redirects_come_to_an_end() {
        let next = |request: Prepared| {
            request.redirected(StatusCode::FOUND, &HeaderValue::from_static("/again"))
        };
        let request = next(next(prepared("GET", "http://h/", &[]).unwrap()).unwrap()).unwrap();
        let error = next(request).err().unwrap();
        assert_eq!(error.to_string(), "there were more than 2 redirects");
    }
}
