//! One whole server, its disk, and a partner that says what a test wants it to say, in octets.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use api::config::PairConfig;
use api::identity::{Lsn, Role, State, StoreStamp};
use api::pair::PairManifest;
use api::status::{BootstrapToken, LeaseLine};
use api::time::{Mono, Now, Seconds, UnixTime};
use failover::wire::{
    self, BindingAck, BindingUpdate, Connect, ConnectAck, Decoded, Dialect, Extension, Frame, FrameReader,
    Message, Reject, RejectReason, StateMessage, VENDOR_CLASS,
};
use leases::lease::{Flags, Status};
use leases::log::{Batch, Entry};
use server::{
    Answer, Boot, Caller, Command, CommandId, ConnId, LinkEvent, LinkOrder, ReplyBuf, RxMeta, Server,
};

use crate::dhcp::{Dhcp, address, lease_seconds, option};

pub(crate) const MCLT: u32 = 60;
const BASE: u32 = 1_800_000_000;
const STEP_MILLIS: u64 = 100;

/// Whose manners the partner has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manners {
    Own,
    Isc,
}

/// What the partner does about an update.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OnUpdate {
    Accept,
    Ignore,
    Reject(RejectReason),
}

/// The server and its partner.
pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) role: Role,
    manners: Manners,
    entries: Vec<Entry>,
    loaded: StoreStamp,
    /// The disk commits nothing.
    pub(crate) is_stalled: bool,
    millis: u64,
    pub(crate) conn: Option<ConnId>,
    next_conn: u64,
    next_command: u64,
    reader: FrameReader,
    /// What the partner said, as the server should read it.
    sent: FrameReader,
    /// What the server said on the present connection.
    pub(crate) heard: Vec<Frame>,
    /// What the server said of its state, each with what the partner had said of its own on that connection.
    pub(crate) announced: Vec<(Option<State>, State)>,
    said: Option<State>,
    pub(crate) on_update: OnUpdate,
    /// By how many seconds the partner's clock is ahead.
    pub(crate) partner_ahead: u32,
    /// By how many seconds the server's own clock was set back.
    pub(crate) set_back: Seconds,
    xid: u32,
    transition: u64,
    answers: Vec<(CommandId, Answer)>,
    replies: Vec<Vec<u8>>,
    /// What a disk that hangs has not committed; `None` for one that works.
    uncommitted: Option<Vec<Batch>>,
}

impl Bench {
    /// A brand-new server, as its token says, without a partner yet.
    pub(crate) fn new(role: Role, manners: Manners) -> Self {
        Self::with_pools(role, manners, serde_json::json!([{"first": "10.0.0.100", "last": "10.0.0.119"}]))
    }

    /// The same with other pools.
    pub(crate) fn with_pools(role: Role, manners: Manners, pools: serde_json::Value) -> Self {
        Self::with(role, manners, &serde_json::json!({}), pools)
    }

