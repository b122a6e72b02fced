//! Two endpoints against each other: every sequence and every numbered example of §3, §4, §8 and §11 of
//! the behaviour specification that an endpoint decides by itself.

mod commands;

#[path = "../support/pair.rs"]
mod support;

use api::identity::{Lsn, Role, State, StateStamp, StoreStamp};
use api::pair::StartupExpiry;
use api::time::{Now, Seconds, UnixTime};
use failover::endpoint::{Action, Endpoint, HoldReason, Progress, Refusal, Settings};
use failover::record::Record;
use failover::transition::Service;
use proptest::prelude::*;

use self::State::{
    CommunicationsInterrupted as CI, ConflictDone as CD, Normal as N, PartnerDown as PD, Paused,
    PotentialConflict as PC, Recover as REC, RecoverDone as RDONE, RecoverWait as RWAIT,
    ResolutionInterrupted as RI, Shutdown as SHUT,
};
use self::support::{
    Disk, GROUNDS, MCLT, PRIMARY, Pair, RECEIVE_TIMER, ROLES, SECONDARY, SETTINGS, at, clock, context,
    record_of,
};

/// Redial, handshake and the words up to Normal, without any wait of the protocol.
const SOON: Seconds = Seconds(10);
const MINUTE: u64 = 60_000;

/// One endpoint with a partner made by hand.
#[derive(Clone)]
struct Solo {
    endpoint: Endpoint,
    now: Now,
}

impl Solo {
    /// A server that runs since long, without a partner.
    fn running(role: Role, state: State) -> Self {
        let mut solo = Self::starting(record_of(role, state, at(8, 0, 0)), at(8, 0, 0));
        solo.now = clock(at(8, 59, 0));
        solo.endpoint.tick(context(solo.now));
        assert!(!solo.endpoint.is_starting());
        assert_eq!(solo.state(), state);
        solo.now = clock(at(9, 0, 0));
        solo.endpoint.link_up(RECEIVE_TIMER);
        solo.actions();
        solo
    }

    /// The same, in a state that needs its partner.
    fn linked(role: Role, state: State, partner: State) -> Self {
        let mut solo = Self::running(role, if state == N { CI } else { state });
        solo.hear(partner);
        assert_eq!(solo.state(), state);
        solo.actions();
        solo
    }

    /// A server whose process started this moment.
    fn starting(record: Record, last_operational: UnixTime) -> Self {
        let now = clock(at(8, 0, 0));
        let loaded = StoreStamp { epoch: record.stamp.epoch, lsn: Lsn(100) };
        let role = record.role;
        let endpoint = Endpoint::start(role, Some(record), loaded, last_operational, SETTINGS, context(now));
        let mut solo = Self { endpoint, now };
        solo.actions();
        solo
    }

    fn hear(&mut self, state: State) {
        self.hear_flagged(state, false);
    }

    fn hear_flagged(&mut self, state: State, startup: bool) {
        self.endpoint.partner_state(state, startup, self.now.wall, None, context(self.now));
    }

    /// One of ours, which numbers its changes.
    fn hear_change(&mut self, state: State, since: UnixTime, change: StateStamp) {
        self.endpoint.partner_state(state, false, since, Some(change), context(self.now));
    }

    fn done(&mut self) {
        self.endpoint.updates_done(context(self.now));
    }

    fn cut(&mut self) {
        self.endpoint.link_lost(context(self.now));
    }

    fn open_barrier(&mut self) {
        self.endpoint.barrier_open(context(self.now));
    }

    /// Declares the partner down as an expert, who may go past the guards that are for others.
    fn let_go(&mut self, since: UnixTime) -> Result<(), Refusal> {
        self.endpoint.partner_down(Some(since), true, false, GROUNDS, context(self.now))
    }

    fn state(&self) -> State {
        self.endpoint.record().state
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.endpoint.poll_action()).collect()
    }

    fn words(&mut self) -> Vec<(State, bool)> {
        let word = |action| match action {
            Action::Announce { state, startup, .. } => Some((state, startup)),
            _ => None,
        };
        self.actions().into_iter().filter_map(word).collect()
    }

    /// UPDREQALL or not, of each request.
    fn questions(&mut self) -> Vec<bool> {
        let question = |action| match action {
            Action::Request { all } => Some(all),
            _ => None,
        };
        self.actions().into_iter().filter_map(question).collect()
    }
}

// First contact (P§12.2).

#[test]
fn bt_1_with_two_tokens_the_primary_serves_at_once_and_the_secondary_joins_without_a_wait() {
    let mut pair = Pair::new(at(9, 0, 0));
    pair.start_with_token(PRIMARY);
    assert_eq!(pair.states()[PRIMARY], PD);
    assert_eq!(pair.service(PRIMARY), Service::All);
    pair.run_until(at(9, 10, 0));
    pair.start_with_token(SECONDARY);
    assert_eq!(pair.states()[SECONDARY], REC);
    pair.run_until_normal(SOON);
    assert_eq!(pair.sides[SECONDARY].asked, [true], "a brand-new secondary asks for everything");
    assert_eq!(pair.sides[SECONDARY].entered, [RDONE, N]);
    assert_eq!(pair.sides[PRIMARY].entered, [PD, N]);
}

#[test]
fn bt_1_holds_in_whatever_order_and_however_late_the_servers_start() {
    for (first, second) in [(PRIMARY, SECONDARY), (SECONDARY, PRIMARY)] {
        for minutes in [0, 1, 90] {
            let mut pair = Pair::new(at(9, 0, 0));
            pair.start_with_token(first);
            pair.run_for(minutes * MINUTE);
            pair.start_with_token(second);
            pair.run_until_normal(SOON);
        }
    }
}

#[test]
fn bt_3_a_token_for_a_store_with_a_past_is_refused_and_the_server_recovers() {
    for me in [PRIMARY, SECONDARY] {
        let mut pair = Pair::new(at(9, 0, 0));
        pair.start(me);
        assert_eq!(pair.bootstrap(me, false), Err(Refusal::StoreNotEmpty));
        assert_eq!(pair.states()[me], REC);
        assert_eq!(pair.service(me), Service::Silent);
    }
}

#[test]
fn bt_3_a_burnt_token_stays_burnt_over_restarts() {
    let mut pair = Pair::new(at(9, 0, 0));
    pair.start_with_token(PRIMARY);
    assert!(pair.sides[PRIMARY].disk.record.as_ref().is_some_and(|record| record.token_burnt));
    pair.run_until(at(9, 5, 0));
    pair.restart(PRIMARY);
    assert_eq!(pair.bootstrap(PRIMARY, true), Err(Refusal::StoreNotEmpty));
    assert_eq!(pair.states()[PRIMARY], PD);
}

#[test]
fn bt_4_a_primary_that_serves_by_a_token_recovers_once_its_partner_knows_better() {
    let mut pair = Pair::normal(at(9, 0, 0));
    pair.crash(PRIMARY, 0);
    pair.sides[PRIMARY].disk = Disk::default();
    pair.reachable = false;
    pair.run_until(at(9, 10, 0));
    pair.start_with_token(PRIMARY);
    assert_eq!(pair.states(), [PD, CI]);
    pair.forget_log();
    pair.reachable = true;
    pair.run_until(at(9, 11, 0));
    assert_eq!(pair.states(), [RWAIT, CI]);
    assert_eq!(pair.sides[PRIMARY].entered, [REC, RWAIT]);
    assert_eq!(pair.sides[PRIMARY].asked, [true]);
    assert!(pair.sides[PRIMARY].alarms > 0, "an operator must know");
    assert!(!pair.sides[PRIMARY].said.iter().any(|said| said.state == PD));
    assert_eq!(pair.service(PRIMARY), Service::Silent);
    pair.run_until_normal(MCLT);
    assert!(!pair.sides[SECONDARY].entered.contains(&PC), "nobody's data was in doubt");
}

/// An ISC dhcpd cannot name its store; that it is in a state of a running pair says enough.
#[test]
fn bt_4_the_state_of_an_isc_partner_tells_a_served_pair_as_well() {
    for (partner, after) in [(N, REC), (CI, REC), (PD, REC), (RI, PC), (CD, PC)] {
        let now = clock(at(9, 0, 0));
        let stamp = StoreStamp::default();
        let endpoint = Endpoint::start(Role::Primary, None, stamp, at(0, 0, 0), SETTINGS, context(now));
        let mut solo = Solo { endpoint, now };
        solo.endpoint.bootstrap(true, context(now)).expect("the store is empty");
        assert_eq!(solo.state(), PD);
        solo.endpoint.link_up(RECEIVE_TIMER);
        solo.actions();
        solo.hear(partner);
        assert_eq!(solo.state(), after, "partner in {partner}");
        assert!(solo.endpoint.record().data_lost);
        assert_eq!(solo.endpoint.record().failed_at, Some(now.wall));
        assert_eq!(solo.questions(), [true]);
    }
}

