//! Planned work: pauses, drains, stops for long, and partitions that only look like one.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use e2e::client::Client;
use e2e::cluster::Stopped;
use e2e::kubectl::{kubectl, text_at, try_kubectl};
use e2e::story::seconds;
use e2e::{Pair, Role, cluster, ensure, story, wait_until};

/// Shown to fail with a build whose pods tolerate a lost node no longer than others.
#[test]
fn a_partition_that_outlasts_eviction_kills_nobody_when_it_heals() {
    story(
        "A node is cut off for longer than pods are tolerated on a lost node: both servers live on",
        |story| {
            let pair = Pair::on_lan("e2e-partition");
            story.start(&pair)?;
            let phone = Client::on_lan("phone")?;
            let daemon = phone.daemon()?;
            let before = [pair.container(Role::Primary)?.1, pair.container(Role::Secondary)?.1];
            let far = pair.far_from_operator()?;
            let node = pair.container(far)?.0;
            let cable = Stopped::new("stop", &node.replace("node-", "cable-"))?;
            pair.until(far.partner(), "CommunicationsInterrupted", 30)?;
            wait_until("the node is tainted as unreachable", 120, || {
                let taints = kubectl(&["get", "node", &node, "-o", "jsonpath={.spec.taints[*].key}"])?;
                ensure(taints.contains("unreachable"), || taints)
            })?;
            story.saw(format!("{node} is unreachable; the API server would evict after 30 s"));
            sleep(Duration::from_secs(45));
            let lease = daemon.renew(20)?;
            story.saw(format!("45 s later the phone renewed {lease}"));
            drop(cable);
            let took = pair.until_normal(150)?;
            story.saw(format!("the cable is in again; both in Normal {} later", seconds(took)));
            let after = [pair.container(Role::Primary)?.1, pair.container(Role::Secondary)?.1];
            ensure(before == after, || format!("containers were {before:?} and are {after:?}"))?;
            story.saw("both are the processes they were");
            story.same_leases(&pair)
        },
    );
}

#[test]
fn a_drained_node_pauses_its_server_and_the_other_node_cannot_be_drained_meanwhile() {
    story("A node is drained: its server announces a pause; the other node's stays", |story| {
        let pair = Pair::on_lan("e2e-drain");
        story.start(&pair)?;
        let phone = Client::on_lan("phone")?;
        let daemon = phone.daemon()?;
        let nodes = [pair.container(Role::Primary)?.0, pair.container(Role::Secondary)?.0];
        let drain = |node: &str, timeout: &str| {
            let selector = "--pod-selector=app.kubernetes.io/name=dhcp-failover-server";
            try_kubectl(
                &["drain", node, selector, "--delete-emptydir-data", "--ignore-daemonsets", timeout],
                None,
            )
        };
        let began = Instant::now();
        let told = (|| {
            let drained = drain(&nodes[1], "--timeout=40s")?;
            ensure(drained.ok, || drained.err.clone())?;
            story.saw(format!("{} is drained after {}", nodes[1], seconds(began.elapsed())));
            pair.until(Role::Primary, "CommunicationsInterrupted", 10)?;
            let partner = text_at(&pair.server(Role::Primary)?, "/partnerState");
            ensure(partner == "Paused", || format!("the primary last heard {partner}"))?;
            story.saw(format!("the primary heard Paused; the phone renewed {}", daemon.renew(10)?));
            let refused = drain(&nodes[0], "--timeout=8s")?;
            ensure(!refused.ok, || "the other node was drained too".into())?;
            story.saw(format!("the other node: {}", refused.err.lines().last().unwrap_or_default()));
            ensure(text_at(&pair.server(Role::Primary)?, "/serving") == "true", || "nobody serves".into())
        })();
        for node in &nodes {
            kubectl(&["uncordon", node])?;
        }
        told?;
        let took = pair.until_normal(120)?;
        story.saw(format!("uncordoned: both in Normal {} later", seconds(took)));
        story.same_leases(&pair)
    });
}

