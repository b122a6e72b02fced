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
    let metrics = pair.ours.metrics().unwrap_or_else(|why| panic!("{why}"));
    let count = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().parse().unwrap_or(0_u64)
    };
    let (sent, received) =
        if role == Role::Primary { ("CONNECT", "CONNECTACK") } else { ("CONNECTACK", "CONNECT") };
    for (way, handshake) in [("received", received), ("sent", sent)] {
        for name in [handshake, "STATE", "BNDUPD", "BNDACK", "CONTACT"] {
            let name = format!("dhcp_failover_messages_{way}_total{{type=\"{name}\"}}");
            assert!(count(&name) > 0, "{name}: {metrics}");
        }
    }
    assert_eq!(count("dhcp_failover_state{state=\"Normal\"}"), 1, "{metrics}");
    assert!(count("dhcp_state_changes_total{state=\"CommunicationsInterrupted\"}") > 0, "{metrics}");
    pair.assert_isc_content();
}
