//! The checks by which a forge marks the commit of a run, one for each job.

use crate::document::Workflow;
use crate::event::EventKind;
use crate::jobs::workflow_set::ReadFile;
use crate::server::{Capability, Server};

/// The word in brackets under which the forge marks the commit of a run; `None` for events of which it
/// marks none (Gitea 1.26, `getCommitStatusEventNameAndCommitID`).
pub(super) fn event_word(kind: EventKind, on: &str) -> Option<&str> {
    let is_of_pull = kind.is_of_a_pull_request() || kind.is_of_a_review();
    let is_marked = is_of_pull || matches!(kind, EventKind::Push | EventKind::Release);
    is_marked.then_some(on)
}

/// What the forge calls the check of a job (Gitea 1.26.4, `createCommitStatus`; 1.27.0,
/// `WorkflowDisplayName`).
pub(super) fn name(
    (file, workflow): (&ReadFile, &Workflow),
    job: &str,
    event: &str,
    server: Server,
) -> String {
    let by_file = server.has(Capability::NamesChecksByFile);
    let workflow = match workflow.name.trim() {
        "" if by_file => file.path.rsplit('/').next().unwrap_or_default(),
        name if by_file => name,
        _ => workflow.name.as_str(),
    };
    format!("{workflow} / {job} ({event})").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use crate::discovery::FoundFiles;
    use crate::jobs::workflow_set::WorkflowSet;

    use super::*;

    #[test]
    fn a_workflow_without_a_name_is_called_by_its_file_from_gitea_1_27_on() {
        let of = |version: &str, named: &str| {
            let server = Server::parse(version).unwrap();
            let text = format!("{named}on: push\njobs: {{a: {{runs-on: x}}}}\n");
            let files = [("sub/ci.yml".to_owned(), text.into_bytes())];
            let found = FoundFiles::of(".gitea/workflows", files);
            let set = WorkflowSet::of(found, server);
            let file = &set.files[0];
            name((file, file.read.as_ref().unwrap()), "a", "push", server)
        };
        assert_eq!(of("1.26.4", ""), "/ a (push)");
        assert_eq!(of("1.27.0", ""), "ci.yml / a (push)");
        assert_eq!(of("1.26.4", "name: Build\n"), "Build / a (push)");
        assert_eq!(of("1.27.3", "name: ' '\n"), "ci.yml / a (push)");
    }
}
