//! The two verdicts on a case, side by side.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use workflow::evaluation::Evaluation;

use super::process::{Answer, RunAnswer};
use super::side::{Job, ours, theirs};

/// In what they differ, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The forge starts a job, and our rules don't.
    Missed,
    /// Our rules start a job, and the forge does not.
    Foreign,
    /// A job has other labels, or waits for others.
    Labels,
    /// A job has another name.
    Names,
    /// Something else becomes of a job when those that it needs have ended.
    After,
    /// Our rules say that it can't be known.
    Unknown,
}

impl Class {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Missed,
        Self::Foreign,
        Self::Labels,
        Self::Names,
        Self::After,
        Self::Unknown,
    ];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Foreign => "foreign",
            Self::Labels => "labels",
            Self::Names => "names",
            Self::After => "after",
            Self::Unknown => "unknown",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) class: Class,
    /// What both say, without what belongs to this input alone.
    pub(super) kind: String,
    /// What both say.
    pub(super) words: String,
}

/// What a case came to.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// Jobs that both have.
    pub(super) equal: usize,
    /// Jobs that our rules say they can't know.
    pub(super) untold: usize,
    pub(super) differences: Vec<Difference>,
    /// It rests on the forge's database, which no judge has.
    pub(super) is_beyond: bool,
}

/// Compares the forge's answer with our evaluation.
pub(super) fn compare(answer: &Answer, evaluation: &Evaluation) -> Compared {
    if has_groups_in_common(answer) {
        return Compared {
            is_beyond: true,
            ..Compared::default()
        };
    }
    let mut theirs = theirs(answer);
    let mut ours = ours(evaluation);
    let mut compared = Compared::default();
    ours.jobs.retain(|job| {
        let at = theirs.jobs.iter().position(|other| other == job);
        if let Some(at) = at {
            theirs.jobs.swap_remove(at);
            compared.equal += 1;
        }
        at.is_none()
    });
    let mut left = Vec::new();
    for job in std::mem::take(&mut ours.jobs) {
        let is_it = |other: &Job| other.place == job.place && other.id == job.id;
        let Some(at) = theirs.jobs.iter().position(is_it) else {
            left.push(job);
            continue;
        };
        let other = theirs.jobs.swap_remove(at);
        let is_name = other.labels == job.labels && other.needs == job.needs;
        let class = if is_name { Class::Names } else { Class::Labels };
        let words = format!("forge {other}, ours {job}");
        compared.add(class, class.word(), words);
    }
    ours.untold.retain(|(place, id, _)| {
        let mut elsewhere = theirs.elsewhere.iter();
        !elsewhere.any(|other| (&other.0, &other.1) == (place, id))
    });
    for (place, id, why) in &ours.untold {
        let before = theirs.jobs.len();
        theirs
            .jobs
            .retain(|job| !(job.place == *place && job.id == *id));
        compared.untold += 1;
        let has = theirs.jobs.len() < before;
        let is = if has { "has it" } else { &theirs.why(place) };
        compared.add(
            Class::Unknown,
            why,
            format!("{} {}: {id}: {why}; the forge {is}", place.0, place.1),
        );
    }
    for job in left {
        let why = theirs.why(&job.place);
        compared.add(Class::Foreign, &why, format!("ours {job}; forge: {why}"));
    }
    for job in theirs.jobs {
        let open = ours
            .open
            .get(&None)
            .or(ours.open.get(&Some(job.place.0.clone())));
        let (class, why) = match open {
            Some(why) => (Class::Unknown, why.clone()),
            None => (Class::Missed, ours.why(&job.place)),
        };
        compared.untold += usize::from(open.is_some());
        compared.add(class, &why, format!("forge {job}; ours: {why}"));
    }
    compared
}

impl Compared {
    pub(super) fn add(&mut self, class: Class, kind: &str, words: String) {
        self.differences.push(Difference {
            class,
            kind: kind_of(kind),
            words,
        });
    }
}

