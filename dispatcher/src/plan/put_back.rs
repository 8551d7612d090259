//! A new image whose machines do not come up gives way to the one before it. What it is that goes wrong, nobody
//! knows: after it was done once it is for people to decide, and nothing is put back a second time.
//!
//! Once one machine came up, nothing is put back: an image is the same bytes for every machine, so what fails on
//! the next one is something else.

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
        let failures = failures.find(|one| one.ami == image.ami)?;
        let is_due = failures.count >= BOOT_FAILURES_MAX && failures.settled_ms.is_none();
        (is_due && !came_up(world, failures)).then(|| Action::PutBack {
            image: image.clone(),
            failures: failures.clone(),
        })
    })
}

/// Whether a machine of that image came up, closed by now or not.
fn came_up(world: &World, of: &BootFailures) -> bool {
    let mut runners = world.runners.iter();
    of.came_up_ms.is_some()
        || runners.any(|one| one.image.as_ref() == Some(&of.ami) && one.boot() == Boot::CameUp)
}
