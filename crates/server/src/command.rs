//! What operators and the process itself ask of a server.

use api::config::{self, PairConfig};
use api::identity::Role;
use api::pair::PairManifest;
use api::status::{BootstrapToken, ConfigAccepted};
use api::time::{Mono, Now, Seconds};
use dhcp::network::Network;
use failover::transition::Service;
use leases::lease::Lease;

use crate::interface::{Answer, Command, CommandId, Event};
use crate::journal::Document;
use crate::{Server, start};

/// A pause waits this long for the partner's answers, then goes.
const FLUSH_MAX: Seconds = Seconds(5);

/// A pause under way.
#[derive(Debug)]
pub(crate) struct Pausing {
    id: CommandId,
    /// Updates are flushed until then.
    until: Mono,
    /// The endpoint was told; only the announcement must still leave.
    paused: bool,
}

/// Why a command changes nothing.
pub(crate) struct Refused {
    class: &'static str,
    message: String,
}

impl Server {
    pub(crate) fn execute(&mut self, now: Now, id: CommandId, command: Command) {
        if let Some(error) = &self.failure {
            let message = format!("the store failed: {error}");
            self.outbox.answer(
                self.journal.durable(),
                id,
                Answer::Refused { class: "storage_failed", message },
            );
            return;
        }
        let answer = match command {
            Command::Configure(pair) => {
                let (manifest, config) = *pair;
                self.configure(now, manifest, config)
            }
            Command::Bootstrap(token) => self.bootstrap(now, &token).map(|()| Answer::Bootstrapped),
            Command::Pause => {
                self.pausing = Some(Pausing { id, until: now.mono + FLUSH_MAX, paused: false });
                self.drop_replies();
                self.tick_pause(now);
                return;
            }
        };
        self.settle(now);
        let answer = answer.unwrap_or_else(|refused| {
            let Refused { class, message } = refused;
            Answer::Refused { class, message }
        });
        self.outbox.answer(self.journal.last(), id, answer);
    }

    /// Goes on with a pause: once the partner has everything, or time is up, the state changes; once that
    /// is said, the process may end.
    pub(crate) fn tick_pause(&mut self, now: Now) {
        let Some(pausing) = &self.pausing else { return };
        if !pausing.paused {
            let flushed = self.links.registered().is_none()
                || (self.exchange.in_flight() == 0 && self.table.due().next().is_none());
            if !flushed && now.mono < pausing.until {
                return;
            }
            // Nothing was granted after this second.
            self.promise_until(now.wall);
            let context = self.context(now);
            self.endpoint.pause(context);
            self.settle(now);
            if let Some(pausing) = &mut self.pausing {
                pausing.paused = true;
            }
        }
        let Some(pausing) = &self.pausing else { return };
        let said = self.links.session().is_none_or(|session| session.is_drained());
        if said || now.mono >= pausing.until {
            let id = pausing.id;
            self.outbox.answer(self.journal.last(), id, Answer::Paused);
            if let Some(pausing) = &mut self.pausing {
                // Answered once; what follows changes nothing more.
                pausing.until = Mono(u64::MAX);
            }
        }
    }

    /// Whether a pause is under way: nobody is answered any more.
    pub(crate) fn is_pausing(&self) -> bool {
        self.pausing.is_some()
    }

    /// Uses a bootstrap token (`spec/failover-protocol.md` §12.2). Every doubt ends in a refusal.
    pub(crate) fn bootstrap(&mut self, now: Now, token: &BootstrapToken) -> Result<(), Refused> {
        let refused = |message: String| Refused { class: "bootstrap", message };
        let result = (|| {
            if self.volume_uid.as_deref() != Some(token.volume_uid.as_str()) {
                let own = self.volume_uid.as_deref().unwrap_or("unknown");
                return Err(refused(format!("the token is for volume {}, this is {own}", token.volume_uid)));
            }
            if let Some(role) = token.role.filter(|role| *role != self.role) {
                return Err(refused(format!("the token is for the {role}, this is the {}", self.role)));
            }
            if let (Some(wanted), Some(own)) = (&token.pair_uid, &self.config.uid)
                && wanted != own
            {
                return Err(refused(format!("the token is for the pair {wanted}, this is {own}")));
            }
            let empty = self.store_is_empty();
            let context = self.context(now);
            self.endpoint.bootstrap(empty, context).map_err(|refusal| refused(refusal.to_string()))
        })();
        if let Err(Refused { message, .. }) = &result {
            let text = format!("bootstrap token refused: {message}");
            self.outbox.event(Event::Notice { class: "bootstrap_refused", text });
        }
        result
    }

    /// Takes over another configuration. What the running pair rests on cannot change.
    fn configure(&mut self, now: Now, manifest: PairManifest, config: PairConfig) -> Result<Answer, Refused> {
        let refused = |message: &str| Err(Refused { class: "immutable", message: message.to_owned() });
        if config.relationship != self.config.relationship {
            return refused("spec.relationship: cannot change while the pair exists");
        }
        if config.secondary.is_some() != self.config.secondary.is_some() {
            return refused("spec.secondary: adding or removing a server needs a restart of the other");
        }
        let digest = config::digest(&manifest);
        if manifest != self.manifest {
            if self.role == Role::Primary {
                self.max_lead.configure(config.mclt);
                self.journal.document(Document::MaxLead, &self.max_lead);
            }
            self.network = std::sync::Arc::new(Network::new(&config));
            self.table.register(start::ranges(&config));
            for address in start::configured(&config) {
                if self.table.get(address).is_none() {
                    self.table.put(Lease::new(address));
                }
            }
            self.manifest = manifest;
            self.config = config;
            self.digest.clone_from(&digest);
            self.journal.document(Document::Pair, &self.manifest);
            self.mark_reservations(now);
            self.offers.clear();
            self.outbox.event(Event::Configured { digest: digest.clone() });
            // The partner may have told of addresses that were not configured here yet.
            if self.endpoint.service() == Service::All && self.exchange.request.is_none() {
                self.request_updates(now, false);
            }
            self.balance_on_configuration(now);
        }
        Ok(Answer::Configured(ConfigAccepted { generation: self.config.generation, digest }))
    }
}
