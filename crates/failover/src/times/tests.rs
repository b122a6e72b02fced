//! The worked examples of `spec/failover-behaviour.md` §5, §7.2 and §7.3, by their names.

use std::net::Ipv4Addr;

use api::identity::Role;
use api::time::{Seconds, UnixTime};
use leases::lease::{Client, HardwareAddress, Lease, Status, Sync};
use proptest::prelude::*;

use super::{
    Grant, MaxLead, Mode, PartnerDown, Reuse, Who, blocks_exit, grant, is_own, pd_bound, reusable_from,
};
use crate::binding::freeze;

const M: Seconds = Seconds(3600);
const X: Seconds = Seconds(259_200);

fn t(seconds: u64) -> UnixTime {
    UnixTime::new(seconds)
}

/// A time of day 1, so that zero keeps meaning "never".
fn clock(hours: u64, minutes: u64, seconds: u64) -> UnixTime {
    UnixTime::new(86_400 + hours * 3600 + minutes * 60 + seconds)
}

fn day(number: u64, hours: u64, minutes: u64) -> UnixTime {
    UnixTime::new(number * 86_400 + hours * 3600 + minutes * 60)
}

fn lease(status: Status) -> Lease {
    let hardware = HardwareAddress { kind: 1, octets: vec![2, 0, 0, 0, 0, 1] };
    let client = Some(Client { hardware, id: None });
    Lease { status, client, ..Lease::new(Ipv4Addr::new(10, 77, 0, 10)) }
}

fn active() -> Lease {
    lease(Status::Active)
}

/// Grants to the holder of `lease` and keeps what was promised.
fn renew(lease: &mut Lease, now: u64, desired: Seconds, mode: Mode) -> Grant {
    let times = grant(t(now), desired, M, Some(lease), mode);
    lease.exp = times.exp;
    lease.held_until = times.held_until;
    lease.sent_potential = times.sent_potential;
    lease.sync = Sync::Due;
    times
}

fn ack(lease: &mut Lease) {
    lease.acked_potential = lease.sent_potential;
    lease.sync = Sync::Agreed;
}

/// LT-1 up to and with the acknowledgement at 1801.
fn lt_1() -> Lease {
    let mut lease = active();
    renew(&mut lease, 0, X, Mode::Lead);
    ack(&mut lease);
    renew(&mut lease, 1800, X, Mode::Lead);
    ack(&mut lease);
    lease
}

fn down(at: UnixTime) -> PartnerDown {
    PartnerDown { at, role: Role::Primary, mclt: M, guard: Seconds::ZERO, dynamic_bootp: false }
}

#[test]
fn lt_1_the_first_lease_is_the_mclt_and_the_acked_one_runs_in_full() {
    let mut lease = active();
    let first = renew(&mut lease, 0, X, Mode::Lead);
    assert_eq!((first.actual, first.exp, first.held_until), (Seconds(3600), t(3600), t(3600)));
    assert_eq!(first.sent_potential, t(262_800));
    assert_eq!((first.t1, first.t2), (Seconds(1800), Seconds(3150)));
    ack(&mut lease);
    let second = renew(&mut lease, 1800, X, Mode::Lead);
    assert_eq!((second.actual, second.exp), (Seconds(259_200), t(261_000)));
    assert_eq!(second.sent_potential, t(390_600));
}

#[test]
fn lt_2_a_partner_that_dies_before_its_ack_keeps_the_lease_at_the_mclt() {
    let mut lease = active();
    renew(&mut lease, 0, X, Mode::Lead);
    let second = renew(&mut lease, 1800, X, Mode::Lead);
    assert_eq!((second.actual, second.exp), (Seconds(3600), t(5400)));
    assert_eq!(second.sent_potential, t(264_600));
}

