//! What a dhcpd leaves open and its partner closes (decision 028), over octets.

use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::time::Seconds;
use failover::wire::{BindingUpdate, Message, RejectReason};
use leases::lease::{Flags, HardwareAddress, Status};

use crate::bench::{Bench, MCLT, Manners};
use crate::grid::{in_state, led_to};

const ROLES: [Role; 2] = [Role::Primary, Role::Secondary];

/// Of a client, a lease that began with its last contact.
pub(crate) fn update(
    status: Status,
    address: Ipv4Addr,
    client: u8,
    contact: u32,
    ends: u32,
) -> BindingUpdate {
    BindingUpdate {
        address: Some(address),
        status: Some(status),
        client_id: None,
        hardware: Some(HardwareAddress { kind: 1, octets: vec![2, 0, 0, 0, 0, client] }),
        lease_expiry: Some(ends),
        potential_expiry: Some(ends),
        starts: Some(contact),
        cltt: Some(contact),
        flags: Flags::default(),
        request_options: None,
        reply_options: None,
    }
}

/// In Normal with a dhcpd whose clock is so many seconds ahead, and a client that got its lease here while the link was down.
fn leased_alone(role: Role, ahead: u32) -> (Bench, Ipv4Addr, u32) {
    let (mut bench, _) = in_state(role, Manners::Isc, State::Normal);
    bench.hang_up();
    bench.run(Seconds(2));
    let (address, _) = bench.lease(2).unwrap_or_else(|| panic!("{role}: no lease"));
    let contact = bench.now().wall.get();
    bench.partner_ahead = ahead;
    bench.connect(State::CommunicationsInterrupted, false);
    bench.say(State::Normal, false);
    bench.run(Seconds(1));
    assert_eq!(bench.state(), State::Normal);
    (bench, address, contact)
}

/// What the server answers.
fn answer(bench: &mut Bench, update: BindingUpdate) -> Option<RejectReason> {
    let address = update.address.expect("an address");
    bench.send(Message::BndUpd(vec![update]));
    bench.run(Seconds(1));
    bench.answers_about(address).last().expect("an answer").reject.as_ref().map(|reject| reject.reason)
}

#[test]
pub(crate) fn a_release_by_a_clock_that_is_ahead_counts_beyond_the_difference() {
    for role in ROLES {
        for (released_after, expected) in [(20, Some(RejectReason::OutdatedBindingInformation)), (40, None)] {
            let (mut bench, address, contact) = leased_alone(role, 30);
            bench.run(Seconds(15));
            let released = contact + released_after;
            let given = answer(&mut bench, update(Status::Released, address, 2, contact + 10, released));
            assert_eq!(given, expected, "{role}: released {released_after} s later by its clock");
        }
    }
}

#[test]
pub(crate) fn who_lost_its_leases_confirms_no_end_to_a_dhcpd_primary() {
    let address = Ipv4Addr::new(10, 0, 0, 105);
    for (role, manners, expected) in [
        (Role::Secondary, Manners::Isc, Some(RejectReason::OutdatedBindingInformation)),
        (Role::Primary, Manners::Isc, None),
        (Role::Secondary, Manners::Own, None),
    ] {
        for status in [Status::Expired, Status::Released] {
            let (mut bench, _) = in_state(role, manners, State::Recover);
            let ended = bench.now().wall.get() - 5;
            let given = answer(&mut bench, update(status, address, 3, ended - 100, ended));
            assert_eq!(given, expected, "{status} at the {role} from {manners:?}");
            bench.done();
            bench.run(Seconds(MCLT + 2));
            bench.say(State::Normal, false);
            bench.run(Seconds(1));
            assert_eq!(bench.state(), State::Normal);
            let given = answer(&mut bench, update(status, address, 3, ended - 100, ended));
            assert_eq!(given, None, "{status} told again on Normal");
        }
    }
}

