//! Which app a command is about.

use std::path::Path;

use anyhow::Context as _;
use picloud_shared::{AppSlug, Manifest, manifest};

use super::output::Usage;
use crate::client::{self, Issue, Problem};

/// The app of a folder or file that is deployed: the manifest's name, else the
/// folder's or file's own name made into one.
pub fn of_path(path: &Path) -> anyhow::Result<AppSlug> {
    let path = path.canonicalize().with_context(|| format!("cannot read {}", path.display()))?;
    if let Some(name) = in_manifest(&path)? {
        return Ok(name);
    }
    let name = if path.is_file() { path.file_stem() } else { path.file_name() };
    let name = name.map(|name| name.to_string_lossy()).unwrap_or_default();
    slug_of(&name).ok_or_else(|| {
        let message = format!("{name:?} gives no app a name: pass --app NAME");
        Usage(message).into()
    })
}

/// The app of the folder that a command is run in.
pub fn here() -> anyhow::Result<AppSlug> {
    in_manifest(Path::new("."))?.ok_or_else(|| {
        let message = format!(
            "which app? pass --app NAME, or run this in a folder whose {} has a name",
            manifest::FILE
        );
        Usage(message).into()
    })
}

/// The name in a folder's manifest.
fn in_manifest(folder: &Path) -> anyhow::Result<Option<AppSlug>> {
    let path = folder.join(manifest::FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if is_absence(&error) => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    match Manifest::parse(&text) {
        Ok(manifest) => Ok(manifest.name),
        // Whoever cannot read the name may not guess another one: it would be
        // another app. So this is told as the server would.
        Err(error) => {
            let issues = vec![Issue::new(error, Some(&text))];
            let problem = Problem::of_files("the manifest is not valid", issues);
            Err(client::Error::Problem(problem).into())
        }
    }
}

/// There is no manifest in what is not there, nor in what is no folder.
fn is_absence(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// A name made into an app's: lower case, everything else a single hyphen.
#[must_use]
pub fn slug_of(name: &str) -> Option<AppSlug> {
    let mut slug = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    slug.get(..39).unwrap_or(slug).trim_end_matches('-').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_the_nearest_slug() {
        let cases = [
            ("guestbook", Some("guestbook")),
            ("Guest Book", Some("guest-book")),
            ("my_app.v2", Some("my-app-v2")),
            ("a--b__c", Some("a-b-c")),
            ("2024-report", Some("report")),
            ("Gästebuch", Some("g-stebuch")),
            ("-x1-", Some("x1")),
            ("x", None),
            ("", None),
            ("日本", None),
        ];
        for (name, expected) in cases {
            assert_eq!(slug_of(name).as_ref().map(AppSlug::as_str), expected, "{name:?}");
        }
        assert_eq!(slug_of(&"a".repeat(50)).unwrap().as_str(), "a".repeat(39));
        assert_eq!(slug_of(&format!("{}-b", "a".repeat(38))).unwrap().as_str(), "a".repeat(38));
    }

    #[test]
    fn the_manifests_name_comes_before_the_folders() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("My Folder");
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(of_path(&folder).unwrap().as_str(), "my-folder");
        assert_eq!(of_path(&folder.join("..").join("My Folder")).unwrap().as_str(), "my-folder");
        std::fs::write(folder.join("picloud.toml"), "name = \"other\"").unwrap();
        assert_eq!(of_path(&folder).unwrap().as_str(), "other");
        std::fs::write(folder.join("picloud.toml"), "name = ").unwrap();
        let error = of_path(&folder).unwrap_err();
        let Some(client::Error::Problem(problem)) = error.downcast_ref() else {
            panic!("{error}");
        };
        assert_eq!(problem.code, "invalid_manifest");
        assert!(problem.errors[0].excerpt.is_some());

        let file = root.path().join("Hello_World.rhai");
        std::fs::write(&file, "1").unwrap();
        assert_eq!(of_path(&file).unwrap().as_str(), "hello-world");
    }
}
