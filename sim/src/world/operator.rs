//! The operator of a world: it forces states as the real one does, over a way on which orders and answers are
//! late, lost and repeated, and it knows nothing but what servers, and the fences it wrote, tell.

use std::collections::BTreeMap;

use api::force::{Evidence, Fence, ForceRequest, ForceState, ForcedState};
use api::identity::{Role, State, StateStamp, StoreStamp};
use api::status::{RequestPhase, RequestStatus};
use api::time::UnixTime;
use server::{Answer, Caller, Command, CommandId};

use crate::check::Violation;
use crate::world::World;
use crate::world::event::What;

/// What the operator and the cluster hold.
#[derive(Debug, Default)]
pub(super) struct Operator {
    /// Requests made, to be sent again as an old manifest would be.
    made: Vec<ForceRequest>,
    /// The fence that each server finds at its next start.
    pub(super) fences: [Option<Fence>; 2],
    /// The highest seen of each server's present volume.
    highest: [StoreStamp; 2],
    /// When each request was granted, by its id (I13).
    pub(super) granted: BTreeMap<String, RequestStatus>,
    commands: u64,
    /// Until when an order to declare the partner of each server down may be under way, beside a dhcpd.
    pub(super) declaring: [u64; 2],
    /// Requests granted and refused.
    pub(super) decided: [u64; 2],
}

/// Something the operator does later.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// Give a server a command.
    Give(Box<Command>),
    /// Look for evidence that the other server cannot serve, and have the request granted.
    LookForEvidence(Box<ForceRequest>),
}

impl Operator {
    /// The fence for a server's start.
    pub(super) fn fence(&self, node: usize) -> Option<Fence> {
        self.fences[node]
    }

    /// A volume is gone, and with it what only that store remembered.
    pub(super) fn lost(&mut self, node: usize, partner_knows: &[RequestStatus]) {
        self.highest[node] = StoreStamp::default();
        self.restored(partner_knows);
    }

    /// A volume became older, and with it what only that store remembered.
    pub(super) fn restored(&mut self, partner_knows: &[RequestStatus]) {
        self.granted.retain(|id, _| partner_knows.iter().any(|known| known.request_id == *id));
    }

    fn command(&mut self) -> CommandId {
        self.commands += 1;
        CommandId(1000 + self.commands)
    }
}

/// A plain request for a state of a server.
pub(super) fn forced(node: usize, request_id: String, state: ForcedState) -> ForceState {
    ForceState {
        request_id,
        server: role(node),
        state,
        dead_server: (state == ForcedState::PartnerDown).then(|| role(1 - node)),
        down_since: None,
        recover_time: None,
        evidence: Evidence::Automatic,
        expert: false,
        hold: false,
        confirm: false,
        reason: None,
    }
}

fn role(node: usize) -> Role {
    if node == 0 { Role::Primary } else { Role::Secondary }
}

impl World {
    /// The operator does something, as people would have it do.
    pub(super) fn operate(&mut self) {
        for node in 0..2 {
            if let Some(word) = self.look_at(node) {
                self.give_soon(node, word);
            }
        }
        // A survivor that does not run cannot tell whom to fence: that is a fault on top of another.
        let told = |node: &crate::node::Node| node.server.is_some() || !node.alone;
        if self.draw.below(20) == 0 && self.nodes.iter().all(told) {
            // Its memory is that of yesterday's etcd.
            self.history.note(self.time, "operator", format_args!("remembers nothing"));
            self.operator.fences = [None, None];
            self.operator.highest = [StoreStamp::default(); 2];
        }
        self.fence_partners_of_partner_down();
        let running = [0, 1].map(|node| self.nodes[node].server.is_some());
        match running {
            [true, false] => self.declare_down(0),
            [false, true] => self.declare_down(1),
            [true, true] if self.are_apart() && self.draw.coin() => {
                let survivor = usize::from(self.draw.coin());
                self.declare_down(survivor);
            }
            [true, true] => self.steer(),
            [false, false] => {}
        }
        if self.draw.below(3) == 0 {
            self.apply_an_old_manifest();
        }
    }

    /// Also of one that nobody asked for: it heard a Shutdown.
    fn fence_partners_of_partner_down(&mut self) {
        for survivor in 0..2 {
            let now = self.nodes[survivor].now(self.time);
            let Some(server) = &self.nodes[survivor].server else { continue };
            let report = server.report(now);
            if let Some(after) =
                report.partner_down_after.filter(|_| report.server.state == State::PartnerDown)
            {
                self.write_fence(1 - survivor, after, now.wall);
            }
        }
    }

