//! Pushes and pull requests: branches, tags and paths.
//!
//! The forge counts the filters that hold and compares with their number. Of a push, filters on
//! branches hold for branches only and filters on tags for tags only; a workflow that has both kinds
//! gets one for free, so that either side suffices (and two of one side do not). Filters on paths hold
//! for every tag (Gitea since 1.24, #34602; Forgejo). A key that the forge does not know never holds.

use super::{
    Changed, Judgement, Outcome, Step, TriggerInputs, Way, filter, said, types, unknown_key,
};
use crate::document::on::OnEvent;
use crate::server::Capability;

/// What was pushed.
#[derive(Debug, Clone, Copy)]
enum Pushed<'a> {
    Branch(&'a str),
    Tag(&'a str),
    Other(&'a str),
}

impl<'a> Pushed<'a> {
    fn of(git_ref: &'a str) -> Self {
        if let Some(branch) = git_ref.strip_prefix("refs/heads/") {
            Self::Branch(branch)
        } else if let Some(tag) = git_ref.strip_prefix("refs/tags/") {
            Self::Tag(tag)
        } else {
            Self::Other(git_ref)
        }
    }

    fn words(self) -> String {
        match self {
            Self::Branch(name) => format!("{name} is a branch"),
            Self::Tag(name) => format!("{name} is a tag"),
            Self::Other(name) => format!("{name} is neither a branch nor a tag"),
        }
    }
}

/// Judges a push.
pub(super) fn judge(on: &OnEvent, given: TriggerInputs<'_>) -> Judgement {
    let pushed = Pushed::of(given.payload["ref"].as_str().unwrap_or_default());
    let mut steps = Vec::new();
    let (mut has_branches, mut has_tags) = (false, false);
    for one in &on.filters {
        let (name, way) = key(&one.0);
        let step = match name {
            "branches" => {
                has_branches = true;
                match pushed {
                    Pushed::Branch(branch) => filter(one, way, &[branch], given),
                    Pushed::Tag(_) | Pushed::Other(_) => said(one, Some(false), pushed.words()),
                }
            }
            "tags" => {
                has_tags = true;
                match pushed {
                    Pushed::Tag(tag) => filter(one, way, &[tag], given),
                    Pushed::Branch(_) | Pushed::Other(_) => said(one, Some(false), pushed.words()),
                }
            }
            "paths" => match pushed {
                Pushed::Tag(_) if given.server.has(Capability::TagsPassPaths) => {
                    said(one, Some(true), "of a tag, every path counts".to_owned())
                }
                Pushed::Tag(_) | Pushed::Branch(_) | Pushed::Other(_) => paths(one, way, given),
            },
            _ => unknown_key(one),
        };
        steps.push(step);
    }
    let bonus = usize::from(has_branches && has_tags);
    Judgement::of_all(steps, Outcome::FilteredOut, bonus)
}

/// Judges a pull request: its kind first, which has a default, then the branch that it goes to and the
/// files between the two sides.
pub(super) fn judge_pull(on: &OnEvent, given: TriggerInputs<'_>) -> Judgement {
    let kind = match types::of_pull(on, given) {
        Ok(kind) => kind,
        Err(crash) => return Judgement::of_steps(Err(crash)),
    };
    if kind.holds != Some(true) {
        let outcome = match kind.holds {
            None => Outcome::Unknown,
            Some(_) => Outcome::NotApplicable,
        };
        return Judgement {
            outcome,
            steps: vec![kind],
        };
    }
    let base = given.payload["pull_request"]["base"]["ref"].as_str();
    let base = base.unwrap_or_default();
    let base = base.strip_prefix("refs/heads/").unwrap_or(base);
    let mut steps = vec![kind];
    for one in on.filters.iter().filter(|(name, _)| name != "types") {
        let (name, way) = key(&one.0);
        steps.push(match name {
            "branches" => filter(one, way, &[base], given),
            "paths" => paths(one, way, given),
            _ => unknown_key(one),
        });
    }
    Judgement::of_all(steps, Outcome::FilteredOut, 0)
}

/// A key and which way it works.
fn key(name: &str) -> (&str, Way) {
    match name.strip_suffix("-ignore") {
        Some(name) => (name, Way::Ignore),
        None => (name, Way::Include),
    }
}

fn paths(one: &(String, Vec<String>), way: Way, given: TriggerInputs<'_>) -> Step {
    match given.changed {
        Changed::Files(files) => filter(one, way, files, given),
        Changed::Unknown(why) => said(one, None, why.clone()),
        Changed::NotFetched => said(one, None, "the changed files are not known".to_owned()),
    }
}
