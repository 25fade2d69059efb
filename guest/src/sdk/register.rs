//! How a namespace registers what scripts can call, with the words that the
//! reference is made of.

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};

use rhai::{
    Array, Blob, Dynamic, Engine, FLOAT, FnPtr, FuncRegistration, INT, ImmutableString, Map,
    Module, NativeCallContext, Position, RhaiFunc, RhaiNativeFunc, Shared, Variant,
};

use super::{Context, NAMESPACES};
use crate::calls::Calls;
use crate::dialect::{self, Names};

/// One thing that a script can call, as the reference shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The namespace that it comes from: `kv`.
    pub namespace: &'static str,
    pub kind: Kind,
    /// What scripts call the value that has the method or property:
    /// `kv collection`.
    pub receiver: Option<&'static str>,
    /// `get_or(key, default) -> value`.
    pub signature: &'static str,
    pub doc: &'static str,
    /// The parameters' types, a method's receiver first.
    pub(super) params: Box<[TypeId]>,
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
    /// `function()`.
    Global,
}

impl Kind {
    /// Whether a value has it, which is then its first parameter.
    fn has_receiver(self) -> bool {
        matches!(self, Self::Method | Self::Property)
    }
}

/// What a function takes in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// As the signature has it: `key`, `#{ttl}`, `|value| …`.
    pub name: &'static str,
    /// What scripts call its type, unless it takes any.
    pub of: Option<&'static str>,
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
        self.parameters().len()
    }

    /// The parameters, without a method's receiver.
    #[must_use]
    pub fn parameters(&self) -> Vec<Parameter> {
        let receivers = usize::from(self.kind.has_receiver());
        let types = self.params.iter().skip(receivers).map(|of| type_word(*of));
        let names = parameter_names(self.signature).into_iter();
        names.zip(types).map(|(name, of)| Parameter { name, of }).collect()
    }
}

fn parameter_names(signature: &'static str) -> Vec<&'static str> {
    let Some((_, rest)) = signature.split_once('(') else { return Vec::new() };
    let mut names = Vec::new();
    // A comma inside `#{…}` is between two options of the same argument.
    let (mut braces, mut start) = (0, 0);
    for (at, c) in rest.char_indices() {
        match c {
            '{' => braces += 1,
            '}' => braces -= 1,
            ',' | ')' if braces == 0 => {
                names.extend(rest.get(start..at).map(str::trim).filter(|p| !p.is_empty()));
                start = at + 1;
                if c == ')' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

/// What scripts call a parameter's type, unless it takes any.
fn type_word(of: TypeId) -> Option<&'static str> {
    let words = [
        (TypeId::of::<INT>(), "int"),
        (TypeId::of::<FLOAT>(), "float"),
        (TypeId::of::<bool>(), "bool"),
        (TypeId::of::<ImmutableString>(), "string"),
        (TypeId::of::<Array>(), "array"),
        (TypeId::of::<Map>(), "map"),
        (TypeId::of::<Blob>(), "blob"),
        (TypeId::of::<FnPtr>(), "function"),
    ];
    words.into_iter().find(|(id, _)| *id == of).map(|(_, word)| word)
}

fn name_of(signature: &'static str) -> &'static str {
    signature.split(['(', ' ']).next().unwrap_or(signature)
}

/// Takes one namespace's registrations.
pub struct Registrar<'a> {
    engine: &'a mut Engine,
    module: Module,
    namespace: &'static str,
    defined: &'a Names,
    registered: &'a mut Registered,
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
        let params = param_types(&function);
        self.add_function(signature, doc, &params, function.into_rhai_function(true, true));
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
        let name = self.method_name(signature);
        let params = param_types(&method);
        FuncRegistration::new(name).with_volatility(true).register_into_engine(self.engine, method);
        self.record(Kind::Method, signature, doc, &params);
    }

    /// Registers `function(…)`, which needs no namespace before it.
    pub(crate) fn global<
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
        let params = param_types(&function);
        FuncRegistration::new(name_of(signature))
            .with_volatility(true)
            .register_into_engine(self.engine, function);
        self.record(Kind::Global, signature, doc, &params);
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
        let params = param_types(&getter);
        FuncRegistration::new_getter(name_of(signature)).register_into_engine(self.engine, getter);
        self.record(Kind::Property, signature, doc, &params);
    }

    /// Names a type for error messages, and gives access to what is rarer than
    /// functions, methods and properties: indexers, iterators.
    pub(crate) fn value<T: Variant + Clone>(&mut self, name: &'static str) -> &mut Engine {
        self.registered.type_names.insert(TypeId::of::<T>(), name);
        self.engine.register_type_with_name::<T>(name)
    }

    /// Not generic, as what follows: the generic part is compiled once per
    /// function of the SDK.
    #[inline(never)]
    fn add_function(
        &mut self,
        signature: &'static str,
        doc: &'static str,
        params: &[TypeId],
        function: RhaiFunc,
    ) {
        FuncRegistration::new(name_of(signature)).set_into_module_raw(
            &mut self.module,
            params,
            with_position(function),
        );
        self.record(Kind::Function, signature, doc, params);
    }

    /// What the engine knows a method by: one that a function of the script
    /// could hide goes by another name there, see `dialect`.
    #[inline(never)]
    fn method_name(&mut self, signature: &'static str) -> String {
        let name = name_of(signature);
        if self.defined.contain(name) {
            self.registered.protected.insert(name);
            dialect::hidden(name)
        } else {
            name.to_owned()
        }
    }

    #[inline(never)]
    fn record(
        &mut self,
        kind: Kind,
        signature: &'static str,
        doc: &'static str,
        params: &[TypeId],
    ) {
        let receiver = params.first().filter(|_| kind.has_receiver());
        let receiver = receiver.and_then(|of| self.registered.type_names.get(of).copied());
        let (namespace, params) = (self.namespace, params.into());
        let registration = Registration { namespace, kind, receiver, signature, doc, params };
        self.registered.registrations.push(registration);
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
#[derive(Default)]
pub(crate) struct Registered {
    /// In the order of the reference.
    pub(crate) registrations: Vec<Registration>,
    /// Names of methods that functions of the program have too.
    pub(crate) protected: BTreeSet<&'static str>,
    /// What scripts call the types of the SDK.
    type_names: BTreeMap<TypeId, &'static str>,
    /// The namespaces' functions, which the engine has not been given yet.
    pub(super) modules: Vec<(&'static str, Module)>,
}

/// Registers every namespace of the table with an engine, for a program that
/// defines functions of these names. Functions of a namespace follow with
/// [`Registered::complete`].
pub(crate) fn register_all(
    engine: &mut Engine,
    context: &Shared<Context>,
    defined: &Names,
) -> Registered {
    let mut registered = Registered::default();
    for namespace in NAMESPACES {
        let mut registrar = Registrar {
            engine,
            module: Module::new(),
            namespace: namespace.name,
            defined,
            registered: &mut registered,
        };
        (namespace.register)(&mut registrar, context);
        let module = registrar.module;
        registered.modules.push((namespace.name, module));
    }
    registered
}

impl Registered {
    /// Gives the engine what remains, once a program's calls are known.
    pub(crate) fn complete(mut self, engine: &mut Engine, calls: &Calls) {
        self.refuse_wrong_arguments(engine, calls);
        for (name, mut module) in self.modules {
            module.build_index();
            engine.register_static_module(name, module.into());
        }
    }
}
