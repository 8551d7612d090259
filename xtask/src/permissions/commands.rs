//! What the commands call themselves.

use provisioner::Environment;
use provisioner::environment::Image;
use serde_json::{Value, json};

use super::{Place, allow};

/// The statements of `diff`, `up`, `secret set` and `down`.
pub(super) fn statements(environment: &Environment, place: &Place) -> Vec<Value> {
    let all = || vec!["*".to_owned()];
    let spot = "role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot";
    let mut ours = allow(
        "CommandsEndMachines",
        &["ec2:TerminateInstances"].into(),
        &[place.regional("ec2", "instance/*")],
    );
    let tag = format!("aws:ResourceTag/{}", place.names.tag_launch);
    ours["Condition"] = json!({ "Null": { tag: "false" } });
    let mut spot_role = allow(
        "CommandsSpotRole",
        &["iam:CreateServiceLinkedRole"].into(),
        &[place.global(spot)],
    );
    spot_role["Condition"] =
        json!({ "StringEquals": { "iam:AWSServiceName": "spot.amazonaws.com" } });
    let own = |service| place.own(service).unwrap_or_default();
    let statements: [(&str, &[&str], Vec<String>); 10] = [
        (
            "CommandsStacks",
            &[
                "cloudformation:ContinueUpdateRollback",
                "cloudformation:CreateChangeSet",
                "cloudformation:DeleteChangeSet",
                "cloudformation:DeleteStack",
                "cloudformation:DescribeChangeSet",
                "cloudformation:DescribeStackEvents",
                "cloudformation:DescribeStacks",
                "cloudformation:ExecuteChangeSet",
                "cloudformation:GetTemplate",
                "cloudformation:ListStackResources",
                "cloudformation:UpdateTerminationProtection",
            ],
            place.stacks(),
        ),
        (
            "CommandsLook",
            &[
                "ec2:DescribeImages",
                "ec2:DescribeInstances",
                "ec2:DescribeLaunchTemplates",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSnapshots",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
                "ec2:GetEbsDefaultKmsKeyId",
                "ec2:GetEbsEncryptionByDefault",
                "iam:ListRoles",
                "logs:DescribeLogGroups",
                "sts:DecodeAuthorizationMessage",
            ],
            all(),
        ),
        (
            "CommandsRoles",
            &["iam:GetInstanceProfile", "iam:GetRole"],
            own("iam"),
        ),
        (
            "CommandsLedger",
            &[
                "dynamodb:DeleteTable",
                "dynamodb:DescribeTable",
                "dynamodb:ListTagsOfResource",
                "dynamodb:UpdateTable",
            ],
            own("dynamodb"),
        ),
        (
            "CommandsLogs",
            &["logs:DeleteLogGroup", "logs:ListTagsForResource"],
            own("logs"),
        ),
        (
            "CommandsApi",
            &["apigateway:DELETE", "apigateway:GET"],
            own("apigateway"),
        ),
        (
            "CommandsImages",
            &["ssm:GetParameter", "ssm:GetParameters"],
            image_parameters(environment, place),
        ),
        (
            "CommandsFunction",
            &[
                "lambda:GetFunctionConfiguration",
                "lambda:InvokeFunction",
                "lambda:ListTags",
            ],
            place.functions(),
        ),
        (
            "CommandsCode",
            &[
                "s3:DeleteBucket",
                "s3:DeleteObject",
                "s3:GetBucketTagging",
                "s3:GetObject",
                "s3:ListBucket",
                "s3:PutObject",
            ],
            place.buckets(),
        ),
        (
            "CommandsSecrets",
            &[
                "ssm:AddTagsToResource",
                "ssm:DeleteParameters",
                "ssm:GetParameter",
                "ssm:GetParameters",
                "ssm:GetParametersByPath",
                "ssm:PutParameter",
            ],
            place.parameters(),
        ),
    ];
    let statements = statements.into_iter().map(|(sid, actions, resources)| {
        allow(sid, &actions.iter().copied().collect(), &resources)
    });
    statements.chain([ours, spot_role]).collect()
}

/// Where the images of pools stand that name none themselves. Whoever launches with a template that names its image by a
/// parameter reads that.
pub(super) fn image_parameters(environment: &Environment, place: &Place) -> Vec<String> {
    let pools = environment.pools.iter();
    let named = pools.filter_map(|pool| match &pool.image {
        Image::Parameter(path) => Some(place.regional("ssm", &format!("parameter{path}"))),
        Image::Ami(_) | Image::Built { .. } | Image::Stock(_) => None,
    });
    // AWS's own have no account.
    let Place {
        partition, region, ..
    } = place;
    let public = format!("arn:{partition}:ssm:{region}::parameter/aws/service/*");
    named.chain([public]).collect()
}
