//! Services of which one call is needed, without their generated clients. Each of those brings every
//! error that its service knows: SSM's and Lambda's together were a tenth of the function. Signature,
//! retries, limits of time and connections are the SDK's here too; request and answer are JSON.

use std::fmt;

use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_sdk_dynamodb::error::SdkError;
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{
    HttpStatusCodeClassifier, TransientErrorClassifier,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::AuthSchemeOptionResolverParams;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::identity::SharedIdentityResolver;
use aws_smithy_runtime_api::client::orchestrator::{
    HttpRequest, HttpResponse, OrchestratorError, SensitiveOutput,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_types::region::SigningRegion;
use aws_types::{SdkConfig, SigningName};
use serde_json::Value;

use super::Failure;

/// One service.
#[derive(Debug)]
pub(super) struct Service {
    operation: Operation<Call, Body, ErrorMetadata>,
}

/// One request.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) path: String,
    pub(super) headers: &'static [(&'static str, &'static str)],
    pub(super) body: Value,
}

/// What a service answered. It may hold secrets, so it does not show.
pub(super) struct Body(pub(super) Vec<u8>);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body(***)")
    }
}

impl Service {
    /// The service that signatures and addresses call `name`.
    pub(super) fn new(config: &SdkConfig, name: &'static str, retry: &RetryConfig) -> Self {
        let region = config.region().expect("it is set in `Aws::new`").as_ref();
        let endpoint = config
            .endpoint_url()
            .map_or_else(|| endpoint(name, region), str::to_owned);
        let operation = Operation::builder()
            .service_name(name)
            .operation_name("call")
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
            .http_client(config.http_client().expect("it is set in `Aws::new`"))
            .endpoint_url(&endpoint)
            .timeout_config(
                config
                    .timeout_config()
                    .expect("it is set in `Aws::new`")
                    .clone(),
            )
            .standard_retry(retry)
            .retry_classifier(HttpStatusCodeClassifier::default())
            .retry_classifier(TransientErrorClassifier::<ErrorMetadata>::new())
            .retry_classifier(AwsErrorCodeClassifier::<ErrorMetadata>::new())
            .runtime_plugin(signature(config, name))
            .serializer(request)
            .deserializer(answer)
            .build();
        Self { operation }
    }

    /// Sends `call`; `name` is what a failure calls it.
    pub(super) async fn send(&self, name: &'static str, call: Call) -> Result<Body, Failure> {
        let sent = self.operation.invoke(call).await;
        sent.map_err(|error: SdkError<_, _>| Failure::of(name, &error))
    }
}

/// What signs the requests to the service called `name`.
fn signature(config: &SdkConfig, name: &'static str) -> StaticRuntimePlugin {
    let mut settings = Layer::new("signature");
    settings.store_put(AuthSchemeOptionResolverParams::new(()));
    settings.store_put(SigV4OperationSigningConfig {
        region: config.region().cloned().map(SigningRegion::from),
        name: Some(SigningName::from_static(name)),
        ..SigV4OperationSigningConfig::default()
    });
    // The parameters hold secrets: without this, a log of everything would show the answer.
    settings.store_put(SensitiveOutput);
    let credentials = config
        .credentials_provider()
        .expect("they are set in `Aws::new`");
    let components = RuntimeComponentsBuilder::new("signature")
        .with_auth_scheme(SigV4AuthScheme::new())
        .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![
            SCHEME_ID,
        ])))
        .with_identity_cache(Some(IdentityCache::no_cache()))
        .with_identity_resolver(SCHEME_ID, SharedIdentityResolver::new(credentials));
    StaticRuntimePlugin::new()
        .with_config(settings.freeze())
        .with_runtime_components(components)
}

/// Where a service answers. AWS in China has a domain of its own.
fn endpoint(service: &str, region: &str) -> String {
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://{service}.{region}.amazonaws.com{china}")
}

fn request(call: Call) -> Result<HttpRequest, BoxError> {
    let mut request = HttpRequest::new(SdkBody::from(call.body.to_string()));
    request.set_method("POST")?;
    request.set_uri(call.path)?;
    for (name, value) in call.headers {
        request.headers_mut().insert(*name, *value);
    }
    Ok(request)
}

fn answer(response: &HttpResponse) -> Result<Body, OrchestratorError<ErrorMetadata>> {
    let body = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        return Ok(Body(body.to_vec()));
    }
    let code = response.headers().get("x-amzn-errortype");
    Err(OrchestratorError::operation(error(code, body)))
}

/// An error as both JSON protocols of AWS have it: `CODE`, `CODE:ADDRESS` or `PREFIX#CODE` in a
/// header or in the body.
fn error(code: Option<&str>, body: &[u8]) -> ErrorMetadata {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let mut error = ErrorMetadata::builder();
    if let Some(code) = code.or_else(|| text("__type")).or_else(|| text("code")) {
        let code = code.split(':').next().unwrap_or_default();
        error = error.code(code.rsplit('#').next().unwrap_or_default());
    }
    if let Some(message) = text("message").or_else(|| text("Message")) {
        error = error.message(message);
    }
    error.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_wherever_a_service_puts_it() {
        let lambda = br#"{"Type":"User","Message":"Function not found"}"#;
        let lambda = error(Some("ResourceNotFoundException:http://x/"), lambda);
        assert_eq!(lambda.code(), Some("ResourceNotFoundException"));
        assert_eq!(lambda.message(), Some("Function not found"));
        let ssm =
            br#"{"__type":"com.amazonaws.ssm#ThrottlingException","message":"Rate exceeded"}"#;
        let ssm = error(None, ssm);
        assert_eq!(ssm.code(), Some("ThrottlingException"));
        assert_eq!(ssm.message(), Some("Rate exceeded"));
        assert_eq!(error(None, b"<html>").code(), None);
    }

    #[test]
    fn china_has_its_own_domain() {
        assert_eq!(
            endpoint("ssm", "eu-west-1"),
            "https://ssm.eu-west-1.amazonaws.com"
        );
        assert_eq!(
            endpoint("ssm", "cn-north-1"),
            "https://ssm.cn-north-1.amazonaws.com.cn"
        );
    }
}
