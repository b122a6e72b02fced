//! A link between two network namespaces that lives as long as its value.
#![allow(dead_code, reason = "each test uses a part")]

use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Two namespaces, `server` and `client`, joined by a veth pair whose ends are both called `lan0`.
///
/// The server is 10.99.0.1/24, the client 10.99.0.2/24 with the Ethernet address of
/// [`Lan::CLIENT_HARDWARE`].
pub(crate) struct Lan {
    server: String,
    client: String,
}

impl Lan {
    pub(crate) const CLIENT_HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 2];

    /// Builds it. Needs root.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("podtest-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let lan = Self { server: format!("{name}-s"), client: format!("{name}-c") };
        ip(&["netns", "add", &lan.server]);
        ip(&["netns", "add", &lan.client]);
        ip(&[
            "-n",
            &lan.server,
            "link",
            "add",
            "lan0",
            "type",
            "veth",
            "peer",
            "name",
            "lan0",
            "netns",
            &lan.client,
        ]);
        ip(&["-n", &lan.client, "link", "set", "lan0", "address", "02:00:00:00:00:02"]);
        for (namespace, address) in [(&lan.server, "10.99.0.1/24"), (&lan.client, "10.99.0.2/24")] {
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
            ip(&["-n", namespace, "link", "set", "lan0", "up"]);
            ip(&["-n", namespace, "addr", "add", address, "dev", "lan0"]);
        }
        lan
    }

    /// A program that will run in the server's namespace.
    pub(crate) fn server_command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.server, program]);
        command
    }

    /// A program that will run in the client's namespace.
    pub(crate) fn client_command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.client, program]);
        command
    }

    /// Runs `ip` in the client's namespace.
    pub(crate) fn client_ip(&self, arguments: &[&str]) {
        ip(&[&["-n", self.client.as_str()], arguments].concat());
    }

    /// Runs `ip` in the server's namespace.
    pub(crate) fn server_ip(&self, arguments: &[&str]) {
        ip(&[&["-n", self.server.as_str()], arguments].concat());
    }

    /// Runs `act` in the server's namespace; what it opens stays there.
    pub(crate) fn on_server<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        within(&self.server, act)
    }

    /// Runs `act` in the client's namespace; what it opens stays there.
    pub(crate) fn on_client<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        within(&self.client, act)
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for name in [&self.server, &self.client] {
            try_ip(&["netns", "del", name]);
        }
    }
}

/// A namespace belongs to a thread, so a thread of its own enters it.
fn within<T: Send>(namespace: &str, act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let file = File::open(format!("/run/netns/{namespace}")).expect("namespace exists");
                rustix::thread::move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&file),
                    Some(rustix::thread::LinkNameSpaceType::Network),
                )
                .expect("may enter namespace");
                act()
            })
            .join()
            .expect("no panic in namespace")
    })
}

fn ip(arguments: &[&str]) {
    assert!(try_ip(arguments), "ip {} failed", arguments.join(" "));
}

fn try_ip(arguments: &[&str]) -> bool {
    Command::new("ip").args(arguments).status().is_ok_and(|status| status.success())
}
