//! Partner-down by request: quick where it is safe, refused or waiting where it is not, and never twice.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use e2e::client::Client;
use e2e::cluster::{LinkCut, Stopped};
use e2e::kubectl::{get, kubectl, names, operator, text_at};
use e2e::story::seconds;
use e2e::{Pair, Role, Story, Told, cluster, ensure, story, wait_until};

/// The request that declares a server down.
fn partner_down(id: &str, dead: Role) -> Value {
    json!({"requestId": id, "server": dead.partner().text(), "state": "PartnerDown", "deadServer": dead.text()})
}

/// The same, by a human who vouches for it.
fn attested(id: &str, dead: Role) -> Value {
    let mut force = partner_down(id, dead);
    force["evidence"] = "Attested".into();
    force["reason"] = "its process was killed by hand".into();
    force
}

/// A pair of which each server has two addresses.
fn small_pair(name: &str) -> Told<Pair> {
    let mut pair = Pair::on_lan(name);
    let pools = json!([{"first": format!("{}.100", cluster::LAN), "last": format!("{}.103", cluster::LAN)}]);
    pair.set("/spec/subnets/0/pools", pools)?;
    Ok(pair)
}

/// Fails if a request leaves its phase, or the survivor its state, within so many seconds.
fn stays(story: &Story, pair: &Pair, id: &str, phase: &str, survivor: Role, time: u64) -> Told {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(time) {
        let request = pair.request(id)?;
        ensure(request["phase"] == phase, || format!("it became {request}"))?;
        let state = text_at(&pair.server(survivor)?, "/state");
        ensure(state != "PartnerDown", || format!("the {} is in {state}", survivor.text()))?;
        sleep(Duration::from_secs(1));
    }
    let condition = pair.condition("PartnerDownForced")?;
    story.saw(format!("{time} s later it is still {phase}: {condition}"));
    Ok(())
}

/// The second in which a time of status lies.
fn to_the_second(time: &str) -> &str {
    time.get(..19).unwrap_or(time)
}

/// Shown to fail with a build whose `binding::in_partner_down` grants what is too early.
#[test]
fn partner_down_after_a_killed_pod_frees_its_addresses_after_the_mclt_and_not_a_second_before() {
    story(
        "A server's pod is killed: partner-down is granted at once, its addresses are free after the MCLT",
        |story| {
            let pair = small_pair("e2e-down")?;
            story.start(&pair)?;
            let dead = Role::Secondary;
            let cordon = pair.evict(dead)?;
            story.saw(format!(
                "the pod of the {} was deleted, and {} takes no other",
                dead.text(),
                cordon.node
            ));
            pair.until(dead.partner(), "CommunicationsInterrupted", 20)?;

            let began = Instant::now();
            pair.force(partner_down("fire-1", dead))?;
            let (request, took) = pair.until_phase("fire-1", "Granted", 30)?;
            story.saw(format!("FIGURE from patch to Granted with automatic evidence: {}", seconds(took)));
            story.saw(format!("{request}"));
            pair.until(dead.partner(), "PartnerDown", 10)?;
            let condition = pair.condition("PartnerDownForced")?;
            ensure(condition.starts_with("True"), || condition.clone())?;
            story.saw(condition);

            // Two addresses are the survivor's own; who comes next waits for one of the dead server's.
            let own = [Client::on_lan("phone")?, Client::on_lan("tablet")?];
            for client in &own {
                let lease = client.udhcpc()?;
                story.saw(format!("a new client got {lease}"));
                ensure(lease.seconds == 600, || {
                    "a lease in partner-down is as long as the subnet says".into()
                })?;
            }
            let server = pair.server(dead.partner())?;
            let free_at = text_at(&server, "/fullTakeoverAt");
            let third = Client::on_lan("watch")?;
            let lease = third.udhcpc_asking(90, 1)?;
            let now = kubectl(&[
                "-n",
                pair.namespace(),
                "exec",
                &pair.pod(dead.partner()),
                "--",
                "dhcp-pod",
                "ctl",
                "--socket",
                e2e::pair::SOCKET,
                "status",
            ])?;
            let now: Value = serde_json::from_str(&now).map_err(|error| format!("{now}: {error}"))?;
            let table = pair.leases(dead.partner())?;
            story.saw(format!(
                "the third got {lease}, at {}; free at {free_at}",
                text_at(&now, "/observedTime")
            ));
            let starts = text_at(&lease_of(&pair, dead.partner(), &lease.address)?, "/starts");
            ensure(to_the_second(&starts) >= to_the_second(&free_at), || {
                format!("it was given at {starts}, before {free_at}: {table:?}")
            })?;
            ensure(began.elapsed() < Duration::from_secs(100), || {
                "it took longer than the MCLT and a bit".into()
            })?;

            drop(cordon);
            let took = pair.until_normal(150)?;
            story.saw(format!(
                "the node takes pods again: back through Recover to Normal in {}",
                seconds(took)
            ));
            story.same_leases(&pair)?;
            for (client, name) in own.iter().zip(["phone", "tablet"]) {
                story.saw(format!("the {name} renewed {}", client.udhcpc()?));
            }
            let condition = pair.condition("PartnerDownForced")?;
            ensure(condition.starts_with("False"), || condition)
        },
    );
}

