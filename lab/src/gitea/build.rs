//! Building the real forge and its runner from their Go modules, once for all checkouts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;
use crate::folder::cache_folder;

/// The server's version, as `lab/gitea/server/go.mod` pins it.
const SERVER_VERSION: &str = "1.26.0";
/// The runner's version, as `lab/gitea/runner/go.mod` pins it.
const RUNNER_VERSION: &str = "1.0.8";
/// What the server needs at run time beside its program; there is no front end.
const ASSETS: [&str; 2] = ["templates", "options"];
/// Lines of a failed command's output that are shown.
const TAIL_LINES: usize = 8;

/// One Go module of `lab/gitea`, and the program that it builds.
struct Module {
    name: &'static str,
    package: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
    /// Its database library is C.
    cgo: bool,
    flags: &'static [&'static str],
}

const SERVER: Module = Module {
    name: "gitea",
    package: "code.gitea.io/gitea",
    go_mod: include_str!("../../gitea/server/go.mod"),
    go_sum: include_str!("../../gitea/server/go.sum"),
    cgo: true,
    flags: &["-tags", "sqlite sqlite_unlock_notify"],
};
/// Static, so that it runs in any instance.
const RUNNER: Module = Module {
    name: "gitea-runner",
    package: "gitea.com/gitea/runner",
    go_mod: include_str!("../../gitea/runner/go.mod"),
    go_sum: include_str!("../../gitea/runner/go.sum"),
    cgo: false,
    flags: &[],
};

/// The programs of the real forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs(PathBuf);

impl Programs {
    /// Those that were built before.
    #[must_use]
    pub fn find() -> Option<Self> {
        let home = home();
        home.join("built").exists().then_some(Self(home))
    }

    /// Builds them, unless they are there. `progress` hears of what takes minutes.
    pub fn build(progress: &mut dyn FnMut(&str)) -> Result<Self, Error> {
        let cache = cache_folder();
        let failed = |error| Error::file(&cache, error);
        fs::create_dir_all(&cache).map_err(failed)?;
        // Two labs that start at once must not both build: the second waits and finds it.
        let lock = fs::File::create(cache.join("gitea.lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        if let Some(programs) = Self::find() {
            return Ok(programs);
        }
        check_tools()?;
        progress(&format!(
            "building Gitea {SERVER_VERSION} and gitea-runner {RUNNER_VERSION} with Go (once: 5 to \
             15 minutes, 450 MB to download; 180 MB are kept)"
        ));
        let home = home();
        let programs = Self(home.clone());
        let _ = fs::remove_dir_all(&home);
        let work = home.join("work");
        fs::create_dir_all(&work).map_err(|error| Error::file(&work, error))?;
        for module in [&SERVER, &RUNNER] {
            module.build(&work, &home.join(module.name))?;
        }
        programs.keep_assets(&work)?;
        fs::remove_dir_all(&work).map_err(|error| Error::file(&work, error))?;
        fs::write(home.join("built"), "").map_err(|error| Error::file(&home, error))?;
        Ok(programs)
    }

    /// The server.
    pub(super) fn server(&self) -> PathBuf {
        self.0.join(SERVER.name)
    }

    /// The runner.
    pub(crate) fn runner(&self) -> PathBuf {
        self.0.join(RUNNER.name)
    }

    /// Where the server finds its templates and translations.
    pub(super) fn assets(&self) -> PathBuf {
        self.0.join("assets")
    }

    fn keep_assets(&self, work: &Path) -> Result<(), Error> {
        let mut list = SERVER.go(work);
        list.args(["list", "-m", "-f", "{{.Dir}}", SERVER.package]);
        let source = PathBuf::from(run("go list", &mut list)?.trim());
        for name in ASSETS {
            let target = self.assets().join(name);
            copy_tree(&source.join(name), &target).map_err(|error| Error::file(&target, error))?;
        }
        Ok(())
    }
}

impl Module {
    fn build(&self, work: &Path, program: &Path) -> Result<(), Error> {
        let folder = work.join(self.name);
        let written = fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join("go.mod"), self.go_mod))
            .and_then(|()| fs::write(folder.join("go.sum"), self.go_sum));
        written.map_err(|error| Error::file(&folder, error))?;
        let version = format!("-s -w -X main.Version={SERVER_VERSION}");
        let mut build = self.go(work);
        build
            .args(["build", "-trimpath", "-ldflags", &version])
            .args(self.flags)
            .arg("-o")
            .arg(program)
            .arg(self.package);
        run("go build", &mut build).map(drop)
    }

    /// Go in this module, with caches of its own: the user's would keep three gigabytes of it.
    fn go(&self, work: &Path) -> Command {
        let mut command = Command::new("go");
        command
            .current_dir(work.join(self.name))
            .env("GOMODCACHE", work.join("modules"))
            .env("GOCACHE", work.join("cache"))
            // What Go downloads is read-only by default, and then can't be removed.
            .env("GOFLAGS", "-modcacherw -buildvcs=false")
            .env("GOWORK", "off")
            .env("CGO_ENABLED", if self.cgo { "1" } else { "0" });
        command
    }
}

/// One folder for each set of versions.
fn home() -> PathBuf {
    cache_folder().join(format!("gitea-{SERVER_VERSION}-runner-{RUNNER_VERSION}"))
}

fn check_tools() -> Result<(), Error> {
    let starts = |program: &str, argument: &str| {
        let mut command = Command::new(program);
        let quiet = command.arg(argument).stdin(Stdio::null());
        quiet.output().is_ok_and(|output| output.status.success())
    };
    if !starts("go", "version") {
        return Err(Error::Missing {
            program: "go",
            hint: "the real Gitea is built with Go 1.26 or newer (https://go.dev/dl); or go on \
                   with the stand-in: leave out `--forge gitea`",
        });
    }
    if !starts("cc", "--version") {
        return Err(Error::Missing {
            program: "cc",
            hint: "Gitea's SQLite is C: `apt-get install gcc libc6-dev`; or go on with the \
                   stand-in: leave out `--forge gitea`",
        });
    }
    Ok(())
}

/// Runs `command` and gives what it printed.
pub(super) fn run(step: &'static str, command: &mut Command) -> Result<String, Error> {
    let failed = |output: String| Error::Gitea { step, output };
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    Err(failed(
        lines[lines.len().saturating_sub(TAIL_LINES)..].join(" | "),
    ))
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
