//! What a server does by itself, and when it must not.

use api::identity::{Role, State};
use api::pair::RiServe;
use api::time::{Seconds, UnixTime};
use leases::lease::{Lease, Status, Sync};

use super::{ADDRESS, M, ROLES, agreed, client, due, here, mine, serving, side, t};
use crate::binding::{
    Denied, Dialect, Here, Serving, Side, abandon, abandoned_timeout, amnesia_hold, decline, expire, freeze,
    give, grant, may_adopt, may_lease, may_rewind, reclaim, release, reserve, reset, revive_for_amnesia,
    tell_time_out, thaw, unpark, unreserve, update_for,
};
use crate::times::{Mode, PartnerDown, is_own};

const X: Seconds = Seconds(259_200);
const DAY: Seconds = Seconds(86_400);

fn own(role: Role) -> Status {
    match role {
        Role::Primary => Status::Free,
        Role::Secondary => Status::Backup,
    }
}

fn free(status: Status) -> Lease {
    Lease { status, ..Lease::new(ADDRESS) }
}

fn down(role: Role, at: u64) -> PartnerDown {
    PartnerDown { at: t(at), role, mclt: M, guard: Seconds::ZERO, dynamic_bootp: false }
}

/// In PartnerDown since `at`, the partner silent.
fn alone(role: Role, at: u64, now: u64) -> Serving {
    let mut ctx = serving(here(role, State::PartnerDown));
    ctx.here.now = t(now);
    ctx.linked = false;
    ctx.mode = Mode::PartnerDownFull;
    ctx.down = Some(down(role, at));
    ctx
}

#[test]
fn after_both_stores_were_lost_an_owner_lets_clients_keep_what_they_renew() {
    for (role, own, partners) in
        [(Role::Primary, Status::Free, Status::Backup), (Role::Secondary, Status::Backup, Status::Free)]
    {
        let mut ctx = serving(here(role, State::CommunicationsInterrupted));
        ctx.new_clients_from = ctx.here.now + Seconds(1);
        let unknown = |status| Lease { client: None, ..agreed(mine(status)) };
        assert_eq!(may_adopt(&unknown(own), &client(1), &ctx), Ok(()));
        // Once the hold is over the owner gives it away, and may not have heard of our client by then.
        assert!(may_adopt(&unknown(partners), &client(1), &ctx).is_err(), "{role}");
        let of_other = agreed(mine(own));
        assert!(may_adopt(&of_other, &client(2), &ctx).is_err(), "somebody else had it last");
        ctx.new_clients_from = UnixTime::ZERO;
        assert!(may_adopt(&unknown(own), &client(1), &ctx).is_err(), "nothing is held");
        let mut ctx = alone(role, 100, 450);
        ctx.new_clients_from = t(500);
        assert_eq!(may_adopt(&unknown(partners), &client(1), &ctx), Ok(()), "the partner is down");
    }
}

#[test]
fn leaving_partner_down_ends_its_own_bounds_and_no_other_hold() {
    let held = |status, until| Lease { hold_until: until, ..agreed(mine(status)) };
    for status in [Status::Active, Status::Expired, Status::Released, Status::Reset, Status::Free] {
        assert_eq!(thaw(&held(status, t(9000)), false, true).hold_until, UnixTime::ZERO, "{status}");
        assert_eq!(thaw(&held(status, t(9000)), true, true).hold_until, t(9000), "{status}, data were lost");
    }
    assert_eq!(
        thaw(&held(Status::Abandoned, t(9000)), false, true).hold_until,
        t(9000),
        "one side leased it"
    );
    let quarantined = held(Status::Free, UnixTime::INFINITE);
    assert_eq!(thaw(&quarantined, false, true).hold_until, UnixTime::INFINITE, "until the next Normal");
}

#[test]
fn states_serve_whom_they_may() {
    for role in ROLES {
        for state in State::ALL {
            let (new, renewal) = match state {
                State::Normal
                | State::CommunicationsInterrupted
                | State::PartnerDown
                | State::ConflictDone => (Ok(()), Ok(())),
                State::RecoverDone | State::ResolutionInterrupted => (Err(Denied::NotServing), Ok(())),
                State::Unknown
                | State::Startup
                | State::PotentialConflict
                | State::Recover
                | State::Paused
                | State::Shutdown
                | State::RecoverWait => (Err(Denied::NotServing), Err(Denied::NotServing)),
            };
            let ctx = serving(here(role, state));
            assert_eq!(may_lease(&free(own(role)), &client(1), &ctx), new, "{state}");
            assert_eq!(may_lease(&mine(Status::Active), &client(1), &ctx), renewal, "{state}");
        }
    }
}

