//! The metadata service as `IMDSv2` has it.

use super::*;
use crate::ec2::{Blueprint, InstanceState};

fn service() -> Service {
    let now = Timestamp::UNIX_EPOCH;
    Service {
        instance: Instance {
            id: "i-1".to_owned(),
            token: "t".to_owned(),
            blueprint: Blueprint::example("eu-west-1a"),
            state: InstanceState::Running,
            reason: None,
            launched: now,
            visible: now,
            running: None,
            halted: None,
            ended: None,
        },
        keys: Keys::default(),
        notices: Notices::default(),
        tokens: Mutex::default(),
    }
}

fn ask(
    service: &Service,
    method: &Method,
    path: &str,
    header: Option<(&str, &str)>,
) -> (u16, String) {
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = header {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.insert(name, value.parse().unwrap());
    }
    let answer = service.answer(method, path, &headers, Timestamp::UNIX_EPOCH);
    (answer.status().as_u16(), answer.into_body())
}

#[test]
fn nothing_is_told_without_a_token() {
    let service = service();
    let path = "/latest/meta-data/instance-id";
    assert_eq!(ask(&service, &Method::GET, path, None).0, 401);
    let wrong = Some(("x-aws-ec2-metadata-token", "guess"));
    assert_eq!(ask(&service, &Method::GET, path, wrong).0, 401);
    let (status, _) = ask(&service, &Method::PUT, "/latest/api/token", None);
    assert_eq!(status, 400);
    let (status, _) = ask(&service, &Method::GET, "/latest/api/token", None);
    assert_eq!(status, 405);
}

#[test]
fn a_token_opens_identity_user_data_and_credentials() {
    let service = service();
    let life = Some(("x-aws-ec2-metadata-token-ttl-seconds", "60"));
    let (status, token) = ask(&service, &Method::PUT, "/latest/api/token", life);
    assert_eq!(status, 200);
    let get = |path: &str| {
        let token = Some(("x-aws-ec2-metadata-token", token.as_str()));
        ask(&service, &Method::GET, path, token)
    };
    assert_eq!(get("/latest/meta-data/instance-id").1, "i-1");
    assert_eq!(get("/latest/user-data").1, "#!/bin/sh\n");
    let folder = "/latest/meta-data/iam/security-credentials/";
    assert_eq!(get(folder).1, "ci-runner");
    let (status, document) = get(&format!("{folder}ci-runner"));
    assert_eq!(status, 200);
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    let holder = service
        .keys
        .holder(document["AccessKeyId"].as_str().unwrap())
        .unwrap();
    assert_eq!(holder.instance, "i-1");
    assert_eq!(get(&format!("{folder}other")).0, 404);
    assert_eq!(get("/latest/meta-data/tags/instance/").0, 404);
}

#[test]
fn revoked_keys_have_no_holder() {
    let service = service();
    let issued = service
        .keys
        .issue(&service.instance, Timestamp::UNIX_EPOCH)
        .unwrap();
    assert!(service.keys.holder(&issued.key.id).is_some());
    service.keys.revoke("i-1");
    assert!(service.keys.holder(&issued.key.id).is_none());
}

#[test]
fn a_warning_is_told_from_when_ec2_gave_it() {
    let service = service();
    let life = Some(("x-aws-ec2-metadata-token-ttl-seconds", "60"));
    let (_, token) = ask(&service, &Method::PUT, "/latest/api/token", life);
    let get = || {
        let token = Some(("x-aws-ec2-metadata-token", token.as_str()));
        let path = "/latest/meta-data/spot/instance-action";
        ask(&service, &Method::GET, path, token)
    };
    assert_eq!(get().0, 404);
    service.notices.announce("i-2", Timestamp::UNIX_EPOCH);
    assert_eq!(get().0, 404, "it is another's");
    service.notices.announce("i-1", Timestamp::UNIX_EPOCH);
    let told = r#"{"action":"terminate","time":"1970-01-01T00:00:00Z"}"#;
    assert_eq!(get(), (200, told.to_owned()));
}
