//! The lease store on a real disk: its directory, its files, and the thread that makes changes durable.

pub mod commit;
pub mod data_dir;
pub mod disk;

pub use data_dir::{DataDir, Error};
pub use disk::FileDisk;
