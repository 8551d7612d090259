//! Machines that a real systemd boots and ends, on a Debian that is made once: a stack of layers, of which the
//! last takes what the machine writes, as a volume takes what is written over its snapshot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::run::{Run, TestError, output, pass};
use super::tools::{from_debian, written};

/// The release, and what it has beside its essential packages: what a stock image of a cloud has and a
/// script may rely on, and Amazon's tool for packages. Its keys for SSH are those of the machine that it was
/// made on.
const RELEASE: &str = "bookworm";
const PACKAGES: &str =
    "systemd,systemd-sysv,dbus,ca-certificates,curl,dnf,openssh-server,passwd,procps,iproute2";
/// What fetches the packages.
pub const PACKAGES_RECIPE: &str = "xtask/tests/ami/packages.sh";
/// Runs the user-data as cloud-init does: late, as root, its output on the console.
const UNIT: &str = "[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\n\
                    ExecStart=/bin/sh /mnt/user-data\nStandardOutput=journal+console\n\
                    [Install]\nWantedBy=default.target\n";
/// Where that unit lies.
const UNITS: &str = "etc/systemd/system";
const UNIT_NAME: &str = "user-data.service";
/// The unit in the root.
pub const USER_DATA: &str = "etc/systemd/system/user-data.service";
/// Longest life of a machine, in seconds, and how long it has to go then.
const LIFE_S: &str = "150";
const GO_S: &str = "5";

/// The root of every machine, which none of them writes to.
pub fn debian(run: &mut Run) -> Result<PathBuf, TestError> {
    from_debian(run, "mmdebstrap", "mmdebstrap")?;
    from_debian(run, "systemd-nspawn", "systemd-container")?;
    let root = lab::cache_folder().join(format!("machine-{RELEASE}-2"));
    if !root.exists() {
        run.prepare("a Debian that boots", || make(&root))?;
    }
    Ok(root)
}

fn make(root: &Path) -> Result<(), TestError> {
    // Another name until it is whole.
    let half = root.with_extension("half");
    let _ = fs::remove_dir_all(&half);
    let cache = half.parent().unwrap_or(&half);
    fs::create_dir_all(cache).map_err(|source| failed(cache, source))?;
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap.args(["--quiet", "--variant=minbase"]);
    mmdebstrap.arg(format!("--include={PACKAGES}")).arg(RELEASE);
    pass("mmdebstrap", mmdebstrap.arg(&half))?;
    let units = half.join(UNITS);
    written(&units.join(UNIT_NAME), UNIT)?;
    let wanted = units.join("default.target.wants");
    fs::create_dir_all(&wanted).map_err(|source| failed(&wanted, source))?;
    let link = wanted.join(UNIT_NAME);
    std::os::unix::fs::symlink(format!("/{UNITS}/{UNIT_NAME}"), &link)
        .map_err(|source| failed(&link, source))?;
    fs::rename(&half, root).map_err(|source| failed(root, source))
}

/// What the images' steps ask of Debian, as a layer over the root `debian` that needs no network: fetched once, by the
/// recipe as it is now.
pub fn packages(run: &mut Run, debian: &Path) -> Result<PathBuf, TestError> {
    let recipe = run.root.join(PACKAGES_RECIPE);
    // They fit this root alone: some want the very versions that are in it.
    let root = debian.file_name().unwrap_or_default().display();
    let folder = lab::cache_folder_for(&format!("{root}-packages"), &recipe);
    let folder = folder.map_err(|source| failed(&recipe, source))?;
    let done = folder.join("srv/packages/made");
    if !done.exists() {
        run.prepare("the packages of images", || {
            let place = tempfile::tempdir().map_err(|source| failed(&folder, source))?;
            let top = place.path().join("top");
            let disk = Disk::mount(place.path(), &top, &[debian.to_owned()])?;
            let mut make = Command::new("sh");
            pass(
                PACKAGES_RECIPE,
                make.arg(&recipe).arg(&disk.root).arg(&folder),
            )?;
            written(&done, "")
        })?;
    }
    Ok(folder)
}

/// The file system of one machine, mounted as long as this lives.
pub struct Disk {
    /// Where it is mounted.
    pub root: PathBuf,
}

impl Disk {
    /// Below `folder`, with what the machine writes in the layer `top`; `lower` are the layers under it, the
    /// uppermost first.
    pub fn mount(folder: &Path, top: &Path, lower: &[PathBuf]) -> Result<Self, TestError> {
        let (work, root) = (folder.join("work"), folder.join("root"));
        let _ = fs::remove_dir_all(&work);
        for place in [&work, &root, &top.to_owned()] {
            fs::create_dir_all(place).map_err(|source| failed(place, source))?;
        }
        let lower: Vec<String> = lower.iter().map(|it| it.display().to_string()).collect();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.join(":"),
            top.display(),
            work.display()
        );
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "overlay", "overlay", "-o", &options])
            .arg(&root);
        pass("mount", &mut mount)?;
        Ok(Self { root })
    }

    /// Boots a machine from it and waits until it has powered itself off: what it said on its console. One that
    /// is still there after its life is cut off, and has said what it had said until then.
    pub fn boot(&self, run: &Run, user_data: &str) -> Result<String, TestError> {
        let data = self.root.with_extension("data");
        written(&data.join("user-data"), user_data)?;
        let nspawn = format!(
            "systemd-nspawn --quiet --boot --register=no --keep-unit --console=interactive \
             --resolv-conf=replace-host --directory={} --bind-ro={}:/mnt",
            self.root.display(),
            data.display()
        );
        // A console has to be a terminal; `script` is one.
        let mut timeout = run.program("timeout", ["--kill-after", GO_S, LIFE_S]);
        timeout.args([
            "script",
            "--quiet",
            "--return",
            "--command",
            &nspawn,
            "/dev/null",
        ]);
        timeout
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "0")
            .stdin(Stdio::null());
        let (_, console) = output(&mut timeout)?;
        Ok(console)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: what a machine that was cut off left running may still be in it.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(&self.root)
            .status();
    }
}

fn failed(path: &Path, source: std::io::Error) -> TestError {
    TestError::File {
        path: path.to_owned(),
        source,
    }
}
