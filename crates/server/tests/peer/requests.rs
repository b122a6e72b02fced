//! Requests for bindings, of the server and of its partner (`spec/failover-behaviour.md` §8).

use api::identity::{Role, State};
use api::time::Seconds;
use failover::wire::{BindingUpdate, Message};
use leases::lease::Status;

use crate::bench::{Bench, Manners, OnUpdate};
use crate::grid::in_state;

/// Twice the receive timer.
const PATIENCE: u32 = 120;

/// In Recover, having asked for everything.
fn asking(role: Role, manners: Manners) -> Bench {
    let (bench, linked) = in_state(role, manners, State::Recover);
    assert!(linked);
    bench
}

#[test]
pub(crate) fn rc_7_who_answers_no_request_is_asked_on_another_connection() {
    for role in [Role::Primary, Role::Secondary] {
        for manners in [Manners::Own, Manners::Isc] {
            let mut bench = asking(role, manners);
            bench.run(Seconds(PATIENCE - 2));
            assert!(bench.conn.is_some(), "{role} {manners:?}");
            bench.run(Seconds(4));
            assert_eq!(bench.conn, None, "{role} {manners:?}");
            bench.connect(State::PartnerDown, false);
            bench.run(Seconds(1));
            bench.done();
            bench.run(Seconds(1));
            assert_ne!(bench.state(), State::Recover, "{role} {manners:?}");
        }
    }
}

#[test]
fn rc_7_who_still_tells_of_bindings_has_time() {
    let mut bench = asking(Role::Secondary, Manners::Own);
    for last in 100..105 {
        bench.run(Seconds(PATIENCE / 2));
        bench.give(last..last + 1);
    }
    bench.run(Seconds(PATIENCE / 2));
    assert!(bench.conn.is_some());
}

/// What the server told of since.
fn told(bench: &Bench) -> usize {
    bench.updates().filter(|update| update.status == Some(Status::Active)).count()
}

#[test]
pub(crate) fn rc_6_after_a_request_for_everything_that_was_cut_short_a_lesser_one_is_one_for_everything() {
    let (mut bench, _) = in_state(Role::Primary, Manners::Own, State::Normal);
    for client in 1..6 {
        bench.lease(client).expect("a lease");
    }
    bench.run(Seconds(2));
    bench.heard.clear();
    bench.send(Message::UpdReq);
    bench.run(Seconds(1));
    assert_eq!(told(&bench), 0, "all is agreed");

    bench.on_update = OnUpdate::Ignore;
    bench.send(Message::UpdReqAll);
    bench.run(Seconds(1));
    bench.hang_up();
    bench.on_update = OnUpdate::Accept;
    bench.connect(State::Normal, false);
    bench.heard.clear();
    bench.send(Message::UpdReq);
    bench.run(Seconds(1));
    assert_eq!(told(&bench), 5);
    bench.heard.clear();
    bench.send(Message::UpdReq);
    bench.run(Seconds(1));
    assert_eq!(told(&bench), 0, "it was told everything");
}

/// A dhcpd that comes back with an empty file in the middle of a conflict joins it, and asks for what it has not
/// acknowledged: nothing, as it seems.
#[test]
fn a_dhcpd_that_lost_its_file_in_a_conflict_is_told_everything() {
    let (mut bench, _) = in_state(Role::Primary, Manners::Isc, State::Normal);
    for client in 1..6 {
        bench.lease(client).expect("a lease");
    }
    bench.run(Seconds(2));
    bench.hang_up();
    bench.run(Seconds(2));
    bench.force("PartnerDown");
    bench.connect(State::PartnerDown, false);
    assert_eq!(bench.state(), State::PotentialConflict);
    for (first_word, expected) in [(State::ResolutionInterrupted, 0), (State::Recover, 5)] {
        bench.hang_up();
        bench.connect(first_word, true);
        bench.say(State::PotentialConflict, false);
        bench.heard.clear();
        bench.send(Message::UpdReq);
        bench.run(Seconds(1));
        assert_eq!(told(&bench), expected, "{first_word}");
    }
}

/// A dhcpd takes the end of a lease for its client's last word, though the client renewed there while the link was down.
#[test]
fn the_end_of_a_lease_waits_until_a_dhcpd_has_told_its_news() {
    for role in [Role::Primary, Role::Secondary] {
        let (mut bench, _) = in_state(role, Manners::Isc, State::Normal);
        bench.hang_up();
        bench.run(Seconds(2));
        let (address, _) = bench.lease(2).unwrap_or_else(|| panic!("{role}: no lease"));
        bench.release(2, address);
        bench.run(Seconds(1));
        bench.connect(State::CommunicationsInterrupted, false);
        bench.say(State::Normal, false);
        bench.run(Seconds(5));
        assert_eq!(bench.state(), State::Normal);
        let ends = |bench: &Bench| bench.updates().any(|update| update.status == Some(Status::Released));
        let asks = bench.heard.iter().any(|frame| frame.message == Message::UpdReq);
        assert!(asks && !ends(&bench), "{role}: {:?}", bench.heard);
        bench.done();
        bench.run(Seconds(1));
        assert!(ends(&bench), "{role}: {:?}", bench.heard);

        bench.hang_up();
        bench.run(Seconds(2));
        bench.connect(State::CommunicationsInterrupted, false);
        bench.say(State::Normal, false);
        bench.run(Seconds(1));
        assert!(!bench.heard.iter().any(|frame| frame.message == Message::UpdReq), "{role}: nothing to tell");
    }
}

/// Our answer is all that a dhcpd remembers of our promises.
#[test]
pub(crate) fn a_dhcpd_that_tells_less_than_it_acknowledged_is_told_again() {
    for role in [Role::Primary, Role::Secondary] {
        let (mut bench, _) = in_state(role, Manners::Isc, State::Normal);
        bench.hang_up();
        bench.run(Seconds(2));
        bench.lease(2).unwrap_or_else(|| panic!("{role}: no lease"));
        bench.connect(State::CommunicationsInterrupted, false);
        bench.say(State::Normal, false);
        bench.run(Seconds(2));
        let active = |update: &&BindingUpdate| update.status == Some(Status::Active);
        let told = bench.updates().find(active).cloned().unwrap_or_else(|| panic!("{role}: untold"));
        bench.heard.clear();
        bench.send(Message::BndUpd(vec![BindingUpdate { potential_expiry: Some(0), ..told.clone() }]));
        bench.run(Seconds(1));
        let again = bench.updates().find(active).map(|update| update.potential_expiry);
        assert_eq!(again, Some(told.potential_expiry), "{role}: {:?}", bench.heard);
    }
}

#[test]
fn an_answer_to_another_request_is_none() {
    for role in [Role::Primary, Role::Secondary] {
        for manners in [Manners::Own, Manners::Isc] {
            let mut bench = asking(role, manners);
            for xid in [0, 4711, u32::MAX] {
                bench.reply(xid, Message::UpdDone);
                bench.run(Seconds(1));
                assert_eq!(bench.state(), State::Recover, "{role} {manners:?}: {xid}");
            }
            bench.done();
            bench.run(Seconds(1));
            assert_ne!(bench.state(), State::Recover, "{role} {manners:?}");
        }
    }
}
