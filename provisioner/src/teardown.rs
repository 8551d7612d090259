//! From a deployment, whole or half made, to nothing.
//!
//! Order: the dispatcher first, so that nothing is launched any more; then what it launched; then
//! what that was made of; then what holds data. Every step can be repeated.

use std::fmt;

use serde::Serialize;
use stacks::names::Names;

use crate::deployment::Deployment;
use crate::environment::Environment;
use crate::error::Error;
use crate::occupied::NamedKind;
use crate::progress::{Progress, Silent};
use crate::render::{Stack, stack_name};
use crate::shell::Shell;
use crate::world::{Deployed, StackCondition};

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
    /// The ledger.
    Table,
    /// The dispatcher's log group.
    LogGroup,
    /// The HTTP API.
    Api,
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
    /// An image that was built here.
    Image,
    /// A snapshot that an image of ours rests or rested on.
    Snapshot,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stack => "stack",
            Self::Instance => "instance",
            Self::Bucket => "bucket",
            Self::Table => "table",
            Self::LogGroup => "log group",
            Self::Api => "HTTP API",
            Self::Parameter => "parameter",
            Self::Function => "function",
            Self::Role => "role",
            Self::LaunchTemplate => "launch template",
            Self::SecurityGroup => "security group",
            Self::Image => "image",
            Self::Snapshot => "snapshot",
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
    if shell.has_function(&names).await? {
        retire(&shell, &names.function).await;
    }
    delete(
        &shell,
        &stack_name(environment, Stack::Dispatch),
        &names.tag,
    )
    .await?;
    shell.step("ending instances");
    shell.end_instances(&names).await?;
    delete(&shell, &stack_name(environment, Stack::Runner), &names.tag).await?;
    // An invocation that was still running when its function was deleted may have launched more;
    // from here on there is no launch template to launch from.
    shell.end_instances(&names).await?;

    delete_images(&shell, &names).await?;
    delete_state(&shell, environment).await?;
    let parameters = shell.own_parameters(&names).await?;
    if !parameters.is_empty() {
        shell.step(&format!("deleting {} parameters", parameters.len()));
        shell.delete_parameters(&parameters).await?;
    }
    survey_with(&shell, deployment).await
}

/// Deletes the images that were built here and their snapshots, also those whose image is gone.
async fn delete_images(shell: &Shell<'_>, names: &Names) -> Result<(), Error> {
    let images = shell.image_ids(names).await?;
    if !images.is_empty() {
        shell.step(&format!("deleting {} images", images.len()));
    }
    for image in images {
        shell.deregister(&image).await?;
    }
    for snapshot in shell.image_snapshots(names).await? {
        shell.delete_snapshot(&snapshot.id).await?;
    }
    Ok(())
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

/// The stack of that name, once nothing runs on it, if it is the deployment's.
async fn own(shell: &Shell<'_>, name: &str, tag: &str) -> Result<Option<Deployed>, Error> {
    let found = shell.settled(name, tag).await?;
    Ok(found.filter(|stack| stack.is_of(tag)))
}

async fn delete(shell: &Shell<'_>, name: &str, tag: &str) -> Result<(), Error> {
    if own(shell, name, tag).await?.is_none() {
        return Ok(());
    }
    shell.step(&format!("{name}: deleting"));
    shell.delete_stack(name).await
}

/// Deletes the state stack whatever status it is in, and then what outlives it, found by name and tag:
/// after a creation or a deletion that failed there may be no stack any more that holds it.
async fn delete_state(shell: &Shell<'_>, environment: &Environment) -> Result<(), Error> {
    let names = environment.names();
    let bucket = names.bucket(&shell.account, &environment.region);
    let is_ours = async |kind, name| shell.is_ours(kind, name, &names.tag).await;
    if let Some(deployed) = own(shell, &names.stack_state, &names.tag).await? {
        if deployed.protected {
            shell.step(&format!("{}: lifting its protection", names.stack_state));
            shell.protect(&names.stack_state, false).await?;
        }
        // A stack that deletes these, because it never came to be, could not as they are.
        if is_ours(NamedKind::Table, &names.table).await? {
            shell.unprotect_table(&names.table).await?;
        }
        if is_ours(NamedKind::Bucket, &bucket).await? {
            shell.empty_bucket(&bucket).await?;
        }
        delete_or_let_go(shell, &names.stack_state, &names.tag).await?;
    }
    if is_ours(NamedKind::Table, &names.table).await? {
        shell.step(&format!("deleting the table {}", names.table));
        shell.delete_table(&names.table).await?;
    }
    if is_ours(NamedKind::Bucket, &bucket).await? {
        shell.step(&format!("deleting the bucket {bucket}"));
        shell.empty_bucket(&bucket).await?;
        shell.delete_bucket(&bucket).await?;
    }
    for group in [&names.log_group, &names.machine_log_group] {
        if is_ours(NamedKind::LogGroup, group).await? {
            shell.step(&format!("deleting the log group {group}"));
            shell.delete_log_group(group).await?;
        }
    }
    for id in shell.apis(&names).await? {
        shell.step(&format!("deleting the HTTP API {id}"));
        shell.delete_api(&id).await?;
    }
    Ok(())
}

/// Deletes the stack. What it can't delete it lets go of at a second try, which CloudFormation admits
/// only then; the caller finds that by name.
async fn delete_or_let_go(shell: &Shell<'_>, name: &str, tag: &str) -> Result<(), Error> {
    shell.step(&format!("{name}: deleting"));
    let Err(error) = shell.delete_stack(name).await else {
        return Ok(());
    };
    let left = shell.settled(name, tag).await?;
    let failed = left.filter(|left| left.condition() == StackCondition::FailedDelete);
    let Some(failed) = failed else {
        return Err(error);
    };
    let ids: Vec<String> = failed.remains.into_iter().map(|one| one.id).collect();
    shell.step(&format!("{name}: deleting all but {}", ids.join(", ")));
    shell.delete_stack_without(name, &ids).await
}
