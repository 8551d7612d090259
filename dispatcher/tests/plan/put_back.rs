//! New images whose machines do not come up.

use dispatcher::model::image::{BootFailures, Image};
use dispatcher::model::runner::{EndReason, Runner, RunnerState};
use dispatcher::model::world::World;

use super::story::{MINUTE_MS, NOW_MS, ending, in_state, runner, told, waiting, world};

const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
/// Late enough for images of some age.
const LATER_MS: u64 = NOW_MS + 100 * DAY_MS;

fn image(age_ms: u64, previous: Option<&str>) -> Image {
    Image {
        parameter: "/ci/ami/go/x86_64".to_owned(),
        ami: "ami-new".to_owned(),
        made_ms: LATER_MS - age_ms,
        previous: previous.map(str::to_owned),
    }
}

fn failed(ami: &str, count: u32, settled_ms: Option<u64>) -> BootFailures {
    BootFailures {
        ami: ami.to_owned(),
        count,
        instance: "i-1".to_owned(),
        came_up_ms: None,
        settled_ms,
    }
}

/// With a job that waits: what machines start from is decided before it gets one.
fn with(image: Image, failures: BootFailures) -> World {
    World {
        now_ms: LATER_MS,
        images: vec![image],
        boot_failures: vec![failures],
        ..world(vec![waiting(1)], vec![])
    }
}

#[test]
fn two_machines_of_a_new_image_that_do_not_come_up_have_the_one_before_put_back_once() {
    let launch = "launch for 1";
    let back = "put ami-new back to ami-old";
    let none = "put ami-new back to none";
    let new = || image(MINUTE_MS, Some("ami-old"));
    for (why, image, failures, planned) in [
        ("one", new(), failed("ami-new", 1, None), vec![launch]),
        ("two", new(), failed("ami-new", 2, None), vec![back, launch]),
        (
            "five at once",
            new(),
            failed("ami-new", 5, None),
            vec![back, launch],
        ),
        (
            "of another",
            new(),
            failed("ami-old", 2, None),
            vec![launch],
        ),
        (
            "done already",
            new(),
            failed("ami-new", 3, Some(NOW_MS)),
            vec![launch],
        ),
        (
            "nothing before it",
            image(MINUTE_MS, None),
            failed("ami-new", 2, None),
            vec![none, launch],
        ),
        (
            "almost a day old",
            image(DAY_MS - 1, Some("ami-old")),
            failed("ami-new", 2, None),
            vec![back, launch],
        ),
        (
            "a day old",
            image(DAY_MS, Some("ami-old")),
            failed("ami-new", 2, None),
            vec![launch],
        ),
    ] {
        assert_eq!(told(&with(image, failures)), planned, "{why}");
    }
}

#[test]
fn a_machine_that_has_given_up_counts_while_it_ends() {
    let launch = "launch for 1";
    let ending = |words: &str, pool: &str| Runner {
        image: Some("ami-new".to_owned()),
        pool: pool.to_owned(),
        ending: Some(ending(Some(EndReason::Said(words.to_owned())))),
        ..in_state(runner("i-9", "b"), RunnerState::Booting, LATER_MS - 1)
    };
    let back = "put ami-new back to ami-old";
    for (words, pool, planned) in [
        ("boot failed: image: exit 1", "go", vec![back, launch]),
        ("boot failed: image: told to stop", "go", vec![launch]),
        ("boot failed: credential: refused", "gone", vec![launch]),
    ] {
        let story = World {
            runners: vec![ending(words, pool)],
            ..with(
                image(MINUTE_MS, Some("ami-old")),
                failed("ami-new", 1, None),
            )
        };
        assert_eq!(told(&story), planned, "{words}");
    }
}

#[test]
fn once_a_machine_came_up_nothing_that_fails_later_is_the_images_fault() {
    let launch = "launch for 1";
    let back = "put ami-new back to ami-old";
    let failed_twice = |came_up_ms: Option<u64>| BootFailures {
        came_up_ms,
        ..failed("ami-new", 2, None)
    };
    let machine = |ami: &str, state: RunnerState| Runner {
        image: Some(ami.to_owned()),
        // Another pool's: it takes no job of this story, and is its image's all the same.
        pool: "rust".to_owned(),
        ..in_state(runner("i-9", "b"), state, LATER_MS - 1)
    };
    let ended = Runner {
        ending: Some(ending(Some(EndReason::Ended))),
        ..machine("ami-new", RunnerState::Idle)
    };
    for (why, came_up_ms, runners, planned) in [
        ("none did", None, vec![], vec![back, launch]),
        ("one is closed", Some(NOW_MS), vec![], vec![launch]),
        (
            "one is registered",
            None,
            vec![machine("ami-new", RunnerState::Idle)],
            vec![launch],
        ),
        (
            "one has a job",
            None,
            vec![machine("ami-new", RunnerState::Busy)],
            vec![launch],
        ),
        ("one ends", None, vec![ended], vec![launch]),
        (
            "one only boots",
            None,
            vec![machine("ami-new", RunnerState::Booting)],
            vec![back, launch],
        ),
        (
            "the forge has registered none",
            None,
            vec![machine("ami-new", RunnerState::Registering)],
            vec![back, launch],
        ),
        (
            "another image's did",
            None,
            vec![machine("ami-old", RunnerState::Idle)],
            vec![back, launch],
        ),
    ] {
        let story = World {
            runners,
            ..with(image(MINUTE_MS, Some("ami-old")), failed_twice(came_up_ms))
        };
        assert_eq!(told(&story), planned, "{why}");
    }
}

#[test]
fn only_an_image_of_a_month_is_old_and_the_oldest_is_told_of() {
    let story = World {
        now_ms: LATER_MS,
        ..world(vec![], vec![])
    };
    let made = |days: u64| image(days * DAY_MS, None);
    let told = |images: Vec<Image>| {
        let story = World {
            images,
            ..story.clone()
        };
        story.old_image().map(|(_, days)| days)
    };
    assert_eq!(told(vec![]), None);
    assert_eq!(told(vec![made(29)]), None);
    assert_eq!(told(vec![made(30)]), Some(30));
    assert_eq!(told(vec![made(1), made(41), made(30)]), Some(41));
}
