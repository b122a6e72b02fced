//! One line for a trace: type, xid, time, then the options by name in the order in which they are
//! sent. What a peer wrote is escaped, so that it can forge no line.

use std::fmt::{self, Display, Formatter};

use super::message::{
    BindingAck, BindingUpdate, Connect, ConnectAck, Disconnect, Extension, Frame, Message, Reject,
    StateMessage,
};
use super::option;

impl Display for Frame {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} xid={} time={}", self.message.name(), self.xid, self.time)?;
        match &self.message {
            Message::PoolReq | Message::UpdReqAll | Message::UpdDone | Message::UpdReq => Ok(()),
            Message::PoolResp { transferred } => field(f, option::ADDRESSES_TRANSFERRED, Some(transferred)),
            Message::BndUpd(updates) => each(f, updates, update),
            Message::BndAck(acks) => each(f, acks, ack),
            Message::Connect(message) => connect(f, message),
            Message::ConnectAck(message) => connect_ack(f, message),
            Message::State(message) => state(f, message),
            Message::Contact { extensions } => vendor_options(f, extensions),
            Message::Disconnect(Disconnect { reject: reason }) => reject(f, reason.as_ref()),
        }
    }
}

impl Display for Extension {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capabilities(bits) => write!(f, "capabilities={bits:#x}"),
            Self::Window(updates) => write!(f, "window={updates}"),
            Self::ConfigDigest(digest) => write!(f, "config-digest={}", Hex(digest)),
            Self::DatabaseDigest { open, digest } => write!(f, "database={},open:{open}", Hex(digest)),
            Self::Progress { epoch, lsn, transition, partner_epoch, partner_lsn } => {
                write!(f, "progress={epoch}/{lsn}/{transition} partner={partner_epoch}/{partner_lsn}")
            }
            Self::LastOperational { last_operational, known_down } => {
                write!(f, "last-operational={last_operational} known-down={known_down}")
            }
            Self::PartnerDownLease(seconds) => write!(f, "partner-down-lease={seconds}"),
            Self::Heartbeat(count) => write!(f, "heartbeat={count}"),
            Self::Ledger(json) => write!(f, "ledger={}", Text(json)),
            Self::Other { code, data } => write!(f, "sub-option-{code}={}", Hex(data)),
        }
    }
}

fn each<T>(
    f: &mut Formatter<'_>,
    bindings: &[T],
    one: fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, binding) in bindings.iter().enumerate() {
        if index > 0 {
            f.write_str(" |")?;
        }
        one(f, binding)?;
    }
    Ok(())
}

fn update(f: &mut Formatter<'_>, update: &BindingUpdate) -> fmt::Result {
    field(f, option::ASSIGNED_IP, update.address)?;
    field(f, option::BINDING_STATUS, update.status)?;
    field(f, option::CLIENT_IDENTIFIER, update.client_id.as_deref().map(Hex))?;
    if let Some(hardware) = &update.hardware {
        let name = option::name(option::CLIENT_HARDWARE_ADDRESS);
        write!(f, " {name}={}/{hardware}", hardware.kind)?;
    }
    field(f, option::LEASE_EXPIRATION, update.lease_expiry)?;
    field(f, option::POTENTIAL_EXPIRATION, update.potential_expiry)?;
    field(f, option::START_TIME_OF_STATE, update.starts)?;
    field(f, option::CLTT, update.cltt)?;
    let flags = match (update.flags.reserved, update.flags.bootp) {
        (false, false) => None,
        (true, false) => Some("reserved"),
        (false, true) => Some("bootp"),
        (true, true) => Some("reserved,bootp"),
    };
    field(f, option::IP_FLAGS, flags)?;
    field(f, option::REQUEST_OPTIONS, update.request_options.as_deref().map(Hex))?;
    field(f, option::REPLY_OPTIONS, update.reply_options.as_deref().map(Hex))
}

fn ack(f: &mut Formatter<'_>, ack: &BindingAck) -> fmt::Result {
    field(f, option::ASSIGNED_IP, Some(ack.address))?;
    reject(f, ack.reject.as_ref())?;
    field(f, option::CLIENT_IDENTIFIER, ack.client_id.as_deref().map(Hex))?;
    field(f, option::POTENTIAL_EXPIRATION, ack.potential_expiry)
}

fn connect(f: &mut Formatter<'_>, connect: &Connect) -> fmt::Result {
    field(f, option::RELATIONSHIP_NAME, connect.relationship.as_deref().map(Text))?;
    field(f, option::MAX_UNACKED, connect.max_unacked)?;
    field(f, option::RECEIVE_TIMER, connect.receive_timer)?;
    field(f, option::VENDOR_CLASS, connect.vendor_class.as_deref().map(Text))?;
    field(f, option::PROTOCOL_VERSION, connect.version)?;
    field(f, option::TLS_REQUEST, connect.tls_request)?;
    field(f, option::MCLT, connect.mclt)?;
    field(f, option::HBA, connect.hba.as_deref().map(Hex))
}

fn connect_ack(f: &mut Formatter<'_>, ack: &ConnectAck) -> fmt::Result {
    field(f, option::RELATIONSHIP_NAME, ack.relationship.as_deref().map(Text))?;
    field(f, option::MAX_UNACKED, ack.max_unacked)?;
    field(f, option::RECEIVE_TIMER, ack.receive_timer)?;
    field(f, option::VENDOR_CLASS, ack.vendor_class.as_deref().map(Text))?;
    field(f, option::PROTOCOL_VERSION, ack.version)?;
    field(f, option::TLS_REPLY, ack.tls_reply)?;
    reject(f, ack.reject.as_ref())?;
    vendor_options(f, &ack.extensions)
}

fn state(f: &mut Formatter<'_>, state: &StateMessage) -> fmt::Result {
    field(f, option::SERVER_STATE, Some(state.state))?;
    field(f, option::SERVER_FLAGS, state.startup.then_some("startup"))?;
    field(f, option::START_TIME_OF_STATE, Some(state.since))?;
    vendor_options(f, &state.extensions)
}

fn reject(f: &mut Formatter<'_>, reject: Option<&Reject>) -> fmt::Result {
    let Some(reject) = reject else { return Ok(()) };
    field(f, option::REJECT_REASON, Some(reject.reason))?;
    field(f, option::MESSAGE, (!reject.text.is_empty()).then_some(Text(reject.text.as_bytes())))
}

fn vendor_options(f: &mut Formatter<'_>, extensions: &[Extension]) -> fmt::Result {
    extensions.iter().try_for_each(|extension| write!(f, " {extension}"))
}

fn field(f: &mut Formatter<'_>, code: u16, value: Option<impl Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, " {}={value}", option::name(code)))
}

struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

struct Text<'a>(&'a [u8]);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
