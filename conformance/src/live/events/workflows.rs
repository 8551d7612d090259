//! Workflows that start on anything but the clock and a person's button. All of them are such as the
//! forge reads without stumbling: at some others its process ends where a pull request has them.

use fastrand::Rng;

use super::super::generator::pick;

const PULL_TYPES: [&str; 20] = [
    "opened",
    "edited",
    "closed",
    "reopened",
    "synchronize",
    "synchronized",
    "assigned",
    "unassigned",
    "labeled",
    "unlabeled",
    "label_updated",
    "label_cleared",
    "milestoned",
    "demilestoned",
    "review_requested",
    "review_request_removed",
    "label*",
    "*",
    "**",
    "Opened",
];
const ISSUE_TYPES: [&str; 12] = [
    "opened",
    "edited",
    "closed",
    "reopened",
    "assigned",
    "unassigned",
    "labeled",
    "unlabeled",
    "label_updated",
    "milestoned",
    "demilestoned",
    "*ed",
];
const COMMENT_TYPES: [&str; 4] = ["created", "edited", "deleted", "*"];
const REVIEW_TYPES: [&str; 4] = ["submitted", "edited", "dismissed", "reviewed"];
const RELEASE_TYPES: [&str; 8] = [
    "published",
    "updated",
    "deleted",
    "created",
    "edited",
    "released",
    "prereleased",
    "unpublished",
];
const WIKI_TYPES: [&str; 4] = ["created", "edited", "deleted", "gollum"];
/// With their kinds.
const EVENTS: [(&str, &[&str]); 15] = [
    ("pull_request", &PULL_TYPES),
    ("pull_request", &PULL_TYPES),
    ("pull_request", &PULL_TYPES),
    ("pull_request_target", &PULL_TYPES),
    ("pull_request_review", &REVIEW_TYPES),
    ("pull_request_review_comment", &REVIEW_TYPES),
    ("pull_request_comment", &COMMENT_TYPES),
    ("issues", &ISSUE_TYPES),
    ("issue_comment", &COMMENT_TYPES),
    ("release", &RELEASE_TYPES),
    ("gollum", &WIKI_TYPES),
    ("create", &[]),
    ("delete", &[]),
    ("fork", &[]),
    ("push", &[]),
];
const BRANCHES: [&str; 8] = [
    "main",
    "dev",
    "feature/**",
    "feature/*",
    "!main",
    "**",
    "v*",
    "release/**",
];
const PATHS: [&str; 8] = [
    "src/**",
    "docs/*.md",
    "**.md",
    "!docs/**",
    "*",
    ".gitea/**",
    "src/a.txt",
    "nowhere/**",
];
const NAMES: [&str; 10] = [
    "${{ github.event_name }}",
    "${{ github.ref }}",
    "${{ github.ref_name }} of ${{ github.ref_type }}",
    "${{ github.head_ref }} to ${{ github.base_ref }}",
    "${{ github.actor }}",
    "${{ github.sha }}",
    "${{ github.repository }} ${{ github.event.action }}",
    "${{ github.event.pull_request.number }}",
    "${{ github.event.issue.number }}",
    "plain",
];

pub(crate) fn workflow(rng: &mut Rng, name: &str) -> String {
    let mut lines = vec![format!("name: {name}"), "on:".to_owned()];
    let mut seen = Vec::new();
    for _ in 0..rng.usize(2..8) {
        let (event, types) = EVENTS[rng.usize(..EVENTS.len())];
        if !seen.contains(&event) {
            seen.push(event);
            lines.push(format!("  {event}:"));
            lines.extend(filters(rng, event, types));
        }
    }
    lines.push("jobs:".to_owned());
    for (number, id) in ["a", "b", "c"].iter().take(rng.usize(1..4)).enumerate() {
        lines.push(format!("  {id}:"));
        lines.push(format!("    runs-on: {}", label(rng)));
        if rng.bool() {
            lines.push(format!("    name: {id} {}", pick(rng, &NAMES)));
            // Names of jobs without a matrix are not evaluated.
            if rng.bool() {
                lines.push("    strategy: {matrix: {x: [1, 2]}}".to_owned());
            }
        }
        if number > 0 && rng.u8(..3) == 0 {
            lines.push("    needs: a".to_owned());
        }
        if rng.u8(..4) == 0 {
            lines.push("    if: github.event_name == 'push'".to_owned());
        }
        lines.push("    steps: [{run: 'true'}]".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}

fn label(rng: &mut Rng) -> &'static str {
    pick(
        rng,
        &[
            "one",
            "[one, two]",
            "'${{ github.event_name }}'",
            "'pull-${{ github.event.pull_request.number }}'",
            "'${{ github.ref_type }}-${{ github.base_ref }}'",
        ],
    )
}

fn filters(rng: &mut Rng, event: &str, types: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    if !types.is_empty() && rng.u8(..3) > 0 {
        lines.push(list(rng, "types", types));
    }
    if event == "push" || event.starts_with("pull_request") {
        for (plain, ignore, values) in [
            ("branches", "branches-ignore", &BRANCHES),
            ("paths", "paths-ignore", &PATHS),
        ] {
            match rng.u8(..8) {
                0 | 1 => lines.push(list(rng, plain, values)),
                2 => lines.push(list(rng, ignore, values)),
                _ => {}
            }
        }
    }
    lines
}

fn list(rng: &mut Rng, key: &str, values: &[&str]) -> String {
    let count = rng.usize(1..4);
    let chosen: Vec<String> = (0..count)
        .map(|_| format!("'{}'", pick(rng, values)))
        .collect();
    format!("    {key}: [{}]", chosen.join(", "))
}