#[test]
fn recover_done_is_silent_without_a_link_and_renews_nothing_that_is_over() {
    let mut ctx = serving(here(Role::Secondary, State::RecoverDone));
    assert_eq!(may_lease(&mine(Status::Active), &client(1), &ctx), Ok(()));
    ctx.here.now = t(501);
    assert_eq!(may_lease(&mine(Status::Active), &client(1), &ctx), Err(Denied::NotServing));
    ctx.here.now = t(450);
    ctx.linked = false;
    assert_eq!(may_lease(&mine(Status::Active), &client(1), &ctx), Err(Denied::NotServing));
}

#[test]
fn resolution_interrupted_serves_new_clients_only_if_told_to() {
    let mut ctx = serving(here(Role::Primary, State::ResolutionInterrupted));
    assert_eq!(may_lease(&free(Status::Free), &client(1), &ctx), Err(Denied::NotServing));
    ctx.ri_serve = RiServe::Own;
    assert_eq!(may_lease(&free(Status::Free), &client(1), &ctx), Ok(()));
}

#[test]
fn new_clients_get_own_settled_addresses_only() {
    for role in ROLES {
        for state in [State::Normal, State::CommunicationsInterrupted, State::ConflictDone] {
            let ctx = serving(here(role, state));
            for status in Status::ALL {
                for sync in [Sync::Agreed, Sync::Due, Sync::Rejected] {
                    let lease = Lease { sync, ..mine(status) };
                    let expected = match status {
                        status if status == own(role) && sync == Sync::Agreed => Ok(()),
                        Status::Free | Status::Backup => Err(Denied::NotOwn),
                        Status::Active => Err(Denied::Leased),
                        Status::Expired | Status::Released | Status::Reset => Err(Denied::TooEarly),
                        Status::Abandoned => Err(Denied::Abandoned),
                    };
                    assert_eq!(may_lease(&lease, &client(2), &ctx), expected, "{role} {status} {sync:?}");
                }
            }
        }
    }
}

#[test]
fn a_grant_commits_what_the_ack_says() {
    let ctx = serving(here(Role::Primary, State::Normal));
    let granted = grant(&free(Status::Free), &client(1), X, &ctx).expect("own");
    let expected = Lease {
        status: Status::Active,
        client: Some(client(1)),
        exp: t(450) + M,
        held_until: t(450) + M,
        sent_potential: t(450) + X + M,
        cltt: Some(t(450)),
        starts: t(450),
        sync: Sync::Due,
        changed_at_edge: 7,
        ..Lease::new(ADDRESS)
    };
    assert_eq!(granted, expected);
}

#[test]
fn a_renewal_keeps_its_start_and_its_potentials() {
    let lease = Lease {
        acked_potential: t(9000),
        received_potential: t(8000),
        received_potential_max: t(8500),
        sent_potential: t(9000),
        cltt_from_partner: true,
        ..agreed(mine(Status::Active))
    };
    let ctx = serving(here(Role::Secondary, State::CommunicationsInterrupted));
    let renewed = grant(&lease, &client(1), X, &ctx).expect("its own");
    assert_eq!(renewed.exp, t(9000) + M);
    assert_eq!((renewed.starts, renewed.cltt, renewed.cltt_from_partner), (t(300), Some(t(450)), false));
    assert_eq!((renewed.acked_potential, renewed.received_potential), (t(9000), t(8000)));
    assert_eq!(renewed.received_potential_max, t(8500));
}

