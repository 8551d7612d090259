use serde_json::json;

use super::*;
use crate::discovery::{FoundFile, FoundFiles};
use crate::event::Body;
use crate::server::Server;

/// The label of the only job that `event` starts, and whether it can start at once.
fn started(
    event: EventKind,
    body: &serde_json::Value,
    (on, label): (&str, &str),
    server: Server,
) -> (String, Start) {
    let text = format!("on: {on}\njobs: {{a: {{runs-on: \"{label}\"}}}}\n");
    let found = FoundFiles::of(
        ".gitea/workflows",
        [("a.yml".to_owned(), text.into_bytes())],
    );
    let body: Body = serde_json::from_value(body.clone()).unwrap();
    let facts = Facts::of(WorkflowSet::of(found, server), server);
    let evaluation = facts.evaluate(&Event { kind: event, body });
    let (_, run) = evaluation.runs().next().unwrap();
    let label = match &run.jobs[0].job.labels {
        Resolved::Known(labels) => labels.join(","),
        Resolved::Unknown(why) => panic!("{why}"),
    };
    (label, run.jobs[0].start)
}

#[test]
fn an_old_gitea_makes_labels_without_github() {
    let body = json!({"ref": "refs/heads/main", "before": "1a", "after": "2b"});
    let asks = ("push", "l-${{ github.ref_name }}");
    for (version, label) in [("1.26.0", "l-main"), ("1.25.0", "l-main"), ("1.24.0", "l-")] {
        let server = Server::parse(version).unwrap();
        assert_eq!(started(EventKind::Push, &body, asks, server).0, label);
    }
}

#[test]
fn a_file_is_checked_without_a_github_whose_fields_are_null() {
    let body = json!({"ref": "refs/heads/main", "before": "1a", "after": "2b"});
    let server = Server::gitea(1, 27, 3);
    for (expression, label) in [
        ("github.ref_name != runner.os || nothing.here", "true"),
        ("github.ref_name == 'main' && nothing.here", ""),
        ("github == null && nothing.here", "false"),
        ("github.ref_name != '' && nothing.here", ""),
    ] {
        let text = format!("on: push\njobs: {{a: {{runs-on: \"${{{{ {expression} }}}}\"}}}}\n");
        let file = [("a.yml".to_owned(), text.into_bytes())];
        let set = WorkflowSet::of(FoundFiles::of("w", file), server);
        let is_read = set.files[0].read.is_ok();
        assert!(is_read, "{expression}");
        let evaluation = Facts::of(set, server).evaluate(&Event {
            kind: EventKind::Push,
            body: serde_json::from_value(body.clone()).unwrap(),
        });
        let labels = evaluation.runs().next().map(|(_, run)| {
            let labels = run.jobs[0].job.labels.clone();
            labels.known().unwrap().concat()
        });
        assert_eq!(labels.unwrap_or_default(), label, "{expression}");
    }
}

#[test]
fn what_was_not_pushed_to_has_no_commits_before_and_after() {
    let label = |kind, body| {
        let on = "{pull_request: {types: [opened, synchronize]}}";
        let asks = (on, "${{ github.event.before }}-${{ github.event.after }}");
        started(kind, &body, asks, Server::gitea(1, 27, 3)).0
    };
    let opened = json!({"action": "opened", "pull_request": {"number": 5}});
    assert_eq!(label(EventKind::PullRequest, opened), "-");
    let pushed = json!({"action": "synchronized", "before": "1a", "after": "2b",
        "pull_request": {"number": 5}});
    assert_eq!(label(EventKind::PullRequestSync, pushed), "1a-2b");
}

#[test]
fn a_file_of_the_base_that_is_over_a_limit_leaves_it_open_what_starts() {
    let server = Server::GITEA_1_26;
    let file = |bytes| {
        let file = FoundFile {
            path: "w/a.yml".to_owned(),
            bytes,
        };
        let found = FoundFiles {
            dir: Some("w".to_owned()),
            files: vec![file],
            refused: None,
        };
        WorkflowSet::of(found, server)
    };
    let is_uncertain = |base| {
        let mut facts = Facts::of(file(Ok(b"on: push\njobs: {a: {}}".to_vec())), server);
        facts.base = Some(file(base));
        let body = json!({"action": "opened", "pull_request": {"number": 5}});
        let event = Event {
            kind: EventKind::PullRequest,
            body: serde_json::from_value(body).unwrap(),
        };
        facts.evaluate(&event).is_uncertain()
    };
    assert!(is_uncertain(Err("it is too large".to_owned())));
    assert!(!is_uncertain(Ok(b"on: [".to_vec())));
}

