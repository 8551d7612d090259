//! What changed in the patch releases of Gitea: each kind with inputs of it, and what each version makes of
//! them. Those of 1.26.0, 1.26.4 and 1.27.3 are the words of their own code (`cargo xtask judge`); those
//! between were read in the source.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;
use workflow::discovery::FoundFiles;
use workflow::expression::Resolved;
use workflow::{Changed, Event, EventKind, Facts, Server, WorkflowSet};

const VERSIONS: [&str; 9] = [
    "1.26.0", "1.26.1", "1.26.2", "1.26.3", "1.26.4", "1.27.0", "1.27.1", "1.27.2", "1.27.3",
];

/// A file that starts in every version.
const BESIDE: &str = "on: push\njobs: {beside: {runs-on: base}}\n";

/// What a push starts of a file: its jobs, each with its labels and behind `<` what it waits for; `refused`:
/// nothing, but the file beside it starts; `panic`: no file starts anything.
fn said(file: &str, version: &str) -> String {
    let server = Server::parse(version).unwrap();
    let files = [("a.yml", file), ("b.yml", BESIDE)];
    let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    let body = json!({"ref": "refs/heads/main", "before": "1a", "after": "2b",
        "repository": {"full_name": "o/r", "default_branch": "main"}});
    let event = Event {
        kind: EventKind::Push,
        body: serde_json::from_value(body).unwrap(),
    };
    let facts = Facts {
        changed: Changed::Files(vec![".gitea/workflows/a.yml".to_owned()]),
        variables: Some([].into()),
        ..Facts::of(
            WorkflowSet::of(FoundFiles::of(".gitea/workflows", files), server),
            server,
        )
    };
    let evaluation = facts.evaluate(&event);
    let mut runs: Vec<_> = evaluation.runs().collect();
    let Some(("b.yml", _)) = runs.pop() else {
        return "panic".to_owned();
    };
    let Some((_, run)) = runs.pop() else {
        return "refused".to_owned();
    };
    let jobs = run.jobs.iter().map(|planned| {
        let job = &planned.job;
        let labels = match &job.labels {
            Resolved::Known(labels) => labels.join(","),
            Resolved::Unknown(_) => "?".to_owned(),
        };
        let needs = job.needs.join(",");
        let needs = if needs.is_empty() {
            needs
        } else {
            format!("<{needs}")
        };
        format!("{}[{labels}]{needs}", job.id)
    });
    jobs.collect::<Vec<_>>().join(" ")
}

/// An input, and from which version on it comes to what.
type Change = (&'static str, &'static [(&'static str, &'static str)]);

fn check(changes: &[Change]) {
    for (file, expected) in changes {
        let mut now = "";
        for version in VERSIONS {
            let from = expected.iter().find(|(first, _)| *first == version);
            now = from.map_or(now, |(_, now)| now);
            assert_eq!(said(file, version), now, "{version}: {file}");
        }
    }
}

#[test]
fn a_workflow_may_be_called_and_start_by_itself_since_1_26_3() {
    const SINCE: &[(&str, &str)] = &[("1.26.0", "refused"), ("1.26.3", "a[base]")];
    check(&[
        (
            "on: {push: , workflow_call: {inputs: {name: {type: string}}}}\njobs: {a: {runs-on: base}}",
            SINCE,
        ),
        (
            "on: {workflow_call: {secrets: {A: {required: true}}}, push: }\njobs: {a: {runs-on: base}}",
            SINCE,
        ),
        (
            "on: {push: , workflow_call: {outputs: {a: {value: x}}}}\njobs: {a: {runs-on: base}}",
            SINCE,
        ),
        (
            "on: [push, workflow_call]\njobs: {a: {runs-on: base}}",
            &[("1.26.0", "a[base]")],
        ),
    ]);
}

