//! What a release's files amount to. The manager reads a layout to decide
//! whether a release may exist, the orchestrator to run it: the same reading.

use std::collections::BTreeMap;
use std::str::Utf8Error;
use std::sync::Arc;

use bytes::Bytes;

use crate::routes::{is_script, is_template};
use crate::{Manifest, Position, Program, Routes, ScriptError, ScriptPath, manifest};

/// A release's manifest, routes, and what its programs are made of.
#[derive(Clone, Debug)]
pub struct Layout {
    pub manifest: Manifest,
    pub routes: Routes,
    /// Every script that can be an entry or imported, and every template.
    pub sources: Arc<BTreeMap<String, String>>,
}

impl Layout {
    /// Reads a release's files.
    ///
    /// # Errors
    /// Everything that is wrong with them, scripts' syntax aside.
    pub fn of(files: &BTreeMap<String, Bytes>) -> Result<Self, Vec<ScriptError>> {
        let mut errors = Vec::new();
        let mut text = |path: &str, bytes: &Bytes| match std::str::from_utf8(bytes) {
            Ok(text) => Some(text.to_owned()),
            Err(error) => {
                errors.push(not_utf8(path, bytes, error));
                None
            }
        };
        let manifest = files.get(manifest::FILE).and_then(|bytes| text(manifest::FILE, bytes));
        let sources: BTreeMap<_, _> = files
            .iter()
            .filter(|(path, _)| is_script(path) || is_template(path))
            .filter_map(|(path, bytes)| Some((path.clone(), text(path, bytes)?)))
            .collect();
        let manifest = match manifest.as_deref().map(Manifest::parse).transpose() {
            Ok(manifest) => manifest.unwrap_or_default(),
            Err(error) => {
                errors.push(error);
                return Err(errors);
            }
        };
        match Routes::of(&files.keys().map(String::as_str).collect(), &manifest) {
            Ok(routes) if errors.is_empty() => {
                Ok(Self { manifest, routes, sources: Arc::new(sources) })
            }
            Ok(_) => Err(errors),
            Err(more) => Err(errors.into_iter().chain(more).collect()),
        }
    }

    /// A program for every script that a handler names.
    #[must_use]
    pub fn programs(&self) -> BTreeMap<ScriptPath, Arc<Program>> {
        let handlers = self.routes.routes.iter().map(|route| &route.handler);
        let handlers = handlers.chain(self.manifest.handlers().map(|at| &at.handler));
        let base = Program::new("", Arc::clone(&self.sources));
        handlers
            .map(|handler| handler.script.clone())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .map(|script| (script.clone(), Arc::new(base.with_entry(script))))
            .collect()
    }
}

/// What is to be said of a file that is not text, and where it ceases to be.
#[must_use]
pub fn not_utf8(path: &str, bytes: &[u8], error: Utf8Error) -> ScriptError {
    let valid = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
    let line = valid.matches('\n').count() + 1;
    let column = valid.chars().rev().take_while(|&c| c != '\n').count() + 1;
    ScriptError {
        code: Some("not_utf8".to_owned()),
        position: Some(Position {
            file: path.to_owned(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }),
        ..ScriptError::new("the file is not UTF-8 text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &'static [u8])]) -> BTreeMap<String, Bytes> {
        files.iter().map(|(path, bytes)| ((*path).to_owned(), Bytes::from_static(bytes))).collect()
    }

    #[test]
    fn every_named_script_is_a_program_of_all_scripts_and_templates() {
        let files = files(&[
            ("index.rhai", b"1"),
            ("lib/job.rhai", b"2"),
            ("lib/other.rhai", b"3"),
            ("templates/page.html", b"<p>"),
            ("templates/mail/no_script.rhai", b"5"),
            ("tests/t.rhai", b"4"),
            ("public/logo.png", b"\xff"),
            ("picloud.toml", b"[[schedules]]\ncron = '* * * * *'\nhandler = 'lib/job.rhai'"),
        ]);
        let layout = Layout::of(&files).unwrap();
        let programs = layout.programs();
        assert_eq!(programs.keys().collect::<Vec<_>>(), ["index.rhai", "lib/job.rhai"]);
        let index = &programs["index.rhai"];
        assert_eq!(
            index.files().keys().collect::<Vec<_>>(),
            [
                "index.rhai",
                "lib/job.rhai",
                "lib/other.rhai",
                "templates/mail/no_script.rhai",
                "templates/page.html",
            ]
        );
        assert_eq!(**index, Program::new("index.rhai", Arc::clone(&layout.sources)));
    }

    #[test]
    fn scripts_templates_and_manifest_are_text() {
        let files = files(&[
            ("a.rhai", b"let x;\nlet \xc3\xa4 \xff"),
            ("b.rhai", b"\0"),
            ("c.rhai", b"\xff"),
            ("templates/a/t.html", b"<p>\n\xff"),
        ]);
        let errors = Layout::of(&files).unwrap_err();
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "a.rhai:2:7: the file is not UTF-8 text",
                "c.rhai:1:1: the file is not UTF-8 text",
                "templates/a/t.html:2:1: the file is not UTF-8 text",
            ]
        );
    }
}
