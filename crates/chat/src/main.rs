//! The `stanchion` command: everything is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    stanchion_chat::main()
}
