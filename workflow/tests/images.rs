//! The workflow that builds our images, as the forges' rules read it: the clock alone starts it, never a push, and
//! its job goes to the pool that may build.

use serde_json::json;
use workflow::discovery::FoundFiles;
use workflow::expression::Resolved;
use workflow::{Changed, Event, EventKind, Facts, Server, WorkflowSet};

#[test]
fn the_clock_starts_the_build_of_images_on_their_pool_and_no_push_does() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../.gitea/workflows/images.yml"
    );
    let text = std::fs::read(path).unwrap();
    let body = json!({"ref": "refs/heads/main", "before": "1a", "after": "2b",
        "repository": {"full_name": "acme/ci", "default_branch": "main"}});
    for version in ["1.26.4", "1.27.3", "15.0.0+gitea-1.22.0"] {
        let server = Server::parse(version).unwrap();
        for (kind, started) in [(EventKind::Schedule, true), (EventKind::Push, false)] {
            let files = [("images.yml".to_owned(), text.clone())];
            let facts = Facts {
                changed: Changed::Files(vec!["ami/images.toml".to_owned()]),
                variables: Some([].into()),
                ..Facts::of(
                    WorkflowSet::of(FoundFiles::of(".gitea/workflows", files), server),
                    server,
                )
            };
            let event = Event {
                kind,
                body: serde_json::from_value(body.clone()).unwrap(),
            };
            let evaluation = facts.evaluate(&event);
            let jobs: Vec<_> = evaluation
                .runs()
                .flat_map(|(_, run)| &run.jobs)
                .map(|planned| (planned.job.id.as_str(), &planned.job.labels))
                .collect();
            let labels = Resolved::Known(vec!["images".to_owned()]);
            let expected = if started {
                vec![("build", &labels)]
            } else {
                vec![]
            };
            assert_eq!(jobs, expected, "{version}, {kind:?}");
        }
    }
}
