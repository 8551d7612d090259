//! What has to happen so that what is deployed becomes what is rendered. Pure: no clock, no call,
//! no log; the plan that is printed is the plan that is executed.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use stacks::names::{self, SecretName};
use stacks::pool::Scope;

use crate::differ::{self, Effect, PropertyChange, ResourceChange};
use crate::environment::{Environment, Pool, Users};
use crate::named_images::{NamedImage, PlacedImage};
use crate::render::{Rendered, Stack, Template, stack_name};
use crate::world::{Deployed, Remaining, StackCondition, World};

/// Everything that `up` would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The deployment.
    pub name: String,
    /// The account it is in.
    pub account: String,
    /// The region it is in.
    pub region: String,
    /// One entry per stack, in the order in which they are made.
    pub stacks: Vec<StackPlan>,
    /// Whether the account's role for Spot has to be made.
    pub make_spot_role: bool,
    /// Key of the function's code, when it has to be uploaded.
    pub upload_code: Option<String>,
    /// Parameters of images that are written, so that pools can start from them.
    pub place_images: Vec<PlacedImage>,
    /// Secrets that are written from given values.
    pub write_secrets: Vec<&'static str>,
    /// Whether a webhook secret is made.
    pub make_webhook_secret: bool,
    /// Secrets that only people can give, and have not.
    pub missing_secrets: Vec<MissingSecret>,
    /// What may turn out to be wrong.
    pub notices: Vec<String>,
}

/// What happens to one stack.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StackPlan {
    /// Which stack.
    pub stack: Stack,
    /// Its name.
    pub name: String,
    /// What is done with it.
    pub action: Action,
    /// What has to be done before.
    pub repair: Option<Repair>,
    /// What that deletes.
    pub remains: Vec<Remaining>,
    /// Whether it has to be protected from deletion.
    pub protect: bool,
    /// Resources that come, go or change.
    pub resources: Vec<ResourceChange>,
    /// Parameters and tags of the stack itself that change.
    pub settings: Vec<PropertyChange>,
    /// Values of its parameters.
    pub parameters: BTreeMap<String, ParameterValue>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// What is done with a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is as it should be.
    Unchanged,
    /// Nothing can be done before somebody decides.
    Blocked(String),
}

/// What has to be done before a stack can be made or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repair {
    /// Delete what a change set left behind.
    DeleteLeftover,
    /// Delete what a failed creation left behind.
    DeleteFailedCreate,
    /// Finish a deletion that failed.
    FinishDelete,
    /// Continue the rollback of a failed update.
    ContinueRollback,
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParameterValue {
    /// It is known.
    Value(String),
    /// It is an output of the state stack, which has to be made first.
    StateOutput(&'static str),
}

/// A secret that only people can give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissingSecret {
    /// Its name.
    pub name: &'static str,
    /// What does not work without it.
    pub without: &'static str,
}

impl Plan {
    /// Whether there is anything to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.make_spot_role
            && self.upload_code.is_none()
            && self.place_images.is_empty()
            && self.write_secrets.is_empty()
            && !self.make_webhook_secret
            && self.stacks.iter().all(StackPlan::is_empty)
    }

    /// The first stack that somebody has to decide about, and why.
    #[must_use]
    pub fn blocked(&self) -> Option<(&str, &str)> {
        self.stacks.iter().find_map(|stack| match &stack.action {
            Action::Blocked(because) => Some((stack.name.as_str(), because.as_str())),
            Action::Create | Action::Update | Action::Unchanged => None,
        })
    }
}

impl StackPlan {
    /// Whether the stack is as it should be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.action == Action::Unchanged && self.repair.is_none() && !self.protect
    }

    /// Takes over what CloudFormation says that it would do with each resource.
    pub(crate) fn take_effects(&mut self, effects: &BTreeMap<String, Effect>) {
        for resource in &mut self.resources {
            if resource.effect == Effect::Unknown
                && let Some(effect) = effects.get(&resource.id)
            {
                resource.effect = *effect;
            }
        }
        // A dependent that would be replaced without a change of its own is worth a line.
        for (id, effect) in effects {
            let known = self.resources.iter().any(|resource| resource.id == *id);
            if *effect == Effect::Replace && !known {
                self.resources.push(ResourceChange {
                    id: id.clone(),
                    kind: String::new(),
                    effect: *effect,
                    holds_data: false,
                    properties: Vec::new(),
                });
            }
        }
    }
}