    /// The same with more in its specification.
    pub(crate) fn with(
        role: Role,
        manners: Manners,
        more: &serde_json::Value,
        pools: serde_json::Value,
    ) -> Self {
        let external = |address: &str| serde_json::json!({"external": {"address": address}});
        let pod = |address: &str| serde_json::json!({"pod": {"interface": "eth0", "address": address}});
        let (primary, secondary) = match (role, manners) {
            (_, Manners::Own) => (pod("10.0.0.1"), pod("10.0.0.2")),
            (Role::Primary, Manners::Isc) => (pod("10.0.0.1"), external("10.0.0.2")),
            (Role::Secondary, Manners::Isc) => (external("10.0.0.1"), pod("10.0.0.2")),
        };
        let mut manifest = serde_json::json!({
            "apiVersion": "dhcpfailover.io/v1alpha1", "kind": "DhcpFailoverPair",
            "metadata": {"name": "lab", "namespace": "test"},
            "spec": {
                "relationship": "lab", "mcltSeconds": MCLT, "primary": primary, "secondary": secondary,
                "link": {"security": "Plain"},
                "subnets": [{"cidr": "10.0.0.0/24", "leaseSeconds": 600,
                    "pools": pools}],
            },
        });
        for (field, value) in more.as_object().into_iter().flatten() {
            manifest["spec"][field] = value.clone();
        }
        let manifest: PairManifest = serde_json::from_value(manifest).expect("a manifest");
        let config = PairConfig::new(&manifest).expect("a valid manifest");
        let token = BootstrapToken { volume_uid: "volume".to_owned(), ..BootstrapToken::default() };
        let boot = Boot {
            role,
            manifest,
            config,
            address: Ipv4Addr::new(10, 0, 0, if role == Role::Primary { 1 } else { 2 }),
            version: "test".to_owned(),
            volume_uid: Some("volume".to_owned()),
            token: Some(token),
            fence: None,
            store_lost: false,
            loaded: StoreStamp::default(),
        };
        let now = Now { wall: UnixTime::new(u64::from(BASE)), mono: Mono(1_000_000) };
        let server = Server::start(boot, &[], now).expect("an empty store");
        let mut bench = Self {
            server,
            role,
            manners,
            entries: Vec::new(),
            loaded: StoreStamp::default(),
            is_stalled: false,
            millis: 0,
            conn: None,
            next_conn: 1,
            next_command: 1,
            reader: FrameReader::new(),
            sent: FrameReader::new(),
            heard: Vec::new(),
            announced: Vec::new(),
            said: None,
            on_update: OnUpdate::Accept,
            partner_ahead: 0,
            set_back: Seconds(0),
            xid: 0,
            transition: 0,
            answers: Vec::new(),
            replies: Vec::new(),
            uncommitted: None,
        };
        bench.pump();
        bench
    }

    /// The specification gets another value of a field, which a JSON pointer names.
    pub(crate) fn configure(&mut self, field: &str, value: &serde_json::Value) {
        let manifest = server::stored_manifest(&self.entries).expect("its configuration is stored");
        let mut manifest = serde_json::to_value(manifest).expect("a manifest");
        let (object, field) = field.rsplit_once('/').expect("a pointer");
        manifest["spec"].pointer_mut(object).expect("an object")[field] = value.clone();
        let manifest: PairManifest = serde_json::from_value(manifest).expect("a manifest");
        let config = PairConfig::new(&manifest).expect("a valid manifest");
        let answer = self.command(Command::Configure(Box::new((manifest, config))));
        assert!(matches!(answer, Answer::Configured(_)), "{answer:?}");
    }

    /// The process ends and starts again from its disk.
    pub(crate) fn restarted(mut self) -> Self {
        self.hang_up();
        self.killed_for(Seconds(0))
    }

    /// The process is killed, and starts from its disk so much later.
    pub(crate) fn killed_for(mut self, absence: Seconds) -> Self {
        self.conn = None;
        self.reader = FrameReader::new();
        self.said = None;
        self.millis += absence.millis();
        let manifest = server::stored_manifest(&self.entries).expect("its configuration is stored");
        let config = PairConfig::new(&manifest).expect("it was valid");
        let boot = Boot {
            role: self.role,
            manifest,
            config,
            address: self.address(),
            version: "test".to_owned(),
            volume_uid: Some("volume".to_owned()),
            token: None,
            fence: None,
            store_lost: false,
            loaded: self.loaded,
        };
        self.server = Server::start(boot, &self.entries, self.now()).expect("its own store");
        self.pump();
        self
    }

    pub(crate) fn now(&self) -> Now {
        let wall = UnixTime::new(u64::from(BASE) + self.millis / 1000) - self.set_back;
        Now { wall, mono: Mono(1_000_000 + self.millis) }
    }

    pub(crate) fn state(&self) -> State {
        self.server.state()
    }

    /// TCP comes up, and both go through the handshake; the partner's first word is its state.
    pub(crate) fn connect(&mut self, state: State, startup: bool) {
        self.shake_hands();
        self.say(state, startup);
    }

