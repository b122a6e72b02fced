//! Messages of the failover protocol and their bytes (`spec/failover-protocol.md` §2).
//!
//! [`FrameReader`] cuts a stream into messages, [`decode`] and [`encode`] turn one into a [`Frame`]
//! and back, [`Profile`] says from its vendor-class who the peer is, and [`Dialect`] what may be said
//! to it. The `Display` of a [`Frame`] is one line for a trace.

mod decode;
mod display;
mod encode;
mod extension;
mod frames;
pub(crate) mod kind;
mod message;
mod option;
mod profile;
mod reject;

pub use decode::{DecodeError, Decoded, decode};
pub use encode::{EncodeError, encode, stamp, type_and_time};
pub use frames::FrameReader;
pub use message::{
    BindingAck, BindingUpdate, Connect, ConnectAck, Disconnect, Extension, Frame, Message, Reject,
    RejectReason, StateMessage,
};
pub use profile::{Dialect, Profile, VENDOR_CLASS, Version};

/// Octets of a header as we write it; the least that a message has.
pub const HEADER_OCTETS: usize = 12;

/// Octets of the longest message.
pub const MESSAGE_OCTETS_MAX: usize = 2048;
