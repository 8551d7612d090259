//! Stories of what `up` would do, from the world as it is. No call is made here.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says so")]

mod broken;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use provisioner::environment::{self, Environment};
use provisioner::named_images::{Known, NamedImage};
use provisioner::plan::{self, Action, ParameterValue, Plan, StackPlan};
use provisioner::render::{self, Stack};
use provisioner::show::{self, Palette, Presentation};
use provisioner::world::{Deployed, Network, Subnet, World};
use serde_json::Value;
use stacks::names::{OUTPUT_API_ID, SecretName};

const CODE: &str = "dispatch/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.zip";

fn lab() -> Environment {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/environments/lab.toml");
    environment::load(&path).unwrap()
}

fn nothing() -> World {
    World {
        account: "111111111111".to_owned(),
        network: Network {
            vpc: "vpc-11111111".to_owned(),
            subnets: vec![Subnet {
                id: "subnet-11111111".to_owned(),
                zone: "eu-west-1a".to_owned(),
                public_address: false,
            }],
        },
        root_devices: ["base", "go", "team"]
            .map(|pool| (pool.to_owned(), "/dev/xvda".to_owned()))
            .into(),
        ..World::default()
    }
}

fn plan_of(environment: &Environment, world: &World) -> Plan {
    plan::plan(
        environment,
        &render::render(environment).unwrap(),
        CODE,
        world,
    )
}

/// The world after that plan was executed.
fn executed(environment: &Environment, world: &World) -> World {
    let rendered = render::render(environment).unwrap();
    let plan = plan_of(environment, world);
    let stacks = plan.stacks.into_iter().map(|stack| {
        let parameters = stack
            .parameters
            .into_iter()
            .map(|(name, value)| match value {
                ParameterValue::Value(value) => (name, value),
                ParameterValue::StateOutput(_) => (name, "api1".to_owned()),
            });
        let deployed = Deployed {
            status: "CREATE_COMPLETE".to_owned(),
            template: rendered.template(stack.stack).value.clone(),
            parameters: parameters.collect(),
            outputs: BTreeMap::from([(OUTPUT_API_ID.to_owned(), "api1".to_owned())]),
            tags: stack.tags,
            protected: stack.stack == Stack::State,
            remains: Vec::new(),
        };
        (stack.stack, deployed)
    });
    World {
        stacks: stacks.collect(),
        secrets: BTreeSet::from(SecretName::ALL),
        code_uploaded: true,
        spot_role: true,
        ..world.clone()
    }
}

fn actions(plan: &Plan) -> Vec<Action> {
    plan.stacks
        .iter()
        .map(|stack| stack.action.clone())
        .collect()
}

/// `Resource property` and `stack: setting` of everything that changes.
fn changes(plan: &Plan) -> Vec<String> {
    let mut changes = Vec::new();
    for stack in &plan.stacks {
        changes.extend(
            stack
                .settings
                .iter()
                .map(|change| format!("{}: {}", stack.stack, change.path)),
        );
        for resource in &stack.resources {
            changes.extend(
                resource
                    .properties
                    .iter()
                    .map(|change| format!("{} {}", resource.id, change.path)),
            );
        }
    }
    changes
}

#[test]
fn in_an_empty_account_everything_is_made_and_the_api_is_waited_for() {
    let plan = plan_of(&lab(), &nothing());
    assert_eq!(
        actions(&plan),
        [Action::Create, Action::Create, Action::Create]
    );
    assert!(plan.make_spot_role && plan.make_webhook_secret && plan.stacks[0].protect);
    assert_eq!(plan.upload_code.as_deref(), Some(CODE));
    assert_eq!(
        plan.stacks[1].parameters["ApiId"],
        ParameterValue::StateOutput(OUTPUT_API_ID)
    );
    let missing: Vec<&str> = plan
        .missing_secrets
        .iter()
        .map(|missing| missing.name)
        .collect();
    assert_eq!(missing, ["forge-token", "registration-token"]);
}

#[test]
fn what_was_done_needs_no_doing() {
    let environment = lab();
    let plan = plan_of(&environment, &executed(&environment, &nothing()));
    assert!(plan.is_empty(), "{plan:?}");
    assert!(plan.missing_secrets.is_empty());
}

