//! The life of a deployment against the lab: made, changed, left alone, broken, repaired, ended.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that can't go on says so"
)]

mod support;

use std::path::Path;
use std::sync::{Arc, Mutex};

use provisioner::differ::Effect;
use provisioner::package::{self, Code};
use provisioner::plan::{Action, Plan, Repair};
use provisioner::progress::{Event, Silent};
use provisioner::secrets::{SecretValue, Secrets};
use provisioner::show::{self, Palette, Presentation};
use provisioner::teardown::Kind;
use provisioner::{AwsEndpoint, Deployment, Environment, Stack};
use stacks::names::SecretName;
use support::Bench;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn target(bench: &Bench) -> AwsEndpoint {
    let lab = bench.lab.file();
    AwsEndpoint {
        region: lab.region.clone(),
        endpoint: Some(lab.aws_endpoint.clone()),
        ec2_endpoint: Some(lab.ec2_endpoint.clone()),
        credentials: Some((lab.access_key_id.clone(), lab.secret_access_key.clone())),
    }
}

fn deployment(bench: &Bench, change: impl Fn(String) -> String) -> Deployment {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/environments/lab.toml");
    let source = change(std::fs::read_to_string(path).unwrap());
    let environment = Environment::parse(&source, Path::new("."))
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    Deployment::new(environment, target(bench)).unwrap()
}

fn presentation() -> Presentation {
    Presentation {
        palette: Palette::PLAIN,
        set_secret: "cargo xtask secret set NAME lab".to_owned(),
    }
}

fn named(bench: &Bench, name: &str) -> Deployment {
    deployment(bench, |source| {
        source.replace("\"lab-ci\"", &format!("\"{name}\""))
    })
}

fn code(content: &str) -> Code {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    package::package(file.path()).unwrap()
}

