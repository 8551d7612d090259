//! What EC2's refusals of a launch ask us to do. Pure. Every code that EC2 may give is in the table of
//! `lab/tests/dispatch/ec2_answers.rs`, with its source, and is played there.

/// EC2's code for an empty bucket of requests.
pub const REQUESTS_EXCEEDED: &str = "RequestLimitExceeded";

/// What a refusal of `RunInstances` asks us to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchErrorClass {
    /// Not here and now: try the next candidate that differs in this.
    Next(Elsewhere),
    /// Too many for the account: ask for them one by one, and then, if for one there is no room either,
    /// try what differs in this, or hold the jobs.
    TooMany(Option<Elsewhere>),
    /// Nothing was decided: ask again for the same, a little later.
    AskAgain,
    /// The token is in use with other parameters: find out what exists under it.
    LookUp,
    /// The request is wrong or forbidden, wherever it is sent: hold the jobs and say why.
    Hold,
}

/// In what a candidate must differ from the refused one to be worth a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// In anything.
    Place,
    /// In its type.
    Type,
    /// In the account's quota that it counts towards.
    Quota,
    /// In its market: On-Demand after Spot.
    Market,
}

/// Reads an EC2 error code and EC2's words with it.
pub(crate) fn class_of(code: &str, words: &str) -> LaunchErrorClass {
    match code {
        "InsufficientInstanceCapacity"
        | "InsufficientCapacity"
        | "InsufficientHostCapacity"
        | "InsufficientReservedInstanceCapacity"
        | "InsufficientVolumeCapacity"
        | "InsufficientAddressCapacity"
        | "InsufficientFreeAddressesInSubnet"
        | "ReservationCapacityExceeded"
        | "UnfulfillableCapacity"
        | "SpotMaxPriceTooLow"
        | "Unsupported"
        | "VolumeTypeNotAvailableInZone"
        | "BandwidthLimitExceeded"
        | "InvalidAvailabilityZone"
        | "InvalidZone.NotFound"
        | "InvalidSubnet"
        | "InvalidSubnetID.NotFound"
        | "InvalidSubnetId.NotFound" => LaunchErrorClass::Next(Elsewhere::Place),
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted" => {
            LaunchErrorClass::Next(Elsewhere::Market)
        }
        "InstanceCreditSpecification.NotSupported"
        | "EncryptedVolumesNotSupported"
        | "AttachmentLimitExceeded"
        | "InvalidInstanceType"
        | "InvalidInterface.IpAddressLimitExceeded" => LaunchErrorClass::Next(Elsewhere::Type),
        "InvalidParameterCombination"
        | "InvalidParameterValue"
        | "ClientInvalidParameterValue"
        | "InvalidParameter"
        | "UnsupportedOperation"
            if names_the_type(words) =>
        {
            LaunchErrorClass::Next(Elsewhere::Type)
        }
        "MaxSpotInstanceCountExceeded"
        | "VcpuLimitExceeded"
        | "InstanceLimitExceeded"
        | "RequestResourceCountExceeded" => LaunchErrorClass::TooMany(Some(Elsewhere::Quota)),
        "VolumeLimitExceeded"
        | "MaxIOPSLimitExceeded"
        | "NetworkInterfaceLimitExceeded"
        | "ResourceCountExceeded" => LaunchErrorClass::TooMany(None),
        REQUESTS_EXCEEDED
        | "ResourceLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "InternalError"
        | "InternalFailure"
        | "ServerInternal"
        | "ServiceUnavailable"
        | "Unavailable"
        | "ConcurrentTagAccess"
        | "RetryableError"
        | "InvalidSecurity.RequestHasExpired"
        | "RequestExpired"
        | "RequestTimeout" => LaunchErrorClass::AskAgain,
        "IdempotentParameterMismatch" | "IdempotentInstanceTerminated" => LaunchErrorClass::LookUp,
        _ => LaunchErrorClass::Hold,
    }
}

/// Whether EC2's words are about the instance type: it is no type of this region or of the free plan,
/// or nothing for the image. For these EC2 has no codes of their own.
fn names_the_type(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["instance type", "instancetype", "free tier"]
        .iter()
        .any(|name| words.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_code_holds_the_jobs_instead_of_burning_candidates() {
        for code in [
            "SomethingNew",
            "UnauthorizedOperation",
            "InvalidParameterValue",
        ] {
            assert_eq!(class_of(code, "words"), LaunchErrorClass::Hold);
        }
    }

    #[test]
    fn a_type_that_the_free_plan_does_not_admit_makes_room_for_the_next_one() {
        let words = "The specified instance type is not eligible for Free Tier.";
        let class = class_of("InvalidParameterCombination", words);
        assert_eq!(class, LaunchErrorClass::Next(Elsewhere::Type));
    }
}