#[test]
fn lt_3_a_desired_time_below_the_mclt_leads_by_half_of_itself() {
    let times = grant(t(0), Seconds(1800), M, None, Mode::Lead);
    assert_eq!((times.actual, times.sent_potential), (Seconds(1800), t(2700)));
}

#[test]
fn lt_4_to_lt_7_interrupted_renewals_shrink_towards_the_mclt() {
    let mut lease = Lease { received_potential: t(390_600), ..active() };
    for (name, now, actual, exp) in [
        ("LT-4", 131_400, 259_200, 390_600),
        ("LT-5", 261_000, 133_200, 394_200),
        ("LT-6", 327_600, 66_600, 394_200),
        ("LT-7", 393_000, 3600, 396_600),
        ("LT-7 later", 395_000, 3600, 398_600),
    ] {
        let times = renew(&mut lease, now, X, Mode::Lead);
        assert_eq!((times.actual, times.exp), (Seconds(actual), t(exp)), "{name}");
    }
}

#[test]
fn lt_8_a_new_client_while_interrupted_gets_the_mclt() {
    assert_eq!(grant(t(9000), X, M, None, Mode::Lead).actual, M);
}

#[test]
fn lt_9_a_new_client_in_partner_down_gets_all_of_it_or_the_mclt_as_configured() {
    assert_eq!(grant(t(9000), X, M, None, Mode::PartnerDownFull).actual, X);
    assert_eq!(grant(t(9000), X, M, None, Mode::Lead).actual, M);
}

#[test]
fn lt_10_a_shorter_renewal_lowers_neither_held_until_nor_the_potential() {
    let mut lease = lt_1();
    let times = renew(&mut lease, 2000, Seconds(3600), Mode::Lead);
    assert_eq!((times.actual, times.exp), (Seconds(3600), t(5600)));
    assert_eq!(times.held_until, t(261_000));
    assert_eq!(times.sent_potential, t(390_600));
    let fresh = grant(t(2000), Seconds(3600), M, None, Mode::Lead);
    assert_eq!(fresh.sent_potential, t(7400), "what it would be without a past");
}

#[test]
fn an_unset_repair_leaves_the_bare_mclt() {
    // Repairing records have no potential, while the wait keeps the largest received.
    let lease = Lease { received_potential_max: t(390_600), ..active() };
    assert_eq!(grant(t(1000), X, M, Some(&lease), Mode::Lead).actual, M);
}

#[test]
fn potentials_of_a_lease_that_ended_count_for_nothing() {
    for status in [Status::Expired, Status::Released, Status::Reset, Status::Free, Status::Backup] {
        let lease = Lease { acked_potential: t(390_600), received_potential: t(390_600), ..lease(status) };
        assert_eq!(grant(t(1000), X, M, Some(&lease), Mode::Lead).actual, M, "{status}");
    }
}

#[test]
fn an_infinite_request_is_capped_like_any_other() {
    let forever = Seconds(u32::MAX);
    let first = grant(t(1000), forever, M, None, Mode::Lead);
    assert_eq!((first.actual, first.exp), (M, t(4600)));
    assert_eq!(first.sent_potential, UnixTime::INFINITE);
    let mut lease = Lease { acked_potential: UnixTime::INFINITE, ..active() };
    let second = renew(&mut lease, 2000, forever, Mode::Lead);
    assert_eq!((second.actual, second.exp), (forever, UnixTime::INFINITE));
    assert_eq!((second.t1, second.t2), (forever, forever));
}

#[test]
fn a_bootp_lease_has_no_end_and_no_potential() {
    let times = grant(t(1000), X, M, None, Mode::Bootp);
    assert_eq!((times.exp, times.held_until), (UnixTime::INFINITE, UnixTime::INFINITE));
    assert_eq!(times.sent_potential, UnixTime::ZERO);
}

