//! Tables of what comes after: needs, groups, called workflows.

use super::{FORGEJO, FORGEJO_15, GITEA, GITEA_1_27, contexts, read};
use crate::discovery::FoundFiles;
use crate::event::EventKind;
use crate::expression::{Resolved, Value};
use crate::jobs::concurrency::{self, Effect, Group, RunFacts};
use crate::jobs::needs::{JobNode, Next, Status, resolve};
use crate::jobs::reusable::Caller;
use crate::jobs::uses::Uses;
use crate::jobs::workflow_set::WorkflowSet;
use crate::jobs::{ExpandedJob, expand};
use crate::server::Server;
use crate::yaml::Refused;

pub(super) fn row(id: &str, status: Status, needs: &[&str], condition: Option<&str>) -> JobNode {
    JobNode {
        id: id.to_owned(),
        status,
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        condition: condition.map(str::to_owned),
        continue_on_error: false,
        matrix: Value::Map(None),
    }
}

#[test]
fn blocked_jobs_follow_when_their_needs_have_ended() {
    use Status::{Blocked, Cancelled, Failure, Running, Skipped, Success};
    let (waiting, skipped) = (Some(Next::Waiting), Some(Next::Skipped));
    let unknown = Next::Unknown("the outputs of a job are not told by the forge".to_owned());
    let failed = "needs.a.result == 'failure' && failure()";
    for (needed, condition, older, newer) in [
        (Running, None, None, None),
        (Success, None, waiting.clone(), waiting.clone()),
        (Failure, None, skipped.clone(), skipped.clone()),
        (Cancelled, None, skipped.clone(), skipped.clone()),
        (Skipped, None, skipped.clone(), skipped.clone()),
        (Failure, Some("always()"), waiting.clone(), waiting.clone()),
        (Failure, Some("true"), waiting.clone(), skipped.clone()),
        (Success, Some("false"), waiting.clone(), skipped),
        (
            Success,
            Some("needs.a.outputs.x == 1"),
            waiting.clone(),
            Some(unknown),
        ),
        (Failure, Some(failed), waiting.clone(), waiting),
    ] {
        let rows = [
            row("a", needed, &[], None),
            row("b", Blocked, &["a"], condition),
        ];
        let next = |server| resolve(&rows, &contexts(server), server).remove(&1);
        assert_eq!(next(GITEA), older, "{needed:?} {condition:?}");
        assert_eq!(next(FORGEJO), older, "{needed:?} {condition:?}");
        assert_eq!(next(GITEA_1_27), newer, "{needed:?} {condition:?}");
    }
}

#[test]
fn skipping_goes_on_through_chains_and_every_combination_counts() {
    use Status::{Blocked, Failure, Running, Success};
    let rows = [
        row("c", Blocked, &["b"], None),
        row("b", Blocked, &["a", "nobody"], None),
        row("a", Success, &[], None),
        row("a", Failure, &[], None),
        row("d", Blocked, &["c"], Some("always()")),
    ];
    let next: Vec<_> = resolve(&rows, &contexts(GITEA), GITEA)
        .into_iter()
        .collect();
    let expected = [(0, Next::Skipped), (1, Next::Skipped), (4, Next::Waiting)];
    assert_eq!(next, expected);
    let rows = [
        row("a", Success, &[], None),
        row("a", Running, &[], None),
        row("b", Blocked, &["a"], None),
    ];
    assert!(resolve(&rows, &contexts(GITEA), GITEA).is_empty());
}

#[test]
fn a_failure_that_is_allowed_counts_as_success_in_newer_gitea() {
    let mut rows = [
        row("a", Status::Failure, &[], None),
        row("b", Status::Blocked, &["a"], None),
    ];
    rows[0].continue_on_error = true;
    for (server, expected) in [(GITEA, Next::Skipped), (GITEA_1_27, Next::Waiting)] {
        let next = resolve(&rows, &contexts(server), server).remove(&1);
        assert_eq!(next, Some(expected));
    }
}

