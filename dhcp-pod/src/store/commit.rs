//! The commit thread: one sync for all batches that wait.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Instant;

use api::identity::Lsn;
use leases::log::{Batch, Disk, Log, StoreError};

use crate::metrics::Metrics;
use crate::wake::Waker;

/// Most batches that one sync makes durable.
const GROUP_MAX: usize = 256;

/// A batch on its way to the disk, and since when.
#[derive(Debug)]
pub struct Handed {
    /// The batch.
    pub batch: Batch,
    /// When the engine handed it over.
    pub at: Instant,
}

/// What the commit thread tells the engine. A number that only rises needs no queue.
#[derive(Debug, Default)]
pub struct Progress {
    durable: AtomicU64,
    low_space: AtomicBool,
    failed: OnceLock<String>,
}

impl Progress {
    /// The last durable change.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    /// Whether the volume is full and the store lives on its reserve.
    #[must_use]
    pub fn low_space(&self) -> bool {
        self.low_space.load(Ordering::Acquire)
    }

    /// Why nothing will become durable any more, once that is so.
    #[must_use]
    pub fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }
}

/// Commits until the engine hangs up or the store fails. After a failure whatever is handed over is
/// dropped: only a new process may open the store again.
pub fn run<D: Disk>(
    mut log: Log<D>,
    batches: &Receiver<Handed>,
    progress: &Progress,
    engine: &Waker,
    metrics: &Metrics,
) {
    let statistics = log.statistics();
    progress.low_space.store(statistics.low_space, Ordering::Release);
    metrics.log_statistics(statistics);
    while let Ok(first) = batches.recv() {
        let mut group = vec![first];
        group.extend(batches.try_iter().take(GROUP_MAX - 1));
        match commit(&mut log, &group) {
            Ok(upto) => {
                let statistics = log.statistics();
                progress.low_space.store(statistics.low_space, Ordering::Release);
                progress.durable.store(upto.0, Ordering::Release);
                engine.wake();
                note(metrics, &group);
                metrics.log_statistics(statistics);
            }
            Err(error) => {
                let words = words(&error);
                tracing::error!(class = error.class(), "lease store failed: {words}");
                // Set once; the thread ends here.
                let _ = progress.failed.set(words);
                engine.wake();
                while batches.recv().is_ok() {}
                return;
            }
        }
    }
    if let Err(error) = log.close() {
        tracing::error!(class = error.class(), "lease store failed at the end: {}", words(&error));
    }
}

fn commit<D: Disk>(log: &mut Log<D>, group: &[Handed]) -> Result<Lsn, StoreError> {
    for handed in group {
        log.append(&handed.batch)?;
    }
    log.sync()
}

fn note(metrics: &Metrics, group: &[Handed]) {
    metrics.commit_batches.observe(group.len() as f64);
    for handed in group {
        metrics.commit_entries.observe(handed.batch.entries.len() as f64);
        metrics.commit_seconds.observe(handed.at.elapsed().as_secs_f64());
    }
}

fn words(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use leases::log::{Entry, Options, StoreId};

    use super::*;
    use crate::store::FileDisk;

    fn handed(lsn: u64) -> Handed {
        let entries = vec![Entry { kind: 200, body: lsn.to_be_bytes().to_vec() }];
        Handed {
            batch: Batch { epoch: 1, first: Lsn(lsn), last: Lsn(lsn), entries, floor: Lsn::ZERO },
            at: Instant::now(),
        }
    }

    fn log(directory: &std::path::Path) -> Log<FileDisk> {
        let disk = FileDisk::open(directory).expect("open");
        Log::create(disk, StoreId([1; 16]), Options { reserve_bytes: 0, ..Options::default() })
            .expect("create")
    }

    #[test]
    fn everything_handed_over_is_durable_when_the_engine_hangs_up() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let (sender, batches) = sync_channel(1024);
        for lsn in 1..=500 {
            sender.send(handed(lsn)).expect("room");
        }
        drop(sender);
        let (progress, metrics) = (Progress::default(), Metrics::new());
        run(log(directory.path()), &batches, &progress, &Waker::new().expect("waker"), &metrics);
        assert_eq!(progress.durable(), Lsn(500));
        let disk = FileDisk::open(directory.path()).expect("open");
        let (_, opened) = Log::open(disk, Options::default()).expect("reopen");
        assert_eq!(opened.entries.len(), 500);
        assert_eq!(metrics.commit_batches.get_sample_count(), 2, "one sync for up to 256 batches");
    }

    #[test]
    fn after_a_failure_nothing_is_reported_durable() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let (sender, batches) = sync_channel(8);
        sender.send(handed(1)).expect("room");
        sender.send(handed(7)).expect("room");
        drop(sender);
        let (progress, metrics) = (Progress::default(), Metrics::new());
        let waker = Waker::new().expect("waker");
        run(log(directory.path()), &batches, &progress, &waker, &metrics);
        assert_eq!(progress.durable(), Lsn::ZERO);
        assert!(
            progress.failed().is_some_and(|why| why.contains("where 2 comes next")),
            "{:?}",
            progress.failed()
        );
        assert!(waker.take(), "the engine is told");
    }
}
