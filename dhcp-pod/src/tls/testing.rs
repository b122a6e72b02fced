//! A CA that issues what tests ask for.

use std::path::Path;
use std::sync::Arc;

use api::identity::Role;
use rcgen::string::Ia5String;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

use super::{Certificates, Holder};
use crate::metrics::Metrics;

pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "pair CA");
        let pem = params.self_signed(&key).expect("self-signed").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes the folder of a holder whose certificate ends in the given year.
    pub(crate) fn write(&self, directory: &Path, holder: &Holder, last_year: i32) {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        // Either name will do.
        let [dns, uri] = holder.names().map(|name| Ia5String::try_from(name).expect("ASCII"));
        let primary = holder.role == Some(Role::Primary);
        params.subject_alt_names = vec![if primary { SanType::URI(uri) } else { SanType::DnsName(dns) }];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        std::fs::write(directory.join(super::CHAIN), certificate.pem()).expect("write");
        std::fs::write(directory.join(super::KEY), key.serialize_pem()).expect("write");
        std::fs::write(directory.join(super::AUTHORITIES), &self.pem).expect("write");
    }

    /// The certificates of a holder, and the folder that they are in.
    pub(crate) fn issue(&self, holder: &Holder, last_year: i32) -> (tempfile::TempDir, Arc<Certificates>) {
        let directory = tempfile::tempdir().expect("temporary directory");
        self.write(directory.path(), holder, last_year);
        let loaded = Certificates::load(directory.path(), holder.clone(), Arc::new(Metrics::new()));
        (directory, loaded.expect("loads"))
    }
}

/// The primary, secondary or operator of a pair.
pub(crate) fn holder(pair: &str, role: Option<Role>) -> Holder {
    Holder { namespace: "dhcp".to_owned(), pair: pair.to_owned(), role }
}
