//! Processes as `/proc` shows them.

use std::collections::HashMap;
use std::fs;
use std::io;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;

/// Every process here: its parent, and whether it is more than a corpse.
fn parents() -> HashMap<i32, (i32, bool)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return HashMap::new();
    };
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name in parentheses may hold anything, also parentheses.
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            let alive = fields.next()? != "Z";
            Some((pid, (fields.next()?.parse().ok()?, alive)))
        })
        .collect()
}

/// The living processes below `ancestor`, without itself.
pub(super) fn descendants(ancestor: Pid) -> Vec<Pid> {
    let parents = parents();
    let below = |mut pid: i32| {
        // A tree can't be deeper than it has processes.
        for _ in 0..parents.len() {
            match parents.get(&pid) {
                Some((parent, _)) if *parent == ancestor.as_raw() => return true,
                Some((parent, _)) => pid = *parent,
                None => return false,
            }
        }
        false
    };
    parents
        .iter()
        .filter(|(pid, (_, alive))| *alive && below(**pid))
        .map(|(pid, _)| Pid::from_raw(*pid))
        .collect()
}

/// The oldest living child of `parent`.
pub(super) fn first_child(parent: Pid) -> Option<Pid> {
    let parents = parents();
    let children = parents
        .iter()
        .filter(|(_, (own, alive))| *alive && *own == parent.as_raw());
    children.map(|(pid, _)| Pid::from_raw(*pid)).min()
}

/// Whether anything but this process lives in its process namespace.
pub(super) fn others_alive() -> bool {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    parents()
        .iter()
        .any(|(pid, (_, alive))| *alive && *pid != own)
}

/// Sends `signal` to all of `pids`; those that are gone meanwhile need none.
pub(super) fn signal_all(pids: &[Pid], signal: Signal) {
    for pid in pids {
        let _ = kill(*pid, signal);
    }
}

/// Kills everything below `ancestor`, also what is started meanwhile.
pub(super) fn kill_below(ancestor: Pid) {
    // Each round kills every process that exists; a fork bomb loses after a few.
    for _ in 0..50 {
        let living = descendants(ancestor);
        if living.is_empty() {
            return;
        }
        signal_all(&living, Signal::SIGKILL);
    }
}

/// Reaps until `main` has ended: its code, as a shell tells it. Others are children of children that
/// nobody else waits for.
pub(super) fn reap_until(main: Pid) -> io::Result<u8> {
    loop {
        match wait()? {
            WaitStatus::Exited(pid, code) if pid == main => {
                return Ok(u8::try_from(code).unwrap_or(255));
            }
            WaitStatus::Signaled(pid, signal, _) if pid == main => {
                return Ok(128 + u8::try_from(signal as i32).unwrap_or_default());
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
