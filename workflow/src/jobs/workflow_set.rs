//! The workflow files of one commit, read as the forge reads them.

use std::collections::{BTreeMap, BTreeSet};

use super::contexts::{Contexts, no_github};
use super::uses::Uses;
use crate::discovery::FoundFiles;
use crate::document::Workflow;
use crate::event::EventKind;
use crate::jobs;
use crate::server::{Capability, Server};
use crate::trigger;
use crate::yaml::{By, Kind, Node, Refused, Value};

/// The workflow files of one commit, read.
#[derive(Debug, Clone)]
pub struct WorkflowSet {
    /// The folder of workflows; `None`: there is none.
    pub folder: Option<String>,
    /// Why nothing was read, if it is too much.
    pub refused: Option<String>,
    /// The files.
    pub files: Vec<ReadFile>,
    /// What jobs call beside those, or why it can't be had.
    called: BTreeMap<Uses, Result<Workflow, Refused>>,
    nodes_left: usize,
}

/// Most values that are kept of all files: each takes 150 bytes, and a function has 256 MB. Files that
/// people write have some hundreds each, half of them kept.
const NODES_MAX: usize = 300_000;
/// Most files that are read because a job calls them. More would be a handful of requests each.
const CALLED_MAX: usize = 20;

/// One workflow file.
#[derive(Debug, Clone)]
pub struct ReadFile {
    /// Its path.
    pub path: String,
    /// Its path below the folder: the forge's name of the workflow.
    pub name: String,
    /// What it says, or why the forge skips it.
    pub read: Result<Workflow, Refused>,
    /// What it says to those that call it, if it is skipped only because its jobs can't be made without
    /// what a call gives.
    called: Option<Workflow>,
}

impl ReadFile {
    /// Why no file starts anything, if the forge's code fails on this one.
    pub(crate) fn crash(&self) -> Option<String> {
        let refused = self
            .read
            .as_ref()
            .err()
            .filter(|refused| refused.by == By::Panic)?;
        Some(crash_at(&self.path, refused))
    }
}

/// What it means that the forge's code fails on a file.
pub(crate) fn crash_at(path: &str, why: impl std::fmt::Display) -> String {
    format!("the forge's own code fails on {path}, and no workflow starts: {why}")
}

impl WorkflowSet {
    /// Reads what was found.
    #[must_use]
    pub fn of(found: FoundFiles, server: Server) -> Self {
        let nothing = Contexts {
            github: no_github(),
            vars: Some(BTreeMap::new()),
            ..Contexts::default()
        };
        let mut nodes_left = NODES_MAX;
        let folder = found.dir;
        let below = folder.as_deref().map(|folder| format!("{folder}/"));
        let files = found
            .files
            .into_iter()
            .map(|file| {
                let name = below
                    .as_ref()
                    .and_then(|below| file.path.strip_prefix(below));
                let name = name.unwrap_or(&file.path).to_owned();
                let read = match file.bytes {
                    Ok(bytes) => Workflow::read(&bytes, server)
                        .and_then(|workflow| kept(workflow, &mut nodes_left)),
                    Err(reason) => Err(Refused::limit(None, reason)),
                };
                let workflow = read.as_ref().ok();
                let invalid = workflow.and_then(|it| validate(it, &nothing, server).err());
                let (read, called) = match (read, invalid) {
                    (Ok(workflow), Some(refused)) => (Err(refused), Some(workflow)),
                    (read, _) => (read, None),
                };
                ReadFile {
                    path: file.path,
                    name,
                    read,
                    called,
                }
            })
            .collect();
        Self {
            folder,
            refused: found.refused,
            files,
            called: BTreeMap::new(),
            nodes_left,
        }
    }

    /// What jobs call that is not read yet, where the forge itself puts the called jobs in their place.
    /// What [`Self::add_called`] is told of it may call more.
    #[must_use]
    pub fn open_calls(&self, server: Server) -> BTreeSet<Uses> {
        let left = CALLED_MAX.saturating_sub(self.called.len());
        let jobs = self.workflows().flat_map(|workflow| &workflow.jobs);
        let calls: BTreeSet<Uses> = jobs
            .filter_map(|(_, job)| Uses::expanded(&job.uses, job.runs_on.is_none(), server))
            .filter_map(Result::ok)
            .filter(|uses| !self.is_in_folder(uses) && !self.called.contains_key(uses))
            .collect();
        calls.into_iter().take(left).collect()
    }

