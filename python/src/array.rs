//! Memory that Python owns, as slices that Rust reads while Python runs on.
//!
//! The one place of this package with `unsafe`.

use std::borrow::Cow;

use ndarray::{Array, ArrayView, Dimension, IntoDimension};
use pyo3::buffer::{Element, PyBuffer};
use pyo3::prelude::*;
use rayon::prelude::*;
use vabal_query::Dense;

/// Rows of a pool, ascending.
#[derive(Debug)]
pub enum Rows {
    /// All from the first up to, not with, the second: read where they lie.
    Block(usize, usize),
    /// Any: gathered once.
    List(Vec<usize>),
}

impl Rows {
    /// Of ascending numbers.
    pub fn new(rows: Vec<usize>) -> Self {
        match (rows.first(), rows.last()) {
            (Some(&first), Some(&last)) if last - first + 1 == rows.len() => Self::Block(first, last + 1),
            (None, _) => Self::Block(0, 0),
            _ => Self::List(rows),
        }
    }

    pub fn iter(&self) -> Box<dyn Iterator<Item = usize> + '_> {
        match self {
            Self::Block(from, to) => Box::new(*from..*to),
            Self::List(rows) => Box::new(rows.iter().copied()),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Block(from, to) => to - from,
            Self::List(rows) => rows.len(),
        }
    }
}

/// A C-contiguous array of numpy, which stays alive as long as this does.
pub struct Held<T: Element> {
    buffer: PyBuffer<T>,
}

impl<T: Element + Default + Sync + Send> Held<T> {
    /// The memory of `array`, which has `N` dimensions, C-contiguous and of T, as `vabal/_arrays.py` makes them.
    pub fn new<const N: usize>(array: &Bound<'_, PyAny>) -> PyResult<Self> {
        let buffer = PyBuffer::<T>::get(array)?;
        if buffer.dimensions() != N || !buffer.is_c_contiguous() {
            return Err(pyo3::exceptions::PyBufferError::new_err(format!(
                "a C-contiguous array of {N} dimensions is expected, not one of {}",
                buffer.dimensions()
            )));
        }
        Ok(Self { buffer })
    }

    /// Length along every dimension.
    pub fn shape(&self) -> &[usize] {
        self.buffer.shape()
    }

    fn values(&self) -> &[T] {
        let count = self.buffer.item_count();
        if count == 0 {
            return &[];
        }
        let first: *const T = self.buffer.buf_ptr().cast();
        // SAFETY: `PyBuffer::get` has checked type, size and alignment, `new` that the items lie side by side; the
        // buffer keeps the memory alive and unmoved as long as `self`. That no other thread of Python writes to it
        // meanwhile is asked of the caller, as everywhere that releases the GIL; any bits are a value of the types
        // that are read so, f32 and u8, and every number that is later used as an index is copied and checked first.
        #[expect(unsafe_code, reason = "numpy's memory is read without a copy, and without the GIL")]
        unsafe {
            std::slice::from_raw_parts(first, count)
        }
    }

    /// The given rows: as they lie in memory where they are one block, else gathered, on all cores.
    pub fn rows<'a, D: Dimension, S: IntoDimension<Dim = D>>(
        &'a self,
        rows: &Rows,
        shape: S,
    ) -> Dense<'a, T, D> {
        let width: usize = self.shape()[1..].iter().product();
        let values = match rows {
            Rows::Block(from, to) => Cow::Borrowed(&self.values()[from * width..to * width]),
            Rows::List(rows) => Cow::Owned(gather(self.values(), rows, width)),
        };
        match values {
            Cow::Borrowed(values) => {
                ArrayView::from_shape(shape, values).expect("as many values as rows").into()
            }
            Cow::Owned(values) => {
                Array::from_shape_vec(shape, values).expect("as many values as rows").into()
            }
        }
    }

    /// A matrix [n, d]: the given rows of it.
    pub fn matrix(&self, rows: &Rows) -> Dense<'_, T, ndarray::Ix2> {
        self.rows(rows, (rows.len(), self.shape()[1]))
    }

    /// [n, draws, C]: the given rows of it.
    pub fn draws(&self, rows: &Rows) -> Dense<'_, T, ndarray::Ix3> {
        self.rows(rows, (rows.len(), self.shape()[1], self.shape()[2]))
    }

    /// [n, channels, height, width]: the given rows of it.
    pub fn images(&self, rows: &Rows) -> Dense<'_, T, ndarray::Ix4> {
        self.rows(rows, (rows.len(), self.shape()[1], self.shape()[2], self.shape()[3]))
    }
}

fn gather<T: Copy + Default + Send + Sync>(values: &[T], rows: &[usize], width: usize) -> Vec<T> {
    let mut gathered = vec![T::default(); rows.len() * width];
    if width > 0 {
        gathered
            .par_chunks_exact_mut(width)
            .zip(rows)
            .with_min_len(64)
            .for_each(|(to, &row)| to.copy_from_slice(&values[row * width..(row + 1) * width]));
    }
    gathered
}
