//! What this server does to a binding by itself, and whether it may (`spec/failover-behaviour.md` §6.1).

use api::identity::{Role, State};
use api::pair::RiServe;
use api::time::{Seconds, UnixTime};
use leases::lease::{Client, Lease, Status, Sync};
use marks::{Rule, sometimes};

use super::hold::{is_promised_to_anybody, is_revived};
use super::update::ISC_ENDS_WITHIN;
use super::{Dialect, is_of};
use crate::times::{self, Mode, PartnerDown, Reuse, Who, is_own, reusable_from};

/// Where and when a server acts.
#[derive(Clone, Copy, Debug)]
pub struct Here {
    /// Local wall clock.
    pub now: UnixTime,
    /// Own role.
    pub role: Role,
    /// Own state.
    pub state: State,
    /// Clock guard G (§2.2).
    pub guard: Seconds,
    /// As in [`Lease::changed_at_edge`].
    pub link_edges: u64,
}

/// What a grant depends on, beside the record and the client.
#[derive(Clone, Copy, Debug)]
pub struct Serving {
    /// Where and when.
    pub here: Here,
    /// The link is up and the partner's state known.
    pub linked: bool,
    /// MCLT in force for grants.
    pub mclt: Seconds,
    /// By which rule the lease is limited. `PartnerDownFull` reads as `Lead` once the partner was heard.
    pub mode: Mode,
    /// In PartnerDown while the partner is silent since: its waits. `None` in every other state, and once
    /// the partner was heard.
    pub down: Option<PartnerDown>,
    /// Renewals only before this time: serial PartnerDown (§7.5), both stores were lost (§8), or a survivor has not
    /// told all that it granted alone (§7.3). Zero if none of them.
    pub new_clients_from: UnixTime,
    /// Whoever was seen later than this is known, whatever happens before `new_clients_from`.
    pub held_since: UnixTime,
    /// The client says that it has the address: it renews, rebinds or reboots with it. One that looks for any may have given
    /// it up where nobody remembers.
    pub claimed: bool,
    /// Service in ResolutionInterrupted.
    pub ri_serve: RiServe,
}

/// Why a binding stays as it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Denied {
    /// Out of use.
    #[error("the address is abandoned")]
    Abandoned,
    /// Of another client.
    #[error("the address is leased to another client")]
    Leased,
    /// The partner's, or a hand-over is unsettled.
    #[error("the address is not of this server's share")]
    NotOwn,
    /// The status or the role does not allow it.
    #[error("not a transition of this server")]
    NotOurs,
    /// This state allows it for no binding, or only for others.
    #[error("the failover state does not allow it")]
    NotServing,
    /// Until its time comes, or the partner agrees.
    #[error("the address is not free yet")]
    TooEarly,
}

impl Denied {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Leased => "leased",
            Self::NotOurs => "not_ours",
            Self::NotOwn => "not_own",
            Self::NotServing => "not_serving",
            Self::TooEarly => "too_early",
        }
    }
}

/// Whether this client may have this address now, in the failover protocol's view: OFFER, ACK and the
/// choice of an address ask here. Reservations and policy are the caller's.
pub fn may_lease(lease: &Lease, client: &Client, ctx: &Serving) -> Result<(), Denied> {
    let here = &ctx.here;
    let same = is_of(lease, Some(client));
    match (service(ctx), lease.status) {
        (Service::Nobody, _) => {
            sometimes!(Rule::DeniedNotServing);
            Err(Denied::NotServing)
        }
        (_, Status::Active) if !same => {
            sometimes!(Rule::DeniedLeased);
            Err(Denied::Leased)
        }
        (Service::Everybody, Status::Active) if is_revived(lease, here.now) && !ctx.claimed => {
            sometimes!(Rule::RevivedOnlyToWhoClaims);
            Err(Denied::TooEarly)
        }
        (Service::Everybody, Status::Active) if here.now >= ctx.new_clients_from => Ok(()),
        // Whoever else served meanwhile may have leased it again, once this client gave it up or its lease was over.
        (Service::Everybody, Status::Active) => {
            let known = ctx.claimed || lease.cltt > Some(ctx.held_since);
            sometimes!(if known && here.now <= lease.held_until {
                Rule::HoldRenews
            } else {
                Rule::HoldRefusesEndedLease
            });
            if known && here.now <= lease.held_until { Ok(()) } else { Err(Denied::TooEarly) }
        }
        (Service::Renewals, Status::Active) if here.now <= lease.held_until => Ok(()),
        (Service::Renewals, _) => {
            sometimes!(Rule::DeniedRenewalsOnly);
            Err(Denied::NotServing)
        }
        (Service::Everybody, Status::Abandoned) => {
            sometimes!(Rule::DeniedAbandoned);
            Err(Denied::Abandoned)
        }
        (Service::Everybody, _) if here.now < ctx.new_clients_from => {
            sometimes!(Rule::HoldRefusesNewClient);
            Err(Denied::TooEarly)
        }
        (
            Service::Everybody,
            Status::Free | Status::Backup | Status::Expired | Status::Released | Status::Reset,
        ) => {
            let anybodys = is_promised_to_anybody(lease, UnixTime::ZERO) && here.now <= lease.hold_until;
            let may_return = same && !may_be_freed(lease, here) && !anybodys;
            let who = if may_return { Who::SameClient } else { Who::OtherClient };
            sometimes!(Rule::DeniedMayBeFreed, same && who == Who::OtherClient);
            match &ctx.down {
                Some(down) => in_partner_down(lease, who, down, here.now),
                None => in_company(lease, who, here),
            }
        }
    }
}

