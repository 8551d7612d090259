//! The `strategy` of a job: matrices as people write them, and some that no server reads.

use fastrand::Rng;

use super::pick;
use super::yaml::Yaml;

/// A matrix, and sometimes what stands beside it.
pub(crate) fn strategy(rng: &mut Rng) -> Yaml {
    let mut pairs = vec![("matrix", matrix(rng))];
    for (key, values) in [
        ("fail-fast", &["false", "x", "${{ true }}", "[a]", "1"][..]),
        ("max-parallel", &["1", "x", "'2'", "${{ 1 }}", "-1", "1.5"]),
    ] {
        if rng.u8(..4) == 0 {
            pairs.push((key, Yaml::raw(pick(rng, values))));
        }
    }
    Yaml::map(pairs)
}

fn matrix(rng: &mut Rng) -> Yaml {
    if rng.u8(..12) == 0 {
        return Yaml::raw(pick(
            rng,
            &[
                "",
                "{}",
                "[]",
                "3",
                "${{ fromJSON('{\"os\": [\"x\"]}') }}",
                "${{ fromJSON(needs.a.outputs.m) }}",
                "{os: x}",
                "{os: }",
                "{os: []}",
                "{os: [[x, y], {name: z}]}",
                "{os: ${{ vars.LIST }}}",
            ],
        ));
    }
    let mut pairs = vec![(
        "os",
        values(rng, &["linux", "mac", "win", "${{ vars.LABEL }}"]),
    )];
    if rng.bool() {
        pairs.push((
            "version",
            values(
                rng,
                &[
                    "1", "1.0", "1.10", "'1'", "010", "1e3", "true", "null", "0x1f", "~",
                ],
            ),
        ));
    }
    if rng.u8(..6) == 0 {
        pairs.push(("experimental", values(rng, &["true", "false"])));
    }
    if rng.u8(..3) == 0 {
        pairs.push(("include", clauses(rng)));
    }
    if rng.u8(..4) == 0 {
        pairs.push(("exclude", clauses(rng)));
    }
    Yaml::map(pairs)
}

fn values(rng: &mut Rng, from: &[&str]) -> Yaml {
    Yaml::List(
        (0..rng.usize(1..4))
            .map(|_| Yaml::raw(pick(rng, from)))
            .collect(),
    )
}

fn clauses(rng: &mut Rng) -> Yaml {
    const CLAUSES: [&str; 14] = [
        "{os: linux}",
        "{os: linux, version: 1}",
        "{os: linux, extra: yes}",
        "{extra: 1}",
        "{os: bsd, version: 9}",
        "{version: '1'}",
        "{os: [linux]}",
        "{}",
        "null",
        "x",
        "{os: mac, version: 1.0, note: [a, b]}",
        "{note: {a: b}}",
        "{1: 2}",
        "{os: ${{ vars.LABEL }}}",
    ];
    match rng.u8(..8) {
        0 => Yaml::raw(pick(
            rng,
            &["", "[]", "{os: linux}", "x", "${{ fromJSON('[]') }}"],
        )),
        _ => Yaml::List(
            (0..rng.usize(1..4))
                .map(|_| Yaml::raw(pick(rng, &CLAUSES)))
                .collect(),
        ),
    }
}
