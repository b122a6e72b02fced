//! The options of a message as they lie in its bytes: codes, names, sizes, and which message uses
//! which (§2.3, §2.4). What they mean is the matter of `decode` and `encode`.

use std::net::Ipv4Addr;

use super::decode::DecodeError;
use super::kind;
use super::profile::Dialect;

pub(super) const ADDRESSES_TRANSFERRED: u16 = 1;
pub(super) const ASSIGNED_IP: u16 = 2;
pub(super) const BINDING_STATUS: u16 = 3;
pub(super) const CLIENT_IDENTIFIER: u16 = 4;
pub(super) const CLIENT_HARDWARE_ADDRESS: u16 = 5;
pub(super) const CLTT: u16 = 6;
pub(super) const REPLY_OPTIONS: u16 = 7;
pub(super) const REQUEST_OPTIONS: u16 = 8;
pub(super) const HBA: u16 = 11;
pub(super) const IP_FLAGS: u16 = 12;
pub(super) const LEASE_EXPIRATION: u16 = 13;
pub(super) const MAX_UNACKED: u16 = 14;
pub(super) const MCLT: u16 = 15;
pub(super) const MESSAGE: u16 = 16;
pub(super) const POTENTIAL_EXPIRATION: u16 = 18;
pub(super) const RECEIVE_TIMER: u16 = 19;
pub(super) const PROTOCOL_VERSION: u16 = 20;
pub(super) const REJECT_REASON: u16 = 21;
pub(super) const RELATIONSHIP_NAME: u16 = 22;
pub(super) const SERVER_FLAGS: u16 = 23;
pub(super) const SERVER_STATE: u16 = 24;
pub(super) const START_TIME_OF_STATE: u16 = 25;
pub(super) const TLS_REPLY: u16 = 26;
pub(super) const TLS_REQUEST: u16 = 27;
pub(super) const VENDOR_CLASS: u16 = 28;
pub(super) const VENDOR_OPTIONS: u16 = 29;

/// The name of an option in logs.
pub(super) const fn name(code: u16) -> &'static str {
    match code {
        ADDRESSES_TRANSFERRED => "addresses-transferred",
        ASSIGNED_IP => "assigned-IP",
        BINDING_STATUS => "binding-status",
        CLIENT_IDENTIFIER => "client-identifier",
        CLIENT_HARDWARE_ADDRESS => "client-hardware-address",
        CLTT => "cltt",
        REPLY_OPTIONS => "reply-options",
        REQUEST_OPTIONS => "request-options",
        9 => "DDNS",
        10 => "delayed-service",
        HBA => "HBA",
        IP_FLAGS => "IP-flags",
        LEASE_EXPIRATION => "lease-expiration",
        MAX_UNACKED => "max-unacked",
        MCLT => "MCLT",
        MESSAGE => "message",
        17 => "digest",
        POTENTIAL_EXPIRATION => "potential-expiration",
        RECEIVE_TIMER => "receive-timer",
        PROTOCOL_VERSION => "protocol-version",
        REJECT_REASON => "reject-reason",
        RELATIONSHIP_NAME => "relationship-name",
        SERVER_FLAGS => "server-flags",
        SERVER_STATE => "server-state",
        START_TIME_OF_STATE => "start-time-of-state",
        TLS_REPLY => "TLS-reply",
        TLS_REQUEST => "TLS-request",
        VENDOR_CLASS => "vendor-class",
        VENDOR_OPTIONS => "vendor-options",
        _ => "unlisted option",
    }
}

/// The options of one binding, or of a whole message of any other type, in the order received. Only
/// such as the message uses; each at most once; those of a fixed size have that size.
#[derive(Default)]
pub(super) struct Group<'a>(Vec<(u16, &'a [u8])>);

impl<'a> Group<'a> {
    pub(super) const EMPTY: Self = Self(Vec::new());

    pub(super) fn bytes(&self, code: u16) -> Option<&'a [u8]> {
        self.0.iter().find(|(present, _)| *present == code).map(|(_, data)| *data)
    }

    pub(super) fn vec(&self, code: u16) -> Option<Vec<u8>> {
        self.bytes(code).map(<[u8]>::to_vec)
    }

    pub(super) fn octet(&self, code: u16) -> Option<u8> {
        self.bytes(code).and_then(<[u8]>::first).copied()
    }

    pub(super) fn number(&self, code: u16) -> Option<u32> {
        self.bytes(code).and_then(|data| data.try_into().ok()).map(u32::from_be_bytes)
    }

    pub(super) fn address(&self, code: u16) -> Option<Ipv4Addr> {
        self.number(code).map(Ipv4Addr::from_bits)
    }
}