/// A lease as a server lists it.
fn lease_of(pair: &Pair, role: Role, address: &str) -> Told<Value> {
    let text = pair.ctl(role, &["leases"])?;
    let line = text.lines().find(|line| line.contains(&format!("\"{address}\"")));
    let line = line.ok_or_else(|| format!("no line of {address} in {text}"))?;
    serde_json::from_str(line).map_err(|error| format!("{line}: {error}").into())
}

/// Shown to fail with a build in which neither the operator (`alive`) nor the server (`Refusal::PartnerReachable`) looks.
#[test]
fn partner_down_is_refused_while_the_partner_is_alive() {
    story("Partner-down is asked for while the partner is alive: refused, and nothing changes", |story| {
        let pair = Pair::on_lan("e2e-alive");
        story.start(&pair)?;
        pair.force(partner_down("hasty", Role::Secondary))?;
        let (request, took) = pair.until_phase("hasty", "Refused", 20)?;
        story.saw(format!("refused after {}: {}", seconds(took), text_at(&request, "/reason")));
        for role in Role::BOTH {
            let server = pair.server(role)?;
            ensure(server["state"] == "Normal" && server["fence"].is_null(), || server.to_string())?;
        }
        // Once refused it stays refused, also when the partner dies later.
        let cordon = pair.evict(Role::Secondary)?;
        pair.until(Role::Primary, "CommunicationsInterrupted", 20)?;
        stays(story, &pair, "hasty", "Refused", Role::Primary, 5)?;
        drop(cordon);
        pair.until_normal(120)?;
        story.same_leases(&pair)
    });
}

/// Shown to fail with a build in which a pod without an end is evidence (`evidence::find`).
#[test]
fn partner_down_waits_while_nobody_can_know_and_a_deleted_pod_object_proves_nothing() {
    story(
        "A node is cut off with its server alive: the request waits, also when the pod's object is deleted",
        |story| {
            let pair = Pair::on_lan("e2e-cutoff");
            story.start(&pair)?;
            let dead = pair.far_from_operator()?;
            let survivor = dead.partner();
            let (node, container) = pair.container(dead)?;
            let cable = Stopped::new("stop", &node.replace("node-", "cable-"))?;
            pair.until(survivor, "CommunicationsInterrupted", 30)?;
            story.saw(format!("the cable of {node} is out; the {} runs on there", dead.text()));
            pair.force(partner_down("cut-1", dead))?;
            pair.until_phase("cut-1", "AwaitingEvidence", 20)?;
            stays(story, &pair, "cut-1", "AwaitingEvidence", survivor, 10)?;

            kubectl(&[
                "-n",
                pair.namespace(),
                "delete",
                "pod",
                &pair.pod(dead),
                "--force",
                "--grace-period=0",
                "--wait=false",
            ])?;
            story.saw("its pod was deleted by force: the object is gone, the process is not");
            stays(story, &pair, "cut-1", "AwaitingEvidence", survivor, 15)?;
            let running = cluster::on_node(&node, &["ctr", "-n", "k8s.io", "tasks", "ls"])?;
            let id = container.trim_start_matches("containerd://");
            ensure(running.contains(id), || format!("the container is gone: {running}"))?;

            // The operator is killed meanwhile, and goes on where it was.
            let (namespace, pod) = operator()?;
            kubectl(&["-n", &namespace, "delete", "pod", &pod, "--force", "--grace-period=0"])?;
            story.saw("the operator's pod was killed");
            sleep(Duration::from_secs(5));
            stays(story, &pair, "cut-1", "AwaitingEvidence", survivor, 10)?;

            pair.withdraw()?;
            let (request, _) = pair.until_phase("cut-1", "Superseded", 30)?;
            story.saw(format!("withdrawn: {request}"));
            drop(cable);
            let took = pair.until_normal(150)?;
            story.saw(format!("the cable is in again; both in Normal {} later", seconds(took)));
            story.same_leases(&pair)
        },
    );
}