#[test]
fn a_lease_that_ended_comes_back_to_its_client_only_if_the_partner_was_never_told() {
    for status in [Status::Expired, Status::Released, Status::Reset] {
        for (changed_at_edge, link_edges, unsent) in
            [(4, 4, true), (5, 5, false), (4, 6, false), (5, 6, false)]
        {
            let lease = Lease { changed_at_edge, ..due(mine(status)) };
            let mut ctx = serving(here(Role::Primary, State::CommunicationsInterrupted));
            ctx.here.link_edges = link_edges;
            let expected = if unsent { Ok(()) } else { Err(Denied::TooEarly) };
            assert_eq!(may_lease(&lease, &client(1), &ctx), expected);
            assert_eq!(may_rewind(&lease, &client(1), link_edges), unsent);
            assert_eq!(may_lease(&lease, &client(2), &ctx), Err(Denied::TooEarly));
            assert!(!may_rewind(&lease, &client(2), link_edges));
        }
    }
}

#[test]
fn a_revived_lease_leads_by_the_bare_mclt_and_waits_as_before() {
    let lease = Lease {
        changed_at_edge: 4,
        sent_potential: t(9_000_000),
        acked_potential: t(9_000_000),
        ..due(mine(Status::Released))
    };
    let mut ctx = serving(here(Role::Primary, State::CommunicationsInterrupted));
    ctx.here.link_edges = 4;
    let granted = grant(&lease, &client(1), X, &ctx).expect("unsent");
    assert_eq!(granted.exp, t(450) + M);
    assert_eq!(granted.sent_potential, t(9_000_000));
    assert_eq!(granted.acked_potential, UnixTime::ZERO, "the partner may hold another binding");
}

#[test]
fn in_partner_down_others_wait_for_the_bound_and_the_same_client_does_not() {
    let expired = Lease { sent_potential: t(2000), ..due(mine(Status::Expired)) };
    for role in ROLES {
        let mut early = alone(role, 1000, 1001);
        early.here.link_edges = 4;
        let frozen = Lease { changed_at_edge: 4, ..freeze(&expired, t(1000), M) };
        assert_eq!(may_lease(&frozen, &client(1), &early), Ok(()));
        assert_eq!(may_lease(&frozen, &client(2), &alone(role, 1000, 5599)), Err(Denied::TooEarly));
        assert_eq!(may_lease(&frozen, &client(2), &alone(role, 1000, 5600)), Ok(()));
    }
}

#[test]
fn in_partner_down_a_secondary_waits_with_what_the_primary_may_have_freed() {
    for status in [Status::Expired, Status::Released, Status::Reset] {
        for (role, reserved, link_edges, may) in [
            // Told while the link was up, or before the last link.
            (Role::Secondary, false, 3, false),
            (Role::Secondary, false, 4, false),
            // Ended while nobody could hear it.
            (Role::Secondary, false, 2, true),
            // Only a primary frees, and a reserved address has one client.
            (Role::Primary, false, 4, true),
            (Role::Secondary, true, 4, true),
        ] {
            let mut ctx = alone(role, 100, 450);
            ctx.here.link_edges = link_edges;
            let mut lease = due(mine(status));
            lease.changed_at_edge = link_edges.min(3);
            lease.flags.reserved = reserved;
            let told = may_lease(&lease, &client(1), &ctx);
            let expected = if may { Ok(()) } else { Err(Denied::TooEarly) };
            assert_eq!(told, expected, "{status} at the {role}, edge {link_edges}");
            ctx.here.now = t(100_000);
            assert_eq!(may_lease(&lease, &client(1), &ctx), Ok(()), "{status}: after its bound");
        }
    }
}

#[test]
fn in_partner_down_the_partners_addresses_come_after_the_mclt() {
    for role in ROLES {
        let partners = free(own(role.other()));
        assert_eq!(may_lease(&partners, &client(1), &alone(role, 1000, 4599)), Err(Denied::TooEarly));
        assert_eq!(may_lease(&partners, &client(1), &alone(role, 1000, 4600)), Ok(()));
        let mut ctx = alone(role, 1000, 4600);
        ctx.down = Some(PartnerDown { dynamic_bootp: true, ..down(role, 1000) });
        assert_eq!(may_lease(&partners, &client(1), &ctx), Err(Denied::NotOwn));
    }
}

