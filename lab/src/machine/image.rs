//! The lab's image: what lies over the host's programs in every instance. Built once per lab, when its
//! first machine boots: that is a thousand small files, and most labs of tests boot none.
//!
//! An instance sees the host's `/usr` and the few files of `/etc` that programs need, and nothing
//! else of it. systemd's commands are the lab's own.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::Error;
use crate::folder::Folder;
use crate::machine::user_namespace::in_user_namespace;
use crate::real_forge::RealRunner;
use crate::runner::Program;

/// The lab's own program, in the image.
pub(crate) const PROGRAM: &str = "usr/local/lib/lab/lab";
/// `PATH` of services, as systemd sets it.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";
/// Folders of the host that instances have, where they are no links into `/usr`.
pub(crate) const HOST_FOLDERS: [&str; 8] = [
    "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt",
];
/// What programs need of the host's `/etc`; no accounts, keys or configuration of services.
const HOST_ETC: [&str; 22] = [
    "alternatives",
    "bash.bashrc",
    "bashrc",
    "ca-certificates",
    "ca-certificates.conf",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "login.defs",
    "magic",
    "mime.types",
    "pam.d",
    "pki",
    "profile",
    "protocols",
    "python3",
    "security",
    "services",
    "ssl",
    "terminfo",
];
/// Bundles that programs trust, by distribution.
const BUNDLES: [&str; 3] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
];
/// The user that jobs run as.
const CI: u32 = 1000;
/// The group that may use Docker, as its package makes it. Boot puts the user into it.
pub(crate) const DOCKER_GROUP: u32 = 990;

/// The image of one lab.
pub(crate) struct Image {
    folder: Folder,
    authority: String,
    runner: Option<RealRunner>,
    built: OnceCell<()>,
}

impl Image {
    /// The image in `folder`; instances trust `authority`, a certificate as PEM, and have `runner`, or
    /// the stand-in's own.
    pub(crate) fn of(
        folder: &Folder,
        authority: String,
        runner: Option<RealRunner>,
    ) -> Result<Self, Error> {
        let image = folder.image();
        if image.display().to_string().contains([':', ',', '\\']) {
            return Err(Error::file(
                &image,
                io::Error::other("overlay mounts can't have ':', ',' or '\\' in a path"),
            ));
        }
        Ok(Self {
            folder: folder.clone(),
            authority,
            runner,
            built: OnceCell::new(),
        })
    }

    /// Its folder, once it is built.
    pub(crate) async fn path(&self) -> Result<PathBuf, Error> {
        let image = self.folder.image();
        let build = async || {
            let (image, ca, runner) = (image.clone(), self.authority.clone(), self.runner.clone());
            let built = spawn_blocking(move || {
                build_in(&image, &ca, runner.as_ref()).map_err(|error| Error::file(&image, error))
            });
            built.await.map_err(|error| Error::bug(&error))?
        };
        self.built.get_or_try_init(build).await?;
        Ok(image)
    }
}

/// Puts `program`, which has the `internal` commands, where the lab in `folder` starts its processes
/// from. A link keeps this very program, whatever is built meanwhile.
pub(crate) fn install_program(folder: &Folder, program: &Path) -> Result<(), Error> {
    let place = folder.image().join(PROGRAM);
    fs::create_dir_all(place.parent().unwrap_or(&place))
        .and_then(|()| put(program, &place))
        .map_err(|error| Error::file(&place, error))
}

