//! The search of §3.6: every configuration that two servers can reach ends in Normal once faults end, and
//! each rule of §3 is needed for that.

#[path = "support/search.rs"]
mod support;

use std::collections::BTreeSet;

use api::identity::State;
use marks::{Mark, Reach};

use self::State::{
    CommunicationsInterrupted as CI, ConflictDone as CD, PartnerDown as PD, PotentialConflict as PC,
    RecoverDone as RDONE, ResolutionInterrupted as RI,
};
use self::support::{Configuration, Events, Faults, Rules, faults_of, reachable};

/// Scenario A.
const CUTS: Events =
    Events { cuts_and_restarts: true, lost_volumes: false, safe_period: false, commands: false };
/// Scenario B.
const LOSSES: Events = Events { lost_volumes: true, ..CUTS };
/// Scenario C.
const SAFE_PERIOD: Events = Events { safe_period: true, ..LOSSES };
/// Scenario D.
const COMMANDS: Events = Events { commands: true, ..SAFE_PERIOD };

fn pairs(configurations: &[Configuration]) -> BTreeSet<(State, State)> {
    configurations.iter().map(Configuration::states).collect()
}

fn held(pairs: &BTreeSet<(State, State)>) -> usize {
    let stopped = |state| matches!(state, State::Paused | State::Shutdown);
    pairs.iter().filter(|(primary, secondary)| stopped(*primary) || stopped(*secondary)).count()
}

fn has_conflict(pairs: &BTreeSet<(State, State)>) -> bool {
    let conflict = |state| matches!(state, PC | RI | CD);
    pairs.iter().any(|(primary, secondary)| conflict(*primary) || conflict(*secondary))
}

fn faults_without(rules: Rules, events: Events) -> Faults {
    faults_of(&reachable(events, rules), rules)
}

fn dead_ends<const LEN: usize>(pairs: [(State, State); LEN]) -> Faults {
    Faults { dead_ends: BTreeSet::from(pairs), livelock: false }
}

#[test]
fn cuts_and_restarts_alone_always_end_in_normal_and_never_in_conflict() {
    let found = reachable(CUTS, Rules::ALL);
    assert_eq!(found.len(), 1202);
    assert_eq!(pairs(&found).len(), 20);
    assert!(!has_conflict(&pairs(&found)));
    assert_eq!(faults_of(&found, Rules::ALL), Faults::default());
}

#[test]
fn lost_volumes_as_well_end_in_normal_and_never_in_conflict() {
    let found = reachable(LOSSES, Rules::ALL);
    assert_eq!(found.len(), 1590);
    assert_eq!(pairs(&found).len(), 26);
    assert!(!has_conflict(&pairs(&found)));
    assert_eq!(faults_of(&found, Rules::ALL), Faults::default());
}

#[test]
fn what_a_safe_period_brings_about_ends_in_normal_as_well() {
    let found = reachable(SAFE_PERIOD, Rules::ALL);
    assert_eq!(found.len(), 5121);
    assert_eq!(pairs(&found).len(), 56);
    assert_eq!(faults_of(&found, Rules::ALL), Faults::default());
}

#[test]
fn commands_at_any_time_end_in_normal_unless_they_stop_a_server() {
    let found = reachable(COMMANDS, Rules::ALL);
    assert_eq!(found.len(), 91_270);
    assert_eq!((pairs(&found).len(), held(&pairs(&found))), (107, 37));
    assert_eq!(faults_of(&found, Rules::ALL), Faults::default());
}

/// H-24: both recorded the other before the cut, and neither has anything new to say.
#[test]
fn without_a_look_at_each_first_state_two_servers_wait_for_each_other() {
    let faults = faults_without(Rules { first_state: false, ..Rules::ALL }, SAFE_PERIOD);
    assert!(faults.dead_ends.contains(&(CI, CI)), "{faults:?}");
    assert_eq!((faults.dead_ends.len(), faults.livelock), (19, false), "{faults:?}");
}

