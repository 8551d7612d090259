use proptest::prelude::*;

use super::*;
use crate::yaml::By;

const GITEA_1_27: Server = Server::gitea(1, 27, 0);

fn read(jobs: &str) -> Result<Workflow, Refused> {
    Workflow::read(format!("on: push\n{jobs}").as_bytes(), Server::GITEA_1_26)
}

fn only_job(job: &str) -> Result<Job, Refused> {
    let workflow = read(&format!("jobs:\n  a: {job}"))?;
    Ok(workflow.jobs.into_iter().next().unwrap().1)
}

#[test]
fn a_workflow_is_read_in_the_order_of_its_file() {
    let workflow = read(
        "
name: build
run-name: by ${{ github.actor }}
concurrency: {group: g, cancel-in-progress: true}
jobs:
  zeta: {name: last, needs: [a, 1, ~], runs-on: base, if: always(), services: {db: {image: pg}}}
  a: {strategy: {fail-fast: false, max-parallel: 2, matrix: {os: [x]}}, container: node, concurrency: c}
  9: {uses: ./.gitea/workflows/x.yml, with: {n: 1}, needs: zeta}
",
    )
    .unwrap();
    assert_eq!(
        (&*workflow.name, &*workflow.run_name),
        ("build", "by ${{ github.actor }}")
    );
    let group = workflow.concurrency.unwrap();
    assert_eq!(
        (
            &*group.group,
            &*group.cancel_in_progress,
            &*group.expression
        ),
        ("g", "true", "")
    );
    let ids: Vec<&str> = workflow.jobs.iter().map(|(id, _)| &**id).collect();
    assert_eq!(ids, ["zeta", "a", "9"]);
    let [(_, zeta), (_, a), (_, nine)] = &workflow.jobs[..] else {
        panic!("three jobs");
    };
    assert_eq!((&*zeta.name, zeta.line), ("last", 7));
    assert_eq!(zeta.needs, ["a", "1"]);
    assert_eq!(zeta.condition.as_deref(), Some("always()"));
    assert!(zeta.services && !zeta.container && a.container);
    let strategy = a.strategy.as_ref().unwrap();
    assert_eq!(
        (&*strategy.fail_fast, &*strategy.max_parallel),
        ("false", "2")
    );
    assert!(strategy.matrix.is_some());
    assert_eq!(a.concurrency.as_ref().unwrap().expression, "c");
    assert_eq!(
        (&*nine.name, &*nine.uses, &nine.needs[..]),
        ("9", "./.gitea/workflows/x.yml", &["zeta".to_owned()][..])
    );
    assert_eq!(nine.with["n"], Value::Int(1));
}

/// What a field may be is what Go's decoder takes, whether anybody looks at it or not.
#[test]
fn one_wrong_type_makes_the_whole_file_invalid() {
    for (job, is_valid) in [
        ("{steps: 7}", false),
        ("{steps: [7]}", false),
        ("{steps: [~]}", true),
        ("{steps: [{with: {a: 1, b: ~}}]}", true),
        ("{steps: [{with: {a: [1]}}]}", false),
        ("{steps: [{continue-on-error: maybe}]}", false),
        ("{steps: [{continue-on-error: yes}]}", true),
        ("{steps: [{env: 7, if: [a]}]}", true),
        ("{timeout-minutes: 5}", true),
        ("{timeout-minutes: [1]}", false),
        ("{services: {db: pg}}", false),
        ("{services: {db: {ports: [80, 90]}}}", true),
        ("{services: {db: {reuse: maybe}}}", false),
        ("{outputs: {a: {b: c}}}", false),
        ("{defaults: {run: x}}", false),
        ("{strategy: [a]}", false),
        ("{strategy: {maxparallel: x}}", false),
        ("{with: {a: {b: c, b: d}}}", false),
        ("{env: {b: c, b: d}, container: 7, needs: {a: b}}", true),
        ("{concurrency: [a]}", false),
        ("{concurrency: {group: [a]}}", false),
        ("{unknown: {b: c, b: d}}", true),
        ("{name: a, name: b}", false),
        ("{result: [a]}", false),
    ] {
        assert_eq!(only_job(job).is_ok(), is_valid, "{job}");
    }
    for (top, is_valid) in [
        ("env: {A: [b]}", false),
        ("env: {A: 1}", true),
        ("run-name: [a]", false),
        ("permissions: [a]", true),
        ("defaults: {run: {shell: [a]}}", false),
        ("file: [a]", false),
        ("on: push", false),
    ] {
        assert_eq!(
            read(&format!("{top}\njobs: {{a: {{}}}}")).is_ok(),
            is_valid,
            "{top}"
        );
    }
}

#[test]
fn what_a_file_lacks_is_said() {
    for (file, expected) in [
        ("", "the file is empty"),
        ("jobs: {a: {}}", "it has no `on`"),
        ("on: push", "it has no `jobs`"),
        (
            "on: push\njobs: ",
            "line 2: `jobs` must be a map, written out",
        ),
        (
            "on: push\nx: &x {a: {}}\njobs: *x",
            "line 3: `jobs` must be a map, written out",
        ),
        ("~", "it has no `on`"),
        ("[a]", "line 1: a map must stand here, not a list"),
        (
            "on: push\njobs: [a]",
            "line 2: a map must stand here, not a list",
        ),
    ] {
        let refused = Workflow::read(file.as_bytes(), Server::GITEA_1_26).unwrap_err();
        assert_eq!(refused.to_string(), expected, "{file:?}");
        assert_ne!(refused.by, By::Panic, "{file:?}");
    }
    assert!(read("jobs: {}").unwrap().jobs.is_empty());
}

