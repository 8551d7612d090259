//! Names that AWS knows belong to one id of a template for ever. CloudFormation makes before it deletes:
//! a name that moved to another id would exist when it is made there, and the update would fail.

use std::collections::BTreeMap;
use std::path::Path;

use provisioner::environment::Environment;
use provisioner::render::{self, Rendered, flatten};
use serde_json::Value;

const ONE: &str = r#"name = "ci"
region = "eu-west-1"
max_runners = 5
[forge]
url = "https://git.example.com"
[pool.base]
image = { stock = "al2023" }
instance_types = ["m7a.medium"]
[pool.base.labels]
linux = "host"
"#;

/// Properties with a name of AWS's own world, by type.
const NAMES: [(&str, &str); 14] = [
    ("AWS::ApiGatewayV2::Api", "Name"),
    ("AWS::CloudWatch::Alarm", "AlarmName"),
    ("AWS::DynamoDB::Table", "TableName"),
    ("AWS::EC2::LaunchTemplate", "LaunchTemplateName"),
    ("AWS::EC2::SecurityGroup", "GroupName"),
    ("AWS::Events::Rule", "Name"),
    ("AWS::IAM::InstanceProfile", "InstanceProfileName"),
    ("AWS::IAM::Role", "RoleName"),
    ("AWS::Lambda::Function", "FunctionName"),
    ("AWS::Logs::LogGroup", "LogGroupName"),
    ("AWS::SNS::Topic", "TopicName"),
    ("AWS::SSM::Parameter", "Name"),
    ("AWS::Scheduler::Schedule", "Name"),
    ("AWS::Scheduler::ScheduleGroup", "Name"),
];

fn rendered(source: &str) -> Rendered {
    let environment = Environment::parse(source, Path::new("."));
    let environment = environment.unwrap_or_else(|problems| panic!("{problems:?}\n{source}"));
    render::render(&environment).unwrap()
}

/// Whose each name is: `TYPE NAME` to the id.
fn owners(rendered: &Rendered) -> BTreeMap<String, String> {
    let resources = rendered
        .templates
        .iter()
        .flat_map(|template| template.value["Resources"].as_object().unwrap());
    let mut owners = BTreeMap::new();
    for (id, resource) in resources {
        let kind = resource["Type"].as_str().unwrap();
        let Some((_, property)) = NAMES.iter().find(|(named, _)| *named == kind) else {
            continue;
        };
        let name = &resource["Properties"][property];
        let name = name
            .as_str()
            .map_or_else(|| flatten(name).unwrap(), str::to_owned);
        let before = owners.insert(format!("{kind} {name}"), id.clone());
        assert_eq!(before, None, "{kind} {name} is made twice");
    }
    owners
}

#[test]
fn no_edit_moves_a_name_to_another_id() {
    let permissions = |set: &str| {
        format!("[permissions.{set}]\ns3 = [\"bucket/*\"]\n[pool.base]\npermissions = \"{set}\"\n")
    };
    let second = |name: &str| {
        format!(
            "[pool.{name}]\nimage = {{ stock = \"al2023\" }}\ninstance_types = [\"c7a.medium\"]\n\
             [pool.{name}.labels]\n{name} = \"host\"\n[pool.base]\n"
        )
    };
    let trusting = ONE.replace(
        "max_runners = 5",
        "max_runners = 5\ntrust_all_repositories = true",
    );
    let with = |text: &str| trusting.replace("[pool.base]\n", text);
    let edits = [
        ONE.to_owned(),
        with(&permissions("runner")),
        with(&permissions("release")),
        with(&permissions("release").replace("[pool.base]\n", &second("go"))),
        with(&second("go")),
        with(&second("go-arm")),
        with(&second("go")).replace("m7a.medium", "m7i.large"),
        ONE.replace("m7a.medium", "m7i.large"),
        ONE.replace("pool.base", "pool.other"),
        ONE.replace("max_runners", "notify = \"ops@example.com\"\nmax_runners"),
        ONE.replace("max_runners", "tick_minutes = 5\nmax_runners"),
        ONE.replace("[pool.base]\n", "[tags]\nteam = \"a\"\n[pool.base]\n"),
    ];
    let all: Vec<_> = edits
        .iter()
        .map(|source| owners(&rendered(source)))
        .collect();
    for (from, before) in all.iter().enumerate() {
        for (to, after) in all.iter().enumerate() {
            for (name, id) in before {
                let kept = after.get(name).is_none_or(|now| now == id);
                assert!(
                    kept,
                    "{name}: {id} becomes {:?}, edit {from} to {to}",
                    after[name]
                );
            }
        }
    }
}

#[test]
fn sets_of_permissions_that_would_share_an_id_are_refused() {
    let pool = |name: &str, set: &str| {
        format!(
            "[permissions.{set}]\ns3 = [\"b/*\"]\n[pool.{name}]\npermissions = \"{set}\"\n\
             image = {{ stock = \"al2023\" }}\ninstance_types = [\"c7a.medium\"]\n\
             scope = \"organization:{name}\"\n[pool.{name}.labels]\n{name} = \"host\"\n"
        )
    };
    for (sets, said) in [
        (["plain", "other"], "stands for no permissions"),
        (["a-1", "a1"], "in its dashes alone"),
    ] {
        let source = format!("{ONE}{}{}", pool("x", sets[0]), pool("y", sets[1]));
        let problems = Environment::parse(&source, Path::new(".")).unwrap_err();
        let found = problems.iter().any(|one| one.message.contains(said));
        assert!(found, "{problems:?}");
    }
}

/// What of a role changes with its permissions: the same role, updated.
#[test]
fn taking_permissions_called_runner_into_use_changes_the_role_that_is_there() {
    let trusting = ONE.replace(
        "max_runners = 5",
        "max_runners = 5\ntrust_all_repositories = true",
    );
    let with = "[permissions.runner]\ns3 = [\"b/*\"]\n[pool.base]\npermissions = \"runner\"\n";
    let with = trusting.replace("[pool.base]\n", with);
    let ids = |rendered: &Rendered| -> Vec<String> {
        let template = rendered.template(render::Stack::Runner);
        let resources: &serde_json::Map<String, Value> =
            template.value["Resources"].as_object().unwrap();
        resources.keys().cloned().collect()
    };
    assert_eq!(ids(&rendered(ONE)), ids(&rendered(&with)));
}
