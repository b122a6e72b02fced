//! What servers of this project tell each other beyond the protocol: how far their stores are, and what must be
//! remembered by both (`spec/failover-protocol.md` §9, §12.1; `docs/formats/lease-log.md`).

use api::identity::{State, StateStamp, StoreStamp};
use api::status::RequestStatus;
use api::time::{Now, Seconds, UnixTime};
use failover::endpoint::Progress;
use failover::times::MaxLead;
use failover::wire::Extension;
use marks::{Rule, sometimes};
use serde::{Deserialize, Serialize};

use crate::Server;
use crate::interface::{ConnId, Event};
use crate::journal::Document;

/// Messages with news of requests that are sent in one go; the rest follow in the next second.
const CONTACTS_AT_ONCE: usize = 16;

/// What sub-option 13 holds, as JSON (§9, §12.1).
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Told {
    /// News of requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requests: Vec<RequestStatus>,
    /// The sender's data is lost since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_lost_since: Option<UnixTime>,
    /// Until when the sender gives no client a new address because leases may run that no store knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_until: Option<UnixTime>,
    /// The sender never heard of any partner before this connection, and its own data is whole.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    never_knew_partner: bool,
    /// An MCLT that leases may still have been granted under, larger than the one in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    owed_mclt: Option<OwedMclt>,
    /// The epoch of the sender's present state, where it is another than the one that it says of its store.
    #[serde(skip_serializing_if = "Option::is_none")]
    state_epoch: Option<u64>,
    /// The change of the receiver after which it may have been let go, as the sender's fence names it, while that is in
    /// force.
    #[serde(skip_serializing_if = "Option::is_none")]
    fence: Option<FencedAfter>,
    /// Further requests follow.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

/// A change of the receiver of a message.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct FencedAfter {
    epoch: u64,
    transition: u64,
}

/// An older MCLT, and until when waits count with it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct OwedMclt {
    seconds: Seconds,
    until: UnixTime,
}

impl Server {
    /// Tells an own partner of requests and of a fence at once, not with the next keep-alive: it must know them should
    /// either server be lost.
    pub(crate) fn tell_news(&mut self, now: Now) {
        for _ in 0..CONTACTS_AT_ONCE {
            let Some(registered) = self.links.registered.as_ref().filter(|registered| registered.announced)
            else {
                return;
            };
            let conn = registered.conn;
            let fence = self.endpoint.fence_in_force().is_some() && !registered.told_fence;
            let news = fence || self.ledger.has_news(registered.told_requests);
            if self.links.partner_is_own() != Some(true) || !news {
                return;
            }
            self.contact(now, conn);
        }
    }

    /// What the partner may know of both stores.
    pub(super) fn progress(&self) -> Extension {
        let record = self.endpoint.record();
        let own = self.announced_store();
        let partner = record.partner.and_then(|partner| partner.highest).unwrap_or_default();
        Extension::Progress {
            epoch: own.epoch,
            lsn: own.lsn,
            transition: record.stamp.transition,
            partner_epoch: partner.epoch,
            partner_lsn: partner.lsn,
        }
    }

    fn announced_store(&self) -> StoreStamp {
        let epoch = self.endpoint.record().stamp.epoch;
        self.endpoint.announced_store(StoreStamp { epoch, lsn: self.journal.durable() })
    }

    /// What an own partner is told with each STATE and CONTACT.
    pub(super) fn news(&mut self, conn: ConnId) -> Vec<Extension> {
        let mut extensions = vec![self.progress()];
        let Some(registered) = self.links.registered.as_mut().filter(|registered| registered.conn == conn)
        else {
            return extensions;
        };
        let (requests, upto) = self.ledger.news(registered.told_requests);
        registered.told_requests = upto;
        let fence = self.endpoint.fence_in_force();
        registered.told_fence = fence.is_some();
        let hold = self.endpoint.record().hold;
        let MaxLead { owed, owed_until, .. } = self.max_lead;
        let owed_mclt = OwedMclt { seconds: owed, until: owed_until };
        let record = self.endpoint.record();
        let store = self.announced_store();
        let told = Told {
            requests,
            state_epoch: Some(record.stamp.epoch).filter(|epoch| *epoch != store.epoch),
            fence: fence.map(|fence| FencedAfter {
                epoch: fence.partner_epoch,
                transition: fence.partner_transition,
            }),
            more: self.ledger.has_news(upto),
            data_lost_since: self.endpoint.data_lost_since(),
            never_knew_partner: self.endpoint.never_knew_partner(),
            // While it has no end yet, the partner grants under it itself.
            owed_mclt: Some(owed_mclt).filter(|_| owed > Seconds::ZERO && !owed_until.is_infinite()),
            hold_until: hold.filter(|hold| hold.reason.leases_unknown()).map(|hold| hold.until),
        };
        if let Ok(json) = serde_json::to_vec(&told) {
            extensions.push(Extension::Ledger(json));
        }
        if record.state == State::PartnerDown {
            extensions.push(Extension::PartnerDownLease(record.alone_lease.get()));
        }
        extensions
    }

