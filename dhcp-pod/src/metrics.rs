//! Metrics in the Prometheus text format, in a registry of their own.
//!
//! What the threads measure is recorded as it happens; what the server core counts and reports is taken
//! from the last [`Snapshot`] when somebody asks.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use api::identity::State;
use api::status::{Communication, StoreStatus};
use leases::log::Statistics;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, Histogram, HistogramOpts, IntGauge, Registry, TextEncoder};

use crate::snapshot::{Counts, Snapshot};

mod reference;

pub use reference::reference;

/// Seconds, from a fast disk's sync to a client's patience.
const SECONDS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    latest: Arc<Latest>,
    /// From the engine's hand-over of a batch until it is durable.
    pub commit_seconds: Histogram,
    /// Batches that one sync made durable.
    pub commit_batches: Histogram,
    /// Records of a batch.
    pub commit_entries: Histogram,
    /// From a packet's arrival until its reply is handed to the kernel.
    pub reply_seconds: Histogram,
    log_bytes: IntGauge,
    log_segments: IntGauge,
    log_low_space: IntGauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers everything.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let latest = Arc::new(Latest::default());
        register(&registry, Box::new(SnapshotCollector(latest.clone())));
        Self {
            commit_seconds: histogram(
                &registry,
                "dhcp_commit_seconds",
                "From handing a batch to the commit thread until it is on disk.",
                SECONDS,
            ),
            commit_batches: histogram(
                &registry,
                "dhcp_commit_batches",
                "Batches that one sync of the lease store made durable.",
                SIZES,
            ),
            commit_entries: histogram(
                &registry,
                "dhcp_commit_entries",
                "Records of one batch of the lease store.",
                SIZES,
            ),
            reply_seconds: histogram(
                &registry,
                "dhcp_reply_seconds",
                "From the arrival of a packet until its reply is handed to the kernel.",
                SECONDS,
            ),
            log_bytes: gauge(&registry, "dhcp_log_bytes", "Length of all segments of the lease store."),
            log_segments: gauge(&registry, "dhcp_log_segments", "Number of segments of the lease store."),
            log_low_space: gauge(
                &registry,
                "dhcp_log_low_space",
                "1 if the lease store gave up its reserve because the volume is full.",
            ),
            registry,
            latest,
        }
    }

    /// Notes the state of the log.
    pub fn log_statistics(&self, statistics: Statistics) {
        self.log_bytes.set(i64::try_from(statistics.bytes).unwrap_or(i64::MAX));
        self.log_segments.set(i64::try_from(statistics.segments).unwrap_or(i64::MAX));
        self.log_low_space.set(i64::from(statistics.low_space));
    }

    /// Takes over what the engine last said.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        // A poisoned lock means that a scrape panicked; its damage is a stale value at worst.
        *self.latest.snapshot.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(snapshot);
    }

    /// Counts what happens outside the engine.
    pub fn count(&self, family: &'static str, label: &'static str) {
        let mut counts = self.latest.counts.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *counts.entry((family, label)).or_default() += 1;
    }

    /// The text that a scrape gets.
    pub fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[derive(Default)]
struct Latest {
    snapshot: RwLock<Option<Arc<Snapshot>>>,
    counts: RwLock<Counts>,
}

/// Turns the last snapshot into metric families.
struct SnapshotCollector(Arc<Latest>);

impl Collector for SnapshotCollector {
    /// Families come and go with what was counted, so none is announced; no other collector uses these
    /// names.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut counts = self.0.counts.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let snapshot = self.0.snapshot.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let mut families = Vec::new();
        if let Some(snapshot) = snapshot {
            for (key, count) in &snapshot.counts {
                *counts.entry(*key).or_default() += count;
            }
            gauges(&snapshot, &mut families);
        }
        counters(&counts, &mut families);
        // The text format has no families without values.
        families.retain(|family| !family.metrics.is_empty());
        families.into_iter().map(MetricFamily::from).collect()
    }
}

