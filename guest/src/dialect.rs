//! Where scripts differ from plain Rhai: three of its rules would surprise in
//! a handler, and are changed.
//!
//! - Rhai lets a script's function hide a value's method of the same name: in a
//!   file with `fn get(req)`, `users.get("ann")` would call that function. Here
//!   **a method of the SDK's is never hidden**. Where a program defines a
//!   function of such a name, the method calls of that name are parsed as calls
//!   of `.get`, a name that no script can define, and the SDK's methods are
//!   registered under that name too.
//! - Rhai reserves the word `debug`, so that no namespace can have a function of
//!   that name. Here **`log::debug` is a name like others**.
//! - Rhai's functions see a constant of their file as `global::NAME` only. Here
//!   **a file's constants are in effect in its functions** under their own names.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use rhai::{
    AST, ASTFlags, ASTNode, Dynamic, Engine, EvalAltResult, Expr, FnPtr, NativeCallContext,
    Position, Stmt, Token,
};

/// The names that a program's functions and the SDK's methods may both have.
#[derive(Default)]
pub(crate) struct Names(BTreeSet<String>);

/// The text that the engine is parsing.
#[derive(Default)]
pub(crate) struct Source {
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
    last: Last,
}

/// The token before.
#[derive(Clone, Copy, Default)]
enum Last {
    Dot,
    DoubleColon,
    #[default]
    Other,
}

impl Names {
    /// The names of the functions that these texts may define. A name in a
    /// comment or a string is one too many, which does no harm.
    pub(crate) fn defined_in<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut names = BTreeSet::new();
        for text in texts {
            for (at, _) in text.match_indices("fn") {
                let rest = text.get(at + 2..).unwrap_or("");
                let name = rest.trim_start();
                let end = name.find(|c: char| !is_identifier(c)).unwrap_or(name.len());
                if name.len() < rest.len() && end > 0 {
                    names.insert(name.get(..end).unwrap_or("").to_owned());
                }
            }
        }
        Self(names)
    }

    pub(crate) fn contain(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

fn is_identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What a method of that name is called by, out of every script's reach.
pub(crate) fn hidden(name: &str) -> String {
    format!(".{name}")
}

/// Undoes [`hidden`], for messages.
pub(crate) fn readable(name: &str) -> &str {
    name.strip_prefix('.').unwrap_or(name)
}

/// Keeps functions from hiding the methods of these names, and lets `log` have a
/// function `debug`. The source must be told each text before it is parsed.
#[expect(deprecated, reason = "on_parse_token is not deprecated but marked as volatile")]
pub(crate) fn map_tokens(
    engine: &mut Engine,
    protected: BTreeSet<&'static str>,
) -> Rc<RefCell<Source>> {
    for name in &protected {
        register_fallbacks(engine, name);
    }
    let source = Rc::new(RefCell::new(Source::default()));
    let seen = Rc::clone(&source);
    engine.on_parse_token(move |token, position, _| {
        let source = &mut *seen.borrow_mut();
        let token = match (token, source.last) {
            (Token::Identifier(name), Last::Dot)
                if protected.contains(name.as_str()) && source.is_called(&name, position) =>
            {
                Token::Identifier(Box::new(hidden(&name).into()))
            }
            (Token::Reserved(name), Last::DoubleColon) if *name == "debug" => {
                Token::Identifier(name)
            }
            (token, _) => token,
        };
        source.last = match token {
            Token::Period | Token::Elvis => Last::Dot,
            Token::DoubleColon => Last::DoubleColon,
            _ => Last::Other,
        };
        token
    });
    source
}

impl Source {
    pub(crate) fn set(&mut self, text: &str) {
        self.lines =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        text.clone_into(&mut self.text);
        self.last = Last::Other;
    }

    /// Whether a parenthesis follows the name at that place.
    fn is_called(&self, name: &str, position: Position) -> bool {
        let (Some(line), Some(column)) = (position.line(), position.position()) else {
            return false;
        };
        let Some(rest) = self.lines.get(line - 1).and_then(|&start| self.text.get(start..)) else {
            return false;
        };
        // Columns count characters, from 1; a name's characters are ASCII.
        let mut after = rest.chars().skip(column - 1 + name.len());
        after.find(|c| !c.is_whitespace()) == Some('(')
    }
}

/// What a hidden name means on values other than the SDK's: what its plain name
/// does, with Rhai's own methods before the script's functions.
fn register_fallbacks(engine: &mut Engine, name: &'static str) {
    let hidden = hidden(name);
    engine.register_fn(&hidden, move |ctx: NativeCallContext<'_>, this: &mut Dynamic| {
        fall_back(&ctx, name, this, [])
    });
    engine.register_fn(
        &hidden,
        move |ctx: NativeCallContext<'_>, this: &mut Dynamic, a: Dynamic| {
            fall_back(&ctx, name, this, [a])
        },
    );
    engine.register_fn(
        &hidden,
        move |ctx: NativeCallContext<'_>, this: &mut Dynamic, a: Dynamic, b: Dynamic| {
            fall_back(&ctx, name, this, [a, b])
        },
    );
    engine.register_fn(
        &hidden,
        move |ctx: NativeCallContext<'_>,
              this: &mut Dynamic,
              a: Dynamic,
              b: Dynamic,
              c: Dynamic| fall_back(&ctx, name, this, [a, b, c]),
    );
}

