//! TLS towards the MTA: which certificates are taken.
//!
//! Promise: with `smtp_verify_cert` (the default) nothing is sent to a server whose certificate
//! does not chain to a root of this system, and with `smtp_verify_hostname` (the default) nothing
//! to one whose certificate is not for `smtp_host`. Without `smtp_verify_cert` the name is not
//! checked either: a name in a certificate that nobody vouches for proves nothing.

use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, OtherError, RootCertStore,
    SignatureScheme,
};

/// What is asked of the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Valid and for this host.
    CertificateAndName,
    /// Valid, for whatever host.
    Certificate,
    /// Nothing.
    Nothing,
}

impl Verify {
    /// From `smtp_verify_cert` and `smtp_verify_hostname`.
    pub fn from_settings(certificate: bool, hostname: bool) -> Self {
        match (certificate, hostname) {
            (true, true) => Verify::CertificateAndName,
            (true, false) => Verify::Certificate,
            (false, _) => Verify::Nothing,
        }
    }
}

/// A connector that trusts the roots of this system (`SSL_CERT_FILE`, `SSL_CERT_DIR` and the
/// distribution's places).
///
/// # Errors
/// A sentence: no root certificate was found though one is needed.
pub fn connector(verify: Verify) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    if verify != Verify::Nothing {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
            return Err(format!(
                "no root certificates were found on this system{why}; install ca-certificates or set SSL_CERT_FILE"
            ));
        }
    }
    connector_with_roots(verify, roots)
}

/// A connector that trusts just these roots.
///
/// # Errors
/// A sentence: there is none though one is needed.
pub fn connector_with_roots(verify: Verify, roots: RootCertStore) -> Result<TlsConnector, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let config = match verify {
        Verify::CertificateAndName | Verify::Certificate => {
            let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| format!("TLS cannot be set up: {error}"))?;
            let verifier = Trusted { inner, provider, any_name: verify == Verify::Certificate };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
        Verify::Nothing => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anything(provider))).with_no_client_auth()
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The certificate is self-signed, so that no issuer can be trusted; a reason that rustls does not tell apart.
#[derive(Debug, thiserror::Error)]
#[error("it is self-signed")]
pub(super) struct SelfSigned;

/// Takes a certificate that chains to a trusted root.
#[derive(Debug)]
struct Trusted {
    inner: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
    /// For any name.
    any_name: bool,
}

impl Trusted {
    /// Whether it would be valid if it were a root itself.
    fn is_self_signed(&self, certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> bool {
        let mut root = RootCertStore::empty();
        if root.add(certificate.clone().into_owned()).is_err() {
            return false;
        }
        let provider = Arc::clone(&self.provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(root), provider).build();
        verifier.is_ok_and(|verifier| match verifier.verify_server_cert(certificate, &[], name, &[], now) {
            Ok(_) => true,
            Err(TlsError::InvalidCertificate(problem)) => is_about_the_name(&problem),
            Err(_) => false,
        })
    }
}

fn is_about_the_name(problem: &CertificateError) -> bool {
    matches!(problem, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        // The chain is verified before the name, so that a wrong name means a good chain.
        match self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(TlsError::InvalidCertificate(problem)) if self.any_name && is_about_the_name(&problem) => {
                Ok(ServerCertVerified::assertion())
            }
            Err(TlsError::InvalidCertificate(CertificateError::UnknownIssuer))
                if self.is_self_signed(end_entity, server_name, now) =>
            {
                Err(TlsError::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(SelfSigned)))))
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Takes any certificate; the server must still hold its key.
#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