#[test]
fn strict_isc_lead_stays_within_what_the_partner_acknowledged_as_end() {
    let mut lease =
        Lease { held_until: t(10_000), acked_potential: t(390_600), sync: Sync::Agreed, ..active() };
    assert_eq!(grant(t(2000), X, M, Some(&lease), Mode::StrictLead).exp, t(10_000));
    lease.sync = Sync::Due;
    assert_eq!(grant(t(2000), X, M, Some(&lease), Mode::StrictLead).exp, t(5600));
}

#[test]
fn hu_1_a_lost_ack_does_not_shorten_the_wait() {
    let mut lease = active();
    renew(&mut lease, 0, X, Mode::PartnerDownFull);
    assert_eq!(lease.exp, t(259_200));
    renew(&mut lease, 129_600, Seconds(3600), Mode::PartnerDownFull);
    assert_eq!((lease.exp, lease.held_until), (t(133_200), t(259_200)));
    lease.first_in_partner_down = true;
    assert_eq!(reusable_from(&lease, &down(t(0)), Who::OtherClient), Reuse::At(t(259_200)));
}

#[test]
fn hu_2_a_renewal_in_resolution_interrupted_is_short_but_the_promise_stays() {
    let mut lease = active();
    renew(&mut lease, 0, X, Mode::PartnerDownFull);
    renew(&mut lease, 129_600, X, Mode::ResolutionInterrupted);
    assert_eq!((lease.exp, lease.held_until), (t(133_200), t(259_200)));
}

#[test]
fn hu_3_the_wait_counts_with_the_largest_potential_ever_sent() {
    let mut lease = lt_1();
    renew(&mut lease, 2000, Seconds(3600), Mode::Lead);
    let frozen = freeze(&lease, t(2100), M);
    assert_eq!(reusable_from(&frozen, &down(t(2100)), Who::OtherClient), Reuse::At(t(394_200)));
    assert_eq!(reusable_from(&frozen, &down(t(2100)), Who::SameClient), Reuse::Now);
}

/// The lease of HU-5 and HU-6, with PartnerDown entered at 100000.
fn hu_5() -> Lease {
    let lease = Lease {
        exp: t(150_000),
        held_until: t(150_000),
        sent_potential: t(200_000),
        acked_potential: t(200_000),
        received_potential: t(200_000),
        received_potential_max: t(200_000),
        ..active()
    };
    freeze(&lease, t(100_000), M)
}

#[test]
fn hu_5_a_release_in_partner_down_does_not_end_the_partners_promise() {
    let released = Lease { status: Status::Released, held_until: t(140_000), ..hu_5() };
    assert_eq!(reusable_from(&released, &down(t(100_000)), Who::OtherClient), Reuse::At(t(203_600)));
}

#[test]
fn hu_6_a_renewal_in_partner_down_may_outlast_the_bound() {
    let mut lease = hu_5();
    renew(&mut lease, 140_000, X, Mode::PartnerDownFull);
    assert_eq!(lease.held_until, t(399_200));
    assert_eq!(reusable_from(&lease, &down(t(100_000)), Who::OtherClient), Reuse::At(t(399_200)));
}

#[test]
fn hu_7_a_lease_first_made_in_partner_down_ends_with_its_release() {
    let lease = Lease {
        status: Status::Released,
        held_until: t(140_000),
        sent_potential: t(600_000),
        first_in_partner_down: true,
        ..active()
    };
    assert_eq!(reusable_from(&lease, &down(t(100_000)), Who::OtherClient), Reuse::At(t(140_000)));
}

#[test]
fn hu_8_a_potential_that_was_handed_to_a_socket_counts_for_waits_and_not_for_grants() {
    let mut lease = active();
    renew(&mut lease, 0, X, Mode::Lead);
    ack(&mut lease);
    renew(&mut lease, 1800, X, Mode::Lead);
    assert_eq!(lease.sent_potential, t(390_600), "handed to a socket, the answer was lost");
    let times = renew(&mut lease, 2000, Seconds(3600), Mode::Lead);
    assert_eq!((times.exp, times.sent_potential), (t(5600), t(390_600)));
    assert_eq!(pd_bound(&lease, t(2100), M), t(394_200));
}

