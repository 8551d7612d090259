//! The kinds of an event, `types`, in the words that workflows have for them.
//!
//! Each is a plain glob. A bad one makes the forge panic, and then nothing at all starts.

use serde_json::Value;

use super::{Judgement, Step, TriggerInputs, Way, filter, rule, unknown_key};
use crate::document::on::OnEvent;
use crate::pattern::glob::{Glob, GlobDialect};
use crate::server::{Capability, Server};

/// What a delivery says was done, in the words of workflows.
pub(super) struct Said<'a> {
    /// It was all of these.
    kinds: Vec<&'a str>,
    /// It was at least one of them, and the delivery does not tell which.
    is_open: bool,
}

impl<'a> Said<'a> {
    fn all(kinds: Vec<&'a str>) -> Self {
        let is_open = false;
        Self { kinds, is_open }
    }
}

/// Kinds of a pull request that start a workflow which names none.
const PULL_DEFAULTS: [&str; 3] = ["opened", "reopened", "synchronized"];

/// The delivery's own word, some of which have others in workflows.
pub(super) fn of_action<'a>(payload: &'a Value, words: &[(&str, &'static str)]) -> Said<'a> {
    let action = payload["action"].as_str().unwrap_or_default();
    let other = words.iter().find(|(own, _)| *own == action);
    Said::all(vec![other.map_or(action, |(_, other)| *other)])
}

/// An issue. Gitea from 1.25 on looks at which labels changed, though its webhooks don't tell
/// (measured on 1.26); before, and in Forgejo, every change is `labeled`.
pub(super) fn of_issue(payload: &Value, server: Server) -> Said<'_> {
    let words = [("label_updated", "labeled"), ("label_cleared", "unlabeled")];
    if payload["action"] != "label_updated" || !server.has(Capability::ComparesIssueLabels) {
        return of_action(payload, &words);
    }
    let is_told = payload["changes"].is_object();
    let has = |list: &str| {
        let labels = payload["changes"][list].as_array();
        labels.is_some_and(|labels| !labels.is_empty())
    };
    let kinds = [("added_labels", "labeled"), ("removed_labels", "unlabeled")];
    let changed = kinds.into_iter().filter(|(list, _)| !is_told || has(list));
    Said {
        kinds: changed.map(|(_, kind)| kind).collect(),
        is_open: !is_told,
    }
}

/// A review: one word of the forge stands for several of workflows.
pub(super) fn of_review<'a>(payload: &Value, words: &[&'static str]) -> Said<'a> {
    let is_one = payload["action"] == "reviewed";
    Said::all(if is_one { words.to_vec() } else { Vec::new() })
}

/// The kind of a pull request. `Err`: the forge panics at it.
pub(super) fn of_pull(on: &OnEvent, given: TriggerInputs<'_>) -> Result<Step, Step> {
    let TriggerInputs {
        payload, server, ..
    } = given;
    let Some((_, types)) = on.filters.iter().find(|(name, _)| name == "types") else {
        let action = payload["action"].as_str().unwrap_or_default();
        let is_default = PULL_DEFAULTS.contains(&action);
        return Ok(Step {
            rule: "types: [opened, synchronize, reopened]".to_owned(),
            holds: Some(is_default),
            why: format!("the pull request was {action}; these are meant where none is named"),
        });
    };
    let words = [
        ("synchronized", "synchronize"),
        ("label_updated", "labeled"),
        ("label_cleared", "unlabeled"),
    ];
    step(types, &of_action(payload, &words), server)
}

/// Judges an event that has kinds and nothing else.
pub(super) fn judge(on: &OnEvent, said: &Said<'_>, given: TriggerInputs<'_>) -> Judgement {
    let steps = on.filters.iter().map(|one| match one.0.as_str() {
        "types" => step(&one.1, said, given.server),
        _ => Ok(unknown_key(one)),
    });
    Judgement::of_steps(steps.collect())
}

/// Judges a run of another workflow (Gitea since 1.25).
pub(super) fn judge_run(on: &OnEvent, given: TriggerInputs<'_>) -> Judgement {
    let TriggerInputs {
        payload, server, ..
    } = given;
    let said = of_action(payload, &[]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let workflow = text(&payload["workflow"]["name"]);
    let branch = text(&payload["workflow_run"]["head_branch"]);
    let steps = on.filters.iter().map(|one| match one.0.as_str() {
        "types" => step(&one.1, &said, server),
        "workflows" => Ok(filter(one, Way::Include, &[&workflow], given)),
        "branches" => Ok(filter(one, Way::Include, &[&branch], given)),
        "branches-ignore" => Ok(filter(one, Way::Ignore, &[&branch], given)),
        _ => Ok(unknown_key(one)),
    });
    Judgement::of_steps(steps.collect())
}

/// `Err`: the forge panics at one of the types.
fn step(types: &[String], said: &Said<'_>, server: Server) -> Result<Step, Step> {
    let was = match said.kinds.as_slice() {
        [] => "of no kind that workflows have a word for".to_owned(),
        kinds if said.is_open => kinds.join(" or "),
        kinds => kinds.join(" and "),
    };
    let result = |holds, why| Step {
        rule: rule("types", types),
        holds,
        why,
    };
    let mut unmatched = said.kinds.clone();
    for glob in types {
        match Glob::compile(GlobDialect::of(server), glob, &['/']) {
            Ok(ready) => {
                let count = unmatched.len();
                unmatched.retain(|kind| !ready.matches(kind));
                let is_met = unmatched.is_empty() || !said.is_open;
                if unmatched.len() < count && is_met {
                    let why = format!("it was {was}, which matches {glob}");
                    return Ok(result(Some(true), why));
                }
            }
            Err(bad) if bad.is_refused_by_the_forge() => {
                return Err(result(Some(false), bad.to_string()));
            }
            Err(bad) => return Ok(result(None, bad.to_string())),
        }
    }
    if said.is_open && unmatched.len() < said.kinds.len() {
        let why = format!("it was {was}: the delivery does not tell");
        return Ok(result(None, why));
    }
    Ok(result(Some(false), format!("it was {was}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn held(types: &[&str], payload: &Value, server: Server) -> Option<bool> {
        let types: Vec<String> = types.iter().map(|&one| one.to_owned()).collect();
        let step = step(&types, &of_issue(payload, server), server);
        step.unwrap().holds
    }

    #[test]
    fn which_labels_changed_is_unknown_where_a_webhook_does_not_tell() {
        let told = json!({"action": "label_updated", "changes": {"added_labels": [{"name": "x"}]}});
        let untold = json!({"action": "label_updated"});
        let server = Server::GITEA_1_26;
        let old = Server::parse("1.24.0").unwrap();
        for (types, payload, server, expected) in [
            (&["labeled"][..], &told, server, Some(true)),
            (&["unlabeled"], &told, server, Some(false)),
            (&["labeled"], &untold, server, None),
            (&["opened", "unlabeled"], &untold, server, None),
            (&["labeled", "unlabeled"], &untold, server, Some(true)),
            (&["*labeled"], &untold, server, Some(true)),
            (&["opened"], &untold, server, Some(false)),
            (&["labeled"], &untold, old, Some(true)),
            (&["unlabeled"], &untold, old, Some(false)),
        ] {
            assert_eq!(
                held(types, payload, server),
                expected,
                "{types:?} {payload}"
            );
        }
    }
}
