//! A backbone with a linear classifier behind it, as one ONNX file that any runtime reads; and the
//! classifier alone.
//!
//! Never here: where the classifier comes from.

use ndarray::{ArrayView1, ArrayView2};
use vabal_query::error::{Error, Result};

use crate::graph::Graph;
use crate::onnx::{PIXELS, graph, indices, model, node, port, tensor, whole, wholes};
use crate::protobuf::Message;
use crate::{Backbone, Layout, Pooling, Spec};

/// The largest file that holds its arrays inside.
const MOST_BYTES: usize = i32::MAX as usize;

/// What is put around a network.
pub(crate) struct Around {
    pub(crate) before: Vec<Message>,
    pub(crate) behind: Vec<Message>,
    pub(crate) arrays: Vec<Message>,
    pub(crate) input: Message,
    pub(crate) output: Message,
}

/// A linear classifier of `classes` classes on d features.
#[derive(Debug, Clone, Copy)]
pub struct Linear<'a> {
    /// [C, d]
    pub weights: ArrayView2<'a, f64>,
    /// \[C\]
    pub bias: ArrayView1<'a, f64>,
    /// The names of the classes.
    pub classes: &'a [String],
}

impl Linear<'_> {
    /// Nodes from `features` [n, d] to `probabilities` [n, C], with their arrays.
    fn nodes(&self, features: &str) -> (Vec<Message>, Vec<Message>) {
        let (classes, width) = self.weights.dim();
        let narrow = |values: &mut dyn Iterator<Item = &f64>| values.map(|&v| v as f32).collect::<Vec<f32>>();
        let arrays = vec![
            tensor("vabal.weight", &[classes, width], narrow(&mut self.weights.iter())),
            tensor("vabal.bias", &[classes], narrow(&mut self.bias.iter())),
        ];
        let nodes = vec![
            node("Gemm", &[features, "vabal.weight", "vabal.bias"], "logits", &[whole("transB", 1)]),
            node("Softmax", &["logits"], "probabilities", &[whole("axis", 1)]),
        ];
        (nodes, arrays)
    }

    fn names(&self) -> String {
        serde_json::Value::from(self.classes.to_vec()).to_string()
    }

    /// The classifier alone as ONNX: input `features` [n, d], output `probabilities` [n, C].
    /// Metadata: `vabal`, the version; `classes`, a JSON list of names; `backbone`, how the
    /// features are made, as JSON.
    #[must_use]
    pub fn onnx(&self, spec: &Spec) -> Vec<u8> {
        let (nodes, arrays) = self.nodes("features");
        let (classes, width) = self.weights.dim();
        let input = port("features", &[None, Some(width)]);
        let output = port("probabilities", &[None, Some(classes)]);
        let about = serde_json::json!(spec).to_string();
        let metadata =
            [("vabal", env!("CARGO_PKG_VERSION")), ("classes", &self.names()), ("backbone", &about)];
        model(&graph("vabal", &nodes, &arrays, &[input], &[output]), &metadata).into_bytes()
    }
}

impl Backbone {
    /// The network with a classifier behind it as ONNX: input `images` [n, channels, height,
    /// width], f32 from 0 to 255, which are resized already; output `probabilities` [n, C].
    /// Metadata as of [`Linear::onnx`].
    ///
    /// # Errors
    /// A network of more than 2 GiB; a classifier of another width.
    pub fn with_classifier(&self, linear: Linear<'_>) -> Result<Vec<u8>> {
        let spec = self.spec();
        let refused = |what: &str, expected: String, got: String, hint: &str| -> Error {
            Error::input(what).at(&spec.name).expected(expected).got(got).hint(hint).into()
        };
        let (classes, width) = linear.weights.dim();
        if width != spec.features {
            let expected = format!("{} columns, the features of the backbone", spec.features);
            let what = "a classifier of another width than the backbone";
            return Err(refused(what, expected, width.to_string(), "train the classifier again"));
        }
        let network = Graph::read(self.onnx()).map_err(|reason| crate::refused(&spec.name, reason))?;
        let names = ["images", "pixels", "vabal.images"];
        let input = names.into_iter().find(|name| !network.has(name)).unwrap_or("vabal.input");
        let channels = spec.channels;
        let per_channel = [1, channels, 1, 1];
        let mut around = Around {
            // In the order in which it is done here, so that not even rounding differs.
            before: vec![
                node("Div", &[input, "vabal.scale"], "vabal.scaled", &[]),
                node("Sub", &["vabal.scaled", "vabal.mean"], "vabal.centred", &[]),
            ],
            behind: Vec::new(),
            arrays: vec![
                tensor("vabal.scale", &[], [255.0]),
                tensor("vabal.mean", &per_channel, spec.normalisation.mean.into_iter().take(channels)),
                tensor("vabal.std", &per_channel, spec.normalisation.std.into_iter().take(channels)),
            ],
            input: port(
                input,
                &[
                    (spec.batch > 1).then_some(spec.batch),
                    Some(channels),
                    Some(spec.height),
                    Some(spec.width),
                ],
            ),
            output: port("probabilities", &[(spec.batch > 1).then_some(spec.batch), Some(classes)]),
        };
        let normalised = if spec.layout == Layout::Nhwc { "vabal.normalised" } else { &spec.input };
        around.before.push(node("Div", &["vabal.centred", "vabal.std"], normalised, &[]));
        if spec.layout == Layout::Nhwc {
            around.before.push(node(
                "Transpose",
                &[normalised],
                &spec.input,
                &[wholes("perm", &[0, 2, 3, 1])],
            ));
        }
        let mut value = spec.output.clone();
        let mut then = |kind: &str, inputs: &[&str], output: &str, attributes: &[Message]| {
            around.behind.push(node(kind, inputs, output, attributes));
            output.to_owned()
        };
        match (spec.pooling, spec.shape.len()) {
            (Pooling::None, 2) => {}
            (Pooling::None, _) => value = then("Flatten", &[&value], "vabal.features", &[]),
            (Pooling::Class, _) => {
                value = then("Gather", &[&value, "vabal.first"], "vabal.class", &[whole("axis", 1)]);
                value = then("Flatten", &[&value], "vabal.features", &[]);
                around.arrays.push(indices("vabal.first", &[0]));
            }
            (Pooling::Mean, axes) => {
                // The channels in front of what is averaged.
                let order: Option<&[usize]> = match (axes, spec.layout) {
                    (4, Layout::Nhwc) => Some(&[0, 3, 1, 2]),
                    (3, _) => Some(&[0, 2, 1]),
                    _ => None,
                };
                if let Some(order) = order {
                    value = then("Transpose", &[&value], "vabal.turned", &[wholes("perm", order)]);
                }
                value = then("GlobalAveragePool", &[&value], "vabal.pooled", &[]);
                value = then("Flatten", &[&value], "vabal.features", &[]);
            }
        }
        let (nodes, arrays) = linear.nodes(&value);
        around.behind.extend(nodes);
        around.arrays.extend(arrays);
        let about = serde_json::json!(spec).to_string();
        let [mean, std] = PIXELS;
        let metadata = [
            ("vabal", env!("CARGO_PKG_VERSION")),
            ("classes", &linear.names()),
            ("backbone", &about),
            mean,
            std,
        ];
        let bytes = network.within(&around, &spec.input, &metadata);
        match bytes.len() <= MOST_BYTES {
            true => Ok(bytes),
            false => {
                let got = format!("{} bytes", bytes.len());
                let hint = "use the head alone, behind the backbone";
                Err(refused("the network is too large for ONNX", "less than 2 GiB".into(), got, hint))
            }
        }
    }
}
