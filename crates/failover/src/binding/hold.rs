//! Holds: times before which an address is not for another client, beyond the lease itself. All of them
//! share [`Lease::hold_until`].

use api::time::{Seconds, UnixTime};
use leases::lease::{Lease, Status, Sync};
use marks::{Rule, sometimes};

use super::local::is_unparked;
use crate::times::pd_bound;
use crate::wire::BindingUpdate;

/// On entering PartnerDown, and again after note 7 of §3.3: the bound of §7.2, frozen before releases and
/// shorter renewals lower what it is made of. Every lease counts as made before PartnerDown.
///
/// `mclt` is the one in force for waits.
#[must_use]
pub fn freeze(lease: &Lease, partner_down_at: UnixTime, mclt: Seconds) -> Lease {
    let hold_until = match lease.status {
        Status::Free | Status::Backup if !is_promised_to_anybody(lease, partner_down_at) => lease.hold_until,
        Status::Free
        | Status::Backup
        | Status::Active
        | Status::Expired
        | Status::Released
        | Status::Abandoned
        | Status::Reset => lease.hold_until.max(pd_bound(lease, partner_down_at, mclt)),
    };
    Lease { hold_until, first_in_partner_down: false, ..lease.clone() }
}

/// On leaving PartnerDown: the partner is back and its word replaces the bounds, unless either side lost its
/// data since, or a hold from an earlier loss is not over (`amnesia`): what the partner agreed to then proves
/// nothing about what had been promised before. `quarantines`: this server keeps addresses in quarantine.
#[must_use]
pub fn thaw(lease: &Lease, amnesia: bool, quarantines: bool) -> Lease {
    let hold_until = match lease.status {
        // Held for what one side of an abandoned address had promised, or in quarantine: no bounds of PartnerDown.
        Status::Abandoned => lease.hold_until,
        Status::Free | Status::Backup if quarantines && lease.hold_until.is_infinite() => lease.hold_until,
        _ if amnesia => lease.hold_until,
        Status::Free
        | Status::Backup
        | Status::Active
        | Status::Expired
        | Status::Released
        | Status::Reset => UnixTime::ZERO,
    };
    Lease { hold_until, first_in_partner_down: false, ..lease.clone() }
}

/// The partner leases an address that is abandoned here, and is refused: its client believes in it until then,
/// and may have renewed since. `None` if nothing is to be recorded.
#[must_use]
pub fn leased_although_abandoned(mine: &Lease, update: &BindingUpdate, mclt: Seconds) -> Option<Lease> {
    let leased = mine.status == Status::Abandoned && update.status == Some(Status::Active);
    let until = UnixTime::new(u64::from(update.lease_expiry.filter(|_| leased)?)) + mclt;
    (until > mine.hold_until).then(|| Lease { hold_until: until, ..mine.clone() })
}

/// When either side sent or answered UPDREQALL for lost data (§8): the lost server may have renewed up to
/// the MCLT beyond the last potential, or beyond its last moment, `lost_at` at the latest, and its partner's
/// acknowledgements prove nothing about that.
///
/// Holds until [`expire`](super::expire) and until an update that ends the lease is accepted. As secondary
/// of an ISC primary send UPDREQ at [`Lease::hold_until`], so that it repeats what was rejected.
#[must_use]
pub fn amnesia_hold(lease: &Lease, lost_at: UnixTime, mclt: Seconds) -> Lease {
    let renewed_until = lease.hold_until.max(lease.latest_promise().max(lost_at) + mclt);
    let hold_until = match lease.status {
        Status::Active | Status::Expired | Status::Released | Status::Abandoned | Status::Reset => {
            sometimes!(Rule::AmnesiaHolds);
            renewed_until
        }
        // Freed in PartnerDown without the partner's word, who may have renewed it if it knew of it.
        Status::Free | Status::Backup if is_unparked(lease) => renewed_until,
        Status::Free | Status::Backup if is_promised_to_anybody(lease, lost_at) => renewed_until,
        // The lost server may have leased what was being taken back from it, and will agree to anything now.
        Status::Free | Status::Backup if lease.sync != Sync::Agreed => {
            sometimes!(Rule::AmnesiaHoldsTakenBack);
            lease.hold_until.max(lost_at + mclt)
        }
        Status::Free | Status::Backup => lease.hold_until,
    };
    Lease { hold_until, ..lease.clone() }
}

/// When the partner lost its data, before its UPDREQALL is answered: what it promised or acknowledged
/// counts for no grant until it acknowledged anew, and it is told the largest potential, its own
/// included, so that it can.
#[must_use]
pub fn partner_lost_data(lease: &Lease) -> Lease {
    sometimes!(Rule::AmnesiaForgetsPotentials, lease.status == Status::Active);
    match lease.status {
        Status::Active => Lease { sync: Sync::Due, ..own_data_lost(lease) },
        Status::Free
        | Status::Expired
        | Status::Released
        | Status::Abandoned
        | Status::Reset
        | Status::Backup => lease.clone(),
    }
}

