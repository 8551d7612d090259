//! The lab's EC2 over the wire, judged by the SDK.

mod support;

use std::time::{Duration, Instant};

use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::{
    CreditSpecificationRequest, Filter, LaunchTemplateIamInstanceProfileSpecificationRequest,
    LaunchTemplateInstanceNetworkInterfaceSpecificationRequest, LaunchTemplateSpecification,
    ResourceType, ShutdownBehavior, Tag, TagSpecification,
};
use lab::{Calls, Capacity, FaultInjection, RunError};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use support::{Bench, SUBNET_A, SUBNET_B, forge, no_boot, post, template_data};

fn code(error: &impl ProvideErrorMetadata) -> String {
    error.code().unwrap_or_default().to_owned()
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_token_is_zonal_and_idempotent() {
    let Some(bench) = Bench::sharing(forge()).await else {
        return;
    };
    bench.faults(&no_boot());
    let template = bench.template("#!/bin/sh\n").await;
    let launch = async |subnet: &str, count: i32| {
        let request = bench.request(&template).client_token("token-1");
        let request = request.subnet_id(subnet).max_count(count);
        request.send().await.map(|made| {
            let first = &made.instances()[0];
            first.instance_id().unwrap().to_owned()
        })
    };
    let first = launch(SUBNET_A, 1).await.unwrap();
    assert_eq!(launch(SUBNET_A, 1).await.unwrap(), first);
    let mismatch = launch(SUBNET_A, 2).await.unwrap_err();
    assert_eq!(code(&mismatch), "IdempotentParameterMismatch");
    let elsewhere = launch(SUBNET_B, 2).await.unwrap();
    assert_ne!(elsewhere, first);
    bench.down().await;
}

/// Such as a lock that a script holds while it calls `lab up`.
#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_keeps_nothing_open_that_whoever_started_it_had() {
    let held = tempfile::NamedTempFile::new().unwrap();
    fcntl(&held, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let Some(bench) = Bench::sharing(forge()).await else {
        return;
    };
    let own = std::fs::read_dir(format!("/proc/{}/fd", bench.lab.file().pid)).unwrap();
    let own: Vec<_> = own
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .collect();
    assert!(own.len() > 3, "{own:?}");
    assert!(!own.contains(&held.path().to_owned()), "{own:?}");
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_token_twenty_times_at_once_gives_one_instance() {
    let Some(bench) = Bench::sharing(forge()).await else {
        return;
    };
    bench.faults(&no_boot());
    let template = bench.template("#!/bin/sh\n").await;
    let mut all = Vec::new();
    for _ in 0..20 {
        let request = bench.request(&template).client_token("token-1");
        all.push(tokio::spawn(request.send()));
    }
    let (mut made, mut throttled) = (0, 0);
    for one in all {
        match one.await.unwrap() {
            Ok(_) => made += 1,
            Err(error) if code(&error) == "RequestLimitExceeded" => throttled += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(
        made >= 5 && throttled > 0,
        "{made} made, {throttled} throttled"
    );
    assert_eq!(bench.lab.status().await.unwrap().instances.len(), 1);
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_with_the_labs_key_is_refused() {
    let Some(bench) = Bench::sharing(forge()).await else {
        return;
    };
    let ec2 = &bench.lab.file().ec2_endpoint;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let body = "Action=DescribeInstances&Version=2016-11-15";
    let (status, answer) = post(ec2, "/", &[form], body);
    assert_eq!(status, 401);
    assert!(
        answer.contains("<Code>MissingAuthenticationToken</Code>"),
        "{answer}"
    );
    for (key, secret) in [("AKIASTRANGER", "x"), (&bench.lab.file().account, "wrong")] {
        let stranger = aws_credential_types::Credentials::new(key, secret, None, None, "test");
        let config = bench.ec2.config().to_builder();
        let config = config.credentials_provider(stranger).build();
        let client = aws_sdk_ec2::Client::from_conf(config);
        let error = client.describe_instances().send().await.unwrap_err();
        assert_eq!(code(&error), "AuthFailure");
    }
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_parameters_filters_and_actions_are_errors() {
    let Some(bench) = Bench::sharing(forge()).await else {
        return;
    };
    let error = bench
        .ec2
        .describe_instances()
        .customize()
        .mutate_request(|request| {
            let mut body = request.body().bytes().unwrap().to_vec();
            body.extend_from_slice(b"&Bogus=1");
            let length = body.len().to_string();
            *request.body_mut() = body.into();
            request.headers_mut().insert("content-length", length);
        })
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "UnknownParameter");
    let wrong = bench
        .ec2
        .describe_instances()
        .filters(filter("color", "red"));
    assert_eq!(
        code(&wrong.send().await.unwrap_err()),
        "InvalidParameterValue"
    );
    let error = bench.ec2.describe_key_pairs().send().await.unwrap_err();
    assert_eq!(code(&error), "InvalidAction");
    let error = bench
        .ec2
        .terminate_instances()
        .instance_ids("i-0123456789abcdef0");
    assert_eq!(
        code(&error.send().await.unwrap_err()),
        "InvalidInstanceID.NotFound"
    );
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn launches_that_ec2_would_refuse_are_refused() {
    let Some(bench) = Bench::sharing(forge()).await else {
        return;
    };
    let template = bench.template("#!/bin/sh\n").await;
    let nowhere = LaunchTemplateSpecification::builder()
        .launch_template_id("lt-0123456789abcdef0")
        .build();
    let credit = CreditSpecificationRequest::builder()
        .cpu_credits("standard")
        .build();
    let spot_request = TagSpecification::builder()
        .resource_type(ResourceType::SpotInstancesRequest)
        .tags(Tag::builder().key("lab-ci").value("build").build())
        .build();
    let interface = LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
        .device_index(0)
        .build();
    let nobody = LaunchTemplateIamInstanceProfileSpecificationRequest::builder()
        .name("nobody")
        .build();
    let request = || bench.request(&template);
    let mut refused = vec![
        (
            "InvalidLaunchTemplateId.NotFound",
            request().launch_template(nowhere),
        ),
        (
            "InvalidParameterValue",
            request().instance_type("t3.huge".into()),
        ),
        (
            "InvalidSubnetID.NotFound",
            request().subnet_id("subnet-0123456789abcdef0"),
        ),
        (
            "InvalidParameterCombination",
            request()
                .instance_type("c7a.large".into())
                .credit_specification(credit),
        ),
        (
            "UnauthorizedOperation",
            request().tag_specifications(spot_request),
        ),
        ("InvalidParameterValue", request().min_count(2)),
        ("UnknownParameter", request().ebs_optimized(true)),
        (
            "InvalidParameterValue",
            request().image_id("ami-0c1ab00000000c1ad"),
        ),
        (
            "InvalidParameterValue",
            request().image_id("resolve:ssm:/lab-ci/ami/no-such/x86_64"),
        ),
    ];
    for (expected, data) in [
        (
            "InvalidAMIID.NotFound",
            template_data("").image_id("ami-0123456789abcdef0"),
        ),
        (
            "InvalidGroup.NotFound",
            template_data("").security_group_ids("sg-0123456789abcdef0"),
        ),
        (
            "InvalidParameterCombination",
            template_data("").network_interfaces(interface),
        ),
        (
            "InvalidParameterValue",
            template_data("").iam_instance_profile(nobody),
        ),
        (
            "UnsupportedOperation",
            template_data("").instance_initiated_shutdown_behavior(ShutdownBehavior::Stop),
        ),
    ] {
        let template = bench.template_of(data).await;
        refused.push((expected, bench.request(&template)));
    }
    for (expected, request) in refused {
        let error = request.send().await.unwrap_err();
        assert_eq!(code(&error), expected, "{error:?}");
        // The bucket of five refills with two a second.
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert!(bench.lab.status().await.unwrap().instances.is_empty());
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_described_a_moment_after_its_launch_and_by_filters() {
    let Some(bench) = Bench::sharing(forge()).await else {
        return;
    };
    bench.faults(&no_boot());
    let template = bench.template("#!/bin/sh\n").await;
    let made = bench
        .request(&template)
        .max_count(7)
        .client_token("seven")
        .send();
    let made = made.await.unwrap();
    assert_eq!(made.instances().len(), 7);
    let id = made.instances()[0].instance_id().unwrap();
    let by_id = || bench.ec2.describe_instances().instance_ids(id).send();
    assert_eq!(
        code(&by_id().await.unwrap_err()),
        "InvalidInstanceID.NotFound"
    );
    let deadline = Instant::now() + Duration::from_secs(5);
    while by_id().await.is_err() {
        assert!(Instant::now() < deadline, "never visible");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let count = async |name: &str, value: &str| {
        let request = bench.ec2.describe_instances().filters(filter(name, value));
        request.send().await.unwrap().reservations().len()
    };
    assert_eq!(count("tag-key", "lab-ci").await, 7);
    assert_eq!(count("tag-key", "lab").await, 0);
    assert_eq!(count("client-token", "seven").await, 7);
    assert_eq!(count("instance-state-name", "running").await, 7);
    let page = bench
        .ec2
        .describe_instances()
        .max_results(5)
        .send()
        .await
        .unwrap();
    assert_eq!(page.reservations().len(), 5);
    let rest = bench.ec2.describe_instances().max_results(5);
    let rest = rest
        .next_token(page.next_token().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(rest.reservations().len(), 2);
    assert_eq!(rest.next_token(), None);
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_answered_as_ec2_would_and_then_are_over() {
    let Some(bench) = Bench::sharing(forge()).await else {
        return;
    };
    let template = bench.template("#!/bin/sh\n").await;
    let launch = || bench.request(&template).client_token("one").send();
    bench.faults(&FaultInjection {
        run_error: Some(RunError {
            code: "MaxSpotInstanceCountExceeded".to_owned(),
            message: None,
            count: 1,
        }),
        capacity: vec![Capacity {
            instance_type: None,
            subnet: Some(SUBNET_B.to_owned()),
            spot: None,
            left: 0,
        }],
        lose_answers: 1,
        ..no_boot()
    });
    assert_eq!(
        code(&launch().await.unwrap_err()),
        "MaxSpotInstanceCountExceeded"
    );
    let full = bench.request(&template).subnet_id(SUBNET_B).send().await;
    assert_eq!(code(&full.unwrap_err()), "InsufficientInstanceCapacity");
    assert_eq!(code(&launch().await.unwrap_err()), "InternalError");
    let all = bench.lab.status().await.unwrap().instances;
    assert_eq!(all.len(), 1, "the launch was done, only its answer is lost");
    let again = launch().await.unwrap();
    assert_eq!(again.instances()[0].instance_id(), Some(all[0].id.as_str()));
    let calls = bench.lab.calls().await.unwrap();
    assert_eq!(calls.attempts("RunInstances"), 4, "{calls:?}");
    for (outcome, count) in [(Calls::SERVED, 1), ("InsufficientInstanceCapacity", 1)] {
        assert_eq!(calls.with("RunInstances", outcome), count, "{calls:?}");
    }
    bench.down().await;
}
