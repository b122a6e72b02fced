//! The manifest as servers get it: the object's, with what only the operator knows filled in.

use std::net::Ipv4Addr;

use api::identity::Role;
use api::pair::{DhcpFailoverPair, PairManifest};
use api::status::Ports;
use sha2::{Digest, Sha256};

use crate::admission;
use crate::names::ByRole;
use crate::plan::children::pod_of;
use crate::plan::token;
use crate::seen::Seen;

/// Fills in the addresses of both servers and the port of the link. A server finds its partner by
/// them, so that an address that becomes known needs no restart.
///
/// The servers of a pair that may be brand-new are not introduced to each other yet: once they have
/// met, their stores are no longer empty, and it is too late for a bootstrap token.
#[must_use]
pub fn filled(pair: &DhcpFailoverPair, seen: &Seen, ports: Ports) -> PairManifest {
    let mut manifest = admission::manifest(pair);
    manifest.spec.link.port = Some(ports.link);
    let introduced = !token::may_be_new(pair, seen);
    let addresses = ByRole::build(|role| address(pair, seen, role).filter(|_| introduced));
    let sides = [
        (Some(&mut manifest.spec.primary), addresses.primary),
        (manifest.spec.secondary.as_mut(), addresses.secondary),
    ];
    for (server, address) in sides {
        if let Some(pod) = server.and_then(|server| server.pod.as_mut()) {
            pod.address = address;
        }
    }
    manifest
}

/// The address of a server: the spec's, else that of the node it runs on, else the last known one,
/// so that a restart of one server does not take its address from the other.
#[must_use]
pub fn address(pair: &DhcpFailoverPair, seen: &Seen, role: Role) -> Option<Ipv4Addr> {
    let asked = pod_of(pair, role)?.address;
    let node = || seen.servers.get(role).pod.as_ref().and_then(|pod| pod.host_ip);
    let before = || {
        let status = pair.status.as_ref()?;
        match role {
            Role::Primary => status.primary.as_ref(),
            Role::Secondary => status.secondary.as_ref(),
        }?
        .address
    };
    asked.or_else(node).or_else(before)
}

/// The text in the ConfigMap.
#[must_use]
pub fn yaml(manifest: &PairManifest) -> String {
    serde_saphyr::to_string(manifest).expect("a manifest is plain YAML")
}

/// The body of `PUT /v1/config`.
#[must_use]
pub fn body(manifest: &PairManifest) -> Vec<u8> {
    serde_json::to_vec(manifest).expect("a manifest is plain JSON")
}

/// By what a push is told from the last one.
#[must_use]
pub fn fingerprint(manifest: &PairManifest) -> String {
    Sha256::digest(body(manifest)).iter().map(|octet| format!("{octet:02x}")).collect()
}
