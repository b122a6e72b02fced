//! A network of namespaces with our server, an ISC dhcpd and clients on it, for tests of both servers as
//! failover partners. Needs root, and the Debian packages that `e2e/isc/run` installs.

pub mod client;
pub mod crowd;
pub mod isc;
pub mod lab;
pub mod lease;
pub mod message;
pub mod ours;
pub mod pair;
pub mod process;

use std::time::{Duration, Instant};

/// Asks again and again until there is an answer; panics with the last refusal when time is up.
pub fn until<T>(what: &str, seconds: u64, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(why) => assert!(Instant::now() < end, "{what}: not within {seconds} s: {why}"),
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}
