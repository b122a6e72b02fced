//! Watchers of the servers: one task a pod, which reads its reports as they come.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api::identity::{Role, State};
use api::status::ServerReport;
use backon::{BackoffBuilder, ExponentialBuilder};
use futures::channel::mpsc::UnboundedSender;
use jiff::Timestamp;
use tokio::task::AbortHandle;

use crate::admin::{self, Admin};
use crate::names::PairKey;
use crate::plan::events::{self, Notice};
use crate::seen::{Freshness, Heard};

/// A server that has not said anything for this long is silent. Its heartbeat comes more often.
pub const SILENCE: Duration = Duration::from_secs(10);
/// Notices kept of a pair that nobody reconciles.
const NOTICES_MAX: usize = 64;

/// All watchers.
pub struct Monitors {
    monitors: Mutex<BTreeMap<(PairKey, Role), Monitor>>,
    changed: UnboundedSender<PairKey>,
}

struct Monitor {
    pod: String,
    address: std::net::SocketAddr,
    identity: String,
    record: Arc<Mutex<Record>>,
    task: AbortHandle,
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a watcher knows.
struct Record {
    started: Instant,
    heard: Option<(Instant, Timestamp)>,
    report: Option<ServerReport>,
    state: State,
    error: Option<String>,
    pushed: Option<String>,
    silent: bool,
    /// Connections that were refused since the last report: nobody listens there any more.
    refused: u32,
    notices: Vec<Notice>,
}

/// So many connections in a row are refused to a server that does not run. One that restarts is back sooner.
const REFUSED: u32 = 3;

/// Whom to watch.
pub struct Target {
    /// UID of the pod: what another pod said does not count.
    pub pod: String,
    /// Address of its admin API.
    pub address: std::net::SocketAddr,
    /// As whom to ask.
    pub identity: admin::Identity,
    /// The state that is known already, so that an operator that restarts tells no news of it.
    pub state: State,
}

impl Monitors {
    /// Watchers that tell of changes through the channel.
    #[must_use]
    pub fn new(changed: UnboundedSender<PairKey>) -> Self {
        Self { monitors: Mutex::default(), changed }
    }

    /// Watches a server; whoever was watched in its place no longer is.
    pub fn watch(&self, pair: &PairKey, role: Role, target: Target) {
        let key = (pair.clone(), role);
        let mut monitors = lock(&self.monitors);
        let before = monitors.get(&key);
        let same = before.is_some_and(|monitor| {
            monitor.pod == target.pod
                && monitor.address == target.address
                && monitor.identity == target.identity.fingerprint
        });
        if same {
            return;
        }
        // A new certificate or address of the same pod changes nothing about what is known of it.
        let record = before.filter(|monitor| monitor.pod == target.pod).map_or_else(
            || {
                Arc::new(Mutex::new(Record {
                    started: Instant::now(),
                    heard: None,
                    report: None,
                    state: target.state,
                    error: None,
                    pushed: None,
                    silent: false,
                    refused: 0,
                    notices: Vec::new(),
                }))
            },
            |monitor| Arc::clone(&monitor.record),
        );
        let identity = target.identity.fingerprint.clone();
        let admin = Admin::new(target.identity, pair, role, target.address);
        let task = tokio::spawn(follow(pair.clone(), role, admin, Arc::clone(&record), self.changed.clone()));
        let (pod, address) = (target.pod, target.address);
        monitors.insert(key, Monitor { pod, address, identity, record, task: task.abort_handle() });
    }

    /// Stops watching a server.
    pub fn forget(&self, pair: &PairKey, role: Role) {
        lock(&self.monitors).remove(&(pair.clone(), role));
    }

    /// Stops watching every pair for which the predicate does not hold.
    pub fn retain(&self, keep: impl Fn(&PairKey) -> bool) {
        lock(&self.monitors).retain(|(pair, _), _| keep(pair));
    }

    /// What a pod has said.
    #[must_use]
    pub fn heard(&self, pair: &PairKey, role: Role, pod: &str) -> Heard {
        let monitors = lock(&self.monitors);
        let Some(monitor) = monitors.get(&(pair.clone(), role)).filter(|monitor| monitor.pod == pod) else {
            return Heard::default();
        };
        let record = lock(&monitor.record);
        let freshness = match record.heard {
            Some((at, _)) if at.elapsed() < SILENCE && record.refused < REFUSED => Freshness::Fresh,
            None if record.started.elapsed() < SILENCE => Freshness::Pending,
            _ => Freshness::Silent,
        };
        Heard {
            freshness,
            at: record.heard.map(|(_, at)| at),
            report: record.report.clone(),
            error: record.error.clone(),
            pushed: record.pushed.clone(),
        }
    }

    /// Records what was pushed to a pod over the present connection.
    pub fn pushed(&self, pair: &PairKey, role: Role, fingerprint: String) {
        if let Some(monitor) = lock(&self.monitors).get(&(pair.clone(), role)) {
            lock(&monitor.record).pushed = Some(fingerprint);
        }
    }

