//! The raw, checked view of what clients and relays send (RFC 2131 §2, RFC 2132).
//!
//! Nothing is copied: a [`Packet`] borrows the octets and finds an option by walking over them.
//! Three choices about bad input:
//!
//! - An option that reaches beyond its field hides only itself and what comes after it in that field:
//!   the options before it stay usable, and [`Packet::truncated`] tells. Clients with a broken last
//!   option exist, and they are served. If the message type is hidden by it, the packet is refused.
//! - A wrong length of an option that decides what a message means (50, 53, 54), or whom it is from
//!   or passes through (61, 82), refuses the packet; any other option of wrong length counts as absent.
//! - An octet string that is repeated is one option in several parts (RFC 3396 §7), also across
//!   the fields `file` and `sname` where option 52 says that they hold options.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use leases::lease::{Client, HardwareAddress};

use crate::message::{MessageType, code, field};
use crate::text;
use crate::walk::Walk;

/// Longest content of option 61 and of option 82, in octets.
const CONTENT_LEN_MAX: usize = 255;

/// Why octets are no packet that a server may answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Shorter than the fixed fields and the magic cookie.
    #[error("{len} octets are too few for the header and the magic cookie, which take 240")]
    TooShort {
        /// Length of the packet.
        len: usize,
    },
    /// A server's reply, or nothing that the protocol knows.
    #[error("op {op} is not BOOTREQUEST")]
    NotRequest {
        /// Value of the field.
        op: u8,
    },
    /// `hlen` is above the 16 octets of `chaddr`, or not 6 for Ethernet.
    #[error("hlen {hlen} does not fit htype {htype}")]
    HardwareLength {
        /// Value of the field.
        htype: u8,
        /// Value of the field.
        hlen: u8,
    },
    /// The options do not begin with the magic cookie.
    #[error("no magic cookie")]
    NoCookie,
    /// An option that decides what the packet means has a length that it cannot have.
    #[error("option {code} has {len} octets")]
    OptionLength {
        /// Code of the option.
        code: u8,
        /// Length of all its parts together.
        len: usize,
    },
    /// An option reaches beyond its field, and no message type was found elsewhere.
    #[error("option {code} at offset {offset} is truncated and no message type was read")]
    Truncated {
        /// Code of the option.
        code: u8,
        /// Offset of the code in the packet.
        offset: usize,
    },
}

impl PacketError {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => "too_short",
            Self::NotRequest { .. } => "not_request",
            Self::HardwareLength { .. } => "hardware_length",
            Self::NoCookie => "no_cookie",
            Self::OptionLength { .. } => "option_length",
            Self::Truncated { .. } => "truncated",
        }
    }
}

/// An option that reaches beyond its field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Truncated {
    /// Code of the option.
    pub code: u8,
    /// Offset of the code in the packet.
    pub offset: usize,
}

/// What kind of packet it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// No option 53: a BOOTP request (RFC 1534 §2). Not served; dropped and counted.
    Bootp,
    /// A DHCP message.
    Dhcp(MessageType),
}

/// A packet that passed the checks of [`Packet::parse`].
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    octets: &'a [u8],
    kind: Kind,
    /// Whether `file` and `sname` hold options.
    overload: Overload,
    truncated: Option<Truncated>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Overload {
    file: bool,
    sname: bool,
}

impl<'a> Packet<'a> {
    /// Checks the payload of a UDP datagram.
    pub fn parse(octets: &'a [u8]) -> Result<Self, PacketError> {
        if octets.len() < field::OPTIONS {
            return Err(PacketError::TooShort { len: octets.len() });
        }
        let mut packet = Self { octets, kind: Kind::Bootp, overload: Overload::default(), truncated: None };
        if packet.op() != field::BOOTREQUEST {
            return Err(PacketError::NotRequest { op: packet.op() });
        }
        let (htype, hlen) = (packet.htype(), packet.hlen());
        let is_wrong_for_ethernet = htype == field::ETHERNET && usize::from(hlen) != field::ETHERNET_LEN;
        if usize::from(hlen) > field::CHADDR_LEN || is_wrong_for_ethernet {
            return Err(PacketError::HardwareLength { htype, hlen });
        }
        if octets.get(field::COOKIE) != Some(&field::MAGIC[..]) {
            return Err(PacketError::NoCookie);
        }
        packet.survey()?;
        Ok(packet)
    }

    /// First field: always BOOTREQUEST, 1.
    #[must_use]
    pub fn op(&self) -> u8 {
        self.octet(0)
    }

    /// Hardware type; 1 is Ethernet.
    #[must_use]
    pub fn htype(&self) -> u8 {
        self.octet(1)
    }

    /// Length of the hardware address, 0 to 16; 6 for Ethernet.
    #[must_use]
    pub fn hlen(&self) -> u8 {
        self.octet(2)
    }

    /// How many relays the packet passed.
    #[must_use]
    pub fn hops(&self) -> u8 {
        self.octet(3)
    }

    /// Transaction id, chosen by the client.
    #[must_use]
    pub fn xid(&self) -> u32 {
        u32::from_be_bytes(self.array(4))
    }

