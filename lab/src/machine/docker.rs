//! Docker in machines: where [`ENV_DOCKER`] names a folder that `lab/docker/make.sh` made, every machine of the
//! lab has Docker as an image of a Docker pool has it, with the store's images in it. The daemon is a real one,
//! starts with the first use of its socket, and lives in the machine's namespaces.
//!
//! What it needs beyond other machines, and gets here: a folder of its own that is no overlay mount, and, from
//! [`groups`](crate::machine::groups), `/sys` and control groups.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Names the folder of Docker's programs and images to the lab's daemon.
pub const ENV_DOCKER: &str = "CI_LAB_DOCKER";
/// What Docker writes, in memory only as it is used.
const DATA_MAX: &str = "size=2g,mode=710";
/// Where it writes.
const DATA: &str = "var/lib/docker";

/// Docker's programs and images, for every machine of a lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Docker(PathBuf);

impl Docker {
    /// What the environment asks for.
    pub(crate) fn of_environment() -> Result<Option<Self>, Error> {
        let Some(made) = std::env::var_os(ENV_DOCKER).filter(|made| !made.is_empty()) else {
            return Ok(None);
        };
        if !nix::unistd::geteuid().is_root() {
            return Err(Error::NoInstances(
                "Docker in the lab's machines needs root".to_owned(),
            ));
        }
        Ok(Some(Self(made.into())))
    }

    /// What lies over the host's folder `name`, if there is something.
    pub(crate) fn programs(&self, name: &str) -> Option<PathBuf> {
        let programs = self.0.join("programs").join(name);
        programs.is_dir().then_some(programs)
    }

    /// Docker's folder, with the images, below `root`.
    pub(crate) fn mount(&self, root: &Path) -> io::Result<()> {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        let data = root.join(DATA);
        fs::create_dir_all(&data)?;
        mount(Some("tmpfs"), &data, Some("tmpfs"), flags, Some(DATA_MAX))?;
        let store = self.0.join("store");
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
        Ok(())
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
