//! Deployments that are half made, broken or left behind: the next command goes on from there.

use std::time::Duration;

use aws_sdk_cloudformation::types::DeletionMode;
use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use lab::FaultInjection;
use provisioner::package::Code;
use provisioner::plan::{Action, Repair};
use provisioner::progress::Silent;
use provisioner::secrets::SecretValue;
use provisioner::teardown::Kind;
use provisioner::{Deployment, Stack};
use serde_json::json;
use stacks::names::SecretName;

use crate::support::{Bench, no_boot, post, sdk_config};
use crate::{code, diff, down, named, up};

/// The emulator's own clients, for what somebody else does in the account.
struct Hands {
    cloudformation: aws_sdk_cloudformation::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
}

impl Hands {
    fn of(bench: &Bench) -> Self {
        let file = bench.lab.file();
        let config = sdk_config(file, &file.aws_endpoint);
        Self {
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
        }
    }

    async fn make_log_group(&self, name: &str) {
        let make = self.logs.create_log_group().log_group_name(name);
        make.send().await.unwrap();
    }

    async fn status(&self, stack: &str) -> String {
        let stacks = self.cloudformation.describe_stacks().stack_name(stack);
        let stacks = stacks.send().await.unwrap();
        let status = stacks.stacks()[0].stack_status().unwrap();
        status.as_str().to_owned()
    }
}

/// Puts stacks into statuses that nothing leads to in a lab.
struct Put {
    account: String,
    emulator: String,
}

impl Put {
    fn of(bench: &Bench) -> Self {
        let file = bench.lab.file();
        Self {
            account: file.account.clone(),
            emulator: file.aws_endpoint.clone(),
        }
    }

    fn into(&self, stack: &str, status: &str) {
        let body = json!({"account": self.account, "stack": stack, "status": status});
        let (code, answer) = post(&self.emulator, "/_lab/stack-status", &[], &body.to_string());
        assert_eq!(code, 204, "{answer}");
    }
}

async fn refused(deployment: &Deployment) -> String {
    let code = code("binary");
    let plan = diff(deployment, &code).await;
    let error = provisioner::up(deployment, &plan, &code, &Silent)
        .await
        .unwrap_err();
    error.to_string()
}

#[tokio::test]
async fn down_ends_what_is_half_made() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let whole = named(&bench, "half-ci");
    let code = code("binary");
    let mut plan = diff(&whole, &code).await;
    // Somebody pressed Ctrl-C after the first stack.
    plan.stacks.truncate(1);
    provisioner::up(&whole, &plan, &code, &Silent)
        .await
        .unwrap();
    let rest = diff(&whole, &code).await;
    let actions: Vec<&Action> = rest.stacks.iter().map(|stack| &stack.action).collect();
    assert_eq!(
        actions,
        [&Action::Unchanged, &Action::Create, &Action::Create]
    );
    down(&whole).await;
    bench.down().await;
}

#[tokio::test]
async fn an_up_that_failed_says_why_and_the_next_one_repairs_it() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let deployment = named(&bench, "failed-ci");
    let code = code("binary");
    let mut wrong = deployment.clone();
    let body = &mut wrong.rendered.templates[2].body;
    *body = body.replace(
        "\"FunctionName\":{\"Ref\":\"Function\"}",
        "\"FunctionName\":\"nobody\"",
    );
    let plan = diff(&wrong, &code).await;
    let error = provisioner::up(&wrong, &plan, &code, &Silent)
        .await
        .unwrap_err();
    println!("{error}");
    assert!(
        error.to_string().contains("failed-ci-dispatch") && error.to_string().contains("nobody"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("cargo xtask up"));

    let plan = up(&deployment, &code).await;
    assert_eq!(plan.stacks[2].repair, Some(Repair::DeleteFailedCreate));
    down(&deployment).await;
    bench.down().await;
}

