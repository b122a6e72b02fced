//! Duels: both servers have an unanswered update for one address (`spec/failover-protocol.md` §3.6).

use api::identity::Role;
use api::time::UnixTime;
use leases::lease::Status;

use super::Judge;
use crate::session::ClockShift;
use crate::wire::BindingUpdate;

/// Whose copy stands between two servers of ours.
///
/// A function of what both sides know alone: the pair as it was on the wire, and how far the clocks are apart by which
/// the contacts were taken. Each side puts its own update into its own role's place and gets the same answer, so both
/// keep the same copy without another word.
#[must_use]
pub fn winner(primary: &BindingUpdate, secondary: &BindingUpdate, shift: ClockShift) -> Role {
    let at_primary = primary.cltt.map(i64::from);
    let at_secondary = secondary.cltt.map(|contact| i64::from(contact) - shift.secondary_ahead);
    let later = |one: Option<i64>, other: Option<i64>| {
        one.is_some_and(|one| other.is_none_or(|other| one > other + i64::from(shift.doubt.get())))
    };
    match (kind(primary), kind(secondary)) {
        (Kind::Abandoned, _) => Role::Primary,
        (_, Kind::Abandoned) => Role::Secondary,
        (Kind::Active, Kind::Active) => {
            if at_secondary > at_primary {
                Role::Secondary
            } else {
                Role::Primary
            }
        }
        // A release ends the lease only if it came after the last grant; a doubt keeps the client.
        (Kind::Active, Kind::Released) => {
            if later(at_secondary, at_primary) {
                Role::Secondary
            } else {
                Role::Primary
            }
        }
        (Kind::Released, Kind::Active) => {
            if later(at_primary, at_secondary) {
                Role::Primary
            } else {
                Role::Secondary
            }
        }
        (Kind::Active, Kind::Other) => Role::Primary,
        (Kind::Other, Kind::Active) => Role::Secondary,
        (Kind::Released | Kind::Other, Kind::Released | Kind::Other) => Role::Primary,
    }
}

/// Whose copy stands between us and an ISC dhcpd. `held_until` is that of our record.
pub(super) fn winner_with_isc(
    sent: &BindingUpdate,
    received: &BindingUpdate,
    held_until: UnixTime,
    ctx: &Judge<'_>,
) -> Role {
    let (own, theirs) = (ctx.role, ctx.role.other());
    let active = |update: &BindingUpdate| update.status == Some(Status::Active);
    match (active(sent), active(received), own) {
        (true, true, Role::Primary) => {
            if contact(received) > contact(sent) {
                theirs
            } else {
                own
            }
        }
        (true, true, Role::Secondary) => {
            if contact(sent) > contact(received) {
                own
            } else {
                theirs
            }
        }
        // ISC takes our Active over whatever else it has sent, so keeping it leaves both Active. Were we to
        // give in, each would hold the other's copy, and its client's renewals meet our next client.
        (true, false, Role::Primary) => own,
        (true, false, Role::Secondary) => {
            if held_until > ctx.now {
                own
            } else {
                theirs
            }
        }
        (false, true, _) => theirs,
        (false, false, _) => Role::Primary,
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Abandoned,
    Active,
    Other,
    Released,
}

fn kind(update: &BindingUpdate) -> Kind {
    match update.status {
        Some(Status::Abandoned) => Kind::Abandoned,
        Some(Status::Active) => Kind::Active,
        Some(Status::Released) => Kind::Released,
        Some(Status::Free | Status::Expired | Status::Reset | Status::Backup) | None => Kind::Other,
    }
}

/// Last contact of the client; a missing one is the smallest.
fn contact(update: &BindingUpdate) -> u32 {
    update.cltt.unwrap_or(0)
}