#[test]
fn a_job_that_is_null_takes_no_other_file_with_it_since_1_26_2() {
    const SINCE: &[(&str, &str)] = &[("1.26.0", "panic"), ("1.26.2", "refused")];
    check(&[
        ("on: push\njobs: {a: }", SINCE),
        ("on: push\njobs: {a: {runs-on: base}, b: null}", SINCE),
        ("on: create\njobs: {a: ~}", SINCE),
        ("on: push\njobs: {a: {}}", &[("1.26.0", "a[]")]),
    ]);
}

#[test]
fn the_number_of_a_run_is_there_for_its_labels_since_1_26_1() {
    check(&[
        (
            "on: push\njobs: {a: {runs-on: 'n-${{ github.run_number }}'}}",
            &[("1.26.0", "a[n-0]"), ("1.26.1", "a[?]")],
        ),
        (
            "on: push\njobs: {a: {runs-on: 'n-${{ github.run_id }}'}}",
            &[("1.26.0", "a[n-]"), ("1.26.1", "a[?]")],
        ),
    ]);
}

#[test]
fn an_expression_in_include_or_exclude_is_refused_since_1_27_3() {
    check(&[
        (
            "on: push\njobs:\n  plan: {runs-on: base}\n  a:\n    needs: plan\n    runs-on: base\n    strategy: {matrix: {include: '${{ fromJSON(needs.plan.outputs.m) }}'}}",
            &[
                ("1.26.0", "plan[base] a[base]<plan"),
                ("1.27.0", "panic"),
                ("1.27.3", "refused"),
            ],
        ),
        (
            "on: push\njobs: {a: {runs-on: base, strategy: {matrix: {os: [x], exclude: '${{ vars.A }}'}}}}",
            &[
                ("1.26.0", "a[base]"),
                ("1.27.0", "panic"),
                ("1.27.3", "refused"),
            ],
        ),
        (
            "on: push\njobs: {a: {runs-on: base, strategy: {matrix: {os: [x], include: [x]}}}}",
            &[("1.26.0", "panic"), ("1.27.3", "refused")],
        ),
        (
            "on: push\njobs: {a: {runs-on: base, strategy: {matrix: {os: [x], include: }}}}",
            &[("1.26.0", "a[base]"), ("1.27.3", "refused")],
        ),
        (
            "on: push\njobs: {a: {runs-on: base, strategy: {matrix: {os: [x], include: [{os: y}]}}}}",
            &[("1.26.0", "a[base] a[base]")],
        ),
    ]);
}

#[test]
fn aliases_are_followed_everywhere_since_1_27_3() {
    const SINCE: &[(&str, &str)] = &[("1.26.0", "refused"), ("1.27.3", "a[base]")];
    check(&[
        (
            "on: push\njobs: {a: {runs-on: base, env: &e {A: b}}, b: {runs-on: base, env: *e}}",
            &[("1.26.0", "refused"), ("1.27.3", "a[base] b[base]")],
        ),
        (
            "on: {pull_request: {paths: &p ['.gitea/**']}, push: {paths: *p}}\njobs: {a: {runs-on: base}}",
            SINCE,
        ),
        (
            "x: &on {branches: main}\non: {push: *on}\njobs: {a: {runs-on: base}}",
            SINCE,
        ),
        ("x: &on push\non: *on\njobs: {a: {runs-on: base}}", SINCE),
        ("on: push\nx: &j {a: {runs-on: base}}\njobs: *j", SINCE),
        (
            "on: push\nx: &r base\njobs: {a: {runs-on: *r}}",
            &[("1.26.0", "a[]"), ("1.27.3", "a[base]")],
        ),
        (
            "on: push\njobs: {b: {runs-on: &r [x, y]}, a: {needs: &n b, runs-on: *r}, c: {needs: *n}}",
            &[("1.26.0", "refused"), ("1.27.3", "b[x,y] a[x,y]<b c[]<b")],
        ),
        (
            "on: push\nx: &m [1, 2]\njobs: {a: {runs-on: 'r-${{ matrix.n }}', strategy: {matrix: {n: *m}}}}",
            &[("1.26.0", "a[r-1] a[r-2]")],
        ),
    ]);
}

