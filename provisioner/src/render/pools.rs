//! What each pool becomes: a launch template and the document that the dispatcher reads.

use serde::Serialize;
use serde_json::{Value, json};
use stacks::names::{self, Names, logical_id};
use stacks::pool;

use super::{
    DOCUMENT_MAX_BYTES, RenderError, UserData, document, image_parameter, tags, user_data, within,
};
use crate::environment::{Environment, Image, Pool};

#[derive(Serialize)]
pub(super) struct PoolContext {
    id: String,
    launch_template: String,
    profile: String,
    image: String,
    root_volume_gb: u32,
    tags: Value,
    user_data: Value,
    parameter: String,
    description: String,
    document: Value,
}

pub(super) fn pools(
    environment: &Environment,
    names: &Names,
    user_data: &[UserData],
) -> Result<Vec<PoolContext>, RenderError> {
    environment
        .pools
        .iter()
        .zip(user_data)
        .map(|(pool, user_data)| {
            let id = logical_id("Pool", &pool.name);
            let image = match (&pool.image, image_parameter(&pool.image, pool.arch)) {
                (Image::Ami(ami), _) => ami.clone(),
                (Image::Parameter(_) | Image::StockAl2023, parameter) => {
                    format!("resolve:ssm:{}", parameter.unwrap_or_default())
                }
            };
            Ok(PoolContext {
                launch_template: names.launch_template(&pool.name),
                profile: names.runner_role(pool.permissions.as_deref()),
                image,
                root_volume_gb: pool.root_volume_gb,
                tags: tags::list(&tags::of(environment, names, &pool.name)),
                user_data: user_data::property(&user_data.script),
                parameter: names.pool(&pool.name),
                description: format!(
                    "What the pool {} serves and what its instances are.",
                    pool.name
                ),
                document: pool_document(pool, &id)?,
                id,
            })
        })
        .collect()
}

/// The pool's document, with holes for what only CloudFormation knows. No label, type or repository
/// may hold an angle bracket, so nothing else looks like a hole.
fn pool_document(pool: &Pool, id: &str) -> Result<Value, RenderError> {
    /// What the holes may grow by: 20 subnets of 24 characters with their commas, and two ids.
    const FILLED_MAX_BYTES: usize = 600;
    let text = document::text(&served(pool));
    within(
        &format!("the document of pool {}", pool.name),
        text.len() + FILLED_MAX_BYTES,
        DOCUMENT_MAX_BYTES,
        "give the pool fewer labels, types or repositories",
    )?;
    let template = format!("{id}Template");
    Ok(document::join(
        &text,
        &[
            (TEMPLATE_ID, json!({"Ref": template})),
            (
                TEMPLATE_VERSION,
                json!({"Fn::GetAtt": [template, "LatestVersionNumber"]}),
            ),
            (SUBNETS, json!({"Ref": names::PARAM_SUBNET_IDS})),
        ],
    ))
}

const TEMPLATE_ID: &str = "<template_id>";
const TEMPLATE_VERSION: &str = "<template_version>";
const SUBNETS: &str = "<subnets>";

/// A pool as the dispatcher knows it, with a hole for each thing that only CloudFormation knows.
#[must_use]
pub fn served(pool: &Pool) -> pool::Pool {
    pool::Pool {
        name: pool.name.clone(),
        labels: pool.labels.clone(),
        accepts_unlabelled: pool.accepts_unlabelled,
        scope: pool.scope.clone(),
        repositories: pool.repositories.clone(),
        instance_types: pool.instance_types.clone(),
        subnets: SUBNETS.to_owned(),
        capacity: pool.capacity,
        cpu_credits: pool.cpu_credits,
        max_runners: pool.max_runners,
        max_lifetime_minutes: pool.max_lifetime_minutes,
        boot_timeout_minutes: pool.boot_timeout_minutes,
        idle_timeout_minutes: pool.idle_timeout_minutes,
        clone_token: pool.clone_token,
        template_id: TEMPLATE_ID.to_owned(),
        template_version: TEMPLATE_VERSION.to_owned(),
    }
}
