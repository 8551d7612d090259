//! Executes a plan, and nothing that is not in it.

use std::collections::BTreeMap;

use stacks::names;

use crate::deployment::Deployment;
use crate::error::Error;
use crate::images;
use crate::named_images::PlacedImage;
use crate::package::Code;
use crate::plan::{Action, ParameterValue, Plan, Repair, StackPlan};
use crate::render::{Stack, stack_name};
use crate::secrets::SecretValue;
use crate::shell::{ChangeKind, Request, Shell};
use crate::world::Remaining;

/// The outputs of all stacks of a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackOutputs {
    /// Their values.
    pub by_name: BTreeMap<String, String>,
}

impl StackOutputs {
    /// Address of the HTTP API, without a path.
    #[must_use]
    pub fn api_endpoint(&self) -> Option<&str> {
        self.by_name
            .get(names::OUTPUT_API_ENDPOINT)
            .map(String::as_str)
    }
}

pub(crate) async fn apply(
    shell: &Shell<'_>,
    deployment: &Deployment,
    plan: &Plan,
    code: &Code,
) -> Result<(), Error> {
    if let Some((stack, because)) = plan.blocked() {
        return Err(Error::Blocked {
            stack: stack.to_owned(),
            because: because.to_owned(),
        });
    }
    if plan.make_spot_role {
        shell.step("making the account's role for Spot");
        shell.make_spot_role().await?;
    }
    for stack in &plan.stacks {
        // The code's bucket belongs to `state`, and the function of `dispatch` needs the code.
        if stack.stack == Stack::Dispatch && plan.upload_code.is_some() {
            upload(shell, deployment, plan, code).await?;
        }
        if stack.stack == Stack::Runner {
            // Its launch templates name these.
            for placed in &plan.place_images {
                let PlacedImage { parameter, ami, .. } = placed;
                shell.step(&format!("having {parameter} name {ami}"));
                if !images::place(shell, placed).await? {
                    shell.step(&format!("{parameter} was written meanwhile, and stays"));
                }
            }
        }
        apply_stack(shell, deployment, stack).await?;
        if stack.stack == Stack::State {
            write_secrets(shell, deployment, plan).await?;
        }
    }
    Ok(())
}

async fn apply_stack(
    shell: &Shell<'_>,
    deployment: &Deployment,
    plan: &StackPlan,
) -> Result<(), Error> {
    match plan.repair {
        None => {}
        Some(Repair::DeleteLeftover | Repair::DeleteFailedCreate | Repair::FinishDelete) => {
            shell.step(&format!("{}: deleting what was half made", plan.name));
            delete_with_remains(shell, &plan.name, &plan.remains).await?;
        }
        Some(Repair::ContinueRollback) => {
            shell.step(&format!("{}: continuing its rollback", plan.name));
            shell.continue_rollback(&plan.name).await?;
        }
    }
    let change = match &plan.action {
        Action::Create => Some((ChangeKind::Create, "creating")),
        Action::Update => Some((ChangeKind::Update, "updating")),
        Action::Unchanged | Action::Blocked(_) => None,
    };
    if let Some((kind, doing)) = change {
        shell.step(&format!("{}: {doing}", plan.name));
        let template = deployment.rendered.template(plan.stack);
        let parameters = resolve_parameters(shell, deployment, plan).await?;
        let environment = &deployment.environment;
        let bucket = environment
            .names()
            .bucket(&shell.account, &environment.region);
        let request = |kind, template| Request {
            stack: &plan.name,
            kind,
            template,
            bucket: &bucket,
            parameters: &parameters,
            tags: &plan.tags,
        };
        if kind == ChangeKind::Create
            && let Some(unprotected) = template.unprotected()
        {
            shell.deploy(&request(kind, &unprotected)).await?;
            shell.step(&format!("{}: protecting its data", plan.name));
            shell
                .deploy(&request(ChangeKind::Update, &template.body))
                .await?;
        } else {
            shell.deploy(&request(kind, &template.body)).await?;
        }
    }
    if plan.protect {
        shell.protect(&plan.name, true).await?;
    }
    Ok(())
}

/// Deletes a stack that can only be deleted, and what of it CloudFormation retains or can't delete.
async fn delete_with_remains(
    shell: &Shell<'_>,
    name: &str,
    remains: &[Remaining],
) -> Result<(), Error> {
    if shell
        .stack(name)
        .await?
        .is_some_and(|stack| stack.protected)
    {
        shell.protect(name, false).await?;
    }
    let data = |kind: &'static str| remains.iter().filter(move |one| one.kind == kind);
    for table in data("AWS::DynamoDB::Table") {
        shell.unprotect_table(&table.name).await?;
    }
    for bucket in data("AWS::S3::Bucket") {
        shell.empty_bucket(&bucket.name).await?;
    }
    shell.delete_stack(name).await?;
    for table in data("AWS::DynamoDB::Table") {
        shell.delete_table(&table.name).await?;
    }
    for bucket in data("AWS::S3::Bucket") {
        shell.delete_bucket(&bucket.name).await?;
    }
    for group in data("AWS::Logs::LogGroup") {
        shell.delete_log_group(&group.name).await?;
    }
    for api in data("AWS::ApiGatewayV2::Api") {
        shell.delete_api(&api.name).await?;
    }
    Ok(())
}

/// The values of a stack's parameters: outputs of the state stack are known once that is made.
async fn resolve_parameters(
    shell: &Shell<'_>,
    deployment: &Deployment,
    plan: &StackPlan,
) -> Result<BTreeMap<String, String>, Error> {
    let mut values = BTreeMap::new();
    for (name, value) in &plan.parameters {
        let value = match value {
            ParameterValue::Value(value) => value.clone(),
            ParameterValue::StateOutput(output) => state_output(shell, deployment, output).await?,
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

async fn state_output(
    shell: &Shell<'_>,
    deployment: &Deployment,
    output: &str,
) -> Result<String, Error> {
    let name = stack_name(&deployment.environment, Stack::State);
    let stack = shell.stack(&name).await?;
    let value = stack.and_then(|stack| stack.outputs.get(output).cloned());
    value.ok_or_else(|| Error::Blocked {
        stack: name,
        because: format!("it has no output {output}"),
    })
}

async fn upload(
    shell: &Shell<'_>,
    deployment: &Deployment,
    plan: &Plan,
    code: &Code,
) -> Result<(), Error> {
    let kilobytes = code.zip.len() / 1024;
    shell.step(&format!("uploading the function's code, {kilobytes} KB"));
    let names = deployment.environment.names();
    let bucket = names.bucket(&plan.account, &plan.region);
    Ok(shell.upload(&bucket, code).await?)
}

async fn write_secrets(
    shell: &Shell<'_>,
    deployment: &Deployment,
    plan: &Plan,
) -> Result<(), Error> {
    let names = deployment.environment.names();
    for (secret, value) in &deployment.secrets {
        if plan.write_secrets.contains(&secret.name()) {
            shell.step(&format!("writing the secret {}", secret.name()));
            shell.write_secret(&names, *secret, value).await?;
        }
    }
    if plan.make_webhook_secret {
        shell.step("making the webhook secret");
        let value = SecretValue::random()?;
        let secret = names::SecretName::Webhook;
        shell.make_secret(&names, secret, &value).await?;
    }
    Ok(())
}