#[test]
fn merges_are_refused_since_1_27_3() {
    const SINCE: &[(&str, &str)] = &[("1.26.0", "a[base]"), ("1.27.3", "refused")];
    check(&[
        (
            "x-common: &m {runs-on: base}\non: push\njobs: {a: {<<: *m, steps: [{run: 'true'}]}}",
            SINCE,
        ),
        (
            "on: push\nx: {<<: {a: b}}\njobs: {a: {runs-on: base}}",
            SINCE,
        ),
        (
            "on: push\njobs: {a: {runs-on: base, steps: [{with: {<<: {a: b}}}]}}",
            SINCE,
        ),
        (
            "on: push\njobs: {a: {runs-on: base, steps: [{with: {'<<': b}}]}}",
            &[("1.26.0", "a[base]")],
        ),
    ]);
}

#[test]
fn an_anchor_inside_itself_matters_where_it_is_followed() {
    const SINCE: &[(&str, &str)] = &[("1.26.0", "a[base]"), ("1.27.3", "refused")];
    check(&[
        (
            "on: push\nx-note: &r [1, *r]\njobs: {a: {runs-on: base}}",
            SINCE,
        ),
        (
            "on: push\njobs: {a: {runs-on: base, container: &r {a: *r}}}",
            SINCE,
        ),
        (
            "on: push\njobs: {a: {runs-on: &r [base, *r]}}",
            &[("1.26.0", "a[]"), ("1.27.3", "refused")],
        ),
        (
            "on: push\njobs: {a: {runs-on: base, with: &r {a: *r}}}",
            &[("1.26.0", "refused")],
        ),
    ]);
}

#[test]
fn a_mistake_in_an_expression_refuses_the_file_since_1_27_2() {
    const SINCE: &[(&str, &str)] = &[("1.26.0", "a[base]"), ("1.27.2", "refused")];
    check(&[
        (
            "on: push\nrun-name: ${{ nosuch.x }}\njobs: {a: {runs-on: base}}",
            SINCE,
        ),
        (
            "on: push\nrun-name: ${{ fromJSON('[') }}\njobs: {a: {runs-on: base}}",
            SINCE,
        ),
        (
            "on: push\njobs: {a: {name: '${{ nosuch.x }}', runs-on: base, strategy: {matrix: {n: [1]}}}}",
            SINCE,
        ),
        // Without a matrix nobody evaluates it.
        (
            "on: push\njobs: {a: {name: '${{ nosuch.x }}', runs-on: base}}",
            &[("1.26.0", "a[base]")],
        ),
        (
            "on: push\njobs: {b: {runs-on: base}, a: {needs: b, runs-on: '${{ fromJSON(needs.b.outputs.l) }}'}}",
            &[("1.26.0", "b[base] a[]<b"), ("1.27.2", "refused")],
        ),
        (
            "on: push\njobs: {a: {runs-on: [x, '${{ nosuch }}', y]}}",
            &[("1.26.0", "a[x,,y]"), ("1.27.2", "refused")],
        ),
        (
            "on: push\njobs: {a: {runs-on: 'x ${{ 1'}}",
            &[("1.26.0", "a[x ${{ 1]")],
        ),
        (
            "on: push\njobs: {a: {runs-on: '}} ${{ 1'}}",
            &[("1.26.0", "panic"), ("1.27.2", "refused")],
        ),
        (
            "on: push\njobs: {a: {runs-on: 'x-${{ cancelled() }}'}}",
            &[("1.26.0", "panic"), ("1.27.1", "a[x-false]")],
        ),
    ]);
}

