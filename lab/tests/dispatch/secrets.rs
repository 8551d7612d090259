//! Nothing leaked: the whole path, with everything going wrong that quotes a secret.

use serde_json::json;
use stacks::names::SecretName;

use crate::delivery::{Job, signature, with_signature};
use crate::log;
use crate::world::{NO_FORGE, Shape, World, entries};

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_table_an_answer_or_the_log_whatever_fails() {
    let Some(world) = World::of(Shape {
        pool: |pool| pool.clone_token = true,
        ..Shape::default()
    })
    .await
    else {
        return;
    };
    let file = world.bench.lab.file().clone();
    let jobs = [Job::new(1), Job::new(2)];
    world.queue(&jobs).await;
    let body = jobs[0].queued().to_string();
    let forged = signature("another secret", body.as_bytes());
    let forged = with_signature("workflow_job", body.as_bytes(), &forged);
    assert_eq!(world.send(&forged).await.status, 401);
    world.drain().await;
    let machines = world.living().await;

    // The forge refuses the registration token, is away, and takes it at last.
    let wrong = "a-registration-token-of-another-forge";
    world.set_secret(SecretName::RegistrationToken, wrong).await;
    let misled = world.cold(&file.forge);
    assert_eq!(world.ask_of(&misled, &machines[0]).await.status, 502);
    let blind = world.cold(NO_FORGE);
    assert_eq!(world.ask_of(&blind, &machines[0]).await.status, 502);
    for machine in &machines {
        assert_eq!(world.ask(machine).await.status, 200);
    }
    assert_eq!(world.ask(&machines[0]).await.status, 410);

    // A parameter that can't be parsed, with a secret pasted into it.
    let pasted = format!("{{\"forge_url\": \"{}\"", file.forge_token);
    let name = world.names.parameter_settings.clone();
    world.set_parameter(&name, &pasted).await;
    let broken = world.cold(&file.forge);
    let tick = json!({ "action": "cleanup" });
    let error = world.invoke(&broken, &tick).await.unwrap_err().to_string();
    assert!(error.contains(&name), "{error}");
    for (secret, value) in world.secrets() {
        assert!(!error.contains(&value), "{secret}: {error}");
    }

    // One machine is lost unused, one does its job.
    world.bench.faults(&entries());
    world.lose(&machines[0]).await;
    world.take(&jobs[1], &machines[1]).await;
    let words = format!("curl: (22) {}", "no route to the forge");
    let mark = json!({ "mark": "failed", "text": words });
    world.mark(&machines[1], &mark).await;
    world.lose(&machines[1]).await;

    // The look itself sees: what was logged of all this is there.
    let log = log::text();
    for part in [
        "delivery refused",
        "runner not registered",
        "runner registration token not found",
        "does not answer",
        "\"message\":\"runner registered\"",
        "no route to the forge",
    ] {
        assert!(log.contains(part), "{part} was not logged");
    }
    assert!(!log.contains(wrong), "the wrong token was logged");
    let credentials = world.secrets().len() - 5;
    assert_eq!(credentials, 2, "the tokens of both runners are looked for");
    world.end().await;
}
