//! What somebody else has under names of ours.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_ec2::types::Filter;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::FunctionCode;
use lab::HostileAccount;
use provisioner::plan::Action;
use provisioner::progress::Silent;
use provisioner::secrets::SecretValue;
use provisioner::teardown::Kind;
use serde_json::json;
use stacks::names::{Names, SecretName};

use crate::foreign::signed_for;
use crate::support::deployments::{code, diff, down, named};
use crate::support::{Bench, ask, sdk_config, template_data};

/// Their template, which is none of ours in its format either.
const STACK: &str = "Resources: {Own: {Type: AWS::S3::Bucket, Properties: {BucketName: BUCKET}}}";

/// Somebody's things, all of which have names that our stacks would give.
struct Theirs<'b> {
    bench: &'b Bench,
    names: Names,
    bucket: String,
    dynamodb: aws_sdk_dynamodb::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
    cloudformation: aws_sdk_cloudformation::Client,
    lambda: aws_sdk_lambda::Client,
}

impl<'b> Theirs<'b> {
    async fn make(bench: &'b Bench, name: &str) -> Self {
        let file = bench.lab.file();
        let config = sdk_config(file, &file.aws_endpoint);
        let names = Names::of(name);
        let theirs = Self {
            bench,
            bucket: names.bucket(&file.account, lab::REGION),
            names,
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
        };
        let names = &theirs.names;
        theirs.make_table().await;
        let group = theirs.logs.create_log_group();
        let group = group.log_group_name(&names.log_group);
        group.send().await.unwrap();
        let role = bench.iam().create_role().role_name(&names.runner);
        role.assume_role_policy_document("{}").send().await.unwrap();
        theirs.make_experiment_role().await;
        let group = bench.emulator.create_security_group();
        let group = group
            .group_name(&names.security_group)
            .description("theirs");
        group.send().await.unwrap();
        let template = bench.emulator.create_launch_template();
        let template = template.launch_template_name(names.launch_template("base"));
        let data = template_data("#!/bin/sh\n").build();
        template.launch_template_data(data).send().await.unwrap();
        theirs.make_function().await;
        let stack = theirs.cloudformation.create_stack();
        let stack = stack.stack_name(&names.stack_dispatch);
        let template = STACK.replace("BUCKET", &theirs.bucket);
        stack.template_body(template).send().await.unwrap();
        theirs
    }

    /// With a policy of the name that ours has.
    async fn make_experiment_role(&self) {
        let (iam, name) = (self.bench.iam(), &self.names.experiment_role);
        let role = iam.create_role().role_name(name);
        role.assume_role_policy_document("{}").send().await.unwrap();
        let document = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Deny", "Action": "*", "Resource": "*" },
        ]});
        let policy = iam.put_role_policy().role_name(name);
        let policy = policy.policy_name("interrupt");
        let policy = policy.policy_document(document.to_string());
        policy.send().await.unwrap();
    }

    async fn make_function(&self) {
        let code = FunctionCode::builder().zip_file(Blob::new(code("#!/bin/sh\n").zip));
        let function = self.lambda.create_function();
        let function = function.function_name(&self.names.function);
        let function = function.runtime("provided.al2023".into());
        let role = format!("arn:aws:iam::{}:role/theirs", lab::ACCOUNT);
        let function = function.role(role).handler("bootstrap");
        function.code(code.build()).send().await.unwrap();
    }

    async fn make_table(&self) {
        let attribute = AttributeDefinition::builder().attribute_name("id");
        let attribute = attribute.attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder().attribute_name("id");
        let table = self.dynamodb.create_table();
        let table = table.table_name(&self.names.table);
        let table = table.attribute_definitions(attribute.build().unwrap());
        let table = table.key_schema(key.key_type(KeyType::Hash).build().unwrap());
        let table = table.billing_mode(BillingMode::PayPerRequest);
        table.send().await.unwrap();
    }

    async fn are_there(&self) {
        let names = &self.names;
        let table = self.dynamodb.describe_table().table_name(&names.table);
        table.send().await.unwrap();
        let groups = self.logs.describe_log_groups();
        let groups = groups.log_group_name_prefix(&names.log_group).send().await;
        assert_eq!(groups.unwrap().log_groups().len(), 1);
        let url = format!("{}/{}", self.bench.lab.file().aws_endpoint, self.bucket);
        let signed = signed_for(self.bench, "s3");
        let (status, answer) = ask("GET", &url, &signed, &json!(null)).await;
        assert_eq!(status, 200, "{answer}");
        let iam = self.bench.iam();
        let role = iam.get_role().role_name(&names.runner);
        role.send().await.unwrap();
        let policy = iam.get_role_policy().role_name(&names.experiment_role);
        let policy = policy.policy_name("interrupt").send().await.unwrap();
        assert!(policy.policy_document().contains("Deny"), "{policy:?}");
        let name = Filter::builder().name("group-name");
        let name = name.values(&names.security_group).build();
        let groups = self.bench.emulator.describe_security_groups();
        let groups = groups.filters(name).send().await;
        assert_eq!(groups.unwrap().security_groups().len(), 1);
        let templates = self.bench.emulator.describe_launch_templates();
        let template = names.launch_template("base");
        let templates = templates.launch_template_names(template).send().await;
        assert_eq!(templates.unwrap().launch_templates().len(), 1);
        let function = self.lambda.get_function().function_name(&names.function);
        function.send().await.unwrap();
        let stacks = self.cloudformation.describe_stacks();
        let stacks = stacks.stack_name(&names.stack_dispatch).send().await;
        let status = stacks.unwrap().stacks()[0].stack_status().cloned();
        assert_eq!(status.unwrap().as_str(), "CREATE_COMPLETE");
    }
}