/// Before any lease; zero is of an address that was never used.
const LONG_AGO: UnixTime = UnixTime::new(1);

/// When this server's data are old or lost: what the partner promised or acknowledged it may not remember, so it counts
/// for no grant until it is told anew.
#[must_use]
pub fn own_data_lost(lease: &Lease) -> Lease {
    if lease.status.is_available() {
        // Nobody's: what is left of potentials tells of the partner, or of an end that it must be told.
        return lease.clone();
    }
    Lease {
        sent_potential: lease.sent_potential.max(lease.received_potential_max).max(lease.acked_potential),
        acked_potential: UnixTime::ZERO,
        received_potential: UnixTime::ZERO,
        ..lease.clone()
    }
}

/// When the partner lost its data: a lease that ended here while the link was down, and that the partner
/// may have renewed or granted anew, is held as Active again until that is over. The partner agrees to
/// anything now, so a parked status would not keep the address from other clients there.
///
/// Call it after [`amnesia_hold`]. `None` if this one may end.
#[must_use]
pub fn revive_for_amnesia(lease: &Lease, now: UnixTime) -> Option<Lease> {
    let status = match lease.status {
        Status::Expired | Status::Released if lease.client.is_some() => Status::Active,
        // Nobody knows who has it, but surely not the client that is remembered.
        Status::Free | Status::Backup if is_promised_to_anybody(lease, now) => Status::Abandoned,
        // Its client may have come back for it at the partner; the end travels with the update.
        Status::Abandoned => Status::Abandoned,
        Status::Expired
        | Status::Released
        | Status::Free
        | Status::Active
        | Status::Reset
        | Status::Backup => return None,
    };
    sometimes!(
        if status == Status::Active { Rule::AmnesiaRevives } else { Rule::AmnesiaRevivesAbandoned },
        lease.hold_until > now
    );
    (lease.hold_until > now).then(|| Lease {
        status,
        client: lease.client.clone().filter(|_| status == Status::Active),
        held_until: lease.held_until.max(lease.hold_until),
        // No quarantine: it is out of use for the hold, and no longer.
        starts: if lease.status.is_available() { LONG_AGO } else { lease.starts },
        sync: Sync::Due,
        ..lease.clone()
    })
}

/// Whether a dhcpd, whose free address it is, may have leased it to anybody by a potential that reaches beyond `since`
/// (decision 028). One that does not allows the MCLT, like any other address of the partner's.
#[must_use]
pub fn is_promised_to_anybody(lease: &Lease, since: UnixTime) -> bool {
    let was_told = lease.sent_potential.max(lease.acked_potential) > UnixTime::ZERO;
    let free = lease.status.is_available() && !lease.flags.reserved && !was_told;
    free && lease.received_potential_max > since
}

/// Whether nothing but a hold keeps a lease Active: by what both servers remember it is over, so the one that lost its
/// data renewed it or leased the address to somebody else. Its client knows.
pub(super) fn is_revived(lease: &Lease, now: UnixTime) -> bool {
    lease.status == Status::Active && lease.exp < now && now < lease.hold_until
}

/// How long an address that an ISC secondary ended is kept from other clients, with the link up (§6.1).
pub const QUARANTINE: Seconds = Seconds(10);

/// The link to an ISC secondary broke, or this server stopped without a farewell, at an unknown time from `since` to `until`: an
/// address in quarantine stays there until the next Normal. `None` if this one was in none.
#[must_use]
pub fn prolong_quarantine(lease: &Lease, since: UnixTime, until: UnixTime) -> Option<Lease> {
    let in_quarantine =
        lease.status.is_available() && lease.hold_until > since && lease.hold_until <= until + QUARANTINE;
    sometimes!(Rule::IscQuarantineProlonged, in_quarantine);
    in_quarantine.then(|| Lease { hold_until: UnixTime::INFINITE, ..lease.clone() })
}

/// Normal was entered: an address whose quarantine was prolonged leaves it as if its peer's expiry had
/// been accepted now. `None` if this one's was not.
#[must_use]
pub fn end_quarantine(lease: &Lease, now: UnixTime) -> Option<Lease> {
    let prolonged = lease.status.is_available() && lease.hold_until.is_infinite();
    sometimes!(Rule::IscQuarantineEnds, prolonged);
    prolonged.then(|| Lease { hold_until: now + QUARANTINE, ..lease.clone() })
}
