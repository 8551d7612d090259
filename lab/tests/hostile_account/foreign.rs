//! Other people's things, with names and tags that are nearly ours.

use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use aws_sdk_ssm::types::{ParameterMetadata, ParameterType};
use lab::FaultInjection;
use serde_json::json;

use crate::OURS;
use crate::support::{Bench, ask, no_boot, sdk_config};

/// Parameters of others.
pub(crate) const PARAMETERS: u32 = 500;
/// Writes to Parameter Store at a time.
const AT_ONCE: u32 = 20;
/// How long their machines have been running.
const DAYS_S: u32 = 5 * 24 * 3600;

/// What was there before us.
pub(crate) struct Foreign {
    machines: Vec<String>,
    log_group: String,
    api: String,
}

impl Foreign {
    pub(crate) async fn fill(bench: &Bench) -> Self {
        let ((), machines) = tokio::join!(parameters(bench), machines(bench));
        let file = bench.lab.file();
        // Its name begins with that of ours.
        let log_group = format!("/aws/lambda/{OURS}-dispatch-old");
        let config = sdk_config(file, &file.aws_endpoint);
        let logs = aws_sdk_cloudwatchlogs::Client::new(&config);
        let group = logs.create_log_group().log_group_name(&log_group);
        group.send().await.unwrap();
        // APIs may have the same name.
        let body = json!({"name": format!("{OURS}-api"), "protocolType": "HTTP"});
        let url = format!("{}/v2/apis", file.aws_endpoint);
        let (status, made) = ask("POST", &url, &signed_for(bench, "apigateway"), &body).await;
        assert!(status < 300, "{made}");
        Self {
            machines,
            log_group,
            api: made["apiId"].as_str().unwrap().to_owned(),
        }
    }

    /// Nothing of it was ended, deleted or changed.
    pub(crate) async fn is_whole(&self, bench: &Bench) {
        for id in &self.machines {
            let machine = bench.instance(id).await;
            assert_eq!(machine.state, "running", "{machine:?}");
        }
        let file = bench.lab.file();
        let config = sdk_config(file, &file.aws_endpoint);
        let ssm = aws_sdk_ssm::Client::new(&config);
        let mut all = 0;
        let mut pages = ssm.describe_parameters().into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            let names = page.parameters().iter().filter_map(ParameterMetadata::name);
            all += names.filter(|name| is_foreign(name)).count();
        }
        assert_eq!(all, PARAMETERS as usize);
        let logs = aws_sdk_cloudwatchlogs::Client::new(&config);
        let groups = logs.describe_log_groups();
        let groups = groups.log_group_name_prefix(&self.log_group).send().await;
        assert_eq!(groups.unwrap().log_groups().len(), 1);
        let url = format!("{}/v2/apis/{}", file.aws_endpoint, self.api);
        let signed = signed_for(bench, "apigateway");
        let (status, api) = ask("GET", &url, &signed, &json!(null)).await;
        assert_eq!(status, 200, "{api}");
    }
}

/// A request's headers that say which service it is for, by somebody who prepares and looks.
pub(crate) fn signed_for(bench: &Bench, service: &str) -> [(&'static str, String); 2] {
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential={}/20261124/{}/{service}/aws4_request, \
         SignedHeaders=host, Signature=0",
        bench.lab.file().account,
        lab::REGION
    );
    [
        ("authorization", scope),
        ("x-amz-security-token", lab::WITNESS_TOKEN.to_owned()),
    ]
}

/// The name of one of them: most begin like ours, and one in ten is below our own root.
fn parameter(number: u32) -> String {
    match number % 10 {
        0 => format!("/{OURS}/prod/password-{number}"),
        1 => format!("/{OURS}/pool/base/old-{number}"),
        2..=5 => format!("/{OURS}-two/secret/webhook-{number}"),
        _ => format!("/tea/settings-{number}"),
    }
}

fn is_foreign(name: &str) -> bool {
    let number = name.rsplit('-').next().and_then(|end| end.parse().ok());
    number.is_some_and(|number| parameter(number) == name)
}

async fn parameters(bench: &Bench) {
    let file = bench.lab.file();
    let ssm = aws_sdk_ssm::Client::new(&sdk_config(file, &file.aws_endpoint));
    let mut writers = tokio::task::JoinSet::new();
    for first in 0..AT_ONCE {
        let ssm = ssm.clone();
        writers.spawn(async move {
            for number in (first..PARAMETERS).step_by(AT_ONCE as usize) {
                let put = ssm.put_parameter().name(parameter(number)).value("theirs");
                let put = put.r#type(ParameterType::SecureString).send().await;
                put.unwrap();
            }
        });
    }
    writers.join_all().await;
}

/// Machines that run for days, none of which is of a launch of ours.
async fn machines(bench: &Bench) -> Vec<String> {
    bench.faults(&FaultInjection {
        launched_ago_s: DAYS_S,
        visible_after_ms: 0,
        unthrottled: true,
        ..no_boot()
    });
    let template = bench.template("#!/bin/sh\n").await;
    let mut ids = Vec::new();
    for tags in [
        vec![(OURS, "mine")],
        vec![("Name", "team-ci/base"), (OURS, "base")],
        vec![("team-ci-two", "base"), ("team-ci-two:launch", "l-1")],
        vec![("tea", "base"), ("tea:launch", "l-2")],
        vec![
            ("team-ci:max-lifetime-minutes", "1"),
            ("team-ci:launched", "l-3"),
        ],
        vec![("TEAM-CI:LAUNCH", "l-4")],
        vec![],
    ] {
        let tag = |(key, value): (&str, &str)| Tag::builder().key(key).value(value).build();
        let tagged = TagSpecification::builder()
            .resource_type(ResourceType::Instance)
            .set_tags(Some(tags.into_iter().map(tag).collect()));
        let request = bench.request(&template);
        let request = request.set_tag_specifications(Some(vec![tagged.build()]));
        let made = request.send().await.unwrap();
        ids.push(made.instances()[0].instance_id().unwrap().to_owned());
    }
    for id in &ids {
        bench.wait_for(id, "running").await;
    }
    // From here on machines boot.
    bench.faults(&FaultInjection::default());
    ids
}
