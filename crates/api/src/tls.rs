//! Names by which the servers of a pair and the operator know each other.
//!
//! Every pair has a CA of its own, and a certificate of it names the pair and the part that its
//! holder plays. Both ends of a connection check the name: the CA alone would let a secondary pass
//! for its primary.

use crate::identity::Role;

/// File of the certificate chain, in PEM, in the directory of `--tls-dir`.
pub const CERTIFICATE_FILE: &str = "tls.crt";
/// File of the private key, in PEM (PKCS #8).
pub const KEY_FILE: &str = "tls.key";
/// File of all CA certificates that are trusted, in PEM. Two while one is being replaced.
pub const CA_FILE: &str = "ca.crt";

const SUFFIX: &str = "pair.dhcpfailover.io";

/// The DNS name in the certificate of a server: on the link and on the admin API.
#[must_use]
pub fn server_name(namespace: &str, pair: &str, role: Role) -> String {
    format!("{role}.{pair}.{namespace}.{SUFFIX}")
}

/// The DNS name in the client certificate with which the operator calls the admin API.
#[must_use]
pub fn operator_name(namespace: &str, pair: &str) -> String {
    format!("operator.{pair}.{namespace}.{SUFFIX}")
}
