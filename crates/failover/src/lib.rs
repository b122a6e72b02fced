//! The DHCPv4 failover protocol of ISC dhcpd 4.4, without I/O.
//!
//! [`wire`] has the messages and their bytes, [`session`] one connection, [`endpoint`] the state machine and
//! [`transition`] its table, [`binding`] who may move a lease where, [`times`] how long a lease may be,
//! [`pool`] whose the free addresses are, [`hash`] who answers whom, and [`guard`] what an ISC dhcpd must not
//! be told. Nothing here opens a socket, reads a clock, draws randomness or spawns a task.

pub mod binding;
pub mod endpoint;
pub mod guard;
pub mod hash;
pub mod pool;
pub mod record;
pub mod session;
pub mod times;
pub mod transition;
pub mod wire;
