//! Writes the status of pairs: changes at once, counters now and then.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::pair::{API_VERSION, DhcpFailoverPair, KIND};
use api::status::{Alarm, PairStatus};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::conditions::{PROGRESSING, Verdict, holds, reason};
use crate::names::{FIELD_MANAGER, PairKey};
use crate::plan::status::{before, differs};

/// Counters and times of observation are written this often at most.
const COUNTERS: Duration = Duration::from_secs(25);

/// Why a status could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused.
    #[error("writing the status")]
    Write(#[source] kube::Error),
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        "status"
    }
}

/// Writes status, and remembers what it wrote: the object in the cache may be older.
#[derive(Default)]
pub struct Writer {
    last: Mutex<BTreeMap<PairKey, Written>>,
}

/// A status that was written: of which object, what, and when.
struct Written {
    uid: Option<String>,
    status: PairStatus,
    at: Instant,
}

impl Writer {
    /// Forgets pairs that are gone.
    pub fn retain(&self, keep: impl Fn(&PairKey) -> bool) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).retain(|pair, _| keep(pair));
    }

    /// The alarms in the status that was last written for an object.
    #[must_use]
    pub fn alarms(&self, pair: &DhcpFailoverPair) -> Option<Vec<Alarm>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let written = last.get(&PairKey::of(pair)).filter(|written| written.uid == pair.metadata.uid)?;
        Some(written.status.alarms.clone())
    }

    /// Writes a status if it has something to say, and tells whether it did.
    pub async fn write(
        &self,
        client: &Client,
        pair: &DhcpFailoverPair,
        status: &PairStatus,
    ) -> Result<bool, Error> {
        let key = PairKey::of(pair);
        let uid = pair.metadata.uid.clone();
        {
            let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let written = last.get(&key).filter(|written| written.uid == uid);
            let news = match written {
                // What somebody else did to the status is undone too.
                Some(Written { status: written, at, .. }) => {
                    differs(written, status)
                        || at.elapsed() >= COUNTERS && (written != status || differs(before(pair), status))
                }
                None => true,
            };
            if !news {
                return Ok(false);
            }
        }
        let api: Api<DhcpFailoverPair> = Api::namespaced(client.clone(), &key.namespace);
        let body = json!({
            "apiVersion": API_VERSION, "kind": KIND,
            "metadata": {"name": key.name, "uid": uid},
            "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match api.patch_status(&key.name, &params, &Patch::Apply(&body)).await {
            // It was deleted meanwhile: with its UID given, applying does not make another.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {
                return Ok(false);
            }
            result => result.map_err(Error::Write)?,
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(key, Written { uid, status: status.clone(), at: Instant::now() });
        Ok(true)
    }
}

/// Adds what the cluster refused to a status that would otherwise call the pair settled.
pub fn note(status: &mut PairStatus, pair: &DhcpFailoverPair, notes: &[String], now: Timestamp) {
    if notes.is_empty() || holds(&status.conditions, PROGRESSING) {
        return;
    }
    let verdict = Verdict::yes(reason::CLAIM_NOT_CHANGED, notes.join("; "));
    let generation = pair.metadata.generation;
    let condition = verdict.condition(PROGRESSING, &before(pair).conditions, generation, now);
    if let Some(there) = status.conditions.iter_mut().find(|there| there.kind == PROGRESSING) {
        *there = condition;
    }
}
