//! What a workflow file must look like: the structs that the forges decode it into.
//!
//! A file is read twice, for the runner's library and for the server, and must fit both: one wrong type
//! in a field that nobody here looks at makes the whole file invalid. What is `Raw` is decoded when it
//! is needed, and mistakes in it pass. Fields that are missing here are not looked at by the forge.

use crate::server::{Capability, Server};
use crate::yaml::Shape;
use Shape::{Any, Either, Flag, List, Map, Optional, Raw, Record, Text, Whole};

/// `act`'s `model.Workflow` (Gitea's fork 0.261, which 1.26 has; Forgejo's differs in nothing here).
pub(super) const WORKFLOW: Shape = Record(&[
    ("file", Text),
    ("name", Text),
    ("on", Raw),
    ("env", TEXTS),
    ("jobs", Map(&JOB)),
    ("defaults", DEFAULTS),
    ("concurrency", CONCURRENCY),
    ("permissions", Raw),
]);

const JOB: Shape = Optional(&Record(&[
    ("name", Text),
    ("needs", Raw),
    ("runs-on", Raw),
    ("env", Raw),
    ("if", Raw),
    ("steps", List(&STEP)),
    ("timeout-minutes", Text),
    ("services", Map(&CONTAINER)),
    ("strategy", Optional(&STRATEGY)),
    ("container", Raw),
    ("defaults", DEFAULTS),
    ("outputs", TEXTS),
    ("uses", Text),
    ("with", Map(&Any)),
    ("secrets", Raw),
    ("permissions", Raw),
    ("result", Text),
]));

const STRATEGY: Shape = Record(&[
    ("failfast", Flag),
    ("maxparallel", Whole),
    ("fail-fast", Text),
    ("max-parallel", Text),
    ("matrix", Raw),
]);

const STEP: Shape = Optional(&Record(&[
    ("id", Text),
    ("if", Raw),
    ("name", Text),
    ("uses", Text),
    ("run", Text),
    ("working-directory", Text),
    ("shell", Text),
    ("env", Raw),
    ("with", TEXTS),
    ("continue-on-error", Text),
    ("timeout-minutes", Text),
]));

const CONTAINER: Shape = Optional(&Record(&[
    ("image", Text),
    ("env", TEXTS),
    ("ports", List(&Text)),
    ("volumes", List(&Text)),
    ("options", Text),
    ("credentials", TEXTS),
    ("entrypoint", Text),
    ("args", Text),
    ("name", Text),
    ("reuse", Flag),
    ("cmd", List(&Text)),
]));

/// The server's `jobparser.SingleWorkflow` (Gitea 1.26).
pub(super) const SINGLE_WORKFLOW: Shape = Record(&[
    ("name", Text),
    ("on", Raw),
    ("env", TEXTS),
    ("jobs", Raw),
    ("defaults", DEFAULTS),
    ("permissions", Raw),
    ("run-name", Text),
]);

/// The server's `jobparser.Job` (Gitea 1.26; `continue-on-error` since 1.27, which as a raw node can't
/// be wrong).
pub(super) fn single_job(server: Server) -> &'static Shape {
    const WITH_FLAG: Shape = Optional(&Record(SINGLE_JOB_FIELDS));
    const WITH_RAW: Shape = Optional(&Record(&job_fields(List(&Optional(&Record(
        &step_fields(Raw),
    ))))));
    if server.has(Capability::RawStepFailures) {
        &WITH_RAW
    } else {
        &WITH_FLAG
    }
}

/// In the order in which the server writes them.
pub(super) const SINGLE_JOB_FIELDS: &[(&str, Shape)] =
    &job_fields(List(&Optional(&Record(SINGLE_STEP_FIELDS))));

const fn job_fields(steps: Shape) -> [(&'static str, Shape); 18] {
    [
        ("name", Text),
        ("needs", Raw),
        ("runs-on", Raw),
        ("env", Raw),
        ("if", Raw),
        ("steps", steps),
        ("timeout-minutes", Text),
        ("continue-on-error", Raw),
        ("services", Map(&SINGLE_CONTAINER)),
        ("strategy", SINGLE_STRATEGY),
        ("container", Raw),
        ("defaults", DEFAULTS),
        ("outputs", TEXTS),
        ("uses", Text),
        ("with", Map(&Any)),
        ("secrets", Raw),
        ("concurrency", CONCURRENCY),
        ("permissions", Raw),
    ]
}

const SINGLE_STRATEGY: Shape =
    Record(&[("fail-fast", Text), ("max-parallel", Text), ("matrix", Raw)]);

/// In the order in which the server writes them.
pub(super) const SINGLE_STEP_FIELDS: &[(&str, Shape)] = &step_fields(Flag);

const fn step_fields(continue_on_error: Shape) -> [(&'static str, Shape); 11] {
    [
        ("id", Text),
        ("if", Raw),
        ("name", Text),
        ("uses", Text),
        ("run", Text),
        ("working-directory", Text),
        ("shell", Text),
        ("env", Raw),
        ("with", TEXTS),
        ("continue-on-error", continue_on_error),
        ("timeout-minutes", Text),
    ]
}

const SINGLE_CONTAINER: Shape = Optional(&Record(&[
    ("image", Text),
    ("env", TEXTS),
    ("ports", List(&Text)),
    ("volumes", List(&Text)),
    ("options", Text),
    ("credentials", TEXTS),
    ("cmd", List(&Text)),
]));

const TEXTS: Shape = Map(&Text);

const DEFAULTS: Shape = Record(&[("run", RUN_DEFAULTS)]);

const RUN_DEFAULTS: Shape = Record(&[("shell", Text), ("working-directory", Text)]);

/// A text, or else the map.
const CONCURRENCY: Shape = Optional(&Either(
    &Text,
    &Record(&[("group", Text), ("cancel-in-progress", Text), ("-", Text)]),
));