#[test]
fn concurrency_means_what_each_forge_makes_of_it() {
    let older = Server::gitea(1, 25, 0);
    let automatic = Some(("refs/heads/main_w.yml_push__auto", Effect::CancelsOthers));
    for (written, server, expected) in [
        ("''", GITEA, None),
        ("''", older, automatic),
        ("''", FORGEJO, automatic),
        ("G", older, automatic),
        (
            "'G-${{ github.ref_name }}'",
            GITEA,
            Some(("G-main", Effect::WaitsForRunning)),
        ),
        (
            "{group: g, cancel-in-progress: true}",
            GITEA,
            Some(("g", Effect::CancelsOthers)),
        ),
        (
            "{group: g, cancel-in-progress: \"${{ github.ref == 'x' }}\"}",
            GITEA,
            Some(("g", Effect::WaitsForRunning)),
        ),
        (
            "{group: G, cancel-in-progress: false}",
            FORGEJO,
            Some(("g", Effect::WaitsForAll)),
        ),
        ("{cancel-in-progress: false}", FORGEJO, None),
        ("{cancel-in-progress: true}", GITEA, None),
    ] {
        let text = format!("on: push\nconcurrency: {written}\njobs: {{j: {{steps: []}}}}");
        let run = RunFacts {
            kind: EventKind::Push,
            event_name: "push",
            reference: "refs/heads/main",
            workflow: "w.yml",
        };
        let expected = expected.map(|(name, effect)| Group {
            name: name.to_owned(),
            effect,
        });
        let workflow = read(&text, server);
        let got = concurrency::of_run(&workflow, &contexts(server), run, server).unwrap();
        assert_eq!(got, Resolved::Known(expected), "{written} {server:?}");
    }
}

#[test]
fn the_number_of_a_run_is_known_where_jobs_are_named_but_not_where_they_are_grouped() {
    let text = "
on: push
jobs: {j: {runs-on: 'r-${{ github.run_number }}', concurrency: 'g-${{ github.run_id }}'}}";
    let workflow = read(text, GITEA);
    let contexts = contexts(GITEA);
    let job = &expand(&workflow, &contexts, GITEA).unwrap()[0];
    assert_eq!(job.labels, Resolved::Known(vec!["r-0".to_owned()]));
    let group = concurrency::of_job(job, &workflow, &contexts.shared(&workflow, GITEA)).unwrap();
    assert_eq!(
        group,
        Resolved::Unknown("the forge numbers its runs".to_owned())
    );
}

#[test]
fn a_uses_names_a_file_here_or_in_another_repository() {
    let here = |path: &str| {
        Some(Uses::Here {
            path: path.to_owned(),
        })
    };
    for (uses, expected) in [
        ("./.gitea/workflows/a.yml", here(".gitea/workflows/a.yml")),
        (" ./a.yaml ", here("a.yaml")),
        ("./../a.yml", None),
        ("./a//b.yml", None),
        ("./a.yml@main", None),
        ("./a.txt", None),
        ("o/r/a.yml", None),
        ("https://forge/o/r/a.yml@main", None),
    ] {
        assert_eq!(Uses::parse(uses).ok(), expected, "{uses}");
    }
    let there = Uses::There {
        owner: "o".to_owned(),
        repository: "r.x".to_owned(),
        path: "d/a.yml".to_owned(),
        reference: "v1@x".to_owned(),
    };
    assert_eq!(Uses::parse("o/r.x/d/a.yml@v1@x"), Ok(there));
}

/// `id name [labels] < needs` of each job that a runner is asked for, or what is said instead.
pub(super) fn asked(files: &[(&str, &str)], server: Server) -> Vec<String> {
    let bytes = |&(name, text): &(&str, &str)| (name.to_owned(), text.as_bytes().to_vec());
    let found = FoundFiles::of(".gitea/workflows", files.iter().map(bytes));
    let mut reading = WorkflowSet::of(found, server);
    for uses in reading.open_calls(server) {
        reading.add_called(uses, Err(Refused::new(None, "not here")), server);
    }
    let contexts = contexts(server);
    let caller = Caller {
        workflow: reading.files[0].read.as_ref().unwrap(),
        contexts: &contexts,
        server,
        files: &reading,
    };
    let shown = |job: ExpandedJob| {
        let labels = match job.labels {
            Resolved::Known(labels) => labels.join(" "),
            Resolved::Unknown(because) => format!("? {because}"),
        };
        let needs = job.needs.join(" ");
        format!("{} [{labels}] {needs}", job.id).trim().to_owned()
    };
    match caller.jobs() {
        Ok(jobs) => jobs.into_iter().map(shown).collect(),
        Err(refused) => vec![refused.to_string()],
    }
}

const CALLED: &str = "
on: {workflow_call: {inputs: {
  label: {type: string, required: true}, many: {type: number}, flag: {type: boolean, default: true}}}}
