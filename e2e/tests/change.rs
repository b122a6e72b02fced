//! The pair is edited, upgraded, deleted and applied again, and clients notice nothing but what they should.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use e2e::client::{Client, Lease};
use e2e::kubectl::{apply, get, kubectl, text_at};
use e2e::process::{Daemon, run};
use e2e::story::seconds;
use e2e::{Pair, Role, Story, Told, cluster, ensure, story, wait_until};

#[test]
fn a_changed_pool_and_option_reach_both_servers_without_a_restart() {
    story("A changed pool and a changed option reach both servers without a restart", |story| {
        let mut pair = Pair::on_lan("e2e-edit");
        let pool = format!("{}.100", cluster::LAN);
        // One address, and one server that answers: the second client finds the pool full.
        pair.set("/spec/loadBalancing", Value::Null)?;
        pair.set("/spec/subnets/0/pools/0", json!({"first": pool, "last": pool}))?;
        story.start(&pair)?;
        let uids = pair.pod_uids()?;
        let (phone, tablet, printer) =
            (Client::on_lan("phone")?, Client::on_lan("tablet")?, Client::on_lan("printer")?);
        let first = phone.udhcpc()?;
        story.saw(format!("the phone got {first}, domain {}", first.domain));
        ensure(first.domain == "before.example", || format!("{first:?}"))?;
        let none = tablet.udhcpc_asking(3, 1);
        ensure(none.is_err(), || format!("the pool has one address, but the tablet got {none:?}"))?;
        story.saw("the tablet got nothing: the pool of one address is full");

        let reserved = format!("{}.50", cluster::LAN);
        pair.set("/spec/subnets/0/pools/0/last", json!(format!("{}.119", cluster::LAN)))?;
        pair.set("/spec/subnets/0/options/domainName", json!("after.example"))?;
        let reservation = json!({"address": reserved, "hardwareAddress": printer.hardware_address});
        pair.set("/spec/subnets/0/reservations", json!([reservation]))?;
        let began = Instant::now();
        pair.apply()?;
        wait_until("both servers work with the new configuration", 30, || {
            let object = pair.object()?;
            let generation = text_at(&object, "/metadata/generation");
            let observed = text_at(&object, "/status/observedGeneration");
            let sync = pair.condition("ConfigInSync")?;
            ensure(generation == observed && sync.starts_with("True"), || format!("{observed}: {sync}"))
        })?;
        story.saw(format!("both servers have it {} after the apply", seconds(began.elapsed())));
        for role in Role::BOTH {
            let table = pair.leases(role)?;
            ensure(table.len() == 21, || format!("the {} knows {} addresses", role.text(), table.len()))?;
        }
        let (second, third, again) = (tablet.udhcpc()?, printer.udhcpc()?, phone.udhcpc()?);
        story.saw(format!("the tablet got {second}, domain {}", second.domain));
        story.saw(format!("the printer got its reserved {third}"));
        story.saw(format!("the phone renewed {again}, domain {}", again.domain));
        ensure(second.domain == "after.example" && again.domain == "after.example", || {
            "the old domain".into()
        })?;
        ensure(third.address == reserved, || format!("the printer has {}", third.address))?;
        ensure(again.address == first.address, || format!("the phone had {}", first.address))?;
        let now = pair.pod_uids()?;
        ensure(now == uids, || format!("other pods: {uids:?} became {now:?}"))?;
        for role in Role::BOTH {
            let restarts = text_at(&pair.pod_object(role)?, "/status/containerStatuses/0/restartCount");
            ensure(restarts == "0", || format!("the {} restarted {restarts} times", role.text()))?;
        }
        story.saw("the pods are the same ones, and none restarted");
        story.same_leases(&pair)
    });
}

