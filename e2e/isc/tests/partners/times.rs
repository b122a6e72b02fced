//! Lengths that change while leases run, leases without end, and clocks that are set.

use interop::client::Client;
use interop::pair::{Pair, Role, Setup};
use interop::until;

use crate::{RETURN, SYNC, met, with_leases};

/// Both servers are started again, one after the other, with something changed.
fn change(pair: &mut Pair, change: impl FnOnce(&mut Setup)) {
    pair.change(change);
    pair.ours.stop();
    pair.start_ours();
    pair.until_normal(RETURN);
    pair.isc.stop();
    pair.start_isc();
    pair.until_normal(RETURN);
}

/// New clients of either server get a first lease that lasts as long as the MCLT.
fn new_clients_get(pair: &mut Pair, numbers: [u8; 2], mclt: u32) {
    for number in numbers {
        let mut client = Client::new(&mut pair.lab, number);
        pair.take(&mut client);
        let taken = client.lease.expect("a lease");
        assert_eq!(taken.seconds, mclt, "from {}", taken.server);
    }
    pair.until_equal(SYNC);
}

pub(crate) fn another_mclt_is_in_force_at_both_after_a_restart(role: Role) {
    let (mut pair, clients) = with_leases("mclt", role);
    for (mclt, numbers) in [(120, [3, 7]), (30, [4, 8])] {
        change(&mut pair, |setup| setup.mclt = mclt);
        pair.say(&format!("MCLT {mclt} s"));
        new_clients_get(&mut pair, numbers, mclt);
        let status = pair.ours.status().unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(status["mcltSeconds"], mclt, "{status}");
        for server in [pair.our_address(), pair.isc_address()] {
            pair.renew_all(&clients, server);
        }
        pair.until_equal(SYNC);
    }
    pair.assert_isc_content();
}

pub(crate) fn another_length_of_leases_is_agreed(role: Role) {
    let (mut pair, clients) = with_leases("length", role);
    for length in [200, 1200] {
        change(&mut pair, |setup| setup.lease_seconds = length);
        pair.say(&format!("leases of {length} s"));
        for server in [pair.our_address(), pair.isc_address(), pair.our_address()] {
            for client in &clients {
                // The first renewal is bounded by what the other server was told before.
                until("the new length", 10, || match client.renew_at(&pair.lab, server)? {
                    seconds if seconds == length => Ok(()),
                    seconds => Err(format!("{seconds} s at {server}")),
                });
            }
            pair.until_equal(SYNC);
        }
    }
    pair.assert_isc_content();
}

pub(crate) fn a_lease_without_end_is_the_same_at_both(role: Role) {
    let mut pair = met(Setup { lease_seconds: u32::MAX, ..Setup::new(role) }.start("endless"));
    let mut clients = [Client::new(&mut pair.lab, 1), Client::new(&mut pair.lab, 5)];
    for client in &mut clients {
        pair.take(client);
        assert_eq!(client.lease.as_ref().map(|lease| lease.seconds), Some(60), "the MCLT first");
    }
    pair.until_equal(SYNC);
    for server in [pair.our_address(), pair.isc_address()] {
        for client in &clients {
            until("a lease without end", 10, || match client.renew_at(&pair.lab, server)? {
                u32::MAX => Ok(()),
                // A dhcpd says until when: the largest time that the protocol knows.
                seconds if server == pair.isc_address() && seconds > 300_000_000 => Ok(()),
                seconds => Err(format!("{seconds} s at {server}")),
            });
        }
        pair.until_equal(SYNC);
    }
    pair.assert_isc_content();
}
