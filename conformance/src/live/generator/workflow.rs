//! Workflow files: every form that the forge reads, and many that it does not.

use fastrand::Rng;

use super::expression;
use super::matrix::strategy;
use super::pick;
use super::triggers::{Names, likely_on, on};
use super::yaml::{Yaml, garble};

const JOB_IDS: [&str; 9] = [
    "a", "b", "c", "build", "test_1", "job-2", "1st", "ünï", "a.b",
];
const LABELS: [&str; 8] = [
    "one",
    "two",
    "ubuntu-latest",
    "self-hosted",
    "lab:host",
    "Lab",
    "",
    "with space",
];
/// Longest names: the forge cuts them at 255 characters.
const LONG_NAME: usize = 300;
/// The forge reads this much of a file.
const READ_MAX_BYTES: usize = 1024 * 1024;

/// One file's bytes.
pub(crate) fn workflow(rng: &mut Rng, names: &Names) -> Vec<u8> {
    workflow_on(rng, names, None)
}

/// One that `meant` starts, if it can be read.
pub(crate) fn workflow_on(rng: &mut Rng, names: &Names, meant: Option<Yaml>) -> Vec<u8> {
    // Most files are such as people write: one that the forge stumbles over starts nothing, and keeps
    // its neighbours from starting.
    let is_wild = rng.u8(..5) == 0;
    let on = match meant {
        Some(meant) => meant,
        None if is_wild => on(rng, names),
        None => likely_on(rng, names),
    };
    let mut pairs = vec![("on", on), ("jobs", jobs(rng))];
    if rng.bool() {
        pairs.insert(0, ("name", name(rng)));
    }
    if rng.u8(..6) == 0 {
        pairs.push(("concurrency", concurrency(rng)));
    }
    if rng.u8(..8) == 0 {
        pairs.push(("run-name", Yaml::text(expression::text(rng))));
    }
    if rng.u8(..8) == 0 {
        pairs.push((
            "env",
            Yaml::map([
                ("A", Yaml::raw("1")),
                ("B", Yaml::text(expression::text(rng))),
            ]),
        ));
    }
    if rng.u8(..10) == 0 {
        pairs.push((
            "permissions",
            Yaml::raw(pick(
                rng,
                &["read-all", "{contents: read}", "write-all", "{}"],
            )),
        ));
    }
    if rng.u8(..10) == 0 {
        pairs.push(("defaults", Yaml::raw("{run: {shell: bash}}")));
    }
    if rng.u8(..5) == 0 {
        rng.shuffle(&mut pairs);
    }
    let mut tree = Yaml::map(pairs);
    if is_wild && rng.bool() {
        tree.spoil(rng);
    }
    let text = tree.written(rng);
    match rng.u8(..20) {
        0..8 if is_wild => garble(text, rng),
        8 if is_wild => padded(&text),
        _ => text.into_bytes(),
    }
}

/// Longer than what the forge reads: it sees a comment without end, or half a file.
fn padded(text: &str) -> Vec<u8> {
    let half = text.find("jobs").unwrap_or_default();
    let comment = format!("#{}\n", "x".repeat(READ_MAX_BYTES));
    format!("{}\n{comment}{}", &text[..half], &text[half..]).into_bytes()
}

fn name(rng: &mut Rng) -> Yaml {
    match rng.u8(..8) {
        0 => Yaml::text(expression::text(rng)),
        1 => Yaml::text("né à \"Ürümqi\": #1"),
        2 => Yaml::text("x".repeat(LONG_NAME)),
        3 => Yaml::text("ü".repeat(LONG_NAME)),
        4 => Yaml::raw(pick(rng, &["3", "true", "", "1.50"])),
        _ => Yaml::text(pick(rng, &["build", "the tests", "a/b"])),
    }
}

fn jobs(rng: &mut Rng) -> Yaml {
    let mut ids: Vec<&str> = JOB_IDS.to_vec();
    rng.shuffle(&mut ids);
    ids.truncate(rng.usize(1..4));
    let known: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    Yaml::map(ids.into_iter().map(|id| (id, job(rng, &known))))
}

