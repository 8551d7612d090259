//! The stand-in as a Forgejo, and the dispatcher's client against it: each version registers its own
//! way, lists its jobs its own way, and keeps what it keeps.

use std::time::Duration;

use dispatcher::forge::{Forge, ForgeConfig, ForgeError, SeenState};
use dispatcher::model::job::JobKey;
use dispatcher::model::secret::Secret;
use dispatcher::model::world::ForgeJobState;
use lab::forge::{self, Version};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stacks::pool::{ForgeKind, Pool, Scope};

use crate::support::forge_config;
use crate::world::{ADMIN, REGISTRATION, Runner, World, listener};

const TWO_JOBS: &str = "
on: push
jobs:
  labelled:
    runs-on: lab
    steps: [{run: echo done}]
  bare:
    steps: [{run: echo never}]
";
const QUICK: &str = "runner: {fetch_interval: 50ms}";

fn client(world: &World, kind: ForgeKind, with_token: bool) -> Forge {
    let secret = |text: &str| Secret::new(text.to_owned());
    Forge::new(ForgeConfig {
        labels: vec!["lab".to_owned(), "other".to_owned()],
        token: secret(ADMIN).filter(|_| with_token),
        registration_token: secret(REGISTRATION),
        ..forge_config(kind, &world.forge.url())
    })
    .unwrap()
}

fn pool(scope: Scope) -> Pool {
    Pool {
        scope,
        ..crate::support::pool("base", &["lab"], "lt-1")
    }
}

fn key(id: u64) -> JobKey {
    JobKey {
        repository: "acme/app".to_owned(),
        id,
        attempt: 1,
    }
}

/// Runs git in the folder that is pushed from; `$1` is the repository.
async fn git(world: &World, script: &str) {
    let url = format!("http://lab:{ADMIN}@{}/acme/app.git", world.forge.address());
    let status = tokio::process::Command::new("sh")
        .args(["-ec", script, "sh", &url])
        .current_dir(world.folder("work"))
        .env("HOME", world.folder("work"))
        .stderr(std::process::Stdio::null())
        .status();
    assert!(status.await.unwrap().success(), "{script}");
}

/// The runner of that id, as the forge lists it; old ones have no list.
async fn listed(world: &World, id: u64) -> Option<Value> {
    let answer = world.get("admin/actions/runners").await;
    let runners = answer.as_array().or_else(|| answer["runners"].as_array());
    let mut runners = runners.unwrap().iter();
    runners.find(|runner| runner["id"] == json!(id)).cloned()
}

