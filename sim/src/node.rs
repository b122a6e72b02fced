//! One server with its disk, as the process around it drives it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use api::identity::{Lsn, Role, State};
use api::status::BootstrapToken;
use api::time::{Mono, Now, UnixTime};
use failover::wire::{Dialect, FrameReader};
use leases::lease::Lease;
use leases::log::testing::{Generator, SimDisk};
use leases::log::{Batch, Entry, Log, OpenError, Options, StoreId};
use server::{Boot, ConnId, Server};

use crate::plan::Plan;

/// Wall clock at the start of every world.
pub(crate) const BASE: u64 = 1_800_000_000;

/// A machine with one server on it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) index: usize,
    pub(crate) role: Role,
    pub(crate) address: Ipv4Addr,
    /// How far its clock is ahead, in milliseconds.
    pub(crate) skew: i64,
    /// Absent while the process is not running.
    pub(crate) server: Option<Server>,
    log: Option<Log<SimDisk>>,
    /// The disk of a stopped process.
    disk: SimDisk,
    volume: u32,
    /// Batches appended, their sync under way.
    pub(crate) committing: bool,
    /// Batches that wait for the present sync.
    pub(crate) waiting: Vec<Batch>,
    appended: Vec<Batch>,
    /// The disk commits nothing before this time.
    pub(crate) stalled_until: u64,
    /// Counts process starts, so that what was meant for an earlier one is dropped.
    pub(crate) life: u64,
    /// The next tick that is scheduled.
    pub(crate) tick_at: Option<u64>,
    /// What is on the disk, by address: for the checkers.
    pub(crate) durable: BTreeMap<Ipv4Addr, Lease>,
    /// Cuts this node's outgoing octets into messages, for the checkers.
    pub(crate) readers: BTreeMap<ConnId, FrameReader>,
    /// States entered, each with the change that makes it durable.
    pub(crate) entered: Vec<(Lsn, State)>,
    /// It lost its volume and has not fetched everything since: its disk says nothing, and it is silent.
    pub(crate) amnesic: bool,
    /// The pair's data are on its present volume.
    pub(crate) synced: bool,
}

/// Small segments, so that rotation and removal happen in every run.
const OPTIONS: Options = Options { segment_bytes: 16 << 10, reserve_bytes: 0 };

impl Node {
    pub(crate) fn new(index: usize, plan: &Plan) -> Self {
        let role = if index == 0 { Role::Primary } else { Role::Secondary };
        Self {
            index,
            role,
            address: Ipv4Addr::new(10, 0, 0, index as u8 + 1),
            skew: if index == 1 { plan.skew } else { 0 },
            server: None,
            log: None,
            disk: SimDisk::new(),
            volume: 0,
            committing: false,
            waiting: Vec::new(),
            appended: Vec::new(),
            stalled_until: 0,
            life: 0,
            tick_at: None,
            durable: BTreeMap::new(),
            readers: BTreeMap::new(),
            entered: Vec::new(),
            amnesic: false,
            synced: false,
        }
    }

    /// Both clocks of this machine.
    pub(crate) fn now(&self, time: u64) -> Now {
        let wall = i64::try_from(time).unwrap_or(0) + self.skew;
        Now {
            wall: UnixTime::new(BASE + u64::try_from(wall.max(0)).unwrap_or(0) / 1000),
            mono: Mono(time + 1_000_000 * (self.index as u64 + 1)),
        }
    }

    /// Starts the process from the disk. `bootstrap` is the word that the volume is new.
    pub(crate) fn start(&mut self, time: u64, plan: &Plan, bootstrap: bool) -> Result<(), String> {
        self.life += 1;
        let disk = std::mem::take(&mut self.disk);
        let (log, opened) = match Log::open(disk.clone(), OPTIONS) {
            Ok((log, opened)) => (log, Some(opened)),
            Err(OpenError::Empty) => {
                let id = StoreId([self.index as u8 + 1; 16]);
                (Log::create(disk, id, OPTIONS).map_err(|error| error.to_string())?, None)
            }
            Err(error) => return Err(format!("the log does not open: {error}")),
        };
        let entries = opened.as_ref().map(|opened| opened.entries.clone()).unwrap_or_default();
        self.durable.clear();
        self.note_durable(&entries)?;
        let volume_uid = format!("volume-{}-{}", self.index, self.volume);
        let (manifest, config) = plan.pair();
        let boot = Boot {
            role: self.role,
            manifest,
            config,
            address: self.address,
            version: "sim".to_owned(),
            volume_uid: Some(volume_uid.clone()),
            token: bootstrap.then(|| BootstrapToken { volume_uid, ..token() }),
            loaded: opened.map(|opened| opened.loaded).unwrap_or_default(),
        };
        let server = Server::start(boot, &entries, self.now(time)).map_err(|error| error.to_string())?;
        self.server = Some(server);
        self.log = Some(log);
        self.waiting.clear();
        self.appended.clear();
        self.committing = false;
        self.tick_at = None;
        self.readers.clear();
        self.entered.clear();
        Ok(())
    }

    /// The process ends; `power` takes the unsynced octets with it.
    pub(crate) fn stop(&mut self, power: Option<&mut Generator>) {
        self.server = None;
        if let Some(log) = self.log.take() {
            self.disk = log.into_disk();
            if let Some(generator) = power {
                self.disk.power_cut(generator);
            }
        }
        self.life += 1;
    }

    /// The volume is gone; a new, empty one takes its place.
    pub(crate) fn lose_volume(&mut self) {
        self.disk = SimDisk::new();
        self.durable.clear();
        self.volume += 1;
        self.amnesic = true;
        self.synced = false;
    }

    /// Writes what waits; the sync follows in [`Node::sync`].
    pub(crate) fn append(&mut self) -> Result<(), String> {
        let Some(log) = &mut self.log else { return Ok(()) };
        for batch in std::mem::take(&mut self.waiting) {
            log.append(&batch).map_err(|error| error.to_string())?;
            self.appended.push(batch);
        }
        self.committing = true;
        Ok(())
    }

    /// Makes durable what was appended.
    pub(crate) fn sync(&mut self) -> Result<Lsn, String> {
        self.committing = false;
        let Some(log) = &mut self.log else { return Ok(Lsn::ZERO) };
        let upto = log.sync().map_err(|error| error.to_string())?;
        for batch in std::mem::take(&mut self.appended) {
            self.note_durable(&batch.entries)?;
        }
        Ok(upto)
    }

    /// The dialect in which this node speaks on a connection: both are ours.
    pub(crate) fn dialect() -> Dialect {
        Dialect::Own
    }

    fn note_durable(&mut self, entries: &[Entry]) -> Result<(), String> {
        for entry in entries.iter().filter(|entry| entry.kind == Entry::LEASE) {
            let lease = Lease::decode(&entry.body).map_err(|error| error.to_string())?;
            self.durable.insert(lease.address, lease);
        }
        Ok(())
    }
}

fn token() -> BootstrapToken {
    serde_json::from_value(serde_json::json!({ "volumeUid": "", "issuedAt": "2027-01-15T08:00:00Z" }))
        .expect("the token parses")
}