/// The record of a grant or a renewal. Its times are those of the ACK. `desired` is what the client asked
/// for, within policy.
pub fn grant(lease: &Lease, client: &Client, desired: Seconds, ctx: &Serving) -> Result<Lease, Denied> {
    may_lease(lease, client, ctx)?;
    Ok(granted(lease, client, desired, ctx))
}

/// Whether a client that renews or rebinds an address may keep it although neither server remembers it: both
/// stores were lost, and only who has a lease renews it (§8, double-loss hold). Until the hold ends nobody
/// else can be given the address, by either server; after it only by its owner, so the owner alone keeps leases.
pub fn may_adopt(lease: &Lease, client: &Client, ctx: &Serving) -> Result<(), Denied> {
    let held = ctx.here.now < ctx.new_clients_from;
    let nobodys = lease.client.is_none() || is_of(lease, Some(client));
    let own = is_own(lease, ctx.here.role) || ctx.down.is_some();
    match (service(ctx), lease.status) {
        (Service::Everybody, Status::Free | Status::Backup) if held && nobodys && own => Ok(()),
        (Service::Everybody, Status::Free | Status::Backup) => Err(Denied::TooEarly),
        (Service::Everybody, _) => Err(Denied::Leased),
        (Service::Nobody | Service::Renewals, _) => Err(Denied::NotServing),
    }
}

/// The record of such a lease: of the MCLT at most, as the partner does not know it.
pub fn adopt(lease: &Lease, client: &Client, desired: Seconds, ctx: &Serving) -> Result<Lease, Denied> {
    may_adopt(lease, client, ctx)?;
    sometimes!(Rule::Adopts);
    Ok(granted(lease, client, desired, &Serving { mode: Mode::Lead, down: None, ..*ctx }))
}

fn granted(lease: &Lease, client: &Client, desired: Seconds, ctx: &Serving) -> Lease {
    let here = &ctx.here;
    // The last holder's high-water marks stay until both sides hold the address as free.
    let known = is_of(lease, Some(client)) && !lease.status.is_available();
    let renewal = known && lease.status == Status::Active;
    let mode = match (ctx.mode, ctx.down) {
        (Mode::PartnerDownFull, None) => {
            sometimes!(Rule::LeadAfterPartnerWasHeard);
            Mode::Lead
        }
        (mode, _) => mode,
    };
    let times = times::grant(here.now, desired, ctx.mclt, known.then_some(lease), mode);
    sometimes!(Rule::GrantToOther, !known && lease.client.is_some());
    let mut granted = if known { lease.clone() } else { Lease::new(lease.address) };
    granted.status = Status::Active;
    granted.client = Some(client.clone());
    granted.exp = times.exp;
    granted.held_until = times.held_until;
    granted.sent_potential = times.sent_potential;
    granted.cltt = Some(here.now);
    granted.cltt_from_partner = false;
    granted.flags.reserved = lease.flags.reserved;
    granted.flags.bootp = mode == Mode::Bootp;
    granted.sync = Sync::Due;
    granted.changed_at_edge = here.link_edges;
    // What the partner believes to be free it holds no copy of.
    let agreed = lease.status.is_available() && lease.sync == Sync::Agreed;
    granted.untold = here.link_edges.is_multiple_of(2) && (agreed || lease.is_untold(here.link_edges));
    if !renewal {
        granted.acked_potential = UnixTime::ZERO;
        granted.received_potential = UnixTime::ZERO;
        granted.starts = here.now;
    }
    if !known {
        // Its last client may have been promised more than this grant says, by a server that lost its data.
        granted.hold_until = if lease.hold_until.is_infinite() { UnixTime::ZERO } else { lease.hold_until };
        // Nobody but us knows of it, so another client need not wait for the partner's promises.
        granted.first_in_partner_down = ctx.down.is_some();
    }
    granted
}

