//! The largest deployment that the environment's checks admit, and what images and edits do to one.

use std::fmt::Write as _;
use std::path::Path;

use provisioner::environment::POOLS_MAX;
use provisioner::progress::Silent;
use provisioner::render::{Stack, TEMPLATE_INLINE_MAX_BYTES};
use provisioner::{Deployment, Environment};
use serde_json::Value;

use crate::support::{self, Bench};
use crate::{code, deployment, diff, down, target, up};

/// Labels and instance types of a pool, at most.
const WORDS_MAX: usize = 24;
/// Characters of a role's own policies together, at most; spaces don't count.
const POLICIES_MAX_CHARS: usize = 10_240;

const TYPES: [&str; WORDS_MAX] = [
    "m7a.medium",
    "m7a.large",
    "m7a.xlarge",
    "m7i.large",
    "m7i.xlarge",
    "c7a.medium",
    "c7a.large",
    "c7a.xlarge",
    "c7i.large",
    "c7i.xlarge",
    "m6a.large",
    "m6a.xlarge",
    "m6i.large",
    "m6i.xlarge",
    "c6a.large",
    "c6a.xlarge",
    "c6i.large",
    "c6i.xlarge",
    "r7a.medium",
    "r7a.large",
    "r7i.large",
    "r6a.large",
    "r6i.large",
    "m7i-flex.large",
];

/// As many pools as there may be, each with as much as it may have.
fn largest(name: &str) -> String {
    let mut source = format!(
        "name = \"{name}\"\naccount_id = \"111111111111\"\nregion = \"eu-west-1\"\nmax_runners = 1000\n\
         notify = \"ops@example.com\"\ntrust_all_repositories = true\n\
         [forge]\nurl = \"https://git.example.com:8443\"\n[network]\nassign_public_ip = false\n[tags]\n"
    );
    for number in 0..40 {
        let _ = writeln!(source, "tag-{number} = \"{}\"", "v".repeat(60));
    }
    for number in 0..POOLS_MAX {
        let _ = writeln!(
            source,
            "[permissions.set-number-{number}]\ns3 = [\"bucket/prefix-{number}/*\"]\n\
             ecr = [\"team-{number}/*\"]\necs = [\"cluster/service-{number}\"]\n\
             ssm = [\"/team-{number}/*\"]\npolicy_arns = [\"ReadOnlyAccess\"]\n\
             [pool.pool-number-{number}]\nimage = {{ stock = \"al2023\" }}\n\
             permissions = \"set-number-{number}\"\nclone_token = true\n\
             instance_types = {TYPES:?}\n[pool.pool-number-{number}.labels]"
        );
        for label in 0..WORDS_MAX {
            let _ = writeln!(source, "a-rather-long-label-{number}-{label} = \"host\"");
        }
    }
    source
}

fn parsed(bench: &Bench, source: &str) -> Deployment {
    let environment = Environment::parse(source, Path::new("."));
    let environment = environment.unwrap_or_else(|problems| panic!("{problems:?}"));
    Deployment::new(environment, target(bench)).unwrap()
}

#[tokio::test]
async fn the_largest_deployment_that_is_admitted_is_made_and_changed() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let source = largest("largest-name-of-them-all");
    let first = parsed(&bench, &source);
    let template = first.rendered.template(Stack::Runner);
    println!("runner template: {} bytes", template.body.len());
    assert!(template.body.len() > TEMPLATE_INLINE_MAX_BYTES);
    for stack in [Stack::Runner, Stack::Dispatch] {
        for (id, chars) in policies(&first.rendered.template(stack).value) {
            println!("{id}: policies of {chars} characters");
            assert!(chars <= POLICIES_MAX_CHARS, "{id}: {chars}");
        }
    }
    let code = code("binary");
    up(&first, &code).await;
    // A change set of a template of that size is asked for as well.
    let changed = parsed(&bench, &source.replace("team-7/*", "team-seven/*"));
    let plan = up(&changed, &code).await;
    assert_eq!(plan.stacks[1].resources.len(), 1, "{:?}", plan.stacks[1]);
    down(&changed).await;
    bench.down().await;
}

/// The characters of each role's own policies, holes filled.
fn policies(template: &Value) -> Vec<(String, usize)> {
    let resources = template["Resources"].as_object().unwrap().iter();
    resources
        .filter(|(_, resource)| resource["Type"] == "AWS::IAM::Role")
        .map(|(id, resource)| {
            let policies = resource["Properties"]["Policies"].as_array().unwrap();
            let of = |policy: &Value| filled(&policy["PolicyDocument"]).to_string();
            let texts: String = policies.iter().map(of).collect();
            let chars = texts.chars().filter(|c| !c.is_whitespace());
            (id.clone(), chars.count())
        })
        .collect()
}

