//! `cargo xtask simulate`: the real dispatcher in a world of faults, by the hundred thousand.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use serde::Serialize;
use simulator::{
    Fault, Outcome, Playing, Proof, SCHEDULES_MAX, Story, generate, play, prove, shrink,
};

use crate::output::say;

/// Most violations that are told: each is made as short as it gets first.
const TOLD_MAX: usize = 3;

/// What is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct Asked {
    /// How many schedules, each of its own seed.
    #[arg(long, default_value_t = 1000)]
    schedules: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Play this story instead, and print all that happens.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["schedules", "prove"])]
    play: Option<PathBuf>,
    /// Play it with this promise broken on purpose, by the name that `--prove` prints.
    #[arg(long, value_name = "FAULT", requires = "play", value_parser = fault_named)]
    broken: Option<Fault>,
    /// Break one promise after the other on purpose, and look whether that is found.
    #[arg(long)]
    prove: bool,
    /// Print the report as one JSON object on the last line.
    #[arg(long)]
    pub json: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether every promise held, or each that was broken on purpose was found.
    pub ok: bool,
    /// How many schedules were played.
    schedules: u64,
    /// How long that took.
    seconds: f64,
    /// So many in a second.
    schedules_per_second: f64,
    /// Machines that were launched in all of them.
    machines: usize,
    /// How long they took by their own clocks.
    hours: u64,
    /// What was broken: each with the shortest story that shows it.
    violations: Vec<Told>,
    /// How each deliberate fault was found.
    proofs: Vec<Proved>,
}

/// A broken promise.
#[derive(Debug, Clone, Serialize)]
struct Told {
    seed: u64,
    broken: Vec<String>,
    story: String,
}

/// A deliberate fault.
#[derive(Debug, Clone, Serialize)]
struct Proved {
    fault: String,
    /// After how many schedules; none if it was not found.
    after: Option<u64>,
    broken: Vec<String>,
    story: String,
}

/// A story that can't be played.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It says what no story says.
    #[error(transparent)]
    Story(#[from] simulator::BadStory),
}

/// Plays, and prints on the way.
pub fn run(asked: &Asked) -> Result<Report, Error> {
    if let Some(path) = &asked.play {
        return play_file(path, asked.broken);
    }
    if asked.prove {
        return Ok(prove_all(asked.seed));
    }
    Ok(play_many(asked.seed, asked.schedules))
}

fn fault_named(name: &str) -> Result<Fault, String> {
    let mut all = Fault::ALL.into_iter();
    all.find(|fault| format!("{fault:?}") == name)
        .ok_or_else(|| {
            let names: Vec<String> = Fault::ALL.iter().map(|it| format!("{it:?}")).collect();
            format!("there are {}", names.join(", "))
        })
}

fn play_file(path: &PathBuf, fault: Option<Fault>) -> Result<Report, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::File {
        path: path.display().to_string(),
        source,
    })?;
    let story: Story = text.parse()?;
    let begun = Instant::now();
    let playing = Playing {
        fault,
        ..Playing::default()
    };
    let outcome = play(&story, playing);
    say(&outcome.to_string());
    let seconds = begun.elapsed().as_secs_f64();
    let broken = !outcome.violations.is_empty();
    Ok(Report {
        ok: !broken,
        schedules: 1,
        seconds,
        schedules_per_second: 1.0 / seconds,
        machines: outcome.machines,
        hours: outcome.seconds / 3600,
        violations: Vec::from_iter(broken.then(|| told(&story, &outcome))),
        proofs: Vec::new(),
    })
}

