//! Text that clients send: untrusted octets on their way to logs, listings and the partner.

/// Longest text that is kept, in octets.
const TEXT_LEN_MAX: usize = 255;

/// Makes text of octets: what is not UTF-8 becomes U+FFFD, control characters (NUL among them, which
/// some clients append) vanish, and what is beyond 255 octets is cut at a character. `None` if
/// nothing is left.
pub(crate) fn clean(octets: &[u8]) -> Option<String> {
    let mut text = String::new();
    for character in String::from_utf8_lossy(octets).chars().filter(|character| !character.is_control()) {
        if text.len() + character.len_utf8() > TEXT_LEN_MAX {
            break;
        }
        text.push(character);
    }
    (!text.is_empty()).then_some(text)
}

/// The name in option 81 (RFC 4702 §2): flags, two octets without meaning, then the name in wire
/// format if flag E is set, else in the deprecated ASCII format.
pub(crate) fn fqdn(content: &[u8]) -> Option<String> {
    const FLAG_E: u8 = 0x04;
    let (head, name) = content.split_at_checked(3)?;
    if head.first()? & FLAG_E == 0 {
        return clean(name);
    }
    let mut dotted = Vec::with_capacity(name.len());
    let mut rest = name;
    // A name without its final zero octet is a partial one (RFC 4702 §2.3.1), not a broken one.
    while let Some((&len, after)) = rest.split_first() {
        if len == 0 {
            break;
        }
        // Compression is forbidden here, so a length above 63 is no label.
        let (label, after) = after.split_at_checked(usize::from(len)).filter(|_| len <= 63)?;
        if !dotted.is_empty() {
            dotted.push(b'.');
        }
        dotted.extend_from_slice(label);
        rest = after;
    }
    clean(&dotted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_vanish_and_broken_utf8_is_marked() {
        assert_eq!(clean(b"prin\x1b[2Jter\0").as_deref(), Some("prin[2Jter"));
        assert_eq!(clean(b"caf\xe9").as_deref(), Some("caf\u{fffd}"));
        assert_eq!(clean(b"\0\0"), None);
        assert_eq!(clean(b""), None);
    }

    #[test]
    fn text_never_exceeds_255_octets_even_when_each_octet_grows_to_three() {
        let text = clean(&[0xff; 300]).unwrap_or_default();
        assert_eq!(text.len(), 255);
    }

    #[test]
    fn option_81_is_read_in_both_formats() {
        assert_eq!(fqdn(b"\x05\0\0\x04host\x03lan\0").as_deref(), Some("host.lan"));
        assert_eq!(fqdn(b"\x05\0\0\x04host").as_deref(), Some("host"));
        assert_eq!(fqdn(b"\x01\0\0host.lan").as_deref(), Some("host.lan"));
        assert_eq!(fqdn(b"\x05\0\0\x40host"), None);
        assert_eq!(fqdn(b"\x05\0\0\x05host"), None);
        assert_eq!(fqdn(b"\x05\0\0\0"), None);
        assert_eq!(fqdn(b"\x05\0"), None);
    }
}
