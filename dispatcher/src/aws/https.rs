//! HTTP to the forge, by the connector that AWS is called with: a second client would be a second
//! TLS setup, in bytes and at every cold start.

use std::sync::OnceLock;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The cryptography of every connection; the SDK's default costs 40 ms of CPU at the first one.
pub(crate) const TLS: Provider = Provider::Rustls(CryptoMode::Ring);

/// Connections to one server, over TLS where its address says so.
#[derive(Debug)]
pub(crate) struct Https {
    trusted: TrustStore,
    /// Made when first used: a delivery calls no forge, and the system's certificates take about a
    /// millisecond to read, of the four that a first delivery takes.
    connector: OnceLock<Connector>,
}

/// The CA is no list of certificates in PEM.
#[derive(Debug)]
pub(crate) struct BadCa;

impl Https {
    /// Trusts `ca` (PEM) alone, or without one what the system trusts. Connects to nothing yet.
    pub(crate) fn new(ca: Option<&str>) -> Result<Self, BadCa> {
        let trusted = match ca {
            None => TrustStore::default(),
            Some(pem) => {
                check(pem)?;
                TrustStore::empty().with_pem_certificate(pem)
            }
        };
        Ok(Self {
            trusted,
            connector: OnceLock::new(),
        })
    }

    /// One exchange. It follows no redirect and has no limit of time: the caller sets one.
    pub(crate) async fn request(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<SdkBody>, ConnectorError> {
        let request = request.map(SdkBody::from);
        let request = HttpRequest::try_from(request).map_err(|e| ConnectorError::user(e.into()))?;
        let connector = self.connector.get_or_init(|| {
            let context = TlsContext::builder().with_trust_store(self.trusted.clone());
            Connector::builder()
                .tls_provider(TLS)
                .tls_context(context.build().expect("a trust store alone is valid"))
                .build()
        });
        let answer = connector.call(request).await?;
        answer
            .try_into_http1x()
            .map_err(|e| ConnectorError::other(e.into(), None))
    }
}

/// The connector panics at a certificate that it can't read.
fn check(pem: &str) -> Result<(), BadCa> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots
            .add(certificate.map_err(|_| BadCa)?)
            .map_err(|_| BadCa)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_that_no_certificate_can_be_read_from_is_refused_before_it_is_used() {
        let no_base64 = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(Https::new(Some(no_base64)).is_err());
        assert!(Https::new(Some(no_certificate)).is_err());
        assert!(Https::new(None).is_ok());
    }
}
