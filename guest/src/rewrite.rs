//! What is changed in a script's syntax tree before it runs.

use rhai::AST;

use crate::sdk::Registration;

/// The changes.
pub(crate) struct Rewrite;

impl Rewrite {
    pub(crate) fn new(_: &[Registration]) -> Self {
        Self
    }

    pub(crate) fn apply(&self, mut ast: AST, path: &str) -> AST {
        ast.set_source(path);
        ast
    }
}
