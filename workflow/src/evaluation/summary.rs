//! Why an event starts nothing, in one line.

use super::{Evaluation, EventEvaluation, WorkflowEvaluation};
use crate::trigger::Outcome;
use crate::yaml::By;

/// Most files that a line of reasons names.
const SUMMARY_MAX: usize = 8;
/// Longest such line, in bytes: reasons may repeat what a file says, and the line is kept.
pub const SUMMARY_MAX_BYTES: usize = 2_000;

impl Evaluation {
    /// Why nothing starts, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        if let Some(why) = &self.nothing {
            return why.clone();
        }
        let mut whys: Vec<String> = self
            .workflows
            .iter()
            .map(|workflow| format!("{}: {}", workflow.name, workflow.why_not()))
            .collect();
        if whys.len() > SUMMARY_MAX {
            let more = whys.len() - SUMMARY_MAX;
            whys.truncate(SUMMARY_MAX);
            whys.push(format!("and {more} more"));
        }
        let mut line = whys.join("; ");
        line.truncate(line.floor_char_boundary(SUMMARY_MAX_BYTES));
        line
    }
}

impl WorkflowEvaluation {
    /// Why it starts no job.
    fn why_not(&self) -> String {
        if let Some(refused) = &self.refused {
            return match refused.by {
                By::Forge | By::Panic => format!("skipped by the forge: {refused}"),
                By::Limit => format!("not followed: {refused}"),
            };
        }
        let is_of = |event: &&EventEvaluation| event.judgement.outcome != Outcome::NotApplicable;
        let Some(event) = self.events.iter().find(is_of) else {
            return "not for this event".to_owned();
        };
        match &event.run {
            Some(Err(refused)) if refused.by == By::Limit => format!("not followed: {refused}"),
            Some(Err(refused)) => format!("the forge makes no run of it: {refused}"),
            Some(Ok(_)) => "it has no job".to_owned(),
            None => {
                let broken = event
                    .judgement
                    .steps
                    .iter()
                    .find(|step| step.holds != Some(true));
                broken.map_or_else(String::new, |step| step.why.clone())
            }
        }
    }
}
