//! What servers of ours tell each other about a client beside its binding: DHCP options 12 and 82, as
//! code, length, data (`spec/failover-protocol.md` §9, sub-option 9).

use leases::lease::Lease;

/// What a partner told of a client.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Told {
    pub(super) hostname: Option<String>,
    pub(super) relay_info: Option<Vec<u8>>,
}

/// The options of a record; `None` if there is nothing to tell.
pub(super) fn encode(lease: &Lease) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    if let Some(hostname) = &lease.hostname {
        push(&mut out, HOST_NAME, hostname.as_bytes());
    }
    if let Some(relay_info) = &lease.relay_info {
        push(&mut out, RELAY_INFO, relay_info);
    }
    (!out.is_empty()).then_some(out)
}

/// Reads what it can: unknown options are skipped, and what does not decode is left.
pub(super) fn decode(mut octets: &[u8]) -> Told {
    let mut told = Told::default();
    while let [code, len, rest @ ..] = octets {
        let Some((data, rest)) = rest.split_at_checked(usize::from(*len)) else { break };
        match *code {
            HOST_NAME => told.hostname = String::from_utf8(data.to_vec()).ok(),
            RELAY_INFO => told.relay_info = Some(data.to_vec()),
            _ => {}
        }
        octets = rest;
    }
    told
}

fn push(out: &mut Vec<u8>, code: u8, data: &[u8]) {
    if let Ok(len) = u8::try_from(data.len()) {
        out.extend([code, len]);
        out.extend(data);
    }
}

const HOST_NAME: u8 = 12;
const RELAY_INFO: u8 = 82;