#[test]
pub(crate) fn in_recover_done_a_dhcpd_is_asked_before_it_is_told_of_ends() {
    for role in ROLES {
        let (mut bench, _) = in_state(role, Manners::Isc, State::Normal);
        bench.hang_up();
        bench.run(Seconds(2));
        let (address, _) = bench.lease(2).unwrap_or_else(|| panic!("{role}: no lease"));
        bench.release(2, address);
        bench.force("Recover");
        bench.connect(State::PartnerDown, false);
        bench.run(Seconds(1));
        assert_eq!(bench.state(), State::Recover, "{role}");
        bench.done();
        bench.run(Seconds(MCLT + 2));
        assert_eq!(bench.state(), State::RecoverDone, "{role}");
        bench.hang_up();
        bench.connect(State::CommunicationsInterrupted, false);
        bench.run(Seconds(2));
        let ends = |bench: &Bench| bench.updates().any(|update| update.status == Some(Status::Released));
        assert!(!ends(&bench), "{role}: {:?}", bench.heard);
        bench.done();
        bench.run(Seconds(1));
        assert!(ends(&bench), "{role}: {:?}", bench.heard);
    }
}

#[test]
pub(crate) fn a_lease_that_is_over_does_not_replace_one_that_runs() {
    for role in ROLES {
        for (seconds_left, expected) in [(-10, Some(RejectReason::OutdatedBindingInformation)), (100, None)] {
            let (mut bench, address, _) = leased_alone(role, 0);
            bench.run(Seconds(2));
            let now = bench.now().wall.get();
            let told =
                update(Status::Active, address, 99, now - 200, now.saturating_add_signed(seconds_left));
            let given = answer(&mut bench, told);
            let expected = match role {
                Role::Primary => expected.or(Some(RejectReason::FatalConflict)),
                Role::Secondary => expected,
            };
            assert_eq!(given, expected, "at the {role}, {seconds_left} s before its end");
        }
    }
}

#[test]
fn the_first_word_is_the_state_also_when_a_request_follows_at_once() {
    for role in ROLES {
        let (mut bench, _) = in_state(role, Manners::Isc, State::CommunicationsInterrupted);
        bench.force("Recover");
        bench.connect(State::Normal, true);
        let first = bench
            .heard
            .iter()
            .find(|frame| matches!(frame.message, Message::State(_) | Message::UpdReq | Message::UpdReqAll));
        assert!(
            matches!(first.map(|frame| &frame.message), Some(Message::State(_))),
            "{role}: {:?}",
            bench.heard
        );
    }
}

/// A dhcpd primary leases the address to its next client by the potential that was acknowledged for the last one.
#[test]
fn in_partner_down_a_dhcpds_address_waits_for_the_potential_of_its_last_lease() {
    let (mut bench, _) = in_state(Role::Secondary, Manners::Isc, State::Normal);
    let address = Ipv4Addr::new(10, 0, 0, 100);
    let now = bench.now().wall.get();
    let told = BindingUpdate {
        potential_expiry: Some(now + 500),
        ..update(Status::Expired, address, 3, now - 60, now - 1)
    };
    assert_eq!(answer(&mut bench, told), None);
    bench.hang_up();
    bench.run(Seconds(2));
    bench.force("PartnerDown");
    assert_eq!(bench.state(), State::PartnerDown);
    let is_given = |bench: &mut Bench, clients: std::ops::Range<u8>| {
        clients.filter_map(|client| bench.lease(client)).any(|(leased, _)| leased == address)
    };
    bench.run(Seconds(MCLT + 5));
    assert!(!is_given(&mut bench, 10..35), "the dhcpd may have leased it for long");
    bench.run(Seconds(500));
    assert!(is_given(&mut bench, 35..60), "by now it is over");
}

/// A pool may come to one server first, and may come back (decision 011).
#[test]
pub(crate) fn what_is_in_no_pool_is_kept_for_its_client() {
    let elsewhere = Ipv4Addr::new(10, 0, 0, 121);
    for role in ROLES {
        for manners in [Manners::Own, Manners::Isc] {
            let (mut bench, _) = in_state(role, manners, State::Normal);
            let now = bench.now().wall.get();
            let leased = update(Status::Active, elsewhere, 2, now, now + 300);
            assert_eq!(answer(&mut bench, leased), Some(RejectReason::IllegalIpAddress), "told as before");
            let free = update(Status::Free, Ipv4Addr::new(10, 0, 0, 122), 2, now, now);
            assert_eq!(answer(&mut bench, free), Some(RejectReason::IllegalIpAddress));
            assert!(bench.server.table().get(elsewhere).is_some_and(|lease| lease.status == Status::Active));
            assert_eq!(bench.server.table().get(Ipv4Addr::new(10, 0, 0, 122)), None, "nobody's");
            bench.hang_up();
            bench.run(Seconds(2));
            bench.configure(
                "/subnets/0/pools",
                &serde_json::json!([{"first": "10.0.0.121", "last": "10.0.0.121"}]),
            );
            assert!(bench.renew(2, elsewhere).is_some(), "{role}, {manners:?}: its client has it");
            assert!(!bench.is_offered(9), "{role}, {manners:?}: nobody else");
            let mut bench = bench.restarted();
            bench.run(Seconds(61));
            assert!(!bench.is_offered(9), "{role}, {manners:?}: also after a start");
        }
    }
}

