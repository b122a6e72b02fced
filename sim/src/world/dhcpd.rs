//! A dhcpd in the place of one server: what the process around it does, and what its operator does, who has no fence and
//! no ledger on that side and therefore stops what must not serve.

use api::force::{Evidence, ForcedState};
use api::identity::State;
use api::time::Now;
use server::{Caller, Command};

use super::World;
use super::event::What;
use super::operator::Order;
use crate::check::{Ack, Violation};
use crate::client::{self, ACK};
use crate::hole::Hole;
use crate::isc::{Dhcpd, Output};

/// How often a dhcpd looks at its timers.
const TICK_MILLIS: u64 = 500;
/// How long an order to declare a partner down may be under way.
const DECLARING_MILLIS: u64 = 30_000;

impl World {
    pub(super) fn start_dhcpd(&mut self, node: usize) -> Result<(), Violation> {
        self.note(node, "starts");
        self.nodes[node].life += 1;
        self.nodes[node].tick_at = None;
        self.nodes[node].readers.clear();
        self.with_dhcpd(node, |dhcpd, now| {
            dhcpd.start(now);
            dhcpd.tick(now);
        })
    }

    /// Calls a dhcpd, if one is there, and carries out everything that follows.
    pub(super) fn with_dhcpd(
        &mut self,
        node: usize,
        call: impl FnOnce(&mut Dhcpd, Now),
    ) -> Result<(), Violation> {
        let now = self.nodes[node].now(self.time);
        let Some(dhcpd) = &mut self.nodes[node].dhcpd else { return Ok(()) };
        call(dhcpd, now);
        while let Some(output) = self.nodes[node].dhcpd.as_mut().and_then(Dhcpd::poll) {
            self.carry_out(node, output)?;
        }
        if self.nodes[node].runs() && self.nodes[node].tick_at.is_none() {
            let (at, life) = (self.time + TICK_MILLIS, self.nodes[node].life);
            self.nodes[node].tick_at = Some(at);
            self.at(at, What::Tick { node, life });
        }
        Ok(())
    }

    fn carry_out(&mut self, node: usize, output: Output) -> Result<(), Violation> {
        let role = self.nodes[node].role;
        match output {
            Output::Close(conn) => {
                self.note(node, &format!("closes {conn:?}"));
                if let Some(connection) = self.network.connections.get_mut(&conn) {
                    connection.open[node] = false;
                }
                let last = self.time + 2 * self.plan.delay + 1;
                self.at(last, What::Down { conn, node: 1 - node });
            }
            Output::Dial => {
                let at = self.time + 1 + self.draw.below(self.plan.delay);
                let life = self.nodes[node].life;
                self.at(at, What::Dial { node, life });
            }
            // Our grants end before it frees the address.
            Output::Errs(_, Hole::ShortWait) if self.plan.strict => {}
            Output::Errs(address, hole) => {
                if self.checker.errs(self.time, address, hole) {
                    self.note(node, &format!("does {hole} at {address}"));
                }
            }
            Output::Hurt(what) => return Err(self.violation("I11 peer survival", what)),
            Output::Reply(bytes) => self.replied_by_dhcpd(node, &bytes)?,
            Output::Send(conn, bytes) => {
                let reader = self.nodes[node].readers.entry(conn).or_default();
                reader.push(&bytes);
                while let Ok(Some(bytes)) = reader.next_frame() {
                    use failover::wire::{Decoded, Dialect, decode};
                    if let Ok(Decoded::Frame(frame)) = decode(&bytes, Dialect::Isc) {
                        self.history.note(self.time, role.as_str(), format_args!("says {frame}"));
                    }
                }
                let at = self.time + 1 + self.draw.below(self.plan.delay);
                self.network.send(conn, 1 - node, at, bytes);
                self.at(at, What::Bytes { conn, to: 1 - node });
                self.spite_of_message();
            }
            Output::State(state) => self.dhcpd_enters(node, state),
        }
        Ok(())
    }

    fn dhcpd_enters(&mut self, node: usize, state: State) {
        self.note(node, &format!("enters {state}"));
        *self.states.entry(state).or_default() += 1;
        let machine = &mut self.nodes[node];
        match state {
            State::PartnerDown => machine.alone = true,
            State::Normal => machine.alone = false,
            _ => {}
        }
        if matches!(state, State::PartnerDown | State::RecoverDone | State::Normal) {
            machine.amnesic = false;
            machine.synced = true;
        }
        self.spite_of_state();
        self.ends_by_its_fence(node);
    }

    fn replied_by_dhcpd(&mut self, node: usize, bytes: &[u8]) -> Result<(), Violation> {
        let Some((answer, hardware)) = client::read(bytes) else {
            return Err(self.violation("RFC 2131", "a reply that cannot be read".to_owned()));
        };
        let client = usize::from(hardware[4]) << 8 | usize::from(hardware[5]);
        let what = format!("answers client {client}: {} {} {} s", answer.kind, answer.address, answer.lease);
        self.note(node, &what);
        if answer.kind == ACK {
            self.acks += 1;
            let requested_at = self.sent[client].get(&answer.xid).copied().unwrap_or(self.time);
            let ack = Ack { node, client: &self.clients[client], answer: &answer, requested_at };
            self.checker.unique(self.time, &self.nodes[node], ack)?;
        }
        self.deliver(|()| What::Reply { client, bytes: bytes.to_vec() });
        Ok(())
    }