/// Whether the change that ended a lease was certainly never told to the partner, so that the same client
/// may have the address back: otherwise the partner may hold it as free.
#[must_use]
pub fn may_rewind(lease: &Lease, client: &Client, link_edges: u64) -> bool {
    matches!(lease.status, Status::Expired | Status::Released | Status::Reset)
        && is_of(lease, Some(client))
        && lease.certainly_unsent(link_edges)
}

/// The client gave its address back.
pub fn release(lease: &Lease, client: &Client, ctx: &Serving) -> Result<Lease, Denied> {
    let here = &ctx.here;
    held_by(lease, client, ctx)?;
    // A client that came back at the partner in the same moment, by whichever clock, has a lease again: so the release
    // counts as made before, but after all contact that this server knows of (§9, decision 025).
    let seen = lease.cltt.unwrap_or_default();
    let after_contact = (seen + Seconds(1)).min(here.now.max(seen));
    Ok(Lease {
        exp: lease.exp.min(here.now),
        held_until: here.now,
        cltt: Some((here.now - SAME_MOMENT - here.guard).max(after_contact)),
        cltt_from_partner: false,
        ..changed(lease, Status::Released, here)
    })
}

/// The client found its address in use by somebody else.
pub fn decline(lease: &Lease, client: &Client, ctx: &Serving) -> Result<Lease, Denied> {
    held_by(lease, client, ctx)?;
    Ok(abandoned(lease, &ctx.here))
}

/// A probe found an address in use that is about to be offered.
pub fn abandon(lease: &Lease, here: &Here) -> Result<Lease, Denied> {
    match lease.status {
        Status::Free | Status::Backup | Status::Expired | Status::Released | Status::Reset => {
            Ok(abandoned(lease, here))
        }
        Status::Active => Err(Denied::Leased),
        Status::Abandoned => Err(Denied::Abandoned),
    }
}

/// The lease ended by time: strictly after all that its client was told, as the partner tests it.
pub fn expire(lease: &Lease, here: &Here) -> Result<Lease, Denied> {
    if lease.status != Status::Active {
        return Err(Denied::NotOurs);
    }
    sometimes!(match (here.state, here.role) {
        (State::Normal | State::ConflictDone, Role::Primary) => Rule::ExpiresInNormal,
        (State::Normal | State::ConflictDone, Role::Secondary) => Rule::ExpiryIsPrimarys,
        (State::CommunicationsInterrupted, _) => Rule::ExpiresApart,
        (State::PartnerDown, _) => Rule::ExpiresAlone,
        _ => Rule::ExpiryNotServing,
    });
    let end = match (here.state, here.role) {
        (State::Normal | State::ConflictDone, Role::Primary) | (State::CommunicationsInterrupted, _) => {
            lease.held_until.max(lease.hold_until)
        }
        // The bound of PartnerDown keeps other clients away; the same one may have it any time.
        (State::PartnerDown, _) => lease.held_until,
        (State::Normal | State::ConflictDone, Role::Secondary) => return Err(Denied::NotOurs),
        (
            State::Unknown
            | State::Startup
            | State::PotentialConflict
            | State::Recover
            | State::Paused
            | State::Shutdown
            | State::RecoverDone
            | State::ResolutionInterrupted
            | State::RecoverWait,
            _,
        ) => return Err(Denied::NotServing),
    };
    sometimes!(Rule::GuardCounts, here.now > end && here.now <= end + here.guard);
    if end.is_infinite() || here.now <= end + here.guard {
        sometimes!(Rule::ExpiryEarly);
        return Err(Denied::TooEarly);
    }
    Ok(changed(lease, Status::Expired, here))
}

