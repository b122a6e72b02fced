//! What a log was given and what it promised of that, and whether a reopened one keeps its word.

use std::collections::BTreeMap;

use api::identity::{Lsn, StoreStamp};

use crate::log::testing::Generator;
use crate::log::{Batch, Entry, Opened};

/// The books that a test keeps about one store.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Every batch that may be on the disk, oldest first.
    history: Vec<Batch>,
    /// What was reported durable.
    reported: Lsn,
    epoch: u64,
}

impl Ledger {
    /// Number of different keys that the batches set.
    pub const KEYS: usize = 4;

    /// Checks what a process found when it opened the log: whole batches of the history from the first
    /// one on, among them all that was reported, and of each key what was set last. Whatever else was
    /// written is over from here on, and what was found counts as reported.
    ///
    /// # Errors
    ///
    /// How the log broke its word.
    pub fn reopened(&mut self, opened: &Opened) -> Result<(), String> {
        let StoreStamp { epoch, lsn } = opened.loaded;
        let kept = self.history.iter().take_while(|batch| batch.last <= lsn).count();
        let last = self.history[..kept].last().map_or((0, Lsn::ZERO), |batch| (batch.epoch, batch.last));
        if (epoch, lsn) != last {
            return Err(format!("loaded ({epoch}, {lsn}) where batches end at {last:?}"));
        }
        if lsn < self.reported {
            return Err(format!("loaded {lsn} after {} was reported", self.reported));
        }
        self.history.truncate(kept);
        let all: Vec<&Entry> = self.history.iter().flat_map(|batch| &batch.entries).collect();
        if !all.ends_with(&opened.entries.iter().collect::<Vec<_>>()) {
            return Err("entries are not those of the last batches".to_owned());
        }
        if fold(&opened.entries) != fold(all) {
            return Err("a live record is gone".to_owned());
        }
        // Whoever opened the log tells others what it found.
        self.reported = lsn;
        self.epoch += 1;
        Ok(())
    }

    /// There was no log, and one was begun.
    ///
    /// # Errors
    ///
    /// If something was reported of the one that is gone.
    pub fn begun(&mut self) -> Result<(), String> {
        if self.reported > Lsn::ZERO {
            return Err(format!("no log after {} was reported", self.reported));
        }
        self.history.clear();
        self.epoch += 1;
        Ok(())
    }

    /// The next batch, about to be appended: it sets some keys, with `bytes` octets each, and has a true
    /// floor or none.
    pub fn next_batch(&mut self, keys: usize, bytes: usize, generator: &mut Generator) -> Batch {
        let first = self.history.last().map_or(Lsn(1), |batch| batch.last.next());
        let last = Lsn(first.0 + generator.below(3));
        let start = generator.below(Self::KEYS as u64) as usize;
        let entries = (start..start + keys).map(|key| {
            let mut body = vec![(key % Self::KEYS) as u8];
            body.extend((1..bytes).map(|_| generator.next() as u8));
            Entry { kind: 1, body }
        });
        let entries: Vec<Entry> = entries.collect();
        let mut batch = Batch { epoch: self.epoch, first, last, entries, floor: Lsn::ZERO };
        if generator.below(3) > 0 {
            batch.floor = floor(self.history.iter().chain([&batch]));
        }
        self.history.push(batch.clone());
        batch
    }

    /// The log said that everything up to this change is durable; `last` is the last one appended.
    ///
    /// # Errors
    ///
    /// If that is not everything, or less than before.
    pub fn synced(&mut self, synced: Lsn, last: Lsn) -> Result<(), String> {
        if synced != last || synced < self.reported {
            return Err(format!("sync reported {synced}"));
        }
        self.reported = synced;
        Ok(())
    }

    /// The last change that was reported durable.
    #[must_use]
    pub const fn reported(&self) -> Lsn {
        self.reported
    }
}

/// The first change that every key was logged at or after; zero if one never was.
fn floor<'a>(history: impl Iterator<Item = &'a Batch>) -> Lsn {
    let mut logged = [Lsn::ZERO; Ledger::KEYS];
    for batch in history {
        for entry in &batch.entries {
            logged[usize::from(entry.body[0])] = batch.first;
        }
    }
    logged.into_iter().min().unwrap_or_default()
}

/// The last value of each key.
fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> BTreeMap<u8, &'a [u8]> {
    entries.into_iter().map(|entry| (entry.body[0], &entry.body[..])).collect()
}