    /// Whether the other server was declared down to this one's partner and neither was heard since: then nobody lets
    /// this one serve. Beside a dhcpd there is no fence but to stop it.
    fn is_fenced_beside_dhcpd(&self, node: usize) -> bool {
        if self.plan.dhcpd.is_none() {
            return false;
        }
        let survivor = &self.nodes[1 - node];
        let let_go = match &survivor.dhcpd {
            Some(dhcpd) => dhcpd.file.state == State::PartnerDown,
            None => {
                let state = survivor.server.as_ref().map(|server| server.endpoint().record().state);
                match state.unwrap_or(survivor.state_on_disk) {
                    State::PartnerDown => true,
                    // It starts into what it left.
                    State::Paused | State::Shutdown => survivor.alone,
                    _ => false,
                }
            }
        };
        let_go || self.time < self.operator.declaring[1 - node]
    }

    /// Whether both servers are connected, as our server sees it.
    fn is_linked_beside_dhcpd(&self) -> bool {
        let hears = |node: &crate::node::Node| {
            node.server.as_ref().is_some_and(|server| server.endpoint().heard().is_some())
        };
        self.nodes.iter().any(hears)
    }

    /// A server that was declared down starts only where it will meet its partner.
    pub(super) fn is_kept_from_starting(&self, node: usize) -> bool {
        self.is_fenced_beside_dhcpd(node) && !(self.network.is_whole() && self.nodes[1 - node].runs())
    }

    /// Stops a server that was declared down and is about to serve without having met its partner.
    pub(super) fn ends_by_its_fence(&mut self, node: usize) -> bool {
        if !self.is_fenced_beside_dhcpd(node) || self.is_linked_beside_dhcpd() {
            return false;
        }
        let machine = &self.nodes[node];
        let serves = machine.dhcpd.as_ref().is_some_and(Dhcpd::serves)
            || machine.server.as_ref().is_some_and(server::Server::serving);
        let alone = serves && !self.is_survivor(node);
        if alone {
            self.note(node, "is kept from serving");
            self.stop(node, false);
        }
        alone
    }

    fn is_survivor(&self, node: usize) -> bool {
        let machine = &self.nodes[node];
        let server = machine.server.as_ref().map(|server| server.endpoint().record().state);
        let state = machine.dhcpd.as_ref().map(|dhcpd| dhcpd.file.state).or(server);
        state == Some(State::PartnerDown)
    }

    /// What people do with such a pair.
    pub(super) fn operate_beside_dhcpd(&mut self) -> Result<(), Violation> {
        let Some(dhcpd) = self.plan.dhcpd else { return Ok(()) };
        let ours = 1 - dhcpd;
        match (self.nodes[ours].runs(), self.nodes[dhcpd].runs()) {
            (true, false) => self.declare_dead(dhcpd),
            (false, true) => self.declare_dead(ours),
            (true, true) if !self.is_linked_beside_dhcpd() => {
                let dead = usize::from(self.draw.coin());
                // What is not heard is stopped before it is declared down.
                self.stop(dead, false);
                self.declare_dead(dead)
            }
            (true, true) if self.draw.below(5) == 0 => self.shut_dhcpd_down(dhcpd),
            (true, true) => {
                self.steer_one(ours);
                Ok(())
            }
            (false, false) => Ok(()),
        }
    }

    fn declare_dead(&mut self, dead: usize) -> Result<(), Violation> {
        let survivor = 1 - dead;
        let is_new = self.nodes.iter().any(|node| !node.synced && !node.amnesic);
        if self.is_fenced_beside_dhcpd(survivor) || self.nodes[survivor].amnesic || is_new {
            // It was declared down itself, or has nothing to serve from, or the pair has not begun.
            return Ok(());
        }
        if let Some(dhcpd) = &self.nodes[survivor].dhcpd {
            // Who comes back, or seeks its partner, is declared alone by nobody; nor is one that may hear a last word of its
            // partner still, for which it could end.
            let serves = matches!(dhcpd.file.state, State::Normal | State::CommunicationsInterrupted);
            if dhcpd.is_starting() || !serves || dhcpd.is_connected() {
                return Ok(());
            }
            self.note(survivor, "is told that its partner is down");
            return self.with_dhcpd(survivor, |dhcpd, now| dhcpd.declare_partner_down(now));
        }
        let Some(stamp) = self.stamp(survivor) else { return Ok(()) };
        let mut request = self.request(survivor, ForcedState::PartnerDown, Some(stamp));
        request.force.evidence = Evidence::Attested;
        request.force.reason = Some("its process was stopped".to_owned());
        self.operator.declaring[survivor] = self.time + DECLARING_MILLIS;
        let at = self.time + 1 + self.draw.below(20_000);
        let order = Order::Give(Box::new(Command::Force(Box::new(request), Caller::Human)));
        self.at(at, What::Order { node: survivor, order });
        Ok(())
    }

    /// In the orderly way, by `omshell`, as its partner takes over.
    fn shut_dhcpd_down(&mut self, node: usize) -> Result<(), Violation> {
        let partner = self.nodes[1 - node].server.as_ref().map(server::Server::state);
        if partner != Some(State::Normal) {
            return Ok(());
        }
        self.note(node, "is shut down");
        self.stop(node, false);
        let now = self.nodes[node].now(self.time);
        if let Some(dhcpd) = &mut self.nodes[node].dhcpd {
            dhcpd.shut_down(now);
        }
        Ok(())
    }
}
