//! The checks of a manifest: what concerns the pair and its two servers.

mod subnets;

use std::fmt;
use std::net::Ipv4Addr;

use crate::config::text::parse_hex;
use crate::config::{FieldError, LoadBalancing, PairConfig, ServerConfig, relationship};
use crate::force::SafePeriod;
use crate::pair::{self, LinkSecurity, PairManifest, PairSpec};
use crate::time::Seconds;

/// Reads a manifest to its end and collects what is wrong with it.
#[derive(Default)]
pub(super) struct Checker {
    pub(super) errors: Vec<FieldError>,
}

impl Checker {
    fn fail(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.errors.push(FieldError { path: path.into(), message: message.into() });
    }

    fn range<T: PartialOrd + fmt::Display + Copy>(&mut self, path: &str, value: T, least: T, most: T) {
        if value < least || value > most {
            self.fail(path, format!("{value} is not between {least} and {most}"));
        }
    }

    /// Text that is sent in an option.
    fn text(&mut self, path: &str, text: Option<&str>) {
        if text.is_some_and(|text| text.is_empty() || text.len() > 255 || text.contains('\0')) {
            self.fail(path, "needs 1 to 255 octets, none of them NUL");
        }
    }

    pub(super) fn pair(&mut self, manifest: &PairManifest) -> PairConfig {
        if manifest.api_version != pair::API_VERSION {
            self.fail("apiVersion", format!("`{}` is not {}", manifest.api_version, pair::API_VERSION));
        }
        if manifest.kind != pair::KIND {
            self.fail("kind", format!("`{}` is not {}", manifest.kind, pair::KIND));
        }
        if manifest.metadata.name.is_empty() {
            self.fail("metadata.name", "must not be empty");
        }
        let spec = &manifest.spec;
        let relationship = relationship(manifest);
        if relationship.is_empty() || relationship.len() > 255 || relationship.contains('\0') {
            self.fail("spec.relationship", "needs 1 to 255 octets, none of them NUL");
        }
        // What the protocol takes. An API server only admits 60 s to a week; bare manifests may be bolder.
        self.range("spec.mcltSeconds", spec.mclt_seconds, 1, 0x7fff_ffff);
        self.range("spec.backupPct", spec.backup_pct, 0, 100);
        if let Some(pct) = spec.dynamic_bootp_backup_pct {
            self.range("spec.dynamicBootpBackupPct", pct, 0, 100);
        }
        self.link(spec);
        let load_balancing = spec.load_balancing.as_ref().map(|asked| self.load_balancing(asked));
        let primary = self.server("spec.primary", &spec.primary);
        let secondary = spec.secondary.as_ref().map(|server| self.server("spec.secondary", server));
        self.sides(spec, &primary, secondary.as_ref());
        let subnets = self.subnets(spec);
        PairConfig {
            relationship,
            uid: manifest.metadata.uid.clone(),
            generation: manifest.metadata.generation,
            mclt: Seconds(spec.mclt_seconds),
            backup_pct: if load_balancing.is_some() { 50 } else { spec.backup_pct },
            dynamic_bootp_backup_pct: spec.dynamic_bootp_backup_pct,
            load_balancing,
            poll_interval: Seconds(spec.link.poll_interval_seconds),
            poll_timeout: Seconds(spec.link.poll_timeout_seconds),
            max_unacked: spec.link.max_unacked,
            security: spec.link.security,
            port: spec.link.port,
            primary,
            secondary,
            subnets,
            partner_down_lease_time: spec.partner_down_lease_time,
            startup_expiry: spec.startup_expiry,
            ri_serve: spec.ri_serve,
            strict_isc_lead: spec.strict_isc_lead,
            safe_period: spec.safe_period.as_ref().map(|period| self.safe_period(period)),
        }
    }

    fn safe_period(&mut self, period: &SafePeriod) -> Seconds {
        self.range("spec.safePeriod.seconds", period.seconds, 60, 31_536_000);
        if !period.accept_duplicate_risk {
            self.fail(
                "spec.safePeriod.acceptDuplicateRisk",
                "must be true: a server cannot tell a dead partner from a cut link, and then two clients may \
                 get one address",
            );
        }
        Seconds(period.seconds)
    }

