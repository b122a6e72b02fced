//! Lease times: what a client may be granted, what another client must wait for
//! (`spec/failover-behaviour.md` §5, §7.2, §7.3).
//!
//! All times are seconds of the local clock. Where a limit is added to a time that has no end, the sum
//! has no end either, so an infinite lease is never waited out.

mod max_lead;

#[cfg(test)]
mod tests;

use api::identity::Role;
use api::time::{Seconds, UnixTime};
use leases::lease::{Lease, Status, Sync};
use marks::{Rule, sometimes};

pub use max_lead::MaxLead;

/// By which rule the length of a lease is limited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// A dynamic BOOTP client: without end, and no potential is told (§6.6).
    Bootp,
    /// At most the MCLT beyond what the partner holds: every serving state but the two below, and
    /// PartnerDown once the partner was heard.
    Lead,
    /// The desired time: PartnerDown with `full`, the partner not heard since (§7.3).
    PartnerDownFull,
    /// At most the MCLT: ResolutionInterrupted.
    ResolutionInterrupted,
    /// At most the MCLT, or the end that the partner acknowledged: `strictIscLead`, as an ISC dhcpd in
    /// PartnerDown does not wait for the potential expiry (H-3).
    StrictLead,
}

/// The times of one ACK. [`crate::binding::grant`] puts them into a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Grant {
    /// Length of the lease; [`u32::MAX`] is without end.
    pub actual: Seconds,
    /// What the ACK says: now plus `actual`.
    pub exp: UnixTime,
    /// Until when the client may believe in the address. At least `exp`.
    pub held_until: UnixTime,
    /// The potential expiry to tell the partner.
    pub sent_potential: UnixTime,
    /// Renewal time, option 58: half of `actual`.
    pub t1: Seconds,
    /// Rebinding time, option 59: seven eighths of `actual`.
    pub t2: Seconds,
}

/// The times of a lease granted now (§5).
///
/// `desired` is what the client asked for, within policy; [`u32::MAX`] means without end. `mclt` is the
/// MCLT in force for grants. `lease` is the record of the address if its present or last holder is this
/// very client, else `None`. Its potentials count only while it is Active; after a repair they are zero
/// in the record itself (`spec/failover-protocol.md` §3.6), so the lead then is the bare MCLT.
#[must_use]
pub fn grant(now: UnixTime, desired: Seconds, mclt: Seconds, lease: Option<&Lease>, mode: Mode) -> Grant {
    let active = lease.filter(|lease| lease.status == Status::Active);
    let promised = active.map_or(UnixTime::ZERO, |lease| lease.acked_potential.max(lease.received_potential));
    let lead_limit = length_until(promised, now).saturating_add(mclt);
    let actual = match mode {
        Mode::Bootp => WITHOUT_END,
        Mode::Lead => desired.min(lead_limit),
        Mode::PartnerDownFull => desired,
        Mode::ResolutionInterrupted => desired.min(mclt),
        Mode::StrictLead => {
            let acked_end = active
                .filter(|lease| lease.sync == Sync::Agreed)
                .map_or(UnixTime::ZERO, |lease| lease.held_until);
            desired.min(lead_limit).min(mclt.max(length_until(acked_end, now)))
        }
    };
    let exp = now + actual;
    let lead = if actual < desired { mclt } else { Seconds(actual.get() / 2) };
    let potential = match mode {
        Mode::Bootp => UnixTime::ZERO,
        Mode::Lead | Mode::PartnerDownFull | Mode::ResolutionInterrupted | Mode::StrictLead => {
            now + desired + lead
        }
    };
    sometimes!(lead_rule(mode, actual, desired, mclt));
    sometimes!(Rule::HeldUntilStays, lease.is_some_and(|lease| lease.held_until > exp));
    sometimes!(Rule::SentPotentialStays, lease.is_some_and(|lease| lease.sent_potential > potential));
    // Both are high-water marks: an ACK or an update that came before may be the one that counts.
    Grant {
        actual,
        exp,
        held_until: exp.max(lease.map_or(UnixTime::ZERO, |lease| lease.held_until)),
        sent_potential: potential.max(lease.map_or(UnixTime::ZERO, |lease| lease.sent_potential)),
        t1: part(actual, 4),
        t2: part(actual, 7),
    }
}

/// What PartnerDown's waits are reckoned with (§7.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PartnerDown {
    /// When the partner was surely down. After contact with a partner in RecoverDone was lost again: that
    /// time plus the partner's receive timer (§3.3 note 7).
    pub at: UnixTime,
    /// Own role.
    pub role: Role,
    /// MCLT in force for waits.
    pub mclt: Seconds,
    /// Clock guard, added to every wait before another client.
    pub guard: Seconds,
    /// The address lies in a scope with dynamic BOOTP.
    pub dynamic_bootp: bool,
}

/// For whom an address is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Who {
    /// The client that holds or last held it.
    SameClient,
    /// Anybody else.
    OtherClient,
}

/// From when an address may be leased in PartnerDown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reuse {
    /// At once.
    Now,
    /// From this time on, which may be past.
    At(UnixTime),
    /// Not while PartnerDown lasts.
    Never,
}

impl Reuse {
    /// Whether that time has come.
    #[must_use]
    pub fn is_due(self, now: UnixTime) -> bool {
        match self {
            Self::Now => true,
            Self::At(time) => now >= time && !time.is_infinite(),
            Self::Never => false,
        }
    }
}

