//! Option 29, the language between own servers: repeated sub-code u16, length u16, data (§9).
//!
//! | sub-code | data, big-endian |
//! |---|---|
//! | 1 capabilities | u32 |
//! | 2 window | u32 |
//! | 4 config digest | octets |
//! | 5 database digest | addresses that are not agreed upon, u32; octets |
//! | 6 progress | epoch, LSN, transition, partner's epoch, partner's LSN; u64 each |
//! | 7 last operational | last operational, known down; u32 each |
//! | 8 partner-down lease | u32 |
//! | 12 heartbeat | u64 |
//! | 13 ledger | octets |

use api::identity::Lsn;

use super::message::Extension;

/// Reads option 29. Malformed contents only lose the sub-option that has them, a malformed length
/// also those behind it: an extension is a benefit, never a reason to lose the link.
pub(super) fn read(mut rest: &[u8]) -> Vec<Extension> {
    let mut extensions = Vec::new();
    while let Some((&[c0, c1, l0, l1], tail)) = rest.split_first_chunk() {
        let octets = usize::from(u16::from_be_bytes([l0, l1]));
        let Some((data, next)) = tail.split_at_checked(octets) else { break };
        extensions.extend(read_one(u16::from_be_bytes([c0, c1]), data));
        rest = next;
    }
    extensions
}

/// Appends one sub-option; `None` if its content is longer than a length field can say.
pub(super) fn write(extension: &Extension, out: &mut Vec<u8>) -> Option<()> {
    let (code, data) = match extension {
        Extension::Capabilities(bits) => (CAPABILITIES, bits.to_be_bytes().to_vec()),
        Extension::Window(updates) => (WINDOW, updates.to_be_bytes().to_vec()),
        Extension::ConfigDigest(digest) => (CONFIG_DIGEST, digest.clone()),
        Extension::DatabaseDigest { open, digest } => {
            (DATABASE_DIGEST, [&open.to_be_bytes(), digest.as_slice()].concat())
        }
        Extension::Progress { epoch, lsn, transition, partner_epoch, partner_lsn } => {
            let numbers = [*epoch, lsn.0, *transition, *partner_epoch, partner_lsn.0];
            (PROGRESS, numbers.into_iter().flat_map(u64::to_be_bytes).collect())
        }
        Extension::LastOperational { last_operational, known_down } => {
            let times = [*last_operational, *known_down];
            (LAST_OPERATIONAL, times.into_iter().flat_map(u32::to_be_bytes).collect())
        }
        Extension::PartnerDownLease(seconds) => (PARTNER_DOWN_LEASE, seconds.to_be_bytes().to_vec()),
        Extension::Heartbeat(count) => (HEARTBEAT, count.to_be_bytes().to_vec()),
        Extension::Ledger(json) => (LEDGER, json.clone()),
        Extension::Other { code, data } => (*code, data.clone()),
    };
    let octets = u16::try_from(data.len()).ok()?;
    out.extend(code.to_be_bytes());
    out.extend(octets.to_be_bytes());
    out.extend(data);
    Some(())
}

fn read_one(code: u16, data: &[u8]) -> Option<Extension> {
    Some(match code {
        CAPABILITIES => Extension::Capabilities(number(data)?),
        WINDOW => Extension::Window(number(data)?),
        CONFIG_DIGEST => Extension::ConfigDigest(data.to_vec()),
        DATABASE_DIGEST => {
            let (open, digest) = data.split_at_checked(4)?;
            Extension::DatabaseDigest { open: number(open)?, digest: digest.to_vec() }
        }
        PROGRESS => {
            let [epoch, lsn, transition, partner_epoch, partner_lsn] = long_numbers(data)?;
            Extension::Progress {
                epoch,
                lsn: Lsn(lsn),
                transition,
                partner_epoch,
                partner_lsn: Lsn(partner_lsn),
            }
        }
        LAST_OPERATIONAL => {
            let (last_operational, known_down) = data.split_at_checked(4)?;
            Extension::LastOperational {
                last_operational: number(last_operational)?,
                known_down: number(known_down)?,
            }
        }
        PARTNER_DOWN_LEASE => Extension::PartnerDownLease(number(data)?),
        HEARTBEAT => {
            let [count] = long_numbers(data)?;
            Extension::Heartbeat(count)
        }
        LEDGER => Extension::Ledger(data.to_vec()),
        _ => Extension::Other { code, data: data.to_vec() },
    })
}

fn number(data: &[u8]) -> Option<u32> {
    data.try_into().ok().map(u32::from_be_bytes)
}

/// Exactly `N` numbers of eight octets.
fn long_numbers<const N: usize>(data: &[u8]) -> Option<[u64; N]> {
    let (chunks, rest) = data.as_chunks::<8>();
    let chunks: &[[u8; 8]; N] = chunks.try_into().ok()?;
    rest.is_empty().then(|| chunks.map(u64::from_be_bytes))
}

const CAPABILITIES: u16 = 1;
const WINDOW: u16 = 2;
const CONFIG_DIGEST: u16 = 4;
const DATABASE_DIGEST: u16 = 5;
const PROGRESS: u16 = 6;
const LAST_OPERATIONAL: u16 = 7;
const PARTNER_DOWN_LEASE: u16 = 8;
const HEARTBEAT: u16 = 12;
const LEDGER: u16 = 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_sub_option_is_lost_and_its_neighbours_are_not() {
        let mut data = vec![0, 2, 0, 3, 1, 2, 3]; // a window of three octets
        data.extend([0, 12, 0, 8, 0, 0, 0, 0, 0, 0, 0, 5]);
        data.extend([0, 6, 0, 39]);
        data.extend([0; 39]); // one octet short
        data.extend([0, 7, 0, 2, 0, 0]);
        data.extend([0, 5, 0, 3, 0, 0, 0]);
        data.extend([0, 8, 0, 4, 0, 0, 2, 88]);
        assert_eq!(read(&data), [Extension::Heartbeat(5), Extension::PartnerDownLease(600)]);
    }

    #[test]
    fn a_sub_option_past_the_end_keeps_those_before_it() {
        let data = [0, 1, 0, 4, 0, 0, 0, 9, 0, 2, 0, 4, 0, 0];
        assert_eq!(read(&data), [Extension::Capabilities(9)]);
        assert_eq!(read(data.split_at(9).0), [Extension::Capabilities(9)]);
    }

    #[test]
    fn an_unknown_sub_code_is_passed_over() {
        let data = [0, 99, 0, 1, 7, 0, 1, 0, 4, 0, 0, 0, 1];
        assert_eq!(read(&data), [Extension::Other { code: 99, data: vec![7] }, Extension::Capabilities(1)]);
    }
}
