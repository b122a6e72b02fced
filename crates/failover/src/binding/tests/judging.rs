//! Checks before the table, and what an accepted update makes of the record.

use api::identity::Role;
use api::time::{Seconds, UnixTime};
use leases::lease::{Flags, Lease, Status, Sync};
use proptest::prelude::*;

use super::{
    ADDRESS, DIALECTS, M, ROLES, accepted, agreed, client, ctx, due, mine, number, of_client, seen, t, update,
};
use crate::binding::{
    Dialect, Judge, QUARANTINE, amnesia_hold, end_quarantine, freeze, judge, own_data_lost,
    prolong_quarantine, revive_for_amnesia, tell_hold, tells_hold, update_for,
};
use crate::wire::BindingUpdate;

#[test]
fn an_update_without_address_or_status_misses_information() {
    let ctx = ctx(Role::Primary, Dialect::Own);
    for update in [
        BindingUpdate { address: None, ..update(Status::Active) },
        BindingUpdate { status: None, ..update(Status::Active) },
    ] {
        assert_eq!(number(&judge(&mine(Status::Free), &update, &ctx)), Some(3));
    }
}

#[test]
fn an_address_outside_the_pools_is_illegal() {
    let mut ctx = ctx(Role::Primary, Dialect::Own);
    ctx.in_pools = false;
    assert_eq!(number(&judge(&mine(Status::Free), &update(Status::Active), &ctx)), Some(1));
}

/// By clocks that differ, contacts do not tell which came last.
#[test]
fn by_clocks_that_differ_a_release_of_what_is_over_counts() {
    let over = Lease { cltt: Some(t(320)), held_until: t(440), hold_until: t(0), ..mine(Status::Active) };
    for status in [Status::Released, Status::Reset] {
        for (guard, expected) in [(0, Some(15)), (40, None)] {
            let mut ctx = ctx(Role::Primary, Dialect::Own);
            (ctx.now, ctx.guard) = (t(500), Seconds(guard));
            let verdict = judge(&over, &seen(310, update(status)), &ctx);
            assert_eq!(number(&verdict), expected, "{status}, clocks {guard} s apart");
        }
    }
}

/// Each server would find the other's correction too low, for ever.
#[test]
fn until_when_an_abandoned_address_was_promised_is_not_argued_about_to_the_second() {
    for (more, expected) in [(2, Sync::Agreed), (5, Sync::Due)] {
        let mut ctx = ctx(Role::Primary, Dialect::Own);
        ctx.partner_ahead = 42;
        let said = BindingUpdate { lease_expiry: Some(1000 + 42), ..update(Status::Abandoned) };
        let there = accepted(judge(&mine(Status::Free), &said, &ctx)).held_until;
        let here = Lease { held_until: there + Seconds(more), ..mine(Status::Abandoned) };
        let lease = accepted(judge(&here, &said, &ctx));
        assert_eq!((lease.held_until, lease.sync), (here.held_until, expected), "{more} s more");
    }
}

#[test]
fn a_binding_of_a_client_needs_its_hardware_address() {
    for status in Status::ALL {
        let nobody = BindingUpdate { hardware: None, ..seen(301, update(status)) };
        for dialect in DIALECTS {
            let verdict = judge(&mine(Status::Free), &nobody, &ctx(Role::Primary, dialect));
            let needed = matches!(status, Status::Active | Status::Expired | Status::Released);
            assert_eq!(number(&verdict), needed.then_some(3), "{status}");
        }
    }
}

/// It says when the lease began, and as the end for how long the address is out of use.
#[test]
fn what_a_dhcpd_abandons_is_out_of_use_from_now_on() {
    for role in ROLES {
        let said = BindingUpdate { starts: Some(5), lease_expiry: Some(99_000), ..update(Status::Abandoned) };
        let ctx = ctx(role, Dialect::Isc);
        let free = accepted(judge(&mine(Status::Free), &said, &ctx));
        assert_eq!((free.starts, free.held_until), (ctx.now, ctx.now), "{role}");
        let since = Lease { starts: t(60), ..mine(Status::Abandoned) };
        assert_eq!(accepted(judge(&since, &said, &ctx)).starts, t(60), "{role}: as before");
    }
}

#[test]
fn an_abandoned_address_with_a_client_is_refused_from_isc_only() {
    let update = of_client(1, update(Status::Abandoned));
    let verdict = judge(&mine(Status::Free), &update, &ctx(Role::Primary, Dialect::Isc));
    assert_eq!(number(&verdict), Some(6));
    let lease = accepted(judge(&mine(Status::Free), &update, &ctx(Role::Primary, Dialect::Own)));
    assert_eq!(lease.client, None);
}

