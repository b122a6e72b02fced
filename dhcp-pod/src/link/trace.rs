//! What passes between the partners, a line a message, for whoever asks (`dhcp-pod ctl trace`,
//! `serve --trace-link`).

use std::fmt::Write;
use std::sync::Arc;

use failover::wire::{self, Decoded, Dialect, FrameReader};
use jiff::{Timestamp, Unit};
use server::ConnId;
use tokio::sync::broadcast;

/// Lines that a slow reader may lag behind before it misses some.
const LAG_MAX: usize = 4096;

/// Hands the lines to the log and to all who listen.
#[derive(Clone, Debug)]
pub struct Tracer {
    lines: broadcast::Sender<Arc<str>>,
    log: bool,
}

impl Tracer {
    /// Nobody listens yet; `log` writes every line to the log.
    #[must_use]
    pub fn new(log: bool) -> Self {
        Self { lines: broadcast::Sender::new(LAG_MAX), log }
    }

    /// The lines from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Arc<str>> {
        self.lines.subscribe()
    }

    fn is_wanted(&self) -> bool {
        self.log || self.lines.receiver_count() > 0
    }

    fn say(&self, conn: ConnId, sign: &str, what: &str) {
        if self.log {
            tracing::info!(connection = conn.0, "{sign} {what}");
        }
        let now = Timestamp::now().round(Unit::Millisecond).unwrap_or_else(|_| Timestamp::now());
        // An error says that nobody listens.
        let _ = self.lines.send(format!("{now} #{} {sign} {what}\n", conn.0).into());
    }
}

/// One direction of one connection.
pub(super) struct Direction {
    tracer: Tracer,
    conn: ConnId,
    sign: &'static str,
    /// Follows the octets also while nobody asks, to know where a message begins.
    frames: FrameReader,
}

impl Direction {
    /// What the partner sends.
    pub(super) fn incoming(tracer: &Tracer, conn: ConnId) -> Self {
        Self { tracer: tracer.clone(), conn, sign: "<-", frames: FrameReader::new() }
    }

    /// What we send.
    pub(super) fn outgoing(tracer: &Tracer, conn: ConnId) -> Self {
        Self { tracer: tracer.clone(), conn, sign: "->", frames: FrameReader::new() }
    }

    /// Octets pass.
    pub(super) fn note(&mut self, octets: &[u8]) {
        self.frames.push(octets);
        loop {
            let frame = match self.frames.next_slice() {
                Ok(None) => return,
                Ok(Some(frame)) => frame,
                Err(error) => return self.tracer.say(self.conn, self.sign, &format!("no message: {error}")),
            };
            if self.tracer.is_wanted() {
                self.tracer.say(self.conn, self.sign, &line(frame));
            }
        }
    }
}

fn line(frame: &[u8]) -> String {
    // Of an own peer more is understood, and a dhcpd says nothing that reads differently.
    match wire::decode(frame, Dialect::Own) {
        Ok(Decoded::Frame(frame)) => frame.to_string(),
        Ok(Decoded::Ignored { kind }) => format!("type {kind}, which is not for us: {}", hex(frame)),
        Err(error) => format!("no valid message: {error}: {}", hex(frame)),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(xid: u8) -> Vec<u8> {
        vec![0, 12, 11, 12, 0, 0, 0, 9, 0, 0, 0, xid]
    }

    fn heard(lines: &mut broadcast::Receiver<Arc<str>>) -> Vec<String> {
        // Without the time.
        std::iter::from_fn(|| lines.try_recv().ok())
            .filter_map(|line| line.split_once(' ').map(|(_, rest)| rest.to_owned()))
            .collect()
    }

    #[test]
    fn who_listens_late_hears_whole_messages() {
        let tracer = Tracer::new(false);
        let mut incoming = Direction::incoming(&tracer, ConnId(3));
        incoming.note(&[contact(1), contact(2)[..5].to_vec()].concat());
        let mut lines = tracer.listen();
        incoming.note(&[contact(2)[5..].to_vec(), contact(7)].concat());
        assert_eq!(heard(&mut lines), ["#3 <- CONTACT xid=2 time=9\n", "#3 <- CONTACT xid=7 time=9\n"]);
    }

    #[test]
    fn what_is_no_message_is_shown_as_it_is() {
        let tracer = Tracer::new(false);
        let mut lines = tracer.listen();
        let mut outgoing = Direction::outgoing(&tracer, ConnId(0));
        outgoing.note(&[0, 12, 3, 4, 0, 0, 0, 9, 0, 0, 0, 1]);
        outgoing.note(&[0, 3, 1]);
        let heard = heard(&mut lines);
        assert!(heard[0].starts_with("#0 -> no valid message: "), "{heard:?}");
        assert!(heard[0].ends_with(": 000c03040000000900000001\n"), "{heard:?}");
        assert!(heard[1].starts_with("#0 -> no message: "), "{heard:?}");
    }
}
