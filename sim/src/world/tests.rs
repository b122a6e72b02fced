//! Proof that the checkers bite: each is shown a healthy pair and then one bad thing.

use std::net::Ipv4Addr;

use api::identity::State;
use api::time::{Seconds, UnixTime};
use failover::times::MaxLead;
use failover::wire::{BindingAck, BindingUpdate, ConnectAck, Frame, Message, StateMessage};
use leases::lease::{Lease, Status, Sync};

use super::World;
use crate::check::{Ack, Checker, Violation};
use crate::client::{ACK, Answer, OFFER};
use crate::plan::Plan;

const PRIMARY: usize = 0;
const SECONDARY: usize = 1;

/// A pair without faults and its clients, after two minutes.
fn healthy() -> World {
    healthy_with(Plan { clients: 8, pool: 20, lease: 60, mclt: 20, ..Plan::calm() })
}

fn healthy_with(plan: Plan) -> World {
    let mut world = World::new(plan, false);
    world.begin().expect("both start");
    world.play(120_000).expect("nothing is wrong");
    // A moment in which both may answer.
    while world.nodes.iter().any(|node| {
        let promise = node.server.as_ref().map(server::Server::durable_promise);
        promise.is_none_or(|promise| promise < node.now(world.time).wall)
    }) {
        let next = world.time + 100;
        world.play(next).expect("nothing is wrong");
    }
    world
}

/// A lease on the disk of a node, with the number of its client.
fn some_lease(world: &World, node: usize) -> (Lease, usize) {
    let found = world.nodes[node].durable.values().find_map(|lease| {
        let client = world.clients.iter().position(|client| client.holds(lease))?;
        (lease.status == Status::Active).then(|| (lease.clone(), client))
    });
    found.expect("somebody has a lease")
}

fn acknowledge(
    world: &mut World,
    node: usize,
    client: usize,
    address: Ipv4Addr,
    seconds: u32,
) -> Option<Violation> {
    let server = world.nodes[node].address;
    let answer = Answer { kind: 5, xid: 1, address, server, lease: seconds, t1: 1, t2: 2 };
    let ack = Ack { node, client: &world.clients[client], answer: &answer, requested_at: world.time };
    world.checker.ack(world.time, &world.nodes, ack).err()
}

fn says(world: &mut World, node: usize, xid: u32, message: Message) -> Option<Violation> {
    let frame = Frame { time: 0, xid, message };
    world.checker.leaves(world.time, &world.nodes, node, 1, &frame).err()
}

#[track_caller]
fn bites(violation: Option<Violation>, invariant: &str) {
    let violation = violation.expect("a violation");
    assert!(violation.invariant.starts_with(invariant), "{violation}");
}

#[test]
fn nothing_is_wrong_with_a_healthy_pair() {
    let mut world = healthy();
    let (lease, client) = some_lease(&world, PRIMARY);
    assert_eq!(acknowledge(&mut world, PRIMARY, client, lease.address, 1), None);
    assert_eq!(world.checker.committed(world.time, &mut world.nodes), Ok(()));
}

#[test]
fn i1_bites_when_an_address_is_given_to_a_second_client() {
    let mut world = healthy();
    let (lease, client) = some_lease(&world, PRIMARY);
    bites(acknowledge(&mut world, PRIMARY, (client + 1) % 8, lease.address, 60), "I1");
}

#[test]
fn i2_bites_when_a_grant_leads_by_more_than_the_partner_waits() {
    let mut world = healthy();
    let (mut lease, client) = some_lease(&world, PRIMARY);
    lease.held_until = UnixTime::INFINITE;
    let address = lease.address;
    world.nodes[PRIMARY].durable.insert(address, lease);
    bites(acknowledge(&mut world, PRIMARY, client, address, 100_000), "I2");
}

#[test]
fn i2_bites_when_a_server_enters_normal_with_a_lease_that_the_partner_does_not_know() {
    let mut world = healthy();
    assert_eq!(world.checker.in_normal(world.time, &world.nodes, PRIMARY), Ok(()));
    let (mut lease, client) = some_lease(&world, PRIMARY);
    let address = lease.address;
    lease.held_until = lease.held_until + Seconds(100_000);
    world.nodes[PRIMARY].durable.insert(address, lease);
    assert_eq!(
        world.checker.in_normal(world.time, &world.nodes, PRIMARY),
        Ok(()),
        "no client believes in it"
    );
    bites(acknowledge(&mut world, PRIMARY, client, address, 100_000), "I2");
    bites(world.checker.in_normal(world.time, &world.nodes, PRIMARY).err(), "I2");
}

#[test]
fn i3_bites_when_an_address_is_free_for_both() {
    let mut world = healthy();
    let address = Ipv4Addr::new(10, 0, 0, 10);
    let free = |status| Lease { status, sync: Sync::Agreed, ..Lease::new(address) };
    world.nodes[PRIMARY].durable.insert(address, free(Status::Free));
    world.nodes[SECONDARY].durable.insert(address, free(Status::Backup));
    bites(world.checker.committed(world.time, &mut world.nodes).err(), "I3");
}

