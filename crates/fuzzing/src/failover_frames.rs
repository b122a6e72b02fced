//! What a partner sends: octets of a stream that are cut into messages, wherever the network cut them.

use failover::wire::{Decoded, Dialect, FrameReader, HEADER_OCTETS, MESSAGE_OCTETS_MAX, decode, encode};

use crate::input::Input;

/// The first octet says in which pieces the rest arrives; the rest is also one message.
pub fn check(octets: &[u8]) {
    let mut input = Input::new(octets);
    let pieces = input.octet();
    let stream = input.rest();
    message(stream);
    for frame in in_pieces(stream, pieces) {
        message(&frame);
    }
}

/// The messages of a stream, which must be the same in whatever pieces it arrives.
pub fn in_pieces(stream: &[u8], pieces: u8) -> Vec<Vec<u8>> {
    let whole = read(stream, &mut || usize::MAX);
    assert_eq!(read(stream, &mut || 1), whole, "octet by octet");
    // Any sequence will do that has pieces of all lengths.
    let mut state = u32::from(pieces);
    let mut length = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 + (state >> 24) as usize % (1 + usize::from(pieces))
    };
    assert_eq!(read(stream, &mut length), whole, "in pieces of {pieces}");
    whole.frames
}

/// What a reader makes of a stream.
#[derive(Debug, Eq, PartialEq)]
struct Stream {
    frames: Vec<Vec<u8>>,
    failed: bool,
    pending: usize,
}

fn read(stream: &[u8], length: &mut dyn FnMut() -> usize) -> Stream {
    let mut reader = FrameReader::new();
    let (mut frames, mut failed, mut rest) = (Vec::new(), false, stream);
    loop {
        let (piece, tail) = rest.split_at(length().min(rest.len()));
        rest = tail;
        reader.push(piece);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => {
                    assert!(!failed, "an illegal length is an error once");
                    failed = true;
                }
            }
        }
        assert!(reader.pending() < MESSAGE_OCTETS_MAX, "{} octets wait", reader.pending());
        if rest.is_empty() {
            break;
        }
    }
    let octets: usize = frames.iter().map(Vec::len).sum();
    assert!(failed || octets + reader.pending() == stream.len());
    Stream { frames, failed, pending: reader.pending() }
}

/// Everything that is done with a received message before anybody judges it, in every dialect.
pub fn message(octets: &[u8]) {
    for dialect in [Dialect::Isc, Dialect::Own, Dialect::OwnBulk] {
        let Ok(decoded) = decode(octets, dialect) else { continue };
        assert!((HEADER_OCTETS..=MESSAGE_OCTETS_MAX).contains(&octets.len()));
        let Decoded::Frame(frame) = decoded else { continue };
        let line = frame.to_string();
        assert!(line.bytes().all(|octet| (0x20..0x7f).contains(&octet)), "{line}");
        // What was received may lack what must be sent, and may have what must not. If it can be written, it is
        // read again as the same, but for what a message cannot be without.
        let Ok(again) = encode(&frame, dialect) else { continue };
        let Ok(Decoded::Frame(read)) = decode(&again, dialect) else {
            panic!("{frame} cannot be read again")
        };
        assert_eq!((read.time, read.xid), (frame.time, frame.xid));
        assert_eq!(encode(&read, dialect), Ok(again));
    }
}
