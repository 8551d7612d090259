//! Stories of jobs that have not ended, and of what commits say of them.

use std::collections::BTreeSet;

use dispatcher::forge::{CheckState, SeenJob, SeenState};
use stacks::pool::Scope;
use workflow::{Capability, ForgeKind, Server};

use crate::site::{Site, until};

const WORKFLOW: &str = "
on: push
jobs:
  build: {runs-on: [self-hosted, base], steps: [{run: 'true'}]}
  test: {runs-on: base, needs: build, steps: [{run: 'true'}]}
";
/// More than a page of jobs.
const MANY: &str = "
on: push
jobs:
  many:
    runs-on: other
    strategy: {matrix: {a: [0,1,2,3,4,5,6,7], b: [0,1,2,3,4,5,6,7]}}
    steps: [{run: 'true'}]
";

/// Whether a server tells its unfinished jobs.
pub(crate) fn can_be_listed_by(server: Server) -> bool {
    server.has(Capability::ListsJobs)
}

pub(crate) async fn are_no_list(site: &Site) {
    let listed = site.client().unfinished(&Scope::Global).await;
    assert_eq!(listed.unwrap(), None);
}

async fn listed(site: &Site, scope: &Scope) -> Vec<SeenJob> {
    let listed = site.client().unfinished(scope).await.unwrap().unwrap();
    let ours = |seen: &SeenJob| seen.job.key.repository == "acme/listed";
    listed.into_iter().filter(ours).collect()
}

pub(crate) async fn are_listed_until_they_end(site: &Site) {
    let work = site.repository("listed").await;
    let commit = work.commit("jobs", &[(".gitea/workflows/ci.yml", WORKFLOW)]);
    site.push(&work, &["main"]).await;
    let own = Scope::Repository("acme/listed".to_owned());
    let server = site.client().server().await.unwrap();
    let is_gitea = server.kind == ForgeKind::Gitea;
    // Forgejo does not list what is blocked.
    let count = if is_gitea { 2 } else { 1 };
    let jobs = until("the push has jobs", async || {
        Some(listed(site, &own).await).filter(|jobs| jobs.len() == count)
    })
    .await;
    let build = &jobs[0];
    assert_eq!(build.state, SeenState::Waiting);
    assert_eq!((build.job.name.as_str(), &build.runner), ("build", &None));
    assert_eq!(build.job.labels, ["self-hosted", "base"]);
    if is_gitea {
        assert_eq!(build.job.key.attempt, 0);
        assert_eq!(build.job.head_sha, commit);
        assert!(build.job.html_url.contains("/acme/listed/actions/runs/"));
        assert!(build.job.run_id > 0 && build.job.created_ms.is_some());
        assert_eq!(jobs[1].state, SeenState::Blocked);
        assert_eq!(jobs[1].job.name, "test");
    }
    for wider in [Scope::Organization("acme".to_owned()), Scope::Global] {
        assert_eq!(listed(site, &wider).await, jobs, "{wider:?}");
    }

    let taken = site.take_job(&["self-hosted", "base"]).await;
    let jobs = listed(site, &own).await;
    let running = jobs.iter().find(|seen| seen.job.name == "build").unwrap();
    assert_eq!(running.state, SeenState::Running);
    assert_eq!(running.job.key, build.job.key, "the attempt is the same");
    let runner = running.runner.as_ref();
    let name = runner.map(|runner| runner.name.as_str());
    assert_eq!(name, is_gitea.then_some("i-asked"));
    assert!(runner.is_none_or(|runner| runner.id.is_some()));

    site.succeed(&taken).await;
    let jobs = until("the other is freed", async || {
        let jobs = listed(site, &own).await;
        let freed = jobs.iter().any(|seen| seen.state == SeenState::Waiting);
        (jobs.len() == 1 && freed).then_some(jobs)
    })
    .await;
    assert_eq!(jobs[0].job.name, "test");
    let taken = site.take_job(&["self-hosted", "base"]).await;
    site.succeed(&taken).await;
    until("none is left", async || {
        listed(site, &own).await.is_empty().then_some(())
    })
    .await;
}

pub(crate) async fn are_told_by_the_checks_of_their_commit(site: &Site) {
    let work = site.repository("checked").await;
    let named = format!("name: Named\n{WORKFLOW}");
    let commit = work.commit("jobs", &[(".gitea/workflows/ci.yml", &named)]);
    site.push(&work, &["main"]).await;
    let client = site.client();
    let states = async || {
        let states = client.commit_states("acme/checked", &commit).await.unwrap();
        let mut states: Vec<(String, CheckState, String)> = states
            .into_iter()
            .map(|one| (one.context, one.state, one.description))
            .collect();
        states.sort();
        states
    };
    let reached = async |expected: &[(&str, CheckState, &str)]| {
        let expected = expected.iter().map(|(context, state, description)| {
            ((*context).to_owned(), *state, (*description).to_owned())
        });
        let expected: Vec<(String, CheckState, String)> = expected.collect();
        let what = format!("{expected:?}");
        until(&what, async || (states().await == expected).then_some(())).await;
    };
    let blocked = (
        "Named / test (push)",
        CheckState::Pending,
        "Blocked by required conditions",
    );
    let waiting = (
        "Named / build (push)",
        CheckState::Pending,
        "Waiting to run",
    );
    reached(&[waiting, blocked]).await;
    let taken = site.take_job(&["self-hosted", "base"]).await;
    // While it runs its state stays; the words do or don't, by version.
    let lists = site.server().has(Capability::ListsJobs);
    let runs = async || {
        let scope = Scope::Repository("acme/checked".to_owned());
        until("the job runs", async || {
            let open = client.unfinished(&scope).await.unwrap().unwrap();
            let mut open = open.iter();
            open.any(|one| one.state == SeenState::Running)
                .then_some(())
        })
        .await;
    };
    let pending = async |at: usize| assert_eq!(states().await[at].1, CheckState::Pending);
    if lists {
        runs().await;
    }
    pending(0).await;
    pending(1).await;
    site.succeed(&taken).await;
    until("the job's end", async || {
        let build = &states().await[0];
        let ended = build.1 == CheckState::Success && build.2.starts_with("Successful in ");
        ended.then_some(())
    })
    .await;
    let taken = until("the other is freed", async || {
        site.try_job(&["self-hosted", "base"]).await
    })
    .await;
    if lists {
        runs().await;
    }
    pending(1).await;
    site.succeed(&taken).await;
    until("the other's end", async || {
        (states().await[1].1 == CheckState::Success).then_some(())
    })
    .await;
    let first = client.commit_states("acme/checked", &commit).await.unwrap();
    let path = &first[0].target_url;
    assert!(path.contains("/acme/checked/actions/runs/"), "{path}");
}

pub(crate) async fn of_several_pages_are_all_listed(site: &Site) {
    let work = site.repository("pages").await;
    let commit = work.commit("jobs", &[(".gitea/workflows/ci.yml", MANY)]);
    site.push(&work, &["main"]).await;
    let client = site.client();
    let scope = Scope::Organization("acme".to_owned());
    let jobs = until("the push has jobs", async || {
        let jobs = client.unfinished(&scope).await.unwrap().unwrap();
        (jobs.len() == 64).then_some(jobs)
    })
    .await;
    let ids: BTreeSet<u64> = jobs.iter().map(|seen| seen.job.key.id).collect();
    assert_eq!(ids.len(), 64);
    let states = until("all have their word", async || {
        let states = client.commit_states("acme/pages", &commit).await.unwrap();
        (states.len() == 64).then_some(states)
    })
    .await;
    assert!(states.iter().all(|one| one.state == CheckState::Pending));
}
