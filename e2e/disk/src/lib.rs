//! A file system in memory whose power can be cut, mounted through the kernel: programs use it by their
//! ordinary system calls.
//!
//! It keeps what a program sees apart from what is on stable storage, for the content of each file and for
//! the names of each directory. Only an fsync of a file makes its content and length durable, and only an
//! fsync of a directory its names; neither stands for the other. A power cut keeps what is durable and any
//! part of the rest: changes lost, torn at any octet, and in any order. That is what POSIX leaves open,
//! and more than any one file system of Linux does.
//!
//! [`Volume`] is the file system without the kernel, [`Mount`] puts one under a folder. Needs root and
//! `/dev/fuse`, and nothing of libfuse.

mod cut;
mod file;
mod mount;
mod volume;

pub use leases::log::testing::Cut;
pub use mount::Mount;
pub use volume::{Faults, Kind, NodeId, Pretended, Refusal, Volume};
