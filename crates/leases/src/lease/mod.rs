//! One address and all that this server knows about it.

use std::fmt;
use std::net::Ipv4Addr;

use api::time::UnixTime;

mod encoding;

pub use encoding::DecodeError;

/// Status of a binding, by its value on the wire (`spec/failover-behaviour.md` §6.1).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Status {
    /// 1: for new clients, the primary's.
    #[default]
    Free,
    /// 2: held by a client.
    Active,
    /// 3: ended by time, not yet agreed with the partner.
    Expired,
    /// 4: ended by its client, not yet agreed with the partner.
    Released,
    /// 5: declined, or found in use by somebody else.
    Abandoned,
    /// 6: ended by an operator, not yet agreed with the partner.
    Reset,
    /// 7: for new clients, the secondary's.
    Backup,
}

impl Status {
    /// Every status, in the order of the wire values.
    pub const ALL: [Self; 7] =
        [Self::Free, Self::Active, Self::Expired, Self::Released, Self::Abandoned, Self::Reset, Self::Backup];

    /// The value of option 3.
    #[must_use]
    pub const fn wire(self) -> u8 {
        self as u8 + 1
    }

    /// The status of a wire value, if it is a listed one.
    #[must_use]
    pub fn from_wire(value: u8) -> Option<Self> {
        Self::ALL.get(usize::from(value).checked_sub(1)?).copied()
    }

    /// The name used in listings, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "Free",
            Self::Active => "Active",
            Self::Expired => "Expired",
            Self::Released => "Released",
            Self::Abandoned => "Abandoned",
            Self::Reset => "Reset",
            Self::Backup => "Backup",
        }
    }

    /// Whether a server may give the address to a new client (which one is the owner's matter).
    #[must_use]
    pub const fn is_available(self) -> bool {
        matches!(self, Self::Free | Self::Backup)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Hardware type and address of a client: option 5 of the failover protocol, `htype` and `chaddr` of
/// DHCP. At most 20 octets of address, as ISC dhcpd refuses more.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HardwareAddress {
    /// `htype`; 1 is Ethernet.
    pub kind: u8,
    /// The address itself, `hlen` octets.
    pub octets: Vec<u8>,
}

impl fmt::Display for HardwareAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, octet) in self.octets.iter().enumerate() {
            write!(f, "{}{octet:02x}", if index == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// Who holds or last held an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    /// Hardware type and address.
    pub hardware: HardwareAddress,
    /// Content of option 61 with its type octet, if the client sent one.
    pub id: Option<Vec<u8>>,
}

impl Client {
    /// By what a client is known: option 61 if it sent one, else its hardware address.
    #[must_use]
    pub fn key(&self) -> ClientKey {
        match &self.id {
            Some(id) => ClientKey::Id(id.clone()),
            None => ClientKey::Hardware(self.hardware.clone()),
        }
    }

    /// Whether both are the same client (RFC 2131 §4.2).
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (&self.id, &other.id) {
            (Some(one), Some(two)) => one == two,
            (None, None) => self.hardware == other.hardware,
            _ => false,
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.hardware)?;
        if let Some(id) = &self.id {
            f.write_str(" id ")?;
            for octet in id {
                write!(f, "{octet:02x}")?;
            }
        }
        Ok(())
    }
}

/// The key of a client.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ClientKey {
    /// Content of option 61 with its type octet.
    Id(Vec<u8>),
    /// Hardware type and address.
    Hardware(HardwareAddress),
}

/// Flags of a binding, as in option 12.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flags {
    /// 0x0001: the address is reserved for its client.
    pub reserved: bool,
    /// 0x0002: the client is a BOOTP client.
    pub bootp: bool,
}

/// Whether the partner has the present state of a lease.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sync {
    /// Both sides agree.
    #[default]
    Agreed,
    /// The partner must be told.
    Due,
    /// The partner rejected the present state; it is told again at the next Normal or UPDREQ.
    Rejected,
}

