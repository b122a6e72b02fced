//! One server with its disk, as the process around it drives it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use api::config::PairConfig;
use api::force::Fence;
use api::identity::{Lsn, Role, State, StateStamp, StoreStamp};
use api::pair::PairManifest;
use api::status::BootstrapToken;
use api::time::{Mono, Now, UnixTime};
use failover::times::MaxLead;
use failover::wire::{Dialect, FrameReader};
use leases::lease::{Lease, Status};
use leases::log::testing::{Generator, SimDisk};
use leases::log::{Batch, Entry, Log, OpenError, Options, StoreId};
use serde::de::DeserializeOwned;
use server::{Boot, ConnId, Server};

use crate::isc::{Config, Dhcpd};
use crate::plan::Plan;

/// Wall clock at the start of every world.
pub(crate) const BASE: u64 = 1_800_000_000;

/// A machine with one server on it.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) index: usize,
    pub(crate) role: Role,
    pub(crate) address: Ipv4Addr,
    /// Which version of the configuration it has.
    pub(crate) version: u64,
    /// How far its clock is ahead, in milliseconds.
    pub(crate) skew: i64,
    /// How much faster its clock runs, in millionths.
    pub(crate) drift: u64,
    /// A dhcpd takes the place of our server.
    pub(crate) dhcpd: Option<Dhcpd>,
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
    pub(crate) appended: Vec<Batch>,
    /// The disk commits nothing before this time.
    pub(crate) stalled_until: u64,
    /// The process stands still until this time.
    pub(crate) frozen_until: u64,
    /// A write or sync is meant to fail, or the disk is meant to be full.
    pub(crate) failing: bool,
    pub(crate) full: bool,
    /// A bit flipped in what was durable.
    pub(crate) rotten: bool,
    /// The last change that a sync reported as durable.
    synced_lsn: Lsn,
    /// What became smaller on the disk and must not.
    pub(crate) fallen: Option<String>,
    /// The highest state change of the present volume.
    stamp: StateStamp,
    /// Counts process starts, so that what was meant for an earlier one is dropped.
    pub(crate) life: u64,
    /// The next tick that is scheduled.
    pub(crate) tick_at: Option<u64>,
    /// What is on the disk, by address: for the checkers.
    pub(crate) durable: BTreeMap<Ipv4Addr, Lease>,
    /// The MCLT on the disk; `None` before the first start.
    pub(crate) lead: Option<MaxLead>,
    /// The latest that its process saw of its clock, and when that was set last.
    pub(crate) seen: UnixTime,
    pub(crate) clock_set_at: u64,
    /// Until when it may answer, as its disk says.
    pub(crate) promise: UnixTime,
    /// Cuts this node's outgoing octets into messages, for the checkers.
    pub(crate) readers: BTreeMap<ConnId, FrameReader>,
    /// States entered, each with the change that makes it durable.
    pub(crate) entered: Vec<(Lsn, State)>,
    /// The last state that is on the disk.
    pub(crate) state_on_disk: State,
    /// Numbers of state changes, likewise.
    pub(crate) stamps: Vec<(Lsn, StateStamp)>,
    /// It lost its volume and has not fetched everything since: its disk says nothing, and it is silent.
    pub(crate) amnesic: bool,
    /// The pair's data are on its present volume.
    pub(crate) synced: bool,
    /// It was in PartnerDown and not in Normal since: its leases are perhaps known to nobody else.
    pub(crate) alone: bool,
    /// An old copy of its volume.
    pub(crate) copy: Option<Copy>,
    /// It runs on an old copy, and nobody told it so far.
    pub(crate) restored: bool,
}

/// A copy of a volume.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    pub(crate) disk: SimDisk,
    /// How far it goes.
    pub(crate) stamp: StoreStamp,
}

/// Small segments, so that rotation and removal happen in every run.
const OPTIONS: Options = Options { segment_bytes: 16 << 10, reserve_bytes: 0 };