fn properties(plan: &Plan) -> Vec<String> {
    plan.stacks
        .iter()
        .flat_map(|stack| {
            let settings = stack
                .settings
                .iter()
                .map(|change| format!("{}: {}", stack.stack, change.path));
            let resources = stack.resources.iter().flat_map(|resource| {
                resource
                    .properties
                    .iter()
                    .map(|change| format!("{} {}", resource.id, change.path))
            });
            settings.chain(resources).collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test]
async fn a_deployment_is_made_changed_left_alone_and_ended() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let first = named(&bench, "story-ci");
    let code = code("binary");

    let plan = provisioner::diff(&first, &code, &Silent).await.unwrap();
    println!("{}", show::plan(&plan, &presentation()));
    assert!(
        plan.stacks
            .iter()
            .all(|stack| stack.action == Action::Create)
    );
    assert!(plan.make_webhook_secret);
    assert_eq!(
        plan.missing_secrets
            .iter()
            .map(|missing| missing.name)
            .collect::<Vec<_>>(),
        ["forge-token", "registration-token"]
    );

    let events = Mutex::new(Vec::new());
    let note = |event: Event| events.lock().unwrap().push(event);
    let outcome = provisioner::up(&first, &plan, &code, &note).await.unwrap();
    assert!(outcome.api_endpoint().is_some());
    println!(
        "{}",
        show::hand_over(&first.environment, &outcome, None, &presentation())
    );
    let seen = events.into_inner().unwrap();
    assert!(seen.iter().any(|event| matches!(event, Event::Resource { id, status, .. } if id == "Function" && status == "CREATE_COMPLETE")), "{seen:?}");

    let again = provisioner::diff(&first, &code, &Silent).await.unwrap();
    assert!(
        again.is_empty(),
        "{}\n{again:?}",
        show::plan(&again, &presentation())
    );

    // Secrets that are given are written once.
    let value = SecretValue::new(SecretName::ForgeToken, "0123456789abcdef").unwrap();
    let given = first
        .clone()
        .with_secrets(Secrets::from([(SecretName::ForgeToken, value)]));
    let plan = provisioner::diff(&given, &code, &Silent).await.unwrap();
    assert_eq!(plan.write_secrets, ["forge-token"]);
    provisioner::up(&given, &plan, &code, &Silent)
        .await
        .unwrap();
    assert!(
        provisioner::diff(&given, &code, &Silent)
            .await
            .unwrap()
            .is_empty()
    );

    // What was edited is named, and nothing else.
    let edited = deployment(&bench, |source| {
        source
            .replace("\"lab-ci\"", "\"story-ci\"")
            .replacen("types = [\"t3.small\"]", "types = [\"t3.medium\"]", 1)
            .replace("memory_mb = 256", "memory_mb = 512")
    });
    let plan = provisioner::diff(&edited, &code, &Silent).await.unwrap();
    println!("{}", show::plan(&plan, &presentation()));
    assert_eq!(
        properties(&plan),
        [
            "PoolBaseDocument Value.instance_types[0]",
            "Function MemorySize"
        ]
    );
    assert!(plan.stacks[0].is_empty());
    provisioner::up(&edited, &plan, &code, &Silent)
        .await
        .unwrap();
    assert!(
        provisioner::diff(&edited, &code, &Silent)
            .await
            .unwrap()
            .is_empty()
    );

    // Other code is another key.
    let other = self::code("other binary");
    let plan = provisioner::diff(&edited, &other, &Silent).await.unwrap();
    println!("{}", show::plan(&plan, &presentation()));
    assert_eq!(properties(&plan), ["dispatch: parameter.CodeKey"]);
    assert_eq!(plan.upload_code, Some(other.key()));

    let found = provisioner::survey(&edited).await.unwrap();
    println!("{}", show::survey(&found, Palette::PLAIN));
    assert_eq!(found.of(Kind::Stack).count(), 3);
    let left = provisioner::down(&edited, &found, &Silent).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    let nothing = provisioner::survey(&edited).await.unwrap();
    assert!(nothing.is_empty());
    assert!(show::survey(&nothing, Palette::PLAIN).starts_with("There is nothing"));
    bench.down().await;
}

/// Everything that is sent to ministack from here on, through an address of its own.
async fn wiretap(bench: &Bench) -> (String, Arc<Mutex<Vec<u8>>>) {
    let upstream = target(bench).endpoint.unwrap();
    let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let sent = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&upstream).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let heard = Arc::clone(&heard);
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            tokio::spawn(async move {
                let mut piece = vec![0; 64 * 1024];
                while let Ok(bytes @ 1..) = from_client.read(&mut piece).await {
                    heard.lock().unwrap().extend_from_slice(&piece[..bytes]);
                    to_server.write_all(&piece[..bytes]).await.unwrap();
                }
            });
        }
    });
    (address, sent)
}

#[tokio::test]
async fn a_second_up_makes_no_call_that_changes_anything() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let first = named(&bench, "quiet-ci");
    let code = code("binary");
    let plan = provisioner::diff(&first, &code, &Silent).await.unwrap();
    provisioner::up(&first, &plan, &code, &Silent)
        .await
        .unwrap();

    let (address, sent) = wiretap(&bench).await;
    let mut tapped = first.clone();
    tapped.aws.endpoint = Some(address);
    let plan = provisioner::diff(&tapped, &code, &Silent).await.unwrap();
    provisioner::up(&tapped, &plan, &code, &Silent)
        .await
        .unwrap();
    let calls = String::from_utf8_lossy(&sent.lock().unwrap()).to_lowercase();
    for read in [
        "action=describestacks",
        "action=gettemplate",
        "amazonssm.describeparameters",
        "head /",
    ] {
        assert!(calls.contains(read), "the tap heard no {read}");
    }
    for word in [
        "create",
        "update",
        "put",
        "delete",
        "execute",
        "continue",
        "terminate",
        "run",
    ] {
        for call in [
            format!("action={word}"),
            format!("amazonssm.{word}"),
            format!("{word} /"),
        ] {
            assert!(!calls.contains(&call), "{call}");
        }
    }
    let found = provisioner::survey(&first).await.unwrap();
    assert!(
        provisioner::down(&first, &found, &Silent)
            .await
            .unwrap()
            .is_empty()
    );
    bench.down().await;
}

