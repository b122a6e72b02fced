//! From bytes to a message, with the receiver's rules of §2.2 and §2.3.

use std::net::Ipv4Addr;

use api::identity::State;
use leases::lease::{Flags, HardwareAddress, Status};

use super::extension;
use super::kind;
use super::message::{
    BindingAck, BindingUpdate, Connect, ConnectAck, Disconnect, Extension, Frame, Message, Reject,
    RejectReason, StateMessage,
};
use super::option::{self, Group, groups};
use super::profile::{Dialect, Profile};
use super::{HEADER_OCTETS, MESSAGE_OCTETS_MAX};

/// A message that does not end the connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decoded {
    /// A message of the protocol.
    Frame(Frame),
    /// A message of a type of 128 and above, which is for others. Its options were not looked at.
    Ignored {
        /// Its type octet.
        kind: u8,
    },
}

/// Why a connection must be closed (§2.1 to §2.3, §6).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The length field is below 12 or above 2048.
    #[error("a message of {octets} octets, not 12 to 2048")]
    Length {
        /// The length field.
        octets: usize,
    },
    /// What was handed in is not one whole message.
    #[error("a message that says {said} octets has {present}")]
    NotWhole {
        /// The length field.
        said: usize,
        /// Octets handed in.
        present: usize,
    },
    /// The options begin inside the first twelve octets, or behind the end.
    #[error("options at offset {offset}")]
    PayloadOffset {
        /// The offset octet.
        offset: u8,
    },
    /// A type that is none of the twelve and below 128.
    #[error("unknown message type {kind}")]
    UnknownType {
        /// The type octet.
        kind: u8,
    },
    /// An option came twice.
    #[error("{} ({code}) came twice", option::name(*code))]
    DuplicateOption {
        /// Its code.
        code: u16,
    },
    /// An option of a fixed size has another.
    #[error("{} ({code}) has {octets} octets", option::name(*code))]
    OptionSize {
        /// Its code.
        code: u16,
        /// Its size.
        octets: usize,
    },
    /// An option goes on behind the end of its message.
    #[error("option {code} of {octets} octets goes past the end")]
    OptionPastEnd {
        /// Its code.
        code: u16,
        /// The size that it says.
        octets: usize,
    },
    /// One to three octets are left behind the last option.
    #[error("{octets} octets behind the last option")]
    TrailingOctets {
        /// How many.
        octets: usize,
    },
    /// A server-state that is not listed.
    #[error("unlisted server-state {value}")]
    UnlistedState {
        /// Option 24.
        value: u8,
    },
}

impl DecodeError {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Length { .. } => "length",
            Self::NotWhole { .. } => "not_whole",
            Self::PayloadOffset { .. } => "payload_offset",
            Self::UnknownType { .. } => "unknown_type",
            Self::DuplicateOption { .. } => "duplicate_option",
            Self::OptionSize { .. } => "option_size",
            Self::OptionPastEnd { .. } => "option_past_end",
            Self::TrailingOctets { .. } => "trailing_octets",
            Self::UnlistedState { .. } => "unlisted_state",
        }
    }
}

/// Reads one whole message, as cut out of the stream by [`FrameReader`](super::FrameReader).
///
/// An error closes the connection. What is answered instead of closing survives as a value: in a
/// BNDUPD a missing or unlisted binding-status is `None`, as are a missing address and a hardware
/// address of less than 2 or more than 21 octets; a cltt of 0 is one that was never set, so `None`.
/// A BNDACK without an address has 0.0.0.0, which is nobody's; match it by its xid.
///
/// # Errors
///
/// As listed at [`DecodeError`].
pub fn decode(bytes: &[u8], dialect: Dialect) -> Result<Decoded, DecodeError> {
    let Some(&[l0, l1, kind, offset, t0, t1, t2, t3, x0, x1, x2, x3]) = bytes.first_chunk() else {
        return Err(DecodeError::Length { octets: bytes.len() });
    };
    let said = usize::from(u16::from_be_bytes([l0, l1]));
    if !(HEADER_OCTETS..=MESSAGE_OCTETS_MAX).contains(&said) {
        return Err(DecodeError::Length { octets: said });
    }
    if said != bytes.len() {
        return Err(DecodeError::NotWhole { said, present: bytes.len() });
    }
    if usize::from(offset) < HEADER_OCTETS {
        return Err(DecodeError::PayloadOffset { offset });
    }
    let Some(payload) = bytes.get(usize::from(offset)..) else {
        return Err(DecodeError::PayloadOffset { offset });
    };
    match kind {
        kind::POOLREQ..=kind::DISCONNECT => {}
        0 | 13..128 => return Err(DecodeError::UnknownType { kind }),
        128.. => return Ok(Decoded::Ignored { kind }),
    }
    let message = read(kind, &groups(kind, payload, dialect)?)?;
    let time = u32::from_be_bytes([t0, t1, t2, t3]);
    let xid = u32::from_be_bytes([x0, x1, x2, x3]);
    Ok(Decoded::Frame(Frame { time, xid, message }))
}

