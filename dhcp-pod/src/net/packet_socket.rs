//! The sockets towards clients and relays.
//!
//! Everything is received by one packet socket with a filter of this pair's own, because several pairs
//! may share a node, an interface and an address, and two UDP sockets on one address get each other's
//! unicast. A UDP socket that receives nothing keeps the port, so that the kernel does not answer
//! relays with "port unreachable", and sends to everybody who has an address.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd};

use server::{Destination, ReplyBuf};
use socket2::{Domain, Protocol, Socket, Type};

use super::datagram::{self, Datagram, SERVER_PORT};
use super::{filter, sys};

const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
const ETHERNET_BROADCAST: [u8; 6] = [0xff; 6];

/// What the sockets towards clients could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The interface does not exist.
    #[error("no interface {interface:?} on this host")]
    NoInterface {
        /// Its name.
        interface: String,
    },
    /// The interface has no IPv4 address, and none was given.
    #[error("interface {interface:?} has no IPv4 address; give one with --address or pod.address")]
    NoAddress {
        /// Its name.
        interface: String,
    },
    /// The list of addresses could not be read.
    #[error("reading the addresses of the interfaces")]
    Addresses(#[source] io::Error),
    /// A socket could not be opened or configured.
    #[error("{step}")]
    Open {
        /// What was being done.
        step: &'static str,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// The port is kept by somebody who does not share it, or the address is not on this host.
    #[error("binding UDP {address}: {source} (is the address on this host, and no other DHCP server?)")]
    Bind {
        /// Address and port.
        address: SocketAddrV4,
        /// The system's words.
        source: io::Error,
    },
    /// Packets could not be received.
    #[error("receiving packets")]
    Receive(#[source] io::Error),
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::NoInterface { .. } => "no_interface",
            Self::NoAddress { .. } => "no_address",
            Self::Addresses(_) => "addresses",
            Self::Open { .. } => "open",
            Self::Bind { .. } => "bind",
            Self::Receive(_) => "receive",
        }
    }
}

/// First IPv4 address of an interface.
pub fn first_address(interface: &str) -> Result<Ipv4Addr, Error> {
    interface_index(interface)?;
    let mut addresses = nix::ifaddrs::getifaddrs().map_err(|error| Error::Addresses(error.into()))?;
    addresses
        .find_map(|entry| {
            let address = entry.address?;
            (entry.interface_name == interface).then(|| address.as_sockaddr_in().map(|found| found.ip()))?
        })
        .ok_or_else(|| Error::NoAddress { interface: interface.to_owned() })
}

/// A packet as received: its datagram, or the reason it was dropped as a metric label.
pub type Arrival<'a> = Result<Datagram<'a>, &'static str>;

/// How sending a set of replies went.
#[derive(Debug, Default)]
pub struct Sent {
    /// Replies that the kernel took.
    pub sent: usize,
    /// Replies that it refused.
    pub failed: usize,
    /// Its words about the last of these.
    pub error: Option<io::Error>,
}

/// The sockets of one server towards its clients.
pub struct PacketSocket {
    interface: String,
    index: u32,
    address: Ipv4Addr,
    raw: Socket,
    udp: Socket,
    receiver: sys::Receiver,
}

impl PacketSocket {
    /// Opens both sockets. Needs the capabilities NET_RAW and NET_BIND_SERVICE.
    pub fn open(interface: &str, address: Ipv4Addr) -> Result<Self, Error> {
        let index = interface_index(interface)?;
        Ok(Self {
            interface: interface.to_owned(),
            index,
            address,
            raw: open_raw(index, address)?,
            udp: open_keeper(address)?,
            receiver: sys::Receiver::default(),
        })
    }

