//! The record after an update was accepted.

use api::identity::Role;
use api::time::{Seconds, UnixTime};
use leases::lease::{Client, Flags, Lease, Status, Sync};
use marks::{Rule, sometimes};

use super::hold::QUARANTINE;
use super::local::{SAME_MOMENT, is_unparked};
use super::{Dialect, Judge, is_of, options};
use crate::wire::BindingUpdate;

/// An update in our terms: times by our clock, zeros of "never" as absent where that is what they mean.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) status: Status,
    pub(super) client: Option<Client>,
    pub(super) lease_expiry: Option<UnixTime>,
    pub(super) potential_expiry: Option<UnixTime>,
    pub(super) starts: Option<UnixTime>,
    pub(super) cltt: Option<UnixTime>,
    pub(super) flags: Flags,
    pub(super) hostname: Option<String>,
    pub(super) relay_info: Option<Vec<u8>>,
    /// Until when the partner holds the address for its last client, as either side lost its data.
    hold_until: Option<UnixTime>,
}

impl Incoming {
    pub(super) fn new(status: Status, update: &BindingUpdate, ctx: &Judge<'_>) -> Self {
        let local = |time: u32| by_local_clock(time, ctx.partner_ahead);
        let client =
            update.hardware.clone().map(|hardware| Client { hardware, id: update.client_id.clone() });
        let told = options::decode(update.request_options.as_deref().unwrap_or_default());
        Self {
            status,
            client,
            lease_expiry: update.lease_expiry.map(local),
            potential_expiry: update.potential_expiry.map(local),
            starts: update.starts.filter(|time| *time != 0).map(local),
            cltt: update.cltt.filter(|time| *time != 0).map(local),
            flags: update.flags,
            hostname: told.hostname,
            relay_info: told.relay_info,
            hold_until: told.hold_until.map(local),
        }
    }

    /// Last contact of the client; a missing one is the smallest.
    pub(super) fn contact(&self) -> UnixTime {
        self.cltt.unwrap_or(UnixTime::ZERO)
    }
}

/// The record to commit for an update that was accepted.
pub(super) fn merged(mine: &Lease, incoming: &Incoming, ctx: &Judge<'_>) -> Lease {
    let lease = by_status(mine, incoming, ctx);
    Lease { hold_until: lease.hold_until.max(incoming.hold_until.unwrap_or_default()), ..lease }
}

fn by_status(mine: &Lease, incoming: &Incoming, ctx: &Judge<'_>) -> Lease {
    match incoming.status {
        Status::Active => held(mine, incoming, ctx),
        Status::Expired | Status::Released | Status::Reset => {
            let mut lease = ended(mine, incoming, Status::Free, ctx);
            // An ISC secondary may revive what it expired for the same client until it reads our answer.
            if (ctx.dialect, ctx.role) == (Dialect::Isc, Role::Primary) {
                sometimes!(Rule::IscQuarantine);
                lease.hold_until = lease.hold_until.max(ctx.now + QUARANTINE);
            }
            lease
        }
        Status::Free | Status::Backup => ended(mine, incoming, incoming.status, ctx),
        Status::Abandoned => {
            let lease = ended(mine, incoming, Status::Abandoned, ctx);
            // A client that declined at the partner while the link was down may have come back for the
            // address here. What it was promised since still counts, and the partner must wait for it.
            let promised_since = match mine.status {
                Status::Active => {
                    mine.cltt.map(|contact| contact + SAME_MOMENT + ctx.guard) > incoming.starts
                }
                Status::Abandoned => true,
                Status::Free | Status::Expired | Status::Released | Status::Reset | Status::Backup => false,
            };
            // With it a dhcpd tells for how long the address is out of use.
            let told = match ctx.dialect {
                Dialect::Own => lease.held_until,
                Dialect::Isc => lease.held_until.min(ctx.now),
            };
            let held_until = if promised_since { told.max(mine.held_until) } else { told };
            // A dhcpd says when the lease began that was declined.
            let starts = match (ctx.dialect, mine.status) {
                (Dialect::Own, _) => lease.starts,
                (Dialect::Isc, Status::Abandoned) => mine.starts,
                (Dialect::Isc, _) => ctx.now,
            };
            sometimes!(Rule::AbandonedPromisedSince, held_until > told);
            let sync = if held_until > told + tolerance(ctx) && ctx.dialect == Dialect::Own {
                Sync::Due
            } else {
                lease.sync
            };
            Lease {
                client: None,
                held_until,
                starts,
                cltt: None,
                cltt_from_partner: false,
                sync,
                hostname: None,
                relay_info: None,
                ..lease
            }
        }
    }
}

/// The record of an Active that we gave way to and that the peer gave up for ours: to be sent back, and
/// nothing to be counted on before that is acknowledged, as the peer holds no potential any more.
pub(super) fn repairing(lease: Lease) -> Lease {
    Lease {
        sent_potential: lease.sent_potential.max(lease.received_potential_max),
        acked_potential: UnixTime::ZERO,
        received_potential: UnixTime::ZERO,
        sync: Sync::Due,
        ..lease
    }
}

