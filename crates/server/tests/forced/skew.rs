//! Partners of different releases: one says what the other has never heard of, or says less.

use api::identity::State;
use api::status::RequestPhase;
use api::time::Seconds;
use failover::wire::{Dialect, Extension, Frame, FrameReader, Message, decode, encode};
use serde_json::json;

use crate::pair::{P, Pair, S};

/// What becomes of the octets of one direction.
#[derive(Default)]
pub(crate) struct Rewriter {
    reader: FrameReader,
    pub(crate) rewrite: Option<fn(&mut Vec<Extension>)>,
}

impl Rewriter {
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Some(rewrite) = self.rewrite else { return bytes.to_vec() };
        self.reader.push(bytes);
        let mut out = Vec::new();
        while let Ok(Some(bytes)) = self.reader.next_frame() {
            let decoded = decode(&bytes, Dialect::Own).expect("a message");
            let failover::wire::Decoded::Frame(mut frame) = decoded else { panic!("{decoded:?}") };
            if let Some(extensions) = extensions(&mut frame) {
                rewrite(extensions);
            }
            out.extend(encode(&frame, Dialect::Own).expect("it fits"));
        }
        out
    }

    pub(crate) fn begin_connection(&mut self) {
        self.reader = FrameReader::new();
    }
}

fn extensions(frame: &mut Frame) -> Option<&mut Vec<Extension>> {
    match &mut frame.message {
        Message::State(state) => Some(&mut state.extensions),
        Message::ConnectAck(ack) => Some(&mut ack.extensions),
        Message::Contact { extensions } => Some(extensions),
        _ => None,
    }
}

/// A release that knows nothing of requests.
fn tells_no_ledger(extensions: &mut Vec<Extension>) {
    extensions.retain(|extension| !matches!(extension, Extension::Ledger(_)));
}

/// A release that has more to say: an extension, and a field of one.
fn tells_more(extensions: &mut Vec<Extension>) {
    for extension in extensions.iter_mut() {
        if let Extension::Ledger(json) = extension {
            let mut told: serde_json::Value = serde_json::from_slice(json).expect("JSON");
            told["ofALaterRelease"] = json!({"and": ["more"]});
            *json = told.to_string().into_bytes();
        }
    }
    extensions.push(Extension::Other { code: 99, data: b"whatever".to_vec() });
}

/// Through a life of a pair: first contact, a cut, a pause, a forced PartnerDown and back.
fn live(mut pair: Pair) {
    pair.start(P, true);
    pair.start(S, true);
    pair.run_until_normal();
    let (address, _) = pair.lease(P, 1).expect("a lease");
    pair.run(Seconds(5));
    pair.cut();
    pair.run(Seconds(10));
    pair.cut = false;
    pair.run_until_normal();
    assert!(pair.renew(S, 1, address).is_some());
    assert_eq!(pair.force(S, json!({"requestId": "pause", "state": "Paused"})).phase, RequestPhase::Granted);
    pair.stop(S);
    pair.run(Seconds(2));
    assert_eq!(pair.states()[P], State::CommunicationsInterrupted);
    let mut down = json!({"requestId": "down", "state": "PartnerDown", "deadServer": "secondary"});
    down["evidence"] = "Attested".into();
    down["reason"] = "it is paused".into();
    assert_eq!(pair.force(P, down.clone()).phase, RequestPhase::Granted);
    pair.start(S, false);
    pair.run_until_normal();
    assert_eq!(pair.report(P).server.leases, pair.report(S).server.leases);
    assert_eq!(pair.force(P, down).phase, RequestPhase::Granted, "as it was decided then");
    assert_eq!(pair.states(), [State::Normal; 2]);
    for me in [P, S] {
        let unreadable = |(name, _): &&(&str, &str)| *name == "failover_extensions_unreadable";
        assert_eq!(pair.server(me).counters().keys().find(unreadable), None);
    }
}

#[test]
fn partners_of_an_older_and_of_a_newer_release_live_together() {
    for newer in [P, S] {
        for rewrite in [tells_no_ledger as fn(&mut Vec<Extension>), tells_more] {
            let mut pair = Pair::stopped();
            pair.rewriters[newer].rewrite = Some(rewrite);
            live(pair);
        }
    }
}
