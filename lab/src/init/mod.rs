//! Process 1 of the lab's instances and the few commands of systemd that boot files use, as strict
//! as the real ones: what they don't know is an error. One program plays all parts:
//! `internal init --as PART …`.

mod command;
mod docker;
mod pid1;
mod process;
mod socket;
mod supervisor;
mod unit;
mod unit_supervisor;
mod user_data;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use crate::machine::enclosure;

/// Plays the part that `args` (after `init`) name.
#[must_use]
pub fn main(args: &[String]) -> ExitCode {
    let [flag, part, rest @ ..] = args else {
        return complain("usage: internal init --as PART …");
    };
    match (flag.as_str(), part.as_str(), rest) {
        ("--as", "enclosure", [folder]) => enclosure::main(Path::new(folder)),
        ("--as", "probe", []) => match enclosure::probe() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&crate::error::chain(&error)),
        },
        ("--as", "supervisor", command) => supervisor::main(command),
        ("--as", "init", [root]) => pid1::main(Path::new(root)),
        ("--as", "unit", []) => unit_supervisor::main(),
        ("--as", "docker", []) => docker::main(),
        ("--as", "user-data", []) => user_data::main(),
        ("--as", "systemctl" | "systemd-run" | "shutdown" | "poweroff", rest) => {
            command::main(part, rest)
        }
        (_, _, _) => complain(&format!("there is no part {part} with these arguments")),
    }
}

/// Says on standard error why a part failed.
fn complain(words: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{words}");
    ExitCode::FAILURE
}
