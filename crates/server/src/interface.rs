//! The types that cross the border between the server and its driver.

use std::net::Ipv4Addr;

use api::config::PairConfig;
use api::force::{Fence, FenceAccepted, ForceRequest};
use api::identity::{Role, State, StoreStamp};
use api::pair::PairManifest;
use api::status::{BootstrapToken, ConfigAccepted, RequestStatus};
use api::time::UnixTime;
use dhcp::reply::Destination;

/// What a server needs to start.
#[derive(Clone, Debug)]
pub struct Boot {
    /// Which of the two servers this is.
    pub role: Role,
    /// The pair as given, kept as the last good configuration.
    pub manifest: PairManifest,
    /// The same, checked.
    pub config: PairConfig,
    /// Own address: server identifier (option 54) and end of the link.
    pub address: Ipv4Addr,
    /// Version of the software, for status.
    pub version: String,
    /// UID of the claim or content of `volume-id`: what a bootstrap token must name.
    pub volume_uid: Option<String>,
    /// The word that this is a brand-new pair, if there is one.
    pub token: Option<BootstrapToken>,
    /// The fact that the partner was let go into PartnerDown, if the operator left one.
    pub fence: Option<Fence>,
    /// Epoch and last change of the store as opened, before anything new is written.
    pub loaded: StoreStamp,
    /// The volume held a store before, and holds none now: no token makes it new.
    pub store_lost: bool,
}

/// How a packet arrived.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RxMeta {
    /// Source of the IP packet.
    pub source: Ipv4Addr,
    /// Destination of the IP packet: the server's address, or a broadcast.
    pub destination: Ipv4Addr,
}

/// A reply that may leave now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReplyBuf {
    /// Payload of the UDP datagram. Cleared and filled by `poll_reply`.
    pub bytes: Vec<u8>,
    /// Where it goes, from port 67 of the server's address.
    pub to: Destination,
}

impl Default for ReplyBuf {
    fn default() -> Self {
        Self { bytes: Vec::new(), to: Destination::Broadcast }
    }
}

/// A TCP connection, numbered by the driver; a number is never used twice in a process.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnId(pub u64);

/// What happened on a connection with the partner.
#[derive(Clone, Copy, Debug)]
pub enum LinkEvent<'a> {
    /// It is established; its other end is the configured partner (by address, and by certificate
    /// where the link is `MutualTLS`).
    Up,
    /// These octets arrived.
    Bytes(&'a [u8]),
    /// It is gone, for whatever reason.
    Down,
}

/// What the driver must do about connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LinkOrder {
    /// Connect to the partner, in the background. Failure is reported by [`crate::Server::dial_failed`].
    Dial,
    /// Close this one once what `poll_link` still gives for it has been written.
    Close(ConnId),
}

/// Names a command, so that its answer can find back to the one who asked.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CommandId(pub u64);

/// What an operator or the process itself asks of a server.
#[derive(Clone, Debug)]
pub enum Command {
    /// Take over another configuration. It was checked; what cannot change while running is refused.
    Configure(Box<(PairManifest, PairConfig)>),
    /// Here is the word that the volume belongs to a brand-new pair.
    Bootstrap(BootstrapToken),
    /// Stop answering, tell the partner, keep the state for the next start (SIGTERM).
    Pause,
    /// Enter a state, at most once for each request id.
    Force(Box<ForceRequest>, Caller),
    /// The partner may be, or was, let go into PartnerDown.
    Fence(Fence),
    /// The operator's word of the highest that it saw of this store.
    Highest(StoreStamp),
    /// Remember how far a request is: Fencing, AwaitingEvidence, Superseded or Refused.
    Note(RequestStatus),
    /// All requests that this server knows of.
    Requests,
    /// End a binding.
    Reset {
        /// Its address.
        address: Ipv4Addr,
        /// The caller vouches that no client uses it.
        unused: bool,
    },
}

/// Who forces a state; the driver tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caller {
    /// By the operator's certificate: it has looked for evidence and compared stores.
    Operator,
    /// A human on the unix socket, on a loopback address or offline.
    Human,
}

/// The answer to a command; given once everything that it says is durable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// The configuration is in force.
    Configured(ConfigAccepted),
    /// The token was used.
    Bootstrapped,
    /// Everything has been said; the process may end.
    Paused,
    /// What became of a request: the first answer that its id ever got.
    Request(Box<RequestStatus>),
    /// The fence that is held.
    Fenced(FenceAccepted),
    /// The store was compared with what the operator saw.
    Compared,
    /// Requests, newest first.
    Requests(Vec<RequestStatus>),
    /// The binding of this address has ended.
    Reset(Ipv4Addr),
    /// Nothing changed, and why.
    Refused {
        /// Stable label for metrics.
        class: &'static str,
        /// For people: what was wrong, where, and what to do.
        message: String,
    },
}

/// A fact for log, status and metrics.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The server changed its state.
    StateChanged {
        /// Before.
        from: State,
        /// Now.
        to: State,
        /// Why, for people.
        why: String,
    },
    /// The partner said another state.
    PartnerChanged {
        /// Before, if known.
        from: Option<State>,
        /// Now.
        to: State,
        /// It seeks us and is not serving yet.
        startup: bool,
    },
    /// Connection with the partner established and its state heard.
    LinkUp {
        /// Software of the partner as it names itself.
        vendor: String,
    },
    /// Connection with the partner lost or refused.
    LinkDown {
        /// Stable label for metrics.
        class: &'static str,
        /// The protocol's reason, for people.
        why: String,
    },
    /// An update was rejected, by us or by the partner.
    Rejected {
        /// The binding.
        address: Ipv4Addr,
        /// Whether it was the partner that rejected.
        by_partner: bool,
        /// Option 21.
        reason: u8,
        /// For people.
        why: String,
    },
    /// A lease was declined or found in use.
    Abandoned {
        /// The binding.
        address: Ipv4Addr,
        /// Who declined.
        client: String,
    },
    /// Free addresses changed owner.
    PoolBalanced {
        /// Given to the partner.
        given: u32,
        /// Taken back.
        reclaimed: u32,
    },
    /// Nobody can be served in this subnet any more.
    PoolEmpty {
        /// The subnet.
        subnet: String,
        /// The partner still has free addresses.
        partner_has: u32,
    },
    /// Another configuration is in force.
    Configured {
        /// Its digest.
        digest: String,
    },
    /// The store is lost, restored from a backup, or otherwise behind what the partner knows.
    StoreBehind {
        /// What was found.
        why: String,
    },
    /// The store failed; nothing is answered any more until the process starts again.
    StorageFailed {
        /// The store's words.
        why: String,
    },
    /// Something that a person on call should read.
    Notice {
        /// Stable label for metrics.
        class: &'static str,
        /// For people.
        text: String,
    },
    /// When the state of a waiting server will change by itself.
    WaitingUntil {
        /// The end.
        until: UnixTime,
        /// What it waits for.
        why: String,
    },
}