    /// What `uses` leads to, or why it can't be had.
    pub fn add_called(&mut self, uses: Uses, bytes: Result<Vec<u8>, Refused>, server: Server) {
        let read = bytes.and_then(|bytes| {
            let workflow = Workflow::read(&bytes, server)?;
            kept(workflow, &mut self.nodes_left)
        });
        self.called.insert(uses, read);
    }

    /// The workflow that `uses` leads to.
    pub(crate) fn called(&self, uses: &Uses) -> Result<&Workflow, Refused> {
        let file = self.own(uses);
        if let Some(called) = file.and_then(|file| file.called.as_ref()) {
            return Ok(called);
        }
        match file.map(|file| &file.read).or(self.called.get(uses)) {
            Some(read) => read.as_ref().map_err(Refused::clone),
            // All files of the folder are known.
            None if self.is_in_folder(uses) => Err(Refused::new(None, "there is no such file")),
            None => {
                let reason = format!("more than {CALLED_MAX} workflows are called");
                Err(Refused::limit(None, reason))
            }
        }
    }

    fn is_in_folder(&self, uses: &Uses) -> bool {
        let (Uses::Here { path }, Some(folder)) = (uses, &self.folder) else {
            return false;
        };
        let below = path.strip_prefix(folder.as_str());
        below.is_some_and(|below| below.starts_with('/'))
    }

    /// The file among the repository's own workflows that `uses` leads to.
    fn own(&self, uses: &Uses) -> Option<&ReadFile> {
        let Uses::Here { path } = uses else {
            return None;
        };
        self.files.iter().find(|file| file.path == *path)
    }

    /// Whether a rule looks at changed files.
    pub(crate) fn asks_for_paths(&self, event: EventKind) -> bool {
        self.workflows()
            .flat_map(|workflow| &workflow.events)
            .any(|on| trigger::asks_for_paths(on, event))
    }

    /// Whether an expression that decides about jobs looks at variables.
    pub(crate) fn asks_for_variables(&self) -> bool {
        self.workflows().any(looks_at_variables)
    }

    fn workflows(&self) -> impl Iterator<Item = &Workflow> {
        let files = self.files.iter();
        let own = files.flat_map(|file| file.read.iter().chain(&file.called));
        own.chain(self.called.values().flatten())
    }
}

/// A workflow that is kept, if there is room.
fn kept(workflow: Workflow, nodes_left: &mut usize) -> Result<Workflow, Refused> {
    *nodes_left = nodes_left.saturating_sub(workflow.nodes());
    if *nodes_left == 0 {
        let reason = format!("all files together have more than {NODES_MAX} values");
        return Err(Refused::limit(None, reason));
    }
    Ok(workflow)
}

/// Gitea since 1.26 also makes the jobs of a file before it looks at the event, with empty contexts:
/// a file of which that fails is none (`ValidateWorkflowContent`).
fn validate(workflow: &Workflow, nothing: &Contexts, server: Server) -> Result<(), Refused> {
    if server.has(Capability::ValidatesJobs) {
        jobs::expand(workflow, nothing, server)?;
    }
    Ok(())
}

/// Whether an expression that names a job, finds its labels or its group may look at variables.
fn looks_at_variables(workflow: &Workflow) -> bool {
    let jobs = workflow.jobs.iter().map(|(_, job)| job);
    let mut nodes = jobs.flat_map(|job| {
        let matrix = job
            .strategy
            .as_ref()
            .and_then(|strategy| strategy.matrix.as_ref());
        job.runs_on.iter().chain(matrix)
    });
    let groups = workflow.jobs.iter().map(|(_, job)| &job.concurrency);
    let mut groups = groups.chain([&workflow.concurrency]).flatten();
    nodes.any(names_variables)
        || groups.any(|group| has_vars(&group.expression) || has_vars(&group.group))
        || workflow.jobs.iter().any(|(_, job)| {
            let mut given = job.with.values().filter_map(Value::as_text);
            has_vars(&job.name) || given.any(has_vars)
        })
}

fn has_vars(text: &str) -> bool {
    text.to_ascii_lowercase().contains("vars")
}

/// Whether a node has `vars` somewhere. An alias counts as one that has.
fn names_variables(node: &Node) -> bool {
    match &node.kind {
        Kind::Scalar(scalar) => has_vars(&scalar.text),
        Kind::Sequence(items) => items.iter().any(names_variables),
        Kind::Mapping(pairs) => pairs
            .iter()
            .any(|(key, value)| names_variables(key) || names_variables(value)),
        Kind::Alias(_) => true,
    }
}