fn fall_back<const N: usize>(
    ctx: &NativeCallContext<'_>,
    name: &str,
    this: &mut Dynamic,
    mut arguments: [Dynamic; N],
) -> Result<Dynamic, Box<EvalAltResult>> {
    // A map with a function under that name is an object with that method.
    let method = this.as_map_ref().ok().and_then(|map| map.get(name)?.clone().try_cast::<FnPtr>());
    if let Some(method) = method {
        return method.call_raw(ctx, Some(this), arguments);
    }
    let mut all: Vec<&mut Dynamic> = std::iter::once(this).chain(&mut arguments).collect();
    match ctx.call_native_fn_raw(name, true, &mut all) {
        Err(error) if matches!(*error, EvalAltResult::ErrorFunctionNotFound(..)) => {
            ctx.call_fn_raw(name, true, true, &mut all)
        }
        result => result,
    }
}

/// Whether a function of this file names one of its constants plainly.
pub(crate) fn uses_constants(ast: &AST) -> bool {
    let constants: BTreeSet<&str> = ast.statements().iter().filter_map(constant).collect();
    if constants.is_empty() {
        return false;
    }
    let mut found = false;
    let functions = ast.clone_functions_only();
    functions.walk(&mut |nodes: &[ASTNode<'_>]| {
        if let Some(ASTNode::Expr(Expr::Variable(variable, short_index, _))) = nodes.last() {
            // No index: the parser has found no such variable in the function.
            found |= short_index.is_none()
                && variable.0.is_none()
                && variable.2.is_empty()
                && constants.contains(variable.1.as_str());
        }
        !found
    });
    found
}

/// The name that a statement at the top level declares a constant under.
fn constant(statement: &Stmt) -> Option<&str> {
    match statement {
        Stmt::Var(var, flags, _) if flags.contains(ASTFlags::CONSTANT) => Some(&var.0.name),
        _ => None,
    }
}

/// Lets functions see their file's constants. It costs a little at each use of a
/// variable, so a program that does not need it goes without.
#[expect(deprecated, reason = "on_var is not deprecated but marked as volatile")]
pub(crate) fn share_constants(engine: &mut Engine) {
    engine.on_var(|name, index, context| {
        if index != 0 || context.scope().contains(name) {
            return Ok(None);
        }
        let constants = context.global_runtime_state().constants.as_ref();
        Ok(constants.and_then(|constants| constants.borrow().get(name).cloned()))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_of_a_text_are_found() {
        let names = Names::defined_in(["fn a() {} private fn  b_1(x) {}\nfn\n c(){}"].into_iter());
        for name in ["a", "b_1", "c"] {
            assert!(names.contain(name), "{name}");
        }
        for name in ["", "x", "fn"] {
            assert!(!names.contain(name), "{name}");
        }
    }
}
