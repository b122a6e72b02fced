//! What is sent for a record, and what an answer makes of it.

use api::identity::{Role, State};
use api::time::{Seconds, UnixTime};
use leases::lease::{Client, HardwareAddress, Lease, Status, Sync};

use super::{
    ADDRESS, DIALECTS, M, ROLES, accepted, agreed, client, ctx, due, here, mine, number, of_client, seen,
    serving, side, t, update,
};
use crate::binding::{
    Denied, Dialect, Here, Side, abandoned_timeout, acked, freeze, give, grant, is_withheld, judge,
    leased_although_abandoned, partner_lost_data, reclaim, rejected, release, unpark, update_for,
};
use crate::times::{Mode, PartnerDown, blocks_exit, is_own};
use crate::wire::{BindingUpdate, RejectReason};

fn isc_primary() -> Side {
    side(Role::Primary, Dialect::Isc)
}

fn own_primary() -> Side {
    side(Role::Primary, Dialect::Own)
}

#[test]
fn every_update_has_the_mandatory_fields() {
    for status in Status::ALL {
        for role in ROLES {
            for dialect in DIALECTS {
                let sent = update_for(&mine(status), &side(role, dialect));
                assert_eq!(sent.address, Some(ADDRESS));
                assert!(sent.status.is_some());
                assert!(sent.lease_expiry.is_some() && sent.potential_expiry.is_some());
                assert_eq!(sent.starts, Some(300));
                assert_eq!(sent.hardware.is_some(), status != Status::Abandoned, "{status}");
                assert_eq!(sent.cltt.is_some(), status != Status::Abandoned, "{status}");
            }
        }
    }
}

#[test]
fn an_active_update_carries_the_high_water_marks() {
    let hardware = HardwareAddress { kind: 1, octets: vec![2, 0, 0, 0, 0, 1] };
    let lease = Lease {
        client: Some(Client { hardware: hardware.clone(), id: Some(vec![1, 9]) }),
        sent_potential: t(9000),
        ..mine(Status::Active)
    };
    let expected = BindingUpdate {
        client_id: Some(vec![1, 9]),
        hardware: Some(hardware),
        lease_expiry: Some(500),
        potential_expiry: Some(9000),
        starts: Some(300),
        cltt: Some(100),
        ..update(Status::Active)
    };
    assert_eq!(update_for(&lease, &isc_primary()), expected);
}

#[test]
fn a_bootp_lease_is_told_without_end_and_without_potential() {
    let mut lease = Lease { sent_potential: t(9000), ..mine(Status::Active) };
    lease.flags.bootp = true;
    let sent = update_for(&lease, &isc_primary());
    assert_eq!((sent.lease_expiry, sent.potential_expiry), (Some(0x7fff_ffff), Some(0)));
    assert!(sent.flags.bootp);
}

#[test]
fn a_give_away_says_now() {
    let free = agreed(mine(Status::Free));
    let given = give(&free, &here(Role::Primary, State::Normal)).expect("own");
    let sent = update_for(&given, &isc_primary());
    assert_eq!(sent.status, Some(Status::Backup));
    assert_eq!((sent.lease_expiry, sent.potential_expiry, sent.starts), (Some(500), Some(450), Some(450)));
}

#[test]
fn a_reclaim_from_an_isc_secondary_is_dated_ahead() {
    let taken = reclaim(&agreed(mine(Status::Backup)), &here(Role::Primary, State::Normal)).expect("agreed");
    let sent = update_for(&taken, &isc_primary());
    assert_eq!((sent.status, sent.potential_expiry), (Some(Status::Free), Some(450 + 120)));
    assert_eq!(update_for(&taken, &own_primary()).potential_expiry, Some(450));
    // Also when it is sent again, on another link and long after it was made.
    let later = Side { now: t(1450), ..isc_primary() };
    assert_eq!(update_for(&taken, &later).potential_expiry, Some(1450 + 120));
}

