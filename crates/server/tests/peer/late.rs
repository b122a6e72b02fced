//! What comes late or counts from a later moment: a first word, an answer that waits for the disk, a start, a date, a clock.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::time::Seconds;
use failover::wire::{BindingUpdate, Message};
use leases::lease::Status;

use crate::bench::{Bench, MCLT, Manners, OnUpdate};
use crate::bindings::{Case, Expected, HOLDER, OTHER, Said};
use crate::dhcp::option;
use crate::grid::{in_state, led_to};
use crate::holes::update;

const ROLES: [Role; 2] = [Role::Primary, Role::Secondary];

fn states(bench: &Bench) -> usize {
    bench.heard.iter().filter(|frame| matches!(frame.message, Message::State(_))).count()
}

/// Whoever is leased an address.
fn leased(bench: &mut Bench, clients: std::ops::Range<u8>) -> BTreeSet<Ipv4Addr> {
    clients.filter_map(|client| bench.lease(client)).map(|(address, _)| address).collect()
}

/// What the secondary gets and has.
fn partners_share(bench: &mut Bench) -> BTreeSet<Ipv4Addr> {
    bench.send(Message::PoolReq);
    bench.run(Seconds(5));
    let shared = bench.server.table().iter().filter(|lease| lease.status == Status::Backup);
    let shared: BTreeSet<Ipv4Addr> = shared.map(|lease| lease.address).collect();
    assert!(!shared.is_empty());
    shared
}

/// Its state decides what it may hear (`spec/failover-protocol.md` §1.2).
#[test]
fn a_dhcpd_is_heard_before_it_is_told_our_state() {
    for role in ROLES {
        let (mut bench, _) = in_state(role, Manners::Isc, State::CommunicationsInterrupted);
        bench.heard.clear();
        bench.shake_hands();
        bench.run(Seconds(1));
        assert_eq!(states(&bench), 0, "{role}: {:?}", bench.heard);
        bench.say(State::CommunicationsInterrupted, false);
        assert!(states(&bench) > 0, "{role}");
    }
}

/// The partner's client has the address by then, for as long as ours was told.
#[test]
fn an_ack_that_waits_for_the_disk_is_dropped_when_another_client_takes_the_address() {
    let mut case = Case::new(Role::Secondary, Manners::Own, Status::Active);
    case.bench.hang_disk();
    assert!(case.bench.renew(HOLDER, case.address).is_none(), "the disk hangs");
    let contact = case.bench.now().wall.get() + 1;
    let theirs = update(Status::Active, case.address, 99, contact, contact + 5000);
    case.bench.send(Message::BndUpd(vec![theirs]));
    case.bench.mend_disk();
    let holder = case.bench.server.table().get(case.address).and_then(|lease| lease.client.clone());
    assert_eq!(holder.expect("a client").hardware.octets[5], 99);
    assert_eq!(case.bench.replies().len(), 0, "an ACK for what the server gives to another");
}

#[test]
fn a_quarantine_outlasts_a_long_outage() {
    let mut case = Case::new(Role::Primary, Manners::Isc, Status::Active);
    let released = case.update(Said { status: Status::Released, client: HOLDER, contact: Some(1) });
    assert_eq!(case.tell(released), Expected::Accept);
    let address = case.address;
    // The dhcpd may have revived the lease before it read our answer.
    let mut bench = case.bench.killed_for(Seconds(300));
    bench.run(Seconds(120));
    assert_eq!(bench.state(), State::CommunicationsInterrupted);
    let leased = leased(&mut bench, 20..60);
    assert!(!leased.is_empty() && !leased.contains(&address), "{leased:?}");
    assert!(bench.renew(OTHER, address).is_none_or(|reply| option(&reply, 51).is_none()));
}

/// The partner lived until then, and renewed.
#[test]
fn a_later_date_of_death_moves_every_bound() {
    for role in ROLES {
        let (mut bench, _) = in_state(role, Manners::Own, State::CommunicationsInterrupted);
        let (address, _) = bench.lease(7).unwrap_or_else(|| panic!("{role}: no lease"));
        bench.run(Seconds(2));
        bench.force("PartnerDown");
        let bound = |bench: &Bench| bench.server.table().get(address).expect("a lease").hold_until;
        let promised = bench.server.table().get(address).expect("a lease").latest_promise();
        assert_eq!(bound(&bench), promised.max(bench.now().wall) + Seconds(MCLT), "{role}");
        bench.run(promised.since(bench.now().wall));
        bench.run(Seconds(10));
        let revised = bench.now().wall;
        bench.force("PartnerDown");
        assert!(bound(&bench) >= revised + Seconds(MCLT), "{role}: {} {revised}", bound(&bench));
    }
}

