//! EC2 as the dispatcher needs it: launch, list, end.

use std::time::Duration;

use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;
use aws_sdk_ec2::types::{
    CreditSpecificationRequest, Filter, InstanceInterruptionBehavior, InstanceMarketOptionsRequest,
    InstanceStateName, LaunchTemplateSpecification, MarketType, ResourceType, SpotInstanceType,
    SpotMarketOptions, Tag, TagSpecification,
};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use aws_smithy_types::retry::RetryConfig;

use super::pages::Pages;
use super::{Aws, Failure};
use crate::model::launch::is_burstable;
use crate::model::launch_error::{Elsewhere, LaunchErrorClass, class_of};
use crate::model::world::{Candidate, Instance, Launch};
use crate::simulation::{Fault, breaks};

/// What failures call a launch.
const RUN_INSTANCES: &str = "ec2:RunInstances";
/// Most instances of a listing, far above any cap that `up` admits.
const INSTANCES_MAX: usize = 8_000;
/// Instances a page, at most.
const PAGE_SIZE: i32 = 1000;
/// Most instances in one `TerminateInstances` request, as EC2 recommends.
const END_MAX: usize = 100;
/// Time for one `RunInstances` request, in seconds: it answers in one or two.
const LAUNCH_TIMEOUT_S: u64 = 15;

/// What one `RunInstances` request came to.
#[derive(Debug)]
pub enum LaunchResult {
    /// These exist now; perhaps fewer than asked for.
    Launched(Vec<Instance>),
    /// None, and EC2's code says why, and with it what to do.
    Refused(LaunchErrorClass, Failure),
    /// Nobody knows: no answer, or one that can't be read. Ask again for the same.
    Unknown(Failure),
}

impl Aws {
    /// Sends `launch` for its current candidate. Not retried here: the launch row is what makes a
    /// retry safe, and whoever holds it decides.
    pub(crate) async fn run_instances(&self, launch: &Launch) -> LaunchResult {
        let Some(candidate) = launch.candidate() else {
            let message = "no candidate is left".to_owned();
            let failure = Failure::new(RUN_INSTANCES, "NoCandidate", message);
            return LaunchResult::Refused(LaunchErrorClass::Next(Elsewhere::Place), failure);
        };
        let request = self.launch_request(launch, candidate);
        let sent = request.customize().config_override(once()).send().await;
        match sent {
            Ok(answer) => {
                let made = answer.instances.unwrap_or_default().into_iter();
                LaunchResult::Launched(made.filter_map(|one| self.described(one)).collect())
            }
            Err(error) => {
                let is_refusal = error
                    .as_service_error()
                    .is_some_and(|it| it.code().is_some());
                let failure = Failure::of(RUN_INSTANCES, &error);
                if is_refusal {
                    LaunchResult::Refused(class_of(&failure.code, &failure.message), failure)
                } else {
                    LaunchResult::Unknown(failure)
                }
            }
        }
    }

    /// Asks whether `launch` would be sent for its current candidate: EC2 checks rights and request, and
    /// launches nothing.
    pub(crate) async fn rehearse_launch(&self, launch: &Launch) -> Result<(), Failure> {
        let Some(candidate) = launch.candidate() else {
            let message = "no candidate is left".to_owned();
            return Err(Failure::new(RUN_INSTANCES, "NoCandidate", message));
        };
        let request = self.launch_request(launch, candidate).dry_run(true);
        let Err(error) = request.send().await else {
            let message = "EC2 says that it launched".to_owned();
            return Err(Failure::new(RUN_INSTANCES, "bad-answer", message));
        };
        let failure = Failure::of(RUN_INSTANCES, &error);
        if failure.code == "DryRunOperation" {
            return Ok(());
        }
        Err(failure)
    }

