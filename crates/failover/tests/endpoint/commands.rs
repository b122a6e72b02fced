//! What an operator may order: every guard of §3.3, §3.4, §7.1, §7.5 and §11, fences (P§12.3), holds.

use api::force::{Evidence, Fence};
use api::status::PartnerDownCause;
use failover::endpoint::{Grounds, Hold, HoldReason};

use super::*;

/// All states that a server can be in.
const MINE: [State; 11] = [N, CI, PD, PC, RI, CD, REC, RWAIT, RDONE, Paused, SHUT];

/// A fence after a change of the partner.
fn fence(epoch: u64, transition: u64, evidence: Option<Evidence>) -> Fence {
    let since = at(9, 0, 0).timestamp().expect("a time");
    Fence { partner_epoch: epoch, partner_transition: transition, since, evidence }
}

fn progress(epoch: u64, transition: u64) -> Progress {
    Progress {
        own: StoreStamp { epoch, lsn: Lsn(1) },
        stamp: StateStamp { epoch, transition },
        known_of_partner: StoreStamp::default(),
    }
}

/// A server without contact, in a state of its store.
fn cut_off(state: State) -> Solo {
    let mut solo = Solo::starting(record_of(Role::Primary, state, at(8, 0, 0)), at(8, 0, 0));
    solo.now = clock(at(9, 0, 0));
    solo.endpoint.tick(context(solo.now));
    solo.actions();
    solo
}

fn declare(solo: &mut Solo, since: Option<UnixTime>, expert: bool) -> Result<(), Refusal> {
    solo.endpoint.partner_down(since, expert, false, GROUNDS, context(solo.now))
}

#[test]
fn partner_down_is_declared_from_the_states_of_table_3_3() {
    for state in [CI, PD, RI, CD] {
        let mut solo = cut_off(state);
        assert_eq!(declare(&mut solo, None, false), Ok(()), "{state}");
        assert_eq!(solo.state(), PD);
        assert_eq!(solo.endpoint.hold(solo.now.wall), None, "{state}: every lease of the partner is known");
        assert_eq!(
            solo.endpoint.record().partner_down_cause,
            Some(PartnerDownCause::Requested).filter(|_| state != PD)
        );
    }
    for state in [PC, RI] {
        // A conflict is interrupted by the cut, and is then resolved or declared over.
        assert_eq!(cut_off(state).state(), RI);
    }
    for state in [REC, RWAIT] {
        let mut solo = cut_off(state);
        assert_eq!(declare(&mut solo, None, false), Err(Refusal::Unsynchronised(state)));
        assert_eq!(solo.state(), state, "nothing changed");
        assert_eq!(declare(&mut solo, None, true), Ok(()), "{state}, by an expert");
        assert_eq!(solo.state(), PD);
    }
    let mut solo = cut_off(RDONE);
    assert_eq!(declare(&mut solo, None, false), Err(Refusal::NeedsExpert(RDONE)));
    assert_eq!(declare(&mut solo, None, true), Ok(()));
    assert_eq!(solo.endpoint.hold(solo.now.wall), None, "it has fetched everything");
}

#[test]
fn partner_down_is_refused_while_the_partner_is_alive() {
    for partner in [N, CI] {
        let mut solo = Solo::linked(Role::Primary, N, partner);
        assert_eq!(declare(&mut solo, None, false), Err(Refusal::PartnerReachable(partner)));
        assert_eq!(solo.state(), N);
        assert_eq!(declare(&mut solo, None, true), Ok(()), "an expert may");
    }
    for partner in [PC, RI, CD, RDONE] {
        let mut solo = cut_off(PD);
        solo.endpoint.link_up(RECEIVE_TIMER);
        solo.hear_flagged(partner, true);
        assert_eq!(declare(&mut solo, None, true), Err(Refusal::PartnerOnItsWay(partner)), "expert or not");
    }
    // One that recovers serves nobody.
    let mut solo = Solo::linked(Role::Primary, CI, REC);
    assert_eq!(declare(&mut solo, None, false), Ok(()));
}

#[test]
fn dates_of_partner_down_lie_between_the_loss_of_contact_and_now() {
    let mut solo = Solo::linked(Role::Primary, N, N);
    solo.now = clock(at(9, 20, 0));
    solo.cut();
    solo.now = clock(at(10, 0, 0));
    assert_eq!(declare(&mut solo, Some(at(10, 0, 1)), true), Err(Refusal::Future));
    assert_eq!(declare(&mut solo, Some(at(9, 19, 59)), false), Err(Refusal::BeforeLoss(at(9, 20, 0))));
    assert_eq!(declare(&mut solo, Some(at(9, 20, 0)), false), Ok(()), "PD-2");
    assert_eq!(solo.endpoint.record().partner_down_at, Some(at(9, 20, 0)));
    assert_eq!(declare(&mut solo, Some(at(8, 0, 0)), true), Ok(()), "PD-3: an expert may");
    assert_eq!(solo.endpoint.record().partner_down_at, Some(at(8, 0, 0)));
}

