//! Nothing twice, told by the forge itself: a job that four hooks tell of, again and again, through its whole
//! life and long after.

use lab::Entry;
use serde_json::{Value, json};

use crate::delivery::{Job, Runner, delivery, from_runner, witnessed};
use crate::replaced::ONE_JOB;
use crate::support::ask;
use crate::world::{ROLE, Reply, Shape, World, document, until};

/// Hooks of the same job: its repository's, another one there, its organization's, and the whole forge's.
const HOOKS: [&str; 4] = [
    "repos/acme/app/hooks",
    "repos/acme/app/hooks",
    "orgs/acme/hooks",
    "admin/hooks",
];
/// How often each delivery comes.
const TIMES: usize = 25;
/// Deliveries and requests at a time.
const AT_ONCE: usize = 20;
/// How often the machine asks.
const ASKS: usize = 20;
/// A day, and longer than history is kept, in seconds.
const DAY_S: i64 = 24 * 3600;
const QUARTER_S: i64 = 93 * 24 * 3600;

/// A world whose forge tells four hooks of the jobs of `acme/app`, and one job that waits.
async fn told_four_times() -> Option<(World, Job)> {
    let shape = Shape {
        forge: Some(lab::forge::Version::default()),
        ..Shape::default()
    };
    let world = World::of(shape).await?;
    let organization = json!({ "username": "acme" });
    world.forge("POST", "orgs", &organization).await;
    let repository = json!({ "name": "app" });
    world.forge("POST", "orgs/acme/repos", &repository).await;
    let file = world.bench.lab.file();
    let url = format!("{}/_lab/witness", file.front_door);
    let hook = json!({
        "type": "gitea",
        "active": true,
        "events": ["workflow_job"],
        "config": { "url": url, "content_type": "json", "secret": file.webhook_secret },
    });
    for place in HOOKS {
        world.forge("POST", place, &hook).await;
    }
    world.push_change("app", ONE_JOB).await;
    let deliveries = told(&world, "queued").await;
    let told: Value = serde_json::from_str(&deliveries[0].body).unwrap();
    let told = &told["workflow_job"];
    let job = Job {
        sha: Some(told["head_sha"].as_str().unwrap().to_owned()),
        name: told["name"].as_str().unwrap().to_owned(),
        run: told["run_id"].as_u64().unwrap(),
        ..Job::new(told["id"].as_u64().unwrap())
    };
    Some((world, job))
}

/// What the forge's hooks sent of `action`, once all of them have.
async fn told(world: &World, action: &str) -> Vec<Entry> {
    let url = format!("{}/_lab/deliveries", world.bench.lab.file().front_door);
    let mut told = Vec::new();
    until("four hooks have told of it", async || {
        let (status, answer) = ask("GET", &url, &[], &Value::Null).await;
        assert_eq!(status, 200, "{answer}");
        told = serde_json::from_value(answer).unwrap();
        told.retain(|one: &Entry| {
            let body: Value = serde_json::from_str(&one.body).unwrap();
            body["action"] == action
        });
        told.len() >= HOOKS.len()
    })
    .await;
    assert_eq!(told.len(), HOOKS.len());
    told
}

/// Delivers all of these again and again at once, with drains between that all believe to hold the lease;
/// how many were recorded.
async fn deliver(world: &World, told: &[Entry]) -> usize {
    let times = (0..TIMES).flat_map(|_| told.iter().map(witnessed));
    let mut payloads: Vec<Value> = times.collect();
    for n in 0..5 {
        payloads.insert(3 + n * 7, json!({ "action": "drain" }));
    }
    let answers = world.invoke_all(payloads, AT_ONCE, Some("one lease")).await;
    decisions(&answers, "recorded", told.len() * TIMES)
}

/// How many of `deliveries` have that decision; all others are duplicates.
fn decisions(answers: &[Value], decision: &str, deliveries: usize) -> usize {
    let count = |decision: &str| {
        let part = format!("\"decision\":\"{decision}\"");
        let is_so = |answer: &&Value| answer["body"].as_str().is_some_and(|b| b.contains(&part));
        answers.iter().filter(is_so).count()
    };
    let (made, duplicates) = (count(decision), count("duplicate"));
    assert_eq!(made + duplicates, deliveries, "{answers:?}");
    made
}

