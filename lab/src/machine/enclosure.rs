//! The enclosure: a process of the host that makes an instance's namespaces and root, starts
//! process 1 in them and waits for it. It speaks with the daemon in lines: says `ready`, waits for
//! `go`, says `init PID`, and at the end `exit CODE` or `signal NUMBER`. If its disk is to be kept it stays
//! until the daemon, which finds the disk by the enclosure's working folder, hangs up.
//!
//! Mounts are made in a private mount namespace: the host never sees them, and they are gone with
//! the last process inside.

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{chdir, pivot_root, sethostname};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::machine::debian::Debian;
use crate::machine::docker::Docker;
use crate::machine::groups::Group;
use crate::machine::user_namespace::{self, in_user_namespace};
use crate::machine::{image, netlink};

/// What an instance may write to its root, in memory only as it is used.
const DISK_MAX: &str = "size=2g,mode=755";

/// The folder in which a machine's disk lives, in memory.
const SCRATCH: &str = "scratch";
/// The part of the disk that is not a folder of the host's.
const ROOT_PART: &str = "root";
/// See `reboot(2)` about process namespaces.
const POWERED_OFF: i32 = Signal::SIGINT as i32;

/// What the daemon tells the enclosure, in `enclosure.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) image: PathBuf,
    /// Disks of stopped instances that its image was made of, the newest first.
    pub(crate) layers: Vec<PathBuf>,
    /// Whether the daemon fetches what was written to its disk.
    pub(crate) keeps_disk: bool,
    pub(crate) docker: Option<Docker>,
    /// What it has instead of the lab's image and the host's programs.
    pub(crate) debian: Option<Debian>,
    pub(crate) group: Option<Group>,
    /// The file that its console is.
    pub(crate) console: PathBuf,
    pub(crate) hostname: String,
    pub(crate) hosts: String,
}

impl Spec {
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join("enclosure.json");
        let text = serde_json::to_vec(self).map_err(|error| Error::bug(&error))?;
        fs::write(&path, text).map_err(|error| Error::file(&path, error))
    }

    fn read(folder: &Path) -> io::Result<Self> {
        let text = fs::read(folder.join("enclosure.json"))?;
        serde_json::from_slice(&text).map_err(io::Error::other)
    }
}

/// Runs the enclosure of the instance in `folder`.
pub(crate) fn main(folder: &Path) -> ExitCode {
    match run(folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "enclosure: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tries what an instance needs, in a process that may be thrown away.
pub(crate) fn probe() -> Result<(), Error> {
    let refused = |what, hint| move |source: io::Error| Error::Namespaces { what, hint, source };
    user_namespace::enter().map_err(refused(
        "a user namespace",
        "run as root, or allow them: `sysctl kernel.unprivileged_userns_clone=1`, \
         `sysctl user.max_user_namespaces=10000`, on Ubuntu also \
         `sysctl kernel.apparmor_restrict_unprivileged_userns=0`",
    ))?;
    let container = "in a container, start it with `--privileged` (or CAP_SYS_ADMIN and an \
                     unconfined seccomp and AppArmor profile)";
    separate().map_err(refused("a namespace", container))?;
    netlink::bring_up_loopback().map_err(refused("a network", container))?;
    let root = tempfile::tempdir().map_err(refused("a temporary folder", container))?;
    let build = || -> io::Result<()> {
        mount_tmpfs(root.path(), "size=1m")?;
        let part = |name: &str| root.path().join(name);
        for name in ["lower", "upper", "work", "merged"] {
            fs::create_dir(part(name))?;
        }
        let lower = format!("{}:/usr", part("lower").display());
        overlay(&lower, &part("upper"), &part("work"), &part("merged"))
    };
    build().map_err(refused("an overlay mount", container))?;
    umount2(root.path(), MntFlags::MNT_DETACH)
        .map_err(|errno| refused("unmounting", container)(errno.into()))
}

fn run(folder: &Path) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    let spec = Spec::read(folder)?;
    separate()?;
    sethostname(&spec.hostname)?;
    netlink::bring_up_loopback()?;
    let root = build_root(folder, &spec)?;
    chdir(&folder.join(SCRATCH))?;
    say("ready")?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    if line.trim() != "go" {
        return Err(io::Error::other("was not told to go"));
    }
    let mut init = Command::new(spec.image.join(image::PROGRAM))
        .args(["internal", "init", "--as", "init"])
        .arg(&root)
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .spawn()?;
    say(&format!("init {}", init.id()))?;
    let status = init.wait()?;
    if let Some(group) = &spec.group {
        group.remove();
    }
    match (status.code(), status.signal()) {
        // How the kernel ends a process 1 that has switched its machine off.
        (None, Some(POWERED_OFF)) if spec.debian.is_some() => say("exit 0"),
        (Some(code), _) => say(&format!("exit {code}")),
        (None, signal) => say(&format!("signal {}", signal.unwrap_or_default())),
    }?;
    if spec.keeps_disk {
        io::stdin().lock().read_line(&mut line)?;
    }
    Ok(())
}

/// The disk's parts, as the overlay mount of that name over each of them has them.
pub(crate) fn disk_parts() -> impl Iterator<Item = &'static str> {
    std::iter::once(ROOT_PART).chain(image::HOST_FOLDERS)
}

