//! What the process around a server does: commits, sends, dials, and tells what it hears.

use api::identity::State;
use failover::wire::{self, Decoded, Dialect};
use server::{Answer, ConnId, Destination, LinkOrder, ReplyBuf};

use crate::assumption::Assumption;
use crate::check::{Ack, Violation};
use crate::client::{self, ACK};
use crate::node::Node;
use crate::world::World;
use crate::world::event::What;

impl World {
    /// Calls a server and carries out everything that follows, as the process around it would.
    pub(super) fn with_server(
        &mut self,
        node: usize,
        call: impl FnOnce(&mut server::Server, api::time::Now),
    ) -> Result<(), Violation> {
        let now = self.nodes[node].now(self.time);
        self.nodes[node].seen = self.nodes[node].seen.max(now.wall);
        let Some(server) = &mut self.nodes[node].server else { return Ok(()) };
        call(server, now);
        self.pump(node)
    }

    fn pump(&mut self, node: usize) -> Result<(), Violation> {
        let now = self.nodes[node].now(self.time);
        let role = self.nodes[node].role;
        let mut states = self.events_of(node);
        let changed = !states.is_empty();
        if let Some(server) = &mut self.nodes[node].server
            && let Some(batch) = server.take_batch()
        {
            states.push(server.endpoint().record().state);
            let stamp = server.endpoint().record().stamp;
            self.nodes[node].stamps.push((batch.last, stamp));
            self.nodes[node].entered.extend(states.into_iter().map(|state| (batch.last, state)));
            self.nodes[node].waiting.push(batch);
        }
        self.commit(node)?;
        if changed {
            self.spite_of_state();
        }
        if self.ends_by_its_fence(node) {
            return Ok(());
        }
        let mut reply = ReplyBuf::default();
        while self.nodes[node].server.as_mut().is_some_and(|server| server.poll_reply(now, &mut reply)) {
            self.replied(node, &reply)?;
        }
        for conn in self.network.open_at(node) {
            self.pump_link(node, conn)?;
        }
        while let Some(order) = self.nodes[node].server.as_mut().and_then(server::Server::poll_order) {
            match order {
                LinkOrder::Dial => {
                    let at = self.time + 1 + self.draw.below(self.plan.delay);
                    let life = self.nodes[node].life;
                    self.at(at, What::Dial { node, life });
                }
                LinkOrder::Close(conn) => {
                    self.pump_link(node, conn)?;
                    self.history.note(self.time, role.as_str(), format_args!("closes {conn:?}"));
                    if let Some(connection) = self.network.connections.get_mut(&conn) {
                        connection.open[node] = false;
                    }
                    let last = self.time + 2 * self.plan.delay + 1;
                    self.at(last, What::Down { conn, node: 1 - node });
                }
            }
        }
        while let Some((_, answer)) = self.nodes[node].server.as_mut().and_then(server::Server::poll_answer) {
            if answer == Answer::Paused {
                self.stop(node, false);
                return Ok(());
            }
            self.operator_heard(node, &answer)?;
        }
        self.schedule_tick(node);
        Ok(())
    }

    /// Notes what a server tells; returns the states that it entered.
    fn events_of(&mut self, node: usize) -> Vec<State> {
        let role = self.nodes[node].role;
        let mut states = Vec::new();
        while let Some(event) = self.nodes[node].server.as_mut().and_then(server::Server::poll_event) {
            self.history.note(self.time, role.as_str(), format_args!("{event:?}"));
            if let server::Event::StateChanged { to, .. } = event {
                *self.states.entry(to).or_default() += 1;
                states.push(to);
            }
        }
        states
    }

    fn pump_link(&mut self, node: usize, conn: ConnId) -> Result<(), Violation> {
        let now = self.nodes[node].now(self.time);
        let mut buffer = [0; 4096];
        let beside_dhcpd = self.plan.dhcpd.is_some();
        let dialect = if beside_dhcpd { Dialect::Isc } else { Node::dialect() };
        // A socket takes what it has room for.
        let room = if self.plan.rough { 16 + self.draw.below(2_048) as usize } else { buffer.len() };
        loop {
            let Some(server) = &mut self.nodes[node].server else { return Ok(()) };
            let len = server.poll_link(now, conn, &mut buffer[..room]);
            if len == 0 {
                return Ok(());
            }
            let reader = self.nodes[node].readers.entry(conn).or_default();
            reader.push(&buffer[..len]);
            let mut frames = Vec::new();
            while let Ok(Some(bytes)) = reader.next_frame() {
                match wire::decode(&bytes, dialect) {
                    // What a dhcpd does not know, reading skips.
                    Ok(Decoded::Frame(frame))
                        if beside_dhcpd && wire::encode(&frame, dialect).as_ref() != Ok(&bytes) =>
                    {
                        let what = format!("a dhcpd is told more than {frame}");
                        return Err(self.violation("I11 peer survival", what));
                    }
                    Ok(Decoded::Frame(frame)) => frames.push(frame),
                    other => {
                        let what = format!("the {} sends {other:?}", self.nodes[node].role);
                        return Err(self.violation("T2 framing", what));
                    }
                }
            }
            for frame in frames {
                self.history.note(self.time, self.nodes[node].role.as_str(), format_args!("says {frame}"));
                self.checker.leaves(self.time, &self.nodes, node, conn.0, &frame)?;
                self.spite_of_message();
            }
            let at = self.time + 1 + self.draw.below(self.plan.delay);
            self.network.send(conn, 1 - node, at, buffer[..len].to_vec());
            self.at(at, What::Bytes { conn, to: 1 - node });
        }
    }