/// The workflows that a push starts, by the files `a.yml`, `b.yml`, ….
fn pushed(texts: &[&str], server: Server) -> String {
    let files = ('a'..).zip(texts);
    let file = |(name, text): (char, &&str)| (format!("{name}.yml"), text.as_bytes().to_vec());
    let found = FoundFiles::of(".gitea/workflows", files.map(file));
    let body = json!({"ref": "refs/heads/main", "before": "1a", "after": "2b"});
    let event = Event {
        kind: EventKind::Push,
        body: serde_json::from_value(body).unwrap(),
    };
    let facts = Facts::of(WorkflowSet::of(found, server), server);
    let evaluation = facts.evaluate(&event);
    evaluation.runs().map(|(name, _)| &name[..1]).collect()
}

#[test]
fn what_the_forge_fails_on_loses_what_comes_after_it_or_all() {
    let good = "on: push\njobs: {j: {steps: []}}";
    let other = "on: issues\njobs: {j: }";
    for (bad, forgejo, gitea) in [
        ("on: push\njobs: {j: }", "a", ""),
        (
            "on: push\njobs: {j: {strategy: {matrix: {a: [1], include: [x]}}}}",
            "a",
            "",
        ),
        ("on: push\njobs: {j: {name: 'a }} ${{ b'}}", "a", "abcd"),
        ("on: push\njobs: [", "acd", "acd"),
        (
            "on: push\njobs: {j: {strategy: {matrix: {exclude: [{b: 1}]}}}}",
            "acd",
            "acd",
        ),
        (other, "acd", ""),
    ] {
        let texts = [good, bad, good, good];
        assert_eq!(pushed(&texts, Server::forgejo(15, 0, 3)), forgejo, "{bad}");
        assert_eq!(pushed(&texts, Server::GITEA_1_26), gitea, "{bad}");
    }
}

#[test]
fn forgejo_15_groups_runs_with_github_and_names_jobs_without() {
    let text = "
on: push
concurrency: {group: 'g-${{ github.ref }}-${{ forgejo.ref_name }}'}
jobs:
  j:
    name: n-${{ github.ref_name }}
    runs-on: \"${{ github.event_name == 'push' && 'p' || 'q' }}\"
    strategy: {matrix: {a: \"${{ fromJSON(github.event.after && '[1]' || '[2,3]') }}\"}}
";
    let body = json!({"ref": "refs/heads/main", "before": "1a", "after": "2b"});
    let told = |server| {
        let found = FoundFiles::of("w", [("a.yml".to_owned(), text.as_bytes().to_vec())]);
        let facts = Facts::of(WorkflowSet::of(found, server), server);
        let evaluation = facts.evaluate(&Event {
            kind: EventKind::Push,
            body: serde_json::from_value(body.clone()).unwrap(),
        });
        let (_, run) = evaluation.runs().next().unwrap();
        let group = run.group.clone().known().flatten().unwrap().name;
        let jobs = run.jobs.iter().map(|job| {
            let labels = job.job.labels.clone().known().unwrap().concat();
            format!("{} {labels}", job.job.name.clone().known().unwrap())
        });
        (group, jobs.collect::<Vec<_>>().join(", "))
    };
    let group = "g-refs/heads/main-main".to_owned();
    let without = (group.clone(), "n- q, n- q".to_owned());
    assert_eq!(told(Server::forgejo(15, 0, 3)), without);
    assert_eq!(
        told(Server::forgejo(16, 0, 0)),
        (group, "n-main p".to_owned())
    );
}

#[test]
fn a_comment_on_a_pull_request_has_none_in_its_own_event() {
    let body = json!({"action": "created", "pull_request": {"number": 5}});
    let on = "{issue_comment: , pull_request: {types: [created]}}";
    let label = |event| {
        let asks = (on, "l-${{ github.event.pull_request.number }}");
        started(event, &body, asks, Server::GITEA_1_26).0
    };
    assert_eq!(label(EventKind::PullRequestComment), "l-");
    assert_eq!(label(EventKind::PullRequest), "l-5");
}

#[test]
fn pull_requests_of_forks_and_of_no_branch_wait_for_an_approval() {
    let start = |event, repo: i64, label: &str, head: &str, merged| {
        let body = json!({"action": "closed", "pull_request": {
            "merged": merged,
            "merge_commit_sha": "3c",
            "base": {"repo_id": 1},
            "head": {"repo_id": repo, "label": label, "ref": head},
        }});
        let on = "{pull_request: {types: [closed]}, pull_request_review: }";
        started(event, &body, (on, "x"), Server::GITEA_1_26).1
    };
    let waits = Start::AfterApproval;
    let pull = EventKind::PullRequest;
    assert_eq!(start(pull, 1, "dev", "dev", false), Start::Waiting);
    assert_eq!(start(pull, 1, "", "refs/pull/7/head", false), waits);
    assert_eq!(start(pull, 2, "me:dev", "dev", false), waits);
    assert_eq!(start(pull, 2, "me:dev", "dev", true), Start::Waiting);
    let review = EventKind::PullRequestReviewApproved;
    assert_eq!(start(review, 2, "me:dev", "dev", false), Start::Waiting);
}
