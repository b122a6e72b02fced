//! `kubectl dhcp`: shows and steers pairs of DHCP servers.
//!
//! What it asks goes through the API server: the pair's object, and pod exec to a server's socket. Exit codes: 0, 1 if
//! something was refused, differs or failed, 2 for a usage error.

mod cli;
mod cluster;
mod date;
mod show;

use std::io::{BufRead, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use api::force::{Evidence, ForceState, ForcedState};
use api::identity::Role;
use api::pair::DhcpFailoverPair;
use api::status::{RequestPhase, RequestStatus, ServerStatus};
use clap::Parser;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::{Cli, Output, Request, Verb};
use crate::cluster::Cluster;

/// How often status is looked at while something is waited for.
const LOOK: Duration = Duration::from_millis(500);

/// How a verb that did not fail ended.
enum Outcome {
    Done,
    /// Refused, or different: exit code 1.
    No,
}

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    #[error(transparent)]
    Date(#[from] date::Error),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Failed(String),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // With two providers compiled in by others, rustls wants to be told; without, this changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(Cli::parse()).await {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::No) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{}", chain(&error));
            ExitCode::from(if matches!(error, Error::Usage(_) | Error::Date(_)) { 2 } else { 1 })
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn run(cli: Cli) -> Result<Outcome, Error> {
    let cluster = Cluster::connect(cli.context, cli.namespace).await?;
    let plain = |server, state, request: &Request| force_state(server, state, request);
    match cli.verb {
        Verb::Status { pair, output, watch } => status(&cluster, pair.as_deref(), output, watch).await,
        Verb::PartnerDown { pair, dead, since, attest, yes, request } => {
            let mut force = plain(dead.other(), ForcedState::PartnerDown, &request);
            force.dead_server = Some(dead);
            force.down_since = since.map(|text| read_date(&text)).transpose()?;
            force.evidence = if attest { Evidence::Attested } else { Evidence::Automatic };
            partner_down(&cluster, &pair, force, yes, &request).await
        }
        Verb::Force { pair, server, state, hold, request } => {
            if state == ForcedState::PartnerDown {
                return Err(Error::Usage("for PartnerDown use `kubectl dhcp partner-down`".to_owned()));
            }
            let force = ForceState { hold, ..plain(server, state, &request) };
            order(&cluster, &pair, force, &request).await
        }
        Verb::Pause { pair, server, request } => {
            order(&cluster, &pair, plain(server, ForcedState::Paused, &request), &request).await
        }
        Verb::Resume { pair, server, request } => {
            order(&cluster, &pair, plain(server, ForcedState::Startup, &request), &request).await
        }
        Verb::Recover { pair, server, time, request } => {
            let recover_time = time.map(|text| read_date(&text)).transpose()?;
            let force = ForceState { recover_time, ..plain(server, ForcedState::Recover, &request) };
            order(&cluster, &pair, force, &request).await
        }
        Verb::ReplaceStorage { pair, server, confirm } => {
            replace_storage(&cluster, &pair, server, confirm).await
        }
        Verb::Reset { pair, address, unused, server } => {
            reset(&cluster, &pair, address, unused, server).await
        }
        Verb::Leases { pair, server, diff, output } => leases(&cluster, &pair, server, diff, output).await,
    }
}

fn read_date(text: &str) -> Result<Timestamp, Error> {
    Ok(date::parse(text, Timestamp::now(), &TimeZone::system())?)
}

fn force_state(server: Role, state: ForcedState, request: &Request) -> ForceState {
    ForceState {
        request_id: request.request_id.clone().unwrap_or_else(|| fresh_id(state)),
        server,
        state,
        dead_server: None,
        down_since: None,
        recover_time: None,
        evidence: Evidence::Automatic,
        expert: request.expert,
        hold: false,
        confirm: request.confirm,
        reason: request.reason.clone(),
    }
}

/// An id that was never used: by the clock to the nanosecond.
fn fresh_id(state: ForcedState) -> String {
    let now = Timestamp::now();
    format!(
        "{}-{}-{:09}",
        state.to_string().to_lowercase(),
        now.strftime("%Y%m%d-%H%M%S"),
        now.subsec_nanosecond()
    )
}

async fn status(
    cluster: &Cluster,
    name: Option<&str>,
    output: Output,
    watch: bool,
) -> Result<Outcome, Error> {
    let mut last = String::new();
    loop {
        let pairs = match name {
            Some(name) => vec![cluster.pair(name).await?],
            None => cluster.all().await?,
        };
        let text = render(&pairs, output)?;
        if text != last {
            print!("{text}");
            // Whoever reads may have gone.
            let _ = std::io::stdout().flush();
            last = text;
        }
        if !watch {
            return Ok(Outcome::Done);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn render(pairs: &[DhcpFailoverPair], output: Output) -> Result<String, Error> {
    let now = Timestamp::now();
    let texts: Vec<String> = pairs
        .iter()
        .map(|pair| match output {
            Output::Text | Output::Wide => Ok(show::pair(pair, now, output == Output::Wide)),
            Output::Json => {
                serde_json::to_string(&pair.status).map(|text| text + "\n").map_err(|error| error.to_string())
            }
            Output::Yaml => serde_saphyr::to_string(&pair.status).map_err(|error| error.to_string()),
        })
        .collect::<Result<_, String>>()
        .map_err(Error::Failed)?;
    Ok(texts.join(if output == Output::Yaml { "---\n" } else { "\n" }))
}

/// Tells what it found and what it will do, asks, and does it.
async fn partner_down(
    cluster: &Cluster,
    name: &str,
    force: ForceState,
    yes: bool,
    request: &Request,
) -> Result<Outcome, Error> {
    let pair = cluster.pair(name).await?;
    print!("{}", show::pair(&pair, Timestamp::now(), false));
    println!("\n{}", intent(&pair, &force));
    if !yes {
        print!("Go on? [y/N] ");
        let _ = std::io::stdout().flush();
        let mut answer = String::new();
        // An end of the input is no answer.
        let _ = std::io::stdin().lock().read_line(&mut answer);
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            println!("nothing was done");
            return Ok(Outcome::No);
        }
    }
    order(cluster, name, force, request).await
}

/// What a partner-down will do, and when which addresses become free.
fn intent(pair: &DhcpFailoverPair, force: &ForceState) -> String {
    let (survivor, dead) = (force.server, force.server.other());
    let mclt = i64::from(
        pair.status.as_ref().and_then(|status| status.mclt_seconds).unwrap_or(pair.spec.mclt_seconds),
    );
    let since = force.down_since.unwrap_or_else(Timestamp::now);
    let free = since.checked_add(jiff::SignedDuration::from_secs(mclt)).unwrap_or(since);
    let evidence = match force.evidence {
        Evidence::Automatic => format!(
            "The operator fences the {dead} and waits until its kubelet says that its pod has ended, or its node is \
             tainted as out of service."
        ),
        Evidence::Attested => {
            format!("YOU vouch that the {dead} cannot serve. If it does, two clients get one address.")
        }
    };
    let status = pair.status.as_ref();
    let of = |role| -> Option<&ServerStatus> {
        match role {
            Role::Primary => status?.primary.as_ref(),
            Role::Secondary => status?.secondary.as_ref(),
        }
    };
    let heard = of(dead)
        .and_then(|server| server.observed_time)
        .map_or_else(|| "never".to_owned(), |time| format!("{time:.0}"));
    format!(
        "The {dead} is declared down since {since:.0}; it last answered the operator at {heard}.\n\
         The {survivor} then serves alone: leases of full length at once, free addresses of the {dead} from {free:.0} \
         on,\naddresses that clients hold once those leases and the MCLT of {mclt} s are over.\n{evidence}"
    )
}

/// Writes a request, or gives it to the server itself, and waits for the decision.
async fn order(
    cluster: &Cluster,
    name: &str,
    force: ForceState,
    request: &Request,
) -> Result<Outcome, Error> {
    force.check("").map_err(|errors| {
        Error::Usage(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    })?;
    let decided = if request.direct {
        direct(cluster, name, &force).await?
    } else {
        cluster.force(name, &force).await?;
        wait(cluster, name, &force.request_id, Duration::from_secs(request.wait)).await?
    };
    println!("{}", show::request(&decided));
    Ok(if decided.phase == RequestPhase::Granted { Outcome::Done } else { Outcome::No })
}

async fn wait(cluster: &Cluster, name: &str, id: &str, most: Duration) -> Result<RequestStatus, Error> {
    let began = Instant::now();
    let mut told = None;
    loop {
        let pair = cluster.pair(name).await?;
        let found = pair
            .status
            .and_then(|status| status.requests.into_iter().find(|request| request.request_id == id));
        if let Some(found) = found {
            if found.phase.is_decided() {
                return Ok(found);
            }
            let now = (found.phase, found.reason.clone());
            if told.as_ref() != Some(&now) {
                println!("{}", show::request(&found));
                told = Some(now);
            }
            if began.elapsed() >= most {
                return Ok(found);
            }
        } else if began.elapsed() >= most {
            let why = format!(
                "nothing has become of request {id} in {} s: is the operator running? It stays in the spec; --direct \
                 asks the server itself",
                most.as_secs()
            );
            return Err(Error::Failed(why));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// `dhcp-pod ctl force` in the server's pod.
async fn direct(cluster: &Cluster, name: &str, force: &ForceState) -> Result<RequestStatus, Error> {
    let state = force.state.to_string();
    let mut words = vec!["force", "--state", &state, "--request-id", &force.request_id];
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let (since, recover) = (time(force.down_since), time(force.recover_time));
    for (flag, value) in [("--since", &since), ("--recover-time", &recover), ("--reason", &force.reason)] {
        if let Some(value) = value {
            words.extend([flag, value.as_str()]);
        }
    }
    for (flag, given) in [
        ("--attest", force.evidence == Evidence::Attested),
        ("--expert", force.expert),
        ("--hold", force.hold),
        ("--confirm", force.confirm),
    ] {
        if given {
            words.push(flag);
        }
    }
    let (text, _) = cluster.ctl(name, force.server, &words).await?;
    serde_json::from_str(&text).map_err(|error| cluster::Error::Answer(force.server, error).into())
}

async fn replace_storage(cluster: &Cluster, name: &str, role: Role, confirm: bool) -> Result<Outcome, Error> {
    let pair = cluster.pair(name).await?;
    let status = pair.status.as_ref();
    let partner = match role {
        Role::Primary => status.and_then(|status| status.secondary.as_ref()),
        Role::Secondary => status.and_then(|status| status.primary.as_ref()),
    };
    if !partner.is_some_and(|partner| partner.serving) && !confirm {
        let why = format!(
            "the {} does not serve, and all leases of the {role} would be lost: --confirm goes past this",
            role.other()
        );
        return Err(Error::Failed(why));
    }
    let Some(present) = cluster.claim(name, role).await? else {
        return Err(Error::Failed(format!("there is no claim {name}-{role}-0")));
    };
    let next = (present + 1).to_string();
    cluster.annotate(name, &format!("dhcpfailover.io/storage-{role}"), &next).await?;
    println!(
        "the {role} gets the claim {name}-{role}-{next} with its next pod, and recovers everything from its partner; \
         {name}-{role}-{present} stays"
    );
    Ok(Outcome::Done)
}

async fn reset(
    cluster: &Cluster,
    name: &str,
    address: Ipv4Addr,
    unused: bool,
    role: Role,
) -> Result<Outcome, Error> {
    let address = address.to_string();
    let words = [&["reset", &address][..], if unused { &["--unused"] } else { &[] }].concat();
    let (said, _) = cluster.ctl(name, role, &words).await?;
    println!("{}", said.trim_end());
    Ok(Outcome::Done)
}

async fn leases(
    cluster: &Cluster,
    name: &str,
    role: Role,
    diff: bool,
    output: Output,
) -> Result<Outcome, Error> {
    if !diff {
        for line in cluster.leases(name, role).await? {
            match output {
                Output::Text | Output::Wide => println!("{:<15}   {}", line.address, show::lease(&line)),
                Output::Json | Output::Yaml => {
                    println!(
                        "{}",
                        serde_json::to_string(&line).map_err(|error| Error::Failed(error.to_string()))?
                    );
                }
            }
        }
        return Ok(Outcome::Done);
    }
    let (primary, secondary) =
        tokio::try_join!(cluster.leases(name, Role::Primary), cluster.leases(name, Role::Secondary))?;
    let differing = show::difference(&primary, &secondary);
    for line in &differing {
        println!("{line}");
    }
    if differing.is_empty() {
        println!("both servers have the same {} addresses", primary.len());
        return Ok(Outcome::Done);
    }
    println!("{} of {} addresses differ (primary, secondary)", differing.len(), primary.len());
    Ok(Outcome::No)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_ids_are_request_ids_and_differ() {
        let ids: Vec<String> = ForcedState::ALL.iter().map(|state| fresh_id(*state)).collect();
        for id in &ids {
            assert!(api::force::is_request_id(id), "{id}");
        }
        assert_ne!(fresh_id(ForcedState::Paused), fresh_id(ForcedState::Paused));
    }
}