/// One address of a pool or a reservation.
///
/// The times are those of `spec/failover-behaviour.md` §5. A time that was never set is zero.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Status of the binding.
    pub status: Status,
    /// Who holds or last held it.
    pub client: Option<Client>,
    /// What the last ACK to the client said. Never used for a wait.
    pub exp: UnixTime,
    /// Until when the client may believe in the address: the largest `exp` of any ACK by either
    /// server. Never falls while the address is Active for one client.
    pub held_until: UnixTime,
    /// The largest potential expiry ever handed to a socket. Never falls while the address is
    /// Active for one client.
    pub sent_potential: UnixTime,
    /// The potential expiry that the partner acknowledged: what a grant may count on.
    pub acked_potential: UnixTime,
    /// The potential expiry last received from the partner: what a grant may count on.
    pub received_potential: UnixTime,
    /// The largest potential expiry received for this client: what a wait must count with. Of a free address of a dhcpd's:
    /// until when that counts it as promised, to whomever (decision 028).
    pub received_potential_max: UnixTime,
    /// Last contact of the client with this server, or with the partner if that said so.
    pub cltt: Option<UnixTime>,
    /// The copy of the client's last contact came from the partner.
    pub cltt_from_partner: bool,
    /// When the lease, or the present status, began.
    pub starts: UnixTime,
    /// Reserved, BOOTP.
    pub flags: Flags,
    /// Whether the partner has the present state.
    pub sync: Sync,
    /// Number of link ups and downs of this store when the present state was made; odd while a link
    /// was up. See [`Lease::certainly_unsent`].
    pub changed_at_edge: u64,
    /// First leased to its present client in PartnerDown, with the partner silent ever since.
    pub first_in_partner_down: bool,
    /// Both servers agreed that the address was free when its present or last client got it, and nothing was handed to a
    /// socket from then until the present state was made. See [`Lease::is_untold`].
    pub untold: bool,
    /// Not for another client before this time: the frozen bound of PartnerDown (§7.2), the amnesia
    /// hold (§8), or the end of a quarantine.
    pub hold_until: UnixTime,
    /// Host name that the client gave, at most 255 octets.
    pub hostname: Option<String>,
    /// Relay agent information (option 82) of the last request, as received; at most 255 octets.
    pub relay_info: Option<Vec<u8>>,
}

impl Lease {
    /// A free address that nobody ever had.
    #[must_use]
    pub fn new(address: Ipv4Addr) -> Self {
        Self {
            address,
            status: Status::Free,
            client: None,
            exp: UnixTime::ZERO,
            held_until: UnixTime::ZERO,
            sent_potential: UnixTime::ZERO,
            acked_potential: UnixTime::ZERO,
            received_potential: UnixTime::ZERO,
            received_potential_max: UnixTime::ZERO,
            cltt: None,
            cltt_from_partner: false,
            starts: UnixTime::ZERO,
            flags: Flags::default(),
            sync: Sync::Agreed,
            changed_at_edge: 0,
            first_in_partner_down: false,
            untold: false,
            hold_until: UnixTime::ZERO,
            hostname: None,
            relay_info: None,
        }
    }

    /// Whether the present state was certainly never handed to a socket: it was made while no link
    /// was up, and none came up since.
    #[must_use]
    pub fn certainly_unsent(&self, link_edges: u64) -> bool {
        self.changed_at_edge.is_multiple_of(2) && self.changed_at_edge == link_edges
    }

    /// Whether the partner certainly never heard of the lease, nor of its end.
    #[must_use]
    pub fn is_untold(&self, link_edges: u64) -> bool {
        self.untold && self.certainly_unsent(link_edges)
    }

    /// The latest time that the client may believe in, or the partner may have promised (without the
    /// MCLT): what every wait before another client starts from.
    #[must_use]
    pub fn latest_promise(&self) -> UnixTime {
        self.held_until.max(self.sent_potential).max(self.acked_potential).max(self.received_potential_max)
    }
}