#[test]
fn while_contact_lasts_the_partner_is_down_from_now_on_only() {
    let mut solo = Solo::linked(Role::Primary, CI, REC);
    solo.now = clock(at(9, 30, 0));
    assert_eq!(declare(&mut solo, Some(at(9, 0, 0)), false), Err(Refusal::BeforeLoss(at(9, 30, 0))));
    assert_eq!(declare(&mut solo, None, false), Ok(()));
    assert_eq!(solo.endpoint.record().partner_down_at, Some(at(9, 30, 0)));
}

#[test]
fn the_change_before_partner_down_is_kept_for_the_fence_and_forgotten_with_it() {
    let mut solo = Solo::linked(Role::Primary, N, N);
    solo.cut();
    let before = solo.endpoint.record().stamp;
    assert_eq!(declare(&mut solo, None, false), Ok(()));
    assert_eq!(solo.endpoint.record().partner_down_after, Some(before));
    // A better date is no other PartnerDown.
    solo.now = clock(at(9, 30, 0));
    assert_eq!(declare(&mut solo, None, false), Ok(()));
    assert_eq!(solo.endpoint.record().partner_down_after, Some(before));
    solo.endpoint.link_up(RECEIVE_TIMER);
    solo.hear(RDONE);
    solo.open_barrier();
    assert_eq!(solo.state(), N);
    assert_eq!(solo.endpoint.record().partner_down_after, None);
    assert_eq!(solo.endpoint.record().partner_down_cause, None);
}

#[test]
fn serial_partner_down_holds_every_address_until_the_partners_longest_lease_is_over() {
    let mut solo = cut_off(RWAIT);
    assert_eq!(declare(&mut solo, None, true), Ok(()));
    let until = solo.now.wall + GROUNDS.longest_lease;
    let hold = Hold { until, reason: HoldReason::SerialPartnerDown, since: solo.now.wall };
    assert_eq!(solo.endpoint.hold(solo.now.wall), Some(hold));
    assert_eq!(solo.endpoint.hold(until), None, "it ends by time");
    // At the operator's risk it ends at once.
    assert_eq!(solo.endpoint.partner_down(None, true, true, GROUNDS, context(solo.now)), Ok(()));
    assert_eq!(solo.endpoint.hold(solo.now.wall), None);
}

#[test]
fn h_6_a_fenced_server_is_forced_by_experts_only_and_then_holds_its_addresses() {
    let mut solo = cut_off(CI);
    solo.endpoint.fence(fence(4, 12, None));
    assert_eq!(declare(&mut solo, None, false), Err(Refusal::Unsynchronised(CI)));
    assert_eq!(declare(&mut solo, None, true), Ok(()));
    assert!(solo.endpoint.hold(solo.now.wall).is_some());
}

#[test]
fn a_starting_server_is_forced_by_experts_only() {
    let mut solo = Solo::starting(record_of(Role::Primary, CI, at(8, 0, 0)), at(8, 0, 0));
    assert_eq!(declare(&mut solo, None, false), Err(Refusal::Unsynchronised(State::Startup)));
    assert_eq!(declare(&mut solo, None, true), Ok(()));
    assert_eq!(solo.endpoint.shown_state(), PD);
    assert!(solo.endpoint.hold(solo.now.wall).is_some());
}

/// The connection ended with the process: what changes from here on was never sent.
#[test]
fn who_was_connected_when_it_ended_starts_unconnected() {
    let mut record = record_of(Role::Primary, State::Normal, at(8, 0, 0));
    record.link_edges = 7;
    let solo = Solo::starting(record, at(8, 0, 0));
    assert_eq!(solo.endpoint.record().link_edges, 8);
}

#[test]
fn a_server_alone_has_no_partner_to_declare_down() {
    let now = clock(at(8, 0, 0));
    let mut record = record_of(Role::Primary, CI, at(8, 0, 0));
    record.integrated = false;
    let settings = Settings { alone: true, ..SETTINGS };
    let mut endpoint =
        Endpoint::start(Role::Primary, Some(record), StoreStamp::default(), now.wall, settings, context(now));
    assert_eq!(endpoint.partner_down(None, true, false, GROUNDS, context(now)), Err(Refusal::Alone));
    assert_eq!(endpoint.recover(None, true, context(now)), Err(Refusal::Alone));
    assert_eq!(endpoint.interrupt(true), Err(Refusal::Alone));
}

