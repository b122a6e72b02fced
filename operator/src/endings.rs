//! When pods of servers ended: the watch sees the end of a pod that is gone before anybody looks again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::names::{INSTANCE, PairKey};
use crate::observe;

/// Endings kept of a pair; older ones are remembered on the claims by then.
const KEPT: usize = 16;

/// Ends of pods, by pair and UID.
#[derive(Debug, Default)]
pub struct Endings {
    pairs: BTreeMap<PairKey, BTreeMap<String, Timestamp>>,
}

impl Endings {
    /// A pod was seen by the watch, maybe for the last time.
    pub fn note(&mut self, pod: &Pod) {
        let (Some(ended), Some(uid), Some(name)) =
            (observe::ended(pod), pod.uid(), pod.labels().get(INSTANCE))
        else {
            return;
        };
        let key = PairKey { namespace: pod.namespace().unwrap_or_default(), name: name.clone() };
        let ends = self.pairs.entry(key).or_default();
        ends.insert(uid, ended);
        while ends.len() > KEPT {
            let Some(oldest) = ends.iter().min_by_key(|(_, end)| **end).map(|(uid, _)| uid.clone()) else {
                return;
            };
            ends.remove(&oldest);
        }
    }

    /// Those of a pair.
    #[must_use]
    pub fn of(&self, pair: &PairKey) -> &BTreeMap<String, Timestamp> {
        static NONE: BTreeMap<String, Timestamp> = BTreeMap::new();
        self.pairs.get(pair).unwrap_or(&NONE)
    }

    /// Forgets pairs that are gone.
    pub fn retain(&mut self, keep: impl Fn(&PairKey) -> bool) {
        self.pairs.retain(|pair, _| keep(pair));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(deleted: bool, state: serde_json::Value, phase: &str) -> Pod {
        let mut pod = json!({
            "metadata": {"name": "lab-secondary-0", "namespace": "dhcp", "uid": "one", "labels": {INSTANCE: "lab"}},
            "status": {"phase": phase, "containerStatuses": [{
                "name": "dhcp", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]},
        });
        if deleted {
            pod["metadata"]["deletionTimestamp"] = "2026-11-22T09:20:00Z".into();
        }
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn only_a_kubelets_word_about_a_pod_that_does_not_start_again_is_an_end() {
        let ended = json!({"terminated": {"exitCode": 137, "finishedAt": "2026-11-22T09:20:05Z"}});
        let running = json!({"running": {"startedAt": "2026-11-22T09:00:00Z"}});
        let key = PairKey { namespace: "dhcp".into(), name: "lab".into() };
        for (deleted, state, phase, counts) in [
            (true, &ended, "Running", true),
            (false, &ended, "Failed", true),
            // It is started again in a moment.
            (false, &ended, "Running", false),
            // Deleted by force, or marked by a controller: no kubelet said that it ended.
            (true, &running, "Running", false),
            (true, &running, "Failed", false),
        ] {
            let mut endings = Endings::default();
            endings.note(&pod(deleted, state.clone(), phase));
            assert_eq!(endings.of(&key).contains_key("one"), counts, "{deleted} {state} {phase}");
        }
    }
}
