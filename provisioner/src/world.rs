//! What is deployed, as plain data: everything that a plan may depend on.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use stacks::names::SecretName;

use crate::named_images::NamedImage;
use crate::render::Stack;

/// The account as it is now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct World {
    /// Whose account it is.
    pub account: String,
    /// Where runners would live.
    pub network: Network,
    /// The device of the root volume of each pool's image, by the pool's name.
    pub root_devices: BTreeMap<String, String>,
    /// The images that pools name.
    pub named_images: Vec<NamedImage>,
    /// The customer's key with which the account encrypts every volume.
    pub volume_key: Option<String>,
    /// The stacks that exist in any form.
    pub stacks: BTreeMap<Stack, Deployed>,
    /// Secrets that hold a value.
    pub secrets: BTreeSet<SecretName>,
    /// Given secrets whose stored value is another one, or missing.
    pub secrets_to_write: BTreeSet<SecretName>,
    /// Whether the function's code is in its bucket.
    pub code_uploaded: bool,
    /// Whether the account may launch Spot instances.
    pub spot_role: bool,
}

/// Where runners would live.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// The VPC.
    pub vpc: String,
    /// Its subnets, in order of preference.
    pub subnets: Vec<Subnet>,
}

/// One subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// Its availability zone.
    pub zone: String,
    /// Whether instances in it get a public address.
    pub public_address: bool,
}

/// A stack that exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployed {
    /// CloudFormation's status.
    pub status: String,
    /// The template as it was sent.
    pub template: Value,
    /// Parameters and their values.
    pub parameters: BTreeMap<String, String>,
    /// Outputs and their values.
    pub outputs: BTreeMap<String, String>,
    /// The stack's own tags.
    pub tags: BTreeMap<String, String>,
    /// Whether it is protected from deletion.
    pub protected: bool,
    /// What a creation or a deletion that failed left in it.
    pub remains: Vec<Remaining>,
}

/// A resource that a failed operation left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remaining {
    /// Its id in the template.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// What AWS calls it.
    pub name: String,
}

/// What can be done with a stack, told from its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackCondition {
    /// It can be updated.
    Usable,
    /// An operation is running.
    Busy,
    /// A change set made it and nothing ran: it is empty.
    Leftover,
    /// Its creation failed and was rolled back: it can only be deleted.
    FailedCreate,
    /// An update failed and so did its rollback, which has to be continued first.
    FailedRollback,
    /// Its deletion failed.
    FailedDelete,
    /// An import went wrong, which none of ours does, or CloudFormation has a new word.
    Unclear,
}

impl Deployed {
    /// Whether it is the deployment's whose things carry `tag`: a stack of ours is made with it. One that a
    /// change set made and nothing ran in is empty, and anybody's.
    #[must_use]
    pub fn is_of(&self, tag: &str) -> bool {
        self.tags.contains_key(tag) || self.condition() == StackCondition::Leftover
    }

    /// What can be done with it.
    #[must_use]
    pub fn condition(&self) -> StackCondition {
        condition_of(&self.status)
    }
}

/// What can be done with a stack in `status`.
#[must_use]
pub fn condition_of(status: &str) -> StackCondition {
    match status {
        "REVIEW_IN_PROGRESS" => StackCondition::Leftover,
        "CREATE_FAILED" | "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" => StackCondition::FailedCreate,
        "UPDATE_ROLLBACK_FAILED" => StackCondition::FailedRollback,
        "DELETE_FAILED" => StackCondition::FailedDelete,
        status if status.ends_with("_IN_PROGRESS") => StackCondition::Busy,
        "CREATE_COMPLETE"
        | "UPDATE_COMPLETE"
        | "UPDATE_FAILED"
        | "UPDATE_ROLLBACK_COMPLETE"
        | "IMPORT_COMPLETE"
        | "IMPORT_ROLLBACK_COMPLETE" => StackCondition::Usable,
        // IMPORT_ROLLBACK_FAILED: what continues the rollback of an update does not continue that.
        _ => StackCondition::Unclear,
    }
}

/// Types whose loss is a loss of data, or of an address that others hold.
#[must_use]
pub fn holds_data(kind: &str) -> bool {
    matches!(
        kind,
        "AWS::DynamoDB::Table"
            | "AWS::S3::Bucket"
            | "AWS::Logs::LogGroup"
            | "AWS::ApiGatewayV2::Api"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_a_stack_is_a_condition() {
        for (status, expected) in [
            ("CREATE_IN_PROGRESS", StackCondition::Busy),
            ("CREATE_FAILED", StackCondition::FailedCreate),
            ("CREATE_COMPLETE", StackCondition::Usable),
            ("ROLLBACK_IN_PROGRESS", StackCondition::Busy),
            ("ROLLBACK_FAILED", StackCondition::FailedCreate),
            ("ROLLBACK_COMPLETE", StackCondition::FailedCreate),
            ("DELETE_IN_PROGRESS", StackCondition::Busy),
            ("DELETE_FAILED", StackCondition::FailedDelete),
            ("UPDATE_IN_PROGRESS", StackCondition::Busy),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", StackCondition::Busy),
            ("UPDATE_COMPLETE", StackCondition::Usable),
            ("UPDATE_FAILED", StackCondition::Usable),
            ("UPDATE_ROLLBACK_IN_PROGRESS", StackCondition::Busy),
            ("UPDATE_ROLLBACK_FAILED", StackCondition::FailedRollback),
            (
                "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
                StackCondition::Busy,
            ),
            ("UPDATE_ROLLBACK_COMPLETE", StackCondition::Usable),
            ("REVIEW_IN_PROGRESS", StackCondition::Leftover),
            ("IMPORT_IN_PROGRESS", StackCondition::Busy),
            ("IMPORT_COMPLETE", StackCondition::Usable),
            ("IMPORT_ROLLBACK_IN_PROGRESS", StackCondition::Busy),
            ("IMPORT_ROLLBACK_FAILED", StackCondition::Unclear),
            ("IMPORT_ROLLBACK_COMPLETE", StackCondition::Usable),
            ("SOMETHING_NEW", StackCondition::Unclear),
        ] {
            assert_eq!(condition_of(status), expected, "{status}");
        }
    }
}