    /// Takes what is to be told in events.
    #[must_use]
    pub fn take_notices(&self, pair: &PairKey) -> Vec<Notice> {
        let monitors = lock(&self.monitors);
        let roles = [Role::Primary, Role::Secondary];
        roles
            .into_iter()
            .filter_map(|role| monitors.get(&(pair.clone(), role)))
            .flat_map(|monitor| std::mem::take(&mut lock(&monitor.record).notices))
            .collect()
    }
}

/// Reads reports for ever.
async fn follow(
    pair: PairKey,
    role: Role,
    admin: Admin,
    record: Arc<Mutex<Record>>,
    changed: UnboundedSender<PairKey>,
) {
    let delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(3))
        .without_max_times()
        .with_jitter();
    let mut delay = delays.build();
    loop {
        let (error, refused) =
            match read(&pair, role, &admin, &record, &changed, || delay = delays.build()).await {
                Ok(()) => ("the server closed the connection".to_owned(), false),
                Err(error) => (error.chain(), error.is_refused_connection()),
            };
        tracing::debug!(%pair, %role, %error, "no reports");
        let tell = {
            let mut record = lock(&record);
            let since = record.heard.map_or(record.started, |(at, _)| at);
            let first = record.error.is_none();
            record.error = Some(error);
            record.refused = if refused { record.refused + 1 } else { 0 };
            let gone = record.refused >= REFUSED && record.heard.is_some();
            let newly_silent = !record.silent && (gone || since.elapsed() >= SILENCE);
            record.silent |= newly_silent;
            first || newly_silent
        };
        if tell {
            let _ = changed.unbounded_send(pair.clone());
        }
        tokio::time::sleep(delay.next().unwrap_or(Duration::from_secs(3))).await;
    }
}

async fn read(
    pair: &PairKey,
    role: Role,
    admin: &Admin,
    record: &Mutex<Record>,
    changed: &UnboundedSender<PairKey>,
    mut connected: impl FnMut(),
) -> Result<(), admin::Error> {
    let mut reports = admin.watch().await?;
    // The server may be another process by now, so what it was told before does not count.
    lock(record).pushed = None;
    let mut first = true;
    while let Ok(report) = tokio::time::timeout(SILENCE, reports.next()).await {
        let Some(report) = report? else { return Ok(()) };
        connected();
        let mut record = lock(record);
        let news = record.take(role, report) || first;
        first = false;
        drop(record);
        if news {
            let _ = changed.unbounded_send(pair.clone());
        }
    }
    Ok(())
}

impl Record {
    /// Takes a report in, and says whether status should change at once.
    fn take(&mut self, role: Role, report: ServerReport) -> bool {
        if report.server.state != self.state {
            self.notices.push(events::transition(role, self.state, &report));
            self.state = report.server.state;
        }
        self.notices.extend(events::complaints(role, self.report.as_ref(), &report));
        let surplus = self.notices.len().saturating_sub(NOTICES_MAX);
        self.notices.drain(..surplus);
        let news =
            self.silent || self.report.as_ref().is_none_or(|before| essence(before) != essence(&report));
        self.heard = Some((Instant::now(), Timestamp::now()));
        self.report = Some(report);
        self.error = None;
        self.silent = false;
        self.refused = 0;
        news
    }
}

/// A report without what changes with every lease.
fn essence(report: &ServerReport) -> ServerReport {
    let mut report = report.clone();
    report.server.observed_time = None;
    report.server.leases = api::status::LeaseCounts::default();
    // Whether a backlog is empty decides about restarts; how long it is does not.
    report.server.unacked_updates = report.server.unacked_updates.min(1);
    report.server.clock_skew_millis = None;
    for rejections in &mut report.rejections {
        rejections.count = 0;
    }
    report.lsn = api::identity::Lsn::default();
    report.partner_highest = None;
    report.pools.clear();
    report
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind the locks is whole after every statement, also one that panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(state: State) -> ServerReport {
        let mut report = ServerReport::default();
        report.server.state = state;
        report
    }

    fn record() -> Record {
        Record {
            started: Instant::now(),
            heard: None,
            report: None,
            state: State::Unknown,
            error: None,
            pushed: None,
            silent: false,
            refused: 0,
            notices: Vec::new(),
        }
    }

    #[test]
    fn every_transition_becomes_an_event_also_one_too_short_for_status() {
        let mut record = record();
        for state in [State::Startup, State::Normal, State::Normal, State::CommunicationsInterrupted] {
            record.take(Role::Primary, report(state));
        }
        let told: Vec<_> =
            record.notices.iter().map(|notice| format!("{}/{}", notice.reason, notice.action)).collect();
        assert_eq!(
            told,
            [
                "PrimaryStartup/FromUnknown",
                "PrimaryNormal/FromStartup",
                "PrimaryCommunicationsInterrupted/FromNormal",
            ]
        );
    }

    #[test]
    fn counters_are_no_news_and_a_state_is() {
        let mut record = record();
        assert!(record.take(Role::Primary, report(State::Normal)));
        let mut counted = report(State::Normal);
        counted.server.leases.active = 7;
        assert!(!record.take(Role::Primary, counted));
        assert!(record.take(Role::Primary, report(State::Paused)));
    }

    #[test]
    fn a_failing_link_is_told_once() {
        let mut record = record();
        let mut refusing = report(State::CommunicationsInterrupted);
        refusing.server.link_error = Some("partner refused: InvalidMclt".into());
        for _ in 0..3 {
            record.take(Role::Secondary, refusing.clone());
        }
        let refusals = record.notices.iter().filter(|notice| notice.reason == "SecondaryLinkFailed");
        assert_eq!(refusals.count(), 1);
    }
}
