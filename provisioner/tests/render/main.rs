//! Every environment of the repository renders to templates that hold what the design promises.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says so")]

mod owners;
mod pools;
mod roles;

use std::path::{Path, PathBuf};

use provisioner::environment::{self, Environment};
use provisioner::render::{self, RenderError, Rendered, Stack};
use serde_json::Value;
use stacks::names;
use stacks::pool::{CpuCredits, Pool, Settings};

fn environments() -> Vec<(String, Environment)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/environments");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let environment = environment::load(&path).unwrap_or_else(|error| panic!("{error}"));
            (name, environment)
        })
        .collect()
}

/// Their templates with them.
fn rendered() -> impl Iterator<Item = (String, Environment, Rendered)> {
    environments().into_iter().map(|(name, environment)| {
        let rendered =
            render::render(&environment).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, environment, rendered)
    })
}

/// What the lab's environment renders to once `from` is replaced in it.
fn changed(from: &str, to: &str) -> Result<Rendered, RenderError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/environments/lab.toml");
    let source = std::fs::read_to_string(path).unwrap().replace(from, to);
    render::render(&Environment::parse(&source, Path::new(".")).unwrap())
}

fn resources<'v>(template: &'v Value, kind: &str) -> Vec<&'v Value> {
    template["Resources"]
        .as_object()
        .unwrap()
        .values()
        .filter(|resource| resource["Type"] == kind)
        .map(|resource| &resource["Properties"])
        .collect()
}

/// What CloudFormation would make of a document with holes.
fn filled(value: &Value) -> String {
    render::flatten(value)
        .unwrap()
        .replace("${SubnetIds}", "subnet-11111111,subnet-22222222")
}

#[test]
fn the_three_environments_render_to_the_same_bytes_every_time() {
    let mut names = Vec::new();
    for (name, environment, once) in rendered() {
        let again = render::render(&environment).unwrap();
        assert_eq!(once, again, "{name}");
        assert_eq!(once.digest(), again.digest(), "{name}");
        names.push(name);
    }
    assert_eq!(names, ["example", "lab", "tinqs"]);
}

#[test]
fn each_pool_of_the_example_has_a_type_that_a_new_account_may_launch() {
    // What AWS's free plan admits of x86_64 (aws-samples/eks-workshop-v2 issue 1644).
    let free = ["t3.micro", "t3.small", "c7i-flex.large", "m7i-flex.large"];
    let (_, example, _) = rendered().find(|it| it.0 == "example").unwrap();
    for pool in &example.pools {
        let types = &pool.document.instance_types;
        let mut names = types.iter().map(String::as_str);
        assert!(names.any(|name| free.contains(&name)), "{types:?}");
    }
}

#[test]
fn templates_take_the_parameters_and_give_the_outputs_of_the_contract() {
    for (_, environment, rendered) in rendered() {
        let keys = |stack: Stack, section: &str| -> Vec<String> {
            rendered.template(stack).value[section]
                .as_object()
                .map(|object| object.keys().cloned().collect())
                .unwrap_or_default()
        };
        assert!(keys(Stack::State, "Parameters").is_empty());
        let pools = environment.pools.iter();
        let roots = pools
            .map(|pool| names::logical_id("Pool", &pool.document.name) + names::PARAM_ROOT_DEVICE);
        let mut expected = vec![
            names::PARAM_API_ID.to_owned(),
            names::PARAM_SUBNET_IDS.to_owned(),
            names::PARAM_VPC_ID.to_owned(),
        ];
        expected.extend(roots);
        expected.sort();
        assert_eq!(keys(Stack::Runner, "Parameters"), expected);
        assert_eq!(
            keys(Stack::Dispatch, "Parameters"),
            [
                names::PARAM_API_ID,
                names::PARAM_CODE_KEY,
                names::PARAM_SUBNET_IDS
            ]
        );
        let outputs = keys(Stack::State, "Outputs");
        assert!(outputs.contains(&names::OUTPUT_API_ID.to_owned()));
        assert!(outputs.contains(&names::OUTPUT_API_ENDPOINT.to_owned()));
    }
}

