//! The supervisor of one unit. It is the reaper of all that the unit's processes leave behind, so
//! the unit is everything below it in the process tree, which no double fork escapes. (systemd has
//! control groups for that; the lab must not need them.)

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{Pid, getgid, getuid};

use crate::init::complain::complain;
use crate::init::process::kill_below;
use crate::init::unit::{KillMode, Output, Unit};
use crate::machine::image::PATH;

/// systemd's exit code for a program that can't be started.
const EXIT_EXEC: u8 = 203;

/// Runs the unit that standard input describes: environment never stands in an argument list.
pub(super) fn main() -> ExitCode {
    let mut text = String::new();
    let unit: Unit = match io::stdin()
        .read_to_string(&mut text)
        .map_err(serde_json::Error::io)
        .and_then(|_| serde_json::from_str(&text))
    {
        Ok(unit) => unit,
        Err(error) => return complain(&format!("unit: {error}")),
    };
    match run(&unit) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&format!("{}: {error}", unit.name));
            ExitCode::from(EXIT_EXEC)
        }
    }
}

fn run(unit: &Unit) -> io::Result<u8> {
    set_child_subreaper(true)?;
    umask(Mode::from_bits_truncate(unit.umask));
    let child = command(unit)?.spawn()?;
    let main = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
    let code = wait_for(main)?;
    match unit.kill_mode {
        KillMode::ControlGroup | KillMode::Mixed => {
            kill_below(Pid::this());
        }
        KillMode::Process | KillMode::None => {}
    }
    Ok(code)
}

fn command(unit: &Unit) -> io::Result<Command> {
    let (program, arguments) = unit
        .command
        .split_first()
        .ok_or_else(|| io::Error::other("no command"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .current_dir(unit.folder.as_deref().unwrap_or("/".as_ref()))
        .stdin(Stdio::null());
    let output = open(&unit.output)?;
    match (&unit.error, &output) {
        (Output::Inherit, Some(file)) => {
            command.stderr(file.try_clone()?);
        }
        (error, _) => {
            if let Some(file) = open(error)? {
                command.stderr(file);
            }
        }
    }
    if let Some(file) = output {
        command.stdout(file);
    }
    if let Some(user) = &unit.user {
        command
            .env("USER", &user.name)
            .env("LOGNAME", &user.name)
            .env("HOME", &user.home)
            .env("SHELL", &user.shell);
        // Who is already who he shall be has nothing to change, and may have no right to.
        if getuid().as_raw() != user.uid || getgid().as_raw() != user.gid {
            command.gid(user.gid).uid(user.uid);
        }
    }
    command.envs(unit.environment.iter().cloned());
    Ok(command)
}

/// `None`: as the supervisor has it, which is the console.
fn open(output: &Output) -> io::Result<Option<File>> {
    match output {
        Output::Journal | Output::Inherit => Ok(None),
        Output::Null => OpenOptions::new().write(true).open("/dev/null").map(Some),
        Output::Append(path) => OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map(Some),
        Output::Truncate(path) => File::create(path).map(Some),
    }
}

fn wait_for(main: Pid) -> io::Result<u8> {
    loop {
        match wait()? {
            WaitStatus::Exited(pid, code) if pid == main => {
                return Ok(u8::try_from(code).unwrap_or(255));
            }
            WaitStatus::Signaled(pid, signal, _) if pid == main => {
                return Ok(128 + number(signal));
            }
            WaitStatus::Exited(..)
            | WaitStatus::Signaled(..)
            | WaitStatus::Stopped(..)
            | WaitStatus::PtraceEvent(..)
            | WaitStatus::PtraceSyscall(_)
            | WaitStatus::Continued(_)
            | WaitStatus::StillAlive => {}
        }
    }
}

fn number(signal: Signal) -> u8 {
    u8::try_from(signal as i32).unwrap_or_default()
}
