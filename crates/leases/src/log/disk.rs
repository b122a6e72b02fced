//! The disk as the log sees it: a flat directory of files that grow at their end.

use std::fmt;

/// A directory of files. The log never writes into the middle of a file.
///
/// An implementation must hold to this, as a crash test cannot tell it from outside:
///
/// - `Ok` from [`sync`](Self::sync) means that the content and length of the file are on stable storage,
///   from [`sync_directory`](Self::sync_directory) that every creation and removal so far is. Neither
///   stands for the other.
/// - A call that fails may have taken effect in part.
/// - After a failed sync, of this process or of one before it, [`read`](Self::read) must answer what the
///   device holds. A page cache may call pages clean that never reached the device, so it must be
///   dropped before a file is read (`POSIX_FADV_DONTNEED` after a sync).
pub trait Disk {
    /// Names of all files of the directory, in any order.
    fn list(&mut self) -> Result<Vec<String>, DiskError>;

    /// The whole content of a file.
    fn read(&mut self, file: &str) -> Result<Vec<u8>, DiskError>;

    /// Writes `bytes` at the end of a file, which is created if it is absent.
    fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError>;

    /// Shortens a file to `len` octets.
    fn truncate(&mut self, file: &str, len: u64) -> Result<(), DiskError>;

    /// Waits until the content of a file is on stable storage.
    fn sync(&mut self, file: &str) -> Result<(), DiskError>;

    /// Waits until the names of the directory are on stable storage.
    fn sync_directory(&mut self) -> Result<(), DiskError>;

    /// Removes a file.
    fn remove(&mut self, file: &str) -> Result<(), DiskError>;
}

impl<D: Disk + ?Sized> Disk for &mut D {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        (**self).list()
    }

    fn read(&mut self, file: &str) -> Result<Vec<u8>, DiskError> {
        (**self).read(file)
    }

    fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        (**self).append(file, bytes)
    }

    fn truncate(&mut self, file: &str, len: u64) -> Result<(), DiskError> {
        (**self).truncate(file, len)
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        (**self).sync(file)
    }

    fn sync_directory(&mut self) -> Result<(), DiskError> {
        (**self).sync_directory()
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        (**self).remove(file)
    }
}

/// What a disk could not do.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{operation} of {file:?}: {kind}: {message}")]
pub struct DiskError {
    /// Name of the call, as in [`Disk`].
    pub operation: &'static str,
    /// Name of the file; empty for the directory.
    pub file: String,
    /// What the log tells apart.
    pub kind: DiskErrorKind,
    /// The system's own words.
    pub message: String,
}

impl DiskError {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        self.kind.as_str()
    }
}

/// Kinds of errors that the log tells apart.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum DiskErrorKind {
    /// No room left, or a quota is used up.
    Full,
    /// The file does not exist.
    NotFound,
    /// Anything else.
    Other,
}

impl DiskErrorKind {
    /// Stable label for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "disk_full",
            Self::NotFound => "not_found",
            Self::Other => "disk",
        }
    }
}

impl fmt::Display for DiskErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "no room left",
            Self::NotFound => "no such file",
            Self::Other => "failed",
        })
    }
}
