//! The few system calls that no crate wraps safely: binding and configuring a packet socket, and
//! `recvmmsg`/`sendmmsg` with its addresses and auxiliary data.
//!
//! All `unsafe` of the process is in this file. Every pointer handed to the kernel here points into a
//! buffer that outlives the call.
#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Most packets of one system call.
pub const BATCH_MAX: usize = 64;
/// Longest packet that is received whole; DHCP messages on Ethernet are at most 1500 octets.
pub const PACKET_BYTES_MAX: usize = 4096;

const ETH_P_IP: u16 = libc::ETH_P_IP as u16;

/// Binds a packet socket to an interface and to IPv4. Until then it has protocol 0 and receives
/// nothing, so that nothing slips in before the filter is attached.
///
/// The protocol matters: unlike `ETH_P_ALL`, IPv4 is delivered after VLAN handling, so a tagged packet
/// reaches only the socket on its VLAN's own interface, and never what this host sends itself.
pub fn bind_packet(socket: BorrowedFd<'_>, interface_index: u32) -> io::Result<()> {
    let address = link_address(interface_index, None)?;
    // SAFETY: `address` is an initialised sockaddr_ll and the length is its own.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    check(result)
}

/// Asks for `tpacket_auxdata` with each packet: whether its checksum is filled in yet.
pub fn enable_auxdata(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option takes an int; pointer and length are those of `on`.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_AUXDATA,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    check(result)
}

