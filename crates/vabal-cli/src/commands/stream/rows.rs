//! What the rows of a slice are called, and whether they are labelled rows too.
//!
//! Never here: how names are read.

use vabal::query::Needs;
use vabal::query::arrays::{Names, Pool};
use vabal::query::plan::Name;
use vabal::{Error, Id, Progress, Result};

use super::Slice;

/// What the candidates of a slice are called: as it is `given`, and where they have no ids, by
/// their rows if the pool is `alone`, one file.
///
/// # Errors
/// An id below 0; no ids.
pub fn names(
    slice: &Slice<'_>,
    pool: &Pool,
    given: Option<Names>,
    alone: bool,
    progress: &mut Progress<'_>,
) -> Result<Vec<Name>> {
    match given {
        Some(Names::Texts(texts)) => Ok(texts.iter().map(|text| Name::text(text)).collect()),
        Some(Names::Numbers(numbers)) => numbers
            .iter()
            .map(|&number| {
                Id::try_from(number).map(Name::Number).map_err(|_| -> Error {
                    Error::input("an id is below 0")
                        .at(slice.place())
                        .expected("whole numbers from 0, or texts")
                        .got(number)
                        .hint("give the rows other numbers, or their names as texts")
                        .into()
                })
            })
            .collect(),
        None if alone => {
            let rows = pool.signals(Needs::IDS, Needs::IDS, progress)?.0;
            Ok(rows.ids().iter().map(|row| Name::Number(slice.part.first as Id + row)).collect())
        }
        None => Err(Error::input("a part without ids")
            .at(slice.place())
            .expected("an array ids, whole numbers or texts, unlike in all parts")
            .got("none")
            .hint("row numbers are the same in every part: save ids with each")
            .into()),
    }
}

/// The ids of what is labelled: no candidate may be among them.
pub struct Known {
    ids: Vec<Id>,
    /// A bit for each id, by its hash: most candidates have none.
    bits: Vec<u64>,
    shift: u32,
}

impl Known {
    /// Of these ids.
    pub fn new(mut ids: Vec<Id>) -> Self {
        ids.sort_unstable();
        let places = (16 * ids.len()).next_power_of_two().max(64);
        let mut known = Self { bits: vec![0; places / 64], shift: 64 - places.trailing_zeros(), ids };
        for place in 0..known.ids.len() {
            let at = known.at(known.ids[place]);
            known.bits[at / 64] |= 1 << (at % 64);
        }
        known
    }

    fn at(&self, id: Id) -> usize {
        (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    fn contains(&self, id: Id) -> bool {
        let at = self.at(id);
        self.bits[at / 64] >> (at % 64) & 1 == 1 && self.ids.binary_search(&id).is_ok()
    }

    /// Checks candidates.
    ///
    /// # Errors
    /// The first that is labelled, by what it is called.
    pub fn check(&self, slice: &Slice<'_>, ids: &[Id], names: &[Name]) -> Result<()> {
        let Some(row) = ids.iter().position(|&id| self.contains(id)) else { return Ok(()) };
        Err(Error::input("an id is in both pools")
            .at(slice.place())
            .expected("ids that are either unlabelled or labelled")
            .got(&names[row])
            .hint("leave the labelled rows out of those that are chosen from")
            .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_id_is_found_whatever_its_hash() {
        let known = Known::new((0..1000).map(|i| i * i * 7_919).collect());
        assert!((0..1000).all(|i| known.contains(i * i * 7_919)));
        assert_eq!((1..5000).filter(|&id| known.contains(id)).count(), 0);
        assert!(!Known::new(Vec::new()).contains(0));
    }
}
