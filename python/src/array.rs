//! Memory that Python owns, as slices that Rust reads while Python runs on.
//!
//! The one place of this package with `unsafe`.

use pyo3::buffer::{Element, PyBuffer};
use pyo3::prelude::*;
use vabal_query::arrays::Store;

/// A C-contiguous array of numpy, which stays alive as long as this does.
pub struct Held<T: Element> {
    buffer: PyBuffer<T>,
}

impl<T: Element> Held<T> {
    /// The memory of `array`, C-contiguous and of T, as `vabal/_arrays.py` makes them.
    pub fn new(array: &Bound<'_, PyAny>) -> PyResult<Self> {
        let buffer = PyBuffer::<T>::get(array)?;
        if buffer.is_c_contiguous() {
            return Ok(Self { buffer });
        }
        Err(pyo3::exceptions::PyBufferError::new_err("a C-contiguous array is expected"))
    }

    /// Length along every dimension.
    pub fn shape(&self) -> &[usize] {
        self.buffer.shape()
    }
}

impl<T: Element> AsRef<[T]> for Held<T> {
    fn as_ref(&self) -> &[T] {
        let count = self.buffer.item_count();
        if count == 0 {
            return &[];
        }
        let first: *const T = self.buffer.buf_ptr().cast();
        // SAFETY: `PyBuffer::get` has checked type, size and alignment, `new` that the items lie side by side; the
        // buffer keeps the memory alive and unmoved as long as `self`. That no other thread of Python writes to it
        // meanwhile is asked of the caller, as everywhere that releases the GIL; any bits are a value of the types
        // that are read so, f32 and f64, and every number that is later used as an index is copied and checked first.
        #[expect(unsafe_code, reason = "numpy's memory is read without a copy, and without the GIL")]
        unsafe {
            std::slice::from_raw_parts(first, count)
        }
    }
}

impl<T: Element + Send + Sync> Store<T> for Held<T> {}