#[test]
fn an_end_that_a_dhcpd_primary_is_told_promises_nothing_to_its_next_client() {
    let over = Lease { sent_potential: t(9000), ..due(mine(Status::Expired)) };
    for (role, dialect, expected) in [
        (Role::Secondary, Dialect::Isc, 500),
        (Role::Primary, Dialect::Isc, 9000),
        (Role::Secondary, Dialect::Own, 9000),
    ] {
        let sent = update_for(&over, &side(role, dialect));
        assert_eq!((sent.status, sent.potential_expiry), (Some(Status::Expired), Some(expected)), "{role}");
    }
}

#[test]
fn an_isc_primary_in_normal_is_not_told_of_expiries() {
    let now = side(Role::Secondary, Dialect::Isc).now;
    let expired = Lease { starts: now - Seconds(59), ..due(mine(Status::Expired)) };
    for role in ROLES {
        for dialect in DIALECTS {
            for partner in State::ALL {
                let expected = (role, dialect, partner) == (Role::Secondary, Dialect::Isc, State::Normal);
                assert_eq!(is_withheld(&expired, &side(role, dialect), partner), expected);
                assert!(!is_withheld(&mine(Status::Released), &side(role, dialect), partner));
            }
        }
    }
}

#[test]
fn an_isc_primary_in_normal_that_ends_no_lease_is_told_that_it_is_over() {
    let side = side(Role::Secondary, Dialect::Isc);
    let expired = Lease { starts: side.now - Seconds(60), ..due(mine(Status::Expired)) };
    assert!(!is_withheld(&expired, &side, State::Normal));
}

#[test]
fn a_reserved_free_address_is_told_to_our_secondary_as_its_own() {
    let mut lease = mine(Status::Free);
    lease.flags.reserved = true;
    let own = update_for(&lease, &own_primary());
    assert_eq!((own.status, own.flags.reserved), (Some(Status::Backup), true));
    let isc = update_for(&lease, &isc_primary());
    assert_eq!((isc.status, isc.flags.reserved), (Some(Status::Free), true));
    let settled = acked(&due(lease), &own, &own_primary());
    assert_eq!((settled.status, settled.sync), (Status::Free, Sync::Agreed));
    assert!(is_own(&settled, Role::Primary));
}

#[test]
fn an_acknowledged_lease_may_be_led_by_its_potential() {
    let lease = Lease { sent_potential: t(9000), ..due(mine(Status::Active)) };
    let sent = update_for(&lease, &own_primary());
    let settled = acked(&lease, &sent, &own_primary());
    assert_eq!((settled.acked_potential, settled.sync), (t(9000), Sync::Agreed));
}

/// A dhcpd may give BOOTP clients leases that end. They are told as without end, and must not be told for ever.
#[test]
fn an_acknowledged_bootp_lease_is_settled_whatever_its_end() {
    let mut lease = due(mine(Status::Active));
    lease.flags.bootp = true;
    let sent = update_for(&lease, &isc_primary());
    assert_eq!(acked(&lease, &sent, &isc_primary()).sync, Sync::Agreed);
}

#[test]
fn a_declined_lease_without_end_is_held_for_the_mclt() {
    let declined = Lease { sent_potential: UnixTime::INFINITE, ..due(mine(Status::Abandoned)) };
    let sent = update_for(&declined, &own_primary());
    assert_eq!(acked(&declined, &sent, &own_primary()).hold_until, own_primary().now + own_primary().mclt);
}

#[test]
fn a_renewal_since_the_update_is_still_due_after_its_answer() {
    let before = Lease { sent_potential: t(9000), ..due(mine(Status::Active)) };
    let sent = update_for(&before, &own_primary());
    let renewed = Lease { sent_potential: t(9500), held_until: t(800), cltt: Some(t(440)), ..before };
    let settled = acked(&renewed, &sent, &own_primary());
    assert_eq!((settled.acked_potential, settled.sync), (t(9000), Sync::Due));
    assert_eq!(rejected(&renewed, &sent, RejectReason::FatalConflict, &own_primary()), renewed);
}

/// Two cards with one identifier are one client, and within a second nothing else need differ (simulator seed 101).
#[test]
fn an_answer_about_another_card_of_the_client_leaves_the_lease_due() {
    let card = |octet| {
        let mut card = client(octet);
        card.id = Some(vec![1, 2]);
        Some(card)
    };
    let before = Lease { client: card(1), sent_potential: t(9000), ..due(mine(Status::Active)) };
    let sent = update_for(&before, &own_primary());
    let other = Lease { client: card(2), ..before };
    assert_eq!(acked(&other, &sent, &own_primary()).sync, Sync::Due);
}

