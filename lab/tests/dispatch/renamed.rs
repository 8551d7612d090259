//! Repositories that are renamed while their jobs wait: the forge tells of the same jobs under another name, and
//! sends on who asks by the old one.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use serde_json::Value;

use crate::delivery::Job;
use crate::replaced::ONE_JOB;
use crate::world::{World, document};

const OLD: &str = "acme/app";
const NEW: &str = "acme/web";

/// The forge at `upstream` as it is after `acme/app` was renamed. Nothing else about it changes.
async fn renamed(upstream: &str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let upstream = upstream.to_owned();
    let router =
        Router::new().fallback(async move |request: Request| pass(&upstream, request).await);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn pass(upstream: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.to_string();
    if path.starts_with(&format!("/api/v1/repos/{OLD}")) {
        let moved = Response::builder().status(301);
        let moved = moved.header("location", path.replacen(OLD, NEW, 1));
        return moved.body(Body::empty()).unwrap();
    }
    let headers: Vec<(String, String)> = ["authorization", "content-type"]
        .into_iter()
        .filter_map(|name| {
            let value = parts.headers.get(name)?.to_str().ok()?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect();
    let url = format!("{upstream}{}", path.replacen(NEW, OLD, 1));
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let sent = lab::http::send(parts.method, &url, &headers, body).await;
    let (status, body) = sent.unwrap();
    let told = String::from_utf8_lossy(&body).replace(OLD, NEW);
    let answer = Response::builder().status(status.as_u16());
    answer.body(Body::from(told)).unwrap()
}

/// The same job under the name that its repository has now.
fn of_new(job: &Job) -> Job {
    Job {
        repository: NEW.to_owned(),
        ..job.clone()
    }
}

/// A world with a job of a repository that is renamed when its machine boots, and the forge of then.
async fn renamed_while_it_waits() -> Option<(World, Job, String)> {
    let world = World::up().await?;
    let jobs = world.push(ONE_JOB).await;
    world.queue(&jobs).await;
    world.drain().await;
    let forge = renamed(&world.bench.lab.file().forge).await;
    Some((world, jobs[0].clone(), forge))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_forge_lists_under_its_new_name_keeps_its_one_machine() {
    let Some((world, job, forge)) = renamed_while_it_waits().await else {
        return;
    };
    let machine = world.the_instance().await;
    let handler = world.cold(&forge);
    world.tick_by(&handler).await;
    world.tick_by(&handler).await;
    assert_eq!(world.the_instance().await, machine);
    assert_eq!(world.live("job").await.len(), 1);
    assert_eq!(world.standing(&of_new(&job)).await.0, "launching");
    let (status, reason) = world.standing(&job).await;
    assert_eq!(status, "failed");
    assert!(reason.contains("renamed"), "{reason}");

    // A machine that goes is replaced, whatever the job is called.
    world.lose_silently(&machine).await;
    world.tick_by(&handler).await;
    assert_ne!(world.the_instance().await, machine);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_start_is_told_under_its_new_name_leaves_the_list() {
    let Some((world, job, forge)) = renamed_while_it_waits().await else {
        return;
    };
    let machine = world.the_instance().await;
    let reply = world.ask(&machine).await;
    let task = world.fetch_task(&document(&reply).unwrap()).await;
    assert!(task.is_object());
    let handler = world.cold(&forge);
    let started = of_new(&job).started(world.runner_of(&machine).await);
    assert_eq!(world.deliver_to(&handler, &started).await, "recorded");
    world.tick_by(&handler).await;
    assert_eq!(world.the_instance().await, machine);
    assert_eq!(world.live("job").await, Vec::<Value>::new());
    assert_eq!(world.standing(&of_new(&job)).await.0, "running");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_job_is_marked_on_its_commit_where_that_is_now() {
    let Some(world) = World::up().await else {
        return;
    };
    let job = world.push(ONE_JOB).await.remove(0).on(&["gpu"]);
    assert_eq!(world.deliver(&job.queued()).await, "refused");
    let forge = renamed(&world.bench.lab.file().forge).await;
    world.drain_by(&world.cold(&forge)).await;
    assert_eq!(world.statuses(&job).await[0]["status"], "error");
    assert!(world.live("status-update").await.is_empty());
    world.end().await;
}