/// Gives a free address of our share to the partner. Not used from here on, whatever becomes of the update.
pub fn give(lease: &Lease, here: &Here) -> Result<Lease, Denied> {
    if here.state != State::Normal {
        return Err(Denied::NotServing);
    }
    if lease.flags.reserved || !is_own(lease, here.role) {
        return Err(Denied::NotOwn);
    }
    if is_held_free(lease, here) {
        return Err(Denied::TooEarly);
    }
    let status = match here.role {
        Role::Primary => Status::Backup,
        Role::Secondary => Status::Free,
    };
    Ok(changed(lease, status, here))
}

/// Whether a free address of our share must stay here: the partner knows nothing of its hold, and would lease it at once.
#[must_use]
pub fn is_held_free(lease: &Lease, here: &Here) -> bool {
    let held = lease.hold_until > UnixTime::ZERO && here.now <= lease.hold_until + here.guard;
    sometimes!(Rule::GiveHeld, held);
    held
}

/// As primary, takes a free address of the secondary back. Not used before the secondary agreed.
pub fn reclaim(lease: &Lease, here: &Here) -> Result<Lease, Denied> {
    match (here.state, here.role, lease.status, lease.sync) {
        (State::Normal, Role::Primary, Status::Backup, Sync::Agreed) if !lease.flags.reserved => {
            // The dhcpd may have lost its data since.
            if is_promised_to_anybody(lease, here.now) {
                return Err(Denied::TooEarly);
            }
            let taken = Lease { received_potential_max: UnixTime::ZERO, ..lease.clone() };
            Ok(changed(&taken, Status::Free, here))
        }
        (State::Normal, Role::Primary, _, _) => Err(Denied::NotOwn),
        (State::Normal, Role::Secondary, _, _) => Err(Denied::NotOurs),
        (_, _, _, _) => Err(Denied::NotServing),
    }
}

/// In PartnerDown, frees an address whose last client can't have it any more by the partner's word either.
pub fn unpark(lease: &Lease, here: &Here, down: &PartnerDown) -> Result<Lease, Denied> {
    match lease.status {
        Status::Expired | Status::Released | Status::Reset => {
            in_partner_down(lease, Who::OtherClient, down, here.now)?;
            sometimes!(Rule::FreedAlone);
            let freed = Lease { hold_until: UnixTime::ZERO, ..changed(lease, Status::Free, here) };
            if lease.is_untold(here.link_edges) {
                sometimes!(Rule::FreedUntold);
                return Ok(Lease { sent_potential: UnixTime::ZERO, ..freed });
            }
            // The potentials stay, as a sign that the partner holds a copy that must be ended: of an
            // abandoned address too, of which nothing was promised.
            let sent_potential = lease.sent_potential.max(lease.starts);
            Ok(Lease { sent_potential, ..freed })
        }
        Status::Free | Status::Active | Status::Abandoned | Status::Backup => Err(Denied::NotOurs),
    }
}

/// Free since PartnerDown, by [`unpark`], and the partner does not know.
pub(super) fn is_unparked(lease: &Lease) -> bool {
    lease.sync != Sync::Agreed && lease.sent_potential.max(lease.acked_potential) > UnixTime::ZERO
}

/// An abandoned address was out of use for `timeout`. A dhcpd ends that by itself, but forgets to tell it if it is started
/// again in just that moment.
pub fn abandoned_timeout(
    lease: &Lease,
    here: &Here,
    partner: Option<Dialect>,
    timeout: Seconds,
) -> Result<Lease, Denied> {
    let isc_ends_it =
        (here.state, here.role, partner) == (State::Normal, Role::Secondary, Some(Dialect::Isc));
    let over_at = lease.starts + timeout;
    let over_at = if isc_ends_it { over_at + ISC_ENDS_WITHIN } else { over_at };
    let may = match (here.state, here.role) {
        _ if isc_ends_it => lease.sync == Sync::Agreed,
        // The partner may have granted it again before it heard that it is abandoned: its word first.
        (State::Normal | State::ConflictDone, Role::Primary) => lease.sync == Sync::Agreed,
        (State::PartnerDown, _) => true,
        (
            State::Normal
            | State::ConflictDone
            | State::CommunicationsInterrupted
            | State::Unknown
            | State::Startup
            | State::PotentialConflict
            | State::Recover
            | State::Paused
            | State::Shutdown
            | State::RecoverDone
            | State::ResolutionInterrupted
            | State::RecoverWait,
            _,
        ) => false,
    };
    if lease.status != Status::Abandoned {
        return Err(Denied::NotOurs);
    }
    if !may {
        sometimes!(Rule::AbandonedUnsettled, (here.state, here.role) == (State::Normal, Role::Primary));
        return Err(Denied::NotServing);
    }
    // Strictly after what a client may believe in, as time is cut to whole seconds.
    let held = here.now <= lease.held_until.max(lease.hold_until) + here.guard;
    sometimes!(Rule::AbandonedHeld, held && here.now >= over_at);
    if held || here.now < over_at {
        return Err(Denied::TooEarly);
    }
    sometimes!(match here.state {
        State::PartnerDown => Rule::AbandonedReturnsAlone,
        _ if isc_ends_it => Rule::IscForgetsAbandoned,
        _ => Rule::AbandonedReturns,
    });
    Ok(changed(lease, Status::Reset, here))
}

