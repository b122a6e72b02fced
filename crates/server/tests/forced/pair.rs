//! Two whole servers on one wire, with disks that commit at once: for stories about orders, not about faults
//! (those are the simulator's).

use std::net::Ipv4Addr;

use api::config::PairConfig;
use api::force::{ForceRequest, ForceState};
use api::identity::{Role, State, StoreStamp};
use api::pair::PairManifest;
use api::status::{BootstrapToken, RequestStatus, ServerReport};
use api::time::{Mono, Now, Seconds, UnixTime};
use leases::log::Entry;
use server::{
    Answer, Boot, Caller, Command, CommandId, ConnId, Event, LinkEvent, LinkOrder, ReplyBuf, RxMeta, Server,
};

pub(crate) use crate::dhcp::Dhcp;
use crate::dhcp::{address, lease_seconds, option};
use crate::skew::Rewriter;

pub(crate) const MCLT: u32 = 60;
pub(crate) const LEASE: u32 = 600;
const BASE: u32 = 1_800_000_000;
const STEP_MILLIS: u64 = 50;

/// One server with what is on its disk.
pub(crate) struct Side {
    pub(crate) server: Option<Server>,
    entries: Vec<Entry>,
    loaded: StoreStamp,
    volume: u32,
    answers: Vec<(CommandId, Answer)>,
    pub(crate) replies: Vec<Vec<u8>>,
    pub(crate) notices: Vec<String>,
}

/// Both, and the wire.
pub(crate) struct Pair {
    pub(crate) sides: [Side; 2],
    millis: u64,
    wire: Option<ConnId>,
    next_conn: u64,
    next_command: u64,
    pub(crate) cut: bool,
    /// What becomes of what each says.
    pub(crate) rewriters: [Rewriter; 2],
}

pub(crate) const P: usize = 0;
pub(crate) const S: usize = 1;

pub(crate) fn role(me: usize) -> Role {
    if me == P { Role::Primary } else { Role::Secondary }
}

pub(crate) fn manifest() -> PairManifest {
    let json = serde_json::json!({
        "apiVersion": "dhcpfailover.io/v1alpha1", "kind": "DhcpFailoverPair",
        "metadata": {"name": "lab", "namespace": "test"},
        "spec": {
            "mcltSeconds": MCLT,
            "primary": {"pod": {"interface": "eth0", "address": "10.0.0.1"}},
            "secondary": {"pod": {"interface": "eth0", "address": "10.0.0.2"}},
            "subnets": [{"cidr": "10.0.0.0/24", "leaseSeconds": LEASE,
                "pools": [{"first": "10.0.0.100", "last": "10.0.0.109"}]}],
        },
    });
    serde_json::from_value(json).expect("a manifest")
}

/// The same with another value of a field of its specification.
pub(crate) fn manifest_with(field: &str, value: serde_json::Value) -> PairManifest {
    let mut manifest = serde_json::to_value(manifest()).expect("JSON");
    manifest["spec"][field] = value;
    serde_json::from_value(manifest).expect("a manifest")
}

impl Pair {
    /// A brand-new pair in Normal.
    pub(crate) fn normal() -> Self {
        let mut pair = Self::stopped();
        pair.start(P, true);
        pair.start(S, true);
        pair.run_until_normal();
        pair
    }