#[tokio::test]
async fn a_pool_that_is_taken_out_leaves_its_stack() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let first = named(&bench, "pools-ci");
    let code = code("binary");
    let plan = provisioner::diff(&first, &code, &Silent).await.unwrap();
    provisioner::up(&first, &plan, &code, &Silent)
        .await
        .unwrap();
    let fewer = deployment(&bench, |source| {
        let source = source.replace("\"lab-ci\"", "\"pools-ci\"");
        source.split("[pool.team]").next().unwrap().to_owned()
    });
    let plan = provisioner::diff(&fewer, &code, &Silent).await.unwrap();
    println!("{}", show::plan(&plan, &presentation()));
    let runner = plan
        .stacks
        .iter()
        .find(|stack| stack.stack == Stack::Runner)
        .unwrap();
    let effects: Vec<(&str, Effect)> = runner
        .resources
        .iter()
        .map(|one| (one.id.as_str(), one.effect))
        .collect();
    assert_eq!(
        effects,
        [
            ("PoolTeamDocument", Effect::Delete),
            ("PoolTeamTemplate", Effect::Delete)
        ]
    );
    provisioner::up(&fewer, &plan, &code, &Silent)
        .await
        .unwrap();
    let found = provisioner::survey(&fewer).await.unwrap();
    assert!(
        provisioner::down(&fewer, &found, &Silent)
            .await
            .unwrap()
            .is_empty()
    );
    bench.down().await;
}

#[tokio::test]
async fn down_ends_what_is_half_made() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let whole = named(&bench, "half-ci");
    let code = code("binary");
    let mut plan = provisioner::diff(&whole, &code, &Silent).await.unwrap();
    // Somebody pressed Ctrl-C after the first stack.
    plan.stacks.truncate(1);
    provisioner::up(&whole, &plan, &code, &Silent)
        .await
        .unwrap();
    let rest = provisioner::diff(&whole, &code, &Silent).await.unwrap();
    let actions: Vec<&Action> = rest.stacks.iter().map(|stack| &stack.action).collect();
    assert_eq!(
        actions,
        [&Action::Unchanged, &Action::Create, &Action::Create]
    );
    let found = provisioner::survey(&whole).await.unwrap();
    assert!(
        provisioner::down(&whole, &found, &Silent)
            .await
            .unwrap()
            .is_empty()
    );
    bench.down().await;
}

#[tokio::test]
async fn an_up_that_failed_says_why_and_the_next_one_repairs_it() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let deployment = named(&bench, "failed-ci");
    let code = code("binary");
    let mut wrong = deployment.clone();
    let body = &mut wrong.rendered.templates[2].body;
    *body = body.replace(
        "\"FunctionName\":{\"Ref\":\"Function\"}",
        "\"FunctionName\":\"nobody\"",
    );
    let plan = provisioner::diff(&wrong, &code, &Silent).await.unwrap();
    let error = provisioner::up(&wrong, &plan, &code, &Silent)
        .await
        .unwrap_err();
    println!("{error}");
    assert!(
        error.to_string().contains("failed-ci-dispatch") && error.to_string().contains("nobody"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("cargo xtask up"));

    let plan = provisioner::diff(&deployment, &code, &Silent)
        .await
        .unwrap();
    println!("{}", show::plan(&plan, &presentation()));
    assert_eq!(plan.stacks[2].repair, Some(Repair::DeleteFailedCreate));
    provisioner::up(&deployment, &plan, &code, &Silent)
        .await
        .unwrap();
    assert!(
        provisioner::diff(&deployment, &code, &Silent)
            .await
            .unwrap()
            .is_empty()
    );
    let found = provisioner::survey(&deployment).await.unwrap();
    assert!(
        provisioner::down(&deployment, &found, &Silent)
            .await
            .unwrap()
            .is_empty()
    );
    bench.down().await;
}

#[tokio::test]
async fn another_account_is_refused_before_anything_happens() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let deployment = deployment(&bench, |source| {
        source.replace("\"111111111111\"", "\"222222222222\"")
    });
    let error = provisioner::diff(&deployment, &code("binary"), &Silent)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("222222222222"), "{error}");
    bench.down().await;
}
