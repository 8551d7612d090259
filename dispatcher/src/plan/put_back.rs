//! A new image whose machines do not come up gives way to the one before it. What it is that goes wrong, nobody
//! knows: after it was done once it is for people to decide, and nothing is put back a second time.

use stacks::images::BOOT_FAILURES_MAX;

use super::Action;
use crate::model::world::World;

/// The step for each image of which that is to be done now.
pub(super) fn put_back(world: &World) -> impl Iterator<Item = Action> {
    let new = world.images.iter();
    let new = new.filter(|image| image.is_new(world.now_ms));
    new.filter_map(|image| {
        let mut failures = world.boot_failures.iter();
        let failures = failures.find(|one| one.ami == image.ami)?;
        let is_due = failures.count >= BOOT_FAILURES_MAX && failures.settled_ms.is_none();
        is_due.then(|| Action::PutBack {
            image: image.clone(),
            failures: failures.clone(),
        })
    })
}
