//! What a server tells of trouble that a person must know of (`spec/failover-behaviour.md` §13).

use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::status::{LinkRefusal, Rejections};
use api::time::Seconds;
use failover::wire::{BindingUpdate, Connect, Message, Reject, RejectReason};
use leases::lease::{Flags, HardwareAddress, Status};

use crate::bench::{Bench, MCLT, Manners, OnUpdate};
use crate::grid::in_state;

fn rejections(bench: &Bench) -> Vec<Rejections> {
    bench.server.report(bench.now()).rejections
}

fn refusal(bench: &Bench) -> Option<LinkRefusal> {
    bench.server.report(bench.now()).link_refusal
}

#[test]
fn what_the_partner_rejects_is_told_until_it_takes_it() {
    let (mut bench, _) = in_state(Role::Primary, Manners::Isc, State::Normal);
    assert_eq!(rejections(&bench), []);
    bench.on_update = OnUpdate::Reject(RejectReason::IllegalIpAddress);
    let (address, _) = bench.lease(1).expect("a lease");
    bench.run(Seconds(2));
    let told = Rejections { by_partner: true, reason: "IllegalIpAddress".to_owned(), count: 1, address };
    assert_eq!(rejections(&bench), std::slice::from_ref(&told));
    // Told again after five minutes, and rejected again: no moment without it.
    for _ in 0..310 {
        bench.run(Seconds(1));
        assert_eq!(rejections(&bench), std::slice::from_ref(&told));
    }
    bench.on_update = OnUpdate::Accept;
    bench.run(Seconds(310));
    assert_eq!(rejections(&bench), []);
}

#[test]
fn what_the_partner_says_of_a_pool_that_is_not_here_is_told_until_the_next_normal() {
    let (mut bench, _) = in_state(Role::Secondary, Manners::Isc, State::Normal);
    let elsewhere = Ipv4Addr::new(10, 0, 0, 250);
    let now = bench.now().wall.get();
    bench.send(Message::BndUpd(vec![BindingUpdate {
        address: Some(elsewhere),
        status: Some(Status::Active),
        client_id: None,
        hardware: Some(HardwareAddress { kind: 1, octets: vec![2, 0, 0, 0, 0, 1] }),
        lease_expiry: Some(now + 100),
        potential_expiry: Some(now + 200),
        starts: Some(now),
        cltt: Some(now),
        flags: Flags::default(),
        request_options: None,
        reply_options: None,
    }]));
    let told =
        Rejections { by_partner: false, reason: "IllegalIpAddress".to_owned(), count: 1, address: elsewhere };
    assert_eq!(rejections(&bench), [told]);
    bench.hang_up();
    bench.run(Seconds(1));
    bench.connect(State::CommunicationsInterrupted, false);
    bench.say(State::Normal, false);
    bench.run(Seconds(1));
    assert_eq!(bench.state(), State::Normal);
    assert_eq!(rejections(&bench), []);
}

#[test]
fn which_side_refused_the_link_is_told_until_they_meet() {
    let mut bench = Bench::new(Role::Secondary, Manners::Isc);
    bench.open();
    let stranger = Connect { relationship: Some(b"other".to_vec()), ..bench.connect_message() };
    bench.send(Message::Connect(stranger));
    let told = refusal(&bench).expect("refused");
    assert_eq!((told.by_partner, told.reason.as_str()), (false, "InvalidPartner"));
    assert_eq!(told.message, "unknown relationship other");
    bench.open();
    let without = Connect { mclt: None, ..bench.connect_message() };
    bench.send(Message::Connect(without));
    assert_eq!(refusal(&bench).expect("refused").reason, "InvalidMclt");
    bench.connect(State::Recover, false);
    assert_eq!(refusal(&bench), None);

    let mut bench = Bench::new(Role::Primary, Manners::Isc);
    bench.open();
    let mut ack = bench.connect_ack();
    ack.reject = Some(Reject { reason: RejectReason::InvalidPartner, text: "I am primary".to_owned() });
    let xid = bench.heard[0].xid;
    bench.reply(xid, Message::ConnectAck(ack));
    let told = refusal(&bench).expect("refused");
    assert_eq!((told.by_partner, told.message.as_str()), (true, "I am primary"));
}

#[test]
fn closing_the_link_because_a_dhcpd_must_not_hear_the_state_is_counted_until_normal() {
    let (mut bench, _) = in_state(Role::Primary, Manners::Isc, State::Normal);
    bench.hang_up();
    bench.run(Seconds(1));
    bench.force("PartnerDown");
    bench.run(Seconds(MCLT + 2));
    bench.connect(State::Normal, false);
    let report = bench.server.report(bench.now());
    assert_eq!(report.guard_closures, 1, "a conflict, which a dhcpd in Normal must not hear of");
    assert_eq!(bench.conn, None);
}

#[test]
fn a_disk_that_does_not_commit_is_told_until_it_does() {
    let (mut bench, _) = in_state(Role::Primary, Manners::Own, State::Normal);
    let stalled = |bench: &Bench| bench.server.report(bench.now()).store_stalled;
    let last = |bench: &Bench| bench.server.report(bench.now()).lsn;
    let durable = last(&bench);
    bench.hang_disk();
    assert_eq!(bench.lease(1), None, "nothing is said that is not on disk");
    assert_eq!(last(&bench), durable, "the operator would take its loss for a restored backup");
    bench.run(Seconds(4));
    assert!(!stalled(&bench), "not for long enough");
    bench.run(Seconds(4));
    assert!(stalled(&bench));
    assert_eq!(bench.conn, None, "the partner is to take over");
    bench.mend_disk();
    assert!(!stalled(&bench));
}
