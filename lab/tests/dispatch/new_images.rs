//! Images of which machines do not come up, and old ones: what the loop does and says about them.

use dispatcher::handler::Handler;
use lab::FaultInjection;
use serde_json::{Value, json};
use stacks::images::{ImageRecord, Made};
use stacks::names::{LOG_BOOT_FAILURES, LOG_IMAGE_AGE_DAYS};

use crate::delivery::{self, Job};
use crate::log;
use crate::world::{NO_FORGE, Shape, World, entries, now_ms};

/// The image of every machine here, which is that of the bench's template.
const AMI: &str = "ami-0c1ab00000000c1ab";
const DAY_S: u64 = 24 * 3600;

impl World {
    /// An image of this name, `days` old, from which the machines start; its parameter. There is none before it.
    async fn has_image(&self, image: &str, days: u64) -> String {
        let record = ImageRecord {
            current: Made {
                ami: AMI.to_owned(),
                made_s: now_ms() / 1000 - days * DAY_S,
            },
            previous: None,
        };
        let record = serde_json::to_string(&record).unwrap();
        let path = self.names.image_record(image, "x86_64");
        self.set_parameter(&path, &record).await;
        let parameter = self.names.image(image, "x86_64");
        self.set_parameter(&parameter, AMI).await;
        parameter
    }

    /// A machine for each of `jobs`. With `over_limit` they have had their two minutes to boot.
    async fn machines(&self, jobs: &[u64], over_limit: bool) -> Vec<String> {
        let before = self.living().await;
        self.bench.faults(&FaultInjection {
            launched_ago_s: if over_limit { 2 * 60 + 1 } else { 0 },
            ..entries()
        });
        let jobs: Vec<Job> = jobs.iter().map(|id| Job::new(*id)).collect();
        self.queue(&jobs).await;
        self.drain().await;
        self.bench.faults(&entries());
        let mut living = self.living().await;
        living.retain(|one| !before.contains(one));
        assert_eq!(living.len(), jobs.len());
        living
    }

    /// The same where machines end as soon as they have begun.
    async fn silent(&self, jobs: &[u64], faults: &FaultInjection) -> Vec<String> {
        self.bench.faults(faults);
        let before = self.live("runner").await;
        let jobs: Vec<Job> = jobs.iter().map(|id| Job::new(*id)).collect();
        self.queue(&jobs).await;
        self.drain().await;
        let mut rows = self.live("runner").await;
        rows.retain(|row| !before.contains(row));
        let ids = rows.iter().filter_map(|row| row["instance"].as_str());
        ids.map(str::to_owned).collect()
    }

    /// How many machines are counted against each image.
    async fn counted(&self) -> Vec<Value> {
        let rows = self.live("boot-failures").await;
        rows.iter()
            .map(|row| row["boot_failures"].clone())
            .collect()
    }

    /// A reconcile ends those that are over their boot limit, and EC2 says that they have ended.
    async fn end_late(&self, late: &[String]) {
        self.tick().await;
        for instance in late {
            let row = self.runner(instance).await;
            assert_eq!(row["ending"]["reason"], "boot-timeout", "{row}");
            self.tell_end(&self.handler, instance).await;
        }
    }

    /// EC2 says that it has ended.
    async fn tell_end(&self, handler: &Handler, instance: &str) {
        self.bench.wait_for(instance, "terminated").await;
        let event = delivery::state_change(instance, "terminated");
        let answer = self.invoke(handler, &event).await.unwrap();
        assert_eq!(answer, json!({ "done": "closed" }));
    }
}

