//! A linear head as a safetensors file, with metadata: `weight` [C, d] and `bias` \[C\], f64.
//!
//! Never here: what the metadata mean.

use std::collections::HashMap;
use std::path::Path;

use ndarray::{Array1, Array2};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use crate::error::{Complaint, Error, Result};
use crate::files;
use crate::query::head::LinearHead;

/// What a file is told by: a key of its metadata, whose value is the format.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) key: &'static str,
    /// The version this program writes, and the newest it reads.
    pub(crate) format: &'static str,
    /// The error for a file of another kind.
    pub(crate) what: &'static str,
    pub(crate) hint: &'static str,
}

impl Kind {
    /// A complaint about the file at `path`.
    pub(crate) fn foreign(self, path: &Path, got: impl std::fmt::Display) -> Complaint {
        Error::input(self.what)
            .at(path.display())
            .expected(format!("a safetensors file written by vabal, format {}", self.format))
            .got(got)
            .hint(self.hint)
    }

    /// Writes a head, whole or not at all.
    pub(crate) fn write(
        self,
        path: &Path,
        head: &LinearHead,
        metadata: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<()> {
        let bytes = |values: &mut dyn Iterator<Item = &f64>| -> Vec<u8> {
            values.flat_map(|value| value.to_le_bytes()).collect()
        };
        let (weights, bias) = (head.weights(), head.bias());
        let (classes, width) = weights.dim();
        let arrays: [(&str, Vec<usize>, Vec<u8>); 2] = [
            ("bias", vec![classes], bytes(&mut bias.iter())),
            ("weight", vec![classes, width], bytes(&mut weights.iter())),
        ];
        let mut all = HashMap::from([(self.key.to_owned(), self.format.to_owned())]);
        all.extend(metadata.into_iter().map(|(key, value)| (key.to_owned(), value)));
        let views = arrays
            .iter()
            .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F64, shape.clone(), bytes)?)));
        let written = views
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .and_then(|views| serialize(views, Some(all)));
        let unwritable = |error| Error::input("the model cannot be written").at(path.display()).got(error);
        files::write(path, &written.map_err(unwritable)?)
    }

    /// Reads what [`Kind::write`] wrote: the metadata and the head; `None` of a safetensors file of
    /// another kind.
    pub(crate) fn read(self, path: &Path) -> Result<Option<(HashMap<String, String>, LinearHead)>> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let torn = |error: safetensors::SafeTensorError| self.foreign(path, error);
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(torn)?;
        let metadata = metadata.metadata().clone().unwrap_or_default();
        match metadata.get(self.key) {
            None => return Ok(None),
            Some(format) if format == self.format => {}
            Some(other) => return Err(self.foreign(path, format!("format {other}")).into()),
        }
        let tensors = SafeTensors::deserialize(&bytes).map_err(torn)?;
        let values = |name: &str| -> Result<(Vec<usize>, Vec<f64>)> {
            let tensor = tensors.tensor(name).map_err(torn)?;
            if tensor.dtype() != Dtype::F64 {
                return Err(self.foreign(path, format!("\"{name}\" as {:?}", tensor.dtype())).into());
            }
            let values = tensor.data().as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes));
            Ok((tensor.shape().to_vec(), values.collect()))
        };
        let ((shape, weights), (_, bias)) = (values("weight")?, values("bias")?);
        let &[classes, width] = &shape[..] else {
            return Err(self.foreign(path, format!("weights of shape {shape:?}")).into());
        };
        let weights =
            Array2::from_shape_vec((classes, width), weights).map_err(|error| self.foreign(path, error))?;
        let head = LinearHead::of(weights, Array1::from_vec(bias));
        Ok(Some((metadata, head.map_err(|error| self.foreign(path, error))?)))
    }
}
