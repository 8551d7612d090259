//! Every answer that EC2 may give to a launch or an end: the code, what we do next, and who says that EC2
//! gives it. Each is given once by the lab's EC2, and the next request is what the table says. *AWS* is
//! "Error codes for the Amazon EC2 API", gone through from end to end for what is launched or ended as we
//! do (no dedicated hosts, reservations or interfaces of one's own); *common errors* AWS's list for all
//! services; the others are guides of AWS or issues of public repositories.

use std::time::{Duration, Instant};

use lab::{FaultInjection, RunError};
use serde_json::json;
use stacks::pool::CapacityType;
use tokio::task::JoinSet;

use crate::delivery::Job;
use crate::support::tap::{Call, Heard};
use crate::support::{SUBNET_A, SUBNET_B};
use crate::world::{Shape, World, entries};
use Then::*;

/// So many rows share a world.
const ROWS_OF_A_WORLD: usize = 32;

/// What follows a refused launch. The pool has two types of one quota in two subnets, as Spot and then
/// On-Demand, and the refused request was the first of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The same type in the other subnet.
    Place,
    /// The other type.
    Type,
    /// On-Demand.
    Market,
    /// Two are asked for one by one; one as On-Demand, whose quota is another.
    SplitOrQuota,
    /// Two are asked for one by one; the job waits if there is no room for one.
    SplitOrHold,
    /// The same again, with the same token.
    Again,
    /// What the token has made is looked up, and the same is asked for again.
    LookUp,
    /// Nothing: the job waits, with EC2's code for its owner.
    Hold,
}