#[test]
fn a_reserved_flag_needs_a_reservation_here() {
    let mut ctx = ctx(Role::Secondary, Dialect::Own);
    let mut update = update(Status::Backup);
    update.flags.reserved = true;
    assert_eq!(number(&judge(&mine(Status::Free), &update, &ctx)), Some(19));
    ctx.reserved_here = true;
    let lease = accepted(judge(&mine(Status::Free), &update, &ctx));
    assert!(lease.flags.reserved);
}

#[test]
fn a_reserved_address_that_becomes_free_is_each_servers_own() {
    for (role, own) in [(Role::Primary, Status::Free), (Role::Secondary, Status::Backup)] {
        let mut ctx = ctx(role, Dialect::Own);
        ctx.reserved_here = true;
        for status in [Status::Free, Status::Backup, Status::Expired] {
            let mut update = update(status);
            update.flags.reserved = true;
            assert_eq!(accepted(judge(&mine(Status::Free), &update, &ctx)).status, own);
        }
    }
}

#[test]
fn hu_4_of_two_ends_for_one_client_the_later_one_is_kept() {
    let mut lease = agreed(mine(Status::Active));
    lease.exp = t(133_200);
    lease.held_until = t(133_200);
    let mut ctx = ctx(Role::Secondary, Dialect::Own);
    ctx.now = t(130_000);
    let update = BindingUpdate { lease_expiry: Some(259_200), ..seen(129_600, update(Status::Active)) };
    let lease = accepted(judge(&lease, &update, &ctx));
    assert_eq!((lease.exp, lease.held_until), (t(133_200), t(259_200)));
    let expired = super::update(Status::Expired);
    ctx.now = t(133_201);
    assert_eq!(number(&judge(&lease, &expired, &ctx)), Some(15));
    ctx.now = t(259_201);
    assert_eq!(accepted(judge(&lease, &expired, &ctx)).status, Status::Free);
}

#[test]
fn hu_9_an_isc_primary_that_expires_too_early_is_refused_until_our_end() {
    let mut lease = mine(Status::Active);
    lease.held_until = t(10_000);
    let mut ctx = ctx(Role::Secondary, Dialect::Isc);
    ctx.now = t(9000);
    assert_eq!(number(&judge(&lease, &update(Status::Expired), &ctx)), Some(15));
    ctx.now = t(10_001);
    assert_eq!(number(&judge(&lease, &update(Status::Expired), &ctx)), None);
}

#[test]
fn a_partner_that_knows_a_shorter_end_is_told_ours_after_the_answer() {
    let lease = Lease { held_until: t(900), ..agreed(mine(Status::Active)) };
    let ctx = ctx(Role::Primary, Dialect::Own);
    let merged = accepted(judge(&lease, &seen(440, update(Status::Active)), &ctx));
    assert_eq!((merged.held_until, merged.sync), (t(900), Sync::Due));
    let lease = Lease { held_until: t(600), ..lease };
    let merged = accepted(judge(&lease, &seen(440, update(Status::Active)), &ctx));
    assert_eq!((merged.held_until, merged.sync), (t(600), Sync::Agreed));
}

#[test]
fn a_queued_renewal_is_merged_and_still_sent() {
    let lease = due(mine(Status::Active));
    let ctx = ctx(Role::Primary, Dialect::Own);
    let merged = accepted(judge(&lease, &seen(440, update(Status::Active)), &ctx));
    assert_eq!((merged.held_until, merged.sync), (t(600), Sync::Due));
}

#[test]
fn the_last_potential_counts_for_grants_and_the_largest_for_waits() {
    let lease = Lease { received_potential: t(900), received_potential_max: t(900), ..mine(Status::Active) };
    let ctx = ctx(Role::Primary, Dialect::Isc);
    let merged = accepted(judge(&lease, &seen(440, update(Status::Active)), &ctx));
    assert_eq!((merged.received_potential, merged.received_potential_max), (t(700), t(900)));
}