    /// Seconds since the client began, by its own account. Some clients swap the two octets.
    #[must_use]
    pub fn secs(&self) -> u16 {
        u16::from_be_bytes(self.array(field::SECS))
    }

    /// Whether the client asks for replies by broadcast (RFC 2131 §4.1).
    #[must_use]
    pub fn broadcast_flag(&self) -> bool {
        self.flags() & field::BROADCAST_FLAG != 0
    }

    /// Flags; only the highest bit has a meaning.
    #[must_use]
    pub fn flags(&self) -> u16 {
        u16::from_be_bytes(self.array(field::FLAGS))
    }

    /// The address that the client uses and answers ARP for.
    #[must_use]
    pub fn ciaddr(&self) -> Ipv4Addr {
        self.address(field::CIADDR)
    }

    /// "Your address"; without meaning in a request.
    #[must_use]
    pub fn yiaddr(&self) -> Ipv4Addr {
        self.address(field::YIADDR)
    }

    /// Boot server; without meaning in a request.
    #[must_use]
    pub fn siaddr(&self) -> Ipv4Addr {
        self.address(field::SIADDR)
    }

    /// Address of the first relay on the client's link; unspecified if the packet was not relayed.
    #[must_use]
    pub fn giaddr(&self) -> Ipv4Addr {
        self.address(field::GIADDR)
    }

    /// Whether the packet came through a relay that wants the reply.
    #[must_use]
    pub fn is_relayed(&self) -> bool {
        !self.giaddr().is_unspecified()
    }

