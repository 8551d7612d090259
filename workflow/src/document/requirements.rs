//! What a job asks of its machine beyond its labels: deliveries don't say it, its workflow does.
//!
//! Measured with gitea-runner 1.0.8: on a `host` label `services:` are not started, and the job goes
//! on without its database; with a `container:` they are. Nothing else knows in time, so the
//! workflow file is read after the job was launched for, and its owner is told.

use super::Workflow;
use crate::server::Server;

/// What a job asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirements {
    /// It has `services:`.
    pub services: bool,
    /// It has a `container:`.
    pub container: bool,
}

impl Requirements {
    /// Reads what the job that the forge calls `name` asks for. `None` where the file does not tell:
    /// it can't be read, or has no such job, or the name is an expression.
    #[must_use]
    pub fn read(workflow: &[u8], name: &str, server: Server) -> Option<Self> {
        let workflow = Workflow::read(workflow, server).ok()?;
        let (_, job) = workflow
            .jobs
            .iter()
            .find(|(_, job)| is_name(&job.name, name))?;
        Some(Self {
            services: job.services,
            container: job.container,
        })
    }

    /// Whether a runner with a `host` label runs the job without its services, and says nothing.
    #[must_use]
    pub fn is_silently_lacking(self) -> bool {
        self.services && !self.container
    }
}

/// Whether the forge calls a job `name` whose own name is `own`: combinations of a matrix have their
/// values behind it, in brackets.
fn is_name(own: &str, name: &str) -> bool {
    name.strip_prefix(own)
        .is_some_and(|rest| rest.is_empty() || (rest.starts_with(" (") && rest.ends_with(')')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKFLOW: &[u8] = b"
on: push
jobs:
  plain: {runs-on: base, steps: [{run: 'true'}]}
  db: {runs-on: base, services: {db: {image: postgres}}, steps: []}
  both: {runs-on: base, container: node, services: {db: {image: postgres}}}
  empty: {runs-on: base, services: {}, container: null}
  many: {name: the matrix, services: {db: {image: postgres}}}
  named: {name: 'of ${{ github.ref }}', services: {db: {image: postgres}}}
";

    #[test]
    fn a_job_is_found_by_its_name_and_services_without_a_container_are_lost() {
        // Services, container, and whether the services are lost.
        for (name, expected) in [
            ("plain", Some((false, false, false))),
            ("db", Some((true, false, true))),
            ("both", Some((true, true, false))),
            ("empty", Some((false, false, false))),
            ("the matrix (a, 1)", Some((true, false, true))),
            ("the matrix", Some((true, false, true))),
            ("the matrixes", None),
            ("many", None),
            ("of refs/heads/main", None),
            ("other", None),
        ] {
            let read = Requirements::read(WORKFLOW, name, Server::GITEA_1_26);
            let read = read.map(|it| (it.services, it.container, it.is_silently_lacking()));
            assert_eq!(read, expected, "{name}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_tells_nothing() {
        for bytes in [
            b"".as_slice(),
            b"jobs: 7",
            b"jobs: [a]",
            b"\xff\xfe",
            b"<!doctype html><html>",
            b"jobs: {a: &a {services: *a}}",
        ] {
            assert_eq!(Requirements::read(bytes, "a", Server::GITEA_1_26), None);
        }
    }
}
