//! A pair that is set up in another way than the others.

use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

use interop::crowd::Crowd;
use interop::pair::{Role, Setup};
use interop::until;

use crate::{RETURN, RETURN_AFTER_MCLT, SYNC, met};

/// Another name, MCLT, split, pool and length of leases; clients that come, renew, leave and find the other server.
pub(crate) fn a_pair_of_another_kind_lives_through_a_day(role: Role) {
    let first = Ipv4Addr::new(10, 50, 3, 7);
    let mut pair = met(Setup {
        name: "east-wing.2",
        isc_name: "east-wing.2",
        mclt: 15,
        split: 200,
        pool: (first, Ipv4Addr::new(10, 50, 3, 82)),
        lease_seconds: 90,
        ..Setup::new(role)
    }
    .start("another"));
    let (ours, theirs) = (pair.our_address(), pair.isc_address());
    let mut crowd = Crowd::new(&mut pair.lab);
    let taken = crowd.take(&pair.lab, 1, 40, &[ours, theirs]).unwrap_or_else(|why| panic!("{why}"));
    let by_ours = crowd.leases.values().filter(|lease| lease.server == ours).count();
    pair.say(&format!("{taken} leases, {by_ours} of them by ours"));
    pair.until_equal(SYNC);
    for server in [theirs, ours] {
        let renewed = crowd.renew(&pair.lab, server).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(renewed, taken, "{server}");
        pair.until_equal(SYNC);
    }
    sleep(Duration::from_secs(3));
    crowd.give_up(&pair.lab, "release", theirs, 10).unwrap_or_else(|why| panic!("{why}"));
    crowd.give_up(&pair.lab, "release", ours, 10).unwrap_or_else(|why| panic!("{why}"));
    pair.until_equal(SYNC);

    // The dhcpd dies; ours takes over, and has all addresses after 15 s.
    pair.isc.kill();
    pair.until_ours("CommunicationsInterrupted", 30);
    pair.ours.force("PartnerDown", &[]).unwrap_or_else(|why| panic!("{why}"));
    crowd.renew(&pair.lab, ours).unwrap_or_else(|why| panic!("{why}"));
    sleep(Duration::from_secs(17));
    let more = crowd.take(&pair.lab, 100, 80, &[ours]).unwrap_or_else(|why| panic!("{why}"));
    pair.say(&format!("{more} more clients at ours alone"));
    assert_eq!(crowd.leases.len(), 76);
    pair.start_isc();
    pair.until_agreed(RETURN_AFTER_MCLT);
    let renewed = crowd.renew(&pair.lab, theirs).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(renewed, 76);
    pair.until_equal(SYNC);

    // Ours dies, and the dhcpd takes over.
    pair.ours.kill();
    pair.until_isc("communications-interrupted", 30);
    pair.isc.partner_down(&pair.lab).unwrap_or_else(|why| panic!("{why}"));
    crowd.renew(&pair.lab, theirs).unwrap_or_else(|why| panic!("{why}"));
    pair.start_ours();
    pair.until_agreed(RETURN_AFTER_MCLT);
    // All leave, by time.
    until("all leases ended", 150, || {
        let (free, backup) = pair.split()?;
        if free + backup == 76 { Ok(()) } else { Err(format!("{free} + {backup} of 76 are free")) }
    });
    pair.until_equal(SYNC);
    pair.until_normal(1);
    pair.assert_isc_content();
}

/// Clients give their addresses up at one server while the other takes over from it.
pub(crate) fn releases_cross_a_take_over(role: Role) {
    let mut pair = crate::in_normal("crossing", role);
    let (ours, theirs) = (pair.our_address(), pair.isc_address());
    let mut crowd = Crowd::new(&mut pair.lab);
    crowd.take(&pair.lab, 1, 16, &[ours, theirs]).unwrap_or_else(|why| panic!("{why}"));
    pair.until_equal(SYNC);
    sleep(Duration::from_secs(3));
    pair.lab.cut_link(true);
    crowd.give_up(&pair.lab, "release", theirs, 4).unwrap_or_else(|why| panic!("{why}"));
    crowd.give_up(&pair.lab, "release", ours, 4).unwrap_or_else(|why| panic!("{why}"));
    pair.until_ours("CommunicationsInterrupted", 30);
    pair.until_isc("communications-interrupted", 30);
    pair.isc.kill();
    pair.ours.force("PartnerDown", &[]).unwrap_or_else(|why| panic!("{why}"));
    let renewed = crowd.renew(&pair.lab, ours).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(renewed, 8);
    pair.lab.cut_link(false);
    pair.start_isc();
    pair.until_agreed(RETURN_AFTER_MCLT);
    let leases = pair.ours.leases().unwrap_or_else(|why| panic!("{why}"));
    let active = leases.values().filter(|lease| lease.state == "active").count();
    pair.say(&format!("{active} of 16 leases are left"));
    assert_eq!(active, 8, "{leases:?}");
    for server in [ours, theirs] {
        assert_eq!(crowd.renew(&pair.lab, server).unwrap_or_else(|why| panic!("{why}")), 8);
    }
    pair.until_equal(SYNC);
    pair.until_normal(1);
    pair.assert_isc_content();
}

