//! Parses the arguments, hands them to `cli`, turns the result into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    event_sender::cli::main().into()
}