    fn launch_request(&self, launch: &Launch, candidate: &Candidate) -> RunInstancesFluentBuilder {
        let count = i32::try_from(launch.count).expect("at most launch::JOBS_MAX");
        let mut request = self
            .ec2()
            .run_instances()
            .launch_template(
                LaunchTemplateSpecification::builder()
                    .launch_template_id(&launch.template_id)
                    .version(&launch.template_version)
                    .build(),
            )
            .instance_type(candidate.instance_type.as_str().into())
            .subnet_id(&candidate.subnet)
            .min_count(1)
            .max_count(count)
            .client_token(if breaks(Fault::TokenReusedOverZones) {
                launch.id.clone()
            } else {
                launch.token()
            });
        if candidate.spot {
            request = request.instance_market_options(spot());
        }
        if let Some(credit) = &launch.credit
            && is_burstable(&candidate.instance_type)
        {
            request = request.credit_specification(
                CreditSpecificationRequest::builder()
                    .cpu_credits(credit)
                    .build(),
            );
        }
        for resource in TAGGED {
            request = request.tag_specifications(
                TagSpecification::builder()
                    .resource_type(resource)
                    .set_tags(Some(self.instance_tags(launch)))
                    .build(),
            );
        }
        request
    }

    /// What exists under a launch's current token: after `IdempotentParameterMismatch`. Those that have
    /// ended are among them.
    pub(crate) async fn instances_of_token(&self, token: &str) -> Result<Vec<Instance>, Failure> {
        self.instances_where("client-token", token).await
    }

    /// Every instance that we launched and that EC2 still shows. The tag of the launch tells: the one
    /// with the deployment's name alone is a key that somebody may use for machines of their own.
    pub(crate) async fn instances(&self) -> Result<Vec<Instance>, Failure> {
        self.instances_where("tag-key", &self.names.tag_launch)
            .await
    }

    /// `instance` as EC2 shows it, if it does (yet, or any more).
    pub(crate) async fn instance(&self, instance: &str) -> Result<Option<Instance>, Failure> {
        let shown = self.instances_where("instance-id", instance).await?;
        Ok(shown.into_iter().next())
    }

    async fn instances_where(&self, what: &str, is: &str) -> Result<Vec<Instance>, Failure> {
        const CALL: &str = "ec2:DescribeInstances";
        let mut all = Vec::new();
        // The rows of machines that are cut off would be closed as if they had ended.
        let mut pages = Pages::of(CALL, (INSTANCES_MAX, "instances"));
        loop {
            let page = self
                .ec2()
                .describe_instances()
                .filters(Filter::builder().name(what).values(is).build())
                .max_results(PAGE_SIZE)
                .set_next_token(pages.token())
                .send()
                .await
                .map_err(|error| Failure::of(CALL, &error))?;
            for reservation in page.reservations.unwrap_or_default() {
                let instances = reservation.instances.unwrap_or_default().into_iter();
                all.extend(instances.filter_map(|one| self.described(one)));
            }
            let next = page.next_token.filter(|token| !token.is_empty());
            if pages.is_last(next, all.len())? {
                return Ok(all);
            }
        }
    }

    /// Ends `instances` outright: a graceful shutdown would signal the runner, and a runner that is
    /// signalled mid-job turns the job green (measured on Gitea 1.26). What is gone counts as ended.
    /// The first failure is told after all that could be ended was.
    pub(crate) async fn end_instances(&self, instances: &[String]) -> Result<(), Failure> {
        let mut result = Ok(());
        for some in instances.chunks(END_MAX) {
            result = result.and(self.end_some(some).await);
        }
        result
    }

    async fn end_some(&self, instances: &[String]) -> Result<(), Failure> {
        let sent = self
            .ec2()
            .terminate_instances()
            .set_instance_ids(Some(instances.to_vec()))
            .skip_os_shutdown(!breaks(Fault::GracefulTermination))
            .send()
            .await;
        let Err(error) = sent else { return Ok(()) };
        let failure = Failure::of("ec2:TerminateInstances", &error);
        match failure.code.as_str() {
            "InvalidInstanceID.NotFound" if instances.len() == 1 => Ok(()),
            // One instance that is unknown, protected or not ours to end fails the whole request: the
            // others must not live on for it.
            "InvalidInstanceID.NotFound"
            | "InvalidInstanceID.Malformed"
            | "IncorrectInstanceState"
            | "IncorrectState"
            | "OperationNotPermitted"
            | "UnauthorizedOperation"
            | "UnsupportedOperation"
                if instances.len() > 1 =>
            {
                let mut result = Ok(());
                for instance in instances {
                    let one = Box::pin(self.end_some(std::slice::from_ref(instance)));
                    result = result.and(one.await);
                }
                result
            }
            _ => Err(failure),
        }
    }

