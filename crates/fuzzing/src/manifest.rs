//! Manifests, as JSON or YAML: of a file, of a configuration that is pushed, of a store.

use api::config::{PairConfig, digest};
use api::pair::PairManifest;
use dhcp_pod::manifest;

use crate::bench::{ADDRESSES_MAX, Bench, addresses};

/// Octets are a manifest or are refused in words; what is one, a server can work with.
pub fn check(octets: &[u8]) {
    let unknown = manifest::unknown_fields(octets);
    assert!(unknown.iter().all(|path| !path.contains(['\n', '\r', '\0'])), "{unknown:?}");
    let (manifest, config) = match manifest::parse(octets) {
        Ok(parsed) => parsed,
        Err(error) => {
            assert!(!error.0.is_empty() && !error.to_string().is_empty());
            return;
        }
    };
    same_again(&manifest, &config);
    if addresses(&config) > ADDRESSES_MAX {
        return;
    }
    serves(manifest, config);
}

/// What was read is written and read again as the same.
fn same_again(manifest: &PairManifest, config: &PairConfig) {
    let json = serde_json::to_vec(manifest).expect("a manifest is plain JSON");
    let (again, checked) = manifest::parse(&json).expect("what was accepted is accepted again");
    assert_eq!((&again, &checked), (manifest, config));
    assert_eq!(digest(&again), digest(manifest));
    assert_eq!(manifest::unknown_fields(&json), Vec::<String>::new());
}

/// Each server of the pair that we run starts from it, answers, and starts again; and one that runs takes it over or
/// says why not.
fn serves(manifest: PairManifest, config: PairConfig) {
    for role in [api::identity::Role::Primary, api::identity::Role::Secondary] {
        let Some(mut bench) = Bench::start(role, manifest.clone(), config.clone()) else { continue };
        bench.advance(3_000);
        bench.discover();
        bench.advance(1_000);
        bench.restart();
        bench.discover();
    }
    let mut running = Bench::new();
    running.configure(manifest, config);
    running.advance(1_000);
    running.discover();
    running.restart();
}
