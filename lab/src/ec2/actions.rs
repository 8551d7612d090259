//! The actions that need nothing but the book, a clock and machines: the same over the lab's and in process.

use crate::ec2::api_error::ApiError;
use crate::ec2::instance::{InstanceState, Reason, Stop};
use crate::ec2::named::Named;
use crate::ec2::params::Params;
use crate::ec2::run::Request;
use crate::ec2::state::Call;
use crate::ec2::world::World;
use crate::ec2::xml::Xml;
use crate::ec2::{describe, describe_images};
use crate::emulator::Template;

/// The API version that every SDK sends.
const VERSION: &str = "2016-11-15";

/// Takes the version out of a request, which must be the one that is spoken here.
pub(crate) fn check_version(params: &mut Params) -> Result<(), ApiError> {
    if params.require("Version")? == VERSION {
        return Ok(());
    }
    Err(ApiError::client(
        "NoSuchVersion",
        format!("The lab speaks version {VERSION} only."),
    ))
}

/// The answer to any `action` but `RunInstances`.
pub(crate) fn answer(
    world: &impl World,
    action: &str,
    params: Params,
    request_id: &str,
) -> Result<Xml, ApiError> {
    match action {
        "TerminateInstances" => terminate_instances(world, params, request_id),
        "StopInstances" => stop_instances(world, params, request_id),
        "DescribeInstances" | "DescribeImages" | "DescribeSnapshots" => {
            let now = world.now();
            let mut state = world.state();
            state.admit(Call::Describe, now)?;
            match action {
                "DescribeInstances" => describe::instances(&state, params, now, request_id),
                "DescribeImages" => describe_images::images(&state.images, params, now, request_id),
                _ => describe_images::snapshots(&state.images, params, now, request_id),
            }
        }
        "GetEbsEncryptionByDefault" | "GetEbsDefaultKmsKeyId" => {
            params.finish()?;
            let key = world.state().faults.volume_key.clone();
            Ok(describe::volume_key(action, key.as_deref(), request_id))
        }
        other => Err(ApiError::client(
            "InvalidAction",
            format!("The action {other} is not valid for this web service."),
        )),
    }
}

/// A `RunInstances`, let in and parsed. What it names is yet to be looked up.
pub(crate) fn launch_request(world: &impl World, params: Params) -> Result<Request, ApiError> {
    let now = world.now();
    world.state().admit(Call::Run, now)?;
    Request::parse(params)
}

/// The answer to a `RunInstances` that wants this and names that.
pub(crate) fn run_instances(
    world: &impl World,
    request: Request,
    (wanted, named): (Template, Named),
    request_id: &str,
) -> Result<Xml, ApiError> {
    let now = world.now();
    let is_rehearsed = request.is_rehearsed();
    let plan = request.resolve(wanted, named, &world.state().images, now)?;
    if is_rehearsed {
        let injected = world.state().faults.next_run_error();
        return Err(injected.unwrap_or_else(ApiError::dry_run));
    }
    let launched = world.launch(&plan)?;
    let mut state = world.state();
    if state.faults.loses_answer() {
        let words = "An internal error has occurred";
        return Err(ApiError::server("InternalError", words));
    }
    Ok(describe::reservation(&state, &launched, request_id))
}

fn terminate_instances(
    world: &impl World,
    mut params: Params,
    request_id: &str,
) -> Result<Xml, ApiError> {
    let now = world.now();
    world.state().admit(Call::Terminate, now)?;
    let is_rehearsed = params.flag("DryRun")?;
    let ids = params.list("InstanceId");
    let stop = if params.flag("SkipOsShutdown")? {
        Stop::Outright
    } else {
        Stop::Graceful
    };
    params.finish()?;
    let injected = world.state().faults.next_end_error();
    if let Some(error) = injected {
        return Err(error);
    }
    if ids.is_empty() {
        return Err(ApiError::missing("InstanceId"));
    }
    let forgets = world.state().faults.forgets();
    describe::check_known(&world.state(), &ids, |_| !forgets)?;
    if world.state().denies_end_of(&ids) {
        let words = "You are not authorized to perform this operation.";
        return Err(ApiError::client("UnauthorizedOperation", words));
    }
    if is_rehearsed {
        return Err(ApiError::dry_run());
    }
    let changes = changed(ids, |id| world.end(id, Reason::User, stop));
    Ok(describe::ending("TerminateInstances", &changes, request_id))
}

fn stop_instances(
    world: &impl World,
    mut params: Params,
    request_id: &str,
) -> Result<Xml, ApiError> {
    let ids = params.list("InstanceId");
    let how = if params.flag("Force")? {
        Stop::Outright
    } else {
        Stop::Graceful
    };
    params.finish()?;
    if ids.is_empty() {
        return Err(ApiError::missing("InstanceId"));
    }
    let now = world.now();
    describe::check_known(&world.state(), &ids, |one| one.visible <= now)?;
    for id in &ids {
        world.state().check_stoppable(id)?;
    }
    let changes = changed(ids, |id| world.stop(id, Reason::User, how));
    Ok(describe::ending("StopInstances", &changes, request_id))
}

/// Each instance with its state before and after `change`.
fn changed(
    ids: Vec<String>,
    change: impl Fn(&str) -> Option<(InstanceState, InstanceState)>,
) -> Vec<(String, InstanceState, InstanceState)> {
    let changes = ids.into_iter().filter_map(|id| {
        let (before, after) = change(&id)?;
        Some((id, before, after))
    });
    changes.collect()
}
