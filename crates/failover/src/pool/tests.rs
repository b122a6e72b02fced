//! The worked examples of `spec/failover-behaviour.md` §6.2 to §6.4, by their names.

use std::net::Ipv4Addr;

use api::identity::{Role, State};
use proptest::prelude::*;

use super::{
    Candidate, Counts, IscBalance, Move, Shares, balance, boundary, give_count, needs_request, reclaim_count,
    target, to_give, to_take_back,
};

fn counts(free: u32, backup: u32) -> Counts {
    Counts { free, backup }
}

fn host(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, last)
}

/// Free addresses of the range .10 to .209.
fn candidates(free: impl Iterator<Item = u8>) -> Vec<Candidate> {
    free.map(|last| Candidate { address: host(last), preferred: false }).collect()
}

fn hosts(range: impl Iterator<Item = u8>) -> Vec<Ipv4Addr> {
    range.map(host).collect()
}

#[test]
fn pb_1_ten_percent_of_254_are_25_and_229_stay() {
    assert_eq!(target(254, 10), 25);
    assert_eq!(give_count(counts(254, 0), 10, Role::Primary, State::Normal), 25);
}

#[test]
fn pb_2_a_share_above_zero_is_at_least_one_of_two_addresses() {
    assert_eq!(target(9, 10), 1);
    assert_eq!(target(2, 1), 1);
    assert_eq!(target(1, 10), 0);
}

#[test]
fn pb_3_load_balancing_halves_the_pool() {
    let shares = Shares { load_balancing: true, pair_pct: Some(10), ..Shares::default() };
    assert_eq!(target(255, shares.pct()), 127);
}

#[test]
fn pb_4_zero_percent_is_nothing() {
    assert_eq!(target(200, 0), 0);
}

#[test]
fn pb_5_the_scope_overrules_the_pair_and_load_balancing_both() {
    let shares = Shares { scope_pct: Some(20), pair_pct: Some(10), ..Shares::default() };
    assert_eq!(target(200, shares.pct()), 40);
    assert_eq!(target(200, Shares { load_balancing: true, ..shares }.pct()), 100);
}

#[test]
fn pb_6_dynamic_bootp_takes_the_first_share_above_zero() {
    let shares = Shares { dynamic_bootp: true, pair_pct: Some(10), ..Shares::default() };
    assert_eq!(target(200, Shares { pair_dynamic_pct: Some(15), ..shares }.pct()), 30);
    for unset in [None, Some(0)] {
        let scope = Shares { scope_dynamic_pct: unset, scope_pct: Some(20), ..shares };
        assert_eq!(target(200, scope.pct()), 40);
    }
    assert_eq!(target(200, shares.pct()), 20);
    assert_eq!(Shares::default().pct(), 10);
}

#[test]
fn pb_7_a_primary_short_of_its_share_takes_the_surplus_back() {
    let before = counts(229 - 129, 25);
    assert_eq!((before.available(), target(before.available(), 10)), (125, 12));
    assert_eq!(reclaim_count(before, 10), 13);
    assert_eq!(balance(before, 10, false), Move::Reclaim(13));
    let after = counts(113, 12);
    assert_eq!(balance(after, 10, false), Move::Nothing);
}

#[test]
fn pb_8_what_the_secondary_refused_is_asked_for_again_in_an_hour() {
    // Four of the thirteen were leased meanwhile: they are not free any more.
    let after = counts(100 + 9, 12);
    assert_eq!(after.available(), 121);
    assert_eq!(balance(after, 10, false), Move::Nothing, "90 % of 121 are the primary's");
    assert_eq!(balance(counts(100, 12), 10, false), Move::Reclaim(1));
}

#[test]
fn pb_9_a_request_is_answered_up_to_the_target_and_the_next_one_with_zero() {
    let before = counts(229, 5);
    assert!(needs_request(before, 10), "5 of 23");
    assert_eq!(target(before.available(), 10), 23);
    assert_eq!(give_count(before, 10, Role::Primary, State::Normal), 18);
    let after = counts(211, 23);
    assert_eq!(give_count(after, 10, Role::Primary, State::Normal), 0);
    assert!(!needs_request(after, 10));
}

#[test]
fn a_request_needs_less_than_half_of_the_target() {
    assert!(!needs_request(counts(88, 12), 24), "12 of 24 are half");
    assert!(needs_request(counts(89, 11), 24));
    assert!(!needs_request(counts(1, 0), 10), "no target, no request");
}

#[test]
fn only_a_primary_in_normal_gives() {
    for state in State::ALL {
        let given = give_count(counts(254, 0), 10, Role::Primary, state);
        assert_eq!(given, if state == State::Normal { 25 } else { 0 }, "{state}");
        assert_eq!(give_count(counts(0, 254), 10, Role::Secondary, state), 0, "{state}");
    }
    assert_eq!(give_count(counts(3, 0), 100, Role::Primary, State::Normal), 3, "no more than it has");
}