#[test]
fn another_client_takes_nothing_over_from_the_one_before() {
    let lease = Lease {
        sent_potential: t(9000),
        acked_potential: t(9000),
        received_potential: t(9000),
        received_potential_max: t(9000),
        hostname: Some("one".to_owned()),
        first_in_partner_down: true,
        ..mine(Status::Active)
    };
    let ctx = ctx(Role::Secondary, Dialect::Own);
    let taken = accepted(judge(&lease, &seen(440, of_client(2, update(Status::Active))), &ctx));
    let expected = Lease {
        status: Status::Active,
        client: Some(client(2)),
        exp: t(600),
        held_until: t(600),
        received_potential: t(700),
        received_potential_max: t(700),
        cltt: Some(t(440)),
        cltt_from_partner: true,
        starts: t(310),
        changed_at_edge: 7,
        ..Lease::new(ADDRESS)
    };
    assert_eq!(taken, expected);
}

#[test]
fn an_active_without_an_end_is_held_for_the_partners_lead() {
    let update = BindingUpdate { lease_expiry: None, ..seen(440, update(Status::Active)) };
    let lease = accepted(judge(&mine(Status::Free), &update, &ctx(Role::Primary, Dialect::Isc)));
    assert_eq!(lease.held_until, t(450) + M);
}

#[test]
fn an_accepted_end_leaves_no_potential() {
    let lease = Lease {
        sent_potential: t(9000),
        acked_potential: t(9000),
        received_potential: t(9000),
        received_potential_max: t(9000),
        ..due(mine(Status::Active))
    };
    let ctx = ctx(Role::Primary, Dialect::Own);
    let ended = accepted(judge(&lease, &seen(440, update(Status::Released)), &ctx));
    assert_eq!((ended.status, ended.sync), (Status::Free, Sync::Agreed));
    assert_eq!(ended.latest_promise(), t(600), "what is left is the end that the partner told");
    assert_eq!(ended.received_potential, UnixTime::ZERO);
}

#[test]
fn times_are_corrected_by_the_partners_clock_unless_they_are_none() {
    let mut ctx = ctx(Role::Primary, Dialect::Own);
    ctx.partner_ahead = 10;
    let lease = accepted(judge(&mine(Status::Free), &seen(440, update(Status::Active)), &ctx));
    assert_eq!((lease.held_until, lease.received_potential, lease.starts), (t(590), t(690), t(300)));
    assert_eq!(lease.cltt, Some(t(430)));
    let none = BindingUpdate {
        lease_expiry: Some(0x7fff_ffff),
        potential_expiry: Some(0),
        ..update(Status::Active)
    };
    let lease = accepted(judge(&mine(Status::Free), &none, &ctx));
    assert_eq!((lease.held_until, lease.received_potential), (UnixTime::INFINITE, UnixTime::ZERO));
    ctx.partner_ahead = -10;
    let lease = accepted(judge(&mine(Status::Free), &update(Status::Active), &ctx));
    assert_eq!(lease.held_until, t(610));
}

#[test]
fn an_isc_secondarys_end_is_quarantined_at_the_primary() {
    for status in [Status::Expired, Status::Released, Status::Reset] {
        let update = seen(440, update(status));
        for (role, dialect, hold) in [
            (Role::Primary, Dialect::Isc, t(450) + QUARANTINE),
            (Role::Secondary, Dialect::Isc, UnixTime::ZERO),
            (Role::Primary, Dialect::Own, UnixTime::ZERO),
        ] {
            let lease = accepted(judge(&mine(Status::Free), &update, &ctx(role, dialect)));
            assert_eq!(lease.hold_until, hold);
        }
    }
}

#[test]
fn a_quarantine_outlasts_a_broken_link_until_normal() {
    let lease = Lease { hold_until: t(460), ..mine(Status::Free) };
    assert_eq!(prolong_quarantine(&lease, t(460), t(460)), None, "it was over");
    let prolonged = prolong_quarantine(&lease, t(459), t(459)).expect("in quarantine");
    assert!(prolonged.hold_until.is_infinite());
    assert!(prolong_quarantine(&lease, t(400), t(5000)).is_some(), "this server may have stopped in it");
    let ended = end_quarantine(&prolonged, t(5000)).expect("prolonged");
    assert_eq!(ended.hold_until, t(5010));
    assert_eq!(end_quarantine(&lease, t(5000)), None);
    let amnesia = Lease { hold_until: t(9000), ..lease };
    assert_eq!(prolong_quarantine(&amnesia, t(459), t(459)), None, "another kind of hold");
}