/// Code, EC2's words where they matter, what follows, source.
type Row = (&'static str, &'static str, Then, &'static str);

#[rustfmt::skip]
const LAUNCHES: &[Row] = &[
    ("InsufficientInstanceCapacity", "We currently do not have sufficient t3.small capacity in the Availability Zone you requested (eu-west-1a).", Place, "AWS; github-aws-runners/terraform-aws-github-runner 2612"),
    ("InsufficientCapacity", "", Place, "AWS; aws/aws-parallelcluster-node 673"),
    ("InsufficientHostCapacity", "", Place, "AWS"),
    ("InsufficientReservedInstanceCapacity", "", Place, "AWS"),
    ("InsufficientVolumeCapacity", "", Place, "AWS"),
    ("InsufficientAddressCapacity", "", Place, "AWS"),
    ("InsufficientFreeAddressesInSubnet", "", Place, "AWS"),
    ("ReservationCapacityExceeded", "", Place, "AWS"),
    ("UnfulfillableCapacity", "", Place, "AWS; aws/aws-parallelcluster-node 673"),
    ("SpotMaxPriceTooLow", "", Place, "AWS"),
    ("Unsupported", "Your requested instance type (t3.small) is not supported in your requested Availability Zone (eu-west-1a).", Place, "AWS; fedora-copr/copr 2840, skyplane 172"),
    ("VolumeTypeNotAvailableInZone", "", Place, "AWS"),
    ("InvalidAvailabilityZone", "", Place, "AWS"),
    ("InvalidSubnetID.NotFound", "", Place, "AWS"),
    ("InvalidSubnetId.NotFound", "", Place, "AWS"),
    ("InvalidSubnet", "", Place, "AWS"),
    ("InvalidZone.NotFound", "", Place, "AWS"),
    ("BandwidthLimitExceeded", "", Place, "AWS"),
    ("InvalidParameterCombination", "The specified instance type is not eligible for Free Tier.", Type, "splunk/attack_range 1302, aws/karpenter-provider-aws 9004"),
    ("InvalidParameterCombination", "Enhanced networking with the Elastic Network Adapter (ENA) is required for the instance type.", Type, "EC2 guide, enhanced networking"),
    ("InvalidParameterValue", "Invalid value 't3.small' for InstanceType.", Type, "AWS"),
    ("InvalidParameterValue", "The architecture 'x86_64' of the specified instance type does not match the architecture 'arm64' of the specified AMI.", Type, "EC2 guide"),
    ("UnsupportedOperation", "The instance type does not support this operation.", Type, "AWS"),
    ("InstanceCreditSpecification.NotSupported", "", Type, "AWS"),
    ("EncryptedVolumesNotSupported", "", Type, "AWS"),
    ("AttachmentLimitExceeded", "", Type, "AWS"),
    ("InvalidInstanceType", "", Type, "AWS"),
    ("InvalidInterface.IpAddressLimitExceeded", "", Type, "AWS"),
    ("ClientInvalidParameterValue", "The instance type is not supported.", Type, "AWS"),
    ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", "", Market, "runs-on 233, determined-ai 1830"),
    ("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded", SplitOrQuota, "AWS; 4dn-dcic/tibanna 399"),
    ("VcpuLimitExceeded", "", SplitOrQuota, "AWS"),
    ("InstanceLimitExceeded", "", SplitOrQuota, "AWS"),
    ("RequestResourceCountExceeded", "", SplitOrQuota, "AWS"),
    ("VolumeLimitExceeded", "", SplitOrHold, "AWS"),
    ("MaxIOPSLimitExceeded", "", SplitOrHold, "AWS"),
    ("NetworkInterfaceLimitExceeded", "", SplitOrHold, "AWS"),
    ("ResourceCountExceeded", "", SplitOrHold, "AWS"),
    ("RequestLimitExceeded", "", Again, "AWS"),
    ("ResourceLimitExceeded", "", Again, "EC2 guide, request throttling"),
    ("Throttling", "", Again, "AWS, common errors"),
    ("ThrottlingException", "", Again, "AWS, common errors"),
    ("InternalError", "", Again, "AWS"),
    ("InternalFailure", "", Again, "AWS"),
    ("ServerInternal", "", Again, "AWS"),
    ("ServiceUnavailable", "", Again, "AWS"),
    ("Unavailable", "", Again, "AWS"),
    ("ConcurrentTagAccess", "", Again, "AWS"),
    ("RequestExpired", "", Again, "AWS"),
    ("InvalidSecurity.RequestHasExpired", "", Again, "AWS"),
    ("RetryableError", "", Again, "AWS"),
    ("RequestTimeout", "", Again, "AWS, common errors"),
    ("IdempotentParameterMismatch", "", LookUp, "AWS; runs-on 251"),
    ("IdempotentInstanceTerminated", "", LookUp, "EC2 guide, ensuring idempotency"),
    ("UnauthorizedOperation", "", Hold, "AWS"),
    ("AuthFailure", "", Hold, "AWS"),
    ("Blocked", "", Hold, "AWS"),
    ("OptInRequired", "", Hold, "AWS"),
    ("PendingVerification", "", Hold, "skyplane 799, openshift/installer 829"),
    ("OperationNotPermitted", "", Hold, "AWS"),
    ("InvalidClientTokenId", "", Hold, "AWS"),
    ("InvalidClientToken", "", Hold, "AWS"),
    ("IncompleteSignature", "", Hold, "AWS"),
    ("SignatureDoesNotMatch", "", Hold, "AWS"),
    ("MissingAuthenticationToken", "", Hold, "AWS"),
    ("InvalidAction", "", Hold, "AWS"),
    ("InvalidCharacter", "", Hold, "AWS"),
    ("InvalidQueryParameter", "", Hold, "AWS"),
    ("MalformedQueryString", "", Hold, "AWS"),
    ("MissingAction", "", Hold, "AWS"),
    ("MissingParameter", "", Hold, "AWS"),
    ("UnknownParameter", "", Hold, "AWS"),
    ("NoSuchVersion", "", Hold, "AWS"),
    ("UnsupportedProtocol", "", Hold, "AWS"),
    ("ValidationError", "", Hold, "AWS"),
    ("DryRunOperation", "", Hold, "AWS"),
    ("InvalidParameter", "", Hold, "AWS"),
    ("InvalidParameterCombination", "", Hold, "AWS"),
    ("InvalidParameterDependency", "", Hold, "AWS"),
    ("InvalidParameterValue", "", Hold, "hashicorp/packer 9516: a profile that is not seen yet"),
    ("UnsupportedOperation", "", Hold, "AWS"),
    ("UnsupportedInstanceAttribute", "", Hold, "AWS"),
    ("UnsupportedHibernationConfiguration", "", Hold, "AWS"),
    ("InvalidAMIID.Malformed", "", Hold, "AWS"),
    ("InvalidAMIID.NotFound", "", Hold, "AWS"),
    ("InvalidAMIID.Unavailable", "", Hold, "AWS"),
    ("InvalidBlockDeviceMapping", "", Hold, "AWS"),
    ("InvalidSnapshot.NotFound", "", Hold, "AWS"),
    ("InvalidGroup.NotFound", "", Hold, "AWS"),
    ("InvalidSecurityGroupID.NotFound", "", Hold, "AWS"),
    ("SecurityGroupsPerInstanceLimitExceeded", "", Hold, "AWS"),
    ("SecurityGroupsPerInterfaceLimitExceeded", "", Hold, "AWS"),
    ("InvalidKeyPair.NotFound", "", Hold, "AWS"),
    ("InvalidLaunchTemplateId.Malformed", "", Hold, "AWS"),
    ("InvalidLaunchTemplateId.NotFound", "", Hold, "AWS"),
    ("InvalidLaunchTemplateId.VersionNotFound", "", Hold, "AWS"),
    ("InvalidLaunchTemplateName.NotFoundException", "", Hold, "aws/karpenter-provider-aws, pkg/errors"),
    ("InvalidPlacementGroup.Unknown", "", Hold, "AWS"),
    ("InvalidUserData.Malformed", "", Hold, "AWS"),
    ("InvalidTenancy", "", Hold, "AWS"),
    ("TagLimitExceeded", "", Hold, "AWS"),
    ("InvalidTagKey.Malformed", "", Hold, "AWS"),
    ("TagPolicyViolation", "", Hold, "AWS"),
    ("PrivateIpAddressLimitExceeded", "", Hold, "AWS"),
    ("VPCIdNotSpecified", "", Hold, "AWS"),
    ("DefaultVpcDoesNotExist", "", Hold, "AWS"),
    ("IncorrectState", "", Hold, "AWS"),
    ("AccountDisabled", "", Hold, "AWS"),
    ("BootForVolumeTypeUnsupported", "", Hold, "AWS"),
    ("ClientInvalidParameterValue", "", Hold, "AWS"),
    ("CreditSpecificationUpdateInProgress", "", Hold, "AWS"),
    ("CustomerKeyHasBeenRevoked", "", Hold, "AWS"),
    ("InvalidCpuCredits", "", Hold, "AWS"),
    ("InvalidGroupId.Malformed", "", Hold, "AWS"),
    ("InvalidSecurityGroupId.Malformed", "", Hold, "AWS"),
    ("InvalidIamInstanceProfileArn.Malformed", "", Hold, "AWS"),
    ("InvalidID", "", Hold, "AWS"),
    ("InvalidInput", "", Hold, "AWS"),
    ("InvalidRequest", "", Hold, "AWS"),
    ("InvalidSnapshotID.Malformed", "", Hold, "AWS"),
    ("InvalidState", "", Hold, "AWS"),
    ("InvalidSubnetID.Malformed", "", Hold, "AWS"),
    ("MissingInput", "", Hold, "AWS"),
    ("SecurityGroupLimitExceeded", "", Hold, "AWS"),
    ("UnknownVolumeType", "", Hold, "AWS"),
    ("VolumeIOPSLimit", "", Hold, "AWS"),
    ("VPCResourceNotSpecified", "", Hold, "AWS"),
];

/// What follows a refused end of two machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ThenEnd {
    /// They are ended one by one: only one of them may be at fault.
    OneByOne,
    /// The same again at once.
    SameAgain,
    /// The tick fails, and the next one ends them.
    GiveUp,
}

