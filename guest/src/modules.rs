//! The program's files, and `import`, which makes modules of them.
//!
//! A file is parsed and its top level evaluated once, while the program is being
//! loaded, so that an `import` at run time is a lookup. Only a path that a script
//! puts together at run time is parsed then.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use rhai::{AST, Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use crate::dialect::Source;
use crate::error;
use crate::model::ScriptError;
use crate::sdk::data::quoted;
use crate::sdk::options::nearest;
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

    /// Takes files that have been parsed, to be made modules of.
    pub(crate) fn add(&self, parsed: impl Iterator<Item = (String, AST)>) {
        let parsed = parsed.map(|(path, ast)| (path, State::Parsed(ast)));
        self.states.borrow_mut().extend(parsed);
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
                Err(error) => Err(at(throw("import", "syntax_error", error.one_line()), position)),
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
    pub(crate) fn locate(&self, import: &str, importer: Option<&str>) -> Result<String, String> {
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

    /// The script that a handler's path means, which begins at the app's root.
    pub(crate) fn locate_handler(&self, path: &str) -> Result<String, String> {
        let is_handler = |path: &str| {
            path.strip_suffix(".rhai").is_some()
                && !path.starts_with("tests/")
                && !path.starts_with("public/")
        };
        if is_handler(path) && self.files.contains_key(path) {
            return Ok(path.to_owned());
        }
        let scripts = || self.files.keys().map(String::as_str).filter(|path| is_handler(path));
        let hint = match nearest(path, scripts()) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => format!("there are {}", scripts().take(20).collect::<Vec<_>>().join(", ")),
        };
        Err(format!("there is no script {} to invoke; {hint}", quoted(path)))
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
