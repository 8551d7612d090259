//! Machines that nobody needs: ended, and never one that has a job.

use dispatcher::aws::WriteResult;
use dispatcher::forge::{Forge, ForgeConfig};
use dispatcher::model::runner::EndReason;
use dispatcher::model::secret::Secret;
use dispatcher::plan::{IDLE_MARGIN_MS, SETTLE_MS, SURPLUS_GRACE_MS};
use serde_json::json;
use stacks::pool::{ForgeKind, Pool, Scope};

use crate::delivery::Job;
use crate::replaced::ONE_JOB;
use crate::support::forge_config;
use crate::world::{NO_FORGE, Reply, Shape, World, document, now_ms};

/// A world with the machine of a job that was cancelled while it waited.
async fn one_too_many() -> Option<(World, String)> {
    Some(cancelled(World::up().await?).await)
}

async fn cancelled(world: World) -> (World, String) {
    world.queue(&[Job::new(1)]).await;
    world.drain().await;
    let machine = world.the_instance().await;
    world.deliver(&Job::new(1).ended("cancelled", None)).await;
    world.drain().await;
    (world, machine)
}

/// A world with a machine that should have ended itself by now, the answer that it got, and nothing
/// that waits.
async fn one_overdue() -> Option<(World, String, Reply)> {
    let (world, machine) = one_too_many().await?;
    Some(overdue(world, machine).await)
}

async fn overdue(world: World, machine: String) -> (World, String, Reply) {
    let reply = world.ask(&machine).await;
    assert_eq!(reply.status, 200);
    world.tick().await;
    assert_eq!(world.live("runner").await.len(), 1, "it may wait");
    world.outlast_idle(&machine).await;
    world.expire_grace(&machine).await;
    (world, machine, reply)
}

impl World {
    /// The grace of a machine that is too many is over.
    async fn expire_grace(&self, machine: &str) {
        let sk = format!("runner#{machine}");
        self.set_time(&sk, "surplus_since_ms", now_ms() - SURPLUS_GRACE_MS)
            .await;
    }

    /// A registered machine should have ended itself by now.
    pub(crate) async fn outlast_idle(&self, machine: &str) {
        // The pools' idle limit is one minute.
        let then_ms = now_ms() - 60_000 - IDLE_MARGIN_MS - 1;
        let sk = format!("runner#{machine}");
        self.set_time(&sk, "timeline.idle", then_ms).await;
    }

