//! Clocks that do not agree.

use std::thread::sleep;
use std::time::Duration;

use interop::client::Client;
use interop::isc::OTHER_CLOCK;
use interop::ours::Ours;
use interop::pair::Role;
use interop::until;

use crate::{RETURN, SYNC, in_normal, with_leases};

pub(crate) fn a_dhcpd_whose_clock_is_40_seconds_ahead_is_a_good_partner(role: Role) {
    let mut pair = in_normal("clock-40", role);
    pair.isc.kill();
    pair.set_isc_clock(40);
    pair.start_isc();
    pair.until_normal(RETURN);
    let mut clients = [Client::new(&mut pair.lab, 1), Client::new(&mut pair.lab, 5)];
    pair.take_for_long(&mut clients);
    for server in [pair.our_address(), pair.isc_address()] {
        pair.renew_all(&clients, server);
    }
    pair.until_equal(SYNC);
    pair.until_normal(1);
    pair.assert_isc_content();
}

pub(crate) fn a_dhcpd_whose_clock_is_70_seconds_ahead_is_refused_until_it_is_set(role: Role) {
    let (mut pair, clients) = with_leases("clock-70", role);
    pair.isc.kill();
    pair.until_ours("CommunicationsInterrupted", 30);
    pair.set_isc_clock(70);
    pair.start_isc();
    until("ours says that the clocks differ", RETURN, || {
        let log = pair.ours.log();
        if log.contains("differ by 70 s") || log.contains("differ by 69 s") {
            Ok(())
        } else {
            Err(tail(&log))
        }
    });
    // Each serves its own clients meanwhile; a dhcpd waits a moment for its partner first.
    pair.until_isc("communications-interrupted", 30);
    for server in [pair.our_address(), pair.isc_address()] {
        pair.renew_all(&clients, server);
    }
    pair.until_ours("CommunicationsInterrupted", 1);
    pair.isc.kill();
    pair.set_isc_clock(0);
    pair.start_isc();
    pair.until_agreed(2 * RETURN);
    pair.assert_isc_says_only(OTHER_CLOCK);
}

/// While it runs and is in Normal.
pub(crate) fn a_dhcpds_clock_is_set_forward_and_back(role: Role) {
    let mut pair = in_normal("clock-set", role);
    pair.isc.kill();
    pair.set_isc_clock(1);
    pair.start_isc();
    pair.until_normal(RETURN);
    let mut clients = [Client::new(&mut pair.lab, 1), Client::new(&mut pair.lab, 5)];
    pair.take_for_long(&mut clients);
    for (seconds, number) in [(40, 3), (1, 7)] {
        pair.set_running_isc_clock(seconds);
        pair.say(&format!("the dhcpd's clock is {seconds} s ahead"));
        let mut newcomer = Client::new(&mut pair.lab, number);
        pair.take(&mut newcomer);
        for server in [pair.isc_address(), pair.our_address()] {
            pair.renew_all(&clients, server);
            pair.until_equal(SYNC);
        }
        pair.until_normal(1);
    }
    pair.assert_isc_content();
}

/// Ours, too; set back, it answers nobody new until the time is one that it had not promised anything for yet.
pub(crate) fn our_clock_is_set_forward_and_back(role: Role) {
    let mut pair = in_normal("our-clock-set", role);
    pair.ours.stop();
    Ours::set_clock(&pair.lab, 0);
    pair.start_ours();
    pair.until_normal(RETURN);
    let mut clients = [Client::new(&mut pair.lab, 1), Client::new(&mut pair.lab, 5)];
    pair.take_for_long(&mut clients);
    for (seconds, number) in [(40, 3), (0, 7)] {
        Ours::set_clock(&pair.lab, seconds);
        sleep(Duration::from_secs(2));
        pair.say(&format!("our clock is {seconds} s ahead"));
        // The dhcpd serves meanwhile.
        pair.renew_all(&clients, pair.isc_address());
        until("an answer of ours", 60, || clients[0].renew_at(&pair.lab, pair.our_address()));
        let mut newcomer = Client::new(&mut pair.lab, number);
        pair.take(&mut newcomer);
        for server in [pair.our_address(), pair.isc_address()] {
            pair.renew_all(&clients, server);
            pair.until_equal(SYNC);
        }
        pair.until_normal(1);
    }
    pair.assert_isc_content();
}

fn tail(log: &str) -> String {
    interop::process::tail(log, 5)
}
