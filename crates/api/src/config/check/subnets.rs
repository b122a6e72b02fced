//! The checks of a manifest: what concerns subnets, and the pools, reservations and options in them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::config::check::Checker;
use crate::config::text::{is_domain_name, parse_ethernet, parse_hex};
use crate::config::{
    ADDRESSES_MAX, Cidr, POOLS_MAX, Pool, RESERVATIONS_MAX, Reservation, ReservedFor, SUBNETS_MAX, Subnet,
};
use crate::pair::{self, PairSpec};
use crate::time::Seconds;

impl Checker {
    pub(super) fn subnets(&mut self, spec: &PairSpec) -> Vec<Subnet> {
        if spec.subnets.len() > SUBNETS_MAX {
            self.fail("spec.subnets", format!("has more than {SUBNETS_MAX} entries"));
            return Vec::new();
        }
        let mut subnets: Vec<Subnet> = Vec::new();
        let mut addresses = 0;
        for (index, subnet) in spec.subnets.iter().enumerate() {
            let path = format!("spec.subnets[{index}]");
            let cidr = match Cidr::parse(&subnet.cidr) {
                Ok(cidr) => cidr,
                Err(message) => {
                    self.fail(format!("{path}.cidr"), format!("`{}` {message}", subnet.cidr));
                    continue;
                }
            };
            if let Some(other) = subnets.iter().find(|other| other.cidr.overlaps(cidr)) {
                self.fail(format!("{path}.cidr"), format!("{cidr} overlaps with {}", other.cidr));
                continue;
            }
            let subnet = self.subnet(&path, cidr, subnet);
            addresses += subnet.pools.iter().map(|pool| u64::from(pool.size())).sum::<u64>();
            addresses += subnet.reservations.len() as u64;
            subnets.push(subnet);
        }
        if addresses > ADDRESSES_MAX {
            self.fail("spec.subnets", format!("have {addresses} addresses, more than {ADDRESSES_MAX}"));
        }
        subnets.sort_by_key(|subnet| subnet.cidr);
        subnets
    }

    fn subnet(&mut self, path: &str, cidr: Cidr, subnet: &pair::Subnet) -> Subnet {
        self.range(&format!("{path}.leaseSeconds"), subnet.lease_seconds, 60, u32::MAX);
        let pools = self.pools(path, cidr, subnet);
        let reservations = self.reservations(path, cidr, subnet);
        let custom = self.options(path, &subnet.options);
        Subnet {
            cidr,
            pools,
            lease: Seconds(subnet.lease_seconds),
            options: subnet.options.clone(),
            custom,
            reservations,
        }
    }

    fn pools(&mut self, path: &str, cidr: Cidr, subnet: &pair::Subnet) -> Vec<Pool> {
        if subnet.pools.len() > POOLS_MAX {
            self.fail(format!("{path}.pools"), format!("has more than {POOLS_MAX} entries"));
            return Vec::new();
        }
        let mut pools: Vec<Pool> = Vec::new();
        for (index, pool) in subnet.pools.iter().enumerate() {
            let path = format!("{path}.pools[{index}]");
            let mut sound = true;
            for (field, address) in [("first", pool.first), ("last", pool.last)] {
                if !cidr.is_host(address) {
                    self.fail(format!("{path}.{field}"), format!("{address} is no host address of {cidr}"));
                    sound = false;
                }
            }
            if pool.last < pool.first {
                self.fail(format!("{path}.last"), format!("{} lies before first, {}", pool.last, pool.first));
                sound = false;
            }
            if let Some(other) =
                pools.iter().find(|other| sound && other.first <= pool.last && pool.first <= other.last)
            {
                let message = format!("the range overlaps with {}-{}", other.first, other.last);
                self.fail(path.clone(), message);
                sound = false;
            }
            for (field, pct) in
                [("backupPct", pool.backup_pct), ("dynamicBootpBackupPct", pool.dynamic_bootp_backup_pct)]
            {
                if let Some(pct) = pct {
                    self.range(&format!("{path}.{field}"), pct, 0, 100);
                }
            }
            self.range(
                &format!("{path}.unavailableTimeoutSeconds"),
                pool.unavailable_timeout_seconds,
                60,
                0x7fff_ffff,
            );
            let boundary = pool.allocation_boundary.filter(|boundary| !boundary.is_unspecified());
            if boundary.is_some() && !pool.allocate_first_available {
                self.fail(format!("{path}.allocationBoundary"), "needs allocateFirstAvailable: true");
            }
            if sound {
                pools.push(Pool {
                    first: pool.first,
                    last: pool.last,
                    backup_pct: pool.backup_pct,
                    dynamic_bootp_backup_pct: pool.dynamic_bootp_backup_pct,
                    allocation_boundary: boundary,
                    allocate_first_available: pool.allocate_first_available,
                    unavailable_timeout: Seconds(pool.unavailable_timeout_seconds),
                    dynamic_bootp: pool.dynamic_bootp,
                });
            }
        }
        pools.sort_by_key(|pool| pool.first);
        pools
    }

