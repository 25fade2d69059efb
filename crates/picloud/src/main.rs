//! The `picloud` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    picloud::cli::main()
}