/// Nobody new gets an address until the longest lease is over.
#[test]
fn a_server_alone_that_lost_its_store_is_let_go_by_an_expert() {
    let now = clock(at(8, 0, 0));
    let settings = Settings { alone: true, ..SETTINGS };
    let mut endpoint =
        Endpoint::start(Role::Primary, None, StoreStamp::default(), UnixTime::ZERO, settings, context(now));
    assert_eq!(endpoint.shown_state(), State::Recover);
    let declare =
        |endpoint: &mut Endpoint, expert| endpoint.partner_down(None, expert, false, GROUNDS, context(now));
    assert_eq!(declare(&mut endpoint, false), Err(Refusal::Unsynchronised(State::Recover)));
    assert_eq!(declare(&mut endpoint, true), Ok(()));
    assert_eq!(endpoint.shown_state(), PD);
    let hold = endpoint.hold(now.wall).expect("a hold");
    assert!(hold.until >= now.wall + GROUNDS.longest_lease, "{hold:?}");
}

// Fences.

#[test]
fn fn_1_a_fenced_server_starts_silent_and_recovers_from_its_partner() {
    let mut before = cut_off(CI);
    before.endpoint.link_up(RECEIVE_TIMER);
    before.hear_change(CI, before.now.wall, progress(4, 11).stamp);
    before.cut();
    let mut solo = Solo::starting(before.endpoint.record().clone(), at(8, 0, 0));
    solo.endpoint.fence(fence(4, 12, None));
    for minutes in 1..300 {
        solo.now = clock(at(8, 0, 0) + Seconds(60 * minutes));
        solo.endpoint.tick(context(solo.now));
        assert_eq!(solo.endpoint.service(), Service::Silent);
        assert_eq!(solo.endpoint.next_deadline(), None, "it waits for its partner however long");
    }
    solo.endpoint.link_up(RECEIVE_TIMER);
    solo.endpoint.compare_stores(progress(4, 13), context(solo.now));
    assert!(solo.endpoint.fence_in_force().is_some(), "a handshake does not tell the state");
    solo.now = clock(solo.now.wall + Seconds(60));
    solo.endpoint.tick(context(solo.now));
    assert_eq!(solo.endpoint.service(), Service::Silent);
    solo.hear_change(PD, at(8, 30, 0), progress(4, 13).stamp);
    assert_eq!(solo.endpoint.fence_in_force(), None, "a later change of the partner is known");
    assert_eq!(solo.state(), REC);
}

#[test]
fn h_11_a_serving_server_that_is_fenced_falls_silent_until_it_hears_its_partner() {
    let mut solo = cut_off(CI);
    assert_eq!(solo.endpoint.service(), Service::All);
    solo.endpoint.fence(fence(4, 12, None));
    assert_eq!(solo.endpoint.service(), Service::Silent);
    solo.endpoint.link_up(RECEIVE_TIMER);
    assert_eq!(solo.endpoint.service(), Service::Silent, "a connection says nothing yet");
    solo.endpoint.compare_stores(progress(4, 13), context(solo.now));
    solo.hear_change(N, solo.now.wall, progress(4, 13).stamp);
    assert_eq!((solo.state(), solo.endpoint.service()), (N, Service::All));
    solo.cut();
    assert_eq!(solo.endpoint.service(), Service::All, "FN-4: void for ever");
}

#[test]
fn fn_5_the_later_fence_counts_and_a_late_copy_harms_nobody() {
    let mut solo = cut_off(CI);
    solo.endpoint.compare_stores(progress(4, 17), context(solo.now));
    solo.endpoint.link_up(RECEIVE_TIMER);
    solo.hear_change(CI, solo.now.wall, progress(4, 17).stamp);
    for late in [fence(4, 16, None), fence(4, 12, None)] {
        solo.endpoint.fence(late);
        assert_eq!(solo.endpoint.fence_in_force(), None);
    }
    assert_eq!(solo.endpoint.record().fence.map(|fence| fence.stamp().transition), Some(16));
}

#[test]
fn a_fence_gains_its_evidence_and_keeps_it() {
    let mut solo = cut_off(CI);
    solo.endpoint.fence(fence(4, 12, None));
    solo.endpoint.fence(fence(4, 12, Some(Evidence::Automatic)));
    solo.endpoint.fence(fence(4, 12, None));
    assert_eq!(solo.endpoint.record().fence.and_then(|fence| fence.evidence), Some(Evidence::Automatic));
}

#[test]
fn st_3_evidence_in_the_fence_spares_the_conflict_when_clocks_are_too_close() {
    for (evidence, expected) in [(None, PC), (Some(Evidence::Attested), PC), (Some(Evidence::Automatic), REC)]
    {
        // Killed 10:00:00.5, the partner was let go 10:00:01, the promise to serve ran until 10:00:02.
        let mut solo = Solo::starting(record_of(Role::Secondary, N, at(8, 0, 0)), at(10, 0, 2));
        solo.endpoint.fence(fence(4, 12, evidence));
        solo.endpoint.link_up(RECEIVE_TIMER);
        solo.endpoint.compare_stores(progress(4, 13), context(solo.now));
        solo.hear_change(PD, at(10, 0, 1), progress(4, 13).stamp);
        assert_eq!(solo.state(), expected, "{evidence:?}");
    }
}

