//! One of the servers, or both, in PartnerDown.

use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

use interop::client::Client;
use interop::crowd::Crowd;
use interop::pair::{Pair, Role};
use interop::until;

use crate::{RETURN, RETURN_AFTER_MCLT, SYNC, in_normal, with_leases};

/// The MCLT of all these pairs, and a little.
const MCLT: Duration = Duration::from_secs(62);
/// Addresses of the pool.
const POOL: usize = 20;

pub(crate) fn ours_takes_over_from_a_dead_dhcpd(role: Role) {
    let (mut pair, clients) = with_leases("takes-over", role);
    pair.isc.kill();
    pair.until_ours("CommunicationsInterrupted", 30);
    pair.ours.force("PartnerDown", &[]).unwrap_or_else(|why| panic!("{why}"));
    pair.until_ours("PartnerDown", 5);
    let mut crowd = Crowd::new(&mut pair.lab);
    let ours = pair.our_address();
    let own = crowd.take(&pair.lab, 1, 25, &[ours]).unwrap_or_else(|why| panic!("{why}"));
    pair.say(&format!("{own} more clients have addresses of our own"));
    assert!((8..=10).contains(&own), "{own}");
    sleep(MCLT);
    let taken = crowd.take(&pair.lab, 100, 25, &[ours]).unwrap_or_else(|why| panic!("{why}"));
    pair.say(&format!("{taken} more have addresses of the dhcpd's, after the MCLT"));
    assert_eq!(own + taken + clients.len(), POOL);
    pair.renew_all(&clients, ours);
    pair.start_isc();
    pair.until_agreed(RETURN_AFTER_MCLT);
    pair.renew_all(&clients, pair.isc_address());
    let renewed = crowd.renew(&pair.lab, pair.isc_address()).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(renewed, own + taken);
    pair.until_equal(SYNC);
    pair.assert_isc_content();
}

/// A dhcpd leases an address to its next client by the potential that its partner acknowledged for the last one: for far longer
/// than the MCLT, before anybody else knows.
pub(crate) fn a_dhcpd_dies_with_leases_that_it_never_told(role: Role) {
    let mut pair = in_normal("never-told", role);
    let mut first = Crowd::new(&mut pair.lab);
    let theirs = pair.isc_address();
    let count = first.take(&pair.lab, 1, 25, &[theirs]).unwrap_or_else(|why| panic!("{why}"));
    pair.until_equal(SYNC);
    sleep(MCLT);
    until("the leases end", 30, || match pair.split()? {
        (free, backup) if free + backup == POOL => Ok(()),
        split => Err(format!("free {split:?}")),
    });
    pair.until_equal(SYNC);
    pair.lab.cut_link(true);
    pair.until_isc("communications-interrupted", 30);
    let mut second = Crowd::behind(&mut pair.lab, "relay2", Ipv4Addr::new(10, 50, 0, 8));
    let got = second.take(&pair.lab, 500, 25, &[theirs]).unwrap_or_else(|why| panic!("{why}"));
    let longest = second.leases.values().map(|taken| taken.seconds).max().unwrap_or_default();
    pair.say(&format!(
        "{count} clients had addresses of the dhcpd's, {got} have them now, for {longest} s at most"
    ));
    if role == Role::Secondary {
        assert!(longest > 300, "the dhcpd counts with what it was promised for others");
    }
    pair.isc.kill();
    pair.lab.cut_link(false);
    pair.ours.force("PartnerDown", &[]).unwrap_or_else(|why| panic!("{why}"));
    pair.until_ours("PartnerDown", 5);
    sleep(MCLT);
    let mut third = Crowd::behind(&mut pair.lab, "relay3", Ipv4Addr::new(10, 50, 0, 7));
    let ours = pair.our_address();
    let more = third.take(&pair.lab, 1000, 30, &[ours]).unwrap_or_else(|why| panic!("{why}"));
    pair.say(&format!("{more} new clients have addresses of ours, after the MCLT"));
    assert!(more >= POOL / 2 - 1, "our own half is free");
    for taken in third.leases.values() {
        let believer =
            second.leases.values().find(|held| held.address == taken.address && held.is_believed());
        assert!(believer.is_none(), "{} has two clients", taken.address);
    }
    pair.start_isc();
    pair.until_agreed(RETURN_AFTER_MCLT);
    // Whose lease of a minute ended meanwhile, the dhcpd says only now.
    pair.assert_isc_says_only(&["rejected: the lease is not over here"]);
}

