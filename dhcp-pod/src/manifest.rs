//! Reads a pair's manifest, as JSON or YAML, and checks it.

use api::config::{FieldError, PairConfig};
use api::pair::{API_VERSION, KIND, PairManifest};

/// Longest manifest. An API server stores no object above 1.5 MiB.
pub const BYTES_MAX: usize = 4 << 20;

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
    let manifest = read(bytes)?;
    let mut errors = Vec::new();
    if manifest.api_version != API_VERSION {
        let message = format!("is `{}`; this server knows {API_VERSION}", manifest.api_version);
        errors.push(FieldError { path: "apiVersion".to_owned(), message });
    }
    if manifest.kind != KIND {
        let message = format!("is `{}`, not {KIND}", manifest.kind);
        errors.push(FieldError { path: "kind".to_owned(), message });
    }
    match PairConfig::new(&manifest) {
        Ok(config) if errors.is_empty() => Ok((manifest, config)),
        Ok(_) => Err(Error(errors)),
        Err(more) => {
            errors.extend(more);
            Err(Error(errors))
        }
    }
}

fn read(bytes: &[u8]) -> Result<PairManifest, Error> {
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
    fn what_is_no_manifest_is_refused_with_words() {
        for bytes in [&b""[..], b"\xff\xfe", b"{", b"[]", b"just text", b"spec: {primary: 7}"] {
            let error = parse(bytes).expect_err("not a manifest");
            assert!(!error.to_string().is_empty());
        }
        assert!(parse(&vec![b' '; BYTES_MAX + 1]).is_err());
    }
}
