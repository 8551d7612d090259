//! Whether an event starts a workflow: does its name fit, and does every filter hold.
//!
//! Gitea 1.26 and Forgejo, `modules/actions` (`canGithubEventMatch`, `detectMatched`). Every filter is
//! judged and counted, none is skipped, so that each can say why.

mod push;
mod types;

use serde_json::Value;

use crate::budget::{self, Budget};
use crate::document::on::OnEvent;
use crate::event::EventKind;
use crate::pattern::{PatternList, Way};
use crate::server::{ForgeKind, Server};

/// Words that keep a push or a pull request from starting anything, unless an administrator has set
/// others (`SKIP_WORKFLOW_STRINGS`; Gitea since 1.22, Forgejo). Capitals count.
const SKIP_STRINGS: [&str; 5] = [
    "[skip ci]",
    "[ci skip]",
    "[no ci]",
    "[skip actions]",
    "[actions skip]",
];

/// Most inputs that a reason names.
const NAMED_MAX: usize = 3;

/// The files that an event changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// They were not fetched: no rule looks at them.
    NotFetched,
    /// They can't be known, and why.
    Unknown(String),
    /// These, as git sorts them.
    Files(Vec<String>),
}

/// What a workflow's event comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It starts.
    Matched,
    /// It is of this event, and a filter on branches, tags or paths keeps it out.
    FilteredOut,
    /// It is of another event, or of another kind of this one.
    NotApplicable,
    /// A rule rests on what can't be known.
    Unknown,
    /// The forge's code fails on a rule, and nothing at all starts.
    Crashes,
}

impl Outcome {
    /// Its word in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::FilteredOut => "filtered_out",
            Self::NotApplicable => "not_applicable",
            Self::Unknown => "unknown",
            Self::Crashes => "crashes",
        }
    }
}

/// What became of a workflow's event, rule by rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What it comes to.
    pub outcome: Outcome,
    /// The rules in the file's order.
    pub steps: Vec<Step>,
}

/// One rule and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The rule as it stands in the file.
    pub rule: String,
    /// Whether it holds; `None`: that can't be known.
    pub holds: Option<bool>,
    /// Why.
    pub why: String,
}

/// Whether a workflow's event can be started by what happened (`canGithubEventMatch`): forges have
/// finer words than workflows.
#[must_use]
pub fn can_match(on: &str, kind: EventKind) -> bool {
    match on {
        "registry_package" => kind == EventKind::Package,
        "gollum" => kind == EventKind::Wiki,
        "issues" => matches!(
            kind,
            EventKind::Issues
                | EventKind::IssueAssign
                | EventKind::IssueLabel
                | EventKind::IssueMilestone
        ),
        "pull_request" | "pull_request_target" => kind.is_of_a_pull_request(),
        "pull_request_review" => kind.is_of_a_review(),
        "issue_comment" => matches!(
            kind,
            EventKind::IssueComment | EventKind::PullRequestComment
        ),
        other => other == kind.word(),
    }
}

/// Whether a rule of `on` looks at changed files when `hook` happens.
pub(crate) fn asks_for_paths(on: &OnEvent, kind: EventKind) -> bool {
    let is_of_commits = kind == EventKind::Push || kind.is_of_a_pull_request();
    let asks = |(name, _): &(String, Vec<String>)| name == "paths" || name == "paths-ignore";
    is_of_commits && can_match(&on.name, kind) && on.filters.iter().any(asks)
}

/// The words in `text`, a commit's message or a pull request's title, that keep `hook` from starting
/// anything (`skipWorkflows`).
#[must_use]
pub fn skip_string(kind: EventKind, text: &str) -> Option<&'static str> {
    let can_skip = matches!(
        kind,
        EventKind::Push | EventKind::PullRequest | EventKind::PullRequestSync
    );
    let is_in = |words: &&str| text.contains(*words);
    SKIP_STRINGS
        .into_iter()
        .find(|words| can_skip && is_in(words))
}