    fn reservations(
        &mut self,
        path: &str,
        cidr: Cidr,
        subnet: &pair::Subnet,
    ) -> BTreeMap<Ipv4Addr, Reservation> {
        let mut reservations = BTreeMap::new();
        if subnet.reservations.len() > RESERVATIONS_MAX {
            self.fail(format!("{path}.reservations"), format!("has more than {RESERVATIONS_MAX} entries"));
            return reservations;
        }
        let mut clients = BTreeSet::new();
        for (index, reservation) in subnet.reservations.iter().enumerate() {
            let path = format!("{path}.reservations[{index}]");
            if !cidr.is_host(reservation.address) {
                self.fail(
                    format!("{path}.address"),
                    format!("{} is no host address of {cidr}", reservation.address),
                );
            }
            let Some(client) = self.reserved_for(&path, reservation) else { continue };
            if !clients.insert(client.clone()) {
                self.fail(path.clone(), "the client has another reservation in this subnet");
            }
            self.text(&format!("{path}.hostname"), reservation.hostname.as_deref());
            let entry = Reservation { client, hostname: reservation.hostname.clone() };
            if reservations.insert(reservation.address, entry).is_some() {
                self.fail(format!("{path}.address"), format!("{} is reserved twice", reservation.address));
            }
        }
        reservations
    }

    fn reserved_for(&mut self, path: &str, reservation: &pair::Reservation) -> Option<ReservedFor> {
        match (&reservation.hardware_address, &reservation.client_id) {
            (Some(hardware), None) => {
                let octets = parse_ethernet(hardware);
                if octets.is_none() {
                    self.fail(
                        format!("{path}.hardwareAddress"),
                        format!("`{hardware}` is no Ethernet address"),
                    );
                }
                octets.map(ReservedFor::Hardware)
            }
            (None, Some(id)) => {
                let octets = parse_hex(id).filter(|octets| (2..=255).contains(&octets.len()));
                if octets.is_none() {
                    self.fail(format!("{path}.clientId"), format!("`{id}` is not 2 to 255 octets in hex"));
                }
                octets.map(ReservedFor::ClientId)
            }
            _ => {
                self.fail(path, "needs exactly one of hardwareAddress and clientId");
                None
            }
        }
    }

    fn options(&mut self, path: &str, options: &pair::Options) -> BTreeMap<u8, Vec<u8>> {
        let path = format!("{path}.options");
        for (field, text) in [
            ("domainName", &options.domain_name),
            ("tftpServerName", &options.tftp_server_name),
            ("bootfileName", &options.bootfile_name),
        ] {
            self.text(&format!("{path}.{field}"), text.as_deref());
        }
        if let Some(mtu) = options.interface_mtu {
            self.range(&format!("{path}.interfaceMtu"), mtu, 68, u16::MAX);
        }
        for (index, name) in options.domain_search.iter().enumerate() {
            if !is_domain_name(name) {
                let message = format!("`{}` is no domain name", name.escape_debug());
                self.fail(format!("{path}.domainSearch[{index}]"), message);
            }
        }
        for (field, len) in [
            ("routers", options.routers.len()),
            ("domainNameServers", options.domain_name_servers.len()),
            ("ntpServers", options.ntp_servers.len()),
            ("domainSearch", options.domain_search.len()),
        ] {
            if len > 63 {
                self.fail(format!("{path}.{field}"), "has more than 63 entries");
            }
        }
        let mut custom = BTreeMap::new();
        for (index, option) in options.custom.iter().enumerate() {
            let path = format!("{path}.custom[{index}]");
            if let 0 | 50..=54 | 56..=59 | 61 | 82 | 255 = option.code {
                self.fail(format!("{path}.code"), format!("option {} belongs to the protocol", option.code));
            }
            match parse_hex(&option.hex) {
                None => self.fail(format!("{path}.hex"), "needs hex digits, two an octet"),
                Some(octets) if octets.len() > 1024 => {
                    self.fail(format!("{path}.hex"), "has more than 1024 octets");
                }
                Some(octets) => {
                    if custom.insert(option.code, octets).is_some() {
                        self.fail(format!("{path}.code"), format!("option {} is given twice", option.code));
                    }
                }
            }
        }
        custom
    }
}