#[test]
fn a_lease_first_made_in_partner_down_is_marked_and_another_client_follows_at_its_end() {
    let ctx = alone(Role::Primary, 1000, 1001);
    let lease = grant(&free(Status::Free), &client(1), Seconds(1800), &ctx).expect("own");
    assert!(lease.first_in_partner_down);
    assert_eq!(lease.held_until, t(2801));
    let mut here = ctx.here;
    here.now = t(2802);
    let expired = expire(&lease, &here).expect("over");
    assert_eq!(may_lease(&expired, &client(2), &alone(Role::Primary, 1000, 2802)), Ok(()));
    let next = grant(&expired, &client(2), X, &alone(Role::Primary, 1000, 2802)).expect("free");
    assert_eq!((next.held_until, next.first_in_partner_down), (t(2802) + X, true));
}

#[test]
fn a_renewal_in_partner_down_of_an_older_lease_is_not_marked_and_keeps_its_bound() {
    let frozen = freeze(&agreed(mine(Status::Active)), t(400), M);
    let renews = Serving { claimed: true, ..alone(Role::Primary, 400, 450) };
    let renewed = grant(&frozen, &client(1), X, &renews).expect("its own");
    assert!(!renewed.first_in_partner_down);
    assert_eq!(renewed.hold_until, frozen.hold_until);
    assert_eq!(renewed.exp, t(450) + X);
}

#[test]
fn once_the_partner_was_heard_partner_down_gives_own_addresses_and_the_lead_only() {
    let mut ctx = alone(Role::Primary, 1000, 90_000);
    ctx.down = None;
    ctx.linked = true;
    assert_eq!(may_lease(&free(Status::Backup), &client(1), &ctx), Err(Denied::NotOwn));
    let granted = grant(&free(Status::Free), &client(1), X, &ctx).expect("own");
    assert_eq!(granted.exp, t(90_000) + M);
    assert!(!granted.first_in_partner_down);
    let expired = Lease { changed_at_edge: 6, ..due(mine(Status::Expired)) };
    assert_eq!(may_lease(&expired, &client(1), &ctx), Err(Denied::TooEarly), "it may have been told");
}

#[test]
fn a_hold_on_everything_leaves_renewals() {
    for (role, mut ctx) in ROLES.map(|role| (role, alone(role, 1000, 90_000))) {
        ctx.new_clients_from = t(90_001);
        assert_eq!(may_lease(&free(own(role)), &client(1), &ctx), Err(Denied::TooEarly));
        assert_eq!(may_lease(&mine(Status::Expired), &client(1), &ctx), Err(Denied::TooEarly));
        let runs = Lease { held_until: t(90_000), ..mine(Status::Active) };
        assert_eq!(may_lease(&runs, &client(1), &ctx), Ok(()));
        let over = Lease { held_until: t(89_999), ..mine(Status::Active) };
        assert_eq!(
            may_lease(&over, &client(1), &ctx),
            Err(Denied::TooEarly),
            "the partner may have leased it since"
        );
        // Who looks for any address may have given this one up at the partner, unless it was seen since.
        ctx.held_since = t(100);
        assert_eq!(may_lease(&runs, &client(1), &ctx), Err(Denied::TooEarly));
        assert_eq!(may_lease(&runs, &client(1), &Serving { claimed: true, ..ctx }), Ok(()));
        ctx.held_since = t(99);
        assert_eq!(may_lease(&runs, &client(1), &ctx), Ok(()));
        ctx.new_clients_from = t(90_000);
        assert_eq!(may_lease(&over, &client(1), &ctx), Ok(()));
        assert_eq!(may_lease(&free(own(role)), &client(1), &ctx), Ok(()));
    }
}

/// The partner, which lost its data, may have leased the address to somebody else after the end that was told to it.
#[test]
fn a_lease_that_is_active_again_for_amnesia_goes_only_to_a_client_that_claims_it() {
    for (role, ctx) in ROLES.map(|role| (role, serving(here(role, State::Normal)))) {
        let ended = Lease { exp: t(440), held_until: t(440), ..due(mine(Status::Released)) };
        let held = amnesia_hold(&ended, t(445), M);
        let revived = revive_for_amnesia(&held, ctx.here.now).expect("it is held");
        assert_eq!(may_lease(&revived, &client(1), &ctx), Err(Denied::TooEarly), "{role}");
        assert_eq!(may_lease(&revived, &client(2), &ctx), Err(Denied::Leased));
        let claims = Serving { claimed: true, ..ctx };
        assert_eq!(may_lease(&revived, &client(1), &claims), Ok(()));
        let proven = grant(&revived, &client(1), X, &claims).expect("it claims it");
        assert_eq!(may_lease(&proven, &client(1), &ctx), Ok(()), "it runs");
    }
}

