//! Receiving an update: the checks in the order of `spec/failover-protocol.md` §3.3.

use api::identity::Role;
use leases::lease::{Lease, Status};
use marks::{Mark, Rule, sometimes};

use super::conflict::contradiction;
use super::duel::{winner, winner_with_isc};
use super::merge::{Incoming, merged, repairing};
use super::update::says;
use super::{Dialect, Judge, Verdict};
use crate::wire::{BindingUpdate, RejectReason};

/// Said when ours stands and the partner will have it.
pub const UNDER_WAY: &str = "ours is under way and better";

/// Judges an update that was received for the address of `mine`.
///
/// The caller commits the record, then answers. If [`Judge::unacked`] was set and the verdict is not
/// reason 16, our own update lost the duel, even if this one is rejected by a later check: it is no longer
/// waited for, and its answer releases a window slot and changes nothing else.
#[must_use]
pub fn judge(mine: &Lease, update: &BindingUpdate, ctx: &Judge<'_>) -> Verdict {
    let (Some(address), Some(status)) = (update.address, update.status) else {
        return Verdict::Reject(RejectReason::MissingBindingInformation, "address or status missing");
    };
    if !ctx.in_pools || address != mine.address {
        return Verdict::Reject(RejectReason::IllegalIpAddress, "not an address of this relationship");
    }
    let duel = ctx.unacked.map_or(Duel::None, |sent| fight(mine, sent, update, ctx));
    if duel == Duel::Won {
        return Verdict::Reject(RejectReason::LessCriticalBindingInformation, UNDER_WAY);
    }
    if let Some((reason, text)) = faulty(status, update, ctx) {
        return Verdict::Reject(reason, text);
    }
    let incoming = Incoming::new(status, update, ctx);
    let settled = match duel {
        Duel::None | Duel::Lost { settled: false } => false,
        Duel::Lost { settled: true } | Duel::LostToRepair | Duel::Won => true,
    };
    let refusal = if settled { None } else { contradiction(mine, &incoming, ctx) };
    let by_loss = ctx.lost_data && status == Status::Active;
    sometimes!(Rule::LostDataTakesActive, by_loss && !settled);
    sometimes!(
        Mark::Conflict { mine: mine.status, incoming: status, accepted: refusal.is_none() },
        !settled && !by_loss
    );
    if let Some((reason, text)) = refusal {
        return Verdict::Reject(reason, text);
    }
    let lease = merged(mine, &incoming, ctx);
    match duel {
        Duel::LostToRepair => Verdict::AcceptThenRepair(repairing(lease)),
        Duel::Lost { .. } | Duel::None | Duel::Won => Verdict::Accept(lease),
    }
}

/// How a duel ended for our copy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Duel {
    /// `settled`: the partner reckons with our losing, so the table is not asked again.
    Lost {
        settled: bool,
    },
    /// Against an ISC secondary that gave its own copy up as well.
    LostToRepair,
    None,
    Won,
}

fn fight(mine: &Lease, sent: &BindingUpdate, update: &BindingUpdate, ctx: &Judge<'_>) -> Duel {
    let (primary, secondary) = match ctx.role {
        Role::Primary => (sent, update),
        Role::Secondary => (update, sent),
    };
    let best = match ctx.dialect {
        Dialect::Own => winner(primary, secondary, ctx.clock_shift),
        Dialect::Isc => winner_with_isc(sent, update, mine.held_until, ctx),
    };
    let active = |update: &BindingUpdate| update.status == Some(Status::Active);
    sometimes!(match ctx.dialect {
        Dialect::Own => Mark::Duel {
            primary: primary.status.unwrap_or_default(),
            secondary: secondary.status.unwrap_or_default(),
            winner: best,
        },
        Dialect::Isc =>
            Mark::DuelWithIsc { ours: active(sent), theirs: active(update), won: best == ctx.role },
    });
    match (best == ctx.role, ctx.dialect, ctx.role) {
        (true, _, _) => Duel::Won,
        (false, Dialect::Isc, Role::Primary) if active(update) && !active(sent) => {
            sometimes!(Rule::IscRepairs);
            Duel::LostToRepair
        }
        // An Active that lost to something else may have been renewed by its client meanwhile; and what
        // happened here since the copy was sent is judged like any other record.
        (false, Dialect::Isc, _) if active(sent) && !active(update) => {
            sometimes!(Rule::IscDuelUnsettled);
            Duel::Lost { settled: false }
        }
        (false, Dialect::Isc | Dialect::Own, _) => {
            let settled = says(sent, mine, &ctx.side());
            sometimes!(if settled { Rule::DuelSettled } else { Rule::DuelUnsettled });
            Duel::Lost { settled }
        }
    }
}

/// Why an update can't be stored whatever the record is.
fn faulty(status: Status, update: &BindingUpdate, ctx: &Judge<'_>) -> Option<(RejectReason, &'static str)> {
    match status {
        Status::Active | Status::Expired | Status::Released if update.hardware.is_none() => {
            Some((RejectReason::MissingBindingInformation, "hardware address missing"))
        }
        Status::Abandoned
            if ctx.dialect == Dialect::Isc && (update.hardware.is_some() || update.client_id.is_some()) =>
        {
            Some((RejectReason::Miscellaneous, "abandoned address with a client"))
        }
        _ if update.flags.reserved && !ctx.reserved_here => {
            Some((RejectReason::IpNotReserved, "not reserved here"))
        }
        Status::Free
        | Status::Active
        | Status::Expired
        | Status::Released
        | Status::Abandoned
        | Status::Reset
        | Status::Backup => None,
    }
}