#[test]
fn the_dispatcher_can_parse_every_document_that_the_stacks_publish() {
    for (name, environment, rendered) in rendered() {
        let template = &rendered.template(Stack::Runner).value;
        let names = environment.names();
        let mut pools = 0;
        for parameter in resources(template, "AWS::SSM::Parameter") {
            let path = parameter["Name"].as_str().unwrap();
            let text = filled(&parameter["Value"]);
            if path == names.parameter_settings {
                let settings: Settings = serde_json::from_str(&text).unwrap();
                assert_eq!(settings.forge_url, environment.forge.url);
            } else if let Some(pool) = path.strip_prefix(&names.parameter_pools) {
                let document: Pool = serde_json::from_str(&text)
                    .unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
                assert_eq!(document.name, pool);
                assert_eq!(
                    document.subnets().collect::<Vec<_>>(),
                    ["subnet-11111111", "subnet-22222222"]
                );
                assert!(document.template_id.starts_with("${Pool"));
                pools += 1;
            }
        }
        assert_eq!(pools, environment.pools.len());
    }
}

/// A machine says its last words to the stream of its pool, and its role can say them nowhere else.
#[test]
fn each_pool_has_a_stream_for_last_words_that_its_role_alone_writes() {
    for (name, environment, rendered) in rendered() {
        let template = &rendered.template(Stack::Runner).value;
        let names = environment.names();
        let groups = resources(template, "AWS::Logs::LogGroup");
        assert_eq!(groups.len(), 1, "{name}");
        assert_eq!(groups[0]["LogGroupName"], names.machine_log_group);
        assert_eq!(groups[0]["RetentionInDays"], 14);
        let streams = resources(template, "AWS::Logs::LogStream");
        let streams: Vec<&str> = streams
            .iter()
            .map(|stream| stream["LogStreamName"].as_str().unwrap())
            .collect();
        let mut written = Vec::new();
        for role in resources(template, "AWS::IAM::Role") {
            let policies = role["Policies"].as_array().unwrap();
            let own = policies
                .iter()
                .find(|it| it["PolicyName"] == "say-last-words");
            let statement = &own.unwrap()["PolicyDocument"]["Statement"][0];
            assert_eq!(statement["Action"], "logs:PutLogEvents");
            for resource in statement["Resource"].as_array().unwrap() {
                let arn = resource["Fn::Sub"].as_str().unwrap();
                let place = format!(":log-group:{}:log-stream:", names.machine_log_group);
                written.push(arn.split_once(&place).unwrap().1);
            }
        }
        let mut pools: Vec<&str> = environment
            .pools
            .iter()
            .map(|pool| pool.document.name.as_str())
            .collect();
        for list in [&mut written, &mut pools] {
            list.sort_unstable();
        }
        let mut streams = streams;
        streams.sort_unstable();
        assert_eq!((&written, &streams), (&pools, &pools), "{name}");
        for data in rendered.user_data {
            assert!(data.script.len() <= render::USER_DATA_MAX_BYTES, "{name}");
            assert!(data.script.contains(&names.machine_log_group), "{name}");
        }
    }
}

#[test]
fn what_holds_data_outlives_its_stack() {
    for (_, _, rendered) in rendered() {
        let resources = rendered.template(Stack::State).value["Resources"]
            .as_object()
            .unwrap();
        for (id, resource) in resources {
            assert_eq!(resource["DeletionPolicy"], "RetainExceptOnCreate", "{id}");
            assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{id}");
        }
        assert_eq!(
            resources["Table"]["Properties"]["DeletionProtectionEnabled"],
            true
        );
    }
}

#[test]
fn the_function_knows_its_name_and_nothing_secret() {
    for (_, _, rendered) in rendered() {
        let functions = resources(
            &rendered.template(Stack::Dispatch).value,
            "AWS::Lambda::Function",
        );
        let variables = functions[0]["Environment"]["Variables"]
            .as_object()
            .unwrap();
        assert_eq!(
            variables.keys().collect::<Vec<_>>(),
            [names::ENV_LOG, names::ENV_NAME]
        );
    }
}