/// An operator ends a binding, at the operator's word that nobody uses the address.
///
/// A client that the partner sees in the same moment does, by whichever clock: so the reset counts as made before,
/// but not before the last contact that this server knows of.
pub fn reset(lease: &Lease, here: &Here) -> Result<Lease, Denied> {
    match lease.status {
        Status::Active | Status::Expired | Status::Released | Status::Abandoned => {
            let starts = (here.now - SAME_MOMENT - here.guard).max(lease.cltt.unwrap_or_default());
            let reset = Lease { held_until: here.now, starts, ..changed(lease, Status::Reset, here) };
            // Of an end that the partner may have been told, it may have leased the address since.
            let ended_at =
                if lease.status == Status::Active { here.link_edges } else { lease.changed_at_edge };
            Ok(Lease { changed_at_edge: ended_at, ..reset })
        }
        Status::Free | Status::Backup | Status::Reset => Err(Denied::NotOurs),
    }
}

/// Clocks differ by up to a second, and times are cut to seconds.
pub(super) const SAME_MOMENT: Seconds = Seconds(2);

/// The configuration came to reserve the address, or `moved` to reserve it for another client: until the partner agrees, it
/// may have leased the address to the one before, and what it refused then it may take now. `None` if the record says so
/// already.
#[must_use]
pub fn reserve(lease: &Lease, moved: bool, here: &Here) -> Option<Lease> {
    (!lease.flags.reserved || moved && (lease.status.is_available() || lease.sync == Sync::Rejected)).then(
        || {
            let mut lease = marked(lease, here);
            lease.flags.reserved = true;
            lease
        },
    )
}

