//! Sending: the update for a record, and what the partner's answer makes of it
//! (`spec/failover-protocol.md` §3.2, §3.5).

use api::identity::{Role, State};
use api::time::{Seconds, UnixTime};
use leases::lease::{Client, Lease, Status, Sync};
use marks::{Rule, sometimes};

use super::local::is_unparked;
use super::merge::own_if_reserved;
use super::{Dialect, options};
use crate::wire::{BindingUpdate, RejectReason};

/// Our side of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    /// Local wall clock.
    pub now: UnixTime,
    /// Own role.
    pub role: Role,
    /// The partner's manners on this connection.
    pub dialect: Dialect,
    /// The longest lead by which the partner may have granted.
    pub mclt: Seconds,
}

/// The update that tells the partner of a record. The record must be durable before it is sent.
///
/// Time fields say "now" for an address that changes hands, so make it when it is sent.
#[must_use]
pub fn update_for(lease: &Lease, side: &Side) -> BindingUpdate {
    let status = status_told(lease, side);
    sometimes!(
        match status {
            Status::Backup => Rule::TellsReserved,
            Status::Expired => Rule::TellsUnparkedExpired,
            _ => Rule::TellsUnparkedReset,
        },
        status != lease.status
    );
    let client = lease.client.as_ref().filter(|_| status != Status::Abandoned);
    let (lease_expiry, potential_expiry) = match status {
        Status::Active if lease.flags.bootp => (UnixTime::INFINITE, UnixTime::ZERO),
        // A dhcpd primary grants its next lease of the address by what it is told here (decision 028).
        Status::Expired if (side.dialect, side.role) == (Dialect::Isc, Role::Secondary) => {
            (lease.held_until, lease.held_until)
        }
        // The high-water marks, so that the partner's copies never fall either (§5).
        Status::Active | Status::Expired => (lease.held_until, lease.sent_potential),
        Status::Released | Status::Abandoned | Status::Reset => (lease.held_until, lease.starts),
        // An ISC secondary that has leased the address then refuses instead of dropping its client.
        Status::Free if (side.dialect, side.role) == (Dialect::Isc, Role::Primary) => {
            sometimes!(Rule::IscReclaimLead);
            (lease.held_until, side.now + RECLAIM_LEAD)
        }
        Status::Free | Status::Backup => (lease.held_until, side.now),
    };
    BindingUpdate {
        address: Some(lease.address),
        status: Some(status),
        client_id: client.and_then(|client| client.id.clone()),
        hardware: client.map(|client| client.hardware.clone()),
        lease_expiry: Some(lease_expiry.get()),
        potential_expiry: Some(potential_expiry.get()),
        starts: Some(lease.starts.get()),
        cltt: contact_told(lease, side).filter(|_| client.is_some()).map(UnixTime::get),
        flags: lease.flags,
        request_options: match side.dialect {
            Dialect::Own if client.is_some() => options::encode(lease),
            Dialect::Own | Dialect::Isc => None,
        },
        reply_options: None,
    }
}

/// Adds to an update of an abandoned address for how long it is to stay out of use: a dhcpd uses it again, in either role,
/// at the end that came with it, also if it has leased it again before it hears of that.
pub fn tell_time_out(
    update: &mut BindingUpdate,
    lease: &Lease,
    timeout: Seconds,
    guard: Seconds,
    side: &Side,
) {
    if update.status == Some(Status::Abandoned) {
        sometimes!(Rule::IscTimeOutTold);
        let end = (lease.starts + timeout).max(promised_before_it_heard(lease, side) + UNDER_WAY_MAX);
        update.lease_expiry = Some((end + guard).get());
    }
}

/// Before the partner hears that an address is abandoned, it may lease it again: what it promises then can be no more
/// than this.
fn promised_before_it_heard(lease: &Lease, side: &Side) -> UnixTime {
    // A client that gave up a lease without end would keep the address from everybody for ever. Whoever was promised another
    // one is told of by the partner.
    let promise = Some(lease.latest_promise()).filter(|promise| !promise.is_infinite());
    promise.unwrap_or_default().max(side.now) + side.mclt
}