#[test]
fn balanced_load_moves_addresses_both_ways_beyond_a_tenth() {
    assert_eq!(balance(counts(60, 40), 50, true), Move::Nothing);
    assert_eq!(balance(counts(61, 39), 50, true), Move::Give(11));
    assert_eq!(balance(counts(39, 61), 50, true), Move::Reclaim(11));
    assert_eq!(balance(counts(2, 0), 50, true), Move::Nothing, "off by one is no misbalance");
}

#[test]
fn isc_figures_are_those_that_were_seen_on_the_wire() {
    // F 30 B 5: thresh 5, panic -10, the secondary's lts -12 makes it ask; the primary gives 12.
    let secondary = IscBalance::new(counts(30, 5), Role::Secondary);
    assert_eq!((secondary.lts, secondary.thresh, secondary.panic), (-12, 5, -10));
    assert!(secondary.asks());
    let primary = IscBalance::new(counts(30, 5), Role::Primary);
    assert_eq!((primary.gives(), primary.hold), (12, 4));
    let after = IscBalance::new(counts(18, 17), Role::Secondary);
    assert!(!after.asks());
    // First contact, F 20: ten are given.
    assert_eq!(IscBalance::new(counts(20, 0), Role::Primary).gives(), 10);
}

#[test]
fn isc_with_few_addresses_asks_at_two_missing() {
    let one = IscBalance::new(counts(2, 0), Role::Secondary);
    assert_eq!((one.lts, one.thresh, one.panic), (-1, 0, -1));
    assert!(!one.asks());
    let two = IscBalance { lts: -2, ..one };
    assert!(two.asks());
}

#[test]
fn a_secondary_gives_back_its_surplus_over_half_to_an_isc_primary() {
    assert_eq!(IscBalance::new(counts(10, 90), Role::Secondary).gives(), 40);
    assert_eq!(IscBalance::new(counts(36, 64), Role::Secondary).gives(), 0, "within the threshold");
}

#[test]
fn bd_1_below_the_middle_the_highest_come_first() {
    let boundary = boundary(host(10), host(209), None);
    assert_eq!(boundary, host(109));
    assert_eq!(to_give(&candidates(10..=209), boundary, 20), hosts((89..=108).rev()));
    assert_eq!(super::boundary(host(10), host(209), Some(Ipv4Addr::UNSPECIFIED)), host(109));
}

#[test]
fn bd_2_a_set_boundary_replaces_the_middle() {
    let boundary = boundary(host(10), host(209), Some(host(150)));
    assert_eq!(to_give(&candidates(10..=209), boundary, 20), hosts((130..=149).rev()));
}

#[test]
fn bd_3_with_nothing_left_below_it_goes_on_above() {
    let expected: Vec<_> = [11, 10].into_iter().chain(12..=29).map(host).collect();
    assert_eq!(to_give(&candidates(10..=209), host(12), 20), expected);
}

#[test]
fn bd_4_when_all_below_are_leased_the_lowest_above_come_first() {
    assert_eq!(to_give(&candidates(120..=209), host(109), 3), hosts(120..=122));
}

#[test]
fn bd_5_a_boundary_below_the_range_gives_the_lowest_first() {
    assert_eq!(to_give(&candidates(10..=209), host(5), 3), hosts(10..=12));
}

#[test]
fn addresses_whose_clients_hash_to_the_taker_go_first() {
    let mut free = candidates(10..=20);
    free[9].preferred = true; // .19, above the boundary
    assert_eq!(to_give(&free, host(15), 3), [host(19), host(14), host(13)]);
    assert_eq!(to_take_back(&free, host(15), 3), [host(19), host(20), host(18)]);
}

proptest! {
    #[test]
    fn what_is_given_fits_and_meets_the_target(free in 0_u32..2000, backup in 0_u32..2000, pct in 0_u8..=100) {
        let before = counts(free, backup);
        let given = give_count(before, pct, Role::Primary, State::Normal);
        prop_assert!(given <= free);
        prop_assert!(given == 0 || backup + given <= target(before.available(), pct));
        let again = give_count(counts(free - given, backup + given), pct, Role::Primary, State::Normal);
        prop_assert_eq!(again, 0);
    }

    #[test]
    fn balance_comes_to_rest_after_one_move(
        free in 0_u32..2000, backup in 0_u32..2000, pct in 0_u8..=100, shared: bool,
    ) {
        let pct = if shared { 50 } else { pct };
        let after = match balance(counts(free, backup), pct, shared) {
            Move::Give(count) => counts(free - count, backup + count),
            Move::Nothing => counts(free, backup),
            Move::Reclaim(count) => counts(free + count, backup - count),
        };
        prop_assert_eq!(balance(after, pct, shared), Move::Nothing);
    }

    #[test]
    fn every_candidate_is_taken_once(last in prop::collection::btree_set(0_u8.., 0..60), middle: u8, count in 0_u32..80) {
        let free = candidates(last.iter().copied());
        for chosen in [to_give(&free, host(middle), count), to_take_back(&free, host(middle), count)] {
            let mut unique = chosen.clone();
            unique.sort();
            unique.dedup();
            prop_assert_eq!(unique.len(), chosen.len());
            prop_assert_eq!(chosen.len(), free.len().min(count as usize));
        }
    }
}