fn read(kind: u8, groups: &[Group<'_>]) -> Result<Message, DecodeError> {
    let whole = groups.first().unwrap_or(const { &Group::EMPTY });
    Ok(match kind {
        kind::POOLREQ => Message::PoolReq,
        kind::POOLRESP => {
            Message::PoolResp { transferred: whole.number(option::ADDRESSES_TRANSFERRED).unwrap_or(0) }
        }
        kind::BNDUPD => Message::BndUpd(groups.iter().map(update).collect()),
        kind::BNDACK => Message::BndAck(groups.iter().map(ack).collect()),
        kind::CONNECT => Message::Connect(connect(whole)),
        kind::CONNECTACK => Message::ConnectAck(connect_ack(whole)),
        kind::UPDREQALL => Message::UpdReqAll,
        kind::UPDDONE => Message::UpdDone,
        kind::UPDREQ => Message::UpdReq,
        kind::STATE => Message::State(state(whole)?),
        kind::CONTACT => Message::Contact { extensions: extensions(whole) },
        kind::DISCONNECT => Message::Disconnect(Disconnect { reject: reject(whole) }),
        _ => return Err(DecodeError::UnknownType { kind }),
    })
}

fn update(group: &Group<'_>) -> BindingUpdate {
    BindingUpdate {
        address: group.address(option::ASSIGNED_IP),
        status: group.octet(option::BINDING_STATUS).and_then(Status::from_wire),
        client_id: group.vec(option::CLIENT_IDENTIFIER).filter(|id| !id.is_empty()),
        hardware: group.bytes(option::CLIENT_HARDWARE_ADDRESS).and_then(hardware),
        lease_expiry: group.number(option::LEASE_EXPIRATION),
        potential_expiry: group.number(option::POTENTIAL_EXPIRATION),
        starts: group.number(option::START_TIME_OF_STATE),
        cltt: group.number(option::CLTT).filter(|&time| time != 0),
        flags: group.bytes(option::IP_FLAGS).map(flags).unwrap_or_default(),
        request_options: group.vec(option::REQUEST_OPTIONS),
        reply_options: group.vec(option::REPLY_OPTIONS),
    }
}

fn hardware(data: &[u8]) -> Option<HardwareAddress> {
    let (&kind, octets) = data.split_first()?;
    // None on InfiniBand, whose clients go by their identifier (RFC 4390).
    let fits = octets.len() <= HARDWARE_OCTETS_MAX;
    fits.then(|| HardwareAddress { kind, octets: octets.to_vec() })
}

fn flags(data: &[u8]) -> Flags {
    let low = data.last().copied().unwrap_or(0);
    Flags { reserved: low & FLAG_RESERVED != 0, bootp: low & FLAG_BOOTP != 0 }
}

fn ack(group: &Group<'_>) -> BindingAck {
    BindingAck {
        address: group.address(option::ASSIGNED_IP).unwrap_or(Ipv4Addr::UNSPECIFIED),
        reject: reject(group),
        client_id: group.vec(option::CLIENT_IDENTIFIER),
        potential_expiry: group.number(option::POTENTIAL_EXPIRATION),
    }
}

fn connect(group: &Group<'_>) -> Connect {
    Connect {
        relationship: group.vec(option::RELATIONSHIP_NAME),
        max_unacked: group.number(option::MAX_UNACKED),
        receive_timer: group.number(option::RECEIVE_TIMER),
        vendor_class: group.vec(option::VENDOR_CLASS),
        version: group.octet(option::PROTOCOL_VERSION),
        tls_request: group.octet(option::TLS_REQUEST),
        mclt: group.number(option::MCLT),
        hba: group.vec(option::HBA),
    }
}

fn connect_ack(group: &Group<'_>) -> ConnectAck {
    let vendor_class = group.bytes(option::VENDOR_CLASS);
    ConnectAck {
        relationship: group.vec(option::RELATIONSHIP_NAME),
        max_unacked: group.number(option::MAX_UNACKED),
        receive_timer: group.number(option::RECEIVE_TIMER),
        vendor_class: vendor_class.map(<[u8]>::to_vec),
        version: group.octet(option::PROTOCOL_VERSION),
        tls_reply: group.octet(option::TLS_REPLY),
        reject: reject(group),
        extensions: if Profile::of(vendor_class).is_own() { extensions(group) } else { Vec::new() },
    }
}

fn state(group: &Group<'_>) -> Result<StateMessage, DecodeError> {
    let value = group.octet(option::SERVER_STATE).unwrap_or(State::Unknown.wire());
    Ok(StateMessage {
        state: State::from_wire(value).ok_or(DecodeError::UnlistedState { value })?,
        startup: group.octet(option::SERVER_FLAGS).unwrap_or(0) & FLAG_STARTUP != 0,
        since: group.number(option::START_TIME_OF_STATE).unwrap_or(0),
        extensions: extensions(group),
    })
}

fn reject(group: &Group<'_>) -> Option<Reject> {
    let reason = RejectReason::from_wire(group.octet(option::REJECT_REASON)?);
    let text = group.bytes(option::MESSAGE).map(String::from_utf8_lossy).unwrap_or_default().into_owned();
    Some(Reject { reason, text })
}

fn extensions(group: &Group<'_>) -> Vec<Extension> {
    group.bytes(option::VENDOR_OPTIONS).map(extension::read).unwrap_or_default()
}

/// Without the type octet (§2.3, option 5).
pub(super) const HARDWARE_OCTETS_MAX: usize = 20;
pub(super) const FLAG_RESERVED: u8 = 0x01;
pub(super) const FLAG_BOOTP: u8 = 0x02;
pub(super) const FLAG_STARTUP: u8 = 0x01;