/// H-24: RecoverDone was announced with the flag, so the survivor in PartnerDown did not react.
#[test]
fn without_a_look_at_the_flag_a_survivor_stays_in_partner_down() {
    let faults = faults_without(Rules { flag_change: false, ..Rules::ALL }, SAFE_PERIOD);
    assert_eq!(faults, dead_ends([(PD, RDONE), (RDONE, PD)]));
}

/// H-24: the primary's ConflictDone is old news when the secondary enters PotentialConflict.
#[test]
fn without_its_question_on_entry_a_secondary_stays_in_conflict() {
    let faults = faults_without(Rules { secondary_asks_on_entry: false, ..Rules::ALL }, SAFE_PERIOD);
    assert_eq!(faults, dead_ends([(CD, PC)]));
}

/// H-25.
#[test]
fn an_announced_detour_to_normal_makes_two_servers_answer_each_other_for_ever() {
    let faults = faults_without(Rules { internal_reentry: false, ..Rules::ALL }, SAFE_PERIOD);
    assert!(faults.livelock, "{faults:?}");
    assert!(faults.dead_ends.is_empty(), "{faults:?}");
}

/// H-24: what the partner said while we were in RecoverWait is not said again.
#[test]
fn without_a_second_look_recover_done_misses_what_the_partner_became() {
    let faults = faults_without(Rules { rerun_on_recover_done: false, ..Rules::ALL }, COMMANDS);
    assert_eq!(faults, dead_ends([(CD, RDONE), (RDONE, PC)]));
}

/// H-24: PartnerDown would wait for a STATE that its partner has said already.
#[test]
fn partner_down_commanded_against_a_partner_on_its_way_back_never_ends() {
    let faults = faults_without(Rules { live_partner_refuses: false, ..Rules::ALL }, COMMANDS);
    assert_eq!(faults, dead_ends([(PD, PC), (PD, RDONE), (RDONE, PD)]));
}

/// H-25: an answer to the request of an old conflict ends the new one for one side only.
#[test]
fn an_answer_that_outlives_its_question_makes_two_servers_chase_each_other() {
    let faults = faults_without(Rules { cancel: false, ..Rules::ALL }, SAFE_PERIOD);
    assert!(faults.livelock, "{faults:?}");
    assert!(faults.dead_ends.is_empty(), "{faults:?}");
}

/// It still ends in Normal, but recoveries that nothing disturbed become conflicts by a mere restart.
#[test]
fn judging_times_for_a_start_in_recovery_makes_conflicts_out_of_restarts() {
    let rules = Rules { start_rows: false, ..Rules::ALL };
    assert!(has_conflict(&pairs(&reachable(CUTS, rules))));
    assert_eq!(reachable(SAFE_PERIOD, rules).len(), 6169);
}

/// It still ends in Normal, but a primary that lost its leases serves all clients before the time from
/// which that is safe (RC-10).
#[test]
fn a_primary_that_lost_its_data_serves_too_early_unless_it_waits_in_conflict() {
    let serves_blindly = |rules| {
        let found = reachable(SAFE_PERIOD, rules);
        found.iter().any(|found| found.servers[0].state == CD && found.servers[0].data_lost)
    };
    assert!(!serves_blindly(Rules::ALL));
    assert!(serves_blindly(Rules { lost_data_waits: false, ..Rules::ALL }));
}

/// What the simulator is told that it need not look for (`marks::unreachable`): cells of table 3.1 that no order of all
/// these events reads.
#[test]
fn cells_said_to_be_beyond_reach_are_read_by_no_order_of_events() {
    let _ = marks::take();
    reachable(COMMANDS, Rules::ALL);
    let hits = marks::take();
    let cells = marks::needs(true).into_iter().filter(|need| matches!(need.mark, Mark::Transition { .. }));
    let (read, rest): (Vec<_>, Vec<_>) = cells.partition(|need| need.is_met_by(&hits));
    let wrong: Vec<String> = read
        .iter()
        .filter(|need| matches!(marks::unreachable(need), Some(Reach::Never(_) | Reach::NotBetweenOurs(_))))
        .map(ToString::to_string)
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
    for need in &rest {
        println!("not read: {need}: {:?}", marks::unreachable(need));
    }
    assert!(read.len() > rest.len(), "{} cells are read, {} are not", read.len(), rest.len());
}
