//! `time::`: the one clock there is. It stands still during an invocation.

use std::rc::Rc;

use super::{Namespace, Registrar, Result, Shared};

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "time", doc: "The time, as Unix milliseconds.", register };

fn register(to: &mut Registrar<'_>, context: &Shared) {
    let ctx = Rc::clone(context);
    to.function(
        "now() -> int",
        "Unix time in milliseconds at which the invocation began; it does not move during it.",
        move || -> Result<i64> { Ok(ctx.invocation("time")?.now_ms.cast_signed()) },
    );
}
