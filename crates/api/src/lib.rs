//! The contract shared by the operator, the server and the plugin.
//!
//! [`pair`] is the `DhcpFailoverPair` object as users write it, [`config`] the checked form that
//! the server works with, [`force`] what a server may be forced into, [`status`] what a server reports and what the object's status shows.
//! [`unknown`] finds fields of a manifest that nobody reads. [`tls`] says by which names they know
//! each other. [`time`] and [`identity`] are the vocabulary of all crates below.
//!
//! Nothing here opens a socket or a file, reads a clock or draws randomness.

pub mod config;
pub mod force;
pub mod identity;
pub mod pair;
pub mod status;
pub mod time;
pub mod tls;
pub mod unknown;