#[test]
fn an_answer_to_another_clients_update_changes_nothing() {
    let before = Lease { sent_potential: t(9000), ..due(mine(Status::Active)) };
    let sent = update_for(&before, &own_primary());
    let other = Lease { client: Some(client(2)), ..before };
    assert_eq!(acked(&other, &sent, &own_primary()), other);
    assert_eq!(rejected(&other, &sent, RejectReason::FatalConflict, &own_primary()), other);
}

#[test]
fn an_acknowledged_end_is_free_and_the_primarys_on_both_sides() {
    for status in [Status::Expired, Status::Released, Status::Reset] {
        for role in ROLES {
            let lease = Lease {
                sent_potential: t(9000),
                acked_potential: t(9000),
                received_potential: t(9000),
                received_potential_max: t(9000),
                hold_until: t(777),
                ..due(mine(status))
            };
            let sent = update_for(&lease, &side(role, Dialect::Own));
            let settled = acked(&lease, &sent, &side(role, Dialect::Own));
            assert_eq!((settled.status, settled.sync), (Status::Free, Sync::Agreed));
            assert_eq!(settled.sent_potential, UnixTime::ZERO);
            assert_eq!(settled.latest_promise(), t(500));
            assert_eq!(settled.client, Some(client(1)), "remembered, for when it comes back");
            assert_eq!(settled.hold_until, t(777), "a hold outlives the answer");
        }
    }
}

#[test]
fn an_end_that_changed_since_is_not_settled_by_the_answer() {
    let sent = update_for(&mine(Status::Released), &own_primary());
    for status in [Status::Active, Status::Abandoned, Status::Reset] {
        let lease = due(mine(status));
        assert_eq!(acked(&lease, &sent, &own_primary()), lease, "{status}");
    }
}

#[test]
fn a_reserved_address_that_ended_is_the_secondarys_own_there() {
    let mut lease = due(mine(Status::Expired));
    lease.flags.reserved = true;
    for (role, own) in [(Role::Primary, Status::Free), (Role::Secondary, Status::Backup)] {
        let side = side(role, Dialect::Own);
        assert_eq!(acked(&lease, &update_for(&lease, &side), &side).status, own);
    }
}

#[test]
fn a_reclaim_is_used_after_the_answer_only_and_stays_the_secondarys_if_refused() {
    let taken = reclaim(&agreed(mine(Status::Backup)), &here(Role::Primary, State::Normal)).expect("agreed");
    assert!(!is_own(&taken, Role::Primary));
    for side in [own_primary(), isc_primary()] {
        let sent = update_for(&taken, &side);
        assert!(is_own(&acked(&taken, &sent, &side), Role::Primary));
        for reason in [RejectReason::FatalConflict, RejectReason::OutdatedBindingInformation] {
            let refused = rejected(&taken, &sent, reason, &side);
            assert_eq!((refused.status, refused.sync), (Status::Backup, Sync::Agreed));
        }
        let refused = rejected(&taken, &sent, RejectReason::IllegalIpAddress, &side);
        assert_eq!((refused.status, refused.sync), (Status::Free, Sync::Rejected));
        assert!(!is_own(&refused, Role::Primary));
    }
}

#[test]
fn pb_8_an_address_that_the_secondary_leased_meanwhile_is_not_reclaimed() {
    let taken = reclaim(&agreed(mine(Status::Backup)), &here(Role::Primary, State::Normal)).expect("agreed");
    let sent = update_for(&taken, &own_primary());
    let verdict = judge(&agreed(mine(Status::Active)), &sent, &ctx(Role::Secondary, Dialect::Own));
    assert_eq!(number(&verdict), Some(15));
}

#[test]
fn a_refused_lease_waits_for_the_next_normal() {
    for status in [Status::Active, Status::Expired, Status::Released, Status::Abandoned, Status::Backup] {
        let lease = due(mine(status));
        let sent = update_for(&lease, &own_primary());
        let refused = rejected(&lease, &sent, RejectReason::OutdatedBindingInformation, &own_primary());
        assert_eq!(refused, Lease { sync: Sync::Rejected, ..lease });
    }
}

