//! Building a judge for each version from Gitea's own Go module, once for all checkouts.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lab::cache_folder;
use workflow::Server;

use super::Error;

/// Lines of a failed build that are shown.
const TAIL_LINES: usize = 8;

/// A Gitea that judges.
#[derive(Debug)]
pub(super) struct Judged {
    /// Its full version, that of the module in `go_mod`.
    pub(super) version: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
    /// What it does otherwise than others.
    rules: (&'static str, &'static str),
    /// Other files of its module.
    beside: &'static [(&'static str, &'static str)],
    /// What it calls otherwise than the newest.
    names: &'static [(&'static str, &'static str)],
}

/// Until 1.27 the module had another name, and the runner's library was nektos's.
const OLD_NAMES: &[(&str, &str)] = &[
    ("\"gitea.dev/", "\"code.gitea.io/gitea/"),
    (
        "gitea.com/gitea/runner/act/model",
        "github.com/nektos/act/pkg/model",
    ),
];
const RULES_1_26: (&str, &str) = ("rules_1_26.go", include_str!("../../judge/rules_1_26.go"));
const RULES_1_27: (&str, &str) = ("rules_1_27.go", include_str!("../../judge/rules_1_27.go"));

/// Every one, the oldest first. Those that the lab runs are built from the same module.
pub(super) const JUDGES: &[Judged] = &[
    Judged {
        version: "1.26.0",
        go_mod: include_str!("../../judge/1.26.0/go.mod"),
        go_sum: include_str!("../../judge/1.26.0/go.sum"),
        rules: RULES_1_26,
        beside: &[],
        names: OLD_NAMES,
    },
    Judged {
        version: "1.26.4",
        go_mod: include_str!("../../../lab/gitea/server-1.26/go.mod"),
        go_sum: include_str!("../../../lab/gitea/server-1.26/go.sum"),
        rules: RULES_1_26,
        beside: &[],
        names: OLD_NAMES,
    },
    Judged {
        version: "1.27.3",
        go_mod: include_str!("../../../lab/gitea/server-1.27/go.mod"),
        go_sum: include_str!("../../../lab/gitea/server-1.27/go.sum"),
        rules: RULES_1_27,
        beside: &[
            (
                "sdk/go.mod",
                include_str!("../../../lab/gitea/server-1.27/sdk/go.mod"),
            ),
            (
                "sdk/sdk.go",
                include_str!("../../../lab/gitea/server-1.27/sdk/sdk.go"),
            ),
        ],
        names: &[],
    },
];

/// The program itself, the same for all.
const SOURCES: [(&str, &str); 6] = [
    ("main.go", include_str!("../../judge/main.go")),
    ("cases.go", include_str!("../../judge/cases.go")),
    ("changes.go", include_str!("../../judge/changes.go")),
    ("judge.go", include_str!("../../judge/judge.go")),
    ("after.go", include_str!("../../judge/after.go")),
    // With a file of assembler the compiler allows functions without a body, which are linked by name.
    ("linked.s", ""),
];

/// Whether nothing has to be built.
#[must_use]
pub fn are_built() -> bool {
    JUDGES.iter().all(|judge| judge.program().exists())
}

