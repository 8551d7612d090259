//! One thing of a file made odd, line by line: aliases, merges, nulls, expressions and wrong types in any
//! place. It needs no file that can be read, so that mutations add up.

use fastrand::Rng;

use crate::live::generator::yaml::{ODD, garble};
use crate::live::generator::{expression, pick};

/// Longest file that is mutated, in bytes: in a longer one nothing new comes of it.
const FILE_MAX_BYTES: usize = 64 * 1024;
/// What is merged.
const MERGED: [&str; 5] = [
    "*a",
    "{runs-on: merged, name: merged}",
    "[{branches: merged}, {paths: ['**']}]",
    "{}",
    "x",
];
/// Lines that stand somewhere else than they should, or twice.
const LINES: [&str; 18] = [
    "name: ${{ matrix.os }}",
    "run-name: ${{ nosuch.x }}",
    "run-name: ${{ github.event_name }}",
    "needs: [a, b]",
    "if: ${{ always() && failure() }}",
    "runs-on: ${{ fromJSON(needs.b.outputs.l) }}",
    "continue-on-error: ${{ inputs.x }}",
    "continue-on-error: true",
    "timeout-minutes: ${{ 5 }}",
    "strategy: {matrix: {os: [a, b], include: [{os: a, x: 1}]}}",
    "strategy: {matrix: {include: \"${{ fromJSON(needs.plan.outputs.m) }}\"}}",
    "strategy: {matrix: \"${{ fromJSON('{}') }}\"}",
    "concurrency: {group: \"${{ github.ref }}\", cancel-in-progress: \"${{ true }}\"}",
    "uses: ./.gitea/workflows/called.yml",
    "secrets: inherit",
    "env: {A: 1, B: null}",
    "on: {workflow_call: {inputs: {x: {type: string}}}}",
    "x-note: &a [1, *a]",
];

/// The file with one thing changed.
pub(super) fn mutate(rng: &mut Rng, bytes: Vec<u8>) -> Vec<u8> {
    let Ok(text) = String::from_utf8(bytes) else {
        return b"on: push\njobs: {a: {runs-on: base}}\n".to_vec();
    };
    if text.len() > FILE_MAX_BYTES || text.is_empty() {
        return text.into_bytes();
    }
    if rng.u8(..16) == 0 {
        return garble(text, rng);
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return text.into_bytes();
    }
    let at = rng.usize(..lines.len());
    match rng.u8(..14) {
        0..5 => {
            let value = odd_value(rng);
            set_value(&mut lines[at], &value);
        }
        5 | 6 => {
            let value = expression::text(rng);
            let quoted = if rng.bool() {
                format!("{value:?}")
            } else {
                value
            };
            set_value(&mut lines[at], &quoted);
        }
        7 | 8 => alias(rng, &mut lines, at),
        9 => {
            let pad = indent(&lines[at]).to_owned();
            lines.insert(at, format!("{pad}<<: {}", pick(rng, &MERGED)));
        }
        10 => drop(lines.remove(at)),
        11 => {
            let line = lines[at].clone();
            lines.insert(rng.usize(..=lines.len()), line);
        }
        12 => {
            let pad = indent(&lines[at]).to_owned();
            lines.insert(at, format!("{pad}{}", pick(rng, &LINES)));
        }
        _ => item(rng, &mut lines[at]),
    }
    (lines.join("\n") + "\n").into_bytes()
}

fn odd_value(rng: &mut Rng) -> String {
    match rng.u8(..4) {
        0 => String::new(),
        1 => pick(rng, &["null", "[]", "{}", "[[a]]", "{a: b}", "3", "true"]).to_owned(),
        _ => pick(rng, &ODD).to_owned(),
    }
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start_matches([' ', '-']).len()]
}

/// Puts `value` behind the first colon, or in the place of an item.
fn set_value(line: &mut String, value: &str) {
    let end = line
        .find(": ")
        .or_else(|| line.ends_with(':').then(|| line.len() - 1));
    *line = match end {
        Some(end) => format!("{}: {value}", &line[..end]),
        None => format!("{}{value}", indent(line)),
    };
}

/// Anchors what is behind one colon and puts its alias behind another.
fn alias(rng: &mut Rng, lines: &mut [String], at: usize) {
    let anchored = |line: &str| {
        let end = line.find(':')? + 1;
        let (key, value) = line.split_at_checked(end)?;
        Some(format!("{key} &a{value}"))
    };
    if let Some(line) = anchored(&lines[at]) {
        lines[at] = line;
    }
    let other = rng.usize(..lines.len());
    set_value(&mut lines[other], "*a");
}

/// In a list or map on one line, one item becomes something else.
fn item(rng: &mut Rng, line: &mut String) {
    let places: Vec<usize> = line
        .match_indices([',', '[', '{'])
        .map(|(at, _)| at + 1)
        .collect();
    if places.is_empty() {
        return;
    }
    let from = places[rng.usize(..places.len())];
    let to = line[from..]
        .find([',', ']', '}'])
        .map_or(line.len(), |end| from + end);
    let old = line[from..to].to_owned();
    let new = match old.split_once(": ") {
        Some((key, _)) if rng.bool() => format!("{key}: {}", odd_value(rng)),
        _ => match rng.u8(..5) {
            0 => format!(" *a{old}"),
            // Of nothing it would be an anchor of nothing, which Go's library reads and writes otherwise.
            1 if !old.trim().is_empty() => format!(" &a {old}"),
            2 => format!(" {:?}", expression::text(rng)),
            3 => String::new(),
            _ => format!(" {}", odd_value(rng)),
        },
    };
    line.replace_range(from..to, &new);
}
