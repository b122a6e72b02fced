//! Who gives which address to whom.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

use interop::client::Client;
use interop::crowd::Crowd;
use interop::lease::Leases;
use interop::pair::{PRIMARY, Role, SECONDARY, Setup};
use interop::until;

use crate::{RETURN, SYNC, fill, in_normal, met};

pub(crate) fn all_addresses_are_leased_and_come_back(role: Role) {
    let mut pair = in_normal("exhausted", role);
    let mut crowd = Crowd::new(&mut pair.lab);
    let (ours, theirs) = (pair.our_address(), pair.isc_address());
    // A server whose half is used up tells the other's clients to wait until they ask with patience, and asks
    // its partner for more.
    fill(&pair, &mut crowd, 20);
    pair.say("all 20 leased");
    pair.until_equal(SYNC);
    let more = crowd.take(&pair.lab, 5000, 3, &[ours, theirs]).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(more, 0, "an address was given twice");
    sleep(Duration::from_secs(3));
    for server in [ours, theirs] {
        crowd.give_up(&pair.lab, "release", server, 8).unwrap_or_else(|why| panic!("{why}"));
    }
    until("16 addresses free, and shared", 90, || match pair.split()? {
        (free, backup) if free + backup == 16 && free.abs_diff(backup) <= 6 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    pair.until_equal(SYNC);
    let again = crowd.take(&pair.lab, 6000, 8, &[ours, theirs]).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(again, 8);
    pair.until_equal(SYNC);
    pair.until_normal(1);
    pair.assert_isc_content();
}

pub(crate) fn a_reserved_address_stays_its_clients(role: Role) {
    let reserved = Ipv4Addr::new(10, 50, 0, 105);
    let our_subnet =
        format!("      reservations: [{{address: {reserved}, hardwareAddress: 02:00:00:00:00:05}}]\n");
    let isc_lines = format!("host five {{ hardware ethernet 02:00:00:00:00:05; fixed-address {reserved}; }}");
    let mut pair = Setup { our_subnet, isc_lines, ..Setup::new(role) }.start("reserved");
    pair.until_normal(crate::FIRST_CONTACT);
    let mut client = Client::new(&mut pair.lab, 5);
    pair.take(&mut client);
    assert_eq!(client.lease.as_ref().map(|lease| lease.address), Some(reserved));
    let mut crowd = Crowd::new(&mut pair.lab);
    let (ours, theirs) = (pair.our_address(), pair.isc_address());
    fill(&pair, &mut crowd, 19);
    assert!(
        crowd.leases.values().all(|lease| lease.address != reserved),
        "a reserved address was given away"
    );
    for server in [ours, theirs] {
        client.renew_at(&pair.lab, server).unwrap_or_else(|why| panic!("{why}"));
    }
    pair.until_normal(1);
    pair.until_equal(SYNC);
    // Of its own configuration.
    pair.assert_isc_says_only(&["from the dynamic address pool for"]);
}

/// As hosts usually are. A dhcpd keeps no lease of them, so it is told of none.
pub(crate) fn a_reservation_outside_the_ranges_is_served_by_both(role: Role) {
    let reserved = Ipv4Addr::new(10, 50, 0, 77);
    let our_subnet =
        format!("      reservations: [{{address: {reserved}, hardwareAddress: 02:00:00:00:00:05}}]\n");
    let isc_lines = format!("host five {{ hardware ethernet 02:00:00:00:00:05; fixed-address {reserved}; }}");
    let mut pair = Setup { our_subnet, isc_lines, ..Setup::new(role) }.start("outside");
    pair.until_normal(crate::FIRST_CONTACT);
    let mut client = Client::new(&mut pair.lab, 5);
    let (ours, theirs) = (pair.our_address(), pair.isc_address());
    pair.take(&mut client);
    assert_eq!(client.lease.as_ref().map(|lease| lease.address), Some(reserved));
    for server in [ours, theirs, ours] {
        let seconds = client.renew_at(&pair.lab, server).unwrap_or_else(|why| panic!("{why}"));
        pair.say(&format!("renewed at {server} for {seconds} s"));
    }
    pair.until_normal(1);
    pair.isc.kill();
    pair.until_ours("CommunicationsInterrupted", 30);
    client.renew_at(&pair.lab, ours).unwrap_or_else(|why| panic!("{why}"));
    client.release_at(&pair.lab, ours).unwrap_or_else(|why| panic!("{why}"));
    client.lease = None;
    pair.take(&mut client);
    assert_eq!(client.lease.as_ref().map(|lease| lease.address), Some(reserved), "alone");
    pair.start_isc();
    pair.until_normal(60);
    for server in [theirs, ours] {
        client.renew_at(&pair.lab, server).unwrap_or_else(|why| panic!("{why}"));
    }
    pair.assert_isc_content();
}

/// A dhcpd uses an abandoned address again at the end that came with it; it looks at its start, and when leases end.
pub(crate) fn an_address_declined_at_ours_stays_out_of_use(role: Role) {
    let mut pair = in_normal("declined", role);
    let mut clients = [1, 5].map(|number| Client::new(&mut pair.lab, number));
    for client in &mut clients {
        pair.take(client);
    }
    pair.until_equal(SYNC);
    let ours = pair.our_address();
    for client in &mut clients {
        client.decline_at(&pair.lab, ours).unwrap_or_else(|why| panic!("{why}"));
    }
    let abandoned = |leases: Leases| match leases.values().filter(|lease| lease.state == "abandoned").count()
    {
        2 => Ok(()),
        count => Err(format!("{count}")),
    };
    until("two addresses out of use", SYNC, || abandoned(pair.ours.leases()?));
    pair.until_equal(SYNC);
    pair.isc.stop();
    pair.start_isc();
    pair.until_agreed(RETURN);
    sleep(Duration::from_secs(5));
    for leases in [pair.ours.leases(), pair.isc.leases()] {
        leases.and_then(abandoned).unwrap_or_else(|why| panic!("still out of use: {why}"));
    }
    pair.until_equal(1);
    pair.assert_isc_content();
}

pub(crate) fn split_0_leaves_all_clients_to_the_secondary(role: Role) {
    let (primary, secondary) = offers(role, 0);
    assert_eq!((primary, secondary), (0, ASKED));
}

pub(crate) fn split_64_leaves_each_client_to_one_server(role: Role) {
    let (primary, secondary) = offers(role, 64);
    assert!((10..=40).contains(&primary), "{primary} of {ASKED} clients are the primary's, {secondary} not");
}

pub(crate) fn split_256_leaves_all_clients_to_the_primary(role: Role) {
    let (primary, secondary) = offers(role, 256);
    assert_eq!((primary, secondary), (ASKED, 0));
}

/// Every other octet of the hash buckets, as no split can say it.
pub(crate) fn an_hba_leaves_each_client_to_one_server(role: Role) {
    let hba = "ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00";
    let (primary, secondary) = offers_of(Setup { hba: Some(hba), ..Setup::new(role) }, "hba");
    assert!((25..=55).contains(&primary), "{primary} of {ASKED} clients are the primary's, {secondary} not");
}

const ASKED: usize = 80;

/// Who offers an address to whom, at a split; each client hears of exactly one server.
fn offers(role: Role, split: u16) -> (usize, usize) {
    offers_of(Setup { split, ..Setup::new(role) }, &format!("split-{split}"))
}

fn offers_of(setup: Setup, label: &str) -> (usize, usize) {
    let pool = (Ipv4Addr::new(10, 50, 1, 0), Ipv4Addr::new(10, 50, 2, 143));
    let mut pair = met(Setup { pool, ..setup }.start(label));
    let crowd = Crowd::new(&mut pair.lab);
    let offers = crowd
        .discover(&pair.lab, 1, ASKED as u32, &[PRIMARY, SECONDARY])
        .unwrap_or_else(|why| panic!("{why}"));
    let mut servers: BTreeMap<u32, Vec<Ipv4Addr>> = BTreeMap::new();
    for (client, server) in offers {
        servers.entry(client).or_default().push(server);
    }
    let of = |server| servers.values().filter(|found| **found == [server]).count();
    let (primary, secondary) = (of(PRIMARY), of(SECONDARY));
    pair.say(&format!("{label}: {primary} clients are the primary's, {secondary} the secondary's"));
    assert_eq!(primary + secondary, ASKED, "{servers:?}");
    pair.assert_isc_content();
    (primary, secondary)
}