/// A primary that serves by a token of its own is in PartnerDown: that alone refutes nothing.
#[test]
fn bt_4_a_secondary_waits_if_an_isc_partner_is_in_a_state_of_a_served_pair() {
    for (partner, waits) in [(N, true), (CI, true), (PD, false), (REC, false), (RDONE, false)] {
        let now = clock(at(9, 0, 0));
        let stamp = StoreStamp::default();
        let endpoint = Endpoint::start(Role::Secondary, None, stamp, at(0, 0, 0), SETTINGS, context(now));
        let mut solo = Solo { endpoint, now };
        solo.endpoint.bootstrap(true, context(now)).expect("the store is empty");
        solo.endpoint.link_up(RECEIVE_TIMER);
        solo.actions();
        solo.hear(partner);
        assert_eq!(solo.questions(), [true], "partner in {partner}");
        solo.done();
        assert_eq!(solo.state(), if waits { RWAIT } else { RDONE }, "partner in {partner}");
        assert_eq!(solo.endpoint.wakes_at(), waits.then_some(at(10, 0, 0)));
    }
}

#[test]
fn bt_4_a_secondary_with_a_token_waits_if_its_partner_holds_a_record_of_it() {
    let mut pair = Pair::normal(at(9, 0, 0));
    pair.crash(SECONDARY, 0);
    pair.sides[SECONDARY].disk = Disk::default();
    pair.run_until(at(9, 20, 0));
    pair.start_with_token(SECONDARY);
    pair.run_until(at(10, 19, 0));
    assert_eq!(pair.states(), [CI, RWAIT]);
    pair.run_until_normal(Seconds(62));
    assert_eq!(pair.sides[SECONDARY].asked, [true]);
}

#[test]
fn bt_8_a_token_never_makes_a_secondary_serve() {
    let mut pair = Pair::new(at(9, 0, 0));
    pair.start_with_token(SECONDARY);
    pair.run_for(600 * MINUTE);
    assert_eq!(pair.states()[SECONDARY], REC);
    assert_eq!(pair.service(SECONDARY), Service::Silent);
}

#[test]
fn rc_8_two_empty_stores_without_tokens_wait_for_the_later_start_and_the_mclt() {
    let mut pair = Pair::new(at(9, 0, 0));
    pair.start(PRIMARY);
    pair.run_until(at(9, 20, 0));
    pair.start(SECONDARY);
    pair.run_until(at(10, 19, 59));
    assert!(!pair.states().contains(&N), "{:?}", pair.states());
    for me in [PRIMARY, SECONDARY] {
        assert_ne!(pair.service(me), Service::All);
        assert!(pair.sides[me].asked.iter().all(|all| *all));
    }
    pair.run_until_normal(Seconds(11));
}

// Startup (§4).

#[test]
fn a_start_after_a_short_absence_seeks_its_partner_for_ten_seconds_in_silence() {
    let mut pair = Pair::stored([N, N], at(9, 0, 0));
    pair.run_until(at(9, 30, 0));
    pair.start(PRIMARY);
    pair.run_until(at(9, 30, 9));
    assert_eq!(pair.endpoint(PRIMARY).shown_state(), State::Startup);
    assert_eq!(pair.service(PRIMARY), Service::Silent);
    pair.run_until(at(9, 30, 10));
    assert_eq!(pair.endpoint(PRIMARY).shown_state(), CI);
    assert_eq!(pair.service(PRIMARY), Service::All);
}

#[test]
fn a_start_after_an_absence_of_the_mclt_seeks_its_partner_for_a_minute() {
    let mut pair = Pair::stored([N, N], at(9, 0, 0));
    pair.run_until(at(10, 0, 0));
    pair.start(PRIMARY);
    pair.run_until(at(10, 0, 59));
    assert_eq!(pair.service(PRIMARY), Service::Silent);
    pair.run_until(at(10, 1, 0));
    assert_eq!(pair.service(PRIMARY), Service::All);
}

#[test]
fn a_start_that_must_wait_is_silent_until_its_partner_comes() {
    let mut pair = Pair::stored([N, N], at(9, 0, 0));
    pair.sides[PRIMARY].settings = Settings { startup_expiry: StartupExpiry::Wait, ..SETTINGS };
    pair.start(PRIMARY);
    pair.run_until(at(15, 0, 0));
    assert_eq!(pair.service(PRIMARY), Service::Silent);
    pair.start(SECONDARY);
    pair.run_until_normal(SOON);
    assert_eq!(pair.service(PRIMARY), Service::All);
}

#[test]
fn every_state_starts_as_the_link_was_lost_and_announces_that_with_the_flag() {
    let starts = [(N, CI), (CI, CI), (PD, PD), (PC, RI), (RI, RI), (CD, CD), (REC, REC), (RDONE, RDONE)];
    for (stored, started) in starts {
        let mut solo = Solo::starting(record_of(Role::Primary, stored, at(7, 0, 0)), at(7, 59, 0));
        solo.endpoint.link_up(RECEIVE_TIMER);
        let first = solo.endpoint.announcement();
        assert!(
            matches!(first, Action::Announce { state, startup: true, .. } if state == started),
            "{stored}: {first:?}"
        );
    }
}

#[test]
fn the_flag_is_cleared_by_a_state_even_if_the_state_stays() {
    for (state, partner) in
        [(RDONE, PD), (RDONE, REC), (RDONE, CI), (RWAIT, N), (CD, RI), (CI, REC), (PD, REC)]
    {
        let mut solo = Solo::starting(record_of(Role::Primary, state, at(7, 0, 0)), at(7, 59, 0));
        solo.endpoint.link_up(RECEIVE_TIMER);
        solo.hear(partner);
        assert_eq!((solo.state(), solo.words()), (state, vec![(state, false)]), "{state} x {partner}");
    }
}

#[test]
fn st_1_a_server_killed_before_its_partners_partner_down_recovers() {
    // servingUntil 10:00:02, PD since 10:00:30.
    let mut solo = Solo::starting(record_of(Role::Secondary, N, at(7, 0, 0)), at(10, 0, 2));
    solo.now = clock(at(10, 5, 0));
    solo.endpoint.link_up(RECEIVE_TIMER);
    solo.endpoint.partner_state(PD, false, at(10, 0, 30), None, context(solo.now));
    assert_eq!(solo.state(), REC);
    assert_eq!(solo.words(), [(REC, false)]);
}

#[test]
fn st_1_the_survivors_partner_down_ends_in_a_recovery_of_the_other() {
    let mut pair = Pair::normal(at(10, 0, 0));
    pair.crash(SECONDARY, 0);
    pair.run_until(at(10, 0, 30));
    pair.partner_down(PRIMARY, at(10, 0, 30)).expect("the partner is gone");
    pair.run_until(at(10, 5, 0));
    pair.start(SECONDARY);
    pair.run_until(at(10, 6, 0));
    assert_eq!(pair.states(), [PD, RWAIT]);
    pair.run_until(at(10, 59, 59));
    assert_eq!(pair.states(), [PD, RWAIT]);
    pair.run_until(at(11, 0, 1));
    assert_eq!(pair.states(), [N, N]);
}

#[test]
fn st_2_a_promise_that_reaches_into_partner_down_is_a_conflict_of_seconds() {
    let mut pair = Pair::normal(at(10, 0, 0));
    pair.crash(SECONDARY, 0);
    pair.sides[SECONDARY].disk.promise = at(10, 0, 2);
    pair.run_until(at(10, 0, 1));
    pair.partner_down(PRIMARY, at(10, 0, 1)).expect("the partner is gone");
    pair.run_until(at(10, 5, 0));
    pair.forget_log();
    pair.start(SECONDARY);
    pair.run_until_normal(SOON);
    assert_eq!(pair.sides[PRIMARY].entered, [PC, CD, N]);
    assert_eq!(pair.sides[SECONDARY].entered, [CI, PC, N]);
    assert_eq!((pair.sides[PRIMARY].asked.len(), pair.sides[SECONDARY].asked.len()), (1, 1), "both ask");
}

#[test]
fn a_start_within_the_clock_guard_of_partner_down_is_a_conflict() {
    for (guard, state) in [(29, REC), (30, PC)] {
        let mut solo = Solo::starting(record_of(Role::Secondary, N, at(7, 0, 0)), at(10, 0, 0));
        solo.now = clock(at(10, 5, 0));
        let guarded = failover::endpoint::Context { guard: Seconds(guard), ..context(solo.now) };
        solo.endpoint.link_up(RECEIVE_TIMER);
        solo.endpoint.partner_state(PD, false, at(10, 0, 30), None, guarded);
        assert_eq!(solo.state(), state, "guard {guard}");
    }
}

#[test]
fn st_4_and_t14_recover_done_is_said_again_without_the_flag_and_ends_partner_down() {
    for (survivor, returned) in [(PRIMARY, SECONDARY), (SECONDARY, PRIMARY)] {
        let mut states = [PD; 2];
        states[returned] = RDONE;
        let mut pair = Pair::stored(states, at(9, 0, 0));
        pair.start(survivor);
        pair.run_until(at(9, 30, 0));
        pair.start(returned);
        pair.run_until_normal(SOON);
        let said = pair.sides[returned].take_said();
        assert_eq!(said[..2], [(RDONE, true), (RDONE, false)]);
        assert_eq!(pair.sides[survivor].entered, [N]);
        assert_eq!(pair.sides[survivor].take_said(), [(PD, false), (N, false)]);
    }
}

#[test]
fn t14_the_flag_keeps_a_survivor_in_partner_down() {
    let mut solo = Solo::running(Role::Primary, PD);
    for partner in [N, CI, PD, PC, RI, CD, RDONE] {
        solo.hear_flagged(partner, true);
        assert_eq!((solo.state(), solo.endpoint.is_exit_pending()), (PD, false), "{partner}");
    }
    solo.hear_flagged(RDONE, false);
    assert!(solo.endpoint.is_exit_pending());
}

