//! Bodies of the admin API: read, and what they ask for asked of a server.

use api::identity::Role;
use axum::response::IntoResponse;
use dhcp_pod::admin::{Problem, body};
use server::{Caller, Command};

use crate::bench::Bench;
use crate::input::Input;

/// Most bodies of one input.
const BODIES_MAX: usize = 8;

/// Bodies, each behind an octet that names its route and a length.
pub fn check(octets: &[u8]) {
    let mut input = Input::new(octets);
    let mut bench = Bench::new();
    for _ in 0..BODIES_MAX {
        if input.is_empty() {
            break;
        }
        let route = input.octet();
        match read(route, input.part()) {
            Ok(command) => {
                bench.command(command);
                bench.advance(2_000);
            }
            Err(problem) => refused(problem),
        }
    }
    // Whatever was asked, the process can be stopped and started.
    bench.command(Command::Pause);
    bench.wait(15);
    bench.expect_all_answered();
    bench.restart();
    bench.advance(2_000);
}

/// What the route that an octet names makes of a body.
pub fn read(route: u8, bytes: &[u8]) -> Result<Command, Problem> {
    let caller = if route & 0x80 == 0 { Caller::Human } else { Caller::Operator };
    match route & 0x07 {
        0 | 1 => body::force(Role::Primary, caller, bytes),
        2 => {
            // A route has the id that its body should have.
            let id = serde_json::from_slice(bytes).ok().and_then(|body: serde_json::Value| {
                body.get("requestId").and_then(|id| id.as_str().map(str::to_owned))
            });
            body::note(Role::Primary, id.as_deref().unwrap_or("fire-1"), bytes)
        }
        3 => body::fence(bytes),
        4 => body::highest(bytes),
        5 => body::reset("10.50.0.105", bytes),
        6 => {
            let mut input = Input::new(bytes);
            let address = String::from_utf8_lossy(input.part());
            body::reset(&address, input.rest())
        }
        _ => body::bootstrap_token(bytes),
    }
}

/// What cannot be meant is the caller's fault and never the server's.
fn refused(problem: Problem) {
    let status = problem.into_response().status();
    assert!(status.is_client_error(), "{status}");
}
