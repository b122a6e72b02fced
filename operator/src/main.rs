//! `operator`: looks after the `DhcpFailoverPair` objects of a cluster.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kube::Client;
use operator::election::{AlwaysLead, Election, Lead, LeaseElection};
use operator::metrics::Metrics;
use operator::settings::{ServerSettings, Settings};
use operator::{admin, controller, crd, http, metrics, rbac, rights, values};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Looks after pairs of DHCPv4 failover servers.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the controller.
    Run(Box<Run>),
    /// Print the CustomResourceDefinition.
    Crd,
    /// Print the rules of the operator's roles as the chart's helper template.
    Rbac,
    /// Print the operator's part of docs/metrics.md.
    #[command(hide = true)]
    MetricsReference,
    /// Write the generated files of a checkout that are the operator's: the definition, its copy and the
    /// rules in the chart, and the table of the chart's values.
    Generate {
        /// Root of the checkout.
        #[arg(long, default_value = ".")]
        root: PathBuf,
    },
}

#[derive(Args)]
struct Run {
    /// Namespace of the operator itself, where the keys of the CAs are.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    namespace: String,
    /// Name of this instance in the election.
    #[arg(long, env = "POD_NAME", default_value = "dhcp-failover-operator")]
    identity: String,
    /// Namespaces whose pairs to look after, separated by commas. Empty: all.
    #[arg(long, env = "DHCP_NAMESPACES", value_delimiter = ',')]
    namespaces: Vec<String>,
    /// Network interfaces that pairs may use, separated by commas. Empty: any.
    #[arg(long, env = "DHCP_INTERFACES", value_delimiter = ',')]
    interfaces: Vec<String>,
    /// Ports from which each pair gets two, for the link and for the admin API.
    #[arg(long, default_value = "12000-12999", value_parser = ports)]
    ports: RangeInclusive<u16>,
    /// Image of the servers.
    #[arg(long, env = "DHCP_SERVER_IMAGE")]
    server_image: String,
    /// When to pull it.
    #[arg(long, default_value = "IfNotPresent", value_parser = ["Always", "IfNotPresent", "Never"])]
    server_image_pull_policy: String,
    /// Secrets with which to pull it, separated by commas.
    #[arg(long, value_delimiter = ',')]
    server_image_pull_secrets: Vec<String>,
    /// Priority class of the servers.
    #[arg(long)]
    server_priority_class: Option<String>,
    /// CPU of a server.
    #[arg(long, default_value = "500m")]
    server_cpu: String,
    /// Memory of a server.
    #[arg(long, default_value = "256Mi")]
    server_memory: String,
    /// Name of the Lease by which instances elect a leader. Empty: no election.
    #[arg(long, default_value = "dhcp-failover-operator")]
    lease: String,
    /// Where to answer `/livez`, `/readyz` and `/metrics`.
    #[arg(long, default_value = "0.0.0.0:8080")]
    http: SocketAddr,
    /// Format of the log.
    #[arg(long, env = "LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// What to log, such as `info` or `operator=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    log_level: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Everything that ends the program.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    // Before anything else: a second provider in the process would make the first TLS use panic. An
    // error says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let result = match Cli::parse().command {
        Command::Run(run) => operate(*run),
        Command::Crd => {
            print!("{}", crd::yaml());
            Ok(())
        }
        Command::Rbac => {
            print!("{}", rbac::chart_template());
            Ok(())
        }
        Command::MetricsReference => metrics::reference().map(|text| print!("{text}")).map_err(Failure::from),
        Command::Generate { root } => generate(&root),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("operator: {}", admin::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn generate(root: &Path) -> Result<(), Failure> {
    let chart = root.join("charts/dhcp-failover-operator");
    let values = std::fs::read_to_string(chart.join("values.yaml"))?;
    let templates = chart.join("templates");
    for (path, text) in [
        (root.join("crds/dhcpfailoverpairs.yaml"), crd::yaml()),
        (templates.join("crd.yaml"), crd::chart_template()),
        (templates.join("_rules.tpl"), rbac::chart_template()),
        (templates.join("rights.yaml"), rights::chart_template()),
        (chart.join("VALUES.md"), values::reference(&values)?),
    ] {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, text)?;
        println!("{}", path.display());
    }
    Ok(())
}

#[tokio::main]
async fn operate(run: Run) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&run.log_level)?;
    match run.log_format {
        LogFormat::Text => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stdout());
            tracing_subscriber::fmt().with_ansi(colours).with_env_filter(filter).init();
        }
        LogFormat::Json => tracing_subscriber::fmt().json().with_env_filter(filter).init(),
    }
    let metrics = Arc::new(Metrics::new()?);
    let ready = Arc::new(AtomicBool::new(false));
    let health = http::Health { metrics: Arc::clone(&metrics), ready: Arc::clone(&ready) };
    let listener = tokio::net::TcpListener::bind(run.http).await?;
    tokio::spawn(async move { axum::serve(listener, http::router(health)).await });

    let client = Client::try_default().await?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let stopped = async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    };
    tokio::pin!(stopped);

    let mut lead = if run.lease.is_empty() {
        AlwaysLead.run().await?
    } else {
        let election = LeaseElection {
            client: client.clone(),
            namespace: run.namespace.clone(),
            lease: run.lease.clone(),
            identity: run.identity.clone(),
        };
        election.run().await?
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "waiting to lead");
    tokio::select! {
        won = lead.won() => if !won { return Err("the election ended".into()) },
        () = &mut stopped => return Ok(()),
    }
    tracing::info!("leading");
    metrics.leader.set(1);
    act(run, client, metrics, ready, lead, stopped).await
}

/// Works until the lead is lost or the process is told to stop, and finishes passes that have begun.
async fn act(
    run: Run,
    client: Client,
    metrics: Arc<Metrics>,
    ready: Arc<AtomicBool>,
    mut lead: Lead,
    stopped: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let (shutdown, told) = tokio::sync::oneshot::channel::<()>();
    let settings = settings(run);
    let work = controller::run(client, settings, metrics, ready, async {
        // Dropped is as good as told.
        let _ = told.await;
    });
    tokio::pin!(work);
    let outcome = tokio::select! {
        result = &mut work => {
            result?;
            Err("all watches ended".into())
        }
        () = lead.lost() => {
            // Another instance acts by now: stop at once, in the middle of a pass if need be.
            return Err("the lead was lost".into());
        }
        () = stopped => Ok(()),
    };
    tracing::info!("stopping");
    drop(shutdown);
    if outcome.is_ok() {
        // The deployment's grace period is longer.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(10), work).await;
    }
    lead.release().await;
    outcome
}

fn settings(run: Run) -> Settings {
    let given = |list: Vec<String>| list.into_iter().filter(|item| !item.is_empty()).collect();
    Settings {
        namespace: run.namespace,
        namespaces: given(run.namespaces),
        interfaces: given(run.interfaces),
        ports: run.ports,
        server: ServerSettings {
            image: run.server_image,
            pull_policy: run.server_image_pull_policy,
            pull_secrets: given(run.server_image_pull_secrets),
            priority_class: run.server_priority_class.filter(|class| !class.is_empty()),
            cpu: run.server_cpu,
            memory: run.server_memory,
        },
    }
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').ok_or("needs a first and a last port, such as 12000-12999")?;
    let port = |text: &str| text.trim().parse::<u16>().map_err(|error| format!("`{text}`: {error}"));
    let (first, last) = (port(first)?, port(last)?);
    if first < 1024 || last <= first {
        return Err("needs at least two ports, none below 1024".to_owned());
    }
    Ok(first..=last)
}