    pub(crate) fn stopped() -> Self {
        let side = || Side {
            server: None,
            entries: Vec::new(),
            loaded: StoreStamp::default(),
            volume: 0,
            answers: Vec::new(),
            replies: Vec::new(),
            notices: Vec::new(),
        };
        Self {
            sides: [side(), side()],
            millis: 0,
            wire: None,
            next_conn: 1,
            next_command: 1,
            cut: false,
            rewriters: Default::default(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        let wall = UnixTime::new(u64::from(BASE) + self.millis / 1000);
        Now { wall, mono: Mono(1_000_000 + self.millis) }
    }

    pub(crate) fn start(&mut self, me: usize, token: bool) {
        self.start_with(me, token, manifest());
    }

    pub(crate) fn start_with(&mut self, me: usize, token: bool, manifest: PairManifest) {
        let config = PairConfig::new(&manifest).expect("a valid manifest");
        let side = &self.sides[me];
        let volume = format!("volume-{me}-{}", side.volume);
        let boot = Boot {
            role: role(me),
            manifest,
            config,
            address: Ipv4Addr::new(10, 0, 0, me as u8 + 1),
            version: "test".to_owned(),
            volume_uid: Some(volume.clone()),
            token: token.then(|| BootstrapToken { volume_uid: volume, ..BootstrapToken::default() }),
            fence: None,
            store_lost: false,
            loaded: side.loaded,
        };
        let server = Server::start(boot, &side.entries, self.now()).expect("the store is readable");
        self.sides[me].server = Some(server);
        self.pump(me);
    }

    /// The process is gone; its disk stays.
    pub(crate) fn stop(&mut self, me: usize) {
        self.sides[me].server = None;
        self.drop_wire();
    }

    /// The volume is gone too.
    pub(crate) fn lose(&mut self, me: usize) {
        self.stop(me);
        let side = &mut self.sides[me];
        (side.entries, side.loaded) = (Vec::new(), StoreStamp::default());
        side.volume += 1;
    }

    /// A copy of what is on a disk, and putting it back.
    pub(crate) fn backup(&self, me: usize) -> (Vec<Entry>, StoreStamp) {
        (self.sides[me].entries.clone(), self.sides[me].loaded)
    }

    pub(crate) fn restore(&mut self, me: usize, backup: (Vec<Entry>, StoreStamp)) {
        self.stop(me);
        (self.sides[me].entries, self.sides[me].loaded) = backup;
    }

    pub(crate) fn server(&mut self, me: usize) -> &mut Server {
        self.sides[me].server.as_mut().expect("it runs")
    }

    pub(crate) fn report(&self, me: usize) -> ServerReport {
        self.sides[me].server.as_ref().expect("it runs").report(self.now())
    }

    pub(crate) fn states(&self) -> [State; 2] {
        [P, S].map(|me| self.sides[me].server.as_ref().map_or(State::Unknown, Server::state))
    }

    /// Both ends notice that the wire is gone.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
        self.drop_wire();
    }

    fn drop_wire(&mut self) {
        let Some(conn) = self.wire.take() else { return };
        let now = self.now();
        for me in [P, S] {
            if let Some(server) = &mut self.sides[me].server {
                server.link(now, conn, LinkEvent::Down);
            }
            self.pump(me);
        }
    }

    pub(crate) fn run(&mut self, time: Seconds) {
        let end = self.millis + time.millis();
        while self.millis < end {
            self.millis += STEP_MILLIS;
            let now = self.now();
            for me in [P, S] {
                let due = self.sides[me]
                    .server
                    .as_ref()
                    .and_then(Server::next_deadline)
                    .is_some_and(|deadline| deadline <= now.mono);
                if due {
                    self.server(me).tick(now);
                }
                self.pump(me);
            }
        }
    }

    pub(crate) fn run_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..4_000 {
            if holds(self) {
                return;
            }
            self.run(Seconds(1));
        }
        panic!("{what}: states {:?}", self.states());
    }

    pub(crate) fn run_until_normal(&mut self) {
        self.run_until("both in Normal", |pair| pair.states() == [State::Normal; 2]);
    }

    /// Gives a command and waits for its answer.
    pub(crate) fn ask(&mut self, me: usize, command: Command) -> Answer {
        let id = CommandId(self.next_command);
        self.next_command += 1;
        let now = self.now();
        self.server(me).command(now, id, command);
        for _ in 0..400 {
            self.pump(me);
            let found = self.sides[me].answers.iter().position(|(of, _)| *of == id);
            if let Some(found) = found {
                return self.sides[me].answers.remove(found).1;
            }
            self.run(Seconds(1));
        }
        panic!("no answer");
    }

