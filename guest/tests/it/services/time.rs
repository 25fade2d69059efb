use super::{Case, Failure};

pub const CASES: &[Case] =
    &[("now() -> int", "[time::now(), time::now() - time::now()]", "[1700000000123,0]")];

pub const FAILURES: &[Failure] = &[];
