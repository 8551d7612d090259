//! Docker in machines: where [`ENV_DOCKER`] names a folder that `lab/docker/make.sh` made, every machine of the
//! lab has Docker as an image of a Docker pool has it, with the store's images in it. The daemon is a real one,
//! starts with the first use of its socket, and lives in the machine's namespaces.
//!
//! What it needs beyond other machines, and gets here: a folder of its own that is no overlay mount, `/sys`, and
//! control groups. A group is the one thing of a machine that the kernel does not take back with its last
//! process, so it is removed, and counted among what is left.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::folder::Folder;

/// Names the folder of Docker's programs and images to the lab's daemon.
pub const ENV_DOCKER: &str = "CI_LAB_DOCKER";
/// What Docker writes, in memory only as it is used.
const DATA_MAX: &str = "size=2g,mode=710";
/// Where it writes.
const DATA: &str = "var/lib/docker";
/// Control groups in a machine.
const GROUPS: &str = "sys/fs/cgroup";
/// The part of a machine's group that its own processes are in: a group with processes gives its controllers to
/// no group below it.
const INIT: &str = "init";
/// The kernel empties a group when its last process is gone, a moment after that was waited for.
const REMOVAL_LIMIT: Duration = Duration::from_secs(2);
/// Between two tries.
const LOOK: Duration = Duration::from_millis(20);
/// Depth of groups that containers make: three, four with those of their own.
const DEPTH_MAX: usize = 16;

/// Docker for all machines of a lab.
#[derive(Debug, Clone)]
pub(crate) struct Docker {
    made: PathBuf,
    groups: PathBuf,
    prefix: String,
}

/// Docker for one machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DockerOfMachine {
    made: PathBuf,
    group: PathBuf,
}

impl Docker {
    /// What the environment asks for.
    pub(crate) fn of_environment(folder: &Folder) -> Result<Option<Self>, Error> {
        let Some(made) = std::env::var_os(ENV_DOCKER).filter(|made| !made.is_empty()) else {
            return Ok(None);
        };
        if !nix::unistd::geteuid().is_root() {
            return Err(Error::NoInstances(
                "Docker in the lab's machines needs root".to_owned(),
            ));
        }
        let groups = own_group().ok_or(Error::Missing {
            program: "a mount of cgroup2",
            hint: "Docker in the lab's machines needs it; `mount -t cgroup2 cgroup2 /sys/fs/cgroup`",
        })?;
        Ok(Some(Self {
            made: made.into(),
            groups,
            prefix: prefix(folder),
        }))
    }

    pub(crate) fn for_machine(&self, id: &str) -> DockerOfMachine {
        DockerOfMachine {
            made: self.made.clone(),
            group: self.groups.join(format!("{}{id}", self.prefix)),
        }
    }
}

impl DockerOfMachine {
    /// What lies over the host's folder `name`, if there is something.
    pub(crate) fn programs(&self, name: &str) -> Option<PathBuf> {
        let programs = self.made.join("programs").join(name);
        programs.is_dir().then_some(programs)
    }

    /// Docker's folder, with the images, and `/sys`, below `root`.
    pub(crate) fn mount(&self, root: &Path) -> io::Result<()> {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        let data = root.join(DATA);
        fs::create_dir_all(&data)?;
        mount(Some("tmpfs"), &data, Some("tmpfs"), flags, Some(DATA_MAX))?;
        let store = self.made.join("store");
        copy(&store.join("data"), &data)?;
        // What all machines share, and none writes to.
        for layer in fs::read_dir(store.join("layers"))? {
            let layer = layer?;
            let files = data.join("overlay2").join(layer.file_name()).join("diff");
            fs::create_dir_all(&files)?;
            let none = None::<&str>;
            mount(Some(&layer.path()), &files, none, MsFlags::MS_BIND, none)?;
            let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            mount(none, &files, none, read_only, none)?;
        }
        let sys = flags | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
        mount(
            Some("sysfs"),
            &root.join("sys"),
            Some("sysfs"),
            sys,
            None::<&str>,
        )?;
        Ok(())
    }

    /// Takes this process, and all that it starts, into the machine's group, which it then sees as the root of
    /// all groups. To be called by process 1.
    pub(crate) fn enter_group(&self, root: &Path) -> io::Result<()> {
        let init = self.group.join(INIT);
        fs::create_dir_all(&init)?;
        fs::write(self.group.join("cgroup.procs"), "0")?;
        unshare(CloneFlags::CLONE_NEWCGROUP)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let groups = root.join(GROUPS);
        mount(
            Some("cgroup2"),
            &groups,
            Some("cgroup2"),
            flags,
            None::<&str>,
        )?;
        fs::write(groups.join(INIT).join("cgroup.procs"), "0")?;
        // Limits of containers work where the host lends these; elsewhere Docker says that it has none.
        let controllers = fs::read_to_string(groups.join("cgroup.controllers"))?;
        for controller in controllers.split_whitespace() {
            let _ = fs::write(
                groups.join("cgroup.subtree_control"),
                format!("+{controller}"),
            );
        }
        Ok(())
    }

    /// Removes the machine's group, once its processes are gone.
    pub(crate) fn remove_group(&self) {
        remove(&self.group);
    }
}

/// Copies what is in the folder `from`. Not by a program: the first process that an enclosure starts is process 1
/// of the machine.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, own) = (entry.metadata()?, to.join(entry.file_name()));
        if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, own)?;
        } else if kind.is_dir() {
            fs::create_dir(&own)?;
            fs::set_permissions(&own, kind.permissions())?;
            copy(&entry.path(), &own)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), own)?;
        }
    }
    Ok(())
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
