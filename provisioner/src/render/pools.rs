//! What each pool becomes: a launch template and the document that the dispatcher reads.

use serde_json::{Value, json};
use stacks::names::{self, Names, logical_id};
use stacks::pool::Pool as PoolDocument;

use super::{DOCUMENT_MAX_BYTES, RenderError, UserData, document, tag_list, user_data, within};
use crate::environment::{Environment, Image, Pool};

pub(super) fn pools(
    environment: &Environment,
    names: &Names,
    user_data: &[UserData],
) -> Result<Vec<Value>, RenderError> {
    environment
        .pools
        .iter()
        .zip(user_data)
        .map(|(pool, user_data)| {
            let name = &pool.document.name;
            let id = logical_id("Pool", name);
            let image = match &pool.image {
                Image::Ami(ami) => ami.clone(),
                Image::Parameter(path) => format!("resolve:ssm:{path}"),
                Image::Stock(stock) => format!("resolve:ssm:{}", stock.parameter(pool.arch)),
                Image::Built { name, .. } => {
                    format!("resolve:ssm:{}", names.image(name, pool.arch.name()))
                }
            };
            Ok(json!({
                "name": name,
                "launch_template": names.launch_template(name),
                "profile": names.runner_role(pool.permissions.as_deref()),
                "image": image,
                "root_volume_gb": pool.root_volume_gb,
                "tags": tag_list(&environment.tags_with(name)),
                "user_data": user_data::property(&user_data.script),
                "parameter": names.pool(name),
                "root_device_description": format!("Root volume of the image of the pool {name}."),
                "description": format!("What the pool {name} serves and what its instances are."),
                "document": pool_document(pool, &id)?,
                "id": id,
            }))
        })
        .collect()
}

/// The pool's document, with holes for what only CloudFormation knows. No label, type or repository
/// may hold an angle bracket, so nothing else looks like a hole.
fn pool_document(pool: &Pool, id: &str) -> Result<Value, RenderError> {
    /// What the holes may grow by: 20 subnets of 24 characters with their commas, and two ids.
    const FILLED_MAX_BYTES: usize = 600;
    const TEMPLATE_ID: &str = "<template_id>";
    const TEMPLATE_VERSION: &str = "<template_version>";
    const SUBNETS: &str = "<subnets>";
    let text = document::text(&PoolDocument {
        subnets: SUBNETS.to_owned(),
        template_id: TEMPLATE_ID.to_owned(),
        template_version: TEMPLATE_VERSION.to_owned(),
        ..pool.document.clone()
    });
    within(
        &format!("the document of pool {}", pool.document.name),
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
