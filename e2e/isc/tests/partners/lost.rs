//! One of the servers comes back with nothing.

use interop::pair::Role;

use crate::{RETURN_AFTER_MCLT, with_leases};

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
