//! The known holes of the protocol and of naive implementations (`spec/failover-behaviour.md` §14.1), each as a
//! story that holds. `sim/holes/run` shows with a patch for each that it breaks once the countermeasure is out.

use api::force::{Evidence, Fence, ForceRequest, ForceState, ForcedState};
use api::identity::{State, StateStamp};
use api::status::RequestPhase;
use server::{Caller, Command, CommandId};

use super::World;
use super::event::What;
use super::operator::forced;
use crate::check::Violation;
use crate::client::{Client, OFFER};
use crate::plan::Plan;

const PRIMARY: usize = 0;
const SECONDARY: usize = 1;
const MCLT: u64 = 20;
const LEASE: u32 = 400;

type Told = Result<(), Violation>;

/// A pair in Normal whose clients have leases longer than the MCLT.
struct Story {
    world: World,
}

impl Story {
    fn begin(clients: u64, pool: u32) -> Self {
        Self::begin_for(150, clients, pool)
    }

    /// All clients are there after a minute.
    fn begin_for(seconds: u64, clients: u64, pool: u32) -> Self {
        let plan = Plan {
            clients,
            pool,
            lease: LEASE,
            mclt: MCLT as u32,
            backup_pct: 50,
            load_balancing: true,
            delay: 50,
            ..Plan::calm()
        };
        Self::begin_with(seconds, plan)
    }

    /// With a renewal somewhere all the time.
    fn begin_busy(clients: u64, delay: u64) -> Self {
        let plan = Plan {
            clients,
            pool: 220,
            lease: 60,
            mclt: MCLT as u32,
            backup_pct: 50,
            load_balancing: true,
            delay,
            ..Plan::calm()
        };
        Self::begin_with(60, plan)
    }

    fn begin_with(seconds: u64, plan: Plan) -> Self {
        let mut story = Self { world: World::new(plan, false) };
        story.world.begin().expect("both start");
        story.run(seconds).expect("nothing is wrong");
        assert_eq!(story.states(), [State::Normal; 2]);
        story
    }

    /// How many of these new clients a server offers an address to, at once.
    fn welcomed(&self, node: usize) -> (usize, usize) {
        let mut copy = self.world.nodes[node].server.clone().expect("it runs");
        let clients = (0x4000..0x4010).map(|index| Client::new(index, &self.world.plan));
        let local: Vec<_> = clients.filter(|client| !client.relayed && !client.is_twin).collect();
        let offered = |client: &&Client| {
            let answer = self.world.answer(node, &mut copy, &client.discover(0), true);
            answer.is_some_and(|answer| answer.kind == OFFER)
        };
        (local.iter().filter(offered).count(), local.len())
    }

    fn welcomes(&self, node: usize, everybody: bool) -> Told {
        let (welcomed, of) = self.welcomed(node);
        if welcomed == if everybody { of } else { 0 } {
            return Ok(());
        }
        let what = format!("{welcomed} of {of} new clients are welcome in {}", self.state(node));
        Err(self.world.violation(if everybody { "I12 bounded service gap" } else { "I10 silence" }, what))
    }

    fn run(&mut self, seconds: u64) -> Told {
        let until = self.world.time + seconds * 1000;
        self.world.play(until)
    }

    fn states(&self) -> [State; 2] {
        [PRIMARY, SECONDARY].map(|node| self.state(node))
    }

    fn state(&self, node: usize) -> State {
        let server = self.world.nodes[node].server.as_ref();
        server.map_or(State::Unknown, server::Server::state)
    }

    fn hears(&self, node: usize) -> bool {
        let server = self.world.nodes[node].server.as_ref();
        server.is_some_and(|server| server.endpoint().heard().is_some())
    }

    fn run_until(&mut self, node: usize, state: State) -> Told {
        for _ in 0..200_000 {
            if self.state(node) == state {
                return Ok(());
            }
            let until = self.world.time + 1;
            self.world.play(until)?;
        }
        panic!("the {} is in {} and never enters {state}", self.world.nodes[node].role, self.state(node));
    }