/// What has to happen so that `world` becomes what `environment` rendered to.
#[must_use]
pub fn plan(environment: &Environment, rendered: &Rendered, code_key: &str, world: &World) -> Plan {
    let stacks = Stack::ALL
        .into_iter()
        .map(|stack| stack_plan(environment, rendered.template(stack), code_key, world))
        .collect();
    let webhook_known = world.secrets.contains(&SecretName::Webhook)
        || world.secrets_to_write.contains(&SecretName::Webhook);
    Plan {
        name: environment.name.clone(),
        account: world.account.clone(),
        region: environment.region.clone(),
        stacks,
        make_spot_role: environment.uses_spot() && !world.spot_role,
        upload_code: (!world.code_uploaded).then(|| code_key.to_owned()),
        place_images: world
            .named_images
            .iter()
            .filter_map(NamedImage::placed)
            .collect(),
        write_secrets: world
            .secrets_to_write
            .iter()
            .map(|secret| secret.name())
            .collect(),
        make_webhook_secret: !webhook_known,
        missing_secrets: missing_secrets(environment, world),
        notices: notices(environment, world),
    }
}

fn stack_plan(
    environment: &Environment,
    template: &Template,
    code_key: &str,
    world: &World,
) -> StackPlan {
    let stack = template.stack;
    let deployed = world.stacks.get(&stack);
    let (mut action, repair) = what_to_do(stack, deployed, &environment.names().tag);
    let parameters = parameter_values(stack, code_key, world);
    let tags = environment.tags_with(stack.word());
    let (mut resources, mut settings) = (Vec::new(), Vec::new());
    match (&action, deployed) {
        (Action::Create, _) => resources = differ::resources(&Value::Null, &template.value),
        (Action::Update, Some(deployed)) => {
            resources = differ::resources(&deployed.template, &template.value);
            settings = settings_changes(deployed, &parameters, &tags);
            // Descriptions and outputs are no resources, but part of the template all the same.
            if resources.is_empty() && deployed.template != template.value {
                settings.push(differ::change(
                    "template",
                    None,
                    Some(&Value::from("its description or outputs")),
                ));
            }
            if resources.is_empty() && settings.is_empty() {
                action = Action::Unchanged;
            }
        }
        (Action::Update | Action::Unchanged | Action::Blocked(_), _) => {}
    }
    StackPlan {
        stack,
        name: stack_name(environment, stack),
        // One that is made anew has none, whatever the one before it had.
        protect: stack == Stack::State
            && (action == Action::Create || deployed.is_none_or(|deployed| !deployed.protected)),
        action,
        repair,
        remains: deployed.map_or_else(Vec::new, |deployed| deployed.remains.clone()),
        resources,
        settings,
        parameters,
        tags,
    }
}

/// What can be done with a stack as it is, and what has to be repaired before.
fn what_to_do(stack: Stack, deployed: Option<&Deployed>, tag: &str) -> (Action, Option<Repair>) {
    let Some(deployed) = deployed else {
        return (Action::Create, None);
    };
    if !deployed.is_of(tag) {
        let because = format!(
            "a stack of that name exists without the tag {tag}, so it is somebody else's: choose another \
             `name`"
        );
        return (Action::Blocked(because), None);
    }
    match deployed.condition() {
        StackCondition::Usable => (Action::Update, None),
        StackCondition::Leftover => (Action::Create, Some(Repair::DeleteLeftover)),
        StackCondition::FailedRollback => (Action::Update, Some(Repair::ContinueRollback)),
        // Whatever is left in it was made by that creation and never used.
        StackCondition::FailedCreate => (Action::Create, Some(Repair::DeleteFailedCreate)),
        StackCondition::FailedDelete if stack == Stack::State => (
            Action::Blocked(
                "its deletion failed, and it may hold data: `cargo xtask down ENV` goes on with it"
                    .to_owned(),
            ),
            None,
        ),
        StackCondition::FailedDelete => (Action::Create, Some(Repair::FinishDelete)),
        StackCondition::Unclear => (
            Action::Blocked(format!(
                "no operation of this program leads to {}: CloudFormation's console says how to go on; \
                 `cargo xtask down ENV` ends all of it",
                deployed.status
            )),
            None,
        ),
        StackCondition::Busy => (
            Action::Blocked(format!("an operation is running ({})", deployed.status)),
            None,
        ),
    }
}

fn parameter_values(
    stack: Stack,
    code_key: &str,
    world: &World,
) -> BTreeMap<String, ParameterValue> {
    let api = world
        .stacks
        .get(&Stack::State)
        .filter(|state| state.condition() == StackCondition::Usable)
        .and_then(|state| state.outputs.get(names::OUTPUT_API_ID));
    let api = api.map_or(ParameterValue::StateOutput(names::OUTPUT_API_ID), |id| {
        ParameterValue::Value(id.clone())
    });
    let subnets = world.network.subnets.iter();
    let subnets: Vec<&str> = subnets.map(|subnet| subnet.id.as_str()).collect();
    let subnets = ParameterValue::Value(subnets.join(","));
    let (name, own) = match stack {
        Stack::State => return BTreeMap::new(),
        Stack::Runner => (names::PARAM_VPC_ID, world.network.vpc.clone()),
        Stack::Dispatch => (names::PARAM_CODE_KEY, code_key.to_owned()),
    };
    let mut values = BTreeMap::from([
        (names::PARAM_API_ID.to_owned(), api),
        (names::PARAM_SUBNET_IDS.to_owned(), subnets),
        (name.to_owned(), ParameterValue::Value(own)),
    ]);
    if stack == Stack::Runner {
        values.extend(world.root_devices.iter().map(|(pool, device)| {
            let id = names::logical_id("Pool", pool) + names::PARAM_ROOT_DEVICE;
            (id, ParameterValue::Value(device.clone()))
        }));
    }
    values
}