/// Nobody but the primary ever knew of the lease, so the partner holds nothing that must be ended.
#[test]
fn what_was_leased_and_freed_alone_leaves_no_sign() {
    let at = |time, link_edges| {
        let mut ctx = alone(Role::Primary, 1000, time);
        ctx.here.link_edges = link_edges;
        ctx
    };
    let freed = |lease: &Lease, who, time, link_edges| {
        let ctx = at(time, link_edges);
        let lease = grant(lease, &client(who), Seconds(100), &ctx).expect("free");
        let released = release(&lease, &client(who), &ctx).expect("its own");
        let later = at(time + 50_000, link_edges);
        unpark(&released, &later.here, &later.down.expect("down")).expect("its time has come")
    };
    let untold = freed(&free(Status::Free), 1, 1001, 8);
    assert_eq!((untold.status, untold.sync, untold.sent_potential), (Status::Free, Sync::Due, t(0)));
    assert_eq!(freed(&untold, 2, 60_000, 8).sent_potential, t(0), "nor of the next one");
    assert!(freed(&untold, 2, 60_000, 10).sent_potential > t(0), "the link was up since");
    assert!(freed(&free(Status::Free), 1, 1001, 7).sent_potential > t(0), "it is up");
    let known = Lease { sync: Sync::Due, ..free(Status::Free) };
    assert!(
        freed(&known, 1, 60_000, 8).sent_potential > t(0),
        "the partner may hold a copy of an earlier lease"
    );
}

#[test]
fn a_held_free_address_stays_held_when_its_last_client_has_it_again() {
    let ctx = serving(here(Role::Primary, State::Normal));
    let held = |hold_until| Lease { hold_until, ..agreed(mine(Status::Free)) };
    let granted = |hold_until| grant(&held(hold_until), &client(1), X, &ctx).map(|lease| lease.hold_until);
    assert_eq!(granted(t(460)), Ok(t(460)), "its client may have been promised more before");
    assert_eq!(granted(UnixTime::INFINITE), Ok(UnixTime::ZERO), "a quarantine ends with a grant");
}

#[test]
fn a_held_free_address_is_kept_from_others_only() {
    let lease = Lease { hold_until: t(460), ..agreed(mine(Status::Free)) };
    let mut ctx = serving(here(Role::Primary, State::Normal));
    assert_eq!(may_lease(&lease, &client(1), &ctx), Ok(()));
    assert_eq!(may_lease(&lease, &client(2), &ctx), Err(Denied::TooEarly));
    ctx.here.now = t(460);
    assert_eq!(may_lease(&lease, &client(2), &ctx), Ok(()));
}

#[test]
fn hu_5_a_release_ends_what_the_client_believes_and_nothing_else() {
    let lease = Lease { sent_potential: t(9000), hold_until: t(7777), ..agreed(mine(Status::Active)) };
    for role in ROLES {
        let ctx = serving(here(role, State::CommunicationsInterrupted));
        let released = release(&lease, &client(1), &ctx).expect("its own");
        assert_eq!((released.status, released.sync), (Status::Released, Sync::Due));
        // Decision 025: whoever came back at the partner in the same moment has a lease again.
        assert_eq!((released.held_until, released.cltt, released.starts), (t(450), Some(t(448)), t(450)));
        let seen_now = Lease { cltt: Some(t(449)), ..lease.clone() };
        assert_eq!(release(&seen_now, &client(1), &ctx).map(|lease| lease.cltt), Ok(Some(t(450))));
        let seen_ahead = Lease { cltt: Some(t(451)), ..lease.clone() };
        assert_eq!(release(&seen_ahead, &client(1), &ctx).map(|lease| lease.cltt), Ok(Some(t(451))));
        assert_eq!((released.sent_potential, released.hold_until), (t(9000), t(7777)));
        assert_eq!(release(&lease, &client(2), &ctx), Err(Denied::Leased));
        assert_eq!(release(&released, &client(1), &ctx), Err(Denied::NotOurs));
    }
    let ctx = serving(here(Role::Primary, State::PotentialConflict));
    assert_eq!(release(&lease, &client(1), &ctx), Err(Denied::NotServing), "no trace");
}