/// Words without numbers and without what stands in quotes: those belong to one input.
fn kind_of(words: &str) -> String {
    let mut out = String::new();
    let mut quote = None;
    for sign in words.chars() {
        match quote {
            Some(end) => {
                if sign == end {
                    quote = None;
                    out.push('…');
                }
            }
            None if matches!(sign, '"' | '`') => quote = Some(sign),
            None if sign.is_ascii_digit() => {
                if !out.ends_with('#') {
                    out.push('#');
                }
            }
            None => out.push(sign),
        }
    }
    out.chars().take(KIND_MAX_CHARS).collect()
}

/// Longest words of a kind.
const KIND_MAX_CHARS: usize = 160;

/// Whether two jobs of a run, or a job and its run, are of one concurrency group: then the first is
/// cancelled while it is made, in the database.
fn has_groups_in_common(answer: &Answer) -> bool {
    let is_shared = |run: &RunAnswer| {
        let mut groups: BTreeSet<&str> = BTreeSet::new();
        let own = (!run.group.is_empty() && run.jobs.len() > 1).then_some(run.group.as_str());
        groups.extend(own);
        let of_jobs = run.jobs.iter().map(|job| job.group.as_str());
        of_jobs
            .filter(|group| !group.is_empty())
            .any(|group| !groups.insert(group))
    };
    answer
        .files
        .iter()
        .flat_map(|file| &file.runs)
        .any(is_shared)
}

#[cfg(test)]
mod tests {
    use workflow::EventKind;

    use super::*;
    use crate::judge::case::Case;

    /// The classes in which an answer differs from our evaluation of one job `a` on `x`.
    fn classes(answer: &str) -> (usize, Vec<Class>) {
        let case = Case {
            origin: "a test".to_owned(),
            event: EventKind::Push,
            payload: serde_json::json!({"ref": "refs/heads/main", "before": "1", "after": "2"}),
            files: vec![(
                "a.yml".to_owned(),
                b"on: push\njobs: {a: {runs-on: x}}".to_vec(),
            )],
            base: Vec::new(),
            changed: Vec::new(),
        };
        let evaluation = case.evaluate(
            &case.event().expect("it is one"),
            workflow::Server::GITEA_1_26,
        );
        let answer = format!("{{\"files\": [{{\"name\": \"a.yml\", {answer}}}]}}");
        let answer = serde_json::from_str(&answer).expect("an answer");
        let compared = compare(&answer, &evaluation);
        let found = compared.differences.iter();
        (compared.equal, found.map(|found| found.class).collect())
    }

    #[test]
    fn every_way_to_differ_has_its_class() {
        let job = |id: &str, name: &str, label: &str| {
            format!(r#"{{"id": "{id}", "name": "{name}", "needs": [], "runs_on": ["{label}"]}}"#)
        };
        let run = |jobs: &str, more: &str| {
            format!(r#""runs": [{{"on": "push", "jobs": [{jobs}]{more}}}]"#)
        };
        let own = job("a", "a", "x");
        for (answer, expected) in [
            (run(&own, ""), (1, vec![])),
            (run(&job("a", "a", "y"), ""), (0, vec![Class::Labels])),
            (run(&job("a", "b", "x"), ""), (0, vec![Class::Names])),
            (run("", ""), (0, vec![Class::Foreign])),
            (
                r#""invalid": "no", "runs": []"#.to_owned(),
                (0, vec![Class::Foreign]),
            ),
            (
                format!(r#""panic": "no", {}"#, run(&own, "")),
                (0, vec![Class::Foreign]),
            ),
            (
                run(&format!("{own}, {}", job("b", "b", "x")), ""),
                (1, vec![Class::Missed]),
            ),
            (run("", r#", "error": "no""#), (0, vec![Class::Foreign])),
        ] {
            assert_eq!(classes(&answer), expected, "{answer}");
        }
    }

    #[test]
    fn a_kind_has_nothing_of_one_input() {
        assert_eq!(kind_of("line 12: \"a\" is no `b`"), "line #: … is no …");
    }
}