    /// The forge had its time since it was told.
    pub(crate) async fn settle(&self, machine: &str) {
        let sk = format!("runner#{machine}");
        self.set_time(&sk, "timeline.disabled", now_ms() - SETTLE_MS)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_cancelled_while_it_waits_leaves_no_machine_that_boots() {
    let Some((world, machine)) = one_too_many().await else {
        return;
    };
    assert!(world.runner(&machine).await["surplus_since_ms"].is_u64());
    world.drain().await;
    assert_eq!(world.the_instance().await, machine, "within the grace");

    world.expire_grace(&machine).await;
    world.drain().await;
    assert!(world.living().await.is_empty());
    assert_eq!(world.ask(&machine).await.status, 410);
    world.lose(&machine).await;
    assert_eq!(world.ended(&machine).await["ending"]["reason"], "surplus");
    assert!(world.counters().await.is_empty());
    assert!(world.live("registration").await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_run_of_a_concurrency_group_takes_the_machine_over() {
    let Some((world, machine)) = one_too_many().await else {
        return;
    };
    world.queue(&[Job::new(2)]).await;
    world.drain().await;
    world.drain().await;
    assert_eq!(world.the_instance().await, machine);
    assert!(world.runner(&machine).await["surplus_since_ms"].is_null());
    assert_eq!(world.standing(&Job::new(2)).await.0, "launching");
    assert_eq!(world.instances().await.len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_asks_before_its_end_is_written_down_is_not_ended() {
    let Some((world, machine)) = one_too_many().await else {
        return;
    };
    assert_eq!(world.ask(&machine).await.status, 200);
    // A drain that saw it without its credential comes to act only now.
    let ledger = world.ledger();
    let ended = ledger.end_runner(&machine, &EndReason::Surplus, now_ms());
    assert_eq!(ended.await.unwrap(), WriteResult::Refused);
    world.expire_grace(&machine).await;
    world.tick().await;
    assert_eq!(world.living().await, [machine]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_machine_too_many_serves_the_next_job() {
    let Some((world, machine)) = one_too_many().await else {
        return;
    };
    assert_eq!(world.ask(&machine).await.status, 200);
    world.expire_grace(&machine).await;
    world.tick().await;
    world.tick().await;
    assert_eq!(world.registered("admin").await[0]["disabled"], false);
    world.queue(&[Job::new(2)]).await;
    world.drain().await;
    assert_eq!(world.the_instance().await, machine);
    assert_eq!(world.standing(&Job::new(2)).await.0, "launching");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_did_not_end_itself_gets_no_job_any_more_and_is_ended_once_it_is_idle() {
    let Some((world, machine, _)) = one_overdue().await else {
        return;
    };
    world.tick().await;
    assert_eq!(world.the_instance().await, machine);
    assert_eq!(world.registered("admin").await[0]["disabled"], true);
    // It is no supply: the next job gets its own.
    world.queue(&[Job::new(2)]).await;
    world.drain().await;
    assert_eq!(world.living().await.len(), 2);

    world.settle(&machine).await;
    world.tick().await;
    assert_ne!(world.the_instance().await, machine);
    world.lose(&machine).await;
    assert_eq!(world.ended(&machine).await["ending"]["reason"], "idle");
    assert!(world.registered("admin").await.is_empty());
    assert_eq!(world.counters().await["all"], 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_machine_is_taken_out_where_it_was_registered_although_its_pool_moved() {
    let acme = json!({"username": "acme"});
    let shape = Shape {
        pool: |pool| pool.scope = Scope::Organization("acme".to_owned()),
        ..Shape::default()
    };
    let Some(world) = World::of(shape).await else {
        return;
    };
    world.forge("POST", "orgs", &acme).await;
    let repository = json!({ "name": "app" });
    world.forge("POST", "orgs/acme/repos", &repository).await;
    let (world, machine) = cancelled(world).await;
    let (world, machine, _) = overdue(world, machine).await;
    let elsewhere = |pool: &mut Pool| pool.scope = Scope::Repository("acme/app".to_owned());
    let moved = world.change_pool("base", elsewhere).await;
    world.tick_by(&moved).await;
    assert_eq!(world.registered("orgs/acme").await[0]["disabled"], true);
    world.settle(&machine).await;
    world.tick_by(&moved).await;
    assert!(world.living().await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_took_a_job_before_it_was_taken_out_finishes_it() {
    let Some((world, machine, reply)) = one_overdue().await else {
        return;
    };
    // It takes a job of which we hear nothing: its hook is not ours, or the delivery got lost.
    world.push(ONE_JOB).await;
    let runner = document(&reply).unwrap();
    assert!(world.fetch_task(&runner).await.is_object());
    // A quiet job: the forge's list of runners calls that idle.
    assert_eq!(world.registered("admin").await[0]["busy"], false);

    world.tick().await;
    assert_eq!(world.registered("admin").await[0]["disabled"], true);
    world.settle(&machine).await;
    world.tick().await;
    assert_eq!(world.the_instance().await, machine);
    assert!(world.runner(&machine).await["timeline"]["busy"].is_u64());
    // Nor later: the forge's word counts as the machine's own.
    world.settle(&machine).await;
    world.tick().await;
    assert_eq!(world.living().await, [machine]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_forges_word_a_machine_is_left_to_its_own_limit() {
    let Some((world, machine, _)) = one_overdue().await else {
        return;
    };
    let blind = world.cold(NO_FORGE);
    world.tick_by(&blind).await;
    let row = world.runner(&machine).await;
    assert!(row["timeline"]["disabled"].is_null());
    assert!(row["surplus_since_ms"].as_u64().unwrap() > now_ms() - SURPLUS_GRACE_MS);

    world.expire_grace(&machine).await;
    world.tick().await;
    world.settle(&machine).await;
    let told_ms = world.runner(&machine).await["timeline"]["disabled"].as_u64();
    world.tick_by(&blind).await;
    assert_eq!(world.the_instance().await, machine);
    let row = world.runner(&machine).await;
    assert!(
        row["timeline"]["disabled"].as_u64() > told_ms,
        "asked again later"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_job_is_found_on_every_page_of_the_forges_list() {
    // More than one page, which has fifty.
    const JOBS: usize = 60;
    let Some(world) = World::up().await else {
        return;
    };
    let numbers: Vec<String> = (0..JOBS).map(|n| n.to_string()).collect();
    let matrix = format!("strategy: {{matrix: {{n: [{}]}}}}", numbers.join(", "));
    let workflow = ONE_JOB.replace("steps:", &format!("{matrix}\n    steps:"));
    let jobs = world.push(&workflow).await;
    world.queue(&jobs).await;
    let lab = world.bench.lab.file();
    let forge = Forge::new(ForgeConfig {
        token: Secret::new(lab.forge_token.clone()),
        ..forge_config(ForgeKind::Gitea, &lab.forge)
    })
    .unwrap();
    let mut busy = Vec::new();
    for n in 0..=JOBS {
        let runner = world.register_unheard(&format!("runner {n}")).await;
        let took = world.fetch_task(&runner).await.is_object();
        let id: u64 = runner["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(took, n < JOBS);
        if [0, JOBS / 2, JOBS - 1, JOBS].contains(&n) {
            busy.push((id, took));
        }
    }
    for (id, took) in busy {
        let state = forge.runner(&Scope::Global, id).await.unwrap();
        assert_eq!(state.busy, took, "runner {id}");
    }
    world.end().await;
}
