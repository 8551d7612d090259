//! The life of an image: built, tried, put forward, run on by the next job, put back, cleared away.

use std::path::Path;
use std::time::Duration;

use provisioner::ami::{Manifest, Sources};
use provisioner::environment::Arch;
use provisioner::images::{self, Asked, Came, Made, Outcome, Patience, Role};
use provisioner::package::{self, Code};
use provisioner::progress::{Event, Progress, Silent};
use provisioner::secrets::{SecretValue, Secrets};
use provisioner::teardown::Kind;
use provisioner::{Deployment, Error};
use serde_json::{Value, json};
use stacks::names::{Names, SecretName};
use tokio::time::Instant;

use super::support::{Bench, ask, push};
use super::{deployment, diff, down, up};

/// The lab's own image, whatever it is called: what AWS's parameter names.
const STOCK: &str = "ami-0c2023a1b2c3d4e5f";
/// A lab's EC2 does in a second what takes the real one a minute.
pub(super) const PATIENCE: Patience = Patience {
    look: Duration::from_millis(300),
    posted: Duration::from_secs(3),
};
/// Most that a job may take here, with the boot of its machine.
const JOB_LIMIT: Duration = Duration::from_secs(90);

/// Two images of one step each. The mark is what is in them, by which they are told apart.
pub(super) fn manifest(mark: &str, provision: &str) -> Manifest {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = Sources::read(&root).unwrap();
    // The lab's machines are all of this host's distribution, and its packages are not the lab's to clean.
    let distribution = "clean_packages() { :; }\n";
    // What boot asks of Amazon Linux. All that it would install is in the lab's image.
    let base = "provision() {\nprintf '#!/bin/sh\\n' >/usr/local/bin/dnf\nchmod 0755 /usr/local/bin/dnf\n}\n\
                check() {\n[ -x /usr/local/bin/dnf ] || fail 'no dnf'\n}\n";
    let step = format!(
        "provision() {{\nprintf '%s' {mark} >/etc/ci-mark\n{provision}\n}}\n\
         check() {{\n[ \"$(cat /etc/ci-mark)\" = {mark} ] || fail 'no mark'\n\
         [ ! -e /etc/ci-once ] || [ -e /tmp/once ] || fail 'good on its builder only'\n}}\n"
    );
    for (name, text) in [
        ("distribution", distribution),
        ("base", base),
        ("mark", &step),
    ] {
        sources.steps.insert(name.to_owned(), text.to_owned());
    }
    let text = "[images.base]\nparent = \"stock\"\narchitectures = [\"x86_64\"]\nsteps = [\"base\"]\n\
                root_volume_gb = 8\n\
                [images.go]\nparent = \"base\"\narchitectures = [\"x86_64\"]\nsteps = [\"mark\"]\n\
                root_volume_gb = 8\n";
    Manifest::parse(text, sources).unwrap()
}

/// A deployment whose pool `go` names the image `go`.
pub(super) fn with_image(bench: &Bench, name: &str) -> Deployment {
    with_pools_image(bench, name, "{ name = \"go\" }")
}

/// The same, whatever image its pool says.
pub(super) fn with_pools_image(bench: &Bench, name: &str, image: &str) -> Deployment {
    deployment(bench, |source| {
        let source = source.replace("\"lab-ci\"", &format!("\"{name}\""));
        // A lab that shares its emulator has another.
        let source = source.replace("account_id = \"111111111111\"\n", "");
        let (before, pool) = source.split_once("[pool.go]").unwrap();
        let pool = pool.replacen("{ ami = \"ami-0c1ab00000000c1ab\" }", image, 1);
        let pool = pool.split("# Serves the repositories").next().unwrap();
        format!("{before}[pool.go]{pool}")
    })
}

pub(super) async fn build(
    deployment: &Deployment,
    manifest: &Manifest,
) -> Result<Vec<Outcome>, Error> {
    let told = |event: Event| {
        if let Event::Step(step) = event {
            println!("· {step}");
        }
    };
    build_telling(deployment, manifest, &told).await
}

pub(super) async fn build_telling(
    deployment: &Deployment,
    manifest: &Manifest,
    told: &dyn Progress,
) -> Result<Vec<Outcome>, Error> {
    let asked = Asked {
        manifest,
        image: Some("go"),
        arch: None,
        instance_type: None,
        patience: PATIENCE,
    };
    images::build(deployment, &asked, &Made::default(), told).await
}

