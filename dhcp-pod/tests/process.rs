//! The process as its users meet it: exit codes, what it leaves behind, how it starts after trouble. What
//! needs a network runs in namespaces of its own, which needs root.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use api::identity::Role;
use support::Lan;

const PROGRAM: &str = env!("CARGO_BIN_EXE_dhcp-pod");
const MANIFEST: &str = "
apiVersion: dhcpfailover.io/v1alpha1
kind: DhcpFailoverPair
metadata: {name: lab, namespace: dhcp, generation: 7}
spec:
  mcltSeconds: 60
  link: {security: Plain}
  primary: {pod: {interface: lan0, address: 10.99.0.1}}
  secondary: {pod: {interface: lan0, address: 10.99.0.2}}
  subnets:
    - cidr: 10.99.0.0/24
      pools: [{first: 10.99.0.100, last: 10.99.0.199}]
";

/// A folder with a manifest, for one server.
struct Place(tempfile::TempDir);

impl Place {
    fn new(manifest: &str) -> Self {
        let place = Self(tempfile::tempdir().expect("temporary directory"));
        place.write(manifest);
        place
    }

    fn write(&self, manifest: &str) {
        std::fs::write(self.path("pair.yaml"), manifest).expect("write");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `serve` as the primary; `command` names the program already.
    fn serve(&self, command: Command) -> Command {
        self.serve_as("primary", command)
    }

    fn serve_as(&self, role: &str, mut command: Command) -> Command {
        command.args(["serve", "--role", role, "--interface", "lan0", "--pair"]);
        command.arg(self.path("pair.yaml")).arg("--data").arg(self.path("data"));
        command.arg("--socket").arg(self.path("socket"));
        command.stderr(std::fs::File::create(self.path("log")).expect("create"));
        command
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn ctl(&self, question: &str) -> Output {
        let mut command = Command::new(PROGRAM);
        command.args(["ctl", "--socket"]).arg(self.path("socket")).arg(question);
        command.output().expect("runs")
    }

    fn status(&self) -> serde_json::Value {
        serde_json::from_slice(&self.ctl("status").stdout).unwrap_or_default()
    }
}

struct Running(Child);

impl Running {
    /// Starts the server and waits until its engine moves.
    fn start(lan: &Lan, place: &Place) -> Self {
        Self::spawn(place.serve(lan.server_command(PROGRAM)), place)
    }

    fn spawn(mut command: Command, place: &Place) -> Self {
        let mut running = Self(command.spawn().expect("starts"));
        let end = Instant::now() + Duration::from_secs(10);
        while !place.ctl("live").status.success() {
            let exit = running.0.try_wait().expect("waits");
            assert!(exit.is_none() && Instant::now() < end, "{exit:?}: {}", place.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        running
    }

    /// SIGTERM, and how long it took.
    fn stop(mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        // `ip netns exec` became the server itself.
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
        (self.0.wait().expect("ends").code(), start.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only where a test failed before it stopped the server.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().expect("runs")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn check_names_every_fault_with_its_path_and_ends_with_2() {
    let place = Place::new(MANIFEST);
    let pair = place.path("pair.yaml");
    assert_eq!(run(&["check", "--pair", text(&pair)]).status.code(), Some(0));
    place.write(
        &MANIFEST
            .replace("last: 10.99.0.199", "last: 10.98.0.199")
            .replace("mcltSeconds: 60", "mcltSeconds: 0"),
    );
    let output = run(&["check", "--pair", text(&pair)]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("spec.mcltSeconds") && words.contains("spec.subnets[0].pools[0]"), "{words}");
    place.write(&MANIFEST.replace("mcltSeconds: 60", "mcltSecond: 60\n  forceState: {}\n  polTimeout: 9"));
    let output = run(&["check", "--pair", text(&pair)]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("spec.mcltSecond: no such field") && words.contains("spec.polTimeout"), "{words}");
    assert!(!words.contains("forceState"), "{words}");
    // A risk that is not accepted in writing.
    place.write(&MANIFEST.replace("mcltSeconds: 60", "safePeriod: {}"));
    let output = run(&["check", "--pair", text(&pair)]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("spec.safePeriod.acceptDuplicateRisk: must be true"), "{words}");
    assert_eq!(run(&["check"]).status.code(), Some(2), "a usage error");
    assert_eq!(run(&["check", "--pair", "/nonexistent"]).status.code(), Some(2));
}

#[test]
fn serve_warns_of_unknown_fields_and_goes_on() {
    let place = Place::new(&MANIFEST.replace("mcltSeconds: 60", "mcltSecond: 60\n  forceState: {}"));
    // It gets as far as the interface, which is not there.
    let exit = place.serve(Command::new(PROGRAM)).status().expect("runs");
    let log = place.log();
    assert_eq!(exit.code(), Some(1), "{log}");
    assert!(log.contains("does not know are ignored: spec.mcltSecond\n"), "{log}");
}

#[test]
fn a_bad_manifest_on_a_fresh_volume_ends_with_2_and_leaves_nothing_behind() {
    let place = Place::new("no manifest");
    let exit = place.serve(Command::new(PROGRAM)).status().expect("runs");
    assert_eq!(exit.code(), Some(2), "{}", place.log());
    assert!(place.log().contains("no earlier good configuration"), "{}", place.log());
    assert!(!place.path("data").exists());
}

#[test]
fn mutual_tls_without_certificates_is_a_usage_error() {
    let place = Place::new(&MANIFEST.replace("Plain", "MutualTLS"));
    assert_eq!(place.serve(Command::new(PROGRAM)).status().expect("runs").code(), Some(2));
    assert!(place.log().contains("--tls-dir"), "{}", place.log());
    let place = Place::new(MANIFEST);
    let exit = place.serve(Command::new(PROGRAM)).args(["--admin", "10.99.0.1:8080"]).status().expect("runs");
    assert_eq!(exit.code(), Some(2), "{}", place.log());
}

#[test]
fn a_manifest_gone_bad_is_no_reason_to_stop_serving() {
    let lan = Lan::new();
    let place = Place::new(MANIFEST);
    let running = Running::start(&lan, &place);
    let digest = place.status()["configDigest"].clone();
    assert!(digest.is_string(), "{}", place.log());
    assert_eq!(running.stop().0, Some(0), "{}", place.log());

    place.write("no manifest");
    let running = Running::start(&lan, &place);
    assert!(place.log().contains("LAST GOOD CONFIGURATION"), "{}", place.log());
    let status = place.status();
    assert_eq!(status["configDigest"], digest);
    assert!(status["configError"].is_string(), "{status}");
    assert_eq!(running.stop().0, Some(0));

    // Nor is a volume that holds a store a fresh one when the manifest is gone altogether.
    std::fs::remove_file(place.path("pair.yaml")).expect("removed");
    let running = Running::start(&lan, &place);
    assert_eq!(place.status()["configDigest"], digest);
    assert_eq!(running.stop().0, Some(0));
}

#[test]
fn sigterm_ends_a_lonely_server_at_once_and_with_0() {
    let lan = Lan::new();
    let place = Place::new(MANIFEST);
    let (code, took) = Running::start(&lan, &place).stop();
    assert_eq!(code, Some(0), "{}", place.log());
    assert!(took < Duration::from_secs(2), "{took:?}: {}", place.log());
}

#[test]
fn a_store_in_use_is_for_nobody_else_and_a_stopped_one_can_be_listed() {
    let lan = Lan::new();
    let place = Place::new(MANIFEST);
    let running = Running::start(&lan, &place);
    let data = place.path("data");
    let listed = run(&["leases", "--data", text(&data), "-o", "json"]);
    assert_eq!(listed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&listed.stderr).contains("in use"), "{listed:?}");
    assert_eq!(place.ctl("leases").stdout.split(|octet| *octet == b'\n').count(), 101);
    assert_eq!(running.stop().0, Some(0));

    let listed = run(&["leases", "--data", text(&data), "-o", "json"]);
    assert!(listed.status.success(), "{listed:?}");
    let lines: Vec<serde_json::Value> = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 100, "every address of the pool");
    assert_eq!(lines[0]["address"], "10.99.0.100");
    assert!(!place.ctl("status").status.success(), "nobody listens any more");
}

#[test]
fn a_corrupt_store_stops_the_server_with_file_and_offset() {
    let lan = Lan::new();
    let place = Place::new(MANIFEST);
    assert_eq!(Running::start(&lan, &place).stop().0, Some(0));
    let segment = std::fs::read_dir(place.path("data/log"))
        .expect("listed")
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| !path.ends_with("reserve"))
        .expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("read");
    bytes[100] ^= 1;
    std::fs::write(&segment, &bytes).expect("written");
    let exit = place.serve(lan.server_command(PROGRAM)).status().expect("runs");
    assert_eq!(exit.code(), Some(1), "{}", place.log());
    let name = segment.file_name().and_then(|name| name.to_str()).expect("a name");
    assert!(place.log().contains(name) && place.log().contains("at octet"), "{}", place.log());
    assert_eq!(std::fs::read(&segment).expect("read"), bytes, "nothing was changed");
}

#[test]
fn a_token_makes_a_new_pair_of_an_empty_volume_and_of_no_other() {
    let lan = Lan::new();
    let place = Place::new(MANIFEST);
    let (data, token) = (place.path("data"), place.path("token"));
    let made = run(&["bootstrap-token", "--data", text(&data), "--out", text(&token)]);
    assert!(made.status.success(), "{made:?}");
    let mut command = place.serve(lan.server_command(PROGRAM));
    let running = Running(command.arg("--bootstrap-token").arg(&token).spawn().expect("starts"));
    let end = Instant::now() + Duration::from_secs(10);
    while !place.ctl("ready").status.success() {
        assert!(Instant::now() < end, "a new primary serves alone: {}", place.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(place.status()["state"], "PartnerDown");
    assert_eq!(running.stop().0, Some(0));
    let again = run(&["bootstrap-token", "--data", text(&data), "--out", text(&token)]);
    assert_eq!(again.status.code(), Some(1), "the volume is not new any more: {again:?}");
}

/// Certificates of both servers, in folders named after their roles.
fn certificates(directory: &Path) {
    let authority_key = rcgen::KeyPair::generate().expect("key");
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).expect("signed").pem();
    let issuer = rcgen::Issuer::new(params, authority_key);
    for role in [Role::Primary, Role::Secondary] {
        let name = api::tls::server_name("dhcp", "lab", role);
        let key = rcgen::KeyPair::generate().expect("key");
        let params = rcgen::CertificateParams::new([name]).expect("a name");
        let certificate = params.signed_by(&key, &issuer).expect("signed");
        let folder = directory.join(role.as_str());
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(folder.join(api::tls::CERTIFICATE_FILE), certificate.pem()).expect("written");
        std::fs::write(folder.join(api::tls::KEY_FILE), key.serialize_pem()).expect("written");
        std::fs::write(folder.join(api::tls::CA_FILE), &authority).expect("written");
    }
}

fn wait_for_state(place: &Place, state: &str, patience: Duration) {
    let end = Instant::now() + patience;
    while place.status()["state"] != state {
        assert!(Instant::now() < end, "not {state}: {}\n{}", place.status(), place.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_new_pair_over_tls_reaches_normal_and_comes_back_after_a_kill_and_after_a_stop() {
    let lan = Lan::new();
    let manifest = MANIFEST.replace("Plain", "MutualTLS");
    let (one, two) = (Place::new(&manifest), Place::new(&manifest));
    certificates(one.0.path());
    let start = |place: &Place, role: Role| {
        let program =
            if role == Role::Primary { lan.server_command(PROGRAM) } else { lan.client_command(PROGRAM) };
        let mut command = place.serve_as(role.as_str(), program);
        command.arg("--bootstrap-token").arg(place.path("token"));
        command.arg("--tls-dir").arg(one.path(role.as_str()));
        Running::spawn(command, place)
    };
    for place in [&one, &two] {
        let (data, token) = (place.path("data"), place.path("token"));
        assert!(run(&["bootstrap-token", "--data", text(&data), "--out", text(&token)]).status.success());
    }
    let patience = Duration::from_secs(20);
    let mut primary = start(&one, Role::Primary);
    let secondary = start(&two, Role::Secondary);
    wait_for_state(&one, "Normal", patience);
    wait_for_state(&two, "Normal", patience);

    primary.0.kill().expect("killed");
    wait_for_state(&two, "CommunicationsInterrupted", patience);
    drop(primary);
    let primary = start(&one, Role::Primary);
    wait_for_state(&one, "Normal", patience);
    wait_for_state(&two, "Normal", patience);

    // A stop in good order is told to the partner, which need not wait to miss anything.
    let (code, took) = secondary.stop();
    assert_eq!(code, Some(0), "{}", two.log());
    assert!(took < Duration::from_secs(6), "{took:?}");
    wait_for_state(&one, "CommunicationsInterrupted", Duration::from_secs(1));
    assert_eq!(one.status()["partnerState"], "Paused");
    assert_eq!(primary.stop().0, Some(0));
}

/// A new pair's primary that has met its partner, and was left by it: the two places, and the primary.
fn bereft(lan: &Lan) -> (Place, Place, Running) {
    let (one, two) = (Place::new(MANIFEST), Place::new(MANIFEST));
    for place in [&one, &two] {
        let (data, token) = (place.path("data"), place.path("token"));
        assert!(run(&["bootstrap-token", "--data", text(&data), "--out", text(&token)]).status.success());
    }
    let start = |place: &Place, role: Role, program: Command| {
        let mut command = place.serve_as(role.as_str(), program);
        command.arg("--bootstrap-token").arg(place.path("token"));
        Running::spawn(command, place)
    };
    let primary = start(&one, Role::Primary, lan.server_command(PROGRAM));
    let mut secondary = start(&two, Role::Secondary, lan.client_command(PROGRAM));
    wait_for_state(&one, "Normal", Duration::from_secs(20));
    secondary.0.kill().expect("killed");
    wait_for_state(&one, "CommunicationsInterrupted", Duration::from_secs(20));
    (one, two, primary)
}

#[test]
fn a_human_forces_a_running_server_over_its_socket_once_and_with_reasons() {
    let lan = Lan::new();
    let (one, _two, primary) = bereft(&lan);
    let force = |more: &[&str]| {
        let socket = one.path("socket");
        run(&[&["ctl", "--socket", text(&socket), "force"], more].concat())
    };
    let unproven = force(&["--state", "PartnerDown"]);
    assert_eq!(unproven.status.code(), Some(1), "{unproven:?}");
    let words = String::from_utf8_lossy(&unproven.stdout).into_owned();
    assert!(words.contains("use Attested"), "{words}");
    assert_eq!(force(&["--state", "Nowhere"]).status.code(), Some(2));

    let attested = ["--state", "PartnerDown", "--request-id", "by-hand", "--attest", "--reason", "it is off"];
    let granted = force(&attested);
    assert_eq!(granted.status.code(), Some(0), "{granted:?} {}", one.log());
    let answer: serde_json::Value = serde_json::from_slice(&granted.stdout).expect("JSON");
    assert_eq!((&answer["phase"], &answer["to"]), (&"Granted".into(), &"PartnerDown".into()));
    assert_eq!(one.status()["state"], "PartnerDown");
    assert_eq!(one.status()["partnerDownCause"], "Requested");
    let again: serde_json::Value = serde_json::from_slice(&force(&attested).stdout).expect("JSON");
    assert_eq!(again, answer, "the stored answer");
    let requests: serde_json::Value =
        serde_json::from_slice(&one.ctl("requests").stdout).expect("a list of requests");
    assert_eq!(requests[0], answer);
    assert_eq!(primary.stop().0, Some(0));
}

#[test]
fn bt_3_a_store_that_is_gone_is_not_new_although_the_token_is_there() {
    let lan = Lan::new();
    let place = Place::new(MANIFEST);
    let (data, token) = (place.path("data"), place.path("token"));
    let make = || run(&["bootstrap-token", "--data", text(&data), "--out", text(&token)]);
    assert!(make().status.success());
    let start = || {
        let mut command = place.serve(lan.server_command(PROGRAM));
        command.arg("--bootstrap-token").arg(&token);
        Running::spawn(command, &place)
    };
    let first = start();
    wait_for_state(&place, "PartnerDown", Duration::from_secs(20));
    assert_eq!(first.stop().0, Some(0));
    std::fs::remove_dir_all(data.join("log")).expect("removed");
    assert!(!make().status.success(), "no other token is made either");
    let again = start();
    // A token that counts makes a primary serve at once.
    assert_eq!((&place.status()["state"], &place.status()["serving"]), (&"Startup".into(), &false.into()));
    assert!(place.log().contains("held a lease store, which is gone"), "{}", place.log());
    assert_eq!(again.stop().0, Some(0));
}

#[test]
fn what_cannot_be_reset_is_told_over_the_socket() {
    let lan = Lan::new();
    let (one, _two, primary) = bereft(&lan);
    let reset = |more: &[&str]| {
        let socket = one.path("socket");
        run(&[&["ctl", "--socket", text(&socket), "reset"], more].concat())
    };
    let free = reset(&["10.99.0.150"]);
    assert_eq!(free.status.code(), Some(1), "{free:?}");
    assert!(
        String::from_utf8_lossy(&free.stderr).contains("10.99.0.150 is Free: nobody holds it"),
        "{free:?}"
    );
    let elsewhere = reset(&["10.98.0.1", "--unused"]);
    assert!(String::from_utf8_lossy(&elsewhere.stderr).contains("in no pool"), "{elsewhere:?}");
    assert_eq!(reset(&["lan0"]).status.code(), Some(2));
    assert_eq!(primary.stop().0, Some(0));
}

#[test]
fn a_stopped_server_is_edited_and_its_partner_fenced_by_a_file() {
    let lan = Lan::new();
    let (one, two, primary) = bereft(&lan);
    let data = one.path("data");
    let edit = ["state", "edit", "--data", text(&data), "--state", "PartnerDown"];
    let refused = run(&edit);
    assert_eq!(refused.status.code(), Some(1), "it runs: {refused:?}");
    let status = one.status();
    assert_eq!(primary.stop().0, Some(0));
    let edited = run(&edit);
    assert_eq!(edited.status.code(), Some(0), "{edited:?}");
    let primary = Running::start(&lan, &one);
    wait_for_state(&one, "PartnerDown", Duration::from_secs(20));
    assert_eq!(one.status()["partnerDownCause"], "Offline");

    // The other one comes back where it cannot see its partner: its fence keeps it silent.
    let before = &one.status()["partnerDownAfter"];
    assert_eq!(before["epoch"], status["epoch"]);
    lan.client_ip(&["link", "set", "lan0", "down"]);
    let fence = serde_json::json!({"partnerEpoch": before["epoch"], "partnerTransition": before["transition"],
        "since": "2026-11-22T09:20:00Z"});
    std::fs::write(two.path("fence.json"), fence.to_string()).expect("written");
    lan.client_ip(&["addr", "add", "10.99.0.2/32", "dev", "lo"]);
    let mut command = two.serve_as("secondary", lan.client_command(PROGRAM));
    command.arg("--fence").arg(two.path("fence.json"));
    let secondary = Running::spawn(command, &two);
    std::thread::sleep(Duration::from_secs(13));
    assert_eq!(two.status()["serving"], false, "longer than any start: {}", two.log());
    assert_eq!(two.status()["fence"]["partnerEpoch"], before["epoch"]);
    drop(secondary);
    std::fs::write(two.path("fence.json"), "half a fen").expect("written");
    let mut command = two.serve_as("secondary", lan.client_command(PROGRAM));
    let exit = command.arg("--fence").arg(two.path("fence.json")).status().expect("runs");
    assert_eq!(exit.code(), Some(2), "{}", two.log());
    assert_eq!(primary.stop().0, Some(0));
}
