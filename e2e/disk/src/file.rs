//! The content of one file: as programs see it, and as it is on stable storage.

use leases::log::testing::Generator;

use crate::Cut;
use crate::cut::choose;

/// A regular file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    /// What a program reads.
    live: Vec<u8>,
    /// What is on stable storage.
    durable: Vec<u8>,
    /// What lies between the two, oldest first.
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Truncate(usize),
    Write { offset: usize, bytes: Vec<u8> },
}

impl Content {
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        put(&mut self.live, offset, bytes, &[]);
        self.unsynced.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.live.resize(len, 0);
        self.unsynced.push(Change::Truncate(len));
    }

    pub(crate) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// The device fails in the middle of a sync. As in Linux, pages count as clean although some never reached it:
    /// the length stays, and what a program reads once the kernel has dropped its pages is what the device holds.
    pub(crate) fn fail_sync(&mut self, generator: &mut Generator) {
        let len = self.live.len();
        self.cut(Cut::Torn, &[], generator);
        self.durable.resize(len, 0);
        self.live.clone_from(&self.durable);
    }

    /// Decides what of the unsynced reached the disk. Where a file got its length and not its octets, it holds
    /// `stale` ones: zeros, where those end.
    pub(crate) fn cut(&mut self, cut: Cut, stale: &[u8], generator: &mut Generator) {
        let mut changes = std::mem::take(&mut self.unsynced);
        let next = choose(cut, &mut changes, generator);
        for change in changes {
            match change {
                Change::Write { offset, bytes } if cut == Cut::Torn => {
                    self.tear(offset, &bytes, stale, generator);
                }
                whole => whole.apply(&mut self.durable),
            }
        }
        if let Some(Change::Write { offset, mut bytes }) = next {
            bytes.truncate(generator.below(bytes.len() as u64 + 1) as usize);
            put(&mut self.durable, offset, &bytes, &[]);
        }
        self.live.clone_from(&self.durable);
    }

    pub(crate) fn live(&self) -> &[u8] {
        &self.live
    }

    /// Any sectors of a write, and one of them in part.
    fn tear(&mut self, offset: usize, bytes: &[u8], stale: &[u8], generator: &mut Generator) {
        // Often at full length, as the length and the sectors are written apart.
        if generator.coin() {
            fill(&mut self.durable, offset + bytes.len(), stale);
        }
        let torn = generator.below(bytes.len() as u64 + 1) as usize;
        let mut start = 0;
        while start < bytes.len() {
            let end = (start + SECTOR_BYTES - (offset + start) % SECTOR_BYTES).min(bytes.len());
            let kept = if (start..end).contains(&torn) { torn } else { end };
            if generator.coin() && kept > start {
                put(&mut self.durable, offset + start, &bytes[start..kept], stale);
            }
            start = end;
        }
    }
}

impl Change {
    fn apply(self, content: &mut Vec<u8>) {
        match self {
            Self::Truncate(len) => content.resize(len, 0),
            Self::Write { offset, bytes } => put(content, offset, &bytes, &[]),
        }
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8], stale: &[u8]) {
    fill(content, offset, stale);
    let end = content.len().min(offset + bytes.len());
    content[offset..end].copy_from_slice(&bytes[..end - offset]);
    content.extend_from_slice(&bytes[end - offset..]);
}

/// Makes it at least `len` octets long.
fn fill(content: &mut Vec<u8>, len: usize, stale: &[u8]) {
    if content.len() < len {
        let from = content.len().min(stale.len());
        content.extend_from_slice(&stale[from..len.clamp(from, stale.len())]);
        content.resize(len, 0);
    }
}

/// What a disk writes whole or not at all, mostly.
const SECTOR_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_of(content: &Content, cut: Cut, seed: u64) -> Vec<u8> {
        let mut content = content.clone();
        content.cut(cut, &[], &mut Generator::new(seed));
        content.live
    }

    #[test]
    fn what_was_synced_is_there_after_every_cut() {
        let mut content = Content::default();
        content.write(0, b"synced");
        content.sync();
        content.write(6, b", and more");
        for seed in 0..200 {
            for cut in Cut::ALL {
                assert!(cut_of(&content, cut, seed).starts_with(b"synced"));
            }
        }
    }

    #[test]
    fn a_write_may_be_kept_lost_or_torn_at_any_octet() {
        let mut content = Content::default();
        content.write(0, b"12345");
        assert_eq!(cut_of(&content, Cut::Kept, 0), b"12345");
        assert_eq!(cut_of(&content, Cut::Lost, 0), b"");
        for prefix in [&b""[..], b"1", b"12", b"123", b"1234", b"12345"] {
            assert!((0..200).any(|seed| cut_of(&content, Cut::Prefix, seed) == prefix), "{prefix:?}");
            assert!((0..400).any(|seed| cut_of(&content, Cut::Torn, seed) == prefix), "{prefix:?}");
        }
        assert!((0..200).any(|seed| cut_of(&content, Cut::Torn, seed) == [0; 5]), "length without octets");
    }

    #[test]
    fn a_later_write_may_be_there_without_an_earlier_one() {
        let mut content = Content::default();
        content.write(0, &[1; 512]);
        content.write(512, &[2; 512]);
        let later = [[0; 512], [2; 512]].concat();
        assert!((0..200).any(|seed| cut_of(&content, Cut::Torn, seed) == later));
    }

    #[test]
    fn a_truncation_may_be_lost_although_a_write_behind_it_is_kept() {
        let mut content = Content::default();
        content.write(0, b"whole and torn");
        content.sync();
        content.truncate(5);
        content.write(5, b" 2");
        assert!((0..200).any(|seed| cut_of(&content, Cut::Torn, seed) == b"whole 2nd torn"));
        assert!((0..200).any(|seed| cut_of(&content, Cut::Torn, seed) == b"whole 2"));
    }

    #[test]
    fn a_length_without_octets_may_show_what_a_removed_file_left() {
        let mut content = Content::default();
        content.write(0, b"ab");
        content.sync();
        content.write(2, b"cd");
        let stale = (0..200).any(|seed| {
            let mut content = content.clone();
            content.cut(Cut::Torn, b"WXYZ", &mut Generator::new(seed));
            content.live == b"abYZ"
        });
        assert!(stale);
    }

    #[test]
    fn after_a_failed_sync_the_next_one_succeeds_without_what_was_dropped() {
        let mut content = Content::default();
        content.write(0, &[1; 2048]);
        content.fail_sync(&mut Generator::new(1));
        content.sync();
        assert_eq!(content.live.len(), 2048);
        assert_eq!(content.live, content.durable);
        assert!(content.live.contains(&0) && content.live.contains(&1));
    }
}
