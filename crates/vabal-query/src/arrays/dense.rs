//! One array in memory: owned, borrowed or shared, and whole or some rows of a larger one, which
//! are read where they lie.
//!
//! Never here: what the values mean.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use ndarray::{Array, Array2, ArrayView, ArrayView2, Dimension};
use rayon::prelude::*;

use super::Store;

/// A row-major array, owned, borrowed or shared. Made of an [`Array`], or of an [`ArrayView`],
/// which is copied only if it is not row-major itself.
#[derive(Clone)]
pub struct Dense<'a, T: Clone, D> {
    values: Held<'a, T>,
    pub(super) shape: D,
}

#[derive(Clone)]
enum Held<'a, T: Clone> {
    Alone(Cow<'a, [T]>),
    /// From the given value on.
    Shared(Arc<dyn Store<T>>, usize),
    /// These rows of a larger array, and a copy of them side by side once it was asked for.
    Picked(Arc<dyn Store<T>>, Arc<[usize]>, OnceLock<Vec<T>>),
}

impl<T: Clone, D: Dimension> Dense<'_, T, D> {
    /// The values of `store` from `first` on.
    pub(super) fn shared(store: Arc<dyn Store<T>>, first: usize, shape: D) -> Self {
        Self { values: Held::Shared(store, first), shape }
    }

    /// These rows of `store`, which are not copied before [`Dense::view`] is called.
    pub(super) fn picked(store: Arc<dyn Store<T>>, rows: Arc<[usize]>, shape: D) -> Self {
        Self { values: Held::Picked(store, rows, OnceLock::new()), shape }
    }

    /// The whole of it.
    pub fn view(&self) -> ArrayView<'_, T, D> {
        let values = match &self.values {
            Held::Alone(values) => values,
            Held::Shared(store, first) => &(**store).as_ref()[*first..first + self.shape.size()],
            Held::Picked(.., copy) => copy.get_or_init(|| {
                let rows = self.rows();
                (0..rows.len()).flat_map(|row| rows.row(row)).cloned().collect()
            }),
        };
        ArrayView::from_shape(self.shape.clone(), values).expect("as many values as the shape has")
    }

    /// Whether rows that lie apart were brought together after all.
    #[cfg(test)]
    pub(super) fn is_copied(&self) -> bool {
        matches!(&self.values, Held::Picked(.., copy) if copy.get().is_some())
    }

    /// The same array, borrowed where it is owned.
    pub(super) fn borrow(&self) -> Dense<'_, T, D> {
        let values = match &self.values {
            Held::Alone(values) => Held::Alone(Cow::Borrowed(values)),
            Held::Shared(store, first) => Held::Shared(store.clone(), *first),
            Held::Picked(store, rows, _) => Held::Picked(store.clone(), rows.clone(), OnceLock::new()),
        };
        Dense { values, shape: self.shape.clone() }
    }

    /// Row by row, without a copy.
    pub(crate) fn rows(&self) -> ArrayRows<'_, T> {
        let (len, of_a_row) = self.shape.slice().split_first().map_or((1, &[][..]), |(&n, rest)| (n, rest));
        let columns = of_a_row.last().copied().unwrap_or(1);
        let lines = of_a_row.iter().rev().skip(1).product();
        let (values, places) = match &self.values {
            Held::Alone(values) => (&**values, None),
            Held::Shared(store, first) => (&(**store).as_ref()[*first..first + self.shape.size()], None),
            Held::Picked(store, rows, _) => ((**store).as_ref(), Some(&**rows)),
        };
        ArrayRows { values, places, len, lines, columns }
    }
}

/// The rows of an array, read where they lie: each [lines, columns], of an array [n, d] one line.
#[derive(Debug)]
pub(crate) struct ArrayRows<'a, T> {
    values: &'a [T],
    /// Which row of `values` each is; where there are none, they follow one another.
    places: Option<&'a [usize]>,
    len: usize,
    lines: usize,
    columns: usize,
}

impl<T> Clone for ArrayRows<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ArrayRows<'_, T> {}

impl<'a, T> ArrayRows<'a, T> {
    /// n.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Lines of a row.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// Columns of a line.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The values of one row, line after line.
    pub fn row(&self, row: usize) -> &'a [T] {
        let width = self.lines * self.columns;
        let place = self.places.map_or(row, |places| places[row]);
        &self.values[place * width..][..width]
    }

    /// One row, [lines, columns].
    pub fn matrix(&self, row: usize) -> ArrayView2<'a, T> {
        ArrayView2::from_shape((self.lines, self.columns), self.row(row)).expect("a row of its own shape")
    }

    /// Some rows of an array [n, d], one under the other.
    pub fn gather(&self, rows: Range<usize>) -> Array2<T>
    where
        T: Clone,
    {
        let shape = (rows.len(), self.columns);
        let values = rows.flat_map(|row| self.row(row)).cloned().collect();
        Array2::from_shape_vec(shape, values).expect("rows of one width")
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = &'a [T]> {
        (0..self.len).map(move |row| self.row(row))
    }
}

impl<'a, T: Sync> ArrayRows<'a, T> {
    /// All of them, on all cores, at least `least` at a time.
    pub fn par_iter(self, least: usize) -> impl IndexedParallelIterator<Item = &'a [T]> {
        (0..self.len).into_par_iter().with_min_len(least.max(1)).map(move |row| self.row(row))
    }
}

impl<'a, T> From<ArrayView2<'a, T>> for ArrayRows<'a, T> {
    /// Of an array that is row-major; of any other, no rows.
    fn from(array: ArrayView2<'a, T>) -> Self {
        let (len, columns) = array.dim();
        match array.to_slice() {
            Some(values) => Self { values, places: None, len, lines: 1, columns },
            None => Self { values: &[], places: None, len: 0, lines: 1, columns },
        }
    }
}

impl<T: Clone + fmt::Debug, D: Dimension> fmt::Debug for Dense<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

impl<T: Clone + PartialEq, D: Dimension> PartialEq for Dense<'_, T, D> {
    fn eq(&self, other: &Self) -> bool {
        self.view() == other.view()
    }
}

impl<T: Clone, D: Dimension> From<Array<T, D>> for Dense<'_, T, D> {
    fn from(array: Array<T, D>) -> Self {
        let shape = array.raw_dim();
        let values = if array.is_standard_layout() {
            let (mut values, first) = array.into_raw_vec_and_offset();
            values.drain(..first.unwrap_or(0));
            values.truncate(shape.size());
            values
        } else {
            array.iter().cloned().collect()
        };
        Self { values: Held::Alone(Cow::Owned(values)), shape }
    }
}

impl<'a, T: Clone, D: Dimension> From<ArrayView<'a, T, D>> for Dense<'a, T, D> {
    fn from(array: ArrayView<'a, T, D>) -> Self {
        let shape = array.raw_dim();
        let values = match array.to_slice() {
            Some(values) => Cow::Borrowed(values),
            None => Cow::Owned(array.iter().cloned().collect()),
        };
        Self { values: Held::Alone(values), shape }
    }
}
