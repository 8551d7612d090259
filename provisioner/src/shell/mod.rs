//! The only place that calls AWS. It translates to plain data and back, and decides nothing. Clients
//! are made here and nowhere else.

mod account;
mod amis;
mod change_sets;
mod function;
mod images;
mod instances;
mod interruption;
mod left;
mod machines;
mod observe;
mod owner;
mod parameters;
mod retained;
mod stacks;
mod storage;

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_smithy_http_client::tls;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::region::Region;

pub(crate) use amis::moment;
pub(crate) use change_sets::{ChangeKind, Request};
pub(crate) use interruption::{EXPERIMENT_LIMIT_S, ROLE_LIMIT_S};
pub(crate) use machines::Machine;

use crate::aws::{AwsEndpoint, CallError, NO_CREDENTIALS, chain};
use crate::deployment::{Deployment, guard_account};
use crate::error::Error;
use crate::progress::{Event, Progress};

/// Between two looks at something that takes seconds to minutes.
const POLL: Duration = Duration::from_secs(1);
/// Longest that one attempt may take: the slowest call uploads a few megabytes.
const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(1);
/// Tries of one call. An account has one bucket of requests for all that people and programs do in it at
/// once; the SDK's three tries are over in two seconds, these in about fifteen.
const ATTEMPTS_MAX: u32 = 6;
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One account and region.
pub(crate) struct Shell<'p> {
    /// Who is told what it does.
    progress: &'p dyn Progress,
    /// The account that the credentials open.
    pub(crate) account: String,
    /// Address of S3, when it is not AWS's own.
    endpoint: Option<String>,
    region: String,
    apigateway: aws_sdk_apigatewayv2::Client,
    cloudformation: aws_sdk_cloudformation::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    ec2: aws_sdk_ec2::Client,
    fis: aws_sdk_fis::Client,
    iam: aws_sdk_iam::Client,
    lambda: aws_sdk_lambda::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
    s3: aws_sdk_s3::Client,
    ssm: aws_sdk_ssm::Client,
    sts: aws_sdk_sts::Client,
}

impl<'p> Shell<'p> {
    /// The deployment's account and region, if the environment admits them.
    pub(crate) async fn open(
        deployment: &Deployment,
        progress: &'p dyn Progress,
    ) -> Result<Self, Error> {
        let shell = Self::connect(&deployment.aws, progress).await?;
        guard_account(deployment, &shell.account)?;
        Ok(shell)
    }

    /// Says what is done next.
    pub(crate) fn step(&self, what: &str) {
        self.progress.report(Event::Step(what.to_owned()));
    }

    /// Says that something takes its time.
    pub(crate) fn waiting(&self, what: String, seconds: u64) {
        self.progress.report(Event::Waiting { what, seconds });
    }

    async fn connect(
        endpoint: &AwsEndpoint,
        progress: &'p dyn Progress,
    ) -> Result<Self, CallError> {
        let https = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(
                tls::rustls_provider::CryptoMode::Ring,
            ))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(https)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
            .region(Region::new(endpoint.region.clone()));
        if let Some((id, secret)) = &endpoint.credentials {
            let source = "environment of the lab";
            loader = loader.credentials_provider(Credentials::new(id, secret, None, None, source));
        }
        if let Some(endpoint) = &endpoint.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let config = loader.load().await;
        found_credentials(&config).await?;

        let mut ec2 = aws_sdk_ec2::config::Builder::from(&config);
        if let Some(endpoint) = &endpoint.ec2_endpoint {
            ec2 = ec2.endpoint_url(endpoint);
        }
        // An address of one's own has no name per bucket.
        let s3 = aws_sdk_s3::config::Builder::from(&config)
            .force_path_style(endpoint.endpoint.is_some())
            .build();
        let sts = aws_sdk_sts::Client::new(&config);
        Ok(Self {
            progress,
            account: account::of(&sts).await?,
            endpoint: endpoint.endpoint.clone(),
            region: endpoint.region.clone(),
            apigateway: aws_sdk_apigatewayv2::Client::new(&config),
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            ec2: aws_sdk_ec2::Client::from_conf(ec2.build()),
            fis: aws_sdk_fis::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            ssm: aws_sdk_ssm::Client::new(&config),
            sts,
        })
    }
}

async fn found_credentials(config: &aws_types::SdkConfig) -> Result<(), CallError> {
    let none = |why: String| CallError {
        call: "finding credentials for AWS",
        code: Some(NO_CREDENTIALS.to_owned()),
        message: format!("there are none in the environment, the profiles or the machine ({why})"),
    };
    let Some(provider) = config.credentials_provider() else {
        return Err(none("no source is configured".to_owned()));
    };
    let found = provider.provide_credentials().await;
    found.map(drop).map_err(|error| none(chain(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[tokio::test]
    async fn without_credentials_it_is_said_what_to_do() {
        let config = aws_types::SdkConfig::builder().build();
        let error = found_credentials(&config).await.unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("finding credentials for AWS failed"),
            "{said}"
        );
        assert!(error.hint().unwrap().contains("AWS_PROFILE"));
    }

    #[tokio::test]
    async fn an_aws_that_does_not_answer_is_said_with_what_to_look_at() {
        // Port 9 of this machine: nobody discards anything any more.
        let endpoint = AwsEndpoint {
            endpoint: Some("http://127.0.0.1:9".to_owned()),
            credentials: Some(("id".to_owned(), "secret".to_owned())),
            ..AwsEndpoint::aws("eu-west-1")
        };
        let error = Shell::connect(&endpoint, &Silent).await.err().unwrap();
        let said = error.to_string();
        assert!(said.starts_with("GetCallerIdentity failed: "), "{said}");
        assert!(error.hint().unwrap().contains("region"));
    }
}
