//! The segmented log that makes a server's state durable.

mod batch;
mod disk;

pub use batch::{Batch, Entry, StoreId};
pub use disk::{Disk, DiskError, DiskErrorKind};
