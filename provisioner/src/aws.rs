//! Where AWS is, and what its errors mean.

use std::error::Error as StdError;
use std::fmt;

use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};

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
pub(crate) const NO_CREDENTIALS: &str = "NoCredentials";

/// Codes that AWS gives when it failed itself; what was asked for may have been done.
const FAILED_THERE: [&str; 4] = [
    "InternalError",
    "InternalFailure",
    "ServiceUnavailable",
    "Unavailable",
];
/// Codes of calls that whoever calls may not make.
const DENIED: [&str; 3] = [
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
];

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

    /// Whether AWS has refused the call, so that nothing came of it. Where it says nothing, or that it failed
    /// itself, nobody knows.
    pub(crate) fn is_refusal(&self) -> bool {
        self.code.is_some() && !FAILED_THERE.iter().any(|code| self.is(code))
    }

    /// Whether AWS says that whoever called may not.
    pub(crate) fn is_denial(&self) -> bool {
        DENIED.iter().any(|code| self.is(code))
    }

    /// Whether AWS says that what the call was about is not there.
    pub(crate) fn is_absence(&self) -> bool {
        ABSENT.iter().any(|code| self.is(code))
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
            code if DENIED.contains(&code) => {
                "the credentials may not do this: use a role that may deploy"
            }
            "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "ProvisionedThroughputExceededException"
            | "SlowDown" => {
                "the account sends AWS more requests than it takes: wait a minute and run the command \
                 again, which goes on from there"
            }
            "ParameterAlreadyExists" => {
                "somebody else wrote this secret in the meantime, and it is kept: run `up` again"
            }
            "InvalidAMIID.NotFound" | "InvalidAMIID.Malformed" => {
                "the image of a pool is not in this account and region, or not shared with it; if it was built \
                 here and is gone, `cargo xtask ami build` or `ami promote` names another"
            }
            "InvalidSubnetID.NotFound" | "InvalidVpcID.NotFound" => {
                "[network] of the environment names something that this account and region do not have"
            }
            _ => return None,
        })
    }
}

/// Turns what the SDK says of a failed `call` into a [`CallError`].
pub(crate) fn failed<E>(call: &'static str) -> impl FnOnce(SdkError<E>) -> CallError
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    move |error| {
        let status = error.raw_response().map(|answer| answer.status().as_u16());
        let code = error.code().or_else(|| code_of(status?));
        let code = code.map(str::to_owned);
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

/// The code that a status stands for where an answer has no body, as those to HEAD.
fn code_of(status: u16) -> Option<&'static str> {
    Some(match status {
        403 => "AccessDenied",
        429 | 503 => "SlowDown",
        _ => return None,
    })
}

/// What services say of what is not there.
const ABSENT: [&str; 5] = [
    "NotFound",
    "NoSuchKey",
    "NoSuchBucket",
    "ResourceNotFoundException",
    "NoSuchEntity",
];

/// Whether what `call` was about exists. HEAD answers have no body, so their status becomes the code.
pub(crate) fn is_there<T, E>(
    call: &'static str,
    answer: Result<T, SdkError<E>>,
) -> Result<bool, CallError>
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    match answer.map_err(failed(call)) {
        Ok(_) => Ok(true),
        Err(error) if error.is_absence() => Ok(false),
        Err(error) => Err(error),
    }
}

/// What an error and its causes say.
pub(crate) fn chain(error: &dyn StdError) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_body_has_the_code_of_its_status_and_a_hint() {
        let hint = |status: u16| {
            let error = CallError {
                call: "HeadObject",
                code: code_of(status).map(str::to_owned),
                message: String::new(),
            };
            error.hint().unwrap_or_default()
        };
        assert!(hint(503).contains("wait a minute"));
        assert!(hint(403).contains("may not do this"));
    }

    #[test]
    fn an_endpoint_never_shows_its_credentials() {
        let endpoint = AwsEndpoint {
            credentials: Some(("id".to_owned(), "hidden".to_owned())),
            ..AwsEndpoint::aws("eu-west-1")
        };
        assert!(!format!("{endpoint:?}").contains("hidden"));
    }
}
