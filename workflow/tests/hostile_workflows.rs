//! Whatever a repository holds: never a panic, and what is said of it keeps its bounds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{from_value, json};
use workflow::discovery::{ALL_MAX_BYTES, FILES_MAX, FoundFiles};
use workflow::evaluation::SUMMARY_MAX_BYTES;
use workflow::jobs::matrix::JOBS_MAX;
use workflow::{Changed, Evaluation, Event, EventKind, Facts, Server, WorkflowSet};

/// No event is followed with more: each takes a kB.
const JOBS_OF_EVENT_MAX: usize = 4_000;

/// Servers whose rules differ.
const SERVERS: [&str; 5] = [
    "1.22.0",
    "1.26.0",
    "1.28.0",
    "11.0.0+gitea-1.22.0",
    "15.0.0+gitea-1.22.0",
];

/// Every event that forges tell of.
const EVENTS: &str = concat!(
    "create|delete|fork|push|issues|issue_assign|issue_label|issue_milestone|issue_comment",
    "|pull_request|pull_request_(assign|label|milestone|comment|sync|review_request)",
    "|pull_request_review_(approved|rejected|comment)",
    "|wiki|release|package|schedule|workflow_dispatch|workflow_run",
);

/// What workflows are made of, good and bad.
const PIECES: [&str; 36] = [
    "on: push\n",
    "on: [push, pull_request, create, release, issues]\n",
    "on:\n",
    "  push: {branches: [main, '**', '!x'], paths: ['a/**', '[', '*+']}\n",
    "  pull_request: {types: [opened, '*', '['], paths-ignore: ['**']}\n",
    "  schedule: [{cron: '* * * * *'}]\n",
    "  workflow_call: {inputs: {a: {type: string}}}\n",
    "jobs:\n",
    "  a:\n",
    "  b:\n",
    "    needs: [a, b]\n",
    "    runs-on: base\n",
    "    runs-on: ['${{ matrix.x }}', '${{ vars.Y }}', &l z]\n",
    "    runs-on: {group: g, labels: [x]}\n",
    "    runs-on: *l\n",
    "    uses: ./.gitea/workflows/0.yml\n",
    "    uses: o/r/x.yml@main\n",
    "    with: {a: '${{ github.ref }}', b: 1}\n",
    "    strategy: {matrix: {x: [1, 2.5, null, [a], {b: c}], y: '${{ fromJSON(vars.Z) }}'}}\n",
    "    strategy: {matrix: {include: [{x: 1}, 2], exclude: [{x: 1}]}}\n",
    "    if: always() && ${{ needs.a.outputs.x == 'y' }}\n",
    "    name: n ${{ github.event.head_commit.message }} ${{ matrix }}\n",
    "    concurrency: {group: 'g-${{ github.ref }}', cancel-in-progress: '${{ 1 }}'}\n",
    "    steps: [{run: x}, {uses: y}, 3]\n",
    "    services: {db: {image: x}}\n",
    "    container: {image: [x]}\n",
    "concurrency: ${{ github.workflow\n",
    "run-name: ${{ github.actor }}\n",
    "name: ${{ 1 }}\n",
    "env: {A: &a {b: *a}}\n",
    "<<: {jobs: {c: {}}}\n",
    "---\n",
    "\t",
    "? [",
    "\u{feff}",
    "&x !!binary |\n  x\n",
];

/// How many of each: `cargo xtask test properties` asks for many more.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(3000)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        // A failing case is printed whole; a file of seeds would be one more thing to keep.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn bytes_of_any_kind_come_to_a_verdict(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        event in EVENTS,
        server in 0..SERVERS.len(),
    ) {
        check(vec![bytes], &event, SERVERS[server]);
    }

    #[test]
    fn pieces_of_workflows_in_any_order_come_to_a_verdict(
        files in prop::collection::vec(prop::collection::vec(0..PIECES.len(), 0..16), 1..4),
        event in EVENTS,
        server in 0..SERVERS.len(),
    ) {
        let text = |pieces: &Vec<usize>| pieces.iter().map(|one| PIECES[*one]).collect::<String>();
        let files = files.iter().map(|pieces| text(pieces).into_bytes());
        check(files.collect(), &event, SERVERS[server]);
    }

    #[test]
    fn yaml_as_deep_and_wide_as_it_likes_comes_to_a_verdict(
        levels in prop::collection::vec((0..6_usize, 1..12_usize), 0..160),
        event in EVENTS,
    ) {
        let nest = |inner: String, (kind, width): (usize, usize)| match kind {
            0 => format!("[{}]", vec![inner; width.min(2)].join(", ")),
            1 => format!("{{a: {inner}, b{width}: x}}"),
            2 => format!("[&a{width} {inner}, *a{width}]"),
            3 => format!("{{<<: {{{width}: {inner}}}}}"),
            4 => format!("{{? {inner} : {width}}}"),
            _ => format!("'${{{{ {width} }}}}'"),
        };
        let mut deep = "x".to_owned();
        for level in levels {
            if deep.len() < 100_000 {
                deep = nest(deep, level);
            }
        }
        for place in ["on: ", "on: push\njobs: ", "on: push\njobs:\n  a:\n    strategy: {matrix: "] {
            let end = if place.ends_with("matrix: ") { "}" } else { "" };
            let file = format!("{place}{deep}{end}").into_bytes();
            check(vec![file], &event, SERVERS[1]);
        }
    }
}

