//! A data directory on a volume, what was promised about it, and the processes that live on it one after
//! the other.

use std::fmt;
use std::path::PathBuf;

use dhcp_pod::store::{DataDir, FileDisk, data_dir};
use leases::log::testing::{Generator, Ledger};
use leases::log::{Log, OpenError, Options, StoreError, StoreId};
use powercut::{Cut, Faults, Mount, Volume};

/// Small enough for many segments, and large enough for batches over several pages.
const OPTIONS: Options = Options { segment_bytes: 12_000, reserve_bytes: 9_000 };

/// Everything of one history.
pub(crate) struct World {
    /// Named when a promise is broken.
    label: String,
    generator: Generator,
    folder: tempfile::TempDir,
    /// Gone only while power is.
    mount: Option<Mount>,
    promised: Promised,
    pub(crate) tally: Tally,
}

/// What a process was told that later ones must find.
#[derive(Default)]
struct Promised {
    ledger: Ledger,
    store_id: Option<StoreId>,
    /// The data directory says that it held a store.
    begun: bool,
    volume_id: Option<String>,
}

/// Why a life ended early.
enum End {
    /// The disk failed.
    Failed(String),
    /// A promise was broken.
    Broken(String),
}

/// What a test has met.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    histories: u64,
    lives: u64,
    cuts: u64,
    cuts_while_opening: u64,
    faults: u64,
    syncs: u64,
    torn: u64,
    removed_segments: u64,
}

impl World {
    pub(crate) fn new(label: &str, seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("temporary directory");
        let mount = Mount::new(Volume::default(), folder.path()).unwrap_or_else(|error| panic!("{error}"));
        Self {
            label: label.to_owned(),
            generator: Generator::new(seed),
            folder,
            mount: Some(mount),
            promised: Promised::default(),
            tally: Tally { histories: 1, ..Tally::default() },
        }
    }

    pub(crate) fn plan(&self, faults: Faults) {
        self.mount().volume().plan(faults);
    }

    /// Plans one fault, or none.
    pub(crate) fn plan_any(&mut self) {
        let soon = [12, 60, 300][self.generator.below(3) as usize];
        let (operations, used) = {
            let volume = self.mount().volume();
            (volume.operations(), volume.used_bytes())
        };
        let at = Some(operations + 1 + self.generator.below(soon));
        let faults = match self.generator.below(10) {
            0..6 => Faults { cut_at: at, ..Faults::default() },
            6 => Faults { fail_sync_from: at, ..Faults::default() },
            7 => {
                let room = self.generator.below(2 * OPTIONS.segment_bytes);
                Faults { capacity_bytes: Some(used + room), ..Faults::default() }
            }
            _ => Faults::default(),
        };
        self.plan(faults);
    }

    /// One process: opens the store, checks it and works with it until it ends or a planned fault comes.
    ///
    /// # Panics
    ///
    /// If a promise is broken.
    pub(crate) fn live(&mut self) {
        if let Err(what) = self.is_kept() {
            panic!("{}, life {}: {what}", self.label, self.tally.lives);
        }
    }

    /// The same; how a promise is broken is an error.
    pub(crate) fn is_kept(&mut self) -> Result<(), String> {
        self.tally.lives += 1;
        let ended = self.try_live();
        let faulted = self.mount().volume().is_faulted();
        self.tally.faults += u64::from(faulted);
        match ended {
            Err(End::Broken(what)) => Err(what),
            Err(End::Failed(how)) if !faulted => Err(format!("failed without a fault: {how}")),
            Err(End::Failed(_)) | Ok(()) => Ok(()),
        }
    }

    /// Two lives without a fault, with a power cut between them: the store goes on working.
    pub(crate) fn live_on(&mut self) {
        for _ in 0..2 {
            self.plan(Faults::default());
            self.live();
            self.cut_power(None);
        }
        self.live();
    }

    /// Power goes, or the process did and the kernel lives on.
    pub(crate) fn end_anyhow(&mut self) {
        if self.generator.coin() {
            self.cut_power(None);
        } else {
            self.restart_process();
        }
    }

    /// The process is gone, at its planned power cut perhaps, and the kernel is not.
    pub(crate) fn restart_process(&self) {
        self.mount().volume().restart_process();
    }

    pub(crate) fn is_dark(&self) -> bool {
        self.mount().volume().is_dark()
    }

    /// Power goes now, if it has not, and comes back. Each file and directory has this fate, or any.
    pub(crate) fn cut_power(&mut self, fate: Option<Cut>) {
        self.tally.cuts += 1;
        let mount = self.mount.take().expect("mounted while power is there");
        let mut volume = mount.unmount().expect("nothing is open");
        match fate {
            Some(fate) => volume.power_cut_with(&mut self.generator, |_| fate),
            None => volume.power_cut(&mut self.generator),
        }
        self.mount = Some(Mount::new(volume, self.folder.path()).expect("mounted before"));
    }