/// The forge, asked as its administrator.
async fn forge(bench: &Bench, method: &str, path: &str, body: &Value) -> Value {
    let file = bench.lab.file();
    let url = format!("{}/api/v1/{path}", file.forge);
    let token = ("authorization", format!("token {}", file.forge_token));
    let (status, answer) = ask(method, &url, &[token], body).await;
    assert!(status < 300, "{method} {path}: {status} {answer}");
    answer
}

/// Pushes a job for the pool `go` that wants this mark on its machine, and gives the image that it ran on, on the
/// only machine that was launched for it.
async fn job_finds(bench: &Bench, mark: &str, pushes: u64) -> String {
    let mut images = images_of_job(bench, mark, pushes).await;
    assert_eq!(images.len(), 1, "one job, one machine");
    images.remove(0)
}

/// Pushes such a job, and gives the images of the machines that were launched until it was over, in that order.
pub(super) async fn images_of_job(bench: &Bench, mark: &str, pushes: u64) -> Vec<String> {
    let before = bench.lab.status().await.unwrap().instances.len();
    let workflow = format!(
        "on: push\njobs:\n  look:\n    runs-on: go\n    steps:\n\
         \x20     - run: test \"$(cat /etc/ci-mark)\" = {mark} # {pushes}\n"
    );
    let file = bench.lab.file();
    let address = file.forge.strip_prefix("http://").unwrap();
    let url = format!(
        "http://labadmin:{}@{address}/acme/app.git",
        file.forge_token
    );
    let work = bench.path().join("work");
    assert!(push(&work, ".gitea/workflows/ci.yml", &workflow, &url).await);
    let deadline = Instant::now() + JOB_LIMIT;
    loop {
        let answer = forge(bench, "GET", "repos/acme/app/actions/jobs", &Value::Null).await;
        let jobs = answer["jobs"].as_array().unwrap();
        let newest = jobs.iter().max_by_key(|job| job["id"].as_u64());
        let all = bench.lab.status().await.unwrap().instances;
        if let Some(job) = newest.filter(|_| jobs.len() as u64 == pushes)
            && job["status"] == "completed"
        {
            assert_eq!(job["conclusion"], "success", "{job}");
            let its = &all[before..];
            for one in its {
                bench.wait_for(&one.id, "terminated").await;
            }
            return its.iter().map(|one| one.image.clone()).collect();
        }
        let consoles = all[before..].iter().map(|one| bench.console(&one.id));
        assert!(
            Instant::now() < deadline,
            "{answer}\n{}",
            consoles.collect::<Vec<_>>().join("\n")
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Every machine that made or tried an image is gone.
pub(super) async fn no_machine_is_left(bench: &Bench) {
    for one in bench.lab.status().await.unwrap().instances {
        if one.state != "terminated" {
            bench.wait_for(&one.id, "terminated").await;
        }
    }
}

/// A repository whose hook leads to the function.
pub(super) async fn make_repository(bench: &Bench) {
    let file = bench.lab.file();
    forge(bench, "POST", "orgs", &json!({ "username": "acme" })).await;
    forge(bench, "POST", "orgs/acme/repos", &json!({ "name": "app" })).await;
    let hook = json!({
        "type": "gitea", "active": true, "events": ["push", "workflow_job"],
        "config": {
            "url": format!("{}/dispatch", file.front_door),
            "content_type": "json", "secret": file.webhook_secret,
        },
    });
    forge(bench, "POST", "orgs/acme/hooks", &hook).await;
}

/// Those of the lab's forge.
pub(super) fn secrets(bench: &Bench) -> Secrets {
    let file = bench.lab.file();
    let secrets = [
        (SecretName::Webhook, &file.webhook_secret),
        (SecretName::ForgeToken, &file.forge_token),
        (SecretName::RegistrationToken, &file.registration_token),
    ];
    let secrets = secrets.map(|(name, value)| (name, SecretValue::new(name, value).unwrap()));
    Secrets::from(secrets)
}

/// The dispatcher as the lab's functions run it.
pub(super) async fn function() -> Code {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    package::build(&root, package::Profile::Lab).await.unwrap()
}

#[tokio::test]
async fn the_next_job_runs_on_the_image_that_was_built_and_after_a_rollback_on_the_one_before() {
    const NAME: &str = "image-ci";
    let Some(bench) = Bench::up().await else {
        return;
    };
    let deployment = with_image(&bench, NAME).with_secrets(secrets(&bench));
    let code = function().await;

    // Never built: it starts from the stock image, and `up` says so.
    let plan = up(&deployment, &code).await;
    let placed = &plan.place_images[0];
    let parameter = Names::of(NAME).image("go", "x86_64");
    assert_eq!(
        (placed.parameter.as_str(), placed.ami.as_str()),
        (parameter.as_str(), STOCK)
    );
    assert!(
        plan.notices
            .iter()
            .any(|it| it.contains("image go was never built"))
    );

    // Built with its parent, and tried, each on a machine of its own that ends.
    let first = build(&deployment, &manifest("one", ":")).await.unwrap();
    let names: Vec<&str> = first.iter().map(|one| one.built.name.as_str()).collect();
    assert_eq!(names, ["image-ci-runner-base-v1", "image-ci-runner-go-v1"]);
    assert_eq!(first[0].built.parent, STOCK);
    assert_eq!(first[1].built.parent, first[0].built.id);
    no_machine_is_left(&bench).await;
    let one = first[1].built.id.clone();

    // What is deployed has not changed, and the next job runs on it.
    let plan = diff(&deployment, &code).await;
    assert!(
        plan.is_empty() && plan.notices.iter().all(|it| !it.contains("never built")),
        "{plan:?}"
    );
    make_repository(&bench).await;
    assert_eq!(job_finds(&bench, "one", 1).await, one);

    // The same is not built twice.
    let runs = bench.lab.calls().await.unwrap().attempts("RunInstances");
    let again = build(&deployment, &manifest("one", ":")).await.unwrap();
    assert!(again.iter().all(|one| one.came == Came::Unchanged));
    assert_eq!(
        bench.lab.calls().await.unwrap().attempts("RunInstances"),
        runs
    );

    // Another content is another image, on the same parent.
    let second = build(&deployment, &manifest("two", ":")).await.unwrap();
    assert!(second[0].was_there() && second[1].came == Came::Built);
    let two = second[1].built.id.clone();
    assert_eq!(job_finds(&bench, "two", 2).await, two);

    // One write puts the one before back, without an `up`.
    let moved = images::rollback(&deployment, "go", Some(Arch::X86_64), &Silent)
        .await
        .unwrap();
    assert_eq!(
        (moved[0].from.as_deref(), moved[0].to.id.as_str()),
        (Some(&*two), &*one)
    );
    assert_eq!(job_finds(&bench, "one", 3).await, one);
    assert!(diff(&deployment, &code).await.is_empty());
    let nothing_before = images::rollback(&deployment, "go", None, &Silent)
        .await
        .unwrap_err();
    assert!(
        nothing_before.to_string().contains("no image before"),
        "{nothing_before}"
    );

    // Two are kept; what machines start from can't be retired, even by its id.
    let refused = images::retire(&deployment, Some(&one), &Silent)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("machines start from it"),
        "{refused}"
    );
    images::promote(&deployment, "go", &two, &Silent)
        .await
        .unwrap();
    let third = build(&deployment, &manifest("three", ":")).await.unwrap();
    let retired = images::retire(&deployment, None, &Silent).await.unwrap();
    let gone: Vec<&str> = retired.gone.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(gone, [&one]);
    let listed = images::list(&deployment, &Silent).await.unwrap();
    let roles = listed.iter().filter(|it| it.built.image == "go");
    let roles: Vec<(&str, Role)> = roles.map(|it| (it.built.id.as_str(), it.role)).collect();
    let three = third[1].built.id.as_str();
    assert_eq!(roles, [(three, Role::Current), (&*two, Role::Previous)]);
    let unknown = images::promote(&deployment, "go", STOCK, &Silent)
        .await
        .unwrap_err();
    assert!(unknown.to_string().contains("ami list"), "{unknown}");

    // `down` ends images and snapshots too.
    let found = provisioner::survey(&deployment).await.unwrap();
    assert_eq!(
        (
            found.of(Kind::Image).count(),
            found.of(Kind::Snapshot).count()
        ),
        (3, 3)
    );
    down(&deployment).await;
    bench.down().await;
}
