//! `cargo xtask judge`: Gitea's own detection and job parser, in several versions, beside our rules for that
//! version: on workflow files and events as chance makes them, and on all that the checkout holds.

mod after;
mod build;
mod case;
mod corpus;
mod event;
mod generate;
mod known;
mod literals;
mod mutate;
mod process;
mod report;
mod shrink;
mod side;
mod verdict;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use workflow::Server;

use self::build::{JUDGES, Judged};
use self::case::{Case, File};
use self::generate::Generator;
use self::known::KnownOf;
use self::process::Judge;
use self::report::Of;
use self::verdict::{Compared, compare};

pub use self::build::{are_built, build};
pub use self::report::{Found, Report, VersionReport};
pub use self::verdict::Class;

/// Differences of a class that are made small and shown, of each kind one: more of the same say no more.
const SHOWN_MAX: usize = 60;
/// How much is compared, and with which seed.
#[derive(Debug, Clone)]
pub struct Options {
    /// Cases that chance makes, for each version.
    pub cases: usize,
    /// The same seed makes the same cases.
    pub seed: u64,
    /// Only this version.
    pub version: Option<String>,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or program.
    #[error("{} can't be used: check its rights and the free space", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no Go.
    #[error("go is missing: the judges are built with Go 1.26 or newer (https://go.dev/dl)")]
    NoGo,
    /// It does not build.
    #[error("the judge {0} can't be built: {1}")]
    Build(&'static str, String),
    /// It answers what can't be read.
    #[error("the judge {0} answered in an unknown form: {1}")]
    Answer(&'static str, String),
    /// No judge has that version.
    #[error("there is no judge {0}; there are {known}", known = versions())]
    NoVersion(String),
    /// The list of known differences.
    #[error("conformance/judge/known.json can't be read: {0}")]
    Known(String),
    /// Our side of the comparison ended.
    #[error("our own rules panicked; the message is above")]
    Panicked,
}

impl Error {
    fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            source,
        }
    }
}

fn versions() -> String {
    let versions: Vec<&str> = JUDGES.iter().map(|judge| judge.version).collect();
    versions.join(", ")
}

/// Compares; `root` is the checkout, whose files are the corpus. `print` gets lines for people.
pub fn run(options: &Options, root: &Path, print: &mut dyn FnMut(&str)) -> Result<Report, Error> {
    let meant = |judge: &&Judged| {
        let version = options.version.as_deref();
        version.is_none_or(|version| version == judge.version)
    };
    let judges: Vec<&'static Judged> = JUDGES.iter().filter(meant).collect();
    if judges.is_empty() {
        let version = options.version.clone().unwrap_or_default();
        return Err(Error::NoVersion(version));
    }
    build(print)?;
    let corpus = corpus::corpus(root)?;
    let reports: Result<Vec<VersionReport>, Error> = thread::scope(|scope| {
        let threads: Vec<_> = judges
            .into_iter()
            .map(|judged| scope.spawn(|| Comparison::new(judged)?.run(options, &corpus)))
            .collect();
        let ended = threads.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|ended| ended.map_err(|_| Error::Panicked)?)
            .collect()
    });
    let report = Report::new(options.seed, reports?);
    report.tell(print);
    Ok(report)
}

/// One version.
struct Comparison {
    judge: Judge,
    server: Server,
    known: KnownOf,
    report: VersionReport,
}

impl Comparison {
    fn new(judged: &'static Judged) -> Result<Self, Error> {
        Ok(Self {
            judge: Judge::start(judged)?,
            server: judged.server(),
            known: KnownOf::of(judged.version)?,
            report: VersionReport::new(judged.version),
        })
    }

    fn run(mut self, options: &Options, corpus: &[File]) -> Result<VersionReport, Error> {
        let start = Instant::now();
        let generator = Generator::new(options.seed, corpus);
        for file in corpus {
            for kind in event::named_in(&file.1) {
                self.add(Of::Corpus, &generator.case_of(file, kind))?;
            }
        }
        for number in 0..options.cases {
            self.add(Of::Chance, &generator.case(options.seed, number))?;
        }
        self.check_known()?;
        self.report.seconds = start.elapsed().as_secs_f64();
        Ok(self.report)
    }

    fn add(&mut self, of: Of, case: &Case) -> Result<(), Error> {
        let Some(compared) = self.compared(case)? else {
            return Ok(());
        };
        self.report.add(of, &compared);
        let mut told = std::collections::BTreeSet::new();
        for difference in &compared.differences {
            let key = (difference.class, difference.kind.clone());
            if self.known.has(difference) || !told.insert(key.clone()) {
                continue;
            }
            let is_first = self.report.count(difference);
            if is_first && self.report.found.len() < SHOWN_MAX {
                let small = self.shrunk(case, &key)?;
                let words = self.compared(&small)?.and_then(|compared| {
                    let mut found = compared.differences.into_iter();
                    found.find(|it| (it.class, &it.kind) == (key.0, &key.1))
                });
                let difference = words.as_ref().unwrap_or(difference);
                self.report.show(difference, &small);
            }
        }
        Ok(())
    }

    /// `None`: nothing starts, whatever the files say, or the event can't be read.
    fn compared(&mut self, case: &Case) -> Result<Option<Compared>, Error> {
        let event = case
            .event()
            .filter(|event| event.starts_nothing().is_none());
        let Some(event) = event else { return Ok(None) };
        let answer = self.judge.ask(case)?;
        let evaluation = case.evaluate(&event, self.server);
        let mut compared = compare(&answer, &evaluation);
        after::compare(&mut compared, &answer, &evaluation, self.server);
        Ok(Some(compared))
    }

    fn shrunk(&mut self, case: &Case, key: &(Class, String)) -> Result<Case, Error> {
        let mut failed = None;
        let small = shrink::shrink(case, |smaller| match self.compared(smaller) {
            Ok(compared) => compared.is_some_and(|compared| {
                let mut differences = compared.differences.iter();
                differences.any(|it| (it.class, &it.kind) == (key.0, &key.1))
            }),
            Err(error) => {
                failed.get_or_insert(error);
                false
            }
        });
        failed.map_or(Ok(small), Err)
    }

    /// Every entry of the list still shows what it says.
    fn check_known(&mut self) -> Result<(), Error> {
        let mut gone = self.known.doubled();
        let known = KnownOf::of(self.report.version)?;
        for (entry, case) in known.cases() {
            let compared = self.compared(&case)?.unwrap_or_default();
            let mut differences = compared.differences.iter();
            if !differences.any(|it| entry.is(it)) {
                gone.push(entry.kind.clone());
            }
        }
        self.report.gone = gone;
        Ok(())
    }
}
