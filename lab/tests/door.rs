//! What reaches a deployed function: EC2's events over its rules, the forge and runners over the
//! front door, judged by curl.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write as _;
use std::time::{Duration, Instant};

use support::{Bench, POLICY, ROLE, post};

/// A function that echoes requests and writes events down.
const FUNCTION: &str = r#"
import json
def handler(event, context):
    if "requestContext" in event:
        return {"statusCode": 200, "body": json.dumps(event)}
    with open("EVENTS", "a") as out:
        out.write(json.dumps(event) + "\n")
"#;

async fn deploy_function(bench: &Bench, events: &str) {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("index.py", options).unwrap();
    zip.write_all(FUNCTION.replace("EVENTS", events).as_bytes())
        .unwrap();
    let code = zip.finish().unwrap().into_inner();
    let file = bench.lab.file();
    let config = support::sdk_config(file, &file.aws_endpoint);
    let blob = aws_sdk_lambda::primitives::Blob::new(code);
    aws_sdk_lambda::Client::new(&config)
        .create_function()
        .function_name("lab-ci-dispatch")
        .runtime("python3.12".into())
        .handler("index.handler")
        .role(format!("arn:aws:iam::{}:role/{ROLE}", lab::ACCOUNT))
        .code(
            aws_sdk_lambda::types::FunctionCode::builder()
                .zip_file(blob)
                .build(),
        )
        .send()
        .await
        .unwrap();
}

fn emulator_json(bench: &Bench, path: &str, target: &str, body: &str) -> serde_json::Value {
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential={}/20261124/{}/any/aws4_request, SignedHeaders=host, \
         Signature=0",
        lab::ACCOUNT,
        lab::REGION
    );
    let headers = [
        ("authorization", scope.as_str()),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-security-token", lab::WITNESS_TOKEN),
        ("x-amz-target", target),
    ];
    let (status, answer) = post(&bench.lab.file().aws_endpoint, path, &headers, body);
    assert!(status < 300, "{path} {target}: {status} {answer}");
    serde_json::from_str(&answer).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn state_changes_reach_the_targets_of_matching_rules() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let events = bench.path().join("events.log");
    deploy_function(&bench, events.to_str().unwrap()).await;
    let pattern = r#"{\"source\":[\"aws.ec2\"],\"detail-type\":[\"EC2 Instance State-change Notification\"],\"detail\":{\"state\":[\"shutting-down\",\"terminated\"]}}"#;
    let rule = format!(r#"{{"Name":"state","EventPattern":"{pattern}"}}"#);
    emulator_json(&bench, "/", "AWSEvents.PutRule", &rule);
    let targets = format!(
        r#"{{"Rule":"state","Targets":[{{"Id":"1","Arn":"arn:aws:lambda:{}:{}:function:lab-ci-dispatch"}}]}}"#,
        lab::REGION,
        lab::ACCOUNT
    );
    emulator_json(&bench, "/", "AWSEvents.PutTargets", &targets);
    let id = bench.boot("#!/bin/sh\npoweroff -f\n").await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let told = loop {
        let told = std::fs::read_to_string(&events).unwrap_or_default();
        if told.lines().count() >= 2 {
            break told;
        }
        assert!(Instant::now() < deadline, "told: {told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let mut states: Vec<String> = Vec::new();
    for line in told.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["detail"]["instance-id"], id.as_str());
        assert_eq!(event["account"], lab::ACCOUNT);
        states.push(event["detail"]["state"].as_str().unwrap().to_owned());
    }
    states.sort();
    assert_eq!(states, ["shutting-down", "terminated"]);
    bench.down().await;
}