#[tokio::test]
async fn its_deliveries_have_its_headers_and_tell_of_pushes_alone() {
    let world = World::playing(Version::Forgejo15, forge::ZOMBIE_AFTER).await;
    let (url, arrivals) = listener(Duration::ZERO).await;
    world
        .hook(&url, &["push", "workflow_job", "workflow_run"])
        .await;
    // The first folder that exists wins, even over one that has more.
    world.write(".forgejo/workflows/own.yml", TWO_JOBS);
    assert!(
        world
            .push(ADMIN, "on: push\njobs: {gitea: {runs-on: lab}}\n")
            .await
    );
    crate::until("a delivery came", async || {
        !arrivals.lock().unwrap().is_empty()
    })
    .await;
    let jobs = world.get("repos/acme/app/actions/runners/jobs").await;
    let names: Vec<&Value> = jobs
        .as_array()
        .unwrap()
        .iter()
        .map(|job| &job["name"])
        .collect();
    assert_eq!(names, ["labelled", "bare"]);
    assert_eq!(jobs[1]["runs_on"], Value::Null);
    let none = world
        .get("repos/acme/app/actions/runners/jobs?labels=x")
        .await;
    assert_eq!(none, Value::Null);

    let arrivals = std::mem::take(&mut *arrivals.lock().unwrap());
    assert_eq!(arrivals.len(), 1);
    assert!(arrivals[0].is_signed());
    for sender in ["forgejo", "gitea", "gogs", "github"] {
        assert_eq!(arrivals[0].header(&format!("x-{sender}-event")), "push");
        assert_eq!(
            arrivals[0].header(&format!("x-{sender}-event-type")),
            "push"
        );
    }
    assert_eq!(
        arrivals[0].header("x-forgejo-signature"),
        arrivals[0].header("x-gitea-signature")
    );
    let headers = &arrivals[0].headers;
    assert!(
        !headers
            .keys()
            .any(|name| name.as_str().ends_with("target-type"))
    );

    for path in ["version", "/api/forgejo/v1/version"] {
        assert_eq!(world.get(path).await["version"], "15.0.3+gitea-1.22.0");
    }
    for path in [
        "repos/acme/app/actions/jobs",
        "repos/acme/app/actions/jobs/1",
    ] {
        let (status, body) = world.ask("GET", path, ADMIN, &Value::Null).await;
        assert_eq!(
            (status, body),
            (404, json!("404 page not found\n")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn each_version_registers_its_own_way_and_nothing_of_it_stays() {
    for (version, ephemeral) in [
        (Version::Forgejo11, false),
        (Version::Forgejo14, false),
        (Version::Forgejo15, true),
    ] {
        let world = World::playing(version, forge::ZOMBIE_AFTER).await;
        assert!(world.push(ADMIN, TWO_JOBS).await);
        let client = client(&world, ForgeKind::Forgejo, true);
        assert_eq!(
            client.job_state(&key(1)).await,
            ForgeJobState::Waiting,
            "{version:?}"
        );
        assert_eq!(client.job_state(&key(99)).await, ForgeJobState::Gone);

        let pool = pool(Scope::Global);
        let registration = client.register(&pool, "i-1").await.unwrap();
        let document: Value = serde_json::from_str(registration.document.reveal()).unwrap();
        assert_eq!(document["labels"], json!(["lab:host"]));
        assert_eq!(document["id"], json!(registration.id));
        assert!(document["ephemeral"].is_null());
        if version > Version::Forgejo11 {
            let runner = listed(&world, registration.id).await.unwrap();
            assert_eq!(runner["ephemeral"], ephemeral, "{version:?}");
        }

        let one_job = ["forgejo-runner", "one-job", "--wait"];
        let folder = world.folder("i-1");
        let mut runner = Runner::start_as(&one_job, &folder, &document, QUICK);
        assert_eq!(runner.exit_code().await, Some(0), "{}", runner.log());
        assert!(
            runner.log().contains("repo is acme/app"),
            "{}",
            runner.log()
        );
        assert_eq!(client.job_state(&key(1)).await, ForgeJobState::Gone);
        if version > Version::Forgejo11 {
            let stays = listed(&world, registration.id).await.is_some();
            assert_eq!(stays, !ephemeral, "{version:?}");
        }

        // Whoever waits for a job without labels waits in vain.
        let second = client.register(&pool, "i-2").await.unwrap();
        let document = serde_json::from_str(second.document.reveal()).unwrap();
        let folder = world.folder("i-2");
        let mut runner = Runner::start_as(&one_job[..2], &folder, &document, QUICK);
        assert_eq!(runner.exit_code().await, Some(2), "{}", runner.log());

        for id in [registration.id, second.id, second.id, 99] {
            client.delete_runner(&Scope::Global, id).await.unwrap();
            if version > Version::Forgejo11 {
                assert_eq!(listed(&world, id).await, None, "{version:?}");
            }
        }
    }
}

#[tokio::test]
async fn registrations_are_made_in_their_pools_scope_with_what_secrets_there_are() {
    for version in [Version::Forgejo14, Version::Forgejo15] {
        let world = World::playing(version, forge::ZOMBIE_AFTER).await;
        let with_token = client(&world, ForgeKind::Forgejo, true);
        for (scope, place) in [
            (Scope::Organization("acme".to_owned()), "orgs/acme"),
            (Scope::Repository("acme/app".to_owned()), "repos/acme/app"),
        ] {
            let registration = with_token
                .register(&pool(scope.clone()), "i-1")
                .await
                .unwrap();
            let path = format!("{place}/actions/runners/{}", registration.id);
            assert_eq!(world.get(&path).await["name"], "i-1", "{version:?}");
            let named = with_token.runners_named(&scope, "i-1").await.unwrap();
            assert_eq!(named, [registration.id], "{version:?}");
        }
        // The registration token alone is enough for the whole forge.
        let without = client(&world, ForgeKind::Forgejo, false);
        let registration = without.register(&pool(Scope::Global), "i-2").await.unwrap();
        let runner = listed(&world, registration.id).await.unwrap();
        assert_eq!(runner["ephemeral"], version == Version::Forgejo15);
    }
}

#[tokio::test]
async fn what_a_forgejo_cannot_do_is_said_and_not_asked() {
    let world = World::playing(Version::Forgejo14, forge::ZOMBIE_AFTER).await;
    let forgejo = client(&world, ForgeKind::Forgejo, true);
    let lacks = forgejo.disable_runner(&Scope::Global, 1).await;
    assert!(matches!(lacks, Err(ForgeError::Lacks(_))), "{lacks:?}");
    let lacks = forgejo.runner(&Scope::Global, 1).await;
    assert!(matches!(lacks, Err(ForgeError::Lacks(_))), "{lacks:?}");

    assert!(world.push(ADMIN, TWO_JOBS).await);
    let scope = Scope::Organization("acme".to_owned());
    let labels = |labels: &[&str]| {
        labels
            .iter()
            .map(|&label| label.to_owned())
            .collect::<Vec<_>>()
    };
    let jobs = forgejo
        .listed_jobs(&scope, &labels(&["lab", "x y&z"]))
        .await
        .unwrap();
    assert_eq!(
        jobs.len(),
        1,
        "the one without labels is on no list: {jobs:?}"
    );
    assert_eq!(jobs[0].status, SeenState::Waiting);
    assert_eq!((jobs[0].name.as_str(), jobs[0].attempt), ("labelled", None));
    assert_eq!(forgejo.listed_jobs(&scope, &[]).await.unwrap(), []);

    // A Gitea where the environment says Forgejo: the machines would start the wrong runner.
    let gitea = World::new(forge::ZOMBIE_AFTER).await;
    let wrong = client(&gitea, ForgeKind::Forgejo, true);
    let refused = wrong
        .register(&pool(Scope::Global), "i-1")
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("correct the kind"),
        "{refused}"
    );
    assert_eq!(gitea.runner_names().await, [""; 0]);
}

#[tokio::test]
async fn references_come_and_go_by_their_full_names_and_pushes_have_all_commits() {
    let world = World::playing(Version::Forgejo15, forge::ZOMBIE_AFTER).await;
    assert!(world.push(ADMIN, "on: issues").await);
    let mut heard = Vec::new();
    for kind in ["forgejo", "gitea"] {
        let (url, arrivals) = listener(Duration::ZERO).await;
        let hook = json!({
            "type": kind, "active": true, "events": ["create", "delete", "push"],
            "config": {"url": url, "content_type": "json", "secret": "s"},
        });
        world.post("repos/acme/app/hooks", &hook, 201).await;
        heard.push(arrivals);
    }
    git(
        &world,
        "for n in 1 2 3 4 5 6 7 8; do
            git -c user.name=a -c user.email=a@b commit -q --allow-empty -m $n
        done
        git push -q $1 main main:refs/heads/feature/x main:refs/tags/v1
        git push -q $1 :refs/heads/feature/x :refs/tags/v1",
    )
    .await;
    for (arrivals, [branch, tag]) in heard.iter().zip([
        ["refs/heads/feature/x", "refs/tags/v1"],
        ["feature/x", "v1"],
    ]) {
        crate::until("all is told", async || arrivals.lock().unwrap().len() == 8).await;
        let arrivals = std::mem::take(&mut *arrivals.lock().unwrap());
        let told = |event: &str| {
            let of_event = arrivals
                .iter()
                .filter(|one| one.header("x-gitea-event") == event);
            let bodies = of_event.map(|one| serde_json::from_slice(&one.body).unwrap());
            bodies.collect::<Vec<Value>>()
        };
        for event in ["create", "delete"] {
            let bodies = told(event);
            let names: Vec<&Value> = bodies.iter().map(|body| &body["ref"]).collect();
            assert_eq!(names, [branch, tag], "{event}");
            assert_eq!(bodies[0]["sha"].is_string(), event == "create");
        }
        // The end of a branch is no push, that of a tag is one.
        let pushes = told("push");
        assert_eq!(pushes.len(), 4);
        let of_main = pushes.iter().find(|push| push["ref"] == "refs/heads/main");
        assert_eq!(of_main.unwrap()["commits"].as_array().unwrap().len(), 8);
    }
}

#[tokio::test]
async fn a_push_ends_the_run_that_the_last_one_started() {
    let world = World::playing(Version::Forgejo15, forge::ZOMBIE_AFTER).await;
    let list = "repos/acme/app/actions/runners/jobs";
    let ids = async || {
        let jobs = world.get(list).await;
        let jobs = jobs.as_array().cloned().unwrap_or_default();
        jobs.iter()
            .map(|job| job["id"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert!(world.push(ADMIN, TWO_JOBS).await);
    assert_eq!(ids().await, [1, 2]);
    world.write("other.txt", "x");
    assert!(world.push(ADMIN, TWO_JOBS).await);
    assert_eq!(ids().await, [3, 4]);
    git(&world, "git push -q $1 main:refs/heads/side").await;
    assert_eq!(
        ids().await,
        [3, 4, 5, 6],
        "another reference is another group"
    );
}

#[tokio::test]
async fn one_job_that_is_told_to_stop_fails_and_a_token_is_fetched_and_not_made() {
    let world = World::playing(Version::Forgejo15, forge::ZOMBIE_AFTER).await;
    assert!(world.push(ADMIN, crate::ONE_LONG_JOB).await);
    let registration = client(&world, ForgeKind::Forgejo, true)
        .register(&pool(Scope::Global), "i-1")
        .await
        .unwrap();
    let document = serde_json::from_str(registration.document.reveal()).unwrap();
    let folder = world.folder("i-1");
    let one_job = ["forgejo-runner", "one-job", "--wait"];
    let mut runner = Runner::start_as(&one_job, &folder, &document, QUICK);
    crate::until("the job runs", async || {
        let jobs = world.get("repos/acme/app/actions/runners/jobs").await;
        jobs[0]["status"] == "running"
    })
    .await;
    runner.signal(Signal::SIGTERM);
    assert_eq!(runner.exit_code().await, Some(0), "{}", runner.log());
    let run = world.get("repos/acme/app/actions/runs/1").await;
    assert_eq!(run["status"], "failure");
    assert_eq!(listed(&world, registration.id).await, None);

    for place in ["repos/acme/app", "orgs/acme", "admin"] {
        let path = format!("{place}/actions/runners/registration-token");
        let ask = async |method| world.ask(method, &path, ADMIN, &Value::Null).await.0;
        assert_eq!((ask("GET").await, ask("POST").await), (200, 405), "{place}");
    }
    let wrong = json!({"name": "i-2", "token": "wrong", "labels": []});
    let register = "/api/actions/runner.v1.RunnerService/Register";
    let answer = world.post(register, &wrong, 400).await;
    assert_eq!(answer["code"], "invalid_argument");
}
