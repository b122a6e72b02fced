//! A whole server and a partner that says anything.

mod amnesia;
mod barrier;
mod bench;
mod bindings;
mod coverage;
mod databases;
#[path = "../common/dhcp.rs"]
mod dhcp;
mod evil;
mod failing;
mod fence;
mod grid;
mod holes;
mod late;
mod pools;
mod requests;
mod reserved;
mod reset;
mod strange;
mod told;