#[test]
fn i3_bites_when_a_server_enters_normal_with_a_lease_of_an_address_that_is_free_for_its_partner() {
    let mut world = healthy();
    let (lease, client) = some_lease(&world, PRIMARY);
    assert_eq!(acknowledge(&mut world, PRIMARY, client, lease.address, 1), None);
    let free = Lease { status: Status::Backup, sync: Sync::Agreed, ..Lease::new(lease.address) };
    world.nodes[SECONDARY].durable.insert(lease.address, free);
    bites(world.checker.in_normal(world.time, &world.nodes, PRIMARY).err(), "I3");
}

#[test]
fn i4_bites_when_an_ack_leaves_before_its_lease_is_on_disk() {
    let mut world = healthy();
    let (lease, client) = some_lease(&world, PRIMARY);
    world.nodes[PRIMARY].durable.remove(&lease.address);
    bites(acknowledge(&mut world, PRIMARY, client, lease.address, 60), "I4");
}

#[test]
fn i4_bites_when_a_server_answers_beyond_the_promise_on_its_disk() {
    let mut world = healthy();
    let answers = |world: &World| world.checker.answers(world.time, &world.nodes, PRIMARY, ACK).err();
    assert_eq!(answers(&world), None);
    world.nodes[PRIMARY].promise = UnixTime::ZERO;
    bites(answers(&world), "I4");
}

#[test]
fn i4_bites_when_an_ack_says_more_than_the_disk() {
    let mut world = healthy();
    let (lease, client) = some_lease(&world, PRIMARY);
    bites(acknowledge(&mut world, PRIMARY, client, lease.address, 100_000), "I4");
}

#[test]
fn i4_bites_when_a_state_is_announced_before_it_is_on_disk() {
    let mut world = healthy();
    let state =
        StateMessage { state: State::PotentialConflict, startup: false, since: 0, extensions: Vec::new() };
    bites(says(&mut world, PRIMARY, 1, Message::State(state)), "I4");
}

#[test]
fn i4_bites_when_an_update_is_sent_or_accepted_before_it_is_on_disk() {
    let mut world = healthy();
    let (lease, _) = some_lease(&world, PRIMARY);
    let update = BindingUpdate {
        address: Some(lease.address),
        status: Some(Status::Active),
        client_id: None,
        hardware: None,
        lease_expiry: None,
        potential_expiry: Some((lease.sent_potential + Seconds(1000)).get()),
        starts: None,
        cltt: None,
        flags: leases::lease::Flags::default(),
        request_options: None,
        reply_options: None,
    };
    bites(says(&mut world, PRIMARY, 7, Message::BndUpd(vec![update])), "I4");
    let ack = BindingAck { address: lease.address, reject: None, client_id: None, potential_expiry: None };
    bites(says(&mut world, SECONDARY, 7, Message::BndAck(vec![ack])), "I4");
}

#[test]
fn i4_bites_when_an_mclt_is_taken_before_it_is_on_disk() {
    let mut world = healthy();
    let ack = || {
        Message::ConnectAck(ConnectAck {
            relationship: None,
            max_unacked: None,
            receive_timer: None,
            vendor_class: None,
            version: None,
            tls_reply: None,
            reject: None,
            extensions: Vec::new(),
        })
    };
    assert_eq!(says(&mut world, SECONDARY, 1, ack()), None);
    world.nodes[SECONDARY].lead = None;
    bites(says(&mut world, SECONDARY, 1, ack()), "I4");
}

#[test]
fn i5_bites_when_a_grant_leads_by_more_than_the_partners_disk_says() {
    let mut world = healthy();
    let (lease, client) = some_lease(&world, PRIMARY);
    world.nodes[SECONDARY].lead = Some(MaxLead::new(Seconds(1)));
    bites(acknowledge(&mut world, PRIMARY, client, lease.address, 1), "I5");
}

#[test]
fn i5_bites_when_a_promise_becomes_smaller() {
    let mut world = healthy();
    let (lease, _) = some_lease(&world, PRIMARY);
    let shorter = Lease { held_until: UnixTime::ZERO, ..lease };
    let mut body = Vec::new();
    shorter.encode(&mut body);
    let entry = leases::log::Entry { kind: leases::log::Entry::LEASE, body };
    world.nodes[PRIMARY].note_durable(&[entry]).expect("it can be read");
    bites(world.checker.committed(world.time, &mut world.nodes).err(), "I5");
}

#[test]
fn i8_bites_while_the_tables_or_states_differ() {
    let mut world = healthy();
    world.calm = true;
    let rest = world.time + 10_000;
    world.play(rest).expect("nothing is wrong");
    let pools = world.pools();
    while Checker::difference(&world.nodes, &pools).is_some() {
        let next = world.time + 1_000;
        assert!(next < rest + 200_000, "it does not come to rest");
        world.play(next).expect("nothing is wrong");
    }
    world.stop(SECONDARY, false);
    let later = world.time + 10_000;
    world.play(later).expect("nothing is wrong");
    assert!(Checker::difference(&world.nodes, &pools).is_some());
}