#[test]
fn a_declined_address_has_no_client_and_ends_by_time() {
    let mut ctx = serving(here(Role::Primary, State::Normal));
    let lease = decline(&agreed(mine(Status::Active)), &client(1), &ctx).expect("its own");
    assert_eq!((lease.status, &lease.client, lease.sync), (Status::Abandoned, &None, Sync::Due));
    assert_eq!(lease.held_until, t(450));
    let over = |lease: &Lease, here: &Here, partner| abandoned_timeout(lease, here, partner, DAY);
    let own = Some(Dialect::Own);
    ctx.here.now = t(450) + DAY;
    assert_eq!(
        over(&lease, &ctx.here, own),
        Err(Denied::NotServing),
        "the partner may have leased it since, and has its say first"
    );
    let lease = agreed(lease);
    ctx.here.now = t(449) + DAY;
    assert_eq!(over(&lease, &ctx.here, own), Err(Denied::TooEarly));
    ctx.here.now = t(450) + DAY;
    assert_eq!(over(&lease, &ctx.here, own).map(|lease| lease.status), Ok(Status::Reset));
    ctx.here.role = Role::Secondary;
    assert_eq!(over(&lease, &ctx.here, own), Err(Denied::NotServing));
    ctx.here.state = State::PartnerDown;
    assert!(over(&lease, &ctx.here, own).is_ok());
    ctx.here.state = State::CommunicationsInterrupted;
    assert_eq!(over(&lease, &ctx.here, own), Err(Denied::NotServing));
}

#[test]
fn a_dhcpd_primary_has_a_minute_for_ending_what_was_declined() {
    let mut here = here(Role::Secondary, State::Normal);
    let declined = Lease { starts: t(450), ..agreed(mine(Status::Abandoned)) };
    let over = |lease: &Lease, here: &Here| abandoned_timeout(lease, here, Some(Dialect::Isc), DAY);
    here.now = t(509) + DAY;
    assert_eq!(over(&declined, &here), Err(Denied::TooEarly));
    here.now = t(510) + DAY;
    assert_eq!(over(&declined, &here).map(|lease| lease.status), Ok(Status::Reset));
    let untold = Lease { sync: Sync::Due, ..declined.clone() };
    assert_eq!(over(&untold, &here), Err(Denied::NotServing));
    here.state = State::CommunicationsInterrupted;
    assert_eq!(over(&declined, &here), Err(Denied::NotServing));
}

/// A dhcpd uses the address again at the end that it is told.
#[test]
fn a_dhcpd_is_told_for_how_long_an_address_is_out_of_use() {
    let declined = Lease { starts: t(450), held_until: t(450), ..mine(Status::Abandoned) };
    let mut side = side(Role::Secondary, Dialect::Isc);
    let told = |lease: &Lease, side: &Side| {
        let mut update = update_for(lease, side);
        tell_time_out(&mut update, lease, DAY, Seconds::ZERO, side);
        update.lease_expiry.map(|end| t(end.into()))
    };
    assert_eq!(told(&declined, &side), Some(t(450) + DAY));
    let held = Lease { held_until: t(451) + DAY, ..declined.clone() };
    assert_eq!(told(&held, &side), Some(t(461) + DAY + side.mclt), "no sooner than a client gives it up");
    let active = mine(Status::Active);
    assert_eq!(told(&active, &side), Some(active.held_until));
    // A day later it may have leased it again.
    side.now = t(460) + DAY;
    assert_eq!(told(&declined, &side), Some(t(470) + DAY + side.mclt));
    let promised = Lease { sent_potential: t(900) + DAY, ..declined };
    assert_eq!(told(&promised, &side), Some(t(910) + DAY + side.mclt));
}

#[test]
fn a_probe_that_is_answered_takes_the_address_out_of_use() {
    let here = here(Role::Secondary, State::CommunicationsInterrupted);
    assert_eq!(abandon(&free(Status::Backup), &here).map(|lease| lease.status), Ok(Status::Abandoned));
    assert_eq!(abandon(&mine(Status::Active), &here), Err(Denied::Leased));
}

