//! Requests to servers on this machine, which the policy of each test opens or
//! does not.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests too")]

mod denied;
mod exchange;
mod server;
mod stubs;
