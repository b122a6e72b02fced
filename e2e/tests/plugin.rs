//! `kubectl dhcp` as people use it, and what each of them may do.

use serde_json::{Value, json};

use e2e::client::Client;
use e2e::kubectl::{apply, names, text_at};
use e2e::process::{Ended, try_run};
use e2e::{Failure, Pair, Role, Told, ensure, story, wait_until};

/// What the plugin says, whatever its exit code.
fn dhcp(pair: &Pair, words: &[&str]) -> Told<Ended> {
    try_run(90, &[&["kubectl", "dhcp", "-n", pair.namespace()], words].concat(), None)
}

fn done(pair: &Pair, words: &[&str]) -> Told<String> {
    let ended = dhcp(pair, words)?;
    ensure(ended.ok, || format!("kubectl dhcp {}: {}{}", words.join(" "), ended.out, ended.err))?;
    Ok(ended.out)
}

fn refused(ended: &Ended, reason: &str) -> Told {
    let said = format!("{}{}", ended.out, ended.err);
    ensure(!ended.ok && said.contains(reason), || format!("no refusal with \"{reason}\": {said}"))
}

#[test]
fn the_plugin_shows_steers_and_compares_a_pair() {
    story("kubectl dhcp: status, pause, resume, partner-down, recover, leases", |story| {
        let pair = Pair::on_lan("e2e-plugin");
        story.start(&pair)?;
        let phone = Client::on_lan("phone")?;
        let lease = phone.udhcpc()?;
        story.same_leases(&pair)?;
        let status = done(&pair, &["status", &pair.name])?;
        for line in status.lines() {
            story.saw(format!("| {line}"));
        }
        let json: Value = serde_json::from_str(&done(&pair, &["status", &pair.name, "-o", "json"])?)
            .map_err(|error| Failure(error.to_string()))?;
        ensure(json.to_string().contains("\"Normal\""), || json.to_string())?;
        let leases = done(&pair, &["leases", &pair.name, "secondary"])?;
        ensure(leases.contains(&lease.address), || leases)?;
        let same = done(&pair, &["leases", &pair.name, "--diff"])?;
        story.saw(format!("leases --diff: {}", same.trim()));

        let said = done(&pair, &["pause", &pair.name, "secondary"])?;
        story.saw(format!("pause: {}", said.trim()));
        ensure(pair.server(Role::Secondary)?["state"] == "Paused", || "it is not paused".into())?;
        let again = done(&pair, &["resume", &pair.name, "secondary"])?;
        story.saw(format!("resume: {}", again.trim()));
        pair.until_normal(60)?;

        // Of a server that lives: told, and refused.
        let alive = dhcp(&pair, &["partner-down", &pair.name, "--dead", "secondary", "--yes"])?;
        refused(&alive, "")?;
        story.saw(format!("partner-down of one that lives: {}{}", alive.out.trim(), alive.err.trim()));
        let cordon = pair.evict(Role::Secondary)?;
        pair.until(Role::Primary, "CommunicationsInterrupted", 30)?;
        // Without an answer to its question nothing happens.
        let asked = dhcp(&pair, &["partner-down", &pair.name, "--dead", "secondary"])?;
        refused(&asked, "")?;
        ensure(pair.server(Role::Primary)?["state"] == "CommunicationsInterrupted", || asked.out.clone())?;
        let said = done(&pair, &["partner-down", &pair.name, "--dead", "secondary", "--yes"])?;
        for line in said.lines() {
            story.saw(format!("| {line}"));
        }
        pair.until(Role::Primary, "PartnerDown", 5)?;
        drop(cordon);
        pair.until_normal(150)?;

        let said = done(&pair, &["recover", &pair.name, "secondary", "--reason", "a drill"])?;
        story.saw(format!("recover: {}", said.trim()));
        pair.until(Role::Secondary, "RecoverWait", 20)?;
        pair.until_normal(150)?;
        story.same_leases(&pair)?;
        // The first one is over by now.
        let lease = phone.udhcpc()?;
        let leased = dhcp(&pair, &["reset", &pair.name, &lease.address])?;
        refused(&leased, "--unused")?;
        // The phone asked once, and is gone.
        let said = done(&pair, &["reset", &pair.name, &lease.address, "--unused"])?;
        wait_until("both servers have freed the address", 10, || {
            for role in [Role::Primary, Role::Secondary] {
                let table = pair.leases(role)?;
                let state = table.get(&lease.address).map(|line| line.state.clone());
                // With a share of half, the freed address may be given to the secondary at once.
                ensure(matches!(state.as_deref(), Some("Free" | "Backup")), || {
                    format!("{state:?} at the {}", role.text())
                })?;
            }
            Ok(())
        })?;
        story.saw(format!("reset: {}; free at both", said.trim()));
        // The day on which the operator is down.
        let direct = done(&pair, &["pause", &pair.name, "secondary", "--direct"])?;
        story.saw(format!("pause --direct: {}", direct.trim()));
        done(&pair, &["resume", &pair.name, "secondary", "--direct"])?;
        pair.until_normal(60)?;
        story.same_leases(&pair)
    });
}

