//! Stories that need nothing but `kubectl`, on any cluster with the chart installed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use e2e::kubectl::{get, kubectl, names, operator, text_at};
use e2e::pair::SOCKET;
use e2e::process::Daemon;
use e2e::story::seconds;
use e2e::{Pair, Role, Story, Told, cluster, ensure, story, wait_until};

#[test]
fn an_operator_that_is_killed_again_and_again_still_brings_a_pair_up_once() {
    story(
        "The operator is killed right after the apply, and again: the pair comes up, nothing is doubled",
        |story| {
            let pair = Pair::of("e2e-operator", "198.18.10");
            story.namespace(&pair.name)?;
            let mut victim = operator()?;
            let began = Instant::now();
            pair.apply()?;
            for (round, pause) in [500, 1500, 2500, 1000].into_iter().enumerate() {
                let how = kill_operator(&victim, round % 2 == 0)?;
                let (claims, pods) = (pair.claims()?.len(), pair.children("pods")?.len());
                story.saw(format!("{how}, with {claims} claims and {pods} pods made"));
                std::thread::sleep(Duration::from_millis(pause));
                victim = operator()?;
            }
            pair.until_normal(150)?;
            story.saw(format!("both in Normal {} after the apply", seconds(began.elapsed())));
            let kinds = [
                ("statefulsets", 2),
                ("pods", 2),
                ("configmaps", 1),
                ("secrets", 2),
                ("poddisruptionbudgets", 1),
            ];
            for (kind, count) in kinds.into_iter().chain([("persistentvolumeclaims", 2)]) {
                let children = pair.children(kind)?;
                ensure(children.len() == count, || format!("{kind}: {}", children.join(", ")))?;
            }
            let (namespace, _) = operator()?;
            let authorities: Vec<_> = names(&["-n", &namespace, "secrets"])?
                .into_iter()
                .filter(|name| name.ends_with(&format!(".{}.{}", pair.namespace(), pair.name)))
                .collect();
            ensure(authorities.len() == 1, || format!("its CAs are {}", authorities.join(", ")))?;
            for role in Role::BOTH {
                let pod = pair.pod_object(role)?;
                let restarts = text_at(&pod, "/status/containerStatuses/0/restartCount");
                ensure(restarts == "0", || format!("the {} restarted {restarts} times", role.text()))?;
            }
            story.saw("each child is there once, and no server restarted");
            story.same_leases(&pair)
        },
    );
}

/// Kills the operator's process, where that can be reached, or its pod.
fn kill_operator((namespace, name): &(String, String), process: bool) -> Told<String> {
    if process && cluster::name().is_some() {
        cluster::kill_process(namespace, name)?;
        return Ok(format!("killed the process of {name}"));
    }
    kubectl(&["-n", namespace, "delete", "pod", name, "--force", "--grace-period=0", "--wait=false"])?;
    Ok(format!("killed the pod {name}"))
}

#[test]
fn status_shows_both_servers_as_they_are_within_two_seconds() {
    story("The object explains itself, and its status follows the servers", |story| {
        explained(story)?;
        let pair = Pair::of("e2e-status", "198.18.11");
        story.start(&pair)?;
        columns(story, &pair)?;
        fields(story, &pair)?;
        followed(story, &pair)?;
        pair.until_normal(60)?;
        story.saw(pair.states()?);
        Ok(())
    });
}

fn explained(story: &Story) -> Told {
    let text = kubectl(&["explain", "dfp.spec"])?;
    let fields =
        ["mcltSeconds", "backupPct", "loadBalancing", "link", "primary", "secondary", "storage", "subnets"];
    for field in fields {
        let at = text.find(&format!("  {field}\t")).ok_or_else(|| format!("{field} is not in: {text}"))?;
        let said = text[at..].lines().skip(1).map(str::trim).take_while(|line| !line.is_empty()).count();
        ensure(said > 0, || format!("nothing is said about {field}: {text}"))?;
    }
    story
        .saw(format!("kubectl explain dfp.spec: {} lines, every field with its words", text.lines().count()));
    Ok(())
}

