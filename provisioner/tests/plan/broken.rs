//! Stacks that are half made, and names that are taken.

use provisioner::occupied::{self, Named, NamedKind, Owner, Taken};
use provisioner::plan::Action;
use provisioner::plan::Repair;
use provisioner::render::{self, Stack};
use provisioner::show::{self, Palette, Presentation};
use provisioner::world::Remaining;

use crate::{executed, lab, nothing, plan_of};

/// What `up` does with a stack in each status that lasts: what it repairs first, or why it does nothing.
#[test]
fn every_status_of_a_stack_has_a_way_on() {
    type Row = (&'static str, Result<Option<Repair>, &'static str>);
    let everywhere: [Row; 12] = [
        ("CREATE_COMPLETE", Ok(None)),
        ("UPDATE_COMPLETE", Ok(None)),
        ("UPDATE_FAILED", Ok(None)),
        ("UPDATE_ROLLBACK_COMPLETE", Ok(None)),
        ("IMPORT_COMPLETE", Ok(None)),
        ("IMPORT_ROLLBACK_COMPLETE", Ok(None)),
        ("REVIEW_IN_PROGRESS", Ok(Some(Repair::DeleteLeftover))),
        ("CREATE_FAILED", Ok(Some(Repair::DeleteFailedCreate))),
        ("ROLLBACK_COMPLETE", Ok(Some(Repair::DeleteFailedCreate))),
        ("ROLLBACK_FAILED", Ok(Some(Repair::DeleteFailedCreate))),
        ("UPDATE_ROLLBACK_FAILED", Ok(Some(Repair::ContinueRollback))),
        ("IMPORT_ROLLBACK_FAILED", Err("CloudFormation's console")),
    ];
    let of_state: [Row; 1] = [("DELETE_FAILED", Err("cargo xtask down"))];
    let of_others: [Row; 1] = [("DELETE_FAILED", Ok(Some(Repair::FinishDelete)))];
    let environment = lab();
    for (index, stack) in Stack::ALL.into_iter().enumerate() {
        let own = if stack == Stack::State {
            of_state
        } else {
            of_others
        };
        for (status, expected) in everywhere.iter().chain(&own) {
            let mut world = executed(&environment, &nothing());
            let broken = world.stacks.get_mut(&stack).unwrap();
            (*status).clone_into(&mut broken.status);
            let plan = plan_of(&environment, &world);
            match expected {
                Ok(repair) => {
                    assert_eq!(plan.stacks[index].repair, *repair, "{stack} {status}");
                    assert_eq!(plan.blocked(), None, "{stack} {status}");
                }
                Err(because) => {
                    let blocked = plan.blocked().unwrap().1;
                    assert!(blocked.contains(because), "{stack} {status}: {blocked}");
                }
            }
        }
    }
}

#[test]
fn what_a_failed_creation_left_is_named_and_its_names_are_its_own() {
    let environment = lab();
    let mut world = executed(&environment, &nothing());
    let state = world.stacks.get_mut(&Stack::State).unwrap();
    "ROLLBACK_FAILED".clone_into(&mut state.status);
    state.remains = vec![Remaining {
        id: "Table".to_owned(),
        kind: "AWS::DynamoDB::Table".to_owned(),
        name: "lab-ci-runs".to_owned(),
    }];
    let plan = plan_of(&environment, &world);
    let presentation = Presentation {
        palette: Palette::PLAIN,
        set_secret: String::new(),
    };
    let shown = show::plan(&plan, &presentation);
    assert!(shown.contains("is deleted: lab-ci-runs"), "{shown}");

    let rendered = render::render(&environment).unwrap();
    let names = |stack: Stack| {
        let plan = plan.stacks.iter().find(|it| it.stack == stack).unwrap();
        occupied::names(plan, rendered.template(stack), "111111111111", "eu-west-1")
    };
    let one = |kind: NamedKind, name: &str| Named {
        kind,
        name: name.to_owned(),
    };
    let bucket = "lab-ci-artifacts-111111111111-eu-west-1";
    assert_eq!(
        names(Stack::State),
        [
            one(NamedKind::Bucket, bucket),
            one(NamedKind::LogGroup, "/aws/lambda/lab-ci-dispatch"),
        ]
    );
    assert_eq!(names(Stack::Runner), [], "it is there and stays as it is");
}

#[test]
fn a_stack_that_only_has_our_name_is_left_alone() {
    let environment = lab();
    let mut world = executed(&environment, &nothing());
    let runner = world.stacks.get_mut(&Stack::Runner).unwrap();
    runner.tags.remove("lab-ci");
    let plan = plan_of(&environment, &world);
    let (stack, because) = plan.blocked().unwrap();
    assert_eq!(stack, "lab-ci-runner");
    assert!(because.contains("somebody else's"), "{because}");
    assert!(plan.stacks[1].resources.is_empty(), "{:?}", plan.stacks[1]);
}

#[test]
fn what_an_earlier_deployment_left_goes_with_down_and_what_is_somebodys_does_not() {
    let taken = |ours| Taken {
        named: Named {
            kind: NamedKind::Table,
            name: "lab-ci-runs".to_owned(),
        },
        ours,
    };
    for (ours, said) in [
        (true, "`cargo xtask down ENV` shows and deletes it"),
        (false, "does not carry this deployment's tag"),
    ] {
        let Some(Action::Blocked(because)) = occupied::blocked(&[taken(ours)]) else {
            panic!("a table that exists blocks nothing");
        };
        assert!(because.contains("table lab-ci-runs"), "{because}");
        assert!(because.contains(said), "{because}");
    }
    assert_eq!(occupied::blocked(&[]), None);
    assert_eq!(Owner::of(false, true), Owner::Nobody);
}

#[test]
fn every_resource_with_a_name_of_ours_is_looked_for_before_it_is_made() {
    let environment = lab();
    let rendered = render::render(&environment).unwrap();
    let plan = plan_of(&environment, &nothing());
    for stack in &plan.stacks {
        let template = rendered.template(stack.stack);
        let found = occupied::names(stack, template, "111111111111", "eu-west-1");
        let resources = template.value["Resources"].as_object().unwrap();
        let of = |kind: &str| resources.values().filter(|it| it["Type"] == kind).count();
        let looked_for = |kind: NamedKind| found.iter().filter(|it| it.kind == kind).count();
        for (kind, word) in [
            (NamedKind::Table, "AWS::DynamoDB::Table"),
            (NamedKind::Bucket, "AWS::S3::Bucket"),
            (NamedKind::LogGroup, "AWS::Logs::LogGroup"),
            (NamedKind::Role, "AWS::IAM::Role"),
            (NamedKind::InstanceProfile, "AWS::IAM::InstanceProfile"),
            (NamedKind::Function, "AWS::Lambda::Function"),
            (NamedKind::LaunchTemplate, "AWS::EC2::LaunchTemplate"),
            (NamedKind::SecurityGroup, "AWS::EC2::SecurityGroup"),
            (NamedKind::Parameter, "AWS::SSM::Parameter"),
        ] {
            assert_eq!(looked_for(kind), of(word), "{}: {word}", stack.stack);
        }
    }
}
