//! Servers, volumes, nodes and the API server are lost; clients are served, and what is back finds its place.

use std::thread::scope;
use std::time::{Duration, Instant};

use e2e::client::Client;
use e2e::kubectl::{get, kubectl, operator, text_at};
use e2e::pair::SOCKET;
use e2e::story::seconds;
use e2e::{Failure, Pair, Role, Story, Told, cluster, ensure, story, wait_until};

#[test]
fn a_killed_server_is_replaced_by_its_partner_at_once_and_comes_back() {
    story("A server is killed: its partner answers at once, and takes it back", |story| {
        let pair = Pair::on_lan("e2e-kill");
        story.start(&pair)?;
        let (phone, tablet, watch) =
            (Client::on_lan("phone")?, Client::on_lan("tablet")?, Client::on_lan("watch")?);
        let daemon = phone.daemon()?;
        let lease = daemon.renew(10)?;
        story.saw(format!("the phone renewed {lease}"));
        story.same_leases(&pair)?;

        let victim = pair.role_of(&lease.server)?;
        pair.knock_out(victim)?;
        story.saw(format!("the {} is killed, and its node does not start it again", victim.text()));
        // Both ask once a second from now on: one that has a lease of the dead server, and a new one.
        let (renewed, new) = scope(|scope| {
            let new = scope.spawn(|| tablet.udhcpc_asking(40, 1));
            (daemon.renew(40), new.join())
        });
        let (renewed, new) = (renewed?, new.map_err(|_| "the thread of the tablet")??);
        story.saw(format!("the phone renewed {renewed}"));
        story.saw(format!("the tablet, which is new, got {new}"));
        let outage = renewed.took.max(new.took);
        story.saw(format!("FIGURE client-visible outage when a server is killed: {}", seconds(outage)));
        ensure(renewed.address == lease.address, || format!("the phone had {}", lease.address))?;
        for lease in [&renewed, &new] {
            let by = pair.role_of(&lease.server)?;
            ensure(by != victim, || format!("the answer names the {}, which is dead", by.text()))?;
        }
        ensure(outage < Duration::from_secs(15), || "clients waited too long".into())?;

        let survivor = victim.partner();
        pair.until(survivor, "CommunicationsInterrupted", 20)?;
        pair.until(victim, "Unknown", 20)?;
        story.saw(pair.states()?);
        let later = watch.udhcpc()?;
        story.saw(format!("the watch, which is new too, got {later}"));

        pair.revive(victim)?;
        let took = pair.until_normal(90)?;
        story.saw(format!("the {} is started again; both in Normal {} later", victim.text(), seconds(took)));
        story.same_leases(&pair)?;
        for (client, lease) in [(&tablet, &new), (&watch, &later)] {
            let again = client.udhcpc()?;
            ensure(again.address == lease.address, || format!("{} became {}", lease.address, again.address))?;
        }
        story.saw("each client still has its address");
        Ok(())
    });
}

#[test]
fn leases_survive_the_loss_of_both_servers_at_once() {
    story("Both pods are killed at once: leases are honoured afterwards", |story| {
        let pair = Pair::on_lan("e2e-both");
        story.start(&pair)?;
        let (phone, tablet) = (Client::on_lan("phone")?, Client::on_lan("tablet")?);
        let daemon = phone.daemon()?;
        let before = daemon.renew(10)?;
        let other = tablet.udhcpc()?;
        story.saw(format!("the phone has {before}; the tablet has {other}"));
        story.same_leases(&pair)?;

        let uids = pair.pod_uids()?;
        let began = Instant::now();
        let pods = [pair.pod(Role::Primary), pair.pod(Role::Secondary)];
        let force = ["delete", "pod", "--force", "--grace-period=0", "--wait=false"];
        kubectl(&[&["-n", pair.namespace()], &force[..], &[&pods[0], &pods[1]]].concat())?;
        let renewed = daemon.renew(60)?;
        story.saw(format!(
            "both pods killed; the phone was answered {} later: {renewed}",
            seconds(began.elapsed())
        ));
        ensure(renewed.address == before.address, || format!("the phone had {}", before.address))?;
        wait_until("both pods are new", 60, || {
            let now = pair.pod_uids()?;
            ensure(now[0] != uids[0] && now[1] != uids[1], || format!("{now:?}"))
        })?;
        pair.until_normal(90)?;
        story.saw(format!("both in Normal {} after the kill", seconds(began.elapsed())));
        let again = tablet.udhcpc()?;
        ensure(again.address == other.address, || format!("the tablet had {}, now {again}", other.address))?;
        story.saw(format!("the tablet renewed {again}"));
        story.same_leases(&pair)
    });
}

