//! Which image machines start from is said once: a build, a person who goes back and an `up` do not undo each other.

use std::sync::Mutex;

use aws_sdk_ec2::types::Tag;
use aws_sdk_ssm::types::ParameterType;
use provisioner::images::{self, Came, Role};
use provisioner::progress::{Event, Progress, Silent};
use serde_json::json;
use stacks::names::Names;

use super::images::{build, build_telling, manifest, with_image, with_pools_image};
use super::support::{self, Bench, forge};
use super::{code, diff, down, up};

/// Images that are not this deployment's: the lab's own, and Ubuntu's, whose root volume is called otherwise.
const FOREIGN: &str = "ami-0c1ab00000000c1ab";
const UBUNTU: &str = "ami-0c2404a1b2c3d4e5f";

fn ssm(bench: &Bench) -> aws_sdk_ssm::Client {
    let file = bench.lab.file();
    aws_sdk_ssm::Client::new(&support::sdk_config(file, &file.aws_endpoint))
}

async fn value(bench: &Bench, path: &str) -> String {
    let asked = ssm(bench).get_parameter().name(path).send().await.unwrap();
    asked.parameter.unwrap().value.unwrap()
}

/// Has the parameter name an image, as a person does.
async fn name(bench: &Bench, path: &str, ami: &str) {
    let ssm = ssm(bench);
    let put = ssm.put_parameter().name(path).value(ami).overwrite(true);
    let put = put.r#type(ParameterType::String).data_type("aws:ec2:image");
    put.send().await.unwrap();
}

/// Has the record beside it call an image current.
async fn record(bench: &Bench, path: &str, ami: &str) {
    let ssm = ssm(bench);
    let put = ssm.put_parameter().name(format!("{path}/record"));
    let record = json!({ "current": { "ami": ami, "made_s": 0 } }).to_string();
    let put = put.value(record).overwrite(true);
    put.r#type(ParameterType::String).send().await.unwrap();
}

/// The steps that are told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn report(&self, event: Event) {
        if let Event::Step(step) = event {
            println!("· {step}");
            self.0.lock().unwrap().push(step);
        }
    }
}

