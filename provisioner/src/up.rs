//! `diff` is `up` without its last call.

use std::collections::BTreeMap;

use stacks::names::{self, SecretName};

use crate::apply::{self, StackOutputs};
use crate::deployment::Deployment;
use crate::error::Error;
use crate::occupied::{self, Owner, Taken};
use crate::package::Code;
use crate::plan::{self, Action, ParameterValue, Plan, StackPlan};
use crate::progress::{Progress, Silent};
use crate::render::{Stack, stack_name};
use crate::secrets::SecretValue;
use crate::shell::{ChangeKind, Request, Shell};
use crate::world::World;

/// What `up` would do. When nothing differs, no call was made that changes anything; otherwise change
/// sets were made to ask CloudFormation, and deleted again.
pub async fn diff(
    deployment: &Deployment,
    code: &Code,
    progress: &dyn Progress,
) -> Result<Plan, Error> {
    let shell = Shell::open(deployment, progress).await?;
    let mut plan = plan_with(&shell, deployment, &code.key()).await?;
    for stack in &mut plan.stacks {
        ask_effects(&shell, deployment, stack).await?;
    }
    Ok(plan)
}

/// What `up` would do as far as that can be told before the function's code is built: as if the code
/// stayed as it is. No call is made that changes anything.
pub async fn preview(deployment: &Deployment, progress: &dyn Progress) -> Result<Plan, Error> {
    /// Key of code that nobody has built yet.
    const NOT_BUILT: &str = "(not built yet)";
    let shell = Shell::open(deployment, progress).await?;
    let dispatch = stack_name(&deployment.environment, Stack::Dispatch);
    let deployed = shell.stack(&dispatch).await?;
    let code_key = deployed.and_then(|stack| stack.parameters.get(names::PARAM_CODE_KEY).cloned());
    let code_key = code_key.as_deref().unwrap_or(NOT_BUILT);
    let mut plan = plan_with(&shell, deployment, code_key).await?;
    plan.upload_code = None;
    Ok(plan)
}

/// The plan without what only change sets can tell.
async fn plan_with(
    shell: &Shell<'_>,
    deployment: &Deployment,
    code_key: &str,
) -> Result<Plan, Error> {
    let world = shell.observe(deployment, code_key).await?;
    let mut plan = plan::plan(
        &deployment.environment,
        &deployment.rendered,
        code_key,
        &world,
    );
    for stack in &mut plan.stacks {
        look_for_names(shell, deployment, stack, &world).await?;
    }
    Ok(plan)
}

/// Executes `plan`, which has to come from [`diff`] of the same deployment and code.
pub async fn up(
    deployment: &Deployment,
    plan: &Plan,
    code: &Code,
    progress: &dyn Progress,
) -> Result<StackOutputs, Error> {
    let shell = Shell::open(deployment, progress).await?;
    if !plan.is_empty() {
        apply::apply(&shell, deployment, plan, code).await?;
    }
    read_outputs(&shell, deployment).await
}

/// The outputs of the deployed stacks; none when nothing is deployed.
pub async fn outputs(deployment: &Deployment) -> Result<StackOutputs, Error> {
    let shell = Shell::open(deployment, &Silent).await?;
    read_outputs(&shell, deployment).await
}

/// Writes one secret.
pub async fn set_secret(
    deployment: &Deployment,
    secret: SecretName,
    value: &SecretValue,
) -> Result<(), Error> {
    let shell = Shell::open(deployment, &Silent).await?;
    let names = deployment.environment.names();
    Ok(shell.write_secret(&names, secret, value).await?)
}

/// The deployed value of one secret, if it has one.
pub async fn read_secret(
    deployment: &Deployment,
    secret: SecretName,
) -> Result<Option<SecretValue>, Error> {
    let shell = Shell::open(deployment, &Silent).await?;
    let path = deployment.environment.names().secret(secret);
    let value = shell.parameter(&path).await?;
    Ok(value
        .map(|value| SecretValue::new(secret, &value))
        .transpose()?)
}

async fn read_outputs(shell: &Shell<'_>, deployment: &Deployment) -> Result<StackOutputs, Error> {
    let mut outputs = StackOutputs::default();
    for stack in Stack::ALL {
        let name = stack_name(&deployment.environment, stack);
        if let Some(deployed) = shell.stack(&name).await? {
            outputs.by_name.extend(deployed.outputs);
        }
    }
    Ok(outputs)
}

/// Blocks a stack that would make what exists already.
async fn look_for_names(
    shell: &Shell<'_>,
    deployment: &Deployment,
    stack: &mut StackPlan,
    world: &World,
) -> Result<(), Error> {
    if !matches!(stack.action, Action::Create | Action::Update) {
        return Ok(());
    }
    let template = deployment.rendered.template(stack.stack);
    let region = &deployment.environment.region;
    let tag = deployment.environment.names().tag;
    let mut taken = Vec::new();
    for named in occupied::names(stack, template, &world.account, region) {
        let owner = shell.owner(&named, &world.network.vpc, &tag).await?;
        if owner != Owner::Nobody {
            let ours = owner == Owner::Ours;
            taken.push(Taken { named, ours });
        }
    }
    if let Some(blocked) = occupied::blocked(&taken) {
        stack.action = blocked;
    }
    Ok(())
}

async fn ask_effects(
    shell: &Shell<'_>,
    deployment: &Deployment,
    stack: &mut StackPlan,
) -> Result<(), Error> {
    let known: Option<BTreeMap<String, String>> = stack
        .parameters
        .iter()
        .map(|(name, value)| match value {
            ParameterValue::Value(value) => Some((name.clone(), value.clone())),
            ParameterValue::StateOutput(_) => None,
        })
        .collect();
    // A stack that has to be repaired first takes no change set yet.
    let (Action::Update, None, Some(parameters)) = (&stack.action, stack.repair, known) else {
        return Ok(());
    };
    let environment = &deployment.environment;
    let bucket = environment
        .names()
        .bucket(&shell.account, &environment.region);
    let request = Request {
        stack: &stack.name,
        kind: ChangeKind::Update,
        bucket: &bucket,
        template: &deployment.rendered.template(stack.stack).body,
        parameters: &parameters,
        tags: &stack.tags,
    };
    let effects = shell.effects(&request).await?;
    stack.take_effects(&effects);
    Ok(())
}