/// Sorts the options of a message into its bindings. There is always at least one group.
///
/// Codes 0 and above 29, and known ones that the message type does not use, are skipped unchecked.
pub(super) fn groups(kind: u8, payload: &[u8], dialect: Dialect) -> Result<Vec<Group<'_>>, DecodeError> {
    let used = used(kind, dialect);
    let bulk = dialect.has_bulking() && matches!(kind, kind::BNDUPD | kind::BNDACK);
    let mut done = Vec::new();
    let mut group = Group::default();
    for option in (Options { rest: payload }) {
        let (code, data) = option?;
        if !used.contains(&code) {
            continue;
        }
        if group.bytes(code).is_some() {
            // A further address opens a further binding only if all so far began with theirs: in a
            // message in any other order nobody could tell to which address an option belongs.
            let begins = group.0.first().is_some_and(|(first, _)| *first == ASSIGNED_IP);
            if !bulk || code != ASSIGNED_IP || !begins {
                return Err(DecodeError::DuplicateOption { code });
            }
            done.push(std::mem::take(&mut group));
        }
        if !size_is_right(code, data.len()) {
            return Err(DecodeError::OptionSize { code, octets: data.len() });
        }
        group.0.push((code, data));
    }
    done.push(group);
    Ok(done)
}

/// Walks over code, length, data. Ends at the first fault.
struct Options<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<(u16, &'a [u8]), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let all = std::mem::take(&mut self.rest);
        let Some((&[c0, c1, l0, l1], tail)) = all.split_first_chunk() else {
            return Some(Err(DecodeError::TrailingOctets { octets: all.len() }));
        };
        let code = u16::from_be_bytes([c0, c1]);
        let octets = usize::from(u16::from_be_bytes([l0, l1]));
        let Some((data, rest)) = tail.split_at_checked(octets) else {
            return Some(Err(DecodeError::OptionPastEnd { code, octets }));
        };
        self.rest = rest;
        Some(Ok((code, data)))
    }
}

/// The options that a message type uses. Options 7, 8 and 29 only where extensions are spoken, and
/// option 29 of a CONNECTACK always, since that is where they are offered.
const fn used(kind: u8, dialect: Dialect) -> &'static [u16] {
    match (kind, dialect.has_extensions()) {
        (kind::POOLRESP, _) => &[ADDRESSES_TRANSFERRED],
        (kind::BNDUPD, false) => BNDUPD_EXTENDED.split_at(BNDUPD_EXTENDED.len() - 2).0,
        (kind::BNDUPD, true) => BNDUPD_EXTENDED,
        (kind::BNDACK, _) => &[ASSIGNED_IP, REJECT_REASON, MESSAGE, CLIENT_IDENTIFIER, POTENTIAL_EXPIRATION],
        (kind::CONNECT, _) => &[
            RELATIONSHIP_NAME,
            MAX_UNACKED,
            RECEIVE_TIMER,
            VENDOR_CLASS,
            PROTOCOL_VERSION,
            TLS_REQUEST,
            MCLT,
            HBA,
        ],
        (kind::CONNECTACK, _) => &[
            RELATIONSHIP_NAME,
            MAX_UNACKED,
            RECEIVE_TIMER,
            VENDOR_CLASS,
            PROTOCOL_VERSION,
            TLS_REPLY,
            REJECT_REASON,
            MESSAGE,
            VENDOR_OPTIONS,
        ],
        (kind::STATE, false) => &[SERVER_STATE, SERVER_FLAGS, START_TIME_OF_STATE],
        (kind::STATE, true) => &[SERVER_STATE, SERVER_FLAGS, START_TIME_OF_STATE, VENDOR_OPTIONS],
        (kind::CONTACT, true) => &[VENDOR_OPTIONS],
        (kind::DISCONNECT, _) => &[REJECT_REASON, MESSAGE],
        _ => &[],
    }
}

fn size_is_right(code: u16, octets: usize) -> bool {
    match code {
        BINDING_STATUS | PROTOCOL_VERSION | REJECT_REASON | SERVER_FLAGS | SERVER_STATE | TLS_REPLY
        | TLS_REQUEST => octets == 1,
        // ISC sends two octets; others were seen to send one.
        IP_FLAGS => octets == 1 || octets == 2,
        ADDRESSES_TRANSFERRED
        | ASSIGNED_IP
        | CLTT
        | LEASE_EXPIRATION
        | MAX_UNACKED
        | MCLT
        | POTENTIAL_EXPIRATION
        | RECEIVE_TIMER
        | START_TIME_OF_STATE => octets == 4,
        // The HBA too: a wrong length is refused with a reason (§1.4), not by closing.
        _ => true,
    }
}

const BNDUPD_EXTENDED: &[u16] = &[
    ASSIGNED_IP,
    BINDING_STATUS,
    CLIENT_IDENTIFIER,
    CLIENT_HARDWARE_ADDRESS,
    LEASE_EXPIRATION,
    POTENTIAL_EXPIRATION,
    START_TIME_OF_STATE,
    CLTT,
    IP_FLAGS,
    // The last two are extensions.
    REQUEST_OPTIONS,
    REPLY_OPTIONS,
];