/// The story of the finding: a sibling of the table fails, and CloudFormation rolls back.
#[tokio::test]
async fn a_first_creation_that_fails_leaves_nothing_that_blocks_the_next() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let deployment = named(&bench, "first-ci");
    let code = code("binary");
    let hands = Hands::of(&bench);
    // AWS makes both at once; here the table is there by then for sure.
    let mut ordered = deployment.clone();
    let state = &mut ordered.rendered.templates[0];
    state.value["Resources"]["Logs"]["DependsOn"] = json!("Table");
    state.body = state.value.to_string();
    let plan = diff(&ordered, &code).await;
    // Somebody makes it between the look and the deed.
    hands.make_log_group("/aws/lambda/first-ci-dispatch").await;
    let failed = provisioner::up(&ordered, &plan, &code, &Silent).await;
    println!("{}", failed.unwrap_err());
    assert_eq!(hands.status("first-ci-state").await, "ROLLBACK_COMPLETE");
    let tables = hands.dynamodb.list_tables().send().await.unwrap();
    assert!(tables.table_names().is_empty(), "{tables:?}");

    let words = refused(&deployment).await;
    assert!(
        words.contains("log group /aws/lambda/first-ci-dispatch"),
        "{words}"
    );
    let group = hands.logs.delete_log_group();
    let group = group.log_group_name("/aws/lambda/first-ci-dispatch");
    group.send().await.unwrap();
    let plan = up(&deployment, &code).await;
    assert_eq!(plan.stacks[0].repair, Some(Repair::DeleteFailedCreate));
    let table = hands.dynamodb.describe_table().table_name("first-ci-runs");
    let table = table.send().await.unwrap().table.unwrap();
    assert_eq!(table.deletion_protection_enabled, Some(true));
    down(&deployment).await;
    bench.down().await;
}

/// A creation whose rollback failed: the table is still in its stack, and protected.
#[tokio::test]
async fn a_creation_that_could_not_be_rolled_back_is_repaired_and_can_be_ended() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let code = code("binary");
    let hands = Hands::of(&bench);
    for command in ["up", "down"] {
        let name = format!("stuck-{command}");
        let deployment = named(&bench, &name);
        let group = format!("/aws/lambda/{name}-dispatch");
        hands.make_log_group(&group).await;
        let mut template = deployment.rendered.template(Stack::State).value.clone();
        template["Resources"]["Logs"]["DependsOn"] = json!("Table");
        let stack = format!("{name}-state");
        let made = hands.cloudformation.create_stack().stack_name(&stack);
        let tag = aws_sdk_cloudformation::types::Tag::builder().key(&name);
        let made = made.tags(tag.value("state").build());
        let made = made.template_body(template.to_string());
        made.send().await.unwrap();
        // It holds the table and not the log group, which is somebody's.
        let plan = diff(&deployment, &code).await;
        assert_eq!(hands.status(&stack).await, "ROLLBACK_FAILED");
        let remains: Vec<&str> = plan.stacks[0]
            .remains
            .iter()
            .map(|one| one.id.as_str())
            .collect();
        assert_eq!(remains, ["Table"]);
        assert!(plan.blocked().unwrap().1.contains(&group), "{plan:?}");
        if command == "up" {
            let delete = hands.logs.delete_log_group().log_group_name(&group);
            delete.send().await.unwrap();
            let plan = up(&deployment, &code).await;
            assert_eq!(plan.stacks[0].repair, Some(Repair::DeleteFailedCreate));
        }
        down(&deployment).await;
    }
    bench.down().await;
}

