//! Facts of the core as log lines for the person on call: what happened, to whom, and what comes next.

use api::identity::State;
use server::Event;

use crate::logging::Brake;

/// Writes one line, unless it is one of many.
pub(super) fn log(event: &Event, brake: &Brake) {
    match event {
        Event::StateChanged { from, to, why } => state_changed(*from, *to, why),
        Event::PartnerChanged { from, to, startup } => {
            let before = from.map_or("unheard", State::as_str);
            let startup = if *startup { ", still starting" } else { "" };
            tracing::info!(partner = to.as_str(), "the partner went from {before} to {to}{startup}");
        }
        Event::LinkUp { vendor } => {
            tracing::info!("connected with the partner, which calls itself {vendor:?}");
        }
        Event::LinkDown { class, why } => {
            tracing::warn!(class, "connection with the partner lost: {why}; dialling again");
        }
        Event::Rejected { address, by_partner, reason, why } => {
            if let Some(left_out) = brake.pass("rejected") {
                let who = if *by_partner { "the partner rejected our" } else { "we rejected the partner's" };
                tracing::warn!(%address, reason, left_out, "{who} update of {address}: {why}");
            }
        }
        Event::Abandoned { address, client } => {
            tracing::warn!(
                %address,
                "{address} was declined by {client} as in use by somebody else; nobody gets it for a while. Look for a \
                 device with a fixed address inside a pool"
            );
        }
        Event::PoolBalanced { given, reclaimed } => {
            tracing::info!(
                given,
                reclaimed,
                "free addresses balanced: {given} given to the partner, {reclaimed} taken back"
            );
        }
        Event::PoolEmpty { subnet, partner_has } => {
            if let Some(left_out) = brake.pass("pool_empty") {
                let next = if *partner_has > 0 {
                    "the partner still has some and serves new clients"
                } else {
                    "new clients get nothing; make the pool larger or the leases shorter"
                };
                tracing::error!(subnet, partner_has, left_out, "no free address in {subnet}: {next}");
            }
        }
        Event::Configured { digest } => tracing::info!(digest, "another configuration is in force"),
        Event::StoreBehind { why } => {
            tracing::warn!(
                "the lease store may lack leases: {why}; no service until the partner has sent everything"
            );
        }
        Event::StorageFailed { why } => {
            tracing::error!(
                "the lease store failed, nobody is answered any more: {why}; the process ends in a minute to be started anew"
            );
        }
        Event::Notice { class, text } => {
            if let Some(left_out) = brake.pass(class) {
                tracing::warn!(class, left_out, "{text}");
            }
        }
        Event::WaitingUntil { until, why } => tracing::info!(%until, "waiting until {until}: {why}"),
    }
}

fn state_changed(from: State, to: State, why: &str) {
    let next = match to {
        State::Normal => "both servers serve",
        State::CommunicationsInterrupted => {
            "renewing everybody's leases, new ones from the own share; returns to Normal when the partner answers. If the \
             partner is dead for good, declare it down before the share runs out"
        }
        State::PartnerDown => "serving alone; the partner's addresses follow once its leases must have ended",
        State::PotentialConflict => {
            "both may have served the same addresses; no service until that is sorted out"
        }
        State::ResolutionInterrupted => {
            "contact lost while sorting out a conflict; only renewals until it is back"
        }
        State::ConflictDone => "conflicts sorted out; waiting for the partner to finish",
        State::Recover => "no service; fetching the partner's leases",
        State::RecoverWait => "no service until the MCLT has passed",
        State::RecoverDone => "recovered; only renewals until the partner agrees",
        State::Paused | State::Shutdown => "no service",
        State::Startup => "no service until the partner was sought",
        State::Unknown => "",
    };
    let (from_name, state) = (from.as_str(), to.as_str());
    match to {
        State::PotentialConflict | State::ResolutionInterrupted => {
            tracing::error!(from = from_name, state, "{from} -> {to}, because {why}: {next}");
        }
        State::CommunicationsInterrupted | State::PartnerDown | State::Recover => {
            tracing::warn!(from = from_name, state, "{from} -> {to}, because {why}: {next}");
        }
        _ => tracing::info!(from = from_name, state, "{from} -> {to}, because {why}: {next}"),
    }
}
