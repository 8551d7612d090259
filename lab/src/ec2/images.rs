//! Images and snapshots as the lab's EC2 knows them: those that AWS and Canonical publish, and those made of
//! stopped instances. What an image has over its parent's is the folder of the instance that it was made of,
//! which nobody writes to any more and which is there until the lab ends.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::ec2::api_error::ApiError;
use crate::ec2::catalog;
use crate::ec2::image::{Image, Tags};
use crate::ec2::injection::FaultInjection;
use crate::ec2::instance::{Instance, InstanceState};
use crate::ids::hex_id;

/// EC2's limits on the length of an image's name.
const NAME_CHARS: std::ops::RangeInclusive<usize> = 3..=128;
/// What a name may hold beside letters and digits.
const NAME_SIGNS: &str = "()[] ./-'@_";

/// An image of this account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnImage {
    pub(crate) image: Image,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) tags: Tags,
    pub(crate) snapshot: String,
    pub(crate) created: Timestamp,
    visible: Timestamp,
    available: Timestamp,
    /// Whether it never becomes available.
    fails: bool,
}

impl OwnImage {
    /// EC2's name for its state.
    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        match (now < self.available, self.fails) {
            (true, _) => "pending",
            (false, true) => "failed",
            (false, false) => "available",
        }
    }
}

/// A copy of a volume, which an image rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) id: String,
    pub(crate) tags: Tags,
    pub(crate) size_gb: u32,
    pub(crate) created: Timestamp,
    visible: Timestamp,
}

/// What `CreateImage` asks for.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) instance: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) image_tags: Tags,
    pub(crate) snapshot_tags: Tags,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Images {
    own: BTreeMap<String, OwnImage>,
    snapshots: BTreeMap<String, Snapshot>,
}

fn unknown(id: &str) -> ApiError {
    let words = format!("The image id '[{id}]' does not exist");
    ApiError::client("InvalidAMIID.NotFound", words)
}

impl Images {
    /// Those of this account that are shown by now, in the order of their ids.
    pub(crate) fn own(&self, now: Timestamp) -> impl Iterator<Item = &OwnImage> {
        self.own.values().filter(move |one| one.visible <= now)
    }

    /// This account's image called `id`, once it is shown.
    pub(crate) fn own_image(&self, id: &str, now: Timestamp) -> Result<&OwnImage, ApiError> {
        let found = self.own.get(id).filter(|one| one.visible <= now);
        found.ok_or_else(|| unknown(id))
    }

    /// The snapshots that are shown by now.
    pub(crate) fn snapshots(&self, now: Timestamp) -> impl Iterator<Item = &Snapshot> {
        let all = self.snapshots.values();
        all.filter(move |one| one.visible <= now)
    }

    /// The image called `id`, to launch an instance of it.
    pub(crate) fn to_launch(&self, id: &str, now: Timestamp) -> Result<Image, ApiError> {
        if let Some(stock) = Image::stock(id) {
            return Ok(stock);
        }
        let own = self.own_image(id, now)?;
        match own.state(now) {
            "available" => Ok(own.image.clone()),
            state => Err(ApiError::client(
                "InvalidAMIID.Unavailable",
                format!("The image ID '{id}' is not available: it is {state}"),
            )),
        }
    }

    /// Makes the image that `order` asks for of `instance`, whose disk is in `disk`.
    pub(crate) fn create(
        &mut self,
        order: Order,
        instance: &Instance,
        disk: PathBuf,
        faults: &mut FaultInjection,
        now: Timestamp,
    ) -> Result<String, ApiError> {
        self.check(&order, instance)?;
        let visible = now + faults.visible_after();
        let id = format!("ami-{}", hex_id());
        let snapshot = format!("snap-{}", hex_id());
        let parent = &instance.blueprint.image;
        let mut layers = vec![disk];
        layers.extend(parent.layers.iter().cloned());
        let size_gb = instance.blueprint.root_volume_gb;
        let image = Image {
            id: id.clone(),
            layers,
            size_gb,
            ..parent.clone()
        };
        self.snapshots.insert(
            snapshot.clone(),
            Snapshot {
                id: snapshot.clone(),
                tags: order.snapshot_tags,
                size_gb,
                created: now,
                visible,
            },
        );
        let own = OwnImage {
            image,
            name: order.name,
            description: order.description,
            tags: order.image_tags,
            snapshot,
            created: now,
            visible,
            available: now + faults.image_pending(),
            fails: faults.fails_image(),
        };
        self.own.insert(id.clone(), own);
        Ok(id)
    }