/// The credential of the only machine, which asks for it many times at once.
async fn only_credential(world: &World, machine: &str) -> Value {
    let asks = from_runner(ROLE, machine, br#"{"ask":"credential"}"#);
    let answers = world.invoke_all(vec![asks; ASKS], AT_ONCE, None).await;
    let replies = answers.iter().map(Reply::of);
    let (given, refused): (Vec<_>, Vec<_>) = replies.partition(|reply| reply.status == 200);
    assert!(refused.iter().all(|reply| reply.status == 410));
    let [given] = given.as_slice() else {
        panic!("{} credentials", given.len());
    };
    let credential = document(given).unwrap();
    world.was_given(&credential);
    credential
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_four_hooks_has_one_machine_and_one_credential_however_often_they_tell_of_it() {
    let Some((world, job)) = told_four_times().await else {
        return;
    };
    assert_eq!(deliver(&world, &told(&world, "queued").await).await, 1);
    world.drain().await;
    let machine = world.the_instance().await;
    let credential = only_credential(&world, &machine).await;
    assert_eq!(world.registered("admin").await.len(), 1);

    let task = world.fetch_task(&credential).await;
    let started = told(&world, "in_progress").await;
    assert_eq!(deliver(&world, &started).await, 1);
    let task: u64 = task["id"].as_str().unwrap().parse().unwrap();
    world.finish_task(&credential, task).await;
    let ended = told(&world, "completed").await;
    assert_eq!(deliver(&world, &ended).await, 1);
    // Everything once more, the other way round.
    for late in [&ended, &started, &told(&world, "queued").await] {
        assert_eq!(deliver(&world, late).await, 0);
    }
    world.lose(&machine).await;
    world.tick().await;
    assert_eq!(world.instances().await.len(), 1);
    assert!(world.counters().await.is_empty());
    assert_eq!(world.registered("admin").await, Vec::<Value>::new());
    assert_eq!(world.standing(&job).await.0, "completed");
    world.end().await;
}

/// Somebody has old deliveries sent again, of a job that is long over: a day later the ledger knows it, after
/// a quarter the forge alone does.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_over_gets_no_second_machine_a_day_later_or_when_the_ledger_has_forgotten_it()
{
    let Some((world, job)) = told_four_times().await else {
        return;
    };
    world.queue(std::slice::from_ref(&job)).await;
    world.drain().await;
    let machine = world.the_instance().await;
    let credential = only_credential(&world, &machine).await;
    let task = world.fetch_task(&credential).await;
    let runner = Runner {
        id: credential["id"].as_u64().unwrap(),
        name: machine.clone(),
    };
    world.deliver(&job.started(runner.clone())).await;
    let task: u64 = task["id"].as_str().unwrap().parse().unwrap();
    world.finish_task(&credential, task).await;
    world.deliver(&job.ended_on("success", runner)).await;
    world.lose(&machine).await;

    for (age_s, is_forgotten) in [(DAY_S, false), (QUARTER_S, true)] {
        if is_forgotten {
            world.expire_history(&job).await;
            assert!(world.history(&job).await.is_null());
        }
        let mut queued = job.queued();
        let created = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(age_s);
        queued["workflow_job"]["created_at"] = json!(created);
        let payloads = vec![delivery(&queued); HOOKS.len() * TIMES];
        let answers = world.invoke_all(payloads, AT_ONCE, None).await;
        let recorded = decisions(&answers, "recorded", HOOKS.len() * TIMES);
        assert_eq!(recorded, 0, "{age_s} s later");
        world.drain().await;
        world.tick().await;
        assert_eq!(world.instances().await.len(), 1, "{age_s} s later");
    }
    assert!(world.counters().await.is_empty());
    assert_eq!(world.registered("admin").await, Vec::<Value>::new());
    world.end().await;
}
