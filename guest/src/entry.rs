//! A file with handlers: the program's entry script, and those that
//! `app::invoke` names.

use rhai::{AST, CallFnOptions, Dynamic, Engine, EvalAltResult, FnAccess, Scope};

/// A file that has been parsed, to be called from outside of it.
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) ast: AST,
    /// In the file's order.
    pub(crate) functions: Vec<Function>,
    /// Whether there are statements outside of functions to run first.
    has_top_level: bool,
}

/// A function that can be a handler.
pub(crate) struct Function {
    pub(crate) name: String,
    /// How many parameters it may be called with: 0, 1 or both.
    takes_none: bool,
    takes_one: bool,
}

impl Function {
    /// Whether it can be called with one argument or with none.
    pub(crate) fn is_callable(&self) -> bool {
        self.takes_none || self.takes_one
    }
}

impl Entry {
    pub(crate) fn new(path: String, ast: AST) -> Self {
        let functions = functions_of(&ast);
        let has_top_level = !ast.statements().is_empty();
        Self { path, ast, functions, has_top_level }
    }

    pub(crate) fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }

    /// Runs the top level, then calls the function: with the argument, or
    /// without if it takes none.
    pub(crate) fn call(
        &self,
        engine: &Engine,
        function: &Function,
        argument: Dynamic,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let options = CallFnOptions::new().eval_ast(self.has_top_level);
        let scope = &mut Scope::new();
        let name = function.name.as_str();
        if function.takes_one {
            engine.call_fn_with_options(options, scope, &self.ast, name, (argument,))
        } else {
            engine.call_fn_with_options(options, scope, &self.ast, name, ())
        }
    }
}

/// The functions that can be handlers, in the file's order.
fn functions_of(ast: &AST) -> Vec<Function> {
    let mut found: Vec<_> = ast
        .iter_fn_def()
        .filter(|function| {
            function.access == FnAccess::Public
                && function.this_type.is_none()
                && !function.name.starts_with("anon$")
        })
        .collect();
    found.sort_by_key(|function| function.body.start_position());
    let mut functions: Vec<Function> = Vec::new();
    for definition in found {
        let index = functions.iter().position(|f| f.name == definition.name.as_str());
        let index = index.unwrap_or_else(|| {
            let name = definition.name.to_string();
            functions.push(Function { name, takes_none: false, takes_one: false });
            functions.len() - 1
        });
        if let Some(function) = functions.get_mut(index) {
            match definition.params.len() {
                0 => function.takes_none = true,
                1 => function.takes_one = true,
                _ => {}
            }
        }
    }
    functions
}
