//! `import`: the program's files as modules.
//!
//! A file is parsed and its top level evaluated once, while the program is being
//! loaded, so that an `import` at run time is a lookup. Only a path that a script
//! puts together at run time is parsed then.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use rhai::{
    AST, ASTNode, Engine, EvalAltResult, Expr, Module, ModuleResolver, Position, Scope, Shared,
    Stmt,
};

use crate::calls::Calls;
use crate::dialect::{self, Source};
use crate::error;
use crate::model::ScriptError;
use crate::sdk::throw;

/// The files of a program, and the modules that have been made of them.
pub(crate) struct Modules {
    files: BTreeMap<String, String>,
    /// What the engine is parsing, for the engine to know.
    source: Rc<RefCell<Source>>,
    states: RefCell<BTreeMap<String, State>>,
}

enum State {
    Parsed(AST),
    /// Its top level is being evaluated.
    Loading,
    Ready(Shared<Module>),
}

/// What a program imports by literal paths.
pub(crate) struct Imports {
    /// In order.
    pub(crate) paths: Vec<String>,
    /// Whether a function there, or of the entry script, names a constant of its
    /// file plainly.
    pub(crate) use_constants: bool,
    /// What is called there, and in the entry script.
    pub(crate) calls: Calls,
}

/// How a program resolves its imports.
pub(crate) struct Resolver(pub(crate) Rc<Modules>);

impl Modules {
    pub(crate) fn new(files: BTreeMap<String, String>, source: Rc<RefCell<Source>>) -> Rc<Self> {
        Rc::new(Self { files, source, states: RefCell::new(BTreeMap::new()) })
    }

    /// Parses a file.
    pub(crate) fn parse(&self, engine: &Engine, path: &str) -> Result<AST, ScriptError> {
        let Some(text) = self.files.get(path) else {
            return Err(ScriptError {
                message: format!("there is no file {path}"),
                ..ScriptError::default()
            });
        };
        self.source.borrow_mut().set(text);
        match engine.compile(text) {
            Ok(mut ast) => {
                ast.set_source(path);
                Ok(ast)
            }
            Err(rhai::ParseError(kind, position)) => {
                Err(error::describe_syntax(&kind, position, path))
            }
        }
    }

    /// Parses everything that `ast`, which is the file `path`, imports by a
    /// literal path, and what that imports in turn.
    pub(crate) fn parse_imports(
        &self,
        engine: &Engine,
        path: &str,
        ast: &AST,
    ) -> Result<Imports, Vec<ScriptError>> {
        let mut errors = Vec::new();
        let mut found: Vec<String> = Vec::new();
        let mut use_constants = dialect::uses_constants(ast);
        let mut calls = Calls::default();
        calls.add(ast);
        let mut open = vec![(path.to_owned(), imports_of(ast))];
        while let Some((importer, imports)) = open.pop() {
            // A file that is parsed at run time may need what none needs now.
            use_constants |= imports.computed;
            calls.incomplete |= imports.computed;
            for (import, position) in imports.literal {
                let target = match self.locate(&import, Some(&importer)) {
                    Ok(target) => target,
                    Err(message) => {
                        let position = error::place(&importer, position);
                        errors.push(ScriptError { message, position, ..Default::default() });
                        continue;
                    }
                };
                if target == path || found.contains(&target) {
                    continue;
                }
                found.push(target.clone());
                match self.parse(engine, &target) {
                    Ok(ast) => {
                        use_constants |= dialect::uses_constants(&ast);
                        calls.add(&ast);
                        open.push((target.clone(), imports_of(&ast)));
                        self.states.borrow_mut().insert(target, State::Parsed(ast));
                    }
                    Err(error) => errors.push(error),
                }
            }
        }
        if errors.is_empty() {
            found.sort();
            Ok(Imports { paths: found, use_constants, calls })
        } else {
            errors.sort_by_key(|error| {
                error.position.as_ref().map(|at| (at.file.clone(), at.line, at.column))
            });
            Err(errors)
        }
    }