jobs:
  j: {runs-on: '${{ inputs.label }}-${{ inputs.many }}-${{ inputs.flag }}-${{ github.event_name }}'}
  k: {needs: j, runs-on: k}";

#[test]
fn a_called_workflow_gives_its_jobs_with_the_inputs_that_it_is_given() {
    let asked = |needs: &str, with: &str, server| {
        let caller = format!(
            "on: push\njobs: {{a: {{runs-on: a}}, c: {{{needs}uses: ./.gitea/workflows/b.yml, with: {with}}}}}"
        );
        asked(&[("a.yml", &caller), ("b.yml", CALLED)], server)
    };
    let with = "{label: 'l-${{ vars.A }}', many: 2, nope: 1}";
    let jobs = |called: &[&'static str]| [&["a [a]"], called].concat();
    assert_eq!(
        asked("needs: a, ", with, GITEA_1_27),
        jobs(&["c/j [l-x-2-true-workflow_call] a", "c/k [k] c/j"])
    );
    assert_eq!(
        asked("needs: a, ", with, FORGEJO_15),
        jobs(&["c.j [l-x-2-true-push] a", "c.k [k] c.j a"])
    );
    for (with, said) in [
        ("{}", "requires the input `label`"),
        ("{label: a, flag: 'true'}", "`flag` must be true or false"),
        ("{label: a, many: '2'}", "`many` must be a number"),
        ("{label: '${{ nope }}'}", "with `label`"),
    ] {
        // What waits is not called yet, and fails by itself.
        assert_eq!(asked("needs: a, ", with, GITEA_1_27), jobs(&[]), "{with}");
        let asked = asked("", with, GITEA_1_27);
        assert!(
            asked.len() == 1 && asked[0].contains(said),
            "{with}: {asked:?}"
        );
    }
    assert_eq!(
        asked("", "{flag: 'no', many: 1.5}", FORGEJO_15),
        jobs(&["c.j [-1.5-no-push]", "c.k [k] c.j"])
    );
    let failed = &asked("needs: a, ", "{label: '${{ nope }}'}", FORGEJO_15)[0];
    assert!(failed.contains("with `label`"), "{failed}");
}

#[test]
fn forgejo_calls_what_was_not_made_for_it_and_evaluates_defaults() {
    let caller = "on: push\njobs: {c: {uses: ./.gitea/workflows/b.yml, with: {l: x}}}";
    for (on, label) in [
        ("push", ""),
        ("{workflow_call: }", ""),
        ("{workflow_call: {inputs: {l: {default: y}}}}", "x"),
        (
            "{workflow_call: {inputs: {l: , m: {default: '${{ vars.A }}'}}}}",
            "xx",
        ),
    ] {
        let target = format!(
            "on: {on}\njobs: {{j: {{runs-on: 'l${{{{ inputs.l }}}}${{{{ inputs.m }}}}'}}}}"
        );
        let asked = asked(&[("a.yml", caller), ("b.yml", &target)], FORGEJO_15);
        assert_eq!(asked, [format!("c.j [l{label}]")], "{on}");
    }
}

#[test]
fn who_puts_called_jobs_in_the_place_of_their_caller_differs() {
    let files = |caller: &str| {
        let caller = format!("on: push\njobs: {{c: {{{caller}}}}}");
        let target = "on: workflow_call\njobs: {j: {runs-on: j}}";
        let files = [("a.yml", caller.as_str()), ("b.yml", target)];
        [GITEA, GITEA_1_27, FORGEJO, FORGEJO_15].map(|server| asked(&files, server).join(", "))
    };
    let local = "uses: ./.gitea/workflows/b.yml";
    assert_eq!(files(local), ["c []", "c/j [j]", "c.j [j]", "c.j [j]"]);
    let labelled = format!("{local}, runs-on: x");
    assert_eq!(files(&labelled), ["c [x]", "c/j [j]", "c [x]", "c [x]"]);
    let not_here = "line 2: it calls o/r/.gitea/workflows/b.yml@main: not here";
    assert_eq!(
        files("uses: o/r/.gitea/workflows/b.yml@main"),
        ["c []", not_here, "c []", not_here]
    );
    let [.., address] = files("uses: https://forge/o/r/.gitea/workflows/b.yml@main");
    assert_eq!(address, "c []");
}

#[test]
fn gitea_asks_the_if_of_a_caller_before_it_calls() {
    for (condition, gitea) in [
        ("true", "c/j [j]"),
        ("false", ""),
        ("github.ref_name == 'other'", ""),
        ("!cancelled()", "c/j [j]"),
        (
            "nope",
            "line 2: it calls ./.gitea/workflows/b.yml: line 2: if: there is no `nope` here",
        ),
    ] {
        let caller = format!(
            "on: push\njobs: {{c: {{if: \"{condition}\", uses: ./.gitea/workflows/b.yml}}}}"
        );
        let target = "on: workflow_call\njobs: {j: {runs-on: j}}";
        let asked = |server| asked(&[("a.yml", &caller), ("b.yml", target)], server).join(", ");
        // Before 1.27.1 it fails on `cancelled()`, as it knows of no job there.
        assert_eq!(asked(Server::gitea(1, 27, 3)), gitea, "{condition}");
        assert_eq!(asked(FORGEJO_15), "c.j [j]", "{condition}");
    }
}

#[test]
fn calls_that_lead_nowhere_or_round_in_a_circle_are_refused() {
    let asked = |uses: &str, called: &str, server| {
        let caller = format!("on: push\njobs: {{c: {{uses: '{uses}'}}}}");
        asked(&[("a.yml", &caller), ("b.yml", called)], server)
    };
    let here = "./.gitea/workflows/b.yml";
    for (uses, called, said) in [
        ("./.gitea/workflows/none.yml", "on: push", "no such file"),
        ("./d/none.yml", "on: push", "is in none of .gitea/workflows"),
        ("nowhere", "on: push", "calls no workflow"),
        (
            here,
            "on: push\njobs: {j: {}}",
            "give it `on: workflow_call`",
        ),
        (here, "on: workflow_call\njobs: {}", "has no job"),
        (here, "on: workflow_call\njobs: [", "line "),
    ] {
        let asked = asked(uses, called, GITEA_1_27);
        assert!(asked.len() == 1 && asked[0].contains(said), "{asked:?}");
    }
    let circle = format!("on: workflow_call\njobs: {{i: {{}}, j: {{uses: {here}}}}}");
    assert_eq!(asked(here, &circle, GITEA_1_27), ["c/i []"]);
    let refused = asked(here, &circle, FORGEJO_15);
    assert!(refused[0].contains("no deeper than 5"), "{refused:?}");
    let calls = |n| format!("j{n}: {{uses: {here}}}");
    let calls: Vec<String> = (0..40).map(calls).collect();
    let burst = format!("on: workflow_call\njobs: {{{}}}", calls.join(", "));
    assert_eq!(asked(here, &burst, GITEA_1_27), Vec::<String>::new());
}

#[test]
fn a_run_with_a_job_that_can_never_start_is_refused() {
    for (jobs, said) in [
        ("{a: {needs: z}}", "`a` needs `z`"),
        ("{a: {}, b: {needs: [a, z]}}", "`b` needs `z`"),
        (
            "{a: {strategy: {matrix: {v: []}}}, b: {needs: a}}",
            "`b` needs `a`",
        ),
        (
            "{a: {strategy: {matrix: {v: [1]}}, runs-on: '${{ matrix.w }}'}}",
            "no such key",
        ),
        (
            "{a: {}, b: {strategy: {matrix: {v: '${{ fromJSON(needs.a.outputs.x) }}'}}}}",
            "it does not need",
        ),
    ] {
        let text = format!("on: push\njobs: {jobs}");
        let said_by = |server| asked(&[("a.yml", &text)], server).join(", ");
        let refused = said_by(FORGEJO_15);
        assert!(refused.contains(said), "{jobs}: {refused}");
        assert!(said_by(FORGEJO).starts_with("a ["), "{jobs}");
    }
}

#[test]
fn calls_that_lead_to_no_job_are_bounded_too() {
    let names: Vec<String> = (0..=9).map(|n| format!("{n}.yml")).collect();
    let text = |next: usize| match names.get(next) {
        None => "on: workflow_call\njobs: {}".to_owned(),
        Some(next) => {
            let call = |n| format!("j{n}: {{uses: ./.gitea/workflows/{next}}}");
            let calls: Vec<String> = (0..40).map(call).collect();
            format!("on: workflow_call\njobs: {{{}}}", calls.join(", "))
        }
    };
    let texts: Vec<String> = (1..=10).map(text).collect();
    let files = names.iter().zip(&texts);
    let files: Vec<(&str, &str)> = files.map(|(name, text)| (&**name, &**text)).collect();
    assert_eq!(
        asked(&files, GITEA_1_27),
        ["it calls workflows more than 1000 times; split it"]
    );
}
