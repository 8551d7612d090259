//! What an instance has written to its console, as `GetConsoleOutput` tells it.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::cloud::Cloud;
use crate::ec2::api_error::ApiError;
use crate::ec2::describe;
use crate::ec2::instance::InstanceState;
use crate::ec2::params::Params;
use crate::ec2::xml::Xml;

/// EC2 keeps the last 64 KB.
const KEPT_BYTES: usize = 64 * 1024;

/// The answer to `GetConsoleOutput`: of a running instance what it has written until a moment ago, if the
/// latest is asked for, else what was posted when it last changed its state, which is nothing before it has
/// stopped.
pub(super) fn output(cloud: &Cloud, mut params: Params, request_id: &str) -> Result<Xml, ApiError> {
    let id = params.require("InstanceId")?;
    let latest = params.flag("Latest")?;
    params.finish()?;
    let now = Timestamp::now();
    let state = cloud.state();
    describe::check_known(&state, std::slice::from_ref(&id), |one| one.visible <= now)?;
    let after = state.faults.console_after();
    let runs = state.instances.get(&id).is_some_and(|one| {
        !matches!(
            one.state,
            InstanceState::Stopped | InstanceState::Terminated
        )
    });
    let posted = state.instances.get(&id).and_then(|one| one.halted);
    drop(state);
    let path = cloud.host.console(&id);
    let written = fs::metadata(&path).and_then(|about| about.modified()).ok();
    let written = written.and_then(|at| Timestamp::try_from(at).ok());
    let is_told = if runs {
        latest && written.is_some_and(|at| at + after <= now)
    } else {
        posted.is_some_and(|at| at + after <= now)
    };
    let text = fs::read(&path).unwrap_or_default();
    let text = &text[text.len().saturating_sub(KEPT_BYTES)..];
    let mut xml = Xml::answer("GetConsoleOutput", request_id);
    xml.leaf("instanceId", &id).leaf(
        "timestamp",
        &now.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string(),
    );
    if is_told {
        xml.leaf("output", &STANDARD.encode(text));
    }
    xml.close("GetConsoleOutputResponse");
    Ok(xml)
}
