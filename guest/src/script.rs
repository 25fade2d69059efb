//! A compiled program, and the contract between it and what calls it.

use std::collections::BTreeMap;
use std::rc::Rc;

use rhai::{Dynamic, Engine, Scope};

use crate::dialect::{self, Names};
use crate::engine::{self, Equipped};
use crate::entry::{Entry, Function};
use crate::error::{Thrown, describe};
use crate::invoke::Handlers;
use crate::model::{
    Event, Frame, Invocation, NamedEvent, Program, Request, Response, ScriptError, ScriptInfo,
};
use crate::modules::{Modules, Resolver};
use crate::reach;
use crate::sdk::req::Req;
use crate::sdk::template::{Templates, is_template};
use crate::sdk::{Context, Host, Registration, Shared, json, response};

/// The functions that answer HTTP methods.
const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

/// The functions that events call.
const EVENT_HANDLERS: [&str; 3] = ["on_event", "on_message", "on_schedule"];

/// A program that has been parsed, with everything that it takes to run it.
pub struct Script {
    context: Shared,
    engine: Engine,
    entry: Entry,
    /// What a method without a function is answered with; `None` if the file
    /// has no function for any.
    allow: Option<String>,
}

/// Everything that scripts can call, in the order of the reference.
#[must_use]
pub fn reference(host: Box<dyn Host>) -> Vec<Registration> {
    engine::new(&Context::new(host, None), &Names::default()).registered.registrations
}

impl Script {
    /// Parses a program, everything that it imports or invokes, and its templates.
    ///
    /// # Errors
    /// The mistakes in its files, at least one.
    pub fn compile(
        host: Box<dyn Host>,
        program: Program,
    ) -> Result<(Self, ScriptInfo), Vec<ScriptError>> {
        let Program { entry, files } = program;
        // Only scripts can be imported.
        let (templates, files): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|(path, _)| is_template(path));
        let files: BTreeMap<_, _> = files.into_iter().collect();
        let context = Context::new(host, Templates::parse(templates)?);
        let names = Names::defined_in(files.values().map(String::as_str));
        let Equipped { mut engine, registered, source } = engine::new(&context, &names);
        let modules = Modules::new(files, Rc::clone(&source));
        engine.set_module_resolver(Resolver(Rc::clone(&modules)));

        let ast = modules.parse(&engine, &entry).map_err(|error| vec![error])?;
        let reachable = reach::parse(&engine, &modules, &entry, &ast)?;
        registered.complete(&mut engine, &reachable.calls);
        if reachable.use_constants {
            dialect::share_constants(&mut engine);
        }
        for path in &reachable.imports {
            modules.load(&engine, path, rhai::Position::NONE).map_err(|error| {
                match describe(error, path) {
                    Thrown::Error(error) => vec![error],
                    Thrown::Response(_) => vec![ScriptError {
                        message: format!("{path} answers while it is being imported"),
                        ..ScriptError::default()
                    }],
                }
            })?;
        }

        // What only parsing needs is not to be part of the image.
        source.borrow_mut().set("");

