//! What the templates see.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stacks::names;
use stacks::pool;
use tera::Context;

use super::{
    DOCUMENT_MAX_BYTES, RenderError, Stack, UserData, alarms, document, pools, roles, tag_list,
    within,
};
use crate::environment::{Environment, Image};

/// Seconds that one invocation may take. The API waits 30 s at most; a drain of a thousand jobs is a
/// dozen requests at two a second, and the next tick goes on where one ended.
const FUNCTION_TIMEOUT_S: u32 = 60;

pub(super) fn of(
    environment: &Environment,
    stack: Stack,
    user_data: &[UserData],
) -> Result<Context, RenderError> {
    let names = environment.names();
    let mut context = Context::new();
    context.insert("contract", &contract());
    context.insert(
        "description",
        &format!("{}: {}", environment.name, stack.description()),
    );
    context.insert(
        "bucket",
        &names.bucket("${AWS::AccountId}", "${AWS::Region}"),
    );
    context.insert("permissions_boundary", &environment.permissions_boundary);
    context.insert("notify", &environment.notify);
    let tagged = |key: &str| format!("aws:ResourceTag/{key}");
    context.insert("template_tag", &tagged(&names.tag));
    context.insert("launch_tag", &tagged(&names.tag_launch));

    // A separator of `Fn::Join` can't refer to anything, and a shared subnet is another account's.
    let partition = environment.partition();
    context.insert(
        "subnet_arn",
        &format!("arn:{partition}:ec2:{}:*:subnet/", environment.region),
    );

    let tags = environment.tags_with(stack.word());
    context.insert("tags", &tag_list(&tags));
    context.insert("tag_map", &tags);

    context.insert("roles", &roles::roles(environment, &names));
    context.insert("egress", &egress(environment));
    context.insert("pools", &pools::pools(environment, &names, user_data)?);
    context.insert("settings", &settings(environment)?);
    context.insert("forge_ca", &environment.forge.ca);

    context.insert(
        "function",
        &json!({
            "arch": environment.dispatcher.arch.name(),
            "memory_mb": environment.dispatcher.memory_mb,
            "timeout_s": FUNCTION_TIMEOUT_S,
        }),
    );
    context.insert("schedule", &rate(environment.tick_minutes));
    context.insert(
        "tick_input",
        &json!({"action": names::ACTION_CLEANUP}).to_string(),
    );
    context.insert("image_parameters", &image_parameters(environment));
    context.insert("alarms", &alarms::alarms(environment, &names));
    context.insert("metrics", &alarms::metrics());
    context.insert("names", &names);
    Ok(context)
}

fn contract() -> Value {
    json!({
        "env_name": names::ENV_NAME,
        "env_log": names::ENV_LOG,
        "root_device": names::PARAM_ROOT_DEVICE,
        "route_dispatch": names::ROUTE_DISPATCH,
        "route_runner": names::ROUTE_RUNNER,
        "attribute_partition": names::ATTRIBUTE_PARTITION,
        "attribute_sort": names::ATTRIBUTE_SORT,
        "attribute_ttl": names::ATTRIBUTE_TTL,
    })
}

/// 443, the forge's port and the listed ones; to every address of both families unless a network is
/// named.
fn egress(environment: &Environment) -> Vec<Value> {
    const HTTPS: u16 = 443;
    let forge = environment.forge.port;
    let own = [(HTTPS, None, "HTTPS"), (forge, None, "The forge")];
    let ubuntu = environment.uses_ubuntu();
    let ubuntu = ubuntu.then_some((80, None, "Ubuntu's packages, which are signed"));
    let listed = environment.network.egress.iter();
    let listed = listed.map(|it| (it.port, it.cidr.as_deref(), "Listed in the environment"));
    let mut seen = BTreeSet::new();
    let mut rules = Vec::new();
    for (port, cidr, why) in own.into_iter().chain(ubuntu).chain(listed) {
        for cidr in cidr.map_or_else(|| vec!["0.0.0.0/0", "::/0"], |cidr| vec![cidr]) {
            let is_v6 = cidr.contains(':');
            let family = if is_v6 { "CidrIpv6" } else { "CidrIp" };
            if seen.insert((port, cidr)) {
                rules.push(json!({"port": port, "cidr": cidr, "family": family, "why": why}));
            }
        }
    }
    rules
}

fn settings(environment: &Environment) -> Result<String, RenderError> {
    let text = document::text(&pool::Settings {
        forge_url: environment.forge.url.clone(),
        forge_root_url: environment.forge.root_url.clone(),
        accept_reusable_credentials: environment.forge.accept_reusable_credentials,
        poll_after_events: environment.forge.poll_after_events,
        forge_kind: environment.forge.kind,
        max_runners: environment.max_runners,
        tags: environment.tags.clone(),
    });
    within(
        "the settings document",
        text.len(),
        DOCUMENT_MAX_BYTES,
        "shorten the forge's url",
    )?;
    Ok(text)
}

/// CloudFormation knows `minute` for one and `minutes` for more.
fn rate(minutes: u32) -> String {
    match minutes {
        1 => "rate(1 minute)".to_owned(),
        minutes => format!("rate({minutes} minutes)"),
    }
}

fn image_parameters(environment: &Environment) -> BTreeSet<String> {
    // AWS's public parameters have no account in their ARN.
    let arn = |account: &str, path: &str| {
        format!("arn:${{AWS::Partition}}:ssm:${{AWS::Region}}:{account}:parameter{path}")
    };
    let pools = environment.pools.iter();
    pools
        .filter_map(|pool| match &pool.image {
            Image::Ami(_) => None,
            Image::Parameter(path) if path.starts_with("/aws/service/") => Some(arn("", path)),
            Image::Parameter(path) => Some(arn("${AWS::AccountId}", path)),
            Image::Stock(stock) => Some(arn("", &stock.parameter(pool.arch))),
            Image::Built { name, .. } => {
                let path = environment.names().image(name, pool.arch.name());
                Some(arn("${AWS::AccountId}", &path))
            }
        })
        .collect()
}
