//! The command line.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use api::force::ForcedState;
use api::identity::{Role, State};
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

use crate::logging::Format;

/// One DHCPv4 failover server: runs it, checks its manifest, looks into its store, asks it.
#[derive(Debug, Parser)]
#[command(name = "dhcp-pod", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a server of a pair until SIGTERM or SIGINT.
    Serve(Box<Serve>),
    /// Check a manifest and name everything that is wrong with it, fields that nobody reads included.
    Check {
        /// The `DhcpFailoverPair` manifest, YAML or JSON.
        #[arg(long, value_name = "FILE")]
        pair: PathBuf,
    },
    /// Print the durable leases of a stopped server.
    Leases {
        /// Its data directory.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Form of the listing.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Change what the store of a stopped server says.
    State {
        /// What to do with it.
        #[command(subcommand)]
        change: StateChange,
    },
    /// Ask a running server over its unix socket, or force its state.
    Ctl {
        /// The socket that it was given.
        #[arg(long, value_name = "PATH")]
        socket: PathBuf,
        /// What to ask.
        #[command(subcommand)]
        question: Question,
    },
    /// Make the word that a pair on bare hosts is brand-new: DIR/volume-id, and a token that names it.
    BootstrapToken {
        /// Data directory of the server, still without a store.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// File to write the token to, for `serve --bootstrap-token`.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Let only this server use it.
        #[arg(long, value_name = "ROLE", value_parser = role)]
        role: Option<Role>,
    },
    /// Print the servers' part of docs/metrics.md.
    #[command(hide = true)]
    MetricsReference,
}

/// A change of the store of a stopped server.
#[derive(Debug, Subcommand)]
pub enum StateChange {
    /// Put the server into PartnerDown for its next start. Whoever does this vouches that the partner does
    /// not serve, and has not since --at.
    Edit {
        /// Its data directory.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The state; only PartnerDown can be set on a stopped server.
        #[arg(long, value_name = "STATE", value_parser = state)]
        state: State,
        /// Since when the partner is surely down, such as 2026-11-22T09:20:00Z. Default: now.
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
    },
}

/// A question to a running server.
#[derive(Clone, Debug, Subcommand)]
pub enum Question {
    /// Its status, as JSON.
    Status {
        /// Go on with a line for each change.
        #[arg(long)]
        watch: bool,
    },
    /// Its leases.
    Leases {
        /// Form of the listing.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Does its engine move? Exit code 0 or 1.
    Live,
    /// Does it serve? Exit code 0 or 1.
    Ready,
    /// What was ever asked of it, newest first, as JSON.
    Requests,
    /// What passes between it and its partner from now on, decoded, a line a message.
    Trace,
    /// End the binding of an address that is abandoned, or whose client is gone; both servers then free it.
    Reset {
        /// The address.
        address: Ipv4Addr,
        /// You vouch that no client uses it: if one does, two clients get one address.
        #[arg(long)]
        unused: bool,
    },
    /// Force it into a state. Exit code 0 if that is granted, 1 if it is refused.
    Force(Box<Force>),
}

/// A state to force a running server into.
#[derive(Clone, Debug, Args)]
pub struct Force {
    /// The state: Startup, Normal, CommunicationsInterrupted, PartnerDown, Recover, Shutdown or Paused.
    #[arg(long, value_name = "STATE", value_parser = forced_state)]
    pub state: ForcedState,
    /// For PartnerDown: the server that is declared down. Default: the other one.
    #[arg(long, value_name = "ROLE", value_parser = role)]
    pub dead_server: Option<Role>,
    /// Name of the request; each is carried out at most once. Default: one made of state and time.
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// For PartnerDown: since when the partner is surely down, such as 2026-11-22T09:20:00Z. Default: now.
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// For Recover: the time of the backup from which the store was restored. Default: now.
    #[arg(long, value_name = "TIME")]
    pub recover_time: Option<Timestamp>,
    /// Vouch that the partner cannot serve. Needs --reason.
    #[arg(long)]
    pub attest: bool,
    /// Why, for those who read it later.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Go past guards that protect from two servers giving out one address.
    #[arg(long)]
    pub expert: bool,
    /// For CommunicationsInterrupted: stay there until another request ends it.
    #[arg(long)]
    pub hold: bool,
    /// Go on although service suffers.
    #[arg(long)]
    pub confirm: bool,
}

/// Form of a listing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Output {
    /// A JSON object a line.
    #[default]
    Json,
    /// A table.
    Text,
}

