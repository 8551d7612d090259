//! A new image whose machines do not come up, though the machine that tried it did.

use aws_sdk_cloudwatchlogs::operation::filter_log_events::FilterLogEventsOutput;
use provisioner::images::{self, Came, Role};
use provisioner::progress::Silent;
use serde_json::Value;
use stacks::names::{LOG_BOOT_FAILURES, Names};

use super::images::{
    build, function, images_of_job, make_repository, manifest, secrets, with_image,
};
use super::support::{self, Bench};
use super::{down, up};

/// What the function has said, line by line.
async fn log(bench: &Bench, names: &Names) -> Vec<Value> {
    let file = bench.lab.file();
    let config = support::sdk_config(file, &file.aws_endpoint);
    let logs = aws_sdk_cloudwatchlogs::Client::new(&config);
    let found = logs.filter_log_events().log_group_name(&names.log_group);
    let pages: Vec<_> = found.into_paginator().send().try_collect().await.unwrap();
    let lines = pages
        .iter()
        .flat_map(FilterLogEventsOutput::events)
        .filter_map(|event| event.message());
    lines
        .filter_map(|line| serde_json::from_str(line.trim()).ok())
        .collect()
}

#[tokio::test]
async fn two_machines_that_do_not_come_up_have_the_image_before_put_back_and_the_job_runs_on_it() {
    const NAME: &str = "back-ci";
    let Some(bench) = Bench::up().await else {
        return;
    };
    let deployment = with_image(&bench, NAME).with_secrets(secrets(&bench));
    up(&deployment, &function().await).await;
    make_repository(&bench).await;
    let good = build(&deployment, &manifest("good", ":")).await.unwrap();
    let good = good[1].built.id.clone();
    assert_eq!(images_of_job(&bench, "good", 1).await, [&*good]);

    // A curl that signs nothing: neither the steps nor the trial need one, and boot asks nobody without it.
    let breaks =
        "printf '#!/bin/sh\\nexit 1\\n' >/usr/local/bin/curl\nchmod 0755 /usr/local/bin/curl";
    let bad = build(&deployment, &manifest("bad", breaks)).await.unwrap();
    let bad = bad[1].built.id.clone();
    assert_eq!(
        images_of_job(&bench, "good", 2).await,
        [&*bad, &*bad, &*good]
    );

    // Said once, with what the alarm reads and what to do.
    let names = Names::of(NAME);
    let told = log(&bench, &names).await;
    let told: Vec<&Value> = told
        .iter()
        .filter(|line| line.get(LOG_BOOT_FAILURES).is_some())
        .collect();
    let [line] = *told else {
        panic!("{told:?}");
    };
    assert_eq!(
        (&line["level"], &line[LOG_BOOT_FAILURES]),
        (&"WARN".into(), &2.into())
    );
    assert_eq!(
        (&line["ami"], &line["previous"]),
        (&Value::from(&*bad), &Value::from(&*good))
    );
    let words = line["message"].as_str().unwrap();
    assert!(
        words.contains("is put back") && words.contains("ami list"),
        "{words}"
    );

    // The bad one is not put forward again by building the same, and a better one goes back to the good one.
    let again = build(&deployment, &manifest("bad", breaks)).await.unwrap();
    assert_eq!(
        again[1].came,
        Came::SetAside {
            named: good.clone()
        }
    );
    assert_eq!(images_of_job(&bench, "good", 3).await, [&*good]);
    let better = build(&deployment, &manifest("better", ":")).await.unwrap();
    let better = better[1].built.id.clone();
    assert_eq!(images_of_job(&bench, "better", 4).await, [&*better]);
    let listed = images::list(&deployment, &Silent).await.unwrap();
    let previous = listed.iter().find(|one| one.role == Role::Previous);
    assert_eq!(
        previous.unwrap().built.id,
        good,
        "not the newer one that was bad"
    );
    let moved = images::rollback(&deployment, "go", None, &Silent).await;
    assert_eq!(moved.unwrap()[0].to.id, good);
    let listed = images::list(&deployment, &Silent).await.unwrap();
    let current = listed
        .iter()
        .find(|one| one.role == Role::Current && one.built.image == "go");
    assert_eq!(current.unwrap().built.id, good);
    down(&deployment).await;
    bench.down().await;
}