#[test]
fn pd_1_to_pd_3_the_partners_addresses_wait_for_the_mclt_from_when_it_was_down() {
    let partners = Lease::new(Ipv4Addr::new(10, 77, 0, 10));
    let partners = Lease { status: Status::Backup, ..partners };
    for (name, at, from) in [
        ("PD-1", clock(10, 0, 0), clock(11, 0, 0)),
        ("PD-2", clock(9, 20, 0), clock(10, 20, 0)),
        ("PD-3", clock(8, 0, 0), clock(9, 0, 0)),
    ] {
        assert_eq!(down(at).full_takeover_at(), from, "{name}");
        for who in [Who::SameClient, Who::OtherClient] {
            assert_eq!(reusable_from(&partners, &down(at), who), Reuse::At(from), "{name}");
        }
    }
    let reuse = reusable_from(&partners, &down(clock(10, 0, 0)), Who::OtherClient);
    assert!(reuse.is_due(clock(11, 0, 0)));
    assert!(!reuse.is_due(clock(10, 59, 59)));
    let reuse = reusable_from(&partners, &down(clock(8, 0, 0)), Who::OtherClient);
    assert!(reuse.is_due(clock(10, 0, 0)), "PD-3: at once");
}

/// A lease of a server that lost its data is held (§8). If it ends at the survivor, and the lost server agrees and is
/// gone again, the address is the lost server's and free, and its client may believe in it as long as before.
#[test]
fn a_hold_from_lost_data_outlasts_the_wait_for_the_partners_addresses() {
    let at = clock(10, 0, 0);
    let held = |hold_until| Lease { hold_until, ..lease(Status::Backup) };
    for (hold, from) in [(clock(12, 0, 0), clock(12, 0, 0)), (clock(10, 30, 0), clock(11, 0, 0))] {
        assert_eq!(reusable_from(&held(hold), &down(at), Who::OtherClient), Reuse::At(from));
        assert_eq!(reusable_from(&held(hold), &down(at), Who::SameClient), Reuse::At(clock(11, 0, 0)));
    }
    let quarantined = reusable_from(&held(UnixTime::INFINITE), &down(at), Who::OtherClient);
    assert_eq!(quarantined, Reuse::At(clock(11, 0, 0)));
}

#[test]
fn pd_4_and_pd_5_a_lease_waits_for_the_mclt_beyond_the_latest_promise() {
    let at = clock(10, 0, 0);
    let four = Lease { held_until: clock(12, 0, 0), received_potential_max: clock(13, 30, 0), ..active() };
    let five = Lease { held_until: clock(9, 0, 0), sent_potential: clock(9, 30, 0), ..active() };
    for (name, lease, from) in [("PD-4", four, clock(14, 30, 0)), ("PD-5", five, clock(11, 0, 0))] {
        let frozen = freeze(&lease, at, M);
        assert_eq!(reusable_from(&frozen, &down(at), Who::OtherClient), Reuse::At(from), "{name}");
        assert_eq!(reusable_from(&lease, &down(at), Who::OtherClient), Reuse::At(from), "{name} unfrozen");
    }
}

#[test]
fn pd_6_a_lease_first_made_in_partner_down_is_reused_at_its_end() {
    let lease = Lease {
        held_until: clock(10, 35, 0),
        sent_potential: clock(11, 0, 0),
        first_in_partner_down: true,
        ..active()
    };
    let from = reusable_from(&lease, &down(clock(10, 0, 0)), Who::OtherClient);
    assert_eq!(from, Reuse::At(clock(10, 35, 0)));
}