#[test]
fn a_node_declared_out_of_service_is_evidence() {
    story("A node without power gets the out-of-service taint: granted", |story| {
        let pair = Pair::on_lan("e2e-taint");
        story.start(&pair)?;
        let dead = pair.far_from_operator()?;
        let node = pair.container(dead)?.0;
        let power = Stopped::new("kill", &node)?;
        pair.until(dead.partner(), "CommunicationsInterrupted", 30)?;
        pair.force(partner_down("rack-fire", dead))?;
        pair.until_phase("rack-fire", "AwaitingEvidence", 20)?;
        stays(story, &pair, "rack-fire", "AwaitingEvidence", dead.partner(), 8)?;
        let began = Instant::now();
        kubectl(&["taint", "node", &node, "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"])?;
        let told = pair.until_phase("rack-fire", "Granted", 30);
        kubectl(&["taint", "node", &node, "node.kubernetes.io/out-of-service-"])?;
        let (request, _) = told?;
        story.saw(format!("granted {} after the taint: {request}", seconds(began.elapsed())));
        drop(power);
        let took = pair.until_normal(200)?;
        story.saw(format!("power is back; both in Normal {} later", seconds(took)));
        story.same_leases(&pair)
    });
}

/// The operator's process is killed; its kubelet starts it again, later each time.
fn kill_operator(story: &Story, when: &str) -> Told {
    let (namespace, name) = operator()?;
    // The one that was killed before is still shown for a moment, and the next one starts later each time.
    wait_until("a process of the operator is killed", 90, || cluster::kill_process(&namespace, &name))?;
    story.saw(format!("the operator is killed {when}"));
    Ok(())
}

#[test]
fn the_operator_is_killed_in_each_phase_of_a_request() {
    story(
        "The operator is killed before, in and after each phase: the request goes on, and is granted once",
        |story| {
            let pair = Pair::on_lan("e2e-phases");
            story.start(&pair)?;
            let dead = pair.far_from_operator()?;
            let (survivor, node) = (dead.partner(), pair.container(dead)?.0);
            let power = Stopped::new("kill", &node)?;
            pair.until(survivor, "CommunicationsInterrupted", 30)?;
            kill_operator(story, "before it can see the request")?;
            pair.force(partner_down("phases", dead))?;
            let first = wait_until("the request is seen", 60, || {
                let request = pair.request("phases")?;
                ensure(!request.is_null(), || pair.states().unwrap_or_default())?;
                Ok(request)
            })?;
            kill_operator(story, &format!("in {}", text_at(&first, "/phase")))?;
            wait_until("the request waits for evidence at the server", 90, || {
                let report: Value = serde_json::from_str(&pair.ctl(survivor, &["requests"])?)
                    .map_err(|error| error.to_string())?;
                ensure(report.to_string().contains("AwaitingEvidence"), || report.to_string())
            })?;
            kill_operator(story, "in AwaitingEvidence")?;
            kubectl(&["taint", "node", &node, "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"])?;
            let told = pair.until_phase("phases", "Granted", 120);
            kubectl(&["taint", "node", &node, "node.kubernetes.io/out-of-service-"])?;
            let (granted, _) = told?;
            story.saw(format!("{granted}"));
            kill_operator(story, "in Granted")?;
            drop(power);
            let took = pair.until_normal(240)?;
            story.saw(format!("power is back; both in Normal {} later", seconds(took)));
            let later = pair.request("phases")?;
            ensure(later == granted, || format!("it became {later}"))?;
            story.same_leases(&pair)
        },
    );
}

