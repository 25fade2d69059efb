//! The Rhai engine and its limits.
//!
//! Fuel and memory, which the host rations, bound what a script costs. The
//! limits here bound what would end in a trap instead of an error: depth.

use std::cell::RefCell;
use std::rc::Rc;

use rhai::{Engine, EvalAltResult, Position};

use crate::dialect::{self, Names, Source};
use crate::sdk::register::Registered;
use crate::sdk::{self, Shared, log};

/// Calls within calls. At this depth the deepest expressions still leave most of
/// the guest's stack unused.
pub(crate) const MAX_CALL_DEPTH: usize = 64;
/// Expressions and blocks within one another, in functions and outside. A sum of
/// so many terms is as deep, and pages are put together as such sums.
const MAX_EXPRESSION_DEPTH: usize = 128;
const MAX_FUNCTIONS: usize = 10_000;
const MAX_VARIABLES: usize = 10_000;
const MAX_MODULES: usize = 1_000;

/// Function hashes come from this seed, so that the same program burns the same
/// fuel whichever build of the guest runs it. It is no secret: a script can only
/// slow itself down by colliding names.
const HASHING_SEED: [u64; 4] = [0x5069, 0x436c, 0x6f75, 0x6421];

/// An engine with the SDK.
pub(crate) struct Equipped {
    pub(crate) engine: Engine,
    /// What the SDK has registered; to be completed before anything runs.
    pub(crate) registered: Registered,
    /// Must be told each text before the engine parses it.
    pub(crate) source: Rc<RefCell<Source>>,
}

/// An engine for a program that defines functions of these names.
pub(crate) fn new(context: &Shared, defined: &Names) -> Equipped {
    // Natively the seed of an earlier engine stays, which is the same one.
    let _ = rhai::config::hashing::set_hashing_seed(Some(HASHING_SEED));

    let mut engine = Engine::new();
    engine.set_max_call_levels(MAX_CALL_DEPTH);
    engine.set_max_expr_depths(MAX_EXPRESSION_DEPTH, MAX_EXPRESSION_DEPTH);
    engine.set_max_functions(MAX_FUNCTIONS);
    engine.set_max_variables(MAX_VARIABLES);
    engine.set_max_modules(MAX_MODULES);
    // Code that only exists at run time is in no image, no error position and
    // no review.
    engine.disable_symbol("eval");
    remove_sleep(&mut engine);
    log::redirect_print(&mut engine, context);
    let registered = sdk::register::register_all(&mut engine, context, defined);
    let source = dialect::map_tokens(&mut engine, registered.protected.clone());
    Equipped { engine, registered, source }
}

/// Rhai's `sleep` would hold a slot of the host's for no fuel at all. It cannot be
/// left out of the standard library, but what is registered later comes first.
fn remove_sleep(engine: &mut Engine) {
    fn absent(signature: &str) -> Result<(), Box<EvalAltResult>> {
        Err(EvalAltResult::ErrorFunctionNotFound(signature.into(), Position::NONE).into())
    }
    engine.register_fn("sleep", |_: i64| absent("sleep (i64)"));
    engine.register_fn("sleep", |_: f64| absent("sleep (f64)"));
}