#[test]
fn forced_states_pause_resume_shut_down_and_recover_a_server() {
    story("A server is paused, resumed, shut down, resumed and recovered by patches of the spec", |story| {
        let pair = Pair::on_lan("e2e-states");
        story.start(&pair)?;
        let phone = Client::on_lan("phone")?;
        let daemon = phone.daemon()?;
        let force = |id: &str, state: &str| json!({"requestId": id, "server": "secondary", "state": state, "reason": "a story"});
        pair.force(force("pause-1", "Paused"))?;
        let (_, took) = pair.until_phase("pause-1", "Granted", 20)?;
        pair.until(Role::Secondary, "Paused", 10)?;
        pair.until(Role::Primary, "CommunicationsInterrupted", 5)?;
        story.saw(format!("paused after {}; the phone renewed {}", seconds(took), daemon.renew(10)?));
        pair.force(force("resume-1", "Startup"))?;
        pair.until_phase("resume-1", "Granted", 20)?;
        pair.until_normal(60)?;
        story.saw("resumed: both in Normal");

        pair.force(force("stop-1", "Shutdown"))?;
        pair.until_phase("stop-1", "Granted", 30)?;
        pair.until(Role::Primary, "PartnerDown", 10)?;
        let condition = pair.condition("PartnerDownForced")?;
        ensure(condition.contains("ShutdownReceived"), || condition.clone())?;
        story.saw(format!("shut down: {condition}; the phone renewed {}", daemon.renew(10)?));
        pair.force(force("resume-2", "Startup"))?;
        pair.until_phase("resume-2", "Granted", 20)?;
        pair.until_normal(150)?;
        story.saw("resumed through Recover: both in Normal");

        pair.force(force("recover-1", "Recover"))?;
        pair.until_phase("recover-1", "Granted", 20)?;
        pair.until(Role::Secondary, "RecoverWait", 20)?;
        story.saw(format!("recovering: {}", pair.states()?));
        pair.until_normal(150)?;
        story.same_leases(&pair)?;
        let refused = json!({"requestId": "half", "server": "primary", "state": "PartnerDown", "deadServer": "primary"});
        let told = pair.force(refused);
        let refusal = told.err().ok_or("the API server took a request without sense")?;
        story.saw(format!("a request without sense: {}", refusal.0.lines().last().unwrap_or_default()));
        Ok(())
    });
}

#[test]
fn both_servers_restarted_at_once_by_hand_find_together() {
    story("Both servers are told to restart at once by hand: they find together by themselves", |story| {
        let pair = Pair::on_lan("e2e-restart");
        story.start(&pair)?;
        let phone = Client::on_lan("phone")?;
        let daemon = phone.daemon()?;
        let before = daemon.renew(10)?;
        story.same_leases(&pair)?;
        let sets = [format!("{}-primary", pair.name), format!("{}-secondary", pair.name)];
        let began = Instant::now();
        kubectl(&[
            "-n",
            pair.namespace(),
            "delete",
            "pod",
            &format!("{}-0", sets[0]),
            &format!("{}-0", sets[1]),
        ])?;
        let renewed = daemon.renew(60)?;
        story.saw(format!("the phone was answered {} later: {renewed}", seconds(began.elapsed())));
        ensure(renewed.address == before.address, || format!("it had {}", before.address))?;
        pair.until_normal(90)?;
        story.saw(format!("both in Normal {} after", seconds(began.elapsed())));
        story.same_leases(&pair)?;
        ensure(cluster::name().is_some(), || "this story needs the test cluster".into())
    });
}

#[test]
fn a_server_moves_to_another_node_and_then_both_exchange_theirs() {
    story("The servers' nodes are exchanged by way of a third one; each finds an empty volume", |story| {
        let mut pair = Pair::on_lan("e2e-move");
        story.start(&pair)?;
        let phone = Client::on_lan("phone")?;
        let daemon = phone.daemon()?;
        let lease = daemon.renew(10)?;
        story.same_leases(&pair)?;
        let moves = [(Role::Secondary, "c", 1), (Role::Primary, "b", 1), (Role::Secondary, "a", 2)];
        for (role, rack, storage) in moves {
            let before = text_at(&pair.pod_object(role)?, "/metadata/uid");
            // A volume stays on its node, so the server gets another one with the node.
            pair.set(&format!("/spec/{}/pod/nodeSelector/rack", role.text()), json!(rack))?;
            let annotation = format!("dhcpfailover.io/storage-{}", role.text());
            pair.manifest["metadata"]["annotations"][annotation] = json!(storage.to_string());
            pair.apply()?;
            wait_until(&format!("the {} has a pod on node-{rack}", role.text()), 60, || {
                let pod = pair.pod_object(role)?;
                let (uid, node) = (text_at(&pod, "/metadata/uid"), text_at(&pod, "/spec/nodeName"));
                ensure(uid != before && node == format!("node-{rack}"), || format!("{uid} is on {node}"))
            })?;
            pair.until(role, "RecoverWait", 30)?;
            let renewed = daemon.renew(20)?;
            ensure(renewed.address == lease.address, || format!("the phone had {}", lease.address))?;
            ensure(pair.role_of(&renewed.server)? == role.partner(), || "the new one answered".into())?;
            let took = pair.until_normal(150)?;
            story.saw(format!(
                "the {} is on node-{rack}; the phone renewed {renewed}; Normal {} later",
                role.text(),
                seconds(took)
            ));
        }
        story.same_leases(&pair)?;
        let claims = pair.claims()?;
        ensure(claims.len() == 5, || format!("the old claims stay: {claims:?}"))?;
        let again = phone.udhcpc()?;
        ensure(again.address == lease.address, || format!("the phone had {}", lease.address))
    });
}