#[test]
fn an_emptied_volume_does_not_look_like_a_new_pair() {
    story(
        "A volume is emptied under a stopped server: it recovers, and waits out the MCLT of 60 s",
        |story| {
            let pair = Pair::on_lan("e2e-empty");
            story.start(&pair)?;
            let phone = Client::on_lan("phone")?;
            let daemon = phone.daemon()?;
            let lease = daemon.renew(10)?;
            story.saw(format!("the phone has {lease}"));
            story.same_leases(&pair)?;

            let bootstraps = bootstraps(&pair)?;
            pair.knock_out(Role::Primary)?;
            let volume = pair.volume(Role::Primary)?;
            cluster::empty_volume(&volume)?;
            story.saw(format!("the primary is killed, and its volume {volume} emptied"));
            pair.revive(Role::Primary)?;

            pair.until(Role::Primary, "RecoverWait", 60)?;
            let waiting = pair.server(Role::Primary)?;
            let until = text_at(&waiting, "/recoverWaitUntil");
            story.saw(format!("it is in RecoverWait since {}, until {until}", text_at(&waiting, "/since")));
            ensure(waiting["serving"] == false, || format!("it serves in RecoverWait: {waiting}"))?;
            ensure(!until.is_empty(), || format!("no recoverWaitUntil in {waiting}"))?;
            let renewed = daemon.renew(20)?;
            story.saw(format!("meanwhile the phone renewed {renewed}"));
            ensure(renewed.address == lease.address, || format!("the phone had {}", lease.address))?;
            ensure(pair.role_of(&renewed.server)? == Role::Secondary, || {
                "the recovering primary answered".into()
            })?;

            pair.until_normal(120)?;
            let since = text_at(&pair.server(Role::Primary)?, "/since");
            story.saw(format!("both in Normal, the primary since {since}"));
            ensure(since.get(..19) >= until.get(..19), || format!("Normal at {since}, before {until}"))?;
            let now = self::bootstraps(&pair)?;
            ensure(now == bootstraps, || format!("it was told again that it is new: {now:?}"))?;
            story.same_leases(&pair)?;
            let table = pair.leases(Role::Primary)?;
            let line = table.get(&lease.address);
            ensure(line.is_some_and(|line| line.state == "Active"), || format!("the primary has {line:?}"))
        },
    );
}

#[test]
fn servers_serve_and_restart_without_the_api_server() {
    story("The API server is gone: clients are served, and a server restarts its process", |story| {
        let pair = Pair::on_lan("e2e-noapi");
        story.start(&pair)?;
        let (phone, tablet) = (Client::on_lan("phone")?, Client::on_lan("tablet")?);
        let role = Role::Primary;
        let (node, container) = pair.container(role)?;
        cluster::component("stop", "kube-apiserver")?;
        let told = without_api_server(story, &pair, role, (&node, &container), [&phone, &tablet]);
        let began = Instant::now();
        cluster::component("start", "kube-apiserver")?;
        story.saw(format!("the API server is back after {}", seconds(began.elapsed())));
        told?;

        wait_until("the API shows the restart and both in Normal", 120, || {
            let restarts = text_at(&pair.pod_object(role)?, "/status/containerStatuses/0/restartCount");
            let observed = text_at(&pair.server(role)?, "/observedTime");
            let ready = pair.condition("Ready")?;
            ensure(restarts == "1" && ready.starts_with("True"), || {
                format!("{restarts} restarts, observed {observed}, {ready}")
            })
        })?;
        story.saw(format!(
            "status is right {} after its start: {}",
            seconds(began.elapsed()),
            pair.states()?
        ));
        story.same_leases(&pair)
    });
}

/// All that happens while nobody can ask the API server.
fn without_api_server(
    story: &Story,
    pair: &Pair,
    role: Role,
    (node, container): (&str, &str),
    [phone, tablet]: [&Client; 2],
) -> Told {
    ensure(kubectl(&["get", "nodes", "--request-timeout=2s"]).is_err(), || "the API server answers".into())?;
    let lease = phone.udhcpc()?;
    story.saw(format!("without API server the phone, which is new, got {lease}"));
    let began = Instant::now();
    cluster::kill_container(node, container)?;
    let pod = pair.pod(role);
    wait_until("the kubelet has restarted the server, and it is in Normal", 60, || {
        let report = asked_on_node(node, &pod, container)?;
        let state = text_at(&report, "/state");
        ensure(state == "Normal" && report["serving"] == true, || format!("it is in {state}"))
    })?;
    story.saw(format!(
        "the {} was killed; it serves again in Normal {} later",
        role.text(),
        seconds(began.elapsed())
    ));
    let again = phone.udhcpc()?;
    ensure(again.address == lease.address, || format!("the phone had {}", lease.address))?;
    story.saw(format!("the phone renewed {again}; the tablet got {}", tablet.udhcpc()?));
    Ok(())
}