#[test]
fn a_new_image_rolls_secondary_then_primary_and_clients_are_answered() {
    story("A new image rolls the secondary, then the primary; clients are answered meanwhile", |story| {
        let pair = Pair::on_lan("e2e-roll");
        let _old = OldImage(&pair);
        server_image(None)?;
        story.start(&pair)?;
        let (phone, tablet) = (Client::on_lan("phone")?, Client::on_lan("tablet")?);
        let before = pair.pod_uids()?;
        let image = text_at(&pair.pod_object(Role::Primary)?, "/spec/containers/0/image");
        let done = AtomicBool::new(false);
        let (order, asked, renewed) = scope(|scope| {
            // One asks anew each time, as after a reboot, and one renews.
            let asking = scope.spawn(|| keep_asking(&done, || tablet.udhcpc_asking(4, 3)));
            let renewing = scope.spawn(|| {
                let daemon = phone.daemon()?;
                keep_asking(&done, || daemon.renew(15))
            });
            let order = scope.spawn(|| until_rolled(story, &pair, &before));
            let order = server_image(Some("next")).and_then(|()| order.join().map_err(|_| "the watch")?);
            // Some more questions of the pair as it is now.
            std::thread::sleep(Duration::from_secs(2));
            done.store(true, Ordering::Relaxed);
            (order, asking.join(), renewing.join())
        });
        let order = order?;
        let asked = asked.map_err(|_| "the thread of the tablet")??;
        let renewed = renewed.map_err(|_| "the thread of the phone")??;
        story.saw(format!("the tablet asked anew {asked}; the phone renewed {renewed}"));
        ensure(order == ["secondary", "primary"], || format!("the order was {order:?}"))?;
        for role in Role::BOTH {
            let now = text_at(&pair.pod_object(role)?, "/spec/containers/0/image");
            ensure(now == "docker.io/library/dhcp-pod:next", || format!("{image} became {now}"))?;
        }
        let events = pair.events()?;
        for role in Role::BOTH {
            let partner = role.partner().text();
            let paused = events.iter().find(|event| {
                event.contains(&format!("the {partner} went from Normal"))
                    && event.contains("partner in Paused")
            });
            let paused = paused
                .ok_or_else(|| format!("no event tells that the {} paused: {events:#?}", role.text()))?;
            story.saw(format!("the {} announced itself: {paused}", role.text()));
        }
        story.same_leases(&pair)
    });
}

#[test]
fn a_rolling_upgrade_under_load_leaves_few_first_questions_without_an_answer() {
    story("A new image rolls through a pair that is asked fifty times a second", |story| {
        let pair = Pair::on_lan("e2e-load");
        let _old = OldImage(&pair);
        server_image(None)?;
        story.start(&pair)?;
        let before = pair.pod_uids()?;
        // perfdhcp asks once and never again, like a relay with thirty clients.
        let relay = Client::on_lan("relay-host")?;
        let address = format!("{}.203/24", cluster::LAN);
        relay.exec(5, &["ip", "addr", "add", &address, "dev", "eth0"])?;
        let perfdhcp =
            ["perfdhcp", "-4", "-l", "eth0", "-r", "50", "-R", "30", "-p", "40", "-W", "1000000", "all"];
        let asked = scope(|scope| {
            let asking = scope.spawn(|| relay.exec(60, &perfdhcp));
            std::thread::sleep(Duration::from_secs(5));
            let rolled = scope.spawn(|| until_rolled(story, &pair, &before));
            let rolled = server_image(Some("next")).and_then(|()| rolled.join().map_err(|_| "the watch")?);
            rolled.and_then(|_| asking.join().map_err(|_| "perfdhcp")?)
        })?;
        let (mut questions, mut unanswered, mut part) = (0_u32, 0_u32, "");
        for line in asked.out.lines() {
            let number = || line.split_whitespace().nth(2).and_then(|word| word.parse().ok()).unwrap_or(0);
            if line.contains("Statistics for: ") {
                part = line.rsplit(' ').next().unwrap_or_default();
            } else if line.starts_with("sent packets:") {
                questions += number();
            } else if line.starts_with("drops:") {
                let drops = line.split_whitespace().nth(1).and_then(|word| word.parse::<u32>().ok());
                unanswered += drops.unwrap_or(0);
                story.saw(format!("{part}: {line}"));
            }
        }
        story.saw(format!(
            "FIGURE questions without an answer at first try while both servers were replaced: {unanswered} of \
             {questions}, at 50 exchanges a second"
        ));
        ensure(questions > 1_000, || asked.out.clone())?;
        // Nobody is without an answer for as long as a client's third try, which comes after 12 s.
        ensure(unanswered < 50 * 12, || asked.out.clone())?;
        story.same_leases(&pair)
    });
}

