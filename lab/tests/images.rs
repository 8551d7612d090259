//! Images are real: what is written to a stopped instance's disk is there on every instance of its image.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::{Filter, Image, ResourceType, ShutdownBehavior, Tag, TagSpecification};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lab::FaultInjection;
use support::{Bench, forge, no_boot};
use tokio::time::Instant;

const STOCK: &str = "ami-0c1ab00000000c1ab";
/// Most that an image may take here to become what is waited for.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs an On-Demand instance of `image` that stops when it shuts down.
async fn builder(bench: &Bench, image: &str, user_data: &str) -> String {
    let made = bench
        .ec2
        .run_instances()
        .image_id(image)
        .instance_type("t3.medium".into())
        .subnet_id(support::SUBNET_A)
        .user_data(STANDARD.encode(user_data))
        .instance_initiated_shutdown_behavior(ShutdownBehavior::Stop)
        .min_count(1)
        .max_count(1)
        .send();
    let made = made.await.unwrap();
    made.instances()[0].instance_id().unwrap().to_owned()
}

fn tagged(kind: ResourceType) -> TagSpecification {
    let tag = Tag::builder().key("lab-ci:image").value("go").build();
    TagSpecification::builder()
        .resource_type(kind)
        .tags(tag)
        .build()
}

async fn image_of(bench: &Bench, instance: &str, name: &str) -> String {
    let made = bench
        .ec2
        .create_image()
        .instance_id(instance)
        .name(name)
        .tag_specifications(tagged(ResourceType::Image))
        .tag_specifications(tagged(ResourceType::Snapshot))
        .send();
    made.await.unwrap().image_id.unwrap()
}

async fn own_images(bench: &Bench) -> Vec<Image> {
    let by_tag = Filter::builder()
        .name("tag:lab-ci:image")
        .values("go")
        .build();
    let asked = bench.ec2.describe_images().owners("self").filters(by_tag);
    asked.send().await.unwrap().images.unwrap_or_default()
}

