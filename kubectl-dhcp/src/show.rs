//! What people read: both servers of a pair side by side, and lease tables that differ.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use api::pair::DhcpFailoverPair;
use api::status::{Alarm, Communication, Condition, LeaseLine, RequestStatus, ServerStatus};
use jiff::Timestamp;
use kube::ResourceExt;

/// A pair: a table of both servers, then what is under way or wrong.
#[must_use]
pub(crate) fn pair(pair: &DhcpFailoverPair, now: Timestamp, wide: bool) -> String {
    let mut text = format!("{}/{}", pair.namespace().unwrap_or_default(), pair.name_any());
    let Some(status) = &pair.status else { return text + "\n  nothing is known yet\n" };
    for (name, value) in [
        ("MCLT", status.mclt_seconds.map(|seconds| format!("{seconds} s"))),
        ("backup", status.backup_pct.map(|percent| format!("{percent} %"))),
        ("leases", status.active_leases.map(|count| count.to_string())),
        ("free", status.free_addresses.map(|count| count.to_string())),
    ] {
        if let Some(value) = value {
            text += &format!("   {name} {value}");
        }
    }
    text += "\n\n";
    let rows = rows(status.primary.as_ref(), status.secondary.as_ref(), now, wide);
    let width =
        |column: fn(&Row) -> &str| rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0);
    let (first, second) = (width(|row| &row.name), width(|row| &row.primary));
    for row in &rows {
        let line = format!("  {:<first$}   {:<second$}   {}", row.name, row.primary, row.secondary);
        text += line.trim_end();
        text += "\n";
    }
    for request in &status.requests {
        text += &format!("\n  {}", self::request(request));
    }
    let amiss: Vec<&Condition> = status.conditions.iter().filter(|condition| is_amiss(condition)).collect();
    if !status.requests.is_empty() {
        text += "\n";
    }
    for Alarm { reason, since, message, .. } in &status.alarms {
        text += &format!("\n  ALARM {reason} {since:.0}: {message}");
    }
    if !status.alarms.is_empty() {
        text += "\n";
    }
    for Condition { kind, status, reason, message, .. } in amiss {
        text += &format!("\n  {kind} {status} ({reason}): {message}");
    }
    text.trim_end().to_owned() + "\n"
}

/// A request in a line.
#[must_use]
pub(crate) fn request(request: &RequestStatus) -> String {
    let RequestStatus { request_id, phase, reason, server, to, transition_time, .. } = request;
    let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    format!("request {request_id} ({server} to {to}) {phase} {transition_time}{reason}")
}

struct Row {
    name: String,
    primary: String,
    secondary: String,
}

