//! The verbs beside `serve`: look, check, ask, force.

mod edit;
mod force;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use api::config::FieldError;
use api::identity::Role;
use api::status::{BootstrapToken, LeaseLine};
use leases::log::StoreError;
use server::EditError;

use crate::cli::{Output, Question};
use crate::store::data_dir::{random_id, write_durably};
use crate::store::{self, DataDir};
use crate::{client, manifest};

pub use edit::edit_state;

/// Why a verb did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifest is bad.
    #[error("{}", list(path, source))]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: manifest::Error,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The data directory or the log.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The content of the log.
    #[error("the lease store cannot be read: {0}")]
    Leases(#[from] server::StartError),
    /// The state of the stopped server stays as it is.
    #[error("{}: {source}{}", path.display(), cause(source))]
    Edit {
        /// The data directory.
        path: PathBuf,
        /// Why.
        source: EditError,
    },
    /// The changed state is not certainly on disk.
    #[error("writing the lease store in {}: {source}{}; look at its state before its next start", path.display(), cause(source))]
    Append {
        /// The data directory.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The flags make no sense together.
    #[error("{0}")]
    Usage(String),
    /// The directory belongs to a pair already.
    #[error("{} holds a lease store already: its pair is not new. A server ignores a token there", .0.display())]
    NotNew(PathBuf),
    /// The running server.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The server says no.
    #[error("{0}")]
    Answer(String),
    /// Nothing can be printed.
    #[error("writing: {0}")]
    Print(#[from] io::Error),
}

/// One fault a line, each with its path.
fn list(path: &Path, manifest::Error(errors): &manifest::Error) -> String {
    let mut text = format!("{} is not valid:", path.display());
    for error in errors {
        text.push_str("\n  ");
        if !error.path.is_empty() {
            text.push_str(&format!("{}: ", error.path));
        }
        text.push_str(&error.message);
    }
    text
}

fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(String::new, |source| format!(": {source}"))
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Manifest { .. } => "manifest",
            Self::File { .. } => "file",
            Self::Store(error) => error.class(),
            Self::Leases(_) => "leases",
            Self::Edit { source, .. } => source.class(),
            Self::Append { source, .. } => source.class(),
            Self::Usage(_) => "usage",
            Self::NotNew(_) => "not_new",
            Self::Client(error) => error.class(),
            Self::Answer(_) => "answer",
            Self::Print(_) => "print",
        }
    }

    /// Exit code of the process.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Manifest { .. } | Self::Usage(_) => 2,
            Self::Edit { source: EditError::NotOffline(_) | EditError::Future(_), .. } => 2,
            _ => 1,
        }
    }
}

/// `dhcp-pod check`. Unlike to a server, a field that nobody reads is a fault to it.
pub fn check(path: &Path, out: &mut impl Write) -> Result<(), Error> {
    let bytes = std::fs::read(path).map_err(|error| Error::Manifest {
        path: path.to_owned(),
        source: manifest::Error::one("", error.to_string()),
    })?;
    let unknown: Vec<_> = manifest::unknown_fields(&bytes)
        .into_iter()
        .map(|path| FieldError { path, message: "no such field in this release".to_owned() })
        .collect();
    let (pair, config) = match manifest::parse(&bytes) {
        Ok(parsed) if unknown.is_empty() => parsed,
        parsed => {
            let mut faults = parsed.err().map_or_else(Vec::new, |manifest::Error(faults)| faults);
            faults.extend(unknown);
            return Err(Error::Manifest { path: path.to_owned(), source: manifest::Error(faults) });
        }
    };
    let addresses: u64 =
        config.subnets.iter().flat_map(|subnet| &subnet.pools).map(|pool| u64::from(pool.size())).sum();
    writeln!(
        out,
        "{}: valid; relationship {}, {} subnets, {addresses} addresses in pools, digest {}",
        path.display(),
        config.relationship,
        config.subnets.len(),
        api::config::digest(&pair),
    )?;
    for advice in api::config::advice(&pair.spec) {
        writeln!(out, "warning: {advice}")?;
    }
    Ok(())
}

/// `dhcp-pod leases`.
pub fn leases(data: &Path, output: Output, out: &mut impl Write) -> Result<(), Error> {
    let lines = server::stored_leases(&DataDir::take(data)?.inspect_log()?)?;
    match output {
        Output::Json => {
            for line in &lines {
                serde_json::to_writer(&mut *out, line).map_err(io::Error::from)?;
                out.write_all(b"\n")?;
            }
        }
        Output::Text => {
            header(out)?;
            for line in &lines {
                row(out, line)?;
            }
        }
    }
    Ok(())
}