/// Inputs of the trigger rules.
#[derive(Debug, Clone, Copy)]
pub struct TriggerInputs<'a> {
    /// The kind of the event.
    pub kind: EventKind,
    /// Its delivery.
    pub payload: &'a Value,
    /// Which files changed.
    pub changed: &'a Changed,
    /// Whose rules count.
    pub server: Server,
    /// How much work is left.
    pub budget: &'a Budget,
}

/// Whether the event `on` of a workflow is started by what happened.
#[must_use]
pub fn judge(on: &OnEvent, given: TriggerInputs<'_>) -> Judgement {
    let TriggerInputs {
        kind,
        payload,
        server,
        ..
    } = given;
    if !can_match(&on.name, kind) {
        return Judgement::other(on, format!("this is {}", kind.word()));
    }
    // A list below an event's name makes it a schedule, whatever its name is (`IsSchedule`).
    if !on.schedules.is_empty() && kind != EventKind::Schedule {
        return Judgement::other(on, "a list below it is read as a schedule".to_owned());
    }
    let of_types = |said: &types::Said<'_>| types::judge(on, said, given);
    match kind {
        EventKind::Create
        | EventKind::Delete
        | EventKind::Fork
        | EventKind::Wiki
        | EventKind::Schedule => Judgement::without_filters(on),
        EventKind::WorkflowDispatch => match server.kind {
            ForgeKind::Forgejo => Judgement::without_filters(on),
            ForgeKind::Gitea => Judgement::other(
                on,
                "it is started by hand, which no delivery tells of".to_owned(),
            ),
        },
        EventKind::Push => push::judge(on, given),
        EventKind::PullRequest
        | EventKind::PullRequestSync
        | EventKind::PullRequestAssign
        | EventKind::PullRequestLabel
        | EventKind::PullRequestReviewRequest
        | EventKind::PullRequestMilestone => push::judge_pull(on, given),
        EventKind::Issues
        | EventKind::IssueAssign
        | EventKind::IssueLabel
        | EventKind::IssueMilestone => of_types(&types::of_issue(payload, server)),
        EventKind::PullRequestReviewApproved | EventKind::PullRequestReviewRejected => {
            of_types(&types::of_review(payload, &["submitted", "edited"]))
        }
        EventKind::PullRequestReviewComment => {
            of_types(&types::of_review(payload, &["created", "edited"]))
        }
        EventKind::IssueComment | EventKind::PullRequestComment => {
            of_types(&types::of_action(payload, &[]))
        }
        EventKind::Release => of_types(&types::of_action(payload, &[("updated", "edited")])),
        EventKind::Package => of_types(&types::of_action(payload, &[("created", "published")])),
        EventKind::WorkflowRun => types::judge_run(on, given),
    }
}

impl Judgement {
    /// It is not of this event.
    fn other(on: &OnEvent, why: String) -> Self {
        Self {
            outcome: Outcome::NotApplicable,
            steps: vec![Step {
                rule: format!("on: {}", on.name),
                holds: Some(false),
                why,
            }],
        }
    }

    /// Somebody disabled the workflow at the forge: it starts nothing (Gitea 1.26, `notify`).
    pub(super) fn disable(&mut self) {
        match self.outcome {
            Outcome::NotApplicable | Outcome::FilteredOut | Outcome::Crashes => return,
            Outcome::Matched | Outcome::Unknown => {}
        }
        self.outcome = Outcome::FilteredOut;
        self.steps.push(Step {
            rule: "enabled".to_owned(),
            holds: Some(false),
            why: "somebody disabled this workflow on the forge's page of the repository's Actions"
                .to_owned(),
        });
    }

    /// Events that have no kinds: what stands below them is not looked at.
    fn without_filters(on: &OnEvent) -> Self {
        let ignored = on.filters.iter().map(|(name, values)| Step {
            rule: rule(name, values),
            holds: Some(true),
            why: format!("not looked at for {}", on.name),
        });
        Self {
            outcome: Outcome::Matched,
            steps: ignored.collect(),
        }
    }

