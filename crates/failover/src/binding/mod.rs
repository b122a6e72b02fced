//! What a binding becomes: by the partner's word, by the partner's answer, by clients and by time
//! (`spec/failover-behaviour.md` §6.1, §9; `spec/failover-protocol.md` §3).
//!
//! Every function takes the record and gives the one to commit, or says why not. Nothing is sent here:
//! a record whose [`Sync`] is `Due` has news for the partner, and [`update_for`] is that news.

mod conflict;
mod duel;
mod hold;
mod judge;
mod local;
mod merge;
mod options;
mod update;

#[cfg(test)]
mod tests;

use api::identity::Role;
use api::time::{Seconds, UnixTime};
use leases::lease::{Client, Lease, Status};

use crate::session::ClockShift;
use crate::wire::{BindingUpdate, RejectReason};

pub use duel::winner;
pub use hold::{
    QUARANTINE, amnesia_hold, end_quarantine, freeze, is_promised_to_anybody, leased_although_abandoned,
    own_data_lost, partner_lost_data, prolong_quarantine, revive_for_amnesia, thaw,
};
pub use judge::{UNDER_WAY, judge};
pub use local::{
    Denied, Here, Serving, abandon, abandoned_timeout, adopt, decline, expire, give, grant, is_held_free,
    may_adopt, may_lease, may_rewind, reclaim, release, reserve, reset, unpark, unreserve,
};
pub use options::{holder_told, tell_hold, tell_holder, tells_hold};
pub use update::{
    Side, acked, is_withheld, outlasted, rejected, tell_time_out, tells_of_no_lease, update_for,
};

/// With whose manners the partner must be reckoned (`spec/failover-protocol.md` §0).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// An ISC dhcpd, or anything that did not name itself.
    Isc,
    /// A server of ours.
    Own,
}

/// What a received update is judged by, beside the record itself.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    /// Local wall clock.
    pub now: UnixTime,
    /// Clock guard G (§2.2).
    pub guard: Seconds,
    /// Own role.
    pub role: Role,
    /// The partner's manners on this connection.
    pub dialect: Dialect,
    /// MCLT in force for waits.
    pub mclt: Seconds,
    /// Our own update for the address, if it was handed to a socket of this connection and neither
    /// accepted nor rejected: a duel. Exactly as it was sent.
    pub unacked: Option<&'a BindingUpdate>,
    /// By how many seconds the partner's clock is ahead of ours; zero with an ISC peer and whenever the
    /// difference is within measuring error. Received times are corrected by it here and not before, as
    /// a duel compares what both sides saw on the wire.
    pub partner_ahead: i32,
    /// By what a duel with an own peer corrects those.
    pub clock_shift: ClockShift,
    /// As in [`Lease::changed_at_edge`].
    pub link_edges: u64,
    /// The address is in a pool or reservation of this relationship.
    pub in_pools: bool,
    /// The local configuration reserves the address.
    pub reserved_here: bool,
    /// We are fetching our data anew after they were lost or restored: an incoming Active replaces ours (§8).
    pub lost_data: bool,
    /// The partner's data are whole, so whatever it says replaces what was lost or restored here: an old copy of a
    /// lease proves nothing (decision 026).
    pub partner_is_whole: bool,
    /// One of the two was in PartnerDown and the pair was not in Normal since: of two clients the one
    /// with the later contact holds the address (§8).
    pub after_partner_down: bool,
    /// Either side sent or answered UPDREQALL for lost data and the pair was not in Normal since: what
    /// comes in Active is held for as long as the lost server may have promised (§8).
    pub amnesia: bool,
}

impl Judge<'_> {
    fn side(&self) -> Side {
        Side { now: self.now, role: self.role, dialect: self.dialect, mclt: self.mclt }
    }
}

/// What to do with a received update. Commit first, then answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Commit this record, then acknowledge. If its `sync` is `Due`, our record said more than the
    /// partner's, and the merged one follows the acknowledgement.
    Accept(Lease),
    /// As `Accept`, and the update that follows repairs what the peer forgot in a duel
    /// (`spec/failover-protocol.md` §3.6). Until it is acknowledged no potential counts: they are zero in
    /// this record. Our own update is no longer waited for.
    AcceptThenRepair(Lease),
    /// Answer with this reason; the record stays as it is.
    Reject(RejectReason, &'static str),
}

/// The client that loses its address if `taken` replaces `mine`: a conflict to be logged and told.
#[must_use]
pub fn displaced<'a>(mine: &'a Lease, taken: &Lease) -> Option<&'a Client> {
    let holder = mine.client.as_ref().filter(|_| mine.status == Status::Active)?;
    let other = taken.client.as_ref().filter(|_| taken.status == Status::Active)?;
    (!holder.same(other)).then_some(holder)
}

/// Whether the record is this client's.
fn is_of(lease: &Lease, client: Option<&Client>) -> bool {
    match (&lease.client, client) {
        (Some(holder), Some(client)) => holder.same(client),
        (None, _) | (_, None) => false,
    }
}