#[test]
fn rc_11_while_recovering_the_survivors_later_client_wins() {
    // Primary: c1 at 08:00. The survivor leased the address to c2 at 10:30.
    let mut lease = mine(Status::Active);
    lease.cltt = Some(t(28_800));
    lease.held_until = t(32_400);
    let mut ctx = ctx(Role::Primary, Dialect::Own);
    ctx.now = t(40_000);
    let survivors = seen(37_800, of_client(2, update(Status::Active)));
    assert_eq!(number(&judge(&lease, &survivors, &ctx)), Some(2), "by role it would be refused");
    ctx.after_partner_down = true;
    assert_eq!(accepted(judge(&lease, &survivors, &ctx)).client, Some(client(2)));
}

#[test]
fn after_a_partner_down_the_later_contact_wins_for_either_role_and_a_tie_is_the_primarys() {
    for (contact, primary, secondary) in [
        (Some(99), Some(15), Some(15)),
        (Some(100), Some(15), None),
        (Some(101), None, None),
        (None, Some(15), Some(15)),
    ] {
        let update = BindingUpdate { cltt: contact, ..of_client(2, update(Status::Active)) };
        for (role, expected) in [(Role::Primary, primary), (Role::Secondary, secondary)] {
            let mut ctx = ctx(role, Dialect::Own);
            ctx.after_partner_down = true;
            assert_eq!(number(&judge(&mine(Status::Active), &update, &ctx)), expected, "{contact:?} {role}");
        }
    }
}

#[test]
fn with_lost_data_any_active_replaces_ours() {
    for status in Status::ALL {
        for (role, dialect) in [(Role::Primary, Dialect::Own), (Role::Primary, Dialect::Isc)] {
            let mut ctx = ctx(role, dialect);
            ctx.lost_data = true;
            let lease = accepted(judge(&mine(status), &of_client(2, update(Status::Active)), &ctx));
            assert_eq!(lease.client, Some(client(2)), "{status}");
        }
    }
}

#[test]
fn what_a_dhcpd_was_promised_for_one_client_holds_its_free_address_while_it_lies_ahead() {
    let ends = |role, dialect, told| {
        let update = BindingUpdate { potential_expiry: Some(9000), ..seen(100, update(told)) };
        let mine = Lease { held_until: t(400), ..mine(Status::Active) };
        accepted(judge(&mine, &update, &ctx(role, dialect)))
    };
    for (role, dialect, told) in [
        (Role::Primary, Dialect::Isc, Status::Expired),
        (Role::Secondary, Dialect::Own, Status::Expired),
        (Role::Secondary, Dialect::Isc, Status::Backup),
    ] {
        let ours = ends(role, dialect, told);
        assert_eq!(ours.received_potential_max, UnixTime::ZERO, "{told} at the {role}");
    }
    let theirs = ends(Role::Secondary, Dialect::Isc, Status::Expired);
    assert_eq!((theirs.status, theirs.received_potential_max), (Status::Free, t(9000)));
    assert_eq!(freeze(&theirs, t(8999), M).hold_until, t(9000) + M);
    assert_eq!(freeze(&theirs, t(9000), M).hold_until, UnixTime::ZERO, "the MCLT is waited for anyway");

    let held = amnesia_hold(&theirs, t(8000), M);
    let nobodys = revive_for_amnesia(&held, t(8000)).expect("the dhcpd may have leased it");
    assert_eq!((nobodys.status, nobodys.client.as_ref(), nobodys.sync), (Status::Abandoned, None, Sync::Due));
    assert_eq!(revive_for_amnesia(&held, t(9000)), None, "no longer than the MCLT, which it waits itself");
    let reserved = Lease { flags: Flags { reserved: true, ..Flags::default() }, ..theirs.clone() };
    assert_eq!(freeze(&reserved, t(8000), M).hold_until, UnixTime::ZERO, "nobody else can have it");

    let again = seen(100, BindingUpdate { potential_expiry: Some(400), ..update(Status::Free) });
    let told_again = accepted(judge(&theirs, &again, &ctx(Role::Secondary, Dialect::Isc)));
    assert_eq!(told_again.received_potential_max, t(9000), "until the dhcpd reads our answer");
}

