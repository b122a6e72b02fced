//! Leases that are more than others: of BOOTP clients, and reserved ones.

use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

use interop::client::Client;
use interop::crowd::Crowd;
use interop::lease::Leases;
use interop::pair::{Role, Setup};

use crate::{RETURN, RETURN_AFTER_MCLT, SYNC, fill, in_normal, met};

pub(crate) fn a_bootp_client_of_the_dhcpd_keeps_its_address(role: Role) {
    let mut pair = met(Setup { isc_pool: "allow dynamic bootp clients;", ..Setup::new(role) }.start("bootp"));
    let mut crowd = Crowd::new(&mut pair.lab);
    let theirs = pair.isc_address();
    // It answers those of its share.
    let taken = crowd.bootp(&pair.lab, 1, 8, &[theirs]).unwrap_or_else(|why| panic!("{why}"));
    assert!((1..8).contains(&taken), "{taken}");
    pair.until_equal(SYNC);
    let leases = pair.ours.leases().unwrap_or_else(|why| panic!("{why}"));
    let bootp = |leases: &Leases| {
        let of_bootp = leases.iter().filter(|(_, lease)| lease.bootp);
        of_bootp.map(|(address, _)| *address).collect::<Vec<_>>()
    };
    let kept = bootp(&leases);
    let mut told: Vec<Ipv4Addr> = crowd.leases.values().map(|lease| lease.address).collect();
    told.sort();
    assert_eq!(kept, told, "{leases:?}");
    pair.say(&format!("of BOOTP clients, for ever: {kept:?}"));
    // The dhcpd dies, and ours is told to take over: nobody else gets these addresses.
    pair.isc.kill();
    pair.until_ours("CommunicationsInterrupted", 30);
    pair.ours.force("PartnerDown", &[]).unwrap_or_else(|why| panic!("{why}"));
    sleep(Duration::from_secs(62));
    crowd.leases.clear();
    let ours = pair.our_address();
    let others = crowd.take(&pair.lab, 100, 30, &[ours]).unwrap_or_else(|why| panic!("{why}"));
    pair.say(&format!("{others} others have addresses"));
    assert_eq!(others, 20 - taken);
    assert!(crowd.leases.values().all(|lease| !kept.contains(&lease.address)));
    pair.start_isc();
    pair.until_agreed(RETURN_AFTER_MCLT);
    assert_eq!(bootp(&pair.ours.leases().unwrap_or_else(|why| panic!("{why}"))), kept);
    pair.assert_isc_content();
}

pub(crate) fn a_lease_that_both_reserve_stays_its_clients(role: Role) {
    let mut pair = in_normal("both-reserve", role);
    // Whose client a number is depends on the split.
    let number = if role == Role::Primary { 1 } else { 5 };
    let mut client = Client::new(&mut pair.lab, number);
    pair.take(&mut client);
    let taken = client.lease.clone().expect("a lease");
    assert_eq!(taken.server, pair.isc_address());
    pair.until_equal(SYNC);
    let address = taken.address;
    pair.ours.stop();
    pair.set_our_subnet(format!(
        "      reservations: [{{address: {address}, hardwareAddress: \"{}\"}}]\n",
        client.hardware()
    ));
    pair.isc.stop();
    pair.isc.reserve(address);
    pair.start_ours();
    pair.start_isc();
    pair.until_normal(RETURN);
    // A dhcpd tells of the flag with the next change.
    client.renew_at(&pair.lab, pair.isc_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.until_equal(SYNC);
    pair.say(&format!("{address} is reserved at both"));
    let reserved = |leases: &Leases| leases.get(&address).is_some_and(|lease| lease.reserved);
    assert!(reserved(&pair.ours.leases().unwrap_or_else(|why| panic!("{why}"))));
    for server in [pair.our_address(), pair.isc_address()] {
        client.renew_at(&pair.lab, server).unwrap_or_else(|why| panic!("{why}"));
        pair.until_equal(SYNC);
    }
    sleep(Duration::from_secs(3));
    client.release_at(&pair.lab, pair.our_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.until_equal(SYNC);
    let mut crowd = Crowd::new(&mut pair.lab);
    fill(&pair, &mut crowd, 19);
    assert!(crowd.leases.values().all(|lease| lease.address != address), "a reserved address was given away");
    pair.take(&mut client);
    assert_eq!(client.lease.as_ref().map(|lease| lease.address), Some(address));
    pair.until_equal(SYNC);
    pair.until_normal(1);
    pair.assert_isc_content();
}
