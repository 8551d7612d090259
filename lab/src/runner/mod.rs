//! A stand-in for gitea-runner and forgejo-runner: the same command lines, the same protocol, the
//! same traps. It executes `run:` steps on the host and nothing else.
//!
//! Invariant: one job at a time, and told to stop in the middle of one it does what the real one
//! does (measured): it kills the step, and gitea-runner reports the job as a success, forgejo-runner's
//! `one-job` as a failure. Boot files must shield against that, and tests can see whether they do.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

mod client;
mod command;
mod config;
mod daemon;
mod execute;
mod expressions;
mod payload;
mod progress;
mod step;

pub(crate) use command::Program;
pub use command::VERSION;
use command::{Command, Task};

/// How forgejo-runner's `one-job` ends when there is none and it was not told to wait.
const EXIT_NO_JOB: u8 = 2;

/// Runs `program` to its end: 0 after a job whatever its result, and when told to stop while idle;
/// 1 when the forge does not know it.
#[must_use]
pub(crate) fn main(program: Program, args: &[String]) -> ExitCode {
    let outcome = match Command::parse(program, args) {
        Ok(Command::Version) => {
            // A closed standard output is the caller's business.
            let (name, version) = (program.name(), program.version());
            let _ = writeln!(std::io::stdout(), "{name} version v{version}");
            return ExitCode::SUCCESS;
        }
        Ok(Command::Run { task, config }) => run(program, task, config.as_deref()),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(daemon::End::Done) => ExitCode::SUCCESS,
        Ok(daemon::End::NoJob) => {
            log("error", "no task received");
            ExitCode::from(EXIT_NO_JOB)
        }
        Err(error) => {
            log("error", &error);
            ExitCode::FAILURE
        }
    }
}

fn run(program: Program, task: Task, config: Option<&Path>) -> Result<daemon::End, String> {
    let config = config::Config::load(config)?;
    let registration = config::Registration::load(&config.file)?;
    let labels = config::labels(program, &registration.labels)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?
        .block_on(daemon::run(program, task, &labels, &config, &registration))
}

/// One line in the real one's format: what watches a runner reads these.
fn log(level: &str, message: &str) {
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    let line = format!("time=\"{time}\" level={level} msg={message:?}\n");
    // A closed standard error must not end a job.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
