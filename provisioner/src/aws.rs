//! Where AWS is, who we are there, and what its errors mean. Clients are made here and nowhere else.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::region::Region;

/// One region of AWS, or something that stands in for it.
#[derive(Clone, Default)]
pub struct AwsEndpoint {
    /// The region.
    pub region: String,
    /// Address of everything but EC2, when it is not AWS's own.
    pub endpoint: Option<String>,
    /// Address of EC2, when it is not AWS's own.
    pub ec2_endpoint: Option<String>,
    /// Access key id and secret, when they are not those of the shell.
    pub credentials: Option<(String, String)>,
}

impl fmt::Debug for AwsEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsEndpoint")
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("ec2_endpoint", &self.ec2_endpoint)
            .finish_non_exhaustive()
    }
}

impl AwsEndpoint {
    /// AWS itself, in `region`, with the shell's credentials.
    #[must_use]
    pub fn aws(region: &str) -> Self {
        Self {
            region: region.to_owned(),
            ..Self::default()
        }
    }
}

/// Our own code beside AWS's: there was nothing to sign with.
const NO_CREDENTIALS: &str = "NoCredentials";

/// A call that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{call} failed: {message}")]
pub struct CallError {
    /// The action's name.
    pub call: &'static str,
    /// AWS's code, when it answered at all.
    pub code: Option<String>,
    /// AWS's words, or why there are none.
    pub message: String,
}

impl CallError {
    /// Whether AWS answered with `code`.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        let Some(code) = self.code.as_deref() else {
            return Some(
                "AWS did not answer: check the network, and that the environment's region exists",
            );
        };
        Some(match code {
            NO_CREDENTIALS => "set AWS_PROFILE or AWS_ACCESS_KEY_ID, or log in",
            "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
                "the credentials have expired: log in again"
            }
            "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "AuthFailure"
            | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch" => {
                "AWS does not know these credentials in this region: check them, the clock, and that \
                 the region is enabled for the account"
            }
            "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
                "the credentials may not do this: use a role that may deploy"
            }
            "InvalidSubnetID.NotFound" | "InvalidVpcID.NotFound" => {
                "[network] of the environment names something that this account and region do not have"
            }
            _ => return None,
        })
    }
}

/// Turns what the SDK says of a failed `call` into a [`CallError`].
pub(crate) fn failed<E, R>(call: &'static str) -> impl FnOnce(SdkError<E, R>) -> CallError
where
    E: ProvideErrorMetadata + StdError + 'static,
    R: fmt::Debug + 'static,
{
    move |error| {
        let code = error.code().map(str::to_owned);
        let said = error.message().map(str::to_owned);
        let message = match (&code, said) {
            (Some(code), Some(message)) => format!("{message} ({code})"),
            (Some(code), None) => code.clone(),
            (None, _) => chain(&error),
        };
        CallError {
            call,
            code,
            message,
        }
    }
}

/// What an error and its causes say.
fn chain(error: &dyn StdError) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !said.ends_with(&more) {
            said = format!("{said}: {more}");
        }
        cause = error.source();
    }
    said
}

/// The clients of one endpoint.
pub(crate) struct Clients {
    pub(crate) cloudformation: aws_sdk_cloudformation::Client,
    pub(crate) ec2: aws_sdk_ec2::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) lambda: aws_sdk_lambda::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) ssm: aws_sdk_ssm::Client,
    pub(crate) sts: aws_sdk_sts::Client,
}

/// Longest that one attempt may take: the slowest call uploads a few megabytes.
const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(1);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Clients {
    /// Clients with credentials that were found, but not yet tried.
    pub(crate) async fn connect(endpoint: &AwsEndpoint) -> Result<Self, CallError> {
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
            .region(Region::new(endpoint.region.clone()));
        if let Some((id, secret)) = &endpoint.credentials {
            loader = loader.credentials_provider(Credentials::new(
                id,
                secret,
                None,
                None,
                "environment of the lab",
            ));
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
        Ok(Self {
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            ec2: aws_sdk_ec2::Client::from_conf(ec2.build()),
            iam: aws_sdk_iam::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            ssm: aws_sdk_ssm::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
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

    #[tokio::test]
    async fn without_credentials_it_is_said_what_to_do() {
        let config = aws_types::SdkConfig::builder().build();
        let error = found_credentials(&config).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("finding credentials for AWS failed")
        );
        assert!(error.hint().unwrap().contains("AWS_PROFILE"));
    }

    #[test]
    fn an_endpoint_never_shows_its_credentials() {
        let endpoint = AwsEndpoint {
            credentials: Some(("id".to_owned(), "hidden".to_owned())),
            ..AwsEndpoint::aws("eu-west-1")
        };
        assert!(!format!("{endpoint:?}").contains("hidden"));
    }

    #[tokio::test]
    async fn an_aws_that_does_not_answer_is_said_with_what_to_look_at() {
        // Port 9 of this machine: nobody discards anything any more.
        let endpoint = AwsEndpoint {
            endpoint: Some("http://127.0.0.1:9".to_owned()),
            credentials: Some(("id".to_owned(), "secret".to_owned())),
            ..AwsEndpoint::aws("eu-west-1")
        };
        let clients = Clients::connect(&endpoint).await.unwrap();
        let call = clients.sts.get_caller_identity().send().await;
        let error = call.map_err(failed("GetCallerIdentity")).unwrap_err();
        assert!(
            error.to_string().starts_with("GetCallerIdentity failed: "),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("region"));
    }
}
