//! The twelve messages as values. What an ISC dhcpd may be sent, and in which order options go, is the
//! codec's matter.

use std::net::Ipv4Addr;

use api::identity::{Lsn, State};
use leases::lease::{Flags, HardwareAddress, Status};

/// A message with its header.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    /// When it was sent, in seconds since the epoch.
    pub time: u32,
    /// Number of the message on its connection; a reply has that of its request.
    pub xid: u32,
    /// What it says.
    pub message: Message,
}

/// The messages in the order of their type octets (§2.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// 1: the sender asks for free addresses.
    PoolReq,
    /// 2: how many addresses will be given.
    PoolResp {
        /// Option 1.
        transferred: u32,
    },
    /// 3: the sender's view of one binding, or of several between own servers.
    BndUpd(Vec<BindingUpdate>),
    /// 4: answers each binding of a BNDUPD, in order.
    BndAck(Vec<BindingAck>),
    /// 5: the primary opens.
    Connect(Connect),
    /// 6: the secondary accepts or refuses.
    ConnectAck(ConnectAck),
    /// 7: the sender wants every binding.
    UpdReqAll,
    /// 8: all that was asked for has been sent and answered.
    UpdDone,
    /// 9: the sender wants every binding that it has not acknowledged.
    UpdReq,
    /// 10: the sender's state.
    State(StateMessage),
    /// 11: the sender is alive.
    Contact {
        /// Option 29, between own servers only.
        extensions: Vec<Extension>,
    },
    /// 12: the sender ends the connection.
    Disconnect(Disconnect),
}

/// One binding of a BNDUPD.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BindingUpdate {
    /// Option 2; `None` if the sender left it out, which is answered with reject reason 3.
    pub address: Option<Ipv4Addr>,
    /// Option 3; `None` if the sender left it out or wrote an unlisted one, which is answered with
    /// reject reason 3.
    pub status: Option<Status>,
    /// Option 4; an empty one is none.
    pub client_id: Option<Vec<u8>>,
    /// Option 5; `None` also for one of less than 2 or more than 21 octets.
    pub hardware: Option<HardwareAddress>,
    /// Option 13.
    pub lease_expiry: Option<u32>,
    /// Option 18.
    pub potential_expiry: Option<u32>,
    /// Option 25.
    pub starts: Option<u32>,
    /// Option 6; zero is none: the sender never heard the client.
    pub cltt: Option<u32>,
    /// Option 12; absent means none.
    pub flags: Flags,
    /// Option 8: options of the client's request, between own servers only.
    pub request_options: Option<Vec<u8>>,
    /// Option 7: options of the reply, between own servers only.
    pub reply_options: Option<Vec<u8>>,
}

/// The answer to one binding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BindingAck {
    /// Option 2; 0.0.0.0 if left out, and in the answer to an update that left it out.
    pub address: Ipv4Addr,
    /// Option 21 and 16; absent means accepted.
    pub reject: Option<Reject>,
    /// Option 4 in the answer: the sender then means its option 18 (§3.5).
    pub client_id: Option<Vec<u8>>,
    /// Option 18 in the answer.
    pub potential_expiry: Option<u32>,
}

/// The primary's opening.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Connect {
    /// Option 22; `None` if left out.
    pub relationship: Option<Vec<u8>>,
    /// Option 14; `None` if left out.
    pub max_unacked: Option<u32>,
    /// Option 19, seconds.
    pub receive_timer: Option<u32>,
    /// Option 28.
    pub vendor_class: Option<Vec<u8>>,
    /// Option 20.
    pub version: Option<u8>,
    /// Option 27.
    pub tls_request: Option<u8>,
    /// Option 15, seconds.
    pub mclt: Option<u32>,
    /// Option 11; kept as received, since a wrong length is refused with reason 18 and not by closing.
    pub hba: Option<Vec<u8>>,
}

/// The secondary's answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConnectAck {
    /// Option 22.
    pub relationship: Option<Vec<u8>>,
    /// Option 14.
    pub max_unacked: Option<u32>,
    /// Option 19, seconds.
    pub receive_timer: Option<u32>,
    /// Option 28.
    pub vendor_class: Option<Vec<u8>>,
    /// Option 20.
    pub version: Option<u8>,
    /// Option 26.
    pub tls_reply: Option<u8>,
    /// Options 21 and 16; present means refused.
    pub reject: Option<Reject>,
    /// Option 29, between own servers only.
    pub extensions: Vec<Extension>,
}

/// The sender's state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StateMessage {
    /// Option 24; a missing one reads as [`State::Unknown`].
    pub state: State,
    /// Bit 0x01 of option 23; a missing one reads as false.
    pub startup: bool,
    /// Option 25: since when.
    pub since: u32,
    /// Option 29, between own servers only.
    pub extensions: Vec<Extension>,
}

/// The end of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Disconnect {
    /// Options 21 and 16.
    pub reject: Option<Reject>,
}

/// Why something was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reject {
    /// Option 21.
    pub reason: RejectReason,
    /// Option 16, for people. Empty means absent.
    pub text: String,
}

/// Reject reasons (§2.5). Unlisted ones survive.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)]
pub enum RejectReason {
    IllegalIpAddress,
    FatalConflict,
    MissingBindingInformation,
    TimeMismatch,
    InvalidMclt,
    Miscellaneous,
    DuplicateConnection,
    InvalidPartner,
    TlsUnsupported,
    TlsUnconfigured,
    TlsRequired,
    DigestUnsupported,
    DigestUnconfigured,
    VersionMismatch,
    OutdatedBindingInformation,
    LessCriticalBindingInformation,
    NoTraffic,
    HashBucketConflict,
    IpNotReserved,
    DigestFailure,
    DigestMissing,
    Unknown,
    Other(u8),
}

/// A sub-option of option 29 (§9), between own servers only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Extension {
    /// 1: bitmap of what the sender can do, see §9.
    Capabilities(u32),
    /// 2: number of updates in flight.
    Window(u32),
    /// 4: digest of the configuration.
    ConfigDigest(Vec<u8>),
    /// 5: what the sender's leases are.
    DatabaseDigest {
        /// Number of addresses that are not agreed upon; only without any does the digest mean anything.
        open: u32,
        /// Digest of all addresses.
        digest: Vec<u8>,
    },
    /// 6: how far the sender's store is, and the highest that it knows of the receiver's.
    Progress {
        /// Epoch of the sender: as loaded in a handshake, as durable later.
        epoch: u64,
        /// Last change.
        lsn: Lsn,
        /// State changes within the epoch.
        transition: u64,
        /// The highest (epoch, LSN) that the sender knows of the receiver.
        partner_epoch: u64,
        /// See `partner_epoch`.
        partner_lsn: Lsn,
    },
    /// 7: when the sender was surely alive last before this start, and since when it knows the receiver
    /// to be down (0: it does not).
    LastOperational {
        /// Seconds since the epoch.
        last_operational: u32,
        /// Seconds since the epoch.
        known_down: u32,
    },
    /// 8: how long a lease of the sender's PartnerDown can be; 0 for the MCLT.
    PartnerDownLease(u32),
    /// 12: count of the engine that answers clients and commits.
    Heartbeat(u64),
    /// 13: what must be remembered by both servers, as JSON (§12.1).
    Ledger(Vec<u8>),
    /// Any other, skipped.
    Other {
        /// Its number.
        code: u16,
        /// Its content.
        data: Vec<u8>,
    },
}