    fn check(&self, order: &Order, instance: &Instance) -> Result<(), ApiError> {
        let id = &instance.id;
        match instance.state {
            InstanceState::Stopped => {}
            // EC2 restarts a running one, or copies its disk as it is: neither is what anybody of ours wants.
            InstanceState::Running | InstanceState::Stopping => {
                let words = format!("The lab makes images of stopped instances only, not of {id}.");
                return Err(ApiError::client("UnsupportedOperation", words));
            }
            InstanceState::Pending | InstanceState::ShuttingDown | InstanceState::Terminated => {
                let state = instance.state.name();
                let words =
                    format!("Instance {id} is not in state 'running' or 'stopped': {state}");
                return Err(ApiError::client("IncorrectState", words));
            }
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || NAME_SIGNS.contains(c);
        if !NAME_CHARS.contains(&order.name.len()) || !order.name.chars().all(fits) {
            let words = format!("AMI names must be 3 to 128 letters, digits and {NAME_SIGNS}");
            return Err(ApiError::client("InvalidAMIName.Malformed", words));
        }
        match self.own.values().find(|own| own.name == order.name) {
            None => Ok(()),
            Some(own) => Err(ApiError::client(
                "InvalidAMIName.Duplicate",
                format!(
                    "AMI name {} is already in use by AMI {}",
                    own.name, own.image.id
                ),
            )),
        }
    }

    /// Takes the image away, and its snapshot with it if that is wanted: the snapshots that went.
    pub(crate) fn deregister(
        &mut self,
        id: &str,
        with_snapshots: bool,
        now: Timestamp,
    ) -> Result<Vec<String>, ApiError> {
        if catalog::image(id).is_some() {
            let words = format!("Not authorized for image:{id}");
            return Err(ApiError::client("AuthFailure", words));
        }
        let snapshot = self.own_image(id, now)?.snapshot.clone();
        self.own.remove(id);
        if !with_snapshots {
            return Ok(Vec::new());
        }
        self.snapshots.remove(&snapshot);
        Ok(vec![snapshot])
    }

    pub(crate) fn delete_snapshot(&mut self, id: &str) -> Result<(), ApiError> {
        if let Some(image) = self.own.values().find(|own| own.snapshot == id) {
            let words = format!(
                "The snapshot {id} is currently in use by {}",
                image.image.id
            );
            return Err(ApiError::client("InvalidSnapshot.InUse", words));
        }
        match self.snapshots.remove(id) {
            Some(_) => Ok(()),
            None => Err(ApiError::client(
                "InvalidSnapshot.NotFound",
                format!("The snapshot '{id}' does not exist."),
            )),
        }
    }

    /// The tags of these images and snapshots, and of the snapshots that these images rest on.
    pub(crate) fn tags_of(&self, ids: &[String]) -> BTreeMap<&str, &Tags> {
        let images = self.own.values().filter(|one| ids.contains(&one.image.id));
        let resting = images.clone().map(|one| &one.snapshot);
        let snapshots = ids.iter().chain(resting);
        let snapshots = snapshots.filter_map(|id| self.snapshots.get(id));
        let images = images.map(|one| (one.image.id.as_str(), &one.tags));
        images
            .chain(snapshots.map(|one| (one.id.as_str(), &one.tags)))
            .collect()
    }

    /// Adds `tags` to an image or a snapshot of this account.
    pub(crate) fn tag(&mut self, id: &str, tags: &Tags, now: Timestamp) -> Result<(), ApiError> {
        let image = self.own.get_mut(id).filter(|own| own.visible <= now);
        let known = match image {
            Some(image) => Some(&mut image.tags),
            None => self.snapshots.get_mut(id).map(|one| &mut one.tags),
        };
        let known = known.ok_or_else(|| {
            ApiError::client("InvalidID", format!("The ID '{id}' is not valid here"))
        })?;
        known.extend(tags.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::ec2::instance::Blueprint;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn instance(state: InstanceState) -> Instance {
        Instance {
            id: "i-1".to_owned(),
            token: String::new(),
            blueprint: Blueprint::example("a"),
            state,
            reason: None,
            launched: at(0),
            visible: at(0),
            running: None,
            halted: None,
            ended: None,
        }
    }

    fn order(name: &str) -> Order {
        Order {
            instance: "i-1".to_owned(),
            name: name.to_owned(),
            description: String::new(),
            image_tags: Tags::new(),
            snapshot_tags: Tags::new(),
        }
    }

    fn create(images: &mut Images, name: &str, from: InstanceState) -> Result<String, String> {
        let mut faults = FaultInjection::default();
        let made = images.create(
            order(name),
            &instance(from),
            "/d".into(),
            &mut faults,
            at(0),
        );
        made.map_err(|error| error.code)
    }

    #[test]
    fn an_image_is_shown_after_a_while_and_launched_from_later_still() {
        let mut images = Images::default();
        let id = create(&mut images, "first", InstanceState::Stopped).unwrap();
        let code = |images: &Images, now| {
            let launched = images.to_launch(&id, now);
            launched
                .map(|image| image.layers)
                .map_err(|error| error.code)
        };
        assert_eq!(
            code(&images, at(0)),
            Err("InvalidAMIID.NotFound".to_owned())
        );
        let shown = at(0) + SignedDuration::from_millis(500);
        let unavailable = "InvalidAMIID.Unavailable".to_owned();
        assert_eq!(code(&images, shown), Err(unavailable));
        assert_eq!(code(&images, at(5)), Ok(vec![PathBuf::from("/d")]));
        assert_eq!(images.deregister(&id, true, at(5)).unwrap().len(), 1);
        assert_eq!(
            code(&images, at(6)),
            Err("InvalidAMIID.NotFound".to_owned())
        );
        assert_eq!(images.snapshots(at(6)).count(), 0);
    }

    #[test]
    fn images_come_of_stopped_instances_alone_and_each_has_its_own_name() {
        let mut images = Images::default();
        for (state, code) in [
            (InstanceState::Pending, "IncorrectState"),
            (InstanceState::Running, "UnsupportedOperation"),
            (InstanceState::Terminated, "IncorrectState"),
        ] {
            assert_eq!(create(&mut images, "name", state), Err(code.to_owned()));
        }
        create(&mut images, "name", InstanceState::Stopped).unwrap();
        for (name, code) in [
            ("name", "InvalidAMIName.Duplicate"),
            ("no", "InvalidAMIName.Malformed"),
            ("a:b", "InvalidAMIName.Malformed"),
        ] {
            let made = create(&mut images, name, InstanceState::Stopped);
            assert_eq!(made, Err(code.to_owned()));
        }
    }

    #[test]
    fn a_snapshot_outlives_its_image_and_no_image_its_snapshot() {
        let mut images = Images::default();
        let id = create(&mut images, "first", InstanceState::Stopped).unwrap();
        let snapshot = images.own_image(&id, at(5)).unwrap().snapshot.clone();
        let used = images.delete_snapshot(&snapshot).unwrap_err();
        assert_eq!(used.code, "InvalidSnapshot.InUse");
        images.deregister(&id, false, at(5)).unwrap();
        assert_eq!(images.snapshots(at(5)).count(), 1);
        images.delete_snapshot(&snapshot).unwrap();
        assert!(images.deregister(catalog::IMAGE, true, at(5)).is_err());
    }
}