/// (name, label, help) of the families that the server core and the driver count.
const COUNTERS: &[(&str, &str, &str)] = &[
    ("addresses_given", "occasion", "Free addresses given to the partner."),
    ("addresses_received", "occasion", "Free addresses that the partner gave."),
    ("addresses_reclaimed", "occasion", "Free addresses taken back from the partner."),
    ("admin_requests", "code", "Requests to the admin API by class of their answer."),
    ("allocation_failures", "reason", "Clients for which no address was found."),
    (
        "certificate_warnings",
        "kind",
        "Certificates accepted although something is wrong, and files that could not be used.",
    ),
    ("engine_stalls", "reason", "Turns in which nothing was read because too much waits already."),
    (
        "failover_database_comparisons",
        "result",
        "Comparisons of the own leases with those of an own partner; `open` while either has something to tell.",
    ),
    (
        "failover_extensions_unreadable",
        "kind",
        "What an own partner told beyond the protocol and could not be read.",
    ),
    ("failover_messages_received", "type", "Messages received from the partner."),
    ("failover_messages_sent", "type", "Messages handed to the socket towards the partner."),
    ("leases_adopted", "by", "Leases taken over from clients after both stores were lost."),
    ("leases_expired", "by", "Leases that ended without a word of their client."),
    ("leases_reset", "from", "Bindings that an operator ended, by their status before."),
    ("link_attempts", "outcome", "Connections with the partner, dialled and accepted, by outcome."),
    ("link_losses", "reason", "Connections with the partner that were lost."),
    ("link_refusals", "reason", "Connections refused, by us or by the partner."),
    (
        "packets_dropped",
        "reason",
        "Packets that were not answered: faulty, for the partner, or one too many.",
    ),
    ("packets_received", "type", "DHCP packets received."),
    ("replies_dropped", "reason", "Replies that did not leave."),
    ("replies_sent", "type", "Replies handed to the kernel."),
    ("requests", "phase", "Requests for another state that were decided, by their phase."),
    ("state_changes", "state", "Times that the server entered a failover state."),
    ("updates_rejected", "reason", "Updates of the partner that this server rejected."),
    ("updates_rejected_by_partner", "reason", "Updates that the partner rejected."),
];

/// A family of metrics. It has its description even while there is nothing to show.
struct Family {
    name: String,
    kind: MetricType,
    labels: Vec<&'static str>,
    help: &'static str,
    metrics: Vec<Metric>,
}

impl Family {
    /// Values of labels in the order of their names, and the value of the gauge.
    fn gauges(
        name: &str,
        labels: &[&'static str],
        help: &'static str,
        values: impl IntoIterator<Item = (Vec<String>, f64)>,
    ) -> Self {
        let metrics = values
            .into_iter()
            .map(|(of_labels, value)| {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                let mut metric = labelled(labels, &of_labels);
                metric.set_gauge(gauge);
                metric
            })
            .collect();
        Self { name: name.to_owned(), kind: MetricType::GAUGE, labels: labels.to_vec(), help, metrics }
    }
}

impl From<Family> for MetricFamily {
    fn from(family: Family) -> Self {
        let mut shown = Self::default();
        shown.set_name(family.name);
        shown.set_help(family.help.to_owned());
        shown.set_field_type(family.kind);
        shown.set_metric(family.metrics);
        shown
    }
}

fn counters(counts: &Counts, families: &mut Vec<Family>) {
    let mut by_family: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
    for ((family, label), count) in counts {
        by_family.entry(family).or_default().push((label, *count));
    }
    for (family, values) in by_family {
        let known = COUNTERS.iter().find(|(name, ..)| *name == family);
        let (label, help) =
            known.map_or(("kind", "Counted by the server."), |(_, label, help)| (*label, *help));
        let metrics = values
            .into_iter()
            .map(|(value, count)| {
                let mut counter = Counter::default();
                counter.set_value(count as f64);
                let mut metric = labelled(&[label], &[value.to_owned()]);
                metric.set_counter(counter);
                metric
            })
            .collect();
        families.push(Family {
            name: format!("dhcp_{family}_total"),
            kind: MetricType::COUNTER,
            labels: vec![label],
            help,
            metrics,
        });
    }
}

/// What does not apply has a family without values.
fn gauges(snapshot: &Snapshot, families: &mut Vec<Family>) {
    let report = &snapshot.report;
    let flag = |on: bool| f64::from(u8::from(on));
    let states = |shown: Option<State>| {
        State::ALL.map(|state| (vec![state.as_str().to_owned()], flag(Some(state) == shown)))
    };
    let leases = &report.server.leases;
    let statuses = [
        ("Active", leases.active),
        ("Free", leases.free),
        ("Backup", leases.backup),
        ("Expired", leases.expired),
        ("Released", leases.released),
        ("Abandoned", leases.abandoned),
        ("Reset", leases.reset),
    ];
    families.extend([
        Family::gauges(
            "dhcp_failover_state",
            &["state"],
            "1 for the failover state that the server is in, 0 for the others.",
            states(Some(report.server.state)),
        ),
        Family::gauges(
            "dhcp_failover_partner_state",
            &["state"],
            "1 for the failover state that the partner last said, 0 for the others.",
            states(report.server.partner_state),
        ),
        Family::gauges(
            "dhcp_leases",
            &["status"],
            "Addresses of pools and reservations by binding status.",
            statuses.map(|(status, count)| (vec![status.to_owned()], f64::from(count))),
        ),
        Family::gauges(
            "dhcp_clock_skew_seconds",
            &[],
            "The partner's clock minus the server's own, once it is known.",
            report.server.clock_skew_millis.map(|skew| (Vec::new(), skew as f64 / 1000.0)),
        ),
    ]);
    let store = report.store;
    for (name, help, value) in [
        ("dhcp_serving", "1 if the server answers clients in its state.", flag(report.server.serving)),
        (
            "dhcp_link_up",
            "1 if the partner is connected and heard.",
            flag(report.server.communication == Communication::Ok),
        ),
        (
            "dhcp_unacked_updates",
            "Changes that the partner has not acknowledged.",
            f64::from(report.server.unacked_updates),
        ),
        ("dhcp_mclt_seconds", "Maximum client lead time in force.", f64::from(report.mclt_seconds)),
        ("dhcp_backup_ratio", "Share of the secondary in force.", f64::from(report.backup_pct) / 100.0),
        (
            "dhcp_store_empty",
            "1 while the store holds no binding, no record of the partner and no burnt token.",
            flag(store == StoreStatus::Empty),
        ),
        (
            "dhcp_storage_healthy",
            "1 while the store takes changes.",
            flag(report.server.storage_error.is_none() && store != StoreStatus::Corrupt),
        ),
        (
            "dhcp_config_healthy",
            "1 while the newest configuration is in force.",
            flag(report.server.config_error.is_none()),
        ),
        (
            "dhcp_commit_waiting",
            "Batches handed to the commit thread that are not durable yet.",
            snapshot.commits_waiting as f64,
        ),
        ("dhcp_epoch", "Start counter plus generation of the store.", report.epoch as f64),
        ("dhcp_lsn", "Last durable change of the store.", report.lsn.0 as f64),
    ] {
        families.push(Family::gauges(name, &[], help, [(Vec::new(), value)]));
    }
    pools(snapshot, families);
}

fn pools(snapshot: &Snapshot, families: &mut Vec<Family>) {
    let mut addresses = Vec::new();
    let mut targets = Vec::new();
    for pool in &snapshot.report.pools {
        let labels = vec![pool.subnet.clone(), format!("{}-{}", pool.first, pool.last)];
        for (status, count) in [
            ("free", pool.free),
            ("backup", pool.backup),
            ("active", pool.active),
            ("parked", pool.parked),
            ("abandoned", pool.abandoned),
        ] {
            addresses.push(([labels.as_slice(), &[status.to_owned()]].concat(), f64::from(count)));
        }
        targets.push((labels, f64::from(pool.target)));
    }
    families.push(Family::gauges(
        "dhcp_pool_addresses",
        &["subnet", "range", "status"],
        "Addresses of a pool by status.",
        addresses,
    ));
    families.push(Family::gauges(
        "dhcp_pool_backup_target",
        &["subnet", "range"],
        "How many free addresses of a pool the secondary should hold.",
        targets,
    ));
}

fn labelled(names: &[&str], values: &[String]) -> Metric {
    let mut metric = Metric::default();
    let pairs = names.iter().zip(values).map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value.clone());
        pair
    });
    metric.set_label(pairs.collect());
    metric
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    let histogram = Histogram::with_opts(options).expect("names and buckets are constants of this file");
    register(registry, Box::new(histogram.clone()));
    histogram
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    let gauge = IntGauge::new(name, help).expect("names are constants of this file");
    register(registry, Box::new(gauge.clone()));
    gauge
}