    /// Takes in what an own partner tells of requests and of its data.
    pub(super) fn learn(&mut self, now: Now, extensions: &[Extension], lacks_partner_down: bool) {
        for extension in extensions {
            if let Extension::PartnerDownLease(longest) = extension {
                self.endpoint.partner_grants_alone(Seconds(*longest));
            }
        }
        match told_in(extensions) {
            None => {}
            Some(Err(error)) => {
                self.counters.add("failover_extensions_unreadable", "ledger", 1);
                let text = format!("what the partner tells of requests cannot be read: {error}");
                self.outbox.event(Event::Notice { class: "ledger_unreadable", text });
            }
            Some(Ok(Told {
                requests,
                data_lost_since,
                hold_until,
                never_knew_partner,
                owed_mclt,
                fence,
                more,
                state_epoch: _,
            })) => {
                if let Some(OwedMclt { seconds, until }) = owed_mclt
                    && self.max_lead.told(seconds, until, now.wall)
                {
                    self.journal.document(Document::MaxLead, &self.max_lead);
                }
                if self.ledger.learn(requests) {
                    sometimes!(Rule::RequestLearned);
                    self.journal.document(Document::Ledger, &self.ledger);
                }
                if !more {
                    self.endpoint.requests_heard();
                }
                if never_knew_partner {
                    self.endpoint.partner_never_knew_us();
                }
                if let Some(FencedAfter { epoch, transition }) = fence
                    && self.endpoint.partner_is_fenced(StateStamp { epoch, transition })
                {
                    // What the operator remembers of the new number must be on the disk first.
                    self.compared_since = None;
                }
                self.exchange.partner_lost_since = data_lost_since;
                let context = self.context(now);
                let told = self.endpoint.record().partner_alone_lease;
                let longest = self.config.longest_lease().max(told.unwrap_or_default());
                let held = self.endpoint.hold(now.wall);
                self.endpoint.partner_data(data_lost_since, hold_until, lacks_partner_down, longest, context);
                if held.is_none()
                    && let Some(hold) = self.endpoint.hold(now.wall)
                {
                    let text = format!(
                        "{}: leases may run that no store knows; no client gets a new address until {}, renewals \
                         go on",
                        hold.reason.as_str(),
                        hold.until
                    );
                    self.outbox.event(Event::Notice { class: "leases_unknown", text });
                }
            }
        }
    }

    /// A handshake names both stores once; later messages only how far the partner is.
    pub(super) fn compare_progress(&mut self, now: Now, extensions: &[Extension]) {
        let Some(progress) = extensions.iter().find_map(progress_of) else { return };
        let first = self
            .links
            .registered
            .as_mut()
            .is_some_and(|registered| !std::mem::replace(&mut registered.told_progress, true));
        if first {
            let context = self.context(now);
            self.endpoint.compare_stores(progress, context);
        } else {
            self.endpoint.note_progress(progress);
        }
    }
}

/// The number of the state change that an own partner tells of.
pub(super) fn state_change(extensions: &[Extension]) -> Option<StateStamp> {
    let stamp = extensions.iter().find_map(progress_of)?.stamp;
    let told = told_in(extensions).and_then(Result::ok);
    Some(StateStamp { epoch: told.and_then(|told| told.state_epoch).unwrap_or(stamp.epoch), ..stamp })
}

fn told_in(extensions: &[Extension]) -> Option<serde_json::Result<Told>> {
    extensions.iter().find_map(|extension| match extension {
        Extension::Ledger(json) => Some(serde_json::from_slice(json)),
        _ => None,
    })
}

fn progress_of(extension: &Extension) -> Option<Progress> {
    match extension {
        Extension::Progress { epoch, lsn, transition, partner_epoch, partner_lsn } => Some(Progress {
            own: StoreStamp { epoch: *epoch, lsn: *lsn },
            stamp: StateStamp { epoch: *epoch, transition: *transition },
            known_of_partner: StoreStamp { epoch: *partner_epoch, lsn: *partner_lsn },
        }),
        _ => None,
    }
}
