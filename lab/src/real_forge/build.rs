//! Building a real forge and its runner from their Go modules, once for all checkouts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::release::Release;
use crate::Error;
use crate::folder::cache_folder;

/// What the server needs at run time beside its program; there is no front end.
pub(super) const ASSETS: [&str; 2] = ["templates", "options"];
/// The runner's version, as `lab/gitea/runner/go.mod` pins it.
const RUNNER_VERSION: &str = "1.0.8";
/// There when everything else of a folder is.
const BUILT: &str = "built";
/// How often a program is tried that is still open for writing, and how long between.
const TRIES_MAX: u32 = 50;
const BUSY_WAIT: Duration = Duration::from_millis(20);
/// Lines of a failed command's output that are shown.
const TAIL_LINES: usize = 8;

/// Whether it was built before.
pub(super) fn is_built(release: Release) -> bool {
    folder_of(release).join(BUILT).exists()
}

/// One folder for each set of versions.
fn folder_of(release: Release) -> PathBuf {
    let version = release.version();
    cache_folder().join(format!("gitea-{version}-runner-{RUNNER_VERSION}"))
}

/// Builds it and its runner, unless they are there: the folder of their programs. `progress` hears of
/// what takes minutes.
pub(super) fn build(release: Release, progress: &mut dyn FnMut(&str)) -> Result<PathBuf, Error> {
    let cache = cache_folder();
    let failed = |error| Error::file(&cache, error);
    fs::create_dir_all(&cache).map_err(failed)?;
    // Two labs that start at once must not both build: the second waits and finds it.
    let lock = fs::File::create(cache.join("gitea.lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let folder = folder_of(release);
    if is_built(release) {
        return Ok(folder);
    }
    check_tools()?;
    progress(&format!(
        "building Gitea {} and gitea-runner {RUNNER_VERSION} with Go (once: 5 to 20 minutes, \
             450 MB to download; 180 MB are kept)",
        release.version()
    ));
    let _ = fs::remove_dir_all(&folder);
    let work = folder.join("work");
    fs::create_dir_all(&work).map_err(|error| Error::file(&work, error))?;
    let server = module(release);
    for module in [&server, &RUNNER] {
        module.build(&work, &folder)?;
    }
    server.keep_assets(&work, &folder)?;
    fs::remove_dir_all(&work).map_err(|error| Error::file(&work, error))?;
    fs::write(folder.join(BUILT), "").map_err(|error| Error::file(&folder, error))?;
    Ok(folder)
}

const fn module(release: Release) -> Module {
    let (package, files) = match release {
        Release::Gitea1_27 => ("gitea.dev", FILES_1_27),
        Release::Gitea1_26 => ("code.gitea.io/gitea", FILES_1_26),
    };
    Module {
        name: "gitea",
        version: release.version(),
        package,
        files,
        // Its database library is C.
        cgo: true,
        flags: &["-tags", "sqlite sqlite_unlock_notify"],
    }
}

/// Path and text.
type Files = &'static [(&'static str, &'static str)];

/// One Go module of `lab/gitea`, and the program that it builds.
struct Module {
    name: &'static str,
    version: &'static str,
    package: &'static str,
    files: Files,
    cgo: bool,
    flags: &'static [&'static str],
}

const FILES_1_27: Files = &[
    ("go.mod", include_str!("../../gitea/server-1.27/go.mod")),
    ("go.sum", include_str!("../../gitea/server-1.27/go.sum")),
    (
        "sdk/go.mod",
        include_str!("../../gitea/server-1.27/sdk/go.mod"),
    ),
    (
        "sdk/sdk.go",
        include_str!("../../gitea/server-1.27/sdk/sdk.go"),
    ),
];
const FILES_1_26: Files = &[
    ("go.mod", include_str!("../../gitea/server-1.26/go.mod")),
    ("go.sum", include_str!("../../gitea/server-1.26/go.sum")),
];
/// Static, so that it runs in any instance.
const RUNNER: Module = Module {
    name: "gitea-runner",
    version: RUNNER_VERSION,
    package: "gitea.com/gitea/runner",
    files: &[
        ("go.mod", include_str!("../../gitea/runner/go.mod")),
        ("go.sum", include_str!("../../gitea/runner/go.sum")),
    ],
    cgo: false,
    flags: &[],
};

impl Module {
    /// Builds its program into `folder`.
    fn build(&self, work: &Path, folder: &Path) -> Result<(), Error> {
        for (path, text) in self.files {
            let path = work.join(self.name).join(path);
            let parent = path.parent().unwrap_or(&path);
            let written = fs::create_dir_all(parent).and_then(|()| fs::write(&path, text));
            written.map_err(|error| Error::file(&path, error))?;
        }
        let version = format!("-s -w -X main.Version={}", self.version);
        let mut build = self.go(work);
        build
            .args(["build", "-trimpath", "-ldflags", &version])
            .args(self.flags)
            .arg("-o")
            .arg(folder.join(self.name))
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

    fn keep_assets(&self, work: &Path, folder: &Path) -> Result<(), Error> {
        let mut list = self.go(work);
        list.args(["list", "-m", "-f", "{{.Dir}}", self.package]);
        let source = PathBuf::from(run("go list", &mut list)?.trim());
        for name in ASSETS {
            let target = folder.join(name);
            copy_tree(&source.join(name), &target).map_err(|error| Error::file(&target, error))?;
        }
        Ok(())
    }
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
    let failed = |output: String| Error::RealForge { step, output };
    command.stdin(Stdio::null());
    let mut tries = 1;
    let output = loop {
        match command.output() {
            Ok(output) => break output,
            // What was just written is open in every process that is forked meanwhile, until it has become
            // the program that it is for.
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < TRIES_MAX =>
            {
                tries += 1;
                std::thread::sleep(BUSY_WAIT);
            }
            Err(error) => return Err(failed(error.to_string())),
        }
    };
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