#[test]
fn each_edit_names_the_properties_that_follow_from_it_and_no_others() {
    type Edit = fn(&mut Environment);
    let table: &[(&str, Edit, &[&str])] = &[
        (
            "memory",
            |e| e.dispatcher.memory_mb = 512,
            &["Function MemorySize"],
        ),
        (
            "types",
            |e| e.pools[0].document.instance_types = vec!["t3.large".to_owned()],
            &["PoolBaseDocument Value.instance_types[0]"],
        ),
        (
            "disk",
            |e| e.pools[1].root_volume_gb = 30,
            &["PoolGoTemplate LaunchTemplateData.BlockDeviceMappings[0].Ebs.VolumeSize"],
        ),
        (
            "tick",
            |e| e.tick_minutes = 2,
            &[
                "Schedule ScheduleExpression",
                "TickAlarm Period",
                "WaitingAlarm Period",
            ],
        ),
        (
            "waiting",
            |e| e.waiting_alarm_minutes = 30,
            &["WaitingAlarm AlarmDescription", "WaitingAlarm Threshold"],
        ),
        (
            "cap",
            |e| e.max_runners = 10,
            &["Settings Value.max_runners"],
        ),
        (
            "forge",
            |e| e.forge.kind = stacks::pool::ForgeKind::Forgejo,
            // Its machines start another runner.
            &[
                "PoolBaseTemplate LaunchTemplateData.UserData",
                "PoolGoTemplate LaunchTemplateData.UserData",
                "PoolTeamTemplate LaunchTemplateData.UserData",
                "Settings Value.forge_kind",
            ],
        ),
    ];
    for (name, edit, expected) in table {
        let before = lab();
        let world = executed(&before, &nothing());
        let mut after = before;
        edit(&mut after);
        assert_eq!(changes(&plan_of(&after, &world)), *expected, "{name}");
    }
}

#[test]
fn an_image_with_another_root_changes_the_pool_that_has_it() {
    let environment = lab();
    let mut world = executed(&environment, &nothing());
    world
        .root_devices
        .insert("go".to_owned(), "/dev/sda1".to_owned());
    let plan = plan_of(&environment, &world);
    assert_eq!(changes(&plan), ["runner: parameter.PoolGoRootDevice"]);
}

#[test]
fn a_key_of_ones_own_for_volumes_is_said_with_whom_it_has_to_admit() {
    let world = World {
        volume_key: Some("arn:aws:kms:eu-west-1:1:key/k".to_owned()),
        ..nothing()
    };
    let notice = plan_of(&lab(), &world).notices.remove(0);
    for word in ["key/k", "lab-ci-dispatch", "AWSServiceRoleForEC2Spot"] {
        assert!(notice.contains(word), "{notice}");
    }
}

#[test]
fn a_tag_is_a_change_of_every_stack() {
    let before = lab();
    let world = executed(&before, &nothing());
    let mut after = before;
    after.tags.insert("team".to_owned(), "builds".to_owned());
    let changed = changes(&plan_of(&after, &world));
    for stack in ["state: tag.team", "runner: tag.team", "dispatch: tag.team"] {
        assert!(changed.contains(&stack.to_owned()), "{changed:?}");
    }
}

#[test]
fn other_code_changes_the_dispatcher_alone() {
    let environment = lab();
    let world = World {
        code_uploaded: false,
        ..executed(&environment, &nothing())
    };
    let rendered = render::render(&environment).unwrap();
    let other = CODE.replace('a', "b").replace("dispbtch", "dispatch");
    let plan = plan::plan(&environment, &rendered, &other, &world);
    assert_eq!(changes(&plan), ["dispatch: parameter.CodeKey"]);
    assert_eq!(plan.upload_code, Some(other));
}

#[test]
fn a_new_api_reaches_the_stacks_that_name_it() {
    let environment = lab();
    let mut world = executed(&environment, &nothing());
    world.stacks.remove(&Stack::State);
    let plan = plan_of(&environment, &world);
    assert_eq!(
        actions(&plan),
        [Action::Create, Action::Update, Action::Update]
    );
    assert_eq!(
        changes(&plan),
        ["runner: parameter.ApiId", "dispatch: parameter.ApiId"]
    );
}

#[test]
fn subnets_without_public_addresses_are_said_where_they_matter() {
    let mut environment = lab();
    assert!(plan_of(&environment, &nothing()).notices.is_empty());
    environment.network.assign_public_ip = true;
    let notices = plan_of(&environment, &nothing()).notices;
    assert_eq!(notices.len(), 1);
    assert!(
        notices[0].contains("subnet-11111111") && notices[0].contains("assign_public_ip = false")
    );
}