fn rows(
    primary: Option<&ServerStatus>,
    secondary: Option<&ServerStatus>,
    now: Timestamp,
    wide: bool,
) -> Vec<Row> {
    let mut rows =
        vec![Row { name: String::new(), primary: "PRIMARY".to_owned(), secondary: "SECONDARY".to_owned() }];
    let mut row = |name: &str, always: bool, of: &dyn Fn(&ServerStatus) -> Option<String>| {
        let [primary, secondary] = [primary, secondary].map(|server| server.and_then(of));
        if always || primary.is_some() || secondary.is_some() {
            let (primary, secondary) = (primary.unwrap_or_default(), secondary.unwrap_or_default());
            rows.push(Row { name: name.to_owned(), primary, secondary });
        }
    };
    let time = |time: Option<Timestamp>| time.map(|time| format!("{time:.0}"));
    row("state", true, &|server| Some(server.state.to_string()));
    row("since", true, &|server| time(server.since));
    row("heard", true, &|server| Some(age(server.observed_time?, now)));
    row("partner", true, &|server| {
        let state = server.partner_state.map_or_else(|| "?".to_owned(), |state| state.to_string());
        Some(match server.communication {
            Communication::Ok => state,
            Communication::Interrupted => format!("{state} (not heard now)"),
            Communication::Never => "never heard".to_owned(),
        })
    });
    row("serving", true, &|server| Some(if server.serving { "yes" } else { "no" }.to_owned()));
    row("unacknowledged", false, &|server| {
        (server.unacked_updates > 0).then(|| server.unacked_updates.to_string())
    });
    row("partner down since", false, &|server| time(server.partner_down_at));
    row("all addresses from", false, &|server| time(server.full_takeover_at));
    row("recovers until", false, &|server| time(server.recover_wait_until));
    row("new clients from", false, &|server| {
        let why = server.new_clients_wait_for.clone().unwrap_or_default();
        time(server.new_clients_from).map(|time| format!("{time} ({why})"))
    });
    row("partner-down by itself", false, &|server| time(server.safe_period_expires_at));
    row("held apart", false, &|server| server.held.then(|| "until Startup".to_owned()));
    row("fenced", false, &|server| {
        let fence = server.fence?;
        Some(format!("after {} until its partner is heard", fence.stamp()))
    });
    row("exit blocked", false, &|server| {
        server.exit_blocked.as_ref().map(|blocked| format!("{}, {} leases", blocked.reason, blocked.count))
    });
    row("store", false, &|server| server.storage_error.clone().or_else(|| server.storage_warning.clone()));
    row("link", false, &|server| server.link_error.clone());
    if wide {
        row("node", true, &|server| server.node.clone());
        row("address", true, &|server| server.address.map(|address| address.to_string()));
        row("version", true, &|server| server.version.clone());
        row("clock skew", false, &|server| server.clock_skew_millis.map(|millis| format!("{millis} ms")));
        row("leases", true, &|server| {
            let counts = &server.leases;
            Some(format!("{} active, {} free, {} backup", counts.active, counts.free, counts.backup))
        });
    }
    rows
}

/// Whether a condition is not as it should be.
fn is_amiss(condition: &Condition) -> bool {
    let good = match condition.kind.as_str() {
        // Each alarm has a line of its own.
        "Alarm" => return false,
        "Progressing" | "PartnerDownForced" => "False",
        _ => "True",
    };
    let waits = condition.kind == "PartnerDownForced"
        && matches!(condition.reason.as_str(), "Fencing" | "AwaitingEvidence");
    condition.status != good || waits
}

fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        _ => format!("{} h ago", seconds / 3600),
    }
}

/// What two lease tables do not have in common; the time of the last contact is each server's own.
#[must_use]
pub(crate) fn difference(primary: &[LeaseLine], secondary: &[LeaseLine]) -> Vec<String> {
    let by_address = |lines: &[LeaseLine]| -> BTreeMap<Ipv4Addr, LeaseLine> {
        lines.iter().map(|line| (line.address, LeaseLine { cltt: None, ..line.clone() })).collect()
    };
    let (ours, theirs) = (by_address(primary), by_address(secondary));
    let mut addresses: Vec<&Ipv4Addr> = ours.keys().chain(theirs.keys()).collect();
    addresses.sort();
    addresses.dedup();
    addresses
        .into_iter()
        .filter(|address| ours.get(address) != theirs.get(address))
        .map(|address| {
            let said = |line: Option<&LeaseLine>| line.map_or_else(|| "not known".to_owned(), lease);
            format!("{address}   {}   {}", said(ours.get(address)), said(theirs.get(address)))
        })
        .collect()
}