/// An address freed in PartnerDown, of client 1 with a potential that the partner holds.
fn unparked() -> Lease {
    let expired = Lease { sent_potential: t(600), ..due(mine(Status::Expired)) };
    let frozen = freeze(&expired, t(400), M);
    let now = t(600) + M;
    let down =
        PartnerDown { at: t(400), role: Role::Primary, mclt: M, guard: Seconds::ZERO, dynamic_bootp: false };
    let mut here = here(Role::Primary, State::PartnerDown);
    here.now = t(600 + 3599);
    assert!(unpark(&frozen, &here, &down).is_err(), "one second before the bound");
    here.now = now;
    unpark(&frozen, &here, &down).expect("the bound has passed")
}

#[test]
fn what_was_freed_in_partner_down_is_told_as_the_end_of_its_lease() {
    // As Free it would need an ISC secondary's lease to be over and its own consent at once; as Expired it
    // is refused just if the lease was renewed there.
    let lease = unparked();
    assert_eq!((lease.status, lease.sync), (Status::Free, Sync::Due));
    for side in [own_primary(), isc_primary()] {
        let sent = update_for(&lease, &side);
        assert_eq!(sent.status, Some(Status::Expired));
        let settled = acked(&lease, &sent, &side);
        assert_eq!((settled.status, settled.sync), (Status::Free, Sync::Agreed));
        let partners = Lease { held_until: t(5000), ..agreed(mine(Status::Active)) };
        let mut ctx = ctx(Role::Secondary, Dialect::Own);
        ctx.now = t(4999);
        assert_eq!(number(&judge(&partners, &sent, &ctx)), Some(15));
        ctx.now = t(5001);
        assert_eq!(number(&judge(&partners, &sent, &ctx)), None);
    }
}

#[test]
fn an_address_that_is_abandoned_here_and_leased_there_is_not_used_before_that_lease_ends() {
    let abandoned = Lease { client: None, ..agreed(mine(Status::Abandoned)) };
    let leased = Lease { held_until: t(5000), ..mine(Status::Active) };
    let told = update_for(&leased, &own_primary());
    let held = leased_although_abandoned(&abandoned, &told, M).expect("it ends late");
    assert_eq!(held, Lease { hold_until: t(5000) + M, ..abandoned.clone() });
    assert_eq!(leased_although_abandoned(&held, &told, M), None, "once");
    assert_eq!(leased_although_abandoned(&mine(Status::Free), &told, M), None);
}

#[test]
fn an_abandoned_address_waits_for_what_the_partner_may_have_promised_before_it_acknowledged() {
    let side = own_primary();
    let declined = Lease { client: None, sync: Sync::Due, ..mine(Status::Abandoned) };
    let sent = update_for(&declined, &side);
    let agreed = acked(&declined, &sent, &side);
    assert_eq!(agreed.sync, Sync::Agreed);
    let until = declined.latest_promise().max(side.now) + side.mclt;
    let at = |now| Here { now, ..here(Role::Primary, State::Normal) };
    let timeout = |now| abandoned_timeout(&agreed, &at(now), Some(Dialect::Own), Seconds(1));
    assert_eq!(timeout(until), Err(Denied::TooEarly));
    assert!(timeout(until + Seconds(1)).is_ok());
}

#[test]
fn an_abandoned_address_freed_in_partner_down_is_told_as_its_reset() {
    // As Free the partner would refuse it over its own Abandoned; and the refusal, taken for that of a
    // reclaim, would lose the address to both.
    let abandoned = Lease { client: None, ..agreed(mine(Status::Abandoned)) };
    let mut here = here(Role::Primary, State::PartnerDown);
    here.now = t(5000);
    let reset = abandoned_timeout(&abandoned, &here, Some(Dialect::Own), Seconds(120)).expect("long ago");
    let down =
        PartnerDown { at: t(400), role: Role::Primary, mclt: M, guard: Seconds::ZERO, dynamic_bootp: false };
    let lease = unpark(&reset, &here, &down).expect("the bound has passed");
    for side in [own_primary(), isc_primary()] {
        let sent = update_for(&lease, &side);
        assert_eq!((sent.status, &sent.hardware), (Some(Status::Reset), &None));
        let verdict = judge(&abandoned, &sent, &ctx(Role::Secondary, Dialect::Own));
        assert_eq!(accepted(verdict).status, Status::Free);
        let settled = acked(&lease, &sent, &side);
        assert_eq!((settled.status, settled.sync), (Status::Free, Sync::Agreed));
    }
}

