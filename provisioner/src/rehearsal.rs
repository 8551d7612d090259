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
pub const STATEMENTS: [(&str, &str, &str); 20] = [
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
    ("ec2:DescribeImages", "", "Look"),
    ("dynamodb:Query", "", "Ledger"),
    ("dynamodb:PutItem", "", "Ledger"),
    ("dynamodb:UpdateItem", "", "Ledger"),
    ("dynamodb:DeleteItem", "", "Ledger"),
    ("ssm:GetParametersByPath", "", "Parameters"),
    ("ssm:PutParameter", "", "Images"),
    ("lambda:InvokeFunction", "", "Nudge"),
];

/// One call, and for a denied one where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsed {
    /// What the function says of it.
    pub call: RehearsedCall,
    /// What exactly is not allowed, if AWS says so.
    pub denial: Option<Denial>,
    /// The statements that should allow it; none if it is forbidden.
    pub statements: Vec<&'static str>,
}

/// What IAM did not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The action, which need not be that of the call.
    pub action: String,
    /// On what: an ARN, or nothing.
    pub resource: String,
    /// Whether a statement forbids it: no statement that allows it is missing then.
    pub is_forbidden: bool,
}

/// Has the deployed function try every call that it makes, until AWS knows its role. Nothing is launched,
/// and nothing costs.
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
    Ok(all_explained(&shell, rehearsal).await)
}

/// The same, once: for a role that nobody has just made or changed.
pub async fn rehearse_once(
    deployment: &Deployment,
    progress: &dyn Progress,
) -> Result<Vec<Rehearsed>, Error> {
    let shell = Shell::open(deployment, progress).await?;
    let rehearsal = ask(&shell, &deployment.environment.names().function).await?;
    Ok(all_explained(&shell, rehearsal).await)
}

async fn all_explained(shell: &Shell<'_>, rehearsal: Rehearsal) -> Vec<Rehearsed> {
    let mut rehearsed = Vec::new();
    for call in rehearsal.calls {
        rehearsed.push(explained(shell, call).await);
    }
    rehearsed
}

async fn ask(shell: &Shell<'_>, function: &str) -> Result<Rehearsal, Error> {
    Ok(shell.rehearse(function).await?)
}

fn is_denied(rehearsal: &Rehearsal) -> bool {
    let mut calls = rehearsal.calls.iter();
    calls.any(|call| call.verdict == Verdict::Denied)
}

/// What EC2 denied is readable in full for those alone who may decode it: the operator, never the function.
pub(crate) async fn explained(shell: &Shell<'_>, call: RehearsedCall) -> Rehearsed {
    let mut rehearsed = Rehearsed {
        denial: None,
        statements: Vec::new(),
        call,
    };
    if rehearsed.call.verdict != Verdict::Denied {
        return rehearsed;
    }
    let words = rehearsed.call.words.clone();
    rehearsed.denial = told(&words);
    if let Some((before, encoded)) = words.split_once(ENCODED) {
        before.trim().clone_into(&mut rehearsed.call.words);
        if let Ok(message) = shell.decode_denial(encoded.trim()).await
            && let Some(denial) = decoded(&message)
        {
            rehearsed.denial = Some(denial);
        }
    }
    rehearsed.statements = match &rehearsed.denial {
        None => statements(&rehearsed.call.action, ""),
        Some(denial) if denial.is_forbidden => Vec::new(),
        Some(denial) => statements(&denial.action, &denial.resource),
    };
    rehearsed
}

/// What was denied, by the decoded message (STS reference, `DecodeAuthorizationMessage`).
fn decoded(message: &str) -> Option<Denial> {
    let message: Value = serde_json::from_str(message).ok()?;
    let text = |name: &str| message["context"][name].as_str().map(str::to_owned);
    Some(Denial {
        action: text("action")?,
        resource: text("resource")?,
        is_forbidden: message["explicitDeny"] == true,
    })
}

/// What was denied, by AWS's words (IAM guide, "Troubleshoot access denied error messages"), which not every
/// service and region uses.
fn told(words: &str) -> Option<Denial> {
    let (_, rest) = words.split_once("is not authorized to perform: ")?;
    let word = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
    let resource = rest.split_once(" on resource: ");
    Some(Denial {
        action: word(rest),
        resource: resource.map(|(_, on)| word(on)).unwrap_or_default(),
        is_forbidden: rest.contains("with an explicit deny"),
    })
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
        let denial = super::decoded(decoded).unwrap();
        assert!(!denial.is_forbidden);
        assert_eq!(statements(&denial.action, &denial.resource), ["OurSubnets"]);
        let image = "arn:aws:ec2:eu-west-1::image/ami-1";
        assert_eq!(statements("ec2:RunInstances", image), ["AsTheTemplateSays"]);
        let role = "arn:aws:iam::123456789012:role/ci-runner";
        assert_eq!(statements("iam:PassRole", role), ["RunnerRoles"]);
        assert_eq!(statements("dynamodb:Query", ""), ["Ledger"]);
        assert_eq!(super::decoded("no JSON"), None);
    }

    #[test]
    fn the_words_tell_what_cannot_be_decoded() {
        let user = "AccessDeniedException: User: arn:aws:sts::1:assumed-role/ci-dispatch/ci is not \
                    authorized to perform: ec2:CreateTags";
        let denial = |words: &str| told(&format!("{user}{words}")).unwrap();
        let on = " on resource: arn:aws:ec2:eu-west-1:1:volume/*";
        let missing = denial(&format!("{on} because no identity-based policy allows it"));
        assert_eq!(missing.action, "ec2:CreateTags");
        assert_eq!(missing.resource, "arn:aws:ec2:eu-west-1:1:volume/*");
        assert!(!missing.is_forbidden);
        let forbidden = denial(&format!(
            "{on} with an explicit deny in a service control policy"
        ));
        assert!(forbidden.is_forbidden);
        assert_eq!(denial(" because of something").resource, "");
        assert_eq!(
            told("You are not authorized to perform this operation."),
            None
        );
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