fn job(rng: &mut Rng, ids: &[String]) -> Yaml {
    let mut pairs = vec![("runs-on", runs_on(rng))];
    if rng.u8(..3) == 0 {
        let name = if rng.bool() {
            name(rng)
        } else {
            Yaml::text(expression::text(rng))
        };
        pairs.insert(0, ("name", name));
    }
    if rng.u8(..3) == 0 {
        pairs.push(("needs", needs(rng, ids)));
    }
    if rng.u8(..4) == 0 {
        pairs.push(("if", Yaml::text(expression::condition(rng))));
    }
    if rng.u8(..3) == 0 {
        pairs.push(("strategy", strategy(rng)));
    }
    if rng.u8(..8) == 0 {
        pairs.push(("concurrency", concurrency(rng)));
    }
    if rng.u8(..8) == 0 {
        let other = pick(
            rng,
            &[
                "./.gitea/workflows/called.yml",
                "o/r/.gitea/workflows/x.yml@main",
                "./x",
                "",
            ],
        );
        pairs.push(("uses", Yaml::text(other)));
        if rng.bool() {
            pairs.retain(|(key, _)| *key != "runs-on");
        }
    }
    for (key, values) in [
        (
            "continue-on-error",
            &["true", "false", "${{ matrix.experimental }}", "x"][..],
        ),
        (
            "timeout-minutes",
            &["5", "'5'", "${{ vars.LABEL }}", "[5]", "5.5"][..],
        ),
        (
            "services",
            &[
                "{db: {image: postgres}}",
                "{}",
                "[]",
                "{db: {ports: [1, '2:3']}}",
                "{db: postgres}",
            ][..],
        ),
        (
            "container",
            &["node", "{image: node}", "", "[node]", "{image: {a: b}}"][..],
        ),
        ("outputs", &["{x: '1'}", "{x: 1}", "[x]", "{x: [1]}"][..]),
        ("env", &["{A: 1, B: '2'}", "{A: [1]}", "A", "{A: }"][..]),
        ("with", &["{a: 1}", "[a]", "{a: [1]}"][..]),
        ("secrets", &["inherit", "{a: b}"][..]),
        (
            "permissions",
            &["read-all", "{contents: read}", "{contents: [a]}"][..],
        ),
        ("environment", &["production", "{name: x, url: y}"][..]),
    ] {
        if rng.u8(..16) == 0 {
            pairs.push((key, Yaml::raw(pick(rng, values))));
        }
    }
    if rng.u8(..4) > 0 {
        pairs.push(("steps", steps(rng)));
    }
    Yaml::map(pairs)
}

fn steps(rng: &mut Rng) -> Yaml {
    if rng.u8(..12) == 0 {
        return Yaml::raw(pick(
            rng,
            &[
                "[]",
                "",
                "[null]",
                "[run: 'true', null]",
                "x",
                "[{run: [a]}]",
                "[{with: {a: [b]}}]",
                "[{env: [a]}]",
            ],
        ));
    }
    let run = match rng.u8(..16) {
        0..4 => Yaml::raw("|\n          echo one\n\n          echo two"),
        4..8 => Yaml::text(format!("echo {}", expression::text(rng))),
        8 => Yaml::text(pick(
            rng,
            &[
                "\n  echo one\n",
                " echo one\necho two",
                "\techo one\n",
                "  a\n    b",
            ],
        )),
        _ => Yaml::raw("'true'"),
    };
    let mut step = vec![("run", run)];
    if rng.u8(..12) == 0 {
        let fails = ["true", "no", "x", "${{ inputs.x }}", "[a]", "True", ""];
        step.push(("continue-on-error", Yaml::raw(pick(rng, &fails))));
    }
    Yaml::List(vec![Yaml::map(step)])
}

fn needs(rng: &mut Rng, ids: &[String]) -> Yaml {
    let mut any = || ids[rng.usize(..ids.len())].clone();
    let (first, second) = (any(), any());
    match rng.u8(..8) {
        0 => Yaml::raw(pick(
            rng,
            &[
                "", "[]", "1", "{a: b}", "[1]", "[[a]]", "[null]", "nobody", "true",
            ],
        )),
        1 => Yaml::texts(["nobody".to_owned(), first]),
        2..4 => Yaml::texts([first, second]),
        _ => Yaml::text(first),
    }
}

fn runs_on(rng: &mut Rng) -> Yaml {
    let label = |rng: &mut Rng| match rng.u8(..3) {
        0 => expression::text(rng),
        _ => pick(rng, &LABELS).to_owned(),
    };
    match rng.u8(..12) {
        0..4 => Yaml::text(pick(rng, &LABELS)),
        4 | 5 => Yaml::text(expression::text(rng)),
        6 | 7 => {
            let count = rng.usize(..4);
            Yaml::texts((0..count).map(|_| label(rng)))
        }
        8 => {
            let labels = if rng.bool() {
                Yaml::text(label(rng))
            } else {
                Yaml::texts([label(rng), label(rng)])
            };
            let mut pairs = vec![("labels", labels)];
            if rng.bool() {
                pairs.push(("group", Yaml::text(label(rng))));
            }
            Yaml::map(pairs)
        }
        9 => Yaml::map([("group", Yaml::text(label(rng)))]),
        10 => Yaml::text("${{ matrix.os }}"),
        _ => Yaml::raw(pick(
            rng,
            &[
                "",
                "3",
                "true",
                "[1, true, null]",
                "[[a]]",
                "{labels: {a: b}}",
                "{}",
                "[a, {b: c}]",
                "1.50",
            ],
        )),
    }
}

fn concurrency(rng: &mut Rng) -> Yaml {
    let group = match rng.u8(..3) {
        0 => expression::text(rng),
        1 => "${{ github.workflow }}-${{ github.ref }}".to_owned(),
        _ => pick(rng, &["deploy", "g", ""]).to_owned(),
    };
    match rng.u8(..8) {
        0..3 => Yaml::text(group),
        3 => Yaml::raw(pick(
            rng,
            &[
                "",
                "{}",
                "[a]",
                "3",
                "{group: [a]}",
                "{cancel-in-progress: true}",
            ],
        )),
        _ => {
            let cancel = pick(
                rng,
                &[
                    "true",
                    "false",
                    "${{ github.ref_name == 'main' }}",
                    "x",
                    "'true'",
                ],
            );
            Yaml::map([
                ("group", Yaml::text(group)),
                ("cancel-in-progress", Yaml::raw(cancel)),
            ])
        }
    }
}
