//! Reads a pair's manifest, as JSON or YAML, and checks it.

use api::config::{FieldError, PairConfig};
use api::pair::PairManifest;
use serde::de::DeserializeOwned;

/// Longest manifest. An API server stores no object above 1.5 MiB.
pub const BYTES_MAX: usize = 4 << 20;
/// Most unknown fields that one line of the log names.
const NAMED_MAX: usize = 8;

/// What is wrong with a manifest: all faults that were found, each with the path of its field.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", .0.iter().map(FieldError::to_string).collect::<Vec<_>>().join("; "))]
pub struct Error(pub Vec<FieldError>);

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        "manifest"
    }

    /// A single fault.
    #[must_use]
    pub fn one(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self(vec![FieldError { path: path.into(), message: message.into() }])
    }
}

/// Reads and checks a manifest.
pub fn parse(bytes: &[u8]) -> Result<(PairManifest, PairConfig), Error> {
    if bytes.len() > BYTES_MAX {
        return Err(Error::one("", format!("is longer than {BYTES_MAX} octets")));
    }
    let manifest = read_manifest(bytes)?;
    let config = PairConfig::new(&manifest).map_err(Error)?;
    Ok((manifest, config))
}

/// Fields of a manifest that this release does not know, by their paths. Not an error to a server, which
/// may be older than the operator. What cannot be read at all has none.
#[must_use]
pub fn unknown_fields(bytes: &[u8]) -> Vec<String> {
    if bytes.len() > BYTES_MAX {
        return Vec::new();
    }
    read(bytes).map(|raw| api::unknown::unknown_fields(&raw)).unwrap_or_default()
}

/// Warns of the fields of a manifest that this release does not know.
pub fn warn_of_unknown_fields(origin: &str, bytes: &[u8]) {
    let unknown = unknown_fields(bytes);
    if unknown.is_empty() {
        return;
    }
    let more = unknown.len().saturating_sub(NAMED_MAX);
    let named = &unknown[..unknown.len() - more];
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    tracing::warn!(
        "{origin}: fields that this release does not know are ignored: {}{more}",
        named.join(", ")
    );
}

/// A server ignores `spec.forceState`, whatever it contains: only `POST /v1/force` acts.
fn read_manifest(bytes: &[u8]) -> Result<PairManifest, Error> {
    let mut manifest: PairManifest = read(bytes).or_else(|error| {
        let mut raw: serde_json::Value = read(bytes).map_err(|_| error.clone())?;
        let spec = raw.get_mut("spec").and_then(serde_json::Value::as_object_mut);
        if spec.and_then(|spec| spec.remove("forceState")).is_none() {
            return Err(error);
        }
        serde_json::from_value(raw).map_err(|error| Error::one("", error.to_string()))
    })?;
    manifest.spec.force_state = None;
    Ok(manifest)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let text = std::str::from_utf8(bytes).map_err(|error| Error::one("", format!("is no UTF-8: {error}")))?;
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| Error::one("", error.to_string()));
    }
    serde_saphyr::from_str(text).map_err(|error| Error::one("", error.to_string()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const MANIFEST: &str = r#"
apiVersion: dhcpfailover.io/v1alpha1
kind: DhcpFailoverPair
metadata: {name: lab, namespace: dhcp, generation: 3, labels: {unknown: fields-are-skipped}}
spec:
  mcltSeconds: 60
  link: {security: Plain}
  primary: {pod: {interface: eth0, address: 10.77.0.1}}
  secondary: {pod: {interface: eth0, address: 10.77.0.2}}
  subnets:
    - cidr: 10.77.0.0/24
      pools: [{first: 10.77.0.100, last: 10.77.0.199}]
      leaseSeconds: 3600
      options: {routers: [10.77.0.1]}
"#;

    #[test]
    fn yaml_and_json_mean_the_same() {
        let (yaml, config) = parse(MANIFEST.as_bytes()).expect("valid YAML");
        let json = serde_json::to_vec(&yaml).expect("JSON");
        assert_eq!(parse(&json).expect("valid JSON"), (yaml, config));
    }

    #[test]
    fn all_faults_are_named_with_their_paths() {
        let text = MANIFEST
            .replace("v1alpha1", "v7")
            .replace("10.77.0.199}", "10.99.0.1}")
            .replace("mcltSeconds: 60", "mcltSeconds: 0");
        let Error(errors) = parse(text.as_bytes()).expect_err("three faults");
        let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
        for path in ["apiVersion", "spec.mcltSeconds", "spec.subnets[0].pools[0].last"] {
            assert!(
                paths.iter().any(|found| found.starts_with(path.trim_end_matches(".last"))),
                "{path}: {errors:?}"
            );
        }
    }

    #[test]
    fn unknown_fields_are_found_in_both_forms_and_do_not_stop_parsing() {
        let yaml = MANIFEST.replace("mcltSeconds: 60", "mcltSecond: 60\n  7: seven");
        parse(yaml.as_bytes()).expect("unknown fields are skipped");
        assert_eq!(unknown_fields(yaml.as_bytes()), ["spec.7", "spec.mcltSecond"]);
        let mut json = serde_json::to_value(parse(MANIFEST.as_bytes()).expect("valid").0).expect("JSON");
        json["spec"]["link"]["polInterval"] = 3.into();
        assert_eq!(unknown_fields(json.to_string().as_bytes()), ["spec.link.polInterval"]);
        assert_eq!(unknown_fields(MANIFEST.as_bytes()), Vec::<String>::new());
        assert_eq!(unknown_fields(b"just text"), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_manifest_is_refused_with_words() {
        for bytes in [&b""[..], b"\xff\xfe", b"{", b"[]", b"just text", b"spec: {primary: 7}"] {
            let error = parse(bytes).expect_err("not a manifest");
            assert!(!error.to_string().is_empty());
        }
        assert!(parse(&vec![b' '; BYTES_MAX + 1]).is_err());
    }
}
