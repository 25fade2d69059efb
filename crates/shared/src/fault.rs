//! Points at which tests end the process, as a power failure would.

use fail::{FailScenario, fail_point, has_failpoints};

/// Ends the process here if the environment asks for it:
/// `FAILPOINTS="commit.after=20*off->return"` lets twenty pass. See
/// <https://docs.rs/fail>. Only a server that is built with its tests has any
/// of this; in others the call is empty.
pub fn point(name: &'static str) {
    // Read by nobody where there are no points.
    let _: &str = name;
    fail_point!(name, |_| std::process::abort());
}

/// Reads what the environment asks for, for as long as the answer is kept.
#[must_use]
pub fn setup() -> Option<FailScenario<'static>> {
    has_failpoints().then(FailScenario::setup)
}
