//! A server without its partner whose own free addresses run out.

use api::identity::{Role, State};
use api::pair::{PairSpec, RiServe};
use api::status::PoolStatus;

use crate::plan::alarms::Situation;
use crate::plan::alarms::rules::time;

/// Fewer than this part of its share, in percent, is low; the alarm goes once it has this much more.
const LOW_PERCENT: u64 = 10;
const LOW_PERCENT_OVER: u64 = 20;
/// Ranges that the line names.
const NAMED: usize = 3;

pub(super) fn backup_pool_low(it: &Situation<'_>) -> Option<String> {
    it.spec.secondary.as_ref()?;
    let server = &it.report.server;
    let gives = match server.state {
        State::CommunicationsInterrupted | State::PartnerDown | State::ConflictDone => true,
        State::ResolutionInterrupted => it.spec.ri_serve == RiServe::Own,
        // In Normal the partner makes up for it, and in the others no new client is served.
        State::Unknown
        | State::Startup
        | State::Normal
        | State::PotentialConflict
        | State::Recover
        | State::Paused
        | State::Shutdown
        | State::RecoverDone
        | State::RecoverWait => false,
    };
    // By then the partner's addresses are its own as well.
    let has_all =
        server.state == State::PartnerDown && server.full_takeover_at.is_some_and(|from| from <= it.now);
    if !gives || has_all {
        return None;
    }
    let low: Vec<String> = it
        .report
        .pools
        .iter()
        .filter(|pool| is_low(pool, it.role, share_pct(pool, it.spec), it.stands))
        .map(|pool| format!("{}-{}", pool.first, pool.last))
        .collect();
    if low.is_empty() {
        return None;
    }
    let mut ranges = low.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if low.len() > NAMED {
        ranges.push_str(&format!(" and {} more", low.len() - NAMED));
    }
    let (role, partner, state) = (it.role, it.partner(), server.state);
    let what = if state == State::PartnerDown {
        format!("the addresses of {partner} are free from {}", time(server.full_takeover_at))
    } else {
        format!(
            "bring {partner} back, or declare it down if it is dead: its addresses are free the MCLT later"
        )
    };
    Some(format!(
        "the {role}, in {state} since {}, has less than a tenth of its share of free addresses in {ranges}; when they are \
         used up, new clients get nothing: {what}",
        it.since()
    ))
}

/// Whether a server has less than a tenth of what it should have of the free addresses of a pool. One that should
/// have none is never low, and a pool in which everything is leased is no matter of failover.
fn is_low(pool: &PoolStatus, role: Role, pct: u8, stands: bool) -> bool {
    let available = u64::from(pool.free) + u64::from(pool.backup);
    let (own, share, gets_any) = match role {
        Role::Primary => (pool.free, available.saturating_sub(u64::from(pool.target)), pct < 100),
        Role::Secondary => (pool.backup, u64::from(pool.target), pct > 0),
    };
    if own == 0 {
        return gets_any && (available > 0 || pool.parked > 0);
    }
    let percent = if stands { LOW_PERCENT_OVER } else { LOW_PERCENT };
    u64::from(own) * 100 < share * percent
}

/// The secondary's share of a pool, in percent. An ISC primary always gives half.
fn share_pct(pool: &PoolStatus, spec: &PairSpec) -> u8 {
    if spec.load_balancing.is_some() || spec.primary.external.is_some() {
        return 50;
    }
    let pools = spec.subnets.iter().flat_map(|subnet| &subnet.pools);
    let own = pools.filter(|there| there.first == pool.first).find_map(|there| there.backup_pct);
    own.unwrap_or(spec.backup_pct)
}