/// A lease in a few words.
#[must_use]
pub(crate) fn lease(line: &LeaseLine) -> String {
    let client = line.client_id.as_ref().or(line.hardware_address.as_ref());
    let client = client.map_or_else(String::new, |client| format!(" {client}"));
    let ends = line.ends.filter(|_| line.state == "Active");
    let ends = ends.map_or_else(String::new, |ends| format!(" until {ends:.0}"));
    format!("{}{client}{ends}", line.state)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(status: serde_json::Value) -> DhcpFailoverPair {
        serde_json::from_value(json!({
            "apiVersion": "dhcpfailover.io/v1alpha1", "kind": "DhcpFailoverPair",
            "metadata": {"name": "lab", "namespace": "dhcp"},
            "spec": {"primary": {"pod": {"interface": "eth0"}}, "secondary": {"pod": {"interface": "eth0"}}},
            "status": status,
        }))
        .expect("a pair")
    }

    #[test]
    fn both_servers_stand_side_by_side_with_why_and_until_when() {
        let text = pair(
            &object(json!({
                "mcltSeconds": 3600, "backupPct": 10, "pools": [],
                "primary": {"state": "PartnerDown", "since": "2026-11-22T09:20:00Z", "serving": true,
                    "observedTime": "2026-11-22T09:59:58Z", "partnerState": "Normal", "communication": "Interrupted",
                    "partnerDownAt": "2026-11-22T09:20:00Z", "fullTakeoverAt": "2026-11-22T10:20:00Z"},
                "secondary": {"state": "Unknown", "communication": "Interrupted", "serving": false,
                    "observedTime": "2026-11-22T09:10:00Z",
                    "fence": {"partnerEpoch": 4, "partnerTransition": 12, "since": "2026-11-22T09:20:00Z"}},
                "requests": [{"requestId": "fire-1", "phase": "Granted", "server": "primary", "to": "PartnerDown",
                    "transitionTime": "2026-11-22T09:20:00Z", "reason": "rack b on fire"}],
                "alarms": [{"reason": "PartnerDown", "server": "primary", "since": "2026-11-22T09:20:01Z",
                    "message": "the primary serves alone"}],
                "conditions": [
                    {"type": "Alarm", "status": "True", "reason": "PartnerDown", "message": "all of them",
                        "lastTransitionTime": "2026-11-22T09:20:01Z"},
                    {"type": "Ready", "status": "False", "reason": "NotObserved", "message": "no answer from the secondary",
                        "lastTransitionTime": "2026-11-22T09:20:00Z"},
                    {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "fine",
                        "lastTransitionTime": "2026-11-22T09:20:00Z"}],
            })),
            "2026-11-22T10:00:00Z".parse().expect("a time"),
            false,
        );
        let expected = "\
dhcp/lab   MCLT 3600 s   backup 10 %

                       PRIMARY                  SECONDARY
  state                PartnerDown              Unknown
  since                2026-11-22T09:20:00Z
  heard                2 s ago                  50 min ago
  partner              Normal (not heard now)   ? (not heard now)
  serving              yes                      no
  partner down since   2026-11-22T09:20:00Z
  all addresses from   2026-11-22T10:20:00Z
  fenced                                        after (4, 12) until its partner is heard

  request fire-1 (primary to PartnerDown) Granted 2026-11-22T09:20:00Z: rack b on fire

  ALARM PartnerDown 2026-11-22T09:20:01Z: the primary serves alone

  Ready False (NotObserved): no answer from the secondary
";
        assert_eq!(text, expected, "{text}");
    }

    #[test]
    fn tables_differ_in_what_clients_hold_and_not_in_who_heard_them_last() {
        let line = |address: &str, more: serde_json::Value| -> LeaseLine {
            let mut line = json!({"address": address, "state": "Active", "hardwareAddress": "52:54:00:00:00:01",
                "ends": "2026-11-22T10:00:00Z"});
            for (name, value) in more.as_object().expect("fields") {
                line[name] = value.clone();
            }
            serde_json::from_value(line).expect("a line")
        };
        let ours = [line("10.0.0.1", json!({"cltt": "2026-11-22T09:00:00Z"})), line("10.0.0.2", json!({}))];
        let theirs = [line("10.0.0.1", json!({})), line("10.0.0.2", json!({"state": "Free"}))];
        assert_eq!(
            difference(&ours, &theirs),
            ["10.0.0.2   Active 52:54:00:00:00:01 until 2026-11-22T10:00:00Z   Free 52:54:00:00:00:01"]
        );
        assert_eq!(difference(&ours, &ours), Vec::<String>::new());
        assert_eq!(difference(&ours[..1], &[]).len(), 1);
    }
}
