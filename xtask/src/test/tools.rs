//! Steps by tools of others: pinned, installed once into the cache folder, apart from the checkout.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::run::{Run, TestError, output, pass};

/// What knows the words that are often written wrong.
const TYPOS: &str = "typos==1.52.0";
const MACHETE: &str = "cargo-machete@0.9.2";
const DENY: &str = "cargo-deny@0.20.2";

pub fn typos(run: &mut Run) -> Result<(), TestError> {
    let program = from_pypi(run, TYPOS, "typos")?;
    pass("typos", &mut run.program(program, ["--format", "brief"]))
}

pub fn machete(run: &mut Run) -> Result<(), TestError> {
    let program = from_crates_io(run, MACHETE, "cargo-machete")?;
    pass("machete", &mut run.program(program, ["."]))
}

/// Licences, bans and sources always; known holes where their database can be reached, which is not so
/// everywhere that this has to pass: the one part of a step that may be left out in CI, and says so.
pub fn deny(run: &mut Run) -> Result<(), TestError> {
    let program = from_crates_io(run, DENY, "cargo-deny")?;
    let deny = |args: &[&str]| run.program(&program, args);
    pass("deny", &mut deny(&["check", "bans", "licenses", "sources"]))?;
    let (is_reached, _) = output(
        deny(&["fetch", "db"])
            .stderr(Stdio::null())
            .env("GIT_HTTP_LOW_SPEED_LIMIT", "1000")
            .env("GIT_HTTP_LOW_SPEED_TIME", "20"),
    )?;
    if is_reached {
        let mut advisories = deny(&["check", "--disable-fetch", "advisories"]);
        return pass("deny", &mut advisories);
    }
    let note = "advisories were NOT checked: their database can't be reached from here";
    run.notes.push(note.to_owned());
    Ok(())
}

/// A program of a Python package, in a virtual environment of its own. The package is `name==version`.
pub fn from_pypi(run: &mut Run, package: &str, program: &str) -> Result<PathBuf, TestError> {
    installed(run, package, program, |folder| {
        let mut venv = Command::new("python3");
        pass("python3 -m venv", venv.args(["-m", "venv"]).arg(folder))?;
        let mut pip = Command::new(folder.join("bin/pip"));
        pass("pip install", pip.args(["install", "--quiet", package]))
    })
}

/// The Python of a virtual environment with exactly what the file lists.
pub fn from_requirements(run: &mut Run, file: &Path, what: &str) -> Result<PathBuf, TestError> {
    let folder = folder_for("python", file)?;
    let python = folder.join("bin/python");
    let done = folder.join("installed");
    if !done.exists() {
        run.prepare(what, || {
            let mut venv = Command::new("python3");
            pass(
                "python3 -m venv",
                venv.args(["-m", "venv", "--clear"]).arg(&folder),
            )?;
            let mut pip = Command::new(folder.join("bin/pip"));
            let install = ["install", "--quiet", "--no-deps", "--requirement"];
            pass("pip install", pip.args(install).arg(file))?;
            written(&done, "")
        })?;
    }
    Ok(python)
}

/// A folder with the Node packages that the `package-lock.json` in `place` lists, none of whose install
/// scripts has run.
pub fn from_lock(run: &mut Run, place: &Path, what: &str) -> Result<PathBuf, TestError> {
    let lock = "package-lock.json";
    let folder = folder_for("node", &place.join(lock))?;
    let done = folder.join("installed");
    if !done.exists() {
        run.prepare(what, || {
            for file in ["package.json", lock] {
                written(&folder.join(file), &read(&place.join(file))?)?;
            }
            let mut npm = Command::new("npm");
            let install = [
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--silent",
            ];
            pass("npm ci", npm.args(install).current_dir(&folder))?;
            written(&done, "")
        })?;
    }
    Ok(folder)
}

/// Where what the file lists is installed: the lab finds it there too.
fn folder_for(kind: &str, listing: &Path) -> Result<PathBuf, TestError> {
    lab::cache_folder_for(kind, listing).map_err(|source| unreadable(listing, source))
}

/// What is in a file.
pub fn read(path: &Path) -> Result<String, TestError> {
    std::fs::read_to_string(path).map_err(|source| unreadable(path, source))
}

/// Writes a file, with the folder that it is in.
pub fn written(path: &Path, text: &str) -> Result<(), TestError> {
    let write = || {
        std::fs::create_dir_all(path.parent().unwrap_or(path))?;
        std::fs::write(path, text)
    };
    write().map_err(|source| unreadable(path, source))
}

fn unreadable(path: &Path, source: std::io::Error) -> TestError {
    TestError::File {
        path: path.to_owned(),
        source,
    }
}

/// A program of a crate. The crate is `name@version`.
fn from_crates_io(run: &mut Run, package: &str, program: &str) -> Result<PathBuf, TestError> {
    // Outside the checkout: its toolchain, flags and lock file are not the tool's.
    let mut install = run.cargo(["install", "--locked", "--quiet", package, "--root"]);
    install.current_dir(std::env::temp_dir());
    installed(run, package, program, |folder| {
        pass("cargo install", install.arg(folder))
    })
}

/// A program in a folder of its package's own, where it is installed unless it is there.
fn installed(
    run: &mut Run,
    package: &str,
    program: &str,
    install: impl FnOnce(&Path) -> Result<(), TestError>,
) -> Result<PathBuf, TestError> {
    let folder = lab::cache_folder().join(package.replace("==", "-").replace('@', "-"));
    let path = folder.join("bin").join(program);
    if !path.exists() {
        run.prepare(package, || install(&folder))?;
    }
    Ok(path)
}

/// A program of a Debian package, installed where we may.
pub fn from_debian(run: &mut Run, program: &str, package: &str) -> Result<(), TestError> {
    let is_there = || Command::new(program).arg("--version").output().is_ok();
    if is_there() {
        return Ok(());
    }
    let apt_get = |args: &[&str]| {
        let mut apt_get = Command::new("apt-get");
        pass(
            "apt-get",
            apt_get.args(args).env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    let install = ["install", "-y", "-qq", package];
    run.prepare(program, || {
        apt_get(&install).or_else(|_| apt_get(&["update", "-qq"]).and_then(|()| apt_get(&install)))
    })
}
