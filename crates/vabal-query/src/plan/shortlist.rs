//! A shortlist of a pool in parts, for strategies that compare rows with each other: the rows with
//! the smallest margins of each predicted class (Aggarwal et al. 2020, "Active learning for
//! imbalanced datasets", BASE), the nearest neighbours of labelled rows of rare classes (Coleman et
//! al. 2022, "Similarity search for efficient active learning and search of rare concepts", SEALS,
//! by an exact scan), and rows at random. A third of the list each.
//!
//! ```
//! use ndarray::array;
//! use vabal_query::plan::Shortlist;
//! use vabal_query::{Seed, Signals};
//!
//! let labelled = Signals::new(vec![90, 91]).with_embedding(array![[0.0], [9.0]])?;
//! let mut list = Shortlist::new(6, 2, Some((&labelled, &[0, 1])), Seed::new(1))?;
//! let p = array![[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]];
//! let part = Signals::new(vec![1, 2, 3]).with_probabilities(p)?.with_embedding(array![[4.0], [8.0], [1.0]])?;
//! list.offer(0, &part)?;
//! assert_eq!(list.rows()[&0], [0, 1, 2]);
//! # Ok::<(), vabal_query::Error>(())
//! ```
//!
//! On workers of an engine: [`Shortlist::to_bytes`] goes to each, [`Shortlist::listed`] comes back,
//! ids with what they go by and no features, and [`Shortlist::add`] joins these.
//!
//! Never here: how parts are read.

use std::collections::{BTreeMap, BinaryHeap, HashMap};

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};

use crate::error::{Complaint, Error, Result};
use crate::kernels::{distance_error, exact_squared_distance, squared_distances, two_largest};
use crate::rng::Seed;
use crate::{Id, Label, Signals, class_counts};

/// The longest list.
pub const LONGEST: usize = 1_000_000;
/// Labelled rows whose neighbours are looked for, at most.
const ANCHORS: usize = 256;
/// Rows that are compared with the anchors at once.
const BLOCK: usize = 16;
/// The key of its metadata, and the version of its layout.
const KIND: &str = "vabal.shortlist";
const VERSION: u32 = 1;

/// Which rows are on the list: the same however the pool is split, and parts may be looked at apart
/// and merged.
#[derive(Debug, Clone)]
pub struct Shortlist {
    seed: Seed,
    size: usize,
    /// Features of labelled rows, of `width` each.
    anchors: Vec<f32>,
    width: usize,
    /// By predicted class.
    margins: Vec<Smallest>,
    /// By anchor.
    near: Vec<Smallest>,
    uniform: Smallest,
}

/// A row on one of the lists that a [`Shortlist`] is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Which list: those of margins by predicted class, of neighbours by labelled row, the uniform
    /// one.
    pub list: usize,
    /// What it goes by, smallest first: the bits of a margin or of a squared distance, f64 from 0
    /// on, or a key.
    pub value: u64,
    /// Of the row.
    pub id: Id,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    size: usize,
    classes: usize,
    seed: [u8; 32],
}

/// The rows with the smallest values.
#[derive(Debug, Clone)]
struct Smallest {
    size: usize,
    /// Value, key, id, part, row: the largest on top.
    rows: BinaryHeap<(u64, u64, Id, usize, usize)>,
}

impl Smallest {
    fn new(size: usize) -> Self {
        Self { size, rows: BinaryHeap::new() }
    }

    /// The bits of the largest value, once there are as many as there may be.
    fn worst(&self) -> Option<u64> {
        self.rows.peek().filter(|_| self.rows.len() >= self.size).map(|row| row.0)
    }

    /// Adds a row, and says whether it is among the smallest so far.
    fn push(&mut self, row: (u64, u64, Id, usize, usize)) -> bool {
        if self.rows.len() < self.size {
            self.rows.push(row);
            return true;
        }
        match self.rows.peek_mut() {
            Some(mut largest) if row < *largest => {
                *largest = row;
                true
            }
            _ => false,
        }
    }

    fn merge(&mut self, other: Self) {
        for row in other.rows {
            self.push(row);
        }
    }
}

