//! DHCPv4 service rules without I/O: classify a message, choose subnet and address, build the reply.
//!
//! This crate knows packets and configuration. It opens no socket, reads no clock, draws no
//! randomness and keeps no state between calls; the lease table and the rules of failover are
//! somebody else's. A packet's way:
//!
//! 1. [`packet::Packet::parse`]: a checked view of the octets.
//! 2. [`classify::classify`]: what the client wants (RFC 2131 §4.3.2).
//! 3. [`network::Network::choose`]: the subnet it is on.
//! 4. [`offer::choose`]: which address it should get, asked of the caller's table.
//! 5. [`reply::Reply`]: the octets of the answer and where they go.

pub mod classify;
mod layout;
pub mod message;
pub mod network;
pub mod offer;
mod option_set;
pub mod packet;
pub mod reply;
mod text;
mod walk;
