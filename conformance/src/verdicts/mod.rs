//! `cargo xtask conformance FOLDER`: what real servers queued, event by event, against what the rules say:
//! every job by its workflow, its event, its name, its labels, what it needs and whether it waits. One line
//! of JSON an event, one of words a server, and a sum.
//!
//! A folder has `events.json` and `repo.bundle`, the events of one large repository with all commits that
//! they name; `more-events.json` and `more.bundle` with several small ones; and `app.bundle`, the other
//! repository that workflows call. Its README says how the server was asked, its `known.json`, if it has
//! one, where the rules differ and why.

mod compare;
mod job;
mod known;
mod recorded;

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};

use dispatcher::webhook::delivery::Delivery;
use git::{LocalClone, Settings};
use serde::Serialize;
use tempfile::TempDir;
use workflow::evaluation::Run;
use workflow::event::EventKind;
use workflow::expression::Resolved;
use workflow::jobs::Start;
use workflow::{ForgeKind, Server, gather};

use compare::{Counts, Differences, Planned};
use job::Job;
use known::Known;
use recorded::Case;

/// Where the events of the large repository are.
const EVENTS: &str = "events.json";
/// Where those of the small ones are.
const MORE_EVENTS: &str = "more-events.json";
/// The other repository, to which `app.bundle` belongs.
const OTHER: &str = "acme/app";
/// Most servers in one folder: there are not that many that anybody runs.
const SERVERS_MAX: usize = 100;

/// Why no verdict was compared.
#[derive(Debug, thiserror::Error)]
pub enum VerdictsError {
    /// A file can't be read, or says something else.
    #[error("{path} can't be read: {message}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why not.
        message: String,
    },
    /// Nothing says which server it was.
    #[error(
        "{0} does not say whose verdicts it has: call the folder gitea-1.27.3, or forgejo-15.0.3"
    )]
    NoServer(String),
    /// The rules need what the folder lacks.
    #[error("event {n} of {folder}: {message}")]
    Lacking {
        /// The folder.
        folder: String,
        /// The event.
        n: u32,
        /// What it lacks.
        message: String,
    },
}

impl VerdictsError {
    fn unreadable(path: &Path, message: &dyn std::fmt::Display) -> Self {
        Self::Unreadable {
            path: path.display().to_string(),
            message: message.to_string(),
        }
    }
}

/// What the rules say of one event, beside what the server made of it.
#[derive(Debug, Serialize)]
struct Line<'a> {
    n: u32,
    step: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    repo: &'a str,
    #[serde(flatten)]
    differences: &'a Differences,
    pass: bool,
}

/// Compares every verdict in `folder`, that of one server or of several, and hands each line to `print`:
/// whether the rules say the same wherever they say anything.
pub fn run(folder: &Path, mut print: impl FnMut(&str)) -> Result<bool, VerdictsError> {
    let (mut passed, mut failed, mut unsupported) = (0, 0, 0);
    for folder in folders(folder)? {
        let site = Site::open(&folder)?;
        let mut known = Known::read(&folder)?;
        let mut counts = Counts::default();
        for (case, clone) in site.cases()? {
            let planned = site.planned(&case, clone)?;
            let mut differences = Differences::between(&case, planned);
            let as_known = differences.forgive(&case.repo, &mut known);
            counts.add(&case, &differences, as_known);
            let pass = differences.is_empty();
            *match () {
                () if pass => &mut passed,
                () if differences.are_unknown_alone() => &mut unsupported,
                () => &mut failed,
            } += 1;
            let line = Line {
                n: case.n,
                step: &case.step,
                repo: &case.repo,
                differences: &differences,
                pass,
            };
            let line = serde_json::to_string(&line);
            print(&line.map_err(|error| VerdictsError::unreadable(&folder, &error))?);
        }
        for gone in known.gone() {
            failed += 1;
            print(&gone);
        }
        print(&format!("{}: {counts}", site.name));
    }
    print(&format!(
        "{passed} passed, {failed} failed, {unsupported} unsupported"
    ));
    Ok(failed == 0)
}

/// The folder itself, or those in it that have events.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, VerdictsError> {
    if folder.join(EVENTS).exists() || folder.join(MORE_EVENTS).exists() {
        return Ok(vec![folder.to_owned()]);
    }
    let bad = |error| VerdictsError::unreadable(folder, &error);
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(bad)?.take(SERVERS_MAX) {
        let path = entry.map_err(bad)?.path();
        if path.join(EVENTS).exists() {
            folders.push(path);
        }
    }
    if folders.is_empty() {
        let message = format!("neither it nor a folder in it has {EVENTS}");
        return Err(VerdictsError::unreadable(folder, &message));
    }
    folders.sort();
    Ok(folders)
}

/// A server, its repositories and what it was told.
struct Site {
    folder: PathBuf,
    name: String,
    server: Server,
    large: Option<TempDir>,
    small: Option<TempDir>,
    other: Option<TempDir>,
}

impl Site {
    fn open(folder: &Path) -> Result<Self, VerdictsError> {
        let (name, server) =
            server(folder).ok_or_else(|| VerdictsError::NoServer(folder.display().to_string()))?;
        let clone = |bundle: &str| clone_of(&folder.join(bundle));
        Ok(Self {
            name,
            server,
            large: clone("repo.bundle")?,
            small: clone("more.bundle")?,
            other: clone("app.bundle")?,
            folder: folder.to_owned(),
        })
    }

