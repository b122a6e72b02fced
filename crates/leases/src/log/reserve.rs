//! Room set aside, given up when the disk is full so that what must still be stored can be.

use crate::log::{Disk, DiskError, DiskErrorKind};

/// Makes the reserve durable unless it is there; false if there is no room for it.
///
/// The zeros are really written: a sparse file reserves nothing.
pub(super) fn make<D: Disk>(disk: &mut D, bytes: u64) -> Result<bool, DiskError> {
    if bytes == 0 {
        return Ok(true);
    }
    if disk.list()?.iter().any(|file| file == FILE) {
        if disk.read(FILE)?.len() as u64 == bytes {
            return Ok(true);
        }
        // Of another size, or never finished.
        give_up(disk)?;
    }
    match fill(disk, bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind == DiskErrorKind::Full => {
            give_up(disk)?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Removes the reserve, if there is one.
pub(super) fn give_up<D: Disk>(disk: &mut D) -> Result<(), DiskError> {
    match disk.remove(FILE) {
        // Some filesystems hand the room out only after the removal is committed.
        Ok(()) => disk.sync_directory(),
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn fill<D: Disk>(disk: &mut D, bytes: u64) -> Result<(), DiskError> {
    let zeros = [0; CHUNK_BYTES];
    let mut left = bytes;
    while left > 0 {
        let len = left.min(CHUNK_BYTES as u64);
        disk.append(FILE, &zeros[..len as usize])?;
        left -= len;
    }
    disk.sync(FILE)?;
    disk.sync_directory()
}

const FILE: &str = "reserve";
const CHUNK_BYTES: usize = 16 << 10;
