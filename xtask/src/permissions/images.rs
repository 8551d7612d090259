//! What `ami build` and its like call: machines and images that carry the deployment's tags, from birth, and no
//! others.

use provisioner::environment::Environment;
use serde_json::{Value, json};

use super::commands::image_parameters;
use super::{Place, allow};

/// The statements of who builds images and does nothing else: what changes something is bound to machines, images and
/// parameters of the deployment. Machines that try an image have a pool's role, so all roles of pools can be passed.
pub(super) fn alone(environment: &Environment, place: &Place) -> Vec<Value> {
    let below = &place.names.parameter_images;
    let own = place.regional("ssm", &format!("parameter{below}*"));
    let mut read = image_parameters(environment, place);
    read.push(own.clone());
    let mut end = allow(
        "ImagesEnd",
        &["ec2:TerminateInstances"].into(),
        &[place.regional("ec2", "instance/*")],
    );
    let launched = format!("aws:ResourceTag/{}", place.names.tag_launch);
    end["Condition"] = json!({ "Null": { launched: "false" } });
    let mut pass = allow(
        "ImagesPassRoles",
        &["iam:PassRole"].into(),
        &place.runner_roles(),
    );
    pass["Condition"] = json!({ "StringEquals": { "iam:PassedToService": "ec2.amazonaws.com" } });
    let look = allow(
        "ImagesLook",
        &[
            "ec2:DescribeImages",
            "ec2:DescribeInstances",
            "ec2:DescribeLaunchTemplates",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSnapshots",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
        ]
        .into(),
        &["*".to_owned()],
    );
    let read = allow(
        "ImagesRead",
        &["ssm:GetParameter", "ssm:GetParameters"].into(),
        &read,
    );
    let put = allow("ImagesPut", &["ssm:PutParameter"].into(), &[own]);
    let mut all = statements(place);
    all.extend([look, read, put, end, pass]);
    all
}

/// The statements of `ami build`, `list`, `promote`, `rollback`, `retire`, and of `down` for images.
pub(super) fn statements(place: &Place) -> Vec<Value> {
    let names = &place.names;
    let (partition, region) = (place.partition, &place.region);
    let regional = |kind: &str| place.regional("ec2", &format!("{kind}/*"));
    // Neither of them has an account in its ARN, and a shared subnet is another account's.
    let [image, snapshot] =
        ["image", "snapshot"].map(|kind| format!("arn:{partition}:ec2:{region}::{kind}/*"));
    let subnet = format!("arn:{partition}:ec2:{region}:*:subnet/*");
    let carries =
        |kind: &str, key: &str| json!({ "Null": { format!("aws:{kind}/{key}"): "false" } });
    let launched = carries("ResourceTag", &names.tag_launch);
    let ours = carries("ResourceTag", &names.tag_image);
    let with = |sid: &str, actions: &[&str], resources: &[String], condition: Option<Value>| {
        let mut statement = allow(sid, &actions.iter().copied().collect(), resources);
        if let Some(condition) = condition {
            statement["Condition"] = condition;
        }
        statement
    };
    vec![
        with(
            "ImagesLaunch",
            &["ec2:RunInstances"],
            &[regional("instance"), regional("volume")],
            Some(carries("RequestTag", &names.tag_launch)),
        ),
        with(
            "ImagesLaunchWith",
            &["ec2:RunInstances"],
            &[
                image.clone(),
                subnet,
                regional("launch-template"),
                regional("network-interface"),
                regional("security-group"),
            ],
            None,
        ),
        with(
            "ImagesTagsAtBirth",
            &["ec2:CreateTags"],
            &[
                image.clone(),
                snapshot.clone(),
                regional("instance"),
                regional("volume"),
            ],
            Some(json!({
                "StringEquals": { "ec2:CreateAction": ["CreateImage", "RunInstances"] }
            })),
        ),
        with(
            "ImagesTested",
            &["ec2:CreateTags"],
            std::slice::from_ref(&image),
            Some(ours.clone()),
        ),
        with(
            "ImagesOfMachines",
            &["ec2:CreateImage", "ec2:GetConsoleOutput"],
            &[regional("instance")],
            Some(launched),
        ),
        with(
            "ImagesCreate",
            &["ec2:CreateImage"],
            &[image.clone(), snapshot.clone()],
            Some(carries("RequestTag", &names.tag_image)),
        ),
        with(
            "ImagesDelete",
            &["ec2:DeregisterImage"],
            &[image],
            Some(ours.clone()),
        ),
        with(
            "SnapshotsDelete",
            &["ec2:DeleteSnapshot"],
            &[snapshot],
            Some(ours),
        ),
    ]
}