    fn link(&mut self, spec: &PairSpec) {
        let link = &spec.link;
        self.range("spec.link.pollIntervalSeconds", link.poll_interval_seconds, 1, 600);
        self.range("spec.link.pollTimeoutSeconds", link.poll_timeout_seconds, 5, 3600);
        self.range("spec.link.maxUnacked", link.max_unacked, 1, 1000);
        if u64::from(link.poll_timeout_seconds) < 3 * u64::from(link.poll_interval_seconds) {
            self.fail(
                "spec.link.pollTimeoutSeconds",
                format!(
                    "{} is less than three poll intervals of {} s",
                    link.poll_timeout_seconds, link.poll_interval_seconds
                ),
            );
        }
        if link.port == Some(0) {
            self.fail("spec.link.port", "0 is not between 1 and 65535");
        }
    }

    fn load_balancing(&mut self, asked: &pair::LoadBalancing) -> LoadBalancing {
        let path = "spec.loadBalancing";
        self.range(&format!("{path}.maxSeconds"), asked.max_seconds, 0, 255);
        let mut hba = [0; 32];
        match (asked.split, &asked.hba) {
            (Some(_), Some(_)) => self.fail(path, "split and hba exclude each other"),
            (None, Some(hex)) => match parse_hex(hex).and_then(|octets| <[u8; 32]>::try_from(octets).ok()) {
                Some(octets) => hba = octets,
                None => self.fail(format!("{path}.hba"), "needs 64 hex digits"),
            },
            (split, None) => {
                let split = split.unwrap_or(128);
                self.range(&format!("{path}.split"), split, 0, 256);
                for bucket in 0..usize::from(split.min(256)) {
                    hba[bucket / 8] |= 1 << (bucket % 8);
                }
            }
        }
        LoadBalancing { hba, max_seconds: asked.max_seconds }
    }

    fn server(&mut self, path: &str, server: &pair::Server) -> ServerConfig {
        match (&server.pod, &server.external) {
            (Some(pod), None) => {
                let valid = (1..=15).contains(&pod.interface.len())
                    && !pod.interface.contains(|c: char| c == '/' || c.is_whitespace());
                if !valid {
                    self.fail(
                        format!("{path}.pod.interface"),
                        format!("`{}` is no name of a network interface", pod.interface),
                    );
                }
                if let Some(address) = pod.address {
                    self.host_address(&format!("{path}.pod.address"), address);
                }
                ServerConfig::Pod { interface: pod.interface.clone(), address: pod.address }
            }
            (None, Some(external)) => {
                self.host_address(&format!("{path}.external.address"), external.address);
                if external.port == 0 {
                    self.fail(format!("{path}.external.port"), "0 is not between 1 and 65535");
                }
                ServerConfig::External { address: external.address, port: external.port }
            }
            (None, None) => {
                self.fail(path, "needs one of pod and external");
                ServerConfig::Pod { interface: String::new(), address: None }
            }
            (Some(_), Some(_)) => {
                self.fail(path, "pod and external exclude each other");
                ServerConfig::Pod { interface: String::new(), address: None }
            }
        }
    }

    fn host_address(&mut self, path: &str, address: Ipv4Addr) {
        if address.is_unspecified()
            || address.is_loopback()
            || address.is_multicast()
            || address.is_broadcast()
        {
            self.fail(path, format!("{address} is not the address of a host on a network"));
        }
    }

    fn sides(&mut self, spec: &PairSpec, primary: &ServerConfig, secondary: Option<&ServerConfig>) {
        let external = |server: &ServerConfig| matches!(server, ServerConfig::External { .. });
        let one_external = external(primary) || secondary.is_some_and(external);
        match secondary {
            Some(secondary) if external(primary) && external(secondary) => {
                self.fail("spec.secondary", "at most one of the two servers may be external");
            }
            None if external(primary) => {
                self.fail("spec.primary", "an external server needs a partner of ours");
            }
            _ => {}
        }
        if one_external && spec.link.security != LinkSecurity::Plain {
            self.fail("spec.link.security", "must be Plain with an external partner, which speaks no TLS");
        }
        let address = |server: &ServerConfig| match server {
            ServerConfig::Pod { address, .. } => *address,
            ServerConfig::External { address, .. } => Some(*address),
        };
        if let (Some(one), Some(two)) = (address(primary), secondary.and_then(address))
            && one == two
        {
            self.fail("spec.secondary", format!("has the address {one} of the primary"));
        }
    }
}