/// Shown to fail with a build in which a fence neither silences a server nor holds its start.
#[test]
fn a_human_may_attest_and_a_server_that_returns_blind_stays_silent() {
    story(
        "A human attests; the dead server returns without a link to its partner, and answers nobody",
        |story| {
            let pair = Pair::on_lan("e2e-blind");
            story.start(&pair)?;
            let phone = Client::on_lan("phone")?;
            let daemon = phone.daemon()?;
            story.saw(format!("the phone has {}", daemon.renew(10)?));
            story.same_leases(&pair)?;
            let dead = pair.far_from_operator()?;
            let (survivor, node) = (dead.partner(), pair.container(dead)?.0);
            let (_, container) = pair.container(dead)?;
            let kubelet = Stopped::new("stop", &node.replace("node-", "kubelet-"))?;
            cluster::kill_container(&node, &container)?;
            pair.until(survivor, "CommunicationsInterrupted", 20)?;
            pair.force(partner_down("dead-1", dead))?;
            pair.until_phase("dead-1", "AwaitingEvidence", 20)?;
            stays(story, &pair, "dead-1", "AwaitingEvidence", survivor, 5)?;
            story.saw("the node's kubelet does not run, so nothing proves that the server is dead");
            pair.force(attested("dead-2", dead))?;
            let (request, took) = pair.until_phase("dead-2", "Granted", 20)?;
            story.saw(format!("attested: granted after {}: {request}", seconds(took)));
            pair.until_phase("dead-1", "Superseded", 10)?;

            // It starts again, and cannot see its partner.
            let port = pair.object()?["status"]["ports"]["link"].as_u64().unwrap_or_default();
            let cut = LinkCut::new(&node, port)?;
            drop(kubelet);
            wait_until("the dead server is heard again, fenced", 120, || {
                let server = pair.server(dead)?;
                ensure(!server["fence"].is_null(), || server.to_string())
            })?;
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(75) {
                let server = pair.server(dead)?;
                ensure(server["serving"] == false, || format!("it serves blind: {server}"))?;
                sleep(Duration::from_secs(1));
            }
            let server = pair.server(dead)?;
            story.saw(format!(
                "75 s later it is in {}, silent, with the fence {}",
                server["state"], server["fence"]
            ));
            let renewed = daemon.renew(20)?;
            ensure(pair.role_of(&renewed.server)? == survivor, || format!("answered by {renewed}"))?;
            drop(cut);
            let took = pair.until_normal(150)?;
            story.saw(format!("the link works again: both in Normal {} later", seconds(took)));
            ensure(pair.server(dead)?["fence"].is_null(), || "the fence is still in force".into())?;
            story.same_leases(&pair)
        },
    );
}

