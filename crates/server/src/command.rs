//! What operators and the process itself ask of a server.

use api::config::{self, PairConfig};
use api::identity::Role;
use api::pair::PairManifest;
use api::status::{BootstrapToken, ConfigAccepted};
use api::time::Now;
use dhcp::network::Network;
use failover::transition::Service;
use leases::lease::Lease;

use crate::interface::{Answer, Command, CommandId, Event};
use crate::journal::Document;
use crate::stop::Stop;
use crate::{Server, removal, start};

/// Why a command changes nothing.
#[derive(Debug)]
pub(crate) struct Refused {
    class: &'static str,
    message: String,
}

impl Refused {
    pub(crate) fn new(class: &'static str, message: String) -> Self {
        Self { class, message }
    }

    pub(crate) fn answer(self) -> Answer {
        Answer::Refused { class: self.class, message: self.message }
    }
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
                self.begin_stop(now, Stop::sigterm(id, now));
                return;
            }
            Command::Force(request, caller) => match self.force(now, id, &request, caller) {
                Some(answer) => answer,
                None => return,
            },
            Command::Fence(fence) => Ok(self.take_fence(fence)),
            Command::Highest(highest) => Ok(self.compare_with_operator(now, highest)),
            Command::Note(status) => self.note_request(status),
            Command::Requests => Ok(Answer::Requests(self.requests())),
            Command::Reset { address, unused } => self.reset(now, address, unused),
        };
        self.settle(now);
        let answer = answer.unwrap_or_else(Refused::answer);
        self.outbox.answer(self.journal.last(), id, answer);
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
        let new = (&manifest, &config);
        if let Some(orphans) = removal::orphans(self.table.iter(), &self.config, new, now.wall) {
            return Err(Refused { class: "scope_removal", message: orphans.to_string() });
        }
        let digest = config::digest(&manifest);
        if manifest != self.manifest {
            if self.role == Role::Primary {
                self.max_lead.configure(config.mclt);
                self.journal.document(Document::MaxLead, &self.max_lead);
            }
            let before = std::mem::replace(&mut self.network, std::sync::Arc::new(Network::new(&config)));
            self.exchange.rejected.forget_own();
            self.table.register(start::ranges(&config));
            for address in start::configured(&config) {
                if self.table.get(address).is_none() {
                    self.table.put(Lease::new(address));
                }
            }
            let (partner, hba) = (self.partner_address(), self.configured_hba());
            self.manifest = manifest;
            self.config = config;
            if self.partner_address() != partner {
                // Whoever was not to be found before may be there.
                self.links.dial_at(now.mono);
            }
            self.endpoint.configure(start::settings(&self.config));
            let context = self.context(now);
            self.endpoint.leases_last(self.config.longest_lease(), context);
            self.note_alone_lease();
            self.digest.clone_from(&digest);
            self.mark_reservations(now, Some(&before));
            self.journal.document(Document::Pair, &self.manifest);
            self.offers.clear();
            self.outbox.event(Event::Configured { digest: digest.clone() });
            // The partner may have told of addresses that were not configured here yet.
            if self.endpoint.service() == Service::All && self.exchange.request.is_none() {
                self.request_updates(now, false);
            }
            self.balance_on_configuration(now);
            if self.role == Role::Primary && self.configured_hba() != hba && !self.is_stopping() {
                self.drop_link(now, "rebalanced", "the partner is to hear whom either answers");
            }
        }
        Ok(Answer::Configured(ConfigAccepted { generation: self.config.generation, digest }))
    }
}
