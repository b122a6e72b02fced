//! What may replace what: the table of `spec/failover-behaviour.md` §9.

use api::identity::Role;
use api::time::{Seconds, UnixTime};
use leases::lease::{Lease, Status};
use marks::{Rule, sometimes};

use super::merge::Incoming;
use super::{Dialect, Judge, is_of};
use crate::wire::RejectReason;

type Contradiction = Option<(RejectReason, &'static str)>;

/// Why the incoming update does not replace `mine`, if it doesn't.
pub(super) fn contradiction(mine: &Lease, incoming: &Incoming, ctx: &Judge<'_>) -> Contradiction {
    match (mine.status, incoming.status) {
        (_, Status::Active) if ctx.lost_data => None,
        (_, Status::Expired | Status::Released) if may_have_leased_since(ctx) => {
            sometimes!(Rule::IscEndNotConfirmed);
            Some((RejectReason::OutdatedBindingInformation, "what was lost here may have leased it since"))
        }
        _ if ctx.lost_data && ctx.partner_is_whole => None,

        (Status::Active, Status::Active) => two_holders(mine, incoming, ctx),
        (Status::Active, Status::Expired | Status::Free | Status::Backup)
            if leased_alone_since(mine, incoming, ctx) =>
        {
            None
        }
        (Status::Active, Status::Expired | Status::Free | Status::Backup) => t2(mine, ctx),
        (Status::Active, Status::Released) => match ctx.dialect {
            // Contact in one second at both, or by clocks that differ, does not tell which came last, so neither copy would
            // ever give way to the other; a lease that is over needs no protection.
            Dialect::Own
                if (clocks_differ(ctx) || incoming.contact() == mine.cltt.unwrap_or_default())
                    && t2(mine, ctx).is_none() =>
            {
                sometimes!(Rule::ReleasedOnceOver);
                None
            }
            Dialect::Own => released_there(mine, incoming),
            Dialect::Isc => released_by_isc(mine, incoming, ctx),
        },
        (Status::Active, Status::Reset) if clocks_differ(ctx) && t2(mine, ctx).is_none() => {
            sometimes!(Rule::ResetOnceOver);
            None
        }
        (Status::Active, Status::Reset) => seen_since(mine, incoming, ctx),
        (Status::Active, Status::Abandoned) => None,

        (Status::Expired, Status::Active) => t1(mine, incoming),
        (
            Status::Expired,
            Status::Expired
            | Status::Released
            | Status::Free
            | Status::Backup
            | Status::Reset
            | Status::Abandoned,
        ) => None,

        (Status::Released, Status::Active | Status::Expired) => t1(mine, incoming),
        (
            Status::Released,
            Status::Released | Status::Free | Status::Backup | Status::Reset | Status::Abandoned,
        ) => None,

        (
            Status::Free | Status::Backup,
            Status::Free
            | Status::Active
            | Status::Expired
            | Status::Released
            | Status::Abandoned
            | Status::Reset
            | Status::Backup,
        ) => None,

        (Status::Reset, Status::Active) => t3(mine, incoming),
        (
            Status::Reset,
            Status::Expired
            | Status::Released
            | Status::Free
            | Status::Backup
            | Status::Reset
            | Status::Abandoned,
        ) => None,

        (
            Status::Abandoned,
            Status::Active | Status::Expired | Status::Released | Status::Free | Status::Backup,
        ) => match ctx.dialect {
            // Who was alone last has waited its time-out and uses the address again.
            Dialect::Own if ctx.after_partner_down && incoming.starts > Some(mine.starts) => {
                sometimes!(Rule::AbandonedGivesWay);
                None
            }
            Dialect::Own => {
                Some((RejectReason::LessCriticalBindingInformation, "abandoned here: somebody else uses it"))
            }
            // ISC ends and re-uses abandoned addresses by itself.
            Dialect::Isc => {
                sometimes!(Rule::IscAbandonedGivesWay);
                None
            }
        },
        (Status::Abandoned, Status::Reset | Status::Abandoned) => None,
    }
}

/// A partner that was alone has leased the address to somebody else since, whose lease is over: so ours had ended before
/// that, whatever this record says (§8, "after the partner's PD").
fn leased_alone_since(mine: &Lease, incoming: &Incoming, ctx: &Judge<'_>) -> bool {
    let other = incoming.client.is_some() && !is_of(mine, incoming.client.as_ref());
    let later = incoming.contact() > mine.cltt.unwrap_or_default();
    ctx.dialect == Dialect::Own && ctx.after_partner_down && other && later
}

/// A dhcpd primary gives an address away as soon as its partner agrees that the lease is over. While we fetch what we lost, we
/// may have leased it since; the dhcpd tells the end again on Normal, after our wait of the MCLT (decision 028).
fn may_have_leased_since(ctx: &Judge<'_>) -> bool {
    (ctx.dialect, ctx.role) == (Dialect::Isc, Role::Secondary) && ctx.lost_data
}

/// Times of two servers of ours can't be compared to the second.
fn clocks_differ(ctx: &Judge<'_>) -> bool {
    ctx.dialect == Dialect::Own && ctx.guard > Seconds::ZERO
}

/// Active here and there.
fn two_holders(mine: &Lease, incoming: &Incoming, ctx: &Judge<'_>) -> Contradiction {
    if is_of(mine, incoming.client.as_ref()) {
        sometimes!(Rule::SameClient);
        return None;
    }
    if clocks_differ(ctx) && t2(mine, ctx).is_none() {
        // Nobody believes in ours any more; it only could not be ended, as in a conflict.
        sometimes!(Rule::OverGivesWay);
        return None;
    }
    if ctx.dialect == Dialect::Isc && is_over(incoming, ctx) && t2(mine, ctx).is_some() {
        // A dhcpd that waited for its partner in a conflict has not ended what is over.
        sometimes!(Rule::IscLeaseIsOver);
        return Some((RejectReason::OutdatedBindingInformation, "over, and leased to another client here"));
    }
    if ctx.after_partner_down {
        // Who was alone last knows best; by role, the primary would keep a client of before PartnerDown.
        let (theirs, ours) = (incoming.contact(), mine.cltt.unwrap_or(UnixTime::ZERO));
        let accept = match ctx.role {
            Role::Primary => theirs > ours,
            Role::Secondary => theirs >= ours,
        };
        sometimes!(if accept { Rule::LaterContactWins } else { Rule::EarlierContactRefused });
        return (!accept)
            .then_some((RejectReason::OutdatedBindingInformation, "the client here was seen later"));
    }
    sometimes!(match ctx.role {
        Role::Primary => Rule::PrimaryKeepsClient,
        Role::Secondary => Rule::SecondaryGivesWay,
    });
    match ctx.role {
        Role::Primary => Some((RejectReason::FatalConflict, "active for another client here")),
        Role::Secondary => None,
    }
}

/// The lease that the partner tells of ended by its own word.
fn is_over(incoming: &Incoming, ctx: &Judge<'_>) -> bool {
    incoming.lease_expiry.is_some_and(|end| !end.is_infinite() && ctx.now > end + ctx.guard)
}

/// The client was seen there later than here.
fn t1(mine: &Lease, incoming: &Incoming) -> Contradiction {
    let later = match (incoming.cltt, mine.cltt) {
        (Some(theirs), Some(ours)) => theirs > ours,
        (Some(_), None) => true,
        (None, Some(_) | None) => false,
    };
    (!later).then_some((RejectReason::OutdatedBindingInformation, "the client was seen here later"))
}

/// The lease is over here too, by all that its client was ever told, and so is any hold.
fn t2(mine: &Lease, ctx: &Judge<'_>) -> Contradiction {
    let end = mine.held_until.max(mine.hold_until);
    let over = !end.is_infinite() && ctx.now > end + ctx.guard;
    (!over).then_some((RejectReason::OutdatedBindingInformation, "the lease is not over here"))
}

/// The client was seen here after the lease was reset there, at the word that nobody uses the address (decision 022).
fn seen_since(mine: &Lease, incoming: &Incoming, ctx: &Judge<'_>) -> Contradiction {
    let since = incoming.starts.is_some_and(|reset| mine.cltt.is_some_and(|contact| contact > reset));
    sometimes!(Rule::ResetIsOlder, since && ctx.dialect == Dialect::Own);
    (since && ctx.dialect == Dialect::Own)
        .then_some((RejectReason::OutdatedBindingInformation, "the client was seen here after that"))
}

/// The client was seen there after the lease was reset here.
fn t3(mine: &Lease, incoming: &Incoming) -> Contradiction {
    let later = incoming.cltt.is_some_and(|theirs| theirs > mine.starts);
    (!later).then_some((RejectReason::OutdatedBindingInformation, "reset here since"))
}

/// The client released after all contact here. If the contact here was learned from the partner, the same
/// second will do: a client may have been granted its lease there and have released it in one second.
fn released_there(mine: &Lease, incoming: &Incoming) -> Contradiction {
    let learned = is_learned(mine, incoming);
    sometimes!(Rule::ReleasedAsLearned, learned);
    if learned { None } else { t1(mine, incoming) }
}

/// Nothing was heard of the client here since the partner told of this contact.
fn is_learned(mine: &Lease, incoming: &Incoming) -> bool {
    mine.cltt_from_partner && mine.cltt.is_some() && mine.cltt == incoming.cltt
}

/// ISC says when it granted last, not when the client released. So the same contact that it told us of
/// before is news enough. A client that both servers renewed, as they do for a broadcast, was seen here no
/// earlier than there; then the time of the release counts, which ISC puts into both expiries.
fn released_by_isc(mine: &Lease, incoming: &Incoming, ctx: &Judge<'_>) -> Contradiction {
    let in_doubt = |time: UnixTime| time + ctx.guard + CLOCK_DOUBT;
    let released_at = incoming
        .potential_expiry
        .filter(|at| incoming.lease_expiry == Some(*at) && *at <= in_doubt(ctx.now))
        .filter(|_| is_of(mine, incoming.client.as_ref()));
    if released_at.is_some_and(|at| at > in_doubt(mine.cltt.unwrap_or(UnixTime::ZERO))) {
        sometimes!(Rule::IscReleaseByTime);
        return None;
    }
    match incoming.cltt {
        None if ctx.now >= mine.held_until && !mine.held_until.is_infinite() => {
            sometimes!(Rule::IscReleaseOfEnded);
            None
        }
        None => {
            sometimes!(Rule::IscReleaseTooEarly);
            Some((RejectReason::OutdatedBindingInformation, "the lease is not over here"))
        }
        // Where the clocks differ by more than a client takes, no time tells. Nobody believes in a lease that is over.
        Some(_) if t2(mine, ctx).is_none() => None,
        // Contacts of two clocks: what they tell was asked above, of the release, beyond the doubt.
        Some(_) if ctx.guard > Seconds::ZERO && !is_learned(mine, incoming) => {
            sometimes!(Rule::IscReleaseInDoubt);
            Some((RejectReason::OutdatedBindingInformation, "the client may have been seen here since"))
        }
        Some(_) => released_there(mine, incoming),
    }
}

/// Clocks that count as equal differ by this much, so of two times as close as this either may be the later.
const CLOCK_DOUBT: Seconds = Seconds(1);
