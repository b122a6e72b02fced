//! What the processes around the servers do: commit, send, tell; and how time passes.

use api::force::ForcedState;
use failover::wire::{self, Decoded, Message};
use server::{Answer, LinkEvent, LinkOrder, ReplyBuf, Server};

use super::pair::{Held, Pair, STEP_MILLIS, is_stopped};
use crate::check::{Ack, Checker, Violation};
use crate::client::{self, ACK, NAK};
use crate::node::Node;

/// Rounds until a server has nothing more to do, messages until both have nothing more to say: more mean that
/// something spins.
const ROUNDS_MAX: usize = 1_000;
/// Steps of time until a healed pair is in Normal with equal tables.
const STEPS_MAX: usize = 60;

impl Pair {
    /// Calls a server and carries out all that follows.
    pub(super) fn call(
        &mut self,
        node: usize,
        call: impl FnOnce(&mut Server, api::time::Now),
    ) -> Result<(), Violation> {
        let now = self.nodes[node].now(self.time);
        let Some(server) = &mut self.nodes[node].server else { return Ok(()) };
        call(server, now);
        self.pump(node)
    }

    /// Carries out all that a server wants done.
    pub(super) fn pump(&mut self, node: usize) -> Result<(), Violation> {
        for _ in 0..ROUNDS_MAX {
            if !self.pump_once(node)? {
                return Ok(());
            }
        }
        Err(self.violation("I8 convergence", "a server never comes to rest".to_owned()))
    }

    /// The next message arrives, or the news that the other end was closed.
    pub(super) fn deliver(&mut self, to: usize) -> Result<(), Violation> {
        let Some(link) = self.link.as_mut().filter(|link| link.open[to] && !link.dead) else { return Ok(()) };
        let conn = link.conn;
        match link.to[to].pop_front() {
            Some(bytes) => {
                self.call(to, |server, now| server.link(now, conn, LinkEvent::Bytes(&bytes)))?;
                // There is room for one more.
                self.pump(1 - to)
            }
            None if !link.open[1 - to] => self.lose_link(to),
            None => Ok(()),
        }
    }

