//! The executor's policy, with a sandbox that runs closures and a store in memory.

mod support;

mod executor;
mod unit_of_work;
