//! A forge's delivery: verified, read, recorded, answered. Nothing inside handles an unverified byte,
//! and nothing here launches: a small forge sends its deliveries one after the other and never twice,
//! so a slow answer holds up every hook that it has.

pub mod answer;
pub mod delivery;
pub mod job_event;
pub mod origin;
pub mod record;
mod trigger_event;
mod verify;
pub(crate) mod wake;

use self::answer::{broken, not_taken};
use self::delivery::{BadDelivery, Delivery};
use self::record::Recorder;
use self::wake::Wake;
use crate::aws::Aws;
use crate::config::cache::{ConfigCache, KEEP, RECHECK};
use crate::http_response::HttpResponse;
use crate::invocation::HttpRequest;
use crate::ledger::Ledger;

/// Answers one delivery: 2xx only after what it asks for is durable.
pub(crate) async fn serve(
    aws: &Aws,
    ledger: &Ledger,
    parameters: &ConfigCache,
    wake: &Wake,
    request: &HttpRequest,
) -> HttpResponse {
    let mut config = match parameters.get(aws, KEEP).await {
        Ok(config) => config,
        Err(error) => return broken(&error),
    };
    let mut verified = Delivery::verify(request, config.webhook.as_ref());
    if verified == Err(BadDelivery::BadSignature)
        && let Ok(newer) = parameters.get(aws, RECHECK).await
    {
        verified = Delivery::verify(request, newer.webhook.as_ref());
        config = newer;
    }
    let delivery = match verified {
        Ok(delivery) => delivery,
        Err(error) => {
            tracing::warn!(%error, "delivery refused");
            return not_taken(&error);
        }
    };
    let recorder = Recorder {
        aws,
        ledger,
        config: &config,
        wake,
    };
    match recorder.record(&delivery).await {
        Ok(answer) => answer,
        Err(error) => broken(&error),
    }
}
