//! What servers of ours tell each other beside a binding: its client's DHCP options 12 and 82, and how long it is
//! held, as code, length, data (`spec/failover-protocol.md` §9, sub-option 9).

use api::time::UnixTime;
use leases::lease::{Lease, Status};

use crate::wire::BindingUpdate;

/// What a partner told.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Told {
    pub(super) hostname: Option<String>,
    pub(super) relay_info: Option<Vec<u8>>,
    /// By the partner's clock.
    pub(super) hold_until: Option<u32>,
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
pub(super) fn decode(octets: &[u8]) -> Told {
    let mut told = Told::default();
    for (code, data) in each(octets) {
        match code {
            HOST_NAME => told.hostname = String::from_utf8(data.to_vec()).ok(),
            RELAY_INFO => told.relay_info = Some(data.to_vec()),
            HOLD_UNTIL => told.hold_until = time(data),
            _ => {}
        }
    }
    told
}

/// Adds to an update how long the address is held because either side lost its data (decision 024). An older
/// partner skips it.
pub fn tell_hold(update: &mut BindingUpdate, lease: &Lease, now: UnixTime) {
    if lease.hold_until > now && !lease.hold_until.is_infinite() {
        let options = update.request_options.get_or_insert_default();
        push(options, HOLD_UNTIL, &lease.hold_until.get().to_be_bytes());
    }
}

/// Whether an update says that.
#[must_use]
pub fn tells_hold(update: &BindingUpdate) -> bool {
    let octets = update.request_options.as_deref().unwrap_or_default();
    each(octets).filter(|(code, _)| *code == HOLD_UNTIL).last().is_some_and(|(_, data)| time(data).is_some())
}

/// Adds to an update of a reserved address that nobody holds for whom it is reserved (decision 032). An older partner skips it.
pub fn tell_holder(update: &mut BindingUpdate, holder: &[u8]) {
    if update.flags.reserved && !matches!(update.status, Some(Status::Active | Status::Abandoned)) {
        push(update.request_options.get_or_insert_default(), RESERVED_FOR, holder);
    }
}

/// For whom an update says that the address is reserved.
#[must_use]
pub fn holder_told(update: &BindingUpdate) -> Option<&[u8]> {
    let octets = update.request_options.as_deref().unwrap_or_default();
    each(octets).filter(|(code, _)| *code == RESERVED_FOR).last().map(|(_, data)| data)
}

/// Codes and data, up to the first option that is cut short.
fn each(mut octets: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let [code, len, rest @ ..] = octets else { return None };
        let (data, rest) = rest.split_at_checked(usize::from(*len))?;
        octets = rest;
        Some((*code, data))
    })
}

fn time(data: &[u8]) -> Option<u32> {
    data.try_into().ok().map(u32::from_be_bytes)
}

fn push(out: &mut Vec<u8>, code: u8, data: &[u8]) {
    if let Ok(len) = u8::try_from(data.len()) {
        out.extend([code, len]);
        out.extend(data);
    }
}

const HOST_NAME: u8 = 12;
const RELAY_INFO: u8 = 82;
/// The last two of the codes that RFC 2132 leaves to a site.
const RESERVED_FOR: u8 = 253;
const HOLD_UNTIL: u8 = 254;
