//! Cases as chance makes them, the same for the same seed: workflow files of the generator that the live
//! comparison has, files of the corpus, and mutations of both.

use fastrand::Rng;
use workflow::EventKind;

use super::case::{Case, File};
use super::event;
use super::mutate::mutate;
use crate::live::generator::files::OTHERS;
use crate::live::generator::triggers::{self, Names};
use crate::live::generator::workflow as written;
use crate::live::generator::yaml::Yaml;
use crate::live::generator::{BRANCHES, TAGS, pick};

/// Lists of changed files that take turns: a judge makes a commit for each.
const CHANGES: usize = 48;
/// Most files of one of them.
const CHANGED_MAX: usize = 4;
/// Most mutations of one file.
const MUTATIONS_MAX: usize = 3;
/// Files of a case, by how often.
const FILES: [usize; 8] = [1, 1, 1, 1, 1, 1, 2, 3];

/// What is chosen from.
pub(super) struct Generator<'a> {
    corpus: &'a [File],
    changes: Vec<Vec<String>>,
    names: Names,
}

impl<'a> Generator<'a> {
    pub(super) fn new(seed: u64, corpus: &'a [File]) -> Self {
        let mut rng = Rng::with_seed(seed);
        let names = Names {
            refs: BRANCHES
                .iter()
                .chain(&TAGS)
                .map(|&name| name.to_owned())
                .collect(),
            paths: OTHERS.map(str::to_owned).to_vec(),
        };
        let changes = (0..CHANGES).map(|_| changed(&mut rng)).collect();
        Self {
            corpus,
            changes,
            names,
        }
    }

    /// The case of that number.
    pub(super) fn case(&self, seed: u64, number: usize) -> Case {
        // Any odd number spreads neighbouring seeds; this is the golden ratio's.
        let mixed = seed
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .wrapping_add(number as u64);
        let mut rng = Rng::with_seed(mixed);
        let kind = event::kind(&mut rng);
        let count = FILES[rng.usize(..FILES.len())];
        let files = self.files(&mut rng, kind, count);
        let is_of_pull = event::names(kind).contains(&"pull_request");
        let base = if is_of_pull && rng.bool() {
            self.files(&mut rng, kind, 1)
        } else {
            Vec::new()
        };
        Case {
            origin: format!("case {number}"),
            event: kind,
            payload: event::payload(&mut rng, kind),
            files,
            base,
            changed: self.changes[rng.usize(..CHANGES)].clone(),
        }
    }

    /// The case of a file of the corpus.
    pub(super) fn case_of(&self, file: &File, kind: EventKind) -> Case {
        let mut rng = Rng::with_seed(0);
        Case {
            origin: format!("{} on {}", file.0, kind.word()),
            event: kind,
            payload: event::payload(&mut rng, kind),
            files: vec![("a.yml".to_owned(), file.1.clone())],
            base: Vec::new(),
            changed: self.changes[0].clone(),
        }
    }

    fn files(&self, rng: &mut Rng, kind: EventKind, count: usize) -> Vec<File> {
        let names = ["a.yml", "b.yaml", "sub/called.yml"];
        let mut files: Vec<File> = names[..count]
            .iter()
            .map(|name| ((*name).to_owned(), self.file(rng, kind)))
            .collect();
        if rng.u8(..8) == 0 {
            files.push(("called.yml".to_owned(), self.called(rng)));
        }
        files
    }

    fn file(&self, rng: &mut Rng, kind: EventKind) -> Vec<u8> {
        let is_of_corpus = !self.corpus.is_empty() && rng.u8(..4) == 0;
        let bytes = if is_of_corpus {
            self.corpus[rng.usize(..self.corpus.len())].1.clone()
        } else {
            let on = (rng.u8(..8) > 0).then(|| self.on(rng, kind));
            written::workflow_on(rng, &self.names, on)
        };
        let count = if rng.bool() {
            0
        } else {
            rng.usize(1..=MUTATIONS_MAX)
        };
        (0..count).fold(bytes, |bytes, _| mutate(rng, bytes))
    }

    /// A workflow that others may call.
    fn called(&self, rng: &mut Rng) -> Vec<u8> {
        const CALLS: [&str; 6] = [
            "",
            "{inputs: {name: {type: string, default: x}}}",
            "{inputs: {name: {type: string, required: true}}}",
            "{inputs: {a: {type: number}}}",
            "{secrets: {TOKEN: {required: true}}}",
            "{inputs: {name: {}}}",
        ];
        let call = Yaml::raw(pick(rng, &CALLS));
        let mut on = vec![("workflow_call", call)];
        if rng.u8(..4) == 0 {
            on.push(("push", Yaml::raw("")));
        }
        written::workflow_on(rng, &self.names, Some(Yaml::map(on)))
    }

    /// An `on` that is likely to be of such an event.
    fn on(&self, rng: &mut Rng, kind: EventKind) -> Yaml {
        if kind == EventKind::Push {
            // Filters leave little to compare of what is behind them.
            return if rng.bool() {
                Yaml::text("push")
            } else {
                triggers::likely_on(rng, &self.names)
            };
        }
        let names = event::names(kind);
        match rng.u8(..6) {
            0 => Yaml::text(pick(rng, names)),
            1 => Yaml::texts(["push", pick(rng, names)]),
            _ => {
                let name = pick(rng, names);
                let mut pairs = vec![(name, self.details(rng, kind))];
                if rng.u8(..5) == 0 {
                    pairs.push((
                        "workflow_call",
                        Yaml::raw("{inputs: {name: {type: string}}}"),
                    ));
                }
                Yaml::map(pairs)
            }
        }
    }

    fn details(&self, rng: &mut Rng, kind: EventKind) -> Yaml {
        const TYPES: [&str; 14] = [
            "synchronize",
            "labeled",
            "unlabeled",
            "submitted",
            "edited",
            "created",
            "published",
            "*",
            "open*",
            "{opened,closed}",
            "[",
            "!opened",
            "",
            "{a",
        ];
        match rng.u8(..6) {
            0 => Yaml::raw(""),
            1 => triggers::filters(rng, &self.names),
            _ => {
                let actions = event::actions(kind);
                let one = |rng: &mut Rng| {
                    let own = !actions.is_empty() && rng.bool();
                    pick(rng, if own { actions } else { &TYPES })
                };
                let types = (0..rng.usize(1..4)).map(|_| one(rng).to_owned());
                let mut pairs = vec![("types", Yaml::texts(types.collect::<Vec<_>>()))];
                if kind == EventKind::WorkflowRun && rng.bool() {
                    pairs.push(("workflows", Yaml::texts(["build", "the*"])));
                }
                if rng.u8(..3) == 0 {
                    let names = &self.names.refs;
                    let branch = names[rng.usize(..names.len())].clone();
                    pairs.push(("branches", Yaml::texts([branch, "main".to_owned()])));
                }
                Yaml::map(pairs)
            }
        }
    }
}

fn changed(rng: &mut Rng) -> Vec<String> {
    let mut files: Vec<String> = (0..rng.usize(..=CHANGED_MAX))
        .map(|_| pick(rng, &OTHERS).to_owned())
        .collect();
    // As git tells them.
    files.sort_unstable();
    files.dedup();
    files
}
