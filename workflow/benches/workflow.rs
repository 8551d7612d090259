//! What a verdict costs, what one pattern costs beside `globset`, and that no pattern costs more than
//! its length times the input's.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use globset::GlobBuilder;
use serde_json::json;
use std::hint::black_box;
use workflow::discovery::FoundFiles;
use workflow::pattern::{PatternList, Way};
use workflow::server::Dialect;
use workflow::{Changed, Event, EventKind, Facts, Server, WorkflowSet};

const SERVER: Server = Server::GITEA_1_26;
const DIALECTS: [(&str, Dialect); 2] = [("nektos", Dialect::Nektos), ("gitea", Dialect::Gitea)];

/// Workflows as a repository of several parts has them: each looks at some paths and branches, and has
/// jobs that need others, a matrix and steps.
fn workflow(number: usize) -> String {
    let step = |step| {
        format!(
            "      - name: step {step}\n        run: |\n          make part-{number} STEP={step}\n"
        )
    };
    let steps = (0..12).map(step).collect::<Vec<_>>().concat();
    format!(
        "name: part {number}
on:
  push:
    branches: [main, 'release/**', '!release/old-*']
    paths:
      - 'part-{number}/**'
      - 'shared/**/*.rs'
      - '**/Makefile'
      - '!**/*.md'
  pull_request:
    paths: ['part-{number}/**']
concurrency:
  group: part-{number}-${{{{ github.ref }}}}
jobs:
  lint:
    runs-on: base
    steps:
{steps}  test:
    needs: lint
    strategy:
      matrix:
        version: ['1.24', '1.25']
        part: [unit, race, fuzz]
    runs-on: go
    if: github.ref_name == 'main'
    steps:
{steps}  deploy:
    name: deploy ${{{{ github.ref_name }}}}
    needs: [test]
    runs-on: [deploy]
    steps:
{steps}"
    )
}

fn found() -> FoundFiles {
    let file = |number| (format!("part-{number}.yml"), workflow(number).into_bytes());
    FoundFiles::of(".gitea/workflows", (0..20).map(file))
}

/// Every second workflow has a file among them, far behind.
fn changed_files() -> Vec<String> {
    let path = |number: usize| match number % 100 {
        99 => format!("part-{}/src/deep/er/file-{number}.rs", number / 50),
        rest => format!("docs/chapter-{rest}/section-{number}/page.md"),
    };
    (0..1_000).map(path).collect()
}

fn push() -> Event {
    let sha = "1".repeat(40);
    let body = json!({
        "ref": "refs/heads/main",
        "before": "2".repeat(40),
        "after": sha,
        "head_commit": {"id": sha, "message": "change many files"},
        "repository": {"full_name": "acme/app", "html_url": "https://forge.example/acme/app"},
        "sender": {"login": "ada"},
    });
    Event {
        kind: EventKind::Push,
        body: serde_json::from_value(body).expect("a push"),
    }
}

fn evaluations(c: &mut Criterion) {
    let event = push();
    let facts = Facts {
        sha: event.body.after.clone(),
        message: "change many files".to_owned(),
        changed: Changed::Files(changed_files()),
        ..Facts::of(WorkflowSet::of(found(), SERVER), SERVER)
    };
    let evaluation = facts.evaluate(&event);
    let jobs: usize = evaluation.runs().map(|(_, run)| run.jobs.len()).sum();
    assert_eq!(jobs, 10 * 8, "half of the workflows start");
    let mut group = c.benchmark_group("a push, 20 workflows, 1,000 changed files");
    group.bench_function("read", |b| {
        b.iter(|| WorkflowSet::of(black_box(found()), SERVER));
    });
    group.bench_function("judged", |b| {
        b.iter(|| black_box(&facts).evaluate(&event));
    });
    group.finish();
}