fn columns(story: &Story, pair: &Pair) -> Told {
    let table = kubectl(&["-n", pair.namespace(), "get", "dfp"])?;
    for line in table.lines() {
        story.saw(line);
    }
    let heads: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    let wanted =
        ["NAME", "PRIMARY", "SECONDARY", "MCLT", "BACKUP%", "LEASES", "FREE", "READY", "OBSERVED", "AGE"];
    ensure(heads == wanted, || format!("the columns are {heads:?}"))?;
    let row: Vec<&str> = table.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    ensure(row[..8] == [&pair.name, "Normal", "Normal", "60", "50", "0", "40", "True"], || format!("{row:?}"))
}

fn fields(story: &Story, pair: &Pair) -> Told {
    let object = pair.object()?;
    let status = &object["status"];
    for role in Role::BOTH {
        let server = &status[role.text()];
        for field in ["since", "observedTime", "node", "address", "version", "configDigest", "leases"] {
            ensure(!text_at(server, &format!("/{field}")).is_empty(), || format!("no {field} in {server}"))?;
        }
        for (field, value) in [
            ("state", json!("Normal")),
            ("partnerState", json!("Normal")),
            ("communication", json!("Ok")),
            ("serving", json!(true)),
            ("unackedUpdates", json!(0)),
        ] {
            ensure(server[field] == value, || {
                format!("{field} is {}, not {value}: {server}", server[field])
            })?;
        }
        story.saw(format!(
            "the {} on {} at {}: {}",
            role.text(),
            text_at(server, "/node"),
            text_at(server, "/address"),
            text_at(server, "/leases")
        ));
    }
    let digest = |role: Role| text_at(status, &format!("/{}/configDigest", role.text()));
    ensure(digest(Role::Primary) == digest(Role::Secondary), || "they work with two configurations".into())?;
    ensure(status["primary"]["node"] != status["secondary"]["node"], || "both are on one node".into())?;
    ensure(status["observedGeneration"] == object["metadata"]["generation"], || status.to_string())?;
    let pool = &status["pools"][0];
    let share = |field: &str| pool[field].as_u64().unwrap_or(0);
    ensure(share("free") + share("backup") == 40 && share("target") == 20, || format!("the pool is {pool}"))?;
    let conditions =
        ["Accepted", "Available", "Ready", "PartnersCommunicating", "ConfigInSync", "StorageHealthy"];
    for kind in conditions {
        let condition = pair.condition(kind)?;
        ensure(condition.starts_with("True"), || format!("{kind} is {condition}"))?;
    }
    story.saw(format!("{} are True", conditions.join(", ")));
    Ok(())
}