#[test]
fn who_can_use_what_a_trusting_pool_holds_is_said_with_every_plan() {
    let mut environment = lab();
    environment.pools[0].permissions = Some("release".to_owned());
    environment.pools[2].document.clone_token = true;
    environment.pools[2].document.repositories = vec!["soak-team/app".to_owned()];
    let first = plan_of(&environment, &nothing());
    let again = plan_of(&environment, &executed(&environment, &nothing()));
    for plan in [first, again] {
        assert_eq!(
            plan.notices,
            [
                "pool base: whoever can push a workflow to any repository of the forge gets the \
                 permissions `release` (trust_all_repositories = true)",
                "pool team: whoever can push a workflow to any repository of soak-team gets the clone \
                 token (trust_all_repositories = true)",
            ]
        );
        let presentation = Presentation {
            palette: Palette::PLAIN,
            set_secret: String::new(),
        };
        let shown = show::plan(&plan, &presentation);
        assert!(shown.contains("! pool base: whoever can push"), "{shown}");
    }
}

#[test]
fn what_an_accepted_credential_means_is_said_with_every_plan() {
    let mut environment = lab();
    environment.forge.accept_reusable_credentials = true;
    for plan in [
        plan_of(&environment, &nothing()),
        plan_of(&environment, &executed(&environment, &nothing())),
    ] {
        let notice = &plan.notices[0];
        assert!(
            notice.contains("can read its machine's credential")
                && notice.contains("accept_reusable_credentials = true"),
            "{notice}"
        );
    }
}

#[test]
fn people_read_what_changes() {
    let before = lab();
    let mut world = executed(&before, &nothing());
    world.secrets.remove(&SecretName::RegistrationToken);
    let runner = &mut world.stacks.get_mut(&Stack::Runner).unwrap().template;
    runner["Resources"]["Extra"] = serde_json::json!({"Type": "AWS::SNS::Topic"});
    let script = &mut runner["Resources"]["PoolGoTemplate"]["Properties"]["LaunchTemplateData"];
    script["UserData"] = serde_json::json!({"Fn::Base64": "#!/bin/sh\n"});
    let mut after = before;
    after.dispatcher.memory_mb = 512;
    after.pools[0]
        .document
        .instance_types
        .push("t3.large".to_owned());
    let mut plan = plan_of(&after, &world);
    // The script itself is another part's; what matters here is how a script is shown.
    for resource in plan
        .stacks
        .iter_mut()
        .flat_map(|stack| &mut stack.resources)
    {
        for property in &mut resource.properties {
            if property.path.ends_with("UserData") {
                property.after = Some(Value::from("#!/bin/sh\nexit 1\n"));
            }
        }
    }
    let presentation = Presentation {
        palette: Palette::PLAIN,
        set_secret: "cargo xtask secret set NAME lab".to_owned(),
    };
    let text = format!(
        "{}\n{}",
        show::plan(&plan, &presentation),
        show::summary(&plan)
    );
    insta::assert_snapshot!(text);
}

#[test]
fn a_parameter_of_an_image_that_was_never_built_is_written_and_said() {
    let environment = lab();
    let image = NamedImage {
        image: "go".to_owned(),
        parameter: "/lab-ci/ami/go/x86_64".to_owned(),
        stock: "al2023",
        stock_ami: "ami-1".to_owned(),
        value: None,
        recorded: None,
        newest: None,
        known: Known::Foreign,
    };
    let with = |image: NamedImage| World {
        named_images: vec![image],
        ..executed(&environment, &nothing())
    };
    let plan = plan_of(&environment, &with(image.clone()));
    assert_eq!(plan.place_images[0].ami, "ami-1");
    assert!(!plan.is_empty() && plan.stacks.iter().all(StackPlan::is_empty));
    assert!(
        plan.notices
            .iter()
            .any(|it| it.contains("image go was never built"))
    );
    let built = NamedImage {
        value: Some("ami-2".to_owned()),
        newest: None,
        known: Known::Built {
            stock: "al2023".to_owned(),
            age_days: 0,
        },
        ..image
    };
    let plan = plan_of(&environment, &with(built));
    assert!(plan.is_empty() && plan.place_images.is_empty(), "{plan:?}");
}
