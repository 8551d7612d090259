//! Supervises one program and everything that it starts: in a process namespace of its own, which ends
//! with the program, and with the daemon.

use std::io;
use std::process::{Command, ExitCode};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::init::complain;
use crate::init::process::reap_until;
use crate::machine::user_namespace;

/// Runs `command` supervised. Twice: outside, to make the namespace, and as its process 1.
pub(super) fn main(command: &[String]) -> ExitCode {
    let inside = std::process::id() == 1;
    let outcome = if inside {
        supervise(command)
    } else {
        enclose()
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => complain(&format!("supervisor: {error}")),
    }
}

fn enclose() -> io::Result<u8> {
    set_pdeathsig(Signal::SIGKILL)?;
    // The daemon is in it already; a program that supervises one by itself need not be.
    user_namespace::enter()?;
    unshare(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS)?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    let status = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .status()?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1))
}

fn supervise(command: &[String]) -> io::Result<u8> {
    set_pdeathsig(Signal::SIGKILL)?;
    mount(
        Some("proc"),
        "/proc",
        Some("proc"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        None::<&str>,
    )?;
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| io::Error::other("nothing to run"))?;
    let child = Command::new(program).args(arguments).spawn()?;
    let own = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
    reap_until(own)
}
