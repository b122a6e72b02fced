//! Which volumes are told that they belong to a brand-new pair.
//!
//! A token skips the MCLT wait of a server that lost its leases, so every doubt ends without one
//! (`spec/failover-protocol.md` §12.2); the server refuses it once more by its own store.

use api::identity::Role;
use api::pair::DhcpFailoverPair;
use api::status::{BootstrapToken, ServerReport, StoreStatus};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::names::ByRole;
use crate::plan::children::pod_of;
use crate::seen::{ClaimSeen, Seen, ServerSeen};

/// A token to be given to a server.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Grant {
    /// To whom.
    pub role: Role,
    /// Number of the claim that is marked once the server took it.
    pub claim: u32,
    /// The token.
    pub token: BootstrapToken,
}

/// Whether a report shows that a store exists, or existed, on this very claim.
#[must_use]
pub fn shows_store(report: &ServerReport, claim: &ClaimSeen) -> bool {
    report.store != StoreStatus::Empty && report.volume_uid.as_deref() == Some(claim.uid.as_str())
}

/// After one server took its token, the other may still get its own for so long: the word that the
/// pair is new was given for both, and a lost packet must not cost a wait of the MCLT.
const TOGETHER: SignedDuration = SignedDuration::from_secs(120);

/// Tokens are given to all own servers together or to none: a pair is new only as a whole. The
/// primary's comes first: if only one arrives, it is the one that serves.
#[must_use]
pub fn grants(pair: &DhcpFailoverPair, seen: &Seen) -> Vec<Grant> {
    let own = || ByRole::<()>::ROLES.into_iter().filter(|role| pod_of(pair, *role).is_some());
    let of_new_pair = |role: Role| {
        let server = seen.servers.get(role);
        new_volume(server).is_some() || just_told(server, seen)
    };
    if !own().all(of_new_pair) {
        return Vec::new();
    }
    own()
        .filter_map(|role| Some((role, new_volume(seen.servers.get(role))?)))
        .map(|(role, claim)| Grant {
            role,
            claim: claim.number,
            token: BootstrapToken {
                pair_uid: pair.metadata.uid.clone(),
                volume_uid: claim.uid.clone(),
                role: Some(role),
                issued_at: seen.now,
            },
        })
        .collect()
}

/// Whether the pair may still turn out to be brand-new: nothing shows a store or a token on any of
/// its volumes, or a token is still to be given.
#[must_use]
pub fn may_be_new(pair: &DhcpFailoverPair, seen: &Seen) -> bool {
    let has_past = |role: Role| {
        let server = seen.servers.get(role);
        let marked = |claim: &ClaimSeen| claim.number > 0 || claim.store_seen || claim.token_taken.is_some();
        server.claim.as_ref().is_some_and(marked)
            || server.heard.report.as_ref().is_some_and(|report| report.store != StoreStatus::Empty)
    };
    let past = ByRole::<()>::ROLES.into_iter().any(|role| pod_of(pair, role).is_some() && has_past(role));
    !past || !grants(pair, seen).is_empty()
}

/// The claim of a server that says, now and of this claim, that its store is empty, and of whose
/// claim nobody ever said otherwise.
fn new_volume(server: &ServerSeen) -> Option<&ClaimSeen> {
    let claim = server.claim.as_ref()?;
    let report = server.live()?;
    // A higher number replaced another volume.
    let fresh = claim.number == 0 && !claim.deleting && !claim.store_seen && claim.token_taken.is_none();
    let same = report.volume_uid.as_deref() == Some(claim.uid.as_str());
    (fresh && same && report.store == StoreStatus::Empty).then_some(claim)
}

/// Whether a server that answers took its token a moment ago.
fn just_told(server: &ServerSeen, seen: &Seen) -> bool {
    let taken = server.claim.as_ref().and_then(|claim| claim.token_taken);
    let moment =
        |taken: Timestamp| (SignedDuration::ZERO..=TOGETHER).contains(&seen.now.duration_since(taken));
    server.live().is_some() && taken.is_some_and(moment)
}