#[test]
fn note_3_a_running_server_meets_partner_down_in_conflict() {
    for role in ROLES {
        let mut solo = Solo::running(role, CI);
        solo.hear(PD);
        assert_eq!(solo.state(), PC);
    }
}

// Recovery (§8). The secondary goes down, the primary is in PartnerDown when it comes back.

/// Secondary down at `down`, primary in PartnerDown a minute later, secondary back at 09:20.
fn returned_at_0920(down: UnixTime) -> Pair {
    let mut pair = Pair::normal(down);
    pair.answer_millis = MINUTE;
    pair.crash(SECONDARY, 0);
    pair.run_for(MINUTE);
    let now = pair.now().wall;
    pair.partner_down(PRIMARY, now).expect("the partner is gone");
    pair.run_until(at(9, 20, 0));
    pair.forget_log();
    pair.start(SECONDARY);
    pair
}

#[test]
fn rc_1_a_normal_return_waits_until_the_mclt_after_its_end() {
    let mut pair = returned_at_0920(at(9, 0, 0));
    pair.run_until(at(9, 20, 59));
    assert_eq!(pair.states(), [PD, REC]);
    pair.run_until(at(9, 21, 1));
    assert_eq!(pair.states(), [PD, RWAIT]);
    assert_eq!(pair.sides[SECONDARY].asked, [false], "only what it has not acknowledged");
    pair.run_until(at(9, 59, 59));
    assert_eq!(pair.states(), [PD, RWAIT]);
    assert_eq!(pair.service(SECONDARY), Service::Silent);
    pair.run_until(at(10, 0, 1));
    assert_eq!(pair.states(), [N, N]);
    assert_eq!(pair.sides[SECONDARY].entered, [CI, REC, RWAIT, RDONE, N]);
}

#[test]
fn rc_1_the_wait_goes_on_without_the_partner_and_over_restarts() {
    let mut pair = returned_at_0920(at(9, 0, 0));
    pair.run_until(at(9, 30, 0));
    assert_eq!(pair.states(), [PD, RWAIT]);
    pair.reachable = false;
    pair.cut([0, 0]);
    pair.run_until(at(9, 40, 0));
    pair.restart(SECONDARY);
    pair.run_until(at(9, 59, 59));
    assert_eq!(pair.states(), [PD, RWAIT]);
    pair.run_until(at(10, 0, 0));
    assert_eq!(pair.states(), [PD, RDONE]);
    assert_eq!(pair.service(SECONDARY), Service::Silent, "not while the link is cut");
    pair.reachable = true;
    pair.run_until_normal(SOON);
}

#[test]
fn rc_2_a_return_after_the_mclt_waits_for_nothing() {
    let mut pair = returned_at_0920(at(7, 0, 0));
    pair.run_until_normal(Seconds(70));
    assert_eq!(pair.sides[SECONDARY].entered, [CI, REC, RDONE, N]);
}

#[test]
fn rc_3_a_lost_disk_asks_for_everything_and_waits_from_its_start() {
    for survivor_is_in_partner_down in [true, false] {
        let mut pair = Pair::normal(at(9, 0, 0));
        pair.crash(SECONDARY, 0);
        pair.sides[SECONDARY].disk = Disk::default();
        pair.run_until(at(9, 10, 0));
        if survivor_is_in_partner_down {
            pair.partner_down(PRIMARY, at(9, 10, 0)).expect("the partner is gone");
        }
        pair.run_until(at(9, 20, 0));
        pair.start(SECONDARY);
        let survivor = pair.states()[PRIMARY];
        pair.run_until(at(9, 21, 0));
        assert_eq!(pair.states(), [survivor, RWAIT]);
        assert_eq!(pair.sides[SECONDARY].asked, [true]);
        pair.run_until(at(10, 19, 59));
        assert_eq!(pair.states(), [survivor, RWAIT]);
        pair.run_until(at(10, 20, 1));
        assert_eq!(pair.states(), [N, N]);
        assert!(!pair.record(SECONDARY).data_lost, "the mark ends with Normal");
    }
}

#[test]
fn rc_3_a_lost_disk_of_the_primary_recovers_all_the_same() {
    let mut pair = Pair::normal(at(9, 0, 0));
    pair.crash(PRIMARY, 0);
    pair.sides[PRIMARY].disk = Disk::default();
    pair.run_until(at(9, 20, 0));
    pair.start(PRIMARY);
    pair.run_until(at(10, 19, 59));
    assert_eq!(pair.states(), [RWAIT, CI]);
    pair.run_until(at(10, 20, 1));
    assert_eq!(pair.states(), [N, N]);
}

#[test]
fn rc_4_a_restored_backup_waits_from_when_its_container_ended() {
    let record = Record {
        data_lost: true,
        failed_at: Some(at(9, 0, 0)),
        ..record_of(Role::Secondary, REC, at(9, 20, 0))
    };
    let mut pair = Pair::stored([CI, CI], at(9, 20, 0));
    pair.sides[SECONDARY].disk.record = Some(record);
    pair.start(PRIMARY);
    pair.start(SECONDARY);
    pair.run_until(at(9, 59, 59));
    assert_eq!(pair.states(), [CI, RWAIT]);
    assert!(pair.sides[SECONDARY].asked.iter().all(|all| *all));
    pair.run_until(at(10, 0, 1));
    assert_eq!(pair.states(), [N, N]);
}

#[test]
fn rc_5_a_recover_time_of_the_mclt_ago_needs_no_wait() {
    let mut pair = Pair::stored([CI, CI], at(9, 20, 0));
    let record = record_of(Role::Secondary, REC, at(9, 20, 0));
    let failed_at = Some(at(8, 20, 0));
    pair.sides[SECONDARY].disk.record = Some(Record { data_lost: true, failed_at, ..record });
    pair.start(PRIMARY);
    pair.start(SECONDARY);
    pair.run_until_normal(SOON);
    assert_eq!(pair.sides[SECONDARY].entered, [RDONE, N]);
}

#[test]
fn rc_6_a_cut_during_recovery_asks_again_for_the_same() {
    for data_lost in [false, true] {
        let failed_at = Some(at(7, 0, 0));
        let record = record_of(Role::Secondary, REC, at(7, 0, 0));
        let mut solo = Solo::starting(Record { data_lost, failed_at, ..record }, at(7, 0, 0));
        for _ in 0..3 {
            solo.endpoint.link_up(RECEIVE_TIMER);
            solo.hear(PD);
            assert_eq!(solo.questions(), [data_lost]);
            solo.cut();
            solo.actions();
            solo.done();
            assert_eq!(solo.state(), REC, "an answer behind the cut is none");
        }
    }
}

/// A planned stop is how a pod ends; the next start must not take the time before the loss for the end.
#[test]
fn rc_3_a_pause_in_recovery_shortens_no_wait() {
    let mut pair = Pair::normal(at(9, 0, 0));
    pair.crash(SECONDARY, 0);
    pair.sides[SECONDARY].disk = Disk::default();
    pair.answer_millis = 10 * MINUTE;
    pair.run_until(at(9, 20, 0));
    pair.start(SECONDARY);
    pair.run_until(at(9, 25, 0));
    assert_eq!(pair.states(), [CI, REC]);
    pair.pause(SECONDARY);
    pair.run_until(at(9, 26, 0));
    pair.start(SECONDARY);
    pair.run_until(at(10, 19, 59));
    assert_eq!(pair.states(), [CI, RWAIT]);
    pair.run_until(at(10, 20, 1));
    assert_eq!(pair.states(), [N, N]);
}

#[test]
fn rc_6_an_answer_behind_a_cut_is_not_taken_for_the_new_question() {
    let mut pair = returned_at_0920(at(7, 0, 0));
    pair.run_until(at(9, 20, 30));
    pair.cut([0, 0]);
    pair.run_until(at(9, 21, 10));
    assert_eq!(pair.states(), [PD, REC]);
    pair.run_until_normal(Seconds(60));
    assert_eq!(pair.sides[SECONDARY].asked, [false, false]);
}

#[test]
fn note_b_recovery_asks_for_everything_if_nothing_is_known_of_the_partner() {
    for (integrated, data_lost, all) in [(false, false, true), (true, true, true), (true, false, false)] {
        let record = record_of(Role::Secondary, REC, at(7, 0, 0));
        let failed_at = Some(at(7, 0, 0));
        let mut solo = Solo::starting(Record { integrated, data_lost, failed_at, ..record }, at(7, 0, 0));
        solo.endpoint.link_up(RECEIVE_TIMER);
        solo.hear(PD);
        assert_eq!(solo.state(), REC);
        assert_eq!(solo.questions(), [all], "integrated {integrated}, lost {data_lost}");
    }
}

/// The partner fetched only what it lacked itself.
#[test]
fn who_was_let_go_without_its_data_asks_for_everything_until_it_has_it() {
    for role in ROLES {
        let lost =
            Record { data_lost: true, failed_at: Some(at(7, 0, 0)), ..record_of(role, REC, at(7, 0, 0)) };
        let mut solo = Solo::starting(lost, at(7, 0, 0));
        solo.let_go(at(8, 0, 0)).expect("an expert may");
        solo.endpoint.link_up(RECEIVE_TIMER);
        solo.hear(RDONE);
        solo.actions();
        solo.open_barrier();
        assert_eq!((solo.state(), solo.questions()), (N, vec![true]), "{role}");
        // The link broke before the partner read it.
        solo.cut();
        let mut solo = Solo::starting(solo.endpoint.record().clone(), at(8, 0, 0));
        solo.endpoint.link_up(RECEIVE_TIMER);
        solo.hear(CI);
        assert_eq!((solo.state(), solo.questions()), (N, vec![true]), "{role}");
        solo.done();
        solo.cut();
        solo.endpoint.link_up(RECEIVE_TIMER);
        solo.hear(CI);
        assert_eq!((solo.state(), solo.questions()), (N, vec![]), "{role}: it has everything");
    }
}

