//! The forms in which a file can be sent, and which of them a client gets.

use picloud_orchestrator_core::{Precompressed, StaticFile};
use picloud_shared::BlobHash;

use super::encoding::{Accepted, Coding};

/// Files of fewer bytes are not compressed on their way: they fit into a packet
/// as they are.
const MIN_BYTES: u64 = 1024;
/// Nor are those of more: to compress 4 MiB takes some 0.2 s. An app that wants
/// larger ones compressed ships them so.
const MAX_BYTES: u64 = 4 << 20;

/// A file in one of its forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Representation {
    pub(super) coding: Coding,
    pub(super) source: Source,
    /// Strong where it is the hash of the very bytes that are sent. Bytes that
    /// are compressed here may be others in another version, so theirs is weak.
    pub(super) etag: String,
}

/// Where its bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Stored {
        hash: BlobHash,
        bytes: u64,
    },
    /// The file's own contents, compressed here.
    Compressed,
}

/// Which forms are to be chosen from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    All,
    /// Those whose bytes are stored: all that a range can be a part of.
    Stored,
}

impl Representation {
    /// The form that the client likes best, the smallest if it likes several
    /// equally well; `None` if it refuses all of them.
    pub(super) fn choose(file: &StaticFile, accepted: Accepted, offer: Offer) -> Option<Self> {
        let weight = |form: &Self| accepted.weight(form.coding);
        Self::all(file)
            .filter(|form| offer == Offer::All || form.source != Source::Compressed)
            .filter(|form| weight(form) > 0)
            .max_by_key(weight)
    }

    /// Every form of the file, the smallest last.
    fn all(file: &StaticFile) -> impl Iterator<Item = Self> {
        let plain = Precompressed { hash: file.hash, bytes: file.bytes };
        let gzip = file.gzip.map(|gzip| Self::stored(Coding::Gzip, gzip));
        let gzip = gzip.or_else(|| is_worth_compressing(file).then(|| Self::compressed(file)));
        let brotli = file.brotli.map(|brotli| Self::stored(Coding::Brotli, brotli));
        [Some(Self::stored(Coding::Identity, plain)), gzip, brotli].into_iter().flatten()
    }

    fn stored(coding: Coding, Precompressed { hash, bytes }: Precompressed) -> Self {
        Self { coding, source: Source::Stored { hash, bytes }, etag: format!("\"{hash}\"") }
    }

    fn compressed(file: &StaticFile) -> Self {
        let etag = format!("W/\"{}-gzip\"", file.hash);
        Self { coding: Coding::Gzip, source: Source::Compressed, etag }
    }
}

/// Whether a file has forms that `Accept-Encoding` decides between.
pub(super) fn is_negotiated(file: &StaticFile) -> bool {
    Representation::all(file).nth(1).is_some()
}

/// Decided by size and type alone, so that nothing has to be read for it.
fn is_worth_compressing(file: &StaticFile) -> bool {
    (MIN_BYTES..=MAX_BYTES).contains(&file.bytes) && is_compressible(&file.content_type)
}

