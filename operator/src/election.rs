//! Which instance of the operator acts.
//!
//! Safety does not rest on it: servers refuse what they did not expect. It keeps two instances from
//! undoing each other's work.

use std::future::Future;

use kube::Client;
use kube_lease_manager::{LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Seconds for which a lead holds without being renewed.
const DURATION: u64 = 15;
/// Seconds before its end at which it is renewed.
const GRACE: u64 = 5;

/// Why there is no election.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lease cannot be used.
    #[error("taking part in the election")]
    Lease(#[from] LeaseManagerError),
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        "election"
    }
}

/// An election to take part in.
pub trait Election {
    /// Takes part until the lead is dropped.
    fn run(self) -> impl Future<Output = Result<Lead, Error>> + Send;
}

/// The present outcome of an election.
pub struct Lead {
    outcome: watch::Receiver<bool>,
    candidate: Option<JoinHandle<()>>,
}

impl Lead {
    /// Waits until this instance leads.
    pub async fn won(&mut self) -> bool {
        self.outcome.wait_for(|leads| *leads).await.is_ok()
    }

    /// Waits until this instance does not lead, or can no longer know.
    pub async fn lost(&mut self) {
        // An ended candidate is a lost election too.
        let _ = self.outcome.wait_for(|leads| !*leads).await;
    }

    /// Gives the lead up, so that the next instance need not wait for its end.
    pub async fn release(self) {
        drop(self.outcome);
        if let Some(candidate) = self.candidate {
            let _ = candidate.await;
        }
    }
}

/// Election by a Lease object.
pub struct LeaseElection {
    /// Client for the object.
    pub client: Client,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub lease: String,
    /// Name of this instance.
    pub identity: String,
}

impl Election for LeaseElection {
    async fn run(self) -> Result<Lead, Error> {
        let manager = LeaseManagerBuilder::new(self.client, self.lease)
            .with_namespace(self.namespace)
            .with_identity(self.identity)
            .with_duration(DURATION)
            .with_grace(GRACE)
            .build()
            .await?;
        let (outcome, task) = manager.watch().await;
        let candidate = tokio::spawn(async move {
            if let Ok(Err(error)) = task.await {
                tracing::error!(error = crate::admin::chain(&error), "the election ended");
            }
        });
        Ok(Lead { outcome, candidate: Some(candidate) })
    }
}

/// No election: for a run by hand.
pub struct AlwaysLead;

impl Election for AlwaysLead {
    async fn run(self) -> Result<Lead, Error> {
        let (sender, outcome) = watch::channel(true);
        // Kept for ever: a dropped sender would read as a lost lead.
        let candidate = tokio::spawn(async move { sender.closed().await });
        Ok(Lead { outcome, candidate: Some(candidate) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lead_is_lost_when_its_candidate_ends() {
        let (sender, outcome) = watch::channel(false);
        let mut lead = Lead { outcome, candidate: None };
        sender.send(true).expect("a receiver");
        assert!(lead.won().await);
        drop(sender);
        lead.lost().await;
    }
}
