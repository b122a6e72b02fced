//! How long clients wait for their replies, as far as the server can see.

use std::collections::HashMap;
use std::time::Instant;

use prometheus::Histogram;

/// Requests without a reply yet. Most never get one: they were for the partner.
const WAITING_MAX: usize = 8192;

const TRANSACTION: std::ops::Range<usize> = 4..8;
const HARDWARE: std::ops::Range<usize> = 28..34;
const OPTIONS: usize = 240;
const PAD: u8 = 0;
const END: u8 = 255;
const MESSAGE_TYPE: u8 = 53;
const DISCOVER: u8 = 1;

/// Arrival times of requests by transaction and hardware address.
#[derive(Debug, Default)]
pub(super) struct Latency(HashMap<[u8; 10], Instant>);

impl Latency {
    /// A request arrived.
    pub(super) fn arrived(&mut self, message: &[u8], at: Instant) {
        let Some(key) = key(message) else { return };
        if self.0.len() >= WAITING_MAX {
            self.0.clear();
        }
        self.0.insert(key, at);
    }

    /// A reply is about to leave.
    pub(super) fn replied(&mut self, message: &[u8], seconds: &Histogram) {
        if let Some(at) = key(message).and_then(|key| self.0.remove(&key)) {
            seconds.observe(at.elapsed().as_secs_f64());
        }
    }
}

fn key(message: &[u8]) -> Option<[u8; 10]> {
    let mut key = [0; 10];
    key[..4].copy_from_slice(message.get(TRANSACTION)?);
    key[4..].copy_from_slice(message.get(HARDWARE)?);
    Some(key)
}

/// Whether a message looks like a DISCOVER: what may be shed first under load. No more than a glance; what
/// the message really is, the core decides.
pub(super) fn is_discover(message: &[u8]) -> bool {
    let mut rest = message.get(OPTIONS..).unwrap_or_default();
    loop {
        match rest {
            [] | [END, ..] => return false,
            [PAD, after @ ..] => rest = after,
            [MESSAGE_TYPE, 1, kind, ..] => return *kind == DISCOVER,
            [_, len, after @ ..] => rest = after.get(usize::from(*len)..).unwrap_or_default(),
            [_] => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(options: &[u8]) -> Vec<u8> {
        let mut message = vec![7; OPTIONS];
        message.extend(options);
        message
    }

    #[test]
    fn a_discover_is_told_from_a_request_wherever_the_type_stands() {
        assert!(is_discover(&message(&[53, 1, 1, 255])));
        assert!(is_discover(&message(&[0, 0, 12, 2, 65, 66, 53, 1, 1])));
        assert!(!is_discover(&message(&[53, 1, 3, 255])));
        assert!(!is_discover(&message(&[255, 53, 1, 1])));
        assert!(!is_discover(&message(&[12, 200, 53, 1, 1])));
    }

    proptest! {
        #[test]
        fn no_octets_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = is_discover(&bytes);
            Latency::default().arrived(&bytes, Instant::now());
        }
    }

    #[test]
    fn requests_without_replies_do_not_pile_up() {
        let mut latency = Latency::default();
        for number in 0..3 * WAITING_MAX as u32 {
            let mut request = message(&[]);
            request[TRANSACTION].copy_from_slice(&number.to_be_bytes());
            latency.arrived(&request, Instant::now());
        }
        assert!(latency.0.len() <= WAITING_MAX);
    }
}
