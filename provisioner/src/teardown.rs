//! From a deployment, whole or half made, to nothing.
//!
//! Order: the dispatcher first, so that nothing is launched any more; then what it launched; then
//! what that was made of; then what holds data. Every step can be repeated.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::deployment::Deployment;
use crate::error::Error;
use crate::progress::{Progress, Silent};
use crate::render::{Stack, stack_name};
use crate::shell::{ChangeKind, Request, Shell};
use crate::world::StackCondition;

/// Everything that exists of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Teardown {
    /// The deployment.
    pub name: String,
    /// The account it is in.
    pub account: String,
    /// The region it is in.
    pub region: String,
    /// What exists.
    pub found: Vec<Found>,
}

/// One thing that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// Its name or id.
    pub name: String,
    /// More about it, for people.
    pub detail: String,
}

/// Kinds of things that a deployment consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A stack.
    Stack,
    /// An instance.
    Instance,
    /// The bucket of the code.
    Bucket,
    /// A parameter.
    Parameter,
    /// The function.
    Function,
    /// A role.
    Role,
    /// A launch template.
    LaunchTemplate,
    /// The security group.
    SecurityGroup,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stack => "stack",
            Self::Instance => "instance",
            Self::Bucket => "bucket",
            Self::Parameter => "parameter",
            Self::Function => "function",
            Self::Role => "role",
            Self::LaunchTemplate => "launch template",
            Self::SecurityGroup => "security group",
        })
    }
}

impl Found {
    pub(crate) fn new(kind: Kind, name: String, detail: String) -> Self {
        Self { kind, name, detail }
    }
}

impl Teardown {
    /// Whether nothing exists.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The things of one kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(move |found| found.kind == kind)
    }
}

/// What exists of the deployment. Changes nothing.
pub async fn survey(deployment: &Deployment) -> Result<Teardown, Error> {
    survey_with(&Shell::open(deployment, &Silent).await?, deployment).await
}

/// Ends what `before` lists, and returns what is left, counted anew.
pub async fn down(
    deployment: &Deployment,
    before: &Teardown,
    progress: &dyn Progress,
) -> Result<Teardown, Error> {
    let shell = Shell::open(deployment, progress).await?;
    let environment = &deployment.environment;
    let names = environment.names();
    if before.is_empty() {
        return survey_with(&shell, deployment).await;
    }
    retire(&shell, &names.function).await;
    delete(&shell, &stack_name(environment, Stack::Dispatch)).await?;
    shell.step("ending instances");
    shell.end_instances(&names).await?;
    delete(&shell, &stack_name(environment, Stack::Runner)).await?;
    // An invocation that was still running when its function was deleted may have launched more;
    // from here on there is no launch template to launch from.
    shell.end_instances(&names).await?;

    let bucket = names.bucket(&shell.account, &environment.region);
    let state = stack_name(environment, Stack::State);
    delete_state(&shell, &state, &bucket).await?;
    if shell.has_bucket(&bucket).await? {
        shell.step(&format!("deleting the bucket {bucket}"));
        shell.empty_bucket(&bucket).await?;
        shell.delete_bucket(&bucket).await?;
    }
    let parameters = shell.parameters_under(&names.parameters).await?;
    if !parameters.is_empty() {
        shell.step(&format!("deleting {} parameters", parameters.len()));
        shell.delete_parameters(&parameters).await?;
    }
    survey_with(&shell, deployment).await
}

async fn survey_with(shell: &Shell<'_>, deployment: &Deployment) -> Result<Teardown, Error> {
    let environment = &deployment.environment;
    Ok(Teardown {
        name: environment.name.clone(),
        region: environment.region.clone(),
        account: shell.account.clone(),
        found: shell.found(environment).await?,
    })
}

/// Lets the dispatcher end what it launched while it can still reach the forge. What it does not
/// manage is no reason to stop: the instances are ended below all the same.
async fn retire(shell: &Shell<'_>, function: &str) {
    shell.step(&format!(
        "{function}: ending its machines and their registrations at the forge"
    ));
    let trouble = match shell.retire(function).await {
        Ok(trouble) => trouble,
        Err(error) => Some(error.to_string()),
    };
    if let Some(trouble) = trouble {
        shell.step(&format!(
            "{function} could not do all of it ({trouble}); look for offline runners at the forge"
        ));
    }
}

async fn delete(shell: &Shell<'_>, name: &str) -> Result<(), Error> {
    if shell.settled(name).await?.is_none() {
        return Ok(());
    }
    shell.step(&format!("{name}: deleting"));
    shell.delete_stack(name).await
}

/// Lifts what protects the data, and deletes it with its stack.
async fn delete_state(shell: &Shell<'_>, name: &str, bucket: &str) -> Result<(), Error> {
    let Some(mut deployed) = shell.settled(name).await? else {
        return Ok(());
    };
    if deployed.condition() == StackCondition::FailedRollback {
        // Deleted like this, it would leave everything that it retains.
        shell.step(&format!("{name}: continuing its rollback"));
        shell.continue_rollback(name).await?;
        "UPDATE_ROLLBACK_COMPLETE".clone_into(&mut deployed.status);
    }
    if deployed.protected {
        shell.step(&format!("{name}: lifting its protection"));
        shell.protect(name, false).await?;
    }
    if deployed.condition() == StackCondition::Usable {
        let template = lifted(&deployed.template);
        if template != deployed.template {
            shell.step(&format!("{name}: lifting its deletion policies"));
            let request = Request {
                stack: name,
                kind: ChangeKind::Update,
                template: &template.to_string(),
                parameters: &deployed.parameters,
                tags: &deployed.tags,
            };
            shell.deploy(&request).await?;
        }
    }
    if shell.has_bucket(bucket).await? {
        shell.empty_bucket(bucket).await?;
    }
    shell.step(&format!("{name}: deleting"));
    shell.delete_stack(name).await
}

/// The deployed template without what retains or protects its resources. The one that is deployed is
/// taken, not the one that would be rendered now, so that nothing else changes before the deletion.
fn lifted(template: &Value) -> Value {
    let mut lifted = template.clone();
    let resources = lifted["Resources"].as_object_mut().into_iter().flatten();
    for (_, resource) in resources {
        let Some(resource) = resource.as_object_mut() else {
            continue;
        };
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
            if resource.contains_key(policy) {
                resource.insert(policy.to_owned(), Value::from("Delete"));
            }
        }
        let protection = resource
            .get_mut("Properties")
            .and_then(|properties| properties.get_mut("DeletionProtectionEnabled"));
        if let Some(protection) = protection {
            *protection = Value::from(false);
        }
    }
    lifted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lifting_frees_what_is_retained_and_changes_nothing_else() {
        let template = json!({"Resources": {
            "Table": {
                "Type": "AWS::DynamoDB::Table",
                "DeletionPolicy": "RetainExceptOnCreate",
                "UpdateReplacePolicy": "Retain",
                "Properties": {"TableName": "ci-runs", "DeletionProtectionEnabled": true},
            },
            "Topic": {"Type": "AWS::SNS::Topic"},
        }});
        let expected = json!({"Resources": {
            "Table": {
                "Type": "AWS::DynamoDB::Table",
                "DeletionPolicy": "Delete",
                "UpdateReplacePolicy": "Delete",
                "Properties": {"TableName": "ci-runs", "DeletionProtectionEnabled": false},
            },
            "Topic": {"Type": "AWS::SNS::Topic"},
        }});
        assert_eq!(lifted(&template), expected);
        assert_eq!(lifted(&expected), expected);
    }
}