impl Told {
    fn has(&self, words: &str) -> bool {
        self.0.lock().unwrap().iter().any(|it| it.contains(words))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_gone_back_from_is_not_put_forward_by_building_it_again() {
    const NAME: &str = "aside-ci";
    let Some(bench) = Bench::sharing(forge()).await else {
        return;
    };
    let deployment = with_image(&bench, NAME);
    up(&deployment, &code("binary")).await;
    let parameter = |image: &str| Names::of(NAME).image(image, "x86_64");
    let first = build(&deployment, &manifest("one", ":")).await.unwrap();
    let [base, one] = [0, 1].map(|it| first[it].built.clone());
    let second = build(&deployment, &manifest("two", ":")).await.unwrap();
    let two = second[1].built.clone();

    let moved = images::rollback(&deployment, "go", None, &Silent).await;
    assert_eq!(moved.unwrap()[0].to.id, one.id);
    let again = build(&deployment, &manifest("two", ":")).await.unwrap();
    let named = one.id.clone();
    assert_eq!(again[1].came, Came::SetAside { named });
    let words = again[1].words();
    let promotes = format!("`cargo xtask ami promote go {}`", two.id);
    assert!(
        words.contains(&one.id) && words.contains(&promotes),
        "{words}"
    );
    assert_eq!(value(&bench, &parameter("go")).await, one.id);
    images::promote(&deployment, "go", &two.id, &Silent)
        .await
        .unwrap();
    let again = build(&deployment, &manifest("two", ":")).await.unwrap();
    assert_eq!(again[1].came, Came::Unchanged);

    // Its child stands on what the manifest says, and that somebody went back from that is said.
    name(&bench, &parameter("base"), FOREIGN).await;
    let told = Told::default();
    let third = build_telling(&deployment, &manifest("three", ":"), &told).await;
    let third = third.unwrap();
    let named = FOREIGN.to_owned();
    assert_eq!(third[0].came, Came::SetAside { named });
    assert_eq!(third[1].built.parent, base.id);
    let words = format!(
        "starts from {} ({}), as the manifest says, though machines start from {FOREIGN}",
        base.name, base.id
    );
    assert!(told.has(&words));

    // One of another distribution takes nobody's place, and what to do is said.
    let tag = Tag::builder().key(format!("{NAME}:stock")).value("ubuntu");
    let tagged = bench
        .ec2
        .create_tags()
        .resources(&one.id)
        .resources(&two.id);
    tagged.tags(tag.build()).send().await.unwrap();
    let refused = images::promote(&deployment, "go", &one.id, &Silent).await;
    let refused = refused.unwrap_err().to_string();
    for words in [
        "is built on ubuntu",
        "`stock = \"ubuntu\"`",
        "cargo xtask up",
    ] {
        assert!(refused.contains(words), "{refused}");
    }
    let refused = images::rollback(&deployment, "go", None, &Silent).await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("no image before the current one"),
        "{refused}"
    );
    let listed = images::list(&deployment, &Silent).await.unwrap();
    assert!(listed.iter().all(|it| it.role != Role::Previous));
    assert_eq!(value(&bench, &parameter("go")).await, third[1].built.id);

    // Pools that say the same distribution can have it; until then `up` says what they start from.
    let ubuntu = with_pools_image(&bench, NAME, "{ name = \"go\", stock = \"ubuntu\" }");
    let plan = diff(&ubuntu, &code("binary")).await;
    assert!(plan.place_images.is_empty(), "{plan:?}");
    let says = "is built on al2023, and its pools say ubuntu";
    assert!(plan.notices.iter().any(|it| it.contains(says)), "{plan:?}");
    let moved = images::promote(&ubuntu, "go", &two.id, &Silent).await;
    assert_eq!(moved.unwrap().from, Some(third[1].built.id.clone()));
    // The one before it is of its own distribution.
    let moved = images::rollback(&ubuntu, "go", None, &Silent).await;
    assert_eq!(moved.unwrap()[0].to.id, one.id);
    down(&deployment).await;
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_up_that_was_planned_before_an_image_was_put_forward_leaves_it() {
    const NAME: &str = "planned-ci";
    let Some(bench) = Bench::sharing(forge()).await else {
        return;
    };
    let deployment = with_image(&bench, NAME);
    let code = code("binary");
    up(&deployment, &code).await;
    let parameter = Names::of(NAME).image("go", "x86_64");
    let apply = async |plan| {
        let told = Told::default();
        let done = provisioner::up(&deployment, plan, &code, &told).await;
        done.unwrap();
        assert!(told.has("was written meanwhile, and stays"));
        value(&bench, &parameter).await
    };

    // The record is written first: who puts an image forward is about to write the parameter.
    name(&bench, &parameter, FOREIGN).await;
    let planned = diff(&deployment, &code).await;
    let placed = &planned.place_images[0];
    assert_eq!(placed.instead_of.as_deref(), Some(FOREIGN));
    record(&bench, &parameter, UBUNTU).await;
    assert_eq!(apply(&planned).await, FOREIGN);
    // What the record calls current is nobody's to replace, whatever EC2 shows of it.
    name(&bench, &parameter, UBUNTU).await;
    let plan = diff(&deployment, &code).await;
    assert!(plan.place_images.is_empty(), "{plan:?}");
    assert!(
        plan.notices
            .iter()
            .any(|it| it.contains("EC2 does not show"))
    );
    // Nobody's: it follows the stock image.
    name(&bench, &parameter, FOREIGN).await;
    up(&deployment, &code).await;

    name(&bench, &parameter, UBUNTU).await;
    record(&bench, &parameter, FOREIGN).await;
    let planned = diff(&deployment, &code).await;
    assert_eq!(planned.place_images.len(), 1, "{planned:?}");
    let told = Told::default();
    let built = build_telling(&deployment, &manifest("one", ":"), &told).await;
    let one = built.unwrap()[1].built.id.clone();
    assert!(told.has("its root volume is /dev/xvda, and launch templates name /dev/sda1"));
    assert_eq!(apply(&planned).await, one);

    // One that was not there is made, and nothing is overwritten.
    let ssm = ssm(&bench);
    ssm.delete_parameter()
        .name(&parameter)
        .send()
        .await
        .unwrap();
    let planned = diff(&deployment, &code).await;
    assert_eq!(planned.place_images[0].instead_of, None);
    images::promote(&deployment, "go", &one, &Silent)
        .await
        .unwrap();
    assert_eq!(apply(&planned).await, one);
    down(&deployment).await;
    bench.down().await;
}
