//! Calls that are refused for good: it is said which, and what to do, and nothing is half done. Each takes as long as
//! the SDK goes on trying, so there are several stories of them beside each other.

use lab::HostileAccount;
use provisioner::Error;
use provisioner::progress::Silent;

use crate::support::Bench;
use crate::support::deployments::{code, down, named, up};

/// The hint of every such failure.
const HINT: &str = "wait a minute and run the command again";

fn refuse(bench: &Bench, call: &str) {
    bench.behave(&HostileAccount {
        refused: vec![call.to_owned()],
        ..HostileAccount::default()
    });
}

fn is_named_with_what_to_do(call: &str, error: &Error) {
    let action = call.split_once(':').unwrap().1;
    let said = error.to_string();
    assert!(said.starts_with(&format!("{action} failed: ")), "{said}");
    let hint = error.hint().unwrap_or_default();
    assert!(hint.contains(HINT), "{call}: {said}: {hint}");
}

async fn diff_names_each(calls: [&str; 3]) {
    let Some(bench) = Bench::hostile().await else {
        return;
    };
    let deployment = named(&bench, "slow-ci");
    for call in calls {
        refuse(&bench, call);
        let error = provisioner::diff(&deployment, &code("binary"), &Silent).await;
        is_named_with_what_to_do(call, &error.unwrap_err());
    }
    bench.down().await;
}

#[tokio::test]
async fn what_diff_asks_first_is_named_with_what_to_do() {
    diff_names_each([
        "sts:GetCallerIdentity",
        "ec2:DescribeVpcs",
        "cloudformation:DescribeStacks",
    ])
    .await;
}

#[tokio::test]
async fn what_diff_asks_of_what_lasts_is_named_with_what_to_do() {
    diff_names_each(["ssm:GetParameters", "s3:HeadObject", "iam:ListRoles"]).await;
}

#[tokio::test]
async fn what_diff_asks_of_what_serves_is_named_with_what_to_do() {
    diff_names_each([
        "dynamodb:DescribeTable",
        "logs:DescribeLogGroups",
        "lambda:GetFunctionConfiguration",
    ])
    .await;
}

#[tokio::test]
async fn an_up_that_is_refused_in_its_middle_goes_on_from_there() {
    let Some(bench) = Bench::hostile().await else {
        return;
    };
    let deployment = named(&bench, "slow-ci");
    let code = code("binary");
    let call = "apigateway:GetApis";
    refuse(&bench, call);
    let error = provisioner::survey(&deployment).await.unwrap_err();
    is_named_with_what_to_do(call, &error);

    bench.behave(&HostileAccount::default());
    let plan = provisioner::diff(&deployment, &code, &Silent)
        .await
        .unwrap();
    let call = "cloudformation:ExecuteChangeSet";
    refuse(&bench, call);
    let error = provisioner::up(&deployment, &plan, &code, &Silent).await;
    is_named_with_what_to_do(call, &error.unwrap_err());
    bench.behave(&HostileAccount::default());
    up(&deployment, &code).await;
    down(&deployment).await;
    bench.down().await;
}
