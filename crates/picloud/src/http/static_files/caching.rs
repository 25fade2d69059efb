//! How long caches may keep a file without asking.

/// A deploy may change the file under the same name: caches must ask.
const ASK: &str = "public, max-age=0, must-revalidate";
/// Another file would have another name.
const KEEP: &str = "public, max-age=31536000, immutable";

/// `Cache-Control` for the file at this path.
///
/// A name that holds a hash of the contents, as bundlers write it, promises that
/// they never change. Such a promise cannot be taken back, so what is taken for
/// one is narrow: a part of the name between dots and hyphens, other than the
/// extension, of 8 to 64 lower-case hexadecimal digits, among them two of 0-9
/// and two of a-f at least, which no date, number or English word has. A page is
/// never taken for one, whatever its name: people keep its address.
pub(super) fn cache_control(path: &str, content_type: &str) -> &'static str {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let Some((stem, _extension)) = name.rsplit_once('.') else { return ASK };
    let is_page = content_type.starts_with("text/html");
    if !is_page && stem.split(['.', '-']).any(is_hash) { KEEP } else { ASK }
}

fn is_hash(part: &str) -> bool {
    let count = |wanted: fn(&u8) -> bool| part.bytes().filter(wanted).count();
    let digits = count(u8::is_ascii_digit);
    let letters = count(|b| (b'a'..=b'f').contains(b));
    (8..=64).contains(&part.len()) && digits + letters == part.len() && digits > 1 && letters > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_hash_of_the_contents_is_kept() {
        for name in [
            "app.3f9a2c1b.js",
            "name-3f9a2c1bd4.css",
            "3f9a2c1b.js",
            "logo-small.3f9a2c1b4d5e6f70.min.svg",
            "app.3f9a2c1b.js.map",
        ] {
            assert_eq!(cache_control(&format!("public/assets/{name}"), "text/css"), KEEP, "{name}");
        }
    }

    #[test]
    fn whatever_may_be_something_else_is_asked_for() {
        for name in [
            "app.js",
            "app-3f9a2c1.js",
            "report-20260131.pdf",
            "photo-20260131a.jpg",
            "deadbeef.js",
            "facade-decade.css",
            "app.3F9A2C1B.js",
            "app_3f9a2c1b.js",
            "app.3f9a2c1b",
            "3f9a2c1b",
            "app-3f9a2c1g.js",
            ".3f9a2c1b",
        ] {
            assert_eq!(cache_control(&format!("public/{name}"), "text/css"), ASK, "{name}");
        }
        assert_eq!(cache_control("public/3f9a2c1b/app.js", "text/javascript"), ASK);
        let page = "text/html; charset=utf-8";
        assert_eq!(cache_control("public/page-3f9a2c1b.html", page), ASK);
    }
}
