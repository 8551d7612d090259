//! A deployment's whole life in a hostile account: full of other people's things, with another deployment
//! of ours beside it, where lists come one thing a page and calls are refused because there are too many.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and then tells what it saw"
)]

mod foreign;
mod refused;
mod serving;
#[path = "../support/mod.rs"]
mod support;
mod taken;

use lab::{HostileAccount, HostileReport};
use provisioner::progress::Silent;
use stacks::rehearsal::Verdict;

use self::foreign::{Foreign, PARAMETERS};
use self::serving::Serving;
use self::support::Bench;
use self::support::deployments::down;

/// The deployment.
const OURS: &str = "team-ci";
/// The one beside it, whose name begins ours.
const BESIDE: &str = "team";

/// Calls of whoever deploys, each of which is refused once.
const OF_OPERATOR: [&str; 45] = [
    "apigateway:DeleteApi",
    "apigateway:GetApis",
    "cloudformation:CreateChangeSet",
    "cloudformation:DeleteStack",
    "cloudformation:DescribeChangeSet",
    "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStacks",
    "cloudformation:ExecuteChangeSet",
    "cloudformation:GetTemplate",
    "cloudformation:UpdateTerminationProtection",
    "dynamodb:DeleteTable",
    "dynamodb:DescribeTable",
    "dynamodb:ListTagsOfResource",
    "dynamodb:UpdateTable",
    "ec2:DescribeImages",
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSnapshots",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ec2:GetEbsEncryptionByDefault",
    "iam:CreateServiceLinkedRole",
    "iam:GetInstanceProfile",
    "iam:GetRole",
    "iam:ListRoles",
    "lambda:GetFunctionConfiguration",
    "lambda:Invoke",
    "lambda:ListTags",
    "logs:DeleteLogGroup",
    "logs:DescribeLogGroups",
    "logs:ListTagsForResource",
    "s3:DeleteBucket",
    "s3:DeleteObjects",
    "s3:GetBucketTagging",
    "s3:HeadBucket",
    "s3:HeadObject",
    "s3:ListObjectsV2",
    "s3:PutObject",
    "ssm:DeleteParameters",
    "ssm:GetParameter",
    "ssm:GetParameters",
    "ssm:GetParametersByPath",
    "ssm:PutParameter",
    "sts:GetCallerIdentity",
];
/// Calls of the function.
const OF_FUNCTION: [&str; 7] = [
    "dynamodb:Query",
    "dynamodb:TransactWriteItems",
    "ec2:DescribeInstances",
    "ec2:RunInstances",
    "ec2:TerminateInstances",
    "lambda:Invoke",
    "ssm:GetParametersByPath",
];
/// Lists that were read over short and empty pages.
const LISTS: [&str; 15] = [
    "apigateway:GetApis",
    "cloudformation:DescribeChangeSet",
    "cloudformation:DescribeStackEvents",
    "dynamodb:Query",
    "ec2:DescribeImages",
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSnapshots",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "iam:ListRoles",
    "logs:DescribeLogGroups",
    "s3:ListObjectsV2",
    "ssm:GetParametersByPath",
];

/// The function, which the lab starts as a program: this one, with the name of this test.
#[test]
#[ignore = "it is the deployed function's process, and ends when the lab ends it"]
fn function() {
    dispatcher::lambda::serve().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_deployments_live_and_end_in_a_hostile_account_and_nothing_else_is_touched() {
    let Some(bench) = Bench::hostile().await else {
        return;
    };
    let foreign = Foreign::fill(&bench).await;
    let hostile = HostileAccount {
        short_pages: true,
        foreign_parameters: PARAMETERS,
        refusals: 1,
        refused: Vec::new(),
    };
    bench.behave(&hostile);
    let (ours, beside) = tokio::join!(
        Serving::up(&bench, OURS, "base"),
        Serving::up(&bench, BESIDE, "beside")
    );

    // The function has all its rights, and says so over fifty empty pages of parameters.
    let rehearsed = provisioner::rehearse(&ours.deployment, &Silent).await;
    for one in rehearsed.unwrap() {
        let verdict = match one.call.action.as_str() {
            "ec2:TerminateInstances" => Verdict::Unknown,
            _ => Verdict::Allowed,
        };
        assert_eq!(one.call.verdict, verdict, "{one:?}");
    }
    // What was rehearsed is refused once more when it is done.
    let mut report = bench.account().await;
    bench.behave(&hostile);
    // What is not ours is not counted: one machine of ours is all that may be.
    tokio::join!(ours.serves_a_job(), beside.serves_a_job());
    tokio::join!(ours.reconcile(), beside.reconcile());
    foreign.is_whole(&bench).await;
    assert_eq!(ours.registrations().await, 0);

    // A machine that is at work is ended with the deployment; nobody else's is. (The forge gives up its
    // job, and with it the registration, minutes later.)
    let busy = ours.busy_machine().await;
    down(&ours.deployment).await;
    bench.wait_for(&busy, "terminated").await;
    foreign.is_whole(&bench).await;
    beside.reconcile().await;
    beside.serves_a_job().await;
    down(&beside.deployment).await;
    foreign.is_whole(&bench).await;

    add(&mut report, bench.account().await);
    check(&report);
    bench.down().await;
}

fn add(report: &mut HostileReport, more: HostileReport) {
    for (sums, counts) in [
        (&mut report.served, more.served),
        (&mut report.refused, more.refused),
        (&mut report.pages, more.pages),
        (&mut report.empty_pages, more.empty_pages),
    ] {
        for (call, count) in counts {
            *sums.entry(call).or_default() += count;
        }
    }
}

/// Every call was refused, and every list was cut; all of it got done nevertheless.
fn check(report: &HostileReport) {
    println!("{report:#?}");
    let (refused, pages) = (report.refused.len(), report.pages.len());
    let sum: u64 = report.empty_pages.values().sum();
    println!(
        "{refused} kinds of calls were refused; {pages} lists were cut, {sum} pages were empty"
    );
    let of = |caller: &'static str, calls: &'static [&'static str]| {
        calls.iter().map(move |call| format!("{caller} {call}"))
    };
    for call in of("operator", &OF_OPERATOR).chain(of("function", &OF_FUNCTION)) {
        assert!(report.refused.contains_key(&call), "{call} was not refused");
    }
    for call in report.refused.keys() {
        assert!(report.served.contains_key(call), "{call} was given up");
    }
    for list in LISTS {
        assert!(report.pages[list] > 1, "{list} came in one page");
        let empty = report.empty_pages.get(list).copied().unwrap_or_default();
        assert_eq!(empty > 0, list != "dynamodb:Query", "{list}");
    }
    let parameters = report.empty_pages["ssm:GetParametersByPath"];
    assert!(parameters >= u64::from(PARAMETERS / 10), "{parameters}");
}
