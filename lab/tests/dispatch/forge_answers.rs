//! A forge that answers badly: what stands before it, what it has become, or nothing at all. Nothing
//! counts as done, registered or gone unless the forge itself says so, and nothing waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dispatcher::forge::{Forge, ForgeConfig, ForgeError, Known};
use dispatcher::model::job::JobKey;
use dispatcher::model::secret::Secret;
use dispatcher::model::world::ForgeJobState;
use serde_json::Value;
use stacks::pool::{ForgeKind, Scope};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::delivery::{Job, from_runner};
use crate::hostile_forge::{WAYS, Way, whole};
use crate::support::{forge_config, pool};
use crate::world::{ROLE, World};

const API_TOKEN: &str = "api-token-0123456789abcdef0123456789";
const REGISTRATION_TOKEN: &str = "registration-token-0123456789abcdef";
/// Longest time for one question: the forge's limit for a call, twice where a question takes two,
/// and a busy machine.
const PATIENCE: Duration = Duration::from_secs(22);

/// A server that answers every request in its way, for as long as the test runs.
struct Hostile {
    address: String,
    /// Requests that followed a redirect.
    followed: Arc<AtomicUsize>,
}

impl Hostile {
    async fn up(way: Way) -> Self {
        let followed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&followed);
        let elsewhere = serve(move |_stream| {
            count.fetch_add(1, Ordering::Relaxed);
            async {}
        })
        .await;
        let address = serve(move |stream| {
            let elsewhere = elsewhere.clone();
            // It ends when the caller has had enough.
            async move { drop(answer(stream, way, &elsewhere).await) }
        })
        .await;
        Self { address, followed }
    }

    fn client(&self) -> Forge {
        Forge::new(ForgeConfig {
            token: Secret::new(API_TOKEN.to_owned()),
            registration_token: Secret::new(REGISTRATION_TOKEN.to_owned()),
            ..forge_config(ForgeKind::Gitea, &self.address)
        })
        .unwrap()
    }
}

async fn serve<F: Future<Output = ()> + Send + 'static>(
    each: impl Fn(TcpStream) -> F + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(each(stream));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, way: Way, elsewhere: &str) -> std::io::Result<()> {
    let request = read_request(&mut stream).await?;
    stream.write_all(&way.bytes(&request, elsewhere)).await?;
    if let Some((more, pause)) = way.forever() {
        loop {
            stream.write_all(&more).await?;
            tokio::time::sleep(pause).await;
        }
    }
    stream.shutdown().await
}

/// Head and body of one request.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                (name.eq_ignore_ascii_case("content-length")).then(|| value.parse().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Ok(text);
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await? {
            0 => return Ok(text),
            length => read.extend_from_slice(&buffer[..length]),
        }
    }
}

