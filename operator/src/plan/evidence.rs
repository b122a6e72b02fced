//! Whether a server declared down surely cannot serve (`spec/failover-protocol.md` §12.4).

use jiff::{SignedDuration, Timestamp};

use crate::seen::{LastPod, ServerSeen};

/// A starting server is silent for so long. A pod that came and went in less has served nobody.
const SILENT_START: SignedDuration = SignedDuration::from_secs(10);

/// Proof that a server cannot serve.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Proof {
    /// When its container ended, if that is known.
    pub ended: Option<Timestamp>,
}

/// What to remember of the pod that was last bound to a node: of the present one, or of the one before if the
/// present one never was.
#[must_use]
pub fn last_pod(server: &ServerSeen) -> Option<LastPod> {
    let before = server.claim.as_ref().and_then(|claim| claim.last_pod.clone());
    let Some(pod) = &server.pod else { return with_ending(before, server) };
    let Some(node) = pod.node.clone() else { return with_ending(before, server) };
    let known = before.filter(|before| before.uid == pod.uid).and_then(|before| before.ended);
    Some(LastPod { uid: pod.uid.clone(), node, ended: known.or(pod.ended) })
}

/// The watch may have told of an end that the object, gone by now, does not show.
fn with_ending(last: Option<LastPod>, server: &ServerSeen) -> Option<LastPod> {
    last.map(|last| {
        let told = server.endings.get(&last.uid).copied();
        LastPod { ended: last.ended.or(told), ..last }
    })
}

/// Looks for evidence; without any, says what is waited for. A missing pod or node object is none.
pub fn find(server: &ServerSeen) -> Result<Proof, String> {
    let Some(last) = last_pod(server) else {
        return Err("no pod of it was ever seen on a node; attest that it cannot serve".to_owned());
    };
    let LastPod { uid, node, ended } = last;
    if let Some(other) = server.pod.as_ref().and_then(|pod| pod.node.as_ref()).filter(|other| **other != node)
    {
        return Err(format!("its pod is on the node {other}"));
    }
    let Some(seen) = server.node.as_ref().filter(|seen| seen.name == node) else {
        return Err(format!(
            "there is no node object {node}, which proves nothing; attest that it cannot serve"
        ));
    };
    if seen.out_of_service {
        return Ok(Proof { ended });
    }
    let taint = format!("or for the taint node.kubernetes.io/out-of-service on {node}, or attest it");
    let Some(ended) = ended else {
        return Err(format!("waits for the kubelet of {node} to say that its pod has ended, {taint}"));
    };
    if seen.renewed.is_none_or(|renewed| renewed <= ended) {
        return Err(format!(
            "its pod ended, but the kubelet of {node} has not been heard since: waits for it, {taint}"
        ));
    }
    match &server.pod {
        None => {
            Err(format!("its pod's object is gone, which proves nothing: waits for the next one, {taint}"))
        }
        Some(pod) if pod.uid == uid => Ok(Proof { ended: Some(ended) }),
        Some(pod) if pod.node.is_some() => Err(format!("another pod of it is on the node {node}")),
        Some(pod) => {
            let gap = pod.created.map(|created| created.duration_since(ended));
            if gap.is_some_and(|gap| gap <= SILENT_START) {
                Ok(Proof { ended: Some(ended) })
            } else {
                Err(format!(
                    "between the pod that ended and the present one there may have been another: {taint}"
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::seen::{ClaimSeen, NodeSeen, PodSeen};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("a time")
    }

    /// A server whose pod ended at 100 on a node whose kubelet was heard at 104, and whose next pod was made
    /// at 101 and never bound.
    fn killed() -> ServerSeen {
        let last_pod = LastPod { uid: "one".into(), node: "b".into(), ended: Some(at(100)) };
        ServerSeen {
            claim: Some(ClaimSeen { last_pod: Some(last_pod), ..ClaimSeen::default() }),
            pod: Some(PodSeen { uid: "two".into(), created: Some(at(101)), ..PodSeen::default() }),
            node: Some(NodeSeen { name: "b".into(), renewed: Some(at(104)), out_of_service: false }),
            ..ServerSeen::default()
        }
    }

    #[test]
    fn rq_1_a_killed_pod_of_a_live_kubelet_is_evidence_with_its_end() {
        assert_eq!(find(&killed()), Ok(Proof { ended: Some(at(100)) }));
        let mut itself = killed();
        itself.pod = Some(PodSeen {
            uid: "one".into(),
            node: Some("b".into()),
            ended: Some(at(100)),
            ..PodSeen::default()
        });
        assert_eq!(find(&itself), Ok(Proof { ended: Some(at(100)) }));
    }

    #[test]
    fn rq_2_an_unreachable_node_is_none_until_its_taint() {
        let mut server = killed();
        server.claim.as_mut().and_then(|claim| claim.last_pod.as_mut()).expect("a pod").ended = None;
        server.pod = Some(PodSeen {
            uid: "one".into(),
            node: Some("b".into()),
            deleting: true,
            running: true,
            ..PodSeen::default()
        });
        assert!(find(&server).is_err());
        server.node.as_mut().expect("a node").out_of_service = true;
        assert_eq!(find(&server), Ok(Proof { ended: None }));
    }

    #[test]
    fn rq_3_missing_objects_prove_nothing() {
        assert!(find(&ServerSeen::default()).is_err());
        let without_node = ServerSeen { node: None, ..killed() };
        assert!(find(&without_node).is_err());
        let without_pod = ServerSeen { pod: None, ..killed() };
        assert!(find(&without_pod).is_err());
    }

    #[test]
    fn rq_9_a_kubelet_that_was_not_heard_since_is_none() {
        for renewed in [None, Some(at(90)), Some(at(100))] {
            let mut server = killed();
            server.node.as_mut().expect("a node").renewed = renewed;
            assert!(find(&server).is_err(), "{renewed:?}");
        }
    }

    #[test]
    fn a_pod_that_runs_or_ran_meanwhile_is_none() {
        let mut bound = killed();
        bound.pod.as_mut().expect("a pod").node = Some("b".into());
        assert!(find(&bound).is_err());
        let mut elsewhere = killed();
        elsewhere.pod.as_mut().expect("a pod").node = Some("c".into());
        assert!(find(&elsewhere).is_err());
        // Long after the end: a pod between the two may have been deleted by force.
        let mut late = killed();
        late.pod.as_mut().expect("a pod").created = Some(at(111));
        assert!(find(&late).is_err());
    }

    #[test]
    fn an_end_that_only_the_watch_told_of_counts() {
        let mut server = killed();
        server.claim.as_mut().and_then(|claim| claim.last_pod.as_mut()).expect("a pod").ended = None;
        assert!(find(&server).is_err());
        server.endings = BTreeMap::from([("one".to_owned(), at(100))]);
        assert_eq!(find(&server), Ok(Proof { ended: Some(at(100)) }));
        assert_eq!(last_pod(&server).and_then(|last| last.ended), Some(at(100)), "and is remembered");
    }
}
