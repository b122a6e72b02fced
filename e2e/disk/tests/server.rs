//! The whole server on a disk that loses power again and again: every lease that a client was acknowledged is in the
//! store afterwards, with its client and its end, and is given to nobody else.

#[path = "../../../dhcp-pod/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use interop::message::{Answer, Kind, Question};
use jiff::Timestamp;
use leases::log::testing::Generator;
use powercut::{Faults, Mount, Volume};
use support::Lan;

/// A server without its partner waits for ten seconds at each start.
const LIVES: u64 = 8;
const CLIENTS: u64 = 60;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
/// The partner never was; a lease outlives the test.
const MANIFEST: &str = "
apiVersion: dhcpfailover.io/v1alpha1
kind: DhcpFailoverPair
metadata: {name: lab, namespace: dhcp, generation: 7}
spec:
  mcltSeconds: 3600
  link: {security: Plain}
  primary: {pod: {interface: lan0, address: 10.99.0.1}}
  secondary: {pod: {interface: lan0, address: 10.99.0.2}}
  subnets:
    - cidr: 10.99.0.0/24
      pools: [{first: 10.99.0.10, last: 10.99.0.250}]
";

#[test]
fn no_acknowledged_lease_is_lost_by_a_server_whose_power_is_cut() {
    let lan = Lan::new();
    let relay = lan.on_client(|| UdpSocket::bind((RELAY, 67)).expect("a free port"));
    relay.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
    let mut host = Host::new();
    host.make_token();
    for _ in 0..LIVES {
        // The first start that is not cut short fills the reserve of the store, page by page.
        let soon = if host.acknowledged == 0 { 2400 } else { [30, 200][host.generator.below(2) as usize] };
        host.plan_cut(soon);
        host.serve(&lan, &relay);
        host.cut_power();
        host.check_store();
    }
    eprintln!(
        "{LIVES} lives of a server, {} power cuts while it wrote, {} leases acknowledged to {} clients",
        host.cuts,
        host.acknowledged,
        host.promised.len()
    );
    assert!(host.cuts >= LIVES / 2 && host.acknowledged >= LIVES * 4, "too little was met: {}", host.log());
}

/// A machine with its disk.
struct Host {
    folder: tempfile::TempDir,
    /// Gone only while power is.
    mount: Option<Mount>,
    generator: Generator,
    promised: BTreeMap<Ipv4Addr, Promise>,
    acknowledged: u64,
    cuts: u64,
}

