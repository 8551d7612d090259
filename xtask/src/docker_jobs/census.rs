//! What Docker may leave on a machine, counted from the kernel's own lists and not from the lab's: programs,
//! mounts, control groups and network interfaces.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// Docker's programs, as the kernel cuts their names.
const PROGRAMS: [&str; 6] = [
    "dockerd",
    "containerd",
    "containerd-shim",
    "runc",
    "docker-proxy",
    "docker-init",
];
/// The one that each machine has.
const DAEMON: &str = "dockerd";
/// Beginnings of the interfaces that Docker makes.
const INTERFACES: [&str; 3] = ["docker", "br-", "veth"];
/// Beginnings of the control groups that it makes, and that the lab makes for it.
const GROUPS: [&str; 2] = ["docker", "ci-lab-"];
/// Groups are looked for this deep; those of the lab and of Docker are at the top of some slice.
const DEPTH_MAX: usize = 4;

/// What was there at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Name and process id.
    programs: BTreeSet<(String, u32)>,
    others: BTreeSet<String>,
}

impl Census {
    /// Counts.
    pub fn take() -> io::Result<Self> {
        let mut others = BTreeSet::new();
        for line in fs::read_to_string("/proc/self/mounts")?.lines() {
            if line.contains("/docker") || line.contains("/containerd") {
                others.insert(format!("the mount {line}"));
            }
        }
        for entry in fs::read_dir("/sys/class/net")? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if begins(&name, &INTERFACES) {
                others.insert(format!("the network interface {name}"));
            }
        }
        groups(Path::new("/sys/fs/cgroup"), DEPTH_MAX, &mut others);
        Ok(Self {
            programs: programs()?,
            others,
        })
    }

    /// What is there now and was not before.
    pub fn since(self, before: &Self) -> Self {
        Self {
            programs: &self.programs - &before.programs,
            others: &self.others - &before.others,
        }
    }

    /// How many daemons.
    pub fn daemons(&self) -> usize {
        let programs = self.programs.iter();
        programs.filter(|(name, _)| name == DAEMON).count()
    }

    /// A line for each thing.
    pub fn lines(self) -> impl Iterator<Item = String> {
        let programs = self.programs.into_iter();
        let programs = programs.map(|(name, pid)| format!("{name}, process {pid}"));
        programs.chain(self.others)
    }
}

/// Processes of all namespaces are in `/proc` here.
fn programs() -> io::Result<BTreeSet<(String, u32)>> {
    let mut programs = BTreeSet::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        // It may be gone by now.
        let Ok(name) = fs::read_to_string(entry.path().join("comm")) else {
            continue;
        };
        if begins(name.trim(), &PROGRAMS) {
            programs.insert((name.trim().to_owned(), pid));
        }
    }
    Ok(programs)
}

fn groups(folder: &Path, depth: usize, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_group = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_group || depth == 0 {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        if begins(&name, &GROUPS) {
            found.insert(format!("the control group {}", entry.path().display()));
        } else {
            groups(&entry.path(), depth - 1, found);
        }
    }
}

fn begins(name: &str, beginnings: &[&str]) -> bool {
    beginnings
        .iter()
        .any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_not_left() {
        let census = |pids: &[u32], others: &[&str]| Census {
            programs: pids.iter().map(|pid| (DAEMON.to_owned(), *pid)).collect(),
            others: others.iter().map(|other| (*other).to_owned()).collect(),
        };
        let left = census(&[1, 2], &["a", "b"]).since(&census(&[1], &["b", "c"]));
        assert_eq!(left, census(&[2], &["a"]));
        assert_eq!(left.daemons(), 1);
        assert_eq!(
            left.lines().collect::<Vec<_>>(),
            ["dockerd, process 2", "a"]
        );
    }
}