    fn commit(&mut self, node: usize) -> Result<(), Violation> {
        if self.nodes[node].committing || self.nodes[node].waiting.is_empty() {
            return Ok(());
        }
        if let Err(why) = self.nodes[node].append() {
            return self.storage_failed(node, why);
        }
        let slow = if self.is_sluggish(node) { 1_500 + self.draw.below(2_500) } else { 0 };
        let quick = 1 + self.draw.below(self.plan.commit);
        let done = (self.time + quick + slow).max(self.nodes[node].stalled_until);
        let life = self.nodes[node].life;
        self.at(done, What::Committed { node, life });
        Ok(())
    }

    /// Whether a disk takes seconds for each commit at present, the one's and the other's in turn.
    fn is_sluggish(&self, node: usize) -> bool {
        let turn = self.time / 40_000 % 6;
        self.plan.sluggish && self.time < self.plan.length && turn == 2 + 2 * node as u64
    }

    pub(super) fn committed(&mut self, node: usize, life: u64) -> Result<(), Violation> {
        if self.nodes[node].life != life {
            return Ok(());
        }
        let time = self.time;
        let upto = match self.nodes[node].sync() {
            Ok(upto) => upto,
            Err(why) => return self.storage_failed(node, why),
        };
        let entered = std::mem::take(&mut self.nodes[node].entered);
        for (lsn, state) in entered {
            if lsn <= upto {
                if state == State::Normal && self.nodes[node].state_on_disk != State::Normal {
                    self.checker.in_normal(time, &self.nodes, node)?;
                }
                self.checker.state_on_disk(node, state);
                self.nodes[node].note_state(state);
            } else {
                self.nodes[node].entered.push((lsn, state));
            }
        }
        self.checker.committed(time, &mut self.nodes)?;
        self.with_server(node, |server, now| server.durable(now, upto))
    }

    /// A reply leaves a server.
    fn replied(&mut self, node: usize, reply: &ReplyBuf) -> Result<(), Violation> {
        let Some((answer, hardware)) = client::read(&reply.bytes) else {
            return Err(self.violation("RFC 2131", "a reply that cannot be read".to_owned()));
        };
        let client = usize::from(hardware[4]) << 8 | usize::from(hardware[5]);
        self.history.note(
            self.time,
            self.nodes[node].role.as_str(),
            format_args!("answers client {client}: {} {} {} s", answer.kind, answer.address, answer.lease),
        );
        self.acts(node);
        self.checker.answers(self.time, &self.nodes, node, answer.kind)?;
        if answer.kind == ACK {
            self.acks += 1;
            let Some(requested_at) = self.sent.get(client).and_then(|sent| sent.get(&answer.xid)).copied()
            else {
                return Err(self.violation("RFC 2131", "an ACK to nothing".to_owned()));
            };
            let ack = Ack { node, client: &self.clients[client], answer: &answer, requested_at };
            self.checker.ack(self.time, &self.nodes, ack)?;
        }
        if matches!(reply.to, Destination::Unicast { port: 67, .. })
            != self.is_via_relay(client, &reply.bytes)
        {
            return Err(self.violation("RFC 2131", "a reply on the wrong way".to_owned()));
        }
        self.deliver(|_| What::Reply { client, bytes: reply.bytes.clone() });
        Ok(())
    }

    /// A server does something that is seen. If it runs on an old copy and nobody was there to tell it, A2 is broken.
    pub(super) fn acts(&mut self, node: usize) {
        if std::mem::take(&mut self.nodes[node].restored) {
            self.nodes[node].amnesic = false;
            let server = self.nodes[node].server.as_ref();
            if server.is_none_or(|server| server.endpoint().heard().is_none()) {
                self.breached.insert(Assumption::Stores);
            }
        }
    }

    pub(super) fn is_via_relay(&self, _client: usize, bytes: &[u8]) -> bool {
        bytes.get(24..28).is_some_and(|giaddr| giaddr != [0; 4])
    }
}
