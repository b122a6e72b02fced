//! Our server and a dhcpd as partners.

use std::net::Ipv4Addr;
use std::time::Instant;

use crate::client::Client;
use crate::isc::{Isc, OMAPI_PORT};
use crate::lab::Lab;
use crate::lease::difference;
use crate::ours::Ours;
use crate::until;

/// Address of the primary.
pub const PRIMARY: Ipv4Addr = Ipv4Addr::new(10, 50, 0, 2);
/// Address of the secondary.
pub const SECONDARY: Ipv4Addr = Ipv4Addr::new(10, 50, 0, 3);

/// Seconds from Normal to equal databases.
pub const SYNC: u64 = 20;

/// Role of our server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The dhcpd is secondary.
    Primary,
    /// The dhcpd is primary.
    Secondary,
}

/// What a pair is like.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Role of our server.
    pub role: Role,
    /// The primary's MCLT, in seconds.
    pub mclt: u32,
    /// The primary's buckets, 0 to 256.
    pub split: u16,
    /// The primary's buckets one by one, in hex, instead of the split.
    pub hba: Option<&'static str>,
    /// First and last address of the pool.
    pub pool: (Ipv4Addr, Ipv4Addr),
    /// Length of a lease.
    pub lease_seconds: u32,
    /// Role of the dhcpd; the other one, unless somebody made a mistake.
    pub isc_role: Role,
    /// What ours calls the relationship.
    pub name: &'static str,
    /// What the dhcpd calls it; the same, unless somebody made a mistake.
    pub isc_name: &'static str,
    /// By how many seconds the dhcpd's clock is ahead of ours.
    pub isc_clock: i32,
    /// Lines for our subnet, indented as it needs.
    pub our_subnet: String,
    /// Lines for the dhcpd, outside of its subnet.
    pub isc_lines: String,
    /// Words for the dhcpd's pool.
    pub isc_pool: &'static str,
    /// Ours has no partner: its failover is switched off. A primary's only.
    pub ours_alone: bool,
    /// The dhcpd has no partner.
    pub isc_alone: bool,
}

impl Setup {
    /// Twenty addresses, half for each.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self {
            role,
            mclt: 60,
            split: 128,
            hba: None,
            pool: (Ipv4Addr::new(10, 50, 0, 100), Ipv4Addr::new(10, 50, 0, 119)),
            lease_seconds: 600,
            isc_role: role.other(),
            name: "fo-peer",
            isc_name: "fo-peer",
            isc_clock: 0,
            our_subnet: String::new(),
            isc_lines: String::new(),
            isc_pool: "",
            ours_alone: false,
            isc_alone: false,
        }
    }

    /// The pair as ours is told it.
    fn manifest(&self) -> String {
        let pod = |address| format!("{{pod: {{interface: eth0, address: {address}}}}}");
        let external = |address| format!("{{external: {{address: {address}, port: 647}}}}");
        let servers = match self.role {
            Role::Primary if self.ours_alone => format!("  primary: {}", pod(PRIMARY)),
            Role::Primary => format!("  primary: {}\n  secondary: {}", pod(PRIMARY), external(SECONDARY)),
            Role::Secondary => format!("  primary: {}\n  secondary: {}", external(PRIMARY), pod(SECONDARY)),
        };
        let Self { mclt, split, pool: (first, last), lease_seconds, our_subnet, name, .. } = self;
        let buckets = self.hba.map_or_else(|| format!("split: {split}"), |hba| format!("hba: \"{hba}\""));
        format!(
            "apiVersion: dhcpfailover.io/v1alpha1
kind: DhcpFailoverPair
metadata: {{name: interop}}
spec:
  relationship: {name}
  mcltSeconds: {mclt}
  loadBalancing: {{{buckets}, maxSeconds: 3}}
  link: {{security: Plain, port: 647, pollIntervalSeconds: 3, pollTimeoutSeconds: 10}}
{servers}
  subnets:
    - cidr: 10.50.0.0/16
      pools: [{{first: {first}, last: {last}}}]
      leaseSeconds: {lease_seconds}
      options: {{routers: [10.50.0.1]}}
{our_subnet}"
        )
    }

    /// The pair as a dhcpd in a role is told it.
    #[must_use]
    pub fn config(&self, role: Role) -> String {
        let Self { mclt, split, pool: (first, last), lease_seconds, isc_lines, isc_name, isc_pool, .. } =
            self;
        // Where it is does not depend on what it believes to be.
        let (own, peer) = match (role, self.role) {
            (Role::Secondary, Role::Primary) | (Role::Primary, Role::Primary) => (SECONDARY, PRIMARY),
            (Role::Primary, Role::Secondary) | (Role::Secondary, Role::Secondary) => (PRIMARY, SECONDARY),
        };
        let primary = match role {
            Role::Primary => match self.hba {
                None => format!("mclt {mclt}; split {split};"),
                Some(hba) => format!("mclt {mclt}; hba {};", octets(hba)),
            },
            Role::Secondary => String::new(),
        };
        let (peer, of_pool) = if self.isc_alone {
            (String::new(), String::new())
        } else {
            let peer = format!(
                "failover peer \"{isc_name}\" {{
  {};
  address {own}; port 647;
  peer address {peer}; peer port 647;
  max-response-delay 10;
  max-unacked-updates 10;
  load balance max seconds 3;
  {primary}
}}",
                role.word()
            );
            (peer, format!("failover peer \"{isc_name}\";"))
        };
        format!(
            "authoritative;
default-lease-time {lease_seconds};
max-lease-time {lease_seconds};
ping-check false;
dhcp-cache-threshold 0;
ddns-update-style none;
server-id-check true;
omapi-port {OMAPI_PORT};
{isc_lines}
{peer}
subnet 10.50.0.0 netmask 255.255.0.0 {{
  option routers 10.50.0.1;
  pool {{
    {of_pool}
    range {first} {last};
    {isc_pool}
  }}
}}
"
        )
    }

    /// Starts both with empty stores.
    #[must_use]
    pub fn start(self, label: &str) -> Pair {
        let mut lab = Lab::new(label);
        let (ours, isc) = match self.role {
            Role::Primary => (PRIMARY, SECONDARY),
            Role::Secondary => (SECONDARY, PRIMARY),
        };
        lab.host("ours", Some(&format!("{ours}/16")), None);
        lab.host("isc", Some(&format!("{isc}/16")), None);
        let began = Instant::now();
        let isc = Isc::start(&lab, "isc", &self.config(self.isc_role), self.isc_clock);
        let ours = Ours::start(&lab, self.role.word(), &self.manifest());
        Pair { ours, isc, role: self.role, setup: self, lab, began }
    }
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
    setup: Setup,
    began: Instant,
}

