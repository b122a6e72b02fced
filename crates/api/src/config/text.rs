//! What the texts of a manifest stand for.

/// Parses `52:54:00:00:00:01`.
#[must_use]
pub fn parse_ethernet(text: &str) -> Option<[u8; 6]> {
    let mut octets = [0; 6];
    let mut parts = text.split([':', '-']);
    for octet in &mut octets {
        let part = parts.next()?;
        if part.len() != 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *octet = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(octets)
}

/// Parses hex digits, two an octet; colons between octets are allowed.
#[must_use]
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}

/// Whether a name fits into the format of RFC 1035 §3.1: labels of 1 to 63 octets, 255 in all with their
/// lengths and the root's. A dot at the end says no more than the others.
pub(super) fn is_domain_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() + 2 <= 255
        && name.split('.').all(|label| (1..=63).contains(&label.len()) && !label.contains('\0'))
}
