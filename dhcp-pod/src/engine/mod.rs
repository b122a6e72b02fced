//! The engine thread: it alone owns the server core and the sockets towards clients.
//!
//! One turn reads what has come, lets the core work, and carries out what the core says; then it waits for
//! the next packet, wake-up or deadline. Nothing in a turn blocks: what finds a channel full is shed or left
//! where it is, so that a slow disk or partner never stops the answers that need neither.

mod backlog;
mod clock;
mod events;
mod latency;
mod links;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddrV4;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use api::pair::LinkSecurity;
use api::time::{Mono, Now};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use server::{Answer, Command, CommandId, LinkOrder, ReplyBuf, RxMeta, Server};
use tokio::sync::oneshot;

pub use backlog::BATCHES_MAX;
pub use clock::Clock;

use crate::handle::{Desk, Request};
use crate::link;
use crate::logging::Brake;
use crate::metrics::Metrics;
use crate::net::PacketSocket;
use crate::net::sys::BATCH_MAX;
use crate::snapshot::{Counts, Snapshot};
use crate::store::commit::{Handed, Progress};
use crate::wake::Waker;
use backlog::Backlog;
use latency::Latency;
use links::Links;

/// Batches of packets of one turn. More would make the link wait.
const PACKET_BATCHES_MAX: usize = 4;
const REQUESTS_MAX: usize = 16;
const REPLIES_MAX: usize = 256;
/// Commands whose answers wait for the disk.
const COMMANDS_MAX: usize = 64;
/// Lines of the lease listing at a time.
const LEASES_MAX: usize = 4096;
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Counters are shown this often while something happens, and every second otherwise.
const PUBLISH_EVERY: Duration = Duration::from_millis(250);
const PUBLISH_IDLE: Duration = Duration::from_secs(1);
const INTERFACE_EVERY: Duration = Duration::from_secs(2);
/// How long a server whose store failed stays to say so, before it ends to be started anew.
const FAILED_STAY: Duration = Duration::from_secs(60);
/// How long the last words may take after a pause.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the engine works with.
pub struct Parts {
    /// The core, started.
    pub server: Server,
    /// Both clocks.
    pub clock: Clock,
    /// Sockets towards clients.
    pub socket: PacketSocket,
    /// Wakes the engine.
    pub waker: Waker,
    /// Requests of the process.
    pub desk: Desk,
    /// Connections with the partner.
    pub link: link::Port,
    /// To the commit thread.
    pub commits: SyncSender<Handed>,
    /// From the commit thread.
    pub progress: Arc<Progress>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Where the partner is, whatever the configuration says.
    pub partner: Option<SocketAddrV4>,
    /// Protection of the link at the start.
    pub security: LinkSecurity,
    /// Name of the node, for status.
    pub node: Option<String>,
    /// Why the given configuration is not the one in force, if so.
    pub config_error: Option<String>,
}

/// Why the engine ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// It was asked to pause, and everything has been said.
    Paused,
    /// The store failed; the process must start anew.
    StorageFailed,
}

/// The engine.
pub struct Engine {
    parts: Parts,
    links: Links,
    backlog: Backlog,
    latency: Latency,
    counts: Counts,
    brake: Brake,
    replies: Vec<ReplyBuf>,
    commands: BTreeMap<CommandId, Pending>,
    next_command: u64,
    answers: VecDeque<(CommandId, Answer)>,
    pausing: bool,
    paused_at: Option<Instant>,
    failed_at: Option<Instant>,
    published_at: Instant,
    /// Something happened since the last snapshot.
    stale: bool,
    /// Something happened that watchers must hear of at once.
    news: bool,
    interface_at: Instant,
    /// The packet socket failed; it is left alone until then.
    deaf_until: Option<Instant>,
    /// The socket may hold more than was read.
    more: bool,
}

/// A command whose answer somebody waits for.
struct Pending {
    answer: oneshot::Sender<Answer>,
    security: Option<LinkSecurity>,
}