impl Shortlist {
    /// An empty list of at most `size` rows of a pool of `classes` classes; without labelled rows,
    /// of margins and of rows at random alone.
    ///
    /// # Errors
    /// A size over [`LONGEST`], or under three rows a class; labelled rows without features.
    pub fn new(
        size: usize,
        classes: usize,
        labelled: Option<(&Signals<'_>, &[Label])>,
        seed: Seed,
    ) -> Result<Self> {
        let least = least(classes);
        if size < least || size > LONGEST {
            return Err(Error::input("a shortlist of a length that cannot be")
                .at("size")
                .expected(format!("{least}, three a class, to {LONGEST}"))
                .got(size)
                .hint("the candidates are what one machine ranks afterwards: 100000, say")
                .into());
        }
        let (mut anchors, mut width) = (Vec::new(), 0);
        if let Some((labelled, labels)) = labelled.filter(|(labelled, _)| !labelled.is_empty()) {
            let rows = labelled.checked_embedding_rows()?;
            width = rows.columns();
            for row in rare(labelled.ids(), labels, classes, (size / 3).min(ANCHORS), seed) {
                anchors.extend_from_slice(rows.row(row));
            }
        }
        Ok(Self::empty(size, classes, (anchors, width), seed))
    }

    fn empty(size: usize, classes: usize, (anchors, width): (Vec<f32>, usize), seed: Seed) -> Self {
        let count = anchors.len().checked_div(width).unwrap_or(0);
        let share = size / if count > 0 { 3 } else { 2 };
        let (margins, near) = (share / classes, share.checked_div(count).unwrap_or(0));
        Self {
            seed,
            size,
            anchors,
            width,
            margins: vec![Smallest::new(margins); classes],
            near: vec![Smallest::new(near); count],
            uniform: Smallest::new(share),
        }
    }

    /// The most rows.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Number of classes C.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.margins.len()
    }

    /// Width of the features that rows are compared by, where there are labelled rows of rare
    /// classes.
    #[must_use]
    pub fn features(&self) -> Option<usize> {
        (!self.near.is_empty()).then_some(self.width)
    }

    /// Offers the rows of a part: their probabilities, and their features where there are labelled
    /// rows to compare them with. Gives those that are on the list by now, ascending.
    ///
    /// # Errors
    /// Arrays that are missing, or of another width; features that are not finite, by the id of
    /// their row.
    pub fn offer(&mut self, part: usize, rows: &Signals<'_>) -> Result<Vec<usize>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let (ids, p) = (rows.ids(), rows.probability_rows()?);
        if p.columns() != self.margins.len() {
            return Err(Error::input("probabilities of another number of classes")
                .expected(self.margins.len())
                .got(p.columns())
                .into());
        }
        let keys: Vec<u64> = ids.iter().map(|&id| key(self.seed, id)).collect();
        let mut taken = vec![false; ids.len()];
        for (row, (&id, &key)) in ids.iter().zip(&keys).enumerate() {
            let (largest, class, next) = two_largest(p.row(row));
            // Not below 0, so that its bits are in its order.
            let margin = (f64::from(largest) - f64::from(next)).max(0.0).to_bits();
            taken[row] |= self.margins[class].push((margin, key, id, part, row));
            taken[row] |= self.uniform.push((key, key, id, part, row));
        }
        if !self.near.is_empty() {
            self.offer_near(part, rows, &keys, &mut taken)?;
        }
        Ok((0..taken.len()).filter(|&row| taken[row]).collect())
    }

    fn offer_near(
        &mut self,
        part: usize,
        rows: &Signals<'_>,
        keys: &[u64],
        taken: &mut [bool],
    ) -> Result<()> {
        let features = rows.checked_embedding_rows()?;
        if features.columns() != self.width {
            return Err(Error::input("unexpected width of features")
                .expected(format!("{} columns, as of what is labelled", self.width))
                .got(format!("{} columns", features.columns()))
                .into());
        }
        let anchors: Vec<&[f32]> = self.anchors.chunks_exact(self.width).collect();
        let mut about = vec![0.0; BLOCK * anchors.len()];
        let error = f64::from(distance_error(self.width));
        for first in (0..rows.len()).step_by(BLOCK) {
            let block: Vec<&[f32]> =
                (first..(first + BLOCK).min(rows.len())).map(|row| features.row(row)).collect();
            squared_distances(&block, &anchors, &mut about[..block.len() * anchors.len()]);
            for (n, (x, about)) in block.iter().zip(about.chunks_exact(anchors.len())).enumerate() {
                let row = first + n;
                for ((near, anchor), &about) in self.near.iter_mut().zip(&anchors).zip(about) {
                    // How a sum rounds goes by the machine's vectors: what may be near is computed
                    // in one order. Where squares leave f32's range, too.
                    let far = f64::from(about) * (1.0 - 2.0 * error);
                    let is_normal = about.is_normal() && about.is_finite();
                    if is_normal && near.worst().is_some_and(|worst| far > f64::from_bits(worst)) {
                        continue;
                    }
                    let distance = exact_squared_distance(x, anchor).to_bits();
                    taken[row] |= near.push((distance, keys[row], rows.ids()[row], part, row));
                }
            }
        }
        Ok(())
    }