#[test]
fn an_amnesia_hold_outlasts_the_lease_by_the_largest_promise_and_the_mclt() {
    let lease = Lease { received_potential_max: t(10_000), ..mine(Status::Active) };
    let held = amnesia_hold(&lease, t(9000), M);
    assert_eq!(held.hold_until, t(13_600));
    let late = amnesia_hold(&lease, t(11_000), M);
    assert_eq!(
        late.hold_until,
        t(14_600),
        "the client may have come back for its old address in the last moment"
    );
    let reclaimed = due(Lease { client: None, ..mine(Status::Free) });
    assert_eq!(amnesia_hold(&reclaimed, t(9000), M).hold_until, t(12_600), "it may have been leased there");
    let owned = agreed(mine(Status::Free));
    assert_eq!(amnesia_hold(&owned, t(9000), M).hold_until, owned.hold_until);
    let mut ctx = ctx(Role::Secondary, Dialect::Isc);
    for (now, expected) in [(10_001, Some(15)), (13_600, Some(15)), (13_601, None)] {
        ctx.now = t(now);
        for status in [Status::Expired, Status::Free, Status::Backup] {
            assert_eq!(number(&judge(&held, &update(status), &ctx)), expected, "{status} at {now}");
        }
    }
}

#[test]
fn what_was_freed_without_the_partners_word_stays_promised_to_its_client() {
    let freed = Lease { sent_potential: t(9000), ..due(mine(Status::Backup)) };
    let again = accepted(judge(&freed, &update(Status::Active), &ctx(Role::Secondary, Dialect::Own)));
    assert_eq!(again.sent_potential, t(9000), "the partner may have granted against it");
    let other = of_client(2, update(Status::Active));
    let other = accepted(judge(&freed, &other, &ctx(Role::Secondary, Dialect::Own)));
    assert_eq!(other.sent_potential, UnixTime::ZERO);
}

#[test]
fn what_comes_in_active_while_data_are_lost_is_held_as_well() {
    let mut ctx = ctx(Role::Primary, Dialect::Own);
    ctx.amnesia = true;
    let lease = accepted(judge(&mine(Status::Free), &update(Status::Active), &ctx));
    assert_eq!(lease.hold_until, t(700) + M);
}

#[test]
fn servers_of_ours_tell_each_other_the_host_name_and_the_relay() {
    let lease = Lease {
        hostname: Some("printer".to_owned()),
        relay_info: Some(vec![1, 2, 7, 7]),
        ..mine(Status::Active)
    };
    let side = super::side(Role::Primary, Dialect::Own);
    let told = update_for(&lease, &side);
    let taken = accepted(judge(&mine(Status::Free), &told, &ctx(Role::Secondary, Dialect::Own)));
    assert_eq!((taken.hostname, taken.relay_info), (lease.hostname.clone(), lease.relay_info.clone()));
    let isc = update_for(&lease, &super::side(Role::Primary, Dialect::Isc));
    assert_eq!(isc.request_options, None);
}

proptest! {
    /// Whatever the partner says, the marks that keep another client away don't fall while the address
    /// stays one client's (I5).
    #[test]
    fn an_active_of_the_same_client_never_lowers_what_is_waited_for(
        held in 0_u64..5000, sent in 0_u64..5000, received in 0_u64..5000, hold in 0_u64..5000,
        expiry in prop::option::of(0_u32..5000), potential in prop::option::of(0_u32..5000),
        contact in prop::option::of(0_u32..5000), now in 0_u64..5000, primary: bool, isc: bool,
    ) {
        let lease = Lease {
            held_until: t(held), sent_potential: t(sent), hold_until: t(hold),
            received_potential_max: t(received), ..mine(Status::Active)
        };
        let role = ROLES[usize::from(!primary)];
        let mut ctx = ctx(role, if isc { Dialect::Isc } else { Dialect::Own });
        ctx.now = t(now);
        let update = BindingUpdate {
            lease_expiry: expiry, potential_expiry: potential, cltt: contact, ..update(Status::Active)
        };
        let merged = accepted(judge(&lease, &update, &ctx));
        prop_assert!(merged.held_until >= lease.held_until);
        prop_assert!(merged.sent_potential >= lease.sent_potential);
        prop_assert!(merged.received_potential_max >= lease.received_potential_max);
        prop_assert!(merged.hold_until >= lease.hold_until);
        prop_assert!(merged.cltt >= lease.cltt);
    }

    /// An update that ends an Active lease by time is accepted only when it is over here (I6).
    #[test]
    fn no_client_loses_an_unexpired_lease_to_an_expiry(
        held in 0_u64..1000, now in 0_u64..1000, guard in 0_u32..5, contact in prop::option::of(0_u32..1000),
        kind in 0_usize..3, primary: bool, isc: bool,
    ) {
        let lease = Lease { held_until: t(held), ..mine(Status::Active) };
        let mut ctx = ctx(ROLES[usize::from(!primary)], if isc { Dialect::Isc } else { Dialect::Own });
        ctx.now = t(now);
        ctx.guard = Seconds(guard);
        let status = [Status::Expired, Status::Free, Status::Backup][kind];
        let update = BindingUpdate { cltt: contact, ..update(status) };
        let verdict = judge(&lease, &update, &ctx);
        prop_assert_eq!(number(&verdict).is_none(), now > held + u64::from(guard));
    }
}