impl Node {
    pub(crate) fn new(index: usize, plan: &Plan) -> Self {
        let role = if index == 0 { Role::Primary } else { Role::Secondary };
        let address = Ipv4Addr::new(10, 0, 0, index as u8 + 1);
        let dhcpd =
            (plan.dhcpd == Some(index)).then(|| Dhcpd::new(role, address, Config::beside(&plan.pair(0).1)));
        Self {
            index,
            role,
            address,
            dhcpd,
            version: 0,
            skew: match index {
                0 => (-plan.apart).max(0),
                _ => plan.skew + plan.apart.max(0),
            },
            drift: if index == 1 { plan.drift } else { 0 },
            server: None,
            log: None,
            disk: SimDisk::new(),
            volume: 0,
            committing: false,
            waiting: Vec::new(),
            appended: Vec::new(),
            stalled_until: 0,
            frozen_until: 0,
            failing: false,
            full: false,
            rotten: false,
            synced_lsn: Lsn::ZERO,
            fallen: None,
            stamp: StateStamp::default(),
            life: 0,
            tick_at: None,
            durable: BTreeMap::new(),
            lead: None,
            promise: UnixTime::ZERO,
            seen: UnixTime::ZERO,
            clock_set_at: 0,
            readers: BTreeMap::new(),
            entered: Vec::new(),
            state_on_disk: State::Unknown,
            stamps: Vec::new(),
            amnesic: false,
            synced: false,
            alone: false,
            copy: None,
            restored: false,
        }
    }

    /// Both clocks of this machine.
    pub(crate) fn now(&self, time: u64) -> Now {
        let wall = i64::try_from(time + time * self.drift / 1_000_000).unwrap_or(0) + self.skew;
        Now {
            wall: UnixTime::new(BASE + u64::try_from(wall.max(0)).unwrap_or(0) / 1000),
            mono: Mono(time + 1_000_000 * (self.index as u64 + 1)),
        }
    }

    /// Starts the process from the disk. `token` is the volume that a bootstrap token calls new.
    pub(crate) fn start(
        &mut self,
        time: u64,
        plan: &Plan,
        token: Option<u32>,
        fence: Option<Fence>,
    ) -> Result<(), NoStart> {
        self.life += 1;
        let (log, opened) = match Log::open(self.disk.clone(), OPTIONS) {
            Ok((log, opened)) => (log, Some(opened)),
            Err(OpenError::Empty) => {
                let id = StoreId([self.index as u8 + 1; 16]);
                match Log::create(self.disk.clone(), id, OPTIONS) {
                    Ok(log) => (log, None),
                    Err(OpenError::Disk(error)) if self.full => return Err(NoStart::Disk(error.to_string())),
                    Err(error) => return Err(NoStart::Broken(error.to_string())),
                }
            }
            Err(OpenError::Disk(error)) if self.full => return Err(NoStart::Disk(error.to_string())),
            Err(error @ OpenError::Corrupt { .. }) if self.rotten => {
                return Err(NoStart::Corrupt(error.to_string()));
            }
            Err(error) => return Err(NoStart::Broken(format!("the log does not open: {error}"))),
        };
        let entries = opened.as_ref().map(|opened| opened.entries.clone()).unwrap_or_default();
        let loaded = opened.map(|opened| opened.loaded).unwrap_or_default();
        if loaded.lsn < self.synced_lsn {
            let what = format!("{} was durable, but {} was loaded", self.synced_lsn, loaded.lsn);
            return Err(NoStart::Broken(what));
        }
        let before = std::mem::take(&mut self.durable);
        self.note_durable(&entries).map_err(NoStart::Broken)?;
        self.fallen = None;
        if loaded.lsn == self.synced_lsn && before != self.durable {
            let differs = |address: &&Ipv4Addr| before.get(*address) != self.durable.get(*address);
            let which = before.keys().chain(self.durable.keys()).find(differs);
            let both = which.map(|address| (before.get(address), self.durable.get(address)));
            return Err(NoStart::Broken(format!(
                "the leases loaded are not those that were durable: {both:?}"
            )));
        }
        self.synced_lsn = loaded.lsn;
        self.rotten = false;
        self.boot(time, plan.pair(self.version), token, fence, loaded, &entries)?;
        self.disk = SimDisk::new();
        self.log = Some(log);
        Ok(())
    }

