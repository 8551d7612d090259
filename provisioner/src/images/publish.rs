//! Which image machines start from is what a parameter says: launch templates name the parameter, so that what
//! it says now holds for the next machine, and going back is one write. A second parameter beside it records which
//! one was before: the deployed function goes by it when machines of a new image do not come up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Serialize;
use stacks::images::{ImageRecord, Made};
use stacks::names::Names;

use super::built::BuiltImage;
use super::built::{self, Current, ImageKind, Listed, Records};
use super::kept::{self, KeptBecause};
use super::keys::{self, Keys};
use crate::deployment::Deployment;
use crate::environment::{Arch, Environment, Image};
use crate::error::Error;
use crate::named_images::PlacedImage;
use crate::progress::Progress;
use crate::shell::{Shell, moment};

/// How long AWS may take to believe an image, in seconds: it looks at it after it has said yes.
const TAKEN_LIMIT_S: u64 = 60;
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// The deployment's images and what they are in it.
pub async fn list(deployment: &Deployment, progress: &dyn Progress) -> Result<Vec<Listed>, Error> {
    let shell = Shell::open(deployment, progress).await?;
    let names = deployment.environment.names();
    let all = shell.built_images(&names).await?;
    let current = current(&shell, &names, &all).await?;
    let records = records(&shell, &names, &all).await?;
    Ok(built::listed(&all, &current, &records, keys::now_s()))
}

/// Has machines start from `id`, an image of `image` that was built here: what they started from before.
pub async fn promote(
    deployment: &Deployment,
    image: &str,
    id: &str,
    progress: &dyn Progress,
) -> Result<Moved, Error> {
    let shell = Shell::open(deployment, progress).await?;
    let names = deployment.environment.names();
    let all = shell.built_images(&names).await?;
    let refused = |because: &str| Error::Build {
        image: image.to_owned(),
        phase: "promotion",
        because: format!("{id} {because}; `cargo xtask ami list` shows those that can be"),
    };
    let found = all.iter().find(|one| one.id == id && one.image == image);
    let found = found.ok_or_else(|| refused("is no image of it that this deployment has built"))?;
    if !found.tested {
        return Err(refused("was never tried"));
    }
    if !found.available {
        return Err(refused("is not available"));
    }
    let value = shell.parameter(&names.image(image, &found.arch)).await?;
    let current = all.iter().find(|one| Some(&one.id) == value.as_ref());
    let stock = deployment.environment.stock().word();
    if !built::fits(found, current, stock) {
        let other = &found.stock;
        return Err(refused(&format!(
            "is built on {other}, and the launch templates of its pools are made for {stock}, whose root volume \
             has another name: give the pools `stock = \"{other}\"`, promote it, and run `cargo xtask up`"
        )));
    }
    put_forward(&shell, &names, &all, found).await
}

/// Has machines start from the image before the current one, for every architecture that has one.
pub async fn rollback(
    deployment: &Deployment,
    image: &str,
    arch: Option<Arch>,
    progress: &dyn Progress,
) -> Result<Vec<Moved>, Error> {
    let shell = Shell::open(deployment, progress).await?;
    let names = deployment.environment.names();
    let all = shell.built_images(&names).await?;
    let current = current(&shell, &names, &all).await?;
    let of_image = all.iter().filter(|one| one.image == image);
    let is_current = |one: &&BuiltImage| current.get(&one.kind()) == Some(&one.id);
    let wanted = |one: &&BuiltImage| arch.is_none_or(|arch| arch.name() == one.arch);
    let mut moved = Vec::new();
    for one in of_image.filter(is_current).filter(wanted) {
        let parameter = names.image(&one.image, &one.arch);
        let recorded = shell.image_record(&parameter).await?;
        if let Some(before) = built::before(&all, one, recorded.as_ref()) {
            record(&shell, &names, before, built::previous(&all, before)).await?;
            put(&shell, &parameter, &before.id).await?;
            moved.push(Moved {
                parameter,
                from: Some(one.id.clone()),
                to: before.clone(),
            });
        }
    }
    if moved.is_empty() {
        return Err(Error::Build {
            image: image.to_owned(),
            phase: "rollback",
            because:
                "there is no image before the current one on its distribution; `cargo xtask ami \
                      list` shows those that there are"
                    .to_owned(),
        });
    }
    Ok(moved)
}

/// A parameter that names another image now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The parameter.
    pub parameter: String,
    /// What it said before, if it was there.
    pub from: Option<String>,
    /// What it says now.
    pub to: BuiltImage,
}

