//! Failover is switched off, one server goes on without a partner, and failover is switched on again.

use std::thread::sleep;
use std::time::Duration;

use interop::client::Client;
use interop::crowd::Crowd;
use interop::pair::{Pair, Role};
use interop::until;

use crate::{RETURN_AFTER_MCLT, with_leases};

/// Waits until the server that goes on serves.
fn until_it_serves_alone(pair: &mut Pair) {
    match pair.role {
        Role::Primary => pair.until_ours("CommunicationsInterrupted", 10),
        Role::Secondary => until("a dhcpd that serves", 10, || {
            let log = pair.isc.log();
            log.contains("Server starting service.").then_some(()).ok_or(log)
        }),
    }
}

/// The main server goes on alone, and its backup comes back as a new one, without any leases: the procedure of the
/// manuals.
pub(crate) fn failover_is_off_for_a_while_and_the_backup_comes_back_empty(role: Role) {
    let (mut pair, clients) = with_leases("off-and-on", role);
    pair.ours.stop();
    pair.isc.stop();
    pair.change(|setup| {
        setup.ours_alone = role == Role::Primary;
        setup.isc_alone = role == Role::Secondary;
    });
    let main = match role {
        Role::Primary => {
            pair.start_ours();
            pair.our_address()
        }
        Role::Secondary => {
            pair.start_isc();
            pair.isc_address()
        }
    };
    until_it_serves_alone(&mut pair);
    pair.renew_all(&clients, main);
    if role == Role::Primary {
        // Half of the addresses are the other's until it is declared down.
        pair.ours.force("PartnerDown", &[]).unwrap_or_else(|why| panic!("{why}"));
        sleep(Duration::from_secs(62));
    }
    let mut crowd = Crowd::new(&mut pair.lab);
    let taken = crowd.take(&pair.lab, 1, 25, &[main]).unwrap_or_else(|why| panic!("{why}"));
    pair.say(&format!("{taken} more clients at the one that is alone"));
    assert_eq!(taken + clients.len(), 20, "all addresses are its own");
    sleep(Duration::from_secs(3));
    crowd.give_up(&pair.lab, "release", main, 6).unwrap_or_else(|why| panic!("{why}"));
    sleep(Duration::from_secs(3));

    pair.change(|setup| (setup.ours_alone, setup.isc_alone) = (false, false));
    let other = match role {
        Role::Primary => {
            pair.ours.stop();
            pair.isc.lose_leases();
            pair.isc_address()
        }
        Role::Secondary => {
            pair.isc.stop();
            pair.forget_our_store();
            pair.our_address()
        }
    };
    pair.start_isc();
    pair.start_ours();
    pair.until_agreed(RETURN_AFTER_MCLT);
    let renewed = crowd.renew(&pair.lab, other).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(renewed, crowd.leases.len(), "the new server knows all leases");
    let mut newcomers = [Client::new(&mut pair.lab, 3), Client::new(&mut pair.lab, 7)];
    for client in &mut newcomers {
        pair.take(client);
    }
    pair.ends_well(&clients, other);
}

/// Nothing was decided meanwhile: a dhcpd goes on beside our primary, which has no partner; a dhcpd without a partner
/// goes on while our secondary is away. Each keeps what it had.
pub(crate) fn failover_is_off_for_a_moment_and_both_keep_their_leases(role: Role) {
    let (mut pair, mut clients) = with_leases("off-a-moment", role);
    pair.ours.stop();
    pair.change(|setup| {
        setup.ours_alone = role == Role::Primary;
        setup.isc_alone = role == Role::Secondary;
    });
    let (ours, theirs) = (pair.our_address(), pair.isc_address());
    let servers = match role {
        Role::Primary => {
            pair.start_ours();
            vec![ours, theirs]
        }
        Role::Secondary => {
            pair.isc.stop();
            pair.start_isc();
            vec![theirs]
        }
    };
    until_it_serves_alone(&mut pair);
    let mut crowd = Crowd::new(&mut pair.lab);
    for server in &servers {
        pair.renew_all(&clients, *server);
        let first = 1 + 10 * crowd.leases.len() as u32;
        let taken = crowd.take(&pair.lab, first, 4, &[*server]).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(taken, 4, "{server} has addresses of its own");
    }
    if role == Role::Primary {
        // A dhcpd that forgot its partner may have forgotten leases, so what ended there is believed only later.
        sleep(Duration::from_secs(3));
        clients[1].release_at(&pair.lab, servers[0]).unwrap_or_else(|why| panic!("{why}"));
    }

    pair.change(|setup| (setup.ours_alone, setup.isc_alone) = (false, false));
    match role {
        Role::Primary => pair.ours.stop(),
        Role::Secondary => {
            pair.isc.stop();
            pair.start_isc();
        }
    }
    pair.start_ours();
    pair.until_agreed(RETURN_AFTER_MCLT);
    for server in [theirs, ours] {
        let renewed = crowd.renew(&pair.lab, server).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(renewed, crowd.leases.len(), "{server} knows all leases");
    }
    pair.ends_well(&clients[..1], ours);
}
