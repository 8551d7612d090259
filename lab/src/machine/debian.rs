//! Machines that are a whole Debian, which shares packages and names with Ubuntu. Where a lab is set up with
//! one, machines of Ubuntu's stock images, and of images that were made on those, have its root instead of the
//! host's programs, and its own systemd as process 1. So the steps of images find there what they find on EC2:
//! units that can be enabled, packages that can be installed, users that can be made.
//!
//! From outside such a machine has the same as every other: metadata, forge and front door, in a network
//! namespace with nothing else. Beside them it reaches one address of this host at the same address, a mirror of
//! what images are made of.
//!
//! Its process 1 has all that a machine needs, and is not the host's: nothing in it can load the kernel's
//! modules, set its clock or write to `/proc/sys`, which systemd does where it can.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::folder::Folder;
use crate::machine::image::{PATH, PROGRAM};

/// Tells the lab's daemon of a [`Debian`], as JSON.
pub(crate) const ENV_DEBIAN: &str = "CI_LAB_DEBIAN";
/// What its machines trust.
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
/// Where its units lie.
const UNITS: &str = "etc/systemd/system";
/// cloud-init's unit that runs user-data: late, as root, its output on the console.
const USER_DATA: &str = "cloud-final.service";
/// The console in a machine. Not `/dev/console`, which systemd wants to be a terminal.
const CONSOLE: &str = "run/console";
/// Rights over the host's kernel, which no namespace holds back.
const NOT_ITS_OWN: &str = "--bounding-set=-sys_module,-sys_time,-sys_rawio,-syslog,-wake_alarm";

/// A Debian for the machines of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debian {
    /// Folders that together are its root, the uppermost first. Nothing writes to them.
    pub layers: Vec<PathBuf>,
    /// The address on this host that its machines reach too.
    pub mirror: SocketAddr,
}

impl Debian {
    /// What the environment asks for, with a layer of the lab's own on top: what runs user-data, and trust in
    /// `authority`, a certificate as PEM.
    pub(crate) fn of_environment(folder: &Folder, authority: &str) -> Result<Option<Self>, Error> {
        let Some(text) = std::env::var_os(ENV_DEBIAN).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        if !nix::unistd::geteuid().is_root() {
            return Err(Error::NoInstances(
                "a Debian in the lab's machines needs root".to_owned(),
            ));
        }
        let text = text.into_encoded_bytes();
        let mut own: Self = serde_json::from_slice(&text).map_err(|error| Error::bug(&error))?;
        let layer = folder.debian();
        own.build_in(&layer, &folder.image().join(PROGRAM), authority)
            .map_err(|error| Error::file(&layer, error))?;
        own.layers.insert(0, layer);
        Ok(Some(own))
    }

    fn build_in(&self, layer: &Path, program: &Path, authority: &str) -> io::Result<()> {
        let known = self.layers.iter().map(|one| one.join(BUNDLE));
        let known = known.map(fs::read_to_string).find_map(Result::ok);
        let known = known.unwrap_or_default();
        for folder in [BUNDLE, PROGRAM] {
            let folder = layer.join(folder);
            fs::create_dir_all(folder.parent().unwrap_or(layer))?;
        }
        fs::write(layer.join(BUNDLE), format!("{known}{authority}"))?;
        if fs::hard_link(program, layer.join(PROGRAM)).is_err() {
            fs::copy(program, layer.join(PROGRAM))?;
        }
        let units = layer.join(UNITS);
        let wanted = units.join("default.target.wants");
        fs::create_dir_all(&wanted)?;
        let unit = format!(
            "[Unit]\nAfter=multi-user.target\n\
             [Service]\nType=oneshot\nRemainAfterExit=yes\nKillMode=process\nTimeoutSec=0\n\
             Environment=HOME=/root\n\
             ExecStart=/{PROGRAM} internal init --as user-data\n\
             StandardOutput=append:/{CONSOLE}\nStandardError=append:/{CONSOLE}\n"
        );
        fs::write(units.join(USER_DATA), unit)?;
        symlink(format!("/{UNITS}/{USER_DATA}"), wanted.join(USER_DATA))?;
        // What the power button does.
        symlink(
            "/usr/lib/systemd/system/poweroff.target",
            units.join("sigpwr.target"),
        )
    }

    /// Its layers as an overlay mount wants them.
    pub(crate) fn lowers(&self) -> String {
        let layers = self.layers.iter().map(|one| one.display().to_string());
        layers.collect::<Vec<_>>().join(":")
    }

    /// Lets a machine with this `/proc` set nothing of the host's kernel.
    pub(crate) fn shield(proc: &Path) -> io::Result<()> {
        let none = None::<&str>;
        let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        for name in ["sys", "sysrq-trigger"] {
            let own = proc.join(name);
            // Not every kernel has all of them.
            if !own.exists() {
                continue;
            }
            mount(Some(&own), &own, none, MsFlags::MS_BIND, none)?;
            mount(none, &own, none, read_only, none)?;
        }
        // These are its own: Docker sets some.
        let network = proc.join("sys/net");
        mount(Some(&network), &network, none, MsFlags::MS_BIND, none)?;
        let writable = MsFlags::MS_BIND | MsFlags::MS_REMOUNT;
        mount(none, &network, none, writable, none)?;
        Ok(())
    }

    /// Has what is written to the console of the machine below `root` go to the file `console` of the host's.
    pub(crate) fn connect_console(root: &Path, console: &Path) -> io::Result<()> {
        let (own, none) = (root.join(CONSOLE), None::<&str>);
        fs::write(&own, "")?;
        mount(Some(console), &own, none, MsFlags::MS_BIND, none)?;
        Ok(())
    }

    /// Becomes its process 1. Comes back if it can't.
    pub(crate) fn become_process_1() -> io::Error {
        Command::new("setpriv")
            .args([NOT_ITS_OWN, "/sbin/init"])
            .env_clear()
            .env("PATH", format!("{PATH}:/sbin:/bin"))
            // How systemd knows that the kernel is not its own.
            .env("container", "lab")
            .stdin(Stdio::null())
            .exec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labs_own_layer_trusts_the_lab_beside_whom_the_debian_trusts() {
        let folder = tempfile::tempdir().expect("a folder");
        let part = |name: &str| folder.path().join(name);
        for (path, text) in [
            ("upper/etc/ssl/certs/ca-certificates.crt", "one\n"),
            ("lower/etc/ssl/certs/ca-certificates.crt", "none\n"),
            ("program", "the lab"),
        ] {
            let path = part(path);
            fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        let debian = Debian {
            layers: ["top", "upper", "lower"].map(part).into(),
            mirror: ([127, 0, 0, 1], 1).into(),
        };
        let layer = part("own");
        let built = debian.build_in(&layer, &part("program"), "two\n");
        built.expect("a layer");
        let read = |path: &str| fs::read_to_string(layer.join(path)).expect("a file");
        assert_eq!(read(BUNDLE), "one\ntwo\n");
        assert_eq!(read(PROGRAM), "the lab");
        assert!(read(&format!("{UNITS}/{USER_DATA}")).contains(PROGRAM));
    }
}
