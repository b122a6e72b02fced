//! What is valid and still worth a word: settings that cost something or suit few, with the path of their field
//! (`spec/failover-behaviour.md` §5.2, §6.5, §7.1, S16).

use crate::config::FieldError;
use crate::pair::{ExpectedClients, LoadBalancing, PairSpec, Pool};

/// Below this renewals are a noticeable load (§5.2).
const MCLT_SHORT: u32 = 600;
/// Above this a take-over is slow (§5.2).
const MCLT_LONG: u32 = 86_400;
/// A shorter safe period leaves no night to find out what happened (§7.1).
const SAFE_PERIOD_SHORT: u32 = 43_200;
/// Hours until somebody reacts to a lost server: by day, and by night (§6.5).
const HOURS_DAY: u64 = 2;
const HOURS_NIGHT: u64 = 12;
/// The share of the secondary where both answer.
const PCT_SHARED: u8 = 50;

/// Warnings about a spec that is valid otherwise.
#[must_use]
pub fn advice(spec: &PairSpec) -> Vec<FieldError> {
    let mut advice = Vec::new();
    let mut warn = |path: &str, message: String| advice.push(FieldError { path: path.to_owned(), message });
    let mclt = spec.mclt_seconds;
    if mclt < MCLT_SHORT {
        warn(
            "spec.mcltSeconds",
            format!("{mclt} is short: new clients, and all while the partner is away, renew within {mclt} s"),
        );
    }
    if mclt > MCLT_LONG {
        warn(
            "spec.mcltSeconds",
            format!(
                "{mclt} is long: a dead server's addresses follow only after that, so more free ones are needed"
            ),
        );
    }
    if let Some(period) = spec.safe_period.filter(|period| period.seconds < SAFE_PERIOD_SHORT) {
        warn(
            "spec.safePeriod.seconds",
            format!(
                "{} is less than half a day: a cut link that nobody mends by then gives one address to two clients",
                period.seconds
            ),
        );
    }
    let external = spec.primary.external.is_some()
        || spec.secondary.as_ref().is_some_and(|secondary| secondary.external.is_some());
    if external && spec.load_balancing.as_ref().is_some_and(|balancing| !is_even(balancing)) {
        warn(
            "spec.loadBalancing",
            "is no even split: an ISC dhcpd balances its share of the free addresses for split 128 only"
                .to_owned(),
        );
    }
    for (subnet_index, subnet) in spec.subnets.iter().enumerate() {
        for (index, pool) in subnet.pools.iter().enumerate() {
            let Some((needed, share)) = too_small(spec, pool) else { continue };
            warn(
                &format!("spec.subnets[{subnet_index}].pools[{index}]"),
                format!(
                    "the secondary's share of {share} % is too small for the expected clients: {needed} % or more is \
                     advised{}",
                    if needed > 100 { ", so the range is too small as well" } else { "" }
                ),
            );
        }
    }
    advice
}

/// The share of the secondary that is advised for a range, in percent: what is needed until somebody reacts, or the
/// safe period is over, of the addresses that are available. Over 100 if they are too few. `None`: nothing is available.
#[must_use]
pub fn advised_backup_pct(
    expected: &ExpectedClients,
    safe_period: Option<u32>,
    available: u32,
) -> Option<u32> {
    let safe = u64::from(expected.per_hour) * u64::from(safe_period.unwrap_or(0));
    let need = (u64::from(expected.per_hour_day) * HOURS_DAY)
        .max(u64::from(expected.per_hour_night) * HOURS_NIGHT)
        .max(safe.div_ceil(3600));
    let pct = (need * 100).div_ceil(u64::from((available > 0).then_some(available)?));
    Some(u32::try_from(pct).unwrap_or(u32::MAX))
}

/// The advised share and the present one, if that is smaller.
fn too_small(spec: &PairSpec, pool: &Pool) -> Option<(u32, u8)> {
    spec.secondary.as_ref()?;
    let expected = pool.expected_new_clients.as_ref()?;
    let size = u32::from(pool.last).saturating_sub(u32::from(pool.first)).saturating_add(1);
    let needed = advised_backup_pct(expected, spec.safe_period.map(|period| period.seconds), size)?;
    let share = match spec.load_balancing {
        Some(_) => PCT_SHARED,
        None => pool.backup_pct.unwrap_or(spec.backup_pct),
    };
    (needed > u32::from(share)).then_some((needed, share))
}

