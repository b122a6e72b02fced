//! Messages of the failover protocol and their bytes (`spec/failover-protocol.md` §2).

mod message;

pub use message::{
    BindingAck, BindingUpdate, Connect, ConnectAck, Disconnect, Extension, Frame, Message, Reject,
    RejectReason, StateMessage,
};
