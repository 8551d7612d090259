//! The only place that knows the AWS SDK: clients, made when first used, and plain answers.

pub(crate) mod dynamo;
mod ec2;
mod failure;
pub(crate) mod https;
pub(crate) mod pages;
mod raw_call;
mod ssm;

use std::sync::OnceLock;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use stacks::names::Names;

pub use dynamo::WriteResult;
pub use ec2::LaunchResult;
pub use failure::Failure;
use raw_call::{Call, Service};
pub use ssm::{Parameters, Versions};

/// Longest time for one call to AWS, its retries included, in seconds. API Gateway cuts at 30.
const CALL_TIMEOUT_S: u64 = 10;
/// How often a rehearsed nudge is sent while Lambda takes no more calls, and how long between.
const REHEARSAL_TRIES: u32 = 4;
const REHEARSAL_WAIT: Duration = Duration::from_millis(500);
/// Longest time for one attempt, in seconds.
const ATTEMPT_TIMEOUT_S: u64 = 4;

/// AWS, as the dispatcher uses it.
#[derive(Debug)]
pub struct Aws {
    names: Names,
    config: SdkConfig,
    ec2: OnceLock<aws_sdk_ec2::Client>,
    lambda: OnceLock<Service>,
    ssm: OnceLock<Service>,
}

/// Where AWS is and as whom we call: what Lambda puts into the environment.
#[derive(Debug, Clone)]
pub struct AwsEndpoint {
    /// The region.
    pub region: String,
    /// The function's credentials.
    pub credentials: Credentials,
    /// Another address for all services (`AWS_ENDPOINT_URL`), as the SDKs read it.
    pub endpoint: Option<String>,
    /// Another address for EC2 (`AWS_ENDPOINT_URL_EC2`).
    pub endpoint_ec2: Option<String>,
}

impl AwsEndpoint {
    /// Reads the variables that Lambda sets for every function.
    pub fn from_env() -> Result<Self, MissingVariable> {
        Ok(Self {
            region: variable("AWS_REGION")?,
            credentials: Credentials::new(
                variable("AWS_ACCESS_KEY_ID")?,
                variable("AWS_SECRET_ACCESS_KEY")?,
                variable("AWS_SESSION_TOKEN").ok(),
                None,
                "lambda",
            ),
            endpoint: variable("AWS_ENDPOINT_URL").ok(),
            endpoint_ec2: variable("AWS_ENDPOINT_URL_EC2").ok(),
        })
    }
}

/// The value of an environment variable; an empty one counts as missing.
pub(crate) fn variable(name: &'static str) -> Result<String, MissingVariable> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    value.ok_or(MissingVariable(name))
}

/// An environment variable that Lambda or the stack should have set.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {0} is not set: deploy with `cargo xtask up`")]
pub struct MissingVariable(pub &'static str);

impl Aws {
    /// AWS at `endpoint`, for the deployment called `names`.
    #[must_use]
    pub fn new(names: Names, endpoint: AwsEndpoint) -> Self {
        let seconds = std::time::Duration::from_secs;
        let mut config = SdkConfig::builder()
            .behavior_version(aws_sdk_ec2::config::BehaviorVersion::latest())
            .region(Region::new(endpoint.region))
            .credentials_provider(
                aws_credential_types::provider::SharedCredentialsProvider::new(
                    endpoint.credentials,
                ),
            )
            .http_client(https::Https::for_sdk())
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(seconds(ATTEMPT_TIMEOUT_S))
                    .operation_timeout(seconds(CALL_TIMEOUT_S))
                    .build(),
            );
        config.set_endpoint_url(endpoint.endpoint);
        let config = config.build();
        let ec2 = endpoint.endpoint_ec2.map(|url| {
            let config = config.to_builder().endpoint_url(url).build();
            aws_sdk_ec2::Client::new(&config)
        });
        Self {
            names,
            config,
            ec2: ec2.map(OnceLock::from).unwrap_or_default(),
            lambda: OnceLock::new(),
            ssm: OnceLock::new(),
        }
    }

    /// The deployment's names.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    fn ec2(&self) -> &aws_sdk_ec2::Client {
        self.ec2
            .get_or_init(|| aws_sdk_ec2::Client::new(&self.config))
    }

    fn ssm(&self) -> &Service {
        let retry = self.config.retry_config().expect("it is set in `new`");
        self.ssm
            .get_or_init(|| Service::new(&self.config, "ssm", retry))
    }

    /// Wakes the drain: an asynchronous invocation of this function. It may be lost or doubled
    /// without harm, so it is sent once.
    pub async fn nudge(&self) -> Result<(), Failure> {
        self.invoke_self(&[("x-amz-invocation-type", "Event")])
            .await
    }

    /// The same without effect. That there are too many calls says nothing of the right to make this one,
    /// so it is asked again.
    pub(crate) async fn rehearse_nudge(&self) -> Result<(), Failure> {
        const DRY_RUN: &[(&str, &str)] = &[("x-amz-invocation-type", "DryRun")];
        let mut asked = self.invoke_self(DRY_RUN).await;
        for _ in 1..REHEARSAL_TRIES {
            match &asked {
                Err(failure) if failure.code == "TooManyRequestsException" => {
                    tokio::time::sleep(REHEARSAL_WAIT).await;
                    asked = self.invoke_self(DRY_RUN).await;
                }
                Ok(()) | Err(_) => break,
            }
        }
        asked
    }

    async fn invoke_self(
        &self,
        headers: &'static [(&'static str, &'static str)],
    ) -> Result<(), Failure> {
        let lambda = self
            .lambda
            .get_or_init(|| Service::new(&self.config, "lambda", &RetryConfig::disabled()));
        let call = Call {
            path: format!("/2015-03-31/functions/{}/invocations", self.names.function),
            headers,
            body: serde_json::json!({ "action": stacks::names::ACTION_DRAIN }),
        };
        lambda.send("lambda:Invoke", call).await.map(drop)
    }
}

/// Milliseconds since 1970 of a time as forges write it (RFC 3339, in their own zone), by the reader that
/// the SDK brings; `None` for what is no time. What was before 1970 is 0.
pub(crate) fn milliseconds_of(time: &str) -> Option<u64> {
    let time = DateTime::from_str(time, Format::DateTimeWithOffset).ok()?;
    Some(u64::try_from(time.to_millis().ok()?).unwrap_or_default())
}