/// Whether a record must not be told to this partner for now: an ISC primary in Normal rejects every
/// Expired over its Active; it expires by itself. If it has not done so after a while, it has no Active: it never
/// heard of the lease, or its word of another end was lost.
#[must_use]
pub fn is_withheld(lease: &Lease, side: &Side, partner: State) -> bool {
    let withheld = (side.dialect, side.role, partner) == (Dialect::Isc, Role::Secondary, State::Normal)
        && status_told(lease, side) == Status::Expired
        && side.now < lease.starts + ISC_ENDS_WITHIN;
    sometimes!(Rule::IscWithholdsExpired, withheld);
    withheld
}

/// Whether the partner is told that nobody has a lease of the address, or has it any more.
#[must_use]
pub fn tells_of_no_lease(lease: &Lease, side: &Side) -> bool {
    !matches!(status_told(lease, side), Status::Active | Status::Abandoned)
}

/// The record after the partner accepted `sent`, which was made of an earlier or the present state of it.
#[must_use]
pub fn acked(mine: &Lease, sent: &BindingUpdate, side: &Side) -> Lease {
    let mut lease = mine.clone();
    let Some(status) = sent.status else { return lease };
    match status {
        Status::Active => {
            if mine.status != Status::Active || !same_client(sent, mine) {
                return lease;
            }
            let potential = UnixTime::new(u64::from(sent.potential_expiry.unwrap_or(0)));
            lease.acked_potential = lease.acked_potential.max(potential);
            sometimes!(if tells_all(sent, mine) { Rule::AckAgrees } else { Rule::AckIsOld });
            if tells_all(sent, mine) {
                lease.sync = Sync::Agreed;
            }
        }
        Status::Expired | Status::Released | Status::Reset => {
            // A reservation may have come since, of which the partner does not know.
            let same = same_client(sent, mine) && sent.flags == mine.flags;
            if status_told(mine, side) == status && same {
                sometimes!(Rule::AckFrees);
                return ended(lease, side);
            }
        }
        Status::Free | Status::Backup => {
            if status_told(mine, side) == status && sent.flags == mine.flags {
                sometimes!(Rule::AckSettlesShare);
                lease.sync = Sync::Agreed;
                forget_potentials(&mut lease);
            }
        }
        Status::Abandoned => {
            if mine.status == Status::Abandoned {
                sometimes!(Rule::AckAbandoned);
                lease.sync = Sync::Agreed;
                // What it promised is on its way here.
                lease.hold_until = lease.hold_until.max(promised_before_it_heard(&lease, side));
                forget_potentials(&mut lease);
            }
        }
    }
    lease
}

/// What we refuse as ours is under way and better: a dhcpd gives a longer end of its own up for ours, and tells nobody of it
/// again, but its client believes in it (H-2). `None` if nothing is to be recorded.
#[must_use]
pub fn outlasted(mine: &Lease, update: &BindingUpdate, dialect: Dialect) -> Option<Lease> {
    let active = |status| status == Some(Status::Active);
    let told = UnixTime::new(u64::from(update.lease_expiry?));
    let longer = dialect == Dialect::Isc
        && active(update.status)
        && active(Some(mine.status))
        && same_client(update, mine)
        && told > mine.held_until;
    sometimes!(Rule::IscOutlastsOurs, longer);
    longer.then(|| Lease { held_until: told, sync: Sync::Due, ..mine.clone() })
}

/// The record after the partner rejected `sent`. Resend it at the next Normal or UPDREQ, and not within
/// 300 s.
#[must_use]
pub fn rejected(mine: &Lease, sent: &BindingUpdate, reason: RejectReason, side: &Side) -> Lease {
    let mut lease = mine.clone();
    if sent.status != Some(status_told(mine, side)) || !same_client(sent, mine) {
        return lease;
    }
    let conflict = matches!(
        reason,
        RejectReason::FatalConflict
            | RejectReason::OutdatedBindingInformation
            | RejectReason::LessCriticalBindingInformation
    );
    match (mine.status, side.role) {
        // A reclaim of an address that the secondary has leased: it stays the secondary's. Not to be sent
        // as Backup either, which an ISC secondary would take over its own Active.
        (Status::Free, Role::Primary)
            if conflict
                && sent.status == Some(Status::Free)
                && mine.sync != Sync::Agreed
                && !mine.flags.reserved =>
        {
            sometimes!(Rule::RejectedReclaim);
            lease.status = Status::Backup;
            lease.sync = Sync::Agreed;
        }
        (Status::Active, _) if !tells_all(sent, mine) => sometimes!(Rule::RejectedIsOld),
        (
            Status::Free
            | Status::Active
            | Status::Expired
            | Status::Released
            | Status::Abandoned
            | Status::Reset
            | Status::Backup,
            _,
        ) => {
            sometimes!(Rule::RejectedParks);
            lease.sync = Sync::Rejected;
        }
    }
    lease
}