/// Packets that the kernel dropped for want of room since the last call.
pub fn packet_drops(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut stats = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut len = size_of::<libc::tpacket_stats>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` octets into `stats`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut stats).cast(),
            &raw mut len,
        )
    };
    check(result).map(|()| stats.tp_drops)
}

/// Room for one `recvmmsg`.
pub struct Receiver {
    bytes: Box<[[u8; PACKET_BYTES_MAX]]>,
    control: Box<[Control]>,
    received: Vec<(usize, bool, bool)>,
}

/// Aligned room for one control message of `tpacket_auxdata`.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Control([u8; 64]);

/// A packet as the socket gave it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// From the IP header on.
    pub bytes: &'a [u8],
    /// It was longer than the buffer.
    pub truncated: bool,
    /// The checksum is to be filled in by hardware that the packet never passed.
    pub checksum_pending: bool,
}

impl Default for Receiver {
    fn default() -> Self {
        Self {
            bytes: vec![[0; PACKET_BYTES_MAX]; BATCH_MAX].into_boxed_slice(),
            control: vec![Control([0; 64]); BATCH_MAX].into_boxed_slice(),
            received: Vec::with_capacity(BATCH_MAX),
        }
    }
}

impl Receiver {
    /// Receives what waits, at most [`BATCH_MAX`] packets, without blocking. 0 if nothing waits.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.received.clear();
        // SAFETY: all-zero is a valid iovec and a valid mmsghdr (null pointers of length zero).
        let mut vectors: [libc::iovec; BATCH_MAX] = unsafe { zeroed() };
        let mut headers: [libc::mmsghdr; BATCH_MAX] = unsafe { zeroed() };
        for index in 0..BATCH_MAX {
            vectors[index] =
                libc::iovec { iov_base: self.bytes[index].as_mut_ptr().cast(), iov_len: PACKET_BYTES_MAX };
            let header = &mut headers[index].msg_hdr;
            header.msg_iov = &raw mut vectors[index];
            header.msg_iovlen = 1;
            header.msg_control = self.control[index].0.as_mut_ptr().cast();
            header.msg_controllen = size_of::<Control>() as _;
        }
        // SAFETY: every header points to its own buffers, which live in `self` and on this stack.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH_MAX as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let count = match usize::try_from(count) {
            Ok(count) => count,
            Err(_) => match io::Error::last_os_error() {
                error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => 0,
                error => return Err(error),
            },
        };
        for header in &headers[..count.min(BATCH_MAX)] {
            let truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            let len = (header.msg_len as usize).min(PACKET_BYTES_MAX);
            self.received.push((len, truncated, checksum_pending(&header.msg_hdr)));
        }
        Ok(self.received.len())
    }

    /// What the last [`receive`](Self::receive) gave.
    pub fn packets(&self) -> impl Iterator<Item = Received<'_>> {
        self.received.iter().zip(&self.bytes).map(|(&(len, truncated, checksum_pending), bytes)| Received {
            bytes: &bytes[..len],
            truncated,
            checksum_pending,
        })
    }
}

fn checksum_pending(header: &libc::msghdr) -> bool {
    // SAFETY: the kernel filled in the control buffer and its length; the macros stay within them, and
    // the message's own length is checked before its content is read.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(found) = message.as_ref() {
            let long_enough =
                found.cmsg_len as u64 >= u64::from(libc::CMSG_LEN(size_of::<libc::tpacket_auxdata>() as u32));
            if found.cmsg_level == libc::SOL_PACKET && found.cmsg_type == libc::PACKET_AUXDATA && long_enough
            {
                let aux: libc::tpacket_auxdata =
                    libc::CMSG_DATA(message).cast::<libc::tpacket_auxdata>().read_unaligned();
                return aux.tp_status & libc::TP_STATUS_CSUMNOTREADY != 0;
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    false
}

/// Sends UDP datagrams in order, without blocking. Answers how many the kernel took; the error is that
/// of the first one it refused.
pub fn send_datagrams(
    socket: BorrowedFd<'_>,
    datagrams: &[(SocketAddrV4, &[u8])],
) -> (usize, io::Result<()>) {
    let messages: Vec<_> = datagrams
        .iter()
        .map(|(to, bytes)| {
            // SAFETY: all-zero is a valid sockaddr_in.
            let mut address: libc::sockaddr_in = unsafe { zeroed() };
            address.sin_family = libc::AF_INET as libc::sa_family_t;
            address.sin_port = to.port().to_be();
            address.sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
            (address, *bytes)
        })
        .collect();
    send(socket, &messages)
}

/// Sends IP packets in order in frames to the given Ethernet addresses, without blocking. The kernel
/// writes the frame's header. Answers as [`send_datagrams`] does.
pub fn send_frames(
    socket: BorrowedFd<'_>,
    interface_index: u32,
    frames: &[([u8; 6], &[u8])],
) -> (usize, io::Result<()>) {
    let mut messages = Vec::with_capacity(frames.len());
    for (hardware, bytes) in frames {
        match link_address(interface_index, Some(*hardware)) {
            Ok(address) => messages.push((address, *bytes)),
            Err(error) => return (0, Err(error)),
        }
    }
    send(socket, &messages)
}

/// `A` is the plain C structure of a socket address.
fn send<A: Copy>(socket: BorrowedFd<'_>, messages: &[(A, &[u8])]) -> (usize, io::Result<()>) {
    let mut sent = 0;
    for chunk in messages.chunks(BATCH_MAX) {
        // SAFETY: as in `Receiver::receive`.
        let mut vectors: [libc::iovec; BATCH_MAX] = unsafe { zeroed() };
        let mut headers: [libc::mmsghdr; BATCH_MAX] = unsafe { zeroed() };
        for (index, (address, bytes)) in chunk.iter().enumerate() {
            // The kernel only reads from these two, whatever the pointer's type says.
            vectors[index] = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            let header = &mut headers[index].msg_hdr;
            header.msg_name = (&raw const *address).cast_mut().cast();
            header.msg_namelen = size_of::<A>() as libc::socklen_t;
            header.msg_iov = &raw mut vectors[index];
            header.msg_iovlen = 1;
        }
        let mut done = 0;
        while done < chunk.len() {
            // SAFETY: the first `chunk.len()` headers are filled in and point to live buffers.
            let count = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    headers[done..].as_mut_ptr(),
                    (chunk.len() - done) as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                )
            };
            match usize::try_from(count) {
                Ok(count) if count > 0 => done += count,
                _ => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return (sent + done, Err(error));
                    }
                }
            }
        }
        sent += done;
    }
    (sent, Ok(()))
}

fn link_address(interface_index: u32, hardware: Option<[u8; 6]>) -> io::Result<libc::sockaddr_ll> {
    // SAFETY: all-zero is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as libc::c_ushort;
    address.sll_protocol = ETH_P_IP.to_be();
    address.sll_ifindex = libc::c_int::try_from(interface_index)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "interface index out of range"))?;
    if let Some(hardware) = hardware {
        address.sll_halen = 6;
        address.sll_addr[..6].copy_from_slice(&hardware);
    }
    Ok(address)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