#[test]
fn a_human_ends_a_fence_by_name_and_it_stays_ended() {
    let mut solo = cut_off(CI);
    solo.endpoint.fence(fence(4, 12, None));
    solo.endpoint.restart(false, at(9, 0, 0), context(solo.now));
    assert!(solo.endpoint.fence_in_force().is_some(), "starting anew alone does not end it");
    solo.endpoint.restart(true, at(9, 0, 0), context(solo.now));
    assert_eq!(solo.endpoint.fence_in_force(), None);
    solo.endpoint.fence(fence(4, 12, None));
    assert_eq!(solo.endpoint.fence_in_force(), None, "the operator pushes the same one again");
    solo.endpoint.fence(fence(4, 14, None));
    assert!(solo.endpoint.fence_in_force().is_some(), "a later fact is another");
}

// Safe period (§7.1).

fn with_safe_period(state: State, seconds: u32) -> Solo {
    let mut solo = cut_off(state);
    solo.endpoint.configure(Settings { safe_period: Some(Seconds(seconds)), ..SETTINGS });
    solo
}

#[test]
fn an_accepted_safe_period_ends_in_partner_down_and_not_a_second_before() {
    let mut solo = with_safe_period(CI, 3600);
    let begun = solo.now;
    solo.now = clock(begun.wall + Seconds(3599));
    solo.endpoint.tick(context(solo.now));
    assert_eq!(solo.state(), CI);
    assert_eq!(solo.endpoint.next_deadline(), Some(begun.mono + Seconds(3600)));
    solo.now = clock(begun.wall + Seconds(3600));
    solo.endpoint.tick(context(solo.now));
    assert_eq!(solo.state(), PD);
    assert_eq!(solo.endpoint.record().partner_down_cause, Some(PartnerDownCause::SafePeriod));
    assert_eq!(
        solo.endpoint.record().partner_down_at,
        Some(solo.now.wall),
        "its addresses wait the MCLT from here"
    );
}

#[test]
fn h_17_without_one_nobody_enters_partner_down_by_itself() {
    let mut solo = cut_off(CI);
    for days in 1..100 {
        solo.now = clock(at(9, 0, 0) + Seconds(86_400 * days));
        solo.endpoint.tick(context(solo.now));
        assert_eq!(solo.state(), CI);
    }
}

#[test]
fn a_safe_period_counts_anew_after_each_contact_and_each_start() {
    let mut solo = with_safe_period(CI, 3600);
    solo.now = clock(solo.now.wall + Seconds(3500));
    solo.endpoint.link_up(RECEIVE_TIMER);
    solo.hear(REC);
    assert_eq!(solo.endpoint.safe_period_ends(), None, "the partner is heard");
    solo.cut();
    assert_eq!(solo.endpoint.safe_period_ends(), Some(solo.now.mono + Seconds(3600)));
}

#[test]
fn a_safe_period_never_ends_for_a_fenced_or_a_held_server() {
    let mut fenced = with_safe_period(CI, 60);
    fenced.endpoint.fence(fence(4, 12, None));
    let mut held = with_safe_period(CI, 60);
    held.endpoint.interrupt(true).expect("it is in CommunicationsInterrupted");
    for solo in [&mut fenced, &mut held] {
        solo.now = clock(solo.now.wall + Seconds(10_000));
        solo.endpoint.tick(context(solo.now));
        assert_eq!(solo.state(), CI);
    }
}

#[test]
fn a_fenced_server_that_an_expert_lets_go_serves_and_holds_every_address() {
    let mut solo = cut_off(CI);
    solo.endpoint.fence(fence(4, 12, None));
    assert_eq!(solo.endpoint.service(), Service::Silent);
    assert!(declare(&mut solo, None, false).is_err());
    assert_eq!(declare(&mut solo, None, true), Ok(()));
    assert_eq!((solo.state(), solo.endpoint.service()), (PD, Service::All));
    assert!(solo.endpoint.hold(solo.now.wall).is_some());
    solo.endpoint.fence(fence(4, 12, None));
    assert_eq!(solo.endpoint.fence_in_force(), None, "the operator pushes the same one again");
}

#[test]
fn a_conflict_that_the_partner_may_not_know_of_serves_nobody() {
    let mut solo = cut_off(PD);
    solo.endpoint.link_up(RECEIVE_TIMER);
    solo.hear(PD);
    assert_eq!(solo.state(), PC);
    solo.cut();
    assert_eq!(
        (solo.state(), solo.endpoint.service()),
        (RI, Service::Silent),
        "it may still use our addresses"
    );
    solo.endpoint.link_up(RECEIVE_TIMER);
    solo.hear(PC);
    solo.cut();
    assert_eq!((solo.state(), solo.endpoint.service()), (RI, Service::RenewOnly));
}

