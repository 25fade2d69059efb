//! Calls with the wrong arguments, and of functions that a namespace lacks.
//!
//! Rhai tells functions of one name apart by their parameters' types, and finds
//! no function where the arguments fit none. Here something is found: for each
//! call that a program makes, a function that takes arguments of any types and
//! throws `invalid_argument`. Rhai tries those last, so a call that fits is as
//! fast as before.

use std::any::TypeId;
use std::collections::BTreeSet;

use rhai::{
    Dynamic, Engine, EvalAltResult, FnPtr, FuncRegistration, NativeCallContext, RhaiFunc, Shared,
};

use super::options::nearest;
use super::register::{Kind, Parameter, Registered, Registration};
use super::{Result, friendly_type_name, throw};
use crate::calls::{Calls, Shape};
use crate::dialect;

/// The most arguments that are looked at where a program's calls are not known.
const MAX_UNKNOWN_ARITY: usize = 6;

/// A function that throws `invalid_argument`.
type Refusal =
    Shared<dyn Fn(Option<NativeCallContext<'_>>, &mut [&mut Dynamic]) -> Result<Dynamic>>;

impl Registered {
    /// Has the calls of a program that do not fit throw `invalid_argument`.
    pub(super) fn refuse_wrong_arguments(&mut self, engine: &mut Engine, calls: &Calls) {
        if calls.incomplete {
            for shape in self.every_shape() {
                self.refuse(engine, &shape);
            }
        }
        for shape in calls.shapes() {
            self.refuse(engine, shape);
        }
    }

    fn refuse(&mut self, engine: &mut Engine, shape: &Shape) {
        if shape.namespace.is_empty() {
            self.refuse_method(engine, shape);
            self.refuse_global(engine, shape);
        } else if let Some(refusal) = self.refusal_of_function(shape) {
            let Shape { namespace, name, arity } = shape;
            let params = vec![TypeId::of::<Dynamic>(); *arity];
            let func = RhaiFunc::Pure {
                func: refusal,
                has_context: true,
                is_pure: true,
                is_volatile: true,
            };
            if let Some((_, module)) = self.modules.iter_mut().find(|(own, _)| own == namespace) {
                FuncRegistration::new(name.as_str()).set_into_module_raw(module, params, func);
            }
        }
    }

    /// `None` if the call may be right, or is not of the SDK.
    fn refusal_of_function(&self, shape: &Shape) -> Option<Refusal> {
        let Shape { namespace, name, arity } = shape;
        let functions: Vec<&Registration> = self
            .registrations
            .iter()
            .filter(|one| one.kind == Kind::Function && one.namespace == namespace)
            .collect();
        let service = functions.first()?.namespace;
        let overloads: Vec<_> =
            functions.iter().filter(|one| one.name() == name).copied().collect();
        if overloads.is_empty() {
            let nearest = nearest(name, functions.iter().map(|one| one.name()));
            let hint = nearest
                .map_or_else(String::new, |name| format!("; did you mean {namespace}::{name}?"));
            let message = format!("there is no function {namespace}::{name}{hint}");
            return Some(Shared::new(move |context, _| {
                Err(at_call(throw(service, "unknown_function", message.as_str()), context.as_ref()))
            }));
        }
        if takes_any(&overloads, &vec![TypeId::of::<Dynamic>(); *arity]) {
            return None;
        }
        Some(refusal(&format!("{namespace}::{name}"), &overloads))
    }

    /// Methods of one name can be of several types: each refuses for its own.
    fn refuse_method(&self, engine: &mut Engine, shape: &Shape) {
        let readable = dialect::readable(&shape.name);
        let methods: Vec<&Registration> = self
            .registrations
            .iter()
            .filter(|one| one.kind == Kind::Method && one.name() == readable)
            .collect();
        let receivers: BTreeSet<TypeId> =
            methods.iter().filter_map(|method| method.params.first().copied()).collect();
        for receiver in receivers {
            let overloads: Vec<_> = methods
                .iter()
                .filter(|method| method.params.first() == Some(&receiver))
                .copied()
                .collect();
            let mut params = vec![TypeId::of::<Dynamic>(); shape.arity];
            match params.first_mut() {
                Some(first) => *first = receiver,
                None => continue,
            }
            if takes_any(&overloads, &params) {
                continue;
            }
            let what = overloads.first().and_then(|one| one.receiver).unwrap_or("value");
            let refusal = refusal(&format!("{readable} of a {what}"), &overloads);
            engine.register_raw_fn(shape.name.as_str(), params, move |context, arguments| {
                refusal(Some(context), arguments)
            });
        }
    }

    /// What the script defines itself comes before.
    fn refuse_global(&self, engine: &mut Engine, shape: &Shape) {
        let overloads: Vec<_> = self
            .registrations
            .iter()
            .filter(|one| one.kind == Kind::Global && one.name() == shape.name)
            .collect();
        let params = vec![TypeId::of::<Dynamic>(); shape.arity];
        if overloads.is_empty() || takes_any(&overloads, &params) {
            return;
        }
        let refusal = refusal(&shape.name, &overloads);
        engine.register_raw_fn(shape.name.as_str(), params, move |context, arguments| {
            refusal(Some(context), arguments)
        });
    }

    /// Every call that a script might make, within reason.
    fn every_shape(&self) -> BTreeSet<Shape> {
        let names = self.registrations.iter().filter_map(|one| match one.kind {
            Kind::Function => Some((one.namespace.to_owned(), one.name().to_owned())),
            Kind::Method if self.protected.contains(one.name()) => {
                Some((String::new(), dialect::hidden(one.name())))
            }
            Kind::Method | Kind::Global => Some((String::new(), one.name().to_owned())),
            Kind::Property => None,
        });
        names
            .flat_map(|(namespace, name)| {
                (0..=MAX_UNKNOWN_ARITY).map(move |arity| Shape {
                    namespace: namespace.clone(),
                    name: name.clone(),
                    arity,
                })
            })
            .collect()
    }
}

/// Whether there is an overload that fits whatever the arguments are.
fn takes_any(overloads: &[&Registration], params: &[TypeId]) -> bool {
    overloads.iter().any(|one| *one.params == *params)
}

/// Refuses the call of `what`, saying which arguments it takes.
fn refusal(what: &str, overloads: &[&Registration]) -> Refusal {
    let service = overloads.first().map_or("", |one| one.namespace);
    let receivers = overloads.first().map_or(0, |one| usize::from(one.kind == Kind::Method));
    let mut forms: Vec<String> = overloads.iter().map(|one| form(one)).collect();
    forms.dedup();
    let takes = format!("{what} takes {}", forms.join(" or "));
    Shared::new(move |context: Option<NativeCallContext<'_>>, arguments: &mut [&mut Dynamic]| {
        let given: Vec<&str> = arguments
            .iter()
            .skip(receivers)
            .map(|argument| match &context {
                Some(context) => context.engine().map_type_name(argument.type_name()),
                None => argument.type_name(),
            })
            .map(friendly_type_name)
            .collect();
        let message = format!("{takes}; it was called with ({})", given.join(", "));
        Err(at_call(throw(service, "invalid_argument", message), context.as_ref()))
    })
}

