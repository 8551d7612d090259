//! The account as the stacks would have made it, its services as the function calls them, and the forge with
//! its repositories and its hook.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Response, StatusCode};
use lab::forge::Version;
use lab::in_process::{Ec2, Forge, HookScope, IMAGE, Made, Template};
use serde_json::{Value, json};
use stacks::names::{Names, SecretName};
use stacks::pool::{CapacityType, ForgeKind, Label, Pool, SERVE_HOST, Scope, Settings};

use crate::story::Story;

/// Minutes after which a machine is ended whatever it does.
pub(crate) const LIMIT_MINUTES: u32 = 5;
/// Minutes within which a machine must have asked for its credential.
pub(crate) const BOOT_MINUTES: u32 = 3;
/// Minutes that a machine may wait for a job.
pub(crate) const IDLE_MINUTES: u32 = 2;
/// The launch template of the one pool, and its version.
const TEMPLATE: (&str, &str) = ("lt-0123456789abcdef0", "1");
const SUBNETS: [(&str, &str); 2] = [("subnet-0a", "eu-west-1a"), ("subnet-0b", "eu-west-1b")];
const GROUP: &str = "sg-0123456789abcdef0";

pub(crate) const WEBHOOK_SECRET: &str = "sim-webhook-secret-0123456789abcdef";
pub(crate) const ADMIN_TOKEN: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const REGISTRATION_TOKEN: &str = "sim-registration-0123456789abcdef0123456";
/// Where AWS answers.
pub(crate) const AWS: &str = "http://aws.sim";
/// The repositories that there are from the beginning.
pub(crate) const REPOSITORIES: [&str; 2] = ["acme/app", "octo/web"];

/// A forge with its repositories and the hook of its administrator.
pub(crate) fn forge(version: Version, now_ms: u64) -> (Forge, BTreeMap<String, i64>) {
    let mut forge = Forge::new(version, ADMIN_TOKEN, REGISTRATION_TOKEN, now_ms);
    let mut numbers = BTreeMap::new();
    for repository in REPOSITORIES {
        let (owner, name) = repository.split_once('/').expect("written above");
        let number = forge.add_repository(owner, name, now_ms);
        numbers.insert(repository.to_owned(), number);
    }
    let url = "http://dispatch.sim/dispatch";
    forge.add_hook(
        &HookScope::Global,
        url,
        WEBHOOK_SECRET,
        &["workflow_job"],
        now_ms,
    );
    (forge, numbers)
}

/// EC2 with what CloudFormation made in it.
pub(crate) fn ec2(names: &Names, now_ms: u64) -> Ec2 {
    let template = Template {
        image: Some(IMAGE.to_owned()),
        profile: Some(names.runner.clone()),
        shutdown: Some("terminate".to_owned()),
        security_groups: vec![GROUP.to_owned()],
        ..Template::default()
    };
    let made = Made {
        templates: BTreeMap::from([((TEMPLATE.0.to_owned(), TEMPLATE.1.to_owned()), template)]),
        subnets: SUBNETS
            .map(|(subnet, zone)| (subnet.to_owned(), zone.to_owned()))
            .into(),
        security_groups: [GROUP.to_owned()].into(),
        profiles: [names.runner.clone()].into(),
        images: BTreeMap::new(),
    };
    Ec2::new(made, now_ms)
}

/// The deployment's parameters.
pub(crate) fn parameters(names: &Names, story: &Story) -> BTreeMap<String, String> {
    let settings = Settings {
        forge_url: lab::FORGE_URL.to_owned(),
        forge_root_url: None,
        forge_kind: ForgeKind::Gitea,
        accept_reusable_credentials: false,
        poll_after_events: true,
        max_runners: story.machines_max,
        tags: BTreeMap::new(),
    };
    let pool = Pool {
        name: "base".to_owned(),
        labels: vec![Label {
            name: "base".to_owned(),
            serve: SERVE_HOST.to_owned(),
        }],
        accepts_unlabelled: false,
        scope: Scope::Global,
        repositories: vec!["*".to_owned()],
        instance_types: vec!["t3.small".to_owned(), "t3.medium".to_owned()],
        subnets: SUBNETS.map(|(subnet, _)| subnet).join(","),
        capacity: CapacityType::SpotThenOnDemand,
        cpu_credits: None,
        max_runners: story.machines_max,
        max_lifetime_minutes: LIMIT_MINUTES,
        boot_timeout_minutes: BOOT_MINUTES,
        idle_timeout_minutes: IDLE_MINUTES,
        clone_token: false,
        template_id: TEMPLATE.0.to_owned(),
        template_version: TEMPLATE.1.to_owned(),
    };
    BTreeMap::from([
        (
            names.parameter_settings.clone(),
            json!(settings).to_string(),
        ),
        (names.pool(&pool.name), json!(pool).to_string()),
        (names.secret(SecretName::Webhook), WEBHOOK_SECRET.to_owned()),
        (names.secret(SecretName::ForgeToken), ADMIN_TOKEN.to_owned()),
        (
            names.secret(SecretName::RegistrationToken),
            REGISTRATION_TOKEN.to_owned(),
        ),
    ])
}

/// What SSM answers.
pub(crate) fn ssm(parameters: &BTreeMap<String, String>, body: &[u8]) -> Response<Bytes> {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let path = asked["Path"].as_str().unwrap_or_default();
    let found = parameters.iter().filter(|(name, _)| name.starts_with(path));
    let found: Vec<Value> = found
        .map(|(name, value)| {
            json!({"Name": name, "Value": value, "Version": 1, "LastModifiedDate": 1.79e9})
        })
        .collect();
    answer(200, &json!({ "Parameters": found }))
}

/// A JSON answer of AWS.
pub(crate) fn answer(status: u16, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).expect("written here");
    response
}

/// The services of AWS that the function calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    DynamoDb,
    Ec2,
    Lambda,
    Ssm,
}

impl Service {
    /// What it answers when it has trouble of its own.
    pub(crate) fn failure(self) -> Response<Bytes> {
        let code = match self {
            Self::DynamoDb => "com.amazonaws.dynamodb.v20120810#InternalServerError",
            Self::Ec2 => return of_ec2(500, "InternalError"),
            Self::Lambda => "ServiceException",
            Self::Ssm => "InternalServerError",
        };
        answer(500, &json!({"__type": code, "message": "trouble"}))
    }

    /// What it answers when it is asked too much.
    pub(crate) fn throttling(self) -> Response<Bytes> {
        let (status, code) = match self {
            Self::DynamoDb => (400, "com.amazonaws.dynamodb.v20120810#ThrottlingException"),
            Self::Ec2 => return of_ec2(503, "RequestLimitExceeded"),
            Self::Lambda => (429, "TooManyRequestsException"),
            Self::Ssm => (400, "ThrottlingException"),
        };
        answer(status, &json!({"__type": code, "message": "Rate exceeded"}))
    }
}

fn of_ec2(status: u16, code: &str) -> Response<Bytes> {
    let body = format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>trouble</Message></Error></Errors>\
         <RequestID>0</RequestID></Response>"
    );
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("written here");
    response
}