#[test]
fn an_upgrade_during_partner_down_waits_until_the_survivor_is_not_alone() {
    story("A new image comes while one server is alone in PartnerDown: it is replaced last", |story| {
        let pair = Pair::on_lan("e2e-upgrade");
        let _old = OldImage(&pair);
        server_image(None)?;
        story.start(&pair)?;
        let phone = Client::on_lan("phone")?;
        let daemon = phone.daemon()?;
        let lease = daemon.renew(10)?;
        let before = pair.pod_uids()?;
        let cordon = pair.evict(Role::Secondary)?;
        pair.until(Role::Primary, "CommunicationsInterrupted", 20)?;
        let force = json!({"requestId": "dead", "server": "primary", "state": "PartnerDown", "deadServer": "secondary"});
        pair.force(force)?;
        pair.until_phase("dead", "Granted", 30)?;
        wait_until("an alarm says that the primary serves alone", 20, || {
            let alarm = pair.condition("Alarm")?;
            ensure(alarm.starts_with("True") && alarm.contains("the primary serves alone"), || alarm.clone())
        })?;
        server_image(Some("next"))?;
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(15) {
            let renewed = daemon.renew(20)?;
            ensure(renewed.address == lease.address, || format!("the phone had {}", lease.address))?;
            ensure(pair.pod_uids()?[0] == before[0], || {
                "the survivor was replaced while it was alone".into()
            })?;
        }
        story.saw(format!("the survivor's pod stays: {}", pair.condition("Progressing")?));
        drop(cordon);
        let order = until_rolled(story, &pair, &before)?;
        ensure(order == ["secondary", "primary"], || format!("the order was {order:?}"))?;
        let renewed = daemon.renew(20)?;
        story.saw(format!("both have the new image; the phone renewed {renewed}"));
        ensure(renewed.address == lease.address, || format!("the phone had {}", lease.address))?;
        wait_until("no alarm is left", 40, || {
            let alarm = pair.condition("Alarm")?;
            ensure(alarm.starts_with("False: NoAlarm"), || alarm.clone())
        })?;
        story.same_leases(&pair)
    });
}

/// How a client fared that asked all the time.
struct Fared {
    times: usize,
    longest: Duration,
}

impl std::fmt::Display for Fared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} times, answered after {} at the latest", self.times, seconds(self.longest))
    }
}

/// Asks until it is done, for one and the same address.
fn keep_asking(done: &AtomicBool, ask: impl Fn() -> Told<Lease>) -> Told<Fared> {
    let mut fared = Fared { times: 0, longest: Duration::ZERO };
    let mut address = None;
    while !done.load(Ordering::Relaxed) {
        let lease = ask()?;
        let had = address.get_or_insert_with(|| lease.address.clone());
        ensure(*had == lease.address, || format!("{had} became {}", lease.address))?;
        fared.longest = fared.longest.max(lease.took);
        fared.times += 1;
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(fared)
}

/// Waits until both pods are new; answers in which order they became so.
fn until_rolled(story: &Story, pair: &Pair, before: &[String; 2]) -> Told<Vec<&'static str>> {
    // A watch, because a look now and then may miss the time between the two.
    let line = "jsonpath={.metadata.name} {.metadata.uid}{\"\\n\"}";
    let pods = Daemon::start(&["kubectl", "-n", pair.namespace(), "get", "pods", "-w", "-o", line])?;
    let mut order = Vec::new();
    wait_until("both pods are new, and both servers in Normal", 150, || {
        for line in pods.written().lines() {
            let Some((name, uid)) = line.split_once(' ') else { continue };
            let role = Role::BOTH.into_iter().find(|role| pair.pod(*role) == name).map(Role::text);
            let Some(role) =
                role.filter(|role| !before.iter().any(|old| old == uid) && !order.contains(role))
            else {
                continue;
            };
            order.push(role);
            story.saw(format!("the {role} has a new pod; {}", pair.states()?));
        }
        let (ready, progressing) = (pair.condition("Ready")?, pair.condition("Progressing")?);
        let all = order.len() == 2 && ready.starts_with("True") && progressing.starts_with("False");
        ensure(all, || format!("{order:?}; {ready}; {progressing}"))
    })?;
    pair.until_normal(30)?;
    story.saw(pair.states()?);
    Ok(order)
}