#[test]
fn a_reset_address_that_forgot_its_client_remembers_what_was_promised() {
    let forgotten = Lease { client: None, received_potential_max: t(9_000), ..mine(Status::Reset) };
    for role in ROLES {
        let lease = accepted(judge(&forgotten, &seen(901, update(Status::Active)), &ctx(role, Dialect::Own)));
        assert_eq!(lease.latest_promise(), t(9_000), "{role}");
    }
}

#[test]
fn a_hold_is_told_and_kept_by_the_clock_of_who_hears_it() {
    for status in Status::ALL {
        let held = |until| Lease { hold_until: until, ..mine(status) };
        for (until, told) in [(t(450), false), (t(9_000), true), (UnixTime::INFINITE, false)] {
            let mut said = seen(301, update(status));
            tell_hold(&mut said, &held(until), t(450));
            assert_eq!(tells_hold(&said), told, "{status} until {until}");
            let mut ctx = ctx(Role::Secondary, Dialect::Own);
            ctx.partner_ahead = 10;
            let lease = accepted(judge(&mine(Status::Free), &said, &ctx));
            let expected = if told { t(8_990) } else { UnixTime::ZERO };
            assert_eq!(lease.hold_until, expected, "{status} until {until}");
            // A lease that was granted meanwhile ends what was held before it.
            let longer = Lease { hold_until: t(20_000), ..mine(Status::Free) };
            let kept = if status == Status::Active { expected } else { t(20_000) };
            assert_eq!(accepted(judge(&longer, &said, &ctx)).hold_until, kept, "{status}");
        }
    }
}

#[test]
fn what_is_fetched_from_a_whole_partner_replaces_an_old_copy() {
    for (role, dialect) in ROLES.iter().flat_map(|role| DIALECTS.map(|dialect| (*role, dialect))) {
        let fetching = |partner_is_whole| Judge { lost_data: true, partner_is_whole, ..ctx(role, dialect) };
        for (old, told) in Status::ALL.iter().flat_map(|old| Status::ALL.map(|told| (*old, told))) {
            let told = of_client(2, seen(1, update(told)));
            let told = match told.status {
                Some(Status::Abandoned) => BindingUpdate { hardware: None, client_id: None, ..told },
                _ => told,
            };
            let is_end = matches!(told.status, Some(Status::Expired | Status::Released));
            let expected =
                if is_end && (role, dialect) == (Role::Secondary, Dialect::Isc) { Some(15) } else { None };
            let verdict = judge(&mine(old), &told, &fetching(true));
            assert_eq!(number(&verdict), expected, "{role} {dialect:?} {old}");
        }
        let ended = seen(1, update(Status::Expired));
        assert_eq!(number(&judge(&mine(Status::Active), &ended, &fetching(false))), Some(15));
    }
}

#[test]
fn a_server_with_an_old_store_counts_on_nothing_that_its_partner_promised() {
    let lease = Lease {
        sent_potential: t(1000),
        acked_potential: t(2000),
        received_potential: t(1500),
        received_potential_max: t(3000),
        ..agreed(mine(Status::Active))
    };
    let lease = own_data_lost(&lease);
    assert_eq!((lease.acked_potential, lease.received_potential), (UnixTime::ZERO, UnixTime::ZERO));
    assert_eq!((lease.sent_potential, lease.received_potential_max), (t(3000), t(3000)), "waits count on");
}

#[test]
fn an_end_of_a_later_client_of_a_lone_partner_ends_the_earlier_lease_too() {
    for (role, after_partner_down, client, contact, expected) in ROLES.iter().flat_map(|role| {
        [(true, 2, 101, None), (true, 2, 100, Some(15)), (true, 1, 101, Some(15)), (false, 2, 101, Some(15))]
            .map(|(after, client, contact, expected)| (*role, after, client, contact, expected))
    }) {
        let judge_by = Judge { after_partner_down, ..ctx(role, Dialect::Own) };
        for status in [Status::Expired, Status::Free, Status::Backup] {
            let ended = of_client(client, seen(contact, update(status)));
            let verdict = judge(&mine(Status::Active), &ended, &judge_by);
            assert_eq!(number(&verdict), expected, "{role} {status} of {client} seen at {contact}");
        }
    }
}