#[test]
fn rc_9_and_rb_5_a_backup_that_serves_unseen_recovers_as_soon_as_it_is_found() {
    let mut pair = Pair::normal(at(8, 0, 0));
    let backup = pair.sides[SECONDARY].disk.clone();
    pair.run_until(at(8, 10, 0));
    pair.cut([0, 0]);
    pair.run_until(at(8, 20, 0));
    let known = pair.record(PRIMARY).partner.and_then(|partner| partner.highest).expect("it said so");
    pair.crash(SECONDARY, 0);
    pair.reachable = false;
    pair.sides[SECONDARY].disk = backup;
    pair.start(SECONDARY);
    pair.run_until(at(8, 59, 50));
    assert_eq!(pair.states(), [CI, CI]);
    assert_eq!(pair.service(SECONDARY), Service::All);
    pair.answer_millis = 1000;
    pair.next_dial_at(at(9, 0, 0));
    pair.run_until(at(9, 0, 30));
    assert_eq!(pair.states(), [CI, RWAIT]);
    assert!(pair.sides[SECONDARY].asked.iter().all(|all| *all));
    assert!(pair.sides[SECONDARY].alarms > 0);
    assert!(pair.record(SECONDARY).stamp.epoch > known.epoch);
    pair.run_until(at(9, 59, 59));
    assert_eq!(pair.states(), [CI, RWAIT]);
    pair.run_until(at(10, 0, 2));
    assert_eq!(pair.states(), [N, N]);
}

/// The primary lost its disk while both were in conflict resolution; it starts at 09:20.
fn conflict_with_a_lost_primary() -> Pair {
    let mut pair = Pair::stored([N, RI], at(9, 0, 0));
    pair.sides[PRIMARY].disk = Disk::default();
    pair.answer_millis = 5 * MINUTE;
    pair.start(SECONDARY);
    pair.run_until(at(9, 20, 0));
    pair.start(PRIMARY);
    pair
}

#[test]
fn rc_10_a_primary_with_lost_data_stays_in_conflict_until_its_wait_is_over() {
    let mut pair = conflict_with_a_lost_primary();
    pair.run_until(at(9, 25, 10));
    assert_eq!(pair.states(), [PC, PC]);
    assert_eq!(pair.sides[PRIMARY].asked, [true]);
    pair.run_until(at(10, 19, 59));
    assert_eq!(pair.states(), [PC, PC]);
    pair.run_until(at(10, 20, 1));
    assert_eq!(pair.states(), [CD, PC]);
    pair.run_until_normal(Seconds(301));
    assert_eq!(pair.sides[PRIMARY].asked, [true], "the link held, so one answer is enough");
}

#[test]
fn rc_10_the_wait_in_conflict_survives_cuts_and_restarts_but_not_the_answer() {
    let mut pair = conflict_with_a_lost_primary();
    pair.run_until(at(9, 40, 0));
    pair.cut([0, 0]);
    pair.run_until(at(9, 50, 0));
    assert_eq!(pair.states(), [PC, PC]);
    pair.restart(PRIMARY);
    pair.run_until(at(10, 10, 0));
    assert_eq!(pair.states(), [PC, PC]);
    assert_eq!(pair.sides[PRIMARY].asked, [true; 3], "each link asks anew, for everything");
    pair.run_until(at(10, 19, 59));
    assert_eq!(pair.states(), [PC, PC]);
    pair.run_until(at(10, 20, 1));
    assert_eq!(pair.states(), [CD, PC]);
}

#[test]
fn note_4_a_secondary_with_lost_data_waits_in_conflict_as_well() {
    let mut pair = Pair::stored([RI, N], at(9, 0, 0));
    pair.sides[SECONDARY].disk = Disk::default();
    pair.start(PRIMARY);
    pair.run_until(at(9, 20, 0));
    pair.start(SECONDARY);
    pair.run_until(at(10, 19, 59));
    assert_eq!(pair.states(), [CD, PC]);
    assert!(pair.sides[SECONDARY].asked.iter().all(|all| *all));
    pair.run_until(at(10, 20, 1));
    assert_eq!(pair.states(), [N, N]);
}

#[test]
fn a_restored_wait_survives_the_loss_of_the_link_in_recover() {
    let mut solo = Solo::running(Role::Secondary, RWAIT);
    solo.cut();
    assert_eq!(solo.state(), RWAIT);
}

// Planned outage (§11).

#[test]
fn sd_1_a_long_stop_lets_the_partner_go_and_its_return_after_the_mclt_is_quick() {
    let mut pair = Pair::normal(at(10, 0, 0));
    pair.shut_down(SECONDARY);
    pair.run_until(at(10, 0, 1));
    assert_eq!(pair.states()[PRIMARY], PD);
    assert_eq!(pair.record(PRIMARY).partner_down_at, Some(at(10, 0, 0)));
    pair.run_until(at(12, 0, 0));
    pair.forget_log();
    pair.start(SECONDARY);
    assert_eq!(pair.states()[SECONDARY], REC);
    pair.run_until_normal(SOON);
    assert_eq!(pair.sides[SECONDARY].entered, [REC, RDONE, N]);
}

#[test]
fn sd_1_a_long_stop_that_ends_early_waits_for_the_rest() {
    let mut pair = Pair::normal(at(10, 0, 0));
    pair.shut_down(SECONDARY);
    pair.run_until(at(10, 30, 0));
    pair.start(SECONDARY);
    pair.run_until(at(10, 59, 59));
    assert_eq!(pair.states(), [PD, RWAIT]);
    pair.run_until(at(11, 0, 1));
    assert_eq!(pair.states(), [N, N]);
}

#[test]
fn sd_2_a_pause_interrupts_the_partner_at_once_and_costs_no_wait() {
    let mut pair = Pair::normal(at(10, 0, 0));
    pair.pause(PRIMARY);
    assert_eq!(pair.sides[PRIMARY].take_said(), [(Paused, false)]);
    pair.run_until(at(10, 0, 1));
    assert_eq!(pair.states(), [Paused, CI]);
    assert_eq!(pair.service(SECONDARY), Service::All);
    pair.run_until(at(10, 2, 0));
    pair.start(PRIMARY);
    assert_eq!(pair.states(), [CI, CI]);
    pair.run_until_normal(Seconds(10));
    assert!(pair.sides.iter().all(|side| side.asked.is_empty()));
}

#[test]
fn a_pause_in_any_state_goes_on_from_that_state() {
    for state in [CI, PD, RI, CD, REC, RWAIT, RDONE] {
        let mut solo = Solo::running(Role::Primary, state);
        solo.endpoint.pause(context(solo.now));
        assert_eq!(solo.state(), Paused);
        assert_eq!(solo.endpoint.service(), Service::Silent);
        let record = solo.endpoint.record().clone();
        let again = Solo::starting(record, solo.now.wall);
        assert_eq!(again.state(), state, "paused in {state}");
    }
}

#[test]
fn sd_3_a_killed_partner_interrupts_within_the_receive_timer() {
    let mut pair = Pair::normal(at(10, 0, 0));
    pair.crash(PRIMARY, RECEIVE_TIMER.millis());
    pair.run_until(at(10, 1, 0));
    assert_eq!(pair.states()[SECONDARY], CI);
    assert_eq!(pair.record(SECONDARY).interrupted_at, Some(at(10, 1, 0)));
    assert_eq!(pair.service(SECONDARY), Service::All);
}

#[test]
fn shutdown_received_takes_over_only_with_complete_data() {
    let cases = [(N, N, PD), (CI, REC, PD), (PD, REC, PD), (REC, N, REC), (RDONE, CI, RDONE)];
    for (mine, partner, after) in cases {
        let mut solo = Solo::linked(Role::Primary, mine, partner);
        solo.hear(SHUT);
        assert_eq!(solo.state(), after, "{mine} while the partner was {partner}");
        if mine != PD && after == PD {
            assert_eq!(solo.endpoint.record().partner_down_at, Some(solo.now.wall));
        }
    }
    let mut solo = Solo::running(Role::Primary, RI);
    solo.hear(PC);
    assert_eq!(solo.state(), PC);
    solo.hear(SHUT);
    assert_eq!(solo.state(), RI);
}

// Tables 3.1 and 3.3 with their notes.

#[test]
fn t10_two_interrupted_servers_say_little_and_then_nothing() {
    for (primary, secondary) in [(0, 0), (0, 30), (30, 0)] {
        let mut pair = Pair::normal(at(9, 0, 0));
        pair.cut([primary * 1000, secondary * 1000]);
        pair.run_until(at(9, 0, 1));
        pair.run_until_normal(Seconds(40));
        for side in &mut pair.sides {
            let said = side.take_said();
            assert!(said.len() <= 3, "{said:?}");
            assert_eq!(said.first(), Some(&(CI, false)));
        }
        pair.run_until(at(12, 0, 0));
        assert!(pair.is_normal());
        assert!(pair.sides.iter().all(|side| side.said.is_empty()));
    }
}

