//! A pool in files, read in slices of bounded size by all cores: rows of a file that lie side by
//! side, or row groups, never a file as a whole where it can be taken apart.
//!
//! Never here: what is done with the rows of a slice.

mod rows;
mod workers;

use std::ops::Range;
use std::sync::Arc;

use vabal::query::Needs;
use vabal::query::arrays::{Array, Classes, Group, Name, Pool};
use vabal::query::plan::Name as RowName;
use vabal::{Progress, Result, Signals};
use vabal_arrays::Entry;

use crate::commands::rank::pool::Placed;
pub use rows::{Known, names};

/// Bytes of the arrays of a slice, about, as f32.
const SLICE: usize = 1 << 20;
/// Rows of a slice.
const MOST: usize = 1 << 15;
const LEAST: usize = 64;

/// Files of a pool.
pub struct Stream {
    parts: Vec<Part>,
    units: Vec<Unit>,
    /// Rows of a slice, at most.
    at_once: usize,
    /// Rows in all.
    pub rows: usize,
}

/// A file, or several side by side.
struct Part {
    place: String,
    entries: Vec<Entry>,
    /// Its first row among those of all parts.
    first: usize,
    /// Whether it can only be read as a whole.
    whole: bool,
}

/// What one core works on, slice by slice.
struct Unit {
    part: usize,
    rows: Range<usize>,
    /// The number of its first slice.
    first: usize,
}

/// Rows of a part, unread.
pub struct Slice<'s> {
    /// Its number in the order of the pool.
    pub number: usize,
    part: &'s Part,
    /// The arrays of the part, with readers that go on from slice to slice.
    entries: Arc<Vec<Entry>>,
    rows: Range<usize>,
}

impl Stream {
    /// Of the arrays of each part and its place, as far as `needs` asks for them.
    pub fn new(parts: Vec<Placed>, needs: Needs) -> Self {
        let mut stream = Self { parts: Vec::new(), units: Vec::new(), at_once: MOST, rows: 0 };
        let widest = |(_, entries): &Placed| {
            let read = entries.iter().filter(|entry| is_read(entry, needs));
            read.map(|entry| entry.shape.iter().skip(1).product::<usize>() * 4 + 8).sum::<usize>()
        };
        let row = parts.iter().map(widest).max().unwrap_or(0).max(1);
        stream.at_once = (SLICE / row).clamp(LEAST, MOST).next_multiple_of(LEAST);
        let mut slices = 0;
        for (part, (place, mut entries)) in parts.into_iter().enumerate() {
            let rows = |entry: &Entry| entry.shape.first().copied().unwrap_or(0);
            let known = |entry: &&Entry| Name::of(&entry.name).is_some();
            let count = entries.iter().find(known).map_or(0, rows);
            let cut = |entry: &Entry| entry.slice(0..count).is_some();
            // What does not fit together is told by who looks at the whole.
            let fit = count > 0 && entries.iter().filter(known).all(|entry| rows(entry) == count);
            let whole = !fit || !entries.iter().filter(|entry| is_read(entry, needs)).all(cut);
            if !whole {
                entries.retain(|entry| Name::of(&entry.name).is_some() && cut(entry));
            }
            let one = || std::iter::once(0..count).collect();
            for rows in if whole { one() } else { stream.cut(&entries, count) } {
                let first = slices;
                slices += if whole { 1 } else { rows.len().div_ceil(stream.at_once) };
                stream.units.push(Unit { part, rows, first });
            }
            stream.parts.push(Part { place, entries, first: stream.rows, whole });
            stream.rows += count;
        }
        stream
    }

    /// The rows of each unit of a part of `count` rows: row groups, small ones together; anything
    /// else in pieces of a few slices.
    fn cut(&self, entries: &[Entry], count: usize) -> Vec<Range<usize>> {
        let Some(groups) = entries.iter().find_map(Entry::groups) else {
            let step = 4 * self.at_once;
            return (0..count).step_by(step).map(|first| first..(first + step).min(count)).collect();
        };
        let (mut units, mut rows) = (Vec::new(), 0..0);
        for group in groups {
            rows.end += group;
            if rows.len() >= self.at_once {
                units.push(rows.clone());
                rows.start = rows.end;
            }
        }
        units.extend((!rows.is_empty()).then_some(rows));
        units
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The first slice, if there is any.
    pub fn first(&self) -> Option<Slice<'_>> {
        self.slices(self.units.first()?).next()
    }