    /// Hardware address, `hlen` octets.
    #[must_use]
    pub fn chaddr(&self) -> &'a [u8] {
        self.octets.get(field::CHADDR..field::CHADDR + usize::from(self.hlen())).unwrap_or_default()
    }

    /// BOOTP or DHCP.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Content of option 53; `None` for BOOTP.
    #[must_use]
    pub fn message_type(&self) -> Option<MessageType> {
        match self.kind {
            Kind::Bootp => None,
            Kind::Dhcp(message_type) => Some(message_type),
        }
    }

    /// The first option that reached beyond its field. It and what came after it in that field is
    /// not seen by any accessor.
    #[must_use]
    pub fn truncated(&self) -> Option<Truncated> {
        self.truncated
    }

    /// Content of an option; the parts of a repeated one are joined (RFC 3396 §7). Copies only then.
    #[must_use]
    pub fn option(&self, code: u8) -> Option<Cow<'a, [u8]>> {
        let mut parts = self.options().filter(|(other, _)| *other == code).map(|(_, content)| content);
        let mut whole = Cow::Borrowed(parts.next()?);
        for part in parts {
            whole.to_mut().extend_from_slice(part);
        }
        Some(whole)
    }

    /// Every option as received, repeated ones separately, in the order in which they are to be read:
    /// the option field, then `file` and `sname` if option 52 says so.
    pub fn options(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let [main, file, sname] = self.fields();
        Walk::new(main.1).chain(Walk::new(file.1)).chain(Walk::new(sname.1))
    }

    /// Who sent the packet: hardware address, and option 61 unless it is empty.
    #[must_use]
    pub fn client(&self) -> Client {
        Client {
            hardware: HardwareAddress { kind: self.htype(), octets: self.chaddr().to_vec() },
            id: self.client_id().map(Cow::into_owned),
        }
    }

    /// Option 61 with its type octet, 1 to 255 octets. An empty one counts as absent.
    #[must_use]
    pub fn client_id(&self) -> Option<Cow<'a, [u8]>> {
        self.option(code::CLIENT_ID).filter(|id| !id.is_empty())
    }

    /// Option 50 as received; some clients send 0.0.0.0.
    #[must_use]
    pub fn requested_ip(&self) -> Option<Ipv4Addr> {
        self.address_option(code::REQUESTED_IP)
    }

    /// Option 54: the server that the client means.
    #[must_use]
    pub fn server_id(&self) -> Option<Ipv4Addr> {
        self.address_option(code::SERVER_ID)
    }

    /// Option 51: the lease length that the client would like, in seconds; `u32::MAX` is without end.
    #[must_use]
    pub fn lease_time(&self) -> Option<u32> {
        self.option(code::LEASE_TIME)?.as_ref().try_into().ok().map(u32::from_be_bytes)
    }

    /// Option 55: codes that the client wants, most wanted first.
    #[must_use]
    pub fn parameter_list(&self) -> Option<Cow<'a, [u8]>> {
        self.option(code::PARAMETER_LIST)
    }

    /// Option 57: longest datagram that the client takes, in octets with IP and UDP headers, as
    /// received; legal from 576 (RFC 2132 §9.10).
    #[must_use]
    pub fn max_size(&self) -> Option<u16> {
        self.option(code::MAX_SIZE)?.as_ref().try_into().ok().map(u16::from_be_bytes)
    }

    /// Option 12, cleaned: without control characters, 1 to 255 octets.
    #[must_use]
    pub fn hostname(&self) -> Option<String> {
        text::clean(&self.option(code::HOST_NAME)?)
    }

    /// The name in option 81 (RFC 4702), dotted, cleaned as [`hostname`](Self::hostname) is. May be
    /// unqualified.
    #[must_use]
    pub fn fqdn(&self) -> Option<String> {
        text::fqdn(&self.option(code::FQDN)?)
    }

    /// Option 60, raw.
    #[must_use]
    pub fn vendor_class(&self) -> Option<Cow<'a, [u8]>> {
        self.option(code::VENDOR_CLASS)
    }

    /// Option 82, raw, at most 255 octets (RFC 3046).
    #[must_use]
    pub fn relay_info(&self) -> Option<Cow<'a, [u8]>> {
        self.option(code::RELAY_INFO)
    }

    /// Sub-option 5 of option 82: the relay's word on which link the client is (RFC 3527).
    #[must_use]
    pub fn link_selection(&self) -> Option<Ipv4Addr> {
        let info = self.relay_info()?;
        // Sub-options know neither PAD nor END (RFC 3046 §2.0), so this is not a `Walk`.
        let mut rest = info.as_ref();
        while let [sub, len, after @ ..] = rest {
            let (content, next) = after.split_at_checked(usize::from(*len))?;
            if *sub == code::LINK_SELECTION {
                return address(content);
            }
            rest = next;
        }
        None
    }

    /// Option 118: the subnet on which the client wants its address (RFC 3011).
    #[must_use]
    pub fn subnet_selection(&self) -> Option<Ipv4Addr> {
        self.address_option(code::SUBNET_SELECTION)
    }

    /// One walk over all options: message type, overload, faults and fatal lengths.
    fn survey(&mut self) -> Result<(), PacketError> {
        if let [bits] = self.option_in_main_field(code::OVERLOAD) {
            self.overload = Overload { file: bits & 1 != 0, sname: bits & 2 != 0 };
        }
        let mut lengths = [0; DECIDING.len()];
        let mut seen = [false; DECIDING.len()];
        let mut message_type = None;
        for (start, field) in self.fields() {
            let mut walk = Walk::new(field);
            for (code, content) in walk.by_ref() {
                let Some(index) = DECIDING.iter().position(|(deciding, _)| *deciding == code) else {
                    continue;
                };
                lengths[index] += content.len();
                seen[index] = true;
                if code == code::MESSAGE_TYPE {
                    message_type = message_type.or_else(|| content.first().copied());
                }
            }
            let fault =
                walk.fault().map(|fault| Truncated { code: fault.code, offset: start + fault.offset });
            self.truncated = self.truncated.or(fault);
        }
        for (((code, legal), len), seen) in DECIDING.into_iter().zip(lengths).zip(seen) {
            if seen && !(legal.0..=legal.1).contains(&len) {
                return Err(PacketError::OptionLength { code, len });
            }
        }
        self.kind = match (message_type, self.truncated) {
            (Some(value), _) => Kind::Dhcp(MessageType::from_wire(value)),
            (None, None) => Kind::Bootp,
            (None, Some(Truncated { code, offset })) => return Err(PacketError::Truncated { code, offset }),
        };
        Ok(())
    }

    /// The fields that hold options, each with its offset, in the order of RFC 3396 §5; those that
    /// are not in use are empty.
    fn fields(&self) -> [(usize, &'a [u8]); 3] {
        let used = |is_used: bool, range: std::ops::Range<usize>| {
            let octets = if is_used { self.octets.get(range.clone()) } else { None };
            (range.start, octets.unwrap_or_default())
        };
        [
            used(true, field::OPTIONS..self.octets.len()),
            used(self.overload.file, field::FILE),
            used(self.overload.sname, field::SNAME),
        ]
    }

    /// The first part of an option of the option field, empty if there is none.
    fn option_in_main_field(&self, code: u8) -> &'a [u8] {
        let mut walk = Walk::new(self.octets.get(field::OPTIONS..).unwrap_or_default());
        walk.find(|(other, _)| *other == code).map(|(_, content)| content).unwrap_or_default()
    }

    fn address_option(&self, code: u8) -> Option<Ipv4Addr> {
        address(&self.option(code)?)
    }

    fn address(&self, at: usize) -> Ipv4Addr {
        Ipv4Addr::from(self.array::<4>(at))
    }

    fn octet(&self, at: usize) -> u8 {
        self.array::<1>(at)[0]
    }

    /// Octets of the fixed fields, which `parse` found to be there.
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.octets.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
    }
}

/// Options whose length refuses a packet, each with its least and its greatest length.
const DECIDING: [(u8, (usize, usize)); 5] = [
    (code::REQUESTED_IP, (4, 4)),
    (code::MESSAGE_TYPE, (1, 1)),
    (code::SERVER_ID, (4, 4)),
    (code::CLIENT_ID, (0, CONTENT_LEN_MAX)),
    (code::RELAY_INFO, (0, CONTENT_LEN_MAX)),
];

fn address(content: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(content).ok().map(Ipv4Addr::from)
}
