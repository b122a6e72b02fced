//! Metrics of the operator itself; those of the servers are at the servers.

use std::fmt::Write as _;
use std::time::Duration;

use api::identity::{Role, State};
use api::status::Alarm;
use prometheus::core::Collector;
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
    /// Requests for another state, by the phase that a server acknowledged.
    pub requests: IntCounterVec,
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
    /// 1 while an alarm of a pair stands.
    alarm: IntGaugeVec,
}

impl Metrics {
    /// Registers all metrics.
    pub fn new() -> Result<Self, prometheus::Error> {
        Self::registered(&mut Vec::new())
    }

    fn registered(rows: &mut Vec<Row>) -> Result<Self, prometheus::Error> {
        let mut register = Register { registry: Registry::new_custom(Some(PREFIX.to_owned()), None)?, rows };
        Ok(Self {
            reconciles: register.counter("reconciles_total", "Passes over a pair.")?,
            reconcile_seconds: register.histogram(
                "reconcile_duration_seconds",
                "Time that a pass over a pair took.",
                &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
            )?,
            errors: register.counters(
                "reconcile_errors_total",
                "Passes that failed, by class.",
                &["class"],
            )?,
            status_writes: register.counter("status_writes_total", "Writes of a pair's status.")?,
            replaced: register.counter("pods_replaced_total", "Pods replaced for a new template.")?,
            requests: register.counters(
                "requests_total",
                "Steps of requests for another state that a server acknowledged, by phase.",
                &["phase"],
            )?,
            tokens: register.counter("bootstrap_tokens_total", "Bootstrap tokens that a server took.")?,
            pushes: register.counter("config_pushes_total", "Configurations that a server acknowledged.")?,
            leader: register.gauge("leader", "1 while this instance leads.")?,
            state: register.gauges(
                "server_state",
                "1 for the failover state that a server is in, 0 for the others.",
                &["namespace", "pair", "role", "state"],
            )?,
            heard: register.gauges(
                "server_up",
                "1 while a server answers.",
                &["namespace", "pair", "role"],
            )?,
            accepted: register.gauges(
                "pair_accepted",
                "1 while a pair is accepted.",
                &["namespace", "pair"],
            )?,
            alarm: register.gauges(
                "alarm",
                "1 while an alarm of a pair stands, as in its status, 0 while it does not.",
                &["namespace", "pair", "alarm"],
            )?,
            registry: register.registry,
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

    /// Records the alarms of a pair.
    pub fn alarms(&self, pair: &PairKey, alarms: &[Alarm]) {
        for name in crate::plan::alarms::names() {
            let stands = alarms.iter().any(|alarm| alarm.reason == name);
            let labels = [pair.namespace.as_str(), pair.name.as_str(), name];
            self.alarm.with_label_values(&labels).set(stands.into());
        }
    }

    /// Drops what was recorded of a pair that is gone.
    pub fn forget(&self, pair: &PairKey) {
        let (namespace, name) = (pair.namespace.as_str(), pair.name.as_str());
        // A series that is not there is as good as removed.
        let _ = self.accepted.remove_label_values(&[namespace, name]);
        for alarm in crate::plan::alarms::names() {
            let _ = self.alarm.remove_label_values(&[namespace, name, alarm]);
        }
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

/// The operator's part of `docs/metrics.md`, after that of the servers.
pub fn reference() -> Result<String, prometheus::Error> {
    let mut rows = Vec::new();
    Metrics::registered(&mut rows)?;
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    let mut text = HEAD.to_owned();
    for Row { name, kind, labels, help } in rows {
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        // Writing to a string does not fail.
        let _ = writeln!(text, "| `{name}` | {kind} | {labels} | {help} |");
    }
    Ok(text)
}

const PREFIX: &str = "dhcp_operator";
const HEAD: &str = "
## Operator

At `/metrics` of the operator, on the port of its `--http`. Only the instance that leads looks after pairs.

| name | type | labels | meaning |
|---|---|---|---|
";

/// A metric's description.
struct Row {
    name: String,
    kind: &'static str,
    labels: Vec<String>,
    help: String,
}

/// Registers metrics and notes what they are.
struct Register<'a> {
    registry: Registry,
    rows: &'a mut Vec<Row>,
}

impl Register<'_> {
    fn counter(&mut self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add("counter", IntCounter::new(name, help)?)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.add("counter", IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&mut self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add("gauge", IntGauge::new(name, help)?)
    }

    fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.add("gauge", IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(&mut self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add("histogram", Histogram::with_opts(options)?)
    }

    fn add<T>(&mut self, kind: &'static str, metric: T) -> Result<T, prometheus::Error>
    where
        T: Collector + Clone + 'static,
    {
        self.registry.register(Box::new(metric.clone()))?;
        for description in metric.desc() {
            self.rows.push(Row {
                name: format!("{PREFIX}_{}", description.fq_name),
                kind,
                labels: description.variable_labels.clone(),
                help: description.help.clone(),
            });
        }
        Ok(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::Admission;
    use api::status::Ports;

    #[test]
    fn the_checked_in_reference_has_the_generated_part() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
        let document = std::fs::read_to_string(path).unwrap_or_default();
        let part = reference().expect("metrics");
        assert!(document.ends_with(&part), "docs/metrics.md differs: run `make generated`");
    }

    #[test]
    fn every_metric_is_explained_and_only_counters_are_totals() {
        let mut rows = Vec::new();
        Metrics::registered(&mut rows).expect("metrics");
        for Row { name, kind, help, .. } in rows {
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
            assert!(help.ends_with('.') && !help.contains('|'), "{name}: {help}");
        }
    }

    #[test]
    fn a_server_is_in_exactly_one_state_and_a_deleted_pair_in_none() {
        let metrics = Metrics::new().expect("metrics");
        let pair = PairKey { namespace: "dhcp".into(), name: "lab".into() };
        let seen = Seen {
            now: jiff::Timestamp::UNIX_EPOCH,
            admission: Admission::Accepted(Ports { link: 1, admin: 2 }),
            servers: crate::names::ByRole::default(),
            alarms: None,
        };
        metrics.observe(&pair, &seen, true);
        let alarm = Alarm {
            reason: "StoreStalled".to_owned(),
            server: Some(Role::Primary),
            since: jiff::Timestamp::UNIX_EPOCH,
            message: String::new(),
        };
        metrics.alarms(&pair, &[alarm]);
        let alarms = |text: &str| {
            text.lines().filter(|line| line.contains("operator_alarm{") && line.ends_with(" 1")).count()
        };
        assert_eq!(alarms(&metrics.text()), 1);
        metrics.alarms(&pair, &[]);
        assert_eq!(alarms(&metrics.text()), 0);
        let ones = |text: &str| {
            text.lines().filter(|line| line.contains("server_state{") && line.ends_with(" 1")).count()
        };
        assert_eq!(ones(&metrics.text()), 2, "one a role:\n{}", metrics.text());
        metrics.forget(&pair);
        assert!(!metrics.text().contains("lab"));
    }
}
