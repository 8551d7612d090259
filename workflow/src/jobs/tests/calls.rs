//! What newer versions of Gitea ask before they start what waits, or make a call.

use super::after::{asked, row};
use super::{GITEA_1_27, contexts};
use crate::jobs::needs::{Next, Status, resolve};
use crate::server::Server;

#[test]
fn whether_a_run_was_cancelled_is_no_question_since_gitea_1_27_1() {
    use Status::{Blocked, Failure, Success};
    let stuck = "`cancelled()` is asked where the forge knows of no job";
    let (waiting, skipped) = (Next::Waiting, Next::Skipped);
    for (needed, condition, expected) in [
        (Failure, "!cancelled()", &waiting),
        (Failure, "cancelled()", &skipped),
        (Success, "cancelled() || failure()", &skipped),
        (Failure, "cancelled() || failure()", &waiting),
        (Success, "success() && !cancelled()", &waiting),
        (
            Failure,
            "${{ !cancelled() && needs.a.result == 'failure' }}",
            &waiting,
        ),
        (Failure, "always() && !cancelled()", &waiting),
        (Failure, "job.status == ''", &skipped),
        (Success, "job.status == ''", &waiting),
    ] {
        let rows = [
            row("a", needed, &[], None),
            row("b", Blocked, &["a"], Some(condition)),
        ];
        let next = |patch| {
            let server = Server::gitea(1, 27, patch);
            resolve(&rows, &contexts(server), server).remove(&1)
        };
        for patch in [1, 2, 3] {
            assert_eq!(next(patch).as_ref(), Some(expected), "{condition}");
        }
        if condition.starts_with("cancelled") {
            assert_eq!(next(0), Some(Next::Stuck(stuck.to_owned())), "{condition}");
        }
    }
}

#[test]
fn the_jobs_of_all_calls_are_counted_together() {
    let call = |n| format!("j{n}: {{uses: ./.gitea/workflows/b.yml}}");
    let calls: Vec<String> = (0..40).map(call).collect();
    let caller = format!("on: push\njobs: {{{}}}", calls.join(", "));
    let jobs: Vec<String> = (0..40).map(|n| format!("j{n}: {{}}")).collect();
    let target = format!("on: workflow_call\njobs: {{{}}}", jobs.join(", "));
    assert_eq!(
        asked(&[("a.yml", &caller), ("b.yml", &target)], GITEA_1_27),
        ["with what it calls it makes more than 1000 jobs; split it"]
    );
}

#[test]
fn secrets_decide_about_a_call() {
    let target = "
on: {workflow_call: {secrets: {TOKEN: {required: true}, OTHER: }}}
jobs: {j: {runs-on: j}}";
    let asked = |caller: &str| {
        let caller = format!("on: push\njobs: {{c: {{uses: ./.gitea/workflows/b.yml, {caller}}}}}");
        asked(&[("a.yml", &caller), ("b.yml", target)], GITEA_1_27).join(", ")
    };
    for (caller, said) in [
        ("secrets: inherit", "c/j [j]"),
        ("secrets: {token: '${{ secrets.A_1 }}'}", "c/j [j]"),
        ("if: false", ""),
    ] {
        assert_eq!(asked(caller), said, "{caller}");
    }
    for (caller, said) in [
        ("name: c", "requires the secret `TOKEN`"),
        (
            "secrets: {OTHER: '${{ secrets.A }}'}",
            "requires the secret",
        ),
        ("secrets: {TOKEN: x}", "must be `${{ secrets.NAME }}`"),
        (
            "secrets: {NONE: '${{ secrets.A }}'}",
            "has no secret `NONE`",
        ),
        ("secrets: ", "must be a map, or `inherit`"),
        ("secrets: inherit, if: nosuch.x", "there is no `nosuch`"),
    ] {
        assert!(asked(caller).contains(said), "{caller}: {}", asked(caller));
    }
}

#[test]
fn what_is_called_may_need_its_inputs_to_have_jobs_at_all() {
    let caller = "on: push\njobs: {c: {uses: ./.gitea/workflows/b.yml, with: {l: '[\"x\"]'}}}";
    let target = "
on: {workflow_call: {inputs: {l: {type: string}}}}
jobs: {j: {runs-on: '${{ fromJSON(inputs.l)[0] }}'}}";
    let files = [("a.yml", caller), ("b.yml", target)];
    assert_eq!(asked(&files, Server::gitea(1, 27, 3)), ["c/j [x]"]);
}
