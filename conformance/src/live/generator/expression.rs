//! `${{ … }}`: over what the server knows, over what it does not, and broken ones.

use fastrand::Rng;

use super::pick;

const WHOLE: [&str; 22] = [
    "github.ref",
    "github.ref_name",
    "github.ref_type",
    "github.event_name",
    "github.sha",
    "github.actor",
    "github.repository",
    "github.repository_owner",
    "github.base_ref",
    "github.head_ref",
    "github.workflow",
    "gitea.ref_name",
    "github.event.ref",
    "github.event.after",
    "github.event.repository.name",
    "github.event.pusher.login",
    "github.event.commits[0].id",
    "github.event.head_commit.message",
    "GITHUB.REF_NAME",
    "github['ref_name']",
    "github.nothing",
    "github",
];
const ELSEWHERE: [&str; 17] = [
    "vars.LABEL",
    "vars.label",
    "vars.LIST",
    "vars.SPACE",
    "vars.NOTHING",
    "vars['LABEL']",
    "inputs.name",
    "secrets.TOKEN",
    "env.NAME",
    "needs.a.outputs.x",
    "needs.a.result",
    "steps.x.outputs.y",
    "runner.os",
    "strategy.job-index",
    "job.status",
    "nothing.here",
    "github.run_number",
];
const MATRIX: [&str; 8] = [
    "matrix.os",
    "matrix.os",
    "matrix.version",
    "matrix.nothing",
    "matrix['os']",
    "matrix.os.name",
    "matrix.*",
    "matrix",
];
const LITERALS: [&str; 16] = [
    "'text'",
    "'it''s'",
    "''",
    "1",
    "0",
    "-1.5",
    "0x1F",
    "1e2",
    "true",
    "false",
    "null",
    "NaN",
    "'1'",
    "'TRUE'",
    "'main'",
    "'refs/heads/main'",
];
const BROKEN: [&str; 14] = [
    "${{",
    "${{ }}",
    "}}",
    "${{ github.ref",
    "${{ github..ref }}",
    "${{ 'open }}",
    "${{ 1 + 1 }}",
    "${{ f( }}",
    "${{ unknown() }}",
    "${{ github.ref }",
    "$ {{ x }}",
    "${{ \"double\" }}",
    "${{ format('{0}') }}",
    "${{ fromJSON('[') }}",
];
/// How deep expressions are nested: deeper ones say nothing new.
const DEPTH_MAX: u8 = 3;

/// A text with one expression or two in it.
pub(crate) fn text(rng: &mut Rng) -> String {
    match rng.u8(..12) {
        0 => pick(rng, &BROKEN).to_owned(),
        1 => format!("{}-{}", braced(rng), braced(rng)),
        2 | 3 => format!("on-{}", braced(rng)),
        4 => format!("{} and more", braced(rng)),
        _ => braced(rng),
    }
}

/// The condition of a job, with braces or without.
pub(crate) fn condition(rng: &mut Rng) -> String {
    let inner = expression(rng, 0);
    match rng.u8(..5) {
        0 => pick(
            rng,
            &[
                "always()",
                "failure()",
                "success()",
                "cancelled()",
                "false",
                "true",
            ],
        )
        .to_owned(),
        1 => format!("${{{{ {inner} }}}}"),
        2 => format!("!{inner}"),
        _ => inner,
    }
}

fn braced(rng: &mut Rng) -> String {
    let inner = expression(rng, 0);
    let pad = pick(rng, &[" ", " ", "", "  "]);
    format!("${{{{{pad}{inner}{pad}}}}}")
}

fn expression(rng: &mut Rng, depth: u8) -> String {
    if depth >= DEPTH_MAX || rng.u8(..5) < 3 {
        return leaf(rng);
    }
    let mut next = || expression(rng, depth + 1);
    let (a, b, c) = (next(), next(), next());
    match rng.u8(..16) {
        0 => format!("{a} == {b}"),
        1 => format!("{a} != {b}"),
        2 => format!("{a} && {b}"),
        3 => format!("{a} || {b}"),
        4 => format!("!{a}"),
        5 => format!("({a} && {b}) || {c}"),
        6 => format!("{a} {} {b}", pick(rng, &["<", "<=", ">", ">="])),
        7 => format!("format('{{0}}-{{1}}', {a}, {b})"),
        8 => format!("contains({a}, {b})"),
        9 => format!("startsWith({a}, {b})"),
        10 => format!("endsWith({a}, {b})"),
        11 => format!("join({a}, {b})"),
        12 => format!("toJSON({a})"),
        13 => "fromJSON('[\"x\", \"y\"]')".to_owned(),
        14 => format!("fromJSON({a})"),
        _ => "fromJSON('{\"k\": [1, 2.5, null]}').k[1]".to_owned(),
    }
}

fn leaf(rng: &mut Rng) -> String {
    match rng.u8(..10) {
        0..4 => pick(rng, &WHOLE),
        4..6 => pick(rng, &ELSEWHERE),
        6..8 => pick(rng, &MATRIX),
        _ => pick(rng, &LITERALS),
    }
    .to_owned()
}
