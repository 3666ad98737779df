//! A classifier on a backbone's features as a file: a linear head, the names of its classes, and
//! which features it wants.
//!
//! Never here: how the head is fitted.

use std::path::Path;

use ndarray::{Array2, ArrayView2};
use vabal_backbone::{Backbone, Linear, Spec};

use super::file::Kind;
use crate::error::{Error, Result};
use crate::query::head::LinearHead;

const KIND: Kind = Kind {
    key: "vabal.frozen",
    format: "1",
    what: "this is no model of a project",
    hint: "the file may be cut short or damaged: train again",
};

/// A linear classifier on the features of a backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearModel {
    /// On the features as they are, [C, d].
    pub head: LinearHead,
    /// Names, in the order of the probabilities.
    pub classes: Vec<String>,
    /// How the features are made.
    pub spec: Spec,
    /// What [`Backbone::key`] said of it.
    pub key: String,
}

impl LinearModel {
    /// Probabilities [n, C] of features [n, d].
    ///
    /// # Errors
    /// Features of another width, or that are not finite.
    pub fn probabilities(&self, features: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        self.head.probabilities(features)
    }

    /// Checks that a backbone makes the features it was trained on.
    ///
    /// # Errors
    /// Another one, or one that is used otherwise.
    pub fn check(&self, backbone: &Backbone) -> Result<()> {
        if backbone.key() == self.key {
            return Ok(());
        }
        let spec = backbone.spec();
        let text = |spec: &Spec| {
            format!(
                "{} ({}…) at {} × {} pixels, output {}",
                spec.name,
                &spec.sha256[..8.min(spec.sha256.len())],
                spec.height,
                spec.width,
                spec.output
            )
        };
        Err(Error::input("the model was trained on other features")
            .expected(text(&self.spec))
            .got(text(spec))
            .hint("train again with this backbone, or set the one that it was trained with")
            .into())
    }

    fn linear(&self) -> Linear<'_> {
        Linear { weights: self.head.weights(), bias: self.head.bias(), classes: &self.classes }
    }

    /// Backbone and head as one ONNX file; see [`Backbone::with_classifier`].
    ///
    /// # Errors
    /// Another backbone than it was trained on; what exporting says.
    pub fn onnx(&self, backbone: &Backbone) -> Result<Vec<u8>> {
        self.check(backbone)?;
        backbone.with_classifier(self.linear())
    }

    /// The head alone as ONNX; see [`Linear::onnx`].
    #[must_use]
    pub fn head_onnx(&self) -> Vec<u8> {
        self.linear().onnx(&self.spec)
    }

    /// Writes it to a file, whole or not at all.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let metadata = [
            ("classes", serde_json::Value::from(self.classes.clone()).to_string()),
            ("backbone", serde_json::json!(self.spec).to_string()),
            ("key", self.key.clone()),
        ];
        KIND.write(path, &self.head, metadata)
    }

    /// Reads what [`LinearModel::save`] wrote; `None` of a safetensors file of another kind.
    ///
    /// # Errors
    /// A file that cannot be read, is torn, or of another version.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        let Some((metadata, head)) = KIND.read(path)? else { return Ok(None) };
        let text = |key: &str| metadata.get(key).ok_or_else(|| KIND.foreign(path, format!("no {key}")));
        let classes: Vec<String> =
            serde_json::from_str(text("classes")?).map_err(|error| KIND.foreign(path, error))?;
        let spec: Spec =
            serde_json::from_str(text("backbone")?).map_err(|error| KIND.foreign(path, error))?;
        let shape = head.weights().dim();
        if shape != (classes.len(), spec.features) {
            let got = format!("weights of shape {shape:?} for {} classes", classes.len());
            return Err(KIND.foreign(path, got).into());
        }
        let key = text("key")?.clone();
        Ok(Some(Self { head, classes, spec, key }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::Settings;
    use ndarray::{Array, Array1};

    #[test]
    fn a_model_reads_as_it_was_written_and_a_torn_or_foreign_one_is_told() {
        let backbone = Backbone::embedded(&Settings { size: Some(32), ..Settings::default() }).unwrap();
        let weights = Array::from_shape_fn((2, 1280), |(row, column)| (row + 1) as f64 / (column + 3) as f64);
        let head = LinearHead::of(weights, Array1::from_vec(vec![0.25, -1e-300])).unwrap();
        let classes = ["a".to_owned(), "ü \"b\"".to_owned()].to_vec();
        let model = LinearModel { head, classes, spec: backbone.spec().clone(), key: backbone.key() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        model.save(&path).unwrap();
        assert_eq!(LinearModel::load(&path).unwrap().as_ref(), Some(&model));
        model.check(&backbone).unwrap();
        let other = Backbone::embedded(&Settings { size: Some(40), ..Settings::default() }).unwrap();
        let error = model.check(&other).unwrap_err().to_string();
        assert!(error.contains("32 × 32") && error.contains("40 × 40"), "{error}");
        assert!(model.onnx(&other).is_err() && model.onnx(&backbone).is_ok());
        let bytes = std::fs::read(&path).unwrap();
        for length in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(LinearModel::load(&path).unwrap_err().to_string().contains("hint:"), "{length}");
        }
    }
}