#[rustfmt::skip]
const ENDS: &[(&str, ThenEnd, &str)] = &[
    ("InvalidInstanceID.NotFound", ThenEnd::OneByOne, "AWS"),
    ("InvalidInstanceID.Malformed", ThenEnd::OneByOne, "AWS"),
    ("IncorrectInstanceState", ThenEnd::OneByOne, "AWS"),
    ("IncorrectState", ThenEnd::OneByOne, "AWS"),
    ("OperationNotPermitted", ThenEnd::OneByOne, "AWS: protected from termination"),
    ("UnsupportedOperation", ThenEnd::OneByOne, "AWS"),
    ("UnauthorizedOperation", ThenEnd::OneByOne, "AWS; the policy goes by each instance's tag"),
    ("RequestLimitExceeded", ThenEnd::SameAgain, "AWS"),
    ("Throttling", ThenEnd::SameAgain, "AWS, common errors"),
    ("InternalError", ThenEnd::SameAgain, "AWS"),
    ("InternalFailure", ThenEnd::SameAgain, "AWS"),
    ("ServiceUnavailable", ThenEnd::SameAgain, "AWS"),
    ("Unavailable", ThenEnd::SameAgain, "AWS"),
    ("AuthFailure", ThenEnd::GiveUp, "AWS"),
    ("Blocked", ThenEnd::GiveUp, "AWS"),
    ("OptInRequired", ThenEnd::GiveUp, "AWS"),
    ("PendingVerification", ThenEnd::GiveUp, "AWS"),
    ("InvalidClientTokenId", ThenEnd::GiveUp, "AWS"),
    ("InvalidParameterCombination", ThenEnd::GiveUp, "AWS: no instance named"),
    ("MissingParameter", ThenEnd::GiveUp, "AWS"),
];