// The other forced states (§3.4).

#[test]
fn normal_is_accepted_only_with_a_partner_that_agrees() {
    for state in MINE {
        let mut solo = cut_off(state);
        let refusal = solo.endpoint.accept_normal(true, GROUNDS, context(solo.now));
        assert!(refusal.is_err(), "{state} without contact");
    }
    let mut solo = cut_off(PD);
    solo.endpoint.link_up(RECEIVE_TIMER);
    solo.hear(RDONE);
    assert!(solo.endpoint.is_exit_pending());
    assert_eq!(solo.endpoint.accept_normal(false, GROUNDS, context(solo.now)), Err(Refusal::BarrierClosed));
    assert_eq!(solo.state(), PD);
    let isc = Grounds { isc_partner: true, ..GROUNDS };
    assert_eq!(
        solo.endpoint.accept_normal(true, isc, context(solo.now)),
        Err(Refusal::NoPartner),
        "an ISC dhcpd must say Normal"
    );
    assert_eq!(solo.endpoint.accept_normal(true, GROUNDS, context(solo.now)), Ok(()));
    assert_eq!(solo.state(), N);
}

#[test]
fn an_interruption_drops_the_link_and_is_held_only_if_asked() {
    for hold in [false, true] {
        let mut solo = Solo::linked(Role::Primary, N, N);
        assert_eq!(solo.endpoint.interrupt(hold), Ok(()));
        assert_eq!(solo.actions(), [Action::DropLink]);
        solo.cut();
        assert_eq!((solo.state(), solo.endpoint.record().held), (CI, hold));
        solo.endpoint.restart(false, solo.now.wall, context(solo.now));
        assert!(!solo.endpoint.record().held, "starting anew ends it");
    }
    for state in [PD, RI, REC, RWAIT, RDONE, CD] {
        // From PartnerDown it would jump the exit barrier.
        let mut solo = cut_off(state);
        assert_eq!(solo.endpoint.interrupt(false), Err(Refusal::WrongState(state)));
    }
}

#[test]
fn recover_asks_for_everything_and_counts_from_the_backups_time() {
    let mut solo = Solo::starting(record_of(Role::Primary, CI, at(5, 0, 0)), at(5, 30, 0));
    solo.now = clock(at(8, 59, 0));
    solo.endpoint.tick(context(solo.now));
    solo.endpoint.link_up(RECEIVE_TIMER);
    solo.hear(N);
    solo.actions();
    assert_eq!(solo.endpoint.recover(Some(at(6, 0, 0)), false, context(solo.now)), Ok(()));
    assert_eq!((solo.state(), solo.endpoint.service()), (REC, Service::Silent));
    assert_eq!(solo.questions(), [true], "UPDREQALL");
    assert_eq!(solo.endpoint.record().failed_at, Some(at(6, 0, 0)));
    solo.done();
    assert_eq!(solo.state(), RDONE, "RC-5: the wait for what it may have granted is over");
}

#[test]
fn rc_4_recover_counts_from_when_the_server_was_down_last_if_that_is_known() {
    // By the promise in its store.
    let mut solo = Solo::linked(Role::Primary, N, N);
    assert_eq!(solo.endpoint.recover(Some(at(6, 0, 0)), false, context(solo.now)), Ok(()));
    assert_eq!(solo.endpoint.record().failed_at, Some(at(8, 0, 0)));
    // By the partner, which has missed it since.
    for partner in [CI, PD] {
        let mut solo = Solo::running(Role::Primary, CI);
        let since = at(8, 30, 0);
        solo.endpoint.partner_state(partner, false, since, None, context(solo.now));
        solo.actions();
        assert_eq!(solo.endpoint.recover(Some(at(6, 0, 0)), true, context(solo.now)), Ok(()));
        assert_eq!(solo.endpoint.record().failed_at, Some(since), "{partner}");
    }
}

#[test]
fn recover_needs_a_partner_that_serves_unless_confirmed() {
    let mut solo = cut_off(CI);
    assert_eq!(solo.endpoint.recover(None, false, context(solo.now)), Err(Refusal::PartnerNotServing));
    assert_eq!(solo.endpoint.recover(Some(at(9, 0, 1)), true, context(solo.now)), Err(Refusal::Future));
    assert_eq!(solo.endpoint.recover(None, true, context(solo.now)), Ok(()));
    assert_eq!(solo.state(), REC);
}