    fn partition(&mut self) {
        self.world.network.blocked = [true, true];
    }

    fn join(&mut self) {
        self.world.network.blocked = [false, false];
        self.world.redeliver();
    }

    /// The process ends, and nobody starts it again.
    fn kill(&mut self, node: usize) {
        self.world.stop(node, false);
        self.world.queue.retain(|_, what| !matches!(what, What::Start { node: which } if *which == node));
    }

    fn start(&mut self, node: usize) -> Told {
        self.world.start(node, None)
    }

    fn stamp(&self, node: usize) -> StateStamp {
        self.world.stamp(node).expect("it runs")
    }

    /// The partner of the server at that stamp is fenced: at once if it runs, and whenever it starts.
    fn fence(&mut self, node: usize, stamp: StateStamp) -> Told {
        let since = self.world.nodes[node].now(self.world.time).wall.timestamp().expect("a time");
        let fence =
            Fence { partner_epoch: stamp.epoch, partner_transition: stamp.transition, since, evidence: None };
        self.world.operator.fences[node] = Some(fence);
        self.world.with_server(node, |server, now| server.command(now, CommandId(9), Command::Fence(fence)))
    }

    /// An operator forces a state. What the server said.
    fn force(&mut self, node: usize, force: ForceState, caller: Caller) -> Result<RequestPhase, Violation> {
        let id = force.request_id.clone();
        let before = self.world.operator.decided;
        let request = ForceRequest { force, expect: None };
        let command = Command::Force(Box::new(request), caller);
        self.world.with_server(node, |server, now| server.command(now, CommandId(10), command))?;
        // A server that stops answers once it has told its partner.
        self.run(1)?;
        let [granted, refused] = self.world.operator.decided;
        let again = self.world.operator.granted.contains_key(&id) && refused == before[1];
        Ok(if granted > before[0] || again { RequestPhase::Granted } else { RequestPhase::Refused })
    }

    /// Lets the survivor of a fenced partner go.
    fn declare_down(&mut self, survivor: usize, id: &str) -> Told {
        while self.hears(survivor) {
            self.run(1)?;
        }
        self.fence(1 - survivor, self.stamp(survivor))?;
        let phase = self.force(survivor, partner_down(survivor, id), Caller::Operator)?;
        assert_eq!(phase, RequestPhase::Granted);
        assert_eq!(self.state(survivor), State::PartnerDown);
        Ok(())
    }
}

fn partner_down(node: usize, id: &str) -> ForceState {
    ForceState {
        evidence: Evidence::Attested,
        reason: Some("I pulled its plug".to_owned()),
        ..forced(node, id.to_owned(), ForcedState::PartnerDown)
    }
}

#[track_caller]
fn holds(told: Told) {
    if let Err(violation) = told {
        panic!("broken: {violation}");
    }
}

/// The primary lost its volume, and somebody still has the word that the first one was new.
#[test]
fn h_4_an_empty_volume_is_none_that_is_new() {
    let mut story = Story::begin(12, 16);
    story.partition();
    story.kill(PRIMARY);
    story.world.lose_volume(PRIMARY);
    holds(story.world.start(PRIMARY, Some(0)));
    holds(story.run(300));
    assert_ne!(story.state(PRIMARY), State::PartnerDown);
}

/// The link is cut again while both sort out what each of them leased.
#[test]
fn h_5_who_sorts_out_a_conflict_serves_nobody_new() {
    let mut story = Story::begin_busy(120, 50);
    // The secondary answered a moment ago, so that it may have gone on until its partner was let go.
    story.kill(SECONDARY);
    holds(story.declare_down(PRIMARY, "first"));
    holds(story.run(60));
    holds(story.start(SECONDARY));
    holds(story.run_until(SECONDARY, State::PotentialConflict));
    holds(story.run_until(PRIMARY, State::PotentialConflict));
    story.partition();
    holds(story.run_until(SECONDARY, State::ResolutionInterrupted));
    holds(story.run(5));
    holds(story.welcomes(SECONDARY, false));
}