/// With what CloudFormation puts into the holes, each as long as it gets.
fn filled(value: &Value) -> Value {
    if let Some(text) = value.get("Fn::Sub").and_then(Value::as_str) {
        let text = text
            .replace("${AWS::Partition}", "aws-us-gov")
            .replace("${AWS::Region}", "ap-southeast-1")
            .replace("${AWS::AccountId}", "111111111111")
            .replace("${ApiId}", "a1b2c3d4e5");
        return Value::from(text);
    }
    match value {
        Value::Array(items) => items.iter().map(filled).collect(),
        Value::Object(fields) if fields.contains_key("Fn::Split") => {
            let subnet = "arn:aws:ec2:ap-southeast-1:*:subnet/subnet-0123456789abcdef0";
            std::iter::repeat_n(Value::from(subnet), 6).collect()
        }
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| (key.clone(), filled(value)));
            Value::Object(fields.collect())
        }
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            scalar.clone()
        }
    }
}

/// What a role may do, its pools and their names change; no name of AWS's meets itself on the way.
#[tokio::test]
async fn permissions_and_pools_come_and_go_and_no_name_stands_in_the_way() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let code = code("binary");
    let of = |change: fn(String) -> String| {
        deployment(&bench, |source| {
            change(source.replace("\"lab-ci\"", "\"edits-ci\""))
        })
    };
    let permissions = |set: &str, source: String| {
        let with = format!("[permissions.{set}]\ns3 = [\"bucket/*\"]\n\n[pool.base]");
        let source = source.replace("[pool.base]", &with);
        source.replace(
            "instance_types =",
            &format!("permissions = \"{set}\"\ninstance_types ="),
        )
    };
    let plain = of(|source| source);
    let runner = deployment(&bench, |source| {
        permissions("runner", source.replace("\"lab-ci\"", "\"edits-ci\""))
    });
    let release = deployment(&bench, |source| {
        permissions("release", source.replace("\"lab-ci\"", "\"edits-ci\""))
    });
    let renamed = of(|source| source.replace("pool.go", "pool.go-1"));
    let again = of(|source| source.replace("pool.go", "pool.go1"));
    for edit in [
        &plain, &runner, &release, &runner, &plain, &renamed, &again, &plain,
    ] {
        up(edit, &code).await;
    }
    down(&plain).await;
    bench.down().await;
}

#[tokio::test]
async fn a_pools_image_is_looked_at_before_anything_is_made_for_it() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let code = code("binary");
    let with = |image: &str, gb: u32| {
        let (image, size) = (format!("\"{image}\""), format!("root_volume_gb = {gb}"));
        deployment(&bench, |source| {
            source
                .replace("\"lab-ci\"", "\"image-ci\"")
                .replace("\"ami-0c1ab00000000c1ab\"", &image)
                .replace("root_volume_gb = 8", &size)
        })
    };
    for (image, gb, said) in [
        ("ami-0c1ab00000000c1ad", 8, "it is made for arm64"),
        ("ami-0c1ab00000000c1ac", 8, "its root volume has 20 GB"),
        ("ami-00000000000000000", 8, "does not exist"),
    ] {
        let error = provisioner::diff(&with(image, gb), &code, &Silent).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }

    // Its root is called otherwise; a disk of another name would be a second one.
    let other = with("ami-0c1ab00000000c1ac", 21);
    up(&other, &code).await;
    let templates = bench.emulator.describe_launch_template_versions();
    let templates = templates
        .launch_template_name("image-ci-go")
        .versions("$Latest");
    let found = templates.send().await.unwrap();
    let data = found.launch_template_versions()[0]
        .launch_template_data()
        .unwrap();
    let disk = &data.block_device_mappings()[0];
    assert_eq!(disk.device_name(), Some("/dev/sda1"));
    assert_eq!(disk.ebs().unwrap().volume_size(), Some(21));

    let key = "arn:aws:kms:eu-west-1:111111111111:key/own";
    bench.faults(&lab::FaultInjection {
        volume_key: Some(key.to_owned()),
        ..support::no_boot()
    });
    let notices = diff(&other, &code).await.notices;
    assert!(notices.iter().any(|one| one.contains(key)), "{notices:?}");
    down(&other).await;
    bench.down().await;
}
