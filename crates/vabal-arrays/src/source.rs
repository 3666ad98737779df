//! An array of a file as a [`Source`] of `vabal_query::arrays`: which of its readers each kind of
//! array takes.

use std::sync::Arc;

use bytemuck::Pod;
use vabal_query::arrays::{Kind, Source, Store, Values};
use vabal_query::{Progress, Result};

use crate::{Entry, Load};

impl Source for Entry {
    fn read(&self, kind: Kind, progress: &mut Progress<'_>) -> Result<Values> {
        let load = &mut Load::new(progress);
        Ok(match kind {
            Kind::Floats => Values::Floats(Arc::new(self.floats(load)?)),
            Kind::Bytes => Values::Bytes(Arc::new(self.bytes(load)?)),
            Kind::Ids if !self.dtype.is_whole() => {
                Values::Texts(self.texts(load)?.into_iter().map(Some).collect())
            }
            Kind::Ids => Values::Whole(self.integers("whole numbers of 63 bits, or texts", load)?.into()),
            Kind::Labels => {
                Values::Whole(self.integers("whole numbers from 0, or −1 for no label", load)?.into())
            }
        })
    }
}

impl<T: Pod + Send + Sync> Store<T> for crate::Values<T> {
    fn rows(&self, rows: &[usize], width: usize, progress: &mut Progress<'_>) -> Result<Arc<dyn Store<T>>> {
        Ok(Arc::new(crate::Values::rows(self, width, rows, &mut Load::new(progress))?))
    }
}
