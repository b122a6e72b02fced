//! Fields of a manifest that nobody reads: typing errors, or fields of a later release.

use schemars::JsonSchema;
use serde_json::Value;

use crate::pair::PairSpec;

/// Fields of the object beside `spec`. What is inside them is the API server's business or the
/// operator's.
const BESIDE_SPEC: &[&str] = &["apiVersion", "kind", "metadata", "status"];
/// Fields of `spec` that are the operator's: a server ignores them, whatever they contain.
const OF_THE_OPERATOR: &[&str] = &["forceState"];

/// Paths of all fields of a manifest that no field of [`PairManifest`](crate::pair::PairManifest)
/// takes, such as `spec.subnets[0].pool`, in the order of the document's sorted keys.
///
/// Names come from the document and are escaped, so that a path is safe to print. What is not of the
/// form that the schema says is not looked into: parsing tells that better.
#[must_use]
pub fn unknown_fields(raw: &Value) -> Vec<String> {
    let schema = schemars::schema_for!(PairSpec).to_value();
    let mut walk = Walk { definitions: &schema["$defs"], unknown: Vec::new() };
    for (name, value) in raw.as_object().into_iter().flatten() {
        if name == "spec" {
            walk.object(value, &schema, "spec", OF_THE_OPERATOR);
        } else if !BESIDE_SPEC.contains(&name.as_str()) {
            walk.unknown.push(printable(name));
        }
    }
    walk.unknown
}

/// Paths of all fields of a document that no field of `T` takes, such as `expect.transitions`.
///
/// For documents in which a typing error must not be dropped silently.
#[must_use]
pub fn unknown_fields_of<T: JsonSchema>(raw: &Value) -> Vec<String> {
    let schema = schemars::schema_for!(T).to_value();
    let mut walk = Walk { definitions: &schema["$defs"], unknown: Vec::new() };
    walk.object(raw, &schema, "", &[]);
    walk.unknown
}

struct Walk<'a> {
    definitions: &'a Value,
    unknown: Vec<String>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, value: &Value, schema: &'a Value, path: &str) {
        let schema = self.resolve(schema);
        match value {
            Value::Object(_) => self.object(value, schema, path, &[]),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(item, &schema["items"], &format!("{path}[{index}]"));
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, value: &Value, schema: &'a Value, path: &str, ignored: &[&str]) {
        // A schema without properties is that of a map or of no object at all.
        let Some(properties) = schema["properties"].as_object() else { return };
        for (name, value) in value.as_object().into_iter().flatten() {
            if ignored.contains(&name.as_str()) {
                continue;
            }
            let path = match path {
                "" => printable(name),
                _ => format!("{path}.{}", printable(name)),
            };
            match properties.get(name) {
                Some(schema) => self.value(value, schema, &path),
                None => self.unknown.push(path),
            }
        }
    }

    /// The schema itself behind a reference, or behind the choice between it and `null` that an
    /// optional field has.
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let given = schema["anyOf"]
            .as_array()
            .and_then(|choices| choices.iter().find(|choice| choice["type"] != "null"))
            .unwrap_or(schema);
        given["$ref"]
            .as_str()
            .and_then(|reference| reference.strip_prefix("#/$defs/"))
            .and_then(|name| self.definitions.get(name))
            .unwrap_or(given)
    }
}