/// Builds what is not there. `progress` hears of what takes minutes.
pub fn build(progress: &mut dyn FnMut(&str)) -> Result<(), Error> {
    let cache = cache_folder();
    let failed = |source| Error::file(&cache, source);
    fs::create_dir_all(&cache).map_err(failed)?;
    // Two that start at once must not both build: the second waits and finds it.
    let lock = fs::File::create(cache.join("gitea-judge.lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let work = Work::new(&cache);
    let mut is_said = false;
    for judge in JUDGES.iter().filter(|judge| !judge.program().exists()) {
        if !is_said {
            check_go()?;
            progress(
                "building Gitea's own trigger rules as programs, with Go (once: 3 to 10 minutes, \
                 500 MB to download; 160 MB are kept)",
            );
            is_said = true;
        }
        work.build(judge)?;
    }
    work.end().map_err(failed)
}

impl Judged {
    /// Which server it is to our rules.
    pub(super) fn server(&self) -> Server {
        Server::parse(self.version).expect("the table has versions")
    }

    /// The program, which is there once it is built. Its name has what it is built from.
    pub(super) fn program(&self) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        self.files().hash(&mut hasher);
        let name = format!("{}{:016x}", self.prefix(), hasher.finish());
        cache_folder().join(name)
    }

    fn prefix(&self) -> String {
        format!("gitea-judge-{}-", self.version)
    }

    fn files(&self) -> Vec<(&'static str, String)> {
        // It names the server as a tool, and here nobody runs that.
        let is_tool = |line: &&str| line.starts_with("tool ");
        let go_mod = self.go_mod.split_inclusive('\n');
        let go_mod: String = go_mod.filter(|line| !is_tool(line)).collect();
        let sources = SOURCES.into_iter().chain([self.rules]);
        let sources = sources.map(|(name, text)| {
            let named = |text: String, (new, old): &(&str, &str)| text.replace(new, old);
            (name, self.names.iter().fold(text.to_owned(), named))
        });
        let beside = self.beside.iter().copied();
        let beside = beside.chain([("go.sum", self.go_sum)]);
        let beside = beside.map(|(name, text)| (name, text.to_owned()));
        sources.chain(beside).chain([("go.mod", go_mod)]).collect()
    }
}

/// Where it is built, with caches of its own: the user's would keep three gigabytes of it.
struct Work {
    folder: PathBuf,
}

impl Work {
    fn new(cache: &Path) -> Self {
        Self {
            folder: cache.join("gitea-judge-work"),
        }
    }

    fn build(&self, judge: &Judged) -> Result<(), Error> {
        let folder = self.folder.join(judge.version);
        let write = || -> io::Result<()> {
            let _ = fs::remove_dir_all(&folder);
            for (name, text) in judge.files() {
                let path = folder.join(name);
                fs::create_dir_all(path.parent().unwrap_or(&folder))?;
                fs::write(path, text)?;
            }
            Ok(())
        };
        write().map_err(|source| Error::file(&folder, source))?;
        let program = folder.join("judge");
        let mut command = Command::new("go");
        command
            .current_dir(&folder)
            .args(["build", "-mod=mod", "-trimpath", "-ldflags"])
            .arg(format!("-s -w -X main.version={}", judge.version))
            .arg("-o")
            .arg(&program)
            .arg(".")
            // What Go downloads is read-only by default, and then can't be removed.
            .env("GOFLAGS", "-modcacherw -buildvcs=false")
            .env("GOWORK", "off")
            .env("CGO_ENABLED", "0")
            .stdin(Stdio::null());
        for (variable, name) in CACHES {
            if std::env::var_os(variable).is_none() {
                command.env(variable, self.folder.join(name));
            }
        }
        let output = command
            .output()
            .map_err(|source| Error::Build(judge.version, source.to_string()))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let lines: Vec<&str> = text.lines().collect();
            let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
            return Err(Error::Build(judge.version, tail.join(" | ")));
        }
        // A name that is there is a whole program.
        let done = judge.program();
        fs::rename(program, &done).map_err(|source| Error::file(&done, source))?;
        forget_others(&done, &judge.prefix()).map_err(|source| Error::file(&done, source))
    }

    fn end(self) -> io::Result<()> {
        match fs::remove_dir_all(self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Removes what was built of older sources. Another checkout that has those builds it again.
fn forget_others(kept: &Path, prefix: &str) -> io::Result<()> {
    let folder = kept.parent().unwrap_or(kept);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if path != kept && name.is_some_and(|name| name.starts_with(prefix)) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Go's caches, unless the environment names others.
const CACHES: [(&str, &str); 2] = [("GOMODCACHE", "modules"), ("GOCACHE", "cache")];

fn check_go() -> Result<(), Error> {
    let output = Command::new("go")
        .arg("version")
        .stdin(Stdio::null())
        .output();
    let starts = output.is_ok_and(|output| output.status.success());
    starts.then_some(()).ok_or(Error::NoGo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judge_is_built_from_the_module_of_its_version() {
        for judge in JUDGES {
            let module = format!("gitea v{}", judge.version);
            assert!(judge.go_mod.contains(&module), "{}", judge.version);
        }
    }
}
