//! One of the servers comes back with nothing.

use interop::client::Client;
use interop::pair::Role;

use crate::{RETURN_AFTER_MCLT, SYNC, in_normal};

pub(crate) fn the_dhcpd_loses_its_lease_file(role: Role) {
    let mut pair = in_normal("lost-theirs", role);
    let mut clients = [Client::new(&mut pair.lab, 1), Client::new(&mut pair.lab, 5)];
    pair.take_for_long(&mut clients);
    pair.isc.kill();
    pair.isc.lose_leases();
    pair.until_ours("CommunicationsInterrupted", 30);
    clients[0].renew_at(&pair.lab, pair.our_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.start_isc();
    pair.until_normal(RETURN_AFTER_MCLT);
    pair.until_equal(SYNC);
    pair.ends_well(&clients, pair.isc_address());
}

pub(crate) fn our_server_loses_its_store(role: Role) {
    let mut pair = in_normal("lost-ours", role);
    let mut clients = [Client::new(&mut pair.lab, 1), Client::new(&mut pair.lab, 5)];
    pair.take_for_long(&mut clients);
    pair.ours.kill();
    pair.lose_our_store();
    pair.until_isc("communications-interrupted", 30);
    clients[0].renew_at(&pair.lab, pair.isc_address()).unwrap_or_else(|why| panic!("{why}"));
    pair.start_ours();
    pair.until_normal(RETURN_AFTER_MCLT);
    pair.until_equal(SYNC);
    pair.ends_well(&clients, pair.our_address());
}