#[test]
fn t11_a_conflict_done_and_a_partner_down_meet_in_normal_wherever_the_link_is_cut() {
    for notice in [[0, 0], [0, 20_000], [20_000, 0]] {
        for messages in 0..40 {
            let mut pair = Pair::stored([CD, PD], at(9, 0, 0));
            pair.start(PRIMARY);
            pair.start(SECONDARY);
            let delivered = (0..messages).take_while(|_| pair.deliver_one()).count();
            pair.cut(notice);
            pair.run_until_normal(Seconds(60));
            if delivered < messages {
                break;
            }
            assert!(messages < 39, "more messages than two servers need");
        }
    }
}

#[test]
fn conflict_resolution_goes_request_by_request_and_the_primary_serves_first() {
    let mut pair = Pair::stored([PD, PD], at(9, 0, 0));
    pair.answer_millis = MINUTE;
    pair.start(PRIMARY);
    pair.start(SECONDARY);
    pair.run_until(at(9, 0, 30));
    assert_eq!(pair.states(), [PC, PC]);
    assert_eq!([PRIMARY, SECONDARY].map(|me| pair.service(me)), [Service::Silent; 2]);
    pair.run_until(at(9, 1, 30));
    assert_eq!(pair.states(), [CD, PC]);
    assert_eq!([PRIMARY, SECONDARY].map(|me| pair.service(me)), [Service::All, Service::Silent]);
    pair.run_until_normal(Seconds(60));
    assert_eq!(pair.sides[PRIMARY].entered, [PC, CD, N]);
    assert_eq!(pair.sides[SECONDARY].entered, [PC, N]);
}

#[test]
fn a_link_lost_in_conflict_serves_renewals_until_the_conflict_goes_on() {
    let mut pair = Pair::stored([PD, PD], at(9, 0, 0));
    pair.answer_millis = MINUTE;
    pair.start(PRIMARY);
    pair.start(SECONDARY);
    pair.run_until(at(9, 0, 30));
    pair.cut([0, 0]);
    pair.run_until(at(9, 0, 31));
    assert_eq!(pair.states(), [RI, RI]);
    assert_eq!(pair.service(PRIMARY), Service::RenewOnly);
    pair.run_until_normal(Seconds(180));
}

#[test]
fn note_a_a_secondary_asks_once_its_primary_is_done_and_not_before() {
    let mut solo = Solo::running(Role::Secondary, RI);
    solo.hear(PC);
    assert_eq!((solo.state(), solo.questions()), (PC, vec![]));
    solo.hear(CD);
    assert_eq!(solo.questions(), [false]);
    solo.done();
    assert_eq!(solo.state(), N);
}

#[test]
fn note_a_a_secondary_that_enters_conflict_behind_a_done_primary_asks_at_once() {
    for state in [CI, PD, RI, REC, RDONE] {
        let mut solo = Solo::running(Role::Secondary, state);
        solo.hear(CD);
        assert_eq!(solo.state(), PC, "{state}");
        assert_eq!(solo.questions().len(), 1, "{state}");
    }
}

#[test]
fn note_a_an_answer_counts_only_while_the_primary_stays_done() {
    for partner in [PC, PD, RI, REC] {
        let mut solo = Solo::running(Role::Secondary, RI);
        solo.hear(CD);
        solo.actions();
        solo.hear(partner);
        assert!(solo.actions().contains(&Action::CancelRequest), "{partner}");
        solo.done();
        assert_eq!(solo.state(), PC, "{partner}");
        solo.hear(CD);
        assert_eq!(solo.questions().len(), 1, "the next ConflictDone asks again");
        solo.done();
        assert_eq!(solo.state(), N);
    }
}

#[test]
fn note_a_an_own_peer_may_go_straight_to_normal() {
    let mut solo = Solo::running(Role::Secondary, RI);
    solo.hear(CD);
    solo.actions();
    solo.hear(N);
    solo.done();
    assert_eq!(solo.state(), N);
    let mut solo = Solo::running(Role::Secondary, RI);
    solo.hear(PC);
    solo.hear(N);
    assert_eq!(solo.questions().len(), 1);
    solo.done();
    assert_eq!(solo.state(), N);
}

#[test]
fn a_primary_asks_on_entering_conflict_and_never_for_a_done_partner() {
    for state in [CI, PD, RI, CD, REC, RDONE] {
        let mut solo = Solo::running(Role::Primary, state);
        solo.hear(if state == CD { PD } else { PC });
        assert_eq!(solo.state(), PC, "{state}");
        assert_eq!(solo.questions().len(), 1, "{state}");
        solo.hear(CD);
        solo.hear(N);
        assert!(solo.questions().is_empty());
        solo.done();
        assert_eq!(solo.state(), CD, "{state}");
    }
}

#[test]
fn note_1_normal_waits_for_the_exit_barrier() {
    for (mine, partner) in [(PD, RDONE), (CI, RDONE), (RDONE, N), (RDONE, RDONE)] {
        for role in ROLES {
            let mut solo = Solo::running(role, mine);
            solo.hear(partner);
            assert_eq!((solo.state(), solo.endpoint.is_exit_pending()), (mine, true), "{mine} x {partner}");
            solo.open_barrier();
            assert_eq!((solo.state(), solo.endpoint.is_exit_pending()), (N, false), "{mine} x {partner}");
        }
    }
}

#[test]
fn note_1_a_barrier_that_nobody_waits_for_does_nothing() {
    for state in [CI, PD, RI, CD, REC, RWAIT, RDONE] {
        let mut solo = Solo::running(Role::Primary, state);
        solo.open_barrier();
        assert_eq!((solo.state(), solo.actions()), (state, vec![]));
    }
}

#[test]
fn note_1_what_the_partner_becomes_meanwhile_counts() {
    let cases = [
        (PD, RDONE, REC, PD, false),
        (PD, RDONE, CI, PC, false),
        (PD, RDONE, SHUT, PD, false),
        (CI, RDONE, REC, CI, false),
        (CI, RDONE, N, N, false),
        (CI, RDONE, SHUT, PD, false),
        (RDONE, N, CI, RDONE, false),
        (RDONE, N, PD, RDONE, false),
        (RDONE, N, PC, PC, false),
        (RDONE, N, RDONE, RDONE, true),
        (RDONE, RDONE, N, RDONE, true),
    ];
    for (mine, partner, later, after, pending) in cases {
        let mut solo = Solo::running(Role::Primary, mine);
        solo.hear(partner);
        solo.hear(later);
        let found = (solo.state(), solo.endpoint.is_exit_pending());
        assert_eq!(found, (after, pending), "{mine} x {partner}, then {later}");
    }
}

#[test]
fn note_1_a_lost_link_closes_the_barrier_again() {
    for (mine, partner) in [(PD, RDONE), (CI, RDONE), (RDONE, N)] {
        let mut solo = Solo::running(Role::Secondary, mine);
        solo.hear(partner);
        solo.cut();
        solo.open_barrier();
        assert_eq!((solo.state(), solo.endpoint.is_exit_pending()), (mine, false));
    }
}

#[test]
fn note_1_the_barrier_holds_both_sides_for_as_long_as_it_lasts() {
    let mut pair = Pair::stored([PD, RDONE], at(9, 0, 0));
    pair.barrier_millis = 10 * MINUTE;
    pair.start(PRIMARY);
    pair.start(SECONDARY);
    pair.run_until(at(9, 9, 59));
    assert_eq!(pair.states(), [PD, RDONE]);
    assert_eq!(pair.service(SECONDARY), Service::RenewOnly);
    pair.run_until_normal(Seconds(20 * 60));
}

#[test]
fn note_6_normal_is_entered_anew_without_the_detour_being_said() {
    for partner in [CI, RDONE] {
        let mut solo = Solo::linked(Role::Primary, N, N);
        solo.hear(partner);
        let actions = solo.actions();
        let words = actions.iter().filter(|action| matches!(action, Action::Announce { .. })).count();
        let says_normal =
            |action: &Action| matches!(action, Action::Announce { state: N, startup: false, .. });
        assert_eq!((solo.state(), words), (N, 1), "{partner}: {actions:?}");
        assert!(actions.iter().any(says_normal), "{partner}: {actions:?}");
        assert!(actions.contains(&Action::Requeue), "{partner}: {actions:?}");
    }
}

#[test]
fn an_equal_state_changes_nothing_on_a_link_that_has_heard_it() {
    for (mine, partner) in [(N, N), (CI, REC), (PD, REC), (REC, PD), (RDONE, CI), (CD, RI)] {
        let mut solo = Solo::linked(Role::Primary, mine, partner);
        solo.hear(partner);
        assert_eq!((solo.state(), solo.actions()), (mine, vec![]), "{mine} x {partner}");
    }
}

#[test]
fn the_first_state_of_each_link_is_judged_even_if_nothing_changed() {
    let mut solo = Solo::linked(Role::Primary, N, CI);
    solo.cut();
    assert_eq!(solo.state(), CI);
    solo.endpoint.link_up(RECEIVE_TIMER);
    solo.hear(CI);
    assert_eq!(solo.state(), N);
}