    /// The same of an event that has kinds: `Err` is one at which the forge panics.
    fn of_steps(steps: Result<Vec<Step>, Step>) -> Self {
        match steps {
            Ok(steps) => Self::of_all(steps, Outcome::NotApplicable, 0),
            Err(crash) => Self {
                outcome: Outcome::Crashes,
                steps: vec![crash],
            },
        }
    }

    /// What the steps come to if all must hold; `missed` if one does not. `bonus` steps count beside.
    fn of_all(steps: Vec<Step>, missed: Outcome, bonus: usize) -> Self {
        let count = |holds| steps.iter().filter(|step| step.holds == holds).count();
        let (held, unknown) = (count(Some(true)) + bonus, count(None));
        // The forge compares numbers: one too many is as wrong as one too few.
        let outcome = if unknown == 0 && held == steps.len() {
            Outcome::Matched
        } else if unknown > 0 && (held..=held + unknown).contains(&steps.len()) {
            Outcome::Unknown
        } else {
            missed
        };
        Self { outcome, steps }
    }
}

/// A filter as it stands in the file.
fn rule(name: &str, values: &[String]) -> String {
    format!("{name}: [{}]", values.join(", "))
}

/// A key that the forge does not know for this event.
fn unknown_key(one: &(String, Vec<String>)) -> Step {
    let why = format!(
        "the forge knows no {} here, and then never starts it",
        one.0
    );
    said(one, Some(false), why)
}

/// What a filter said.
fn said((name, values): &(String, Vec<String>), holds: Option<bool>, why: String) -> Step {
    Step {
        rule: rule(name, values),
        holds,
        why,
    }
}

/// Judges a filter of patterns on `inputs`.
fn filter<S: AsRef<str>>(
    one: &(String, Vec<String>),
    way: Way,
    inputs: &[S],
    given: TriggerInputs<'_>,
) -> Step {
    let said = |holds, why| said(one, holds, why);
    let (_, patterns) = one;
    let bytes: usize = patterns.iter().map(String::len).sum();
    if let Err(spent) = given.budget.take(bytes as u64 * budget::PATTERN_BYTE) {
        return said(None, spent.to_string());
    }
    let list = match PatternList::compile(given.server.dialect(), patterns) {
        Ok(list) => list,
        Err(bad) if bad.is_refused_by_the_forge() => return said(Some(false), bad.to_string()),
        Err(bad) => return said(None, bad.to_string()),
    };
    if list.is_empty() {
        return said(Some(true), "an empty list keeps nothing out".to_owned());
    }
    for input in inputs {
        let input = input.as_ref();
        let decision = list.decide_within(given.budget, way, input);
        let by = |by: Option<&str>| by.unwrap_or_default().to_owned();
        match (way, decision) {
            (_, Err(spent)) => return said(None, spent.to_string()),
            (Way::Include, Ok(one)) if one.holds => {
                return said(Some(true), format!("{input} matches {}", by(one.by)));
            }
            (Way::Ignore, Ok(one)) if !one.holds => {
                return said(Some(true), format!("{input} is not ignored"));
            }
            (Way::Include | Way::Ignore, Ok(_)) => {}
        }
    }
    let none = match way {
        Way::Include => "no match",
        Way::Ignore => "all ignored",
    };
    said(Some(false), format!("{none}: {}", named(inputs)))
}

/// Inputs in a reason.
fn named<S: AsRef<str>>(inputs: &[S]) -> String {
    let names: Vec<&str> = inputs.iter().take(NAMED_MAX).map(AsRef::as_ref).collect();
    match inputs.len() {
        0 => "no changed file".to_owned(),
        count if count > NAMED_MAX => format!("{count} files, {}, …", names.join(", ")),
        _ => names.join(", "),
    }
}
