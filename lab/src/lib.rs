//! A whole cloud and a forge on one machine: what the demo shows and the tests run against.
//!
//! `Lab::up` starts a daemon ([`serve`]) that holds everything: the AWS emulator as a child process,
//! our own EC2 whose instances are namespaces of this machine, their metadata services, the front
//! door that stands for API Gateway, and a forge: our stand-in ([`forge`]) or a real one ([`real_forge`]). Other
//! processes find it by its [`LabFile`]. The daemon's children are the same program again, in the parts that [`init`] and
//! [`runner`] name. EC2 and the stand-in can also be had without any of that: [`in_process`].
//!
//! Invariants: everything listens on 127.0.0.1 or inside a namespace; nothing outlives the daemon;
//! templates and the dispatcher know nothing of the lab.

mod cloud;
mod ec2;
mod edge;
mod emulator;
mod error;
mod events;
mod folder;
pub mod forge;
mod forge_program;
mod front_door;
mod handle;
mod hostile;
pub mod http;
mod ids;
pub mod in_process;
pub mod init;
mod journal;
mod leftovers;
mod machine;
mod machine_logs;
mod metadata;
mod ministack;
pub mod real_forge;
mod recording;
mod rights;
pub mod runner;
pub mod serve;
mod sigv4;
mod supervised;
mod tls;
mod update;

pub use cloud::InstanceReport;
pub use ec2::{Calls, Capacity, FaultInjection, RunError, on_demand_usd_per_hour};
pub use error::Error;
pub use folder::{
    ACCOUNT, ENV_FOLDER, FORGE_URL, Folder, LabFile, REGION, WEBHOOK_SECRET, cache_folder,
    cache_folder_for,
};
pub use forge_program::{ForgeProgram, ForgeQueue, UnknownForge};
pub use handle::{Lab, Setup, SharedEmulator, Status};
pub use hostile::{HostileAccount, HostileReport};
pub use journal::Entry;
pub use leftovers::{Leftovers, leftovers};
pub use machine::debian::Debian;
pub use machine::docker::ENV_DOCKER;
pub use ministack::{StandaloneEmulator, emulator_python};
pub use recording::{ENV_RECORDING, FUNCTION_TOKEN, WITNESS_TOKEN};
pub use rights::ENV_RIGHTS;

use std::process::ExitCode;

/// The hidden commands `internal serve|gitea-runner|forgejo-runner|init …`: the program plays its other parts.
#[must_use]
pub fn internal(args: &[String]) -> ExitCode {
    match args.split_first() {
        Some((part, rest)) if part == "serve" => serve::main(rest),
        Some((part, rest)) if part == runner::Program::Gitea.name() => {
            runner::main(runner::Program::Gitea, rest)
        }
        Some((part, rest)) if part == runner::Program::Forgejo.name() => {
            runner::main(runner::Program::Forgejo, rest)
        }
        Some((part, rest)) if part == "init" => init::main(rest),
        Some(_) | None => ExitCode::FAILURE,
    }
}
