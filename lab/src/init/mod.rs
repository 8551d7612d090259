//! Process 1 of the lab's instances and the few commands of systemd that boot files use, as strict
//! as the real ones: what they don't know is an error. One program plays all parts:
//! `internal init --as PART …`.

mod client;
mod command;
mod complain;
mod pid1;
mod process;
mod socket;
mod supervisor;
mod unit;
mod unit_supervisor;
mod user_data;

use std::path::Path;
use std::process::ExitCode;

use self::complain::complain;
use crate::machine::enclosure;

/// Plays the part that `args` (after `init`) name.
#[must_use]
pub fn main(args: &[String]) -> ExitCode {
    let Some(("--as", part, rest)) = args.split_first().and_then(|(first, rest)| {
        rest.split_first()
            .map(|(part, rest)| (first.as_str(), part.as_str(), rest))
    }) else {
        return complain("usage: internal init --as PART …");
    };
    match (part, rest) {
        ("enclosure", [folder]) => enclosure::main(Path::new(folder)),
        ("probe", []) => match enclosure::probe() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&crate::error::chain(&error)),
        },
        ("supervisor", command) => supervisor::main(command),
        ("init", [root]) => pid1::main(Path::new(root)),
        ("unit", []) => unit_supervisor::main(),
        ("systemctl" | "systemd-run" | "shutdown" | "poweroff", rest) => client::main(part, rest),
        (_, _) => complain(&format!("there is no part {part} with these arguments")),
    }
}