/// The survivor of one failure dies too, and the other server, which has not heard what it granted, goes on.
#[test]
fn h_6_a_second_server_declared_down_before_its_leases_were_fetched() {
    // Who asks when decides whether the second server has an address to give that the first one gave.
    for (clients, pool) in [(24, 8), (40, 12), (36, 16)] {
        let mut story = Story::begin(clients, pool);
        story.kill(SECONDARY);
        holds(story.declare_down(PRIMARY, "first"));
        holds(story.run(200));
        story.kill(PRIMARY);
        holds(story.start(SECONDARY));
        holds(story.run(10));
        // An expert takes the risk of the state, not that of the addresses.
        let force = ForceState { expert: true, ..partner_down(SECONDARY, "second") };
        let phase = story.force(SECONDARY, force, Caller::Human);
        assert_eq!(phase.expect("nothing is wrong"), RequestPhase::Granted);
        let before = story.world.acks;
        holds(story.run(u64::from(LEASE) + 200));
        assert!(story.world.acks > before, "it serves");
    }
}

/// The partner went on serving behind a partition, and died later.
#[test]
fn h_7_a_partner_is_down_since_it_is_declared_so_not_since_it_was_last_heard() {
    for clients in [40, 48, 56] {
        let mut story = Story::begin_for(20, clients, 12);
        story.partition();
        holds(story.run(60));
        story.kill(SECONDARY);
        holds(story.declare_down(PRIMARY, "first"));
        holds(story.run(u64::from(LEASE)));
    }
}

/// The fenced server starts again and cannot hear the survivor.
#[test]
fn h_11_a_server_that_starts_behind_a_partition_while_its_partner_is_alone_is_silent() {
    let mut story = Story::begin(12, 8);
    story.kill(SECONDARY);
    holds(story.declare_down(PRIMARY, "first"));
    story.partition();
    holds(story.run(60));
    holds(story.start(SECONDARY));
    holds(story.run(300));
    assert_eq!(story.state(PRIMARY), State::PartnerDown);
}

/// On both sides of a partition somebody declares the other server down.
#[test]
fn h_12_of_two_servers_only_one_can_be_let_go() {
    let mut story = Story::begin(12, 8);
    story.partition();
    holds(story.run(30));
    holds(story.declare_down(PRIMARY, "first"));
    let phase = story.force(SECONDARY, partner_down(SECONDARY, "second"), Caller::Operator);
    holds(story.run(300));
    assert_eq!(phase, Ok(RequestPhase::Refused));
}

/// The partner heard of a Shutdown and took over, and the server starts before it hears of that.
#[test]
fn h_13_a_server_that_was_shut_down_recovers_first() {
    let mut story = Story::begin(12, 8);
    let phase =
        story.force(SECONDARY, forced(SECONDARY, "away".to_owned(), ForcedState::Shutdown), Caller::Operator);
    assert_eq!(phase.expect("nothing is wrong"), RequestPhase::Granted);
    holds(story.run_until(PRIMARY, State::PartnerDown));
    story.kill(SECONDARY);
    story.partition();
    holds(story.start(SECONDARY));
    holds(story.run(300));
}

