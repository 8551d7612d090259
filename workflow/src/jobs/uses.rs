//! What stands in the `uses` of a job: where the workflow is that it calls.

use crate::discovery;
use crate::server::{Capability, ForgeKind, Server};
use crate::yaml::Refused;

/// Where a called workflow is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Uses {
    /// `./path`: in the same repository, at the commit of the run.
    Here {
        /// Its path.
        path: String,
    },
    /// `owner/repository/path@reference`: in another repository of the forge.
    There {
        /// The owner of the repository.
        owner: String,
        /// Its name.
        repository: String,
        /// The path in it.
        path: String,
        /// A branch, tag or commit.
        reference: String,
    },
}

impl Uses {
    /// Reads what stands in `uses` (Gitea from 1.27 on, `jobparser.ParseUses`). An address of the forge
    /// itself is to be given without what is before the owner.
    pub fn parse(uses: &str) -> Result<Self, Refused> {
        let uses = uses.trim();
        let refuse = || {
            let form = "`./<dir>/<file>.yml` or `<owner>/<repository>/<dir>/<file>.yml@<ref>`";
            Refused::new(
                None,
                format!("`uses: {uses}` calls no workflow; write {form}"),
            )
        };
        if let Some(path) = uses.strip_prefix("./") {
            return is_workflow(path)
                .then(|| Self::Here {
                    path: path.to_owned(),
                })
                .ok_or_else(refuse);
        }
        let (place, reference) = uses.split_once('@').ok_or_else(refuse)?;
        let mut parts = place.splitn(3, '/');
        let (Some(owner), Some(repository), Some(path)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(refuse());
        };
        let is_fit = is_name(owner) && is_name(repository) && is_workflow(path);
        if !is_fit || reference.is_empty() {
            return Err(refuse());
        }
        Ok(Self::There {
            owner: owner.to_owned(),
            repository: repository.to_owned(),
            path: path.to_owned(),
            reference: reference.to_owned(),
        })
    }

    /// The same, if it is in a folder of workflows. An administrator may have set others than these.
    pub(crate) fn in_folders(self, server: Server) -> Result<Self, Refused> {
        let mut folders = discovery::workflow_dirs(server);
        folders.extend(SCOPED_FOLDER.map(str::to_owned));
        let (Self::Here { path } | Self::There { path, .. }) = &self;
        if server.kind == ForgeKind::Gitea && !discovery::is_workflow(path, &folders) {
            let reason = format!("`{path}` is in none of {}", folders.join(", "));
            return Err(Refused::new(None, reason));
        }
        Ok(self)
    }

    /// What a job with `uses` calls, if the server itself puts the called jobs in its place; `is_bare`
    /// says that it asks for no labels. `Err`: the forge can't follow the call.
    #[must_use]
    pub fn expanded(uses: &str, is_bare: bool, server: Server) -> Option<Result<Self, Refused>> {
        if uses.is_empty() {
            return None;
        }
        let parsed = Self::parse(uses);
        let is_elsewhere = matches!(parsed, Ok(Self::There { .. }));
        let is_fit = match server.kind {
            ForgeKind::Gitea => true,
            // What has an address is sent to a runner as it is.
            ForgeKind::Forgejo => is_bare && !uses.contains("://"),
        };
        let capability = if is_elsewhere {
            Capability::ExpandsRemoteCalls
        } else {
            Capability::ExpandsCalls
        };
        (is_fit && server.has(capability)).then_some(parsed)
    }
}

/// Where Gitea from 1.27 on has workflows for other repositories.
const SCOPED_FOLDER: [&str; 1] = [".gitea/scoped_workflows"];

fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    !text.is_empty() && text.chars().all(is_part)
}

/// Whether it is the path of a YAML file without `.`, `..` or `.git` in it.
fn is_workflow(path: &str) -> bool {
    let name = path
        .strip_suffix(".yml")
        .or_else(|| path.strip_suffix(".yaml"));
    let relative = path.strip_prefix('/').unwrap_or(path);
    // The last is none that git would take.
    let is_detour =
        |part: &str| matches!(part, "" | "." | "..") || part.eq_ignore_ascii_case(".git");
    let is_direct = !relative.split('/').any(is_detour);
    name.is_some_and(|name| !name.is_empty()) && is_direct && !path.contains('@')
}
