//! What each distinct set of permissions becomes: a role and its statements.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stacks::names::{Names, role_id};

use crate::environment::{Environment, Permissions};

/// One role for each distinct set of permissions that a pool names.
pub(super) fn roles(environment: &Environment, names: &Names) -> Vec<Value> {
    let pools = environment.pools.iter();
    let sets: BTreeSet<Option<&str>> = pools.map(|pool| pool.permissions.as_deref()).collect();
    sets.into_iter()
        .map(|set| {
            let permissions = set
                .and_then(|set| environment.permissions.get(set).cloned())
                .unwrap_or_default();
            let id = role_id(set);
            let description = match set {
                None => {
                    "Runners without permissions: they may ask for their credential and say their last words.".to_owned()
                }
                Some(set) => format!("Runners with the permissions {set}."),
            };
            let pass_role_arns = arns(&permissions.pass_role_arns, "${AWS::AccountId}:role");
            let pools = environment.pools.iter();
            let pools = pools.filter(|pool| pool.permissions.as_deref() == set);
            let streams = pools.map(|pool| stream(names, &pool.document.name));
            json!({
                "id": format!("{id}Role"),
                "streams": streams.collect::<Vec<_>>(),
                "profile_id": format!("{id}Profile"),
                "name": names.runner_role(set),
                "description": description,
                "policy_arns": arns(&permissions.policy_arns, "aws:policy"),
                "parameter_trees": parameter_trees(&permissions),
                "statements": statements(&permissions, &pass_role_arns),
                "pass_role_arns": pass_role_arns,
            })
        })
        .collect()
}

/// What a role may ask for with `GetParametersByPath`: its patterns, and the paths that they are below.
/// AWS authorizes that call by the path asked for, not by what it returns.
fn parameter_trees(permissions: &Permissions) -> Vec<String> {
    let trees = permissions.ssm.iter().flat_map(|pattern| {
        let above = pattern.strip_suffix("/*");
        [Some(pattern.as_str()), above].into_iter().flatten()
    });
    trees
        .map(|path| regional("ssm", "parameter", path))
        .collect()
}

/// Where the machines of a pool say their last words.
fn stream(names: &Names, pool: &str) -> String {
    let group = &names.machine_log_group;
    regional("logs", "log-group:", &format!("{group}:log-stream:{pool}"))
}

/// The ARN of something that has a region and an account.
fn regional(service: &str, kind: &str, word: &str) -> String {
    format!("arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{kind}{word}")
}

fn statements(permissions: &Permissions, pass_role_arns: &[String]) -> Vec<Value> {
    let arns = |service: &str, kind: &str, words: &[String]| -> Vec<String> {
        let words = words.iter();
        words.map(|word| regional(service, kind, word)).collect()
    };
    // No resource can be named for some actions.
    let everything = |words: &[String]| -> Vec<String> {
        words.iter().take(1).map(|_| "*".to_owned()).collect()
    };
    let s3 = permissions.s3.iter().map(|word| bucket_and_key(word));
    let objects = s3.clone();
    let objects =
        objects.map(|(bucket, key)| format!("arn:${{AWS::Partition}}:s3:::{bucket}/{key}"));
    let buckets: BTreeSet<&str> = s3.map(|(bucket, _)| bucket).collect();
    let buckets = buckets.into_iter();
    let buckets = buckets.map(|bucket| format!("arn:${{AWS::Partition}}:s3:::{bucket}"));
    let all: [(&[&str], Vec<String>); 8] = [
        (
            &[
                "s3:GetObject",
                "s3:PutObject",
                "s3:DeleteObject",
                "s3:AbortMultipartUpload",
            ],
            objects.collect(),
        ),
        (
            &["s3:ListBucket", "s3:GetBucketLocation"],
            buckets.collect(),
        ),
        (
            &[
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:DescribeImages",
                "ecr:GetDownloadUrlForLayer",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ],
            arns("ecr", "repository/", &permissions.ecr),
        ),
        (&["ecr:GetAuthorizationToken"], everything(&permissions.ecr)),
        (
            &["ecs:DescribeServices", "ecs:UpdateService"],
            arns("ecs", "service/", &permissions.ecs),
        ),
        (
            &["ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition"],
            everything(&permissions.ecs),
        ),
        (
            &["ssm:GetParameter", "ssm:GetParameters"],
            arns("ssm", "parameter", &permissions.ssm),
        ),
        (&["ssm:GetParametersByPath"], parameter_trees(permissions)),
    ];
    let passing = json!({
        "actions": ["iam:PassRole"],
        "resources": pass_role_arns,
        "condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
    });
    all.into_iter()
        .filter(|(_, resources)| !resources.is_empty())
        .map(|(actions, resources)| {
            json!({"actions": actions, "resources": resources, "condition": null})
        })
        .chain((!pass_role_arns.is_empty()).then_some(passing))
        .collect()
}

/// `bucket`, `bucket/prefix/*`: a bucket alone means everything in it.
fn bucket_and_key(word: &str) -> (&str, &str) {
    word.split_once('/').unwrap_or((word, "*"))
}

/// Roles or policies, each by its ARN or by its name below `owner`.
fn arns(words: &[String], owner: &str) -> Vec<String> {
    let arn = |word: &String| {
        if word.starts_with("arn:") {
            return word.clone();
        }
        format!("arn:${{AWS::Partition}}:iam::{owner}/{word}")
    };
    words.iter().map(arn).collect()
}