/// The survivor is shut down when its partner has recovered, and has not got everything.
#[test]
fn h_14_nobody_is_shut_down_before_its_partner_has_all_leases() {
    for clients in [24, 40] {
        let mut story = Story::begin(clients, 16);
        story.kill(SECONDARY);
        story.world.lose_volume(SECONDARY);
        holds(story.declare_down(PRIMARY, "first"));
        holds(story.run(60));
        holds(story.start(SECONDARY));
        holds(story.run_until(SECONDARY, State::RecoverWait));
        let shutdown = forced(PRIMARY, "away".to_owned(), ForcedState::Shutdown);
        let shutdown = ForceState { confirm: true, ..shutdown };
        let phase = story.force(PRIMARY, shutdown, Caller::Operator).expect("nothing is wrong");
        let what = format!("the survivor of a {} is {phase:?} to go", story.state(SECONDARY));
        let refused = phase == RequestPhase::Refused;
        holds(if refused { Ok(()) } else { Err(story.world.violation("H-14 shutdown", what)) });
    }
}

/// A partition lasts for long.
#[test]
fn h_17_nobody_lets_itself_go() {
    let mut story = Story::begin(24, 12);
    story.partition();
    holds(story.run(600));
    assert_eq!(story.states(), [State::CommunicationsInterrupted; 2]);
    story.join();
    holds(story.run_until(SECONDARY, State::Normal));
}

/// The link is cut when the server that came back is ready and the survivor has not heard so.
#[test]
fn h_20_a_server_that_came_back_serves_only_while_it_hears_the_survivor() {
    let mut story = Story::begin(12, 8);
    story.kill(SECONDARY);
    holds(story.declare_down(PRIMARY, "first"));
    holds(story.start(SECONDARY));
    holds(story.run_until(SECONDARY, State::RecoverDone));
    story.partition();
    holds(story.run(300));
    assert_eq!(story.states(), [State::PartnerDown, State::RecoverDone]);
}

/// A backup is put in place of the store, and nobody says so.
#[test]
fn h_23_a_restored_backup_is_found() {
    let mut story = Story::begin(24, 12);
    story.world.nodes[SECONDARY].back_up();
    let copy = story.world.nodes[SECONDARY].copy.take().expect("it runs");
    holds(story.run(200));
    story.kill(SECONDARY);
    story.world.nodes[SECONDARY].restore(copy.disk);
    holds(story.start(SECONDARY));
    holds(story.run_until(SECONDARY, State::Normal));
    holds(story.run(100));
    let entered = &story.world.states;
    assert!(entered.get(&State::RecoverWait).is_some(), "{entered:?}");
}

/// The disk stands still, and the process goes on.
#[test]
fn h_26_a_server_whose_disk_stands_still_leaves_its_clients_to_the_other() {
    let mut story = Story::begin_busy(120, 50);
    story.world.nodes[PRIMARY].stalled_until = story.world.time + 120_000;
    // Sooner than by silence.
    holds(story.run(7));
    holds(story.welcomes(SECONDARY, true));
}

/// An old manifest is applied again, by an operator that remembers nothing.
#[test]
fn h_27_a_request_is_carried_out_once() {
    let mut story = Story::begin(12, 8);
    story.kill(SECONDARY);
    holds(story.declare_down(PRIMARY, "first"));
    holds(story.run(30));
    holds(story.start(SECONDARY));
    holds(story.run_until(PRIMARY, State::Normal));
    holds(story.run_until(SECONDARY, State::Normal));
    story.partition();
    holds(story.run(30));
    holds(story.force(PRIMARY, partner_down(PRIMARY, "first"), Caller::Operator).map(drop));
    holds(story.run(100));
    assert_eq!(story.states(), [State::CommunicationsInterrupted; 2]);
}

/// Somebody renews all the time, so that at no instant everything is acknowledged.
#[test]
fn h_28_load_holds_no_barrier() {
    let mut story = Story::begin_busy(400, 500);
    story.kill(SECONDARY);
    story.world.lose_volume(SECONDARY);
    holds(story.declare_down(PRIMARY, "first"));
    holds(story.run(60));
    holds(story.start(SECONDARY));
    holds(story.run(50));
    let what = format!("the states are {:?}", story.states());
    let normal = story.states() == [State::Normal; 2];
    holds(if normal { Ok(()) } else { Err(story.world.violation("I8 convergence", what)) });
}
