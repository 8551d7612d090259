//! HTTP to AWS and to the forge.
//!
//! Version 1.1 alone, which both speak: HTTP/2, which the SDK's own client brings along, would be a
//! twentieth of the function.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use hyper_rustls::builderstates::WantsSchemes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Longest time to a connection, in milliseconds.
const CONNECT_TIMEOUT_MS: u64 = 2_000;

/// Connections to servers of one trust, over TLS where their address says so.
#[derive(Debug, Default)]
pub(crate) struct Https {
    /// The only certificates that are trusted; without them, those of the system.
    trusted: Option<Arc<RootCertStore>>,
    /// Made when first used: a delivery calls no forge, and the system's certificates take about a
    /// millisecond to read, of the four that a first delivery takes.
    client: OnceLock<Client<HttpsConnector<connect::HttpConnector>, SdkBody>>,
}

impl Https {
    /// Trusts the certificates of `ca` (PEM) alone; `None` if there is one that can't be read. Connects to
    /// nothing yet.
    pub(crate) fn trusting(ca: &str) -> Option<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            roots.add(certificate.ok()?).ok()?;
        }
        Some(Self {
            trusted: Some(Arc::new(roots)),
            client: OnceLock::new(),
        })
    }

    /// One exchange. It follows no redirect and has no limit of time: the caller sets one.
    pub(crate) async fn request(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<SdkBody>, BoxError> {
        #[cfg(debug_assertions)]
        if let Some(simulated) = crate::simulation::surroundings() {
            return Ok(simulated.exchange(request).await?.map(SdkBody::from));
        }
        let answer = self.client().request(request.map(SdkBody::from)).await?;
        Ok(answer.map(SdkBody::from_body_1_x))
    }

    /// What the SDK's clients call AWS with.
    pub(crate) fn for_sdk() -> SharedHttpClient {
        let connector = SharedHttpConnector::new(Self::default());
        http_client_fn(move |_, _| connector.clone())
    }

    fn client(&self) -> &Client<HttpsConnector<connect::HttpConnector>, SdkBody> {
        self.client.get_or_init(|| {
            let mut tcp = connect::HttpConnector::new();
            tcp.enforce_http(false);
            tcp.set_nodelay(true);
            tcp.set_connect_timeout(Some(Duration::from_millis(CONNECT_TIMEOUT_MS)));
            let https = match &self.trusted {
                None => of_system(),
                Some(roots) => trusting(Arc::clone(roots)),
            };
            let https = https.https_or_http().enable_http1().wrap_connector(tcp);
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .build(https)
        })
    }
}

impl HttpConnector for Https {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        #[cfg(debug_assertions)]
        if let Some(simulated) = crate::simulation::surroundings() {
            return HttpConnectorFuture::new(simulate(simulated, request));
        }
        let client = self.client().clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x();
            let request = request.map_err(|error| ConnectorError::user(error.into()))?;
            // Whatever happens on the way may go well the next time: who calls says if there is one.
            let answer = client.request(request).await;
            let answer = answer.map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// One exchange with a simulated AWS.
#[cfg(debug_assertions)]
async fn simulate(
    simulated: Arc<dyn crate::simulation::Surroundings>,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x();
    let request = request.map_err(|error| ConnectorError::user(error.into()))?;
    let request = request.map(|body| Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
    let answer = simulated.exchange(request).await;
    let answer = answer.map_err(ConnectorError::io)?;
    HttpResponse::try_from(answer.map(SdkBody::from))
        .map_err(|error| ConnectorError::other(error.into(), None))
}

/// Trusts what the system trusts. On one without certificates no TLS connection will come about, and
/// each error says so.
fn of_system() -> HttpsConnectorBuilder<WantsSchemes> {
    let system = HttpsConnectorBuilder::new().with_provider_and_native_roots(default_provider());
    system.unwrap_or_else(|error| {
        tracing::error!(%error, "the system has no certificates to trust");
        trusting(Arc::new(RootCertStore::empty()))
    })
}

/// Trusts these alone. The SDK's default cryptography costs 40 ms of CPU at the first connection, ring none.
fn trusting(roots: Arc<RootCertStore>) -> HttpsConnectorBuilder<WantsSchemes> {
    let config = ClientConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    HttpsConnectorBuilder::new().with_tls_config(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_that_no_certificate_can_be_read_from_is_refused_before_it_is_used() {
        let no_base64 = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(Https::trusting(no_base64).is_none());
        assert!(Https::trusting(no_certificate).is_none());
    }
}
