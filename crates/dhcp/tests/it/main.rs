//! The public interface of the crate, row by row, against recorded clients, and against dhcproto as
//! the second opinion.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod captured;
mod classify;
mod network;
mod offer;
mod packet;
mod properties;
mod reply;
mod support;
