//! Calls owed to the forge: none that hangs or is refused keeps another from being made.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use lab::{FaultInjection, RunError};
use serde_json::json;

use crate::delivery::Job;
use crate::replaced::ONE_JOB;
use crate::world::{World, entries, now_ms};

/// A forge that hangs at everything below `place`, grants all else, and tells what it granted.
async fn hanging_at(place: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let granted = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&granted);
    let router = Router::new().fallback(async move |method: Method, uri: Uri| {
        if uri.path().starts_with(&place) {
            tokio::time::sleep(Duration::from_mins(5)).await;
        }
        told.lock()
            .unwrap()
            .push(format!("{method} {}", uri.path()));
        if method == Method::DELETE {
            (StatusCode::NO_CONTENT, "")
        } else {
            (StatusCode::CREATED, "{}")
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, granted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_at_which_the_forge_hangs_holds_up_no_other() {
    let Some(world) = World::up().await else {
        return;
    };
    for (id, repository) in [(1, "acme/a"), (2, "acme/b")] {
        let job = Job {
            repository: repository.to_owned(),
            ..Job::new(id).on(&["gpu"])
        };
        assert_eq!(world.deliver(&job.queued()).await, "refused");
    }
    let (forge, granted) = hanging_at("/api/v1/repos/acme/a/".to_owned()).await;
    let handler = world.cold(&forge);
    world.drain_by(&handler).await;
    world.drain_by(&handler).await;
    let granted = granted.lock().unwrap().clone();
    let of_other = |call: &String| call.starts_with("POST /api/v1/repos/acme/b/statuses/");
    assert!(granted.iter().any(of_other), "{granted:?}");
    assert_eq!(world.live("status-update").await.len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_at_which_the_forge_hangs_holds_up_no_other() {
    let Some(world) = World::up().await else {
        return;
    };
    world.queue(&[Job::new(1), Job::new(2)]).await;
    world.drain().await;
    let mut machines = world.living().await;
    machines.sort();
    let mut paths = Vec::new();
    for machine in &machines {
        let id = world.runner_of(machine).await.id;
        paths.push(format!("/api/v1/admin/actions/runners/{id}"));
        world.lose_silently(machine).await;
    }
    let (forge, granted) = hanging_at(paths[0].clone()).await;
    let handler = world.cold(&forge);
    world.tick_by(&handler).await;
    world.tick_by(&handler).await;
    let granted = granted.lock().unwrap().clone();
    assert!(
        granted.contains(&format!("DELETE {}", paths[1])),
        "{granted:?}"
    );
    let left = world.live("registration").await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["instance"], machines[0].as_str());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_fails_keeps_no_owed_call_from_being_made() {
    let Some(world) = World::up().await else {
        return;
    };
    let refused = world.push(ONE_JOB).await.remove(0).on(&["gpu"]);
    let cancelled = Job::new(900);
    world.queue(std::slice::from_ref(&cancelled)).await;
    world.drain().await;
    let machine = world.the_instance().await;
    world.take(&cancelled, &machine).await;
    let end = cancelled.ended_on("cancelled", world.runner_of(&machine).await);
    assert_eq!(world.deliver(&end).await, "recorded");
    assert_eq!(world.deliver(&refused.queued()).await, "refused");
    world.bench.faults(&FaultInjection {
        end_error: Some(RunError {
            code: "UnauthorizedOperation".to_owned(),
            message: None,
            count: 100,
        }),
        ..entries()
    });
    let nudge = json!({ "action": "drain" });
    assert!(world.invoke(&world.handler, &nudge).await.is_err());
    assert_eq!(world.statuses(&refused).await[0]["status"], "error");
    assert!(world.live("status-update").await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_the_deployment_down_is_told_what_stays_registered() {
    let Some(world) = World::up().await else {
        return;
    };
    world.queue(&[Job::new(1), Job::new(2)]).await;
    world.drain().await;
    let machines = world.living().await;
    for machine in &machines {
        world.runner_of(machine).await;
    }
    let retire = json!({ "action": "retire" });
    let refusing = refusing().await;
    for days in [0, 8] {
        // Tried for longer than anything is.
        for row in world.live("registration").await {
            let long_ago = now_ms() - days * 24 * 3_600_000;
            let sk = row["sk"].as_str().unwrap();
            world.set_time(sk, "since_ms", long_ago).await;
        }
        let told = world.invoke(&world.cold(&refusing), &retire).await;
        let told = told.unwrap_err().to_string();
        assert!(told.contains("2 stay registered"), "{told}");
        assert!(
            machines.iter().all(|machine| told.contains(machine)),
            "{told}"
        );
        assert_eq!(world.live("registration").await.len(), 2);
    }
    // One at which the forge hangs keeps no other from going.
    let mut left = world.live("registration").await;
    left.sort_by_key(|row| row["instance"].to_string());
    let path = format!("/api/v1/admin/actions/runners/{}", left[0]["forge_id"]);
    let (hanging, _) = hanging_at(path).await;
    let told = world.invoke(&world.cold(&hanging), &retire).await;
    assert!(told.unwrap_err().to_string().contains("1 stay registered"));
    world.invoke(&world.handler, &retire).await.unwrap();
    assert!(world.live("registration").await.is_empty());
    world.end().await;
}

/// A forge that lets the token do nothing.
pub(crate) async fn refusing() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let words = r#"{"message":"token does not have at least one of required scope(s)"}"#;
    let router = Router::new().fallback(async move || (StatusCode::FORBIDDEN, words));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}
