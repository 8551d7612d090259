//! Jobs that no delivery tells of: a push alone, the forge's own verdict on it, and what follows.

use lab::forge::Version;
use serde_json::{Value, json};

use crate::delivery::{Job, body_of, signed};
use crate::support::tap::Heard;
use crate::world::{NO_FORGE, Shape, World, now_ms, until};

/// Two jobs that can start and one that waits for the first.
const WORKFLOW: &str = "
on: push
jobs:
  build: {runs-on: base, steps: [{run: 'true'}]}
  lint: {runs-on: base, steps: [{run: 'true'}]}
  test: {needs: build, runs-on: go, steps: [{run: 'true'}]}
";

/// The delivery of a push of `sha` to main, which was `before`.
fn pushed(sha: &str, before: &str) -> Value {
    let mut body: Value = serde_json::from_slice(&body_of("push.branch_update")).unwrap();
    body["before"] = json!(before);
    body["after"] = json!(sha);
    body["head_commit"]["id"] = json!(sha);
    body
}

/// The delivery of the first push to main.
pub(crate) fn pushed_to(sha: &str) -> Value {
    pushed(sha, NOTHING)
}

const NOTHING: &str = "0000000000000000000000000000000000000000";

impl World {
    /// The forge's jobs of a push to `acme/app`, and the push's delivery.
    async fn push_alone(&self, workflow: &str) -> (Vec<Job>, Value) {
        let jobs = self.push_any(workflow).await;
        let sha = jobs[0].sha.clone().unwrap();
        (jobs, pushed(&sha, NOTHING))
    }

    /// The same at a forge that lists no jobs.
    async fn push_unseen(&self, workflow: &str) -> Value {
        pushed_to(&self.push_without_jobs(workflow).await)
    }

    pub(crate) async fn tell_push(&self, body: &Value) -> String {
        let reply = self
            .send(&signed("push", body.to_string().as_bytes()))
            .await;
        assert_eq!(reply.status, 202, "{}", reply.body);
        reply.json()["decision"].as_str().unwrap().to_owned()
    }

    /// The pools of the machines that live.
    async fn pools(&self) -> Vec<String> {
        let mut pools: Vec<String> = self
            .instances()
            .await
            .into_iter()
            .filter(|one| ["pending", "running"].contains(&one.state.as_str()))
            .map(|one| one.tags[&self.names.tag].clone())
            .collect();
        pools.sort();
        pools
    }

    /// What was expected is looked at again now, not in a second or a minute.
    async fn hurry(&self) {
        self.set_time_of_events("not_before_ms", 1).await;
    }

    async fn set_time_of_events(&self, attribute: &str, ms: u64) {
        for event in self.live("pending-event").await {
            let sk = event["sk"].as_str().unwrap();
            self.set_time(sk, attribute, ms).await;
        }
    }

    /// No delivery has come of its jobs for a minute.
    async fn stay_silent(&self) {
        let then_ms = now_ms() - 60_000;
        self.set_time_of_events("recorded_ms", then_ms).await;
    }

