//! Instances that the deployment launched.

use std::time::Instant;

use aws_sdk_ec2::types::{Filter, Instance as Ec2Instance};
use stacks::names::Names;

use super::{POLL, Shell};
use crate::aws::{CallError, failed};
use crate::error::Error;
use crate::progress::Event;

/// Instances that one page of an answer tells of.
const PAGE: i32 = 100;
/// Most ids that one call ends, so that one bad id spoils little.
const END_MAX: usize = 100;
/// Longest wait for machines that are ended outright: EC2 takes a minute or two.
const END_TIMEOUT_S: u64 = 600;

/// One instance of the deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) state: String,
    /// Value of the deployment's tag.
    pub(crate) pool: String,
    /// Id of the launch that it came of.
    pub(crate) launch: String,
    /// The image that it was launched from.
    pub(crate) image: String,
}

impl Shell<'_> {
    /// The instances that carry the tag of a launch of ours and are not terminated.
    pub(crate) async fn instances(&self, names: &Names) -> Result<Vec<Instance>, CallError> {
        const ALIVE: [&str; 5] = ["pending", "running", "shutting-down", "stopping", "stopped"];
        let states = ALIVE.map(str::to_owned).to_vec();
        let filters = vec![
            Filter::builder()
                .name("tag-key")
                .values(&names.tag_launch)
                .build(),
            Filter::builder()
                .name("instance-state-name")
                .set_values(Some(states))
                .build(),
        ];
        let reservations: Vec<_> = self
            .ec2
            .describe_instances()
            .set_filters(Some(filters))
            .max_results(PAGE)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("DescribeInstances"))?;
        Ok(reservations
            .into_iter()
            .flat_map(|one| one.instances.unwrap_or_default())
            .filter_map(|found| instance(found, names))
            .collect())
    }

    /// Ends every instance that we launched, and returns when none is left. Outright: a graceful
    /// stop would let a job that is running end as green.
    pub(crate) async fn end_instances(&self, names: &Names) -> Result<(), Error> {
        let begin = Instant::now();
        loop {
            let left = self.instances(names).await?;
            if left.is_empty() {
                return Ok(());
            }
            let alive: Vec<String> = left
                .iter()
                .filter(|instance| instance.state != "shutting-down")
                .map(|instance| instance.id.clone())
                .collect();
            for ids in alive.chunks(END_MAX) {
                self.terminate(ids).await?;
            }
            let seconds = begin.elapsed().as_secs();
            let what = format!("{} instances", left.len());
            if seconds > END_TIMEOUT_S {
                return Err(Error::Slow { what, seconds });
            }
            self.progress.report(Event::Waiting { what, seconds });
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Shell<'_> {
    /// One id that EC2 does not know any more fails the whole request: then each has its own.
    pub(crate) async fn terminate(&self, ids: &[String]) -> Result<(), CallError> {
        let ended = self.terminate_together(ids).await;
        match ended {
            Err(error) if error.is("InvalidInstanceID.NotFound") => {}
            ended => return ended,
        }
        for id in ids.iter().filter(|_| ids.len() > 1) {
            match self.terminate_together(std::slice::from_ref(id)).await {
                Err(error) if error.is("InvalidInstanceID.NotFound") => {}
                ended => ended?,
            }
        }
        Ok(())
    }

    async fn terminate_together(&self, ids: &[String]) -> Result<(), CallError> {
        self.ec2
            .terminate_instances()
            .set_instance_ids(Some(ids.to_vec()))
            .skip_os_shutdown(true)
            .send()
            .await
            .map(drop)
            .map_err(failed("TerminateInstances"))
    }
}

fn instance(found: Ec2Instance, names: &Names) -> Option<Instance> {
    let tags = found.tags.unwrap_or_default();
    let tag = |key: &str| {
        let own = tags.iter().find(|own| own.key() == Some(key));
        own.and_then(|tag| tag.value.clone()).unwrap_or_default()
    };
    Some(Instance {
        pool: tag(&names.tag),
        launch: tag(&names.tag_launch),
        image: found.image_id.unwrap_or_default(),
        id: found.instance_id?,
        state: found.state?.name?.as_str().to_owned(),
    })
}