#[test]
fn note_5_shutdown_is_refused_while_the_partner_lacks_leases() {
    for partner in [REC, RWAIT, RDONE, PC, RI, CD] {
        let mut solo = cut_off(PD);
        solo.endpoint.link_up(RECEIVE_TIMER);
        solo.hear_flagged(partner, true);
        assert_eq!(solo.endpoint.may_shut_down(true), Err(Refusal::PartnerUnsynchronised(partner)), "SD-4");
    }
    for state in [PC, RI, REC, RWAIT] {
        let solo = cut_off(state);
        let shown = solo.endpoint.shown_state();
        assert_eq!(solo.endpoint.may_shut_down(true), Err(Refusal::WrongState(shown)));
    }
    assert_eq!(cut_off(CI).endpoint.may_shut_down(false), Err(Refusal::PartnerNotServing));
    assert_eq!(Solo::linked(Role::Primary, N, N).endpoint.may_shut_down(false), Ok(()));
}

#[test]
fn h_13_a_server_that_said_shutdown_recovers_at_its_next_start_and_one_that_could_not_does_not() {
    for (linked, expected) in [(true, REC), (false, CI)] {
        let mut solo = Solo::linked(Role::Primary, N, N);
        if !linked {
            solo.cut();
        }
        solo.endpoint.shut_down(context(solo.now));
        assert_eq!(solo.state(), SHUT);
        solo.cut();
        let record = solo.endpoint.record().clone();
        assert_eq!(Solo::starting(record, at(8, 0, 0)).state(), expected, "linked: {linked}");
        solo.endpoint.restart(false, solo.now.wall, context(solo.now));
        assert_eq!(solo.state(), expected, "resumed; linked: {linked}");
    }
    // The link broke before the word was out.
    let mut solo = Solo::linked(Role::Primary, N, N);
    solo.endpoint.shut_down(context(solo.now));
    solo.endpoint.shutdown_was_not_said();
    solo.cut();
    solo.endpoint.restart(false, solo.now.wall, context(solo.now));
    assert_eq!(solo.state(), CI);
}

#[test]
fn a_pause_needs_a_partner_that_serves_unless_confirmed() {
    let solo = Solo::linked(Role::Primary, N, N);
    assert_eq!(solo.endpoint.may_pause(false), Ok(()));
    let solo = cut_off(CI);
    assert_eq!(solo.endpoint.may_pause(false), Err(Refusal::PartnerNotServing));
    assert_eq!(solo.endpoint.may_pause(true), Ok(()));
}

#[test]
fn resume_goes_on_from_where_the_pause_began() {
    let mut solo = Solo::linked(Role::Primary, N, N);
    solo.endpoint.pause(context(solo.now));
    assert_eq!((solo.state(), solo.endpoint.service()), (Paused, Service::Silent));
    solo.cut();
    solo.endpoint.restart(false, solo.now.wall, context(solo.now));
    assert!(solo.endpoint.is_starting(), "it seeks its partner first");
    solo.endpoint.link_up(RECEIVE_TIMER);
    solo.hear(CI);
    assert_eq!((solo.state(), solo.endpoint.service()), (N, Service::All));
}

// Holds (§8) and the comparison of stores (§2.2).

#[test]
fn rc_8_when_both_stores_are_lost_addresses_are_held_for_the_longest_lease_from_the_later_start() {
    let three_days = Seconds(259_200);
    let mut solo = Solo::starting(Record::empty(Role::Primary, at(8, 0, 0)), at(8, 0, 0));
    assert_eq!(solo.endpoint.data_lost_since(), Some(at(8, 0, 0)));
    solo.endpoint.partner_data(None, None, false, three_days, context(solo.now));
    assert_eq!(solo.endpoint.hold(solo.now.wall), None, "the partner has its data");
    solo.endpoint.partner_data(Some(at(8, 20, 0)), None, false, three_days, context(solo.now));
    let hold =
        Hold { until: at(8, 20, 0) + three_days, reason: HoldReason::BothStoresLost, since: solo.now.wall };
    assert_eq!(solo.endpoint.hold(solo.now.wall), Some(hold));
}

#[test]
fn leases_that_a_longer_policy_allowed_are_waited_for_too() {
    let mut solo = Solo::starting(Record::empty(Role::Primary, at(8, 0, 0)), at(8, 0, 0));
    solo.endpoint.leases_last(Seconds(86_400), context(solo.now));
    // Shortened before the two met, who both may have granted a day until now.
    solo.endpoint.leases_last(Seconds(600), context(solo.now));
    solo.endpoint.partner_data(Some(at(7, 50, 0)), None, false, Seconds(600), context(solo.now));
    let until = solo.endpoint.hold(solo.now.wall).map(|hold| hold.until);
    assert_eq!(until, Some(solo.now.wall + Seconds(86_400)));
}

