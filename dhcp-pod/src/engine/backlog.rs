//! Batches that are on their way to the disk, and what their number means.

use std::collections::VecDeque;

use api::identity::Lsn;

/// From here on DISCOVERs are shed.
const LONG: usize = 32;
/// From here on nothing is read any more.
pub const BATCHES_MAX: usize = 64;

/// Batches that were handed over and are not durable yet.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: VecDeque<Lsn>,
    durable: Lsn,
}

impl Backlog {
    /// A batch that ends with this change was handed over.
    pub(super) fn handed(&mut self, last: Lsn) {
        self.waiting.push_back(last);
    }

    /// Everything up to here is durable; answers it if that is news.
    pub(super) fn durable(&mut self, upto: Lsn) -> Option<Lsn> {
        if upto <= self.durable {
            return None;
        }
        self.durable = upto;
        while self.waiting.front().is_some_and(|last| *last <= upto) {
            self.waiting.pop_front();
        }
        Some(upto)
    }

    /// Whether another batch may be handed over.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < BATCHES_MAX
    }

    /// Whether work that can be refused should be.
    pub(super) fn is_long(&self) -> bool {
        self.waiting.len() >= LONG
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_commits_nothing_stops_the_reading_and_one_commit_resumes_it() {
        let mut backlog = Backlog::default();
        for lsn in 1..=BATCHES_MAX as u64 {
            assert!(backlog.has_room());
            assert_eq!(backlog.is_long(), lsn > LONG as u64);
            backlog.handed(Lsn(lsn));
        }
        assert!(!backlog.has_room());
        assert_eq!(backlog.durable(Lsn(40)), Some(Lsn(40)));
        assert!(backlog.has_room() && !backlog.is_long());
        assert_eq!(backlog.durable(Lsn(40)), None, "told once");
        assert_eq!(backlog.len(), BATCHES_MAX - 40);
    }
}
