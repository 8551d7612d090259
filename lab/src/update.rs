//! An update of the forge while everything else of the lab goes on: `POST /_lab/forge` with the
//! program as a JSON string.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use tokio::sync::{mpsc, oneshot};

use crate::forge_program::ForgeProgram;

/// What somebody asks for, and where the answer goes.
pub(crate) struct Update {
    /// What is to run from now on.
    pub(crate) program: ForgeProgram,
    /// Nothing, or why it is not so.
    pub(crate) done: oneshot::Sender<Result<(), String>>,
}

/// The route, and what comes from it.
pub(crate) fn route() -> (Router, mpsc::Receiver<Update>) {
    // One after the other: who asks meanwhile waits.
    let (sender, receiver) = mpsc::channel(1);
    let router = Router::new().route("/_lab/forge", post(update));
    (router.with_state(sender), receiver)
}

async fn update(
    State(updates): State<mpsc::Sender<Update>>,
    Json(program): Json<ForgeProgram>,
) -> (StatusCode, String) {
    let (done, answer) = oneshot::channel();
    let gone = || (StatusCode::SERVICE_UNAVAILABLE, "the lab ends".to_owned());
    if updates.send(Update { program, done }).await.is_err() {
        return gone();
    }
    match answer.await {
        Ok(Ok(())) => (StatusCode::NO_CONTENT, String::new()),
        Ok(Err(why)) => (StatusCode::CONFLICT, why),
        Err(_) => gone(),
    }
}
