//! What nobody meant to happen: strangers' octets, a store with a flipped bit, a full disk. Nothing is lost, and
//! status says what it was.

use std::io::{Seek, SeekFrom, Write};

use e2e::client::Client;
use e2e::kubectl::text_at;
use e2e::story::seconds;
use e2e::{Failure, Pair, Role, Told, cluster, ensure, story, wait_until};

#[test]
fn garbage_on_the_lan_and_on_the_link_is_counted_and_changes_nothing() {
    story("A stranger sends garbage to port 67 and to the failover port", |story| {
        let pair = Pair::on_lan("e2e-garbage");
        story.start(&pair)?;
        let stranger = Client::on_lan("stranger")?;
        let phone = Client::on_lan("phone")?;
        let lease = phone.udhcpc()?;
        let address = format!("{}.201/24", cluster::LAN);
        stranger.exec(5, &["ip", "addr", "add", &address, "dev", "eth0"])?;
        let server = text_at(&pair.server(Role::Primary)?, "/address");
        let before = pair.counter(Role::Primary, "dhcp_packets_dropped_total", "")?;
        // Noise, and the first octets of what could become a packet.
        let noise = format!(
            "for n in $(seq 100); do head -c 400 /dev/urandom >/dev/udp/{server}/67; \
             printf '\\001\\001\\006\\000' >/dev/udp/{server}/67; done"
        );
        let sent = stranger.exec(30, &["bash", "-c", &noise])?;
        ensure(sent.ok, || sent.err.clone())?;
        wait_until("200 packets are dropped and counted", 10, || {
            let dropped = pair.counter(Role::Primary, "dhcp_packets_dropped_total", "")? - before;
            ensure(dropped >= 200, || format!("{dropped} were counted"))?;
            story.saw(format!("{dropped} packets were dropped and counted"));
            Ok(())
        })?;

        let restarts = pair.pod_uids()?;
        let port = text_at(&pair.pod_object(Role::Primary)?, "/spec/containers/0/ports/0/containerPort");
        let knock = format!(
            "for n in $(seq 20); do (head -c 3000 /dev/urandom; sleep 0.1) >/dev/tcp/{server}/{port}; done 2>&1; true"
        );
        stranger.exec(30, &["bash", "-c", &knock])?;
        let refused = wait_until("the stranger's connections are refused and counted", 30, || {
            let refused = pair.counter(Role::Primary, "dhcp_link_attempts_total", "not_proven")?;
            ensure(refused >= 20, || format!("{refused} were counted"))?;
            Ok(refused)
        })?;
        story.saw(format!("{refused} connections without a certificate were refused and counted"));
        ensure(pair.pod_uids()? == restarts, || "a pod was replaced".into())?;
        for role in Role::BOTH {
            let state = text_at(&pair.server(role)?, "/state");
            ensure(state == "Normal", || format!("the {} is in {state}", role.text()))?;
        }
        let again = phone.udhcpc()?;
        ensure(again.address == lease.address, || format!("the phone had {}", lease.address))?;
        story.same_leases(&pair)
    });
}

#[test]
fn a_flipped_bit_stops_one_server_with_the_place_and_its_partner_serves() {
    story("A bit of the primary's store flips while it is down: it stops and says where", |story| {
        let pair = Pair::on_lan("e2e-rot");
        story.start(&pair)?;
        let phone = Client::on_lan("phone")?;
        let lease = phone.udhcpc()?;
        story.same_leases(&pair)?;
        pair.knock_out(Role::Primary)?;
        let volume = pair.volume(Role::Primary)?;
        let file = flip_a_bit(&volume)?;
        story.saw(format!("the primary is killed, and a bit of {file} flipped"));
        pair.revive(Role::Primary)?;
        let healthy = pair.until_condition("StorageHealthy", "False: StoreCorrupt", 90)?;
        ensure(healthy.contains("octet"), || format!("it does not say where: {healthy}"))?;
        story.saw(healthy);
        let renewed = phone.udhcpc()?;
        story.saw(format!("the phone renewed {renewed}"));
        ensure(renewed.address == lease.address, || format!("it had {}", lease.address))?;
        // What the message says to do; the next start finds the volume empty.
        cluster::empty_volume(&volume)?;
        let took = pair.until_normal(240)?;
        story.saw(format!("its volume emptied: back in Normal {} later", seconds(took)));
        pair.until_condition("StorageHealthy", "True", 10)?;
        story.same_leases(&pair)
    });
}