#[test]
fn as_many_and_large_files_as_are_read_come_to_a_verdict() {
    let size = usize::try_from(ALL_MAX_BYTES).unwrap() / FILES_MAX;
    let pattern = "'**/a?*[a-z]+**x', ";
    let patterns = pattern.repeat(900);
    let paths = format!("on: {{push: {{paths: [{patterns}]}}}}\njobs: {{a: {{runs-on: base}}}}");
    let level = |n: usize| format!("a{n}: &a{n} [{}]\n", format!("*a{}, ", n - 1).repeat(9));
    let bomb: String = (1..40).map(level).collect();
    let bomb = format!("on: push\na0: &a0 [x, x, x]\n{bomb}");
    let flow = format!("on: push\njobs: {}", "{a: ".repeat(size / 4));
    let wide = format!(
        "on: push\njobs: {{a: {{runs-on: [{}]}}}}",
        "x,".repeat(size / 2 - 30)
    );
    let job = |n: usize| format!("  j{n}: {{needs: [j{}], runs-on: base}}\n", n / 2);
    let chain: String = (0..500).map(job).collect();
    let chain = format!("on: push\njobs:\n{chain}");
    let numbers: Vec<String> = (0..32).map(|n| n.to_string()).collect();
    let matrix = |name: &str| {
        let numbers = numbers.join(",");
        format!(
            "on: push\njobs: {{a: {{name: \"{name}\", runs-on: \"{name}\", \
             strategy: {{matrix: {{x: [{numbers}], y: [{numbers}]}}}}}}}}"
        )
    };
    let many = matrix("${{ matrix.x }}").replace(",31]}", "]}");
    let long = format!(
        "${{{{ {}matrix.x }}}}",
        "matrix.y == matrix.x || ".repeat(400)
    );
    let long = matrix(&long).replace(",31]}", "]}");
    let heavy = (0..12).fold("matrix.x".to_owned(), |text, _| {
        format!("format('{{0}}{{0}}{{0}}', {text})")
    });
    let heavy = matrix(&format!("${{{{ contains({heavy}, {heavy}) }}}}")).replace(",31]}", "]}");
    for file in [paths, bomb, flow, wide, chain, many, long, heavy] {
        let files = vec![file.into_bytes(); FILES_MAX];
        let evaluation = check(files, "push", SERVERS[1]);
        let jobs = evaluation
            .runs()
            .map(|(_, run)| run.jobs.len())
            .sum::<usize>();
        assert!(jobs <= JOBS_OF_EVENT_MAX, "{jobs}");
    }
}

/// The verdict on `files`, whose parts keep their bounds.
fn check(files: Vec<Vec<u8>>, event: &str, server: &str) -> Evaluation {
    let server = Server::parse(server).unwrap();
    let files = files.into_iter().enumerate();
    let files = files.map(|(at, bytes)| (format!("{at}.yml"), bytes));
    let found = FoundFiles::of(".gitea/workflows", files);
    let mut set = WorkflowSet::of(found, server);
    for uses in set.open_calls(server) {
        let called = b"on: workflow_call\njobs: {x: {uses: o/r/x.yml@main}}".to_vec();
        set.add_called(uses, Ok(called), server);
    }
    let event = event_of(event);
    let changed = (0..200).map(|n| format!("a/b/{n}/aaaaaaaaaaaaaaaa.rs"));
    let facts = Facts {
        sha: event.body.after.clone(),
        message: "m".repeat(2_000),
        base: Some(set.clone()),
        changed: Changed::Files(changed.collect()),
        disabled: BTreeSet::from(["1.yml".to_owned()]),
        ..Facts::of(set, server)
    };
    let evaluation = facts.evaluate(&event);
    assert!(evaluation.summary().len() <= SUMMARY_MAX_BYTES);
    for (_, run) in evaluation.runs() {
        assert!(run.jobs.len() <= JOBS_MAX);
    }
    evaluation
}

/// An event of any kind, with what deliveries of it have.
fn event_of(word: &str) -> Event {
    let kind = EventKind::parse(word).unwrap();
    assert_eq!(kind.word(), word);
    let side =
        |branch: &str| json!({"ref": branch, "label": branch, "sha": "3".repeat(40), "repo_id": 1});
    let body = json!({
        "action": "label_updated",
        "ref": "refs/heads/main",
        "ref_type": "branch",
        "sha": "1".repeat(40),
        "before": "2".repeat(40),
        "after": "1".repeat(40),
        "head_commit": {"id": "1".repeat(40), "message": "m"},
        "pull_request": {
            "number": 1, "title": "t", "merge_base": "2".repeat(40),
            "base": side("main"), "head": side("topic"),
        },
        "changes": {"added_labels": [{"name": "x"}]},
        "release": {"tag_name": "v1"},
        "repository": {
            "full_name": "acme/app", "default_branch": "main",
            "html_url": "https://forge.example/acme/app",
        },
        "sender": {"login": "ada"},
    });
    Event {
        kind,
        body: from_value(body).unwrap(),
    }
}