fn held(mine: &Lease, incoming: &Incoming, ctx: &Judge<'_>) -> Lease {
    // Freed in PartnerDown without the partner's word: what was promised to the client counts there still.
    let remembered = !mine.status.is_available() || is_unparked(mine);
    // An abandoned address forgot whose it was, but not what that client was promised.
    let whose =
        is_of(mine, incoming.client.as_ref()) || (mine.status == Status::Reset && mine.client.is_none());
    let known = whose && remembered;
    let same = known && mine.status == Status::Active;
    sometimes!(Rule::UnparkedRemembered, known && mine.status.is_available());
    // An end that was left out could be any that the partner may grant; what is at least safe is its lead.
    let told = incoming.lease_expiry.unwrap_or(ctx.now + ctx.mclt);
    let mut lease = if known { mine.clone() } else { Lease::new(mine.address) };
    lease.status = Status::Active;
    lease.client.clone_from(&incoming.client);
    lease.held_until = lease.held_until.max(told);
    if !same {
        lease.exp = told;
        lease.acked_potential = UnixTime::ZERO;
        lease.received_potential = UnixTime::ZERO;
        lease.starts = ctx.now;
    }
    lease.received_potential = incoming.potential_expiry.unwrap_or(lease.received_potential);
    lease.received_potential_max = lease.received_potential_max.max(lease.received_potential);
    lease.starts = incoming.starts.unwrap_or(lease.starts);
    lease.flags = incoming.flags;
    lease.first_in_partner_down = false;
    lease.changed_at_edge = ctx.link_edges;
    if incoming.contact() > lease.cltt.unwrap_or(UnixTime::ZERO) {
        lease.cltt = incoming.cltt;
        lease.cltt_from_partner = true;
    }
    if incoming.hostname.is_some() {
        lease.hostname.clone_from(&incoming.hostname);
    }
    if incoming.relay_info.is_some() {
        lease.relay_info.clone_from(&incoming.relay_info);
    }
    if ctx.amnesia {
        sometimes!(Rule::AmnesiaHoldsIncoming);
        // The server that lost its data may have renewed up to the MCLT beyond any potential.
        lease.hold_until = lease.hold_until.max(lease.latest_promise() + ctx.mclt);
    }
    // What was promised here and the partner does not know must reach it: the client would outlive its
    // record there.
    let more = lease.held_until > told + tolerance(ctx);
    sometimes!(Rule::MoreIsTold, more);
    // Our answer is what a dhcpd remembers from here on, instead of the potential that it had acknowledged.
    let forgets = ctx.dialect == Dialect::Isc && same && lease.received_potential < mine.acked_potential;
    if forgets {
        sometimes!(Rule::IscForgetsPotential);
        lease.acked_potential = UnixTime::ZERO;
    }
    lease.sync = match mine.sync {
        Sync::Due if same => Sync::Due,
        Sync::Due | Sync::Agreed | Sync::Rejected if more || forgets => Sync::Due,
        Sync::Due | Sync::Agreed | Sync::Rejected => Sync::Agreed,
    };
    lease
}

/// A binding that both sides hold as not Active from here on.
fn ended(mine: &Lease, incoming: &Incoming, status: Status, ctx: &Judge<'_>) -> Lease {
    let client = match ctx.dialect {
        Dialect::Own => incoming.client.clone(),
        Dialect::Isc => incoming.client.clone().or_else(|| mine.client.clone()),
    };
    Lease {
        status: own_if_reserved(status, incoming.flags, ctx.role),
        client,
        exp: mine.exp,
        held_until: incoming.lease_expiry.unwrap_or(mine.held_until),
        cltt: incoming.cltt.or(mine.cltt),
        cltt_from_partner: incoming.cltt.is_some() || mine.cltt_from_partner,
        starts: incoming.starts.unwrap_or(ctx.now),
        flags: incoming.flags,
        changed_at_edge: ctx.link_edges,
        hostname: mine.hostname.clone(),
        relay_info: mine.relay_info.clone(),
        // A hold outlives the binding: the server that lost its data agrees to anything.
        hold_until: mine.hold_until,
        received_potential_max: promised_to_anybody(mine, incoming, ctx),
        ..Lease::new(mine.address)
    }
}

/// Until when a dhcpd counts its free address as promised, for whichever client that was (decision 028). It forgets a
/// longer promise only when it reads our answer.
fn promised_to_anybody(mine: &Lease, incoming: &Incoming, ctx: &Judge<'_>) -> UnixTime {
    let owner = if incoming.status == Status::Backup { Role::Secondary } else { Role::Primary };
    if ctx.dialect == Dialect::Own || owner == ctx.role {
        return UnixTime::ZERO;
    }
    let told = incoming.potential_expiry.filter(|until| !until.is_infinite()).unwrap_or_default();
    let before = if mine.status.is_available() { mine.received_potential_max } else { UnixTime::ZERO };
    sometimes!(Rule::IscPotentialStays, told > ctx.now);
    told.max(before)
}

/// A reserved address that is free is each server's own, as it has one client only (§6.6).
pub(super) fn own_if_reserved(status: Status, flags: Flags, role: Role) -> Status {
    match (status, role) {
        (Status::Free | Status::Backup, Role::Primary) if flags.reserved => Status::Free,
        (Status::Free | Status::Backup, Role::Secondary) if flags.reserved => Status::Backup,
        (status, _) => status,
    }
}

/// Corrects a time by the partner's clock.
fn by_local_clock(time: u32, partner_ahead: i32) -> UnixTime {
    let received = UnixTime::new(u64::from(time));
    let is_moment = received != UnixTime::ZERO && !received.is_infinite();
    sometimes!(Rule::TimesCorrected, partner_ahead != 0 && is_moment);
    received.by_clock_ahead(partner_ahead.into())
}

/// Corrected times are off by the rounding of two measurements; telling each other of that would never end.
fn tolerance(ctx: &Judge<'_>) -> Seconds {
    if ctx.partner_ahead == 0 { Seconds::ZERO } else { Seconds(2) }
}