fn at_call(
    mut error: Box<EvalAltResult>,
    context: Option<&NativeCallContext<'_>>,
) -> Box<EvalAltResult> {
    if let Some(context) = context {
        error.set_position(context.call_position());
    }
    error
}

/// Calls a function that a script has passed to `what`, a function of `service`.
pub(super) fn call_back(
    context: &NativeCallContext<'_>,
    service: &'static str,
    what: &str,
    function: &FnPtr,
    argument: Dynamic,
) -> Result<Dynamic> {
    function.call_within_context(context, (argument,)).map_err(|error| match &*error {
        EvalAltResult::ErrorFunctionNotFound(signature, _)
            if signature.split(' ').next() == Some(function.fn_name()) =>
        {
            let message = format!("the function that {what} is given must take one argument");
            throw(service, "invalid_argument", message)
        }
        _ => error,
    })
}

/// `(key: string, value)`.
fn form(registration: &Registration) -> String {
    let parameters: Vec<String> = registration
        .parameters()
        .into_iter()
        .map(|Parameter { name, of }| match of {
            // An options map and a closure show in their form what they are.
            Some(word) if name.chars().all(|c| c.is_alphanumeric() || c == '_') && word != name => {
                format!("{name}: {word}")
            }
            _ => name.to_owned(),
        })
        .collect();
    format!("({})", parameters.join(", "))
}