/// `dhcp-pod bootstrap-token`.
pub fn bootstrap_token(
    data: &Path,
    file: &Path,
    role: Option<Role>,
    out: &mut impl Write,
) -> Result<(), Error> {
    let directory = DataDir::create(data)?;
    if directory.has_log() || directory.lost_its_log() {
        return Err(Error::NotNew(data.to_owned()));
    }
    let volume_uid = match directory.volume_id()? {
        Some(id) => id,
        None => {
            let id = random_id().map_err(|source| Error::File { path: "/dev/urandom".into(), source })?;
            directory.set_volume_id(&id)?;
            id
        }
    };
    let token = BootstrapToken { pair_uid: None, volume_uid, role, issued_at: jiff::Timestamp::now() };
    let mut text = serde_json::to_vec_pretty(&token).map_err(io::Error::from)?;
    text.push(b'\n');
    write_durably(file, &text, 0o600).map_err(|source| Error::File { path: file.to_owned(), source })?;
    writeln!(out, "{} is good for one first start with --data {}", file.display(), data.display())?;
    Ok(())
}

/// `dhcp-pod ctl`.
pub async fn ctl(socket: &Path, question: Question, out: &mut impl Write) -> Result<(), Error> {
    match question {
        Question::Status { watch: true } => copy(socket, "/v1/status?watch=true", out).await,
        Question::Status { watch: false } => pretty(&ask(socket, "/v1/status").await?, out),
        Question::Requests => pretty(&ask(socket, "/v1/requests").await?, out),
        Question::Reset { address, unused } => {
            let body = serde_json::json!({ "unused": unused }).to_string().into_bytes();
            let answer = client::post(socket, &format!("/v1/leases/{address}/reset"), body).await?;
            if answer.status != 200 {
                return Err(refused(&answer.body));
            }
            writeln!(out, "{address} is reset; it is free once the partner has agreed")?;
            Ok(())
        }
        Question::Force(request) => force::force(socket, *request, out).await,
        Question::Leases { output: Output::Json } => copy(socket, "/v1/leases", out).await,
        Question::Leases { output: Output::Text } => {
            header(out)?;
            for line in ask(socket, "/v1/leases")
                .await?
                .split(|octet| *octet == b'\n')
                .filter(|line| !line.is_empty())
            {
                row(out, &serde_json::from_slice(line).map_err(io::Error::from)?)?;
            }
            Ok(())
        }
        Question::Live => Ok(out.write_all(&ask(socket, "/livez").await?)?),
        Question::Trace => copy(socket, "/v1/trace", out).await,
        Question::Ready => Ok(out.write_all(&ask(socket, "/readyz").await?)?),
    }
}

async fn ask(socket: &Path, path: &str) -> Result<Vec<u8>, Error> {
    let answer = client::get(socket, path).await?;
    if answer.status != 200 {
        return Err(refused(&answer.body));
    }
    Ok(answer.body)
}

fn pretty(document: &[u8], out: &mut impl Write) -> Result<(), Error> {
    let document: serde_json::Value = serde_json::from_slice(document).map_err(io::Error::from)?;
    serde_json::to_writer_pretty(&mut *out, &document).map_err(io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

/// Prints the parts of an answer as they come.
async fn copy(socket: &Path, path: &str, out: &mut impl Write) -> Result<(), Error> {
    let mut refusal = Vec::new();
    let status = client::stream(socket, path, &mut |status, part| {
        if status != 200 {
            refusal.extend_from_slice(part);
            return Ok(());
        }
        out.write_all(part)?;
        out.flush()
    })
    .await?;
    if status == 200 { Ok(()) } else { Err(refused(&refusal)) }
}

/// The messages of a problem, without its JSON.
fn refused(body: &[u8]) -> Error {
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let messages = problem["errors"].as_array().into_iter().flatten().filter_map(|fault| {
        let message = fault["message"].as_str()?;
        Some(match fault["path"].as_str().filter(|path| !path.is_empty()) {
            Some(path) => format!("{path}: {message}"),
            None => message.to_owned(),
        })
    });
    let text = messages.collect::<Vec<_>>().join("; ");
    Error::Answer(if text.is_empty() { String::from_utf8_lossy(body).trim().to_owned() } else { text })
}

fn header(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{:<15} {:<9} {:<17} {:<20} HOSTNAME", "ADDRESS", "STATE", "HARDWARE", "ENDS")
}

fn row(out: &mut impl Write, line: &LeaseLine) -> io::Result<()> {
    let ends = line.ends.map_or_else(|| "-".to_owned(), |ends| ends.to_string());
    writeln!(
        out,
        "{:<15} {:<9} {:<17} {:<20} {}",
        line.address,
        line.state,
        line.hardware_address.as_deref().unwrap_or("-"),
        ends,
        // A client chose the name; a terminal must not obey it.
        line.hostname.as_deref().unwrap_or("-").escape_debug(),
    )
}