fn is_even(balancing: &LoadBalancing) -> bool {
    match &balancing.hba {
        Some(hex) => hex.to_lowercase().replace(':', "") == "ff".repeat(16) + &"00".repeat(16),
        None => balancing.split.unwrap_or(128) == 128,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(more: &Value) -> Vec<String> {
        let mut spec = json!({
            "primary": {"pod": {"interface": "eth0"}}, "secondary": {"pod": {"interface": "eth0"}},
            "subnets": [{"cidr": "10.0.0.0/16", "pools": [{"first": "10.0.0.1", "last": "10.0.1.244"}]}],
        });
        for (field, value) in more.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        let spec: PairSpec = serde_json::from_value(spec).expect("a spec");
        advice(&spec).into_iter().map(|advice| advice.path).collect()
    }

    #[test]
    fn an_mclt_is_short_below_ten_minutes_and_long_above_a_day() {
        for (mclt, warned) in [(599, 1), (600, 0), (3600, 0), (86_400, 0), (86_401, 1)] {
            assert_eq!(told(&json!({"mcltSeconds": mclt})), vec!["spec.mcltSeconds"; warned], "{mclt}");
        }
    }

    #[test]
    fn a_safe_period_is_short_below_half_a_day() {
        for (seconds, warned) in [(43_199, 1), (43_200, 0)] {
            let period = json!({"safePeriod": {"seconds": seconds, "acceptDuplicateRisk": true}});
            assert_eq!(told(&period), vec!["spec.safePeriod.seconds"; warned], "{seconds}");
        }
    }

    #[test]
    fn an_uneven_split_is_told_beside_a_dhcpd_only() {
        let even = "ff".repeat(16) + &"00".repeat(16);
        for (balancing, warned) in [
            (json!({"split": 128}), 0),
            (json!({}), 0),
            (json!({"split": 127}), 1),
            (json!({"hba": even}), 0),
            (json!({"hba": "ff".repeat(32)}), 1),
        ] {
            let external = json!({"external": {"address": "10.0.0.9"}});
            let beside = json!({"loadBalancing": balancing, "secondary": external});
            assert_eq!(told(&beside), vec!["spec.loadBalancing"; warned], "{balancing}");
            assert_eq!(told(&json!({"loadBalancing": balancing})), Vec::<String>::new());
        }
    }

    #[test]
    fn sz_1_and_2_the_share_is_advised_for_day_night_and_safe_period() {
        let expected = |day, night, average| ExpectedClients {
            per_hour_day: day,
            per_hour_night: night,
            per_hour: average,
        };
        assert_eq!(advised_backup_pct(&expected(30, 4, 10), None, 500), Some(12));
        assert_eq!(advised_backup_pct(&expected(30, 4, 10), Some(86_400), 500), Some(48));
        assert_eq!(
            advised_backup_pct(&expected(4, 30, 0), None, 500),
            Some(72),
            "the night counts if it is more"
        );
        assert_eq!(advised_backup_pct(&expected(1, 0, 0), None, 1000), Some(1), "rounded up");
        assert_eq!(
            advised_backup_pct(&expected(0, 0, 1), Some(60), 100),
            Some(1),
            "a part of an address is one"
        );
        assert_eq!(advised_backup_pct(&expected(30, 4, 0), None, 30), Some(200));
        assert_eq!(advised_backup_pct(&expected(30, 4, 0), None, 0), None);
    }

    #[test]
    fn a_share_that_is_too_small_for_the_expected_clients_is_told() {
        let with = |pct: u8, more: Value| {
            let mut spec = json!({"subnets": [{"cidr": "10.0.0.0/16", "pools": [{
                "first": "10.0.0.1", "last": "10.0.1.244", "backupPct": pct,
                "expectedNewClients": {"perHourDay": 30, "perHourNight": 4, "perHour": 10}}]}]});
            for (field, value) in more.as_object().into_iter().flatten() {
                spec[field] = value.clone();
            }
            told(&spec)
        };
        assert_eq!(with(11, json!({})), ["spec.subnets[0].pools[0]"]);
        assert_eq!(with(12, json!({})), Vec::<String>::new());
        let period = json!({"safePeriod": {"seconds": 86_400, "acceptDuplicateRisk": true}});
        assert_eq!(with(47, period.clone()), ["spec.subnets[0].pools[0]"]);
        assert_eq!(with(48, period), Vec::<String>::new());
        assert_eq!(with(0, json!({"loadBalancing": {}})), Vec::<String>::new(), "half with load balancing");
        assert_eq!(
            with(0, json!({"secondary": null})),
            Vec::<String>::new(),
            "one server alone has no share"
        );
    }
}