#[test]
fn a_lost_flag_is_a_change_of_the_partners_state() {
    let mut solo = Solo::running(Role::Secondary, PD);
    solo.hear_flagged(CI, true);
    assert_eq!(solo.state(), PD);
    solo.hear_flagged(CI, false);
    assert_eq!(solo.state(), PC);
}

#[test]
fn recover_done_looks_at_once_at_what_the_partner_became() {
    let cases = [(N, RDONE, true), (RDONE, RDONE, true), (CD, PC, false), (PD, RDONE, false)];
    for (partner, after, pending) in cases {
        let record = record_of(Role::Secondary, RWAIT, at(8, 0, 0));
        let wait_until = Some(at(9, 30, 0));
        let failed_at = Some(at(8, 30, 0));
        let mut solo = Solo::starting(Record { wait_until, failed_at, ..record }, at(8, 0, 0));
        solo.endpoint.link_up(RECEIVE_TIMER);
        solo.now = clock(at(9, 0, 0));
        solo.hear(PD);
        solo.hear(partner);
        assert_eq!(solo.state(), RWAIT);
        assert_eq!(solo.endpoint.wakes_at(), wait_until);
        solo.now = clock(at(9, 30, 0));
        solo.endpoint.tick(context(solo.now));
        assert_eq!((solo.state(), solo.endpoint.is_exit_pending()), (after, pending), "{partner}");
    }
}

#[test]
fn note_7_a_link_lost_behind_recover_done_moves_the_date_of_partner_down() {
    let mut solo = Solo::running(Role::Primary, PD);
    solo.hear(RDONE);
    solo.now = clock(at(12, 0, 0));
    solo.cut();
    assert_eq!(solo.state(), PD);
    assert_eq!(solo.endpoint.record().partner_down_at, Some(at(12, 1, 0)), "PD-8");
}

#[test]
fn note_7_counts_also_if_the_partner_came_back_and_its_state_was_not_heard_before_the_link_was_lost() {
    let cases = [(RWAIT, true), (REC, true), (N, false)];
    for ((last_heard, moved), pauses) in cases.into_iter().flat_map(|case| [(case, false), (case, true)]) {
        let mut solo = Solo::running(Role::Primary, PD);
        solo.hear(last_heard);
        if pauses {
            // It comes back in the state before.
            solo.hear(Paused);
            solo.hear(Paused);
        }
        solo.cut();
        let before = solo.endpoint.record().partner_down_at;
        // By now it is in RecoverDone, and hears us before the network breaks.
        solo.endpoint.link_up(RECEIVE_TIMER);
        solo.now = clock(at(12, 0, 0));
        solo.cut();
        let expected = if moved { Some(at(12, 1, 0)) } else { before };
        assert_eq!(solo.endpoint.record().partner_down_at, expected, "{last_heard}");
        assert!(!solo.endpoint.record().partner_renews);
    }
    let mut solo = Solo::running(Role::Primary, PD);
    solo.hear(RWAIT);
    solo.cut();
    let before = solo.endpoint.record().partner_down_at;
    solo.endpoint.link_up(RECEIVE_TIMER);
    solo.hear(RWAIT);
    solo.now = clock(at(12, 0, 0));
    solo.cut();
    assert_eq!(solo.endpoint.record().partner_down_at, before, "it says that it still waits");
}

/// Once it was told everything it may enter RecoverDone at any moment, and say so on a link that is dead.
#[test]
fn note_7_counts_from_when_the_partner_was_told_everything() {
    for told in [true, false] {
        let mut solo = Solo::running(Role::Primary, PD);
        solo.hear(REC);
        if told {
            solo.endpoint.told_everything();
        }
        let before = solo.endpoint.record().partner_down_at;
        solo.now = clock(at(12, 0, 0));
        solo.cut();
        let expected = if told { Some(at(12, 1, 0)) } else { before };
        assert_eq!(solo.endpoint.record().partner_down_at, expected, "told everything: {told}");
    }
}

/// A pause of PartnerDown is no end of it, for the partner that renews meanwhile and for what was granted before.
#[test]
fn note_7_and_the_longest_lease_alone_outlast_a_pause() {
    let mut solo = Solo::running(Role::Primary, PD);
    solo.endpoint.grants_alone(Seconds(7200));
    solo.hear(RDONE);
    solo.endpoint.pause(context(solo.now));
    assert_eq!(solo.state(), Paused);
    let solo = Solo::starting(solo.endpoint.record().clone(), at(9, 0, 0));
    let record = solo.endpoint.record();
    assert_eq!((record.state, record.alone_lease), (PD, Seconds(7200)));
    assert_eq!(record.partner_down_at, Some(at(8, 1, 0)), "as after a crash");
}

/// The link carries what is said on it, heard or not.
#[test]
fn a_shutdown_on_a_link_on_which_nothing_was_heard_yet_is_said() {
    for linked in [true, false] {
        let mut solo = Solo::running(Role::Primary, CI);
        if !linked {
            solo.cut();
        }
        assert_eq!(solo.endpoint.heard(), None);
        solo.endpoint.shut_down(context(solo.now));
        assert_eq!(solo.endpoint.record().shutdown_unsaid, !linked);
    }
}

/// The survivor may have been alone again since, until both are in Normal.
#[test]
fn a_survivor_that_loses_its_store_is_noticed_until_normal() {
    for (role, state) in [(Role::Primary, REC), (Role::Secondary, REC), (Role::Secondary, RDONE)] {
        let mut solo = Solo::running(role, state);
        solo.hear(PD);
        assert!(solo.endpoint.lacks_partner_down(), "{role} {state}");
        solo.cut();
        assert!(solo.endpoint.lacks_partner_down(), "{role} {state}, apart");
        solo.endpoint.link_up(RECEIVE_TIMER);
        let lacks = solo.endpoint.lacks_partner_down();
        solo.hear(REC);
        solo.endpoint.partner_data(Some(at(9, 0, 0)), None, lacks, Seconds(7200), context(solo.now));
        let hold = solo.endpoint.hold(solo.now.wall).map(|hold| hold.reason);
        assert_eq!(hold, Some(HoldReason::PartnerDownLost), "{role} {state}");
    }
}

/// It may know of leases that this server never fetched, also where the two sort out a conflict.
#[test]
fn who_heard_a_survivor_and_is_let_go_in_the_conflict_has_a_hold() {
    let mut solo = Solo::running(Role::Secondary, CI);
    solo.hear(PD);
    assert_eq!(solo.state(), PC);
    solo.hear(PC);
    solo.cut();
    assert_eq!(solo.state(), RI);
    let since = solo.now.wall;
    let plain = solo.endpoint.partner_down(Some(since), false, false, GROUNDS, context(solo.now));
    assert!(matches!(plain, Err(Refusal::Unsynchronised(_))), "{plain:?}");
    solo.let_go(since).expect("an expert may");
    assert!(solo.endpoint.hold(solo.now.wall).is_some());
}

/// It paused before it said that it knows of the conflict, and comes back in PartnerDown.
#[test]
fn a_survivor_that_paused_may_still_be_one() {
    let cases = [(PD, Service::Silent), (PC, Service::RenewOnly)];
    for ((said, service), linked) in cases.into_iter().flat_map(|case| [(case, true), (case, false)]) {
        let mut solo = Solo::running(Role::Secondary, CI);
        solo.hear(PD);
        solo.hear(said);
        solo.hear(Paused);
        if !linked {
            solo.cut();
        }
        assert_eq!((solo.state(), solo.endpoint.service()), (RI, service), "{said}");
    }
}

/// Only who served knows that nobody else did.
#[test]
fn a_server_that_has_served_nobody_vouches_for_nobody() {
    for (state, vouches) in [(PD, true), (CI, true), (REC, false)] {
        let new =
            Record { integrated: false, partner: None, ..record_of(Role::Secondary, state, at(7, 0, 0)) };
        let mut solo = Solo::starting(new, at(7, 59, 0));
        solo.endpoint.link_up(RECEIVE_TIMER);
        assert_eq!(solo.endpoint.never_knew_partner(), vouches, "{state}");
    }
}

/// Not an empty store: it says nothing of when the server served last.
#[test]
fn an_old_copy_of_a_store_that_nobody_had_confirmed_counts_from_now() {
    let record = Record {
        data_lost: true,
        failed_at: Some(at(7, 0, 0)),
        ..record_of(Role::Secondary, REC, at(7, 0, 0))
    };
    let now = clock(at(8, 0, 0));
    let loaded = StoreStamp::default();
    let mut endpoint =
        Endpoint::start(Role::Secondary, Some(record), loaded, at(7, 0, 0), SETTINGS, context(now));
    endpoint.operator_saw(StoreStamp { epoch: 90, lsn: Lsn(5) }, context(now));
    assert_eq!(endpoint.record().failed_at, Some(now.wall));
    assert!(endpoint.record().data_lost);
}

#[test]
fn note_7_counts_also_if_the_partner_paused_before_or_this_server_was_restarted() {
    let mut solo = Solo::running(Role::Primary, PD);
    solo.hear(RDONE);
    solo.hear(Paused);
    solo.now = clock(at(12, 0, 0));
    solo.cut();
    assert_eq!(solo.endpoint.record().partner_down_at, Some(at(12, 1, 0)));
    assert!(!solo.endpoint.record().partner_renews, "once");

    let mut solo = Solo::running(Role::Primary, PD);
    solo.hear(RDONE);
    let stored = solo.endpoint.record().clone();
    let now = clock(at(13, 0, 0));
    let mut endpoint = Endpoint::start(
        Role::Primary,
        Some(stored),
        StoreStamp::default(),
        at(12, 0, 0),
        SETTINGS,
        context(now),
    );
    assert_eq!(endpoint.record().partner_down_at, Some(at(13, 1, 0)));
    let actions = std::iter::from_fn(|| endpoint.poll_action());
    assert!(actions.into_iter().any(|action| action == Action::FreezeBounds));
}