fn settings_changes(
    deployed: &Deployed,
    parameters: &BTreeMap<String, ParameterValue>,
    tags: &BTreeMap<String, String>,
) -> Vec<PropertyChange> {
    let wanted: BTreeMap<&String, &str> = parameters
        .iter()
        .map(|(name, value)| match value {
            ParameterValue::Value(value) => (name, value.as_str()),
            ParameterValue::StateOutput(_) => (name, "(known once the state stack is made)"),
        })
        .collect();
    let mut changes = Vec::new();
    let table = |value: Result<Value, serde_json::Error>| value.unwrap_or_default();
    differ::compare(
        "parameter",
        &table(serde_json::to_value(&deployed.parameters)),
        &table(serde_json::to_value(&wanted)),
        &mut changes,
    );
    differ::compare(
        "tag",
        &table(serde_json::to_value(&deployed.tags)),
        &table(serde_json::to_value(tags)),
        &mut changes,
    );
    changes
}

fn missing_secrets(environment: &Environment, world: &World) -> Vec<MissingSecret> {
    let without = |secret: SecretName| match secret {
        // Made, when nobody gives it.
        SecretName::Webhook => None,
        SecretName::ForgeToken => {
            Some("the forge's waiting jobs can't be read and used-up runners stay in its list")
        }
        SecretName::RegistrationToken => Some("no runner can register, so no job runs"),
        SecretName::CloneToken => environment
            .uses_clone_token()
            .then_some("pools with clone_token can't clone private repositories"),
    };
    let is_known = |secret: &SecretName| {
        world.secrets.contains(secret) || world.secrets_to_write.contains(secret)
    };
    let missing = SecretName::ALL
        .into_iter()
        .filter(|secret| !is_known(secret));
    missing
        .filter_map(|secret| {
            let (name, without) = (secret.name(), without(secret)?);
            Some(MissingSecret { name, without })
        })
        .collect()
}

fn notices(environment: &Environment, world: &World) -> Vec<String> {
    let trusting = environment.pools.iter().filter_map(trusting_pool);
    let private = world
        .network
        .subnets
        .iter()
        .filter(|subnet| environment.network.assign_public_ip && !subnet.public_address)
        .map(|subnet| {
            format!(
                "subnet {} ({}) gives no public address: behind a NAT say assign_public_ip = false in \
                 [network], otherwise runners there reach nothing",
                subnet.id, subnet.zone
            )
        });
    let reusable = environment.forge.accept_reusable_credentials.then(|| {
        "a forge that makes no one-job runners (Gitea before 1.24, Forgejo before 15) is served all \
         the same: a job there can read its machine's credential and take other jobs, with their \
         secrets, until the registration is deleted (accept_reusable_credentials = true)"
            .to_owned()
    });
    let encrypted = world.volume_key.as_ref().map(|key| {
        format!(
            "this account encrypts every volume with {key}: its policy has to let the role {} and, for \
             Spot, the role AWSServiceRoleForEC2Spot use it and grant its use (kms:CreateGrant), or \
             every machine ends as it starts, with Client.InternalError",
            environment.names().function_role
        )
    });
    reusable
        .into_iter()
        .chain(encrypted)
        .chain(world.named_images.iter().filter_map(NamedImage::notice))
        .chain(trusting)
        .chain(private)
        .collect()
}

/// A pool that more repositories can use than it names, and what they get: its environment says
/// `trust_all_repositories`.
fn trusting_pool(pool: &Pool) -> Option<String> {
    let holdings = pool.holdings()?;
    let whose = match (pool.users(), &pool.document.scope) {
        (Users::AsNamed, _) => return None,
        (Users::WholeScope, Scope::Organization(name) | Scope::Repository(name)) => {
            format!("any repository of {name}")
        }
        (Users::WholeScope, Scope::Global) | (Users::Everybody, _) => {
            "any repository of the forge".to_owned()
        }
    };
    Some(format!(
        "pool {}: whoever can push a workflow to {whose} gets {holdings} \
         (trust_all_repositories = true)",
        pool.document.name
    ))
}
