//! Some rows of an array, the others unread.
//!
//! Never here: how they are read.

use std::ops::Range;
use std::sync::Arc;

use crate::parquet::PACKED;
use crate::{Bytes, Dtype, Entry};

impl Entry {
    /// These rows alone, where the rows lie one behind another; `None` where they do not, of an
    /// array that is compressed as a whole or in Fortran order, and behind its end.
    ///
    /// Slices of a slice of a Parquet column go on where the one that was read before them stopped,
    /// so that to read them in order decodes every page once.
    #[must_use]
    pub fn slice(&self, rows: Range<usize>) -> Option<Self> {
        let (&count, row) = self.shape.split_first()?;
        if self.fortran || rows.start > rows.end || rows.end > count {
            return None;
        }
        let size = row.iter().product::<usize>() * self.dtype.size();
        let bytes = match &self.bytes {
            Bytes::Mapped(map, all) => {
                Bytes::Mapped(Arc::clone(map), all.start + rows.start * size..all.start + rows.end * size)
            }
            Bytes::Column(column) => Bytes::Column(Arc::new(column.slice(rows.clone()))),
            Bytes::Deflated { .. } => return None,
        };
        let shape = [&[rows.len()], row].concat();
        Some(Self { shape, bytes, first: self.first + rows.start, ..self.clone() })
    }

    /// The rows of each group of rows of a Parquet column.
    #[must_use]
    pub fn groups(&self) -> Option<Vec<usize>> {
        match &self.bytes {
            Bytes::Column(column) => Some(column.groups()),
            _ => None,
        }
    }

    /// The same with rows of `width` numbers, where its rows are bytes that are as many in 16 or in
    /// 32 bits, and its name does not say which.
    #[must_use]
    pub fn of_width(self, width: usize) -> Self {
        let Bytes::Column(column) = &self.bytes else { return self };
        let dtype = match column.packed().filter(|_| self.dtype == Dtype::Other(PACKED.into())) {
            Some(bytes) if bytes == 2 * width => Dtype::F16,
            Some(bytes) if bytes == 4 * width => Dtype::F32,
            _ => return self,
        };
        let shape = vec![self.shape[0], width];
        Self { dtype, shape, ..self }
    }
}
