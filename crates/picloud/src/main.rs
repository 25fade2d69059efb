//! The `picloud` command.

use std::process::ExitCode;

/// Every request allocates a few dozen times, on several threads at once, which
/// the system's allocator answers with locks (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    picloud::cli::main()
}