/// What was written to the part called `name`, below the enclosure's working folder.
pub(crate) fn upper(name: &str) -> String {
    format!("{name}-upper")
}

/// Makes `root` the root of this mount namespace, with a `/proc` of this process namespace. To be
/// called by process 1: before, because a new `/proc` is granted only while the old one is seen. Says what the
/// machine is.
pub(crate) fn enter_root(root: &Path) -> io::Result<Spec> {
    set_pdeathsig(Signal::SIGKILL)?;
    let spec = Spec::read(root.parent().unwrap_or(root))?;
    if let Some(group) = &spec.group {
        group.enter(root)?;
        if spec.debian.is_none() {
            Group::make_room(root)?;
        }
    }
    let proc = root.join("proc");
    mount(
        Some("proc"),
        &proc,
        Some("proc"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        None::<&str>,
    )?;
    if spec.debian.is_some() {
        Debian::shield(&proc)?;
    }
    chdir(root)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")?;
    Ok(spec)
}

fn separate() -> io::Result<()> {
    unshare(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC,
    )?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    Ok(())
}

/// The image with the host's programs under it, or a Debian, everything that is written in memory.
fn build_root(folder: &Path, spec: &Spec) -> io::Result<PathBuf> {
    let (root, scratch) = (folder.join("root"), folder.join(SCRATCH));
    mount_tmpfs(&scratch, DISK_MAX)?;
    let layer = |name: &str, lower: &str, target: &Path| -> io::Result<()> {
        let (upper, work) = (
            scratch.join(upper(name)),
            scratch.join(format!("{name}-work")),
        );
        fs::create_dir(&upper)?;
        fs::create_dir(&work)?;
        let images = spec.layers.iter().map(|disk| disk.join(name));
        let mut lowers: Vec<String> = images
            .filter(|part| part.is_dir())
            .map(|part| part.display().to_string())
            .collect();
        lowers.push(lower.to_owned());
        overlay(&lowers.join(":"), &upper, &work, target)
    };
    if let Some(debian) = &spec.debian {
        layer(ROOT_PART, &debian.lowers(), &root)?;
    } else {
        layer(ROOT_PART, &spec.image.display().to_string(), &root)?;
    }
    let hosts_folders = image::HOST_FOLDERS.iter();
    for name in hosts_folders.filter(|_| spec.debian.is_none()) {
        let host = Path::new("/").join(name);
        let own = spec.image.join(name);
        if !own.is_dir() || own.is_symlink() {
            continue;
        }
        let docker = spec.docker.as_ref();
        let programs = docker.and_then(|docker| docker.programs(name));
        let lowers = std::iter::once(own).chain(programs).chain([host]);
        let lowers: Vec<String> = lowers.map(|it| it.display().to_string()).collect();
        layer(name, &lowers.join(":"), &root.join(name))?;
    }
    if spec.group.is_some() {
        Group::mount_sys(&root)?;
    }
    if let Some(docker) = &spec.docker {
        docker.mount(&root)?;
    }
    build_dev(&root.join("dev"))?;
    // What lies there is gone with the machine, and on no image.
    mount_tmpfs(&root.join("run"), "mode=755")?;
    if spec.debian.is_some() {
        Debian::connect_console(&root, &spec.console)?;
    }
    fs::write(root.join("etc/hosts"), &spec.hosts)?;
    fs::write(root.join("etc/hostname"), format!("{}\n", spec.hostname))?;
    Ok(root)
}

fn build_dev(dev: &Path) -> io::Result<()> {
    mount_tmpfs(dev, "size=64k,mode=755")?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let own = dev.join(name);
        fs::write(&own, "")?;
        let host = Path::new("/dev").join(name);
        mount(
            Some(&host),
            &own,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        symlink(target, dev.join(name))?;
    }
    for name in ["pts", "shm"] {
        fs::create_dir(dev.join(name))?;
    }
    mount_tmpfs(&dev.join("shm"), "size=64m,mode=1777")?;
    mount(
        Some("devpts"),
        &dev.join("pts"),
        Some("devpts"),
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        Some("newinstance,ptmxmode=0666,mode=620"),
    )?;
    Ok(())
}

fn mount_tmpfs(target: &Path, options: &str) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some(options))?;
    Ok(())
}

fn overlay(lower: &str, upper: &Path, work: &Path, target: &Path) -> io::Result<()> {
    let options = format!(
        "lowerdir={lower},upperdir={},workdir={}",
        upper.display(),
        work.display()
    );
    // In a user namespace overlayfs keeps its marks in `user.` attributes.
    let marks = if in_user_namespace() {
        ",userxattr"
    } else {
        ""
    };
    mount(
        Some("overlay"),
        target,
        Some("overlay"),
        MsFlags::MS_NODEV,
        Some(format!("{options}{marks}").as_str()),
    )?;
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