/// The reservation was cancelled: a free address becomes the primary's (§6.6). `None` if the record is of
/// none.
#[must_use]
pub fn unreserve(lease: &Lease, here: &Here) -> Option<Lease> {
    lease.flags.reserved.then(|| {
        let mut lease = match lease.status {
            Status::Free | Status::Backup => changed(lease, Status::Free, here),
            Status::Active | Status::Expired | Status::Released | Status::Abandoned | Status::Reset => {
                marked(lease, here)
            }
        };
        lease.flags.reserved = false;
        lease
    })
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Service {
    Everybody,
    Nobody,
    Renewals,
}

/// Whom a state lets be served (§2.1).
fn service(ctx: &Serving) -> Service {
    match ctx.here.state {
        State::Normal | State::CommunicationsInterrupted | State::PartnerDown | State::ConflictDone => {
            Service::Everybody
        }
        // Behind a cut link the survivor may let its waits run out while we renew (H-20).
        State::RecoverDone => {
            if ctx.linked {
                Service::Renewals
            } else {
                Service::Nobody
            }
        }
        State::ResolutionInterrupted => match ctx.ri_serve {
            RiServe::RenewOnly => Service::Renewals,
            RiServe::Own => Service::Everybody,
        },
        State::Unknown
        | State::Startup
        | State::PotentialConflict
        | State::Recover
        | State::Paused
        | State::Shutdown
        | State::RecoverWait => Service::Nobody,
    }
}

/// An address that no client holds, while the partner may hold something.
fn in_company(lease: &Lease, who: Who, here: &Here) -> Result<(), Denied> {
    match lease.status {
        Status::Free | Status::Backup => {
            let held = lease.hold_until > UnixTime::ZERO && here.now < lease.hold_until + here.guard;
            match (is_own(lease, here.role), who) {
                (false, _) => {
                    sometimes!(Rule::DeniedNotOwn);
                    Err(Denied::NotOwn)
                }
                (true, Who::OtherClient) if held => {
                    sometimes!(Rule::DeniedHeldFree);
                    Err(Denied::TooEarly)
                }
                (true, Who::SameClient | Who::OtherClient) => Ok(()),
            }
        }
        Status::Expired | Status::Released | Status::Reset => {
            let rewind = who == Who::SameClient && lease.certainly_unsent(here.link_edges);
            sometimes!(if rewind { Rule::Rewinds } else { Rule::DeniedParked });
            if rewind { Ok(()) } else { Err(Denied::TooEarly) }
        }
        Status::Active => Err(Denied::Leased),
        Status::Abandoned => Err(Denied::Abandoned),
    }
}

/// Whether the primary may have freed the address since, and leased it to another client: it may once the
/// secondary knows that the lease has ended, or has said so itself (decision 021).
fn may_be_freed(lease: &Lease, here: &Here) -> bool {
    matches!(lease.status, Status::Expired | Status::Released | Status::Reset)
        && here.role == Role::Secondary
        && !lease.flags.reserved
        && !lease.certainly_unsent(here.link_edges)
}

fn in_partner_down(lease: &Lease, who: Who, down: &PartnerDown, now: UnixTime) -> Result<(), Denied> {
    sometimes!(reuse_rule(lease, who, down, now));
    match reusable_from(lease, down, who) {
        reuse if reuse.is_due(now) => Ok(()),
        Reuse::Never => Err(Denied::NotOwn),
        Reuse::Now | Reuse::At(_) => Err(Denied::TooEarly),
    }
}

/// By which row of §7.2 an address is reused, or is not yet.
fn reuse_rule(lease: &Lease, who: Who, down: &PartnerDown, now: UnixTime) -> Rule {
    let due = reusable_from(lease, down, who).is_due(now);
    match (lease.status, who) {
        (Status::Free | Status::Backup, _) if is_own(lease, down.role) => match lease.hold_until {
            UnixTime::INFINITE => Rule::IscQuarantineAlone,
            UnixTime::ZERO => Rule::ReuseOwn,
            _ if due => Rule::ReuseOwn,
            _ => Rule::ReuseOwnHeld,
        },
        (Status::Free | Status::Backup, _) if down.dynamic_bootp => Rule::ReusePartnersBootp,
        (Status::Free | Status::Backup, _) if due => Rule::ReusePartnersDue,
        (Status::Free | Status::Backup, _) => Rule::ReusePartnersEarly,
        (Status::Abandoned, _) => Rule::ReuseAbandoned,
        (_, Who::SameClient) => Rule::ReuseSameClient,
        (_, Who::OtherClient) if lease.first_in_partner_down => Rule::ReuseFirstAlone,
        (_, Who::OtherClient) if lease.hold_until == UnixTime::ZERO => Rule::ReuseUnfrozen,
        (_, Who::OtherClient) if due => Rule::ReuseBoundDue,
        (_, Who::OtherClient) => Rule::ReuseBoundEarly,
    }
}

fn held_by(lease: &Lease, client: &Client, ctx: &Serving) -> Result<(), Denied> {
    match (service(ctx), lease.status) {
        (Service::Nobody | Service::Renewals, _) => Err(Denied::NotServing),
        (Service::Everybody, Status::Active) if is_of(lease, Some(client)) => Ok(()),
        (Service::Everybody, Status::Active) => Err(Denied::Leased),
        (
            Service::Everybody,
            Status::Free
            | Status::Expired
            | Status::Released
            | Status::Abandoned
            | Status::Reset
            | Status::Backup,
        ) => Err(Denied::NotOurs),
    }
}

fn abandoned(lease: &Lease, here: &Here) -> Lease {
    Lease {
        client: None,
        cltt: None,
        cltt_from_partner: false,
        held_until: lease.held_until.min(here.now),
        hostname: None,
        relay_info: None,
        ..changed(lease, Status::Abandoned, here)
    }
}

/// The record with another status, which the partner must be told.
fn changed(lease: &Lease, status: Status, here: &Here) -> Lease {
    Lease { status, starts: here.now, ..marked(lease, here) }
}

fn marked(lease: &Lease, here: &Here) -> Lease {
    let untold = lease.is_untold(here.link_edges);
    Lease { sync: Sync::Due, changed_at_edge: here.link_edges, untold, ..lease.clone() }
}