#[test]
fn labels_of_several_lines_are_lost_on_their_way_into_the_database() {
    check(&[
        (
            "on: push\njobs: {a: {runs-on: [base, \" x\\ny\"]}}",
            &[("1.26.0", "a[]")],
        ),
        (
            "on: push\njobs: {a: {runs-on: \" x\\ny\"}}",
            &[("1.26.0", "a[ x\ny]")],
        ),
        (
            "on: push\njobs: {a: {runs-on: \"\\tx\\ny\"}}",
            &[("1.26.0", "a[]")],
        ),
        (
            "on: push\njobs: {a: {runs-on: [base, \"\\nx\"]}}",
            &[("1.26.0", "a[]")],
        ),
        (
            "on: push\njobs: {a: {runs-on: [base, \"x\\ny\"]}}",
            &[("1.26.0", "a[base,x\ny]")],
        ),
    ]);
}

#[test]
fn continue_on_error_of_a_step_may_be_an_expression_since_1_27_3() {
    check(&[
        (
            "on: push\njobs: {a: {runs-on: base, steps: [{run: x, continue-on-error: '${{ inputs.x }}'}]}}",
            &[("1.26.0", "refused"), ("1.27.3", "a[base]")],
        ),
        (
            "on: push\njobs: {a: {runs-on: base, steps: [{run: x, continue-on-error: yes}]}}",
            &[("1.26.0", "a[base]")],
        ),
        (
            "on: push\njobs: {a: {runs-on: base, continue-on-error: '${{ nosuch }}'}}",
            &[("1.26.0", "a[base]"), ("1.27.0", "refused")],
        ),
    ]);
}

#[test]
fn a_concurrency_that_can_not_be_evaluated_makes_no_run() {
    check(&[
        (
            "on: push\nconcurrency: \"\\ta\\nb\"\njobs: {a: {runs-on: base}}",
            &[("1.26.0", "refused")],
        ),
        (
            "on: push\nconcurrency: {group: '${{ github }}'}\njobs: {a: {runs-on: base}}",
            &[("1.26.0", "refused")],
        ),
        // Before, such a job could not be read from the database again.
        (
            "on: push\njobs: {a: {runs-on: base, concurrency: g, steps: [{run: \"\\n  echo\\n echo\\n\"}]}}",
            &[("1.26.0", "refused"), ("1.27.1", "a[base]")],
        ),
        (
            "on: push\njobs: {a: {runs-on: base, steps: [{run: \"\\n  echo\\n echo\\n\"}]}}",
            &[("1.26.0", "a[base]")],
        ),
        (
            "on: push\njobs: {a: {runs-on: base, concurrency: '${{ cancelled() }}'}}",
            &[("1.26.0", "panic"), ("1.27.1", "a[base]")],
        ),
    ]);
}

#[test]
fn a_call_that_fails_at_once_leaves_no_run_since_the_server_makes_calls() {
    check(&[
        (
            "on: push\njobs: {b: {runs-on: base}, a: {uses: ./.gitea/workflows/none.yml}}",
            &[("1.26.0", "b[base] a[]"), ("1.27.0", "refused")],
        ),
        (
            "on: push\njobs: {b: {runs-on: base}, a: {needs: b, uses: ./.gitea/workflows/none.yml}}",
            &[("1.26.0", "b[base] a[]<b"), ("1.27.0", "b[base]")],
        ),
        (
            "on: push\njobs: {b: {runs-on: base}, a: {if: false, uses: ./x}}",
            &[("1.26.0", "b[base] a[]"), ("1.27.0", "b[base]")],
        ),
    ]);
}

#[test]
fn a_type_that_is_no_glob_starts_nothing_at_all() {
    let of_issue = |version: &str| {
        let server = Server::parse(version).unwrap();
        let files = [
            ("a.yml", "on: {issues: {types: ['[']}}\njobs: {a: {}}"),
            ("b.yml", "on: issues\njobs: {b: {}}"),
        ];
        let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        let set = WorkflowSet::of(FoundFiles::of(".gitea/workflows", files), server);
        let body = json!({"action": "opened", "issue": {"number": 1}});
        let event = Event {
            kind: EventKind::Issues,
            body: serde_json::from_value(body).unwrap(),
        };
        Facts::of(set, server).evaluate(&event).runs().count()
    };
    assert!(VERSIONS.iter().all(|version| of_issue(version) == 0));
}
