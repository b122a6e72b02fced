//! The DHCPv4 failover protocol of ISC dhcpd 4.4, without I/O.
//!
//! [`wire`] has the messages and their bytes. Nothing here opens a socket, reads a clock, draws
//! randomness or spawns a task.

pub mod hash;
pub mod wire;
pub mod endpoint;
pub mod guard;
pub mod record;
pub mod session;
pub mod transition;
pub mod binding;
pub mod pool;
pub mod times;
