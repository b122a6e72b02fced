//! From a message to bytes, with options in the order of ISC dhcpd (§2.4).

use api::identity::State;
use api::time::UnixTime;
use leases::lease::Flags;

use super::MESSAGE_OCTETS_MAX;
use super::decode::{FLAG_BOOTP, FLAG_RESERVED, FLAG_STARTUP, HARDWARE_OCTETS_MAX};
use super::extension;
use super::message::{
    BindingAck, BindingUpdate, Connect, ConnectAck, Disconnect, Extension, Frame, Message, Reject,
    StateMessage,
};
use super::option;
use super::profile::Dialect;

/// Why a message is not sent. Each is an error of the caller, not of the peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// The message would be longer than 2048 octets.
    #[error("longer than 2048 octets")]
    TooLong,
    /// The connection does not speak the extensions: an ISC dhcpd never sees a byte of one (§9).
    #[error("{} ({code}) on a connection without extensions", option::name(*code))]
    Extension {
        /// Code of the option.
        code: u16,
    },
    /// Several bindings, on a connection that did not negotiate bulking. An ISC dhcpd drops the link.
    #[error("{bindings} bindings on a connection without bulking")]
    Bulk {
        /// How many.
        bindings: usize,
    },
    /// A BNDUPD or BNDACK about nothing.
    #[error("no binding")]
    NoBinding,
    /// A BNDUPD without its address or its status.
    #[error("no {}", option::name(*code))]
    Missing {
        /// Code of the option.
        code: u16,
    },
    /// A BNDACK with option 4 or 18: the receiver would take its own potential expiry as void
    /// (§0.1 rule 10).
    #[error("{} ({code}) in an answer", option::name(*code))]
    AckBeyondAddress {
        /// Code of the option.
        code: u16,
    },
    /// A hardware address of more than 20 octets, which an ISC dhcpd refuses.
    #[error("hardware address of {octets} octets")]
    HardwareAddress {
        /// Without the type octet.
        octets: usize,
    },
    /// A text with a zero octet.
    #[error("zero octet in {} ({code})", option::name(*code))]
    ZeroOctet {
        /// Code of the option.
        code: u16,
    },
    /// STARTUP as a state. On the wire it is a flag beside the stored state (§6).
    #[error("startup is a flag, not a state")]
    Startup,
}

impl EncodeError {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Extension { .. } => "extension",
            Self::Bulk { .. } => "bulk",
            Self::NoBinding => "no_binding",
            Self::Missing { .. } => "missing",
            Self::AckBeyondAddress { .. } => "ack_beyond_address",
            Self::HardwareAddress { .. } => "hardware_address",
            Self::ZeroOctet { .. } => "zero_octet",
            Self::Startup => "startup",
        }
    }
}

/// Writes one message. `dialect` is what both sides of the connection have agreed on.
///
/// Options that are `None` are left out, except that a BNDUPD always has the times of options 13, 18
/// and 25, zero if never set, and never an option 6 of zero. A rejected BNDACK, a CONNECTACK and a
/// DISCONNECT leave out an empty text.
///
/// # Errors
///
/// As listed at [`EncodeError`]. Nothing is to be sent then.
pub fn encode(frame: &Frame, dialect: Dialect) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer { bytes: Vec::with_capacity(128), dialect };
    writer.bytes.extend([0, 0, frame.message.kind(), HEADER_OCTETS]);
    writer.bytes.extend(frame.time.to_be_bytes());
    writer.bytes.extend(frame.xid.to_be_bytes());
    match &frame.message {
        Message::PoolReq | Message::UpdReqAll | Message::UpdDone | Message::UpdReq => {}
        Message::PoolResp { transferred } => writer.number(option::ADDRESSES_TRANSFERRED, *transferred)?,
        Message::BndUpd(updates) => {
            writer.count(updates.len())?;
            updates.iter().try_for_each(|update| writer.update(update))?;
        }
        Message::BndAck(acks) => {
            writer.count(acks.len())?;
            acks.iter().try_for_each(|ack| writer.ack(ack))?;
        }
        Message::Connect(connect) => writer.connect(connect)?,
        Message::ConnectAck(ack) => writer.connect_ack(ack)?,
        Message::State(state) => writer.state(state)?,
        Message::Contact { extensions } => writer.extensions(extensions)?,
        Message::Disconnect(Disconnect { reject }) => writer.reject(reject.as_ref())?,
    }
    writer.finish()
}

