//! What Lambda starts: environment in, events through [`Handler`], logs out. It is not in the binary,
//! because there every future that it waits for would be compiled a second time.

use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use stacks::names::{ENV_FORGE_ENDPOINT, ENV_LOG, ENV_NAME, Names};
use tokio::time::Instant;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::aws::{Aws, AwsEndpoint, variable};
use crate::clock::now_ms;
use crate::handler::Handler;

/// Time left for the answer after the work must be done, in seconds.
const ANSWER_RESERVE_S: u64 = 2;

/// Serves events until Lambda ends the process.
#[tokio::main(flavor = "current_thread")]
pub async fn serve() -> Result<(), Error> {
    log_to_stdout();
    let names = Names::of(&variable(ENV_NAME)?);
    let aws = Aws::new(names, AwsEndpoint::from_env()?);
    let handler = Handler::new(aws, std::env::var(ENV_FORGE_ENDPOINT).ok());
    let handler = &handler;
    run(service_fn(move |event: LambdaEvent<Value>| async move {
        let deadline = deadline(event.context.deadline);
        let request = &event.context.request_id;
        // Boxed: inside the runtime's own futures it is nested too deep for the compiler.
        Box::pin(handler.handle(&event.payload, request, deadline))
            .await
            .inspect_err(|error| tracing::error!(%error, "invocation failed"))
            .map_err(Error::from)
    }))
    .await
}

/// One JSON object a line. `Targets` reads what `EnvFilter` reads as far as anybody sets it, without
/// an engine for regular expressions.
fn log_to_stdout() {
    let filter = std::env::var(ENV_LOG).ok();
    let filter = filter.and_then(|filter| filter.parse::<Targets>().ok());
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_target(false);
    tracing_subscriber::registry()
        .with(lines)
        .with(filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO)))
        .init();
}

/// Lambda's deadline, given in milliseconds since 1970, on the clock that does not jump.
fn deadline(deadline_ms: u64) -> Instant {
    let left = Duration::from_millis(deadline_ms.saturating_sub(now_ms()));
    Instant::now() + left.saturating_sub(Duration::from_secs(ANSWER_RESERVE_S))
}