#[test]
fn note_7_no_other_last_word_moves_the_date() {
    for partner in [REC, RWAIT] {
        let mut solo = Solo::running(Role::Primary, CI);
        solo.cut();
        solo.let_go(at(9, 0, 0)).expect("the partner is gone");
        solo.endpoint.link_up(RECEIVE_TIMER);
        solo.hear(partner);
        solo.now = clock(at(12, 0, 0));
        solo.cut();
        assert_eq!(solo.endpoint.record().partner_down_at, Some(at(9, 0, 0)), "{partner}");
    }
}

#[test]
fn note_8_partner_down_is_refused_while_the_partner_is_on_its_way_back() {
    for (mine, partner) in [(CI, RDONE), (REC, RDONE), (CD, PC), (CD, RI), (CD, RDONE), (RWAIT, CD)] {
        let mut solo = Solo::linked(Role::Primary, mine, partner);
        let refusal = solo.let_go(solo.now.wall);
        assert_eq!(refusal, Err(Refusal::PartnerOnItsWay(partner)), "{mine} x {partner}");
        assert_eq!(solo.state(), mine);
    }
}

#[test]
fn partner_down_is_refused_for_a_time_to_come_and_in_conflict() {
    let mut solo = Solo::running(Role::Primary, CI);
    solo.cut();
    let later = solo.now.wall + Seconds(1);
    assert_eq!(solo.let_go(later), Err(Refusal::Future));
    assert_eq!(solo.state(), CI);
    let mut solo = Solo::linked(Role::Primary, RI, SHUT);
    solo.hear(REC);
    assert_eq!(solo.state(), PC);
    assert_eq!(solo.let_go(solo.now.wall), Err(Refusal::WrongState(PC)));
}

#[test]
fn partner_down_in_partner_down_revises_the_date() {
    let mut solo = Solo::running(Role::Primary, CI);
    solo.cut();
    solo.let_go(at(9, 0, 0)).expect("the partner is gone");
    let transition = solo.endpoint.record().stamp;
    solo.let_go(at(8, 30, 0)).expect("a better date");
    assert_eq!(solo.endpoint.record().partner_down_at, Some(at(8, 30, 0)));
    assert_eq!((solo.state(), solo.endpoint.record().stamp), (PD, transition));
}

#[test]
fn every_lost_link_while_interrupted_is_stamped_anew() {
    let mut solo = Solo::linked(Role::Primary, N, N);
    solo.now = clock(at(10, 0, 0));
    solo.cut();
    assert_eq!(solo.endpoint.record().interrupted_at, Some(at(10, 0, 0)));
    solo.endpoint.link_up(RECEIVE_TIMER);
    solo.hear(REC);
    assert_eq!(solo.state(), CI);
    solo.now = clock(at(11, 0, 0));
    solo.cut();
    assert_eq!(solo.endpoint.record().interrupted_at, Some(at(11, 0, 0)));
}

// Counters and clocks.

#[test]
fn each_state_change_counts_one_transition_and_a_start_counts_an_epoch() {
    let mut solo = Solo::linked(Role::Primary, N, N);
    let StateStamp { epoch, transition } = solo.endpoint.record().stamp;
    solo.cut();
    assert_eq!(solo.endpoint.record().stamp, StateStamp { epoch, transition: transition + 1 });
    solo.endpoint.link_up(RECEIVE_TIMER);
    solo.hear(CI);
    assert_eq!(solo.endpoint.record().stamp, StateStamp { epoch, transition: transition + 2 });
    let again = Solo::starting(solo.endpoint.record().clone(), solo.now.wall);
    assert_eq!(again.endpoint.record().stamp.epoch, epoch + 1);
}

#[test]
fn a_clock_that_steps_back_makes_no_state_older() {
    let mut solo = Solo::linked(Role::Primary, N, N);
    let since = solo.endpoint.record().since;
    solo.now.wall = at(3, 0, 0);
    solo.cut();
    assert_eq!(solo.state(), CI);
    assert!(solo.endpoint.record().since >= since);
    solo.endpoint.link_up(RECEIVE_TIMER);
    solo.hear(REC);
    solo.hear(CI);
    assert!(solo.endpoint.record().since >= since);
}

#[test]
fn a_record_changes_with_every_state_and_is_taken_once() {
    let mut solo = Solo::linked(Role::Primary, N, N);
    assert!(solo.endpoint.take_record_change());
    assert!(!solo.endpoint.take_record_change());
    solo.cut();
    assert!(solo.endpoint.take_record_change());
    assert!(!solo.endpoint.take_record_change());
}

#[test]
fn a_server_alone_serves_at_once() {
    let settings = Settings { alone: true, ..SETTINGS };
    let now = clock(at(9, 0, 0));
    let stamp = StoreStamp::default();
    let mut endpoint = Endpoint::start(Role::Primary, None, stamp, at(0, 0, 0), settings, context(now));
    endpoint.bootstrap(true, context(now)).expect("the store is empty");
    assert_eq!(endpoint.service(), Service::All);
    let record = Some(endpoint.record().clone());
    let loaded = StoreStamp { epoch: 1, lsn: Lsn(100) };
    let again = Endpoint::start(Role::Primary, record, loaded, now.wall, settings, context(now));
    assert_eq!(again.service(), Service::All);
}

// Rollback (§2.2, T12).

/// A server that starts from a store at `loaded`, whose partner remembers `known`.
fn met_by_a_partner_that_knows(loaded: (u64, u64), known: (u64, u64)) -> Endpoint {
    started_from(record_of(Role::Secondary, N, at(8, 0, 0)), loaded, known)
}

fn started_from(mut record: Record, loaded: (u64, u64), known: (u64, u64)) -> Endpoint {
    let stamp = |(epoch, lsn)| StoreStamp { epoch, lsn: Lsn(lsn) };
    record.stamp.epoch = loaded.0;
    let now = clock(at(9, 0, 0));
    let role = Role::Secondary;
    let mut endpoint =
        Endpoint::start(role, Some(record), stamp(loaded), at(8, 59, 59), SETTINGS, context(now));
    let durable = StoreStamp { epoch: endpoint.record().stamp.epoch, lsn: Lsn(loaded.1 + 1) };
    assert_eq!(endpoint.announced_store(durable), stamp(loaded), "as loaded, before anything is raised");
    endpoint.link_up(RECEIVE_TIMER);
    let own = StoreStamp { epoch: 3, lsn: Lsn(12) };
    let partner_stamp = StateStamp { epoch: 3, transition: 1 };
    endpoint
        .compare_stores(Progress { own, stamp: partner_stamp, known_of_partner: stamp(known) }, context(now));
    endpoint
}

#[test]
fn rb_1_and_t12_a_restored_volume_is_found_because_it_is_announced_as_loaded() {
    let mut endpoint = met_by_a_partner_that_knows((7, 3200), (7, 5000));
    assert_eq!(endpoint.record().state, REC);
    assert_eq!(endpoint.record().stamp.epoch, 8);
    assert!(endpoint.record().data_lost);
    assert!(
        std::iter::from_fn(|| endpoint.poll_action()).any(|action| matches!(action, Action::Behind { .. }))
    );
}

#[test]
fn rb_1_a_copy_that_was_made_in_a_recovery_does_not_say_when_the_server_served_last() {
    let made = Record {
        data_lost: true,
        failed_at: Some(at(6, 0, 0)),
        ..record_of(Role::Secondary, RWAIT, at(6, 30, 0))
    };
    let endpoint = started_from(made, (7, 3200), (7, 5000));
    assert_eq!((endpoint.record().state, endpoint.record().failed_at), (REC, Some(at(9, 0, 0))));
}

#[test]
fn rb_2_a_clean_restart_is_no_rollback() {
    let endpoint = met_by_a_partner_that_knows((7, 5000), (7, 5000));
    assert_eq!((endpoint.record().state, endpoint.record().stamp.epoch), (CI, 8));
}

#[test]
fn rb_3_a_store_ahead_of_what_the_partner_heard_is_no_rollback() {
    let endpoint = met_by_a_partner_that_knows((7, 5000), (7, 4990));
    assert_eq!((endpoint.record().state, endpoint.record().stamp.epoch), (CI, 8));
}

#[test]
fn rb_4_a_snapshot_of_an_older_epoch_starts_above_everything_known() {
    let endpoint = met_by_a_partner_that_knows((5, 9000), (7, 5000));
    assert_eq!((endpoint.record().state, endpoint.record().stamp.epoch), (REC, 8));
}

#[test]
fn once_the_partner_has_confirmed_the_store_its_present_stamp_is_announced() {
    let endpoint = met_by_a_partner_that_knows((7, 5000), (7, 5000));
    let durable = StoreStamp { epoch: 8, lsn: Lsn(5003) };
    assert_eq!(endpoint.announced_store(durable), durable);
}