/// Settings of a server.
#[derive(Debug, Args)]
pub struct Serve {
    /// The `DhcpFailoverPair` manifest, YAML or JSON.
    #[arg(long, value_name = "FILE")]
    pub pair: PathBuf,
    /// Which of the two servers this is: primary or secondary.
    #[arg(long, value_name = "ROLE", value_parser = role)]
    pub role: Role,
    /// Directory of the lease store; made if it is absent.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Interface on which clients and relays are answered.
    #[arg(long, value_name = "IF")]
    pub interface: String,
    /// Own address. Default: that of the manifest, else the interface's first.
    #[arg(long, value_name = "IP")]
    pub address: Option<Ipv4Addr>,
    /// The partner's address and port. Default: those of the manifest.
    #[arg(long, value_name = "IP[:PORT]", value_parser = partner)]
    pub partner: Option<Partner>,
    /// Port of the link on this side. Default: that of the manifest, else 647.
    #[arg(long, value_name = "PORT")]
    pub listen_port: Option<u16>,
    /// Address of the admin API: plain HTTP on loopback, mutual TLS elsewhere; 0.0.0.0 stands for the own
    /// address.
    #[arg(long, value_name = "IP:PORT")]
    pub admin: Option<SocketAddr>,
    /// Unix socket of the admin API, for `dhcp-pod ctl`.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// One-shot word that this is a brand-new pair; ignored once the store is in use.
    #[arg(long, value_name = "FILE")]
    pub bootstrap_token: Option<PathBuf>,
    /// Record that the partner was let go into PartnerDown, as JSON; an absent file is none. The server stays
    /// silent until it has heard of the partner what came later.
    #[arg(long, value_name = "FILE")]
    pub fence: Option<PathBuf>,
    /// Folder with tls.crt, tls.key and ca.crt. Needed by a MutualTLS link, and by --admin outside loopback.
    #[arg(long, value_name = "DIR")]
    pub tls_dir: Option<PathBuf>,
    /// UID of the lease volume, which a bootstrap token must name. Default: content of DIR/volume-id.
    #[arg(long, value_name = "UID", env = "DHCP_VOLUME_UID")]
    pub volume_uid: Option<String>,
    /// Name of the node, for status.
    #[arg(long, value_name = "NAME", env = "DHCP_NODE_NAME")]
    pub node: Option<String>,
    /// Form of the log.
    #[arg(long, value_name = "FORM", value_enum, default_value_t)]
    pub log_format: Format,
    /// Write every message of the link to the log, decoded, a line each.
    #[arg(long)]
    pub trace_link: bool,
}

/// Where the partner listens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Partner {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its port, if given.
    pub port: Option<u16>,
}

fn role(text: &str) -> Result<Role, String> {
    [Role::Primary, Role::Secondary]
        .into_iter()
        .find(|role| role.as_str() == text)
        .ok_or_else(|| "is neither primary nor secondary".to_owned())
}

fn forced_state(text: &str) -> Result<ForcedState, String> {
    ForcedState::ALL.into_iter().find(|state| state.state().as_str() == text).ok_or_else(|| {
        format!("is none of {}", ForcedState::ALL.map(|state| state.state().as_str()).join(", "))
    })
}

fn state(text: &str) -> Result<State, String> {
    State::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| "is no state".to_owned())
}

fn partner(text: &str) -> Result<Partner, String> {
    if let Ok(address) = text.parse::<SocketAddrV4>() {
        return Ok(Partner { address: *address.ip(), port: Some(address.port()) });
    }
    let address = text.parse().map_err(|_| "is no IPv4 address, with or without a port".to_owned())?;
    Ok(Partner { address, port: None })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_partner_may_come_without_a_port() {
        assert_eq!(partner("10.0.0.9"), Ok(Partner { address: Ipv4Addr::new(10, 0, 0, 9), port: None }));
        assert_eq!(partner("10.0.0.9:847").map(|partner| partner.port), Ok(Some(847)));
        assert!(partner("fe80::1").is_err());
    }

    #[test]
    fn the_operators_arguments_are_understood() {
        let arguments = "dhcp-pod serve --pair /f --role secondary --data /d --interface eth0 --address 10.77.0.2 \
                         --listen-port 30001 --admin 10.77.0.2:30002 --socket /run/s --tls-dir /t";
        let Verb::Serve(serve) =
            Cli::try_parse_from(arguments.split_whitespace()).expect("understood").command
        else {
            panic!("serve")
        };
        assert_eq!((serve.role, serve.listen_port), (Role::Secondary, Some(30001)));
    }
}
