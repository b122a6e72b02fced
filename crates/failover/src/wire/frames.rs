//! Cuts a byte stream into messages by their length field (§2.1).

use super::decode::DecodeError;
use super::{HEADER_OCTETS, MESSAGE_OCTETS_MAX};

/// Collects what one connection brings and hands out whole messages.
///
/// Call [`next_frame`](Self::next_frame) until `None` after each [`push`](Self::push): then at most
/// 2047 octets stay behind, the part of one message that is still to come. Between the two it holds
/// those and what was pushed, so the caller's read buffer bounds its memory.
#[derive(Clone, Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    /// Where the first octet not handed out yet is.
    start: usize,
    /// A length was illegal: where the next message begins can no longer be known.
    failed: bool,
}

impl FrameReader {
    /// A reader at the beginning of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was read from the connection; nothing more after an error.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed {
            return;
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// What was pushed and is no whole message yet.
    pub(crate) fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// The next whole message for [`decode`](super::decode), header included.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Length`], once; the connection is to be closed. `None` from then on.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, DecodeError> {
        Ok(self.next_slice()?.map(<[u8]>::to_vec))
    }

    /// The same without a copy.
    ///
    /// # Errors
    ///
    /// As [`next_frame`](Self::next_frame).
    pub fn next_slice(&mut self) -> Result<Option<&[u8]>, DecodeError> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let Some(&length) = rest.first_chunk() else { return Ok(None) };
        let octets = usize::from(u16::from_be_bytes(length));
        if !(HEADER_OCTETS..=MESSAGE_OCTETS_MAX).contains(&octets) {
            *self = Self { failed: true, ..Self::default() };
            return Err(DecodeError::Length { octets });
        }
        if rest.len() < octets {
            return Ok(None);
        }
        let begin = self.start;
        self.start += octets;
        Ok(self.buffer.get(begin..self.start))
    }

    /// Octets that wait for the rest of their message.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTACT: [u8; 12] = [0, 12, 11, 12, 0, 0, 0, 1, 0, 0, 0, 2];

    #[test]
    fn a_message_is_handed_out_when_its_last_octet_is_there() {
        let mut reader = FrameReader::new();
        let (last, most) = CONTACT.split_last().expect("twelve octets");
        for octet in most {
            reader.push(&[*octet]);
            assert_eq!(reader.next_frame(), Ok(None));
        }
        assert_eq!(reader.pending(), 11);
        reader.push(&[*last]);
        assert_eq!(reader.next_frame(), Ok(Some(CONTACT.to_vec())));
        assert_eq!(reader.next_frame(), Ok(None));
        assert_eq!(reader.pending(), 0);
    }

    #[test]
    fn an_illegal_length_is_an_error_once_and_ends_the_stream() {
        for length in [0_u16, 1, 11, 2049, u16::MAX] {
            let mut reader = FrameReader::new();
            reader.push(&CONTACT);
            reader.push(&length.to_be_bytes());
            assert_eq!(reader.next_frame(), Ok(Some(CONTACT.to_vec())));
            assert_eq!(reader.next_frame(), Err(DecodeError::Length { octets: usize::from(length) }));
            reader.push(&CONTACT);
            assert_eq!(reader.next_frame(), Ok(None));
            assert_eq!(reader.pending(), 0);
        }
    }

    #[test]
    fn the_longest_message_passes() {
        let mut message = vec![0; MESSAGE_OCTETS_MAX];
        message.splice(..2, [0x08, 0x00]);
        let mut reader = FrameReader::new();
        reader.push(&message);
        assert_eq!(reader.next_frame(), Ok(Some(message)));
    }

    #[test]
    fn drained_after_each_push_less_than_one_message_stays_behind() {
        let mut reader = FrameReader::new();
        for _ in 0..1000 {
            reader.push(&[[8, 0].as_slice(), &[0; 4000]].concat());
            while let Ok(Some(_)) = reader.next_frame() {}
            assert!(reader.pending() < MESSAGE_OCTETS_MAX);
        }
    }
}
