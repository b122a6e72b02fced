//! Configurations that do not fit: told on both sides, and nothing is given away meanwhile.

use std::thread::sleep;
use std::time::Duration;

use interop::pair::{Pair, Role, Setup};
use interop::until;

/// What our server says of the link, in its status and so in the object's conditions.
fn told(pair: &Pair, words: &[&str]) {
    until(&format!("a word of {words:?}"), 60, || {
        let status = pair.ours.status()?;
        let text = status["linkError"].as_str().unwrap_or_default().to_owned();
        if words.iter().all(|word| text.contains(word)) { Ok(()) } else { Err(format!("`{text}`")) }
    });
    pair.say(&format!(
        "ours: {}",
        pair.ours.status().map(|status| status["linkError"].to_string()).unwrap_or_default()
    ));
}

pub(crate) fn another_name_for_the_relationship(role: Role) {
    let mut pair = Setup { isc_name: "other", ..Setup::new(role) }.start("name");
    told(&pair, &["InvalidPartner"]);
    until("a word in the dhcpd's log", 60, || {
        let log = pair.isc.log();
        let said = log.lines().rev().find(|line| line.contains("rejected") || line.contains("unknown"));
        said.map(|_| ()).ok_or_else(|| interop::process::tail(&log, 5))
    });
    pair.isc.assert_alive();
    pair.ours.assert_alive();
    let log = pair.ours.log();
    assert!(log.contains("relationship"), "{log}");
}

pub(crate) fn both_have_the_same_role(role: Role) {
    let mut pair = Setup { isc_role: role, ..Setup::new(role) }.start("role");
    match role {
        Role::Primary => told(&pair, &["InvalidPartner", "both servers are configured as primary"]),
        // Neither opens, so each waits for the other to.
        Role::Secondary => told(&pair, &["did not send CONNECT", "configured as secondary too"]),
    }
    sleep(Duration::from_secs(20));
    let state = pair.ours.state().unwrap_or_else(|why| panic!("{why}"));
    assert_ne!(state, "Normal", "two servers of one role are no pair");
    pair.isc.assert_alive();
    pair.ours.assert_alive();
}
