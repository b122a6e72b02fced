//! Metrics of the operator itself; those of the servers are at the servers.

use std::time::Duration;

use api::identity::{Role, State};
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::names::PairKey;
use crate::seen::Seen;

/// The metrics, in a registry of their own.
pub struct Metrics {
    registry: Registry,
    /// Passes over a pair.
    pub reconciles: IntCounter,
    /// Seconds that a pass took.
    pub reconcile_seconds: Histogram,
    /// Passes that failed, by the class of the error.
    pub errors: IntCounterVec,
    /// Status writes.
    pub status_writes: IntCounter,
    /// Pods replaced.
    pub replaced: IntCounter,
    /// Bootstrap tokens taken.
    pub tokens: IntCounter,
    /// Configurations acknowledged.
    pub pushes: IntCounter,
    /// 1 while this instance leads.
    pub leader: IntGauge,
    /// 1 for the state that a server is in.
    state: IntGaugeVec,
    /// 1 while a server answers.
    heard: IntGaugeVec,
    /// 1 while a pair is accepted.
    accepted: IntGaugeVec,
}

impl Metrics {
    /// Registers all metrics.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new_custom(Some("dhcp_operator".to_owned()), None)?;
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let gauges = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauges.clone()))?;
            Ok::<_, prometheus::Error>(gauges)
        };
        let reconcile_seconds = Histogram::with_opts(
            HistogramOpts::new("reconcile_duration_seconds", "Time that a pass over a pair took")
                .buckets(vec![0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
        )?;
        registry.register(Box::new(reconcile_seconds.clone()))?;
        let errors = IntCounterVec::new(
            Opts::new("reconcile_errors_total", "Passes that failed, by class"),
            &["class"],
        )?;
        registry.register(Box::new(errors.clone()))?;
        let leader = IntGauge::new("leader", "1 while this instance leads")?;
        registry.register(Box::new(leader.clone()))?;
        Ok(Self {
            reconciles: counter("reconciles_total", "Passes over a pair")?,
            reconcile_seconds,
            errors,
            status_writes: counter("status_writes_total", "Writes of a pair's status")?,
            replaced: counter("pods_replaced_total", "Pods replaced for a new template")?,
            tokens: counter("bootstrap_tokens_total", "Bootstrap tokens that a server took")?,
            pushes: counter("config_pushes_total", "Configurations that a server acknowledged")?,
            leader,
            state: gauges(
                "server_state",
                "1 for the failover state that a server is in",
                &["namespace", "pair", "role", "state"],
            )?,
            heard: gauges("server_up", "1 while a server answers", &["namespace", "pair", "role"])?,
            accepted: gauges("pair_accepted", "1 while a pair is accepted", &["namespace", "pair"])?,
            registry,
        })
    }

    /// Records a pass.
    pub fn reconciled(&self, took: Duration) {
        self.reconciles.inc();
        self.reconcile_seconds.observe(took.as_secs_f64());
    }

    /// Records what was seen of a pair.
    pub fn observe(&self, pair: &PairKey, seen: &Seen, accepted: bool) {
        let (namespace, name) = (pair.namespace.as_str(), pair.name.as_str());
        self.accepted.with_label_values(&[namespace, name]).set(accepted.into());
        for (role, server) in seen.servers.iter() {
            let report = server.live();
            let labels = [namespace, name, role.as_str()];
            self.heard.with_label_values(&labels).set(report.is_some().into());
            let now = report.map_or(State::Unknown, |report| report.server.state);
            for state in State::ALL {
                let labels = [namespace, name, role.as_str(), state.as_str()];
                self.state.with_label_values(&labels).set((state == now).into());
            }
        }
    }

    /// Drops what was recorded of a pair that is gone.
    pub fn forget(&self, pair: &PairKey) {
        let (namespace, name) = (pair.namespace.as_str(), pair.name.as_str());
        // A series that is not there is as good as removed.
        let _ = self.accepted.remove_label_values(&[namespace, name]);
        for role in [Role::Primary, Role::Secondary] {
            let _ = self.heard.remove_label_values(&[namespace, name, role.as_str()]);
            for state in State::ALL {
                let _ = self.state.remove_label_values(&[namespace, name, role.as_str(), state.as_str()]);
            }
        }
    }

    /// The text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory does not fail.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::Admission;
    use api::status::Ports;

    #[test]
    fn a_server_is_in_exactly_one_state_and_a_deleted_pair_in_none() {
        let metrics = Metrics::new().expect("metrics");
        let pair = PairKey { namespace: "dhcp".into(), name: "lab".into() };
        let seen = Seen {
            now: jiff::Timestamp::UNIX_EPOCH,
            admission: Admission::Accepted(Ports { link: 1, admin: 2 }),
            servers: crate::names::ByRole::default(),
        };
        metrics.observe(&pair, &seen, true);
        let ones = |text: &str| {
            text.lines().filter(|line| line.contains("server_state{") && line.ends_with(" 1")).count()
        };
        assert_eq!(ones(&metrics.text()), 2, "one a role:\n{}", metrics.text());
        metrics.forget(&pair);
        assert!(!metrics.text().contains("lab"));
    }
}
