//! The lab's other parts as a program of their own, for this crate's tests: `xtask` has the same
//! hidden commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((first, rest)) if first == "internal" => lab::internal(rest),
        Some(_) | None => ExitCode::FAILURE,
    }
}
