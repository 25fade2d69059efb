//! Content codings, and which of them a client accepts (RFC 9110, 12.5.3).

use http::{HeaderMap, header};

/// How contents are coded on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Coding {
    Identity,
    Gzip,
    Brotli,
}

impl Coding {
    /// As `Content-Encoding` has it; `None` for what is sent as it is.
    pub(in crate::http) fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }
}

/// What a client accepts, each coding in thousandths; 0 is a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Accepted {
    identity: u16,
    gzip: u16,
    brotli: u16,
}

impl Accepted {
    /// Reads `Accept-Encoding`. A client that does not send it would have to
    /// take any coding, but does best with none.
    pub(in crate::http) fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(header::ACCEPT_ENCODING);
        if lines.iter().next().is_none() {
            return Self { identity: 1000, gzip: 0, brotli: 0 };
        }
        let [mut identity, mut gzip, mut brotli, mut any] = [None; 4];
        let members = lines.iter().filter_map(|line| line.to_str().ok());
        for member in members.flat_map(|line| line.split(',')) {
            let Some((coding, weight)) = weighted(member) else { continue };
            match coding.to_ascii_lowercase().as_str() {
                "identity" => identity = Some(weight),
                "gzip" | "x-gzip" => gzip = Some(weight),
                "br" => brotli = Some(weight),
                "*" => any = Some(weight),
                _ => {}
            }
        }
        Self {
            // Acceptable even if it is not listed, but less than all that is.
            identity: identity.or(any).unwrap_or(1),
            gzip: gzip.or(any).unwrap_or(0),
            brotli: brotli.or(any).unwrap_or(0),
        }
    }

    pub(in crate::http) fn weight(self, coding: Coding) -> u16 {
        match coding {
            Coding::Identity => self.identity,
            Coding::Gzip => self.gzip,
            Coding::Brotli => self.brotli,
        }
    }
}

/// `gzip;q=0.5` as the coding and thousandths; `None` for what is no such thing.
fn weighted(member: &str) -> Option<(&str, u16)> {
    let Some((coding, parameter)) = member.split_once(';') else {
        return Some((member.trim(), 1000));
    };
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let value = value.trim();
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", thousandths) => Some((coding.trim(), thousandths)),
        ("1", 0) => Some((coding.trim(), 1000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Weights of identity, gzip and br when the client sends these lines.
    fn weights(lines: &[&'static str]) -> [u16; 3] {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(line));
        }
        let accepted = Accepted::of(&headers);
        [Coding::Identity, Coding::Gzip, Coding::Brotli].map(|coding| accepted.weight(coding))
    }

    #[test]
    fn who_says_nothing_gets_contents_as_they_are() {
        assert_eq!(weights(&[]), [1000, 0, 0]);
        assert_eq!(weights(&[""]), [1, 0, 0]);
    }

    #[test]
    fn what_is_listed_comes_before_what_is_not() {
        assert_eq!(weights(&["gzip, deflate, br, zstd"]), [1, 1000, 1000]);
        assert_eq!(weights(&["gzip"]), [1, 1000, 0]);
        assert_eq!(weights(&["GZip , BR"]), [1, 1000, 1000]);
        assert_eq!(weights(&["x-gzip"]), [1, 1000, 0]);
        assert_eq!(weights(&["gzip", "br;q=0.2"]), [1, 1000, 200]);
        assert_eq!(weights(&["deflate"]), [1, 0, 0]);
    }

    #[test]
    fn weights_are_thousandths_and_zero_refuses() {
        assert_eq!(weights(&["gzip;q=0.5, br ; Q = 0.25, identity;q=1.000"]), [1000, 500, 250]);
        assert_eq!(weights(&["gzip;q=0.001,br;q=0."]), [1, 1, 0]);
        assert_eq!(weights(&["identity;q=0"]), [0, 0, 0]);
        assert_eq!(weights(&["gzip;q=0, br"]), [1, 0, 1000]);
    }

    #[test]
    fn an_asterisk_stands_for_what_is_not_listed() {
        assert_eq!(weights(&["*"]), [1000, 1000, 1000]);
        assert_eq!(weights(&["gzip, *;q=0"]), [0, 1000, 0]);
        assert_eq!(weights(&["identity;q=0.5, *;q=0"]), [500, 0, 0]);
        assert_eq!(weights(&["*;q=0.3, br;q=0.7"]), [300, 300, 700]);
    }

    #[test]
    fn what_is_no_weight_is_not_listed() {
        for member in ["gzip;q=2", "gzip;q=1.5", "gzip;q=-1", "gzip;q=", "gzip;q=0.1234"] {
            assert_eq!(weights(&[member]), [1, 0, 0], "{member}");
        }
        for member in ["gzip;level=9", "gzip;q", "gzip;q=1;q=0", "gzip;q=0.+1", ";", ";q=1", ","] {
            assert_eq!(weights(&[member]), [1, 0, 0], "{member}");
        }
    }
}