    /// Adds what another one has, of other parts.
    pub fn merge(&mut self, other: Self) {
        self.margins.iter_mut().zip(other.margins).for_each(|(all, more)| all.merge(more));
        self.near.iter_mut().zip(other.near).for_each(|(all, more)| all.merge(more));
        self.uniform.merge(other.uniform);
    }

    /// All rows that are on its lists, for [`Shortlist::add`]; one that is on several is there for
    /// each.
    pub fn listed(&self) -> impl Iterator<Item = Listed> {
        let lists = self.margins.iter().chain(&self.near).chain([&self.uniform]).enumerate();
        lists.flat_map(|(list, of)| of.rows.iter().map(move |&(value, _, id, ..)| Listed { list, value, id }))
    }

    /// Adds a row that was on another one, of other parts, and says whether it is on this one now.
    ///
    /// # Errors
    /// A list that there is not.
    pub fn add(&mut self, row: Listed) -> Result<bool> {
        let Listed { list, value, id } = row;
        let lists = self.margins.len() + self.near.len() + 1;
        let mut all = self.margins.iter_mut().chain(&mut self.near).chain([&mut self.uniform]);
        let of = all.nth(list).ok_or_else(|| {
            Error::input("a row of another shortlist")
                .expected(format!("{lists} lists"))
                .got(format!("list {list}"))
        })?;
        if of.worst().is_some_and(|worst| value > worst) {
            return Ok(false);
        }
        Ok(of.push((value, key(self.seed, id), id, 0, 0)))
    }

    /// What scanning a part needs, as a safetensors file: features of labelled rows, and no row of
    /// the pool.
    ///
    /// # Errors
    /// A file that cannot be made.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let broken = |what: String| Error::from(Error::input("the shortlist cannot be written").got(what));
        let (size, classes, seed) = (self.size, self.classes(), self.seed.bytes());
        let json = serde_json::to_string(&Header { version: VERSION, size, classes, seed })
            .map_err(|error| broken(error.to_string()))?;
        let bytes: Vec<u8> = self.anchors.iter().flat_map(|value| value.to_le_bytes()).collect();
        let shape = vec![self.near.len(), self.width];
        let view = TensorView::new(Dtype::F32, shape, &bytes).map_err(|error| broken(error.to_string()))?;
        serialize([("anchors", view)], Some(HashMap::from([(KIND.to_owned(), json)])))
            .map_err(|error| broken(error.to_string()))
    }

    /// An empty list of what [`Shortlist::to_bytes`] gave; `place` names it in errors.
    ///
    /// # Errors
    /// Other bytes, or those of another version.
    pub fn from_bytes(bytes: &[u8], place: &str) -> Result<Self> {
        let foreign = |got: String| Error::from(unreadable(place, got));
        let json = super::header(bytes, KIND).map_err(foreign)?;
        let header: Header = serde_json::from_str(&json).map_err(|error| foreign(error.to_string()))?;
        let Header { version, size, classes, seed } = header;
        if version != VERSION {
            let what = unreadable(place, format!("version {version}"));
            return Err(what.expected(format!("version {VERSION}")).into());
        }
        if classes == 0 || size < least(classes) || size > LONGEST {
            return Err(foreign(format!("{size} rows of {classes} classes")));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| foreign(error.to_string()))?;
        let anchors = tensors.tensor("anchors").map_err(|error| foreign(error.to_string()))?;
        let &[count, width] = anchors.shape() else {
            return Err(foreign(format!("anchors of shape {:?}", anchors.shape())));
        };
        let values: Vec<f32> =
            anchors.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if anchors.dtype() != Dtype::F32 || count > ANCHORS || values.iter().any(|value| !value.is_finite()) {
            return Err(foreign(format!("{count} anchors of type {:?}", anchors.dtype())));
        }
        Ok(Self::empty(size, classes, (values, width), Seed::of_bytes(seed)))
    }

    /// The rows that are on the list, by part, ascending.
    #[must_use]
    pub fn rows(self) -> BTreeMap<usize, Vec<usize>> {
        let mut parts = BTreeMap::<usize, Vec<usize>>::new();
        let all = self.margins.into_iter().chain(self.near).chain([self.uniform]);
        for (.., part, row) in all.flat_map(|smallest| smallest.rows) {
            parts.entry(part).or_default().push(row);
        }
        for rows in parts.values_mut() {
            rows.sort_unstable();
            rows.dedup();
        }
        parts
    }
}