/// Clients give their addresses up at ours and come back at the dhcpd, while neither heard of the other: a dhcpd takes the
/// word that they left for the last one.
pub(crate) fn who_left_ours_and_came_back_at_the_dhcpd_stays(role: Role) {
    let pool = (Ipv4Addr::new(10, 50, 1, 0), Ipv4Addr::new(10, 50, 2, 143));
    let mut pair = met(Setup { pool, ..Setup::new(role) }.start("came-back"));
    let (ours, theirs) = (pair.our_address(), pair.isc_address());
    let mut crowd = Crowd::new(&mut pair.lab);
    assert_eq!(crowd.take(&pair.lab, 1, 200, &[ours, theirs]), Ok(200));
    pair.until_equal(SYNC);
    let leases = crowd.leases.clone();
    sleep(Duration::from_secs(3));
    pair.lab.cut_link(true);
    pair.until_ours("CommunicationsInterrupted", 30);
    pair.until_isc("communications-interrupted", 30);
    // Of those whom the dhcpd will tell of last.
    crowd.leases.retain(|number, _| *number > 100);
    crowd.give_up(&pair.lab, "release", ours, 100).unwrap_or_else(|why| panic!("{why}"));
    sleep(Duration::from_secs(3));
    crowd.leases.clone_from(&leases);
    assert_eq!(crowd.renew(&pair.lab, theirs), Ok(200));
    pair.lab.cut_link(false);
    pair.until_agreed(RETURN);
    for server in [ours, theirs] {
        assert_eq!(crowd.renew(&pair.lab, server), Ok(200), "at {server}");
    }
    pair.until_equal(SYNC);
    pair.until_normal(1);
    pair.assert_isc_content();
}

/// A client that both servers gave an address, while neither heard of the other.
pub(crate) fn a_client_has_two_leases(role: Role) {
    let mut pair = crate::in_normal("two-leases", role);
    let (ours, theirs) = (pair.our_address(), pair.isc_address());
    pair.lab.cut_link(true);
    pair.until_ours("CommunicationsInterrupted", 30);
    pair.until_isc("communications-interrupted", 30);
    let mut crowd = Crowd::new(&mut pair.lab);
    crowd.take(&pair.lab, 1, 4, &[ours]).unwrap_or_else(|why| panic!("{why}"));
    let at_ours = crowd.leases.clone();
    sleep(Duration::from_secs(2));
    crowd.take(&pair.lab, 1, 4, &[theirs]).unwrap_or_else(|why| panic!("{why}"));
    let at_theirs = crowd.leases.clone();
    assert_eq!((at_ours.len(), at_theirs.len()), (4, 4));
    assert!(at_ours.iter().all(|(number, lease)| lease.address != at_theirs[number].address));
    pair.lab.cut_link(false);
    pair.until_agreed(RETURN);
    for leases in [&at_ours, &at_theirs, &at_ours] {
        crowd.leases.clone_from(leases);
        for server in [ours, theirs] {
            assert_eq!(crowd.renew(&pair.lab, server), Ok(4), "at {server}");
        }
        pair.until_equal(SYNC);
    }
    // One of the two is given up; who begins anew at ours gets the other. A dhcpd looks for that which it gave last.
    sleep(Duration::from_secs(3));
    crowd.give_up(&pair.lab, "release", theirs, 4).unwrap_or_else(|why| panic!("{why}"));
    until("four leases left", SYNC, || {
        let active = pair.ours.leases()?.values().filter(|lease| lease.state == "active").count();
        if active == 4 { Ok(()) } else { Err(format!("{active}")) }
    });
    pair.until_equal(SYNC);
    crowd.take(&pair.lab, 1, 4, &[ours, theirs]).unwrap_or_else(|why| panic!("{why}"));
    for (number, lease) in crowd.leases.iter().filter(|(_, lease)| lease.server == ours) {
        assert_eq!(lease.address, at_theirs[number].address, "client {number}");
    }
    pair.until_equal(SYNC);
    pair.until_normal(1);
    pair.assert_isc_content();
}