/// The log's lines about an image that have this field.
fn said(field: &str, parameter: &str) -> Vec<Value> {
    let text = log::text();
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &Value| line.get(field).is_some() && line["parameter"] == parameter)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_with_none_before_it_stays_and_that_is_said_once() {
    let Some(world) = World::up().await else {
        return;
    };
    let parameter = world.has_image("lonely", 0).await;
    let late = world.machines(&[1, 2], true).await;
    world.end_late(&late).await;
    let told = said(LOG_BOOT_FAILURES, &parameter);
    let [line] = &*told else {
        panic!("{told:?}");
    };
    assert_eq!(line["level"], "WARN");
    assert_eq!(line[LOG_BOOT_FAILURES], 2);
    assert_eq!((&line["ami"], line.get("previous")), (&AMI.into(), None));
    let words = line["message"].as_str().unwrap();
    assert!(
        words.contains("there is none before it to put back; build another, or name one"),
        "{words}"
    );
    // A third changes nothing.
    let third = world.machines(&[3], true).await;
    world.end_late(&third).await;
    world.tick().await;
    assert_eq!(said(LOG_BOOT_FAILURES, &parameter).len(), 1);
    let rows = world.live("boot-failures").await;
    let [row] = &*rows else { panic!("{rows:?}") };
    assert_eq!(
        (&row["ami"], &row["boot_failures"]),
        (&AMI.into(), &3.into())
    );
    assert!(
        row["settled_ms"].is_u64() && row["came_up_ms"].is_null(),
        "{row}"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_ends_itself_before_it_asks_is_counted_once_ec2_says_so() {
    let shape = Shape {
        user_data: Some("#!/bin/sh\nshutdown -h now\n"),
        ..Shape::default()
    };
    let Some(world) = World::of(shape).await else {
        return;
    };
    world.has_image("silent", 0).await;
    // EC2's list shows the first two when they are over, and the third not in time.
    let shown_after = |visible_after_ms| FaultInjection {
        visible_after_ms,
        ..FaultInjection::default()
    };
    let [first, second] = &*world.silent(&[1, 2], &shown_after(2_000)).await else {
        panic!("two machines");
    };
    let [third] = &*world.silent(&[3], &shown_after(60_000)).await else {
        panic!("one machine");
    };
    world.tell_end(&world.handler, first).await;
    assert_eq!(world.counted().await, [1]);
    world.tell_end(&world.handler, third).await;
    assert_eq!(world.counted().await, [1]);
    let unsaid = log::text().lines().any(|line| {
        line.contains("EC2 does not say why the machine ended") && line.contains(third)
    });
    assert!(unsaid, "nobody is told that {third} is not counted");

    // A pool that was taken out refuses its machines, whatever they started from.
    let pool = world.runner(second).await["pool"].clone();
    let pool = world.names.pool(pool.as_str().unwrap());
    world.delete_parameter(&pool).await;
    let without_pool = world.cold(&world.bench.lab.file().forge);
    world.tell_end(&without_pool, second).await;
    assert_eq!(world.counted().await, [1]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ec2_the_forge_or_somebody_ends_is_not_counted_against_an_image() {
    let Some(world) = World::up().await else {
        return;
    };
    let parameter = world.has_image("innocent", 0).await;
    let machines = world.machines(&[1, 2, 3, 4], false).await;
    let [crashed, silently, by_hand, told_to_stop] = &*machines else {
        panic!("{machines:?}");
    };
    world.lose(crashed).await;
    world.lose_silently(silently).await;
    world.tick().await;
    assert_eq!(world.ended(silently).await["ending"]["reason"], "gone");
    for instance in [by_hand, told_to_stop] {
        // What the boot of one that is told to stop says, if there is time.
        if instance == told_to_stop {
            let mark = json!({ "mark": "failed", "text": "credential: told to stop" });
            assert_eq!(world.mark(instance, &mark).await.status, 200);
        }
        let end = world.bench.ec2.terminate_instances().instance_ids(instance);
        end.send().await.unwrap();
        world.tell_end(&world.handler, instance).await;
    }
    // The forge answers none of those that ask.
    let late = world.machines(&[5, 6], true).await;
    let without_forge = world.cold(NO_FORGE);
    for instance in &late {
        assert_eq!(world.ask_of(&without_forge, instance).await.status, 502);
    }
    world.end_late(&late).await;
    assert_eq!(world.live("boot-failures").await, Vec::<Value>::new());
    assert_eq!(said(LOG_BOOT_FAILURES, &parameter).len(), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_which_a_machine_came_up_is_not_put_back() {
    let Some(world) = World::up().await else {
        return;
    };
    let parameter = world.has_image("good", 0).await;
    let machines = world.machines(&[1], false).await;
    assert_eq!(world.ask(&machines[0]).await.status, 200);
    // Gone before its job, and closed.
    world.lose(&machines[0]).await;
    let late = world.machines(&[2, 3], true).await;
    world.end_late(&late).await;
    let rows = world.live("boot-failures").await;
    let [row] = &*rows else { panic!("{rows:?}") };
    assert_eq!(row["boot_failures"], 2);
    assert!(
        row["came_up_ms"].is_u64() && row["settled_ms"].is_null(),
        "{row}"
    );
    assert_eq!(said(LOG_BOOT_FAILURES, &parameter).len(), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_tells_of_an_image_of_thirty_days() {
    let Some(world) = World::up().await else {
        return;
    };
    world.has_image("aging", 29).await;
    world.tick().await;
    let parameter = world.has_image("aging", 30).await;
    assert_eq!(said(LOG_IMAGE_AGE_DAYS, &parameter).len(), 0);
    let forge = world.bench.lab.file().forge.clone();
    world.tick_by(&world.cold(&forge)).await;
    let told = said(LOG_IMAGE_AGE_DAYS, &parameter);
    let [line] = &*told else {
        panic!("{told:?}");
    };
    assert_eq!(
        (&line["level"], &line[LOG_IMAGE_AGE_DAYS]),
        (&"WARN".into(), &30.into())
    );
    world.end().await;
}
