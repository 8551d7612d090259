//! With live rights, the lab refuses what the function's role may not, and the rehearsal says what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ec2::error::ProvideErrorMetadata as _;
use provisioner::progress::Silent;
use provisioner::rehearsal::{Rehearsed, rehearse_once};
use provisioner::secrets::{SecretValue, Secrets};
use provisioner::show::{self, Palette};
use provisioner::{Deployment, package};
use serde_json::{Value, json};
use stacks::names::{Names, SecretName};
use stacks::rehearsal::Verdict;

use super::support::{self, Bench};
use super::{deployment, down, tagged, up};

const NAME: &str = "rights-ci";
/// The pool's image: its launch template names this parameter, which the function has to be allowed to read.
const IMAGE: &str = "/images/rights";
const AMI: &str = "ami-0c1ab00000000c1ab";
/// Statements of the function's role that no rehearsal reaches: a machine has to be there to be ended, an image
/// of the deployment's own to be put back, and Lambda itself writes the log.
const NOT_REHEARSED: [&str; 3] = ["OnlyOurs", "Images", "Logs"];
/// The calls that each of the others allows; the rest allow the launch.
const ALLOWS: [(&str, &[&str]); 4] = [
    (
        "Ledger",
        &[
            "dynamodb:DeleteItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
        ],
    ),
    ("Look", &["ec2:DescribeInstances"]),
    ("Nudge", &["lambda:InvokeFunction"]),
    ("Parameters", &["ssm:GetParametersByPath"]),
];
const LAUNCH: &[&str] = &["ec2:RunInstances"];

/// The deployed function's role, whose policies are changed by hand.
struct FunctionRole {
    iam: aws_sdk_iam::Client,
    name: String,
    /// As `up` made them.
    policies: BTreeMap<String, Value>,
}

impl FunctionRole {
    async fn of(bench: &Bench) -> Self {
        let iam = bench.iam();
        let name = Names::of(NAME).function_role;
        let listed = iam.list_role_policies().role_name(&name);
        let mut policies = BTreeMap::new();
        for policy in listed.send().await.unwrap().policy_names() {
            let read = iam.get_role_policy().role_name(&name).policy_name(policy);
            let encoded = read.send().await.unwrap().policy_document;
            let decoded = form_urlencoded::parse(encoded.as_bytes()).next().unwrap().0;
            let document = serde_json::from_str(&decoded).unwrap();
            policies.insert(policy.clone(), document);
        }
        Self {
            iam,
            name,
            policies,
        }
    }

    /// Each statement: its policy and its `Sid`.
    fn statements(&self) -> Vec<(&str, &str)> {
        let of = |document: &'_ Value| document["Statement"].as_array().unwrap().len();
        let policies = self.policies.iter();
        policies
            .flat_map(|(policy, document)| {
                (0..of(document)).map(move |at| {
                    let sid = document["Statement"][at]["Sid"].as_str().unwrap();
                    (policy.as_str(), sid)
                })
            })
            .collect()
    }

    async fn put(&self, policy: &str, document: &Value) {
        let put = self.iam.put_role_policy().role_name(&self.name);
        let put = put
            .policy_name(policy)
            .policy_document(document.to_string());
        put.send().await.unwrap();
    }

    async fn without(&self, policy: &str, sid: &str) {
        let mut document = self.policies[policy].clone();
        let statements = document["Statement"].as_array_mut().unwrap();
        statements.retain(|statement| statement["Sid"] != sid);
        // IAM takes no policy without any.
        if statements.is_empty() {
            let delete = self.iam.delete_role_policy().role_name(&self.name);
            delete.policy_name(policy).send().await.unwrap();
        } else {
            self.put(policy, &document).await;
        }
    }

    async fn with(&self, policy: &str, statement: Value) {
        let mut document = self.policies[policy].clone();
        document["Statement"]
            .as_array_mut()
            .unwrap()
            .push(statement);
        self.put(policy, &document).await;
    }

    async fn restore(&self, policy: &str) {
        self.put(policy, &self.policies[policy]).await;
    }
}

