//! Plans, surveys and the hand-over as people read them.

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};
use stacks::names::SecretName;
use stacks::rehearsal::{RehearsedCall, Verdict};

use crate::apply::StackOutputs;
use crate::differ::{Effect, PropertyChange, ResourceChange};
use crate::environment::Environment;
use crate::named_images::PlacedImage;
use crate::plan::{Action, MissingSecret, Plan, Repair, StackPlan};
use crate::rehearsal::Rehearsed;
use crate::teardown::{Kind, Teardown};
use crate::world::Remaining;

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

/// Longest value that is shown in full; the rest of it is in the templates.
const VALUE_MAX_CHARS: usize = 100;

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// What is being written.
struct Page {
    text: String,
    palette: Palette,
}

/// The plan for people.
#[must_use]
pub fn plan(plan: &Plan, presentation: &Presentation) -> String {
    let palette = presentation.palette;
    let mut page = Page::headed(&plan.name, &plan.account, &plan.region, palette);
    for stack in &plan.stacks {
        page.stack(stack);
    }
    let mut also = Vec::new();
    if plan.make_spot_role {
        also.push("make the account's role for Spot (AWSServiceRoleForEC2Spot)".to_owned());
    }
    if let Some(key) = &plan.upload_code {
        let key = shortened(key);
        also.push(format!("upload the function's code as {key}"));
    }
    for PlacedImage { parameter, ami, .. } in &plan.place_images {
        also.push(format!("have {parameter} name {ami}"));
    }
    for secret in &plan.write_secrets {
        also.push(format!("write the secret {secret}"));
    }
    if plan.make_webhook_secret {
        also.push(format!("make the secret {}", SecretName::Webhook.name()));
    }
    for step in also {
        page.line(&format!("\n{} {step}", paint(palette.added, "+")));
    }
    let sign = paint(palette.changed, "!");
    for notice in &plan.notices {
        page.line(&format!("\n{sign} {notice}"));
    }
    for MissingSecret { name, without } in &plan.missing_secrets {
        let set = presentation.set_secret.replace("NAME", name);
        page.line(&format!("\n{sign} no {name}: {without}\n  {set}"));
    }
    page.text
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

impl Page {
    /// Begins with whose account and region it is about.
    fn headed(name: &str, account: &str, region: &str, palette: Palette) -> Self {
        let name = paint(palette.title, name);
        let text = format!("{name}  account {account}  {region}\n");
        Self { text, palette }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn stack(&mut self, plan: &StackPlan) {
        let palette = self.palette;
        let (sign, style, word) = match &plan.action {
            Action::Create => ("+", palette.added, "create"),
            Action::Update => ("~", palette.changed, "update"),
            Action::Unchanged => ("=", palette.faint, "unchanged"),
            Action::Blocked(because) => ("!", palette.removed, because.as_str()),
        };
        let repair = match plan.repair {
            None => "",
            Some(Repair::DeleteLeftover) => ", after deleting what a change set left behind",
            Some(Repair::DeleteFailedCreate) => {
                ", after deleting what a failed creation left behind"
            }
            Some(Repair::FinishDelete) => ", after finishing a deletion that failed",
            Some(Repair::ContinueRollback) => ", after continuing its rollback",
        };
        let head = format!("{sign} {:<24} {word}{repair}", plan.name);
        self.line(&format!("\n{}", paint(style, &head)));
        if plan.protect {
            self.line("    protect it from deletion");
        }
        if plan.repair.is_some() {
            for Remaining { id, kind, name } in &plan.remains {
                let head = format!("- {id:<24} {kind:<32} is deleted: {name}");
                self.line(&format!("    {}", paint(palette.removed, &head)));
            }
        }
        for setting in &plan.settings {
            self.property(setting);
        }
        for resource in &plan.resources {
            self.resource(resource);
        }
    }

    fn resource(&mut self, change: &ResourceChange) {
        let palette = self.palette;
        let (sign, style, word) = match change.effect {
            Effect::Create => ("+", palette.added, ""),
            Effect::InPlace => ("~", palette.changed, "in place"),
            Effect::MayReplace => ("~", palette.changed, "may be replaced"),
            Effect::Replace => ("-/+", palette.removed, "is replaced"),
            Effect::Delete => ("-", palette.removed, "is deleted"),
            Effect::Keep => ("-", palette.changed, "leaves the stack and stays"),
            Effect::Unknown => ("~", palette.changed, ""),
        };
        let data = match change.effect {
            Effect::Replace | Effect::Delete => "  ITS DATA IS LOST",
            Effect::MayReplace => "  its data would be lost",
            Effect::Create | Effect::InPlace | Effect::Keep | Effect::Unknown => "",
        };
        let data = if change.holds_data { data } else { "" };
        let head = format!("{sign} {:<24} {:<32} {word}", change.id, change.kind);
        let (head, data) = (paint(style, head.trim_end()), paint(palette.removed, data));
        self.line(&format!("    {head}{data}"));
        for property in &change.properties {
            self.property(property);
        }
    }

    fn property(&mut self, change: &PropertyChange) {
        let PropertyChange {
            path,
            before,
            after,
        } = change;
        if let (Some(Value::String(before)), Some(Value::String(after))) = (before, after)
            && (before.contains('\n') || after.contains('\n'))
        {
            self.line(&format!("        {path}"));
            self.script(before, after);
            return;
        }
        let shown = |style, side: &Option<Value>| {
            let text = side.as_ref().map_or_else(|| "nothing".to_owned(), value);
            paint(style, &text)
        };
        let before = shown(self.palette.removed, before);
        let arrow = paint(self.palette.faint, "→");
        let after = shown(self.palette.added, after);
        self.line(&format!("        {path}  {before} {arrow} {after}"));
    }

    /// The lines of a script that differ.
    fn script(&mut self, before: &str, after: &str) {
        for change in TextDiff::from_lines(before, after).iter_all_changes() {
            let (sign, style) = match change.tag() {
                ChangeTag::Equal => continue,
                ChangeTag::Delete => ("-", self.palette.removed),
                ChangeTag::Insert => ("+", self.palette.added),
            };
            let changed = format!("{sign} {}", change.value().trim_end());
            self.line(&format!("          {}", paint(style, &changed)));
        }
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
    let (name, account, region) = (&teardown.name, &teardown.account, &teardown.region);
    if teardown.is_empty() {
        return format!("There is nothing of {name} in account {account}, {region}.\n");
    }
    let mut page = Page::headed(name, account, region, palette);
    page.line("");
    for found in &teardown.found {
        let holds = match found.kind {
            Kind::Bucket => "holds the function's code",
            Kind::Stack if found.name.ends_with("-state") => {
                "holds the ledger, the logs and the address that stands in every webhook"
            }
            Kind::Table => "holds the ledger",
            Kind::LogGroup => "holds the logs",
            Kind::Api => "is the address that stands in every webhook",
            Kind::Parameter if found.name.contains("/secret/") => "holds a secret",
            Kind::Stack
            | Kind::Instance
            | Kind::Parameter
            | Kind::Function
            | Kind::Role
            | Kind::LaunchTemplate
            | Kind::SecurityGroup
            | Kind::Image
            | Kind::Snapshot => "",
        };
        let kind = found.kind.to_string();
        let row = format!("- {kind:<16} {:<44} {}", found.name, found.detail);
        let holds = paint(palette.removed, holds);
        page.line(&format!("{}  {holds}", row.trim_end()));
    }
    page.text
}

/// The calls of the function, and whether it may make them.
#[must_use]
pub fn rehearsal(rehearsed: &[Rehearsed], palette: Palette) -> String {
    let title = "The function's calls, tried under its own role; nothing was launched";
    let mut page = Page {
        text: format!("{}\n", paint(palette.title, title)),
        palette,
    };
    for one in rehearsed {
        let (sign, style) = match one.call.verdict {
            Verdict::Allowed => ("+", palette.added),
            Verdict::Denied => ("-", palette.removed),
            Verdict::Unknown => ("?", palette.changed),
        };
        let sign = paint(style, sign);
        let RehearsedCall {
            action,
            what,
            words,
            verdict,
        } = &one.call;
        let verdict = match verdict {
            Verdict::Allowed => "allowed",
            Verdict::Denied => "denied",
            Verdict::Unknown => "unknown",
        };
        page.line(&format!("  {sign} {action:<24} {what:<36} {verdict}"));
        if !words.is_empty() {
            page.line(&format!("    {words}"));
        }
        if let Some(denial) = &one.denial {
            if !denial.resource.is_empty() {
                page.line(&format!("    {} on {}", denial.action, denial.resource));
            }
            if denial.is_forbidden {
                page.line(
                    "    a statement forbids it: of the role, of its permissions boundary or of the organization",
                );
            }
        }
        if !one.statements.is_empty() {
            let of = one.statements.join(", ");
            page.line(&format!(
                "    allowed by statement {of} of the function's role, as deployed by `up`"
            ));
        }
    }
    page.text
}

/// What the forge's administrator has to know and do. `hook_url` replaces the API's own address.
#[must_use]
pub fn hand_over(
    environment: &Environment,
    outputs: &StackOutputs,
    hook_url: Option<&str>,
    presentation: &Presentation,
) -> String {
    let own = outputs.api_endpoint();
    let own = own.map(|endpoint| format!("{endpoint}/dispatch"));
    let url = hook_url.map(str::to_owned).or(own);
    let url = url.unwrap_or_else(|| "(not deployed)".to_owned());
    let secret = format!(
        "aws ssm get-parameter --region {} --name {} --with-decryption --query Parameter.Value --output text",
        environment.region,
        environment.names().secret(SecretName::Webhook)
    );
    let mut rows = vec![
        ("webhook", &*url),
        (
            "",
            "POST, application/json; on the instance, an organization or a repository",
        ),
        ("events", "push, workflow_job"),
        ("secret", &*secret),
        (
            SecretName::ForgeToken.name(),
            "a site administrator's, scopes write:admin, write:organization, write:repository",
        ),
        (
            SecretName::RegistrationToken.name(),
            "from Site administration, Actions, Runners, \"Create new runner\"",
        ),
    ];
    if environment.uses_clone_token() {
        rows.push((
            SecretName::CloneToken.name(),
            "scope read:repository, of a user who sees only what jobs may clone",
        ));
    }
    rows.push(("set a token", &presentation.set_secret));
    let title = "For the administrator of the forge";
    let mut page = Page {
        text: format!("{}\n", paint(presentation.palette.title, title)),
        palette: presentation.palette,
    };
    for (word, value) in rows {
        page.line(&format!("  {word:<19} {value}"));
    }
    page.text
}
