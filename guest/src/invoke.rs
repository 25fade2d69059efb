//! `app::invoke`: a handler of the same program is called where another one
//! runs, in the same instance and for the same fuel, memory and budgets.
//!
//! Files that are invoked by a literal name have been parsed with the program.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use rhai::{Dynamic, EvalAltResult, NativeCallContext, Position};

use crate::engine::MAX_CALL_DEPTH;
use crate::entry::Entry;
use crate::modules::Modules;
use crate::sdk::throw;

/// Handlers within handlers, the one that answers the event not counted.
const MAX_DEPTH: usize = 8;
/// The function of a handler that is named without one.
const DEFAULT_FUNCTION: &str = "handle";

/// The files of a program as handlers.
pub(crate) struct Handlers {
    modules: Rc<Modules>,
    entries: RefCell<BTreeMap<String, Rc<Entry>>>,
    depth: Cell<Depth>,
}

/// How deep the handler that runs lies within others.
#[derive(Clone, Copy, Default)]
struct Depth {
    handlers: usize,
    /// The calls that those others are in. Rhai counts anew in each handler.
    calls: usize,
}

impl Handlers {
    /// With the files that have been parsed already.
    pub(crate) fn new(modules: Rc<Modules>, entries: Vec<Entry>) -> Self {
        let entries = entries.into_iter().map(|entry| (entry.path.clone(), Rc::new(entry)));
        Self { modules, entries: RefCell::new(entries.collect()), depth: Cell::default() }
    }

    /// Calls the handler that is written `file.rhai` or `file.rhai#function`.
    pub(crate) fn invoke(
        &self,
        context: &NativeCallContext<'_>,
        handler: &str,
        payload: Dynamic,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let (path, name) = split(handler);
        let entry = self.entry(context, path)?;
        let function = entry.function(name).ok_or_else(|| no_function(&entry, name))?;
        if !function.is_callable() {
            let message = format!("{name} in {path} must take one parameter, or none");
            return Err(throw("app", "handler_not_found", message));
        }

        let outside = self.depth.get();
        let calls = outside.calls + context.call_level();
        // A handler has as many calls for itself as one that answers an event;
        // all those around it together have no more.
        if outside.handlers == MAX_DEPTH || calls > MAX_CALL_DEPTH {
            let message = format!(
                "handlers invoke one another at most {MAX_DEPTH} deep, out of at most \
                 {MAX_CALL_DEPTH} calls"
            );
            return Err(throw("app", "too_deep", message));
        }
        self.depth.set(Depth { handlers: outside.handlers + 1, calls });
        let result = entry.call(context.engine(), function, payload);
        self.depth.set(outside);
        result.map_err(|error| within(&entry, name, error, context.call_position()))
    }

    /// The file of that path, parsed now if it has not been before.
    fn entry(
        &self,
        context: &NativeCallContext<'_>,
        path: &str,
    ) -> Result<Rc<Entry>, Box<EvalAltResult>> {
        if let Some(entry) = self.entries.borrow().get(path) {
            return Ok(Rc::clone(entry));
        }
        let path = self
            .modules
            .locate_handler(path)
            .map_err(|message| throw("app", "handler_not_found", message))?;
        let ast = self
            .modules
            .parse(context.engine(), &path)
            .map_err(|error| throw("app", "syntax_error", error.one_line()))?;
        let entry = Rc::new(Entry::new(path.clone(), ast));
        self.entries.borrow_mut().insert(path, Rc::clone(&entry));
        Ok(entry)
    }
}

/// The file and the function that a handler names.
pub(crate) fn split(handler: &str) -> (&str, &str) {
    handler.split_once('#').unwrap_or((handler, DEFAULT_FUNCTION))
}

fn no_function(entry: &Entry, name: &str) -> Box<EvalAltResult> {
    let names: Vec<_> = entry.functions.iter().map(|function| function.name.as_str()).collect();
    let path = &entry.path;
    let message = if names.is_empty() {
        format!("{path} has no function {name}, nor any other")
    } else {
        format!("{path} has no function {name}; it has {}", names.join(", "))
    };
    throw("app", "handler_not_found", message)
}

/// The error with the call that led to it, as Rhai has it for calls of its own.
fn within(
    entry: &Entry,
    function: &str,
    mut error: Box<EvalAltResult>,
    position: Position,
) -> Box<EvalAltResult> {
    // One that no script may catch must not look like one that it may.
    if error.is_system_exception() {
        error.set_position(position);
        return error;
    }
    EvalAltResult::ErrorInFunctionCall(function.to_owned(), entry.path.clone(), error, position)
        .into()
}