#[tokio::test]
async fn what_somebody_else_has_under_our_names_is_named_with_what_to_do_and_left() {
    let Some(bench) = Bench::hostile().await else {
        return;
    };
    let deployment = named(&bench, "mine-ci");
    let theirs = Theirs::make(&bench, "mine-ci").await;
    bench.behave(&HostileAccount {
        short_pages: true,
        ..HostileAccount::default()
    });
    let plan = diff(&deployment, &code("binary")).await;
    let because = plan.stacks.iter().map(|stack| match &stack.action {
        Action::Blocked(because) => because.as_str(),
        other @ (Action::Create | Action::Update | Action::Unchanged) => {
            panic!("{}: {other:?}", stack.name)
        }
    });
    let because: Vec<&str> = because.collect();
    let Names {
        table, log_group, ..
    } = &theirs.names;
    let bucket = &theirs.bucket;
    for (stack, said) in [
        (
            0,
            format!("bucket {bucket}, log group {log_group}, table {table}"),
        ),
        (0, "does not carry this deployment's tag".to_owned()),
        (0, "choose another `name`, or delete it by hand".to_owned()),
        (1, "role mine-ci-runner".to_owned()),
        (1, "security group mine-ci-runner".to_owned()),
        (1, "launch template mine-ci-base".to_owned()),
        (
            2,
            "without the tag mine-ci, so it is somebody else's".to_owned(),
        ),
    ] {
        assert!(because[stack].contains(&said), "{said}: {}", because[stack]);
    }

    // Nor does an interruption take over their role, which it would change and delete.
    let interrupted = provisioner::interrupt(&deployment, "i-0123456789abcdef0", &Silent).await;
    let error = interrupted.unwrap_err().to_string();
    let said = "the role mine-ci-experiment, which it would make, is there already";
    assert!(error.contains(said), "{error}");

    // Of a deployment that was never made there is a secret, which somebody has set.
    let value = SecretValue::new(SecretName::ForgeToken, "0123456789abcdef").unwrap();
    let set = provisioner::set_secret(&deployment, SecretName::ForgeToken, &value);
    set.await.unwrap();
    let found = provisioner::survey(&deployment).await.unwrap();
    let kinds: Vec<Kind> = found.found.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [Kind::Parameter], "{found:?}");
    down(&deployment).await;
    theirs.are_there().await;
    let called = bench.account().await.served;
    assert!(
        called.contains_key("operator ssm:DeleteParameters"),
        "{called:?}"
    );
    assert!(!called.contains_key("operator lambda:Invoke"), "{called:?}");
    bench.down().await;
}
