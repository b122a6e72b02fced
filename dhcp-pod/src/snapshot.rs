//! What the engine shows to the rest of the process: one consistent picture, never a lock.

use std::collections::BTreeMap;

use api::status::ServerReport;

/// Counts by family and label.
pub type Counts = BTreeMap<(&'static str, &'static str), u64>;

/// The server at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// What `GET /v1/status` answers.
    pub report: ServerReport,
    /// Counts of the core and of the driver.
    pub counts: Counts,
    /// The store takes changes and the server answers in its state.
    pub ready: bool,
    /// Batches handed to the commit thread that are not durable yet.
    pub commits_waiting: usize,
}

impl Snapshot {
    /// Whether a watcher should hear of `newer` at once: anything but counters that move with each
    /// packet differs.
    #[must_use]
    pub fn differs(&self, newer: &Self) -> bool {
        self.essence() != newer.essence()
    }

    fn essence(&self) -> ServerReport {
        let mut report = self.report.clone();
        report.server.leases = Default::default();
        report.server.unacked_updates = 0;
        report.server.clock_skew_millis = None;
        report.server.observed_time = None;
        if let Some(blocked) = &mut report.server.exit_blocked {
            blocked.count = 0;
        }
        for rejections in &mut report.rejections {
            rejections.count = 0;
        }
        report.lsn = Default::default();
        report.partner_highest = None;
        report.pools = Vec::new();
        report
    }
}

#[cfg(test)]
mod tests {
    use api::identity::{Lsn, State};

    use super::*;

    #[test]
    fn a_state_is_news_and_a_counter_is_not() {
        let old = Snapshot::default();
        let mut counted = old.clone();
        counted.report.server.leases.active = 7;
        counted.report.lsn = Lsn(900);
        assert!(!old.differs(&counted));
        let mut changed = old.clone();
        changed.report.server.state = State::Normal;
        assert!(old.differs(&changed));
    }
}
