//! An operator ends a binding: an abandoned address before its time, or a lease whose client is gone.

use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::time::Seconds;
use leases::lease::Status;
use server::Answer;

use crate::bench::{Bench, Manners};
use crate::grid::in_state;

fn status(bench: &Bench, address: Ipv4Addr) -> String {
    bench.line(address).state
}

/// What the server said of an address, in order.
fn told(bench: &Bench, address: Ipv4Addr) -> Vec<Status> {
    bench
        .updates()
        .filter(|update| update.address == Some(address))
        .filter_map(|update| update.status)
        .collect()
}

fn refusal(answer: &Answer) -> (&'static str, &str) {
    match answer {
        Answer::Refused { class, message } => (class, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lease_ends_at_both_servers_once_its_client_is_said_to_be_gone() {
    for manners in [Manners::Own, Manners::Isc] {
        let (mut bench, _) = in_state(Role::Primary, manners, State::Normal);
        let (address, _) = bench.lease(9).expect("a lease");
        bench.run(Seconds(1));
        bench.heard.clear();
        let answer = bench.reset(address, false);
        let (class, message) = refusal(&answer);
        assert_eq!(class, "leased");
        assert!(message.contains("02:00:00:00:00:09") && message.contains("--unused"), "{message}");
        assert_eq!((status(&bench, address).as_str(), told(&bench, address)), ("Active", vec![]));

        assert_eq!(bench.reset(address, true), Answer::Reset(address));
        bench.run(Seconds(1));
        assert_eq!(told(&bench, address).first(), Some(&Status::Reset), "{manners:?}");
        assert_eq!(status(&bench, address), "Free", "the partner agreed");
        assert_eq!(refusal(&bench.reset(address, true)).0, "free");
    }
}

/// Also at a partner of ours that saw the client in the very second, by our own word.
#[test]
fn the_partner_agrees_to_the_reset_of_a_lease_that_was_just_made() {
    let (mut bench, _) = in_state(Role::Primary, Manners::Own, State::Normal);
    let (address, _) = bench.lease(9).expect("a lease");
    bench.heard.clear();
    assert_eq!(bench.reset(address, true), Answer::Reset(address));
    bench.run(Seconds(1));
    let reset = bench.updates().find(|update| update.status == Some(Status::Reset)).expect("told");
    assert!(reset.starts >= reset.cltt, "or it would be refused: {reset:?}");
}

#[test]
fn an_abandoned_address_is_free_again_before_its_day_is_over() {
    let (mut bench, _) = in_state(Role::Primary, Manners::Own, State::Normal);
    let (address, _) = bench.lease(9).expect("a lease");
    bench.decline(9, address);
    bench.run(Seconds(1));
    assert_eq!(status(&bench, address), "Abandoned");
    // The partner may have leased it before it heard that.
    assert_eq!(refusal(&bench.reset(address, false)).0, "leased");
    bench.run(Seconds(800));
    assert_eq!(bench.reset(address, false), Answer::Reset(address));
    bench.run(Seconds(1));
    assert_eq!(status(&bench, address), "Free");
}

#[test]
fn what_the_partner_may_have_promised_is_reset_only_if_nobody_uses_it() {
    for state in [State::CommunicationsInterrupted, State::PartnerDown] {
        let (mut bench, _) = in_state(Role::Primary, Manners::Own, state);
        let (address, _) = bench.lease(9).expect("a lease");
        bench.decline(9, address);
        bench.run(Seconds(1));
        let answer = bench.reset(address, false);
        assert!(refusal(&answer).1.contains("not agreed with the partner"), "{answer:?}");
        assert_eq!(status(&bench, address), "Abandoned");
        assert_eq!(bench.reset(address, true), Answer::Reset(address));
        assert_eq!(status(&bench, address), "Reset", "nobody is there to agree");
    }
}

#[test]
fn nothing_else_is_reset() {
    let (mut bench, _) = in_state(Role::Primary, Manners::Own, State::Normal);
    let elsewhere = bench.reset(Ipv4Addr::new(10, 0, 0, 99), true);
    assert_eq!(
        refusal(&elsewhere),
        ("unknown_address", "10.0.0.99 is in no pool or reservation of this pair")
    );
    let (mut bench, _) = in_state(Role::Primary, Manners::Own, State::Recover);
    assert_eq!(refusal(&bench.reset(Ipv4Addr::new(10, 0, 0, 105), true)).0, "not_serving");
}