#[test]
fn a_hold_after_a_double_loss_is_told_and_outlasts_normal() {
    let mut solo = Solo::linked(Role::Secondary, N, N);
    solo.endpoint.partner_data(None, Some(at(20, 0, 0)), false, Seconds(60), context(solo.now));
    assert_eq!(solo.endpoint.hold(at(19, 59, 59)).map(|hold| hold.until), Some(at(20, 0, 0)));
    assert_eq!(solo.endpoint.hold(at(20, 0, 0)), None);
    assert_eq!(solo.endpoint.accept_normal(true, GROUNDS, context(solo.now)), Ok(()));
    assert_eq!(solo.endpoint.hold(at(19, 0, 0)), None, "an operator may end it");
}

#[test]
fn leases_without_end_are_held_until_an_operator_ends_that() {
    let mut solo = Solo::starting(Record::empty(Role::Primary, at(8, 0, 0)), at(8, 0, 0));
    solo.endpoint.partner_data(Some(at(8, 0, 0)), None, false, Seconds(u32::MAX), context(solo.now));
    assert!(solo.endpoint.hold(UnixTime::INFINITE).is_some());
}

#[test]
fn rb_5_the_operator_finds_an_old_copy_that_the_partner_cannot_be_asked_about() {
    let mut record = record_of(Role::Primary, N, at(8, 0, 0));
    record.stamp = StateStamp { epoch: 7, transition: 3 };
    let mut solo = Solo::starting(record, at(8, 0, 0));
    assert!(!solo.endpoint.is_store_confirmed());
    // It loaded (7, 100); the operator saw (7, 5000).
    solo.endpoint.operator_saw(StoreStamp { epoch: 7, lsn: Lsn(5000) }, context(solo.now));
    assert_eq!(solo.state(), REC);
    assert!(solo.endpoint.record().data_lost);
    assert_eq!(solo.endpoint.record().stamp.epoch, 8);
}

#[test]
fn rb_2_what_the_operator_saw_of_a_confirmed_start_is_no_sign_of_an_old_copy() {
    // The partner is away all the time, so the first start stays unconfirmed to it.
    let mut solo = Solo::starting(record_of(Role::Primary, N, at(8, 0, 0)), at(8, 0, 0));
    let first = solo.endpoint.announced_store(StoreStamp::default());
    solo.endpoint.operator_saw(first, context(solo.now));
    let epoch = solo.endpoint.record().stamp.epoch;
    let mut solo = Solo::starting(solo.endpoint.record().clone(), at(8, 0, 0));
    assert!(!solo.endpoint.is_store_confirmed());
    // Of the first start the operator saw more than what that had loaded, and less than this one has.
    let seen = StoreStamp { epoch, lsn: Lsn(80) };
    assert!(seen > first);
    solo.endpoint.operator_saw(seen, context(solo.now));
    assert_ne!(solo.state(), REC, "the store holds all that was seen");
    assert!(solo.endpoint.is_store_confirmed());
    assert_eq!(solo.endpoint.announced_store(StoreStamp::default()), first, "the partner may remember more");
}

#[test]
fn rb_5_the_operator_finds_an_old_copy_that_a_partner_which_was_down_found_whole() {
    let mut record = record_of(Role::Primary, N, at(8, 0, 0));
    record.stamp = StateStamp { epoch: 7, transition: 3 };
    let mut solo = Solo::starting(record, at(8, 0, 0));
    // It loaded (7, 100).
    let known_of_partner = StoreStamp { epoch: 7, lsn: Lsn(50) };
    let progress = Progress { known_of_partner, ..Progress::default() };
    solo.endpoint.compare_stores(progress, context(solo.now));
    assert_ne!(solo.state(), REC, "the partner remembers less than was loaded");
    assert!(solo.endpoint.is_store_confirmed());
    assert!(!solo.endpoint.is_compared_with_operator());

    // Whether it speaks in this life of the server or in the next one.
    let restarted = Solo::starting(solo.endpoint.record().clone(), at(8, 0, 0));
    for mut solo in [solo, restarted] {
        solo.endpoint.operator_saw(StoreStamp { epoch: 7, lsn: Lsn(80_000) }, context(solo.now));
        assert_eq!(solo.state(), REC);
        assert!(solo.endpoint.record().data_lost);
    }
}

#[test]
fn rb_4_the_operator_remembers_a_start_that_an_old_copy_counts_anew() {
    let mut solo = Solo::starting(record_of(Role::Primary, N, at(8, 0, 0)), at(8, 0, 0));
    let epoch = solo.endpoint.record().stamp.epoch;
    solo.endpoint.operator_saw(StoreStamp { epoch, lsn: Lsn(2) }, context(solo.now));
    assert_eq!(solo.state(), REC);
    assert_eq!(solo.endpoint.record().stamp.epoch, epoch + 1);
}