    /// The same, before the partner says anything.
    pub(crate) fn shake_hands(&mut self) {
        self.open();
        match self.role {
            Role::Primary => {
                let xid = self
                    .heard
                    .iter()
                    .find_map(|frame| matches!(frame.message, Message::Connect(_)).then_some(frame.xid))
                    .expect("a primary opens");
                let ack = Message::ConnectAck(self.connect_ack());
                self.reply(xid, ack);
            }
            Role::Secondary => {
                let connect = Message::Connect(self.connect_message());
                self.send(connect);
                self.pump();
                assert!(
                    self.heard.iter().any(
                        |frame| matches!(&frame.message, Message::ConnectAck(ack) if ack.reject.is_none())
                    ),
                    "{:?}",
                    self.heard
                );
            }
        }
    }

    /// TCP comes up.
    pub(crate) fn open(&mut self) {
        self.hang_up();
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        self.conn = Some(conn);
        let now = self.now();
        self.server.link(now, conn, LinkEvent::Up);
        self.pump();
    }

    pub(crate) fn connect_message(&self) -> Connect {
        Connect {
            relationship: Some(b"lab".to_vec()),
            max_unacked: Some(10),
            receive_timer: Some(60),
            vendor_class: Some(self.vendor()),
            version: Some(1),
            tls_request: Some(0),
            mclt: Some(MCLT),
            hba: Some(vec![0xff; 32]),
        }
    }

    pub(crate) fn connect_ack(&self) -> ConnectAck {
        ConnectAck {
            relationship: Some(b"lab".to_vec()),
            max_unacked: Some(10),
            receive_timer: Some(60),
            vendor_class: Some(self.vendor()),
            version: Some(1),
            tls_reply: Some(0),
            reject: None,
            extensions: Vec::new(),
        }
    }

    fn vendor(&self) -> Vec<u8> {
        match self.manners {
            Manners::Own => VENDOR_CLASS.as_bytes().to_vec(),
            Manners::Isc => b"isc-4.4.3-P1".to_vec(),
        }
    }

    /// The partner says its state.
    pub(crate) fn say(&mut self, state: State, startup: bool) {
        self.say_with(state, startup, Vec::new());
    }

    /// The same, with more between servers of ours.
    pub(crate) fn say_with(&mut self, state: State, startup: bool, more: Vec<Extension>) {
        self.transition += 1;
        self.said = Some(state);
        let progress = Extension::Progress {
            epoch: 1,
            lsn: Lsn(self.transition),
            transition: self.transition,
            partner_epoch: 0,
            partner_lsn: Lsn(0),
        };
        let extensions =
            if self.manners == Manners::Own { [vec![progress], more].concat() } else { Vec::new() };
        let since = self.now().wall.get();
        self.send(Message::State(StateMessage { state, startup, since, extensions }));
        self.pump();
    }

    /// The number of the change that the partner's next word names.
    pub(crate) fn next_change(&self) -> u64 {
        self.transition + 1
    }

    /// A primary gives free addresses to this secondary.
    pub(crate) fn give(&mut self, addresses: std::ops::Range<u8>) {
        for last in addresses {
            let now = self.now().wall.get();
            let update = BindingUpdate {
                address: Some(Ipv4Addr::new(10, 0, 0, last)),
                status: Some(Status::Backup),
                client_id: None,
                hardware: None,
                lease_expiry: Some(0),
                potential_expiry: Some(now),
                starts: Some(now),
                cltt: None,
                flags: Flags::default(),
                request_options: None,
                reply_options: None,
            };
            self.send(Message::BndUpd(vec![update]));
        }
    }

    /// The partner says something of its own.
    pub(crate) fn send(&mut self, message: Message) {
        self.xid += 1;
        self.reply(self.xid, message);
    }

    /// The partner answers.
    pub(crate) fn reply(&mut self, xid: u32, message: Message) {
        let frame = Frame { time: self.partner_clock(), xid, message };
        let octets = wire::encode(&frame, self.dialect()).expect("a message");
        self.octets(&octets);
    }

    /// The time at the partner.
    pub(crate) fn partner_clock(&self) -> u32 {
        self.now().wall.get() + self.partner_ahead
    }

    pub(crate) fn dialect(&self) -> Dialect {
        if self.manners == Manners::Own { Dialect::Own } else { Dialect::Isc }
    }

