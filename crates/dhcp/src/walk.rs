//! The walk over an option field.

use crate::message::code;

/// Yields (code, content) of each option in a field, as received: no merging, PAD skipped. Ends at
/// END, at the end of the field, or before the first option that does not fit into the field.
#[derive(Clone, Debug)]
pub(crate) struct Walk<'a> {
    field: &'a [u8],
    at: usize,
    fault: Option<Fault>,
}

/// An option that reaches beyond its field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    pub(crate) code: u8,
    /// Offset of the code in the field.
    pub(crate) offset: usize,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(field: &'a [u8]) -> Self {
        Self { field, at: 0, fault: None }
    }

    /// What stopped the walk early, once it is over.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    fn step(&mut self) -> Option<(u8, &'a [u8])> {
        loop {
            let offset = self.at;
            let code = *self.field.get(offset)?;
            match code {
                code::PAD => self.at += 1,
                code::END => {
                    self.at = self.field.len();
                    return None;
                }
                _ => {
                    let content = self.field.get(offset + 1).and_then(|len| {
                        let start = offset + 2;
                        self.field.get(start..start + usize::from(*len))
                    });
                    let Some(content) = content else {
                        self.fault = Some(Fault { code, offset });
                        self.at = self.field.len();
                        return None;
                    };
                    self.at = offset + 2 + content.len();
                    return Some((code, content));
                }
            }
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.step()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pad_is_skipped_and_nothing_after_end_is_read() {
        let walk = Walk::new(&[0, 0, 53, 1, 3, 0, 12, 0, 255, 50, 4]);
        let read: Vec<_> = walk.collect();
        assert_eq!(read, [(53, &[3][..]), (12, &[][..])]);
    }

    #[test]
    fn a_field_without_end_is_read_to_its_last_octet() {
        let mut walk = Walk::new(&[53, 1, 3]);
        assert_eq!(walk.by_ref().count(), 1);
        assert_eq!(walk.fault(), None);
    }

    #[test]
    fn an_option_beyond_the_field_ends_the_walk_and_is_named() {
        for field in [&[53, 1, 3, 0, 12][..], &[53, 1, 3, 0, 12, 2, b'a'][..]] {
            let mut walk = Walk::new(field);
            assert_eq!(walk.next(), Some((53, &[3][..])));
            assert_eq!(walk.next(), None);
            assert_eq!(walk.next(), None);
            assert_eq!(walk.fault(), Some(Fault { code: 12, offset: 4 }));
        }
    }
}
