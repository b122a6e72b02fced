//! Our server.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::lab::Lab;
use crate::lease::{Lease, Leases};
use crate::process::Process;

/// The binary: `$DHCP_POD`, else the one beside this test's.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("DHCP_POD") {
        return path.into();
    }
    let own = std::env::current_exe().expect("path of the test");
    own.parent().and_then(|deps| deps.parent()).expect("target folder").join("dhcp-pod")
}

/// `dhcp-pod serve` on a host.
#[derive(Debug)]
pub struct Ours {
    socket: PathBuf,
    process: Option<Process>,
}

impl Ours {
    /// Starts it on the host `ours`; a token is made at the first start.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(lab: &Lab, role: &str, manifest: &str) -> Self {
        Self::start_on(lab, "ours", "ours", role, manifest)
    }

    /// Gives it, from its next start on, a clock that can be set; and sets it, so many seconds ahead.
    pub fn set_clock(lab: &Lab, ahead: i32) {
        crate::set_clock(&lab.path("ours.clock"), ahead);
    }

    /// The same on another host, which may have several servers; `name` is that of its files.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start_on(lab: &Lab, host: &str, name: &str, role: &str, manifest: &str) -> Self {
        let file = |ending: &str| lab.path(&format!("{name}{ending}"));
        let (pair, data, socket, token) = (file(".yaml"), file(""), file(".sock"), file(".token"));
        std::fs::write(&pair, manifest).expect("manifest");
        if !data.exists() {
            let mut make = Command::new(binary());
            make.arg("bootstrap-token").arg("--data").arg(&data).arg("--out").arg(&token);
            make.stdout(std::process::Stdio::null());
            assert!(make.status().expect("dhcp-pod").success(), "bootstrap-token");
        }
        let clock = file(".clock");
        let mut command = if clock.exists() {
            let mut shifted = lab.command(host, "env");
            shifted.args(crate::faketime(&clock, 0)).arg(binary());
            shifted
        } else {
            lab.command(host, binary())
        };
        command.arg("serve").arg("--pair").arg(&pair).args(["--role", role]).arg("--data").arg(&data);
        command.args(["--interface", "eth0"]).arg("--socket").arg(&socket);
        command.arg("--bootstrap-token").arg(&token);
        let process = Process::start("dhcp-pod", command, &file(".log"));
        Self { socket, process: Some(process) }
    }

    /// Power cut.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Orderly stop.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop();
        }
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Panics if it ended by itself.
    pub fn assert_alive(&mut self) {
        if let Some(process) = &mut self.process {
            process.assert_alive();
        }
    }

    /// Forces a state, with a human's word for what the server cannot know.
    pub fn force(&self, state: &str, more: &[&str]) -> Result<String, String> {
        let words = ["force", "--state", state, "--attest", "--reason", "a test says so"];
        self.ask(&[&words, more].concat())
    }

    /// `ctl status`.
    pub fn status(&self) -> Result<Value, String> {
        serde_json::from_str(&self.ask(&["status"])?).map_err(|error| error.to_string())
    }

    /// Its state.
    pub fn state(&self) -> Result<String, String> {
        Ok(self.status()?["state"].as_str().unwrap_or("absent").to_owned())
    }

    /// `ctl leases`.
    pub fn leases(&self) -> Result<Leases, String> {
        self.ask(&["leases"])?.lines().map(line).collect()
    }

    /// `/metrics`.
    pub fn metrics(&self) -> Result<String, String> {
        let words = |error: std::io::Error| error.to_string();
        let mut stream = UnixStream::connect(&self.socket).map_err(words)?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: ours\r\nConnection: close\r\n\r\n")
            .map_err(words)?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(words)?;
        Ok(text)
    }

    /// `ctl trace` from now on, into a file of the lab.
    #[must_use]
    pub fn trace(&self, lab: &Lab) -> Process {
        let mut command = Command::new(binary());
        command.arg("ctl").arg("--socket").arg(&self.socket).arg("trace");
        Process::start("trace", command, &lab.path("trace"))
    }

    fn ask(&self, question: &[&str]) -> Result<String, String> {
        let mut command = Command::new(binary());
        let output = command.arg("ctl").arg("--socket").arg(&self.socket).args(question).output();
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

fn line(line: &str) -> Result<(std::net::Ipv4Addr, Lease), String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let address = text("address").and_then(|address| address.parse().ok()).ok_or("no address")?;
    let lease = Lease {
        state: text("state").unwrap_or_default().to_lowercase(),
        hardware: text("hardwareAddress"),
        client_id: text("clientId"),
        ends: text("ends"),
        reserved: value["reserved"] == true,
        bootp: value["bootp"] == true,
    };
    Ok((address, lease.comparable()))
}
