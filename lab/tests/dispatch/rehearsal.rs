//! The function tries its own calls, and nothing comes of it.

use lab::{FaultInjection, RunError};
use serde_json::json;
use stacks::rehearsal::{Rehearsal, Verdict};

use crate::world::World;

impl World {
    async fn rehearse(&self) -> Rehearsal {
        let payload = json!({"action": "rehearse"});
        let answer = self.invoke(&self.handler, &payload).await.unwrap();
        serde_json::from_value(answer).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_tried_without_effect_in_every_market_of_every_pool() {
    let Some(world) = World::up().await else {
        return;
    };
    let before = world.rows().await;
    let rehearsal = world.rehearse().await;
    let launches = |word: &str| {
        let calls = rehearsal.calls.iter();
        calls.filter(|call| call.what.contains(word)).count()
    };
    assert!(launches("pool base, Spot") == 1 && launches("pool base, On-Demand") <= 1);
    for call in &rehearsal.calls {
        let meant = match call.action.as_str() {
            // Here the handler runs without its function.
            "ec2:TerminateInstances" | "lambda:InvokeFunction" => Verdict::Unknown,
            _ => Verdict::Allowed,
        };
        assert_eq!(call.verdict, meant, "{call:?}");
    }
    assert_eq!(world.rows().await, before);
    assert_eq!(world.instances().await.len(), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_and_what_ec2_does_not_have_are_told_apart() {
    let Some(world) = World::up().await else {
        return;
    };
    for (code, meant) in [
        ("UnauthorizedOperation", Verdict::Denied),
        ("InvalidAMIID.NotFound", Verdict::Unknown),
    ] {
        let run_error = RunError {
            code: code.to_owned(),
            message: None,
            count: 1,
        };
        world.bench.faults(&FaultInjection {
            run_error: Some(run_error),
            ..FaultInjection::default()
        });
        let rehearsal = world.rehearse().await;
        let told = rehearsal
            .calls
            .iter()
            .find(|call| call.words.contains(code));
        let told = told.expect("EC2's code is handed on");
        assert_eq!(
            (told.action.as_str(), told.verdict),
            ("ec2:RunInstances", meant)
        );
    }
    world.end().await;
}