        context.provide(Handlers::new(modules, reachable.invoked));
        let entry = Entry::new(entry, ast);
        let info = ScriptInfo {
            functions: entry.functions.iter().map(|function| function.name.clone()).collect(),
            imports: reachable.imports,
        };
        let allow = allow(&entry.functions);
        Ok((Self { context, engine, entry, allow }, info))
    }

    /// Answers one event.
    ///
    /// # Errors
    /// What the script threw and did not catch.
    pub fn handle(&self, invocation: Invocation, event: Event) -> Result<Response, ScriptError> {
        let named = invocation.function.clone();
        self.context.start(invocation);
        let result = match (event, named) {
            (Event::Http(request), None) => self.http(request),
            (Event::Http(request), Some(name)) => {
                self.exactly(&name, Dynamic::from(Req::new(request)))
            }
            (Event::Named(event), Some(name)) if event.service == "test" => self.test(&name),
            (Event::Named(event), None) => self.named(event),
            (Event::Named(event), Some(name)) => self.event(&name, event),
        };
        match result {
            Ok(response) => Ok(response),
            Err(Thrown::Response(response)) => Ok(response.finish()),
            Err(Thrown::Error(error)) => Err(error),
        }
    }

    fn http(&self, request: Request) -> Result<Response, Thrown> {
        let Some(allow) = &self.allow else {
            // What is called by events is not for clients to set off.
            if EVENT_HANDLERS.iter().any(|name| self.entry.function(name).is_some()) {
                return Ok(response::Response::empty(404).finish());
            }
            return self.body(request);
        };
        let handler = match request.method.as_str() {
            "GET" => self.entry.function("get"),
            "HEAD" => self.entry.function("head").or_else(|| self.entry.function("get")),
            "POST" => self.entry.function("post"),
            "PUT" => self.entry.function("put"),
            "PATCH" => self.entry.function("patch"),
            "DELETE" => self.entry.function("delete"),
            "OPTIONS" => self.entry.function("options"),
            _ => None,
        };
        if let Some(function) = handler.or_else(|| self.entry.function("handle")) {
            return self.call(function, Dynamic::from(Req::new(request)));
        }
        let status = if request.method == "OPTIONS" { 204 } else { 405 };
        Ok(response::Response::empty(status).header("allow", allow).finish())
    }

    fn named(&self, event: NamedEvent) -> Result<Response, Thrown> {
        let name = match event.service.as_str() {
            "schedule" => "on_schedule",
            "queue" => "on_message",
            _ => "on_event",
        };
        self.event(name, event)
    }

    /// Nobody reads what a handler of events has for a value.
    fn event(&self, name: &str, event: NamedEvent) -> Result<Response, Thrown> {
        let _value = self.run(self.function(name)?, argument_of(event)?)?;
        Ok(response::Response::empty(204).finish())
    }

    /// Whatever a test's last expression is, nobody reads it; but it is not to
    /// end early.
    fn test(&self, name: &str) -> Result<Response, Thrown> {
        match self.run(self.function(name)?, Dynamic::UNIT) {
            Ok(_) => Ok(response::Response::empty(204).finish()),
            Err(Thrown::Response(response)) => {
                let status = response.finish().status;
                Err(failure(format!("the test threw a response of status {status}")))
            }
            Err(error) => Err(error),
        }
    }

    /// Calls the function of that name.
    fn exactly(&self, name: &str, argument: Dynamic) -> Result<Response, Thrown> {
        self.call(self.function(name)?, argument)
    }

    fn function(&self, name: &str) -> Result<&Function, Thrown> {
        let missing = || failure(format!("{} has no function {name}", self.entry.path));
        self.entry.function(name).ok_or_else(missing)
    }

    fn call(&self, function: &Function, argument: Dynamic) -> Result<Response, Thrown> {
        self.answer(self.run(function, argument)?)
    }

    fn run(&self, function: &Function, argument: Dynamic) -> Result<Dynamic, Thrown> {
        let (name, file) = (&function.name, &self.entry.path);
        if !function.is_callable() {
            return Err(failure(format!("{name} in {file} must take one parameter, or none")));
        }
        match self.entry.call(&self.engine, function, argument) {
            Ok(value) => Ok(value),
            Err(error) => match describe(error, file) {
                Thrown::Error(mut error) => {
                    // Rhai leaves out the call that we made.
                    error.stack.push(Frame { function: name.clone(), position: None });
                    Err(Thrown::Error(error))
                }
                thrown @ Thrown::Response(_) => Err(thrown),
            },
        }
    }

    /// Runs a file that has no function for HTTP: its value is the answer.
    fn body(&self, request: Request) -> Result<Response, Thrown> {
        let mut scope = Scope::new();
        scope.push_constant("req", Req::new(request));
        match self.engine.eval_ast_with_scope::<Dynamic>(&mut scope, &self.entry.ast) {
            Ok(value) => self.answer(value),
            Err(error) => Err(describe(error, &self.entry.path)),
        }
    }

    /// Makes an answer of what a handler returned.
    fn answer(&self, value: Dynamic) -> Result<Response, Thrown> {
        let value = value.flatten();
        if value.is_unit() {
            return Ok(response::Response::empty(204).finish());
        }
        let value = match value.try_cast_result::<response::Response>() {
            Ok(response) => return Ok(response.finish()),
            Err(value) => value,
        };
        if value.is_string() {
            return Ok(response::Response::text(value.cast()).finish());
        }
        if value.is_blob() {
            return Ok(response::Response::bytes(value.cast()).finish());
        }
        response::Response::json(&value)
            .map(response::Response::finish)
            .map_err(|error| describe(error, &self.entry.path))
    }
}

/// The value of `Allow`, or `None` if the file has no function for HTTP.
fn allow(functions: &[Function]) -> Option<String> {
    let has = |name: &str| functions.iter().any(|function| function.name == name);
    let mut methods: Vec<String> = METHODS
        .into_iter()
        .filter(|method| has(method) || (*method == "head" && has("get")) || *method == "options")
        .map(str::to_ascii_uppercase)
        .collect();
    if !has("options") {
        methods.retain(|method| method != "OPTIONS");
    }
    if methods.is_empty() && !has("handle") {
        return None;
    }
    Some(methods.join(", "))
}

/// What a named event's handler is called with: its fields and its name.
fn argument_of(event: NamedEvent) -> Result<Dynamic, Thrown> {
    let fields = json::parse("event", "invalid_event", event.fields.as_bytes())
        .map_err(|error| describe(error, ""))?;
    let Some(mut map) = fields.try_cast::<rhai::Map>() else {
        return Err(failure("the event's fields are not an object".to_owned()));
    };
    map.insert("service".into(), event.service.into());
    map.insert("name".into(), event.name.into());
    Ok(map.into())
}

fn failure(message: String) -> Thrown {
    Thrown::Error(ScriptError { message, ..ScriptError::default() })
}
