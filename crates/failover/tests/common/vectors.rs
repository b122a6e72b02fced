//! The messages of `data/vectors.json`.

#![allow(dead_code, reason = "shared by tests that look at different parts")]

use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Vector {
    pub(crate) name: String,
    hex: String,
    pub(crate) fields: Fields,
    pub(crate) options: Vec<ListedOption>,
}

#[derive(Deserialize)]
pub(crate) struct Fields {
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    pub(crate) time: u32,
    pub(crate) xid: u32,
}

#[derive(Deserialize)]
pub(crate) struct ListedOption {
    pub(crate) code: u16,
    pub(crate) text: String,
}

impl Vector {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let digits = self.hex.as_bytes().chunks(2);
        let octet = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex");
        digits.map(octet).collect()
    }
}

pub(crate) fn all() -> Vec<Vector> {
    serde_json::from_str(include_str!("../data/vectors.json")).expect("the vectors are well-formed")
}