/// Sets the time of sending of an encoded message.
pub fn stamp(message: &mut [u8], time: UnixTime) {
    if let Some(octets) = message.get_mut(4..8) {
        octets.copy_from_slice(&time.get().to_be_bytes());
    }
}

/// The type octet and the time of sending of an encoded message.
#[must_use]
pub fn type_and_time(message: &[u8]) -> Option<(u8, u32)> {
    let time = message.get(4..8)?.try_into().ok()?;
    Some((*message.get(2)?, u32::from_be_bytes(time)))
}

struct Writer {
    bytes: Vec<u8>,
    dialect: Dialect,
}

impl Writer {
    fn update(&mut self, update: &BindingUpdate) -> Result<(), EncodeError> {
        let address = update.address.ok_or(EncodeError::Missing { code: option::ASSIGNED_IP })?;
        let status = update.status.ok_or(EncodeError::Missing { code: option::BINDING_STATUS })?;
        self.number(option::ASSIGNED_IP, address.to_bits())?;
        self.octet(option::BINDING_STATUS, status.wire())?;
        if let Some(id) = update.client_id.as_ref().filter(|id| !id.is_empty()) {
            self.option(option::CLIENT_IDENTIFIER, id)?;
        }
        if let Some(hardware) = &update.hardware {
            let octets = hardware.octets.len();
            if octets > HARDWARE_OCTETS_MAX {
                return Err(EncodeError::HardwareAddress { octets });
            }
            let data = [&[hardware.kind], hardware.octets.as_slice()].concat();
            self.option(option::CLIENT_HARDWARE_ADDRESS, &data)?;
        }
        self.number(option::LEASE_EXPIRATION, update.lease_expiry.unwrap_or(0))?;
        self.number(option::POTENTIAL_EXPIRATION, update.potential_expiry.unwrap_or(0))?;
        self.number(option::START_TIME_OF_STATE, update.starts.unwrap_or(0))?;
        if let Some(cltt) = update.cltt.filter(|&time| time != 0) {
            self.number(option::CLTT, cltt)?;
        }
        if update.flags != Flags::default() {
            let reserved = if update.flags.reserved { FLAG_RESERVED } else { 0 };
            let bootp = if update.flags.bootp { FLAG_BOOTP } else { 0 };
            self.option(option::IP_FLAGS, &[0, reserved | bootp])?;
        }
        self.own_only(option::REQUEST_OPTIONS, update.request_options.as_deref())?;
        self.own_only(option::REPLY_OPTIONS, update.reply_options.as_deref())
    }

    fn ack(&mut self, ack: &BindingAck) -> Result<(), EncodeError> {
        if ack.client_id.is_some() {
            return Err(EncodeError::AckBeyondAddress { code: option::CLIENT_IDENTIFIER });
        }
        if ack.potential_expiry.is_some() {
            return Err(EncodeError::AckBeyondAddress { code: option::POTENTIAL_EXPIRATION });
        }
        self.number(option::ASSIGNED_IP, ack.address.to_bits())?;
        self.reject(ack.reject.as_ref())
    }

    fn connect(&mut self, connect: &Connect) -> Result<(), EncodeError> {
        self.text(option::RELATIONSHIP_NAME, connect.relationship.as_deref())?;
        self.optional_number(option::MAX_UNACKED, connect.max_unacked)?;
        self.optional_number(option::RECEIVE_TIMER, connect.receive_timer)?;
        self.text(option::VENDOR_CLASS, connect.vendor_class.as_deref())?;
        self.optional_octet(option::PROTOCOL_VERSION, connect.version)?;
        self.optional_octet(option::TLS_REQUEST, connect.tls_request)?;
        self.optional_number(option::MCLT, connect.mclt)?;
        connect.hba.as_ref().map_or(Ok(()), |hba| self.option(option::HBA, hba))
    }

