//! What stands below `on:`: events, their filters, and forms that no server reads.

use fastrand::Rng;

use super::pattern::pattern;
use super::pick;
use super::yaml::Yaml;

/// Events that may start a workflow, the likeliest several times.
const EVENTS: [&str; 24] = [
    "push",
    "push",
    "push",
    "push",
    "push",
    "push",
    "push",
    "create",
    "create",
    "delete",
    "pull_request",
    "pull_request",
    "pull_request_target",
    "workflow_dispatch",
    "workflow_call",
    "schedule",
    "issues",
    "release",
    "fork",
    "workflow_run",
    "registry_package",
    "gollum",
    "Push",
    "unknown",
];
const FILTERS: [&str; 9] = [
    "branches",
    "branches",
    "branches-ignore",
    "tags",
    "tags-ignore",
    "paths",
    "paths",
    "paths-ignore",
    "types",
];

/// What filters may be about.
pub(crate) struct Names {
    pub(crate) refs: Vec<String>,
    pub(crate) paths: Vec<String>,
}

/// Any form of it, broken ones too.
pub(crate) fn on(rng: &mut Rng, names: &Names) -> Yaml {
    match rng.u8(..10) {
        0 | 1 => Yaml::text(pick(rng, &EVENTS)),
        2 => Yaml::texts(["push", "create"]),
        3 => Yaml::texts((0..rng.usize(..4)).map(|_| pick(rng, &EVENTS).to_owned())),
        _ => {
            let count = rng.usize(1..4);
            Yaml::map((0..count).map(|_| {
                let event = pick(rng, &EVENTS);
                (event, details(rng, event, names))
            }))
        }
    }
}

/// What starts on pushes, with filters more often than not.
pub(crate) fn likely_on(rng: &mut Rng, names: &Names) -> Yaml {
    match rng.u8(..8) {
        0 => Yaml::text("push"),
        1 => Yaml::texts(["push", "create", "delete"]),
        2 => Yaml::map([("push", filters(rng, names)), ("create", Yaml::raw(""))]),
        _ => Yaml::map([("push", filters(rng, names))]),
    }
}

fn details(rng: &mut Rng, event: &str, names: &Names) -> Yaml {
    match event {
        "schedule" => Yaml::raw(pick(
            rng,
            &[
                "[{cron: '0 0 1 1 *'}]",
                "[{cron: '0 0 1 1 *'}, {cron: '@yearly'}]",
                "[{cron: 5}]",
                "[]",
                "{cron: x}",
            ],
        )),
        "workflow_dispatch" => Yaml::raw(pick(
            rng,
            &[
                "",
                "{}",
                "{inputs: {name: {type: string, default: x}}}",
                "{inputs: {name: }}",
                "{inputs: [name]}",
            ],
        )),
        "workflow_call" => Yaml::raw(pick(
            rng,
            &[
                "",
                "{inputs: {name: {type: string}}}",
                "{secrets: {TOKEN: {required: true}}}",
                "{}",
            ],
        )),
        "push" | "pull_request" | "pull_request_target" => filters(rng, names),
        _ => Yaml::raw(pick(
            rng,
            &[
                "",
                "",
                "{types: [opened, published]}",
                "[opened]",
                "{branches: main}",
            ],
        )),
    }
}

/// Filters of a push or pull request.
pub(crate) fn filters(rng: &mut Rng, names: &Names) -> Yaml {
    let count = rng.usize(..4);
    if count == 0 {
        return Yaml::raw(pick(rng, &["", "", "{}", "null", "[]", "~"]));
    }
    let mut keys: Vec<&str> = (0..count).map(|_| pick(rng, &FILTERS)).collect();
    // Twice the same is an error of YAML, which `spoil` makes often enough.
    keys.sort_unstable();
    keys.dedup();
    rng.shuffle(&mut keys);
    if rng.u8(..25) == 0 {
        keys.push("unknown");
    }
    Yaml::map(keys.into_iter().map(|key| {
        let about = if key.starts_with("paths") {
            &names.paths
        } else {
            &names.refs
        };
        let value = match rng.u8(..12) {
            0 | 1 => Yaml::text(pattern(rng, about)),
            2 => Yaml::raw(pick(rng, &["[]", "", "[1, true]", "{a: b}", "'**'"])),
            _ => Yaml::texts((0..rng.usize(1..5)).map(|_| pattern(rng, about))),
        };
        (key, value)
    }))
}