    /// Octets of the partner, whatever they mean. Returns of which addresses the messages say anything that are
    /// complete with them, `None` if none is.
    pub(crate) fn octets(&mut self, octets: &[u8]) -> Option<BTreeSet<Ipv4Addr>> {
        let conn = self.conn?;
        self.sent.push(octets);
        let mut told = None;
        while let Ok(Some(frame)) = self.sent.next_frame() {
            // Whom the server takes it for depends on what it called itself.
            let read = |dialect| wire::decode(&frame, dialect);
            let Ok(decoded) = read(Dialect::Own).or_else(|_| read(Dialect::Isc)) else { continue };
            let told = told.get_or_insert_with(BTreeSet::new);
            if let Decoded::Frame(Frame { message: Message::BndUpd(updates), .. }) = decoded {
                told.extend(updates.iter().filter_map(|update| update.address));
            }
        }
        let now = self.now();
        self.server.link(now, conn, LinkEvent::Bytes(octets));
        self.pump();
        told
    }

    /// The connection is gone.
    pub(crate) fn hang_up(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        let now = self.now();
        self.server.link(now, conn, LinkEvent::Down);
        self.reader = FrameReader::new();
        self.sent = FrameReader::new();
        self.heard.clear();
        self.said = None;
        self.pump();
    }

    /// Answers the server's last request for updates: there is nothing more.
    pub(crate) fn done(&mut self) {
        let asked = self.heard.iter().rev().find_map(|frame| {
            matches!(frame.message, Message::UpdReq | Message::UpdReqAll).then_some(frame.xid)
        });
        let xid = asked.unwrap_or_else(|| panic!("the server asked for updates: {:?}", self.heard));
        self.reply(xid, Message::UpdDone);
    }

    /// Time passes; the partner says that it is there.
    pub(crate) fn run(&mut self, time: Seconds) {
        let end = self.millis + time.millis();
        while self.millis < end {
            self.millis += STEP_MILLIS;
            let now = self.now();
            if self.server.next_deadline().is_some_and(|deadline| deadline <= now.mono) {
                self.server.tick(now);
            }
            if self.millis.is_multiple_of(10_000) && self.conn.is_some() {
                self.send(Message::Contact { extensions: Vec::new() });
            }
            self.pump();
        }
    }

    pub(crate) fn force(&mut self, state: &str) -> Answer {
        let request = self.request(state);
        self.command(Command::Force(Box::new(request), Caller::Human))
    }

    fn request(&self, state: &str) -> api::force::ForceRequest {
        let mut force = serde_json::json!({
            "requestId": format!("{state}-{}", self.next_command), "state": state, "confirm": true,
            "server": self.role.as_str(), "evidence": "Attested", "reason": "a test",
        });
        if state == "PartnerDown" {
            force["deadServer"] = self.role.other().as_str().into();
            force["confirm"] = false.into();
        }
        let force = serde_json::from_value(force).expect("a request");
        api::force::ForceRequest { force, expect: None }
    }

    /// A state is forced, and what the server then wants to say stays with it for now.
    pub(crate) fn begin(&mut self, state: &str) {
        let request = self.request(state);
        let id = CommandId(self.next_command);
        self.next_command += 1;
        let now = self.now();
        self.server.command(now, id, Command::Force(Box::new(request), Caller::Human));
    }

    pub(crate) fn command(&mut self, command: Command) -> Answer {
        let id = CommandId(self.next_command);
        self.next_command += 1;
        let now = self.now();
        self.server.command(now, id, command);
        for _ in 0..100 {
            self.pump();
            if let Some(found) = self.answers.iter().position(|(of, _)| *of == id) {
                return self.answers.remove(found).1;
            }
            self.run(Seconds(1));
        }
        panic!("no answer");
    }

    /// A client broadcasts a DISCOVER: whether it is offered an address.
    pub(crate) fn is_offered(&mut self, client: u8) -> bool {
        self.ask(client, &Dhcp { kind: 1, ..Dhcp::default() }).is_some()
    }