#[test]
fn pd_7_a_renewal_in_partner_down_lengthens_the_wait_but_never_shortens_it() {
    let at = clock(10, 0, 0);
    let before = Lease { received_potential_max: clock(10, 45, 0), ..active() };
    let frozen = freeze(&before, at, M);
    for (held_until, from) in [(clock(12, 20, 0), clock(12, 20, 0)), (clock(10, 50, 0), clock(11, 45, 0))] {
        // The potential of the renewal itself was never told to anybody.
        let lease = Lease { held_until, sent_potential: clock(23, 0, 0), ..frozen.clone() };
        assert_eq!(reusable_from(&lease, &down(at), Who::OtherClient), Reuse::At(from));
    }
}

#[test]
fn pd_8_contact_lost_with_a_recovered_partner_starts_the_wait_anew() {
    let at = clock(12, 0, 0) + Seconds(60);
    let before = Lease { received_potential_max: clock(10, 45, 0), ..active() };
    let again = freeze(&freeze(&before, clock(9, 0, 0), M), at, M);
    assert_eq!(reusable_from(&again, &down(at), Who::OtherClient), Reuse::At(clock(13, 1, 0)));
}

#[test]
fn after_contact_a_lease_made_in_partner_down_counts_as_made_before() {
    let lease = Lease { held_until: clock(10, 35, 0), first_in_partner_down: true, ..active() };
    let at = clock(12, 1, 0);
    let refrozen = freeze(&lease, at, M);
    assert_eq!(reusable_from(&refrozen, &down(at), Who::OtherClient), Reuse::At(clock(13, 1, 0)));
}

#[test]
fn own_addresses_are_free_at_once_unless_a_hand_over_is_unsettled() {
    let at = clock(10, 0, 0);
    for (role, own, partners) in
        [(Role::Primary, Status::Free, Status::Backup), (Role::Secondary, Status::Backup, Status::Free)]
    {
        let down = PartnerDown { role, ..down(at) };
        let settled = Lease { client: None, ..lease(own) };
        assert_eq!(reusable_from(&settled, &down, Who::OtherClient), Reuse::Now);
        let waits = Reuse::At(clock(11, 0, 0));
        for sync in [Sync::Due, Sync::Rejected] {
            let unsettled = Lease { sync, ..settled.clone() };
            assert_eq!(reusable_from(&unsettled, &down, Who::OtherClient), waits);
        }
        assert_eq!(reusable_from(&lease(partners), &down, Who::OtherClient), waits);
    }
}

#[test]
fn dynamic_bootp_scopes_never_use_the_partners_addresses() {
    let down = PartnerDown { dynamic_bootp: true, ..down(clock(10, 0, 0)) };
    assert_eq!(reusable_from(&lease(Status::Backup), &down, Who::OtherClient), Reuse::Never);
    assert_eq!(reusable_from(&lease(Status::Backup), &down, Who::SameClient), Reuse::Never);
    assert_eq!(reusable_from(&lease(Status::Free), &down, Who::OtherClient), Reuse::Now);
}

#[test]
fn the_guard_delays_other_clients_only() {
    let at = clock(10, 0, 0);
    let guarded = PartnerDown { guard: Seconds(4), ..down(at) };
    let partners = lease(Status::Backup);
    assert_eq!(reusable_from(&partners, &guarded, Who::OtherClient), Reuse::At(clock(11, 0, 4)));
    assert_eq!(reusable_from(&partners, &guarded, Who::SameClient), Reuse::At(clock(11, 0, 0)));
    let held = freeze(&Lease { held_until: clock(12, 0, 0), ..active() }, at, M);
    assert_eq!(reusable_from(&held, &guarded, Who::OtherClient), Reuse::At(clock(13, 0, 4)));
}

#[test]
fn leases_without_end_and_abandoned_addresses_are_never_reused() {
    let at = clock(10, 0, 0);
    let forever = freeze(&Lease { held_until: UnixTime::INFINITE, ..active() }, at, M);
    assert_eq!(reusable_from(&forever, &down(at), Who::OtherClient), Reuse::Never);
    assert_eq!(reusable_from(&lease(Status::Abandoned), &down(at), Who::SameClient), Reuse::Never);
    assert!(!Reuse::At(UnixTime::INFINITE).is_due(UnixTime::INFINITE));
}