fn printable(name: &str) -> String {
    name.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    /// Every field that there is.
    fn full() -> Value {
        json!({
            "apiVersion": "dhcpfailover.io/v1alpha1",
            "kind": "DhcpFailoverPair",
            "metadata": {"name": "lab", "labels": {"a": "b"}, "managedFields": [{"manager": "x"}]},
            "spec": {
                "relationship": "lab", "mcltSeconds": 60, "backupPct": 10,
                "loadBalancing": {"split": 128, "hba": null, "maxSeconds": 3},
                "link": {"pollIntervalSeconds": 10, "pollTimeoutSeconds": 60, "maxUnacked": 10,
                         "security": "Plain", "port": 647},
                "primary": {"pod": {"nodeSelector": {"rack": "a", "example.com/zone": "b"},
                                    "interface": "eth0", "address": "10.77.0.1"}},
                "secondary": {"external": {"address": "10.0.0.9", "port": 647}},
                "storage": {"storageClassName": "local", "size": "1Gi", "deletionPolicy": "Retain"},
                "subnets": [{
                    "cidr": "10.77.0.0/24", "leaseSeconds": 3600,
                    "pools": [{"first": "10.77.0.100", "last": "10.77.0.199", "backupPct": 1,
                               "allocationBoundary": "10.77.0.150", "allocateFirstAvailable": true,
                               "unavailableTimeoutSeconds": 60, "dynamicBootp": false,
                               "expectedNewClients": {"perHourDay": 30, "perHourNight": 4, "perHour": 10}}],
                    "options": {"routers": ["10.77.0.1"], "domainNameServers": [], "domainName": "lab.example",
                                "domainSearch": [], "broadcastAddress": null, "ntpServers": [],
                                "interfaceMtu": 1500, "nextServer": null, "tftpServerName": null,
                                "bootfileName": null, "custom": [{"code": 43, "hex": "00"}]},
                    "reservations": [{"address": "10.77.0.10", "hardwareAddress": null,
                                      "clientId": "0102", "hostname": "printer"}],
                }],
                "partnerDownLeaseTime": "Full", "startupExpiry": "Wait", "riServe": "Own",
                "strictIscLead": false, "allowScopeRemoval": true,
                "forceState": {"requestId": "a", "server": "primary", "state": "Paused", "new": ["thing"]},
                "safePeriod": null,
            },
            "status": {"anything": {"at": "all"}},
        })
    }

    fn with(pointer: &str, name: &str, value: Value) -> Value {
        let mut manifest = full();
        manifest.pointer_mut(pointer).expect("is there")[name] = value;
        manifest
    }

    #[test]
    fn no_known_field_is_unknown_whether_set_null_or_empty() {
        assert_eq!(unknown_fields(&full()), Vec::<String>::new());
        let manifest: crate::pair::PairManifest = serde_json::from_value(full()).expect("parses");
        let again = serde_json::to_value(&manifest).expect("plain JSON");
        assert_eq!(unknown_fields(&again), Vec::<String>::new());
        for field in ["relationship", "loadBalancing", "secondary", "subnets", "storage"] {
            assert_eq!(unknown_fields(&with("/spec", field, Value::Null)), Vec::<String>::new(), "{field}");
        }
        assert_eq!(unknown_fields(&with("/spec", "subnets", json!([]))), Vec::<String>::new());
    }

    #[test]
    fn an_unknown_field_is_named_by_its_path_at_any_depth() {
        for (pointer, path) in [
            ("", "typo"),
            ("/spec", "spec.typo"),
            ("/spec/loadBalancing", "spec.loadBalancing.typo"),
            ("/spec/link", "spec.link.typo"),
            ("/spec/primary", "spec.primary.typo"),
            ("/spec/primary/pod", "spec.primary.pod.typo"),
            ("/spec/secondary/external", "spec.secondary.external.typo"),
            ("/spec/storage", "spec.storage.typo"),
            ("/spec/subnets/0", "spec.subnets[0].typo"),
            ("/spec/subnets/0/pools/0", "spec.subnets[0].pools[0].typo"),
            ("/spec/subnets/0/options", "spec.subnets[0].options.typo"),
            ("/spec/subnets/0/options/custom/0", "spec.subnets[0].options.custom[0].typo"),
            ("/spec/subnets/0/reservations/0", "spec.subnets[0].reservations[0].typo"),
        ] {
            assert_eq!(unknown_fields(&with(pointer, "typo", json!(1))), [path]);
            assert_eq!(unknown_fields(&with(pointer, "typo", json!({"a": {"b": 1}}))), [path]);
        }
    }

    #[test]
    fn the_operators_own_fields_are_ignored_in_the_spec_only() {
        assert_eq!(unknown_fields(&with("", "forceState", json!(1))), ["forceState"]);
        assert_eq!(unknown_fields(&with("/spec/link", "safePeriod", json!(1))), ["spec.link.safePeriod"]);
    }

    #[test]
    fn a_misspelt_field_of_a_dangerous_command_is_named() {
        let known = json!({
            "requestId": "fire-1", "server": "primary", "state": "PartnerDown", "deadServer": "secondary",
            "downSince": null, "recoverTime": null, "evidence": "Attested", "expert": true, "hold": false,
            "confirm": true, "reason": "rack b on fire", "expect": {"epoch": 4, "transition": 12},
        });
        let request = crate::force::ForceRequest::deserialize(&known).expect("every field that there is");
        let again = serde_json::to_value(&request).expect("plain JSON");
        for whole in [&known, &again] {
            assert_eq!(unknown_fields_of::<crate::force::ForceRequest>(whole), Vec::<String>::new());
        }
        let mut misspelt = known;
        misspelt["downsince"] = json!("2026-11-22T09:20:00Z");
        misspelt["expect"]["lsn"] = json!(7);
        let unknown = unknown_fields_of::<crate::force::ForceRequest>(&misspelt);
        assert_eq!(unknown, ["downsince", "expect.lsn"]);
    }

    #[test]
    fn a_name_cannot_break_a_line_of_the_log() {
        assert_eq!(unknown_fields(&json!({"spec": {"a\n\u{1b}[2J": 1}})), [r"spec.a\n\u{1b}[2J"]);
    }

    #[test]
    fn what_is_of_another_form_is_left_to_the_parser() {
        for raw in [json!(null), json!([]), json!("text"), json!({"spec": 7}), json!({"spec": {"link": [1]}})]
        {
            assert_eq!(unknown_fields(&raw), Vec::<String>::new());
        }
    }
}