#[test]
fn rb_5_restarts_without_contact_hide_no_rollback() {
    let mut record = record_of(Role::Secondary, N, at(8, 0, 0));
    record.stamp.epoch = 7;
    let mut loaded = StoreStamp { epoch: 7, lsn: Lsn(3200) };
    let restored = loaded;
    for start in 0..4 {
        let now = clock(at(9, start, 0));
        let role = Role::Secondary;
        let endpoint = Endpoint::start(role, Some(record), loaded, at(8, 59, 59), SETTINGS, context(now));
        record = endpoint.record().clone();
        loaded = StoreStamp { epoch: record.stamp.epoch, lsn: Lsn(loaded.lsn.0 + 1000) };
        assert_eq!(endpoint.announced_store(loaded), restored, "start {start}");
    }
}

#[test]
fn a_rollback_in_the_midst_of_a_conflict_or_a_pause_ends_in_recover_as_well() {
    for state in [CI, PD, RI, CD, RWAIT, RDONE] {
        let mut record = record_of(Role::Primary, state, at(7, 0, 0));
        record.stamp.epoch = 7;
        let mut solo = Solo::starting(record, at(7, 59, 0));
        solo.endpoint.link_up(RECEIVE_TIMER);
        let known_of_partner = StoreStamp { epoch: 7, lsn: Lsn(5000) };
        let progress = Progress { known_of_partner, ..Progress::default() };
        solo.endpoint.compare_stores(progress, context(solo.now));
        assert_eq!((solo.state(), solo.endpoint.record().stamp.epoch), (REC, 8), "{state}");
    }
}

// Whatever happens.

#[derive(Clone, Debug)]
enum Disturbance {
    Run(u64),
    Messages(u8),
    Cut([u16; 2]),
    Crash(usize, u16),
    Restart(usize),
    LoseStore(usize),
    Restore(usize),
    Snapshot(usize),
    Pause(usize),
    Delays(u16, u32, u32),
    PartnerDown(usize),
    Unplug,
    Plug,
}

fn disturbance() -> impl Strategy<Value = Disturbance> {
    let me = 0..2_usize;
    prop_oneof![
        6 => (0..90_000_u64).prop_map(Disturbance::Run),
        1 => (0..8_000_000_u64).prop_map(Disturbance::Run),
        8 => (1..6_u8).prop_map(Disturbance::Messages),
        4 => any::<[u16; 2]>().prop_map(Disturbance::Cut),
        2 => (me.clone(), any::<u16>()).prop_map(|(me, notice)| Disturbance::Crash(me, notice)),
        4 => me.clone().prop_map(Disturbance::Restart),
        1 => me.clone().prop_map(Disturbance::LoseStore),
        1 => me.clone().prop_map(Disturbance::Pause),
        1 => (1..2000_u16, 0..120_000_u32, 0..120_000_u32)
            .prop_map(|(latency, answer, barrier)| Disturbance::Delays(latency, answer, barrier)),
        1 => Just(Disturbance::Unplug),
        2 => Just(Disturbance::Plug),
    ]
}

/// Whatever an operator or a broken volume may add.
fn any_disturbance() -> impl Strategy<Value = Disturbance> {
    let me = 0..2_usize;
    prop_oneof![
        12 => disturbance(),
        1 => me.clone().prop_map(Disturbance::Snapshot),
        1 => me.clone().prop_map(Disturbance::Restore),
        2 => me.prop_map(Disturbance::PartnerDown),
    ]
}

fn disturb(pair: &mut Pair, snapshots: &mut [Option<Disk>; 2], what: &Disturbance) {
    match *what {
        Disturbance::Run(millis) => pair.run_for(millis),
        Disturbance::Messages(count) => {
            for _ in 0..count {
                pair.deliver_one();
            }
        }
        Disturbance::Cut(notice) => pair.cut(notice.map(u64::from)),
        Disturbance::Crash(me, notice) => pair.crash(me, u64::from(notice)),
        Disturbance::Restart(me) => pair.restart(me),
        Disturbance::LoseStore(me) => {
            pair.crash(me, 0);
            pair.sides[me].disk = Disk::default();
        }
        Disturbance::Snapshot(me) => snapshots[me] = Some(pair.sides[me].disk.clone()),
        Disturbance::Restore(me) => {
            if let Some(disk) = &snapshots[me] {
                pair.crash(me, 0);
                pair.sides[me].disk = disk.clone();
            }
        }
        Disturbance::Pause(me) => pair.pause(me),
        Disturbance::Delays(latency, answer, barrier) => {
            pair.latency_millis = u64::from(latency);
            pair.answer_millis = u64::from(answer);
            pair.barrier_millis = u64::from(barrier);
        }
        Disturbance::PartnerDown(me) => {
            if pair.sides[me].endpoint.is_some() {
                let now = pair.now().wall;
                // A refusal is as good.
                let _ = pair.partner_down(me, now);
            }
        }
        Disturbance::Unplug => {
            pair.reachable = false;
            pair.cut([0, 0]);
        }
        Disturbance::Plug => pair.reachable = true,
    }
}

/// Both run and reach each other: Normal follows, then nothing more is said.
fn comes_to_rest(pair: &mut Pair) {
    pair.reachable = true;
    (pair.latency_millis, pair.answer_millis, pair.barrier_millis) = (10, 100, 0);
    for me in [PRIMARY, SECONDARY] {
        if pair.sides[me].endpoint.is_none() {
            pair.start(me);
        }
    }
    pair.run_until_normal(Seconds(MCLT.0 + 60 + 300));
    pair.forget_log();
    pair.run_for(120 * MINUTE);
    assert!(pair.is_normal());
    for side in &pair.sides {
        assert!(side.said.is_empty() && side.entered.is_empty() && side.asked.is_empty(), "{side:?}");
    }
}

fn begun(beginning: u8) -> Pair {
    match beginning {
        0 => Pair::normal(at(1, 0, 0)),
        1 => Pair::new(at(1, 0, 0)),
        _ => {
            let mut pair = Pair::new(at(1, 0, 0));
            pair.start_with_token(PRIMARY);
            pair.start_with_token(SECONDARY);
            pair
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn faults_without_commands_end_in_normal_and_never_in_conflict(
        beginning in 0..3_u8,
        disturbances in prop::collection::vec(disturbance(), 0..40),
    ) {
        let mut pair = begun(beginning);
        for what in &disturbances {
            disturb(&mut pair, &mut [None, None], what);
            for side in &mut pair.sides {
                let conflict = |state: &State| matches!(state, PC | RI | CD);
                prop_assert!(!side.entered.iter().any(conflict), "{what:?}: {:?}", side.entered);
            }
            let both_down = pair.states() == [PD, PD];
            prop_assert!(!both_down, "{what:?}");
        }
        comes_to_rest(&mut pair);
    }

    #[test]
    fn faults_with_commands_and_restored_backups_end_in_normal(
        beginning in 0..3_u8,
        disturbances in prop::collection::vec(any_disturbance(), 0..60),
    ) {
        let mut pair = begun(beginning);
        let mut snapshots = [None, None];
        for what in &disturbances {
            disturb(&mut pair, &mut snapshots, what);
        }
        comes_to_rest(&mut pair);
    }
}

#[test]
fn any_state_with_any_other_ends_in_normal() {
    for primary in [CI, PD, RI, CD, REC, RWAIT, RDONE] {
        for secondary in [CI, PD, RI, REC, RWAIT, RDONE] {
            let mut pair = Pair::stored([primary, secondary], at(9, 0, 0));
            for side in &mut pair.sides {
                let record = side.disk.record.as_mut().expect("it is stored");
                if record.state == RWAIT {
                    record.wait_until = Some(at(9, 30, 0));
                }
            }
            comes_to_rest(&mut pair);
        }
    }
}

/// Whatever a record says beyond the state and what a start renews is there after any number of starts.
#[test]
fn a_start_forgets_nothing_of_the_record() {
    for role in ROLES {
        for state in [N, CI, PD, RI, REC, RWAIT, RDONE, Paused] {
            let mut record = record_of(role, state, at(8, 0, 0));
            record.amnesia_until = at(9, 30, 0);
            record.longest_lease = Seconds(7200);
            record.longer_leases_until = at(11, 0, 0);
            record.alone_lease = Seconds(3600);
            record.partner_alone_lease = Some(Seconds(1800));
            record.clock_delta = -17;
            record.unsettled = true;
            record.unfetched = true;
            record.requests_unheard = true;
            record.token_burnt = true;
            let before = record.clone();
            let solo = Solo::starting(record, at(7, 59, 59));
            let after = solo.endpoint.record();
            assert_eq!(after.amnesia_until, before.amnesia_until, "{role} {state}");
            assert_eq!(after.longest_lease, before.longest_lease, "{role} {state}");
            assert_eq!(after.longer_leases_until, before.longer_leases_until, "{role} {state}");
            assert_eq!(after.alone_lease, before.alone_lease, "{role} {state}");
            assert_eq!(after.partner_alone_lease, before.partner_alone_lease, "{role} {state}");
            assert_eq!(after.clock_delta, before.clock_delta, "{role} {state}");
            assert_eq!(
                after.partner.map(|partner| partner.state),
                before.partner.map(|partner| partner.state)
            );
            assert_eq!(
                (
                    after.unsettled,
                    after.unfetched,
                    after.requests_unheard,
                    after.token_burnt,
                    after.integrated
                ),
                (
                    before.unsettled,
                    before.unfetched,
                    before.requests_unheard,
                    before.token_burnt,
                    before.integrated
                ),
                "{role} {state}"
            );
        }
    }
}