    /// What to poll for readability.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.raw.as_fd()
    }

    /// Receives one batch without blocking and shows each packet to `see`. Answers how many there were.
    pub fn receive(&mut self, mut see: impl FnMut(Arrival<'_>)) -> Result<usize, Error> {
        let count = self.receiver.receive(self.raw.as_fd()).map_err(Error::Receive)?;
        for packet in self.receiver.packets() {
            if packet.truncated {
                see(Err("too_long"));
            } else {
                see(datagram::parse(packet.bytes, packet.checksum_pending).map_err(datagram::Error::class));
            }
        }
        Ok(count)
    }

    /// Sends replies without blocking. What the kernel has no room for is lost, as on any network; the
    /// client asks again.
    pub fn send(&self, replies: &[ReplyBuf]) -> Sent {
        let mut frames: Vec<([u8; 6], Vec<u8>)> = Vec::new();
        let mut datagrams: Vec<(SocketAddrV4, &[u8])> = Vec::new();
        let mut result = Sent::default();
        for reply in replies {
            let (hardware, address) = match reply.to {
                Destination::Unicast { address, port } => {
                    datagrams.push((SocketAddrV4::new(address, port), &reply.bytes));
                    continue;
                }
                Destination::Broadcast => (ETHERNET_BROADCAST, Ipv4Addr::BROADCAST),
                Destination::Hardware { octets, address } => (octets, address),
            };
            match datagram::build(self.address, address, &reply.bytes) {
                Some(packet) => frames.push((hardware, packet)),
                None => result.failed += 1,
            }
        }
        let frames: Vec<_> = frames.iter().map(|(to, bytes)| (*to, bytes.as_slice())).collect();
        result.add_all(&frames, |rest| sys::send_frames(self.raw.as_fd(), self.index, rest));
        result.add_all(&datagrams, |rest| sys::send_datagrams(self.udp.as_fd(), rest));
        result
    }

    /// Packets that the kernel dropped since the last call because the server was slower than they came.
    #[must_use]
    pub fn kernel_drops(&self) -> u32 {
        sys::packet_drops(self.raw.as_fd()).unwrap_or(0)
    }

    /// Opens the packet socket anew if the interface was removed and made again meanwhile: a socket
    /// stays bound to the old one for ever. Answers whether it did.
    pub fn follow_interface(&mut self) -> Result<bool, Error> {
        let index = interface_index(&self.interface)?;
        if index == self.index {
            return Ok(false);
        }
        self.raw = open_raw(index, self.address)?;
        self.index = index;
        Ok(true)
    }
}

impl Sent {
    /// One reply that cannot be sent must not take those behind it along.
    fn add_all<T>(&mut self, mut rest: &[T], mut send: impl FnMut(&[T]) -> (usize, io::Result<()>)) {
        while !rest.is_empty() {
            let (sent, outcome) = send(rest);
            self.sent += sent;
            rest = &rest[sent.min(rest.len())..];
            if let Err(error) = outcome {
                // Without room for one there is none for the next.
                let skipped =
                    if error.kind() == io::ErrorKind::WouldBlock { rest.len() } else { rest.len().min(1) };
                self.failed += skipped;
                self.error = Some(error);
                rest = &rest[skipped..];
            }
        }
    }
}

fn interface_index(interface: &str) -> Result<u32, Error> {
    nix::net::if_::if_nametoindex(interface)
        .map_err(|_| Error::NoInterface { interface: interface.to_owned() })
}

fn open_raw(index: u32, address: Ipv4Addr) -> Result<Socket, Error> {
    let failed = |step| move |source| Error::Open { step, source };
    let raw = Socket::new(Domain::PACKET, Type::DGRAM, None)
        .map_err(failed("opening a packet socket (capability NET_RAW?)"))?;
    raw.attach_filter(&filter::dhcp_for(address)).map_err(failed("attaching the packet filter"))?;
    sys::enable_auxdata(raw.as_fd()).map_err(failed("asking for checksum status"))?;
    raw.set_nonblocking(true).map_err(failed("making the packet socket non-blocking"))?;
    // The kernel may give less; that only makes bursts shorter.
    let _ = raw.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    sys::bind_packet(raw.as_fd(), index).map_err(failed("binding the packet socket to the interface"))?;
    Ok(raw)
}

fn open_keeper(address: Ipv4Addr) -> Result<Socket, Error> {
    let failed = |step| move |source| Error::Open { step, source };
    let udp = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))
        .map_err(failed("opening a UDP socket"))?;
    udp.set_reuse_address(true).map_err(failed("sharing the UDP port"))?;
    udp.attach_filter(&filter::nothing()).map_err(failed("attaching the UDP filter"))?;
    udp.set_nonblocking(true).map_err(failed("making the UDP socket non-blocking"))?;
    let address = SocketAddrV4::new(address, SERVER_PORT);
    udp.bind(&address.into()).map_err(|source| Error::Bind { address, source })?;
    Ok(udp)
}