/// Has machines start from `to`, and records what they started from until now as the one to go back to: its machines
/// came up. That it was put forward is written first: broken off after that, it is for people to go on.
pub(super) async fn put_forward(
    shell: &Shell<'_>,
    names: &Names,
    all: &[BuiltImage],
    to: &BuiltImage,
) -> Result<Moved, Error> {
    let parameter = names.image(&to.image, &to.arch);
    let from = shell.parameter(&parameter).await?;
    if !to.published {
        let (key, now) = (Keys::of(names).published, moment(keys::now_s()));
        shell.tag_image(&to.id, &key, &now).await?;
    }
    let recorded = shell.image_record(&parameter).await?;
    let previous = built::left_for(all, to, from.as_deref(), recorded.as_ref());
    record(shell, names, to, previous).await?;
    put(shell, &parameter, &to.id).await?;
    if let Some(from) = &from {
        tell_of_root(shell, from, to).await;
    }
    Ok(Moved {
        parameter,
        from,
        to: to.clone(),
    })
}

/// Launch templates name the root volume as the image called it that was there at the last `up`.
async fn tell_of_root(shell: &Shell<'_>, from: &str, to: &BuiltImage) {
    // One that is gone tells nothing, and the parameter is written whatever EC2 says now.
    let root = async |id: &str| shell.root_of(id).await.ok().flatten();
    if let (Some((before, _)), Some((now, _))) = (root(from).await, root(&to.id).await)
        && before != now
    {
        shell.step(&format!(
            "{}: its root volume is {now}, and launch templates name {before}: run `cargo xtask up` now, or its \
             machines have their disk beside it",
            to.name
        ));
    }
}

/// Before the parameter itself: what it says of another image than that names holds for nothing.
async fn record(
    shell: &Shell<'_>,
    names: &Names,
    current: &BuiltImage,
    previous: Option<&BuiltImage>,
) -> Result<(), Error> {
    let made = |one: &BuiltImage| Made {
        ami: one.id.clone(),
        made_s: one.created_s,
    };
    let record = ImageRecord {
        current: made(current),
        previous: previous.map(made),
    };
    let path = names.image_record(&current.image, &current.arch);
    shell.put_image_record(&path, &record).await?;
    Ok(())
}

/// Writes the parameter and reads it back until it says so: AWS answers before it has looked at the image, and
/// keeps the old value if it does not like what it sees.
async fn put(shell: &Shell<'_>, path: &str, image: &str) -> Result<(), Error> {
    let before = shell.parameter(path).await?;
    if before.as_deref() == Some(image) {
        return Ok(());
    }
    shell.put_image(path, image).await?;
    match until(shell, path, image, |value| value != before.as_deref()).await? {
        Some(named) if named == image => Ok(()),
        other => Err(Error::Build {
            image: image.to_owned(),
            phase: "publication",
            because: format!(
                "somebody had {path} name {} at the same time: `cargo xtask ami list` shows what machines start \
                 from, `ami promote` names this one",
                other.as_deref().unwrap_or("nothing")
            ),
        }),
    }
}

/// Has a parameter name a stock image, unless it or its record says another than what was seen: somebody puts an image
/// forward. Whether it does then.
pub(crate) async fn place(shell: &Shell<'_>, placed: &PlacedImage) -> Result<bool, Error> {
    let PlacedImage {
        parameter: path,
        ami,
        instead_of,
        recorded,
    } = placed;
    if instead_of.is_some() {
        // In this order: who puts forward writes the record first.
        let named = shell.parameter(path).await?;
        let record = shell.image_record(path).await?;
        if named != *instead_of || record.map(|record| record.current.ami) != *recorded {
            return Ok(false);
        }
        shell.put_image(path, ami).await?;
    } else {
        match shell.make_image_parameter(path, ami).await {
            Err(error) if error.is("ParameterAlreadyExists") => return Ok(false),
            made => made?,
        }
    }
    let is_other = |value: Option<&str>| value != instead_of.as_deref();
    let named = until(shell, path, ami, is_other).await?;
    if named.as_ref() != Some(ami) {
        return Ok(false);
    }
    // Who has recorded an image meanwhile may have named it just before this.
    let record = shell.image_record(path).await?;
    match record.map(|record| record.current.ami) {
        Some(current) if Some(&current) != recorded.as_ref() => {
            put(shell, path, &current).await?;
            Ok(false)
        }
        _ => Ok(true),
    }
}