#[test]
fn reserved_free_addresses_are_both_servers_own() {
    let mut lease = lease(Status::Backup);
    assert!(!is_own(&lease, Role::Primary));
    lease.flags.reserved = true;
    assert!(is_own(&lease, Role::Primary));
    lease.sync = Sync::Due;
    assert!(!is_own(&lease, Role::Primary), "the partner may not reserve it");
}

/// The lease of XB-1: own pool, granted at 10:05 in PartnerDown with the full time of three days.
fn xb_1() -> Lease {
    let mut lease = active();
    let times = grant(day(1, 10, 5), X, M, Some(&lease), Mode::PartnerDownFull);
    assert_eq!(times.held_until, day(4, 10, 5));
    assert_eq!(times.sent_potential, day(5, 22, 5));
    lease.held_until = times.held_until;
    lease.sent_potential = times.sent_potential;
    lease.sync = Sync::Due;
    lease
}

#[test]
fn xb_1_an_acknowledged_lease_does_not_block_the_exit() {
    let mut lease = xb_1();
    ack(&mut lease);
    assert!(!blocks_exit(&lease, day(1, 12, 0), M));
}

#[test]
fn xb_2_a_full_lease_that_the_partner_does_not_know_blocks_the_exit() {
    assert!(blocks_exit(&xb_1(), day(1, 12, 0), M));
}

#[test]
fn xb_3_a_new_client_after_contact_never_blocks_the_exit() {
    let now = day(1, 12, 0) + Seconds(2);
    let times = grant(now, X, M, None, Mode::Lead);
    assert_eq!(times.actual, M);
    let lease = Lease { held_until: times.held_until, sync: Sync::Due, ..active() };
    assert!(!blocks_exit(&lease, now, M));
}

#[test]
fn xb_4_a_short_renewal_does_not_open_the_barrier() {
    let mut lease = xb_1();
    let now = day(1, 12, 0) + Seconds(3);
    let times = grant(now, X, M, Some(&lease), Mode::Lead);
    assert_eq!((times.actual, times.exp), (M, now + M));
    assert_eq!(times.held_until, day(4, 10, 5));
    lease.held_until = times.held_until;
    assert!(blocks_exit(&lease, now, M));
}

#[test]
fn xb_5_a_rejected_lease_blocks_the_exit_until_the_mclt_reaches_its_end() {
    let lease = Lease { sync: Sync::Rejected, ..xb_1() };
    assert!(blocks_exit(&lease, day(4, 9, 4), M));
    assert!(!blocks_exit(&lease, day(4, 9, 5), M));
}

#[test]
fn a_lease_that_came_back_from_the_partner_does_not_block_the_exit() {
    // Without the potential that we had told it before we lost our data.
    let mut lease = xb_1();
    (lease.sync, lease.sent_potential) = (Sync::Agreed, UnixTime::ZERO);
    assert!(!blocks_exit(&lease, day(1, 12, 0), M), "the partner knows its end");
    lease.sync = Sync::Due;
    assert!(blocks_exit(&lease, day(1, 12, 0), M), "longer than the partner knows");
}

#[test]
fn a_bootp_lease_blocks_the_exit_until_the_partner_has_it() {
    let mut lease = Lease { held_until: UnixTime::INFINITE, sync: Sync::Due, ..active() };
    lease.flags.bootp = true;
    assert!(blocks_exit(&lease, day(1, 12, 0), M));
    lease.sync = Sync::Agreed;
    assert!(!blocks_exit(&lease, day(1, 12, 0), M));
}