    /// Starts a server with what was loaded.
    pub(crate) fn boot(
        &mut self,
        time: u64,
        (manifest, config): (PairManifest, PairConfig),
        token: Option<u32>,
        fence: Option<Fence>,
        loaded: StoreStamp,
        entries: &[Entry],
    ) -> Result<(), NoStart> {
        let boot = Boot {
            role: self.role,
            manifest,
            config,
            address: self.address,
            version: "sim".to_owned(),
            volume_uid: Some(self.volume_uid(self.volume)),
            fence,
            store_lost: false,
            token: token
                .map(|volume| BootstrapToken { volume_uid: self.volume_uid(volume), ..bootstrap_token() }),
            loaded,
        };
        let server = Server::start(boot, entries, self.now(time))
            .map_err(|error| NoStart::Broken(error.to_string()))?;
        self.server = Some(server);
        self.seen = UnixTime::ZERO;
        self.waiting.clear();
        self.appended.clear();
        self.committing = false;
        self.tick_at = None;
        self.readers.clear();
        self.entered.clear();
        self.stamps.clear();
        Ok(())
    }

    /// Whether its process is running.
    pub(crate) fn runs(&self) -> bool {
        self.server.is_some() || self.dhcpd.as_ref().is_some_and(Dhcpd::runs)
    }

    /// The process ends; `power` takes the unsynced octets with it.
    pub(crate) fn stop(&mut self, power: Option<&mut Generator>) {
        if let Some(dhcpd) = &mut self.dhcpd {
            dhcpd.stop();
            self.tick_at = None;
        }
        self.server = None;
        self.frozen_until = 0;
        self.failing = false;
        if let Some(log) = self.log.take() {
            self.disk = log.into_disk();
            self.disk.restart_process();
            if let Some(generator) = power {
                self.disk.power_cut(generator);
            }
        }
        self.life += 1;
    }

    /// The volume is gone; a new, empty one takes its place.
    pub(crate) fn lose_volume(&mut self) {
        if let Some(dhcpd) = &mut self.dhcpd {
            dhcpd.lose_file();
        }
        self.disk = SimDisk::new();
        self.copy = None;
        self.restored = false;
        self.durable.clear();
        self.lead = None;
        self.promise = UnixTime::ZERO;
        self.volume += 1;
        self.synced_lsn = Lsn::ZERO;
        self.stamp = StateStamp::default();
        self.rotten = false;
        self.full = false;
        self.amnesic = true;
        self.synced = false;
        self.alone = false;
    }

    /// The number of the present volume; the first is 0.
    pub(crate) fn volume(&self) -> u32 {
        self.volume
    }

    fn volume_uid(&self, volume: u32) -> String {
        format!("volume-{}-{volume}", self.index)
    }

    /// Copies what is on the disk of a running server.
    pub(crate) fn back_up(&mut self) {
        let (Some(log), Some(server)) = (&mut self.log, &self.server) else { return };
        let epoch = server.endpoint().record().stamp.epoch;
        let lsn = self.appended.last().map_or(self.synced_lsn, |batch| batch.last);
        let stamp = StoreStamp { epoch, lsn };
        self.copy = Some(Copy { disk: log.disk_mut().clone(), stamp });
    }

    /// The older copy takes the place of what is on the disk; nobody is told.
    pub(crate) fn restore(&mut self, copy: SimDisk) {
        self.disk = copy;
        self.disk.restart_process();
        self.disk.never_full();
        self.full = false;
        self.rotten = false;
        self.alone = false;
        self.restored = true;
        self.durable.clear();
        self.lead = None;
        self.promise = UnixTime::ZERO;
        self.synced_lsn = Lsn::ZERO;
        self.stamp = StateStamp::default();
        self.amnesic = true;
        self.synced = false;
    }

    /// Whether the volume is the first one, which a bootstrap token names.
    pub(crate) fn has_first_volume(&self) -> bool {
        self.volume == 0
    }

    /// The next write (or else sync) fails.
    pub(crate) fn fail(&mut self, write: bool) {
        let Some(log) = &mut self.log else { return };
        let disk = log.disk_mut();
        if write {
            disk.fail_append_at(disk.appends() + 1);
        } else {
            disk.fail_sync_at(disk.syncs() + 1);
        }
        self.failing = true;
    }

