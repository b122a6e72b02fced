//! Configurations that do not fit: told on both sides, and nothing is given away meanwhile.

use std::thread::sleep;
use std::time::Duration;

use interop::isc::OTHER_NAME;
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

/// Waits for a line with these words in the dhcpd's log.
fn told_by_the_dhcpd(pair: &Pair, words: &str) {
    until(&format!("the dhcpd says `{words}`"), 60, || {
        let log = pair.isc.log();
        log.contains(words).then_some(()).ok_or_else(|| interop::process::tail(&log, 5))
    });
}

pub(crate) fn another_name_for_the_relationship(role: Role) {
    let mut pair = Setup { isc_name: "other", ..Setup::new(role) }.start("name");
    told(&pair, &["InvalidPartner"]);
    told_by_the_dhcpd(
        &pair,
        match role {
            Role::Primary => "Failover CONNECT from fo-peer: unknown failover relationship name",
            Role::Secondary => {
                "Failover CONNECT to other rejected: Connection rejected, invalid failover partner."
            }
        },
    );
    let log = pair.ours.log();
    assert!(log.contains("relationship"), "{log}");
    pair.assert_isc_says_only(OTHER_NAME);
}

pub(crate) fn both_have_the_same_role(role: Role) {
    let mut pair = Setup { isc_role: role, ..Setup::new(role) }.start("role");
    match role {
        Role::Primary => told(&pair, &["InvalidPartner", "both servers are configured as primary"]),
        // Neither opens, so each waits for the other to.
        Role::Secondary => told(&pair, &["did not send CONNECT", "configured as secondary too"]),
    }
    // Words of ours are not shown by a dhcpd, only their number.
    let refused = "Failover DISCONNECT from ";
    told_by_the_dhcpd(&pair, refused);
    told_by_the_dhcpd(&pair, ": Connection rejected, invalid failover partner.");
    sleep(Duration::from_secs(20));
    let state = pair.ours.state().unwrap_or_else(|why| panic!("{why}"));
    assert_ne!(state, "Normal", "two servers of one role are no pair");
    pair.assert_isc_says_only(&[refused, "failover: link startup timeout"]);
}
