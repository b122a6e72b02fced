//! One whole server with its store and the ends of its connections, in virtual time, and what must hold of it after
//! whatever was done to it.

mod beliefs;
mod partner;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use api::config::PairConfig;
use api::identity::{Role, StoreStamp};
use api::pair::PairManifest;
use api::status::{BootstrapToken, ServerReport};
use api::time::{Mono, Now, UnixTime};
use dhcp::reply::{REPLY_LEN_MAX, REPLY_LEN_MIN};
use leases::log::{Batch, Entry};
use server::{Boot, Command, CommandId, LinkOrder, ReplyBuf, RxMeta, Server, StartError};

use crate::bench::beliefs::Beliefs;
use crate::bench::partner::Partner;
pub(crate) use crate::bench::partner::{MCLT, Manners, OnUpdate};

/// The primary, in the captures too.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 50, 0, 2);
/// The secondary.
pub(crate) const OTHER: Ipv4Addr = Ipv4Addr::new(10, 50, 0, 3);
/// More addresses than this are not served in a check: it would only be slow.
pub(crate) const ADDRESSES_MAX: u64 = 1024;

/// When the captures were taken: what the partner says in them is of that time.
const BASE: u64 = 1_795_341_520;
const VOLUME: &str = "volume";
/// A server has something to do every second; what takes more steps than these is jumped over, as if the process had
/// stood still.
const STEPS_MAX: usize = 60;
/// Ticks without time between them, after which the next one must be later.
const TICKS_MAX: usize = 8;
/// Rounds of asking a server what it has to give, after which there must be no more.
const ROUNDS_MAX: usize = 10_000;

