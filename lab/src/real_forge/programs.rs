//! The programs of a real forge in their folder, built by the lab or by somebody else. Which forge
//! and which runner they are is what they say, not how their files are called.

use std::path::{Path, PathBuf};
use std::process::Command;

use workflow::ForgeKind;

use super::build::{ASSETS, build, is_built, run};
use super::release::Release;
use crate::Error;
use crate::forge_program::ForgeProgram;
use crate::runner::Program;

/// How the server's program may be called.
const SERVERS: [&str; 2] = ["gitea", "forgejo"];
/// How the runner's may.
const RUNNERS: [&str; 3] = ["gitea-runner", "forgejo-runner", "act_runner"];

/// The programs of a real forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    folder: PathBuf,
    server: PathBuf,
    server_kind: ForgeKind,
    runner: RealRunner,
}

/// The runner among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RealRunner {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Which of the two it is.
    pub(crate) program: Program,
}

impl Programs {
    /// Those of `forge`, which are built unless they are there; none if it is a stand-in. `progress`
    /// hears of what takes minutes.
    pub fn of(forge: &ForgeProgram, progress: &mut dyn FnMut(&str)) -> Result<Option<Self>, Error> {
        match forge {
            ForgeProgram::StandIn(_) => Ok(None),
            ForgeProgram::Gitea(release) => Self::in_folder(&build(*release, progress)?).map(Some),
            ForgeProgram::Ready(folder) => Self::in_folder(folder).map(Some),
        }
    }

    /// Whether those of `release` were built before.
    #[must_use]
    pub fn are_built(release: Release) -> bool {
        is_built(release)
    }

    /// Those in `folder`, once they have said what they are.
    fn in_folder(folder: &Path) -> Result<Self, Error> {
        let found = |names: &[&str]| {
            let mut paths = names.iter().map(|name| folder.join(name));
            paths.find(|path| path.is_file())
        };
        let (server, runner) = (found(&SERVERS), found(&RUNNERS));
        let assets = ASSETS.map(|name| (!folder.join(name).is_dir()).then(|| name.to_owned()));
        let missing = [
            server.is_none().then(|| SERVERS.join(" or ")),
            runner.is_none().then(|| RUNNERS.join(" or ")),
        ];
        let missing: Vec<String> = missing.into_iter().chain(assets).flatten().collect();
        let (Some(server), Some(path), []) = (server, runner, missing.as_slice()) else {
            return Err(Error::NoPrograms {
                folder: folder.to_owned(),
                missing: missing.join(", "),
            });
        };
        let server_kind = asked(&server, server_kind)?;
        let program = asked(&path, runner_program)?;
        if (server_kind, program) == (ForgeKind::Gitea, Program::Forgejo) {
            return Err(Error::RealForge {
                step: "look at its programs",
                output: format!("{} is Forgejo's, and the server is a Gitea", path.display()),
            });
        }
        Ok(Self {
            folder: folder.to_owned(),
            server,
            server_kind,
            runner: RealRunner { path, program },
        })
    }

    /// The server.
    pub(super) fn server(&self) -> &Path {
        &self.server
    }

    /// What the server is.
    pub(super) fn server_kind(&self) -> ForgeKind {
        self.server_kind
    }

    /// The runner.
    pub(crate) fn runner(&self) -> &RealRunner {
        &self.runner
    }

    /// What an environment calls this forge. That chooses the runner of a machine too, and Forgejo
    /// gets on with Gitea's (measured).
    pub(crate) fn kind(&self) -> ForgeKind {
        match self.runner.program {
            Program::Gitea => ForgeKind::Gitea,
            Program::Forgejo => ForgeKind::Forgejo,
        }
    }

    /// Where the server finds its templates and translations.
    pub(super) fn assets(&self) -> &Path {
        &self.folder
    }
}

/// What `program` is by its answer to `--version`.
fn asked<T>(program: &Path, read: fn(&str) -> Option<T>) -> Result<T, Error> {
    let step = "ask a program for its version";
    let answer = run(step, Command::new(program).arg("--version"))?;
    read(&answer).ok_or_else(|| Error::RealForge {
        step,
        output: format!("{} says {:?}", program.display(), answer.trim()),
    })
}

