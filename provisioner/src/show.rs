//! Plans, surveys and the hand-over as people read them.

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};
use stacks::names::SecretName;

use crate::apply::StackOutputs;
use crate::differ::{Effect, PropertyChange, ResourceChange};
use crate::environment::Environment;
use crate::plan::{Action, Plan, Repair, StackPlan};
use crate::teardown::{Kind, Teardown};

/// The styles of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    added: Style,
    changed: Style,
    removed: Style,
    faint: Style,
    title: Style,
}

impl Palette {
    /// For a file, a pipe, or a terminal whose owner wants no colours.
    pub const PLAIN: Self = Self {
        added: Style::new(),
        changed: Style::new(),
        removed: Style::new(),
        faint: Style::new(),
        title: Style::new(),
    };
    /// For a terminal.
    pub const COLOURS: Self = Self {
        added: AnsiColor::Green.on_default(),
        changed: AnsiColor::Yellow.on_default(),
        removed: AnsiColor::Red.on_default(),
        faint: Style::new().dimmed(),
        title: Style::new().bold(),
    };
}

/// How what is printed looks and addresses its reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presentation {
    /// Its styles.
    pub palette: Palette,
    /// The command that sets the secret NAME of this deployment.
    pub set_secret: String,
}

impl Presentation {
    fn set_secret(&self, name: &str) -> String {
        self.set_secret.replace("NAME", name)
    }
}

/// Longest value that is shown in full; the rest of it is in the templates.
const VALUE_MAX_CHARS: usize = 100;

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// The plan for people.
#[must_use]
pub fn plan(plan: &Plan, presentation: &Presentation) -> String {
    let palette = presentation.palette;
    let mut text = format!(
        "{}  account {}  {}\n",
        paint(palette.title, &plan.name),
        plan.account,
        plan.region
    );
    for one in &plan.stacks {
        stack(&mut text, one, palette);
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
            &format!("\n{} {step}", paint(palette.added, "+")),
        );
    }
    for notice in &plan.notices {
        line(
            &mut text,
            &format!("\n{} {notice}", paint(palette.changed, "!")),
        );
    }
    for missing in &plan.missing_secrets {
        let (name, without) = (missing.name, missing.without);
        let sign = paint(palette.changed, "!");
        line(
            &mut text,
            &format!(
                "\n{sign} no {name}: {without}\n  {}",
                presentation.set_secret(name)
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

fn stack(text: &mut String, plan: &StackPlan, palette: Palette) {
    let (sign, style, word) = match &plan.action {
        Action::Create => ("+", palette.added, "create".to_owned()),
        Action::Update => ("~", palette.changed, "update".to_owned()),
        Action::Unchanged => ("=", palette.faint, "unchanged".to_owned()),
        Action::Blocked(because) => ("!", palette.removed, because.clone()),
    };
    let repair = match plan.repair {
        None => "",
        Some(Repair::DeleteLeftover) => ", after deleting what a change set left behind",
        Some(Repair::DeleteFailedCreate) => ", after deleting what a failed creation left behind",
        Some(Repair::ContinueRollback) => ", after continuing its rollback",
    };
    let head = format!("{sign} {:<24} {word}{repair}", plan.name);
    line(text, &format!("\n{}", paint(style, &head)));
    if plan.protect {
        line(text, "    protect it from deletion");
    }
    for setting in &plan.settings {
        property(text, setting, palette);
    }
    for one in &plan.resources {
        resource(text, one, palette);
    }
}

fn resource(text: &mut String, change: &ResourceChange, palette: Palette) {
    let (sign, style, word) = match change.effect {
        Effect::Create => ("+", palette.added, ""),
        Effect::InPlace => ("~", palette.changed, "in place"),
        Effect::MayReplace => ("~", palette.changed, "may be replaced"),
        Effect::Replace => ("-/+", palette.removed, "is replaced"),
        Effect::Delete => ("-", palette.removed, "is deleted"),
        Effect::Keep => ("-", palette.changed, "leaves the stack and stays"),
        Effect::Unknown => ("~", palette.changed, ""),
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
            paint(style, head.trim_end()),
            paint(palette.removed, data)
        ),
    );
    for one in &change.properties {
        property(text, one, palette);
    }
}

fn property(text: &mut String, change: &PropertyChange, palette: Palette) {
    if let (Some(Value::String(before)), Some(Value::String(after))) =
        (&change.before, &change.after)
        && (before.contains('\n') || after.contains('\n'))
    {
        line(text, &format!("        {}", change.path));
        script(text, before, after, palette);
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
            paint(palette.removed, &before),
            paint(palette.faint, "→"),
            paint(palette.added, &after)
        ),
    );
}

/// The lines of a script that differ.
fn script(text: &mut String, before: &str, after: &str, palette: Palette) {
    for change in TextDiff::from_lines(before, after).iter_all_changes() {
        let (sign, style) = match change.tag() {
            ChangeTag::Equal => continue,
            ChangeTag::Delete => ("-", palette.removed),
            ChangeTag::Insert => ("+", palette.added),
        };
        let changed = format!("{sign} {}", change.value().trim_end());
        line(text, &format!("          {}", paint(style, &changed)));
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
pub fn survey(teardown: &Teardown, palette: Palette) -> String {
    if teardown.is_empty() {
        return format!(
            "There is nothing of {} in account {}, {}.\n",
            teardown.name, teardown.account, teardown.region
        );
    }
    let mut text = format!(
        "{}  account {}  {}\n\n",
        paint(palette.title, &teardown.name),
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
            &format!("{}  {}", row.trim_end(), paint(palette.removed, holds)),
        );
    }
    text
}

/// What the forge's administrator has to know and do. `hook_url` replaces the API's own address.
#[must_use]
pub fn hand_over(
    environment: &Environment,
    outputs: &StackOutputs,
    hook_url: Option<&str>,
    presentation: &Presentation,
) -> String {
    let names = environment.names();
    let own = outputs
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
    rows.push(("set a token", presentation.set_secret.clone()));
    let title = "For the administrator of the forge";
    let mut text = format!("{}\n", paint(presentation.palette.title, title));
    for (word, value) in rows {
        line(&mut text, &format!("  {word:<19} {value}"));
    }
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}