/// What a machine's question came to: which way, and the answer.
async fn ask_all(world: &World, machines: &[String]) -> Vec<(Way, String, Value, Duration)> {
    let mut asked = JoinSet::new();
    for (way, machine) in WAYS.into_iter().zip(machines.to_vec()) {
        let hostile = Hostile::up(way).await;
        let handler = world.cold(&hostile.address);
        let request = from_runner(ROLE, &machine, br#"{"ask":"credential"}"#);
        let id = world.request_id();
        asked.spawn(async move {
            let started = Instant::now();
            let deadline = tokio::time::Instant::now() + PATIENCE;
            let answer = handler.handle(&request, &id, deadline).await.unwrap();
            assert_eq!(hostile.followed.load(Ordering::Relaxed), 0, "{way:?}");
            (way, machine, answer, started.elapsed())
        });
    }
    asked.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_told_to_ask_again_and_gets_its_credential_when_the_forge_is_back() {
    let Some(world) = World::up().await else {
        return;
    };
    let ids = 1..=u64::try_from(WAYS.len()).unwrap();
    let jobs: Vec<Job> = ids.map(Job::new).collect();
    world.queue(&jobs).await;
    world.drain().await;
    let machines = world.living().await;
    assert_eq!(machines.len(), WAYS.len());

    for (way, machine, answer, took) in ask_all(&world, &machines).await {
        assert_eq!(answer["statusCode"], 502, "{way:?}: {answer}");
        assert_eq!(
            answer["body"], "the forge registered nothing: ask again\n",
            "{way:?}"
        );
        assert!(took < PATIENCE, "{way:?}: {took:?}");
        let row = world.runner(&machine).await;
        assert_eq!(row["runner_state"], "booting", "{way:?}: {row}");
        assert!(row["forge_id"].is_null(), "{way:?}: {row}");
    }
    for machine in &machines {
        let reply = world.ask(machine).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    assert_eq!(world.registered("admin").await.len(), machines.len());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_the_forge_did_not_say_itself_counts_as_registered_deleted_or_gone() {
    let mut asked = JoinSet::new();
    for way in WAYS {
        asked.spawn(async move {
            let hostile = Hostile::up(way).await;
            let forge = hostile.client();
            let job = JobKey {
                repository: "acme/app".to_owned(),
                id: 7,
                attempt: 0,
            };
            let started = Instant::now();
            let (registered, deleted, verdict) = tokio::join!(
                register_everywhere(&forge),
                forge.delete_runner(&Scope::Global, 7),
                forge.job_state(&job),
            );
            let took = started.elapsed();
            assert!(took < PATIENCE, "{way:?}: {took:?}");
            assert_eq!(verdict, ForgeJobState::Unknown, "{way:?}");
            let deleted = deleted.expect_err("deleted");
            for error in registered.into_iter().chain([deleted]) {
                check_words(way, &error);
            }
            assert_eq!(hostile.followed.load(Ordering::Relaxed), 0, "{way:?}");
        });
    }
    assert_eq!(asked.join_all().await.len(), WAYS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_the_forge_did_not_say_itself_counts_as_its_jobs_files_or_checks() {
    const URL: &str = "http://forge.lab:3000";
    let version = serve(async |mut stream| {
        let body = r#"{"version":"1.26.0"}"#;
        let _request = read_request(&mut stream).await;
        let answer = whole("200 OK", "application/json", body);
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let known = Arc::<Known>::default();
    let client = move |endpoint: &str| {
        let config = ForgeConfig {
            labels: vec!["base".to_owned()],
            endpoint: Some(endpoint.to_owned()),
            token: Secret::new(API_TOKEN.to_owned()),
            ..forge_config(ForgeKind::Gitea, URL)
        };
        Forge::new(config).unwrap().with_known(Arc::clone(&known))
    };
    assert!(client(&version).server().await.is_ok());
    let mut asked = JoinSet::new();
    for way in WAYS {
        let hostile = Hostile::up(way).await;
        let forge = client(&hostile.address);
        asked.spawn(async move {
            let started = Instant::now();
            for error in ask_everything(&forge).await {
                check_words(way, &error);
            }
            let took = started.elapsed();
            assert!(took < PATIENCE, "{way:?}: {took:?}");
            assert_eq!(hostile.followed.load(Ordering::Relaxed), 0, "{way:?}");
        });
    }
    assert_eq!(asked.join_all().await.len(), WAYS.len());
}

/// What each question came to, of a forge whose version is known.
async fn ask_everything(forge: &Forge) -> Vec<ForgeError> {
    let (old, new) = ("1".repeat(40), "2".repeat(40));
    let zero = "0".repeat(40);
    let dirs = [".gitea/workflows".to_owned()];
    let (jobs, files, branch, changed, first, commit, states, variables) = tokio::join!(
        forge.unfinished(&Scope::Global),
        forge.workflow_files("acme/app", &new, &dirs),
        forge.workflow_files("acme/app", "main", &dirs),
        forge.changed_files("acme/app", &old, &new),
        forge.changed_files("acme/app", &zero, &new),
        forge.commit("acme/app", &new),
        forge.commit_states("acme/app", &new),
        forge.variables("acme/app"),
    );
    vec![
        jobs.expect_err("jobs"),
        files.expect_err("files"),
        branch.expect_err("a branch"),
        changed.expect_err("changes"),
        first.expect_err("changes of a commit"),
        commit.expect_err("a commit"),
        states.expect_err("checks"),
        variables.expect_err("variables"),
    ]
}

/// By the token that was configured, and by one that has to be asked for.
async fn register_everywhere(forge: &Forge) -> Vec<ForgeError> {
    let global = pool("base", &["base"], "lt-1");
    let mut scoped = global.clone();
    scoped.scope = Scope::Organization("acme".to_owned());
    let (global, scoped) = tokio::join!(
        forge.register(&global, "i-1"),
        forge.register(&scoped, "i-1")
    );
    vec![
        global.expect_err("registered"),
        scoped.expect_err("registered"),
    ]
}

/// The error says what happened and keeps secrets.
fn check_words(way: Way, error: &ForgeError) {
    let text = error.to_string();
    for secret in [API_TOKEN, REGISTRATION_TOKEN] {
        assert!(!text.contains(secret), "{way:?}: {text}");
    }
    assert!(text.len() < 500, "{way:?}: {text}");
    let expected = match way {
        Way::Page
        | Way::PageNotFound
        | Way::GatewayNotFound
        | Way::Maintenance
        | Way::Empty
        | Way::Truncated
        | Way::Endless
        | Way::WrongTypes
        | Way::AnotherName
        | Way::NoToken
        | Way::Gzip => "is not a forge's",
        Way::Echo => "the forge refused",
        Way::Redirect(_) => "correct the url below [forge]",
        Way::Silence | Way::EndlessHeaders | Way::Noise => "does not answer",
        Way::Hang | Way::Drip => "no answer within 8 s",
    };
    assert!(text.contains(expected), "{way:?}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_keeps_waiting_while_something_else_answers_404_in_the_forges_place() {
    let Some(world) = World::up().await else {
        return;
    };
    let job = Job::new(1);
    world.queue(std::slice::from_ref(&job)).await;
    world.drain().await;
    for way in [Way::PageNotFound, Way::GatewayNotFound, Way::Maintenance] {
        for machine in world.living().await {
            world.lose_silently(&machine).await;
        }
        let hostile = Hostile::up(way).await;
        let handler = world.cold(&hostile.address);
        world.tick_by(&handler).await;
        assert_eq!(world.live("job").await.len(), 1, "{way:?}");
        assert_eq!(world.standing(&job).await.0, "launching", "{way:?}");
    }
    // The one machine more that a silent forge is worth, and then the job waits.
    assert_eq!(world.instances().await.len(), 2);

    // Now the forge itself says that there is no such job.
    world.drain().await;
    assert!(world.live("job").await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_waits_two_seconds_at_most_for_a_forge_that_hangs() {
    let Some(world) = World::up().await else {
        return;
    };
    let job = Job::new(1);
    world.deliver(&job.ended("cancelled", None)).await;
    let hostile = Hostile::up(Way::Hang).await;
    let handler = world.cold(&hostile.address);
    let started = Instant::now();
    assert_eq!(world.deliver_to(&handler, &job.queued()).await, "recorded");
    // The forge itself gives up after five seconds.
    assert!(started.elapsed() < Duration::from_secs(5));
    world.end().await;
}
