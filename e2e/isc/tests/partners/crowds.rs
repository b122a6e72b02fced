//! Many clients.

use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use interop::crowd::Crowd;
use interop::pair::{Pair, Role, Setup};
use interop::until;

use crate::{RETURN, SYNC, met};

pub(crate) fn two_hundred_leases_are_made_renewed_and_given_up_at_either(role: Role) {
    let pool = (Ipv4Addr::new(10, 50, 1, 0), Ipv4Addr::new(10, 50, 2, 143));
    let mut pair = met(Setup { pool, ..Setup::new(role) }.start("two-hundred"));
    let mut crowd = Crowd::new(&mut pair.lab);
    let (ours, theirs) = (pair.our_address(), pair.isc_address());
    let taken = crowd.take(&pair.lab, 1, 200, &[ours, theirs]).unwrap_or_else(|why| panic!("{why}"));
    let by_ours = crowd.leases.values().filter(|lease| lease.server == ours).count();
    pair.say(&format!("{taken} leases, {by_ours} of them by ours"));
    assert_eq!(taken, 200);
    assert!((60..=140).contains(&by_ours), "{by_ours} at split 128");
    pair.until_equal(SYNC);
    for server in [ours, theirs, ours] {
        let renewed = crowd.renew(&pair.lab, server).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(renewed, 200, "{server} renews what either granted");
        pair.until_equal(SYNC);
    }
    pair.say("all renewed at either");
    // A release within a second of a contact at the other server would be in doubt until the lease ends.
    sleep(Duration::from_secs(3));
    for (verb, server) in [("release", ours), ("release", theirs), ("decline", ours), ("decline", theirs)] {
        crowd.give_up(&pair.lab, verb, server, 20).unwrap_or_else(|why| panic!("{why}"));
    }
    until("120 leases and 40 declined addresses", SYNC, || {
        let leases = pair.ours.leases()?;
        let count = |state: &str| leases.values().filter(|lease| lease.state == state).count();
        match (count("active"), count("abandoned")) {
            (120, 40) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    pair.until_equal(SYNC);
    pair.until_normal(1);
    pair.assert_isc_content();
}

/// As many addresses for each server as a story takes, and some.
fn large(label: &str, role: Role) -> Pair {
    let pool = (Ipv4Addr::new(10, 50, 64, 0), Ipv4Addr::new(10, 50, 111, 255));
    let mut pair = Setup { pool, lease_seconds: 3600, mclt: 180, ..Setup::new(role) }.start(label);
    pair.until_normal(LARGE);
    pair.until_equal(LARGE);
    pair
}

const COUNT: u32 = 5000;
/// Until 12,288 addresses are shared, or 5,000 updates are acknowledged.
const LARGE: u64 = 300;

pub(crate) fn five_thousand_updates_of_ours_are_sent_after_a_cut(role: Role) {
    let mut pair = large("backlog-ours", role);
    let at = pair.our_address();
    backlog(&mut pair, at);
}

pub(crate) fn five_thousand_updates_of_the_dhcpd_arrive_after_a_cut(role: Role) {
    let mut pair = large("backlog-theirs", role);
    let at = pair.isc_address();
    backlog(&mut pair, at);
}

fn backlog(pair: &mut Pair, at: Ipv4Addr) {
    pair.lab.cut_link(true);
    pair.until_ours("CommunicationsInterrupted", 30);
    pair.until_isc("communications-interrupted", 30);
    let mut crowd = Crowd::new(&mut pair.lab);
    let taken = crowd.take(&pair.lab, 1, COUNT, &[at]).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(taken, COUNT as usize);
    pair.say(&format!("{taken} leases that the partner does not know"));
    pair.lab.cut_link(false);
    pair.until_normal(RETURN);
    let began = Instant::now();
    pair.until_equal(LARGE);
    pair.say(&format!("known to both {:.1} s after Normal", began.elapsed().as_secs_f32()));
    pair.until_normal(1);
    pair.assert_isc_content();
}
