//! Choices between safety and service in rare states.

use serde::{Deserialize, Serialize};

/// Lease length while the partner is known to be down.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
pub enum PartnerDownLeaseTime {
    /// The full length.
    #[default]
    Full,
    /// The MCLT, renewed as often as needed.
    Mclt,
}

/// What a starting server does that does not find its partner.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
pub enum StartupExpiry {
    /// It goes on from its previous state.
    #[default]
    Previous,
    /// It waits for its partner.
    Wait,
}

/// Service while a conflict resolution is interrupted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
pub enum RiServe {
    /// Renewals only.
    #[default]
    RenewOnly,
    /// Also new leases from the server's own share.
    Own,
}