/// Whether the update was made of the record as it is.
pub(super) fn says(sent: &BindingUpdate, mine: &Lease, side: &Side) -> bool {
    sent.status == Some(status_told(mine, side))
        && same_client(sent, mine)
        && (mine.status == Status::Abandoned
            || sent.cltt.unwrap_or(0) == contact_told(mine, side).map_or(0, UnixTime::get))
}

/// A release counts as made a moment before only where both sides weigh it so (decision 025).
fn contact_told(lease: &Lease, side: &Side) -> Option<UnixTime> {
    match (lease.status, side.dialect) {
        (Status::Released, Dialect::Isc) => lease.cltt.map(|contact| contact.max(lease.starts)),
        _ => lease.cltt,
    }
}

/// The status that the partner is told, which differs from the record's in two cases.
fn status_told(lease: &Lease, side: &Side) -> Status {
    match (lease.status, side.dialect, side.role) {
        // Freed in PartnerDown without the partner's word: it must end its own copy of the lease first,
        // and only if that is over there too. Without a client it was abandoned or reset, which only a
        // reset ends.
        (Status::Free | Status::Backup, _, _) if is_unparked(lease) => {
            if lease.client.is_some() {
                Status::Expired
            } else {
                Status::Reset
            }
        }
        // Reserved addresses are each server's own while free (§6.6).
        (Status::Free, Dialect::Own, Role::Primary) if lease.flags.reserved => Status::Backup,
        (status, _, _) => status,
    }
}

/// Both sides hold it as not Active: the primary's, and nothing is promised any more.
fn ended(mut lease: Lease, side: &Side) -> Lease {
    lease.status = own_if_reserved(Status::Free, lease.flags, side.role);
    lease.starts = side.now;
    lease.sync = Sync::Agreed;
    lease.first_in_partner_down = false;
    forget_potentials(&mut lease);
    lease
}

fn forget_potentials(lease: &mut Lease) {
    lease.sent_potential = UnixTime::ZERO;
    lease.acked_potential = UnixTime::ZERO;
    lease.received_potential = UnixTime::ZERO;
    lease.received_potential_max = UnixTime::ZERO;
}

/// Whether nothing that matters changed in an Active since.
fn tells_all(sent: &BindingUpdate, mine: &Lease) -> bool {
    // As `update_for` says them.
    let (ends, potential) = match mine.flags.bootp {
        true => (UnixTime::INFINITE, UnixTime::ZERO),
        false => (mine.held_until, mine.sent_potential),
    };
    sent.lease_expiry == Some(ends.get())
        && sent.potential_expiry == Some(potential.get())
        && sent.flags == mine.flags
        && sent.cltt == mine.cltt.map(UnixTime::get)
        // Two network cards that send the same identifier are one client.
        && sent.hardware.as_ref() == mine.client.as_ref().map(|client| &client.hardware)
}

fn same_client(sent: &BindingUpdate, mine: &Lease) -> bool {
    match (&sent.hardware, &mine.client) {
        (Some(hardware), Some(client)) => {
            client.same(&Client { hardware: hardware.clone(), id: sent.client_id.clone() })
        }
        (None, None) => true,
        // An abandoned address is told without its client.
        (None, Some(_)) if sent.status == Some(Status::Abandoned) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// How long an ISC primary has for ending what is over here.
pub(super) const ISC_ENDS_WITHIN: Seconds = Seconds(60);
/// How long an update is under way at most, more or less.
const UNDER_WAY_MAX: Seconds = Seconds(10);
/// By how much the potential of a reclaim lies ahead, for an ISC secondary.
const RECLAIM_LEAD: Seconds = Seconds(120);
