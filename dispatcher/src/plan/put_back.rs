//! A new image whose machines do not come up gives way to the one before it. What it is that goes wrong, nobody
//! knows: after it was done once it is for people to decide, and nothing is put back a second time.
//!
//! Once one machine came up, nothing is put back: an image is the same bytes for every machine, so what fails on
//! the next one is something else. Once one is closed, others count while they still end: a job whose second machine
//! says that it gives up gets its third before EC2 has ended that one.

use stacks::images::BOOT_FAILURES_MAX;

use super::Action;
use crate::model::image::BootFailures;
use crate::model::runner::Boot;
use crate::model::world::World;

/// The step for each image of which that is to be done now.
pub(super) fn put_back(world: &World) -> impl Iterator<Item = Action> {
    let new = world.images.iter();
    let new = new.filter(|image| image.is_new(world.now_ms));
    new.filter_map(|image| {
        let mut failures = world.boot_failures.iter();
        let closed = failures.find(|one| one.ami == image.ami)?;
        let of_image = || {
            let runners = world.runners.iter();
            runners.filter(|one| one.image.as_ref() == Some(&image.ami))
        };
        // A pool that was taken out refuses its machines, whatever they started from.
        let failing = of_image().filter(|one| one.boot() == Boot::Failed);
        let failing = failing.filter(|one| world.pool(&one.pool).is_some());
        let failing = u32::try_from(failing.count()).unwrap_or(u32::MAX);
        let count = closed.count.saturating_add(failing);
        let came_up =
            closed.came_up_ms.is_some() || of_image().any(|one| one.boot() == Boot::CameUp);
        let is_due = count >= BOOT_FAILURES_MAX && !came_up && closed.settled_ms.is_none();
        is_due.then(|| Action::PutBack {
            image: image.clone(),
            failures: BootFailures {
                count,
                ..closed.clone()
            },
        })
    })
}
