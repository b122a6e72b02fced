//! Certificates of a pair: its CA, the leaves of its servers, and the operator's own.
//!
//! Only keys and times, no I/O. Each pair has a CA of its own, so that what one pair's servers
//! accept is worth nothing at another's.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Leaves live this long. They are renewed after a third, so that an operator that is away for
/// weeks stops nothing.
const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);
const LEAF_RENEWAL: SignedDuration = SignedDuration::from_hours(30 * 24);
/// CAs live this long; a successor is made when a third is left.
const CA_LIFE: SignedDuration = SignedDuration::from_hours(3 * 365 * 24);
const CA_SUCCESSION: SignedDuration = SignedDuration::from_hours(2 * 365 * 24);
/// A successor is trusted this long before it signs, so that every server knows it by then.
const CA_NOTICE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Clocks of nodes differ; a certificate must not be too young for one of them.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library refused.
    #[error("making a certificate")]
    Make(#[from] rcgen::Error),
    /// The CA that is to sign has no key.
    #[error("the signing CA has no key")]
    NoKey,
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        "certificate"
    }
}

/// A CA of a pair.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ca {
    /// Its certificate, in PEM.
    pub certificate: String,
    /// Its key, in PEM; absent once it signs no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When it was made.
    pub since: Timestamp,
}

/// The CAs of a pair: one signs, and up to two more are trusted while one follows another.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaSet {
    /// Signs new leaves.
    pub signing: Ca,
    /// Trusted already, signs later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Ca>,
    /// Signed before; trusted until its last leaf has expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Ca>,
    /// When the signing CA took over.
    pub signing_since: Timestamp,
}

/// A certificate with its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Leaf {
    /// In PEM.
    pub certificate: String,
    /// In PEM, PKCS #8.
    pub key: String,
    /// When to make the next one.
    pub renew_at: Timestamp,
}

/// What a leaf is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// A server: it dials its partner and is dialled by it and by the operator.
    Server,
    /// The operator: it only dials.
    Operator,
}

impl CaSet {
    /// The first CA of a pair.
    pub fn new(pair: &str, now: Timestamp) -> Result<Self, Error> {
        Ok(Self { signing: ca(pair, now)?, next: None, previous: None, signing_since: now })
    }

    /// The next step of succession, if one is due. Both old and new are trusted from the first step
    /// to the last, so no step has to reach both servers at the same time.
    pub fn advance(&self, pair: &str, now: Timestamp) -> Result<Option<Self>, Error> {
        let mut set = self.clone();
        if let Some(next) = &self.next {
            if now < next.since + CA_NOTICE {
                return Ok(None);
            }
            set.previous = Some(Ca { key: None, ..self.signing.clone() });
            set.signing = next.clone();
            set.next = None;
            set.signing_since = now;
            return Ok(Some(set));
        }
        if self.previous.is_some() && now >= self.signing_since + LEAF_LIFE {
            set.previous = None;
            return Ok(Some(set));
        }
        if now >= self.signing.since + CA_SUCCESSION {
            set.next = Some(ca(pair, now)?);
            return Ok(Some(set));
        }
        Ok(None)
    }

    /// All trusted CAs, in PEM.
    #[must_use]
    pub fn bundle(&self) -> String {
        [Some(&self.signing), self.next.as_ref(), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .map(|ca| ca.certificate.as_str())
            .collect()
    }

    /// Changes whenever leaves, or the bundle beside them, have to be made anew.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        Sha256::digest(self.bundle()).iter().take(8).map(|octet| format!("{octet:02x}")).collect()
    }

    /// Makes a leaf for a DNS name.
    pub fn issue(&self, name: &str, purpose: Purpose, now: Timestamp) -> Result<Leaf, Error> {
        let key = self.signing.key.as_ref().ok_or(Error::NoKey)?;
        let issuer = Issuer::from_ca_cert_pem(&self.signing.certificate, KeyPair::from_pem(key)?)?;
        let mut params = CertificateParams::default();
        validity(&mut params, now, LEAF_LIFE);
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::OrganizationName, "DhcpFailoverPair");
        params.subject_alt_names = vec![SanType::DnsName(name.try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match purpose {
            Purpose::Server => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            Purpose::Operator => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(Leaf { certificate: certificate.pem(), key: key.serialize_pem(), renew_at: now + LEAF_RENEWAL })
    }
}

fn ca(pair: &str, now: Timestamp) -> Result<Ca, Error> {
    let mut params = CertificateParams::default();
    validity(&mut params, now, CA_LIFE);
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::OrganizationName, "DhcpFailoverPair CA");
    // The time tells two CAs of one pair apart: verifiers choose by the subject's name.
    params.distinguished_name.push(DnType::OrganizationalUnitName, format!("{pair} {}", now.as_second()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Ca { certificate: certificate.pem(), key: Some(key.serialize_pem()), since: now })
}

fn validity(params: &mut CertificateParams, now: Timestamp, life: SignedDuration) {
    let at = |time: Timestamp| {
        let seconds = u64::try_from(time.as_second()).unwrap_or(0);
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    params.not_before = at(now - BACKDATED);
    params.not_after = at(now + life);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> Timestamp {
        let start: Timestamp = "2026-11-01T00:00:00Z".parse().expect("a time");
        start + SignedDuration::from_hours(24 * day)
    }

    #[test]
    fn a_leaf_is_renewed_long_before_it_expires() {
        let leaf =
            CaSet::new("dhcp/lab", day(0)).and_then(|set| set.issue("a.example", Purpose::Server, day(0)));
        assert_eq!(leaf.expect("a leaf").renew_at, day(30));
    }

    #[test]
    fn a_ca_is_trusted_a_week_before_it_signs_and_until_its_last_leaf_has_expired() {
        let step = |set: &CaSet, at| set.advance("dhcp/lab", day(at)).expect("no error");
        let first = CaSet::new("dhcp/lab", day(0)).expect("a CA");
        assert_eq!(step(&first, 729), None);
        let second = step(&first, 730).expect("a successor is made");
        assert_eq!(second.signing, first.signing, "the old one signs on");
        assert_eq!(second.bundle().matches("BEGIN").count(), 2);
        assert_eq!(step(&second, 736), None);
        let third = step(&second, 737).expect("the successor signs");
        assert_eq!(Some(&third.signing), second.next.as_ref());
        assert_eq!(third.bundle().matches("BEGIN").count(), 2);
        assert_eq!(third.previous.as_ref().and_then(|ca| ca.key.clone()), None, "the old key is gone");
        assert_eq!(step(&third, 737 + 89), None);
        let last = step(&third, 737 + 90).expect("the old one is dropped");
        assert_eq!(last.bundle().matches("BEGIN").count(), 1);
        assert_ne!(last.fingerprint(), third.fingerprint());
    }
}