/// What equal values go by, and the uniform list.
fn key(seed: Seed, id: Id) -> u64 {
    seed.key("shortlist", id)
}

/// The shortest list.
fn least(classes: usize) -> usize {
    classes.saturating_mul(3).max(3)
}

fn unreadable(place: &str, got: String) -> Complaint {
    Error::input("invalid shortlist").at(place).expected("the bytes of a shortlist").got(got)
}

/// At most `most` labelled rows of classes with at most as many labels as the mean of those that
/// have any: of each class as many, those with the smallest keys.
fn rare(ids: &[Id], labels: &[Label], classes: usize, most: usize, seed: Seed) -> Vec<usize> {
    let counts = class_counts(labels, classes);
    let present = counts.iter().filter(|&&count| count > 0).count();
    let is_rare = |class: Label| counts[class as usize] * present <= labels.len();
    let mut of_class = BTreeMap::<Label, Vec<(u64, usize)>>::new();
    for (row, &class) in labels.iter().enumerate().filter(|&(_, &class)| is_rare(class)) {
        of_class.entry(class).or_default().push((seed.key("anchor", ids[row]), row));
    }
    of_class.values_mut().for_each(|rows| rows.sort_unstable());
    let longest = of_class.values().map(Vec::len).max().unwrap_or(0);
    let turns = (0..longest).flat_map(|turn| of_class.values().filter_map(move |rows| rows.get(turn)));
    turns.map(|&(_, row)| row).take(most).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ndarray::{Array2, Axis};
    use proptest::prelude::{prop, prop_assert_eq, proptest};

    use super::*;

    fn draws(seed: u64, rows: usize, width: usize) -> Array2<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Array2::from_shape_simple_fn((rows, width), || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Few values, so that some rows are as near as others.
            (state >> 61) as f32 + 1.0
        })
    }

    fn sorted(rows: impl Iterator<Item = Listed>) -> Vec<(usize, u64, Id)> {
        let mut rows: Vec<_> = rows.map(|row| (row.list, row.value, row.id)).collect();
        rows.sort_unstable();
        rows
    }

    fn smallest(mut of: Vec<(f64, u64, Id)>, size: usize) -> impl Iterator<Item = Id> {
        of.sort_by(|a, b| a.partial_cmp(b).unwrap());
        of.truncate(size);
        of.into_iter().map(|(.., id)| id)
    }

    proptest! {
        #[test]
        fn a_list_is_that_of_a_sort_however_the_pool_is_split(
            seed in 0_u64..500, rows in 1_usize..300, classes in 2_usize..5, labelled in 0_usize..40,
            width in prop::sample::select(vec![1, 3, 20]), size in 15_usize..120,
            (parts, batch) in (1_usize..5, 1_usize..70),
        ) {
            let (seed_of, ids) = (Seed::new(seed), (0..rows as Id).map(|row| row * 7_919 % 10_007).collect::<Vec<_>>());
            let mut p = draws(seed, rows, classes);
            p.rows_mut().into_iter().for_each(|mut p| p /= p.sum());
            let x = draws(seed + 1, rows, width);
            let y = draws(seed + 2, labelled, width);
            let labels: Vec<Label> = (0..labelled).map(|row| (row * row % 7 % classes) as Label).collect();
            let closed = Signals::new((20_000..).take(labelled).collect()).with_embedding(y.view()).unwrap();
            let empty = Shortlist::new(size, classes, Some((&closed, &labels)), seed_of).unwrap();
            let offered = |list: &mut Shortlist, part: usize, of: &[usize]| {
                let rows = Signals::new(of.iter().map(|&row| ids[row]).collect())
                    .with_probabilities(p.select(Axis(0), of)).unwrap()
                    .with_embedding(x.select(Axis(0), of)).unwrap();
                let taken = list.offer(part, &rows).unwrap();
                let listed: Vec<usize> = list.clone().rows().remove(&part).unwrap_or_default();
                assert!(listed.iter().all(|row| taken.contains(row)));
            };
            let order: Vec<usize> = (0..rows).rev().collect();
            let batches: Vec<&[usize]> = order.chunks(batch).collect();
            let mut lists: Vec<Shortlist> = batches.iter().enumerate().collect::<Vec<_>>()
                .chunks(batches.len().div_ceil(parts))
                .map(|part| {
                    let mut list = empty.clone();
                    part.iter().for_each(|&(number, rows)| offered(&mut list, number, rows));
                    list
                })
                .collect();
            // As on an engine: the state goes to the workers, rows of their lists come back in any order.
            let read = || Shortlist::from_bytes(&empty.to_bytes().unwrap(), "state").unwrap();
            let mut joined = read();
            for (number, rows) in batches.iter().enumerate() {
                let mut list = read();
                offered(&mut list, number, rows);
                list.listed().for_each(|row| { joined.add(row).unwrap(); });
            }
            let mut list = lists.pop().unwrap();
            lists.into_iter().for_each(|other| list.merge(other));
            prop_assert_eq!(sorted(joined.listed()), sorted(list.listed()));
            let got: BTreeSet<Id> = list.rows().into_iter()
                .flat_map(|(part, rows)| rows.into_iter().map(move |row| (part, row)))
                .map(|(part, row)| ids[batches[part][row]])
                .collect();

            let anchors = rare(closed.ids(), &labels, classes, (size / 3).min(ANCHORS), seed_of);
            let share = size / if anchors.is_empty() { 2 } else { 3 };
            let key = |row: usize| seed_of.key("shortlist", ids[row]);
            let mut expected = BTreeSet::new();
            for class in 0..classes {
                let margins = (0..rows).map(|row| (row, two_largest(p.row(row).as_slice().unwrap())))
                    .filter(|(_, (_, predicted, _))| *predicted == class)
                    .map(|(row, (a, _, b))| (f64::from(a) - f64::from(b), key(row), ids[row]));
                expected.extend(smallest(margins.collect(), share / classes));
            }
            for &anchor in &anchors {
                let distance = |row: usize| x.row(row).iter().zip(y.row(anchor)).map(|(a, b)| f64::from(a - b).powi(2)).sum();
                expected.extend(smallest((0..rows).map(|row| (distance(row), key(row), ids[row])).collect(), share / anchors.len()));
            }
            expected.extend(smallest((0..rows).map(|row| (0.0, key(row), ids[row])).collect(), share));
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn anchors_are_of_rare_classes_as_many_of_each() {
        let labels = [0, 0, 0, 0, 0, 0, 1, 2, 2];
        let ids: Vec<Id> = (0..9).collect();
        let rows = rare(&ids, &labels, 4, 2, Seed::new(1));
        assert_eq!(rows.iter().map(|&row| labels[row]).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(rare(&ids, &labels, 4, 9, Seed::new(1)).len(), 3);
        assert!(rare(&[], &[], 4, 9, Seed::new(1)).is_empty());
    }

    #[test]
    fn what_cannot_be_listed_is_told() {
        let none = |size: usize| Shortlist::new(size, 4, None, Seed::new(1));
        for size in [0, 11, LONGEST + 1] {
            assert!(none(size).unwrap_err().to_string().contains("12, three a class, to 1000000"));
        }
        let mut list = none(12).unwrap();
        let rows = Signals::new(vec![1]).with_probabilities(Array2::from_elem((1, 2), 0.5)).unwrap();
        assert!(list.offer(0, &rows).unwrap_err().to_string().contains("another number of classes"));
        let closed = Signals::new(vec![5]).with_embedding(Array2::zeros((1, 3))).unwrap();
        let mut list = Shortlist::new(12, 2, Some((&closed, &[1])), Seed::new(1)).unwrap();
        let rows = rows.with_embedding(Array2::zeros((1, 2))).unwrap();
        assert!(list.offer(0, &rows).unwrap_err().to_string().contains("3 columns, as of what is labelled"));
        assert!(list.add(Listed { list: 4, value: 0, id: 1 }).unwrap_err().to_string().contains("4 lists"));
    }

    #[test]
    fn other_bytes_are_refused() {
        let closed = Signals::new(vec![5]).with_embedding(Array2::zeros((1, 3))).unwrap();
        let bytes = Shortlist::new(12, 2, Some((&closed, &[1])), Seed::new(1)).unwrap().to_bytes().unwrap();
        let error = |bytes: &[u8]| Shortlist::from_bytes(bytes, "state").unwrap_err().to_string();
        assert!(error(&bytes[..bytes.len() - 1]).contains("state"));
        assert!(error(b"none").contains("the bytes of a shortlist"));
        let replaced = |from: &str, to: &str| {
            let place = bytes.windows(from.len()).position(|at| at == from.as_bytes()).unwrap();
            [&bytes[..place], to.as_bytes(), &bytes[place + from.len()..]].concat()
        };
        assert!(error(&replaced("version\\\":1", "version\\\":2")).contains("version 2"));
        assert!(error(&replaced("size\\\":12", "size\\\":05")).contains("state"));
    }
}