    /// Its events, each with the clone that has what it names.
    fn cases(&self) -> Result<Vec<(Case, &Path)>, VerdictsError> {
        let read = |file: &str, clone: &Option<TempDir>| match clone {
            Some(_) => recorded::read(&self.folder.join(file)),
            None => Ok(Vec::new()),
        };
        let mut cases = Vec::new();
        for (file, clone) in [(EVENTS, &self.large), (MORE_EVENTS, &self.small)] {
            let clone_path = clone.as_ref().map_or(self.folder.as_path(), TempDir::path);
            cases.extend(
                read(file, clone)?
                    .into_iter()
                    .map(|case| (case, clone_path)),
            );
        }
        Ok(cases)
    }

    /// The jobs that the rules give.
    fn planned(&self, case: &Case, clone: &Path) -> Result<Vec<Planned>, VerdictsError> {
        let lacking = |error: &dyn std::fmt::Display| VerdictsError::Lacking {
            folder: self.folder.display().to_string(),
            n: case.n,
            message: error.to_string(),
        };
        let kind = EventKind::parse(&case.event);
        let kind = kind.ok_or_else(|| lacking(&format!("it knows no event {}", case.event)))?;
        let body = case.body.to_string();
        let read = Delivery::of_event(kind, body.as_bytes()).map_err(|error| lacking(&error))?;
        let Delivery::Event { event, .. } = read else {
            return Ok(Vec::new());
        };
        // Of a deletion nothing is left to read; its event is told beside it.
        if event.starts_nothing().is_some() {
            return Ok(Vec::new());
        }
        let other = self.other.iter();
        let settings = Settings {
            references: Some(&case.refs),
            others: other
                .map(|clone| (OTHER.to_owned(), clone.path()))
                .collect(),
            variables: Some(recorded::variables(&case.repo)),
            ..Settings::default()
        };
        let clone = LocalClone::open(clone, settings).map_err(|error| lacking(&error))?;
        let future = pin!(gather(&clone, &event, self.server));
        let Poll::Ready(facts) = future.poll(&mut Context::from_waker(Waker::noop())) else {
            return Err(lacking(&"a clone answers at once, and this one did not"));
        };
        let evaluation = facts.map_err(|error| lacking(&error))?.evaluate(&event);
        let runs = evaluation.runs();
        Ok(runs
            .flat_map(|(workflow, run)| planned(workflow, run))
            .collect())
    }
}

/// Which server's verdicts a folder has: its name says it, or else the first line of its README.
fn server(folder: &Path) -> Option<(String, Server)> {
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap_or_default();
    let heading = readme.lines().next().unwrap_or_default().to_lowercase();
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    [name.to_lowercase(), heading].into_iter().find_map(|text| {
        [ForgeKind::Gitea, ForgeKind::Forgejo]
            .into_iter()
            .find_map(|kind| server_in(&text, kind))
    })
}

fn server_in(text: &str, kind: ForgeKind) -> Option<(String, Server)> {
    let word = match kind {
        ForgeKind::Gitea => "gitea",
        ForgeKind::Forgejo => "forgejo",
    };
    let (_, after) = text.split_once(word)?;
    let version = after.trim_start_matches(['-', ' ', '_']);
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.');
    let version = version[..end.unwrap_or(version.len())].trim_end_matches('.');
    let version = Server::parse(version)?.version;
    Some((format!("{word} {version}"), Server { kind, version }))
}

/// A bare clone of a bundle, if there is one.
fn clone_of(bundle: &Path) -> Result<Option<TempDir>, VerdictsError> {
    if !bundle.exists() {
        return Ok(None);
    }
    let bad = |error: &dyn std::fmt::Display| VerdictsError::unreadable(bundle, error);
    let folder = tempfile::tempdir().map_err(|error| bad(&error))?;
    let output = Command::new("git")
        .args(["clone", "--quiet", "--mirror"])
        .args([bundle, folder.path()])
        .output()
        .map_err(|error| bad(&error))?;
    if !output.status.success() {
        return Err(bad(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(Some(folder))
}

fn planned(workflow: &str, run: &Run) -> Vec<Planned> {
    let jobs = run.jobs.iter().map(|planned| {
        let job = &planned.job;
        match (&job.name, &job.labels, &job.incomplete_matrix) {
            (Resolved::Known(name), Resolved::Known(labels), None) => Planned::Known(Job {
                workflow: workflow.to_owned(),
                trigger: run.event.clone(),
                id: job.id.clone(),
                name: name.clone(),
                labels: labels.clone(),
                needs: job.needs.clone(),
                waits: planned.start == Start::Waiting,
            }),
            (_, _, _) => Planned::Unknown([workflow.to_owned(), run.event.clone(), job.id.clone()]),
        }
    });
    jobs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_after_its_server() {
        let of = |name: &str| {
            let found = [ForgeKind::Gitea, ForgeKind::Forgejo];
            let mut found = found.into_iter().filter_map(|kind| server_in(name, kind));
            found.next().map(|(name, server)| (name, server.kind))
        };
        for (name, expected) in [
            ("gitea-1.27.3", Some(("gitea 1.27.3", ForgeKind::Gitea))),
            (
                "forgejo-15.0.3-kept",
                Some(("forgejo 15.0.3", ForgeKind::Forgejo)),
            ),
            (
                "# what a real forgejo 15.0.3 queued",
                Some(("forgejo 15.0.3", ForgeKind::Forgejo)),
            ),
            ("cases", None),
            ("gitea", None),
        ] {
            let expected = expected.map(|(name, kind)| (name.to_owned(), kind));
            assert_eq!(of(name), expected, "{name}");
        }
    }
}
