//! Tables of the jobs that workflows give.

mod after;
mod calls;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::contexts::{Contexts, GithubFacts, github_of};
use super::labels;
use super::matrix::JOBS_MAX;
use super::{ExpandedJob, expand};
use crate::document::Workflow;
use crate::event::EventKind;
use crate::expression::Resolved;
use crate::server::Server;
use crate::yaml::{By, Refused};

const GITEA: Server = Server::GITEA_1_26;
const GITEA_1_27: Server = Server::gitea(1, 27, 0);
const GITEA_1_28: Server = Server::gitea(1, 28, 0);
const FORGEJO: Server = Server::forgejo(14, 0, 0);
const FORGEJO_15: Server = Server::forgejo(15, 0, 3);

fn contexts(server: Server) -> Contexts {
    let event = serde_json::json!({});
    let facts = GithubFacts {
        kind: EventKind::Push,
        event_name: "push",
        event: &event,
        reference: "refs/heads/main",
        sha: "abc",
        actor: "me",
        repository: ("o", "r"),
        workflow: "w.yml",
        server_url: "http://forge/",
    };
    Contexts {
        github: github_of(facts, server),
        vars: Some(BTreeMap::from([("A".to_owned(), "x".to_owned())])),
        ..Contexts::default()
    }
}

fn read(text: &str, server: Server) -> Workflow {
    Workflow::read(text.as_bytes(), server).unwrap()
}

fn jobs(body: &str, server: Server) -> Result<Vec<ExpandedJob>, Refused> {
    let workflow = read(&format!("on: push\njobs:\n{body}"), server);
    expand(&workflow, &contexts(server), server)
}

/// `name [labels]` of each job, or what is said instead.
fn shown(body: &str, server: Server) -> Vec<String> {
    let said = |outcome| match outcome {
        Resolved::Known(text) => text,
        Resolved::Unknown(because) => format!("? {because}"),
    };
    match jobs(body, server) {
        Ok(jobs) => jobs
            .into_iter()
            .map(|job| {
                let labels = job.labels.map(|labels| labels.join("|"));
                format!("{} [{}]", said(job.name), said(labels))
            })
            .collect(),
        Err(refused) if refused.by == By::Panic => vec![format!("! {refused}")],
        Err(refused) => vec![format!("x {refused}")],
    }
}

#[test]
fn each_combination_is_a_job_in_the_order_of_names() {
    for (matrix, expected) in [
        (
            "{os: [b, a], v: [1.10, 2]}",
            "j (a, 1.1) j (a, 2) j (b, 1.1) j (b, 2)",
        ),
        ("{os: [a, b], exclude: [{os: b}]}", "j (a)"),
        ("{os: [a], exclude: [{os: a}]}", "j"),
        ("{os: [a, b], include: [{os: b, v: 1}]}", "j (a) j (b, 1)"),
        ("{os: [a], include: [{v: 1}]}", "j (1) j (a)"),
        ("{include: [{os: a}, {os: b}]}", "j (a) j (b)"),
        ("{os: [1, '1'], include: [{os: 1, v: x}]}", "j (1) j (1, x)"),
        (
            "{os: [[a, b], {x: 1}, null, 1e3, 0x10]}",
            "j (1000) j (16) j (<nil>) j ([a b]) j (map[x:1])",
        ),
        ("{os: ubuntu}", "j"),
        ("{os: []}", "j"),
        ("[a]", "j"),
        ("'${{ fromJSON(vars.A) }}'", "j"),
    ] {
        let body = format!("  j: {{strategy: {{matrix: {matrix}}}, steps: []}}");
        let names: Vec<String> = shown(&body, GITEA)
            .iter()
            .map(|job| job.replace(" []", ""))
            .collect();
        assert_eq!(names.join(" "), expected, "{matrix}");
    }
}

#[test]
fn a_matrix_that_the_forge_refuses_or_panics_at_gives_no_jobs() {
    for (matrix, expected) in [
        ("{os: [a], exclude: [{v: 1}]}", "x "),
        ("{os: [a], exclude: [a]}", "! "),
        ("{os: [a], include: [a]}", "! "),
        ("{os: [a], include: [[a]]}", "! "),
    ] {
        let body = format!("  j: {{strategy: {{matrix: {matrix}}}, steps: []}}");
        let answer = &shown(&body, GITEA)[0];
        assert!(answer.starts_with(expected), "{matrix}: {answer}");
    }
}

