//! A stand-in for gitea-runner: the same command line, the same protocol, the same traps. It
//! executes `run:` steps on the host and nothing else.
//!
//! Invariant: one job at a time, and told to stop in the middle of one it does what the real one
//! does (measured): it kills the step and reports the job as a success. Boot files must shield
//! against that, and tests can see whether they do.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod client;
mod config;
mod daemon;
mod execute;
mod payload;
mod progress;
mod step;

/// What it calls itself; the version whose behaviour was measured.
pub const VERSION: &str = "1.0.8";

/// The command line, without the program's own name.
enum Command {
    Version,
    Daemon { config: Option<PathBuf> },
}

fn parse(args: &[String]) -> Result<Command, String> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["--version" | "-v"] => Ok(Command::Version),
        ["daemon"] => Ok(Command::Daemon { config: None }),
        ["daemon", "--config" | "-c", file] | ["--config" | "-c", file, "daemon"] => {
            Ok(Command::Daemon {
                config: Some(PathBuf::from(file)),
            })
        }
        _ => Err(format!(
            "the stand-in runner knows `daemon [--config FILE]` and `--version`, not {args:?}"
        )),
    }
}

/// Runs it to its end: 0 after a job whatever its result, and when told to stop while idle; 1 when
/// the forge does not know it.
#[must_use]
pub fn main(args: impl IntoIterator<Item = String>) -> ExitCode {
    let args: Vec<String> = args.into_iter().collect();
    let outcome = match parse(&args) {
        Ok(Command::Version) => {
            // A closed standard output is the caller's business.
            let _ = writeln!(std::io::stdout(), "gitea-runner version v{VERSION}");
            return ExitCode::SUCCESS;
        }
        Ok(Command::Daemon { config }) => run(config.as_deref()),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log("error", &error);
            ExitCode::FAILURE
        }
    }
}

fn run(config: Option<&Path>) -> Result<(), String> {
    let config = config::Config::load(config)?;
    let registration = config::Registration::load(&config.file)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?
        .block_on(daemon::run(&config, &registration))
}

/// One line in the real one's format: what watches a runner reads these.
fn log(level: &str, message: &str) {
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    let line = format!("time=\"{time}\" level={level} msg={message:?}\n");
    // A closed standard error must not end a job.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_the_real_ones() {
        let parse =
            |args: &[&str]| parse(&args.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(matches!(parse(&["--version"]), Ok(Command::Version)));
        assert!(matches!(
            parse(&["daemon"]),
            Ok(Command::Daemon { config: None })
        ));
        assert!(matches!(
            parse(&["daemon", "--config", "a"]),
            Ok(Command::Daemon { config: Some(file) }) if file.as_path() == Path::new("a")
        ));
        assert!(parse(&["register"]).is_err());
        assert!(parse(&[]).is_err());
    }
}
