//! Our server and Debian's dhcpd as partners, in both roles.

mod alone;
mod basics;
mod clocks;
mod crowds;
mod drawn;
mod flags;
mod lost;
mod mistakes;
mod observed;
mod partner_down;
mod pools;
mod setups;
mod times;

use interop::client::Client;
use interop::crowd::Crowd;
use interop::pair::{Pair, Role, SYNC, Setup};
use interop::until;

/// Each story for both roles of ours.
macro_rules! both_roles {
    ($($module:ident: $($story:ident),+;)+) => {
        mod ours_is_primary {
            $($(#[test] fn $story() { crate::$module::$story(interop::pair::Role::Primary); })+)+
        }
        mod ours_is_secondary {
            $($(#[test] fn $story() { crate::$module::$story(interop::pair::Role::Secondary); })+)+
        }
    };
}

both_roles!(
    alone:
        failover_is_off_for_a_while_and_the_backup_comes_back_empty,
        failover_is_off_for_a_moment_and_both_keep_their_leases;
    basics:
        first_contact_splits_the_pool,
        leases_reach_the_other_server,
        our_server_is_killed_and_returns,
        the_dhcpd_is_killed_and_returns,
        the_dhcpd_stops_for_a_moment,
        a_cable_is_pulled_for_40_seconds,
        leases_end_by_time,
        leases_end_while_a_cable_is_pulled,
        our_server_stops_for_a_moment;
    clocks:
        a_dhcpd_whose_clock_is_40_seconds_ahead_is_a_good_partner,
        a_dhcpd_whose_clock_is_70_seconds_ahead_is_refused_until_it_is_set,
        a_dhcpds_clock_is_set_forward_and_back,
        our_clock_is_set_forward_and_back;
    crowds:
        two_hundred_leases_are_made_renewed_and_given_up_at_either,
        five_thousand_updates_of_ours_are_sent_after_a_cut,
        five_thousand_updates_of_the_dhcpd_arrive_after_a_cut;
    drawn:
        day_1,
        day_2,
        day_3;
    flags:
        a_bootp_client_of_the_dhcpd_keeps_its_address,
        a_lease_that_both_reserve_stays_its_clients;
    lost:
        the_dhcpd_loses_its_lease_file,
        our_server_loses_its_store,
        leases_end_while_our_store_is_lost;
    mistakes:
        another_name_for_the_relationship,
        both_have_the_same_role;
    observed:
        every_message_is_traced_in_a_line_and_counted;
    partner_down:
        ours_takes_over_from_a_dead_dhcpd,
        a_dhcpd_dies_with_leases_that_it_never_told,
        the_dhcpd_takes_over_from_ours,
        ours_is_shut_down,
        the_dhcpd_is_shut_down,
        the_dhcpd_is_shut_down_unheard,
        both_were_in_partner_down,
        both_gave_out_the_same_addresses;
    pools:
        all_addresses_are_leased_and_come_back,
        a_reserved_address_stays_its_clients,
        a_reservation_outside_the_ranges_is_served_by_both,
        an_address_declined_at_ours_stays_out_of_use,
        split_0_leaves_all_clients_to_the_secondary,
        split_64_leaves_each_client_to_one_server,
        split_256_leaves_all_clients_to_the_primary,
        an_hba_leaves_each_client_to_one_server;
    setups:
        a_pair_of_another_kind_lives_through_a_day,
        releases_cross_a_take_over,
        who_left_ours_and_came_back_at_the_dhcpd_stays,
        a_client_has_two_leases;
    times:
        another_mclt_is_in_force_at_both_after_a_restart,
        another_length_of_leases_is_agreed,
        a_lease_without_end_is_the_same_at_both;
);

/// First contact of two empty servers may take the MCLT.
const FIRST_CONTACT: u64 = 110;
/// From the return of a server to Normal.
const RETURN: u64 = 60;
/// The same, if the MCLT has to pass.
const RETURN_AFTER_MCLT: u64 = 150;

/// Clients come to both servers until so many addresses are leased.
fn fill(pair: &Pair, crowd: &mut Crowd, count: usize) {
    until(&format!("{count} addresses leased"), 120, || {
        let from = 1 + 100 * crowd.leases.len() as u32;
        crowd.take(&pair.lab, from, 5, &[pair.our_address(), pair.isc_address()])?;
        match crowd.leases.len() {
            leased if leased >= count => Ok(()),
            leased => Err(format!("{leased}, free {:?}", pair.split())),
        }
    });
}

fn in_normal(label: &str, role: Role) -> Pair {
    met(Setup::new(role).start(label))
}

/// Waits for the first Normal.
fn met(mut pair: Pair) -> Pair {
    pair.until_agreed(FIRST_CONTACT);
    pair
}

/// In Normal; two clients, one of each server, have leases that both know.
fn with_leases(label: &str, role: Role) -> (Pair, [Client; 2]) {
    let mut pair = in_normal(label, role);
    let mut clients = [Client::new(&mut pair.lab, 1), Client::new(&mut pair.lab, 5)];
    pair.take_for_long(&mut clients);
    (pair, clients)
}