#[test]
fn a_matrix_without_a_combination_has_a_job_or_none() {
    for matrix in ["{os: []}", "{}", "{os: [a], exclude: [{os: a}]}"] {
        let body = format!("  j: {{strategy: {{matrix: {matrix}}}, steps: []}}");
        assert_eq!(shown(&body, FORGEJO), ["j []"], "{matrix}");
        assert_eq!(shown(&body, FORGEJO_15), [""; 0], "{matrix}");
    }
    let none = "  j: {strategy: {matrix: [a]}, steps: []}";
    assert_eq!(shown(none, FORGEJO_15), ["j []"]);
}

#[test]
fn forgejo_15_reads_runs_on_anew() {
    for (runs_on, expected) in [
        ("", "x "),
        ("~", "j []"),
        ("''", "j []"),
        ("*l", "x "),
        ("[*l]", "x "),
        ("[&m a, *m]", "j [a|a]"),
        (
            "['${{ forgejo.ref_name }}', '${{ vars.NO }}', b]",
            "j [main|b]",
        ),
    ] {
        let body = format!("  i: {{runs-on: &l a}}\n  j:\n    runs-on: {runs_on}");
        let shown = shown(&body, FORGEJO_15);
        let last = &shown[shown.len() - 1];
        assert!(last.starts_with(expected), "{runs_on}: {shown:?}");
    }
}

#[test]
fn too_many_jobs_are_refused_before_they_are_made() {
    let list = format!("[{}]", vec!["a"; 100].join(", "));
    let matrix = format!("{{a: {list}, b: {list}, c: {list}, d: {list}, e: {list}}}");
    let body = format!("  j: {{strategy: {{matrix: {matrix}}}, steps: []}}");
    let refused = jobs(&body, GITEA).unwrap_err();
    let reason = format!("more than {JOBS_MAX} jobs");
    assert!(refused.reason.contains(&reason), "{refused}");
}

#[test]
fn names_and_labels_are_made_as_each_forge_makes_them() {
    let matrix = "strategy: {matrix: {os: [a]}}, steps: []";
    let of_matrix = format!("runs-on: '${{{{ matrix.os }}}}', {matrix}");
    let named = format!("name: n, {matrix}");
    let evaluated = format!("name: 'n-${{{{ matrix.os }}}}', {matrix}");
    for (job, gitea, forgejo) in [
        ("runs-on: one", "j [one]", "j [one]"),
        ("steps: []", "j []", "j []"),
        ("runs-on: [one, 2]", "j [one|2]", "j [one|2]"),
        (
            "runs-on: {labels: [a, b], group: g}",
            "j [a|b|g]",
            "j [a|b|g]",
        ),
        ("runs-on: {group: g}", "j [g]", "j [g]"),
        (
            "runs-on: '${{ vars.A }}-${{ github.ref_name }}'",
            "j [x-main]",
            "j [x-main]",
        ),
        ("runs-on: '${{ vars.NOPE }}'", "j []", "j []"),
        (
            "runs-on: \"${{ fromJSON('[1,2]') }}\"",
            "j [Array]",
            "j [1|2]",
        ),
        ("runs-on: ['${{ nope }}', a]", "j [|a]", "j [${{ nope }}|a]"),
        (
            "name: '${{ github.ref }}', runs-on: a",
            "${{ github.ref }} [a]",
            "refs/heads/main [a]",
        ),
        (&of_matrix, "j (a) [a]", "j (a) [a]"),
        (&named, "n (a) []", "n []"),
        (&evaluated, "n-a []", "n-a []"),
        ("runs-on: '${{ forge.ref_name }}'", "j []", "j [main]"),
    ] {
        let body = format!("  j: {{{job}}}");
        assert_eq!(shown(&body, GITEA), [gitea], "Gitea: {job}");
        assert_eq!(shown(&body, FORGEJO), [forgejo], "Forgejo: {job}");
    }
}

#[test]
fn variables_that_were_not_fetched_make_labels_unknown() {
    let workflow = read("on: push\njobs: {j: {runs-on: '${{ vars.A }}'}}", GITEA);
    let mut contexts = contexts(GITEA);
    contexts.vars = None;
    let job = &expand(&workflow, &contexts, GITEA).unwrap()[0];
    let because = "the repository's variables were not fetched";
    assert_eq!(job.unknown(), Some(because));
}

