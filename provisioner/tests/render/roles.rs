//! What the roles of runners and dispatcher may and may not do.

use std::collections::BTreeSet;
use std::path::Path;

use provisioner::rehearsal::STATEMENTS;
use provisioner::render::Stack;

use crate::{rendered, resources};

#[test]
fn every_runner_role_is_denied_what_is_the_deployments_own() {
    for (_, _, rendered) in rendered() {
        let roles = resources(&rendered.template(Stack::Runner).value, "AWS::IAM::Role");
        assert!(!roles.is_empty());
        for role in roles {
            let denied: Vec<&str> = role["Policies"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap())
                .filter(|statement| statement["Effect"] == "Deny")
                .map(|statement| statement["Action"].as_str().unwrap())
                .collect();
            assert_eq!(
                denied,
                [
                    "ssm:*",
                    "ssm:GetParametersByPath",
                    "s3:*",
                    "dynamodb:*",
                    "lambda:*",
                    "cloudformation:*",
                    "iam:PassRole"
                ]
            );
        }
    }
}

/// What a denied call is told to look for is there, and every statement can be told.
#[test]
fn a_denial_is_told_by_the_statements_that_the_dispatcher_has() {
    let known: BTreeSet<&str> = STATEMENTS.iter().map(|(_, _, sid)| *sid).collect();
    let mut rendered_ones = BTreeSet::new();
    for (_, _, rendered) in rendered() {
        let roles = resources(&rendered.template(Stack::Dispatch).value, "AWS::IAM::Role");
        for role in roles {
            let policies = role["Policies"].as_array().into_iter().flatten();
            let statements = policies
                .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap());
            rendered_ones.extend(statements.filter_map(|it| it["Sid"].as_str().map(str::to_owned)));
        }
    }
    // What the function may log is not tried.
    rendered_ones.remove("Logs");
    let rendered_ones: BTreeSet<&str> = rendered_ones.iter().map(String::as_str).collect();
    assert_eq!(rendered_ones, known);
}

/// EC2 asks the policy for each kind of resource that a launch tags. Of a Spot request it does not
/// say which template it comes from, so a right to it could not be bound to ours: a launch tags none
/// (the lab's EC2 refuses one that does).
#[test]
fn the_dispatcher_has_no_right_to_spot_requests() {
    for (name, _, rendered) in rendered() {
        let template = rendered.template(Stack::Dispatch);
        assert!(!template.body.contains("spot-instances-request"), "{name}");
    }
}

/// A right that nothing uses is one too many, and a call without its right fails on AWS alone: no
/// emulator would tell.
#[test]
fn the_dispatcher_has_the_rights_of_the_calls_that_it_makes_and_no_others() {
    const CALLS: [(&str, &str); 17] = [
        (".run_instances()", "ec2:RunInstances"),
        (".terminate_instances()", "ec2:TerminateInstances"),
        (".describe_instances()", "ec2:DescribeInstances"),
        (
            ".describe_spot_price_history()",
            "ec2:DescribeSpotPriceHistory",
        ),
        (".describe_subnets()", "ec2:DescribeSubnets"),
        (
            ".describe_instance_type_offerings()",
            "ec2:DescribeInstanceTypeOfferings",
        ),
        (".get_item()", "dynamodb:GetItem"),
        (".batch_get_item()", "dynamodb:BatchGetItem"),
        ("Put::builder()", "dynamodb:PutItem"),
        ("Update::builder()", "dynamodb:UpdateItem"),
        ("Delete::builder()", "dynamodb:DeleteItem"),
        (".query()", "dynamodb:Query"),
        (".scan()", "dynamodb:Scan"),
        ("AmazonSSM.GetParametersByPath", "ssm:GetParametersByPath"),
        ("AmazonSSM.GetParameters\"", "ssm:GetParameters"),
        ("AmazonSSM.PutParameter", "ssm:PutParameter"),
        ("/invocations", "lambda:InvokeFunction"),
    ];
    // What AWS asks for beside a call: tags and the role of RunInstances, images by parameter, logs.
    const BESIDE: [&str; 5] = [
        "ec2:CreateTags",
        "iam:PassRole",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "ssm:GetParameters",
    ];
    let dispatcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dispatcher/src");
    let source: String = ["aws", "ledger"]
        .into_iter()
        .flat_map(|room| std::fs::read_dir(dispatcher.join(room)).unwrap())
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let mut used: Vec<&str> = CALLS
        .into_iter()
        .filter(|(call, _)| source.contains(call))
        .map(|(_, action)| action)
        .collect();
    used.sort_unstable();
    for (name, _, rendered) in rendered() {
        let role =
            &rendered.template(Stack::Dispatch).value["Resources"]["FunctionRole"]["Properties"];
        let mut granted: Vec<&str> = role["Policies"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap())
            .flat_map(|statement| {
                let action = &statement["Action"];
                action
                    .as_array()
                    .map_or_else(|| vec![action], |all| all.iter().collect())
            })
            .map(|action| action.as_str().unwrap())
            .filter(|action| !BESIDE.contains(action))
            .collect();
        granted.sort_unstable();
        granted.dedup();
        assert_eq!(granted, used, "{name}");
    }
}