/// The manifest of a pair like that of the captures, with more in its specification.
pub(crate) fn manifest(more: &serde_json::Value) -> PairManifest {
    let pod = |address| serde_json::json!({"pod": {"interface": "eth0", "address": address}});
    let mut manifest = serde_json::json!({
        "apiVersion": "dhcpfailover.io/v1alpha1", "kind": "DhcpFailoverPair",
        "metadata": {"name": "lab", "namespace": "test"},
        "spec": {
            "relationship": "fo-peer", "mcltSeconds": MCLT, "primary": pod(SERVER), "secondary": pod(OTHER),
            "link": {"security": "Plain"},
            "subnets": [{
                "cidr": "10.50.0.0/24", "leaseSeconds": 600,
                "pools": [{"first": "10.50.0.100", "last": "10.50.0.119"}],
                "options": {"routers": ["10.50.0.1"], "domainName": "lab.example", "domainSearch": ["lab.example"]},
                "reservations": [{"address": "10.50.0.50", "hardwareAddress": "02:00:00:00:00:07"}],
            }],
        },
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        manifest["spec"][field] = value.clone();
    }
    serde_json::from_value(manifest).expect("a manifest")
}

/// How many addresses a configuration has in its pools and reservations.
pub(crate) fn addresses(config: &PairConfig) -> u64 {
    let pools =
        |subnet: &api::config::Subnet| subnet.pools.iter().map(|pool| u64::from(pool.size())).sum::<u64>();
    config.subnets.iter().map(|subnet| pools(subnet) + subnet.reservations.len() as u64).sum()
}

/// What is on the disk: of each lease and each document the newest.
#[derive(Clone, Default)]
struct Store {
    entries: BTreeMap<(u8, Vec<u8>), Entry>,
    stamp: StoreStamp,
}

impl Store {
    fn write(&mut self, batch: Batch) {
        for entry in batch.entries {
            self.put(entry);
        }
        self.stamp = StoreStamp { epoch: batch.epoch, lsn: batch.last };
    }

    fn put(&mut self, entry: Entry) {
        let name = if entry.kind == Entry::LEASE { 1..5 } else { 0..1 };
        let name = entry.body.get(name).unwrap_or_default().to_vec();
        self.entries.insert((entry.kind, name), entry);
    }

    fn all(&self) -> Vec<Entry> {
        self.entries.values().cloned().collect()
    }
}

/// The server and all that is around it.
pub(crate) struct Bench {
    pub(crate) server: Server,
    boot: Boot,
    store: Store,
    /// Batches on their way to the disk.
    waiting: VecDeque<Batch>,
    /// The disk commits nothing.
    pub(crate) is_stalled: bool,
    has_failed: bool,
    millis: u64,
    /// How far the wall clock was set, in seconds.
    skew: i64,
    pub(crate) partner: Partner,
    /// A connection was asked for and neither made nor failed.
    dialling: bool,
    next_command: u64,
    /// Commands without an answer.
    asked: BTreeSet<CommandId>,
    beliefs: Beliefs,
    /// The last address that was offered, for a client that takes it.
    pub(crate) offered: Option<Ipv4Addr>,
}

impl Bench {
    /// A brand-new primary, as its token says, without a partner yet.
    pub(crate) fn new() -> Self {
        Self::with(Role::Primary, Manners::Own, true, &serde_json::json!({}))
    }

    /// A server with an empty store; without a token it has lost one.
    pub(crate) fn with(role: Role, manners: Manners, is_new: bool, more: &serde_json::Value) -> Self {
        let external = |address| serde_json::json!({"external": {"address": address}});
        let mut manifest = manifest(more);
        if manners == Manners::Isc && manifest.spec.secondary.is_some() {
            let (partner, address) = match role {
                Role::Primary => (manifest.spec.secondary.get_or_insert_default(), OTHER),
                Role::Secondary => (&mut manifest.spec.primary, SERVER),
            };
            *partner = serde_json::from_value(external(address)).expect("a server");
        }
        let config = PairConfig::new(&manifest).expect("a valid manifest");
        let mut boot = boot(role, manifest, config);
        boot.token = boot.token.filter(|_| is_new);
        Self::boot(boot, manners, Store::default()).expect("an empty store")
    }

    /// A new server of a configuration; `None` if somebody else runs it.
    pub(crate) fn start(role: Role, manifest: PairManifest, config: PairConfig) -> Option<Self> {
        matches!(config.server(role)?, api::config::ServerConfig::Pod { .. }).then_some(())?;
        let boot = boot(role, manifest, config);
        Some(Self::boot(boot, Manners::Own, Store::default()).expect("an empty store"))
    }

    /// A primary that starts from a store.
    pub(crate) fn from_store(stamp: StoreStamp, entries: &[Entry]) -> Result<Self, StartError> {
        let manifest = manifest(&serde_json::json!({}));
        let config = PairConfig::new(&manifest).expect("a valid manifest");
        let mut store = Store { stamp, ..Store::default() };
        entries.iter().for_each(|entry| store.put(entry.clone()));
        Self::boot(boot(Role::Primary, manifest, config), Manners::Own, store)
    }

    fn boot(boot: Boot, manners: Manners, store: Store) -> Result<Self, StartError> {
        let boot = Boot { loaded: store.stamp, ..boot };
        let now = Now { wall: UnixTime::new(BASE), mono: Mono(1_000_000) };
        let server = Server::start(boot.clone(), &store.all(), now)?;
        let partner = Partner::new(boot.role.other(), manners);
        let mut bench = Self {
            server,
            boot,
            store,
            waiting: VecDeque::new(),
            is_stalled: false,
            has_failed: false,
            millis: 0,
            skew: 0,
            partner,
            dialling: false,
            next_command: 1,
            asked: BTreeSet::new(),
            beliefs: Beliefs::default(),
            offered: None,
        };
        bench.pump();
        bench.check();
        Ok(bench)
    }

    pub(crate) fn role(&self) -> Role {
        self.boot.role
    }

    pub(crate) fn server_address(&self) -> Ipv4Addr {
        self.boot.address
    }

    pub(crate) fn now(&self) -> Now {
        let wall = (BASE + self.millis / 1000).saturating_add_signed(self.skew);
        Now { wall: UnixTime::new(wall.max(1)), mono: Mono(1_000_000 + self.millis) }
    }

    /// The wall clock is set.
    pub(crate) fn set_clock(&mut self, by: i64) {
        self.skew = (self.skew + by).clamp(-CLOCK_MAX, CLOCK_MAX);
        // For how long a client believes in its address is not by our clock.
        self.beliefs.forget_all();
    }

    /// Time passes, and the server is called when it wants to be.
    pub(crate) fn advance(&mut self, millis: u64) {
        let end = self.millis + millis;
        for _ in 0..STEPS_MAX {
            let deadline = self.server.next_deadline().map_or(end, |at| at.0.saturating_sub(1_000_000));
            self.millis = deadline.max(self.millis + 1).min(end);
            self.tick();
            if self.millis >= end {
                return;
            }
        }
        self.millis = end;
        self.tick();
    }

    /// So many seconds pass, and nothing is jumped over.
    pub(crate) fn wait(&mut self, seconds: u32) {
        (0..seconds).for_each(|_| self.advance(1_000));
    }

    /// Calls the server until it has nothing to do at this moment.
    pub(crate) fn tick(&mut self) {
        let now = self.now();
        for _ in 0..TICKS_MAX {
            self.server.tick(now);
            self.pump();
            if self.server.next_deadline().is_none_or(|deadline| deadline > now.mono) {
                return;
            }
        }
        panic!(
            "at {now:?} the server wants to be called at {:?}: {:?}",
            self.server.next_deadline(),
            self.server
        );
    }

    /// A packet arrives.
    pub(crate) fn packet(&mut self, meta: &RxMeta, octets: &[u8]) {
        self.beliefs.hears(octets);
        let now = self.now();
        self.server.packet(now, meta, octets);
        self.pump();
    }

    /// A client broadcasts a DISCOVER on the server's link.
    pub(crate) fn discover(&mut self) {
        let meta = RxMeta { source: Ipv4Addr::UNSPECIFIED, destination: Ipv4Addr::BROADCAST };
        self.packet(&meta, &crate::endpoint::client_message(1, 1, None, None, None));
    }

    /// A client takes what it is offered.
    pub(crate) fn lease(&mut self) {
        self.discover();
        let meta = RxMeta { source: Ipv4Addr::UNSPECIFIED, destination: Ipv4Addr::BROADCAST };
        let (offered, server) = (self.offered, Some(self.boot.address));
        self.packet(&meta, &crate::endpoint::client_message(3, 1, offered, server, None));
    }

    /// Somebody asks something of the server.
    pub(crate) fn command(&mut self, command: Command) {
        match &command {
            Command::Reset { address, .. } => self.beliefs.forget(*address),
            Command::Configure(pair) => {
                self.beliefs.forget_all();
                self.partner.configured(&pair.1);
            }
            _ => {}
        }
        let id = CommandId(self.next_command);
        self.next_command += 1;
        self.asked.insert(id);
        let now = self.now();
        self.server.command(now, id, command);
        self.pump();
    }

    /// Another configuration is pushed.
    pub(crate) fn configure(&mut self, manifest: PairManifest, config: PairConfig) {
        self.boot.manifest = manifest.clone();
        self.boot.config = config.clone();
        self.command(Command::Configure(Box::new((manifest, config))));
    }

    /// All that was asked has its answer, unless the disk keeps it.
    pub(crate) fn expect_all_answered(&self) {
        let waits = self.is_stalled && !self.has_failed;
        assert!(waits || self.asked.is_empty(), "no answer to {:?}", self.asked);
    }

    /// What is on the disk.
    pub(crate) fn stored(&self) -> Vec<Entry> {
        self.store.all()
    }

    /// The disk fails.
    pub(crate) fn fail(&mut self) {
        self.has_failed = true;
        self.waiting.clear();
        self.server.storage_failed("a test".to_owned());
        self.pump();
    }

    /// The process is killed and started again, from what is on the disk.
    pub(crate) fn restart(&mut self) {
        let stamp = self.store.stamp;
        self.boot = Boot { loaded: stamp, store_lost: false, ..self.boot.clone() };
        self.start_again();
    }

    /// The same on another volume, which is new as its token says, or that of a lost store.
    pub(crate) fn restart_without_store(&mut self, is_new: bool) {
        self.store = Store::default();
        self.beliefs.forget_all();
        let token = BootstrapToken { volume_uid: VOLUME.to_owned(), ..BootstrapToken::default() };
        self.boot = Boot {
            loaded: StoreStamp::default(),
            store_lost: !is_new,
            token: is_new.then_some(token),
            ..self.boot.clone()
        };
        self.start_again();
    }

    fn start_again(&mut self) {
        self.partner.hang_up_all();
        self.waiting.clear();
        self.asked.clear();
        (self.is_stalled, self.has_failed, self.dialling) = (false, false, false);
        self.millis += 1_000;
        let entries = self.store.all();
        self.server = Server::start(self.boot.clone(), &entries, self.now()).expect("its own store");
        for entry in entries.iter().filter(|entry| entry.kind == Entry::LEASE) {
            let lease = leases::lease::Lease::decode(&entry.body).expect("its own lease");
            assert!(self.server.table().get(lease.address).is_some(), "{lease:?} is lost");
        }
        self.pump();
        self.check();
    }

    /// Carries out what the server wants, until it wants nothing more.
    pub(crate) fn pump(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if !self.pump_once() {
                return;
            }
        }
        panic!("the server never rests");
    }

    fn pump_once(&mut self) -> bool {
        let now = self.now();
        let mut is_busy = self.commit(now);
        let mut reply = ReplyBuf::default();
        while self.server.poll_reply(now, &mut reply) {
            self.replied(&reply.bytes);
        }
        while let Some((id, _)) = self.server.poll_answer() {
            assert!(self.asked.remove(&id), "{id:?} was not asked, or has its answer");
        }
        let mut events = 0;
        while self.server.poll_event().is_some() {
            events += 1;
        }
        assert!(events <= 1024, "{events} events waited");
        is_busy |= self.partner.listen(&mut self.server, now);
        while let Some(order) = self.server.poll_order() {
            is_busy = true;
            match order {
                LinkOrder::Dial => self.dialling = true,
                LinkOrder::Close(conn) => self.partner.closed(&mut self.server, now, conn),
            }
        }
        is_busy
    }

    /// A dial that was asked for fails.
    pub(crate) fn dial_fails(&mut self) {
        if std::mem::take(&mut self.dialling) {
            let now = self.now();
            self.server.dial_failed(now, "unreachable".to_owned());
            self.pump();
        }
    }

    /// A connection comes up, dialled by whomever.
    pub(crate) fn connect(&mut self) {
        self.dialling = false;
        let now = self.now();
        self.partner.connect(&mut self.server, now);
        self.pump();
    }

    /// Octets of the partner arrive on its newest connection. Where no message is complete with them, no lease
    /// may change; where one is, it may, of any address that is told of.
    pub(crate) fn link_bytes(&mut self, octets: &[u8]) {
        let now = self.now();
        let before: Vec<_> = self.server.table().iter().cloned().collect();
        let Some(told) = self.partner.say(&mut self.server, now, octets) else { return };
        if !told.any {
            let after = self.server.table().iter();
            assert!(before.iter().eq(after), "leases changed without a message: {octets:02x?}");
        }
        told.addresses.iter().for_each(|address| self.beliefs.forget(*address));
        self.pump();
    }

    fn commit(&mut self, now: Now) -> bool {
        let mut is_busy = false;
        while let Some(batch) = self.server.take_batch() {
            assert!(!self.has_failed, "a batch for a store that failed");
            let last = self
                .waiting
                .back()
                .map_or(self.store.stamp, |batch| StoreStamp { epoch: batch.epoch, lsn: batch.last });
            assert_eq!(batch.first.0, last.lsn.0 + 1, "batches follow each other");
            assert!(batch.last >= batch.first && batch.epoch >= last.epoch && batch.floor <= batch.last);
            self.waiting.push_back(batch);
            is_busy = true;
        }
        while !self.is_stalled
            && let Some(batch) = self.waiting.pop_front()
        {
            let last = batch.last;
            self.store.write(batch);
            self.server.durable(now, last);
            is_busy = true;
        }
        is_busy
    }

    /// The disk works again; what waits for it is written.
    pub(crate) fn resume(&mut self) {
        self.is_stalled = false;
        self.pump();
    }

    fn replied(&mut self, octets: &[u8]) {
        assert!((REPLY_LEN_MIN..=REPLY_LEN_MAX).contains(&octets.len()), "{} octets", octets.len());
        assert_eq!(octets[0], 2);
        let address = Ipv4Addr::new(octets[16], octets[17], octets[18], octets[19]);
        if !address.is_unspecified() {
            self.offered = Some(address);
        }
        let wall = self.now().wall;
        self.beliefs.replied(octets, wall);
    }

    /// What holds of a server at any time, by what it shows.
    pub(crate) fn check(&self) {
        let now = self.now();
        let table = self.server.table();
        assert_eq!(table.counts().total() as usize, table.len());
        let report = self.server.report(now);
        for pool in &report.pools {
            let size = u32::from(pool.last) - u32::from(pool.first) + 1;
            assert_eq!(table.range_counts(pool.first, pool.last).total(), size, "{pool:?}");
            assert_eq!(
                pool.free + pool.backup + pool.active + pool.parked + pool.abandoned,
                size,
                "{pool:?}"
            );
        }
        let json = serde_json::to_string(&report).expect("a report is plain JSON");
        let again: ServerReport = serde_json::from_str(&json).expect("an operator reads it");
        assert_eq!(again, report);
        let mut lines = self.server.leases();
        assert!(lines.by_ref().map(|line| line.address).is_sorted());
        assert!(!self.has_failed || !self.server.serving());
        if !self.has_failed {
            assert_eq!(self.server.store_stamp().lsn, self.store.stamp.lsn);
        }
    }
}

fn boot(role: Role, manifest: PairManifest, config: PairConfig) -> Boot {
    let token = BootstrapToken { volume_uid: VOLUME.to_owned(), ..BootstrapToken::default() };
    Boot {
        role,
        manifest,
        config,
        address: if role == Role::Primary { SERVER } else { OTHER },
        version: "test".to_owned(),
        volume_uid: Some(VOLUME.to_owned()),
        token: Some(token),
        fence: None,
        store_lost: false,
        loaded: StoreStamp::default(),
    }
}

/// A clock may be wrong by decades, in seconds.
const CLOCK_MAX: i64 = 1 << 31;
