//! One DHCPv4 failover server. See `dhcp-pod --help`.

use std::io::{BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;
use dhcp_pod::cli::{Cli, StateChange, Verb};
use dhcp_pod::{logging, metrics, serve, tools};

fn main() -> ExitCode {
    // With two providers in the binary, or none installed, the first use of TLS would panic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A usage error ends here with exit code 2.
    let Cli { command } = Cli::parse();
    let mut out = BufWriter::new(std::io::stdout());
    let outcome = match command {
        Verb::Serve(arguments) => {
            logging::init(arguments.log_format);
            return match serve::serve(*arguments) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!(class = error.class(), "not serving: {error}");
                    ExitCode::from(error.exit_code())
                }
            };
        }
        Verb::Check { pair } => tools::check(&pair, &mut out),
        Verb::Leases { data, output } => tools::leases(&data, output, &mut out),
        Verb::State { change: StateChange::Edit { data, state, at } } => {
            tools::edit_state(&data, state, at, &mut out)
        }
        Verb::Ctl { socket, question } => {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(tools::ctl(&socket, question, &mut out)),
                Err(error) => Err(error.into()),
            }
        }
        Verb::BootstrapToken { data, out: file, role } => {
            tools::bootstrap_token(&data, &file, role, &mut out)
        }
        Verb::MetricsReference => out.write_all(metrics::reference().as_bytes()).map_err(Into::into),
    };
    match outcome.and_then(|()| Ok(out.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What was written so far may help; that it cannot be is no second error.
            let _ = out.flush();
            eprintln!("dhcp-pod: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