    /// The disk takes only so many more octets; `None` for without limit.
    pub(crate) fn fill(&mut self, bytes: Option<u64>) {
        let disk = self.log.as_mut().map_or(&mut self.disk, Log::disk_mut);
        match bytes {
            Some(bytes) => disk.full_after(bytes),
            None => disk.never_full(),
        }
        self.full = bytes.is_some();
    }

    /// A bit flips in a closed segment of a stopped process; false if there is none.
    pub(crate) fn rot(&mut self, draw: &mut Generator) -> bool {
        let names: Vec<String> = self.disk.names().map(str::to_owned).collect();
        // The newest segment may end in what was never reported as durable.
        let Some(choice) = names.len().checked_sub(1).filter(|closed| *closed > 0) else { return false };
        let name = &names[draw.below(choice as u64) as usize];
        let len = self.disk.content(name).map_or(0, <[u8]>::len) as u64;
        let offset = draw.below(len);
        self.rotten = self.disk.flip_bit(name, offset, draw.below(8) as u8);
        self.rotten
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
        self.note_synced(upto)?;
        Ok(upto)
    }

    /// What was appended is on the disk.
    pub(crate) fn note_synced(&mut self, upto: Lsn) -> Result<(), String> {
        self.synced_lsn = upto;
        for (_, stamp) in self.stamps.extract_if(.., |(lsn, _)| *lsn <= upto) {
            if stamp < self.stamp {
                self.fallen = Some(format!("the {} wrote {stamp:?} after {:?}", self.role, self.stamp));
            }
            self.stamp = stamp;
        }
        for batch in std::mem::take(&mut self.appended) {
            self.note_durable(&batch.entries)?;
        }
        Ok(())
    }

    /// A state is on the disk.
    pub(crate) fn note_state(&mut self, state: State) {
        self.state_on_disk = state;
        match state {
            State::PartnerDown => self.alone = true,
            State::Normal => self.alone = false,
            _ => {}
        }
        if state == State::Recover {
            self.restored = false;
        }
        let whole = matches!(state, State::PartnerDown | State::RecoverDone | State::Normal);
        if whole && !self.restored {
            self.amnesic = false;
            self.synced = true;
        }
    }

    /// The dialect in which servers of ours speak with each other.
    pub(crate) fn dialect() -> Dialect {
        Dialect::Own
    }

    pub(crate) fn note_durable(&mut self, entries: &[Entry]) -> Result<(), String> {
        self.lead = last_document(entries).or(self.lead);
        self.promise = last_document(entries).unwrap_or(self.promise);
        for entry in entries.iter().filter(|entry| entry.kind == Entry::LEASE) {
            let lease = Lease::decode(&entry.body).map_err(|error| error.to_string())?;
            if let Some(before) = self.durable.get(&lease.address).filter(|before| continues(before, &lease))
                && (lease.held_until < before.held_until || lease.sent_potential < before.sent_potential)
            {
                self.fallen = Some(format!("the {} wrote {lease:?} over {before:?}", self.role));
            }
            self.durable.insert(lease.address, lease);
        }
        Ok(())
    }
}

/// The last document that reads as one of this type; no two types read alike.
fn last_document<T: DeserializeOwned>(entries: &[Entry]) -> Option<T> {
    let documents = entries.iter().filter(|entry| entry.kind != Entry::LEASE);
    documents.filter_map(|entry| serde_json::from_slice(entry.body.get(1..)?).ok()).next_back()
}

/// Whether both are one lease of one client: nothing that a wait counts with may fall meanwhile.
fn continues(before: &Lease, after: &Lease) -> bool {
    let client = |lease: &Lease| lease.client.as_ref().map(leases::lease::Client::key);
    (before.status, after.status) == (Status::Active, Status::Active)
        && before.starts == after.starts
        && client(before) == client(after)
}

/// Why a process does not start.
#[derive(Debug)]
pub(crate) enum NoStart {
    /// What rotted was found.
    Corrupt(String),
    /// The disk is full.
    Disk(String),
    /// It should have started.
    Broken(String),
}

fn bootstrap_token() -> BootstrapToken {
    serde_json::from_value(serde_json::json!({ "volumeUid": "", "issuedAt": "2027-01-15T08:00:00Z" }))
        .expect("the token parses")
}