#[test]
fn what_the_partner_found_the_operator_need_not_find_again() {
    let mut solo = Solo::starting(record_of(Role::Primary, N, at(8, 0, 0)), at(8, 0, 0));
    let known_of_partner = StoreStamp { epoch: 9, lsn: Lsn(5000) };
    let progress = Progress { known_of_partner, ..Progress::default() };
    solo.endpoint.compare_stores(progress, context(solo.now));
    let stamp = solo.endpoint.record().stamp;
    assert_eq!((solo.state(), stamp.epoch), (REC, 10));
    solo.endpoint.operator_saw(StoreStamp { epoch: 9, lsn: Lsn(4000) }, context(solo.now));
    assert_eq!(solo.endpoint.record().stamp, stamp, "no second recovery");
    assert!(solo.endpoint.is_compared_with_operator());
}

/// Whoever emptied the volume may have been told to go on without what was lost.
#[test]
fn a_loss_that_is_known_is_found_once_in_a_life() {
    let now = clock(at(8, 0, 0));
    let empty = StoreStamp::default();
    let endpoint = Endpoint::start(Role::Primary, None, empty, at(7, 0, 0), SETTINGS, context(now));
    let mut solo = Solo { endpoint, now };
    solo.let_go(at(8, 0, 0)).expect("an expert may");
    let mut copy = Solo::starting(solo.endpoint.record().clone(), at(8, 0, 0));
    let seen = StoreStamp { epoch: 90, lsn: Lsn(9000) };
    solo.endpoint.operator_saw(seen, context(now));
    assert_eq!((solo.state(), solo.endpoint.record().stamp.epoch), (PD, 91));
    // What was made of it in the meantime may be old by now.
    copy.endpoint.operator_saw(seen, context(now));
    assert_eq!(copy.state(), REC);
}

/// The store says that it was found to be an old copy, and was copied when it said so.
#[test]
fn a_copy_of_an_old_copy_is_found() {
    let mut solo = Solo::starting(record_of(Role::Primary, N, at(8, 0, 0)), at(8, 0, 0));
    solo.endpoint.operator_saw(StoreStamp { epoch: 9, lsn: Lsn(9000) }, context(solo.now));
    solo.let_go(at(8, 0, 0)).expect("an expert may");
    let mut copy = solo.endpoint.record().clone();
    copy.stamp.epoch = 10;
    let mut copy = Solo::starting(copy, at(8, 0, 0));
    let known_of_partner = StoreStamp { epoch: 10, lsn: Lsn(90_000) };
    copy.endpoint.compare_stores(Progress { known_of_partner, ..Progress::default() }, context(copy.now));
    assert_eq!(copy.state(), REC);
    assert_eq!(copy.endpoint.record().failed_at, Some(copy.now.wall));
}

#[test]
fn what_the_operator_found_the_partner_need_not_find_again() {
    let mut solo = Solo::starting(record_of(Role::Primary, N, at(8, 0, 0)), at(8, 0, 0));
    solo.endpoint.operator_saw(StoreStamp { epoch: 9, lsn: Lsn(9000) }, context(solo.now));
    assert_eq!(solo.state(), REC);
    solo.let_go(at(8, 0, 0)).expect("an expert may");
    let failed_at = solo.endpoint.record().failed_at;
    solo.now = clock(at(12, 0, 0));
    for lsn in [5_000, 50_000] {
        let known_of_partner = StoreStamp { epoch: 10, lsn: Lsn(lsn) };
        let progress = Progress { known_of_partner, ..Progress::default() };
        let mut solo = solo.clone();
        solo.endpoint.compare_stores(progress, context(solo.now));
        assert_eq!((solo.state(), solo.endpoint.record().failed_at), (PD, failed_at));
        assert_eq!(solo.endpoint.record().stamp.epoch, 11);
    }
}

#[test]
fn a_partner_that_remembers_nothing_confirms_no_store_with_a_past() {
    let mut solo = Solo::starting(record_of(Role::Primary, N, at(8, 0, 0)), at(8, 0, 0));
    solo.endpoint.compare_stores(Progress::default(), context(solo.now));
    assert!(!solo.endpoint.is_store_confirmed());
}

#[test]
fn h_23_the_operators_word_does_not_hide_an_old_copy_from_the_partner() {
    let mut solo = Solo::starting(record_of(Role::Primary, N, at(8, 0, 0)), at(8, 0, 0));
    let announced = solo.endpoint.announced_store(StoreStamp { epoch: 99, lsn: Lsn(1) });
    solo.endpoint.operator_saw(StoreStamp { epoch: 0, lsn: Lsn(1) }, context(solo.now));
    assert!(solo.endpoint.is_store_confirmed());
    assert_ne!(solo.state(), REC);
    let still = solo.endpoint.announced_store(StoreStamp { epoch: 99, lsn: Lsn(1) });
    assert_eq!(still, announced, "the partner may remember more");
}