fn once(code: &str, words: &str) -> RunError {
    RunError {
        code: code.to_owned(),
        message: (!words.is_empty()).then(|| words.to_owned()),
        count: 1,
    }
}

/// The calls of one kind, in the order in which they were sent.
fn only(calls: Vec<Call>, name: &str) -> Vec<Call> {
    let mut calls = calls;
    calls.retain(|call| call.name == name);
    calls
}

/// Type, subnet, market, count and token of a launch.
fn asked(call: &Call) -> (String, String, bool, String, String) {
    let param = |name: &str| call.param(name).unwrap_or_default();
    (
        param("InstanceType"),
        param("SubnetId"),
        param("InstanceMarketOptions.MarketType") == "spot",
        param("MaxCount"),
        param("ClientToken"),
    )
}

fn place(instance_type: &str, subnet: &str, spot: bool) -> (String, String, bool) {
    (instance_type.to_owned(), subnet.to_owned(), spot)
}

/// Plays one row for jobs of their own, and says how long the next request took.
async fn play(world: &World, row: &Row, jobs: &[Job]) -> Option<Duration> {
    let &(code, words, then, _) = row;
    let heard = Heard::default();
    // A function of its own, whose bucket of requests is full.
    let handler = world.tapped(&heard, &world.bench.lab.file().forge).await;
    world.bench.faults(&FaultInjection {
        run_error: Some(once(code, words)),
        unthrottled: true,
        ..entries()
    });
    world.queue(jobs).await;
    world.drain_by(&handler).await;
    let calls = heard.take();
    let looked_up = calls
        .iter()
        .any(|call| call.name == "ec2:DescribeInstances");
    let launches = only(calls, "ec2:RunInstances");
    let all: Vec<_> = launches.iter().map(asked).collect();
    let (first, rest) = all.split_first().expect("nothing was asked for");
    let what = format!("{code} {words:?}: {first:?}, then {rest:?}");
    assert_eq!(first.3, jobs.len().to_string(), "{what}");
    let next = rest
        .first()
        .map(|(of, subnet, spot, ..)| (of.clone(), subnet.clone(), *spot));
    let is_split = then == SplitOrQuota || then == SplitOrHold;
    match then {
        Place => assert_eq!(next, Some(place("t3.small", SUBNET_B, true)), "{what}"),
        Type => assert_eq!(next, Some(place("t3.medium", SUBNET_A, true)), "{what}"),
        SplitOrQuota | SplitOrHold if jobs.len() > 1 => {
            assert_eq!(rest.len(), jobs.len(), "{what}");
            for (of, subnet, spot, count, token) in rest {
                assert_eq!((of, subnet, *spot), (&first.0, &first.1, first.2), "{what}");
                assert_eq!(count, "1", "{what}");
                assert_ne!(*token, first.4, "{what}");
            }
        }
        Market | SplitOrQuota => {
            assert_eq!(next, Some(place("t3.small", SUBNET_A, false)), "{what}");
        }
        Again | LookUp => assert_eq!(rest, std::slice::from_ref(first), "{what}"),
        Hold | SplitOrHold => assert!(rest.is_empty(), "{what}"),
    }
    assert_eq!(looked_up, then == LookUp, "{what}");
    let holds = then == Hold || (then == SplitOrHold && jobs.len() == 1);
    for job in jobs {
        let (status, reason) = world.standing(job).await;
        assert_eq!(reason.contains(code), holds, "{what}: {reason}");
        assert_eq!(
            status,
            if holds { "pending" } else { "launching" },
            "{what}"
        );
        if holds {
            world.deliver(&job.ended("cancelled", None)).await;
        }
    }
    if !is_split && !holds {
        assert_eq!(rest.len(), 1, "{what}");
    }
    let [refused, next, ..] = launches.as_slice() else {
        return None;
    };
    let answered = refused.answered.map_or(Duration::ZERO, |(_, took)| took);
    Some(next.sent.saturating_duration_since(refused.sent + answered))
}

