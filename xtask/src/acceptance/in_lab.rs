//! What the lab needs so that the same can be tried there; on AWS nothing of it happens.

use bytes::Bytes;
use lab::http::send;
use lab::{FaultInjection, Folder, Lab};
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

/// Has its EC2 say that new machines were launched that long ago.
pub async fn age(target: &Target, launched_ago_s: u32) -> Result<(), Error> {
    let Some(ec2) = lab_ec2(target) else {
        return Ok(());
    };
    let faults = FaultInjection {
        launched_ago_s,
        ..FaultInjection::default()
    };
    let body = serde_json::to_vec(&faults).expect("a plain struct");
    let headers = [("Content-Type".to_owned(), "application/json".to_owned())];
    let url = format!("{ec2}/_lab/faults");
    let sent = send(http::Method::POST, &url, &headers, Bytes::from(body)).await;
    sent.map(drop)
        .map_err(|error| Error::NoAnswer(error.to_string()))
}