/// Whoever is on the other end cannot fill the memory with leases of addresses that are nobody's.
#[test]
pub(crate) fn what_is_in_no_pool_is_kept_of_so_many() {
    let (mut bench, _) = in_state(Role::Primary, Manners::Own, State::Normal);
    let now = bench.now().wall.get();
    let before = bench.server.table().len();
    for number in 0..65_600_u32 {
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(11, 0, 0, 0)) + number);
        bench.send(Message::BndUpd(vec![update(Status::Active, address, 2, now, now + 300)]));
        bench.heard.clear();
    }
    assert_eq!(bench.server.table().len(), before + 65_536);
    // What is kept already is kept anew.
    let first = Ipv4Addr::new(11, 0, 0, 0);
    let again = update(Status::Active, first, 2, now + 1, now + 400);
    assert_eq!(answer(&mut bench, again), Some(RejectReason::IllegalIpAddress));
    assert!(bench.server.table().get(first).is_some_and(|lease| lease.held_until.get() >= now + 400));
}

/// A dhcpd uses it again at the end that it is told, and forgets to say so if it is started again in that moment.
#[test]
pub(crate) fn a_declined_address_is_out_of_use_at_a_dhcpd_as_long_as_here() {
    const TIME_OUT: u32 = 1500;
    for (role, ends_after) in [(Role::Primary, TIME_OUT), (Role::Secondary, TIME_OUT + 60)] {
        let pools = serde_json::json!([
            {"first": "10.0.0.100", "last": "10.0.0.119", "unavailableTimeoutSeconds": TIME_OUT}
        ]);
        let bench = Bench::with_pools(role, Manners::Isc, pools);
        let (mut bench, _) = led_to(bench, Manners::Isc, State::Normal);
        bench.hang_up();
        bench.run(Seconds(2));
        let (address, _) = bench.lease(2).unwrap_or_else(|| panic!("{role}: no lease"));
        let declined_at = bench.now().wall.get();
        bench.decline(2, address);
        bench.connect(State::CommunicationsInterrupted, false);
        bench.say(State::Normal, false);
        bench.run(Seconds(2));
        let told = |bench: &Bench, status| {
            let mut updates = bench.updates().filter(|update| update.address == Some(address));
            updates.find(|update| update.status == Some(status)).cloned()
        };
        let abandoned = told(&bench, Status::Abandoned);
        assert_eq!(abandoned.and_then(|update| update.lease_expiry), Some(declined_at + TIME_OUT), "{role}");
        bench.run(Seconds(ends_after - 5));
        assert_eq!(told(&bench, Status::Reset), None, "{role}");
        bench.run(Seconds(10));
        assert!(told(&bench, Status::Reset).is_some(), "{role}");
    }
}

/// Else the partner, which does not know that the address is out of use, would lease it once its own lease is over.
#[test]
fn who_is_refused_for_an_abandoned_address_is_told_of_it() {
    for role in ROLES {
        let (mut bench, _) = in_state(role, Manners::Own, State::CommunicationsInterrupted);
        let (address, _) = bench.lease(2).unwrap_or_else(|| panic!("{role}: no lease"));
        bench.decline(2, address);
        bench.connect(State::CommunicationsInterrupted, false);
        bench.say(State::Normal, false);
        bench.run(Seconds(2));
        let told = |bench: &Bench| {
            let updates = bench.updates().filter(|update| update.address == Some(address));
            updates.filter(|update| update.status == Some(Status::Abandoned)).count()
        };
        assert_eq!(told(&bench), 1, "{role}: agreed");
        let now = bench.now().wall.get();
        let given = answer(&mut bench, update(Status::Active, address, 3, now, now + 30));
        assert_eq!(given, Some(RejectReason::LessCriticalBindingInformation), "{role}");
        bench.run(Seconds(2));
        assert_eq!(told(&bench), 2, "{role}");
    }
}
