//! A story: one at a time, it tells what it sees, and leaves nothing behind.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::kubectl::{apply, get, kubectl, names, operator, text_at};
use crate::{Pair, Told, cluster};

/// A story that is being told.
#[derive(Debug)]
pub struct Story {
    began: Instant,
}

/// Tells a story. If it ends badly, all that may explain it is printed before it is cleaned up.
///
/// # Panics
/// If the story fails.
pub fn story(title: &str, tell: impl FnOnce(&Story) -> Told) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    println!("\n=== {title}");
    clean_up();
    let story = Story { began: Instant::now() };
    let told = catch_unwind(AssertUnwindSafe(|| tell(&story)));
    let took = story.began.elapsed();
    if !matches!(told, Ok(Ok(()))) {
        explain();
    }
    let began = Instant::now();
    // What a story that failed leaves is there to be looked at, if somebody wants to.
    if matches!(told, Ok(Ok(()))) || std::env::var_os("KEEP").is_none() {
        clean_up();
    }
    println!("    told in {}, cleaned up in {}", seconds(took), seconds(began.elapsed()));
    match told {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => panic!("{title}: {failure}"),
        Err(panic) => resume_unwind(panic),
    }
}

impl Story {
    /// Prints what was seen, with the time since the story began.
    pub fn saw(&self, what: impl AsRef<str>) {
        println!("  {:>5.1} s  {}", self.began.elapsed().as_secs_f64(), what.as_ref());
    }

    /// Makes a namespace for pairs, which goes with the story.
    pub fn namespace(&self, name: &str) -> Told {
        let labels = json!({MARK: "e2e", "pod-security.kubernetes.io/enforce": "privileged"});
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels},
        });
        // One of that name may still be on its way out.
        kubectl(&["delete", "namespace", name, "--ignore-not-found", "--timeout=50s"])?;
        apply(&namespace).map(|_| ())
    }

    /// Applies a pair in a namespace of its own and waits until both servers are in Normal.
    pub fn start(&self, pair: &Pair) -> Told<Duration> {
        self.namespace(pair.namespace())?;
        let began = Instant::now();
        pair.apply()?;
        pair.until_normal(90)?;
        let took = began.elapsed();
        self.saw(format!("both servers of {} are in Normal {} after the apply", pair.name, seconds(took)));
        Ok(took)
    }

    /// Prints that both servers have the same lease table once they do.
    pub fn same_leases(&self, pair: &Pair) -> Told {
        let active = pair.same_leases(30)?;
        self.saw(format!("the lease tables of both servers of {} are equal, {active} active", pair.name));
        Ok(())
    }
}

/// A duration for people.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Label of the namespaces of stories.
const MARK: &str = "dhcpfailover.io/test";

/// Also what an earlier story left that was interrupted.
fn clean_up() {
    if let Err(failure) = try_clean_up() {
        println!("  (cleaning up: {failure})");
    }
}

/// From the inside out: a namespace that is deleted with pods in it looks again only after half of
/// their grace period, and an empty one need not be waited for.
fn try_clean_up() -> Told {
    let namespaces = namespaces()?;
    for kind in ["dfp", "pods", "pvc"] {
        for name in &namespaces {
            kubectl(&["-n", name, "delete", kind, "--all", "--wait=false"])?;
        }
        for name in &namespaces {
            kubectl(&["-n", name, "wait", "--for=delete", kind, "--all", "--timeout=50s"])?;
        }
    }
    for name in &namespaces {
        kubectl(&["delete", "namespace", name, "--wait=false"])?;
    }
    cluster::fresh_volumes()
}

/// Namespaces of stories that nobody has deleted yet.
fn namespaces() -> Told<Vec<String>> {
    let list = get(&["namespaces", "-l", &format!("{MARK}=e2e")])?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let there = items.iter().filter(|item| item.pointer("/metadata/deletionTimestamp").is_none());
    Ok(there.map(|item| text_at(item, "/metadata/name")).collect())
}

/// Prints what may explain a failure.
fn explain() {
    let show = |title: &str, told: Told<String>| {
        println!("--- {title}\n{}", told.unwrap_or_else(|failure| failure.0));
    };
    for namespace in &namespaces().unwrap_or_default() {
        let get = |words: &[&str]| kubectl(&[&["-n", namespace, "get"], words].concat());
        show("pairs", get(&["dfp", "-o", "yaml", "--show-managed-fields=false"]));
        show("pods and claims", get(&["pods,pvc", "-o", "wide"]));
        show("events", get(&["events", "--sort-by=.metadata.creationTimestamp"]));
        let servers = "app.kubernetes.io/name=dhcp-failover-server";
        show("servers", kubectl(&["-n", namespace, "logs", "-l", servers, "--tail=60", "--prefix"]));
    }
    for node in names(&["nodes"]).unwrap_or_default() {
        let node = node.trim_start_matches("node/");
        show(&format!("filters and sockets of {node}"), cluster::network_of(node));
    }
    let log = operator().and_then(|(namespace, pod)| kubectl(&["-n", &namespace, "logs", &pod, "--tail=40"]));
    show("operator", log);
}