fn build_in(image: &Path, ca: &str, runner: Option<&RealRunner>) -> io::Result<()> {
    for name in [
        "etc",
        "home/ci",
        "root",
        "run",
        "tmp",
        "proc",
        "sys",
        "dev",
        "mnt",
        "srv",
        "var/tmp",
        "var/log",
        "var/lib",
        "var/cache",
        "usr/local/bin",
        "usr/local/lib/lab",
        "usr/bin",
    ] {
        fs::create_dir_all(image.join(name))?;
    }
    for (name, mode) in [("tmp", 0o1777), ("var/tmp", 0o1777), ("root", 0o700)] {
        fs::set_permissions(image.join(name), fs::Permissions::from_mode(mode))?;
    }
    symlink("../run", image.join("var/run"))?;
    for name in HOST_FOLDERS {
        let host = Path::new("/").join(name);
        if let Ok(target) = fs::read_link(&host) {
            symlink(target, image.join(name))?;
        } else if host.is_dir() {
            fs::create_dir_all(image.join(name))?;
        }
    }
    install_programs(image, runner)?;
    build_etc(&image.join("etc"))?;
    for bundle in BUNDLES {
        let path = image.join(bundle);
        if let Ok(mut own) = fs::read_to_string(&path) {
            own.push_str(ca);
            // The bundle may be a link that leads out of the image.
            fs::remove_file(&path)?;
            fs::write(&path, own)?;
        }
    }
    let bundle = image.join(BUNDLES[0]);
    if !bundle.exists() {
        fs::create_dir_all(image.join("etc/ssl/certs"))?;
        fs::write(bundle, ca)?;
    }
    let user = ci_user();
    chown(image.join("home/ci"), Some(user), Some(user))
}

/// In a user namespace with one id there is no second user to be.
fn ci_user() -> u32 {
    if in_user_namespace() { 0 } else { CI }
}

fn install_programs(image: &Path, runner: Option<&RealRunner>) -> io::Result<()> {
    let install = |path: &str, arguments: &str| -> io::Result<()> {
        let path = image.join(path);
        fs::write(
            &path,
            format!("#!/bin/sh\nexec /{PROGRAM} internal {arguments} \"$@\"\n"),
        )?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
    };
    for (name, program) in [
        ("gitea-runner", Program::Gitea),
        ("act_runner", Program::Gitea),
        ("forgejo-runner", Program::Forgejo),
    ] {
        let path = format!("usr/local/bin/{name}");
        match runner {
            Some(real) if real.program == program => put(&real.path, &image.join(path))?,
            Some(_) | None => install(&path, program.name())?,
        }
    }
    // Beside the host's own, so that no path leads to those: they would look for another init.
    let sbin = Path::new("/usr/sbin");
    let apart = sbin.is_dir() && !sbin.is_symlink();
    if apart {
        fs::create_dir_all(image.join("usr/sbin"))?;
    }
    for name in ["systemctl", "systemd-run", "shutdown", "poweroff"] {
        install(
            &format!("usr/local/bin/{name}"),
            &format!("init --as {name}"),
        )?;
        install(&format!("usr/bin/{name}"), &format!("init --as {name}"))?;
        if apart {
            install(&format!("usr/sbin/{name}"), &format!("init --as {name}"))?;
        }
    }
    Ok(())
}

fn put(program: &Path, at: &Path) -> io::Result<()> {
    if fs::hard_link(program, at).is_err() {
        fs::copy(program, at)?;
    }
    Ok(())
}

fn build_etc(etc: &Path) -> io::Result<()> {
    for name in HOST_ETC {
        copy_tree(&Path::new("/etc").join(name), &etc.join(name))?;
    }
    let ci = ci_user();
    let passwd = format!(
        "root:x:0:0:root:/root:/bin/bash\n\
         daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
         nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
         ci:x:{ci}:{ci}:runner:/home/ci:/bin/bash\n"
    );
    let group =
        format!("root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\ndocker:x:{DOCKER_GROUP}:\nci:x:{ci}:\n");
    let names = "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n";
    for (name, text) in [
        ("passwd", passwd.as_str()),
        ("group", &group),
        ("nsswitch.conf", names),
        ("resolv.conf", ""),
        ("hosts", ""),
        ("hostname", ""),
        ("machine-id", ""),
    ] {
        fs::write(etc.join(name), text)?;
    }
    symlink("../usr/lib/os-release", etc.join("os-release"))
}

/// Copies what can be read; what the host keeps from us, instances do without.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let Ok(kind) = fs::symlink_metadata(from) else {
        return Ok(());
    };
    if kind.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if kind.is_file() {
        if let Ok(content) = fs::read(from) {
            fs::write(to, content)?;
            fs::set_permissions(to, kind.permissions())?;
        }
        return Ok(());
    }
    // Folders that only some may enter hold keys.
    if !kind.is_dir() || kind.permissions().mode() & 0o005 != 0o005 {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_tree(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
