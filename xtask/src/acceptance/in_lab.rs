//! What the lab needs so that the same can be tried there; on AWS nothing of it happens.

use http::Method;
use lab::http::{HttpError, json};
use lab::{Folder, Lab};
use serde_json::Value;
use stacks::pool::{Pool, Scope};

use crate::error::Error;
use crate::forge::Forge;
use crate::smoke_test::lab_ec2;
use crate::target::Target;

/// How old its EC2 says that the machine is which is to be swept, in seconds: nobody waits for a limit there.
pub const AGE_S: u32 = 120;

/// Makes the organizations where pools register, as somebody has where there is a forge already.
pub async fn make_organizations(target: &Target, pools: &[Pool]) {
    let lab = Lab::find(&Folder::default_one()).filter(|_| target.lab);
    let Some(forge) = lab.map(|lab| Forge::of(&lab)) else {
        return;
    };
    for pool in pools {
        if let Scope::Organization(name) = &pool.scope {
            // An earlier run may have made it. If it is not there after all, its pool's machine tells.
            let _ = forge.make_organization(name).await;
        }
    }
}

/// Has its EC2 say that new machines were launched that long ago; what else somebody had it get wrong stays.
pub async fn age(target: &Target, launched_ago_s: u32) -> Result<(), Error> {
    let Some(ec2) = lab_ec2(target) else {
        return Ok(());
    };
    let url = format!("{ec2}/_lab/faults");
    let failed = |error: HttpError| Error::NoAnswer(error.to_string());
    let mut faults = json(Method::GET, &url, None, &Value::Null)
        .await
        .map_err(failed)?;
    faults["launched_ago_s"] = launched_ago_s.into();
    let sent = json(Method::POST, &url, None, &faults).await;
    sent.map(drop).map_err(failed)
}