fn is_compressible(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or(content_type);
    let (kind, name) = essence.split_once('/').unwrap_or((essence, ""));
    match kind {
        "text" => true,
        _ if name.ends_with("+json") || name.ends_with("+xml") => true,
        "application" => matches!(name, "javascript" | "json" | "wasm" | "xml"),
        "font" => matches!(name, "otf" | "ttf"),
        "image" => matches!(name, "bmp" | "x-icon"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};
    use picloud_orchestrator_core::{Match, RouteTable};
    use picloud_shared::{Manifest, ReleaseFile, Routes};

    use super::*;

    /// The first of the files, as a release with all of them serves it.
    fn file(files: &[(&str, u64)]) -> StaticFile {
        let files: Vec<ReleaseFile> = files
            .iter()
            .map(|(name, bytes)| ReleaseFile {
                path: format!("public/{name}"),
                hash: BlobHash::of(name.as_bytes()),
                bytes: *bytes,
            })
            .collect();
        let paths = files.iter().map(|file| file.path.as_str()).collect();
        let routes = Routes::of(&paths, &Manifest::default()).unwrap();
        let table = RouteTable::new(&routes, &files).unwrap();
        let url = files[0].path.strip_prefix("public").unwrap();
        match table.find("GET", url) {
            Match::Static(file) => file.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn choose(files: &[(&str, u64)], accept: &'static str, offer: Offer) -> Option<Representation> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accept));
        Representation::choose(&file(files), Accepted::of(&headers), offer)
    }

    /// The coding that is chosen, and whether it is compressed here.
    fn chosen(files: &[(&str, u64)], accept: &'static str) -> Option<(Coding, bool)> {
        let form = choose(files, accept, Offer::All)?;
        Some((form.coding, form.source == Source::Compressed))
    }

    const BOTH: [(&str, u64); 3] = [("a.js", 5_000), ("a.js.br", 900), ("a.js.gz", 1_000)];

    #[test]
    fn what_the_app_ships_comes_first_and_the_smallest_of_it() {
        assert_eq!(chosen(&BOTH, "gzip, br"), Some((Coding::Brotli, false)));
        assert_eq!(chosen(&BOTH, "gzip"), Some((Coding::Gzip, false)));
        assert_eq!(chosen(&BOTH[..2], "gzip"), Some((Coding::Gzip, true)));
        assert_eq!(chosen(&BOTH[..1], "gzip, br"), Some((Coding::Gzip, true)));
        assert_eq!(chosen(&BOTH[..1], "br"), Some((Coding::Identity, false)));
    }

    #[test]
    fn the_client_has_the_last_word() {
        assert_eq!(chosen(&BOTH, "br;q=0.5, gzip;q=0.8"), Some((Coding::Gzip, false)));
        assert_eq!(chosen(&BOTH, "br;q=0.5, identity;q=0.8"), Some((Coding::Identity, false)));
        assert_eq!(chosen(&BOTH, "br;q=0, *"), Some((Coding::Gzip, false)));
        assert_eq!(chosen(&BOTH, "br;q=0, gzip;q=0"), Some((Coding::Identity, false)));
        assert_eq!(chosen(&BOTH[..1], "br, identity;q=0"), None);
        assert_eq!(chosen(&BOTH, "*;q=0"), None);
    }

    #[test]
    fn only_what_gains_by_it_is_compressed_on_its_way() {
        for (name, bytes, compressed) in [
            ("a.css", MIN_BYTES, true),
            ("a.css", MIN_BYTES - 1, false),
            ("a.css", MAX_BYTES, true),
            ("a.css", MAX_BYTES + 1, false),
            ("a.html", 2_000, true),
            ("a.js", 2_000, true),
            ("a.mjs", 2_000, true),
            ("a.json", 2_000, true),
            ("a.js.map", 2_000, true),
            ("a.svg", 2_000, true),
            ("a.webmanifest", 2_000, true),
            ("a.xml", 2_000, true),
            ("a.wasm", 2_000, true),
            ("a.ttf", 2_000, true),
            ("a.ico", 2_000, true),
            ("a.woff2", 2_000, false),
            ("a.png", 2_000, false),
            ("a.zip", 2_000, false),
            ("a", 2_000, false),
        ] {
            let coding = if compressed { Coding::Gzip } else { Coding::Identity };
            assert_eq!(chosen(&[(name, bytes)], "gzip"), Some((coding, compressed)), "{name}");
            assert_eq!(is_negotiated(&file(&[(name, bytes)])), compressed, "{name}");
        }
        assert!(is_negotiated(&file(&[("a.png", 9), ("a.png.br", 8)])));
    }

    #[test]
    fn each_form_has_an_etag_of_its_own_and_only_stored_bytes_a_strong_one() {
        let etags = ["br", "gzip", "identity"].map(|accept| {
            let form = choose(&BOTH, accept, Offer::All).unwrap();
            assert!(form.etag.starts_with('"') && form.etag.len() == 66, "{}", form.etag);
            form.etag
        });
        assert!(etags[0] != etags[1] && etags[1] != etags[2] && etags[0] != etags[2]);
        let form = choose(&BOTH[..1], "gzip", Offer::All).unwrap();
        assert_eq!(form.etag, format!("W/{}-gzip\"", etags[2].trim_end_matches('"')));
    }

    #[test]
    fn a_range_is_of_stored_bytes() {
        let coding = |files, accept| choose(files, accept, Offer::Stored).map(|form| form.coding);
        assert_eq!(coding(&BOTH, "gzip"), Some(Coding::Gzip));
        assert_eq!(coding(&BOTH[..1], "gzip"), Some(Coding::Identity));
        assert_eq!(coding(&BOTH[..1], "gzip, identity;q=0"), None);
    }
}
