//! Plans, surveys and the hand-over as people read them.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};
use stacks::names::SecretName;

use crate::apply::Outcome;
use crate::differ::{Effect, PropertyChange, ResourceChange};
use crate::environment::Environment;
use crate::plan::{Action, Plan, Repair, StackPlan};
use crate::teardown::{Kind, Teardown};

/// Whether what is printed may be coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// It goes to a terminal.
    On,
    /// It doesn't.
    Off,
}

/// How what is printed addresses its reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// Whether it may be coloured.
    pub colour: Colour,
    /// The command that sets the secret NAME of this deployment.
    pub set_secret: String,
}

impl Words {
    fn set_secret(&self, name: &str) -> String {
        self.set_secret.replace("NAME", name)
    }
}

/// Longest value that is shown in full; the rest of it is in the templates.
const VALUE_MAX_CHARS: usize = 100;

#[derive(Clone, Copy)]
enum Ink {
    Green,
    Yellow,
    Red,
    Dim,
    Bold,
}

impl Colour {
    fn paint(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Green => 32,
            Ink::Yellow => 33,
            Ink::Red => 31,
            Ink::Dim => 2,
            Ink::Bold => 1,
        };
        match self {
            Self::On => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::Off => text.to_owned(),
        }
    }
}

/// The plan for people.
#[must_use]
pub fn plan(plan: &Plan, words: &Words) -> String {
    let colour = words.colour;
    let mut text = format!(
        "{}  account {}  {}\n",
        colour.paint(Ink::Bold, &plan.name),
        plan.account,
        plan.region
    );
    for one in &plan.stacks {
        stack(&mut text, one, colour);
    }
    let mut also = Vec::new();
    if plan.make_spot_role {
        also.push("make the account's role for Spot (AWSServiceRoleForEC2Spot)".to_owned());
    }
    also.extend(
        plan.upload_code
            .iter()
            .map(|key| format!("upload the function's code as {}", shortened(key))),
    );
    also.extend(
        plan.write_secrets
            .iter()
            .map(|secret| format!("write the secret {secret}")),
    );
    if plan.make_webhook_secret {
        also.push(format!("make the secret {}", SecretName::Webhook.name()));
    }
    for step in also {
        line(
            &mut text,
            &format!("\n{} {step}", colour.paint(Ink::Green, "+")),
        );
    }
    for notice in &plan.notices {
        line(
            &mut text,
            &format!("\n{} {notice}", colour.paint(Ink::Yellow, "!")),
        );
    }
    for missing in &plan.missing_secrets {
        let (name, without) = (missing.name, missing.without);
        let sign = colour.paint(Ink::Yellow, "!");
        line(
            &mut text,
            &format!(
                "\n{sign} no {name}: {without}\n  {}",
                words.set_secret(name)
            ),
        );
    }
    text
}

/// The plan in a line.
#[must_use]
pub fn summary(plan: &Plan) -> String {
    if plan.is_empty() {
        return "Nothing to change: what is deployed is what the environment says.".to_owned();
    }
    let resources = plan.stacks.iter().flat_map(|stack| &stack.resources);
    let (mut made, mut changed, mut ended) = (0, 0, 0);
    for resource in resources {
        match resource.effect {
            Effect::Create => made += 1,
            Effect::InPlace | Effect::MayReplace | Effect::Replace | Effect::Unknown => {
                changed += 1;
            }
            Effect::Delete | Effect::Keep => ended += 1,
        }
    }
    format!("{made} to make, {changed} to change, {ended} to end.")
}

fn stack(text: &mut String, plan: &StackPlan, colour: Colour) {
    let (sign, ink, word) = match &plan.action {
        Action::Create => ("+", Ink::Green, "create".to_owned()),
        Action::Update => ("~", Ink::Yellow, "update".to_owned()),
        Action::Unchanged => ("=", Ink::Dim, "unchanged".to_owned()),
        Action::Blocked(because) => ("!", Ink::Red, because.clone()),
    };
    let repair = match plan.repair {
        None => "",
        Some(Repair::DeleteLeftover) => ", after deleting what a change set left behind",
        Some(Repair::DeleteFailedCreate) => ", after deleting what a failed creation left behind",
        Some(Repair::ContinueRollback) => ", after continuing its rollback",
    };
    let head = format!("{sign} {:<24} {word}{repair}", plan.name);
    line(text, &format!("\n{}", colour.paint(ink, &head)));
    if plan.protect {
        line(text, "    protect it from deletion");
    }
    for setting in &plan.settings {
        property(text, setting, colour);
    }
    for one in &plan.resources {
        resource(text, one, colour);
    }
}

fn resource(text: &mut String, change: &ResourceChange, colour: Colour) {
    let (sign, ink, word) = match change.effect {
        Effect::Create => ("+", Ink::Green, ""),
        Effect::InPlace => ("~", Ink::Yellow, "in place"),
        Effect::MayReplace => ("~", Ink::Yellow, "may be replaced"),
        Effect::Replace => ("-/+", Ink::Red, "is replaced"),
        Effect::Delete => ("-", Ink::Red, "is deleted"),
        Effect::Keep => ("-", Ink::Yellow, "leaves the stack and stays"),
        Effect::Unknown => ("~", Ink::Yellow, ""),
    };
    let data = match (change.holds_data, change.effect) {
        (true, Effect::Replace | Effect::Delete) => "  ITS DATA IS LOST",
        (true, Effect::MayReplace) => "  its data would be lost",
        (true, Effect::Create | Effect::InPlace | Effect::Keep | Effect::Unknown) | (false, _) => {
            ""
        }
    };
    let head = format!("{sign} {:<24} {:<32} {word}", change.id, change.kind);
    line(
        text,
        &format!(
            "    {}{}",
            colour.paint(ink, head.trim_end()),
            colour.paint(Ink::Red, data)
        ),
    );
    for one in &change.properties {
        property(text, one, colour);
    }
}

