//! A classifier as one safetensors file: weights named and laid out as torchvision's ResNet, and
//! under `vabal` in the metadata everything else that scoring needs. See `docs/formats.md`.
//!
//! Never here: what a network computes.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};

use super::{Scorer, Settings};
use crate::data::ImageShape;
use crate::data::batch::Normalisation;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::files;
use crate::network::Array;

/// The version this program writes, and the newest it reads.
const FORMAT: u32 = 1;

/// What stands under `vabal` in the metadata, as JSON. One key, so that equal files have equal
/// bytes.
#[derive(Serialize, Deserialize)]
struct Header {
    /// Version of this header; read before the rest.
    format: u32,
    settings: Settings,
    image: ImageShape,
    classes: Vec<String>,
    normalisation: Normalisation,
}

impl Scorer {
    /// Writes weights, configuration, class names and normalisation as safetensors, in PyTorch's
    /// layout. The file is complete or not there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let header = Header {
            format: FORMAT,
            settings: self.settings.clone(),
            image: self.shape,
            classes: self.classes.clone(),
            normalisation: self.normalisation.clone(),
        };
        let unwritable = |error: &dyn std::fmt::Display| -> Error {
            Error::input("the classifier cannot be written").at(path.display()).got(error).into()
        };
        let header = serde_json::to_string(&header).map_err(|error| unwritable(&error))?;
        let bytes: Vec<Vec<u8>> = self.weights.iter().map(|values| bytes(values)).collect();
        let views = self.network.arrays.iter().zip(&bytes);
        let views = views
            .map(|(Array { name, shape }, bytes)| {
                Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|error| unwritable(&error))?;
        let bytes = serialize(views, Some(HashMap::from([("vabal".to_owned(), header)])))
            .map_err(|error| unwritable(&error))?;
        files::write(path, &bytes)
    }

    /// Reads what [`Scorer::save`] wrote.
    ///
    /// # Errors
    /// A file that is missing, torn, not of this program, or of a newer version.
    pub fn load(path: &Path, device: Device) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let foreign = |got: String| {
            Error::input("not a classifier of vabal")
                .at(path.display())
                .expected("a safetensors file written by vabal")
                .got(got)
        };
        let torn =
            |got: String| foreign(got).hint("the file may be cut short or damaged: copy or write it again");
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| torn(error.to_string()))?;
        let header = metadata
            .metadata()
            .as_ref()
            .and_then(|metadata| metadata.get("vabal"))
            .ok_or_else(|| foreign("a safetensors file without \"vabal\" in its metadata".to_owned()))?;
        let bad_header = |error: serde_json::Error| foreign(format!("metadata that cannot be read: {error}"));
        let json: serde_json::Value = serde_json::from_str(header).map_err(bad_header)?;
        // Before the rest, which a newer version may write differently.
        let format = json.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0);
        if format > u64::from(FORMAT) {
            return Err(Error::input("the classifier was written by a newer vabal")
                .at(path.display())
                .expected(format!("format {FORMAT} or older"))
                .got(format!("format {format}"))
                .hint("update vabal")
                .into());
        }
        let Header { settings, image, classes, normalisation, .. } =
            serde_json::from_value(json).map_err(bad_header)?;
        settings.check().map_err(|error| foreign(error.to_string().replace("\n ", ",")))?;
        let channels = image.channels;
        let measured = [normalisation.mean.len(), normalisation.std.len()] == [channels; 2];
        if ![1, 3].contains(&channels) || image.bytes() == 0 || classes.is_empty() || !measured {
            return Err(foreign("metadata that contradicts itself".to_owned()).into());
        }

        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| torn(error.to_string()))?;
        let weight = |Array { name, shape }: &Array| -> Result<Vec<f32>> {
            let tensor = tensors.tensor(name).map_err(|_| foreign(format!("no weight \"{name}\"")))?;
            if tensor.dtype() != Dtype::F32 || tensor.shape() != *shape {
                let got = format!("\"{name}\" as {:?} {:?}", tensor.dtype(), tensor.shape());
                return Err(foreign(got)
                    .hint(format!("the network of the metadata has F32 {shape:?}"))
                    .into());
            }
            Ok(tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
        };
        let network = settings.network(channels, classes.len());
        let weights = network.weights(weight)?.into();
        Ok(Self { network, weights, settings, shape: image, classes, normalisation, device })
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
