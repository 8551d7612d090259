//! What the templates see.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};
use stacks::names;
use stacks::pool;
use tera::Context;

use super::{
    DOCUMENT_MAX_BYTES, RenderError, Stack, UserData, alarms, document, image_parameter, pools,
    roles, tags, within,
};
use crate::environment::Environment;

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
    context.insert("tag_condition", &format!("aws:ResourceTag/{}", names.tag));

    // A separator of `Fn::Join` can't refer to anything, and a shared subnet is another account's.
    let partition = partition(&environment.region);
    context.insert(
        "subnet_arn",
        &format!("arn:{partition}:ec2:{}:*:subnet/", environment.region),
    );

    let tags = tags::of(environment, &names, stack.word());
    context.insert("tags", &tags::list(&tags));
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
    context.insert("waiting_pattern", &alarms::waiting_pattern());
    context.insert("names", &names);
    Ok(context)
}

fn contract() -> Value {
    json!({
        "env_name": names::ENV_NAME,
        "env_log": names::ENV_LOG,
        "route_dispatch": names::ROUTE_DISPATCH,
        "route_runner": names::ROUTE_RUNNER,
        "attribute_partition": names::ATTRIBUTE_PARTITION,
        "attribute_sort": names::ATTRIBUTE_SORT,
        "attribute_ttl": names::ATTRIBUTE_TTL,
        "log_oldest_waiting": names::LOG_OLDEST_WAITING_S,
        "metric_oldest_waiting": names::METRIC_OLDEST_WAITING,
    })
}

fn partition(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct EgressRule {
    from: u16,
    to: u16,
    cidr: String,
    family: &'static str,
    why: &'static str,
}

/// 443, the forge's port and the listed ones; to every address of both families unless a network is
/// named.
fn egress(environment: &Environment) -> Vec<EgressRule> {
    const HTTPS: u16 = 443;
    let mut seen = BTreeSet::new();
    let mut rules = Vec::new();
    let listed = environment.network.egress.iter();
    let wanted = [
        (HTTPS, None, "HTTPS"),
        (environment.forge.port, None, "The forge"),
    ]
    .into_iter()
    .chain(listed.map(|port| (port.port, port.cidr.clone(), "Listed in the environment")));
    for (port, cidr, why) in wanted {
        let networks = match cidr {
            Some(cidr) => vec![cidr],
            None => vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()],
        };
        for cidr in networks {
            let family = if cidr.contains(':') {
                "CidrIpv6"
            } else {
                "CidrIp"
            };
            if seen.insert((port, cidr.clone())) {
                rules.push(EgressRule {
                    from: port,
                    to: port,
                    cidr,
                    family,
                    why,
                });
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
    environment
        .pools
        .iter()
        .filter_map(|pool| image_parameter(&pool.image, pool.arch))
        .map(|path| {
            // AWS's public parameters have no account in their ARN.
            let account = if path.starts_with("/aws/service/") {
                ""
            } else {
                "${AWS::AccountId}"
            };
            format!("arn:${{AWS::Partition}}:ssm:${{AWS::Region}}:{account}:parameter{path}")
        })
        .collect()
}
