//! The steps that a plan is made of.

use crate::model::image::{BootFailures, Image};
use crate::model::job::JobKey;
use crate::model::runner::EndReason;
use crate::model::world::Launch;

/// One step of a drain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Machines of a new image do not come up: have the next ones start from the image before it.
    PutBack {
        /// The image.
        image: Image,
        /// How its machines fared.
        failures: BootFailures,
    },
    /// Who sent this launch has not recorded its outcome, and is at work on it no longer: send it again.
    Reissue(Launch),
    /// Claim these jobs and launch an instance for each.
    Launch {
        /// The request.
        launch: Launch,
        /// The jobs, as they were seen.
        claims: Vec<Claim>,
    },
    /// A free runner is already there or on its way: claim the job for it.
    Adopt {
        /// The job, as it was seen.
        claim: Claim,
        /// The launch whose machine is free.
        launch: String,
    },
    /// More machines went away than jobs were taken: ask the forge whether these still wait.
    Verify(Vec<JobKey>),
    /// The forge says that it no longer waits: take it off the list, as it was seen.
    Forget(Claim),
    /// The forge has told of it under another key, the one of now, which is on the list.
    Supersede(Claim),
    /// Every machine launched for it ended without taking it, and the forge says that it waits.
    GiveUp(Claim),
    /// The forge has not been able to tell of it for a day: take it off the list, as it was seen.
    Abandon(Claim),
    /// It gets no machine until somebody does something, and its owner is to be told why.
    TellHeld {
        /// The job, as it was seen.
        claim: Claim,
        /// Why.
        reason: String,
    },
    /// Its pool is not configured any more: another that serves it takes it, or it is refused.
    ReassignPool(Claim),
    /// End these machines.
    End {
        /// Their ids.
        instances: Vec<String>,
        /// Why.
        reason: EndReason,
    },
    /// Note which machines became surplus, and which are needed again.
    MarkSurplus {
        /// Too many.
        surplus: Vec<String>,
        /// Needed again.
        needed: Vec<String>,
    },
    /// Tell the forge to give these machines no job any more.
    DisableRunners(Vec<String>),
    /// The forge gives these no job any more: end those that it says are idle.
    EndIdle(Vec<String>),
}

impl Action {
    /// Whether it decides what machines start from, and so comes before every launch.
    #[must_use]
    pub fn is_put_back(&self) -> bool {
        matches!(self, Self::PutBack { .. })
    }

    /// Whether it asks EC2 for machines.
    #[must_use]
    pub fn launches(&self) -> bool {
        matches!(self, Self::Reissue(_) | Self::Launch { .. })
    }

    /// Whether it waits for the forge, and nobody for it: it is done when no launch waits behind it.
    #[must_use]
    pub fn can_wait(&self) -> bool {
        matches!(self, Self::DisableRunners(_) | Self::EndIdle(_))
    }
}

/// A job that a launch claims, as the planner saw it: the claim fails if it changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: JobKey,
    /// The launch that had claimed it.
    pub seen: Option<String>,
    /// How many launches it has had, this one included.
    pub launches: u32,
}