#[test]
fn leases_expire_strictly_after_held_until_and_the_guard() {
    let mut here = here(Role::Primary, State::Normal);
    for (guard, now, over) in [(0, 500, false), (0, 501, true), (3, 503, false), (3, 504, true)] {
        (here.guard, here.now) = (Seconds(guard), t(now));
        assert_eq!(expire(&mine(Status::Active), &here).is_ok(), over, "{now} with guard {guard}");
    }
    here.now = UnixTime::INFINITE;
    let forever = Lease { held_until: UnixTime::INFINITE, ..mine(Status::Active) };
    assert_eq!(expire(&forever, &here), Err(Denied::TooEarly));
}

#[test]
fn in_normal_only_the_primary_expires() {
    for state in State::ALL {
        for role in ROLES {
            let mut here = here(role, state);
            here.now = t(501);
            let expected = match (state, role) {
                (State::Normal | State::ConflictDone, Role::Primary)
                | (State::CommunicationsInterrupted | State::PartnerDown, _) => true,
                (_, _) => false,
            };
            assert_eq!(expire(&mine(Status::Active), &here).is_ok(), expected, "{role} {state}");
        }
    }
}

#[test]
fn a_hold_delays_the_expiry_but_not_in_partner_down() {
    let lease = Lease { hold_until: t(4000), ..mine(Status::Active) };
    for (state, now, over) in [
        (State::Normal, 4000, false),
        (State::Normal, 4001, true),
        (State::CommunicationsInterrupted, 4000, false),
        (State::PartnerDown, 501, true),
    ] {
        let mut here = here(Role::Primary, state);
        here.now = t(now);
        assert_eq!(expire(&lease, &here).is_ok(), over, "{state} {now}");
    }
    let mut here = here(Role::Primary, State::Normal);
    here.now = t(501);
    assert!(expire(&thaw(&lease, false, true), &here).is_ok());
}

fn at(now: u64, role: Role) -> Here {
    Here { now: t(now), ..here(role, State::Normal) }
}

#[test]
fn a_longer_hold_outlasts_the_bound_of_partner_down() {
    for status in [Status::Active, Status::Expired, Status::Released, Status::Abandoned, Status::Reset] {
        let lease = agreed(mine(status));
        let bound = freeze(&lease, t(400), M).hold_until;
        for (held, expected) in [(bound + Seconds(500), bound + Seconds(500)), (t(1), bound)] {
            let frozen = freeze(&Lease { hold_until: held, ..lease.clone() }, t(400), M);
            assert_eq!(frozen.hold_until, expected, "{status}");
        }
    }
}

#[test]
fn the_giver_stops_before_it_sends() {
    for role in ROLES {
        let lease = agreed(mine(own(role)));
        let given = give(&lease, &here(role, State::Normal)).expect("own");
        assert_eq!((given.status, given.sync), (own(role.other()), Sync::Due));
        let ctx = serving(here(role, State::CommunicationsInterrupted));
        assert_eq!(may_lease(&given, &client(2), &ctx), Err(Denied::NotOwn));
        assert_eq!(give(&given, &here(role, State::Normal)), Err(Denied::NotOwn));
        assert_eq!(give(&due(lease.clone()), &here(role, State::Normal)), Err(Denied::NotOwn));
        assert_eq!(give(&lease, &here(role, State::CommunicationsInterrupted)), Err(Denied::NotServing));
        let held = |hold_until| Lease { hold_until, ..lease.clone() };
        assert_eq!(give(&held(t(450)), &here(role, State::Normal)), Err(Denied::TooEarly));
        assert_eq!(give(&held(t(450)), &Here { guard: Seconds(1), ..at(451, role) }), Err(Denied::TooEarly));
        assert!(give(&held(t(450)), &at(451, role)).is_ok());
        let mut reserved = lease.clone();
        reserved.flags.reserved = true;
        assert_eq!(give(&reserved, &here(role, State::Normal)), Err(Denied::NotOwn));
    }
}

