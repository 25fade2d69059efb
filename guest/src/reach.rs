//! The files that a program reaches: by `import` and by `app::invoke`, by names
//! that are literally there. They are parsed while the program is being loaded.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTNode, Engine, Expr, FnCallExpr, Position, Stmt};

use crate::calls::Calls;
use crate::entry::Entry;
use crate::model::ScriptError;
use crate::modules::Modules;
use crate::{dialect, error, invoke};

/// What a program reaches.
#[derive(Default)]
pub(crate) struct Reachable {
    /// Paths of the files that it imports, in order.
    pub(crate) imports: Vec<String>,
    /// The files that it invokes.
    pub(crate) invoked: Vec<Entry>,
    /// Whether a function there, or of the entry script, names a constant of its
    /// file plainly.
    pub(crate) use_constants: bool,
    /// What is called there, and in the entry script.
    pub(crate) calls: Calls,
}

/// Parses everything that `entry`, which is the file `path`, imports or invokes,
/// and what that reaches in turn. What is imported is given to `modules`.
pub(crate) fn parse(
    engine: &Engine,
    modules: &Modules,
    path: &str,
    entry: &AST,
) -> Result<Reachable, Vec<ScriptError>> {
    let mut reachable = Reachable::default();
    let mut errors = Vec::new();
    let (mut imported, mut invoked) = (BTreeSet::new(), BTreeSet::new());
    let mut parsed: BTreeMap<String, AST> = BTreeMap::new();
    let mut seen = BTreeSet::from([path.to_owned()]);
    let mut open = vec![path.to_owned()];
    while let Some(file) = open.pop() {
        let ast = parsed.get(&file).unwrap_or(entry);
        let references = references_of(ast);
        // A file that is parsed at run time may need what none needs now.
        reachable.use_constants |= references.computed || dialect::uses_constants(ast);
        reachable.calls.incomplete |= references.computed;
        reachable.calls.add(ast);
        for (reference, position) in references.literal {
            let located = match &reference {
                Reference::Import(import) => modules.locate(import, Some(&file)),
                Reference::Handler(handler) => modules.locate_handler(invoke::split(handler).0),
            };
            let target = match located {
                Ok(target) => target,
                Err(message) => {
                    let position = error::place(&file, position);
                    errors.push(ScriptError { message, position, ..Default::default() });
                    continue;
                }
            };
            match reference {
                // Where the entry script is imported it is parsed once more.
                Reference::Import(_) if target == path => {}
                Reference::Import(_) => _ = imported.insert(target.clone()),
                Reference::Handler(_) => _ = invoked.insert(target.clone()),
            }
            if seen.insert(target.clone()) {
                match modules.parse(engine, &target) {
                    Ok(ast) => {
                        parsed.insert(target.clone(), ast);
                        open.push(target);
                    }
                    Err(error) => errors.push(error),
                }
            }
        }
    }
    if !errors.is_empty() {
        errors.sort_by_key(|error| {
            error.position.as_ref().map(|at| (at.file.clone(), at.line, at.column))
        });
        return Err(errors);
    }

    // Copies are made of the few that are needed twice: what is freed again
    // stays in the image.
    for path in invoked {
        let ast = match parsed.get(&path) {
            Some(ast) if imported.contains(&path) => ast.clone(),
            Some(_) => parsed.remove(&path).unwrap_or_default(),
            None => entry.clone(),
        };
        reachable.invoked.push(Entry::new(path, ast));
    }
    modules.add(parsed.into_iter());
    reachable.imports = imported.into_iter().collect();
    Ok(reachable)
}

/// The files that a file names.
struct References {
    literal: Vec<(Reference, Position)>,
    /// Whether there is a name that is put together at run time.
    computed: bool,
}

enum Reference {
    /// As `import` has it.
    Import(String),
    /// As `app::invoke` has it.
    Handler(String),
}

fn references_of(ast: &AST) -> References {
    let mut found = References { literal: Vec::new(), computed: false };
    ast.walk(&mut |nodes: &[ASTNode<'_>]| {
        let (name, kind): (&Expr, fn(String) -> Reference) =
            match nodes.last() {
                Some(ASTNode::Stmt(Stmt::Import(import, _))) => (&import.0, Reference::Import),
                Some(
                    ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _)),
                ) if is_invoke(call) => match call.args.first() {
                    Some(handler) => (handler, Reference::Handler),
                    None => return true,
                },
                _ => return true,
            };
        match name {
            Expr::StringConstant(name, at) => found.literal.push((kind(name.to_string()), *at)),
            _ => found.computed = true,
        }
        true
    });
    found
}

fn is_invoke(call: &FnCallExpr) -> bool {
    let namespace = call.namespace.path.as_slice();
    call.name == "invoke" && matches!(namespace, [name] if name.name == "app")
}