/// Shown to fail with a build in which the ledger lets a decided request be decided again, and neither server nor operator asks it first.
#[test]
fn no_request_is_carried_out_twice() {
    story("A granted request is applied again in every way: nothing happens again", |story| {
        let mut pair = Pair::on_lan("e2e-once");
        story.start(&pair)?;
        let dead = Role::Secondary;
        let cordon = pair.evict(dead)?;
        pair.until(Role::Primary, "CommunicationsInterrupted", 20)?;
        // GitOps: the forced state is in the manifest, and stays there.
        pair.set("/spec/forceState", partner_down("once", dead))?;
        pair.apply()?;
        let (request, _) = pair.until_phase("once", "Granted", 30)?;
        story.saw(format!("{request}"));
        drop(cordon);
        pair.until_normal(150)?;
        story.saw("the pair is back in Normal");
        let quiet = |what: &str| -> Told {
            sleep(Duration::from_secs(8));
            for role in Role::BOTH {
                let report: Value =
                    serde_json::from_str(&pair.ctl(role, &["status"])?).map_err(|error| error.to_string())?;
                ensure(report["state"] == "Normal", || {
                    format!("{what}: the {} is in {}", role.text(), report["state"])
                })?;
            }
            let shown = pair.request("once")?;
            ensure(shown["phase"] == "Granted", || format!("{what}: {shown}"))?;
            story.saw(format!("{what}: both stay in Normal, status says {}", shown["phase"]));
            Ok(())
        };
        pair.withdraw()?;
        pair.apply()?;
        quiet("the old manifest is applied again")?;
        let uid = text_at(&pair.object()?, "/metadata/uid");
        pair.delete()?;
        kubectl(&["-n", pair.namespace(), "wait", "--for=delete", "pods", "--all", "--timeout=60s"])?;
        pair.apply()?;
        pair.until_normal(120)?;
        let again = text_at(&pair.object()?, "/metadata/uid");
        ensure(uid != again, || "it is the same object".into())?;
        quiet("the object is deleted and made again from that manifest")?;
        let (namespace, pod) = operator()?;
        kubectl(&["-n", &namespace, "delete", "pod", &pod, "--force", "--grace-period=0"])?;
        quiet("the operator is another one")?;
        story.same_leases(&pair)
    });
}

#[test]
fn an_etcd_of_yesterday_repeats_nothing() {
    story(
        "etcd is restored from before a request was granted: the request is not carried out again",
        |story| {
            let mut pair = Pair::on_lan("e2e-etcd");
            story.start(&pair)?;
            let dead = Role::Secondary;
            let cordon = pair.evict(dead)?;
            pair.until(Role::Primary, "CommunicationsInterrupted", 20)?;
            // Yesterday's etcd holds a request that waits; in the meantime it was granted, and the pair came back.
            let backup = Backup::take()?;
            pair.set("/spec/forceState", partner_down("yesterday", dead))?;
            pair.apply()?;
            pair.until_phase("yesterday", "Granted", 30)?;
            drop(cordon);
            pair.until_normal(150)?;
            let epochs = epochs(&pair)?;
            story.saw(format!("granted, and back in Normal; epochs {epochs:?}"));
            backup.restore()?;
            story.saw("etcd is that of before");
            pair.apply()?;
            kubectl(&["uncordon", "node-a", "node-b"])?;
            pair.until_normal(200)?;
            sleep(Duration::from_secs(10));
            pair.until_normal(60)?;
            let request = pair.request("yesterday")?;
            ensure(request["phase"] == "Granted", || request.to_string())?;
            let entered: Vec<String> =
                pair.events()?.into_iter().filter(|event| event.starts_with("PrimaryPartnerDown")).collect();
            story.saw(format!("the request is shown as {}; events since: {entered:?}", request["phase"]));
            story.same_leases(&pair)
        },
    );
}

/// Both servers' epochs: how often they started.
fn epochs(pair: &Pair) -> Told<[u64; 2]> {
    let epoch = |role| -> Told<u64> {
        let report: Value =
            serde_json::from_str(&pair.ctl(role, &["status"])?).map_err(|error| error.to_string())?;
        Ok(report["epoch"].as_u64().unwrap_or_default())
    };
    Ok([epoch(Role::Primary)?, epoch(Role::Secondary)?])
}

/// A cold copy of etcd's data.
struct Backup {
    copy: std::path::PathBuf,
}

impl Backup {
    fn take() -> Told<Self> {
        let folder = cluster::etcd_folder()?;
        let copy = folder.with_extension("backup");
        Self::with_etcd_stopped(|| Self::copy(&folder, &copy))?;
        Ok(Self { copy })
    }

    fn restore(&self) -> Told {
        let folder = cluster::etcd_folder()?;
        Self::with_etcd_stopped(|| Self::copy(&self.copy, &folder))?;
        // Whoever watches has seen a later revision, so all begin anew, as after a real restore.
        let mut watchers = vec!["kube-controller-manager".to_owned(), "kube-scheduler".to_owned()];
        for node in names(&["nodes"])? {
            let letter = node.trim_start_matches("node/node-");
            watchers.extend([format!("kubelet-{letter}"), format!("kube-proxy-{letter}")]);
        }
        for part in &watchers {
            cluster::component("stop", part)?;
            cluster::component("start", part)?;
        }
        let (namespace, pod) = operator()?;
        kubectl(&["-n", &namespace, "delete", "pod", &pod, "--force", "--grace-period=0"])?;
        Ok(())
    }

