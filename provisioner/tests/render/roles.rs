//! What the roles of runners and dispatcher may and may not do.

use std::collections::BTreeSet;
use std::path::Path;

use provisioner::rehearsal::STATEMENTS;
use provisioner::render::Stack;
use serde_json::{Value, json};

use crate::{changed, rendered, resources};

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

/// The tag with the deployment's name alone is a key that somebody may use for machines of their own.
/// The launch's is one that the function can give to nothing that exists already.
#[test]
fn the_dispatcher_ends_only_what_carries_the_tag_of_its_launches() {
    for (name, environment, rendered) in rendered() {
        let template = &rendered.template(Stack::Dispatch).value;
        let statements = statements(&template["Resources"]["FunctionRole"]);
        let of = |action: &str| {
            let mut found = statements.iter().filter(|it| it["Action"] == action);
            found.next().unwrap()["Condition"].clone()
        };
        let key = format!("aws:ResourceTag/{}", environment.names().tag_launch);
        assert_eq!(
            of("ec2:TerminateInstances"),
            json!({"Null": {key: "false"}}),
            "{name}"
        );
        let at_launch = json!({"StringEquals": {"ec2:CreateAction": "RunInstances"}});
        assert_eq!(of("ec2:CreateTags"), at_launch, "{name}");
    }
}

fn statements(role: &Value) -> Vec<Value> {
    let policies = role["Properties"]["Policies"].as_array().unwrap();
    let of = |policy: &Value| {
        let all = policy["PolicyDocument"]["Statement"].as_array();
        all.unwrap().clone()
    };
    policies.iter().flat_map(of).collect()
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
    // What AWS asks for beside a call: tags and the role of RunInstances, images by parameter and what such a
    // parameter is to name, logs.
    const BESIDE: [&str; 6] = [
        "ec2:DescribeImages",
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

/// AWS authorizes a call by path with the path that is asked for, which a pattern below it is not.
#[test]
fn a_tree_of_parameters_can_be_read_by_its_path_too() {
    let source =
        "[permissions.release]\nssm = [\"/team/*\"]\n[pool.base]\npermissions = \"release\"";
    let rendered = changed("[pool.base]", source).unwrap();
    let roles = resources(&rendered.template(Stack::Runner).value, "AWS::IAM::Role");
    let of = |word: &str| {
        let mut named = roles.iter().filter(|role| role["RoleName"] == word);
        let policies = named.next().unwrap()["Policies"]
            .as_array()
            .unwrap()
            .clone();
        let all = policies.into_iter().flat_map(|mut policy| {
            let statements = policy["PolicyDocument"]["Statement"].take();
            statements.as_array().unwrap().clone()
        });
        all.collect::<Vec<_>>()
    };
    let text = |value: &Value| value["Fn::Sub"].as_str().unwrap().to_owned();
    let texts =
        |values: &Value| -> Vec<String> { values.as_array().unwrap().iter().map(text).collect() };
    let statements = of("lab-ci-runner-release");
    let allowed = |action: &str| {
        let mut found = statements.iter().filter(|it| {
            let actions = it["Action"].as_array().into_iter().flatten();
            it["Effect"] == "Allow" && actions.clone().any(|one| one == action)
        });
        texts(&found.next().unwrap()["Resource"])
    };
    let arn = |path: &str| {
        let owner = "${AWS::Region}:${AWS::AccountId}";
        format!("arn:${{AWS::Partition}}:ssm:{owner}:parameter{path}")
    };
    assert_eq!(allowed("ssm:GetParameter"), [arn("/team/*")]);
    let trees = [arn("/team/*"), arn("/team")];
    assert_eq!(allowed("ssm:GetParametersByPath"), trees);
    let mut denied = statements.iter().filter(|it| it["Sid"] == "ParameterTrees");
    assert_eq!(texts(&denied.next().unwrap()["NotResource"]), trees);
}
