//! EC2's events on the emulator's bus. `PutEvents` takes no event of an `aws.` source, so the lab
//! does the bus's work: it asks the emulator which deployed rules match and invokes their targets.

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::Error;
use crate::emulator::Emulator;
use crate::folder::REGION;
use crate::ids::uuid;

/// Events that wait for delivery: five for each of a hundred instances. More are dropped, as EC2
/// promises no delivery either.
const QUEUE_MAX: usize = 500;

/// One event of EC2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) instance: String,
    pub(crate) kind: Kind,
}

/// What it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The instance is in this state now.
    InstanceState(&'static str),
    /// It will be taken back in two minutes.
    Interruption,
}

/// Where events go.
#[derive(Clone)]
pub(crate) struct Events(mpsc::Sender<Event>);

impl Events {
    /// Starts the delivery, which ends with the last sender.
    pub(crate) fn start(emulator: Emulator) -> Self {
        let (sender, mut queue) = mpsc::channel::<Event>(QUEUE_MAX);
        tokio::spawn(async move {
            while let Some(event) = queue.recv().await {
                if let Err(error) = deliver(&emulator, &event).await {
                    tracing::warn!(instance = event.instance, %error, "event not delivered");
                }
            }
        });
        Self(sender)
    }

    pub(crate) fn send(&self, event: Event) {
        if let Err(error) = self.0.try_send(event) {
            tracing::warn!(%error, "event dropped");
        }
    }
}

async fn deliver(emulator: &Emulator, event: &Event) -> Result<(), Error> {
    let document = document(event, emulator.account(), Timestamp::now());
    let rules = emulator.events("ListRules", &json!({})).await?;
    for rule in rules["Rules"].as_array().into_iter().flatten() {
        let Some(pattern) = rule["EventPattern"].as_str() else {
            continue;
        };
        if rule["State"] != "ENABLED" {
            continue;
        }
        let question = json!({ "EventPattern": pattern, "Event": document.to_string() });
        let matches = emulator.events("TestEventPattern", &question).await?;
        if matches["Result"] != true {
            continue;
        }
        let rule = json!({ "Rule": rule["Name"] });
        let targets = emulator.events("ListTargetsByRule", &rule).await?;
        for target in targets["Targets"].as_array().into_iter().flatten() {
            let arn = target["Arn"].as_str().unwrap_or_default();
            if let Some(function) = function_of(arn) {
                emulator.invoke_event(function, &document).await?;
            } else {
                tracing::warn!(arn, "the lab delivers events to functions only");
            }
        }
    }
    Ok(())
}

/// The function of `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`.
fn function_of(arn: &str) -> Option<&str> {
    arn.split_once(":function:")?.1.split(':').next()
}

fn document(event: &Event, account: &str, now: Timestamp) -> Value {
    let instance = &event.instance;
    let (kind, detail) = match event.kind {
        Kind::InstanceState(state) => (
            "EC2 Instance State-change Notification",
            json!({ "instance-id": instance, "state": state }),
        ),
        Kind::Interruption => (
            "EC2 Spot Instance Interruption Warning",
            json!({ "instance-id": instance, "instance-action": "terminate" }),
        ),
    };
    json!({
        "version": "0",
        "id": uuid(),
        "detail-type": kind,
        "source": "aws.ec2",
        "account": account,
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": REGION,
        "resources": [format!("arn:aws:ec2:{REGION}:{account}:instance/{instance}")],
        "detail": detail,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_functions() {
        let arn = "arn:aws:lambda:eu-west-1:111111111111:function:lab-ci-dispatch";
        assert_eq!(function_of(arn), Some("lab-ci-dispatch"));
        assert_eq!(function_of("arn:aws:sqs:eu-west-1:1:queue"), None);
    }
}