#[test]
fn mc_1_a_larger_mclt_counts_for_waits_at_once_and_for_grants_once_stored() {
    let mut mclt = MaxLead::new(Seconds(3600));
    mclt.configure(Seconds(7200));
    assert_eq!((mclt.for_grants(), mclt.for_waits()), (Seconds(3600), Seconds(7200)));
    let (now, promise) = (clock(10, 5, 0), UnixTime::ZERO);
    assert_eq!(grant(now, X, mclt.for_grants(), None, Mode::Lead).actual, Seconds(3600));
    mclt.connect_acked(Seconds(3600), now, promise);
    assert_eq!(mclt.for_grants(), Seconds(3600), "the answer to an older CONNECT proves nothing");
    mclt.connect_acked(Seconds(7200), clock(10, 10, 0), promise);
    assert_eq!((mclt.for_grants(), mclt.for_waits()), (Seconds(7200), Seconds(7200)));
}

#[test]
fn mc_2_a_secondary_that_was_not_told_never_waits_too_short() {
    // The secondary, still at one hour, enters PartnerDown at 10:06 and frees at 11:06.
    let mut primary = MaxLead::new(Seconds(3600));
    let secondary = MaxLead::new(Seconds(3600));
    primary.configure(Seconds(7200));
    let granted = grant(clock(10, 5, 0), X, primary.for_grants(), None, Mode::Lead);
    assert!(granted.exp <= clock(10, 6, 0) + secondary.for_waits());
}

#[test]
fn a_smaller_mclt_counts_for_grants_at_once_and_for_waits_once_old_leases_ended() {
    let mut mclt = MaxLead::new(Seconds(7200));
    mclt.configure(Seconds(3600));
    assert_eq!((mclt.for_grants(), mclt.for_waits()), (Seconds(3600), Seconds(7200)));
    assert!(!mclt.pass(UnixTime::INFINITE), "the partner may still grant under the old one");
    mclt.connect_acked(Seconds(3600), clock(10, 0, 0), clock(12, 0, 0));
    assert!(!mclt.pass(clock(14, 0, 0)));
    assert_eq!(mclt.for_waits(), Seconds(7200));
    assert!(mclt.pass(clock(14, 0, 1)));
    assert_eq!(mclt.for_waits(), Seconds(3600));
}

#[test]
fn a_raise_that_was_taken_back_is_still_waited_for() {
    let mut mclt = MaxLead::new(Seconds(3600));
    mclt.configure(Seconds(7200));
    mclt.configure(Seconds(3600));
    assert_eq!((mclt.for_grants(), mclt.for_waits()), (Seconds(3600), Seconds(7200)));
    mclt.configure(Seconds(7200));
    assert_eq!(mclt.for_grants(), Seconds(3600));
}

#[test]
fn a_secondary_keeps_waiting_by_the_larger_mclt_after_it_learned_a_smaller_one() {
    let mut mclt = MaxLead::new(Seconds(7200));
    mclt.learned(Seconds(3600), clock(10, 0, 0), clock(9, 0, 0));
    assert_eq!((mclt.for_grants(), mclt.for_waits()), (Seconds(3600), Seconds(7200)));
    assert!(mclt.pass(clock(12, 0, 1)));
    mclt.learned(Seconds(9000), clock(13, 0, 0), clock(9, 0, 0));
    assert_eq!((mclt.for_grants(), mclt.for_waits()), (Seconds(9000), Seconds(9000)));
}

#[test]
fn a_server_without_its_memory_waits_by_the_larger_mclt_that_its_partner_tells_of() {
    let mut mclt = MaxLead::new(Seconds(3600));
    assert!(!mclt.told(Seconds(1800), clock(12, 0, 0), clock(10, 0, 0)), "less than the present one");
    assert!(!mclt.told(Seconds(7200), clock(9, 0, 0), clock(10, 0, 0)), "over already");
    assert!(mclt.told(Seconds(7200), clock(12, 0, 0), clock(10, 0, 0)));
    assert!(!mclt.told(Seconds(7200), clock(12, 0, 0), clock(10, 0, 0)), "no news");
    assert_eq!((mclt.for_grants(), mclt.for_waits()), (Seconds(3600), Seconds(7200)));
    assert!(mclt.pass(clock(12, 0, 1)));
    assert!(!mclt.told(Seconds(7200), clock(12, 0, 0), clock(12, 0, 1)), "not again");
}

