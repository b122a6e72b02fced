//! First contact, leases, ends of leases, and servers that go and come back.

use std::thread::sleep;
use std::time::Duration;

use interop::client::Client;
use interop::pair::{PRIMARY, Pair, Role, SECONDARY};
use interop::until;

use crate::{RETURN, SYNC, in_normal};

pub(crate) fn first_contact_splits_the_pool(role: Role) {
    let mut pair = in_normal("contact", role);
    until("half of the pool for each", SYNC, || match pair.split()? {
        (10, 10) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    pair.until_equal(SYNC);
    sleep(Duration::from_secs(15));
    pair.until_normal(1);
    pair.until_equal(1);
    pair.assert_isc_content();
}

pub(crate) fn leases_reach_the_other_server(role: Role) {
    let mut pair = in_normal("leases", role);
    let mut clients: Vec<Client> =
        [1, 3, 4, 5, 7, 8].into_iter().map(|number| Client::new(&mut pair.lab, number)).collect();
    for (client, server) in
        clients.iter_mut().zip([SECONDARY, SECONDARY, SECONDARY, PRIMARY, PRIMARY, PRIMARY])
    {
        pair.take(client);
        let from = client.lease.as_ref().map(|lease| lease.server);
        assert_eq!(from, Some(server), "split 128 says whose {} is", client.hardware());
    }
    pair.until_equal(SYNC);
    let (ours, theirs) = (pair.our_address(), pair.isc_address());

    for client in &clients {
        let granter = client.lease.as_ref().map(|lease| lease.server);
        let other = if granter == Some(ours) { theirs } else { ours };
        let seconds = client.renew_at(&pair.lab, other).unwrap_or_else(|why| panic!("{why}"));
        pair.say(&format!("{} renewed at {other}: {seconds} s", client.hardware()));
        assert!((1..=600).contains(&seconds));
    }
    pair.until_equal(SYNC);
    sleep(Duration::from_secs(3));
    for client in &clients {
        for server in [ours, theirs] {
            let seconds = client.renew_at(&pair.lab, server).unwrap_or_else(|why| panic!("{why}"));
            assert!(seconds >= 590, "{server} gives the full time once the other knows: {seconds} s");
        }
    }
    pair.until_equal(SYNC);

    // A release within a second of a contact at the other server would be in doubt until the lease ends.
    sleep(Duration::from_secs(3));
    // Each server ends one lease of its own, and one that the other granted.
    for (number, server) in [(0, SECONDARY), (1, PRIMARY), (3, PRIMARY), (4, SECONDARY)] {
        let client = &mut clients[number];
        client.release_at(&pair.lab, server).unwrap_or_else(|why| panic!("{why}"));
        pair.say(&format!("{} released at {server}", client.hardware()));
    }
    until("two leases left", SYNC, || {
        let leases = pair.ours.leases()?;
        match leases.values().filter(|lease| lease.state == "active").count() {
            2 => Ok(()),
            count => Err(format!("{count}")),
        }
    });
    pair.until_equal(SYNC);
    for number in [0, 4] {
        pair.take(&mut clients[number]);
    }
    pair.until_equal(SYNC);
    pair.until_normal(1);
    pair.assert_isc_content();
}

pub(crate) fn our_server_is_killed_and_returns(role: Role) {
    let mut pair = in_normal("killed-ours", role);
    let (mut one, mut two) = (Client::new(&mut pair.lab, 1), Client::new(&mut pair.lab, 5));
    pair.take(&mut one);
    pair.take(&mut two);
    pair.until_equal(SYNC);
    pair.ours.kill();
    pair.until_isc("communications-interrupted", 30);
    let mut newcomer = Client::new(&mut pair.lab, if role == Role::Primary { 7 } else { 3 });
    pair.take(&mut newcomer);
    let seconds = one.renew_at(&pair.lab, pair.isc_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.say(&format!("{} renewed at the dhcpd: {seconds} s", one.hardware()));
    pair.start_ours();
    pair.until_agreed(RETURN);
    two.renew_at(&pair.lab, pair.our_address()).unwrap_or_else(|why| panic!("{why}"));
    newcomer.renew_at(&pair.lab, pair.our_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.until_equal(SYNC);
    pair.assert_isc_content();
}

pub(crate) fn the_dhcpd_is_killed_and_returns(role: Role) {
    let mut pair = in_normal("killed-isc", role);
    let (mut one, mut two) = (Client::new(&mut pair.lab, 1), Client::new(&mut pair.lab, 5));
    pair.take(&mut one);
    pair.take(&mut two);
    pair.until_equal(SYNC);
    pair.isc.kill();
    pair.until_ours("CommunicationsInterrupted", 30);
    let mut newcomer = Client::new(&mut pair.lab, if role == Role::Primary { 3 } else { 7 });
    pair.take(&mut newcomer);
    let seconds = one.renew_at(&pair.lab, pair.our_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.say(&format!("{} renewed at ours: {seconds} s", one.hardware()));
    pair.start_isc();
    pair.until_agreed(RETURN);
    two.renew_at(&pair.lab, pair.isc_address()).unwrap_or_else(|why| panic!("{why}"));
    newcomer.renew_at(&pair.lab, pair.isc_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.until_equal(SYNC);
    pair.assert_isc_content();
}

pub(crate) fn a_cable_is_pulled_for_40_seconds(role: Role) {
    let mut pair = in_normal("cable", role);
    let (mut one, mut two) = (Client::new(&mut pair.lab, 1), Client::new(&mut pair.lab, 5));
    pair.take(&mut one);
    pair.take(&mut two);
    pair.until_equal(SYNC);
    pair.lab.cable("isc", false);
    let cut = std::time::Instant::now();
    pair.until_ours("CommunicationsInterrupted", 30);
    pair.until_isc("communications-interrupted", 30);
    let mut newcomer = Client::new(&mut pair.lab, if role == Role::Primary { 3 } else { 7 });
    pair.take(&mut newcomer);
    two.release_at(&pair.lab, pair.our_address()).unwrap_or_else(|why| panic!("{why}"));
    one.renew_at(&pair.lab, pair.our_address()).unwrap_or_else(|why| panic!("{why}"));
    sleep(Duration::from_secs(40).saturating_sub(cut.elapsed()));
    pair.lab.cable("isc", true);
    pair.say("plugged in again");
    pair.until_agreed(RETURN);
    one.renew_at(&pair.lab, pair.isc_address()).unwrap_or_else(|why| panic!("{why}"));
    newcomer.renew_at(&pair.lab, pair.isc_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.until_equal(SYNC);
    pair.assert_isc_content();
}

/// A first lease lasts as long as the MCLT; nobody renews these.
fn until_ended(pair: &Pair) {
    until("no lease left", 90, || {
        let leases = pair.ours.leases()?;
        match leases.values().filter(|lease| !["free", "backup"].contains(&lease.state.as_str())).count() {
            0 => Ok(()),
            count => Err(format!("{count} left")),
        }
    });
    pair.say("no lease left");
}

pub(crate) fn leases_end_by_time(role: Role) {
    let mut pair = in_normal("ends", role);
    let mut clients: Vec<Client> =
        [1, 3, 5, 7].into_iter().map(|number| Client::new(&mut pair.lab, number)).collect();
    for client in &mut clients {
        pair.take(client);
    }
    pair.until_equal(SYNC);
    until_ended(&pair);
    pair.until_equal(SYNC);
    let before: Vec<_> =
        clients.iter().map(|client| client.lease.as_ref().map(|lease| lease.address)).collect();
    for client in &mut clients {
        pair.take(client);
    }
    let after: Vec<_> =
        clients.iter().map(|client| client.lease.as_ref().map(|lease| lease.address)).collect();
    let kept = before.iter().zip(&after).filter(|(before, after)| before == after).count();
    // A dhcpd primary hands an address back to the secondary whose client had it; ours does with the next balance.
    assert!(kept == 4 || role == Role::Primary && kept >= 2, "{before:?}, then {after:?}");
    pair.until_equal(SYNC);
    pair.until_normal(1);
    pair.assert_isc_content();
}

pub(crate) fn leases_end_while_a_cable_is_pulled(role: Role) {
    let mut pair = in_normal("ends-cable", role);
    let mut clients: Vec<Client> =
        [1, 3, 5, 7].into_iter().map(|number| Client::new(&mut pair.lab, number)).collect();
    for client in &mut clients {
        pair.take(client);
    }
    pair.until_equal(SYNC);
    pair.lab.cable("isc", false);
    pair.until_ours("CommunicationsInterrupted", 30);
    clients[0].renew_at(&pair.lab, pair.our_address()).unwrap_or_else(|why| panic!("{why}"));
    sleep(Duration::from_secs(65));
    pair.lab.cable("isc", true);
    pair.say("plugged in again");
    pair.until_agreed(RETURN);
    for client in &mut clients {
        pair.take(client);
    }
    pair.until_equal(SYNC);
    pair.until_normal(1);
    pair.assert_isc_content();
}

pub(crate) fn our_server_stops_for_a_moment(role: Role) {
    let mut pair = in_normal("stops", role);
    let mut client = Client::new(&mut pair.lab, 1);
    pair.take(&mut client);
    pair.until_equal(SYNC);
    pair.ours.stop();
    pair.until_isc("communications-interrupted", 5);
    pair.start_ours();
    pair.until_agreed(RETURN);
    client.renew_at(&pair.lab, pair.our_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.until_equal(SYNC);
    pair.assert_isc_content();
}

pub(crate) fn the_dhcpd_stops_for_a_moment(role: Role) {
    let mut pair = in_normal("stops-isc", role);
    let mut client = Client::new(&mut pair.lab, 5);
    pair.take(&mut client);
    pair.until_equal(SYNC);
    pair.isc.stop();
    pair.until_ours("CommunicationsInterrupted", 30);
    pair.start_isc();
    pair.until_agreed(RETURN);
    client.renew_at(&pair.lab, pair.isc_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.until_equal(SYNC);
    pair.assert_isc_content();
}