/// The other route goes through the emulator's API, body and headers as they came.
fn check_dispatch(bench: &Bench, api: &str) {
    let path = format!("/v2/apis/{api}");
    let function = format!(
        "arn:aws:lambda:{}:{}:function:lab-ci-dispatch",
        lab::REGION,
        lab::ACCOUNT
    );
    let integration = format!(
        r#"{{"integrationType":"AWS_PROXY","integrationUri":"{function}","payloadFormatVersion":"2.0"}}"#
    );
    let made = emulator_json(bench, &format!("{path}/integrations"), "", &integration);
    let target = made["integrationId"].as_str().unwrap();
    for (key, authorization) in [("POST /dispatch", "NONE"), ("POST /runner", "AWS_IAM")] {
        let route = format!(
            r#"{{"routeKey":"{key}","target":"integrations/{target}","authorizationType":"{authorization}"}}"#
        );
        emulator_json(bench, &format!("{path}/routes"), "", &route);
    }
    let stage = r#"{"stageName":"$default","autoDeploy":true}"#;
    emulator_json(bench, &format!("{path}/stages"), "", stage);
    let door = &bench.lab.file().front_door;
    let body = "{\n  \"a\": \"ü\"\n}";
    let header = ("X-Gitea-Event", "push");
    let (status, answer) = post(door, "/dispatch", &[header], body);
    assert_eq!(status, 200, "{answer}");
    let event: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(event["routeKey"], "POST /dispatch");
    assert_eq!(event["body"], body);
    assert_eq!(event["headers"]["x-gitea-event"], "push");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_known_at_the_runner_route_by_its_own_signature_only() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    deploy_function(&bench, "/dev/null").await;
    let api = r#"{"name":"lab-ci-api","protocolType":"HTTP"}"#;
    let api = emulator_json(&bench, "/v2/apis", "", api);
    let api = api["apiId"].as_str().unwrap().to_owned();
    check_dispatch(&bench, &api);
    let user_data = r#"#!/bin/bash
md() { curl -fsS -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"; }
field() { sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p' <<<"$keys"; }
token=$(curl -fsS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
keys=$(md iam/security-credentials/ROLE)
url=https://API.execute-api.eu-west-1.amazonaws.com/runner
ask() {
  printf 'user = "%s:%s"\nheader = "x-amz-security-token: %s"\n' "$(field AccessKeyId)" "$1" "$(field Token)" |
    curl -sS -m 20 -w ' status %{http_code}\n' -K - --aws-sigv4 aws:amz:eu-west-1:execute-api \
      -H 'Content-Type: application/json' --data-binary '{"ask":"credential"}' "$url"
}
echo "own: $(ask "$(field SecretAccessKey)")"
echo "wrong: $(ask wrong)"
echo "unsigned: $(curl -sS -w ' status %{http_code}' -d '{}' "$url")"
echo "elsewhere: $(curl -sS -w ' status %{http_code}' -d '{}' "${url}x")"
echo all told
"#
    .replace("ROLE", ROLE)
    .replace("API", &api);
    let id = bench.boot(&user_data).await;
    let console = bench.wait_for_words(&id, "all told").await;
    let line = |name: &str| {
        let line = console.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name}:\n{console}"))
            .trim()
            .to_owned()
    };
    let own = line("own:");
    let (event, status) = own.rsplit_once(" status ").unwrap();
    assert_eq!(status, "200", "{own}");
    let event: serde_json::Value = serde_json::from_str(event).unwrap();
    assert_eq!(event["routeKey"], "POST /runner");
    assert_eq!(event["body"], r#"{"ask":"credential"}"#);
    let caller = &event["requestContext"]["authorizer"]["iam"];
    let arn = format!("arn:aws:sts::{}:assumed-role/{ROLE}/{id}", lab::ACCOUNT);
    assert_eq!(caller["userArn"], arn.as_str());
    assert!(
        caller["userId"]
            .as_str()
            .unwrap()
            .ends_with(&format!(":{id}"))
    );
    let forbidden = r#"{"message":"Forbidden"} status 403"#;
    assert_eq!(line("wrong:"), forbidden);
    assert_eq!(line("unsigned:"), forbidden);
    assert_eq!(line("elsewhere:"), r#"{"message":"Not Found"} status 404"#);
    let denied = bench.iam();
    let denied = denied.delete_role_policy().role_name(ROLE);
    denied.policy_name(POLICY).send().await.unwrap();
    let id = bench.boot(&user_data).await;
    let console = bench.wait_for_words(&id, "all told").await;
    assert!(console.contains(&format!("own: {forbidden}")), "{console}");
    bench.down().await;
}