    pub(crate) fn force(&mut self, me: usize, force: serde_json::Value) -> RequestStatus {
        let request = request(me, force);
        match self.ask(me, Command::Force(Box::new(request), Caller::Operator)) {
            Answer::Request(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    fn pump(&mut self, me: usize) {
        let now = self.now();
        loop {
            let Some(server) = &mut self.sides[me].server else { return };
            let mut busy = false;
            while let Some(batch) = server.take_batch() {
                busy = true;
                self.sides[me].entries.extend(batch.entries);
                self.sides[me].loaded = StoreStamp { epoch: batch.epoch, lsn: batch.last };
                server.durable(now, batch.last);
            }
            let mut reply = ReplyBuf::default();
            while server.poll_reply(now, &mut reply) {
                self.sides[me].replies.push(std::mem::take(&mut reply.bytes));
            }
            while let Some(answer) = server.poll_answer() {
                self.sides[me].answers.push(answer);
            }
            while let Some(event) = server.poll_event() {
                if let Event::Notice { text, .. } | Event::StoreBehind { why: text } = event {
                    self.sides[me].notices.push(text);
                }
            }
            let mut buffer = [0; 4096];
            if let Some(conn) = self.wire {
                let len = server.poll_link(now, conn, &mut buffer);
                if len > 0 {
                    busy = true;
                    if let Some(other) = &mut self.sides[1 - me].server {
                        other.link(now, conn, LinkEvent::Bytes(&self.rewriters[me].pass(&buffer[..len])));
                    }
                    self.pump(1 - me);
                }
            }
            let order = self.sides[me].server.as_mut().and_then(Server::poll_order);
            match order {
                None => {}
                Some(LinkOrder::Dial) => {
                    busy = true;
                    self.dial(me);
                }
                Some(LinkOrder::Close(conn)) => {
                    busy = true;
                    if self.wire == Some(conn) {
                        self.drop_wire();
                    }
                }
            }
            if !busy {
                return;
            }
        }
    }

    fn dial(&mut self, me: usize) {
        let now = self.now();
        if self.cut || self.wire.is_some() || self.sides[1 - me].server.is_none() {
            self.server(me).dial_failed(now, "unreachable".to_owned());
            return;
        }
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        self.wire = Some(conn);
        for me in [P, S] {
            self.rewriters[me].begin_connection();
            self.server(me).link(now, conn, LinkEvent::Up);
        }
        self.pump(1 - me);
    }

    /// A client asks a server; answers the type of the reply and the address in it.
    pub(crate) fn client(&mut self, me: usize, client: u8, message: &Dhcp) -> Option<(u8, Ipv4Addr, u32)> {
        let bytes = message.bytes(client);
        let own = Ipv4Addr::new(10, 0, 0, me as u8 + 1);
        let destination = if message.ciaddr.is_some() { own } else { Ipv4Addr::BROADCAST };
        let now = self.now();
        let meta = RxMeta { source: Ipv4Addr::UNSPECIFIED, destination };
        self.sides[me].replies.clear();
        self.server(me).packet(now, &meta, &bytes);
        self.pump(me);
        let reply = self.sides[me].replies.pop()?;
        Some((option(&reply, 53)?[0], address(&reply), lease_seconds(&reply)))
    }

    /// DISCOVER and REQUEST at one server.
    pub(crate) fn lease(&mut self, me: usize, client: u8) -> Option<(Ipv4Addr, u32)> {
        let (_, offered, _) = self.client(me, client, &Dhcp { kind: 1, ..Dhcp::default() })?;
        let server = Some(Ipv4Addr::new(10, 0, 0, me as u8 + 1));
        let request = Dhcp { kind: 3, requested: Some(offered), server, ..Dhcp::default() };
        let (kind, address, lease) = self.client(me, client, &request)?;
        (kind == 5).then_some((address, lease))
    }

    /// A renewal at one server.
    pub(crate) fn renew(&mut self, me: usize, client: u8, address: Ipv4Addr) -> Option<(u8, Ipv4Addr, u32)> {
        self.client(me, client, &Dhcp { kind: 3, ciaddr: Some(address), ..Dhcp::default() })
    }
}

/// A request as an operator sends it.
pub(crate) fn request(me: usize, mut force: serde_json::Value) -> ForceRequest {
    force["server"] = role(me).as_str().into();
    let force: ForceState = serde_json::from_value(force).expect("a request");
    ForceRequest { force, expect: None }
}
