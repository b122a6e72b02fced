//! Which rules the stories with a partner that speaks octets bring about: all that only a dhcpd needs, and what two
//! servers of ours never say to each other, so that the simulator cannot. `marks::unreachable` says why.

use api::identity::Role;
use marks::Reach;

use crate::bench::Manners;
use crate::{amnesia, barrier, bindings, databases, fence, grid, holes, requests, strange};

#[test]
fn every_rule_that_needs_a_dhcpd_or_a_strange_partner_is_reached() {
    let _ = marks::take();
    for role in [Role::Primary, Role::Secondary] {
        for manners in [Manners::Own, Manners::Isc] {
            assert_eq!(grid::differences(role, manners), Vec::<String>::new());
        }
    }
    bindings::every_cell_is_as_in_the_table();
    amnesia::a_dhcpd_that_remembers_its_state_ends_its_leases_in_their_time();
    barrier::beside_a_dhcpd_nobody_new_is_served_until_it_has_told_what_it_granted_alone();
    requests::rc_7_who_answers_no_request_is_asked_on_another_connection();
    requests::rc_6_after_a_request_for_everything_that_was_cut_short_a_lesser_one_is_one_for_everything();
    requests::a_dhcpd_that_tells_less_than_it_acknowledged_is_told_again();
    databases::what_differs_for_two_minutes_is_told_again();
    fence::who_never_made_the_change_that_a_fence_names_numbers_its_own_beyond_it();
    fence::who_hears_its_partner_where_it_may_be_let_go_from_answers_nobody();
    holes::what_is_in_no_pool_is_kept_for_its_client();
    holes::a_release_by_a_clock_that_is_ahead_counts_beyond_the_difference();
    holes::who_lost_its_leases_confirms_no_end_to_a_dhcpd_primary();
    holes::in_recover_done_a_dhcpd_is_asked_before_it_is_told_of_ends();
    holes::a_lease_that_is_over_does_not_replace_one_that_runs();
    holes::a_declined_address_is_out_of_use_at_a_dhcpd_as_long_as_here();
    strange::who_has_stopped_stays_whatever_was_on_its_way();
    strange::a_survivor_waits_for_a_word_without_the_flag();
    strange::a_duel_has_one_winner();
    strange::who_wins_a_duel_against_a_dhcpd_makes_its_lease_as_long();
    strange::what_a_dhcpd_ended_in_a_duel_that_it_lost_is_asked_for_once_it_is_over();
    strange::a_duel_over_a_lease_that_is_over_goes_to_the_dhcpd();
    strange::what_no_server_of_ours_says();
    strange::an_address_abandoned_here_was_used_by_the_survivor();
    strange::a_quarantine_lasts_until_the_next_normal();
    strange::a_dhcpd_in_any_state_is_told_what_it_can_bear();
    strange::only_a_dhcpd_needs_these();
    let hits = marks::take();

    let mut wrong = Vec::new();
    for own in [true, false] {
        for need in marks::needs(own) {
            let (met, group) = (need.is_met_by(&hits), need.mark.group());
            match marks::unreachable(&need) {
                Some(Reach::Never(proof)) if met => {
                    wrong.push(format!("reached, although {proof}: {group}: {need}"));
                }
                Some(Reach::NotBetweenOurs(_) | Reach::Rare(_)) if !met => {
                    wrong.push(format!("not reached over octets: {group}: {need}"));
                }
                None if !own && !met => wrong.push(format!("not reached beside a dhcpd: {group}: {need}")),
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{} rules:\n{}", wrong.len(), wrong.join("\n"));
}
