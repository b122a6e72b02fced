//! `kubectl`, as a person would use it.

use serde_json::Value;

use crate::process::{Ended, run, run_with, try_run};
use crate::{Failure, Told};

/// How long one call may take.
const SECONDS: u32 = 60;

/// Runs `kubectl` with these words and answers what it printed.
pub fn kubectl(words: &[&str]) -> Told<String> {
    run(SECONDS, &[&["kubectl"], words].concat())
}

/// Runs it whatever its exit code.
pub fn try_kubectl(words: &[&str], input: Option<&str>) -> Told<Ended> {
    try_run(SECONDS, &[&["kubectl"], words].concat(), input)
}

/// Reads an object, or a list of them.
pub fn get(words: &[&str]) -> Told<Value> {
    let text = kubectl(&[&["get", "-o", "json"], words].concat())?;
    serde_json::from_str(&text).map_err(|error| Failure(format!("kubectl get {}: {error}", words.join(" "))))
}

/// The objects of a list, by name.
pub fn names(words: &[&str]) -> Told<Vec<String>> {
    let text = kubectl(&[&["get", "-o", "name"], words].concat())?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Applies an object.
pub fn apply(object: &Value) -> Told<String> {
    run_with(SECONDS, &["kubectl", "apply", "--server-side", "-f", "-"], Some(&object.to_string()))
}

/// Reads a value by its JSON pointer; an absent one is empty.
#[must_use]
pub fn text_at(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Where the operator runs: its namespace and the name of its pod.
pub fn operator() -> Told<(String, String)> {
    let pods = get(&["pods", "--all-namespaces", "-l", "app.kubernetes.io/name=dhcp-failover-operator"])?;
    let running = |pod: &&Value| pod.pointer("/metadata/deletionTimestamp").is_none();
    let pod = pods["items"].as_array().and_then(|pods| pods.iter().find(running));
    let pod = pod.ok_or("there is no pod of the operator; is the chart installed?")?;
    Ok((text_at(pod, "/metadata/namespace"), text_at(pod, "/metadata/name")))
}
