//! The log's [`Disk`] over real files.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use leases::log::{Disk, DiskError, DiskErrorKind};
use rustix::fs::{Advice, fadvise};

/// Files that stay open for appending. The log writes to one at a time, and to its reserve.
const OPEN_MAX: usize = 4;

/// A directory of files.
#[derive(Debug)]
pub struct FileDisk {
    directory: PathBuf,
    handle: File,
    /// Open for appending. A file is synced through the handle that wrote it, as the kernel tells a
    /// failed write-back once per handle.
    open: BTreeMap<String, File>,
}

impl FileDisk {
    /// Opens a directory, which must exist.
    pub fn open(directory: &Path) -> Result<Self, DiskError> {
        let handle = File::open(directory).map_err(|error| failed("open", "", &error))?;
        Ok(Self { directory: directory.to_owned(), handle, open: BTreeMap::new() })
    }

    fn path(&self, operation: &'static str, file: &str) -> Result<PathBuf, DiskError> {
        if file.is_empty() || file.starts_with('.') || file.contains(['/', '\0']) {
            let error = io::Error::new(ErrorKind::InvalidInput, "not a name in a flat directory");
            return Err(failed(operation, file, &error));
        }
        Ok(self.directory.join(file))
    }

    fn writer(&mut self, operation: &'static str, file: &str, create: bool) -> Result<&mut File, DiskError> {
        if !self.open.contains_key(file) {
            let path = self.path(operation, file)?;
            let opened = OpenOptions::new()
                .append(true)
                .create(create)
                .mode(0o600)
                .open(path)
                .map_err(|error| failed(operation, file, &error))?;
            if self.open.len() >= OPEN_MAX {
                self.open.clear();
            }
            self.open.insert(file.to_owned(), opened);
        }
        self.open.get_mut(file).ok_or_else(|| failed(operation, file, &ErrorKind::NotFound.into()))
    }
}

impl Disk for FileDisk {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        let wrap = |error: io::Error| failed("list", "", &error);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory).map_err(wrap)? {
            let entry = entry.map_err(wrap)?;
            if entry.file_type().map_err(wrap)?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn read(&mut self, file: &str) -> Result<Vec<u8>, DiskError> {
        let wrap = |error: io::Error| failed("read", file, &error);
        let mut opened = File::open(self.path("read", file)?).map_err(wrap)?;
        // What the page cache calls clean may never have reached the device, if a write-back of an
        // earlier process failed. Only clean pages can be dropped, hence the sync.
        match opened.sync_data() {
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => {}
            other => other.map_err(wrap)?,
        }
        fadvise(&opened, 0, None, Advice::DontNeed).map_err(|error| wrap(error.into()))?;
        let mut content = Vec::new();
        opened.read_to_end(&mut content).map_err(wrap)?;
        Ok(content)
    }

    fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.writer("append", file, true)?.write_all(bytes).map_err(|error| failed("append", file, &error))
    }

    fn truncate(&mut self, file: &str, len: u64) -> Result<(), DiskError> {
        let opened = self.writer("truncate", file, false)?;
        let wrap = |error: io::Error| failed("truncate", file, &error);
        if opened.metadata().map_err(wrap)?.len() > len {
            opened.set_len(len).map_err(wrap)?;
        }
        Ok(())
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        self.writer("sync", file, false)?.sync_data().map_err(|error| failed("sync", file, &error))
    }

    fn sync_directory(&mut self) -> Result<(), DiskError> {
        self.handle.sync_all().map_err(|error| failed("sync_directory", "", &error))
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        self.open.remove(file);
        std::fs::remove_file(self.path("remove", file)?).map_err(|error| failed("remove", file, &error))
    }
}

fn failed(operation: &'static str, file: &str, error: &io::Error) -> DiskError {
    let kind = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskErrorKind::Full,
        ErrorKind::NotFound => DiskErrorKind::NotFound,
        _ => DiskErrorKind::Other,
    };
    DiskError { operation, file: file.to_owned(), kind, message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> (tempfile::TempDir, FileDisk) {
        let directory = tempfile::tempdir().expect("temporary directory");
        let disk = FileDisk::open(directory.path()).expect("open");
        (directory, disk)
    }

    #[test]
    fn appends_are_read_back_in_order() {
        let (_directory, mut disk) = disk();
        disk.append("a", b"one ").expect("append");
        disk.append("b", b"other").expect("append");
        disk.append("a", b"two").expect("append");
        disk.sync("a").expect("sync");
        disk.sync_directory().expect("sync");
        assert_eq!(disk.read("a").as_deref(), Ok(&b"one two"[..]));
        let mut names = disk.list().expect("list");
        names.sort();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn appends_after_a_truncation_go_to_the_new_end() {
        let (_directory, mut disk) = disk();
        disk.append("a", b"whole torn").expect("append");
        disk.truncate("a", 5).expect("truncate");
        disk.append("a", b"again").expect("append");
        assert_eq!(disk.read("a").as_deref(), Ok(&b"wholeagain"[..]));
    }

    #[test]
    fn a_truncation_never_lengthens() {
        let (_directory, mut disk) = disk();
        disk.append("a", b"short").expect("append");
        disk.truncate("a", 100).expect("truncate");
        assert_eq!(disk.read("a").as_deref(), Ok(&b"short"[..]));
    }

    #[test]
    fn more_files_than_stay_open_can_be_written() {
        let (_directory, mut disk) = disk();
        for round in 0..2 {
            for file in 0..10 {
                disk.append(&format!("f{file}"), &[round]).expect("append");
                disk.sync(&format!("f{file}")).expect("sync");
            }
        }
        assert_eq!(disk.read("f3").as_deref(), Ok(&[0, 1][..]));
    }

    #[test]
    fn a_missing_file_is_told_from_a_failing_disk() {
        let (_directory, mut disk) = disk();
        for error in [
            disk.read("none").err(),
            disk.remove("none").err(),
            disk.sync("none").err(),
            disk.truncate("none", 0).err(),
        ] {
            assert_eq!(error.map(|error| error.kind), Some(DiskErrorKind::NotFound));
        }
    }

    #[test]
    fn a_removed_file_begins_anew() {
        let (_directory, mut disk) = disk();
        disk.append("a", b"old").expect("append");
        disk.remove("a").expect("remove");
        disk.append("a", b"new").expect("append");
        assert_eq!(disk.read("a").as_deref(), Ok(&b"new"[..]));
    }

    #[test]
    fn names_outside_the_directory_are_refused() {
        let (_directory, mut disk) = disk();
        for name in ["", ".", "..", "../a", "a/b", "/etc/passwd"] {
            assert!(disk.append(name, b"x").is_err(), "{name}");
            assert!(disk.read(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let Ok(mut disk) = FileDisk::open(Path::new("/dev")) else { return };
        let error = disk.append("full", b"x").expect_err("/dev/full takes nothing");
        assert_eq!(error.kind, DiskErrorKind::Full, "{error}");
    }
}
