//! One of the servers comes back with nothing.

use std::thread::sleep;
use std::time::Duration;

use interop::client::Client;
use interop::pair::Role;

use crate::{RETURN_AFTER_MCLT, SYNC, in_normal, with_leases};

pub(crate) fn the_dhcpd_loses_its_lease_file(role: Role) {
    let (mut pair, clients) = with_leases("lost-theirs", role);
    pair.isc.kill();
    pair.isc.lose_leases();
    pair.until_ours("CommunicationsInterrupted", 30);
    clients[0].renew_at(&pair.lab, pair.our_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.start_isc();
    pair.until_agreed(RETURN_AFTER_MCLT);
    pair.ends_well(&clients, pair.isc_address());
}

pub(crate) fn our_server_loses_its_store(role: Role) {
    let (mut pair, clients) = with_leases("lost-ours", role);
    pair.ours.kill();
    pair.lose_our_store();
    pair.until_isc("communications-interrupted", 30);
    clients[0].renew_at(&pair.lab, pair.isc_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.start_ours();
    pair.until_agreed(RETURN_AFTER_MCLT);
    pair.ends_well(&clients, pair.our_address());
}

/// A dhcpd that is primary gives an address away at once when its partner agrees that the lease is over. Ours does not agree
/// before it knows what it may have granted itself, and then all of them must come back.
pub(crate) fn leases_end_while_our_store_is_lost(role: Role) {
    let mut pair = in_normal("lost-ended", role);
    let mut clients = [1, 3, 5, 7].map(|number| Client::new(&mut pair.lab, number));
    for client in &mut clients {
        pair.take(client);
    }
    pair.until_equal(SYNC);
    pair.ours.kill();
    pair.lose_our_store();
    pair.until_isc("communications-interrupted", 30);
    sleep(Duration::from_secs(65));
    pair.say("the leases are over");
    pair.start_ours();
    pair.until_agreed(RETURN_AFTER_MCLT);
    for client in &mut clients {
        pair.take(client);
    }
    pair.until_equal(SYNC);
    pair.until_normal(1);
    pair.assert_isc_says_only(&["rejected: what was lost here may have leased it since"]);
}