/// Plays some rows in a world of their own: the more machines there are, the longer each look at them.
async fn play_all(rows: &'static [Row]) {
    let shape = Shape {
        max_runners: 1_000,
        pool: |pool| {
            pool.instance_types = ["t3.small", "t3.medium"].map(str::to_owned).into();
            pool.capacity = CapacityType::SpotThenOnDemand;
        },
        ..Shape::default()
    };
    let Some(world) = World::of(shape).await else {
        return;
    };
    let mut ids = 1..;
    let mut jobs = |count| -> Vec<Job> { ids.by_ref().take(count).map(Job::new).collect() };
    for row in rows {
        let &(code, _, then, source) = row;
        let counts: &[usize] = match then {
            SplitOrQuota | SplitOrHold => &[2, 1],
            Place | Type | Market | Again | LookUp | Hold => &[1],
        };
        for &count in counts {
            let took = play(&world, row, &jobs(count)).await;
            let took = took.map_or_else(|| "-".to_owned(), |took| format!("{took:.1?}"));
            eprintln!(
                "{code:48} {count} {then:14} {took:>8}  {source}",
                then = format!("{then:?}")
            );
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_of_a_launch_is_followed_by_what_the_table_says() {
    let begun = Instant::now();
    let worlds: JoinSet<()> = LAUNCHES.chunks(ROWS_OF_A_WORLD).map(play_all).collect();
    worlds.join_all().await;
    eprintln!("{} codes in {:.1?}", LAUNCHES.len(), begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_of_an_end_is_followed_by_what_the_table_says() {
    let shape = Shape {
        max_runners: 1_000,
        ..Shape::default()
    };
    let Some(world) = World::of(shape).await else {
        return;
    };
    // Over the pools' limit of ten minutes as soon as they are launched.
    let old = || FaultInjection {
        launched_ago_s: 10 * 60 + 1,
        unthrottled: true,
        ..entries()
    };
    let mut id = 0;
    for &(code, then, source) in ENDS {
        world.bench.faults(&old());
        id += 2;
        world.queue(&[Job::new(id - 1), Job::new(id)]).await;
        world
            .drain_by(&world.cold(&world.bench.lab.file().forge))
            .await;
        let machines = world.living().await;
        assert_eq!(machines.len(), 2, "{code}");

        let heard = Heard::default();
        let handler = world.tapped(&heard, &world.bench.lab.file().forge).await;
        world.bench.faults(&FaultInjection {
            end_error: Some(once(code, "")),
            ..old()
        });
        let ticked = world
            .invoke(&handler, &json!({ "action": "cleanup" }))
            .await;
        let ends = only(heard.take(), "ec2:TerminateInstances");
        let counts: Vec<usize> = ends
            .iter()
            .map(|call| {
                (1..=2)
                    .filter(|n| call.param(&format!("InstanceId.{n}")).is_some())
                    .count()
            })
            .collect();
        let expected: &[usize] = match then {
            ThenEnd::OneByOne => &[2, 1, 1],
            ThenEnd::SameAgain => &[2, 2],
            ThenEnd::GiveUp => &[2],
        };
        assert_eq!(counts, expected, "{code}");
        assert_eq!(
            ticked.is_ok(),
            then != ThenEnd::GiveUp,
            "{code}: {ticked:?}"
        );
        eprintln!("{code:32} {then:?}  {source}");
        world.tick().await;
        assert!(world.living().await.is_empty(), "{code}");
        // Their jobs are over, and so are their rows.
        for job in [Job::new(id - 1), Job::new(id)] {
            world.deliver(&job.ended("cancelled", None)).await;
        }
        world.tick().await;
    }
    world.end().await;
}
