//! `GET /v1/status?watch=true`: a line a change, and a heartbeat.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures::{Stream, stream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::handle::Handle;
use crate::snapshot::Snapshot;

/// A line at least this often, so that a silent connection is a dead one.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Counters alone make a line at most this often.
const COUNTERS: Duration = Duration::from_secs(1);

struct Watcher {
    engine: Handle,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    last: Option<(Arc<Snapshot>, Instant)>,
}

/// The lines, until the engine ends or sticks.
pub(super) fn lines(engine: Handle) -> impl Stream<Item = Result<Bytes, serde_json::Error>> {
    let snapshots = engine.snapshots();
    stream::unfold(Watcher { engine, snapshots, last: None }, |mut watcher| async move {
        let snapshot = watcher.next().await?;
        let line = serde_json::to_vec(&snapshot.report).map(|mut line| {
            line.push(b'\n');
            Bytes::from(line)
        });
        watcher.last = Some((snapshot, Instant::now()));
        Some((line, watcher))
    })
}

impl Watcher {
    /// The next snapshot worth a line.
    async fn next(&mut self) -> Option<Arc<Snapshot>> {
        let Some((last, at)) = self.last.clone() else {
            return Some(self.snapshots.borrow_and_update().clone());
        };
        // Something moved, if only a counter.
        let mut moved = false;
        loop {
            let due = at + if moved { COUNTERS } else { HEARTBEAT };
            tokio::select! {
                changed = self.snapshots.changed() => {
                    changed.ok()?;
                    let snapshot = self.snapshots.borrow_and_update().clone();
                    if last.differs(&snapshot) {
                        return Some(snapshot);
                    }
                    moved |= last.report.server.leases != snapshot.report.server.leases
                        || last.report.server.unacked_updates != snapshot.report.server.unacked_updates;
                }
                () = sleep_until(due) => {
                    // A heartbeat of an engine that stands still would be a lie.
                    return self.engine.is_live().then(|| self.snapshots.borrow_and_update().clone());
                }
            }
        }
    }
}