#[test]
fn what_needs_outputs_waits_for_them_in_forgejo() {
    let body = "
  a: {runs-on: x}
  b: {needs: a, runs-on: '${{ fromJSON(needs.a.outputs.l) }}'}
  c: {needs: a, runs-on: x, strategy: {matrix: {v: '${{ fromJSON(needs.a.outputs.m) }}'}}}";
    let jobs = jobs(body, FORGEJO).unwrap();
    let because = Some("it needs the outputs of a job that has not ended");
    assert_eq!(jobs[1].unknown(), because);
    assert_eq!(jobs[2].unknown(), because);
    let name = jobs[2].name.clone().known().unwrap();
    assert_eq!(name, "c (incomplete matrix)");

    let workflow = read(&format!("on: push\njobs:{body}"), FORGEJO);
    let mut contexts = contexts(FORGEJO);
    let outputs = [("l", "[\"p\",\"q\"]"), ("m", "[1,2]")];
    let outputs = outputs.map(|(key, text)| (key.to_owned(), text.to_owned()));
    contexts.job_outputs.insert("a".to_owned(), outputs.into());
    let jobs = expand(&workflow, &contexts, FORGEJO).unwrap();
    let names: Vec<String> = jobs
        .iter()
        .filter_map(|job| job.name.clone().known())
        .collect();
    assert_eq!(names, ["a", "b", "c (1)", "c (2)"]);
    let labels = ["p".to_owned(), "q".to_owned()];
    assert_eq!(jobs[1].labels, Resolved::Known(labels.to_vec()));
}

#[test]
fn newer_gitea_takes_single_values_and_evaluates_more() {
    let body =
        "  j: {strategy: {matrix: {os: a, v: [true]}}, continue-on-error: '${{ matrix.v }}'}";
    assert_eq!(shown(body, GITEA), ["j []"]);
    assert_eq!(shown(body, GITEA_1_27), ["j (a, true) []"]);
    let job = &jobs(body, GITEA_1_27).unwrap()[0];
    let known = job.continue_on_error.clone().unwrap().known().unwrap();
    assert_eq!(known.to_string(), "true");
    let body = "  j: {strategy: {matrix: {v: \"${{ fromJSON('[1,2]') }}\"}}}";
    assert_eq!(shown(body, GITEA_1_28), ["j (1) []", "j (2) []"]);
}

#[test]
fn a_run_name_without_an_end_makes_no_run() {
    let text = "on: push\nrun-name: 'a }} ${{ b'\njobs: {j: {steps: []}}";
    let refused = expand(&read(text, GITEA), &contexts(GITEA), GITEA).unwrap_err();
    assert_eq!(refused.by, By::Panic);
}

#[test]
fn a_runner_takes_a_job_whose_labels_it_has_all() {
    for (job, runner, gitea, forgejo) in [
        (&["a"][..], &["a", "b"][..], true, true),
        (&["a", "b"], &["a"], false, false),
        (&["A"], &["a"], false, false),
        (&[], &["a"], true, false),
        (&[], &[], true, false),
        (&[""], &["a"], false, false),
    ] {
        let owned = |labels: &[&str]| -> Vec<String> {
            labels.iter().map(|label| (*label).to_owned()).collect()
        };
        let (job, runner) = (owned(job), owned(runner));
        assert_eq!(labels::may_take(&job, &runner, GITEA), gitea, "{job:?}");
        assert_eq!(labels::may_take(&job, &runner, FORGEJO), forgejo, "{job:?}");
    }
}

proptest! {
    #[test]
    fn no_matrix_panics_or_hangs(
        matrix in "[a-c{}\\[\\]:, 0-9*&'\"-]{0,80}",
        runs_on in "[a-c{}\\[\\]:, $']{0,40}",
    ) {
        let strategy = format!("    strategy:\n      matrix: {matrix}\n");
        let text = format!("on: push\njobs:\n  j:\n{strategy}    runs-on: {runs_on}\n");
        for server in [GITEA, GITEA_1_28, FORGEJO] {
            if let Ok(workflow) = Workflow::read(text.as_bytes(), server) {
                let _ = expand(&workflow, &contexts(server), server);
            }
        }
    }
}