/// Waits until the parameter says what is wanted of it: what that is.
async fn until(
    shell: &Shell<'_>,
    path: &str,
    image: &str,
    is_it: impl Fn(Option<&str>) -> bool,
) -> Result<Option<String>, Error> {
    let begun = Instant::now();
    loop {
        let value = shell.parameter(path).await?;
        if is_it(value.as_deref()) {
            return Ok(value);
        }
        let seconds = begun.elapsed().as_secs();
        if seconds > TAKEN_LIMIT_S {
            return Err(Error::Build {
                image: image.to_owned(),
                phase: "publication",
                because: format!(
                    "AWS did not take it as the value of {path} within {TAKEN_LIMIT_S} seconds: it has \
                     to be an image of this account and region"
                ),
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The kinds of these images, each with its parameter.
fn parameters(names: &Names, all: &[BuiltImage]) -> BTreeMap<ImageKind, String> {
    let of = |one: &BuiltImage| (one.kind(), names.image(&one.image, &one.arch));
    all.iter().map(of).collect()
}

/// What the parameters of these kinds of images say.
async fn current(shell: &Shell<'_>, names: &Names, all: &[BuiltImage]) -> Result<Current, Error> {
    let mut current = Current::new();
    for (kind, parameter) in parameters(names, all) {
        if let Some(id) = shell.parameter(&parameter).await? {
            current.insert(kind, id);
        }
    }
    Ok(current)
}

/// What the records beside them say.
async fn records(shell: &Shell<'_>, names: &Names, all: &[BuiltImage]) -> Result<Records, Error> {
    let mut records = Records::new();
    for (kind, parameter) in parameters(names, all) {
        if let Some(record) = shell.image_record(&parameter).await? {
            records.insert(kind, record);
        }
    }
    Ok(records)
}

/// What came of a retirement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Retired {
    /// Images that are gone, with their snapshots.
    pub gone: Vec<BuiltImage>,
    /// Images that stay.
    pub kept: Vec<(BuiltImage, KeptBecause)>,
}

/// Takes away what nobody needs any more: all but the two newest of each kind, the current one, the one to go back to
/// and what is in use, and what a build left that broke off, with snapshots whose image is gone. `id` is the only image
/// that is meant, if it is given, and has to be one that may go. One that does not go is told once all have been tried.
pub async fn retire(
    deployment: &Deployment,
    id: Option<&str>,
    progress: &dyn Progress,
) -> Result<Retired, Error> {
    let shell = Shell::open(deployment, progress).await?;
    let environment = &deployment.environment;
    let names = environment.names();
    let all = shell.built_images(&names).await?;
    let current = current(&shell, &names, &all).await?;
    let in_use = in_use(&shell, environment).await?;
    let records = records(&shell, &names, &all).await?;
    let recorded = records.into_values().flat_map(|record| {
        let previous = record.previous.map(|previous| previous.ami);
        [Some(record.current.ami), previous].into_iter().flatten()
    });
    let recorded: BTreeSet<String> = recorded.collect();
    let now_s = keys::now_s();
    let mut retired = Retired::default();
    let mut result = Ok(());
    for one in all.iter().filter(|one| id.is_none_or(|id| one.id == id)) {
        if let Some(because) = kept::kept_because(one, &all, &current, &in_use, &recorded, now_s) {
            retired.kept.push((one.clone(), because));
            continue;
        }
        // Somebody may have named it since.
        if is_named(&shell, &names, one).await? {
            retired.kept.push((one.clone(), KeptBecause::Current));
            continue;
        }
        shell.step(&format!("taking away {} ({})", one.name, one.id));
        match shell.deregister(&one.id).await {
            Ok(()) => retired.gone.push(one.clone()),
            Err(error) => {
                shell.step(&format!("{}: {error}", one.name));
                result = result.and(Err(error));
            }
        }
    }
    let Some(id) = id else {
        for snapshot in shell.image_snapshots(&names).await? {
            if kept::is_left_over(&snapshot, &all, now_s) {
                shell.step(&format!("taking away {}, which no image has", snapshot.id));
                match shell.delete_snapshot(&snapshot.id).await {
                    // One that somebody has made of it has it.
                    Err(error) if error.is("InvalidSnapshot.InUse") => {}
                    gone => result = result.and(gone),
                }
            }
        }
        return result.map(|()| retired).map_err(Error::from);
    };
    result?;
    let because = match retired.kept.first() {
        Some((_, because)) => because.words(),
        None if retired.gone.is_empty() => "it is no image that this deployment has built",
        None => return Ok(retired),
    };
    Err(Error::Build {
        image: id.to_owned(),
        phase: "retirement",
        because: because.to_owned(),
    })
}

/// Whether machines start from it now, or its record has them do so.
async fn is_named(shell: &Shell<'_>, names: &Names, one: &BuiltImage) -> Result<bool, Error> {
    let parameter = names.image(&one.image, &one.arch);
    let record = shell.image_record(&parameter).await?;
    let is_recorded = record.is_some_and(|record| record.current.ami == one.id);
    let value = shell.parameter(&parameter).await?;
    Ok(is_recorded || value.as_ref() == Some(&one.id))
}

/// Images that machines of the deployment run on, and that its pools name by their ids or by parameters of their own.
async fn in_use(shell: &Shell<'_>, environment: &Environment) -> Result<BTreeSet<String>, Error> {
    let machines = shell.instances(&environment.names()).await?;
    let mut in_use: BTreeSet<String> = machines.into_iter().map(|one| one.image).collect();
    for pool in &environment.pools {
        match &pool.image {
            Image::Ami(id) => in_use.extend([id.clone()]),
            Image::Parameter(path) => in_use.extend(shell.parameter(path).await?),
            Image::Stock(_) | Image::Built { .. } => {}
        }
    }
    Ok(in_use)
}
