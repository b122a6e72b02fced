//! What a person on call can see of the link.

use interop::client::Client;
use interop::pair::Role;
use interop::until;

use crate::{RETURN, SYNC, in_normal};

pub(crate) fn every_message_is_traced_in_a_line_and_counted(role: Role) {
    let mut pair = in_normal("observed", role);
    let trace = pair.ours.trace(&pair.lab);
    pair.isc.kill();
    pair.until_ours("CommunicationsInterrupted", 30);
    pair.start_isc();
    pair.until_normal(RETURN);
    let mut clients = [Client::new(&mut pair.lab, 1), Client::new(&mut pair.lab, 5)];
    for client in &mut clients {
        pair.take(client);
    }
    pair.until_equal(SYNC);
    let (opens, accepts) = if role == Role::Primary { ("->", "<-") } else { ("<-", "->") };
    for (way, name) in [
        (opens, "CONNECT"),
        (accepts, "CONNECTACK"),
        ("<-", "STATE"),
        ("->", "STATE"),
        ("<-", "BNDUPD"),
        ("->", "BNDUPD"),
        ("<-", "BNDACK"),
        ("->", "BNDACK"),
        ("<-", "CONTACT"),
        ("->", "CONTACT"),
    ] {
        until(&format!("{way} {name}"), SYNC, || {
            let log = trace.log();
            let said = log.lines().any(|line| line.contains(&format!(" {way} {name} xid=")));
            said.then_some(()).ok_or(log)
        });
    }
    let address = clients[0].lease.as_ref().expect("a lease").address.to_string();
    let log = trace.log();
    assert!(
        log.lines()
            .any(|line| ["BNDUPD", &address, &clients[0].hardware()].iter().all(|word| line.contains(word))),
        "{log}"
    );
    let (sent, received) =
        if role == Role::Primary { ("CONNECT", "CONNECTACK") } else { ("CONNECTACK", "CONNECT") };
    let mut counted = vec!["dhcp_state_changes_total{state=\"CommunicationsInterrupted\"}".to_owned()];
    for (way, handshake) in [("received", received), ("sent", sent)] {
        for name in [handshake, "STATE", "BNDUPD", "BNDACK", "CONTACT"] {
            counted.push(format!("dhcp_failover_messages_{way}_total{{type=\"{name}\"}}"));
        }
    }
    // What is counted is published up to a second later.
    until("every message is counted", SYNC, || {
        let metrics = pair.ours.metrics()?;
        let count = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim().parse().unwrap_or(0_u64)
        };
        if let Some(name) = counted.iter().find(|name| count(name) == 0) {
            return Err(format!("{name}: {metrics}"));
        }
        match count("dhcp_failover_state{state=\"Normal\"}") {
            1 => Ok(()),
            other => Err(format!("Normal is {other}: {metrics}")),
        }
    });
    pair.assert_isc_content();
}
