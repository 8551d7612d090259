//! The most deliveries that the lab sustains: a closed loop of senders, each with an environment of
//! the function to itself, in this process.

use std::sync::Arc;
use std::time::Duration;

use crate::burst::shape;
use crate::delivery::{Job, delivery};
use crate::measure::closed_loop;
use crate::world::World;

/// Senders that are tried, to find the number that gets most through.
const SENDERS: [usize; 4] = [1, 2, 4, 8];

pub(crate) async fn run(time: Duration) {
    let Some(world) = World::of(shape()).await else {
        return;
    };
    let world = Arc::new(world);
    println!("\nDeliveries in a closed loop, the function called in this process");
    let sender = || {
        let handler = Arc::new(world.cold(&world.bench.lab.file().forge));
        let world = Arc::clone(&world);
        move |id| {
            let (world, handler) = (Arc::clone(&world), Arc::clone(&handler));
            async move {
                let payload = delivery(&Job::new(id).queued());
                let answer = world.invoke(&handler, &payload).await.unwrap();
                assert_eq!(answer["statusCode"], 202, "{answer}");
            }
        }
    };
    let sent = closed_loop(&SENDERS, time, sender).await;
    let listed = world.live("job").await.len() as u64;
    println!("sent {sent}, on the list {listed}");
    assert_eq!(listed, sent, "a job was lost");
    Arc::into_inner(world).unwrap().bench.down().await;
}