    /// The module of a file, made now if it has not been before.
    pub(crate) fn load(
        &self,
        engine: &Engine,
        path: &str,
        position: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let state = self.states.borrow_mut().insert(path.to_owned(), State::Loading);
        let result = match state {
            Some(State::Ready(module)) => Ok(module),
            Some(State::Loading) => {
                let message = format!("{path} imports itself, by way of what it imports");
                return Err(at(throw("import", "import_cycle", message), position));
            }
            Some(State::Parsed(ast)) => evaluate(engine, path, &ast, position),
            None => match self.parse(engine, path) {
                Ok(ast) => evaluate(engine, path, &ast, position),
                Err(error) => {
                    let place = error.position.map_or_else(String::new, |at| {
                        format!(" ({}:{}:{})", at.file, at.line, at.column)
                    });
                    let message = format!("{}{place}", error.message);
                    Err(at(throw("import", "syntax_error", message), position))
                }
            },
        };
        let mut states = self.states.borrow_mut();
        match &result {
            Ok(module) => states.insert(path.to_owned(), State::Ready(Shared::clone(module))),
            Err(_) => states.remove(path),
        };
        result
    }

    /// The file that an import means: a path from the app's root, or, beginning
    /// with `./` or `../`, from the importing file; `.rhai` may be left out.
    fn locate(&self, import: &str, importer: Option<&str>) -> Result<String, String> {
        let mut parts: Vec<&str> = Vec::new();
        if import.starts_with("./") || import.starts_with("../") {
            let folder = importer.and_then(|path| path.rsplit_once('/')).map_or("", |(dir, _)| dir);
            parts.extend(folder.split('/').filter(|part| !part.is_empty()));
        }
        for part in import.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    if parts.pop().is_none() {
                        return Err(format!("import \"{import}\" leads out of the app"));
                    }
                }
                part => parts.push(part),
            }
        }
        let path = parts.join("/");
        let with_extension = format!("{path}.rhai");
        if self.files.contains_key(&with_extension) {
            Ok(with_extension)
        } else if path.strip_suffix(".rhai").is_some() && self.files.contains_key(&path) {
            Ok(path)
        } else {
            Err(format!("there is no file to import as \"{import}\""))
        }
    }
}

impl ModuleResolver for Resolver {
    fn resolve(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        position: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let path = self
            .0
            .locate(path, source)
            .map_err(|message| at(throw("import", "not_found", message), position))?;
        self.0.load(engine, &path, position)
    }
}

fn evaluate(
    engine: &Engine,
    path: &str,
    ast: &AST,
    position: Position,
) -> Result<Shared<Module>, Box<EvalAltResult>> {
    match Module::eval_ast_as_new(Scope::new(), ast, engine) {
        Ok(mut module) => {
            module.set_id(path);
            module.build_index();
            Ok(module.into())
        }
        Err(inner) => Err(EvalAltResult::ErrorInModule(path.to_owned(), inner, position).into()),
    }
}

fn at(mut error: Box<EvalAltResult>, position: Position) -> Box<EvalAltResult> {
    error.set_position(position);
    error
}

/// What a file imports.
struct Found {
    /// Literal paths, with their places.
    literal: Vec<(String, Position)>,
    /// Whether there is a path that is put together at run time.
    computed: bool,
}

fn imports_of(ast: &AST) -> Found {
    let mut found = Found { literal: Vec::new(), computed: false };
    ast.walk(&mut |nodes: &[ASTNode<'_>]| {
        if let Some(ASTNode::Stmt(Stmt::Import(import, _))) = nodes.last() {
            match &import.0 {
                Expr::StringConstant(path, at) => found.literal.push((path.to_string(), *at)),
                _ => found.computed = true,
            }
        }
        true
    });
    found
}
