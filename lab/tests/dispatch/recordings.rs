//! Every recording of real traffic through the whole function.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::delivery::{body_of, names, recorded};
use crate::world::{NO_FORGE, World};

/// The recordings of Gitea 1.26 in the order in which they are delivered: status, decision (or the
/// error's name), pool, and the decision when the same is delivered again.
const OF_GITEA_1_26: [Row; 52] = [
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

/// Those of Gitea 1.27.3.
const OF_GITEA_1_27: [Row; 26] = [
    job("workflow_job.queued", "recorded", Some("base")),
    ignored("workflow_job.waiting_matrix_needs"),
    event("push.branch_update"),
    // The same event from other hook levels.
    seen("org.push.branch_update"),
    seen("system.push.branch_update"),
    event("push.eight_commits"),
    ignored("push.hook_test_button"),
    event("push.merge_of_pull"),
    event("push.new_branch_one_commit"),
    event("push.release_created_tag"),
    ignored("push.skip_ci_message"),
    event("push.tag_annotated"),
    event("push.tag_delete"),
    event("push.tag_lightweight"),
    event("create.branch"),
    event("delete.branch"),
    event("fork"),
    event("issue_comment.created"),
    event("issues.opened"),
    event("pull_request.closed"),
    event("pull_request.opened"),
    event("pull_request.reopened"),
    event("pull_request.synchronized"),
    event("release.published"),
    ignored("repository.created"),
    ignored("workflow_run.requested"),
];

/// Those of Forgejo 15.0.3, which tells of no jobs.
const OF_FORGEJO_15: [Row; 23] = [
    event("push.branch_update"),
    seen("org.push.branch_update"),
    seen("system.push.branch_update"),
    // From a hook of the type `gitea`.
    seen("type_gitea.push.branch_update"),
    event("push.eight_commits"),
    ignored("push.hook_test_button"),
    event("push.new_branch_one_commit"),
    event("push.release_created_tag"),
    ignored("push.skip_ci_message"),
    event("push.tag_annotated"),
    event("push.tag_delete"),
    event("push.tag_lightweight"),
    event("create.branch"),
    event("delete.branch"),
    event("fork"),
    event("issue_comment.created"),
    event("issues.opened"),
    event("pull_request.closed"),
    event("pull_request.opened"),
    event("pull_request.reopened"),
    event("pull_request.synchronized"),
    event("release.published"),
    ignored("repository.created"),
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

/// An event that was recorded before.
const fn seen(name: &'static str) -> Row {
    (name, 202, "duplicate", None, "duplicate")
}

const fn ignored(name: &'static str) -> Row {
    (name, 202, "ignored", None, "ignored")
}

const fn badly_signed(name: &'static str) -> Row {
    (name, 401, "bad-signature", None, "bad-signature")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recording_gets_its_decision_and_the_same_again_changes_nothing() {
    let Some(world) = deliver_twice("", &OF_GITEA_1_26).await else {
        return;
    };
    let rows = world.rows().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn so_does_every_recording_of_gitea_1_27() {
    let Some(world) = deliver_twice("gitea-1.27.3/", &OF_GITEA_1_27).await else {
        return;
    };
    world.drain().await;
    assert_eq!(world.living().await.len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_every_recording_of_forgejo_15() {
    let Some(world) = deliver_twice("forgejo-15.0.3/", &OF_FORGEJO_15).await else {
        return;
    };
    world.drain().await;
    assert!(world.living().await.is_empty(), "no job was told of");
    world.end().await;
}

/// Delivers the recordings in `folder` as `table` has them, twice.
async fn deliver_twice(folder: &str, table: &[Row]) -> Option<World> {
    let named: BTreeSet<String> = table.iter().map(|row| row.0.to_owned()).collect();
    assert_eq!(
        named,
        names(folder).into_iter().collect(),
        "the table and the folder differ"
    );
    let mut world = World::up().await?;
    // Recordings grow old, and what is older than the ledger's history is asked about: here by none.
    world.handler = Arc::new(world.cold(NO_FORGE));
    for (name, status, decision, pool, _) in table {
        deliver(&world, folder, name, *status, decision, *pool).await;
    }
    let rows = world.rows().await;
    for (name, status, _, pool, again) in table {
        deliver(&world, folder, name, *status, again, *pool).await;
    }
    assert_eq!(world.rows().await, rows, "the second round wrote something");
    Some(world)
}

async fn deliver(
    world: &World,
    folder: &str,
    name: &str,
    status: u64,
    decision: &str,
    pool: Option<&str>,
) {
    let name = format!("{folder}{name}");
    let reply = world.send(&recorded(&name)).await;
    assert_eq!(reply.status, status, "{name}: {}", reply.body);
    check(&name, &reply.json(), decision, pool);
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
        // Until 1.27 an attempt counts itself once it has a runner.
        let counts_itself = name.starts_with("gitea-1.27") || job["runner_name"].is_string();
        json!([{
            "repository": body["repository"]["full_name"],
            "id": job["id"],
            "attempt": job["run_attempt"].as_u64().unwrap() - u64::from(counts_itself),
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