    fn connect_ack(&mut self, ack: &ConnectAck) -> Result<(), EncodeError> {
        self.text(option::RELATIONSHIP_NAME, ack.relationship.as_deref())?;
        self.optional_number(option::MAX_UNACKED, ack.max_unacked)?;
        self.optional_number(option::RECEIVE_TIMER, ack.receive_timer)?;
        self.text(option::VENDOR_CLASS, ack.vendor_class.as_deref())?;
        self.optional_octet(option::PROTOCOL_VERSION, ack.version)?;
        self.optional_octet(option::TLS_REPLY, ack.tls_reply)?;
        self.reject(ack.reject.as_ref())?;
        self.extensions(&ack.extensions)
    }

    fn state(&mut self, state: &StateMessage) -> Result<(), EncodeError> {
        if state.state == State::Startup {
            return Err(EncodeError::Startup);
        }
        self.octet(option::SERVER_STATE, state.state.wire())?;
        self.octet(option::SERVER_FLAGS, if state.startup { FLAG_STARTUP } else { 0 })?;
        self.number(option::START_TIME_OF_STATE, state.since)?;
        self.extensions(&state.extensions)
    }

    fn reject(&mut self, reject: Option<&Reject>) -> Result<(), EncodeError> {
        let Some(reject) = reject else { return Ok(()) };
        self.octet(option::REJECT_REASON, reject.reason.wire())?;
        self.text(option::MESSAGE, Some(reject.text.as_bytes()).filter(|text| !text.is_empty()))
    }

    fn extensions(&mut self, extensions: &[Extension]) -> Result<(), EncodeError> {
        if extensions.is_empty() {
            return Ok(());
        }
        let mut data = Vec::new();
        for extension in extensions {
            extension::write(extension, &mut data).ok_or(EncodeError::TooLong)?;
        }
        self.own_only(option::VENDOR_OPTIONS, Some(&data))
    }

    fn own_only(&mut self, code: u16, data: Option<&[u8]>) -> Result<(), EncodeError> {
        let Some(data) = data else { return Ok(()) };
        if !self.dialect.has_extensions() {
            return Err(EncodeError::Extension { code });
        }
        self.option(code, data)
    }

    fn count(&self, bindings: usize) -> Result<(), EncodeError> {
        match bindings {
            0 => Err(EncodeError::NoBinding),
            1 => Ok(()),
            _ if self.dialect.has_bulking() => Ok(()),
            _ => Err(EncodeError::Bulk { bindings }),
        }
    }

    fn text(&mut self, code: u16, text: Option<&[u8]>) -> Result<(), EncodeError> {
        let Some(text) = text else { return Ok(()) };
        if text.contains(&0) {
            return Err(EncodeError::ZeroOctet { code });
        }
        self.option(code, text)
    }

    fn optional_number(&mut self, code: u16, value: Option<u32>) -> Result<(), EncodeError> {
        value.map_or(Ok(()), |value| self.number(code, value))
    }

    fn optional_octet(&mut self, code: u16, value: Option<u8>) -> Result<(), EncodeError> {
        value.map_or(Ok(()), |value| self.octet(code, value))
    }

    fn number(&mut self, code: u16, value: u32) -> Result<(), EncodeError> {
        self.option(code, &value.to_be_bytes())
    }

    fn octet(&mut self, code: u16, value: u8) -> Result<(), EncodeError> {
        self.option(code, &[value])
    }

    fn option(&mut self, code: u16, data: &[u8]) -> Result<(), EncodeError> {
        let octets = u16::try_from(data.len()).map_err(|_| EncodeError::TooLong)?;
        self.bytes.extend(code.to_be_bytes());
        self.bytes.extend(octets.to_be_bytes());
        self.bytes.extend(data);
        // Here and not only at the end: a message of many bindings must not grow first.
        if self.bytes.len() > MESSAGE_OCTETS_MAX {
            return Err(EncodeError::TooLong);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>, EncodeError> {
        let octets = u16::try_from(self.bytes.len()).map_err(|_| EncodeError::TooLong)?;
        let length = self.bytes.first_chunk_mut().expect("the header was written first");
        *length = octets.to_be_bytes();
        Ok(self.bytes)
    }
}

/// The offset octet: options begin right behind the fixed header.
const HEADER_OCTETS: u8 = super::HEADER_OCTETS as u8;