#[test]
fn i10_bites_when_a_server_answers_that_must_be_silent() {
    let mut world = healthy();
    let (lease, client) = some_lease(&world, PRIMARY);
    world.stop(PRIMARY, false);
    bites(acknowledge(&mut world, PRIMARY, client, lease.address, 1), "I10");
    world.start(PRIMARY, None).expect("it starts");
    // It seeks its partner.
    bites(acknowledge(&mut world, PRIMARY, client, lease.address, 1), "I10");
}

#[test]
fn i10_bites_when_the_clock_was_set_back_or_more_than_renewals_are_answered() {
    let mut world = healthy();
    let answers = |world: &World, kind| world.checker.answers(world.time, &world.nodes, PRIMARY, kind).err();
    assert_eq!(answers(&world, OFFER), None);
    world.nodes[PRIMARY].seen = world.nodes[PRIMARY].now(world.time).wall + Seconds(3);
    bites(answers(&world, OFFER), "I10");
    world.nodes[PRIMARY].seen = UnixTime::ZERO;
    world.stop(SECONDARY, false);
    world.lose_volume(SECONDARY);
    world.start(SECONDARY, None).expect("it starts");
    while world.nodes[SECONDARY].server.as_ref().is_some_and(|server| server.state() != State::RecoverDone) {
        let next = world.time + 100;
        world.play(next).expect("nothing is wrong");
    }
    world.nodes[SECONDARY].promise = world.nodes[SECONDARY].now(world.time).wall + Seconds(1);
    bites(world.checker.answers(world.time, &world.nodes, SECONDARY, OFFER).err(), "I10");
}

#[test]
fn i8_bites_when_both_disks_call_different_ends_agreed() {
    let mut world = healthy();
    let (lease, _) = some_lease(&world, PRIMARY);
    let (time, mut nodes) = (world.time, world.nodes.clone());
    for node in &mut nodes {
        node.durable.insert(lease.address, Lease { sync: Sync::Agreed, ..lease.clone() });
    }
    assert_eq!(world.checker.committed(time, &mut nodes), Ok(()));
    let longer = Lease { held_until: lease.held_until + Seconds(5), sync: Sync::Agreed, ..lease.clone() };
    nodes[SECONDARY].durable.insert(lease.address, longer);
    bites(world.checker.committed(time, &mut nodes).err(), "I8");
}

#[test]
fn i9_bites_when_nobody_shares_what_is_free() {
    let mut world = healthy();
    world.rest().expect("shared");
    let fair = |free, backup, pct, balanced| Checker::unbalanced(free, backup, pct, balanced).is_none();
    assert!(fair(90, 10, 10, false));
    assert!(!fair(97, 3, 10, false), "less than half of its share");
    assert!(!fair(80, 20, 10, false), "the primary is short");
    assert!(fair(55, 45, 50, true) && !fair(70, 30, 50, true));
}

#[test]
fn i12_bites_when_a_server_refuses_whom_it_should_answer() {
    let mut world = healthy_with(Plan { clients: 8, pool: 60, load_balancing: true, ..Plan::calm() });
    assert_eq!(world.serves(), Ok(()));
    world.stop(SECONDARY, false);
    while world.nodes[PRIMARY].server.as_ref().is_some_and(|server| server.state() == State::Normal) {
        let next = world.time + 100;
        world.play(next).expect("nothing is wrong");
    }
    // Alone it answers everybody, and does not wait for the one that the hash says.
    bites(world.serves().err(), "I12");
}

#[test]
fn i12_bites_when_a_survivor_keeps_addresses_from_everybody() {
    let mut world = healthy();
    let free = |lease: &Lease| matches!(lease.status, Status::Free | Status::Backup);
    // In Normal nobody gives what is the partner's.
    bites(world.gives(PRIMARY, "its partner's share", |_| true, free).err(), "I12");
    bites(world.gives(PRIMARY, "nothing", |_| false, |_| false).err(), "I12");
    assert_eq!(world.alone(), Ok(()));
}

#[test]
fn i12_bites_when_a_server_ignores_who_gives_an_address_up() {
    let mut world = healthy();
    let server = |world: &World| world.nodes[PRIMARY].server.clone().expect("it runs");
    assert_eq!(world.gives_up(PRIMARY, &server(&world)), Ok(()));
    world.stop(PRIMARY, false);
    world.start(PRIMARY, None).expect("it starts");
    // It seeks its partner.
    bites(world.gives_up(PRIMARY, &server(&world)).err(), "I12");
}

#[test]
fn some_seeds_of_ci_play_days_with_real_figures() {
    let days = (1..=5000).map(Plan::of).filter(|plan| plan.real);
    let seeds: Vec<u64> =
        days.filter(|plan| plan.mclt == 3600 && plan.dhcpd.is_none()).map(|plan| plan.seed).collect();
    assert!(seeds.len() >= 5, "{seeds:?}");
}