#[test]
fn only_the_primary_takes_back_and_only_what_is_settled() {
    let normal = here(Role::Primary, State::Normal);
    let lease = agreed(mine(Status::Backup));
    assert_eq!(
        reclaim(&lease, &normal).map(|lease| (lease.status, lease.sync)),
        Ok((Status::Free, Sync::Due))
    );
    assert_eq!(reclaim(&due(lease.clone()), &normal), Err(Denied::NotOwn));
    assert_eq!(reclaim(&mine(Status::Active), &normal), Err(Denied::NotOwn));
    assert_eq!(reclaim(&lease, &here(Role::Secondary, State::Normal)), Err(Denied::NotOurs));
    assert_eq!(reclaim(&lease, &here(Role::Primary, State::PartnerDown)), Err(Denied::NotServing));
}

#[test]
fn only_ended_leases_are_unparked_and_after_their_bound() {
    let mut here = here(Role::Secondary, State::PartnerDown);
    here.now = t(4600);
    let down = down(Role::Secondary, 1000);
    for status in Status::ALL {
        let frozen = freeze(&mine(status), t(1000), M);
        let unparked = unpark(&frozen, &here, &down);
        match status {
            Status::Expired | Status::Released | Status::Reset => {
                let lease = unparked.expect("the bound has passed");
                assert_eq!((lease.status, lease.sync, lease.hold_until), (Status::Free, Sync::Due, t(0)));
            }
            Status::Free | Status::Active | Status::Abandoned | Status::Backup => {
                assert_eq!(unparked, Err(Denied::NotOurs), "{status}");
            }
        }
    }
}

#[test]
fn an_operator_ends_any_binding() {
    let here = here(Role::Secondary, State::Normal);
    for status in [Status::Active, Status::Expired, Status::Released, Status::Abandoned] {
        let lease = reset(&mine(status), &here).expect("a binding");
        assert_eq!((lease.status, lease.held_until, lease.sync), (Status::Reset, t(450), Sync::Due));
    }
    assert_eq!(reset(&mine(Status::Free), &here), Err(Denied::NotOurs));
}

#[test]
fn a_reset_of_what_may_have_been_told_is_not_taken_back_for_the_same_client() {
    let here = Here { link_edges: 8, ..here(Role::Secondary, State::CommunicationsInterrupted) };
    for (status, ended_at, again) in
        [(Status::Released, 7, false), (Status::Released, 8, true), (Status::Active, 7, true)]
    {
        let lease = reset(&Lease { changed_at_edge: ended_at, ..mine(status) }, &here).expect("a binding");
        assert_eq!(may_rewind(&lease, &client(1), 8), again, "{status} at {ended_at}");
    }
}

#[test]
fn a_reset_counts_from_a_moment_ago_but_not_from_before_the_last_contact() {
    for (contact, expected) in [(None, 448), (Some(100), 448), (Some(449), 449), (Some(450), 450)] {
        let lease = Lease { cltt: contact.map(t), ..agreed(mine(Status::Active)) };
        let ended = reset(&lease, &here(Role::Primary, State::Normal)).expect("it may");
        assert_eq!(ended.starts, t(expected), "{contact:?}");
    }
}

#[test]
fn a_cancelled_reservation_makes_a_free_address_the_primarys() {
    for role in ROLES {
        let here = here(role, State::Normal);
        let reserved = reserve(&agreed(mine(own(role))), false, &here).expect("was not reserved");
        assert_eq!((reserved.flags.reserved, reserved.sync), (true, Sync::Due));
        assert_eq!(reserve(&reserved, false, &here), None);
        let moved = reserve(&agreed(reserved.clone()), true, &here).expect("it was another client's");
        assert!(
            is_own(&agreed(reserved.clone()), role) && !is_own(&moved, role),
            "{role}: not before the partner agrees"
        );
        assert_eq!(reserve(&Lease { status: Status::Active, ..reserved.clone() }, true, &here), None);
        let cancelled = unreserve(&reserved, &here).expect("was reserved");
        assert_eq!((cancelled.status, cancelled.flags.reserved), (Status::Free, false));
        assert_eq!(unreserve(&cancelled, &here), None);
        let held = unreserve(&Lease { flags: reserved.flags, ..mine(Status::Active) }, &here);
        assert_eq!(held.map(|lease| lease.status), Some(Status::Active));
    }
}
