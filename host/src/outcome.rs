//! From wasmtime's error to how an invocation ended.

use picloud_shared::{Budget, Outcome, ScriptError};
use wasmtime::{PoolConcurrencyLimitError, Trap};

use crate::invocation::Stop;

/// Says what a failed call means. `memory_was_refused` tells an allocation that
/// failed from other reasons for which a guest gives up.
pub(crate) fn of_error(error: &wasmtime::Error, memory_was_refused: bool) -> Outcome {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return match stop {
            Stop::Budget(budget) => Outcome::BudgetExceeded(*budget),
            Stop::Unavailable(cause) => Outcome::Unavailable(cause.clone()),
            Stop::Failed(cause) => Outcome::HostFault(cause.clone()),
        };
    }
    let trap = error.downcast_ref::<Trap>();
    match trap {
        Some(Trap::OutOfFuel) => return Outcome::OutOfFuel,
        Some(Trap::StackOverflow) => {
            return Outcome::ScriptError(ScriptError::new(
                "the script calls too deep: the stack is used up",
            ));
        }
        _ => {}
    }
    if moved_too_much(error) {
        return Outcome::BudgetExceeded(Budget::ResponseBytes);
    }
    // The guest's allocator traps when it gets no memory; an image larger than
    // the limit is refused before there is a guest, with no trap.
    if memory_was_refused {
        return Outcome::OutOfMemory;
    }
    if let Some(trap) = trap {
        return Outcome::HostFault(format!("the guest trapped: {trap}"));
    }
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return Outcome::HostFault("the instance pool is exhausted".to_owned());
    }
    Outcome::HostFault(format!("{error:#}"))
}

/// wasmtime keeps the type of this error to itself, so its text has to do; a
/// test holds it in place.
fn moved_too_much(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| cause.to_string().contains("fuel allocated for hostcalls"))
}