/// Flips a bit of the first record of the log in a volume. Answers the name of the file.
fn flip_a_bit(volume: &str) -> Told<String> {
    let folder = cluster::volume_folder(volume)?;
    let failed = |error: std::io::Error| Failure(format!("{}: {error}", folder.display()));
    let mut folders = vec![folder.clone()];
    let mut segments = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.parent().is_some_and(|parent| parent.ends_with("log"))
                && !path.ends_with("reserve")
            {
                segments.push(path);
            }
        }
    }
    segments.sort();
    let segment = segments.first().ok_or_else(|| Failure(format!("no log in {}", folder.display())))?;
    let octets = std::fs::read(segment).map_err(failed)?;
    let mut file = std::fs::OpenOptions::new().write(true).open(segment).map_err(failed)?;
    file.seek(SeekFrom::Start(100)).map_err(failed)?;
    file.write_all(&[octets.get(100).copied().unwrap_or_default() ^ 1]).map_err(failed)?;
    Ok(segment.display().to_string())
}

#[test]
fn a_full_disk_stops_what_cannot_be_stored_and_the_partner_serves() {
    story("The disk of the primary is full: it says so, and its partner serves", |story| {
        let pair = Pair::on_lan("e2e-full");
        story.start(&pair)?;
        let phone = Client::on_lan("phone")?;
        let daemon = phone.daemon()?;
        let lease = daemon.renew(10)?;
        story.same_leases(&pair)?;
        // Its next pod finds the same store on a disk of 24 MB.
        let cordon = pair.evict(Role::Primary)?;
        let volume = pair.volume(Role::Primary)?;
        let small = SmallDisk::under(&volume)?;
        drop(cordon);
        pair.until_normal(60)?;
        small.fill()?;
        story.saw("the primary's disk is full");
        let (tablet, mut asked) = (Client::on_lan("tablet")?, 0);
        let healthy = wait_until("StorageHealthy is false", 90, || {
            // Each lease must be stored.
            let renewed = daemon.renew(20)?;
            asked += 1;
            ensure(renewed.address == lease.address, || format!("the phone had {}", lease.address))?;
            let healthy = pair.condition("StorageHealthy")?;
            ensure(healthy.starts_with("False: StoreFailed"), || healthy.clone())?;
            Ok(healthy)
        })?;
        story.saw(format!("{healthy}; the phone renewed {asked} times meanwhile"));
        // Somebody takes the room of the reserve, too.
        small.fill()?;
        let new = wait_until("the full server answers nobody", 60, || {
            let new = tablet.udhcpc()?;
            ensure(pair.role_of(&new.server)? == Role::Secondary, || format!("the tablet got {new}"))?;
            Ok(new)
        })?;
        story.saw(format!("its reserve is full as well; the tablet got {new}"));
        let primary = pair.server(Role::Primary)?;
        story.saw(format!(
            "the primary: {} {}",
            text_at(&primary, "/state"),
            pair.condition("StorageHealthy")?
        ));
        small.free()?;
        pair.until_normal(120)?;
        pair.until_condition("StorageHealthy", "True", 60)?;
        story.saw("there is room again: both in Normal");
        story.same_leases(&pair)?;
        let line = pair.leases(Role::Primary)?.remove(&new.address);
        ensure(line.is_some_and(|line| line.state == "Active"), || {
            "the primary does not know the tablet".into()
        })
    });
}

/// A disk of 24 MB in place of a volume's folder, with what was in it, until this is dropped.
struct SmallDisk {
    node: String,
    folder: String,
}

impl SmallDisk {
    fn under(volume: &str) -> Told<Self> {
        let node = volume.rsplit_once('-').map_or(volume, |(node, _)| node).to_owned();
        let folder = format!("/var/lib/volumes/{volume}");
        let shell = format!(
            "mkdir -p /mnt/small && mount -t tmpfs -o size=24m,mode=$(stat -c %a {folder}) small /mnt/small && \
             cp -a {folder}/. /mnt/small/ && mount --bind /mnt/small {folder} && umount /mnt/small"
        );
        cluster::on_node(&node, &["bash", "-c", &shell])?;
        Ok(Self { node, folder })
    }

    fn fill(&self) -> Told {
        let shell = format!("head -c 100m /dev/zero >{}/filler 2>/dev/null; sync; df {0}", self.folder);
        cluster::on_node(&self.node, &["bash", "-c", &shell]).map(|_| ())
    }

    fn free(&self) -> Told {
        cluster::on_node(&self.node, &["rm", &format!("{}/filler", self.folder)]).map(|_| ())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The pods that use it go with their pair; until then only its name goes.
        cluster::on_node(&self.node, &["umount", "--lazy", &self.folder]).ok();
    }
}