impl PartnerDown {
    /// From when the partner's free addresses may be used: `fullTakeoverAt`.
    #[must_use]
    pub fn full_takeover_at(&self) -> UnixTime {
        self.at + self.mclt
    }
}

/// Until when the partner may have let the client of a lease keep its address: the bound of §7.2. To be
/// frozen into [`Lease::hold_until`] of every lease on entering PartnerDown (see
/// [`crate::binding::freeze`]), before a release or a shorter renewal lowers what it is made of.
#[must_use]
pub fn pd_bound(lease: &Lease, partner_down_at: UnixTime, mclt: Seconds) -> UnixTime {
    lease.latest_promise().max(partner_down_at) + mclt
}

/// From when an address may be leased in PartnerDown, the partner not heard since (§7.2). Once it was
/// heard, only own addresses are for new clients: see [`crate::binding::may_lease`].
#[must_use]
pub fn reusable_from(lease: &Lease, down: &PartnerDown, who: Who) -> Reuse {
    let from = |time: UnixTime| match who {
        Who::SameClient => Reuse::At(time),
        Who::OtherClient if time.is_infinite() => Reuse::Never,
        Who::OtherClient => Reuse::At(time + down.guard),
    };
    match (lease.status, who) {
        (Status::Free | Status::Backup, _) => match (is_own(lease, down.role), lease.hold_until) {
            (true, _) if who == Who::SameClient => Reuse::Now,
            (true, UnixTime::ZERO) => Reuse::Now,
            // The quarantine after an ISC peer's expiry can't end in Normal here: the peer may have revived
            // the lease, so the address waits like one of its own.
            (true, UnixTime::INFINITE) => from(down.full_takeover_at()),
            (true, until) => from(until),
            // BOOTP leases have no end, so the partner may have given it away for ever.
            (false, _) if down.dynamic_bootp => Reuse::Never,
            // The partner agreed that it is free after it had lost its data, so that proves nothing of what it had
            // promised before.
            (false, hold) if who == Who::OtherClient && !hold.is_infinite() => {
                from(down.full_takeover_at().max(hold))
            }
            (false, _) => from(down.full_takeover_at()),
        },
        (Status::Active | Status::Expired | Status::Released | Status::Reset, Who::SameClient) => Reuse::Now,
        (Status::Active | Status::Expired | Status::Released | Status::Reset, Who::OtherClient) => {
            // Nobody but us knows of a lease made while the partner was down.
            let bound = match (lease.first_in_partner_down, lease.hold_until) {
                (true, hold) => hold,
                (false, UnixTime::ZERO) => pd_bound(lease, down.at, down.mclt),
                (false, frozen) => frozen,
            };
            from(bound.max(lease.held_until))
        }
        (Status::Abandoned, _) => Reuse::Never,
    }
}

/// Whether a free address is this server's beyond doubt: of its share, and no hand-over is unsettled. A
/// reserved one is both servers', as it has one client only (§6.6).
#[must_use]
pub fn is_own(lease: &Lease, role: Role) -> bool {
    let own = match lease.status {
        Status::Free => role == Role::Primary || lease.flags.reserved,
        Status::Backup => role == Role::Secondary || lease.flags.reserved,
        Status::Active | Status::Expired | Status::Released | Status::Abandoned | Status::Reset => false,
    };
    own && lease.sync == Sync::Agreed
}

/// First condition of the exit barrier (§7.3): whether this binding keeps the server in PartnerDown,
/// because its client was promised more than the partner would wait for.
///
/// A binding that both sides agree on does not: its end is on the partner's disk, and the partner waits for it
/// as for a potential. What an ISC dhcpd sends to a server that lost its data comes without the potential that
/// this server itself had told it (decision 018).
#[must_use]
pub fn blocks_exit(lease: &Lease, now: UnixTime, mclt: Seconds) -> bool {
    let bound = now.max(lease.acked_potential).max(lease.received_potential) + mclt;
    lease.status == Status::Active && lease.sync != Sync::Agreed && lease.held_until > bound
}

/// What limited the length of a lease.
fn lead_rule(mode: Mode, actual: Seconds, desired: Seconds, mclt: Seconds) -> Rule {
    match mode {
        Mode::Bootp => Rule::LeadWithoutEnd,
        Mode::PartnerDownFull => Rule::LeadOfPartnerDown,
        Mode::ResolutionInterrupted if actual == desired => Rule::LeadInConflictNotNeeded,
        Mode::ResolutionInterrupted => Rule::LeadInConflictIsMclt,
        Mode::Lead if actual == desired => Rule::LeadNotNeeded,
        Mode::Lead if actual == mclt => Rule::LeadIsMclt,
        Mode::Lead => Rule::LeadIsPotentialAndMclt,
        Mode::StrictLead => Rule::LeadIsStrict,
    }
}

/// How long it is until `time`; zero if it is past, without end if it has none.
fn length_until(time: UnixTime, now: UnixTime) -> Seconds {
    if time.is_infinite() { WITHOUT_END } else { time.since(now) }
}

/// So many eighths of a length.
fn part(length: Seconds, eighths: u64) -> Seconds {
    if length == WITHOUT_END {
        return WITHOUT_END;
    }
    Seconds(u32::try_from(u64::from(length.get()) * eighths / 8).unwrap_or(u32::MAX))
}

/// DHCP's lease time without end.
const WITHOUT_END: Seconds = Seconds(u32::MAX);
