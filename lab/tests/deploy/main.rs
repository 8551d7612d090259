//! The life of a deployment against the lab: made, changed, left alone, broken, repaired, ended.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that can't go on says so"
)]

mod broken;
mod broken_builds;
mod images;
mod limits;
mod put_back;
mod put_forward;
mod rights;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Mutex;

use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use provisioner::Stack;
use provisioner::differ::Effect;
use provisioner::plan::{Action, Plan};
use provisioner::progress::{Event, Silent};
use provisioner::secrets::{SecretValue, Secrets};
use provisioner::show::{self, Palette};
use provisioner::teardown::Kind;
use stacks::names::SecretName;
use support::Bench;
use support::tap::Heard;

pub(crate) use support::deployments::{
    code, deployment, diff, down, named, presentation, target, up,
};

/// A machine that nobody of ours launched, with a tag of this key.
pub(crate) async fn tagged(bench: &Bench, key: &str) -> String {
    let template = bench.template("#!/bin/sh\n").await;
    let tags = TagSpecification::builder()
        .resource_type(ResourceType::Instance)
        .tags(Tag::builder().key(key).value("mine").build());
    let made = bench
        .request(&template)
        .set_tag_specifications(Some(vec![tags.build()]))
        .send()
        .await
        .unwrap();
    let id = made.instances()[0].instance_id().unwrap();
    bench.wait_for(id, "running").await;
    id.to_owned()
}

fn properties(plan: &Plan) -> Vec<String> {
    plan.stacks
        .iter()
        .flat_map(|stack| {
            let settings = stack
                .settings
                .iter()
                .map(|change| format!("{}: {}", stack.stack, change.path));
            let resources = stack.resources.iter().flat_map(|resource| {
                resource
                    .properties
                    .iter()
                    .map(|change| format!("{} {}", resource.id, change.path))
            });
            settings.chain(resources).collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test]
async fn a_deployment_is_made_changed_left_alone_and_ended() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let first = named(&bench, "story-ci");
    let code = code("binary");

    let plan = diff(&first, &code).await;
    assert!(
        plan.stacks
            .iter()
            .all(|stack| stack.action == Action::Create)
    );
    assert!(plan.make_webhook_secret);
    assert_eq!(
        plan.missing_secrets
            .iter()
            .map(|missing| missing.name)
            .collect::<Vec<_>>(),
        ["forge-token", "registration-token"]
    );

    let events = Mutex::new(Vec::new());
    let note = |event: Event| events.lock().unwrap().push(event);
    let outcome = provisioner::up(&first, &plan, &code, &note).await.unwrap();
    assert!(outcome.api_endpoint().is_some());
    println!(
        "{}",
        show::hand_over(&first.environment, &outcome, None, &presentation())
    );
    let seen = events.into_inner().unwrap();
    assert!(seen.iter().any(|event| matches!(event, Event::Resource { id, status, .. } if id == "Function" && status == "CREATE_COMPLETE")), "{seen:?}");

    let again = diff(&first, &code).await;
    assert!(again.is_empty(), "{again:?}");

    // Secrets that are given are written once.
    let value = SecretValue::new(SecretName::ForgeToken, "0123456789abcdef").unwrap();
    let given = first
        .clone()
        .with_secrets(Secrets::from([(SecretName::ForgeToken, value)]));
    assert_eq!(up(&given, &code).await.write_secrets, ["forge-token"]);

    // What was edited is named, and nothing else.
    let edited = deployment(&bench, |source| {
        source
            .replace("\"lab-ci\"", "\"story-ci\"")
            .replacen("types = [\"t3.small\"]", "types = [\"t3.medium\"]", 1)
            .replace("memory_mb = 256", "memory_mb = 512")
    });
    let plan = up(&edited, &code).await;
    assert_eq!(
        properties(&plan),
        [
            "PoolBaseDocument Value.instance_types[0]",
            "Function MemorySize"
        ]
    );
    assert!(plan.stacks[0].is_empty());

    // Other code is another key.
    let other = self::code("other binary");
    let plan = diff(&edited, &other).await;
    assert_eq!(properties(&plan), ["dispatch: parameter.CodeKey"]);
    assert_eq!(plan.upload_code, Some(other.key()));

    // Somebody's own machine, who uses the deployment's name as a key.
    bench.faults(&support::no_boot());
    let own = &tagged(&bench, "story-ci").await;

    let found = provisioner::survey(&edited).await.unwrap();
    assert_eq!(found.of(Kind::Stack).count(), 3);
    assert_eq!(found.of(Kind::Instance).count(), 0);
    down(&edited).await;
    assert_eq!(bench.instance(own).await.state, "running");
    let nothing = provisioner::survey(&edited).await.unwrap();
    assert!(nothing.is_empty());
    assert!(show::survey(&nothing, Palette::PLAIN).starts_with("There is nothing"));
    bench.down().await;
}

#[tokio::test]
async fn a_second_up_makes_no_call_that_changes_anything() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let first = named(&bench, "quiet-ci");
    let code = code("binary");
    up(&first, &code).await;

    let heard = Heard::default();
    let mut tapped = first.clone();
    tapped.aws.endpoint = Some(heard.tap(&bench.lab.file().aws_endpoint).await);
    up(&tapped, &code).await;
    let preview = provisioner::preview(&tapped, &Silent).await.unwrap();
    assert!(preview.is_empty(), "{preview:?}");
    let calls = heard.take_names();
    let calls = calls.iter().map(|call| call.split_once(':').unwrap().1);
    let calls: Vec<String> = calls.map(str::to_lowercase).collect();
    for read in ["describestacks", "gettemplate", "getparameters", "head /"] {
        let heard = calls.iter().any(|call| call.starts_with(read));
        assert!(heard, "the tap heard no {read}: {calls:?}");
    }
    for word in [
        "create",
        "update",
        "put",
        "delete",
        "execute",
        "continue",
        "terminate",
        "run",
    ] {
        let changes = calls.iter().any(|call| call.starts_with(word));
        assert!(!changes, "{word}: {calls:?}");
    }
    down(&first).await;
    bench.down().await;
}

#[tokio::test]
async fn a_pool_that_is_taken_out_leaves_its_stack() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let first = named(&bench, "pools-ci");
    let code = code("binary");
    up(&first, &code).await;
    let fewer = deployment(&bench, |source| {
        let source = source.replace("\"lab-ci\"", "\"pools-ci\"");
        source.split("[pool.team]").next().unwrap().to_owned()
    });
    let plan = up(&fewer, &code).await;
    let runner = plan
        .stacks
        .iter()
        .find(|stack| stack.stack == Stack::Runner)
        .unwrap();
    let effects: Vec<(&str, Effect)> = runner
        .resources
        .iter()
        .map(|one| (one.id.as_str(), one.effect))
        .collect();
    assert_eq!(
        effects,
        [
            // It names the streams that its machines write their last words to.
            ("PlainRole", Effect::InPlace),
            ("PoolTeamDocument", Effect::Delete),
            ("PoolTeamLogs", Effect::Delete),
            ("PoolTeamTemplate", Effect::Delete)
        ]
    );
    down(&fewer).await;
    bench.down().await;
}

#[tokio::test]
async fn another_account_is_refused_before_anything_happens() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let deployment = deployment(&bench, |source| {
        source.replace("\"111111111111\"", "\"222222222222\"")
    });
    let error = provisioner::diff(&deployment, &code("binary"), &Silent)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("222222222222"), "{error}");
    bench.down().await;
}