fn play_many(first: u64, schedules: u64) -> Report {
    let begun = Instant::now();
    let (next, machines) = (AtomicU64::new(0), AtomicU64::new(0));
    let story_seconds = AtomicU64::new(0);
    let enough = AtomicBool::new(false);
    let broken = Mutex::new(Vec::new());
    let work = || {
        while !enough.load(Ordering::Relaxed) {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= schedules {
                return;
            }
            let story = generate(first.wrapping_add(nth));
            let outcome = play(&story, Playing::default());
            machines.fetch_add(outcome.machines as u64, Ordering::Relaxed);
            story_seconds.fetch_add(outcome.seconds, Ordering::Relaxed);
            if outcome.violations.is_empty() {
                continue;
            }
            say(&format!(
                "seed {}: {}",
                story.seed,
                outcome.violations.join("; ")
            ));
            let (story, outcome) = shrink(&story, outcome, Playing::default());
            let mut broken = broken.lock().unwrap_or_else(PoisonError::into_inner);
            broken.push((story, outcome));
            if broken.len() >= TOLD_MAX {
                enough.store(true, Ordering::Relaxed);
            }
        }
    };
    on_all_cores(&work);
    let seconds = begun.elapsed().as_secs_f64();
    let played = next.into_inner().min(schedules);
    let broken = broken.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (story, outcome) in &broken {
        say(&format!(
            "\n-- a promise is broken; play it again with `cargo xtask simulate --play FILE`\n{story}"
        ));
        say(&format!("-- what happens\n{outcome}"));
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let schedules_per_second = played as f64 / seconds;
    say(&format!(
        "{played} schedules in {seconds:.0} s, {schedules_per_second:.0} a second: {} hours of their own, {} \
         machines, {} broken promises",
        story_seconds.load(Ordering::Relaxed) / 3600,
        machines.load(Ordering::Relaxed),
        broken.len(),
    ));
    Report {
        ok: broken.is_empty(),
        schedules: played,
        seconds,
        schedules_per_second,
        machines: usize::try_from(machines.into_inner()).unwrap_or(usize::MAX),
        hours: story_seconds.into_inner() / 3600,
        violations: broken
            .iter()
            .map(|(story, outcome)| told(story, outcome))
            .collect(),
        proofs: Vec::new(),
    }
}

fn prove_all(seed: u64) -> Report {
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let proofs = Mutex::new(Vec::new());
    let work = || loop {
        let nth = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
        let Some(fault) = Fault::ALL.get(nth) else {
            return;
        };
        let proof = prove(*fault, seed, SCHEDULES_MAX);
        say(&words_of(&proof));
        proofs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(proof);
    };
    on_all_cores(&work);
    let proofs = proofs.into_inner().unwrap_or_else(PoisonError::into_inner);
    let hidden = proofs.iter().filter(|proof| proof.found.is_none()).count();
    let seconds = begun.elapsed().as_secs_f64();
    say(&format!(
        "{} faults, {hidden} not found, in {seconds:.0} s",
        proofs.len()
    ));
    let schedules: u64 = proofs
        .iter()
        .map(|it| it.found.as_ref().map_or(SCHEDULES_MAX, |found| found.0))
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let schedules_per_second = schedules as f64 / seconds;
    Report {
        ok: hidden == 0,
        schedules,
        seconds,
        schedules_per_second,
        machines: 0,
        hours: 0,
        violations: Vec::new(),
        proofs: proofs.iter().map(proved).collect(),
    }
}

fn words_of(proof: &Proof) -> String {
    match &proof.found {
        None => format!("{:?}: not found in {SCHEDULES_MAX} schedules", proof.fault),
        Some((after, story, outcome)) => format!(
            "{:?}: found by schedule {after}: {}\n{story}",
            proof.fault,
            outcome.violations.first().map_or("", String::as_str),
        ),
    }
}

fn proved(proof: &Proof) -> Proved {
    let found = proof.found.as_ref();
    Proved {
        fault: format!("{:?}", proof.fault),
        after: found.map(|(after, _, _)| *after),
        broken: found
            .map(|(_, _, outcome)| outcome.violations.clone())
            .unwrap_or_default(),
        story: found
            .map(|(_, story, _)| story.to_string())
            .unwrap_or_default(),
    }
}

fn told(story: &Story, outcome: &Outcome) -> Told {
    Told {
        seed: story.seed,
        broken: outcome.violations.clone(),
        story: story.to_string(),
    }
}

/// Does `work` on every core at once.
fn on_all_cores(work: &(impl Fn() + Sync)) {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
}
