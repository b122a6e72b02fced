//! Octets of a fuzzer, taken as what a check needs. What is missing at the end reads as zero, so that every
//! input means something.

/// The octets not read yet.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn octet(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.octet(), self.octet()])
    }

    /// At most this many octets.
    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Octets behind their length.
    pub(crate) fn part(&mut self) -> &'a [u8] {
        let len = usize::from(self.short());
        self.take(len)
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Writes what [`Input::part`] reads; what is longer is cut.
pub(crate) fn put_part(out: &mut Vec<u8>, octets: &[u8]) {
    let len = u16::try_from(octets.len()).unwrap_or(u16::MAX);
    out.extend(len.to_be_bytes());
    out.extend(&octets[..usize::from(len)]);
}