fn register(registry: &Registry, collector: Box<dyn Collector>) {
    registry.register(collector).expect("names are constants of this file, each used once");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(metrics: &Metrics) -> String {
        String::from_utf8(metrics.text().expect("encodes")).expect("is text")
    }

    #[test]
    fn exactly_one_state_is_one() {
        let metrics = Metrics::new();
        let mut snapshot = Snapshot::default();
        snapshot.report.server.state = State::RecoverWait;
        metrics.publish(Arc::new(snapshot));
        let text = text(&metrics);
        let states: Vec<_> = text.lines().filter(|line| line.starts_with("dhcp_failover_state{")).collect();
        assert_eq!(states.len(), State::ALL.len());
        let ones: Vec<_> = states.iter().filter(|line| line.ends_with(" 1")).collect();
        assert_eq!(ones, [&"dhcp_failover_state{state=\"RecoverWait\"} 1"]);
    }

    #[test]
    fn counts_of_the_core_and_of_the_driver_add_up() {
        let metrics = Metrics::new();
        metrics.count("link_attempts", "refused");
        let mut snapshot = Snapshot::default();
        snapshot.counts.insert(("link_attempts", "refused"), 2);
        snapshot.counts.insert(("something_new", "a"), 5);
        metrics.publish(Arc::new(snapshot));
        let text = text(&metrics);
        assert!(text.contains("dhcp_link_attempts_total{outcome=\"refused\"} 3"), "{text}");
        assert!(text.contains("dhcp_something_new_total{kind=\"a\"} 5"), "{text}");
    }

    #[test]
    fn every_family_has_the_prefix_a_help_and_a_type() {
        let metrics = Metrics::new();
        metrics.publish(Arc::new(Snapshot::default()));
        let text = text(&metrics);
        for line in text.lines() {
            let name = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE ")).unwrap_or(line);
            assert!(name.starts_with("dhcp_"), "{line}");
        }
        let helps = text.lines().filter(|line| line.starts_with("# HELP")).count();
        assert_eq!(helps, text.lines().filter(|line| line.starts_with("# TYPE")).count());
        assert!(helps > 15, "{text}");
    }
}
