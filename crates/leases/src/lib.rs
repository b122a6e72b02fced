//! Lease records, the in-memory table with its indexes, and the log that makes them durable.
//!
//! No I/O: the log writes through the disk that it is given, so the same code runs on a real disk and on
//! one that tears, reorders, rots and fills.

pub mod lease;
pub mod log;
pub mod table;
