//! The command line.

use std::net::Ipv4Addr;

use api::force::ForcedState;
use api::identity::Role;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Shows and steers pairs of DHCP servers (DhcpFailoverPair).
#[derive(Debug, Parser)]
#[command(name = "kubectl-dhcp", bin_name = "kubectl dhcp", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Namespace of the pair. Default: that of the context.
    #[arg(short, long, global = true)]
    pub(crate) namespace: Option<String>,
    /// Context of the kubeconfig.
    #[arg(long, global = true)]
    pub(crate) context: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Both servers side by side: why they are as they are, and until when.
    Status {
        /// The pair; all of the namespace if not given.
        pair: Option<String>,
        /// Form of the answer.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
        /// Print again at each change.
        #[arg(short, long)]
        watch: bool,
    },
    /// Declare a server down, so that its partner may use its addresses.
    PartnerDown {
        /// The pair.
        pair: String,
        /// The server that is down.
        #[arg(long, value_parser = role, value_name = "ROLE")]
        dead: Role,
        /// Since when: -3d, `Oct 31 00:00:00 26` or RFC 3339. Default: now.
        #[arg(long, allow_hyphen_values = true)]
        since: Option<String>,
        /// You vouch that it cannot serve; needs --reason.
        #[arg(long, requires = "reason")]
        attest: bool,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
        /// Request details.
        #[command(flatten)]
        request: Request,
    },
    /// Force a server into a state.
    Force {
        /// The pair.
        pair: String,
        /// The server that changes its state.
        #[arg(long, value_parser = role, value_name = "ROLE")]
        server: Role,
        /// The state; PartnerDown has a verb of its own.
        #[arg(long, value_parser = state, value_name = "STATE")]
        state: ForcedState,
        /// CommunicationsInterrupted lasts until Startup.
        #[arg(long)]
        hold: bool,
        /// Request details.
        #[command(flatten)]
        request: Request,
    },
    /// Stop a server for a short while; its partner serves on.
    Pause {
        /// The pair.
        pair: String,
        /// The server.
        #[arg(value_parser = role)]
        server: Role,
        /// Request details.
        #[command(flatten)]
        request: Request,
    },
    /// End a pause, a shutdown or a held interruption.
    Resume {
        /// The pair.
        pair: String,
        /// The server.
        #[arg(value_parser = role)]
        server: Role,
        /// Request details.
        #[command(flatten)]
        request: Request,
    },
    /// Let a server fetch everything from its partner.
    Recover {
        /// The pair.
        pair: String,
        /// The server.
        #[arg(value_parser = role)]
        server: Role,
        /// Time of the backup that was restored. Default: now.
        #[arg(long, allow_hyphen_values = true)]
        time: Option<String>,
        /// Request details.
        #[command(flatten)]
        request: Request,
    },
    /// Give a server a new, empty volume; the old claim stays.
    ReplaceStorage {
        /// The pair.
        pair: String,
        /// The server.
        #[arg(value_parser = role)]
        server: Role,
        /// Although its partner does not serve.
        #[arg(long)]
        confirm: bool,
    },
    /// End the binding of an address that is abandoned, or whose client is gone.
    Reset {
        /// The pair.
        pair: String,
        /// The address.
        address: Ipv4Addr,
        /// You vouch that no client uses it: if one does, two clients get one address.
        #[arg(long)]
        unused: bool,
        /// The server to ask; the other one agrees to it.
        #[arg(long, value_parser = role, default_value = "primary", value_name = "ROLE")]
        server: Role,
    },
    /// List the leases of a server, or what both tables do not have in common.
    Leases {
        /// The pair.
        pair: String,
        /// The server to ask.
        #[arg(value_parser = role, default_value = "primary")]
        server: Role,
        /// Compare both servers; exit code 1 if they differ.
        #[arg(long)]
        diff: bool,
        /// Form of the listing.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
}

/// What every request may say.
#[derive(Clone, Debug, Args)]
pub(crate) struct Request {
    /// Name of the request. Default: one that was never used before.
    #[arg(long)]
    pub(crate) request_id: Option<String>,
    /// Go past guards that protect from two servers giving out one address.
    #[arg(long)]
    pub(crate) expert: bool,
    /// Go on although service suffers.
    #[arg(long)]
    pub(crate) confirm: bool,
    /// Why, for those who read it later.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Ask the server itself by `kubectl exec`, past the operator.
    #[arg(long)]
    pub(crate) direct: bool,
    /// Seconds to wait for the decision.
    #[arg(long, default_value_t = 30)]
    pub(crate) wait: u64,
}

/// Form of an answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Text,
    /// For people, with more rows.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

fn role(text: &str) -> Result<Role, String> {
    [Role::Primary, Role::Secondary]
        .into_iter()
        .find(|role| role.as_str() == text)
        .ok_or_else(|| "is neither primary nor secondary".to_owned())
}

fn state(text: &str) -> Result<ForcedState, String> {
    let named = |state: &ForcedState| state.to_string().eq_ignore_ascii_case(text);
    let names = || ForcedState::ALL.map(|state| state.to_string()).join(", ");
    ForcedState::ALL.into_iter().find(named).ok_or_else(|| format!("is none of {}", names()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
        let words =
            "kubectl-dhcp partner-down lab --dead secondary --since -3d --attest --reason gone -n dhcp";
        let Verb::PartnerDown { dead, since, .. } =
            Cli::try_parse_from(words.split(' ')).expect("understood").verb
        else {
            panic!("another verb");
        };
        assert_eq!((dead, since.as_deref()), (Role::Secondary, Some("-3d")));
        let without = "kubectl-dhcp partner-down lab --dead secondary --attest";
        assert!(Cli::try_parse_from(without.split(' ')).is_err(), "who attests says why");
    }
}