#[tokio::test]
async fn names_that_exist_already_are_found_before_anything_happens() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let deployment = named(&bench, "again-ci");
    let code = code("binary");
    up(&deployment, &code).await;
    // Somebody deletes the stacks by hand: what holds data stays, and so does the parameter of a
    // secret.
    let hands = Hands::of(&bench);
    let protect = hands.cloudformation.update_termination_protection();
    let protect = protect
        .stack_name("again-ci-state")
        .enable_termination_protection(false);
    protect.send().await.unwrap();
    for stack in ["again-ci-dispatch", "again-ci-runner", "again-ci-state"] {
        let delete = hands.cloudformation.delete_stack().stack_name(stack);
        delete
            .deletion_mode(DeletionMode::Standard)
            .send()
            .await
            .unwrap();
        loop {
            let found = hands.cloudformation.describe_stacks().stack_name(stack);
            let Ok(found) = found.send().await else { break };
            let status = found.stacks()[0].stack_status().unwrap();
            assert_ne!(status.as_str(), "DELETE_FAILED");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let words = refused(&deployment).await;
    println!("{words}");
    for name in [
        "table again-ci-runs",
        "log group /aws/lambda/again-ci-dispatch",
        "bucket again-ci",
    ] {
        assert!(words.contains(name), "{words}");
    }
    assert!(words.contains("cargo xtask down ENV"), "{words}");
    let found = provisioner::survey(&deployment).await.unwrap();
    for kind in [
        Kind::Table,
        Kind::LogGroup,
        Kind::Bucket,
        Kind::Api,
        Kind::Parameter,
    ] {
        assert_eq!(found.of(kind).count(), 1, "{kind}: {found:?}");
    }
    down(&deployment).await;

    // A role is the whole account's: nobody deletes it for us.
    let role = bench.iam().create_role().role_name("again-ci-tick");
    role.assume_role_policy_document("{}").send().await.unwrap();
    let words = refused(&deployment).await;
    assert!(
        words.contains("role again-ci-tick") && words.contains("another region"),
        "{words}"
    );
    bench.down().await;
}

#[tokio::test]
async fn up_and_down_go_on_from_every_status_of_a_stack() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let code = code("binary");
    let statuses = [
        ("CREATE_COMPLETE", true),
        ("UPDATE_COMPLETE", true),
        ("UPDATE_FAILED", true),
        ("UPDATE_ROLLBACK_COMPLETE", true),
        ("UPDATE_ROLLBACK_FAILED", true),
        ("IMPORT_COMPLETE", true),
        ("IMPORT_ROLLBACK_COMPLETE", true),
        ("CREATE_FAILED", true),
        ("ROLLBACK_COMPLETE", true),
        ("ROLLBACK_FAILED", true),
        ("DELETE_FAILED", false),
        ("IMPORT_ROLLBACK_FAILED", false),
    ];
    let mut stories = tokio::task::JoinSet::new();
    for (number, (status, goes_on)) in statuses.into_iter().enumerate() {
        let deployment = named(&bench, &format!("status-{number}"));
        let (code, put) = (code.clone(), Put::of(&bench));
        stories.spawn(async move { goes_on_from(&deployment, &code, &put, status, goes_on).await });
    }
    stories.join_all().await;
    bench.down().await;
}

async fn goes_on_from(
    deployment: &Deployment,
    code: &Code,
    put: &Put,
    status: &str,
    goes_on: bool,
) {
    let first = async || {
        let mut plan = provisioner::diff(deployment, code, &Silent).await.unwrap();
        plan.stacks.truncate(1);
        plan
    };
    let stack = deployment.environment.names().stack_state;
    let made = provisioner::up(deployment, &first().await, code, &Silent).await;
    made.unwrap();
    put.into(&stack, status);
    let plan = first().await;
    assert_eq!(plan.blocked().is_none(), goes_on, "{status}");
    let done = provisioner::up(deployment, &plan, code, &Silent).await;
    assert_eq!(done.is_ok(), goes_on, "{status}: {:?}", done.err());
    put.into(&stack, status);
    down(deployment).await;
}

#[tokio::test]
async fn a_webhook_secret_that_somebody_wrote_meanwhile_is_kept() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let deployment = named(&bench, "secret-ci");
    let code = code("binary");
    let plan = diff(&deployment, &code).await;
    assert!(plan.make_webhook_secret);
    let theirs = SecretValue::random().unwrap();
    let set = provisioner::set_secret(&deployment, SecretName::Webhook, &theirs);
    set.await.unwrap();
    let error = provisioner::up(&deployment, &plan, &code, &Silent)
        .await
        .unwrap_err();
    assert!(error.hint().unwrap().contains("it is kept"), "{error}");
    let kept = provisioner::read_secret(&deployment, SecretName::Webhook).await;
    assert_eq!(kept.unwrap(), Some(theirs));
    assert!(!up(&deployment, &code).await.make_webhook_secret);
    down(&deployment).await;
    bench.down().await;
}

#[tokio::test]
async fn an_instance_that_ec2_has_forgotten_does_not_stop_down() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let deployment = named(&bench, "gone-ci");
    let template = bench.template("#!/bin/sh\n").await;
    let tag = Tag::builder().key("gone-ci:launch").value("lost").build();
    let tags = TagSpecification::builder().resource_type(ResourceType::Instance);
    let tags = vec![tags.tags(tag).build()];
    bench.faults(&no_boot());
    for _ in 0..2 {
        let run = bench.request(&template);
        let run = run.set_tag_specifications(Some(tags.clone()));
        run.send().await.unwrap();
    }
    bench.faults(&FaultInjection {
        forgotten_ends: 1,
        visible_after_ms: 0,
        ..no_boot()
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let found = provisioner::survey(&deployment).await.unwrap();
    assert_eq!(found.of(Kind::Instance).count(), 2);
    down(&deployment).await;
    let calls = bench.lab.calls().await.unwrap();
    assert_eq!(
        calls.with("TerminateInstances", "InvalidInstanceID.NotFound"),
        1
    );
    bench.down().await;
}