/// One pool, whose image a parameter names.
async fn deployed(bench: &Bench) -> Deployment {
    let lab = bench.lab.file();
    let ssm = aws_sdk_ssm::Client::new(&support::sdk_config(lab, &lab.aws_endpoint));
    let image = ssm
        .put_parameter()
        .name(IMAGE)
        .value(AMI)
        .data_type("aws:ec2:image");
    let image = image.r#type(aws_sdk_ssm::types::ParameterType::String);
    image.send().await.unwrap();
    let mut secrets = Secrets::new();
    for (name, value) in [
        (SecretName::Webhook, &lab.webhook_secret),
        (SecretName::ForgeToken, &lab.forge_token),
        (SecretName::RegistrationToken, &lab.registration_token),
    ] {
        secrets.insert(name, SecretValue::new(name, value).unwrap());
    }
    let deployment = deployment(bench, |source| {
        let source = source
            .replace("\"lab-ci\"", &format!("\"{NAME}\""))
            .replace(
                &format!("{{ ami = \"{AMI}\" }}"),
                &format!("{{ ssm = \"{IMAGE}\" }}"),
            );
        source.split("[pool.go]").next().unwrap().to_owned()
    });
    let deployment = deployment.with_secrets(secrets);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let code = package::build(&root, package::Profile::Lab).await.unwrap();
    up(&deployment, &code).await;
    deployment
}

async fn rehearsed(deployment: &Deployment) -> Vec<Rehearsed> {
    rehearse_once(deployment, &Silent).await.unwrap()
}

/// Whether `after` denies exactly the calls of these actions, by exactly that statement, and says of
/// all others what `before` says.
fn check_denied(before: &[Rehearsed], after: &[Rehearsed], sid: &str) {
    let page = show::rehearsal(after, Palette::PLAIN);
    println!("without {sid}: {page}");
    let allows = ALLOWS.iter().find(|(own, _)| *own == sid);
    let actions = allows.map_or(LAUNCH, |(_, actions)| actions);
    assert_eq!(before.len(), after.len(), "{page}");
    for (was, is) in before.iter().zip(after) {
        assert_eq!(
            (&was.call.action, &was.call.what),
            (&is.call.action, &is.call.what)
        );
        if actions.contains(&is.call.action.as_str()) {
            assert_eq!(is.call.verdict, Verdict::Denied, "without {sid}: {page}");
            assert_eq!(is.statements, [sid], "{page}");
            assert!(!is.call.words.contains("Encoded"), "{page}");
        } else {
            assert_eq!(is, was, "without {sid}: {page}");
        }
    }
}

/// Every statement that the rehearsal reaches, taken out and put back, one after the other.
async fn check_each_statement(role: &FunctionRole, deployment: &Deployment, whole: &[Rehearsed]) {
    let mut checked = BTreeSet::new();
    for (policy, sid) in role.statements() {
        if NOT_REHEARSED.contains(&sid) {
            continue;
        }
        role.without(policy, sid).await;
        check_denied(whole, &rehearsed(deployment).await, sid);
        role.restore(policy).await;
        assert!(checked.insert(sid), "{sid} is there twice");
    }
    assert_eq!(checked.len(), 12, "{checked:?}");
    assert_eq!(rehearsed(deployment).await, whole);
}

/// A right that is missing from the beginning: the function knows no pool then.
async fn check_cold(bench: &Bench, role: &FunctionRole, deployment: &Deployment) {
    let lab = bench.lab.file();
    let lambda = aws_sdk_lambda::Client::new(&support::sdk_config(lab, &lab.aws_endpoint));
    role.without("remember", "Parameters").await;
    // Another configuration is another process, which has read nothing yet.
    let change = lambda
        .update_function_configuration()
        .function_name(Names::of(NAME).function)
        .memory_size(512);
    change.send().await.unwrap();
    let cold = rehearsed(deployment).await;
    let of = |action: &str| {
        let mut calls = cold.iter().filter(|one| one.call.action == action);
        let call = calls.next().unwrap();
        assert!(calls.next().is_none(), "{action} is there twice");
        call
    };
    let read = of("ssm:GetParametersByPath");
    assert_eq!(read.call.verdict, Verdict::Denied);
    assert_eq!(read.statements, ["Parameters"]);
    assert_eq!(of("ec2:RunInstances").call.verdict, Verdict::Unknown);
    assert_eq!(of("dynamodb:PutItem").call.verdict, Verdict::Allowed);
    role.restore("remember").await;
}