    fn with_etcd_stopped(work: impl FnOnce() -> Told) -> Told {
        cluster::component("stop", "kube-apiserver")?;
        cluster::component("stop", "etcd")?;
        let told = work();
        cluster::component("start", "etcd")?;
        told
    }

    fn copy(from: &std::path::Path, to: &std::path::Path) -> Told {
        let (from, to) = (from.display().to_string(), to.display().to_string());
        e2e::process::run(30, &["rm", "-rf", &to])?;
        e2e::process::run(30, &["cp", "-a", &from, &to]).map(|_| ())
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.copy).ok();
    }
}

#[test]
fn two_operators_at_once_grant_a_request_once() {
    story("Two operators work at once: a request is granted once", |story| {
        let pair = Pair::on_lan("e2e-two-ops");
        story.start(&pair)?;
        let (namespace, _) = operator()?;
        let deployment =
            get(&["-n", &namespace, "deployments", "-l", "app.kubernetes.io/name=dhcp-failover-operator"])?;
        let name = text_at(&deployment, "/items/0/metadata/name");
        let scale = |replicas: &str| kubectl(&["-n", &namespace, "scale", "deployment", &name, replicas]);
        scale("--replicas=2")?;
        let told = (|| {
            wait_until("two operators run", 60, || {
                let ready = kubectl(&[
                    "-n",
                    &namespace,
                    "get",
                    "deployment",
                    &name,
                    "-o",
                    "jsonpath={.status.replicas}",
                ])?;
                ensure(ready == "2", || ready)
            })?;
            let dead = Role::Secondary;
            let cordon = pair.evict(dead)?;
            pair.until(Role::Primary, "CommunicationsInterrupted", 20)?;
            pair.force(partner_down("both", dead))?;
            // The leader's lease is taken from it again and again, so that both believe that they lead.
            for _ in 0..5 {
                let leases = names(&["-n", &namespace, "leases"])?;
                for lease in leases {
                    kubectl(&["-n", &namespace, "delete", &lease, "--ignore-not-found"])?;
                }
                sleep(Duration::from_millis(500));
            }
            let (request, _) = pair.until_phase("both", "Granted", 60)?;
            story.saw(format!("{request}"));
            let report: Value = serde_json::from_str(&pair.ctl(Role::Primary, &["status"])?)
                .map_err(|error| error.to_string())?;
            ensure(report["state"] == "PartnerDown", || report.to_string())?;
            drop(cordon);
            pair.until_normal(150)?;
            story.same_leases(&pair)
        })();
        scale("--replicas=1")?;
        told
    });
}

#[test]
fn a_volume_lost_during_partner_down_is_recovered_from_the_survivor() {
    story(
        "During partner-down the dead server loses its volume: it recovers everything from the survivor",
        |story| {
            let pair = Pair::on_lan("e2e-lostdown");
            story.start(&pair)?;
            let phone = Client::on_lan("phone")?;
            let daemon = phone.daemon()?;
            story.same_leases(&pair)?;
            let dead = Role::Secondary;
            let volume = pair.volume(dead)?;
            let cordon = pair.evict(dead)?;
            pair.until(Role::Primary, "CommunicationsInterrupted", 20)?;
            pair.force(partner_down("lost-1", dead))?;
            pair.until_phase("lost-1", "Granted", 30)?;
            cluster::empty_volume(&volume)?;
            story.saw(format!("{volume} is empty; meanwhile the phone renewed {}", daemon.renew(20)?));
            drop(cordon);
            pair.until(dead, "RecoverWait", 90)?;
            story.saw(format!("it recovers: {}", pair.states()?));
            pair.until_normal(150)?;
            story.same_leases(&pair)
        },
    );
}