fn property(text: &mut String, change: &PropertyChange, colour: Colour) {
    if let (Some(Value::String(before)), Some(Value::String(after))) =
        (&change.before, &change.after)
        && (before.contains('\n') || after.contains('\n'))
    {
        line(text, &format!("        {}", change.path));
        script(text, before, after, colour);
        return;
    }
    let before = change
        .before
        .as_ref()
        .map_or_else(|| "nothing".to_owned(), value);
    let after = change
        .after
        .as_ref()
        .map_or_else(|| "nothing".to_owned(), value);
    line(
        text,
        &format!(
            "        {}  {} {} {}",
            change.path,
            colour.paint(Ink::Red, &before),
            colour.paint(Ink::Dim, "→"),
            colour.paint(Ink::Green, &after)
        ),
    );
}

/// The lines of a script that differ.
fn script(text: &mut String, before: &str, after: &str, colour: Colour) {
    for change in TextDiff::from_lines(before, after).iter_all_changes() {
        let (sign, ink) = match change.tag() {
            ChangeTag::Equal => continue,
            ChangeTag::Delete => ("-", Ink::Red),
            ChangeTag::Insert => ("+", Ink::Green),
        };
        let changed = format!("{sign} {}", change.value().trim_end());
        line(text, &format!("          {}", colour.paint(ink, &changed)));
    }
}

fn value(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= VALUE_MAX_CHARS {
        return text;
    }
    let head: String = text.chars().take(VALUE_MAX_CHARS).collect();
    format!("{head}…")
}

/// A content-addressed key with as much of its digest as people compare.
fn shortened(key: &str) -> String {
    const DIGEST_CHARS: usize = 12;
    let Some((folder, file)) = key.split_once('/') else {
        return key.to_owned();
    };
    let head: String = file.chars().take(DIGEST_CHARS).collect();
    format!("{folder}/{head}….zip")
}

/// What exists, and what of it holds data.
#[must_use]
pub fn survey(teardown: &Teardown, colour: Colour) -> String {
    if teardown.is_empty() {
        return format!(
            "There is nothing of {} in account {}, {}.\n",
            teardown.name, teardown.account, teardown.region
        );
    }
    let mut text = format!(
        "{}  account {}  {}\n\n",
        colour.paint(Ink::Bold, &teardown.name),
        teardown.account,
        teardown.region
    );
    for found in &teardown.found {
        let holds = match found.kind {
            Kind::Bucket => "holds the function's code",
            Kind::Stack if found.name.ends_with("-state") => {
                "holds the ledger, the logs and the address that stands in every webhook"
            }
            Kind::Parameter if found.name.contains("/secret/") => "holds a secret",
            Kind::Stack
            | Kind::Instance
            | Kind::Parameter
            | Kind::Function
            | Kind::Role
            | Kind::LaunchTemplate
            | Kind::SecurityGroup => "",
        };
        let kind = found.kind.to_string();
        let row = format!("- {kind:<16} {:<44} {}", found.name, found.detail);
        line(
            &mut text,
            &format!("{}  {}", row.trim_end(), colour.paint(Ink::Red, holds)),
        );
    }
    text
}

/// What the forge's administrator has to know and do. `hook_url` replaces the API's own address.
#[must_use]
pub fn hand_over(
    environment: &Environment,
    outcome: &Outcome,
    hook_url: Option<&str>,
    words: &Words,
) -> String {
    let names = environment.names();
    let own = outcome
        .api_endpoint()
        .map(|endpoint| format!("{endpoint}/dispatch"));
    let url = hook_url.map(str::to_owned).or(own);
    let mut rows = vec![
        (
            "webhook",
            url.unwrap_or_else(|| "(not deployed)".to_owned()),
        ),
        (
            "",
            "POST, application/json; on the instance, an organization or a repository".to_owned(),
        ),
        ("events", "push, workflow_job".to_owned()),
        (
            "secret",
            format!(
                "aws ssm get-parameter --region {} --name {} --with-decryption --query Parameter.Value --output text",
                environment.region,
                names.secret(SecretName::Webhook)
            ),
        ),
        (
            SecretName::ForgeToken.name(),
            "a site administrator's, scopes write:admin, write:organization, write:repository"
                .to_owned(),
        ),
        (
            SecretName::RegistrationToken.name(),
            "from Site administration, Actions, Runners, \"Create new runner\"".to_owned(),
        ),
    ];
    if environment.uses_clone_token() {
        rows.push((
            SecretName::CloneToken.name(),
            "scope read:repository, of a user who sees only what jobs may clone".to_owned(),
        ));
    }
    rows.push(("set a token", words.set_secret.clone()));
    let title = "For the administrator of the forge";
    let mut text = format!("{}\n", words.colour.paint(Ink::Bold, title));
    for (word, value) in rows {
        line(&mut text, &format!("  {word:<19} {value}"));
    }
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}
