//! A partner that asks for everything: whether it lost what it knew (`spec/failover-behaviour.md` §8).

use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::time::Seconds;
use failover::wire::{BindingUpdate, Message};
use leases::lease::Status;

use crate::bench::{Bench, MCLT, Manners};
use crate::grid::in_state;
use crate::holes;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 105);
const LENGTH: u32 = 300;

fn update(status: Status, ends: u32) -> Message {
    let update = holes::update(status, ADDRESS, 1, ends - LENGTH, ends);
    Message::BndUpd(vec![BindingUpdate { potential_expiry: Some(ends + LENGTH / 2), ..update }])
}

/// A secondary that was alone while its partner, which then comes back, says `first` and recovers; a lease from before
/// ends meanwhile. Whether the partner may end it in its time.
fn may_end(manners: Manners, first: State) -> bool {
    let (mut bench, _) = in_state(Role::Secondary, manners, State::Normal);
    let ends = bench.now().wall.get() + LENGTH;
    bench.send(update(Status::Active, ends));
    bench.run(Seconds(1));
    bench.hang_up();
    bench.run(Seconds(2));
    bench.force("PartnerDown");
    bench.connect(first, true);
    bench.say(State::Recover, false);
    bench.send(Message::UpdReqAll);
    bench.run(Seconds(2));
    bench.say(State::RecoverWait, false);
    bench.run(Seconds(MCLT + 2));
    bench.say(State::RecoverDone, false);
    bench.run(Seconds(2));
    bench.say(State::Normal, false);
    bench.run(Seconds(1));
    assert_eq!(bench.state(), State::Normal, "{manners:?} after {first}");
    let left = ends.saturating_sub(bench.now().wall.get());
    bench.run(Seconds(left + 2));
    bench.heard.clear();
    bench.send(update(Status::Expired, ends));
    bench.run(Seconds(1));
    accepted(&bench)
}

fn accepted(bench: &Bench) -> bool {
    bench.answers_about(ADDRESS).last().expect("an answer").reject.is_none()
}

#[test]
pub(crate) fn a_dhcpd_that_remembers_its_state_ends_its_leases_in_their_time() {
    for first in [State::Normal, State::CommunicationsInterrupted, State::PartnerDown] {
        assert!(may_end(Manners::Isc, first), "{first}");
    }
}

#[test]
fn a_dhcpd_that_begins_with_recover_may_have_renewed_what_it_lost() {
    assert!(!may_end(Manners::Isc, State::Recover));
}

#[test]
fn one_of_ours_asks_for_everything_only_if_it_lost_everything() {
    for first in [State::Normal, State::Recover] {
        assert!(!may_end(Manners::Own, first), "{first}");
    }
}