pub(crate) fn the_dhcpd_takes_over_from_ours(role: Role) {
    let (mut pair, clients) = with_leases("taken-over", role);
    pair.ours.kill();
    pair.until_isc("communications-interrupted", 30);
    pair.isc.partner_down(&pair.lab).unwrap_or_else(|why| panic!("{why}"));
    pair.until_isc("partner-down", 5);
    sleep(MCLT);
    let mut crowd = Crowd::new(&mut pair.lab);
    let theirs = pair.isc_address();
    let taken = crowd.take(&pair.lab, 1, 25, &[theirs]).unwrap_or_else(|why| panic!("{why}"));
    pair.say(&format!("{taken} more clients have addresses, ours among them"));
    assert!(taken > 10, "{taken}");
    pair.start_ours();
    pair.until_agreed(RETURN_AFTER_MCLT);
    pair.renew_all(&clients, pair.our_address());
    let renewed = crowd.renew(&pair.lab, pair.our_address()).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(renewed, taken);
    pair.until_equal(SYNC);
    pair.assert_isc_content();
}

pub(crate) fn ours_is_shut_down(role: Role) {
    let (mut pair, clients) = with_leases("shut-down", role);
    pair.ours.force("Shutdown", &[]).unwrap_or_else(|why| panic!("{why}"));
    pair.until_isc("partner-down", 10);
    clients[0].renew_at(&pair.lab, pair.isc_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.ours.kill();
    pair.start_ours();
    pair.until_agreed(RETURN_AFTER_MCLT);
    pair.ends_well(&clients, pair.our_address());
}

/// A dhcpd that ended has not written that it has to recover: it comes back as one that has its leases still (decision
/// 023), and what ends at it is over here too.
fn remembers(pair: &Pair) {
    let states = pair.isc.states().unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(states.0, "communications-interrupted", "the dhcpd's file after its end");
}

pub(crate) fn the_dhcpd_is_shut_down(role: Role) {
    let (mut pair, clients) = with_leases("omshell", role);
    pair.isc.shutdown(&pair.lab).unwrap_or_else(|why| panic!("{why}"));
    // It closes the connection before it could say so, and keeps the state that follows from that.
    pair.until_ours("CommunicationsInterrupted", 30);
    remembers(&pair);
    clients[0].renew_at(&pair.lab, pair.our_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.start_isc();
    pair.until_agreed(RETURN_AFTER_MCLT);
    released_at_the_dhcpd(&mut pair, clients);
}

/// A release at the dhcpd ends the lease at ours as well, which holds nothing back.
fn released_at_the_dhcpd(pair: &mut Pair, mut clients: [Client; 2]) {
    pair.ends_well(&clients, pair.isc_address());
    sleep(Duration::from_secs(3));
    let [client, _] = &mut clients;
    client.release_at(&pair.lab, pair.isc_address()).unwrap_or_else(|why| panic!("{why}"));
    until("one lease left", SYNC, || {
        match pair.ours.leases()?.values().filter(|lease| lease.state == "active").count() {
            1 => Ok(()),
            count => Err(format!("{count}")),
        }
    });
    pair.until_equal(SYNC);
    pair.assert_isc_content();
}

/// An orderly end while there is no connection.
pub(crate) fn the_dhcpd_is_shut_down_unheard(role: Role) {
    let (mut pair, clients) = with_leases("omshell-unheard", role);
    pair.lab.cut_link(true);
    pair.until_ours("CommunicationsInterrupted", 30);
    pair.until_isc("communications-interrupted", 30);
    clients[1].renew_at(&pair.lab, pair.isc_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.isc.shutdown(&pair.lab).unwrap_or_else(|why| panic!("{why}"));
    remembers(&pair);
    clients[0].renew_at(&pair.lab, pair.our_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.lab.cut_link(false);
    pair.start_isc();
    pair.until_agreed(RETURN_AFTER_MCLT);
    released_at_the_dhcpd(&mut pair, clients);
}

pub(crate) fn both_were_in_partner_down(role: Role) {
    let (mut pair, clients) = with_leases("both-down", role);
    pair.lab.cut_link(true);
    pair.until_ours("CommunicationsInterrupted", 30);
    pair.until_isc("communications-interrupted", 30);
    pair.ours.force("PartnerDown", &[]).unwrap_or_else(|why| panic!("{why}"));
    pair.isc.partner_down(&pair.lab).unwrap_or_else(|why| panic!("{why}"));
    pair.until_ours("PartnerDown", 5);
    pair.until_isc("partner-down", 5);
    let mut crowd = Crowd::new(&mut pair.lab);
    let (ours, theirs) = (pair.our_address(), pair.isc_address());
    let at_ours = crowd.take(&pair.lab, 1, 4, &[ours]).unwrap_or_else(|why| panic!("{why}"));
    let at_theirs = crowd.take(&pair.lab, 11, 4, &[theirs]).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!((at_ours, at_theirs), (4, 4));
    clients[0].renew_at(&pair.lab, ours).unwrap_or_else(|why| panic!("{why}"));
    clients[1].renew_at(&pair.lab, theirs).unwrap_or_else(|why| panic!("{why}"));
    pair.lab.cut_link(false);
    pair.say("the link is whole again");
    until("a word of the conflict in the dhcpd's log", RETURN, || {
        if pair.isc.log().contains("potential-conflict") { Ok(()) } else { Err("none".to_owned()) }
    });
    pair.until_agreed(RETURN_AFTER_MCLT);
    for server in [ours, theirs] {
        let renewed = crowd.renew(&pair.lab, server).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(renewed, 8, "{server} renews what either granted");
    }
    pair.until_equal(SYNC);
    pair.assert_isc_content();
}

/// The worst that two lone servers can do: for long enough alone, each gives out the other's addresses too.
pub(crate) fn both_gave_out_the_same_addresses(role: Role) {
    let (mut pair, _) = with_leases("same-addresses", role);
    pair.lab.cut_link(true);
    pair.until_ours("CommunicationsInterrupted", 30);
    pair.until_isc("communications-interrupted", 30);
    pair.ours.force("PartnerDown", &[]).unwrap_or_else(|why| panic!("{why}"));
    pair.isc.partner_down(&pair.lab).unwrap_or_else(|why| panic!("{why}"));
    sleep(MCLT);
    let mut crowd = Crowd::new(&mut pair.lab);
    let (ours, theirs) = (pair.our_address(), pair.isc_address());
    let at_ours = crowd.take(&pair.lab, 1, 18, &[ours]).unwrap_or_else(|why| panic!("{why}"));
    let at_theirs = crowd.take(&pair.lab, 101, 18, &[theirs]).unwrap_or_else(|why| panic!("{why}"));
    pair.say(&format!(
        "{at_ours} clients have addresses from ours, {at_theirs} the same ones from the dhcpd"
    ));
    assert_eq!((at_ours, at_theirs), (18, 18));
    pair.lab.cut_link(false);
    pair.until_agreed(RETURN_AFTER_MCLT);
    // Of each address one client stays; the server that it has not asked yet knows it as well.
    let leases = pair.ours.leases().unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(leases.values().filter(|lease| lease.state == "active").count(), POOL);
    pair.until_normal(1);
    // The primary's client stays, and the secondary's update is refused, and counted by its reason.
    if role == Role::Primary {
        let metrics = pair.ours.metrics().unwrap_or_else(|why| panic!("{why}"));
        let counter = "dhcp_updates_rejected_total{reason=\"FatalConflict\"}";
        assert!(metrics.lines().any(|line| line.starts_with(counter)), "{metrics}");
    }
    pair.assert_isc_says_only(&["rejected: active for another client here"]);
}