/// `gitea version 1.27.3 built with …`, `forgejo version 15.0.3+gitea-1.22.0 …`.
fn server_kind(answer: &str) -> Option<ForgeKind> {
    let answer = answer.to_ascii_lowercase();
    if answer.contains("forgejo") || answer.contains("+gitea-") {
        return Some(ForgeKind::Forgejo);
    }
    answer.contains("gitea").then_some(ForgeKind::Gitea)
}

/// `gitea-runner version v1.0.8`, `act_runner version v0.2.11`, `forgejo-runner version v12.8.2`.
fn runner_program(answer: &str) -> Option<Program> {
    let answer = answer.to_ascii_lowercase();
    if answer.contains(Program::Forgejo.name()) {
        return Some(Program::Forgejo);
    }
    let is_gitea = ["gitea-runner", "act_runner"];
    let is_gitea = is_gitea.iter().any(|name| answer.contains(name));
    is_gitea.then_some(Program::Gitea)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const GITEA: (&str, &str) = ("gitea", "gitea version 1.27.3 built with go1.26.8");
    const FORGEJO: (&str, &str) = (
        "forgejo",
        "forgejo version 15.0.3+gitea-1.22.0 (release name 15.0.3) built with go1.26",
    );
    const GITEAS_RUNNER: (&str, &str) = ("gitea-runner", "gitea-runner version v1.0.8");
    const FORGEJOS_RUNNER: (&str, &str) = ("forgejo-runner", "forgejo-runner version v12.8.2");

    /// A folder with these programs, of which each says what it is.
    fn folder(programs: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ASSETS {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        for (name, says) in programs {
            let path = folder.path().join(name);
            fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).expect("a program");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
        }
        folder
    }

    #[test]
    fn programs_are_what_they_say_and_the_runner_is_what_the_environment_goes_by() {
        let renamed = ("gitea", FORGEJO.1);
        let old_runner = ("act_runner", "act_runner version v0.2.11");
        for (programs, server, environment) in [
            ([GITEA, GITEAS_RUNNER], ForgeKind::Gitea, ForgeKind::Gitea),
            ([GITEA, old_runner], ForgeKind::Gitea, ForgeKind::Gitea),
            (
                [FORGEJO, FORGEJOS_RUNNER],
                ForgeKind::Forgejo,
                ForgeKind::Forgejo,
            ),
            (
                [renamed, FORGEJOS_RUNNER],
                ForgeKind::Forgejo,
                ForgeKind::Forgejo,
            ),
            (
                [FORGEJO, GITEAS_RUNNER],
                ForgeKind::Forgejo,
                ForgeKind::Gitea,
            ),
        ] {
            let folder = folder(&programs);
            let found = Programs::in_folder(folder.path()).expect("programs");
            assert_eq!(found.server_kind(), server, "{programs:?}");
            assert_eq!(found.kind(), environment, "{programs:?}");
        }
    }

    #[test]
    fn what_a_folder_lacks_is_named_with_how_it_must_look() {
        let refused = |folder: &tempfile::TempDir| {
            let refused = Programs::in_folder(folder.path());
            refused.expect_err("not whole").to_string()
        };
        for (programs, lacks) in [
            (&[][..], "has no gitea or forgejo, gitea-runner or"),
            (
                &[GITEA],
                "has no gitea-runner or forgejo-runner or act_runner.",
            ),
            (&[GITEAS_RUNNER], "has no gitea or forgejo."),
        ] {
            let error = refused(&folder(programs));
            assert!(error.contains(lacks), "{error}");
            assert!(error.contains("It must hold a server"), "{error}");
        }
        let whole = folder(&[GITEA, GITEAS_RUNNER]);
        fs::remove_dir(whole.path().join("options")).expect("it is there");
        let error = refused(&whole);
        assert!(error.contains("has no options."), "{error}");
    }

    #[test]
    fn programs_that_do_not_go_together_or_are_others_are_refused() {
        for (programs, says) in [
            (
                [GITEA, FORGEJOS_RUNNER],
                "is Forgejo's, and the server is a Gitea",
            ),
            (
                [("gitea", "gogs 0.13"), GITEAS_RUNNER],
                "says \"gogs 0.13\"",
            ),
            ([GITEA, ("gitea-runner", "runner 2")], "says \"runner 2\""),
        ] {
            let folder = folder(&programs);
            let error = Programs::in_folder(folder.path()).expect_err("refused");
            let error = error.to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