impl Engine {
    /// Puts the engine together; nothing happens before [`run`](Self::run).
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let start = Instant::now();
        Self {
            parts,
            links: Links::default(),
            backlog: Backlog::default(),
            latency: Latency::default(),
            counts: Counts::new(),
            brake: Brake::new(Duration::from_secs(30)),
            replies: Vec::with_capacity(REPLIES_MAX),
            commands: BTreeMap::new(),
            next_command: 1,
            answers: VecDeque::new(),
            pausing: false,
            paused_at: None,
            failed_at: None,
            published_at: start,
            stale: true,
            news: true,
            interface_at: start,
            deaf_until: None,
            more: false,
        }
    }

    /// Works until the server has paused or its store has failed.
    pub fn run(mut self) -> End {
        loop {
            self.parts.desk.pulse.beat();
            let now = self.parts.clock.now();
            self.turn(now);
            if let Some(end) = self.end() {
                return end;
            }
            self.wait(now);
        }
    }

    fn turn(&mut self, now: Now) {
        self.hear_store(now);
        self.take_requests(now);
        if self.backlog.has_room() {
            let taken = self.links.take_inputs(now, &mut self.parts.server, &mut self.parts.link.inputs);
            self.stale |= taken > 0;
            self.more |= taken == links::INPUTS_MAX;
            self.receive(now);
        } else {
            self.count("engine_stalls", "disk", 1);
        }
        if self.pausing || self.parts.server.next_deadline().is_some_and(|deadline| deadline <= now.mono) {
            self.parts.server.tick(now);
        }
        self.commit();
        self.reply(now);
        self.links.pump(now, &mut self.parts.server);
        self.carry_out_orders(now);
        self.collect_answers();
        self.log_events();
        self.publish_if_due(now);
        self.answer();
        self.mind_interface();
    }

    fn hear_store(&mut self, now: Now) {
        if let Some(error) = self.parts.progress.failed()
            && self.failed_at.is_none()
        {
            self.failed_at = Some(Instant::now());
            self.news = true;
            self.parts.server.storage_failed(error.to_owned());
        }
        self.parts.server.storage_low(self.parts.progress.low_space());
        if let Some(upto) = self.backlog.durable(self.parts.progress.durable()) {
            self.stale = true;
            self.parts.server.durable(now, upto);
        }
    }

    fn take_requests(&mut self, now: Now) {
        for _ in 0..REQUESTS_MAX {
            let Ok(request) = self.parts.desk.requests.try_recv() else { return };
            match request {
                Request::Command(command, answer) => self.command(now, *command, answer),
                Request::ConfigRefused(why) => {
                    tracing::error!("the new configuration is refused, the old one stays in force: {why}");
                    self.parts.config_error = Some(why);
                    self.news = true;
                }
                Request::Leases(after, answer) => {
                    let lines = self.parts.server.leases_after(after);
                    let _ = answer.send(lines.take(LEASES_MAX).collect());
                }
            }
        }
        self.more = true;
    }

    fn command(&mut self, now: Now, command: Command, answer: oneshot::Sender<Answer>) {
        let pause = matches!(command, Command::Pause);
        if self.commands.len() >= COMMANDS_MAX && !pause {
            let message = "too many commands wait for the disk; try again".to_owned();
            let _ = answer.send(Answer::Refused { class: "busy", message });
            return;
        }
        self.pausing |= pause;
        let security = match &command {
            Command::Configure(pair) => Some(pair.1.security),
            _ => None,
        };
        let id = CommandId(self.next_command);
        self.next_command += 1;
        self.commands.insert(id, Pending { answer, security });
        self.parts.server.command(now, id, command);
        self.stale = true;
    }

    fn receive(&mut self, now: Now) {
        if self.deaf_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.deaf_until = None;
        let (server, counts, latency) = (&mut self.parts.server, &mut self.counts, &mut self.latency);
        let shedding = self.backlog.is_long();
        let arrived = Instant::now();
        let mut see = |arrival: crate::net::packet_socket::Arrival<'_>| match arrival {
            // A client whose DISCOVER is lost asks again or elsewhere; one whose REQUEST is lost may lose
            // its address.
            Ok(datagram) if shedding && latency::is_discover(datagram.payload) => {
                *counts.entry(("packets_dropped", "shed")).or_default() += 1;
            }
            Ok(datagram) => {
                latency.arrived(datagram.payload, arrived);
                let meta = RxMeta { source: datagram.source, destination: datagram.destination };
                server.packet(now, &meta, datagram.payload);
            }
            Err(class) => *counts.entry(("packets_dropped", class)).or_default() += 1,
        };
        for batch in 1..=PACKET_BATCHES_MAX {
            match self.parts.socket.receive(&mut see) {
                Ok(0) => return,
                Ok(count) => {
                    self.stale = true;
                    if count < BATCH_MAX {
                        return;
                    }
                    self.more |= batch == PACKET_BATCHES_MAX;
                }
                Err(error) => {
                    self.deaf_until = Some(Instant::now() + WAIT_MAX);
                    self.warn("receive", &format!("{error}: {}", source(&error)));
                    return;
                }
            }
        }
    }

    fn commit(&mut self) {
        if !self.backlog.has_room() {
            return;
        }
        let Some(batch) = self.parts.server.take_batch() else { return };
        let last = batch.last;
        match self.parts.commits.try_send(Handed { batch, at: Instant::now() }) {
            Ok(()) => self.backlog.handed(last),
            // There is as much room in the channel as in the backlog, so only a dead thread refuses.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.failed_at.get_or_insert_with(Instant::now);
                self.parts.server.storage_failed("the commit thread takes nothing".to_owned());
            }
        }
    }

    fn reply(&mut self, now: Now) {
        self.replies.clear();
        while self.replies.len() < REPLIES_MAX {
            let mut reply = ReplyBuf::default();
            if !self.parts.server.poll_reply(now, &mut reply) {
                break;
            }
            self.latency.replied(&reply.bytes, &self.parts.metrics.reply_seconds);
            self.replies.push(reply);
        }
        if self.replies.is_empty() {
            return;
        }
        self.more |= self.replies.len() == REPLIES_MAX;
        self.stale = true;
        let sent = self.parts.socket.send(&self.replies);
        if sent.failed > 0 {
            self.count("replies_dropped", "send_failed", sent.failed as u64);
            let words = sent.error.map_or_else(|| "too long".to_owned(), |error| error.to_string());
            self.warn("send", &format!("{} replies could not be sent: {words}", sent.failed));
        }
    }

    fn carry_out_orders(&mut self, now: Now) {
        while let Some(order) = self.parts.server.poll_order() {
            match order {
                LinkOrder::Dial => {
                    self.tell_peer();
                    if self.parts.link.orders.try_send(link::Dial).is_err() {
                        self.parts
                            .server
                            .dial_failed(now, "too many connection attempts are under way".to_owned());
                    }
                }
                LinkOrder::Close(conn) => self.links.close(conn),
            }
        }
        // What a connection was given before its end.
        self.links.pump(now, &mut self.parts.server);
    }

    fn tell_peer(&self) {
        let partner = self.parts.partner.or_else(|| self.parts.server.partner_address());
        let peer = link::Peer { partner, security: self.parts.security };
        self.parts.link.peer.send_if_modified(|told| {
            let changed = *told != peer;
            *told = peer;
            changed
        });
    }

    fn collect_answers(&mut self) {
        while let Some((id, answer)) = self.parts.server.poll_answer() {
            if let Answer::Configured(_) = &answer {
                self.parts.config_error = None;
                if let Some(security) = self.commands.get(&id).and_then(|pending| pending.security) {
                    self.parts.security = security;
                }
                self.tell_peer();
            }
            if answer == Answer::Paused {
                self.paused_at = Some(Instant::now());
                self.links.close_all();
            }
            self.news = true;
            self.answers.push_back((id, answer));
        }
    }

    /// Answers only what the status shows already, so that who asks next reads the consequence.
    fn answer(&mut self) {
        while let Some((id, answer)) = self.answers.pop_front() {
            if let Some(pending) = self.commands.remove(&id) {
                // Whoever asked may have gone.
                let _ = pending.answer.send(answer);
            }
        }
    }

    fn log_events(&mut self) {
        while let Some(event) = self.parts.server.poll_event() {
            self.news = true;
            events::log(&event, &self.brake);
        }
    }

    fn publish_if_due(&mut self, now: Now) {
        let age = self.published_at.elapsed();
        if self.news || (self.stale && age >= PUBLISH_EVERY) || age >= PUBLISH_IDLE {
            self.publish(now);
        }
    }

    fn publish(&mut self, now: Now) {
        let drops = u64::from(self.parts.socket.kernel_drops());
        self.count("packets_dropped", "kernel", drops);
        let mut counts = self.parts.server.counters().clone();
        for (key, count) in &self.counts {
            *counts.entry(*key).or_default() += count;
        }
        let mut report = self.parts.server.report(now);
        report.server.node.clone_from(&self.parts.node);
        report.server.config_error.clone_from(&self.parts.config_error);
        let ready = report.server.serving && report.server.storage_error.is_none();
        let snapshot = Arc::new(Snapshot { report, counts, ready, commits_waiting: self.backlog.len() });
        self.parts.metrics.publish(snapshot.clone());
        self.parts.desk.snapshots.send_replace(snapshot);
        self.published_at = Instant::now();
        self.stale = false;
        self.news = false;
        self.tell_peer();
    }

    fn mind_interface(&mut self) {
        if self.interface_at.elapsed() < INTERFACE_EVERY {
            return;
        }
        self.interface_at = Instant::now();
        match self.parts.socket.follow_interface() {
            Ok(false) => {}
            Ok(true) => tracing::info!("the interface was made anew; clients are heard again"),
            Err(error) => self.warn(error.class(), &format!("no client is heard: {error}")),
        }
    }

    fn end(&self) -> Option<End> {
        if self.paused_at.is_some_and(|at| self.links.is_empty() || at.elapsed() >= FAREWELL) {
            return Some(End::Paused);
        }
        self.failed_at.is_some_and(|at| at.elapsed() >= FAILED_STAY).then_some(End::StorageFailed)
    }

    fn wait(&mut self, now: Now) {
        let timeout = if std::mem::take(&mut self.more) { Duration::ZERO } else { self.patience(now.mono) };
        let deaf = self.deaf_until.is_some() || !self.backlog.has_room();
        let packets = if deaf { PollFlags::empty() } else { PollFlags::IN };
        let mut sources = [
            PollFd::from_borrowed_fd(self.parts.waker.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.parts.socket.as_fd(), packets),
        ];
        // A socket in an error state is always "ready"; while it is left alone it is not polled either.
        let sources = if deaf { &mut sources[..1] } else { &mut sources[..] };
        let timeout =
            Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
        // Interrupted or not: the next turn looks at everything.
        let _ = poll(sources, Some(&timeout));
        self.parts.waker.take();
    }

    /// How long nothing needs to be done.
    fn patience(&self, mono: Mono) -> Duration {
        let mut patience = WAIT_MAX;
        if let Some(deadline) = self.parts.server.next_deadline() {
            patience = patience.min(Duration::from_millis(deadline.millis_since(mono)));
        }
        if self.stale {
            patience = patience.min(PUBLISH_EVERY.saturating_sub(self.published_at.elapsed()));
        }
        if self.pausing {
            patience = patience.min(Duration::from_millis(20));
        }
        // Deadlines count whole milliseconds; waking just before one would only spin.
        patience.max(Duration::from_millis(1))
    }

    fn count(&mut self, family: &'static str, label: &'static str, count: u64) {
        if count > 0 {
            *self.counts.entry((family, label)).or_default() += count;
        }
    }

    fn warn(&self, class: &'static str, words: &str) {
        if let Some(left_out) = self.brake.pass(class) {
            tracing::warn!(class, left_out, "{words}");
        }
    }
}

fn source(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(String::new, ToString::to_string)
}