    /// `machine` takes a job at the forge, runs it to its end, and is gone.
    pub(crate) async fn run_one(&self, machine: &str) -> u64 {
        let reply = self.ask(machine).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let document = crate::world::document(&reply).unwrap();
        let labels = document["labels"].as_array().unwrap().iter();
        let labels = labels.map(|label| label.as_str().unwrap().split(':').next());
        let labels: Vec<Option<&str>> = labels.collect();
        let declare = json!({"version": "12.8.0", "labels": labels});
        self.rpc("Declare", &declare, Some(&document)).await;
        let task = self.fetch_task(&document).await;
        let id: u64 = task["id"].as_str().unwrap().parse().unwrap();
        self.finish_task(&document, id).await;
        self.lose(machine).await;
        id
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_alone_gives_each_of_its_jobs_a_machine_and_those_behind_needs_in_their_turn() {
    let Some(world) = World::up().await else {
        return;
    };
    let (_, push) = world.push_alone(WORKFLOW).await;
    assert_eq!(world.tell_push(&push).await, "recorded");
    world.drain().await;
    assert_eq!(world.pools().await, ["base", "base"]);

    // The forge tells of both when it is asked; no machine is launched anew for that.
    world.hurry().await;
    world.drain().await;
    assert_eq!(world.pools().await, ["base", "base"]);
    let keys: Vec<u64> = world
        .live("job")
        .await
        .iter()
        .map(|job| job["key"]["id"].as_u64().unwrap())
        .collect();
    assert!(keys.iter().all(|id| *id < 1 << 52), "{keys:?}");
    play_to_the_end(&world).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lists_no_jobs_is_followed_by_what_it_says_on_the_commit() {
    let Some(world) = World::of(Shape {
        forge: Some(Version::Gitea1_23),
        accept_reusable_credentials: true,
        ..Shape::default()
    })
    .await
    else {
        return;
    };
    let push = world.push_unseen(WORKFLOW).await;
    assert_eq!(world.tell_push(&push).await, "recorded");
    world.drain().await;
    assert_eq!(world.pools().await, ["base", "base"]);
    play_to_the_end(&world).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_makes_no_one_job_runners_gets_no_machine_unasked() {
    for version in [Version::Gitea1_23, Version::Forgejo11] {
        let Some(world) = World::of(Shape {
            forge: Some(version),
            ..Shape::default()
        })
        .await
        else {
            return;
        };
        let push = world.push_unseen(WORKFLOW).await;
        assert_eq!(world.tell_push(&push).await, "recorded");
        world.drain().await;
        world.tick().await;
        assert!(world.instances().await.is_empty());
        assert!(world.live("job").await.is_empty());
        let path = format!(
            "repos/acme/app/statuses/{}",
            push["after"].as_str().unwrap()
        );
        let statuses = world.forge("GET", &path, &Value::Null).await;
        let told = |one: &Value| {
            let reason = one["description"].as_str().unwrap_or_default();
            one["status"] == "error" && reason.contains("this forge makes no one-job runners")
        };
        let statuses = statuses.as_array().unwrap();
        assert!(statuses.iter().any(told), "{statuses:?}");
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgejo_that_names_no_commits_is_followed_without_a_machine_too_many() {
    for version in [Version::Forgejo11, Version::Forgejo15] {
        let Some(world) = World::of(Shape {
            forge: Some(version),
            accept_reusable_credentials: version == Version::Forgejo11,
            ..Shape::default()
        })
        .await
        else {
            return;
        };
        let push = world.push_unseen(WORKFLOW).await;
        assert_eq!(world.tell_push(&push).await, "recorded");
        world.drain().await;
        assert_eq!(world.pools().await, ["base", "base"]);
        for _ in 0..3 {
            world.hurry().await;
            world.drain().await;
            world.tick().await;
        }
        assert_eq!(world.pools().await, ["base", "base"]);
        let listed = world.live("job").await;
        assert_eq!(listed.len(), 2, "{listed:?}");
        play_to_the_end(&world).await;
        world.end().await;
    }
}

/// Both machines run a job, and then the one that waited for one of them gets its own.
async fn play_to_the_end(world: &World) {
    let machines = world.living().await;
    world.run_one(&machines[0]).await;
    world.run_one(&machines[1]).await;
    until("the job behind them has a machine", async || {
        world.hurry().await;
        world.drain().await;
        world.pools().await == ["go"]
    })
    .await;
    let last = world.the_instance().await;
    world.run_one(&last).await;
    world.hurry().await;
    world.drain().await;
    assert!(world.live("job").await.is_empty());
    assert!(world.counters().await.is_empty());
    assert_eq!(world.instances().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_push_a_hundred_times_beside_its_jobs_own_deliveries_gives_one_machine_each() {
    let Some(world) = World::up().await else {
        return;
    };
    let (jobs, push) = world.push_alone(WORKFLOW).await;
    let mut payloads: Vec<Value> = (0..100)
        .map(|_| signed("push", push.to_string().as_bytes()))
        .collect();
    for (n, job) in jobs.iter().take(2).enumerate() {
        payloads.insert(7 + n * 40, crate::delivery::delivery(&job.queued()));
    }
    for n in 0..4 {
        payloads.insert(3 + n * 20, json!({ "action": "drain" }));
    }
    world.invoke_all(payloads, 20, None).await;
    for _ in 0..3 {
        world.hurry().await;
        world.drain().await;
    }
    let base = world.pools().await;
    assert_eq!(
        base,
        ["base", "base"],
        "one machine for each job that can start"
    );
    assert_eq!(
        world.instances().await.len(),
        2,
        "and none that was too many"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_falls_silent_is_noticed_and_one_that_speaks_again_is_believed() {
    let Some(world) = World::up().await else {
        return;
    };
    // Another job of the repository was told of by a delivery.
    let known = Job::new(9000);
    world.queue(std::slice::from_ref(&known)).await;
    let ended = known.ended("success", Some("someone"));
    world.deliver(&ended).await;
    let (jobs, push) = world.push_alone(WORKFLOW).await;
    assert_eq!(world.tell_push(&push).await, "recorded");
    world.drain().await;
    assert!(
        world.living().await.is_empty(),
        "its deliveries may be under way"
    );

    // None comes.
    world.stay_silent().await;
    world.hurry().await;
    world.drain().await;
    assert_eq!(world.pools().await, ["base", "base"]);

    // They come after all: late, and without harm.
    world.queue(&jobs[..2]).await;
    world.drain().await;
    assert_eq!(world.pools().await, ["base", "base"]);
    assert_eq!(world.instances().await.len(), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_pushed_again_is_not_taken_for_told_because_its_first_push_was() {
    let Some(world) = World::of(Shape {
        forge: Some(Version::Gitea1_24),
        ..Shape::default()
    })
    .await
    else {
        return;
    };
    // Long ago, its jobs were told of and ended.
    let push = world.push_unseen(WORKFLOW).await;
    let sha = push["after"].as_str().unwrap().to_owned();
    let told = Job {
        sha: Some(sha),
        ..Job::new(9000)
    };
    world.queue(std::slice::from_ref(&told)).await;
    let ended = told.ended("success", Some("someone"));
    world.deliver(&ended).await;
    world
        .set_time_of_job(&told, "delivered_ms", now_ms() - 600_000)
        .await;
    // Since then its hook tells of pushes alone.
    assert_eq!(world.tell_push(&push).await, "recorded");
    world.stay_silent().await;
    world.hurry().await;
    world.drain().await;
    assert_eq!(world.pools().await, ["base", "base"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_is_disabled_at_the_forge_gets_no_machine() {
    let Some(world) = World::up().await else {
        return;
    };
    let (jobs, _) = world.push_alone(WORKFLOW).await;
    let disable = "repos/acme/app/actions/workflows/ci.yml/disable";
    world.forge("PUT", disable, &Value::Null).await;
    let before = jobs[0].sha.as_deref().unwrap();
    let after = world
        .push_change("app", &format!("{WORKFLOW}# changed"))
        .await;
    let push = pushed(&after, before);
    assert_eq!(world.tell_push(&push).await, "recorded");
    world.drain().await;
    assert!(world.instances().await.is_empty());
    assert!(world.live("pending-event").await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_told_while_the_forge_is_down_is_looked_into_later() {
    let Some(world) = World::up().await else {
        return;
    };
    let (_, push) = world.push_alone(WORKFLOW).await;
    assert_eq!(world.tell_push(&push).await, "recorded");
    world.drain_by(&world.cold(NO_FORGE)).await;
    assert!(world.living().await.is_empty());
    world.hurry().await;
    world.drain().await;
    assert_eq!(world.pools().await, ["base", "base"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_at_the_forge_and_was_told_to_nobody_is_found_by_the_tick() {
    let Some(world) = World::up().await else {
        return;
    };
    let (jobs, _) = world.push_alone(WORKFLOW).await;
    world.tick().await;
    assert_eq!(world.pools().await, ["base", "base"]);
    // Its delivery, when it comes after all, is a duplicate.
    assert_eq!(world.deliver(&jobs[0].queued()).await, "duplicate");
    world.tick().await;
    assert_eq!(world.instances().await.len(), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_starts_nothing_says_why_and_leaves_nothing() {
    let Some(world) = World::up().await else {
        return;
    };
    let (_, mut push) = world.push_alone(WORKFLOW).await;
    push["before"] = json!("1".repeat(40));
    let mut test = push.clone();
    test["before"] = test["after"].clone();
    assert_eq!(world.tell_push(&test).await, "ignored");
    let mut by_a_job = push.clone();
    by_a_job["sender"]["login"] = json!("gitea-actions");
    assert_eq!(world.tell_push(&by_a_job).await, "ignored");
    let mut skipped = push.clone();
    skipped["head_commit"]["message"] = json!("only words [skip ci]");
    assert_eq!(world.tell_push(&skipped).await, "ignored");
    world.drain().await;
    assert!(world.live("pending-event").await.is_empty());
    assert!(world.instances().await.is_empty());
    world.end().await;
}

/// Of these, one is served; the other waits at the forge for a day.
const HALF_SERVED: &str = "
on: push
jobs:
  build:
    runs-on: base
    steps: [{run: echo done}]
  nobody:
    runs-on: mars
    steps: [{run: echo never}]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_refused_costs_the_next_looks_at_its_event_nothing() {
    let Some(world) = World::up().await else {
        return;
    };
    let push = world.push_unseen(HALF_SERVED).await;
    // One commit on many branches is as many events, each with the same jobs at the forge.
    for branch in 0..5 {
        let mut body = push.clone();
        body["ref"] = json!(format!("refs/heads/branch-{branch}"));
        assert_eq!(world.tell_push(&body).await, "recorded");
    }
    let heard = Heard::default();
    let forge = world.bench.lab.file().forge.clone();
    let handler = world.tapped(&heard, &forge).await;
    world.drain_by(&handler).await;
    world.hurry().await;
    world.drain_by(&handler).await;
    heard.take();
    for _ in 0..3 {
        world.hurry().await;
        world.drain_by(&handler).await;
        let calls = heard.take_names();
        let events = world.live("pending-event").await.len();
        let writes = calls
            .iter()
            .filter(|name| *name == "dynamodb:TransactWriteItems");
        // Each event is taken on and put back, and the lease is taken and left.
        assert!(
            writes.count() <= 2 * events + 4,
            "{events} events: {calls:?}"
        );
    }
    world.end().await;
}
