//! How a namespace registers what scripts can call, with the words that the
//! reference is made of.

use std::any::TypeId;
use std::collections::BTreeSet;

use rhai::{
    Dynamic, Engine, FuncRegistration, Module, NativeCallContext, Position, RhaiFunc,
    RhaiNativeFunc, Shared, Variant,
};

use super::{Context, NAMESPACES};
use crate::dialect::{self, Names};

/// One thing that a script can call, as the reference shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The namespace that it comes from: `kv`.
    pub namespace: &'static str,
    pub kind: Kind,
    /// `get_or(key, default) -> value`.
    pub signature: &'static str,
    pub doc: &'static str,
}

/// How a script reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `namespace::function()`.
    Function,
    /// `value.method()`.
    Method,
    /// `value.property`.
    Property,
}

impl Registration {
    /// The name alone.
    #[must_use]
    pub fn name(&self) -> &'static str {
        name_of(self.signature)
    }

    /// How many arguments a call of it is written with.
    #[must_use]
    pub fn arity(&self) -> usize {
        let Some((_, rest)) = self.signature.split_once('(') else { return 0 };
        // A comma inside `#{…}` is between two options of the same argument.
        let (mut braces, mut commas, mut empty) = (0, 0, true);
        for c in rest.chars() {
            match c {
                ')' => break,
                '{' => braces += 1,
                '}' => braces -= 1,
                ',' if braces == 0 => commas += 1,
                _ => {}
            }
            empty = false;
        }
        if empty { 0 } else { commas + 1 }
    }
}

fn name_of(signature: &'static str) -> &'static str {
    signature.split(['(', ' ']).next().unwrap_or(signature)
}

/// Takes one namespace's registrations.
pub struct Registrar<'a> {
    engine: &'a mut Engine,
    module: Module,
    namespace: &'static str,
    registrations: &'a mut Vec<Registration>,
    defined: &'a Names,
    protected: &'a mut BTreeSet<&'static str>,
}

impl Registrar<'_> {
    /// Registers `namespace::function(…)`.
    pub(crate) fn function<
        A: 'static,
        const N: usize,
        const X: bool,
        R: Variant + Clone,
        const F: bool,
    >(
        &mut self,
        signature: &'static str,
        doc: &'static str,
        function: impl RhaiNativeFunc<A, N, X, R, F> + 'static,
    ) {
        FuncRegistration::new(name_of(signature)).set_into_module_raw(
            &mut self.module,
            param_types(&function),
            with_position(function.into_rhai_function(true, true)),
        );
        self.record(Kind::Function, signature, doc);
    }

    /// Registers `value.method(…)`: the function's first parameter is `&mut` the
    /// value's type.
    pub(crate) fn method<
        A: 'static,
        const N: usize,
        const X: bool,
        R: Variant + Clone,
        const F: bool,
    >(
        &mut self,
        signature: &'static str,
        doc: &'static str,
        method: impl RhaiNativeFunc<A, N, X, R, F> + 'static,
    ) {
        // A method that a function of the script could hide goes by another name
        // there, see `dialect`.
        let name = name_of(signature);
        let name = if self.defined.contain(name) {
            self.protected.insert(name);
            dialect::hidden(name)
        } else {
            name.to_owned()
        };
        FuncRegistration::new(name).with_volatility(true).register_into_engine(self.engine, method);
        self.record(Kind::Method, signature, doc);
    }

    /// Registers `value.property`, which scripts can read only.
    pub(crate) fn property<
        A: 'static,
        const N: usize,
        const X: bool,
        R: Variant + Clone,
        const F: bool,
    >(
        &mut self,
        signature: &'static str,
        doc: &'static str,
        getter: impl RhaiNativeFunc<A, N, X, R, F> + 'static,
    ) {
        FuncRegistration::new_getter(name_of(signature)).register_into_engine(self.engine, getter);
        self.record(Kind::Property, signature, doc);
    }

    /// Names a type for error messages, and gives access to what is rarer than
    /// functions, methods and properties: indexers, iterators.
    pub(crate) fn value<T: Variant + Clone>(&mut self, name: &'static str) -> &mut Engine {
        self.engine.register_type_with_name::<T>(name)
    }

    fn record(&mut self, kind: Kind, signature: &'static str, doc: &'static str) {
        let namespace = self.namespace;
        self.registrations.push(Registration { namespace, kind, signature, doc });
    }
}

/// The types of a function's parameters.
fn param_types<A: 'static, const N: usize, const X: bool, R: 'static, const F: bool, T>(
    _: &T,
) -> [TypeId; N]
where
    T: RhaiNativeFunc<A, N, X, R, F>,
{
    T::param_types()
}

/// Has what the function throws say where it was called, which Rhai sees to for
/// methods but not for functions of a namespace.
fn with_position(mut function: RhaiFunc) -> RhaiFunc {
    if let RhaiFunc::Pure { func, has_context, .. } = &mut function {
        let inner = Shared::clone(func);
        let takes_context = std::mem::replace(has_context, true);
        *func = Shared::new(
            move |context: Option<NativeCallContext<'_>>, arguments: &mut [&mut Dynamic]| {
                let position = context.as_ref().map(NativeCallContext::call_position);
                let context = context.filter(|_| takes_context);
                inner(context, arguments).map_err(|mut error| {
                    if let (Some(position), Position::NONE) = (position, error.position()) {
                        error.set_position(position);
                    }
                    error
                })
            },
        );
    }
    function
}

/// What has been registered.
pub(crate) struct Registered {
    /// In the order of the reference.
    pub(crate) registrations: Vec<Registration>,
    /// Names of methods that functions of the program have too.
    pub(crate) protected: BTreeSet<&'static str>,
}

/// Registers every namespace of the table with an engine, for a program that
/// defines functions of these names.
pub(crate) fn register_all(
    engine: &mut Engine,
    context: &Shared<Context>,
    defined: &Names,
) -> Registered {
    let mut registrations = Vec::new();
    let mut protected = BTreeSet::new();
    for namespace in NAMESPACES {
        let mut registrar = Registrar {
            engine,
            module: Module::new(),
            namespace: namespace.name,
            registrations: &mut registrations,
            defined,
            protected: &mut protected,
        };
        (namespace.register)(&mut registrar, context);
        let mut module = registrar.module;
        module.build_index();
        engine.register_static_module(namespace.name, module.into());
    }
    Registered { registrations, protected }
}