async fn wait_for_image(bench: &Bench, id: &str, state: &str) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let images = own_images(bench).await;
        let image = images.iter().find(|one| one.image_id() == Some(id));
        let now = image.and_then(|image| image.state.as_ref());
        if now.is_some_and(|now| now.as_str() == state) {
            return;
        }
        assert!(Instant::now() < deadline, "{id} is {now:?}, not {state}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopped_instance_wrote_is_on_the_instances_of_its_image_and_of_its_images_image() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    // These machines have stopped before EC2 would show them.
    bench.faults(&FaultInjection {
        visible_after_ms: 0,
        ..FaultInjection::default()
    });
    let first = "#!/bin/sh\necho one >/etc/baked\necho gone >/opt/later\n\
                 echo tool >/usr/local/bin/baked-tool\nchmod 0755 /usr/local/bin/baked-tool\n\
                 systemctl poweroff\n";
    let id = builder(&bench, STOCK, first).await;
    let stopped = bench.wait_for(&id, "stopped").await;
    let reason = stopped.reason.as_deref();
    assert_eq!(reason, Some("Client.InstanceInitiatedShutdown"));
    assert_eq!(bench.left().of_instances(), 0, "{:?}", bench.left());
    let parent = image_of(&bench, &id, "lab-ci-runner-go-v1").await;
    wait_for_image(&bench, &parent, "available").await;

    let second =
        "#!/bin/sh\ncat /etc/baked\necho two >>/etc/baked\nrm /opt/later\nsystemctl poweroff\n";
    let child = builder(&bench, &parent, second).await;
    bench.wait_for(&child, "stopped").await;
    assert!(bench.console(&child).contains("one"));
    let image = image_of(&bench, &child, "lab-ci-runner-go-v2").await;
    wait_for_image(&bench, &image, "available").await;

    let look = "#!/bin/sh\ntr '\\n' ' ' </etc/baked\nls -l /usr/local/bin/baked-tool\n\
                [ -e /opt/later ] || echo nothing later\nsystemctl poweroff\n";
    for (from, words) in [
        (&parent, ["one", "baked-tool"]),
        (&image, ["one two", "nothing later"]),
    ] {
        let run = builder(&bench, from, look).await;
        bench.wait_for(&run, "stopped").await;
        let console = bench.console(&run);
        for word in words {
            assert!(console.contains(word), "{word}: {console}");
        }
        assert_eq!(console.contains("nothing later"), *from == image);
        bench
            .ec2
            .terminate_instances()
            .instance_ids(run)
            .send()
            .await
            .unwrap();
    }
    for one in [&id, &child] {
        bench
            .ec2
            .terminate_instances()
            .instance_ids(one)
            .send()
            .await
            .unwrap();
        bench.wait_for(one, "terminated").await;
    }
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_of_an_instance_is_told_in_base64_and_a_moment_late() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let id = builder(
        &bench,
        STOCK,
        "#!/bin/sh\necho ci-ami RESULT ok\nsleep 3\nsystemctl poweroff\n",
    );
    let id = id.await;
    let asked = async |latest: bool| {
        let asked = bench
            .ec2
            .get_console_output()
            .instance_id(&id)
            .latest(latest);
        let answer = asked.send().await.ok()?;
        String::from_utf8(STANDARD.decode(answer.output?).unwrap()).ok()
    };
    bench.wait_for_words(&id, "RESULT ok").await;
    let deadline = Instant::now() + LIMIT;
    let text = loop {
        // While it runs, nothing is posted.
        if bench.instance(&id).await.state == "running" {
            assert_eq!(asked(false).await, None);
        }
        if let Some(text) = asked(true).await {
            break text;
        }
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(text.contains("ci-ami RESULT ok"), "{text}");
    bench.wait_for(&id, "stopped").await;
    let posted = async || {
        while Instant::now() < deadline {
            if let Some(text) = asked(false).await {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        String::new()
    };
    assert!(posted().await.contains("powering off"));
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_and_snapshots_are_found_by_tag_and_go_together() {
    let Some(bench) = Bench::sharing(forge()).await else {
        return;
    };
    bench.faults(&FaultInjection {
        failing_images: 1,
        visible_after_ms: 0,
        ..no_boot()
    });
    let id = builder(&bench, STOCK, "#!/bin/sh\n").await;
    bench.wait_for(&id, "running").await;
    let refused = bench.ec2.create_image().instance_id(&id).name("running");
    let refused = refused.send().await.unwrap_err();
    assert_eq!(refused.code(), Some("UnsupportedOperation"));
    bench
        .ec2
        .stop_instances()
        .instance_ids(&id)
        .send()
        .await
        .unwrap();
    bench.wait_for(&id, "stopped").await;

    let failed = image_of(&bench, &id, "lab-ci-runner-go-v1").await;
    wait_for_image(&bench, &failed, "failed").await;
    let image = image_of(&bench, &id, "lab-ci-runner-go-v2").await;
    let early = bench.ec2.run_instances().image_id(&image);
    let early = early
        .instance_type("t3.small".into())
        .subnet_id(support::SUBNET_A)
        .min_count(1)
        .max_count(1);
    let early = early.send().await.unwrap_err();
    assert!(
        early.code().unwrap().starts_with("InvalidAMIID."),
        "{early:?}"
    );
    wait_for_image(&bench, &image, "available").await;
    let twice = bench
        .ec2
        .create_image()
        .instance_id(&id)
        .name("lab-ci-runner-go-v2");
    let twice = twice.send().await.unwrap_err();
    assert_eq!(twice.code(), Some("InvalidAMIName.Duplicate"));

    let snapshots = async || {
        let by_tag = Filter::builder()
            .name("tag-key")
            .values("lab-ci:image")
            .build();
        let asked = bench
            .ec2
            .describe_snapshots()
            .owner_ids("self")
            .filters(by_tag);
        asked
            .send()
            .await
            .unwrap()
            .snapshots
            .unwrap_or_default()
            .len()
    };
    assert_eq!(snapshots().await, 2);
    for (id, with_snapshots, left) in [(&failed, true, 1), (&image, false, 1)] {
        let gone = bench.ec2.deregister_image().image_id(id);
        let gone = gone.delete_associated_snapshots(with_snapshots);
        gone.send().await.unwrap();
        assert_eq!(snapshots().await, left);
    }
    assert!(own_images(&bench).await.is_empty());
    bench.down().await;
}