impl Pair {
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
        self.ours = Ours::start(&self.lab, self.role.word(), &self.setup.manifest());
    }

    /// Starts the dhcpd again.
    pub fn start_isc(&mut self) {
        self.isc =
            Isc::start(&self.lab, "isc", &self.setup.config(self.setup.isc_role), self.setup.isc_clock);
    }

    /// Sets the lines for our subnet for our server's next start.
    pub fn set_our_subnet(&mut self, lines: String) {
        self.setup.our_subnet = lines;
    }

    /// Changes what the pair is like, for the next start of either server.
    pub fn change(&mut self, change: impl FnOnce(&mut Setup)) {
        change(&mut self.setup);
    }

    /// Sets the dhcpd's clock for its next start.
    pub fn set_isc_clock(&mut self, seconds: i32) {
        self.setup.isc_clock = seconds;
    }

    /// Sets the clock of a dhcpd that runs and was started with another clock than ours.
    pub fn set_running_isc_clock(&self, seconds: i32) {
        crate::set_clock(&self.lab.path("isc.clock"), seconds);
        // It looks once a second.
        std::thread::sleep(std::time::Duration::from_secs(2));
    }

    /// Removes all that our server, which does not run, has stored. No token says that it is new.
    ///
    /// # Panics
    /// If there is nothing.
    pub fn lose_our_store(&self) {
        let data = self.lab.path("ours");
        std::fs::remove_dir_all(&data).expect("our store");
        std::fs::create_dir(&data).expect("an empty folder");
    }

    /// Removes our server's folder: its next start is that of a new server, as its token says.
    ///
    /// # Panics
    /// If there is nothing.
    pub fn forget_our_store(&self) {
        std::fs::remove_dir_all(self.lab.path("ours")).expect("our store");
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

    /// Waits until both are in Normal, and then until their databases hold the same.
    pub fn until_agreed(&mut self, seconds: u64) {
        self.until_normal(seconds);
        self.until_equal(SYNC);
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

    /// Clients take a lease and renew it once the other server knows of it, so that it lasts the full time.
    ///
    /// # Panics
    /// If a server does not answer.
    pub fn take_for_long(&mut self, clients: &mut [Client]) {
        for client in clients.iter_mut() {
            self.take(client);
        }
        self.until_equal(SYNC);
        for client in clients {
            let granter = client.lease.as_ref().map_or(PRIMARY, |lease| lease.server);
            // A dhcpd may hold its acknowledgements back for 2 s.
            until("the full time", 10, || match client.renew_at(&self.lab, granter)? {
                seconds if seconds > self.setup.mclt => Ok(()),
                seconds => Err(format!("{seconds} s")),
            });
        }
        self.until_equal(SYNC);
    }

    /// Clients renew at a server, whoever granted their leases.
    ///
    /// # Panics
    /// If it does not answer one of them.
    pub fn renew_all(&self, clients: &[Client], server: Ipv4Addr) {
        for client in clients {
            client.renew_at(&self.lab, server).unwrap_or_else(|why| panic!("{why}"));
        }
    }

    /// How a story ends well: its clients renew at the server that was away, both databases hold the same, and the
    /// dhcpd has nothing to complain of.
    ///
    /// # Panics
    /// If it does not.
    pub fn ends_well(&mut self, clients: &[Client], server: Ipv4Addr) {
        self.renew_all(clients, server);
        self.until_equal(SYNC);
        self.assert_isc_content();
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
        self.assert_isc_says_only(&[]);
    }

    /// The same in a story that makes a dhcpd write lines with these words, also beside another one.
    ///
    /// # Panics
    /// If it ended or wrote something else.
    pub fn assert_isc_says_only(&mut self, expected: &[&str]) {
        self.isc.assert_alive();
        self.ours.assert_alive();
        let complaints = self.isc.complaints(expected);
        assert!(complaints.is_empty(), "dhcpd complains:\n{}", complaints.join("\n"));
    }

    /// A line of the story.
    pub fn say(&self, text: &str) {
        println!("{:6.1} s  {text}", self.began.elapsed().as_secs_f32());
    }
}

/// Hex as a dhcpd writes it: with a colon after each octet but the last.
fn octets(hex: &str) -> String {
    let digits: Vec<char> = hex.chars().collect();
    let octets: Vec<String> = digits.chunks(2).map(|two| two.iter().collect()).collect();
    octets.join(":")
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
