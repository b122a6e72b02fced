//! The directory given by `--data`: `lock`, `volume-id`, the log in `log/`, and `store-begun`, which tells that there was
//! one.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use leases::log::{Entry, Log, OpenError, Opened, Options, StoreId};
use rustix::fs::{FlockOperation, flock};

use super::FileDisk;

const LOG: &str = "log";
const LOCK: &str = "lock";
const VOLUME_ID: &str = "volume-id";
const BEGUN: &str = "store-begun";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("{} is in use by another process (a running server answers `dhcp-pod ctl`)", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("{step} {}: {source}", path.display())]
    Io {
        /// What was being done.
        step: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The log is damaged where it was durable.
    #[error(
        "the lease store is damaged: {}/{file} at octet {offset}: {what}. Nothing was changed. Keep a copy \
         of {} for inspection; then either restore the directory from a good copy, or empty it: the server then \
         counts as one that lost its leases and fetches them from its partner before it serves",
        path.display(), path.display()
    )]
    Corrupt {
        /// Directory of the log.
        path: PathBuf,
        /// The segment.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The log cannot be opened for another reason.
    #[error("opening the log in {}: {source}{}", path.display(), cause(source))]
    Open {
        /// Directory of the log.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
}

/// The log's own error names its step; the disk's words below it say why.
fn cause(error: &OpenError) -> String {
    std::error::Error::source(error).map_or_else(String::new, |source| format!(": {source}"))
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "locked",
            Self::Io { .. } => "io",
            Self::Corrupt { .. } => "corrupt",
            Self::Open { .. } => "open",
        }
    }
}

/// A data directory that no other process has.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held until the value is dropped, and released by the kernel if the process dies.
    _lock: File,
}

impl DataDir {
    /// Takes a directory, which is made if it is absent.
    pub fn create(path: &Path) -> Result<Self, Error> {
        if !path.is_dir() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|source| io_error("making", path, source))?;
        }
        Self::take(path)
    }

    /// Takes a directory that exists.
    pub fn take(path: &Path) -> Result<Self, Error> {
        let file = path.join(LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&file)
            .map_err(|source| io_error("opening", &file, source))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                sync_names(path).map_err(|source| io_error("syncing", path, source))?;
                Ok(Self { path: path.to_owned(), _lock: lock })
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Locked { path: path.to_owned() }),
            Err(error) => Err(io_error("locking", &file, error.into())),
        }
    }

    /// Content of `volume-id`, if there is one.
    pub fn volume_id(&self) -> Result<Option<String>, Error> {
        let path = self.path.join(VOLUME_ID);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(io_error("reading", &path, source)),
        }
    }

    /// Writes `volume-id`, durably.
    pub fn set_volume_id(&self, id: &str) -> Result<(), Error> {
        let path = self.path.join(VOLUME_ID);
        write_durably(&path, format!("{id}\n").as_bytes(), 0o644)
            .map_err(|source| io_error("writing", &path, source))
    }

    /// Whether a log was ever begun here.
    #[must_use]
    pub fn has_log(&self) -> bool {
        std::fs::read_dir(self.path.join(LOG)).is_ok_and(|mut files| files.next().is_some())
    }

    /// Whether a log was begun here that is gone: whoever removed it did not make a new pair
    /// (`spec/failover-protocol.md` §12.2, BT-3).
    #[must_use]
    pub fn lost_its_log(&self) -> bool {
        self.path.join(BEGUN).exists() && !self.has_log()
    }

    /// Opens the log, or begins one.
    pub fn open_log(&self) -> Result<(Log<FileDisk>, Opened), Error> {
        self.open_log_with(Options::default())
    }

    /// The same, with other sizes.
    pub fn open_log_with(&self, options: Options) -> Result<(Log<FileDisk>, Opened), Error> {
        let opened = self.open_or_begin(options)?;
        let begun = self.path.join(BEGUN);
        if !begun.exists() {
            // After the log: a process that dies in between has begun nothing. A full volume is no reason to serve nobody.
            if let Err(error) = write_durably(&begun, b"", 0o644) {
                tracing::warn!("writing {}: {error}; at the next start it is tried again", begun.display());
            }
        }
        Ok(opened)
    }

    fn open_or_begin(&self, options: Options) -> Result<(Log<FileDisk>, Opened), Error> {
        let (path, disk) = self.disk()?;
        match Log::open(disk, options) {
            Err(OpenError::Empty) => {
                let (_, disk) = self.disk()?;
                let id = StoreId(random().map_err(|source| io_error("reading", Path::new(RANDOM), source))?);
                let log = Log::create(disk, id, options).map_err(|source| open_error(&path, source))?;
                let opened = Opened {
                    store_id: id,
                    loaded: Default::default(),
                    entries: Vec::new(),
                    torn: None,
                    bytes: log.statistics().bytes,
                };
                Ok((log, opened))
            }
            other => other.map_err(|source| open_error(&path, source)),
        }
    }

    /// Reads the log without changing it. No entries if there is none.
    pub fn inspect_log(&self) -> Result<Vec<Entry>, Error> {
        let path = self.path.join(LOG);
        if !path.is_dir() {
            return Ok(Vec::new());
        }
        let disk = FileDisk::open(&path).map_err(|error| open_error(&path, OpenError::Disk(error)))?;
        let mut entries = Vec::new();
        match Log::inspect(disk, |kind, body| entries.push(Entry { kind, body: body.to_vec() })) {
            Ok(_) => Ok(entries),
            Err(OpenError::Empty) => Ok(Vec::new()),
            Err(source) => Err(open_error(&path, source)),
        }
    }

    fn disk(&self) -> Result<(PathBuf, FileDisk), Error> {
        let path = self.path.join(LOG);
        if !path.is_dir() {
            DirBuilder::new()
                .mode(0o700)
                .create(&path)
                .map_err(|source| io_error("making", &path, source))?;
            File::open(&self.path)
                .and_then(|directory| directory.sync_all())
                .map_err(|source| io_error("syncing", &self.path, source))?;
        }
        let disk = FileDisk::open(&path).map_err(|error| open_error(&path, OpenError::Disk(error)))?;
        Ok((path, disk))
    }
}

