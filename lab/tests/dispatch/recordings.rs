//! Every recording of real traffic through the whole function.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::delivery::{body_of, names, recorded};
use crate::world::{NO_FORGE, World};

/// The recordings in the order in which they are delivered: status, decision (or the error's
/// name), pool, and the decision when the same is delivered again.
const EXPECTED: [(&str, u64, &str, Option<&str>, &str); 52] = [
    job("workflow_job.queued", "recorded", Some("base")),
    // The same event from another hook level.
    job(
        "target_default_copied.workflow_job.queued",
        "duplicate",
        Some("base"),
    ),
    job("workflow_job.in_progress", "recorded", None),
    job("workflow_job.completed_success", "recorded", None),
    job(
        "workflow_job.queued_rerun_attempt1",
        "recorded",
        Some("base"),
    ),
    job(
        "workflow_job.queued_unblocked_by_needs",
        "recorded",
        Some("base"),
    ),
    job("workflow_job.queued_pull_request", "recorded", Some("base")),
    job(
        "workflow_job.queued_labels_empty_no_runs_on",
        "recorded",
        Some("base"),
    ),
    job("workflow_job.queued_labels_array", "refused", None),
    job("workflow_job.queued_labels_colon", "refused", None),
    job(
        "workflow_job.queued_labels_fromJSON_array_is_Array",
        "refused",
        None,
    ),
    job("workflow_job.queued_labels_from_vars", "refused", None),
    job("workflow_job.queued_labels_object_group", "refused", None),
    job("workflow_job.queued_schedule", "refused", None),
    // Ends of jobs that were never announced here.
    job(
        "workflow_job.completed_cancelled_never_run",
        "recorded",
        None,
    ),
    job(
        "workflow_job.completed_cancelled_while_running",
        "recorded",
        None,
    ),
    job("workflow_job.completed_failure", "recorded", None),
    job(
        "workflow_job.completed_failure_zombie_runner_lost",
        "recorded",
        None,
    ),
    job(
        "workflow_job.completed_skipped_by_runner_if_false",
        "recorded",
        None,
    ),
    ignored("workflow_job.waiting_matrix_needs"),
    ignored("workflow_job.waiting_fork_pr_unapproved"),
    event("push.branch_update"),
    event("push.eight_commits_truncated_to_five"),
    event("push.force"),
    ignored("push.hook_test_button"),
    event("push.new_branch_one_commit"),
    event("push.release_created_tag"),
    ignored("push.skip_ci_message"),
    event("push.tag_annotated"),
    event("push.tag_delete"),
    event("push.tag_lightweight"),
    event("create.branch"),
    event("delete.branch"),
    event("delete.tag"),
    event("fork"),
    event("pull_request.closed"),
    event("pull_request.merged"),
    event("pull_request.opened"),
    event("pull_request.reopened"),
    event("pull_request.synchronized"),
    event("release.published"),
    ignored("repository.created"),
    ignored("repository.deleted"),
    ignored("status.pending"),
    ignored("target_user.repository.created"),
    ignored("workflow_run.completed_success"),
    ignored("workflow_run.in_progress"),
    ignored("workflow_run.requested"),
    ignored("workflow_run.requested_dispatch"),
    ignored("workflow_run.requested_fork_pr_waiting"),
    badly_signed("badsig.push.no_secret"),
    // A form: the signature is over the document in it.
    ignored("badsig.push.form_content_type"),
];

type Row = (
    &'static str,
    u64,
    &'static str,
    Option<&'static str>,
    &'static str,
);

const fn job(name: &'static str, decision: &'static str, pool: Option<&'static str>) -> Row {
    let again = match decision.as_bytes() {
        b"recorded" => "duplicate",
        _ => decision,
    };
    (name, 202, decision, pool, again)
}

/// Something that may start workflows: recorded, and looked into after the answer.
const fn event(name: &'static str) -> Row {
    (name, 202, "recorded", None, "duplicate")
}

const fn ignored(name: &'static str) -> Row {
    (name, 202, "ignored", None, "ignored")
}

const fn badly_signed(name: &'static str) -> Row {
    (name, 401, "bad-signature", None, "bad-signature")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recording_gets_its_decision_and_the_same_again_changes_nothing() {
    let table: BTreeSet<&str> = EXPECTED.iter().map(|row| row.0).collect();
    let recordings = names();
    assert_eq!(
        table,
        recordings.iter().map(String::as_str).collect(),
        "the table and the folder differ"
    );
    let Some(mut world) = World::up().await else {
        return;
    };
    // Recordings grow old, and what is older than the ledger's history is asked about: here by none.
    world.handler = Arc::new(world.cold(NO_FORGE));
    for (name, status, decision, pool, _) in EXPECTED {
        let reply = world.send(&recorded(name)).await;
        assert_eq!(reply.status, status, "{name}: {}", reply.body);
        check(name, &reply.json(), decision, pool);
    }
    let rows = world.rows().await;
    for (name, status, _, pool, again) in EXPECTED {
        let reply = world.send(&recorded(name)).await;
        assert_eq!(reply.status, status, "{name}: {}", reply.body);
        check(name, &reply.json(), again, pool);
    }
    // In base64, as API Gateway sends what it does not take for text.
    let mut binary = recorded("workflow_job.queued");
    binary["body"] = json!(STANDARD.encode(body_of("workflow_job.queued")));
    binary["isBase64Encoded"] = json!(true);
    let reply = world.send(&binary).await;
    check(
        "workflow_job.queued",
        &reply.json(),
        "duplicate",
        Some("base"),
    );
    assert_eq!(world.rows().await, rows, "the second round wrote something");

    // The rerun, the unblocked one, the pull request's, and the one without labels.
    world.drain().await;
    assert_eq!(world.living().await.len(), 4);
    assert_eq!(
        world.counters().await,
        [("all".to_owned(), 4), ("pool#base".to_owned(), 4)].into()
    );
    world.end().await;
}

/// The answer in its exact shape.
fn check(name: &str, answer: &Value, decision: &str, pool: Option<&str>) {
    let reason = answer["reason"].as_str().unwrap();
    assert!(!reason.is_empty(), "{name}");
    if decision == "bad-signature" {
        let expected = json!({ "error": decision, "reason": reason });
        assert_eq!(*answer, expected, "{name}");
        return;
    }
    let body: Value = serde_json::from_slice(&body_of(name)).unwrap_or_default();
    let jobs = if decision == "ignored" || body["workflow_job"].is_null() {
        json!([])
    } else {
        let job = &body["workflow_job"];
        // What `queued` said: with a runner, the forge says one more.
        let with_runner = u64::from(job["runner_name"].is_string());
        json!([{
            "repository": body["repository"]["full_name"],
            "id": job["id"],
            "attempt": job["run_attempt"].as_u64().unwrap() - with_runner,
            "name": job["name"],
            "labels": job["labels"],
            "pool": pool,
        }])
    };
    let expected = json!({ "decision": decision, "reason": reason, "jobs": jobs });
    assert_eq!(*answer, expected, "{name}");
    if let Some(id) = answer["jobs"][0].get("id") {
        assert!(id.is_u64(), "{name}: {id} is not a number");
    }
    if reason.contains("the one word Array") {
        assert!(
            reason.contains("write the labels one by one"),
            "{name}: {reason}"
        );
    }
    if decision == "refused" {
        let labels = answer["jobs"][0]["labels"].as_array().unwrap();
        for label in labels {
            assert!(reason.contains(label.as_str().unwrap()), "{name}: {reason}");
        }
        assert!(
            reason.contains("base, go, lab, self-hosted"),
            "{name} does not say what there is: {reason}"
        );
    }
}