    /// Everything under way arrives, until nobody has anything to say.
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        for _ in 0..ROUNDS_MAX {
            let Some(link) = self.link.as_ref().filter(|link| !link.dead) else { return Ok(()) };
            let next = |to: &usize| link.open[*to] && (!link.to[*to].is_empty() || !link.open[1 - *to]);
            let Some(to) = (0..2).filter(next).max_by_key(|to| link.to[*to].len()) else { return Ok(()) };
            self.deliver(to)?;
        }
        Err(self.violation("I8 convergence", "the servers never stop talking".to_owned()))
    }

    /// A step of time. What is under way stays there; on an idle link CONTACTs pass.
    pub(super) fn wait(&mut self) -> Result<(), Violation> {
        let end = self.time + STEP_MILLIS;
        loop {
            let due = [0, 1].map(|node| self.next_tick(node));
            let next = due.into_iter().flatten().min().unwrap_or(end).min(end);
            self.time = next;
            for (node, due) in due.into_iter().enumerate() {
                if due.is_some_and(|due| due <= next) || next == end {
                    self.call(node, |server, now| server.tick(now))?;
                    self.pass_contacts()?;
                }
            }
            if next == end {
                return Ok(());
            }
        }
    }

    /// All faults end, and all that was stopped goes on: both come to Normal with equal tables (I8).
    pub(super) fn heal(&mut self) -> Result<(), Violation> {
        for node in 0..2 {
            self.hung[node] = false;
            self.pump(node)?;
            if self.link.as_ref().is_some_and(|link| link.dead || link.open != [true, true]) {
                self.lose_link(node)?;
            }
        }
        let pool = self.setting.pool();
        let mut difference = None;
        for _ in 0..STEPS_MAX {
            for node in 0..2 {
                if self.nodes[node].server.is_none() {
                    self.start(node, None)?;
                }
                if is_stopped(&self.nodes[node]) {
                    self.force(node, ForcedState::Startup, None)?;
                }
            }
            if self.link.is_none() {
                self.connect()?;
            }
            self.settle()?;
            difference = Checker::difference(&self.nodes, &[pool]);
            if difference.is_none() {
                return Ok(());
            }
            self.wait()?;
        }
        Err(self.violation("I8 convergence", difference.unwrap_or_default()))
    }

    /// Whether the next message to a server belongs to the handshake.
    pub(super) fn next_is_handshake(&self, to: usize) -> bool {
        matches!(self.next_message(to), Some(Message::Connect(_) | Message::ConnectAck(_)))
    }

    /// A connection in which neither end believes is none.
    pub(super) fn forget_closed_link(&mut self) {
        if self.link.as_ref().is_some_and(|link| link.open == [false, false]) {
            self.link = None;
            for node in &mut self.nodes {
                node.readers.clear();
            }
        }
    }

    pub(super) fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(what());
        }
    }

    fn next_message(&self, to: usize) -> Option<Message> {
        let link = self.link.as_ref().filter(|link| link.open[to] && !link.dead)?;
        match wire::decode(link.to[to].front()?, Node::dialect()) {
            Ok(Decoded::Frame(frame)) => Some(frame.message),
            Ok(Decoded::Ignored { .. }) | Err(_) => None,
        }
    }

    fn next_tick(&self, node: usize) -> Option<u64> {
        let deadline = self.nodes[node].server.as_ref()?.next_deadline()?;
        let base = self.nodes[node].now(self.time).mono.0 - self.time;
        Some(deadline.0.saturating_sub(base).max(self.time + 1))
    }

    fn pass_contacts(&mut self) -> Result<(), Violation> {
        for to in 0..2 {
            while matches!(self.next_message(to), Some(Message::Contact { .. })) {
                self.deliver(to)?;
            }
        }
        Ok(())
    }

    /// Whether there was anything to do.
    fn pump_once(&mut self, node: usize) -> Result<bool, Violation> {
        let now = self.nodes[node].now(self.time);
        let role = self.nodes[node].role;
        let mut busy = false;
        let mut states = Vec::new();
        while let Some(event) = self.nodes[node].server.as_mut().and_then(Server::poll_event) {
            if let server::Event::StateChanged { to, .. } = event {
                states.push(to);
            }
            self.tell(|| format!("{role}: {event:?}"));
        }
        if let Some(server) = &mut self.nodes[node].server
            && let Some(batch) = server.take_batch()
        {
            states.push(server.endpoint().record().state);
            let stamp = server.endpoint().record().stamp;
            let mine = &mut self.nodes[node];
            mine.stamps.push((batch.last, stamp));
            mine.entered.extend(states.into_iter().map(|state| (batch.last, state)));
            mine.waiting.push(batch);
        }
        if !self.hung[node] && !self.nodes[node].waiting.is_empty() {
            busy = true;
            self.commit(node)?;
        }
        let mut reply = ReplyBuf::default();
        while self.nodes[node].server.as_mut().is_some_and(|server| server.poll_reply(now, &mut reply)) {
            busy = true;
            self.replied(node, &reply)?;
        }
        busy |= self.pump_link(node)?;
        while let Some(order) = self.nodes[node].server.as_mut().and_then(Server::poll_order) {
            busy = true;
            match order {
                // When the servers connect is for the search to say.
                LinkOrder::Dial => {
                    if let Some(server) = &mut self.nodes[node].server {
                        server.dial_failed(now, "unreachable".to_owned());
                    }
                }
                LinkOrder::Close(conn) => {
                    self.pump_link(node)?;
                    if let Some(link) = self.link.as_mut().filter(|link| link.conn == conn) {
                        link.open[node] = false;
                        link.to[node].clear();
                    }
                    self.forget_closed_link();
                }
            }
        }
        while let Some((_, answer)) = self.nodes[node].server.as_mut().and_then(Server::poll_answer) {
            busy = true;
            self.tell(|| format!("{role}: {answer:?}"));
            if answer == Answer::Paused {
                self.stop(node);
                return Ok(false);
            }
        }
        Ok(busy)
    }

    /// What waits for the disk is on it.
    fn commit(&mut self, node: usize) -> Result<(), Violation> {
        let time = self.time;
        let batches = std::mem::take(&mut self.nodes[node].waiting);
        let Some(upto) = batches.last().map(|batch| batch.last) else { return Ok(()) };
        for batch in &batches {
            self.disks[node].write(batch);
        }
        self.nodes[node].appended.extend(batches);
        if let Err(why) = self.nodes[node].note_synced(upto) {
            return Err(self.violation("A2 storage", why));
        }
        for (_, state) in std::mem::take(&mut self.nodes[node].entered) {
            if state == api::identity::State::Normal && self.nodes[node].state_on_disk != state {
                self.checker.in_normal(time, &self.nodes, node)?;
            }
            self.checker.state_on_disk(node, state);
            self.nodes[node].note_state(state);
        }
        self.checker.committed(time, &mut self.nodes)?;
        let now = self.nodes[node].now(time);
        if let Some(server) = &mut self.nodes[node].server {
            server.durable(now, upto);
        }
        Ok(())
    }

    /// A reply leaves a server and reaches its client.
    fn replied(&mut self, node: usize, reply: &ReplyBuf) -> Result<(), Violation> {
        let Some((answer, hardware)) = client::read(&reply.bytes) else {
            return Err(self.violation("RFC 2131", "a reply that cannot be read".to_owned()));
        };
        let setting = std::sync::Arc::clone(&self.setting);
        let Some(client) = setting.clients.iter().position(|client| client.hardware() == hardware) else {
            return Err(self.violation("RFC 2131", "a reply to nobody".to_owned()));
        };
        let role = self.nodes[node].role;
        self.tell(|| {
            let letter = if client == 0 { "A" } else { "B" };
            let kind = match answer.kind {
                client::OFFER => "OFFER",
                ACK => "ACK",
                _ => "NAK",
            };
            format!("{role}: {kind} to client {letter}, {} for {} s", answer.address, answer.lease)
        });
        self.checker.answers(self.time, &self.nodes, node, answer.kind)?;
        self.answers.push((client, answer));
        match answer.kind {
            ACK => {
                let whom = &setting.clients[client];
                let ack = Ack { node, client: whom, answer: &answer, requested_at: self.time };
                self.checker.ack(self.time, &self.nodes, ack)?;
                let end = self.time + u64::from(answer.lease) * 1000;
                self.held[client] = Some(Held { address: answer.address, server: node, end });
            }
            NAK => self.held[client] = None,
            _ => {}
        }
        Ok(())
    }

    /// Puts what a server says on the link, as far as there is room; whether it said anything.
    fn pump_link(&mut self, node: usize) -> Result<bool, Violation> {
        let now = self.nodes[node].now(self.time);
        let to = 1 - node;
        let mut spoke = false;
        loop {
            let Some(link) = self.link.as_mut().filter(|link| link.open[node] && !link.is_full(to)) else {
                return Ok(spoke);
            };
            let conn = link.conn;
            let Some(server) = &mut self.nodes[node].server else { return Ok(spoke) };
            let mut buffer = [0; 512];
            let len = server.poll_link(now, conn, &mut buffer);
            if len == 0 {
                return Ok(spoke);
            }
            spoke = true;
            let reader = self.nodes[node].readers.entry(conn).or_default();
            reader.push(&buffer[..len]);
            let mut messages = Vec::new();
            while let Ok(Some(bytes)) = reader.next_frame() {
                messages.push(bytes);
            }
            for bytes in messages {
                self.say_on_link(node, conn.0, bytes)?;
            }
        }
    }

    fn say_on_link(&mut self, node: usize, conn: u64, bytes: Vec<u8>) -> Result<(), Violation> {
        let frame = match wire::decode(&bytes, Node::dialect()) {
            Ok(Decoded::Frame(frame)) => frame,
            other => return Err(self.violation("T2 framing", format!("a server sends {other:?}"))),
        };
        let role = self.nodes[node].role;
        self.tell(|| format!("{role}: says {frame}"));
        self.checker.leaves(self.time, &self.nodes, node, conn, &frame)?;
        let to = 1 - node;
        let Some(link) = self.link.as_mut().filter(|link| link.open[to] && !link.dead) else { return Ok(()) };
        // A CONTACT behind other messages says nothing.
        if link.to[to].is_empty() || !matches!(frame.message, Message::Contact { .. }) {
            link.to[to].push_back(bytes);
        }
        Ok(())
    }
}
