//! `dhcp-pod ctl force`.

use std::io::{self, Write};
use std::path::Path;

use api::force::{Evidence, ForceRequest, ForceState, ForcedState};
use api::identity::Role;
use api::status::{RequestPhase, RequestStatus, ServerReport};
use jiff::Timestamp;

use super::{Error, ask, pretty, refused};
use crate::cli::Force;
use crate::client;

/// Asks a server to change its state, and prints what became of that.
pub(super) async fn force(socket: &Path, asked: Force, out: &mut impl Write) -> Result<(), Error> {
    let report: ServerReport =
        serde_json::from_slice(&ask(socket, "/v1/status").await?).map_err(io::Error::from)?;
    let role =
        report.role.ok_or_else(|| Error::Answer("the server does not say which of the two it is".into()))?;
    let force = request(role, asked, Timestamp::now());
    force.check("").map_err(|faults| {
        let lines = faults.iter().map(|fault| format!("{} {}", flag(&fault.path), fault.message));
        Error::Usage(lines.collect::<Vec<_>>().join("\n"))
    })?;
    // A human at the socket decides by what holds now, so no earlier state is expected.
    let body = serde_json::to_vec(&ForceRequest { force, expect: None }).map_err(io::Error::from)?;
    let answer = client::post(socket, "/v1/force", body).await?;
    if answer.status != 200 {
        return Err(refused(&answer.body));
    }
    pretty(&answer.body, out)?;
    let status: RequestStatus = serde_json::from_slice(&answer.body).map_err(io::Error::from)?;
    if status.phase == RequestPhase::Granted {
        return Ok(());
    }
    let reason = status.reason.map_or_else(String::new, |reason| format!(": {reason}"));
    Err(Error::Answer(format!("request {} is {}{reason}", status.request_id, status.phase)))
}

fn request(server: Role, asked: Force, now: Timestamp) -> ForceState {
    let state = asked.state;
    ForceState {
        request_id: asked
            .request_id
            .unwrap_or_else(|| format!("ctl-{}-{}", state.to_string().to_ascii_lowercase(), now.as_second())),
        server,
        state,
        dead_server: asked
            .dead_server
            .or_else(|| (state == ForcedState::PartnerDown).then(|| server.other())),
        down_since: asked.since,
        recover_time: asked.recover_time,
        evidence: if asked.attest { Evidence::Attested } else { Evidence::Automatic },
        expert: asked.expert,
        hold: asked.hold,
        confirm: asked.confirm,
        reason: asked.reason,
    }
}

/// The flag behind a field of the request.
fn flag(field: &str) -> &str {
    match field {
        "requestId" => "--request-id",
        "deadServer" => "--dead-server",
        "downSince" => "--since",
        "recoverTime" => "--recover-time",
        "hold" => "--hold",
        "reason" => "--reason",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Question, Verb};

    fn asked(flags: &str) -> ForceState {
        let line = format!("dhcp-pod ctl --socket s force {flags}");
        let Verb::Ctl { question: Question::Force(force), .. } =
            Cli::try_parse_from(line.split_whitespace()).expect("understood").command
        else {
            panic!("ctl force")
        };
        request(Role::Secondary, *force, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_dead_server_is_the_other_one_and_the_id_comes_by_itself() {
        let force = asked("--state PartnerDown");
        assert_eq!((force.server, force.dead_server), (Role::Secondary, Some(Role::Primary)));
        assert_eq!(force.request_id, "ctl-partnerdown-0");
        assert!(force.check("").is_ok());
        assert_eq!(asked("--state Paused").dead_server, None);
    }

    #[test]
    fn faults_are_named_by_their_flags() {
        let faults = asked("--state Paused --since 2026-11-22T09:20:00Z --hold --attest --request-id ä")
            .check("")
            .expect_err("four faults");
        let flags: Vec<_> = faults.iter().map(|fault| flag(&fault.path)).collect();
        assert_eq!(flags, ["--request-id", "--since", "--hold", "--reason"]);
        let unknown = ["dhcp-pod", "ctl", "--socket", "s", "force", "--state", "Potential"];
        assert_eq!(Cli::try_parse_from(unknown).err().map(|error| error.exit_code()), Some(2));
    }
}