/// What a change of the MCLT can bring.
#[derive(Clone, Copy, Debug)]
enum Step {
    Acked,
    Configure(u32),
    Pass(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::Acked),
        (1_u32..100).prop_map(Step::Configure),
        (1_u32..100).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    /// A grant outside PartnerDown-full never exceeds the lead, whatever came before (I2).
    #[test]
    fn no_grant_leads_beyond_the_mclt(
        now in 1_u64..0x7fff_ffff, desired: u32, mclt in 1_u32..10_000_000,
        acked in 0_u64..0x8000_0000, received in 0_u64..0x8000_0000, held in 0_u64..0x8000_0000,
    ) {
        let lease = Lease {
            acked_potential: t(acked), received_potential: t(received), held_until: t(held), ..active()
        };
        let times = grant(t(now), Seconds(desired), Seconds(mclt), Some(&lease), Mode::Lead);
        prop_assert!(times.exp <= t(now).max(t(acked)).max(t(received)) + Seconds(mclt));
        prop_assert!(times.actual <= Seconds(desired));
        prop_assert!(times.held_until >= times.exp && times.held_until >= lease.held_until);
        prop_assert!(times.sent_potential >= times.exp);
        prop_assert!(times.t1 <= times.t2 && times.t2 <= times.actual);
    }

    /// Whatever is renewed or released in PartnerDown, nobody else comes before the frozen bound.
    #[test]
    fn the_frozen_bound_is_never_undercut(
        at in 1_u64..2_000_000, held in 0_u64..2_000_000, potential in 0_u64..2_000_000,
        later in 0_u64..2_000_000, released: bool,
    ) {
        let lease = Lease { held_until: t(held), sent_potential: t(potential), ..active() };
        let mut frozen = freeze(&lease, t(at), M);
        frozen.status = if released { Status::Released } else { Status::Active };
        frozen.held_until = t(later);
        let bound = t(at.max(held).max(potential)) + M;
        let Reuse::At(from) = reusable_from(&frozen, &down(t(at)), Who::OtherClient) else {
            return Err(TestCaseError::fail("a finite lease is waited for"));
        };
        prop_assert!(from >= bound && from >= t(later));
    }

    /// Under any sequence of changes the waits of the primary cover what either server grants under, and
    /// its grants stay within what the secondary stored (H-19).
    #[test]
    fn waits_cover_grants_under_any_changes(steps in steps()) {
        let mut primary = MaxLead::new(Seconds(50));
        let mut secondary = MaxLead::new(Seconds(50));
        let mut now = t(1000);
        // The latest end that each server may have promised, without potentials: lead and now only.
        let mut ends = [UnixTime::ZERO; 2];
        for step in steps {
            match step {
                Step::Acked => {
                    let mclt = primary.configured;
                    secondary.learned(mclt, now, UnixTime::ZERO);
                    primary.connect_acked(mclt, now, UnixTime::ZERO);
                }
                Step::Configure(mclt) => primary.configure(Seconds(mclt)),
                Step::Pass(seconds) => {
                    now = now + Seconds(seconds);
                    primary.pass(now);
                    secondary.pass(now);
                }
            }
            ends[0] = ends[0].max(now + primary.for_grants());
            ends[1] = ends[1].max(now + secondary.for_grants());
            prop_assert!(ends[1] <= now + primary.for_waits());
            prop_assert!(ends[0] <= now + secondary.for_waits());
        }
    }
}
