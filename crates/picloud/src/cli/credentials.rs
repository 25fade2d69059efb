//! The tokens that `picloud login` has got, one for each server, in a file for
//! their owner's eyes.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use reqwest::Url;

/// By the server's address.
type Tokens = BTreeMap<String, String>;

/// Where the tokens are: where it was said, or in the user's configuration.
pub fn path(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let folder =
        dirs::config_dir().context("there is no home directory: set PICLOUD_CREDENTIALS")?;
    Ok(folder.join("picloud").join("credentials.json"))
}

/// The token for this server, if there is one.
pub fn token(path: &Path, server: &Url) -> anyhow::Result<Option<String>> {
    Ok(read(path)?.remove(&key(server)))
}

/// Keeps the token for this server, or forgets it.
pub fn keep(path: &Path, server: &Url, token: Option<&str>) -> anyhow::Result<()> {
    let mut tokens = read(path)?;
    match token {
        Some(token) => tokens.insert(key(server), token.to_owned()),
        None => tokens.remove(&key(server)),
    };
    write(path, &tokens).with_context(|| format!("cannot write {}", path.display()))
}

/// What is the same server has the same key.
fn key(server: &Url) -> String {
    server.as_str().trim_end_matches('/').to_owned()
}

fn read(path: &Path) -> anyhow::Result<Tokens> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .with_context(|| format!("{} is damaged; delete it and log in again", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Tokens::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes a new file and puts it in the old one's place.
fn write(path: &Path, tokens: &Tokens) -> anyhow::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    serde_json::to_writer_pretty(&mut file, tokens)?;
    writeln!(file).and_then(|()| file.sync_all())?;
    Ok(std::fs::rename(new, path)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_server_has_its_token_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("credentials.json");
        let (one, two) = ("http://one".parse().unwrap(), "http://two:1".parse().unwrap());
        assert_eq!(token(&path, &one).unwrap(), None);
        keep(&path, &one, Some("a")).unwrap();
        keep(&path, &two, Some("b")).unwrap();
        assert_eq!(token(&path, &one).unwrap().as_deref(), Some("a"));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        keep(&path, &one, None).unwrap();
        assert_eq!(token(&path, &one).unwrap(), None);
        assert_eq!(token(&path, &two).unwrap().as_deref(), Some("b"));
        std::fs::write(&path, "{").unwrap();
        assert!(token(&path, &one).unwrap_err().to_string().contains("log in again"));
    }
}
