//! The command line.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use api::identity::Role;
use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// Ask a running server over its unix socket.
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

/// A question to a running server.
#[derive(Clone, Copy, Debug, Subcommand)]
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
    /// Write every octet of the link to the log.
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
