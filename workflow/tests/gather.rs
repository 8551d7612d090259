//! What is asked of a source: only what some rule looks at, and the same of every source.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use serde_json::{Value, from_value, json};
use workflow::discovery::FoundFiles;
use workflow::jobs::uses::Uses;
use workflow::yaml::Refused;
use workflow::{Changed, Commit, Event, EventKind, Facts, Server, Source, gather};

/// A repository whose `main` and pull requests have the same workflow.
struct Repository {
    workflow: &'static str,
    /// References that it does not have.
    missing: &'static [&'static str],
    asked: Mutex<Vec<String>>,
}

impl Repository {
    fn answer<T>(&self, question: String, answer: T) -> T {
        self.asked.lock().unwrap().push(question);
        answer
    }
}

/// There is no such reference.
#[derive(Debug)]
struct Missing;

impl Source for Repository {
    type Error = Missing;

    fn is_missing(_: &Missing) -> bool {
        true
    }

    async fn resolve(&self, _: &str, reference: &str) -> Result<String, Missing> {
        let found = !self.missing.contains(&reference);
        let answer = found.then(|| format!("id-of-{reference}")).ok_or(Missing);
        self.answer(format!("resolve {reference}"), answer)
    }

    async fn commit(&self, _: &str, id: &str) -> Result<Commit, Missing> {
        let commit = Commit {
            sha: id.to_owned(),
            message: "a message".to_owned(),
        };
        self.answer(format!("commit {id}"), Ok(commit))
    }

    async fn workflow_files(
        &self,
        _: &str,
        commit: &str,
        dirs: &[String],
    ) -> Result<FoundFiles, Missing> {
        let files = [("ci.yml".to_owned(), self.workflow.as_bytes().to_vec())];
        let found = FoundFiles::of(&dirs[0], files);
        self.answer(format!("files at {commit}"), Ok(found))
    }

    async fn called_file(
        &self,
        _: &str,
        _: &str,
        uses: &Uses,
    ) -> Result<Result<Vec<u8>, Refused>, Missing> {
        let called = b"on: workflow_call\njobs: {x: {runs-on: base}}".to_vec();
        self.answer(format!("called {uses:?}"), Ok(Ok(called)))
    }

    async fn changed_files(&self, _: &str, before: &str, after: &str) -> Result<Changed, Missing> {
        let changed = Changed::Files(vec!["src/main.rs".to_owned()]);
        self.answer(format!("changed {before}..{after}"), Ok(changed))
    }

    async fn variables(&self, _: &str) -> Result<Option<BTreeMap<String, String>>, Missing> {
        self.answer("variables".to_owned(), Ok(Some(BTreeMap::new())))
    }

    async fn disabled_workflows(&self, _: &str) -> Result<BTreeSet<String>, Missing> {
        self.answer("disabled".to_owned(), Ok(BTreeSet::new()))
    }
}

/// The facts, what was asked, and how many runs come of them.
fn gathered(
    kind: EventKind,
    body: &Value,
    workflow: &'static str,
    missing: &'static [&'static str],
) -> (Facts, Vec<String>, usize) {
    let source = Repository {
        workflow,
        missing,
        asked: Mutex::default(),
    };
    let mut body = body.clone();
    body["repository"] = json!({"full_name": "acme/app", "default_branch": "main"});
    let event = Event {
        kind,
        body: from_value(body).unwrap(),
    };
    let future = pin!(gather(&source, &event, Server::GITEA_1_26));
    let Poll::Ready(facts) = future.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the source answers at once");
    };
    let facts = facts.unwrap();
    let runs = facts.evaluate(&event).runs().count();
    let asked = source.asked.lock().unwrap().clone();
    (facts, asked, runs)
}

fn push() -> Value {
    json!({
        "ref": "refs/heads/main", "before": "1a", "after": "2b",
        "head_commit": {"id": "2b", "message": "words"},
    })
}

fn pull() -> Value {
    let side = |branch: &str, sha: &str| json!({"ref": branch, "sha": sha, "repo_id": 1});
    json!({"action": "opened", "pull_request": {
        "number": 7, "merge_base": "0d",
        "base": side("main", "1a"), "head": side("topic", "2b"),
    }})
}

#[test]
fn of_a_plain_push_only_the_files_are_read() {
    let workflow = "on: push\njobs: {a: {runs-on: base}}";
    let (facts, asked, runs) = gathered(EventKind::Push, &push(), workflow, &[]);
    assert_eq!(asked, ["files at 2b", "disabled"]);
    assert_eq!((facts.message.as_str(), runs), ("words", 1));
}

#[test]
fn what_a_rule_looks_at_is_asked_for() {
    let workflow = "on: {push: {paths: ['src/**']}}\njobs: {a: {runs-on: '${{ vars.LABEL }}'}}";
    let (_, asked, runs) = gathered(EventKind::Push, &push(), workflow, &[]);
    let expected = ["files at 2b", "changed 1a..2b", "variables", "disabled"];
    assert_eq!(
        (asked.as_slice(), runs),
        (&expected.map(str::to_owned)[..], 1)
    );
    let workflow = "on: {push: {paths: [docs]}}\njobs: {a: {runs-on: base}}";
    let (_, asked, runs) = gathered(EventKind::Push, &push(), workflow, &[]);
    assert_eq!(runs, 0);
    assert_eq!(asked, ["files at 2b", "changed 1a..2b"]);
}

#[test]
fn a_pull_request_reads_its_base_branch_and_a_review_does_not() {
    let workflow = "on: [pull_request, pull_request_review]\njobs: {a: {runs-on: base}}";
    let (facts, asked, _) = gathered(EventKind::PullRequest, &pull(), workflow, &[]);
    let common = ["resolve 2b", "commit id-of-2b", "files at id-of-2b"];
    assert_eq!(asked[..3], common);
    assert_eq!(
        asked[3..],
        ["resolve main", "files at id-of-main", "disabled"]
    );
    assert!(facts.base.is_some());
    let review = EventKind::PullRequestReviewApproved;
    let mut body = pull();
    body["action"] = json!("reviewed");
    let (facts, asked, _) = gathered(review, &body, workflow, &[]);
    assert_eq!(asked[..3], common);
    assert!(asked[3..] == ["disabled"] && facts.base.is_none());
}

#[test]
fn where_the_forge_has_no_commit_it_starts_nothing() {
    let workflow = "on: [release, pull_request]\njobs: {a: {runs-on: base}}";
    let release = json!({"action": "published", "release": {"tag_name": "v1"}});
    let missing = &["refs/tags/v1", "main"];
    let (_, asked, runs) = gathered(EventKind::Release, &release, workflow, missing);
    assert_eq!((asked, runs), (vec!["resolve refs/tags/v1".to_owned()], 0));
    let (_, asked, runs) = gathered(EventKind::PullRequest, &pull(), workflow, missing);
    assert_eq!(asked.last().unwrap(), "resolve main");
    assert_eq!(runs, 0);
}
