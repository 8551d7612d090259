//! What the deployed function may do, as it found out itself, and for what it may not the statement of
//! its role that should allow it.

use std::time::Duration;

use serde_json::Value;
use stacks::rehearsal::{Rehearsal, RehearsedCall, Verdict};

use crate::deployment::Deployment;
use crate::error::Error;
use crate::progress::Progress;
use crate::shell::Shell;

/// How often a denial is asked again, and how long between: AWS takes some seconds until a role that was
/// just made or changed is known everywhere.
const TRIES_MAX: u32 = 6;
const WAIT: Duration = Duration::from_secs(5);
/// What EC2 says before the part of its words that only AWS can read.
const ENCODED: &str = "Encoded authorization failure message: ";

/// Which statement of the function's role allows what: action, kind of resource (any, where it is
/// empty), `Sid`. `RunInstances` is allowed where each of its resources is.
pub const STATEMENTS: [(&str, &str, &str); 18] = [
    ("ec2:RunInstances", "launch-template", "OurTemplates"),
    ("ec2:RunInstances", "image", "AsTheTemplateSays"),
    ("ec2:RunInstances", "security-group", "AsTheTemplateSays"),
    ("ec2:RunInstances", "instance", "OurProfiles"),
    ("ec2:RunInstances", "volume", "WhatComesWithIt"),
    ("ec2:RunInstances", "network-interface", "WhatComesWithIt"),
    ("ec2:RunInstances", "subnet", "OurSubnets"),
    ("ec2:CreateTags", "", "TagsAtLaunchOnly"),
    ("iam:PassRole", "", "RunnerRoles"),
    ("ssm:GetParameters", "", "ImageParameters"),
    ("ec2:TerminateInstances", "", "OnlyOurs"),
    ("ec2:DescribeInstances", "", "Look"),
    ("dynamodb:Query", "", "Ledger"),
    ("dynamodb:PutItem", "", "Ledger"),
    ("dynamodb:UpdateItem", "", "Ledger"),
    ("dynamodb:DeleteItem", "", "Ledger"),
    ("ssm:GetParametersByPath", "", "Parameters"),
    ("lambda:InvokeFunction", "", "Nudge"),
];

/// One call, and for a denied one where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsed {
    /// What the function says of it.
    pub call: RehearsedCall,
    /// What exactly is not allowed, if AWS says so: the action, and on what.
    pub denied: Option<(String, String)>,
    /// The statements that should allow it.
    pub statements: Vec<&'static str>,
}

/// Has the deployed function try every call that it makes. Nothing is launched, and nothing costs.
pub async fn rehearse(
    deployment: &Deployment,
    progress: &dyn Progress,
) -> Result<Vec<Rehearsed>, Error> {
    let shell = Shell::open(deployment, progress).await?;
    let function = deployment.environment.names().function;
    shell.step(&format!("{function}: trying every call under its own role"));
    let mut rehearsal = ask(&shell, &function).await?;
    for _ in 1..TRIES_MAX {
        if !is_denied(&rehearsal) {
            break;
        }
        shell.step("a right is missing; a role that is new is not known everywhere at once");
        tokio::time::sleep(WAIT).await;
        rehearsal = ask(&shell, &function).await?;
    }
    let mut rehearsed = Vec::new();
    for call in rehearsal.calls {
        rehearsed.push(explained(&shell, call).await);
    }
    Ok(rehearsed)
}

async fn ask(shell: &Shell<'_>, function: &str) -> Result<Rehearsal, Error> {
    Ok(shell.rehearse(function).await?)
}

fn is_denied(rehearsal: &Rehearsal) -> bool {
    let mut calls = rehearsal.calls.iter();
    calls.any(|call| call.verdict == Verdict::Denied)
}

/// What EC2 denied is readable for those alone who may decode it: the operator, never the function.
pub(crate) async fn explained(shell: &Shell<'_>, call: RehearsedCall) -> Rehearsed {
    let mut rehearsed = Rehearsed {
        denied: None,
        statements: Vec::new(),
        call,
    };
    if rehearsed.call.verdict != Verdict::Denied {
        return rehearsed;
    }
    let words = rehearsed.call.words.clone();
    if let Some((before, encoded)) = words.split_once(ENCODED) {
        before.trim().clone_into(&mut rehearsed.call.words);
        // Who may not decode it is told of every statement that it may be.
        if let Ok(decoded) = shell.decode_denial(encoded.trim()).await {
            rehearsed.denied = denied(&decoded);
        }
    }
    let (action, resource) = rehearsed
        .denied
        .as_ref()
        .map_or((&*rehearsed.call.action, ""), |(action, resource)| {
            (action, resource)
        });
    rehearsed.statements = statements(action, resource);
    rehearsed
}

/// What a decoded message says was denied: the action, and the resource.
fn denied(decoded: &str) -> Option<(String, String)> {
    let decoded: Value = serde_json::from_str(decoded).ok()?;
    let text = |name: &str| decoded["context"][name].as_str().map(str::to_owned);
    Some((text("action")?, text("resource")?))
}

/// The statements that allow `action` on the resource of that ARN; where it is empty, all that the action
/// needs.
fn statements(action: &str, resource: &str) -> Vec<&'static str> {
    let kind = resource.splitn(6, ':').nth(5).unwrap_or_default();
    let kind = kind.split('/').next().unwrap_or_default();
    let mut found: Vec<&str> = Vec::new();
    for (own, of, sid) in STATEMENTS {
        let is_it = own == action && (of.is_empty() || kind.is_empty() || of == kind);
        if is_it && !found.contains(&sid) {
            found.push(sid);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_leads_to_its_statement() {
        let decoded = r#"{"allowed":false,"explicitDeny":false,"matchedStatements":{"items":[]},
            "context":{"principal":{"arn":"arn:aws:sts::1:assumed-role/ci-dispatch/ci-dispatch"},
            "action":"ec2:RunInstances",
            "resource":"arn:aws:ec2:eu-west-1:123456789012:subnet/subnet-1","conditions":{}}}"#;
        let (action, resource) = denied(decoded).unwrap();
        assert_eq!(statements(&action, &resource), ["OurSubnets"]);
        let image = "arn:aws:ec2:eu-west-1::image/ami-1";
        assert_eq!(statements("ec2:RunInstances", image), ["AsTheTemplateSays"]);
        let role = "arn:aws:iam::123456789012:role/ci-runner";
        assert_eq!(statements("iam:PassRole", role), ["RunnerRoles"]);
        assert_eq!(statements("dynamodb:Query", ""), ["Ledger"]);
        assert_eq!(denied("no JSON"), None);
    }

    #[test]
    fn a_denial_that_cannot_be_read_leads_to_all_that_the_action_needs() {
        let all = statements("ec2:RunInstances", "");
        assert_eq!(
            all,
            [
                "OurTemplates",
                "AsTheTemplateSays",
                "OurProfiles",
                "WhatComesWithIt",
                "OurSubnets"
            ]
        );
    }
}