/// However the story ends, the next one begins with the image of this version.
struct OldImage<'a>(&'a Pair);

impl Drop for OldImage<'_> {
    fn drop(&mut self) {
        self.0.delete().ok();
        server_image(None).ok();
    }
}

/// Sets the tag of the servers' image in the chart's release, or takes the default again.
fn server_image(tag: Option<&str>) -> Told {
    let set = format!("serverImage.tag={}", tag.unwrap_or_default());
    let release = ["helm", "upgrade", "dhcp", "charts/dhcp-failover-operator", "--namespace", "dhcp-system"];
    run(90, &[&release[..], &["--reuse-values", "--set", &set, "--wait", "--timeout", "80s"]].concat())
        .map(|_| ())
}

#[test]
fn a_deleted_pair_keeps_its_volumes_and_is_taken_up_again() {
    story("A pair is deleted: its children go, its volumes stay, and the next one takes them up", |story| {
        let pair = Pair::on_lan("e2e-again");
        story.start(&pair)?;
        let (phone, tablet) = (Client::on_lan("phone")?, Client::on_lan("tablet")?);
        let leases = [phone.udhcpc()?, tablet.udhcpc()?];
        story.saw(format!("the phone has {}; the tablet has {}", leases[0], leases[1]));
        story.same_leases(&pair)?;
        let claims = pair.claims()?;
        ensure(claims.len() == 2, || format!("the claims are {claims:?}"))?;
        let bound = text_at(&get(&["-n", pair.namespace(), "pods"])?, "/items/0/status/phase");
        ensure(bound == "Running", || bound.clone())?;

        pair.delete()?;
        let began = Instant::now();
        for kind in ["pods", "statefulsets", "configmaps", "secrets", "poddisruptionbudgets"] {
            wait_until(&format!("the {kind} are gone"), 60, || {
                let left = pair.children(kind)?;
                ensure(left.is_empty(), || left.join(", "))
            })?;
        }
        story.saw(format!("the children are gone {} later", seconds(began.elapsed())));
        let kept = pair.claims()?;
        ensure(kept == claims, || format!("the claims {claims:?} became {kept:?}"))?;
        story.saw(format!("the claims stay: {}", claims.keys().cloned().collect::<Vec<_>>().join(", ")));

        apply(&pair.manifest)?;
        let took = pair.until_normal(90)?;
        story.saw(format!("applied again: both in Normal {} later", seconds(took)));
        ensure(pair.claims()? == claims, || format!("other claims: {:?}", pair.claims()))?;
        for (client, lease) in [(&phone, &leases[0]), (&tablet, &leases[1])] {
            let again = client.udhcpc()?;
            story.saw(format!("renewed {again}"));
            ensure(again.address == lease.address, || format!("it had {}", lease.address))?;
        }
        story.same_leases(&pair)?;
        let told = kubectl(&["-n", pair.namespace(), "get", "dfp", &pair.name, "-o", "name"])?;
        ensure(!told.is_empty(), || "the pair is gone".into())
    });
}