    fn mount(&self) -> &Mount {
        self.mount.as_ref().expect("mounted while power is there")
    }

    /// A folder that the process makes itself, as it does on a host.
    fn data(&self) -> PathBuf {
        self.folder.path().join("lib/data")
    }

    fn try_live(&mut self) -> Result<(), End> {
        let data = DataDir::create(&self.data()).map_err(failed)?;
        self.check_directory(&data)?;
        let opening = data.open_log_with(OPTIONS);
        self.tally.cuts_while_opening += u64::from(self.is_dark());
        let (mut log, opened) = opening.map_err(failed)?;
        self.tally.torn += u64::from(opened.torn.is_some());
        if self.promised.store_id.is_some_and(|known| known != opened.store_id) {
            return Err(End::Broken("another store is there".to_owned()));
        }
        self.promised.store_id = Some(opened.store_id);
        self.promised.ledger.reopened(&opened).map_err(End::Broken)?;
        // Where it could not be written, the process has warned and goes on.
        let faulted = self.mount().volume().is_faulted();
        self.promised.begun |= !faulted;
        self.work(&mut log)?;
        if self.generator.coin() {
            let last = log.last();
            log.close().map_err(|error| End::Failed(words(&error)))?;
            self.promised.ledger.synced(last, last).map_err(End::Broken)?;
        }
        Ok(())
    }

    /// What lies beside the log.
    fn check_directory(&mut self, data: &DataDir) -> Result<(), End> {
        if self.is_dark() {
            return Err(End::Failed("no power".to_owned()));
        }
        if data.lost_its_log() {
            return Err(End::Broken("a log that was begun is gone".to_owned()));
        }
        if self.promised.begun && !self.data().join("store-begun").exists() {
            return Err(End::Broken("nothing tells that a store was begun".to_owned()));
        }
        let found = data.volume_id().map_err(failed)?;
        match (&self.promised.volume_id, found) {
            (Some(known), found) if found.as_ref() != Some(known) => {
                return Err(End::Broken(format!("volume {found:?} where {known} was")));
            }
            (_, Some(found)) if found != VOLUME_ID => {
                return Err(End::Broken(format!("half a volume id: {found}")));
            }
            (_, Some(_)) => {}
            (_, None) => data.set_volume_id(VOLUME_ID).map_err(failed)?,
        }
        self.promised.volume_id = Some(VOLUME_ID.to_owned());
        Ok(())
    }

    fn work(&mut self, log: &mut Log<FileDisk>) -> Result<(), End> {
        for _ in 0..self.generator.below(60) {
            if self.generator.below(3) > 0 {
                let limit = [10, 400, 3000][self.generator.below(3) as usize];
                let (keys, bytes) =
                    (self.generator.below(5) as usize, 1 + self.generator.below(limit) as usize);
                let batch = self.promised.ledger.next_batch(keys, bytes, &mut self.generator);
                log.append(&batch).map_err(|error| End::Failed(words(&error)))?;
                continue;
            }
            let segments = log.statistics().segments;
            let synced = log.sync().map_err(|error| End::Failed(words(&error)))?;
            self.promised.ledger.synced(synced, log.last()).map_err(End::Broken)?;
            self.tally.syncs += 1;
            self.tally.removed_segments += segments.saturating_sub(log.statistics().segments) as u64;
        }
        Ok(())
    }
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.histories += other.histories;
        self.lives += other.lives;
        self.cuts += other.cuts;
        self.cuts_while_opening += other.cuts_while_opening;
        self.faults += other.faults;
        self.syncs += other.syncs;
        self.torn += other.torn;
        self.removed_segments += other.removed_segments;
    }

    /// Everything was met, and not once only.
    pub(crate) fn assert_varied(&self) {
        let least =
            [self.cuts, self.cuts_while_opening, self.faults, self.syncs, self.torn, self.removed_segments]
                .into_iter()
                .min();
        assert!(least >= Some(self.histories / 4), "{self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { histories, lives, cuts, cuts_while_opening, faults, syncs, torn, removed_segments } = self;
        write!(
            f,
            "{histories} histories: {lives} lives, {cuts} power cuts ({cuts_while_opening} while a store was opened), \
             {faults} lives with a fault, {syncs} syncs acknowledged, {torn} torn tails, {removed_segments} \
             segments removed"
        )
    }
}

fn failed(error: data_dir::Error) -> End {
    match error {
        data_dir::Error::Io { .. } | data_dir::Error::Open { source: OpenError::Disk(_), .. } => {
            End::Failed(error.to_string())
        }
        data_dir::Error::Corrupt { .. } | data_dir::Error::Locked { .. } | data_dir::Error::Open { .. } => {
            End::Broken(error.to_string())
        }
    }
}

fn words(error: &StoreError) -> String {
    format!("{error}: {:?}", std::error::Error::source(error).map(ToString::to_string))
}

const VOLUME_ID: &str = "6b0e8d52-8a53-4c0e-9a52-3f0f6f7d2c11";