    /// The fence for a server's next start, and for the one that runs.
    pub(super) fn write_fence(&mut self, node: usize, after: StateStamp, since: UnixTime) -> Fence {
        let fence = Fence {
            partner_epoch: after.epoch,
            partner_transition: after.transition,
            since: since.timestamp().unwrap_or_default(),
            evidence: None,
        };
        if self.operator.fences[node].is_none_or(|held| held.stamp() < fence.stamp()) {
            self.operator.fences[node] = Some(fence);
        }
        fence
    }

    /// Remembers how far a store is; what a server must hear of it that waits for that.
    pub(super) fn look_at(&mut self, node: usize) -> Option<Command> {
        let now = self.nodes[node].now(self.time);
        let server = self.nodes[node].server.as_ref()?;
        let report = server.report(now);
        let seen = StoreStamp { epoch: report.epoch, lsn: report.lsn };
        let before = self.operator.highest[node];
        if !report.store_confirmed {
            return Some(Command::Highest(if before.epoch > 0 { before } else { report.loaded }));
        }
        self.operator.highest[node] = before.max(seen);
        None
    }

    /// The other server does not run: fence it, look for evidence, have it declared down.
    fn declare_down(&mut self, survivor: usize) {
        let dead = 1 - survivor;
        let Some(stamp) = self.stamp(survivor) else { return };
        let mut request = self.request(survivor, ForcedState::PartnerDown, Some(stamp));
        let runs = self.nodes[dead].server.is_some();
        if runs {
            // Whoever vouches for a server that acknowledged its fence is right.
            request.force.evidence = Evidence::Attested;
            request.force.reason = Some("it is cut off and fenced".to_owned());
        }
        let now = self.nodes[survivor].now(self.time).wall;
        let status = RequestStatus {
            request_id: request.force.request_id.clone(),
            phase: RequestPhase::Fencing,
            reason: None,
            server: role(survivor),
            from: None,
            to: State::PartnerDown,
            down_since: None,
            transition_time: now.timestamp().unwrap_or_default(),
            expect: Some(stamp),
        };
        self.give_soon(survivor, Command::Note(status));
        let fence = self.write_fence(dead, stamp, now);
        if runs {
            self.give_soon(dead, Command::Fence(fence));
        }
        let at = self.time + 1 + self.draw.below(20_000);
        self.at(at, What::Order { node: survivor, order: Order::LookForEvidence(Box::new(request)) });
        if runs && self.plan.meddling {
            self.meet_before(at);
        }
    }

    /// Whether both run and neither hears the other.
    fn are_apart(&self) -> bool {
        let hears = |node: &crate::node::Node| {
            node.server.as_ref().is_none_or(|server| server.endpoint().heard().is_some())
        };
        !self.nodes.iter().any(hears)
    }

    /// Pauses, stops, cuts apart and recovers, and ends all that some time later.
    fn steer(&mut self) {
        let node = usize::from(self.draw.coin());
        self.steer_one(node);
    }

    pub(super) fn steer_one(&mut self, node: usize) {
        let state = match self.draw.below(5) {
            0 => ForcedState::Paused,
            1 => ForcedState::Shutdown,
            2 => ForcedState::CommunicationsInterrupted,
            3 => ForcedState::Recover,
            _ => ForcedState::Normal,
        };
        let expect = self.stamp(node).filter(|_| self.draw.coin());
        let mut request = self.request(node, state, expect);
        request.force.hold = state == ForcedState::CommunicationsInterrupted && self.draw.coin();
        let ends = request.force.hold || matches!(state, ForcedState::Paused | ForcedState::Shutdown);
        self.give_soon(node, Command::Force(Box::new(request), Caller::Operator));
        if ends {
            let startup = self.request(node, ForcedState::Startup, None);
            let at = self.time + 10_000 + self.draw.below(120_000);
            let command = Command::Force(Box::new(startup), Caller::Operator);
            self.at(at, What::Order { node, order: Order::Give(Box::new(command)) });
        }
    }

    /// GitOps, or an etcd of yesterday: a request that was made before comes again, by whatever operator.
    fn apply_an_old_manifest(&mut self) {
        let count = self.operator.made.len();
        if count == 0 {
            return;
        }
        let which = self.draw.below(count as u64) as usize;
        let mut request = self.operator.made[which].clone();
        if self.draw.coin() {
            request.expect = None;
        }
        if request.force.state != ForcedState::PartnerDown
            || self.operator.granted.contains_key(&request.force.request_id)
        {
            let node = usize::from(request.force.server == Role::Secondary);
            self.give_soon(node, Command::Force(Box::new(request), Caller::Operator));
        }
    }