/// Compares when the primary itself tells of a change with when status does.
fn followed(story: &Story, pair: &Pair) -> Told {
    let pod = pair.pod(Role::Primary);
    let exec = ["kubectl", "-n", pair.namespace(), "exec", &pod, "--", "dhcp-pod", "ctl", "--socket", SOCKET];
    let server = Daemon::start(&[&exec[..], &["status", "--watch"]].concat())?;
    let state = "jsonpath={.status.primary.state}{\"\\n\"}";
    let object =
        Daemon::start(&["kubectl", "-n", pair.namespace(), "get", "dfp", &pair.name, "-w", "-o", state])?;
    let both = || server.written().contains("\"Normal\"") && object.written().contains("Normal");
    wait_until("both tell of Normal", 20, || ensure(both(), || server.written() + &object.written()))?;

    let secondary = pair.pod(Role::Secondary);
    let uid = pair.pod_uids()?[1].clone();
    let began = Instant::now();
    let _delete = Daemon::start(&["kubectl", "-n", pair.namespace(), "delete", "pod", &secondary])?;
    let (mut told, mut shown) = (None, None);
    while (told.is_none() || shown.is_none()) && began.elapsed() < Duration::from_secs(30) {
        let interrupted =
            |daemon: &Daemon| daemon.written().contains("\"state\":\"CommunicationsInterrupted\"");
        told = told.or_else(|| interrupted(&server).then(|| began.elapsed()));
        let seen = object.written().contains("CommunicationsInterrupted");
        shown = shown.or_else(|| seen.then(|| began.elapsed()));
        std::thread::sleep(Duration::from_millis(10));
    }
    let told = told.ok_or_else(|| format!("the primary never told of it: {}", server.written()))?;
    let shown = shown.ok_or_else(|| format!("status never told of it: {}", object.written()))?;
    let lag = shown.saturating_sub(told);
    story.saw(format!(
        "the secondary's pod deleted; the primary is in CommunicationsInterrupted {}",
        seconds(told)
    ));
    story.saw(format!("FIGURE from a change of state to the object's status: {} ms", lag.as_millis()));
    ensure(lag < Duration::from_secs(10), || "status is late".into())?;
    wait_until("the secondary has a new pod", 60, || {
        let now = pair.pod_uids()?[1].clone();
        ensure(now != uid, || now)
    })
}

#[test]
fn an_invalid_manifest_is_refused_with_the_field_named() {
    story("Invalid manifests are refused, and the message names the field", |story| {
        story.namespace("e2e-bad")?;
        let outside = json!({"address": "198.18.12.9", "hardwareAddress": "nonsense"});
        let both = json!({"split": 1, "hba": "0".repeat(64)});
        let table = [
            ("/metadata/name", json!("with.dot"), "metadata.name"),
            ("/spec/mcltSecond", json!(60), "spec.mcltSecond"),
            ("/spec/mcltSeconds", json!(0), "spec.mcltSeconds"),
            ("/spec/mcltSeconds", json!("an hour"), "spec.mcltSeconds"),
            ("/spec/backupPct", json!(101), "spec.backupPct"),
            ("/spec/loadBalancing", json!({"split": 300}), "spec.loadBalancing.split"),
            ("/spec/loadBalancing", both, "spec.loadBalancing"),
            ("/spec/link/pollTimeoutSeconds", json!(5), "pollTimeoutSeconds"),
            ("/spec/primary", Value::Null, "spec.primary"),
            ("/spec/primary", json!({}), "spec.primary"),
            ("/spec/primary/pod/interface", json!("a/b"), "spec.primary.pod.interface"),
            ("/spec/primary/pod/address", json!("10.0.0"), "spec.primary.pod.address"),
            ("/spec/secondary", json!({"external": {"address": "10.0.0.9"}}), "spec.link.security"),
            ("/spec/storage/size", json!("a lot"), "spec.storage.size"),
            ("/spec/storage/deletionPolicy", json!("Perhaps"), "spec.storage.deletionPolicy"),
            ("/spec/subnets/0/cidr", json!("198.18.12.1/24"), "spec.subnets[0].cidr"),
            ("/spec/subnets/0/cidr", json!("a.subnet/24"), "spec.subnets[0].cidr"),
            ("/spec/subnets/0/leaseSeconds", json!(5), "spec.subnets[0].leaseSeconds"),
            ("/spec/subnets/0/pools/0/first", json!("198.18.12.300"), "spec.subnets[0].pools[0].first"),
            ("/spec/subnets/0/pools/0/last", json!("198.18.13.9"), "spec.subnets[0]"),
            (
                "/spec/subnets/0/reservations",
                json!([outside]),
                "spec.subnets[0].reservations[0].hardwareAddress",
            ),
        ];
        for (pointer, value, field) in table {
            let mut pair = Pair::of("e2e-bad", "198.18.12");
            pair.set(pointer, value.clone())?;
            let refusal = pair.refusal()?;
            let line = refusal.lines().find(|line| line.contains(field));
            let line = line.ok_or_else(|| format!("{pointer} = {value}: {field} is not named: {refusal}"))?;
            story.saw(line.trim_start_matches(['*', ' ']));
        }
        Ok(())
    });
}

