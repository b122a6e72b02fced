//! Client packets: in by a packet socket with a filter, out by UDP or as raw frames.

pub mod datagram;
pub mod filter;
pub mod packet_socket;
pub mod sys;

pub use packet_socket::{Error, PacketSocket, first_address};
