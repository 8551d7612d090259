//! Calls that are refused for good: it is said which, and what to do, and nothing is half done.

use lab::HostileAccount;
use provisioner::progress::Silent;

use crate::support::Bench;
use crate::support::deployments::{code, down, named, up};

/// The hint of every such failure.
const HINT: &str = "wait a minute and run the command again";

#[tokio::test]
async fn a_call_that_is_refused_for_good_is_named_with_what_to_do() {
    let Some(bench) = Bench::hostile().await else {
        return;
    };
    let deployment = named(&bench, "slow-ci");
    let code = code("binary");
    let refuse = |call: &str| {
        bench.behave(&HostileAccount {
            refused: vec![call.to_owned()],
            ..HostileAccount::default()
        });
    };
    for call in [
        "sts:GetCallerIdentity",
        "ec2:DescribeVpcs",
        "cloudformation:DescribeStacks",
        "ssm:GetParameters",
        "s3:HeadObject",
        "iam:ListRoles",
        "dynamodb:DescribeTable",
        "logs:DescribeLogGroups",
        "lambda:GetFunctionConfiguration",
    ] {
        refuse(call);
        let error = provisioner::diff(&deployment, &code, &Silent).await;
        let error = error.unwrap_err();
        let action = call.split_once(':').unwrap().1;
        let said = error.to_string();
        assert!(said.starts_with(&format!("{action} failed: ")), "{said}");
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains(HINT), "{call}: {said}: {hint}");
    }
    refuse("apigateway:GetApis");
    let error = provisioner::survey(&deployment).await.unwrap_err();
    assert!(error.to_string().starts_with("GetApis failed: "), "{error}");

    // In the middle of `up`, which goes on from there.
    bench.behave(&HostileAccount::default());
    let plan = provisioner::diff(&deployment, &code, &Silent)
        .await
        .unwrap();
    refuse("cloudformation:ExecuteChangeSet");
    let error = provisioner::up(&deployment, &plan, &code, &Silent).await;
    let error = error.unwrap_err();
    assert!(
        error.to_string().starts_with("ExecuteChangeSet failed: "),
        "{error}"
    );
    assert!(error.hint().unwrap().contains(HINT));
    bench.behave(&HostileAccount::default());
    up(&deployment, &code).await;
    down(&deployment).await;
    bench.down().await;
}