    pub(super) fn carry_out_order(&mut self, node: usize, order: Order) -> Result<(), Violation> {
        match order {
            Order::Give(command) => {
                if let Command::Force(request, _) = &*command
                    && self.knows(1 - node, &request.force.request_id)
                    && !self.knows(node, &request.force.request_id)
                {
                    // The operator reads both ledgers, and this one's volume was lost.
                    return Ok(());
                }
                let id = self.operator.command();
                self.with_server(node, |server, now| server.command(now, id, *command))
            }
            Order::LookForEvidence(request) => {
                // A process that stands still is none that ended.
                let other = self.nodes[1 - node].server.as_ref();
                let stamp = request.expect.unwrap_or_default();
                let fenced = |server: &server::Server| {
                    server.endpoint().fence_in_force().is_some_and(|fence| fence.stamp() >= stamp)
                };
                if !other.is_none_or(fenced) {
                    return Ok(());
                }
                for _ in 0..=self.draw.below(2) {
                    self.give_soon(node, Command::Force(request.clone(), Caller::Operator));
                }
                Ok(())
            }
        }
    }

    /// A server answered the operator.
    pub(super) fn operator_heard(&mut self, node: usize, answer: &Answer) -> Result<(), Violation> {
        let Answer::Request(status) = answer else { return Ok(()) };
        let granted = status.phase == RequestPhase::Granted;
        if !granted {
            self.operator.decided[1] += 1;
            return Ok(());
        }
        self.acts(node);
        match self.operator.granted.get(&status.request_id) {
            None => {
                self.operator.decided[0] += 1;
                self.operator.granted.insert(status.request_id.clone(), (**status).clone());
                Ok(())
            }
            // The stored answer may have lost its reason on the way.
            Some(before)
                if before.transition_time == status.transition_time && before.server == status.server =>
            {
                Ok(())
            }
            Some(before) => {
                let what = format!(
                    "the {} carried out {} again: {status:?} after {before:?}",
                    self.nodes[node].role, status.request_id
                );
                Err(self.violation("I13 once", what))
            }
        }
    }

    /// Both servers get the newest configuration, and all that the operator stopped goes on. An order may be lost
    /// with an unsynced write, or come while a server still stops: it is given until it took.
    pub(super) fn reconcile(&mut self) -> Result<(), Violation> {
        self.queue.retain(|_, what| !matches!(what, What::Order { .. }));
        for node in 0..2 {
            self.configure(node, self.version)?;
            let Some(server) = &self.nodes[node].server else { continue };
            let record = server.endpoint().record();
            if record.held || matches!(record.state, State::Paused | State::Shutdown) {
                let request = self.request(node, ForcedState::Startup, None);
                // What a human stopped although its store was lost, the operator does not start again.
                let caller = if self.plan.reckless > 0 { Caller::Human } else { Caller::Operator };
                let command = Command::Force(Box::new(request), caller);
                self.carry_out_order(node, Order::Give(Box::new(command)))?;
            }
        }
        Ok(())
    }

    /// Whether a running server knows what became of a request.
    fn knows(&self, node: usize, id: &str) -> bool {
        let now = self.nodes[node].now(self.time);
        let Some(server) = &self.nodes[node].server else { return false };
        server.report(now).requests.iter().any(|known| known.request_id == *id)
    }

    pub(super) fn stamp(&self, node: usize) -> Option<StateStamp> {
        let server = self.nodes[node].server.as_ref()?;
        Some(server.endpoint().record().stamp)
    }

    pub(super) fn request(
        &mut self,
        node: usize,
        state: ForcedState,
        expect: Option<StateStamp>,
    ) -> ForceRequest {
        let request_id = format!("request-{}", self.operator.made.len());
        let force = forced(node, request_id, state);
        let request = ForceRequest { force, expect };
        self.operator.made.push(request.clone());
        request
    }

    /// Puts a command on its way, which may lose it.
    fn give_soon(&mut self, node: usize, command: Command) {
        if self.draw.below(10) == 0 {
            return;
        }
        let at = self.time + 1 + self.draw.below(3_000);
        self.at(at, What::Order { node, order: Order::Give(Box::new(command)) });
    }
}