#[test]
fn what_the_log_tells_in_numbers_goes_to_an_alarm() {
    for (name, environment, rendered) in rendered() {
        let template = &rendered.template(Stack::Dispatch).value;
        let filters = resources(template, "AWS::Logs::MetricFilter");
        let told = [
            ("oldest_waiting_s", names::METRIC_OLDEST_WAITING, 15 * 60),
            ("boot_failures", names::METRIC_BOOT_FAILURES, 1),
            ("image_age_days", names::METRIC_IMAGE_AGE, 30),
        ];
        assert_eq!(filters.len(), told.len(), "{name}");
        for (field, metric, threshold) in told {
            let of_metric = |it: &&&Value| it["MetricTransformations"][0]["MetricName"] == metric;
            let filter = filters.iter().find(of_metric).unwrap();
            assert_eq!(filter["LogGroupName"], environment.names().log_group);
            let pattern = format!("{{ $.{field} >= 0 }}");
            assert_eq!(filter["FilterPattern"], pattern);
            let made = &filter["MetricTransformations"][0];
            assert_eq!(made["MetricValue"], format!("$.{field}"));
            let alarm = resources(template, "AWS::CloudWatch::Alarm")
                .into_iter()
                .find(|alarm| alarm["MetricName"] == metric)
                .unwrap();
            assert_eq!(alarm["Namespace"], made["MetricNamespace"]);
            assert!(alarm.get("Dimensions").is_none(), "the filter gives none");
            assert_eq!(alarm["Threshold"], threshold);
            assert_eq!(alarm["TreatMissingData"], "notBreaching");
        }
    }
}

#[test]
fn a_value_cannot_break_out_of_its_template() {
    // Stricter than any check of the file lets it be.
    let hostile = "x\"\nResources: {}\n# ${AWS::AccountId} {{ names }}";
    let (_, mut environment) = environments().remove(0);
    environment
        .tags
        .insert("evil".to_owned(), hostile.to_owned());
    let rendered = render::render(&environment).unwrap();
    for template in &rendered.templates {
        assert!(template.value["Resources"].as_object().unwrap().len() > 3);
    }
    let tags = &resources(
        &rendered.template(Stack::State).value,
        "AWS::DynamoDB::Table",
    )[0]["Tags"];
    assert!(
        tags.as_array()
            .unwrap()
            .iter()
            .any(|own| own["Value"] == hostile)
    );
}

#[test]
fn what_is_too_large_for_aws_is_said_with_what_to_do() {
    let many: Vec<String> = (0..200)
        .map(|number| format!("\"some-organization/some-repository-{number}\""))
        .collect();
    let unlabelled = "accepts_unlabelled = true";
    let many = format!("{unlabelled}\nrepositories = [{}]", many.join(", "));
    let error = changed(unlabelled, &many).unwrap_err().to_string();
    assert!(
        error.contains("the document of pool base") && error.contains("fewer"),
        "{error}"
    );
}

/// A T type starts without credits: in standard mode a build would crawl from its first minute. The
/// lab's machines are no T types at all.
#[test]
fn a_forges_own_ca_reaches_the_dispatcher_and_every_machine() {
    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), PEM).unwrap();
    let source = r#"
name = "my-ci"
region = "eu-west-1"
max_runners = 5
[forge]
url = "https://git.example.com"
ca = "ca.pem"
[pool.base]
image = { stock = "al2023" }
instance_types = ["m7a.medium"]
[pool.base.labels]
linux = "host"
"#;
    let environment = Environment::parse(source, folder.path()).unwrap();
    let rendered = render::render(&environment).unwrap();
    assert!(rendered.user_data[0].script.contains(PEM.trim()));
    let runner = &rendered.template(Stack::Runner).body;
    assert!(runner.contains("/my-ci/forge-ca"), "{runner}");
}