/// Status of a server whose process is another one than before, asked on its node.
fn asked_on_node(node: &str, pod: &str, before: &str) -> Told<serde_json::Value> {
    let filter = format!("labels.\"io.kubernetes.pod.name\"=={pod}");
    let all = cluster::on_node(node, &["ctr", "-n", "k8s.io", "containers", "ls", "-q", &filter])?;
    let mut seen = Failure(format!("no container of {pod} but the one before"));
    for container in all.lines().filter(|id| !before.ends_with(id)) {
        let exec = ["ctr", "-n", "k8s.io", "tasks", "exec", "--exec-id", "story", container];
        let asked = [&exec[..], &["dhcp-pod", "ctl", "--socket", SOCKET, "status"]].concat();
        match cluster::on_node(node, &asked) {
            Ok(text) => {
                return serde_json::from_str(&text).map_err(|error| format!("{text}: {error}").into());
            }
            // The pod's pause container is one of them.
            Err(failure) if failure.0.contains("executable file not found") => {}
            Err(failure) => seen = failure,
        }
    }
    Err(seen)
}

#[test]
fn a_server_without_power_reads_unknown_with_the_age_of_its_last_report() {
    story("A node loses power: its server reads Unknown, with the age of its last report", |story| {
        let pair = Pair::on_lan("e2e-power");
        story.start(&pair)?;
        // The operator is to see it, so it must not be on that node.
        let (namespace, pod) = operator()?;
        let home = text_at(&get(&["-n", &namespace, "pod", &pod])?, "/spec/nodeName");
        let victim = if pair.container(Role::Primary)?.0 == home { Role::Secondary } else { Role::Primary };
        let node = pair.container(victim)?.0;
        let phone = client_of(&pair, victim)?;
        let daemon = phone.daemon()?;
        let lease = daemon.renew(10)?;
        story.saw(format!("the phone has {lease}, the {}", victim.text()));
        story.same_leases(&pair)?;

        let last = text_at(&pair.server(victim)?, "/observedTime");
        let began = Instant::now();
        cluster::component("kill", &node)?;
        // The cable goes first, then the processes.
        let cut = began.elapsed();
        let (renewed, new) = scope(|scope| {
            let new = scope.spawn(|| Client::on_lan("newcomer")?.udhcpc_asking(40, 1));
            (daemon.renew(40), new.join())
        });
        let (renewed, new) = (renewed?, new.map_err(|_| "the thread of the tablet")??);
        story.saw(format!("{node} has no power; the phone renewed {renewed}"));
        ensure(renewed.address == lease.address, || format!("the phone had {}", lease.address))?;
        story.saw(format!("a new client got {new}"));
        story.saw(format!(
            "FIGURE client-visible outage when a node loses power (partner lost after 6 s): at most {}",
            seconds(cut + renewed.took.max(new.took))
        ));
        let survivor = victim.partner();
        pair.until(survivor, "CommunicationsInterrupted", 30)?;
        pair.until(victim, "Unknown", 60)?;
        let server = pair.server(victim)?;
        story.saw(format!(
            "{} after the cut the {} reads Unknown since {}, last heard {}",
            seconds(began.elapsed()),
            victim.text(),
            text_at(&server, "/since"),
            text_at(&server, "/observedTime")
        ));
        ensure(text_at(&server, "/observedTime") >= last, || format!("last heard {last}, but {server}"))?;
        ensure(server["serving"] == false, || format!("it is said to serve: {server}"))?;
        let table = kubectl(&["-n", pair.namespace(), "get", "dfp"])?;
        for line in table.lines() {
            story.saw(line);
        }

        let began = Instant::now();
        cluster::component("start", &node)?;
        pair.until_normal(180)?;
        story.saw(format!("power is back; both in Normal {} later", seconds(began.elapsed())));
        story.same_leases(&pair)
    });
}

/// A client that a server answers in Normal: which of the two does depends on its hardware address.
fn client_of(pair: &Pair, role: Role) -> Told<Client> {
    for name in ["phone", "tablet", "watch", "laptop", "printer", "radio", "lamp", "oven"] {
        let client = Client::on_lan(name)?;
        let lease = client.udhcpc()?;
        if pair.role_of(&lease.server)? == role {
            return Ok(client);
        }
    }
    Err(format!("the {} answers none of eight clients", role.text()).into())
}

/// What was said about brand-new volumes.
fn bootstraps(pair: &Pair) -> Told<Vec<String>> {
    Ok(pair.events()?.into_iter().filter(|event| event.contains("Bootstrap")).collect())
}