#[test]
fn a_pair_that_cannot_run_says_why() {
    story("A pair that cannot run is not started, and says why", |story| {
        story.namespace("e2e-older")?;
        story.namespace("e2e-younger")?;
        // Valid for the API server; only the whole of it shows what is wrong.
        let mut twice = Pair::of("e2e-twice", "198.18.13").in_namespace("e2e-older");
        twice.set("/spec/subnets/0/pools/1", json!({"first": "198.18.13.120", "last": "198.18.13.150"}))?;
        twice.apply()?;
        refused(story, &twice, "InvalidSpec", "spec.subnets[0].pools[1]")?;
        twice.delete()?;

        let mut older = Pair::of("e2e-older", "198.18.14");
        older.set("/spec/storage/storageClassName", json!("no-such-class"))?;
        older.apply()?;
        obstacle(story, &older, &["e2e-older-primary-0", "not bound"])?;

        let mut younger = Pair::of("e2e-younger", "198.18.14");
        younger.set("/spec/storage/size", json!("900Ti"))?;
        younger.set("/spec/subnets/0/cidr", json!("198.18.14.0/25"))?;
        younger.set("/spec/subnets/0/pools/0/last", json!("198.18.14.119"))?;
        younger.apply()?;
        refused(story, &younger, "Conflict", "spec.subnets: the subnet 198.18.14.0/25")?;
        ensure(younger.condition("Accepted")?.contains("e2e-older/e2e-older"), || {
            "by whom is not said".into()
        })?;

        let mut renamed = Pair::of("e2e-younger", "198.18.14");
        renamed.manifest = younger.manifest.clone();
        renamed.set("/spec/relationship", json!("another"))?;
        let refusal = renamed.apply().err().ok_or("the relationship was changed")?.0;
        ensure(refusal.contains("spec.relationship can never be"), || refusal.clone())?;
        story.saw(refusal.lines().last().unwrap_or_default());

        older.delete()?;
        wait_until("the younger one is accepted once the older one is gone", 60, || {
            let accepted = younger.condition("Accepted")?;
            ensure(accepted.starts_with("True"), || accepted)
        })?;
        story.saw("the older one is deleted, and the younger one accepted");
        obstacle(story, &younger, &["e2e-younger-primary-0", "not bound"])
    });
}

fn refused(story: &Story, pair: &Pair, reason: &str, field: &str) -> Told {
    let accepted = wait_until("the pair is refused", 30, || {
        let accepted = pair.condition("Accepted")?;
        ensure(accepted.starts_with("False"), || accepted.clone())?;
        Ok(accepted)
    })?;
    story.saw(format!("{} is not accepted: {accepted}", pair.name));
    ensure(accepted.contains(reason) && accepted.contains(field), || {
        format!("{reason} or {field} is missing")
    })?;
    for kind in ["statefulsets", "pods", "persistentvolumeclaims"] {
        let children = pair.children(kind)?;
        ensure(children.is_empty(), || format!("it has {}", children.join(", ")))?;
    }
    let events = get(&["-n", pair.namespace(), "events"])?.to_string();
    ensure(events.contains(field), || "no event tells of it".into())
}

fn obstacle(story: &Story, pair: &Pair, words: &[&str]) -> Told {
    let progressing = wait_until("Progressing says what is in the way", 60, || {
        let progressing = pair.condition("Progressing")?;
        ensure(words.iter().all(|word| progressing.contains(word)), || progressing.clone())?;
        Ok(progressing)
    })?;
    story.saw(format!("{} is progressing: {progressing}", pair.name));
    Ok(())
}
