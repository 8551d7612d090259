//! EC2's errors: code, words, HTTP status and the XML that SDKs parse.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::Error;
use crate::ec2::xml::Xml;

/// An error as EC2 answers it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct ApiError {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) status: StatusCode,
}

/// Why a call is not served.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) enum CallError {
    /// EC2 refuses it, in EC2's words.
    Api(#[from] ApiError),
    /// The lab itself failed.
    Internal(#[from] Error),
}

impl CallError {
    /// EC2's code for it.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Api(error) => &error.code,
            Self::Internal(_) => "InternalError",
        }
    }
}

impl ApiError {
    /// The caller's mistake.
    pub(crate) fn client(code: &str, message: impl Into<String>) -> Self {
        Self::with(StatusCode::BAD_REQUEST, code, message)
    }

    /// The service's trouble: the caller may try again.
    pub(crate) fn server(code: &str, message: impl Into<String>) -> Self {
        Self::with(StatusCode::INTERNAL_SERVER_ERROR, code, message)
    }

    pub(crate) fn value(parameter: &str, value: &str) -> Self {
        Self::client(
            "InvalidParameterValue",
            format!("Value ({value}) for parameter {parameter} is invalid."),
        )
    }

    pub(crate) fn missing(parameter: &str) -> Self {
        Self::client(
            "MissingParameter",
            format!("The request must contain the parameter {parameter}"),
        )
    }

    pub(crate) fn combination(message: &str) -> Self {
        Self::client("InvalidParameterCombination", message)
    }

    /// What a request with `DryRun` gets that would have been done.
    pub(crate) fn dry_run() -> Self {
        let message = "Request would have succeeded, but DryRun flag is set.";
        Self::with(StatusCode::PRECONDITION_FAILED, "DryRunOperation", message)
    }

    /// The error called `code`, as an injection asks for it, with EC2's own status for it.
    pub(crate) fn named(code: &str) -> Self {
        let message = "Injected by the lab.";
        match code {
            "RequestLimitExceeded"
            | "ResourceLimitExceeded"
            | "ServiceUnavailable"
            | "Unavailable" => Self::with(StatusCode::SERVICE_UNAVAILABLE, code, message),
            "UnauthorizedOperation" | "AuthFailure.ServiceLinkedRoleCreationNotPermitted" => {
                Self::with(StatusCode::FORBIDDEN, code, message)
            }
            "AuthFailure" => Self::with(StatusCode::UNAUTHORIZED, code, message),
            other if other.starts_with("Insufficient") && !other.ends_with("InSubnet") => {
                Self::server(other, message)
            }
            "InternalError" | "InternalFailure" | "ServerInternal" | "UnfulfillableCapacity" => {
                Self::server(code, message)
            }
            other => Self::client(other, message),
        }
    }

    pub(crate) fn with(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            status,
        }
    }

    pub(crate) fn answer(&self, request_id: &str) -> Response<Bytes> {
        let mut xml = Xml::new();
        xml.open("Response").open("Errors").open("Error");
        xml.leaf("Code", &self.code).leaf("Message", &self.message);
        xml.close("Error").close("Errors");
        xml.leaf("RequestID", request_id).close("Response");
        answer(self.status, xml)
    }
}

/// An answer of EC2.
pub(crate) fn answer(status: StatusCode, xml: Xml) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(xml.finish()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("text/xml;charset=UTF-8"),
    );
    answer
}
