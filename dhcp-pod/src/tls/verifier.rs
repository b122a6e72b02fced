//! Accepts one named holder, by a chain to the pair's CA.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use x509_parser::extensions::GeneralName;

use super::Holder;
use crate::logging::Brake;
use crate::metrics::Metrics;

/// Accepts one holder, whatever its address.
///
/// An expired certificate is accepted with an alarm: days without the operator must not end in two
/// servers that refuse each other while clients wait (see "Decisions" in the design).
pub(super) struct Verifier {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    client: Arc<dyn ClientCertVerifier>,
    holder: Holder,
    accepted: [String; 2],
    metrics: Arc<Metrics>,
    brake: Arc<Brake>,
}

impl Verifier {
    pub(super) fn new(
        roots: RootCertStore,
        provider: Arc<CryptoProvider>,
        holder: Holder,
        metrics: Arc<Metrics>,
        brake: Arc<Brake>,
    ) -> Result<Self, VerifierBuilderError> {
        let roots = Arc::new(roots);
        let client = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build()?;
        Ok(Self { roots, provider, client, accepted: holder.names(), holder, metrics, brake })
    }

    /// Runs `check` as of now and, if the certificate or its issuer's has expired, as of its own time.
    fn check_chain(
        &self,
        leaf: &CertificateDer<'_>,
        now: UnixTime,
        check: impl Fn(UnixTime) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if !names(&parsed).iter().any(|name| self.accepted.iter().any(|accepted| accepted == name)) {
            tracing::debug!("certificate of {:?} where {} is expected", names(&parsed), self.holder);
            return Err(Error::InvalidCertificate(CertificateError::NotValidForName));
        }
        let outcome = check(now);
        let Err(Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) = outcome
        else {
            return outcome;
        };
        // Two moments at which the whole chain should have been valid: whichever part of it expired.
        let at = |seconds: i64| {
            UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
        };
        let validity = parsed.validity();
        let last_second = at(validity.not_after.timestamp() - 1);
        check(last_second).or_else(|_| check(at(validity.not_before.timestamp())))?;
        self.metrics.count("certificate_warnings", "expired");
        if self.brake.pass("expired").is_some() {
            tracing::error!(
                "the certificate of {} or its issuer's has expired (it ended at {}); it is accepted all the same, but nobody renews it: is the operator running?",
                self.holder,
                parsed.validity().not_after,
            );
        }
        Ok(())
    }
}

/// Whom a certificate is made out to.
fn names<'a>(certificate: &'a x509_parser::certificate::X509Certificate<'_>) -> Vec<&'a str> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => Some(*name),
        _ => None,
    });
    names.collect()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check_chain(end_entity, now, |at| {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(end_entity)?,
                &self.roots,
                intermediates,
                at,
                self.provider.signature_verification_algorithms.all,
            )
        })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.client.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check_chain(end_entity, now, |at| {
            self.client.verify_client_cert(end_entity, intermediates, at).map(|_| ())
        })?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.client.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.client.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.client.supported_verify_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("holder", &self.holder).finish_non_exhaustive()
    }
}