    fn instance_tags(&self, launch: &Launch) -> Vec<Tag> {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let own = [
            tag("Name", &format!("{}/{}", self.names.name, launch.pool)),
            tag(&self.names.tag, &launch.pool),
            tag(&self.names.tag_launch, &launch.id),
            tag(
                &self.names.tag_max_lifetime_minutes,
                &launch.max_lifetime_minutes.to_string(),
            ),
        ];
        // A key that is there twice fails the launch; ours are what machines are found by.
        let given: Vec<Tag> = launch
            .tags
            .iter()
            .filter(|(key, _)| !own.iter().any(|own| own.key() == Some(key.as_str())))
            .map(|(key, value)| tag(key, value))
            .collect();
        own.into_iter().chain(given).collect()
    }

    fn described(&self, instance: aws_sdk_ec2::types::Instance) -> Option<Instance> {
        let tags = instance.tags.unwrap_or_default();
        let tag = |key: &str| {
            tags.iter()
                .find(|tag| tag.key.as_deref() == Some(key))
                .and_then(|tag| tag.value.clone())
        };
        let state = instance.state.and_then(|state| state.name);
        let ended = [
            InstanceStateName::ShuttingDown,
            InstanceStateName::Terminated,
        ];
        let ended = state.is_some_and(|state| ended.contains(&state));
        Some(Instance {
            id: instance.instance_id?,
            pool: tag(&self.names.tag).unwrap_or_default(),
            launch: tag(&self.names.tag_launch),
            image: instance.image_id,
            max_lifetime_minutes: tag(&self.names.tag_max_lifetime_minutes)
                .and_then(|v| v.parse().ok()),
            expires_ms: tag(&self.names.tag_expires).and_then(|time| moment_ms(&time)),
            ended,
            state_reason: instance
                .state_reason
                .filter(|_| ended)
                .and_then(|reason| reason.code),
            launched_ms: instance
                .launch_time
                .and_then(|time| u64::try_from(time.to_millis().ok()?).ok())
                .unwrap_or_default(),
        })
    }
}

/// A moment as RFC 3339 writes it, in milliseconds since 1970.
fn moment_ms(time: &str) -> Option<u64> {
    let time = DateTime::from_str(time, Format::DateTime).ok()?;
    u64::try_from(time.to_millis().ok()?).ok()
}

/// A one-time Spot request at the On-Demand price at most, which is EC2's default.
fn spot() -> InstanceMarketOptionsRequest {
    InstanceMarketOptionsRequest::builder()
        .market_type(MarketType::Spot)
        .spot_options(
            SpotMarketOptions::builder()
                .spot_instance_type(SpotInstanceType::OneTime)
                .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
                .build(),
        )
        .build()
}

/// What carries the tags. Not the Spot request: nothing reads its tags, and EC2 would ask our policy
/// for a right to it that can't be bound to our launch templates.
const TAGGED: [ResourceType; 3] = [
    ResourceType::Instance,
    ResourceType::Volume,
    ResourceType::NetworkInterface,
];

fn once() -> aws_sdk_ec2::config::Builder {
    let timeout = Duration::from_secs(LAUNCH_TIMEOUT_S);
    aws_sdk_ec2::config::Config::builder()
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            aws_smithy_types::timeout::TimeoutConfig::builder()
                .operation_attempt_timeout(timeout)
                .operation_timeout(timeout)
                .build(),
        )
}