/// The server's code panics there, which ends the whole event: no other file is looked at.
#[test]
fn some_jobs_stop_the_server_itself() {
    for jobs in [
        "jobs: {a: }",
        "jobs: {a: {}, b: ~}",
        "jobs: {~: {}}",
        "x: &x {b: {}}\njobs: {<<: *x, a: {}}",
    ] {
        assert_eq!(read(jobs).unwrap_err().by, By::Panic, "{jobs}");
    }
    assert_eq!(read("jobs: {<<: 1}").unwrap_err().by, By::Forge);
}

#[test]
fn raw_fields_are_read_late_and_mistakes_in_them_pass() {
    let job = only_job("{needs: {a: b}, if: [x], container: {}, services: {}}").unwrap();
    assert_eq!(
        (job.needs.len(), job.condition, job.container, job.services),
        (0, None, false, false)
    );
    let job = only_job("{needs: ~, if: ~}").unwrap();
    assert_eq!(
        (&job.needs[..], job.condition.as_deref()),
        (&[String::new()][..], Some("~"))
    );
    let job = only_job("{needs: [[a]], if: ''}").unwrap();
    assert_eq!((job.needs.len(), job.condition), (0, None));
}

#[test]
fn a_job_keeps_only_aliases_whose_anchor_goes_with_it() {
    for (job, is_valid) in [
        ("{env: *x}", false),
        ("{env: {A: *x}}", false),
        ("{steps: [{env: *x}]}", false),
        ("{steps: [{if: *x}]}", false),
        ("{needs: &n [b], env: {A: *n}}", true),
        ("{env: {A: *n}, secrets: &n b}", false),
        (
            "{runs-on: *x, strategy: {matrix: *x}, with: *y, steps: [{with: *y}]}",
            true,
        ),
        ("{continue-on-error: *x}", true),
        ("*y", true),
    ] {
        let file = format!("x: &x b\ny: &y {{a: b}}\non: push\nn: &n q\njobs: {{a: {job}}}");
        let read = |server| {
            let workflow = Workflow::read(file.as_bytes(), server).unwrap();
            workflow.jobs[0].1.unwritable.is_none()
        };
        assert_eq!(read(Server::GITEA_1_26), is_valid, "{job}");
        assert_eq!(
            read(GITEA_1_27),
            is_valid && !job.starts_with("{cont"),
            "{job}"
        );
    }
}

#[test]
fn a_text_of_lines_that_begins_with_a_tab_loses_its_job() {
    for (run, is_valid) in [
        (r"\ta\nb", false),
        (r"\ta", true),
        (r"a\n\tb", true),
        (r"\t\n", true),
        (r"\ta \nb", true),
        (r"\ta\n😀", true),
        (r"\n  a", true),
    ] {
        let job = only_job(&format!("{{steps: [{{run: \"{run}\"}}]}}"));
        assert_eq!(job.unwrap().unwritable.is_none(), is_valid, "{run}");
    }
}

#[test]
fn merges_and_aliases_make_jobs_as_they_make_maps() {
    let workflow = read(
        "
x: &x {name: shared, runs-on: base}
jobs:
  a: &a {<<: *x, name: own}
  b: *a
",
    )
    .unwrap();
    for (_, job) in &workflow.jobs {
        assert_eq!(job.name, "own");
        assert_eq!(job.runs_on.as_ref().unwrap().text().as_deref(), Ok("base"));
    }
}

#[test]
fn only_newer_gitea_takes_the_begin_of_a_long_file_for_the_whole() {
    let mut file = b"on: push\njobs: {a: {}}\n#".to_vec();
    file.resize(yaml::BYTES_MAX, b'-');
    file.extend(b"\n]");
    assert!(Workflow::read(&file, Server::GITEA_1_26).is_ok());
    let older = Server::parse("1.25.3").unwrap();
    let forgejo = Server::parse("12.0.1+gitea-1.22.0").unwrap();
    for server in [older, forgejo] {
        assert!(
            Workflow::read(&file, server)
                .unwrap_err()
                .reason
                .contains("bytes")
        );
    }
}

const FIELDS: &str = "name|needs|runs-on|if|steps|services|strategy|with|concurrency|env|<<|~";
const VALUES: &str = concat!(
    r"a|1|~|\[a, ~\]|\{a: b\}|\*x|&y \[q\]|\*y|\[\*x\]|\{<<: \*x\}|\{a: \{b: c\}\}",
    r"|\x22\\ta\\nb\x22",
);

proptest! {
    #[test]
    fn any_bytes_are_a_workflow_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let file = [b"on: push\njobs: ".as_slice(), &bytes].concat();
        let _ = Workflow::read(&file, Server::GITEA_1_26);
    }

    #[test]
    fn any_fields_are_a_workflow_or_not(
        fields in prop::collection::vec((FIELDS, VALUES), 0..6),
    ) {
        let fields = fields.iter().map(|(field, value)| format!("    {field}: {value}"));
        let fields: Vec<String> = fields.collect();
        let file = format!("x: &x {{a: b}}\non: push\njobs:\n  a:\n{}", fields.join("\n"));
        for server in [Server::GITEA_1_26, GITEA_1_27] {
            let read = Workflow::read(file.as_bytes(), server);
            prop_assert!(read.map_or(true, |workflow| workflow.jobs.len() == 1));
        }
    }
}