/// Gives a user one of the chart's roles in a pair's namespace.
fn bind(pair: &Pair, user: &str, role: &str) -> Told {
    let roles = names(&["clusterroles", "-l", "app.kubernetes.io/name=dhcp-failover-operator"])?;
    let suffix = format!("-{role}");
    let name = roles.iter().filter_map(|name| name.rsplit('/').next()).find(|name| name.ends_with(&suffix));
    let name = name.ok_or_else(|| Failure(format!("no role of the chart for a {role}: {roles:?}")))?;
    apply(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": user, "namespace": pair.namespace()},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }))
    .map(|_| ())
}

#[test]
fn who_edits_pools_and_who_forces_are_two_rights() {
    story("An editor changes an option and forces nothing, a forcer forces and changes no option", |story| {
        let pair = Pair::on_lan("e2e-rights");
        story.start(&pair)?;
        bind(&pair, "eve-edits", "editor")?;
        bind(&pair, "fay-forces", "forcer")?;
        bind(&pair, "vic-views", "viewer")?;
        let patch = |user: &str, spec: Value| {
            let patch = json!({"spec": spec}).to_string();
            let words = ["-n", pair.namespace(), "patch", "dfp", &pair.name, "--type=merge", "-p", &patch];
            try_run(30, &[&["kubectl", "--as", user], &words[..]].concat(), None)
        };
        let pause =
            |id: &str| json!({"forceState": {"requestId": id, "server": "secondary", "state": "Paused"}});
        let share = json!({"backupPct": 40});
        let safe = json!({"safePeriod": {"seconds": 86400, "acceptDuplicateRisk": true}});

        let eve = patch("eve-edits", pause("eves"))?;
        refused(&eve, "need the verb force")?;
        story.saw(format!("eve forces: {}", eve.err.trim()));
        refused(&patch("eve-edits", safe)?, "need the verb force")?;
        let fay = patch("fay-forces", share.clone())?;
        refused(&fay, "need the verb update")?;
        story.saw(format!("fay edits: {}", fay.err.trim()));
        for spec in [share.clone(), pause("vics")] {
            refused(&patch("vic-views", spec)?, "cannot patch")?;
        }
        ensure(pair.object()?.pointer("/spec/forceState").is_none(), || "somebody forced".into())?;

        let eve = patch("eve-edits", share)?;
        ensure(eve.ok, || eve.err.clone())?;
        let fay = patch("fay-forces", pause("fays"))?;
        ensure(fay.ok, || fay.err.clone())?;
        let (request, _) = pair.until_phase("fays", "Granted", 30)?;
        story.saw(format!("eve edits, and fay forces: {request}"));
        // An editor's manifest may leave out what is done.
        let eve = patch("eve-edits", json!({"forceState": null, "backupPct": 50}))?;
        ensure(eve.ok, || eve.err.clone())?;
        let resume = json!({"forceState": {"requestId": "back", "server": "secondary", "state": "Startup"}});
        let fay = patch("fay-forces", resume)?;
        ensure(fay.ok, || fay.err.clone())?;
        pair.until_normal(60)?;
        ensure(text_at(&pair.object()?, "/spec/backupPct") == "50", || "the share is another".into())
    });
}
