//! A forge that registers no runner of a pool: what fails for every machine alike is no reason for another.

use stacks::names::SecretName;

use crate::delivery::Job;
use crate::replaced::ONE_JOB;
use crate::world::World;

const WRONG: &str = "a-registration-token-of-last-year";

/// A world whose registration token was revoked: one job whose machine was refused, and one that came then.
async fn revoked() -> Option<(World, String, [Job; 2])> {
    let world = World::up().await?;
    world.set_secret(SecretName::RegistrationToken, WRONG).await;
    let first = world.push(ONE_JOB).await.remove(0);
    world.queue(std::slice::from_ref(&first)).await;
    world.drain().await;
    let machine = world.the_instance().await;
    assert_eq!(world.ask(&machine).await.status, 502);
    let second = world.push_to("other", ONE_JOB).await.remove(0);
    world.queue(std::slice::from_ref(&second)).await;
    world.drain().await;
    assert_eq!(world.the_instance().await, machine, "it gets no machine");
    Some((world, machine, [first, second]))
}

impl World {
    /// A function that knows the right token again.
    async fn mended(&self) -> dispatcher::handler::Handler {
        let file = self.bench.lab.file();
        self.set_secret(SecretName::RegistrationToken, &file.registration_token)
            .await;
        self.cold(&file.forge)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_costs_one_machine_and_launches_go_on_when_it_is_mended() {
    let Some((world, machine, jobs)) = revoked().await else {
        return;
    };
    let told = "the forge registers no runner of pool base";
    let (status, reason) = world.standing(&jobs[1]).await;
    assert_eq!(status, "pending");
    assert!(
        reason.starts_with(told) && !reason.contains(WRONG),
        "{reason}"
    );
    let statuses = world.statuses(&jobs[1]).await;
    assert_eq!(statuses[0]["status"], "pending", "{statuses:?}");
    assert!(
        statuses[0]["description"]
            .as_str()
            .unwrap()
            .starts_with(told)
    );

    // It comes to its boot limit, and none follows.
    world.lose(&machine).await;
    world.tick().await;
    world.drain().await;
    assert_eq!(world.instances().await.len(), 1);
    assert_eq!(world.live("job").await.len(), 2);

    let mended = world.mended().await;
    world.tick_by(&mended).await;
    let machines = world.living().await;
    assert_eq!(machines.len(), 2);
    assert!(world.live("refusal").await.is_empty());
    let registered = world.registered("admin").await;
    assert!(
        registered.is_empty(),
        "what was tried stays: {registered:?}"
    );
    for (job, machine) in jobs.iter().zip(&machines) {
        assert_eq!(world.ask_of(&mended, machine).await.status, 200);
        world.take(job, machine).await;
    }
    world.drain_by(&mended).await;
    assert_eq!(world.statuses(&jobs[1]).await[0]["status"], "success");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_registered_after_all_lets_its_pools_jobs_have_theirs() {
    let Some((world, machine, _)) = revoked().await else {
        return;
    };
    assert_eq!(world.live("refusal").await.len(), 1);
    let mended = world.mended().await;
    assert_eq!(world.ask_of(&mended, &machine).await.status, 200);
    assert!(world.live("refusal").await.is_empty());
    world.drain_by(&mended).await;
    assert_eq!(world.living().await.len(), 2);
    world.end().await;
}
