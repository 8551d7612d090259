//! What was found, for people and for programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::case::Case;
use super::verdict::{Class, Compared, Difference};

/// What a run found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether nothing differs but what is known.
    pub ok: bool,
    /// What chance began with.
    pub seed: u64,
    /// Each version.
    pub versions: Vec<VersionReport>,
}

/// What was found of one version.
#[derive(Debug, Serialize)]
pub struct VersionReport {
    /// Its full number.
    pub version: &'static str,
    /// Cases of chance.
    pub cases: usize,
    /// Cases of the corpus.
    pub corpus: usize,
    /// Among all, those that rest on the forge's database.
    pub beyond: usize,
    /// Jobs that both sides have, alike in all.
    pub jobs: usize,
    /// Jobs that our rules say they can't know.
    pub untold: usize,
    /// Cases with a difference that is not known, by class.
    pub differences: BTreeMap<&'static str, usize>,
    /// The same by kind.
    pub kinds: BTreeMap<String, usize>,
    /// One input of each kind.
    pub found: Vec<Found>,
    /// Known differences that are none any more.
    pub gone: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// An input that the two sides judge otherwise.
#[derive(Debug, Serialize)]
pub struct Found {
    /// In what.
    pub class: Class,
    /// As the list of known differences has it.
    pub kind: String,
    /// What both say.
    pub words: String,
    /// The input.
    pub input: Vec<String>,
}

/// Where a case comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    Chance,
    Corpus,
}

impl VersionReport {
    pub(super) fn new(version: &'static str) -> Self {
        Self {
            version,
            cases: 0,
            corpus: 0,
            beyond: 0,
            jobs: 0,
            untold: 0,
            differences: BTreeMap::new(),
            kinds: BTreeMap::new(),
            found: Vec::new(),
            gone: Vec::new(),
            seconds: 0.0,
        }
    }

    pub(super) fn add(&mut self, of: Of, compared: &Compared) {
        match of {
            Of::Chance => self.cases += 1,
            Of::Corpus => self.corpus += 1,
        }
        self.beyond += usize::from(compared.is_beyond);
        self.jobs += compared.equal;
        self.untold += compared.untold;
    }

    /// Whether it is the first of its kind.
    pub(super) fn count(&mut self, difference: &Difference) -> bool {
        let word = difference.class.word();
        *self.differences.entry(word).or_default() += 1;
        let kind = format!("{word}: {}", difference.kind);
        let count = self.kinds.entry(kind).or_default();
        *count += 1;
        *count == 1
    }

    pub(super) fn show(&mut self, difference: &Difference, case: &Case) {
        self.found.push(Found {
            class: difference.class,
            kind: difference.kind.clone(),
            words: difference.words.clone(),
            input: case.lines(),
        });
    }

    /// What our rules can't know has to be rare too: then the forge is asked.
    fn is_ok(&self) -> bool {
        let is_rare = self.untold * UNTOLD_MAX <= self.jobs;
        self.differences.is_empty() && self.gone.is_empty() && is_rare
    }

    fn tell(&self, print: &mut dyn FnMut(&str)) {
        for found in &self.found {
            print(&format!(
                "\n== {} {}: {}\n  kind: {}",
                self.version,
                found.class.word(),
                found.words,
                found.kind
            ));
            for line in &found.input {
                print(&format!("  {line}"));
            }
        }
        for kind in &self.gone {
            print(&format!(
                "\n== {}: known, and gone (good: take it off the list): {kind}",
                self.version
            ));
        }
    }

    fn sum(&self) -> String {
        let classes = Class::ALL.map(|class| {
            let count = self
                .differences
                .get(class.word())
                .copied()
                .unwrap_or_default();
            format!("{count} {}", class.word())
        });
        format!(
            "  {}: {} cases of chance and {} of the corpus ({} rest on the database); {} jobs alike, {} \
             that can't be known; {}; {:.0} s",
            self.version,
            self.cases,
            self.corpus,
            self.beyond,
            self.jobs,
            self.untold,
            classes.join(", "),
            self.seconds
        )
    }
}

/// One job in so many may be one that our rules can't know.
const UNTOLD_MAX: usize = 100;

impl Report {
    pub(super) fn new(seed: u64, versions: Vec<VersionReport>) -> Self {
        Self {
            ok: versions.iter().all(VersionReport::is_ok),
            seed,
            versions,
        }
    }

    pub(super) fn tell(&self, print: &mut dyn FnMut(&str)) {
        for version in &self.versions {
            version.tell(print);
        }
        print(&format!("\n  seed {}", self.seed));
        for version in &self.versions {
            let mut kinds: Vec<(&String, &usize)> = version.kinds.iter().collect();
            kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            for (kind, count) in kinds {
                print(&format!("  {} {count:>5} × {kind}", version.version));
            }
        }
        for version in &self.versions {
            print(&version.sum());
        }
    }
}