/// Who forbids is told from who does not allow.
async fn check_forbidden(role: &FunctionRole, deployment: &Deployment) {
    let forbid = json!({
        "Sid": "Closed", "Effect": "Deny", "Action": "ec2:RunInstances", "Resource": "*",
        "Condition": { "StringEquals": { "ec2:InstanceMarketType": "spot" } },
    });
    role.with("launch", forbid).await;
    let launches: Vec<Rehearsed> = rehearsed(deployment)
        .await
        .into_iter()
        .filter(|one| one.call.action == "ec2:RunInstances")
        .collect();
    role.restore("launch").await;
    let [spot, on_demand] = launches.as_slice() else {
        panic!("{launches:?}");
    };
    assert!(spot.denial.as_ref().unwrap().is_forbidden, "{spot:?}");
    assert!(spot.statements.is_empty(), "{spot:?}");
    assert_eq!(on_demand.call.verdict, Verdict::Allowed);
}

/// The function may end its own machines alone: those that had its launch's tag from birth.
async fn check_only_ours(bench: &Bench) {
    bench.faults(&support::no_boot());
    let own = tagged(bench, &Names::of(NAME).tag_launch).await;
    let foreign = tagged(bench, NAME).await;
    let lab = bench.lab.file();
    let credentials = support::credentials(lab, &function_token());
    let config = support::sdk_config(lab, &lab.ec2_endpoint)
        .to_builder()
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let function = aws_sdk_ec2::Client::new(&config);
    let may_not = Some("UnauthorizedOperation");
    for (id, is_rehearsed, meant) in [
        (&foreign, true, may_not),
        (&foreign, false, may_not),
        (&own, true, Some("DryRunOperation")),
        (&own, false, None),
    ] {
        let end = function.terminate_instances().instance_ids(id);
        let ended = end.dry_run(is_rehearsed).send().await;
        let code = ended.as_ref().err().and_then(|error| error.code());
        assert_eq!(code, meant, "{ended:?}");
        let runs = bench.instance(id).await.state == "running";
        assert_eq!(runs, meant.is_some(), "{ended:?}");
    }
}

/// What was denied is made readable for the operator, who may know; the function may not.
fn check_decoding(bench: &Bench) {
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential={}/20261130/{}/sts/aws4_request, SignedHeaders=host, Signature={}",
        bench.lab.file().account,
        lab::REGION,
        "0".repeat(64)
    );
    let function = function_token();
    let body = "Action=DecodeAuthorizationMessage&Version=2011-06-15&EncodedMessage=nothing";
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let own = ("authorization", scope.as_str());
    let token = ("x-amz-security-token", function.as_str());
    let ask = |headers: &[_]| support::post(&bench.lab.file().aws_endpoint, "/", headers, body);
    let (status, answer) = ask(&[kind, own]);
    assert_eq!(status, 400, "{answer}");
    assert!(
        answer.contains("InvalidAuthorizationMessageException"),
        "{answer}"
    );
    let (status, answer) = ask(&[kind, own, token]);
    assert_eq!(status, 403, "{answer}");
    assert!(answer.contains("<Code>AccessDenied</Code>"), "{answer}");
}

/// The session token of the deployed function.
fn function_token() -> String {
    format!("{}/{}", lab::FUNCTION_TOKEN, Names::of(NAME).function)
}

#[tokio::test]
#[ignore = "it needs IAM's simulator: `cargo xtask test rights` installs it and runs this"]
async fn the_rehearsal_names_the_statement_that_is_taken_out() {
    assert!(
        std::env::var_os(lab::ENV_RIGHTS).is_some(),
        "without {}=1 the lab refuses nothing",
        lab::ENV_RIGHTS
    );
    let Some(bench) = Bench::up().await else {
        return;
    };
    let deployment = deployed(&bench).await;
    let role = FunctionRole::of(&bench).await;
    // First, while EC2's bucket of requests is full.
    check_only_ours(&bench).await;
    let whole = rehearsed(&deployment).await;
    println!("{}", show::rehearsal(&whole, Palette::PLAIN));
    for one in &whole {
        let meant = match one.call.action.as_str() {
            "ec2:TerminateInstances" => Verdict::Unknown,
            _ => Verdict::Allowed,
        };
        assert_eq!(one.call.verdict, meant, "{one:?}");
    }
    check_each_statement(&role, &deployment, &whole).await;
    check_forbidden(&role, &deployment).await;
    check_decoding(&bench);
    check_cold(&bench, &role, &deployment).await;
    down(&deployment).await;
    bench.down().await;
}