    /// A client takes what it is offered: the address, and for how many seconds.
    pub(crate) fn lease(&mut self, client: u8) -> Option<(Ipv4Addr, u32)> {
        let offer = self.ask(client, &Dhcp { kind: 1, ..Dhcp::default() })?;
        let server = Some(self.address());
        let request = Dhcp { kind: 3, requested: Some(address(&offer)), server, ..Dhcp::default() };
        let ack = self.ask(client, &request)?;
        option(&ack, 51).map(|_| (address(&ack), lease_seconds(&ack)))
    }

    /// Whether a client is answered that asks, chooses, remembers an address of its subnet, or wants to be told.
    pub(crate) fn hears_anything_but_renewals(&mut self) -> bool {
        let (server, free) = (Some(self.address()), Ipv4Addr::new(10, 0, 0, 107));
        let requested = Some(free);
        [
            Dhcp { kind: 1, ..Dhcp::default() },
            Dhcp { kind: 3, requested, server, ..Dhcp::default() },
            Dhcp { kind: 3, requested, ..Dhcp::default() },
            Dhcp { kind: 8, ciaddr: requested, ..Dhcp::default() },
        ]
        .iter()
        .any(|message| self.ask(9, message).is_some())
    }

    /// What a client is answered that starts and remembers an address.
    pub(crate) fn reboot(&mut self, client: u8, address: Ipv4Addr) -> Option<Vec<u8>> {
        self.ask(client, &Dhcp { kind: 3, requested: Some(address), ..Dhcp::default() })
    }

    /// What a client is answered that renews an address.
    pub(crate) fn renew(&mut self, client: u8, address: Ipv4Addr) -> Option<Vec<u8>> {
        self.ask(client, &Dhcp { kind: 3, ciaddr: Some(address), ..Dhcp::default() })
    }

    /// A client gives its address back.
    pub(crate) fn release(&mut self, client: u8, address: Ipv4Addr) {
        let server = Some(self.address());
        self.ask(client, &Dhcp { kind: 7, ciaddr: Some(address), server, ..Dhcp::default() });
    }

    /// A client found its address in use.
    pub(crate) fn decline(&mut self, client: u8, address: Ipv4Addr) {
        let (server, requested) = (Some(self.address()), Some(address));
        self.ask(client, &Dhcp { kind: 4, requested, server, ..Dhcp::default() });
    }

    /// An operator ends a binding.
    pub(crate) fn reset(&mut self, address: Ipv4Addr, unused: bool) -> Answer {
        self.command(Command::Reset { address, unused })
    }

    /// What a client is answered that broadcasts.
    fn ask(&mut self, client: u8, message: &Dhcp) -> Option<Vec<u8>> {
        let meta = RxMeta { source: Ipv4Addr::UNSPECIFIED, destination: Ipv4Addr::BROADCAST };
        self.replies.clear();
        let now = self.now();
        self.server.packet(now, &meta, &message.bytes(client));
        self.pump();
        self.replies.pop()
    }

    /// What it answered to clients since the last one asked.
    pub(crate) fn replies(&self) -> &[Vec<u8>] {
        &self.replies
    }

    fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, if self.role == Role::Primary { 1 } else { 2 })
    }

    pub(crate) fn pump(&mut self) {
        let now = self.now();
        loop {
            let mut busy = false;
            while !self.is_stalled
                && let Some(batch) = self.server.take_batch()
            {
                busy = true;
                match &mut self.uncommitted {
                    Some(batches) => batches.push(batch),
                    None => self.write(batch),
                }
            }
            let mut reply = ReplyBuf::default();
            while self.server.poll_reply(now, &mut reply) {
                self.replies.push(std::mem::take(&mut reply.bytes));
            }
            while let Some(answer) = self.server.poll_answer() {
                self.answers.push(answer);
            }
            while self.server.poll_event().is_some() {}
            busy |= self.listen(now);
            match self.server.poll_order() {
                None => {}
                // The partner dials when the test wants it to.
                Some(LinkOrder::Dial) => self.server.dial_failed(now, "unreachable".to_owned()),
                Some(LinkOrder::Close(conn)) if self.conn == Some(conn) => {
                    busy = true;
                    self.hang_up();
                }
                Some(LinkOrder::Close(_)) => {}
            }
            if !busy {
                return;
            }
        }
    }

    /// The disk takes nothing more for a while.
    pub(crate) fn hang_disk(&mut self) {
        self.uncommitted.get_or_insert_default();
    }

    /// It goes on.
    pub(crate) fn mend_disk(&mut self) {
        for batch in self.uncommitted.take().unwrap_or_default() {
            self.write(batch);
        }
        self.pump();
    }

    fn write(&mut self, batch: Batch) {
        self.entries.extend(batch.entries);
        self.loaded = StoreStamp { epoch: batch.epoch, lsn: batch.last };
        let now = self.now();
        self.server.durable(now, batch.last);
    }

    /// What the server told of bindings on this connection, in order.
    pub(crate) fn updates(&self) -> impl Iterator<Item = &BindingUpdate> {
        let told = self.heard.iter().filter_map(|frame| match &frame.message {
            Message::BndUpd(updates) => Some(updates),
            _ => None,
        });
        told.flatten()
    }

    /// How the server answered what the partner told of an address, in order.
    pub(crate) fn answers_about(&self, address: Ipv4Addr) -> impl Iterator<Item = &BindingAck> {
        let answers = self.heard.iter().filter_map(|frame| match &frame.message {
            Message::BndAck(acks) => Some(acks),
            _ => None,
        });
        answers.flatten().filter(move |ack| ack.address == address)
    }

    /// What the server lists of an address of its pools.
    pub(crate) fn line(&self, address: Ipv4Addr) -> LeaseLine {
        self.server.leases().find(|line| line.address == address).expect("an address of the pool")
    }

    /// Accepts all updates that it has heard on this connection, whatever it answered before.
    pub(crate) fn acknowledge_all(&mut self) {
        let updates: Vec<_> = self
            .heard
            .iter()
            .filter_map(|frame| match &frame.message {
                Message::BndUpd(updates) => Some((frame.xid, updates.clone())),
                _ => None,
            })
            .collect();
        for (xid, updates) in updates {
            let accepted =
                |address| BindingAck { address, reject: None, client_id: None, potential_expiry: None };
            let acks = updates.iter().filter_map(|update| update.address).map(accepted).collect();
            self.reply(xid, Message::BndAck(acks));
        }
    }

    /// Takes in what the server says, and answers its updates.
    fn listen(&mut self, now: Now) -> bool {
        let Some(conn) = self.conn else { return false };
        let mut buffer = [0; 4096];
        let len = self.server.poll_link(now, conn, &mut buffer);
        self.reader.push(&buffer[..len]);
        let mut acks = Vec::new();
        while let Some(octets) = self.reader.next_frame().expect("our own framing") {
            let Decoded::Frame(frame) = wire::decode(&octets, self.dialect()).expect("our own message")
            else {
                continue;
            };
            if let Message::BndUpd(updates) = &frame.message
                && self.on_update != OnUpdate::Ignore
            {
                let reject = match self.on_update {
                    OnUpdate::Reject(reason) => Some(Reject { reason, text: String::new() }),
                    OnUpdate::Accept | OnUpdate::Ignore => None,
                };
                let answer = |address| BindingAck {
                    address,
                    reject: reject.clone(),
                    client_id: None,
                    potential_expiry: None,
                };
                let addresses = updates.iter().filter_map(|update| update.address);
                acks.push((frame.xid, addresses.map(answer).collect()));
            }
            if let Message::State(message) = &frame.message {
                self.announced.push((self.said, message.state));
            }
            self.heard.push(frame);
        }
        for (xid, ack) in acks {
            let frame = Frame { time: now.wall.get(), xid, message: Message::BndAck(ack) };
            let octets = wire::encode(&frame, self.dialect()).expect("an answer");
            if let Some(conn) = self.conn {
                self.sent.push(&octets);
                self.server.link(now, conn, LinkEvent::Bytes(&octets));
            }
        }
        len > 0
    }
}