/// What a client was told.
struct Promise {
    hardware: String,
    until: Timestamp,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary directory");
        std::fs::write(folder.path().join("pair.yaml"), MANIFEST).expect("written");
        std::fs::create_dir(folder.path().join("volume")).expect("made");
        let mut host = Self {
            folder,
            mount: None,
            generator: Generator::new(1),
            promised: BTreeMap::new(),
            acknowledged: 0,
            cuts: 0,
        };
        host.mount(Volume::default());
        host
    }

    fn mount(&mut self, volume: Volume) {
        let mount = Mount::new(volume, &self.path("volume"));
        self.mount = Some(mount.unwrap_or_else(|error| panic!("{error}")));
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn data(&self) -> PathBuf {
        self.path("volume/data")
    }

    fn disk(&self) -> &Mount {
        self.mount.as_ref().expect("mounted while power is there")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Power goes within this many operations.
    fn plan_cut(&mut self, soon: u64) {
        let cut = 1 + self.generator.below(soon);
        let mut volume = self.disk().volume();
        let cut_at = Some(volume.operations() + cut);
        volume.plan(Faults { cut_at, ..Faults::default() });
    }

    /// Tries until a token was made in spite of power cuts; what it says of the volume is then true for good.
    fn make_token(&mut self) {
        for soon in (1..).map(|tries| 4 * tries) {
            self.plan_cut(soon);
            let (data, token) = (self.data(), self.path("token"));
            let made = run(Command::new(program())
                .args(["bootstrap-token", "--data"])
                .arg(data)
                .arg("--out")
                .arg(token));
            self.cut_power();
            if made.status.success() {
                break;
            }
        }
    }

    /// One life of the server: clients come until power is gone.
    fn serve(&mut self, lan: &Lan, relay: &UdpSocket) {
        let program = program();
        let mut command = lan.server_command(program.to_str().expect("UTF-8"));
        command
            .args(["serve", "--role", "primary", "--interface", "lan0", "--pair"])
            .arg(self.path("pair.yaml"));
        command.arg("--data").arg(self.data()).arg("--socket").arg(self.path("socket"));
        command.arg("--bootstrap-token").arg(self.path("token"));
        command.stderr(std::fs::File::create(self.path("log")).expect("made"));
        let mut server = Running(command.spawn().expect("starts"));
        let end = Instant::now() + Duration::from_secs(60);
        while !self.disk().volume().is_dark() && Instant::now() < end {
            if server.0.try_wait().expect("waits").is_some() {
                assert!(self.disk().volume().is_dark(), "it ended although its disk works: {}", self.log());
            }
            let client = self.generator.below(CLIENTS) as u8;
            self.exchange(relay, [2, 0, 0, 0, 1, client]);
        }
    }

    /// A client takes a lease, if it is answered.
    fn exchange(&mut self, relay: &UdpSocket, hardware: [u8; 6]) -> Option<()> {
        let discover = Question {
            kind: Kind::Discover,
            xid: self.generator.next() as u32,
            hardware,
            ciaddr: None,
            giaddr: Some(RELAY),
            requested: None,
            server: None,
        };
        let requested = ask(relay, &discover, Kind::Offer)?.0;
        let request =
            Question { kind: Kind::Request, requested: Some(requested), server: Some(SERVER), ..discover };
        let before = Timestamp::now();
        let (address, seconds) = ask(relay, &request, Kind::Ack)?;
        self.acknowledged += 1;
        let hardware = hardware.map(|octet| format!("{octet:02x}")).join(":");
        // A second is the finest that the store knows.
        let until = before + jiff::SignedDuration::from_secs(i64::from(seconds) - 1);
        let earlier = self.promised.insert(address, Promise { hardware: hardware.clone(), until });
        if let Some(earlier) = earlier {
            assert_eq!(earlier.hardware, hardware, "{address} is given to two clients: {}", self.log());
        }
        Some(())
    }

    fn cut_power(&mut self) {
        let mount = self.mount.take().expect("mounted while power is there");
        let mut volume = mount.unmount().expect("nothing is open");
        self.cuts += u64::from(volume.is_dark());
        volume.power_cut(&mut self.generator);
        self.mount(volume);
    }

    /// What `dhcp-pod leases` finds holds all that was promised.
    fn check_store(&self) {
        if self.promised.is_empty() {
            return;
        }
        let listed = run(Command::new(program()).args(["leases", "--data"]).arg(self.data()));
        assert!(listed.status.success(), "{listed:?}");
        let mut found = BTreeMap::new();
        for line in String::from_utf8_lossy(&listed.stdout).lines() {
            let lease: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let address: Ipv4Addr =
                lease["address"].as_str().expect("an address").parse().expect("an address");
            found.insert(address, lease);
        }
        for (address, promise) in &self.promised {
            let lease = &found[address];
            let ends = lease["ends"].as_str().and_then(|ends| ends.parse::<Timestamp>().ok());
            assert!(
                lease["state"] == "Active"
                    && lease["hardwareAddress"] == promise.hardware.as_str()
                    && ends.is_some_and(|ends| ends >= promise.until),
                "{address} was promised to {} until {}: {lease}",
                promise.hardware,
                promise.until
            );
        }
    }
}

/// A server that ends with its value, at once and without a word.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The address of an answer of this kind, and the seconds for which it is leased. `None` if none comes.
fn ask(relay: &UdpSocket, question: &Question, kind: Kind) -> Option<(Ipv4Addr, u32)> {
    relay.send_to(&question.encode(), (SERVER, 67)).ok()?;
    let mut buffer = [0; 1500];
    loop {
        let len = relay.recv(&mut buffer).ok()?;
        let answer = Answer(&buffer[..len]);
        if answer.xid() == Some(question.xid) && answer.kind() == Some(kind as u8) {
            return Some((answer.address()?, answer.lease_seconds()?));
        }
    }
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("dhcp-pod runs")
}

fn program() -> PathBuf {
    interop::ours::binary()
}