/// A random identifier in the form of a UUID.
pub fn random_id() -> io::Result<String> {
    let mut id: [u8; 16] = random()?;
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    let hex: String = id.iter().map(|octet| format!("{octet:02x}")).collect();
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

/// Writes a file so that after a crash either nothing or all of it is there.
pub fn write_durably(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    let directory =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(directory)?.sync_all()
}

/// Syncs a directory and those above it on the same volume. What a process made that was killed before its sync is
/// found by the next one, and counts from then on.
fn sync_names(path: &Path) -> io::Result<()> {
    let path = path.canonicalize()?;
    let volume = path.metadata()?.dev();
    for directory in path.ancestors() {
        if directory.metadata()?.dev() != volume {
            break;
        }
        match File::open(directory).and_then(|opened| opened.sync_all()) {
            // Nothing of ours is made where we may not even look.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && directory != path => break,
            other => other?,
        }
    }
    Ok(())
}

fn random() -> io::Result<[u8; 16]> {
    let mut octets = [0; 16];
    File::open(RANDOM)?.read_exact(&mut octets)?;
    Ok(octets)
}

fn io_error(step: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io { step, path: path.to_owned(), source }
}

fn open_error(path: &Path, source: OpenError) -> Error {
    let path = path.to_owned();
    match source {
        OpenError::Corrupt { file, offset, what } => {
            Error::Corrupt { path, file, offset, what: what.to_string() }
        }
        source => Error::Open { path, source },
    }
}

const RANDOM: &str = "/dev/urandom";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_holds_a_directory_at_a_time() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let held = DataDir::create(directory.path()).expect("free");
        assert_eq!(DataDir::create(directory.path()).err().map(|error| error.class()), Some("locked"));
        drop(held);
        DataDir::take(directory.path()).expect("free again");
    }

    #[test]
    fn a_volume_id_is_kept_and_is_no_store() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let data = DataDir::create(&directory.path().join("new/data")).expect("made");
        assert_eq!(data.volume_id().expect("readable"), None);
        let id = random_id().expect("random");
        data.set_volume_id(&id).expect("written");
        assert_eq!(data.volume_id().expect("readable"), Some(id));
        assert!(!data.has_log());
    }

    #[test]
    fn a_begun_store_opens_with_the_same_identity() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let data = DataDir::create(directory.path()).expect("free");
        assert_eq!(data.inspect_log().expect("nothing there"), []);
        let (log, first) = data.open_log().expect("begun");
        drop(log);
        let (_, second) = data.open_log().expect("opened");
        assert_eq!(first.store_id, second.store_id);
        assert!(data.has_log() && !data.lost_its_log());
    }

    #[test]
    fn bt_3_a_log_that_is_gone_is_told_from_one_that_never_was() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let data = DataDir::create(directory.path()).expect("free");
        assert!(!data.lost_its_log(), "nothing was begun");
        drop(data.open_log().expect("begun"));
        std::fs::remove_dir_all(directory.path().join("log")).expect("removed");
        assert!(data.lost_its_log());
        drop(data.open_log().expect("begun again"));
        assert!(!data.lost_its_log());
    }

    #[test]
    fn a_corrupt_store_names_file_and_offset_and_what_to_do() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let data = DataDir::create(directory.path()).expect("free");
        let (mut log, _) = data.open_log().expect("begun");
        for number in 1..=3_u64 {
            let lsn = api::identity::Lsn(number);
            let entries = vec![Entry { kind: 200, body: vec![7; 100] }];
            log.append(&leases::log::Batch {
                epoch: 1,
                first: lsn,
                last: lsn,
                entries,
                floor: api::identity::Lsn::ZERO,
            })
            .expect("append");
            log.sync().expect("sync");
        }
        log.close().expect("close");
        let segment = std::fs::read_dir(directory.path().join("log"))
            .expect("list")
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| !path.ends_with("reserve"))
            .expect("a segment");
        let mut bytes = std::fs::read(&segment).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&segment, bytes).expect("write");

        let error = data.open_log().expect_err("corrupt");
        assert_eq!(error.class(), "corrupt");
        let name = segment.file_name().and_then(|name| name.to_str()).expect("name");
        let message = error.to_string();
        assert!(
            message.contains(name) && message.contains("at octet") && message.contains("restore"),
            "{message}"
        );
    }
}