    fn slices<'s>(&'s self, unit: &Unit) -> impl Iterator<Item = Slice<'s>> + use<'s> {
        let part = &self.parts[unit.part];
        let step = if part.whole { unit.rows.len() } else { self.at_once }.max(1);
        let (rows, number) = (unit.rows.clone(), unit.first);
        // One slice at least, that an array without rows is looked at.
        let count = rows.len().div_ceil(step).max(1);
        let entries = Arc::new(part.entries.iter().map(Entry::apart).collect::<Vec<_>>());
        (0..count).map(move |n| {
            let (first, entries) = (rows.start + n * step, Arc::clone(&entries));
            Slice { number: number + n, part, entries, rows: first..(first + step).min(rows.end) }
        })
    }

    /// The same with columns of bytes read as rows of these widths, of numbers of 16 or 32 bits,
    /// whichever their length tells: of probabilities, and of features.
    pub fn of_widths(mut self, classes: Option<usize>, features: Option<usize>) -> Self {
        for part in &mut self.parts {
            let entries = std::mem::take(&mut part.entries).into_iter();
            part.entries = entries
                .map(|entry| {
                    let width = match Name::of(&entry.name) {
                        Some(Name::Probabilities) => classes,
                        Some(Name::Features | Name::Stage(_)) => features,
                        _ => None,
                    };
                    match width {
                        Some(width) => entry.of_width(width),
                        None => entry,
                    }
                })
                .collect();
        }
        self
    }
}

impl Slice<'_> {
    /// The file that it is of.
    pub fn place(&self) -> &str {
        &self.part.place
    }

    /// What candidates may look at of it, whose names are these: of rows that are called by their
    /// numbers, by those in all parts.
    ///
    /// # Errors
    /// As [`Pool::signals`].
    pub fn signals(
        &self,
        pool: &Pool,
        names: &[RowName],
        needs: Needs,
        progress: &mut Progress<'_>,
    ) -> Result<Signals<'static>> {
        let rows = pool.signals(needs, Needs::IDS, progress)?.0;
        let number = |name: &RowName| match name {
            RowName::Number(number) => Some(*number),
            RowName::Text(..) => None,
        };
        match names.iter().map(number).collect() {
            Some(ids) if self.part.first > 0 => rows.with_ids(ids),
            _ => Ok(rows),
        }
    }

    /// What may be looked at of its labelled rows, likewise.
    ///
    /// # Errors
    /// As [`Pool::signals`].
    pub fn labelled(
        &self,
        pool: &Pool,
        needs: Needs,
        progress: &mut Progress<'_>,
    ) -> Result<Signals<'static>> {
        let rows = pool.signals(Needs::IDS, needs, progress)?.1;
        if pool.labelled_are_named() || self.part.first == 0 {
            return Ok(rows);
        }
        let ids = rows.ids().iter().map(|row| self.part.first as u64 + row).collect();
        rows.with_ids(ids)
    }

    /// Its rows as a pool; without their labels where what is labelled is elsewhere.
    ///
    /// # Errors
    /// As [`Pool::new`].
    pub fn pool(&self, labels: bool, classes: &Classes, progress: &mut Progress<'_>) -> Result<Pool> {
        Pool::new(self.group(labels), None, classes, progress)
    }

    /// Its rows as a group of arrays, with or without labels.
    pub fn group(&self, labels: bool) -> Group {
        let kept = self.entries.iter().filter(|entry| labels || Name::of(&entry.name) != Some(Name::Labels));
        let arrays = kept.map(|entry| {
            let entry = match self.part.whole {
                true => entry.clone(),
                // That it can be cut was seen when it was opened.
                false => entry.slice(self.rows.clone()).unwrap_or_else(|| entry.clone()),
            };
            let (name, shape, place) = (entry.name.clone(), entry.shape.clone(), entry.place.clone());
            Array::from_source(&name, shape, entry).at(place).from_row(self.rows.start)
        });
        Group::new(arrays.collect()).at(&self.part.place)
    }
}

/// Whether an array is read for `needs`.
fn is_read(entry: &Entry, needs: Needs) -> bool {
    match Name::of(&entry.name) {
        None => false,
        Some(Name::Features | Name::Stage(_)) => needs.embedding || needs.stages,
        Some(Name::Probabilities) => needs.probabilities || needs.prediction || needs.predicted,
        Some(Name::MonteCarlo) => needs.monte_carlo.is_some(),
        Some(Name::Committee) => needs.committee > 0,
        Some(Name::Images) => needs.images,
        Some(Name::Labels | Name::Ids | Name::Predicted) => true,
    }
}
