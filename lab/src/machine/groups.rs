//! Control groups of machines that have something in them which wants them: Docker, or a systemd of their own.
//! A machine sees its own group as the root of all. A group is the one thing of a machine that the kernel does
//! not take back with its last process, so it is removed, and counted among what is left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::folder::Folder;

/// Control groups in a machine.
const GROUPS: &str = "sys/fs/cgroup";
/// The part of a machine's group that its own processes are in: a group with processes gives its controllers to
/// no group below it.
const INIT: &str = "init";
/// The kernel empties a group when its last process is gone, a moment after that was waited for.
const REMOVAL_LIMIT: Duration = Duration::from_secs(2);
/// Between two tries.
const LOOK: Duration = Duration::from_millis(20);
/// Depth of groups that containers and units make: three or four, with those of their own.
const DEPTH_MAX: usize = 16;

/// The groups of a lab's machines.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    below: PathBuf,
    prefix: String,
}

impl Groups {
    /// Those of the lab in `folder`, where this kernel has such groups.
    pub(crate) fn of(folder: &Folder) -> Result<Self, Error> {
        let below = own_group().ok_or(Error::Missing {
            program: "a mount of cgroup2",
            hint: "Docker and systemd in the lab's machines need it; \
                   `mount -t cgroup2 cgroup2 /sys/fs/cgroup`",
        })?;
        Ok(Self {
            below,
            prefix: prefix(folder),
        })
    }

    pub(crate) fn of_machine(&self, id: &str) -> Group {
        Group(self.below.join(format!("{}{id}", self.prefix)))
    }
}

/// The group of one machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Group(PathBuf);

impl Group {
    /// The kernel's folder of devices and groups below `root`, which nothing can write to yet.
    pub(crate) fn mount_sys(root: &Path) -> io::Result<()> {
        let flags =
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
        let none = None::<&str>;
        mount(Some("sysfs"), &root.join("sys"), Some("sysfs"), flags, none)?;
        Ok(())
    }

    /// Takes this process, and all that it starts, into the machine's group, which it then sees as the root of
    /// all groups. To be called by process 1.
    pub(crate) fn enter(&self, root: &Path) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        fs::write(self.0.join("cgroup.procs"), "0")?;
        unshare(CloneFlags::CLONE_NEWCGROUP)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let (groups, none) = (root.join(GROUPS), None::<&str>);
        mount(Some("cgroup2"), &groups, Some("cgroup2"), flags, none)?;
        Ok(())
    }

    /// Moves this process into a part of the machine's group, so that others below that can have limits: what
    /// systemd does by itself.
    pub(crate) fn make_room(root: &Path) -> io::Result<()> {
        let groups = root.join(GROUPS);
        fs::create_dir(groups.join(INIT))?;
        fs::write(groups.join(INIT).join("cgroup.procs"), "0")?;
        // Limits of containers work where the host lends these; elsewhere Docker says that it has none.
        let controllers = fs::read_to_string(groups.join("cgroup.controllers"))?;
        for controller in controllers.split_whitespace() {
            let control = groups.join("cgroup.subtree_control");
            let _ = fs::write(control, format!("+{controller}"));
        }
        Ok(())
    }

    /// Removes the machine's group, once its processes are gone.
    pub(crate) fn remove(&self) {
        remove(&self.0);
    }
}

/// Removes the groups that machines of a crashed lab left.
pub(crate) fn sweep_groups(folder: &Folder) {
    for group in &groups_of(folder) {
        remove(group);
    }
}

/// The groups of the lab's machines.
pub(crate) fn groups_of(folder: &Folder) -> Vec<PathBuf> {
    let prefix = prefix(folder);
    let entries = own_group().and_then(|groups| fs::read_dir(groups).ok());
    let entries = entries.into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect()
}

/// How groups of the lab in `folder` begin.
fn prefix(folder: &Folder) -> String {
    let digest = Sha256::digest(folder.path().as_os_str().as_encoded_bytes());
    format!("ci-lab-{}-", hex::encode(&digest[..6]))
}

/// The group of this process, where cgroup2 shows it.
fn own_group() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    group_in(&mounts, &own)
}

/// The same from the texts of a process's mounts and of its groups.
fn group_in(mounts: &str, own: &str) -> Option<PathBuf> {
    let mounted = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let at = fields.next()?;
        (fields.next()? == "cgroup2").then_some(at)
    })?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(mounted).join(own))
}

fn remove(group: &Path) {
    let deadline = Instant::now() + REMOVAL_LIMIT;
    while group.is_dir() && Instant::now() < deadline {
        remove_below(group, DEPTH_MAX);
        if fs::remove_dir(group).is_err() {
            std::thread::sleep(LOOK);
        }
    }
}

/// Removes the groups in a group; its files go with it.
fn remove_below(group: &Path, depth: usize) {
    if depth == 0 {
        return;
    }
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_below(&entry.path(), depth - 1);
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_found_beside_older_groups_and_alone() {
        let older = "cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n";
        let hybrid = format!("{older}cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n");
        let unified = "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n";
        for (mounts, own, expected) in [
            (
                hybrid.as_str(),
                "8:pids:/\n0::/\n",
                Some("/sys/fs/cgroup/unified/"),
            ),
            (
                unified,
                "0::/user.slice/a.scope\n",
                Some("/sys/fs/cgroup/user.slice/a.scope"),
            ),
            (older, "8:pids:/\n", None),
            (unified, "8:pids:/\n", None),
        ] {
            let found = group_in(mounts, own);
            assert_eq!(found, expected.map(PathBuf::from), "{mounts} {own}");
        }
    }

    #[test]
    fn a_group_goes_with_all_groups_in_it_and_no_other_lab_has_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let group = folder.path().join("ci-lab-i-1");
        for below in ["init", "docker/a", "docker/b/c"] {
            fs::create_dir_all(group.join(below)).expect("a folder");
        }
        remove(&group);
        assert!(!group.exists());
        let prefixes = ["/a", "/b"].map(|path| prefix(&Folder::at(Path::new(path))));
        assert_ne!(prefixes[0], prefixes[1]);
    }
}
