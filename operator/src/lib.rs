//! The controller: `DhcpFailoverPair` to child objects, pod status to object status.
//!
//! A pass goes one way: [`admission`] decides whether a pair may run, [`observe`] sees what there
//! is (I/O), [`plan`] decides everything (pure), [`apply`] makes it so (I/O), [`status`] writes what
//! was seen (I/O). [`monitor`] follows the servers' own reports between passes.

pub mod admin;
pub mod admission;
pub mod apply;
pub mod certs;
pub mod conditions;
pub mod controller;
pub mod crd;
pub mod credentials;
pub mod election;
pub mod endings;
pub mod http;
pub mod metrics;
pub mod monitor;
pub mod names;
pub mod observe;
pub mod plan;
pub mod rbac;
pub mod reconcile;
pub mod registry;
pub mod removal;
pub mod rights;
pub mod seen;
pub mod settings;
pub mod status;
pub mod values;

#[cfg(test)]
pub(crate) mod testing;