#[test]
fn a_clock_that_was_set_back_is_waited_for() {
    for role in ROLES {
        let (mut bench, _) = in_state(role, Manners::Own, State::CommunicationsInterrupted);
        let (address, _) = bench.lease(7).unwrap_or_else(|| panic!("{role}: no lease"));
        bench.set_back = Seconds(2);
        assert!(bench.renew(7, address).is_some(), "{role}: so much is nothing");
        bench.set_back = Seconds(10);
        assert!(bench.renew(7, address).is_none() && !bench.is_offered(8), "{role}");
        bench.run(Seconds(12));
        assert!(bench.renew(7, address).is_some() && bench.is_offered(8), "{role}");
    }
}

/// Its clients may have leases under the old one.
#[test]
fn who_is_alone_after_the_mclt_was_lowered_waits_for_the_old_one() {
    let lowered = MCLT / 2;
    let (mut bench, _) = in_state(Role::Primary, Manners::Own, State::Normal);
    bench.lease(7).expect("a lease under the old MCLT");
    let share = partners_share(&mut bench);
    bench.configure("/mcltSeconds", &lowered.into());
    bench.hang_up();
    bench.run(Seconds(2));
    bench.force("PartnerDown");
    bench.run(Seconds(lowered + 2));
    let early = leased(&mut bench, 20..60);
    assert!(!early.is_empty() && early.is_disjoint(&share), "{early:?} {share:?}");
    bench.run(Seconds(MCLT - lowered));
    let later = leased(&mut bench, 60..100);
    assert!(share.is_subset(&later), "{share:?} {later:?}");
}

/// Its STATE is under way: what it renews the survivor does not know yet (`spec/failover-behaviour.md` §3.3, note 7).
#[test]
fn a_survivor_gives_nobody_its_partners_addresses_while_that_is_back_and_unheard() {
    let (mut bench, _) = in_state(Role::Primary, Manners::Own, State::Normal);
    let share = partners_share(&mut bench);
    bench.hang_up();
    bench.run(Seconds(2));
    bench.force("PartnerDown");
    bench.lease(7).expect("a lease that the partner must hear of");
    bench.on_update = OnUpdate::Ignore;
    bench.connect(State::Recover, false);
    bench.run(Seconds(1));
    bench.say(State::RecoverDone, false);
    bench.run(Seconds(1));
    assert_eq!(bench.state(), State::PartnerDown, "behind the exit barrier");
    bench.hang_up();
    bench.run(Seconds(2 * MCLT + 120));
    assert_eq!(bench.state(), State::PartnerDown);
    bench.shake_hands();
    let given = leased(&mut bench, 20..60);
    assert!(!given.is_empty() && given.is_disjoint(&share), "{given:?} {share:?}");
    bench.hang_up();
    bench.run(Seconds(2 * MCLT + 120));
    let given = leased(&mut bench, 60..100);
    assert!(share.is_subset(&given), "{given:?} {share:?}");
}

/// Its other pool has more than its share.
#[test]
fn a_secondary_asks_as_soon_as_one_of_its_pools_is_short() {
    let pools = serde_json::json!([
        {"first": "10.0.0.100", "last": "10.0.0.119"},
        {"first": "10.0.0.140", "last": "10.0.0.179"},
    ]);
    let (mut bench, _) =
        led_to(Bench::with_pools(Role::Secondary, Manners::Own, pools), Manners::Own, State::Normal);
    let asked = |bench: &Bench| bench.heard.iter().filter(|frame| frame.message == Message::PoolReq).count();
    bench.give(140..150);
    bench.run(Seconds(5));
    bench.heard.clear();
    bench.run(Seconds(300));
    assert_eq!(asked(&bench), 0, "both pools have their share");
    for last in 110..115 {
        let free = BindingUpdate {
            hardware: None,
            cltt: None,
            ..update(Status::Free, Ipv4Addr::new(10, 0, 0, last), 0, bench.now().wall.get(), 0)
        };
        bench.send(Message::BndUpd(vec![free]));
    }
    bench.run(Seconds(120));
    assert!(asked(&bench) > 0, "nothing is left of one of them: {:?}", bench.server.table().counts());
}
