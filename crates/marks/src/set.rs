//! The bits of a thread.

use api::identity::Role;

use crate::mark::{CELLS, Mark, Place};

const BITS: usize = CELLS * Place::ALL.len();
const WORDS: usize = BITS.div_ceil(64);

/// What a binary that keeps marks has in it and none that ships: `e2e/lib.sh` looks for it.
#[cfg(feature = "on")]
#[used]
static SIGN: [u8; 29] = *b"this binary keeps rule marks.";

#[cfg(feature = "on")]
mod thread {
    use std::cell::{Cell, RefCell};

    use super::WORDS;

    thread_local! {
        pub(super) static HITS: RefCell<[u64; WORDS]> = const { RefCell::new([0; WORDS]) };
        pub(super) static PLACE: Cell<usize> = const { Cell::new(0) };
    }
}

/// Says for which server the marks that follow on this thread are: its role, and whether its partner is one of ours;
/// `None` while it talks to nobody.
#[inline]
pub fn at(role: Role, own: Option<bool>) {
    #[cfg(feature = "on")]
    thread::PLACE.set(Place::of(role, own).index());
    #[cfg(not(feature = "on"))]
    let _ = (role, own);
}

/// Sets a bit of this thread; [`sometimes!`](crate::sometimes) calls it.
#[inline]
pub fn hit(mark: Mark) {
    #[cfg(feature = "on")]
    {
        let bit = thread::PLACE.get() * CELLS + mark.index();
        thread::HITS.with_borrow_mut(|hits| hits[bit / 64] |= 1 << (bit % 64));
    }
    #[cfg(not(feature = "on"))]
    let _ = mark;
}

/// What this thread has hit since the last call.
#[must_use]
pub fn take() -> Hits {
    #[cfg(feature = "on")]
    return Hits { words: thread::HITS.replace([0; WORDS]) };
    #[cfg(not(feature = "on"))]
    Hits::default()
}

/// Marks that were hit, and where.
#[derive(Clone, Debug)]
pub struct Hits {
    words: [u64; WORDS],
}

impl Default for Hits {
    fn default() -> Self {
        Self { words: [0; WORDS] }
    }
}

impl Hits {
    /// Whether a mark was hit in a place.
    #[must_use]
    pub fn has(&self, mark: Mark, place: Place) -> bool {
        let bit = place.index() * CELLS + mark.index();
        self.words[bit / 64] & 1 << (bit % 64) != 0
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(other.words) {
            *word |= more;
        }
    }
}

#[cfg(all(test, feature = "on"))]
mod tests {
    use api::identity::State;

    use super::*;
    use crate::{Rule, sometimes};

    #[test]
    fn a_hit_is_of_its_place_and_taken_once() {
        let cell = Mark::Transition { mine: State::Normal, partner: State::Recover };
        at(Role::Secondary, Some(true));
        sometimes!(cell);
        at(Role::Primary, None);
        sometimes!(Rule::BarrierOpens);
        let hits = take();
        assert!(hits.has(cell, Place::of(Role::Secondary, Some(true))));
        assert!(!hits.has(cell, Place::of(Role::Primary, Some(true))));
        assert!(hits.has(Rule::BarrierOpens.into(), Place::of(Role::Primary, None)));
        assert!(!take().has(cell, Place::of(Role::Secondary, Some(true))));
    }
}
