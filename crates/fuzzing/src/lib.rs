//! What must hold whatever comes in: one check for each border at which octets of others arrive.
//!
//! A check takes any octets and panics if something does not hold. The fuzz targets of `fuzz/` and the
//! property tests of this crate call the same checks; [`seeds`] makes the inputs from which a fuzzer begins.
//!
//! Nothing here opens a socket or a file, reads a clock or draws randomness.

pub mod admin;
mod bench;
pub mod dhcp_packet;
pub mod endpoint;
pub mod failover_frames;
mod input;
pub mod log_open;
pub mod manifest;
pub mod seeds;

/// A check of any octets.
pub type Check = fn(&[u8]);

/// Every target by its name, which is also that of its folders in `fuzz/`.
pub const TARGETS: [(&str, Check); 6] = [
    ("admin", admin::check),
    ("dhcp_packet", dhcp_packet::check),
    ("endpoint", endpoint::check),
    ("failover_frames", failover_frames::check),
    ("log_open", log_open::check),
    ("manifest", manifest::check),
];
