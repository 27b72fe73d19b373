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
    self, CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
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
        Verify::CertificateAndName => builder.with_root_certificates(roots).with_no_client_auth(),
        Verify::Certificate => {
            let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| format!("TLS cannot be set up: {error}"))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName(inner))).with_no_client_auth()
        }
        Verify::Nothing => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anything(provider))).with_no_client_auth()
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// What went wrong in a handshake, and which setting is concerned.
pub(super) fn explain(error: &std::io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    match tls {
        Some(TlsError::InvalidCertificate(problem)) => {
            let hint = match problem {
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    "set [mta] smtp_host to a name of the certificate, or smtp_verify_hostname: no"
                }
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    "add the issuer to the trusted roots of this system, or set [mta] smtp_verify_cert: no"
                }
                _ => "renew the certificate of the mail server",
            };
            format!("its certificate is refused: {problem}; {hint}")
        }
        Some(TlsError::InvalidMessage(_)) => {
            format!("TLS failed: {error}; perhaps this port does not begin with TLS ([mta] smtp_secure_mode)")
        }
        _ => format!("TLS failed: {error}"),
    }
}

/// Takes a valid certificate for any name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        // The chain is verified before the name, so that a wrong name means a good chain.
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
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
