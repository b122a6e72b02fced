//! Who holds what among the pairs: the operator's own record, so that two pairs that are reconciled
//! at the same time cannot both get a subnet or a port.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use api::config::PairConfig;
use api::pair::{DhcpFailoverPair, PairManifest};
use api::status::Ports;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;

use crate::admission::{self, Claimant, Claims};
use crate::names::{ADMIN_PORT, MANIFEST_KEY, PairKey};
use crate::seen::Admission;
use crate::settings::Settings;

/// What each pair was given.
#[derive(Default)]
pub struct Registry(Mutex<BTreeMap<PairKey, Entry>>);

#[derive(Clone)]
struct Entry {
    uid: Option<String>,
    held: Claims,
    ports: Option<Ports>,
}

impl Registry {
    /// Reads from the ConfigMaps what pairs were given before the operator started.
    pub fn load(&self, config_maps: impl IntoIterator<Item = ConfigMap>) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for config_map in config_maps {
            if let Some((key, entry)) = given(&config_map) {
                entries.insert(key, entry);
            }
        }
    }

    /// Admits a pair among the others, and records it in the same breath.
    pub fn admit<'a>(
        &self,
        pair: &DhcpFailoverPair,
        others: impl IntoIterator<Item = &'a DhcpFailoverPair>,
        settings: &Settings,
    ) -> Admission {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let claimant = |pair: &DhcpFailoverPair, entries: &BTreeMap<PairKey, Entry>| {
            // A pair that was deleted and made again has to ask again.
            let entry = entries.get(&PairKey::of(pair)).filter(|entry| entry.uid == pair.uid());
            admission::claimant(
                pair,
                entry.map(|entry| entry.held.clone()),
                entry.and_then(|entry| entry.ports),
            )
        };
        let me = claimant(pair, &entries);
        let mut others: Vec<Claimant> = others.into_iter().map(|other| claimant(other, &entries)).collect();
        let left = entries.iter().filter(|(key, _)| others.iter().all(|other| other.key != **key));
        others.extend(left.map(|(key, entry)| entry.left_behind(key)).collect::<Vec<_>>());
        let (admission, claims) = admission::decide(pair, &me, &others, settings);
        if let (Admission::Accepted(ports), Some(held)) = (&admission, claims) {
            entries.insert(me.key, Entry { uid: pair.uid(), held, ports: Some(*ports) });
        }
        admission
    }

    /// The pairs that hold something.
    #[must_use]
    pub fn holders(&self) -> Vec<PairKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Releases what a pair held. To be called once it is gone and none of its servers runs.
    pub fn release(&self, pair: &PairKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(pair);
    }
}

impl Entry {
    /// A pair that was deleted and whose servers still run: nobody goes before it.
    fn left_behind(&self, key: &PairKey) -> Claimant {
        Claimant {
            key: key.clone(),
            uid: String::new(),
            created: Timestamp::MIN,
            asked: None,
            held: Some(self.held.clone()),
            ports: self.ports,
            link_port: None,
        }
    }
}

fn given(config_map: &ConfigMap) -> Option<(PairKey, Entry)> {
    let text = config_map.data.as_ref()?.get(MANIFEST_KEY)?;
    let manifest: PairManifest = serde_saphyr::from_str(text).ok()?;
    let config = PairConfig::new(&manifest).ok()?;
    let key =
        PairKey { namespace: manifest.metadata.namespace.clone(), name: manifest.metadata.name.clone() };
    let mut held = Claims::of(&config);
    // The copy has the addresses of nodes filled in, which several pairs share.
    held.forget_addresses();
    let admin = config_map.annotations().get(ADMIN_PORT).and_then(|port| port.parse().ok());
    let ports = manifest.spec.link.port.zip(admin).map(|(link, admin)| Ports { link, admin });
    Some((key, Entry { uid: manifest.metadata.uid, held, ports }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{pair, settings};

    #[test]
    fn two_pairs_admitted_in_a_row_never_share_a_port_or_a_subnet() {
        let registry = Registry::default();
        let one = pair("one", "2026-11-01T00:00:00Z", "10.77.0.0/24");
        let two = pair("two", "2026-11-02T00:00:00Z", "10.78.0.0/24");
        let three = pair("three", "2026-11-03T00:00:00Z", "10.78.0.0/24");
        let all = [&one, &two, &three];
        let Admission::Accepted(first) = registry.admit(&one, all, &settings()) else { panic!("refused") };
        let Admission::Accepted(second) = registry.admit(&two, all, &settings()) else { panic!("refused") };
        assert_eq!([first.link, first.admin, second.link, second.admin], [12000, 12001, 12002, 12003]);
        assert!(matches!(registry.admit(&three, all, &settings()), Admission::Refused(_)));
    }

    #[test]
    fn what_a_deleted_pair_held_is_free_only_once_its_servers_are_gone() {
        let registry = Registry::default();
        let one = pair("one", "2026-11-01T00:00:00Z", "10.77.0.0/24");
        let two = pair("two", "2026-11-02T00:00:00Z", "10.77.0.0/24");
        assert!(matches!(registry.admit(&one, [&one, &two], &settings()), Admission::Accepted(_)));
        assert!(matches!(registry.admit(&two, [&two], &settings()), Admission::Refused(_)), "pods still run");
        assert_eq!(registry.holders(), [PairKey::of(&one)]);
        registry.release(&PairKey::of(&one));
        assert!(matches!(registry.admit(&two, [&two], &settings()), Admission::Accepted(_)));
    }

    #[test]
    fn what_was_given_before_a_restart_is_read_from_the_config_maps() {
        let registry = Registry::default();
        let younger = pair("young", "2026-11-09T00:00:00Z", "10.77.0.0/24");
        let older = pair("old", "2026-11-01T00:00:00Z", "10.77.0.0/24");
        let mut manifest = admission::manifest(&younger);
        manifest.spec.link.port = Some(12010);
        let config_map = ConfigMap {
            metadata: kube::api::ObjectMeta {
                annotations: Some([(ADMIN_PORT.to_owned(), "12011".to_owned())].into()),
                ..Default::default()
            },
            data: Some([(MANIFEST_KEY.to_owned(), crate::plan::manifest::yaml(&manifest))].into()),
            ..ConfigMap::default()
        };
        registry.load([config_map]);
        let all = [&younger, &older];
        assert!(
            matches!(registry.admit(&older, all, &settings()), Admission::Refused(_)),
            "younger serves it"
        );
        assert_eq!(
            registry.admit(&younger, all, &settings()),
            Admission::Accepted(Ports { link: 12010, admin: 12011 }),
            "and keeps its ports without a status"
        );
    }
}
