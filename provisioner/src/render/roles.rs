//! What each distinct set of permissions becomes: a role and its statements.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};
use stacks::names::{Names, logical_id};

use crate::environment::{Environment, Permissions};

#[derive(Serialize)]
pub(super) struct Role {
    id: String,
    profile_id: String,
    name: String,
    description: String,
    policy_arns: Vec<String>,
    pass_role_arns: Vec<String>,
    parameter_trees: Vec<String>,
    statements: Vec<Statement>,
}

#[derive(Serialize)]
struct Statement {
    actions: Vec<&'static str>,
    resources: Vec<String>,
    condition: Option<Value>,
}

/// One role for each distinct set of permissions that a pool names.
pub(super) fn roles(environment: &Environment, names: &Names) -> Vec<Role> {
    let sets: BTreeSet<Option<&str>> = environment
        .pools
        .iter()
        .map(|pool| pool.permissions.as_deref())
        .collect();
    sets.into_iter()
        .map(|set| {
            let permissions = set
                .and_then(|set| environment.permissions.get(set).cloned())
                .unwrap_or_default();
            let id = set.map_or_else(|| "Plain".to_owned(), |set| logical_id("", set));
            let pass_role_arns: Vec<String> = permissions
                .pass_role_arns
                .iter()
                .map(|role| role_arn(role))
                .collect();
            Role {
                name: names.runner_role(set),
                description: match set {
                    None => {
                        "Runners without permissions: they may ask for their credential.".to_owned()
                    }
                    Some(set) => format!("Runners with the permissions {set}."),
                },
                policy_arns: permissions
                    .policy_arns
                    .iter()
                    .map(|policy| policy_arn(policy))
                    .collect(),
                parameter_trees: parameter_trees(&permissions),
                statements: statements(&permissions, &pass_role_arns),
                pass_role_arns,
                profile_id: format!("{id}Profile"),
                id: format!("{id}Role"),
            }
        })
        .collect()
}

/// What a role may ask for with `GetParametersByPath`: its patterns, and the paths that they are below.
/// AWS authorizes that call by the path asked for, not by what it returns.
fn parameter_trees(permissions: &Permissions) -> Vec<String> {
    let trees = permissions.ssm.iter().flat_map(|pattern| {
        let above = pattern.strip_suffix("/*").map(str::to_owned);
        [Some(pattern.clone()), above].into_iter().flatten()
    });
    trees
        .map(|path| {
            format!(
                "arn:${{AWS::Partition}}:ssm:${{AWS::Region}}:${{AWS::AccountId}}:parameter{path}"
            )
        })
        .collect()
}

fn statements(permissions: &Permissions, pass_role_arns: &[String]) -> Vec<Statement> {
    const REGIONAL: &str = "${AWS::Region}:${AWS::AccountId}";
    let arns = |service: &str, kind: &str, words: &[String]| -> Vec<String> {
        words
            .iter()
            .map(|word| format!("arn:${{AWS::Partition}}:{service}:{REGIONAL}:{kind}{word}"))
            .collect()
    };
    let buckets: BTreeSet<&str> = permissions
        .s3
        .iter()
        .map(|word| bucket_and_key(word).0)
        .collect();
    let objects = permissions.s3.iter().map(|word| {
        let (bucket, key) = bucket_and_key(word);
        format!("arn:${{AWS::Partition}}:s3:::{bucket}/{key}")
    });
    let everything = |words: &[String]| {
        if words.is_empty() {
            vec![]
        } else {
            vec!["*".to_owned()]
        }
    };
    let all = [
        (
            vec![
                "s3:GetObject",
                "s3:PutObject",
                "s3:DeleteObject",
                "s3:AbortMultipartUpload",
            ],
            objects.collect(),
        ),
        (
            vec!["s3:ListBucket", "s3:GetBucketLocation"],
            buckets
                .iter()
                .map(|bucket| format!("arn:${{AWS::Partition}}:s3:::{bucket}"))
                .collect(),
        ),
        (
            vec![
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
        // No resource can be named for this action.
        (
            vec!["ecr:GetAuthorizationToken"],
            everything(&permissions.ecr),
        ),
        (
            vec!["ecs:DescribeServices", "ecs:UpdateService"],
            arns("ecs", "service/", &permissions.ecs),
        ),
        // Nor for these.
        (
            vec!["ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition"],
            everything(&permissions.ecs),
        ),
        (
            vec![
                "ssm:GetParameter",
                "ssm:GetParameters",
                "ssm:GetParametersByPath",
            ],
            arns("ssm", "parameter", &permissions.ssm),
        ),
    ];
    let passing = Statement {
        actions: vec!["iam:PassRole"],
        resources: pass_role_arns.to_vec(),
        condition: Some(
            json!({"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}),
        ),
    };
    all.into_iter()
        .map(|(actions, resources)| Statement {
            actions,
            resources,
            condition: None,
        })
        .chain([passing])
        .filter(|statement| !statement.resources.is_empty())
        .collect()
}

/// `bucket`, `bucket/prefix/*`: a bucket alone means everything in it.
fn bucket_and_key(word: &str) -> (&str, &str) {
    word.split_once('/').unwrap_or((word, "*"))
}

fn role_arn(role: &str) -> String {
    if role.starts_with("arn:") {
        return role.to_owned();
    }
    format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{role}")
}

fn policy_arn(policy: &str) -> String {
    if policy.starts_with("arn:") {
        return policy.to_owned();
    }
    format!("arn:${{AWS::Partition}}:iam::aws:policy/{policy}")
}
