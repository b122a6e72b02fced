//! Our server and a dhcpd as partners.

use std::net::Ipv4Addr;
use std::time::Instant;

use crate::client::Client;
use crate::isc::Isc;
use crate::lab::Lab;
use crate::lease::difference;
use crate::ours::Ours;
use crate::until;

/// Address of the primary.
pub const PRIMARY: Ipv4Addr = Ipv4Addr::new(10, 50, 0, 2);
/// Address of the secondary.
pub const SECONDARY: Ipv4Addr = Ipv4Addr::new(10, 50, 0, 3);

/// Role of our server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The dhcpd is secondary.
    Primary,
    /// The dhcpd is primary.
    Secondary,
}

/// Both servers on one LAN. Fields end in this order: processes before their namespaces.
#[derive(Debug)]
pub struct Pair {
    /// Our server.
    pub ours: Ours,
    /// The other one.
    pub isc: Isc,
    /// Role of ours.
    pub role: Role,
    /// The network.
    pub lab: Lab,
    began: Instant,
}

impl Pair {
    /// Starts both with empty stores. `mclt` is the primary's.
    #[must_use]
    pub fn start(label: &str, role: Role) -> Self {
        let mut lab = Lab::new(label);
        let (ours, isc) = match role {
            Role::Primary => (PRIMARY, SECONDARY),
            Role::Secondary => (SECONDARY, PRIMARY),
        };
        lab.host("ours", Some(&format!("{ours}/24")), None);
        lab.host("isc", Some(&format!("{isc}/24")), None);
        let began = Instant::now();
        let isc = Isc::start(&lab, "isc", &config(role.other()));
        let ours = Ours::start(&lab, role.word(), &manifest(role));
        Self { ours, isc, role, lab, began }
    }

    /// Address of our server.
    #[must_use]
    pub fn our_address(&self) -> Ipv4Addr {
        if self.role == Role::Primary { PRIMARY } else { SECONDARY }
    }

    /// Address of the dhcpd.
    #[must_use]
    pub fn isc_address(&self) -> Ipv4Addr {
        if self.role == Role::Primary { SECONDARY } else { PRIMARY }
    }

    /// Starts our server again.
    pub fn start_ours(&mut self) {
        self.ours = Ours::start(&self.lab, self.role.word(), &manifest(self.role));
    }

    /// Starts the dhcpd again.
    pub fn start_isc(&mut self) {
        self.isc = Isc::start(&self.lab, "isc", &config(self.role.other()));
    }

    /// Waits until both are in Normal and know it of each other.
    pub fn until_normal(&mut self, seconds: u64) {
        until("both servers in Normal", seconds, || {
            self.isc.assert_alive();
            self.ours.assert_alive();
            let (ours, (theirs, of_ours)) = (self.ours.state()?, self.isc.states()?);
            if (ours.as_str(), theirs.as_str(), of_ours.as_str()) == ("Normal", "normal", "normal") {
                Ok(())
            } else {
                Err(format!("ours is {ours}; dhcpd is {theirs} and thinks that we are {of_ours}"))
            }
        });
        self.say("both in Normal");
    }

    /// Waits until both databases hold the same.
    pub fn until_equal(&mut self, seconds: u64) {
        until("equal databases", seconds, || {
            let difference = difference(&self.ours.leases()?, &self.isc.leases()?);
            if difference.is_empty() { Ok(()) } else { Err(difference) }
        });
        self.say("equal databases");
    }

    /// Waits until our server reaches a state.
    pub fn until_ours(&mut self, state: &str, seconds: u64) {
        until(&format!("our server in {state}"), seconds, || match self.ours.state()? {
            found if found == state => Ok(()),
            found => Err(found),
        });
        self.say(&format!("ours in {state}"));
    }

    /// Waits until the dhcpd reaches a state.
    pub fn until_isc(&mut self, state: &str, seconds: u64) {
        until(&format!("dhcpd in {state}"), seconds, || match self.isc.states()?.0 {
            found if found == state => Ok(()),
            found => Err(found),
        });
        self.say(&format!("dhcpd in {state}"));
    }

    /// A client takes a lease.
    ///
    /// # Panics
    /// If nobody gives it one.
    pub fn take(&self, client: &mut Client) {
        let taken = client.take(&self.lab).unwrap_or_else(|why| panic!("{why}"));
        self.say(&format!(
            "{} has {} from {} for {} s",
            client.hardware(),
            taken.address,
            taken.server,
            taken.seconds
        ));
    }

    /// How many addresses are free for the primary, and for the secondary.
    pub fn split(&self) -> Result<(usize, usize), String> {
        let leases = self.ours.leases()?;
        let count = |state: &str| leases.values().filter(|lease| lease.state == state).count();
        Ok((count("free"), count("backup")))
    }

    /// Panics if the dhcpd ended, or wrote what two dhcpd would not.
    ///
    /// # Panics
    /// Then.
    pub fn assert_isc_content(&mut self) {
        self.isc.assert_alive();
        self.ours.assert_alive();
        let complaints = self.isc.complaints();
        assert!(complaints.is_empty(), "dhcpd complains:\n{}", complaints.join("\n"));
    }

    /// A line of the story.
    pub fn say(&self, text: &str) {
        println!("{:6.1} s  {text}", self.began.elapsed().as_secs_f32());
    }
}

impl Role {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        if self == Self::Primary { Self::Secondary } else { Self::Primary }
    }

    /// As in flags and configurations.
    #[must_use]
    pub fn word(self) -> &'static str {
        if self == Self::Primary { "primary" } else { "secondary" }
    }
}

/// The pair as ours is told it.
fn manifest(role: Role) -> String {
    let pod = |address| format!("{{pod: {{interface: eth0, address: {address}}}}}");
    let external = |address| format!("{{external: {{address: {address}, port: 647}}}}");
    let (primary, secondary) = match role {
        Role::Primary => (pod(PRIMARY), external(SECONDARY)),
        Role::Secondary => (external(PRIMARY), pod(SECONDARY)),
    };
    format!(
        "apiVersion: dhcpfailover.io/v1alpha1
kind: DhcpFailoverPair
metadata: {{name: interop}}
spec:
  relationship: fo-peer
  mcltSeconds: 60
  loadBalancing: {{split: 128, maxSeconds: 3}}
  link: {{security: Plain, port: 647, pollIntervalSeconds: 3, pollTimeoutSeconds: 10}}
  primary: {primary}
  secondary: {secondary}
  subnets:
    - cidr: 10.50.0.0/24
      pools: [{{first: 10.50.0.100, last: 10.50.0.119}}]
      leaseSeconds: 600
      options: {{routers: [10.50.0.1]}}
"
    )
}

/// The pair as a dhcpd is told it.
#[must_use]
pub fn config(role: Role) -> String {
    let (own, peer, primary) = match role {
        Role::Primary => (PRIMARY, SECONDARY, "mclt 60; split 128;"),
        Role::Secondary => (SECONDARY, PRIMARY, ""),
    };
    format!(
        "authoritative;
default-lease-time 600;
max-lease-time 600;
ping-check false;
dhcp-cache-threshold 0;
ddns-update-style none;
server-id-check true;
failover peer \"fo-peer\" {{
  {};
  address {own}; port 647;
  peer address {peer}; peer port 647;
  max-response-delay 10;
  max-unacked-updates 10;
  load balance max seconds 3;
  {primary}
}}
subnet 10.50.0.0 netmask 255.255.255.0 {{
  option routers 10.50.0.1;
  pool {{
    failover peer \"fo-peer\";
    range 10.50.0.100 10.50.0.119;
  }}
}}
",
        role.word()
    )
}
