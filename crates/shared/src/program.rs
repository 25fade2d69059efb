//! A program: what is parsed into one script's memory image.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A `.rhai` file of an app, by its path within the app.
pub type ScriptPath = String;

/// An entry script with every script of its app that it may `import`, and every
/// template that it may render.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    entry: ScriptPath,
    files: Arc<BTreeMap<String, String>>,
    files_digest: [u8; 32],
    digest: [u8; 32],
}

impl Program {
    /// Puts a program together. The files, the entry among them, are shared
    /// with the other programs of the same release.
    #[must_use]
    pub fn new(entry: impl Into<ScriptPath>, files: Arc<BTreeMap<String, String>>) -> Self {
        let mut hash = Sha256::new();
        for text in files.iter().flat_map(|(path, source)| [path, source]) {
            // Lengths keep ("ab", "c") and ("a", "bc") apart.
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        Self::from_parts(entry.into(), files, hash.finalize().into())
    }

    /// The same files with another of them as the entry, without hashing them again.
    #[must_use]
    pub fn with_entry(&self, entry: impl Into<ScriptPath>) -> Self {
        Self::from_parts(entry.into(), Arc::clone(&self.files), self.files_digest)
    }

    fn from_parts(
        entry: ScriptPath,
        files: Arc<BTreeMap<String, String>>,
        files_digest: [u8; 32],
    ) -> Self {
        let digest = Sha256::new().chain_update(files_digest).chain_update(&entry).finalize();
        Self { entry, files, files_digest, digest: digest.into() }
    }

    /// A program of a single file.
    #[must_use]
    pub fn single(entry: impl Into<ScriptPath>, source: impl Into<String>) -> Self {
        let entry = entry.into();
        let files = BTreeMap::from([(entry.clone(), source.into())]);
        Self::new(entry, Arc::new(files))
    }

    #[must_use]
    pub fn entry(&self) -> &str {
        &self.entry
    }

    #[must_use]
    pub fn files(&self) -> &BTreeMap<String, String> {
        &self.files
    }

    /// Identifies the program by its contents: equal programs share an image,
    /// whichever app they belong to, for an image holds nothing of any app's.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// What compiling a program tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScriptInfo {
    /// Names of the entry script's functions that a handler may be, in order.
    pub functions: Vec<String>,
    /// Paths of the files that the entry imports, directly or not.
    pub imports: Vec<String>,
}

/// `file.rhai` or `file.rhai#function`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Handler {
    pub script: ScriptPath,
    pub function: Option<String>,
}

/// The text is not `file.rhai` or `file.rhai#function`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a handler is written file.rhai or file.rhai#function")]
pub struct InvalidHandler;

impl FromStr for Handler {
    type Err = InvalidHandler;

    fn from_str(text: &str) -> Result<Self, InvalidHandler> {
        let (script, function) = match text.split_once('#') {
            Some((script, function)) => (script, Some(function)),
            None => (text, None),
        };
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        if script.strip_suffix(".rhai").is_none_or(str::is_empty)
            || function.is_some_and(|name| !is_name(name))
        {
            return Err(InvalidHandler);
        }
        Ok(Self { script: script.to_owned(), function: function.map(str::to_owned) })
    }
}

impl TryFrom<String> for Handler {
    type Error = InvalidHandler;

    fn try_from(text: String) -> Result<Self, InvalidHandler> {
        text.parse()
    }
}

impl fmt::Display for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.script)?;
        match &self.function {
            Some(function) => write!(f, "#{function}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_depends_on_every_part() {
        let base = Program::single("a.rhai", "1");
        assert_eq!(base.digest(), Program::single("a.rhai", "1").digest());
        assert_ne!(base.digest(), Program::single("b.rhai", "1").digest());
        assert_ne!(base.digest(), Program::single("a.rhai", "2").digest());
    }

    #[test]
    fn another_entry_is_another_program_of_the_same_files() {
        let files = BTreeMap::from(["a.rhai", "b.rhai"].map(|f| (f.to_owned(), f.to_owned())));
        let files = Arc::new(files);
        let a = Program::new("a.rhai", Arc::clone(&files));
        let b = Program::new("b.rhai", Arc::clone(&files));
        assert_ne!(a, b);
        assert_eq!(a.with_entry("b.rhai"), b);
    }

    #[test]
    fn handlers_are_read_and_written() {
        for text in ["api.rhai", "posts/[id].rhai#on_post", "a.rhai#_x1"] {
            assert_eq!(text.parse::<Handler>().unwrap().to_string(), text);
        }
        for bad in ["", ".rhai", "api", "api.rhai#", "api.rhai#1x", "api.rhai#a b"] {
            assert!(bad.parse::<Handler>().is_err(), "{bad}");
        }
    }
}