#[test]
fn the_refusal_of_a_lease_that_ended_in_partner_down_gives_no_address_away() {
    let lease = unparked();
    let sent = update_for(&lease, &own_primary());
    let refused = rejected(&lease, &sent, RejectReason::OutdatedBindingInformation, &own_primary());
    assert_eq!(refused, Lease { sync: Sync::Rejected, ..lease });
}

#[test]
fn xb_2_and_xb_1_the_answer_opens_the_barrier() {
    let mut ctx = serving(here(Role::Primary, State::PartnerDown));
    ctx.mode = Mode::PartnerDownFull;
    ctx.down = Some(PartnerDown {
        at: t(400),
        role: Role::Primary,
        mclt: M,
        guard: Seconds::ZERO,
        dynamic_bootp: false,
    });
    let free = Lease { client: None, ..agreed(mine(Status::Free)) };
    let lease = grant(&free, &client(1), Seconds(259_200), &ctx).expect("own");
    assert!(blocks_exit(&lease, t(460), M));
    let sent = update_for(&lease, &own_primary());
    let taken = accepted(judge(&Lease::new(ADDRESS), &sent, &super::ctx(Role::Secondary, Dialect::Own)));
    assert_eq!((taken.held_until, taken.received_potential), (lease.held_until, lease.sent_potential));
    assert!(!blocks_exit(&acked(&lease, &sent, &own_primary()), t(460), M));
    let refused = rejected(&lease, &sent, RejectReason::IllegalIpAddress, &own_primary());
    assert!(blocks_exit(&refused, t(460), M), "XB-5");
}

#[test]
fn hu_2_the_one_queued_update_says_the_longest_promise() {
    let lease = Lease { exp: t(133_200), held_until: t(259_200), ..due(mine(Status::Active)) };
    assert_eq!(update_for(&lease, &own_primary()).lease_expiry, Some(259_200));
}

#[test]
fn a_partner_that_lost_its_data_is_told_a_potential_that_covers_what_it_had_promised() {
    let lease = Lease {
        sent_potential: t(1000),
        acked_potential: t(1000),
        received_potential: t(9000),
        received_potential_max: t(9000),
        held_until: t(8000),
        ..agreed(mine(Status::Active))
    };
    let told = partner_lost_data(&lease);
    assert!(blocks_exit(&told, t(450), M), "nothing of it is on the partner's disk");
    let sent = update_for(&told, &own_primary());
    assert_eq!(sent.potential_expiry, Some(9000));
    let settled = acked(&told, &sent, &own_primary());
    assert!(!blocks_exit(&settled, t(450), M));
}

#[test]
fn our_own_release_carries_its_time_as_contact_but_for_the_moment_that_is_in_doubt() {
    let released =
        release(&agreed(mine(Status::Active)), &client(1), &serving(here(Role::Secondary, State::Normal)))
            .expect("its lease");
    let sent = update_for(&released, &side(Role::Secondary, Dialect::Isc));
    assert_eq!((sent.cltt, sent.lease_expiry, sent.potential_expiry), (Some(450), Some(450), Some(450)));
    let sent = update_for(&released, &side(Role::Secondary, Dialect::Own));
    assert_eq!((sent.cltt, sent.lease_expiry, sent.potential_expiry), (Some(448), Some(450), Some(450)));
    let verdict = judge(&agreed(mine(Status::Active)), &sent, &ctx(Role::Primary, Dialect::Own));
    assert_eq!(accepted(verdict).status, Status::Free);
    assert_eq!(
        number(&judge(
            &mine(Status::Active),
            &of_client(1, seen(100, sent)),
            &ctx(Role::Primary, Dialect::Own)
        )),
        Some(15)
    );
}