/// What `globset` can say too, with `*` ending at slashes.
const PATTERNS: [&str; 10] = [
    "docs/**",
    "**/Makefile",
    "**/*.rs",
    "*.md",
    "src/*/main.go",
    "part-7/src/deep/er/file-399.rs",
    "**/deep/**",
    "release/v[0-9].[0-9]",
    "part-*/src/**/*.rs",
    "**",
];

/// Matching alone, one pattern against one path at a time: once per pattern and path.
fn patterns(c: &mut Criterion) {
    let paths = changed_files();
    let globs = PATTERNS.map(|pattern| {
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        glob.expect("a glob").compile_matcher()
    });
    let lists = DIALECTS.map(|(name, dialect)| {
        let lists =
            PATTERNS.map(|pattern| PatternList::compile(dialect, &[pattern]).expect(pattern));
        (name, lists)
    });
    for path in &paths {
        for (at, glob) in globs.iter().enumerate() {
            for (name, lists) in &lists {
                let is_in = lists[at].decide(Way::Include, path).holds;
                assert_eq!(
                    is_in,
                    glob.is_match(path),
                    "{name}: {} {path}",
                    PATTERNS[at]
                );
            }
        }
    }
    let mut group = c.benchmark_group("patterns matched");
    group.throughput(Throughput::Elements((PATTERNS.len() * paths.len()) as u64));
    group.bench_function("globset", |b| {
        b.iter(|| {
            let hits = globs
                .iter()
                .map(|glob| paths.iter().filter(|path| glob.is_match(path)).count());
            hits.sum::<usize>()
        });
    });
    for (name, lists) in &lists {
        group.bench_function(*name, |b| {
            b.iter(|| {
                let hits = lists.iter().map(|list| {
                    paths
                        .iter()
                        .filter(|path| list.decide(Way::Include, path).holds)
                        .count()
                });
                hits.sum::<usize>()
            });
        });
    }
    group.finish();
}

fn compiled(c: &mut Criterion) {
    let mut group = c.benchmark_group("patterns compiled");
    group.throughput(Throughput::Elements(PATTERNS.len() as u64));
    group.bench_function("globset", |b| {
        b.iter(|| {
            PATTERNS.map(|pattern| {
                let glob = GlobBuilder::new(pattern).literal_separator(true).build();
                glob.expect("a glob").compile_matcher()
            })
        });
    });
    for (name, dialect) in DIALECTS {
        group.bench_function(name, |b| {
            b.iter(|| PATTERNS.map(|pattern| PatternList::compile(dialect, &[pattern])));
        });
    }
    group.finish();
}

/// Patterns that take a matcher which tries one way after the other exponentially long, or with the
/// square of the input: the time for each character stays as it is when the input doubles.
fn hostile(c: &mut Criterion) {
    let mut group = c.benchmark_group("hostile patterns");
    group.sample_size(20);
    for (name, dialect, pattern, unit) in [
        ("**a**a…", Dialect::Nektos, "**a".repeat(60) + "**x**", "a"),
        ("a?a?…", Dialect::Nektos, "a?".repeat(200) + "x*", "a"),
        ("**/**/…", Dialect::Nektos, "**/".repeat(200) + "x*", "a/"),
        (
            "[a-z]+[a-z]+…",
            Dialect::Nektos,
            "[a-z]+".repeat(100) + "X*",
            "a",
        ),
        (
            "{a,aa}+{a,aa}+…",
            Dialect::Gitea,
            "{a,aa}+".repeat(100) + "x*",
            "a",
        ),
    ] {
        let list = PatternList::compile(dialect, &[pattern]).expect(name);
        for doubled in 0..4 {
            let input = unit.repeat(1_000 << doubled);
            group.throughput(Throughput::Elements(input.len() as u64));
            group.bench_function(BenchmarkId::new(name, input.len()), |b| {
                b.iter(|| list.decide(Way::Include, black_box(&input)).holds);
            });
        }
    }
    group.finish();
}

criterion_group!(benches, evaluations, patterns, compiled, hostile);
criterion_main!(benches);
