//! The file says what the network computes: a reader that knows nothing of the writer decodes it,
//! and a plain f64 interpreter of the operators, by the text of the ONNX standard, gets the
//! probabilities of the scorer.

use std::collections::BTreeMap;

use image::{DynamicImage, ImageBuffer, Luma, Rgb};
use ndarray::Array4;
use vabal_backbone::Backbone;
use vabal_backbone::onnx::PIXELS;

use crate::classify::tests::{SHAPE, halves, tiny, train, untrained};
use crate::classify::{Scorer, Settings};
use crate::data::{ImageShape, Images};
use crate::network::Array;
use crate::progress::silent;
use crate::query::Needs;
use crate::{Id, Seed};

/// A field of a message: its number, and its value.
#[derive(Debug, Clone, PartialEq)]
enum Value<'a> {
    Whole(u64),
    Four([u8; 4]),
    Bytes(&'a [u8]),
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (&byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Value::Whole(varint(&mut bytes)),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                Value::Bytes(value)
            }
            5 => {
                let (value, rest) = bytes.split_first_chunk::<4>().unwrap();
                bytes = rest;
                Value::Four(*value)
            }
            kind => panic!("wire type {kind}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

fn children(bytes: &[u8], field: u64) -> Vec<&[u8]> {
    let of = |(number, value)| match value {
        Value::Bytes(bytes) if number == field => Some(bytes),
        _ => None,
    };
    fields(bytes).into_iter().filter_map(of).collect()
}

fn texts(bytes: &[u8], field: u64) -> Vec<&str> {
    children(bytes, field).into_iter().map(|bytes| std::str::from_utf8(bytes).unwrap()).collect()
}

fn wholes(bytes: &[u8], field: u64) -> Vec<usize> {
    let of = |(number, value)| match value {
        Value::Whole(value) if number == field => Some(value as usize),
        _ => None,
    };
    fields(bytes).into_iter().filter_map(of).collect()
}

struct Node<'a> {
    kind: &'a str,
    inputs: Vec<&'a str>,
    output: &'a str,
    wholes: BTreeMap<&'a str, Vec<usize>>,
    epsilon: f64,
}

struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    arrays: BTreeMap<&'a str, (Vec<usize>, Vec<f64>)>,
    ports: [(&'a str, Vec<usize>); 2],
}

fn decode(model: &[u8]) -> Graph<'_> {
    let graph = children(model, 7)[0];
    let nodes = children(graph, 1).into_iter().map(|node| {
        let mut wholes_of = BTreeMap::new();
        let mut epsilon = f64::NAN;
        for attribute in children(node, 5) {
            let name = texts(attribute, 1)[0];
            match wholes(attribute, 20)[0] {
                1 => {
                    let four = fields(attribute).into_iter().find_map(|(number, value)| match value {
                        Value::Four(four) if number == 2 => Some(four),
                        _ => None,
                    });
                    assert_eq!(name, "epsilon");
                    epsilon = f64::from(f32::from_le_bytes(four.unwrap()));
                }
                2 => _ = wholes_of.insert(name, wholes(attribute, 3)),
                7 => _ = wholes_of.insert(name, wholes(attribute, 8)),
                kind => panic!("attribute of type {kind}"),
            }
        }
        let (kind, output) = (texts(node, 4)[0], texts(node, 2)[0]);
        Node { kind, inputs: texts(node, 1), output, wholes: wholes_of, epsilon }
    });
    let arrays = children(graph, 5).into_iter().map(|array| {
        assert_eq!(wholes(array, 2), [1], "f32");
        let values = children(array, 9)[0].as_chunks().0.iter();
        let values: Vec<f64> = values.map(|&four| f64::from(f32::from_le_bytes(four))).collect();
        let shape = wholes(array, 1);
        assert_eq!(values.len(), shape.iter().product::<usize>());
        (texts(array, 8)[0], (shape, values))
    });
    let port = |field| {
        let port = children(graph, field)[0];
        let array = children(children(port, 2)[0], 1)[0];
        assert_eq!(wholes(array, 1), [1], "f32");
        let dims = children(children(array, 2)[0], 1);
        assert_eq!(texts(dims[0], 2), ["n"]);
        (texts(port, 1)[0], dims[1..].iter().map(|dim| wholes(dim, 1)[0]).collect())
    };
    Graph { nodes: nodes.collect(), arrays: arrays.collect(), ports: [port(11), port(12)] }
}

/// Runs the graph on images [n, C, H, W]; two-dimensional values have H = W = 1.
fn compute(graph: &Graph<'_>, images: Array4<f64>) -> Array4<f64> {
    let mut values = BTreeMap::from([(graph.ports[0].0, images)]);
    for node in &graph.nodes {
        let x = &values[node.inputs[0]];
        let array = |n: usize| &graph.arrays[node.inputs[n]].1;
        let (n, c, h, w) = x.dim();
        let per_channel = |of: &dyn Fn(f64, f64) -> f64| {
            let by = array(1);
            Array4::from_shape_fn((n, c, h, w), |at| of(x[at], by[if by.len() == 1 { 0 } else { at.1 }]))
        };
        let y = match node.kind {
            "Div" => per_channel(&|x, by| x / by),
            "Sub" => per_channel(&|x, by| x - by),
            "Relu" => x.mapv(|x| x.max(0.0)),
            "Add" => x + &values[node.inputs[1]],
            "Conv" => {
                let (shape, weight) = &graph.arrays[node.inputs[1]];
                let size = node.wholes["kernel_shape"][0];
                let (stride, pad) = (node.wholes["strides"][0], node.wholes["pads"][0]);
                assert_eq!(shape[1..], [c, size, size]);
                let side = |length: usize| (length + 2 * pad - size) / stride + 1;
                Array4::from_shape_fn((n, shape[0], side(h), side(w)), |(n, o, i, j)| {
                    let mut sum = 0.0;
                    for (c, di, dj) in ndarray::indices((c, size, size)) {
                        let (i, j) =
                            ((i * stride + di).wrapping_sub(pad), (j * stride + dj).wrapping_sub(pad));
                        if i < h && j < w {
                            sum += x[(n, c, i, j)] * weight[((o * shape[1] + c) * size + di) * size + dj];
                        }
                    }
                    sum
                })
            }
            "BatchNormalization" => Array4::from_shape_fn((n, c, h, w), |at| {
                let [scale, bias, mean, variance] = [1, 2, 3, 4].map(|input| array(input)[at.1]);
                (x[at] - mean) / (variance + node.epsilon).sqrt() * scale + bias
            }),
            "GlobalAveragePool" => Array4::from_shape_fn((n, c, 1, 1), |(n, c, ..)| {
                x.slice(ndarray::s![n, c, .., ..]).mean().unwrap()
            }),
            "Flatten" => x.clone(),
            "Gemm" => {
                assert_eq!(node.wholes["transB"], [1]);
                let (shape, weight) = &graph.arrays[node.inputs[1]];
                Array4::from_shape_fn((n, shape[0], 1, 1), |(n, o, ..)| {
                    array(2)[o] + (0..c).map(|c| x[(n, c, 0, 0)] * weight[o * c_of(shape) + c]).sum::<f64>()
                })
            }
            "Softmax" => {
                assert_eq!(node.wholes["axis"], [1]);
                Array4::from_shape_fn((n, c, 1, 1), |(n, o, ..)| {
                    1.0 / (0..c).map(|c| (x[(n, c, 0, 0)] - x[(n, o, 0, 0)]).exp()).sum::<f64>()
                })
            }
            kind => panic!("{kind}"),
        };
        values.insert(node.output, y);
    }
    values.remove(graph.ports[1].0).unwrap()
}

fn c_of(shape: &[usize]) -> usize {
    shape[1]
}

/// The largest difference between the probabilities of the file and of the scorer.
fn difference(scorer: &Scorer, images: &Images) -> f64 {
    let ids: Vec<Id> = (0..3).collect();
    let signals = scorer.signals(images, &ids, Needs::PROBABILITIES, Seed::new(1), &mut silent()).unwrap();
    let ImageShape { channels, height, width } = images.shape();
    let pixels = Array4::from_shape_fn((3, channels, height, width), |(n, c, i, j)| {
        f64::from(images.pixels(n as Id)[(c * height + i) * width + j])
    });
    let model = scorer.onnx().unwrap();
    let computed = compute(&decode(&model), pixels);
    let both = signals.probabilities().unwrap().into_iter().zip(computed.iter());
    both.map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max)
}

#[test]
fn the_file_computes_what_the_scorer_does() {
    let images = halves();
    let trained = train(&images, &tiny(), 3);
    assert!(difference(&trained, images.images()) < 1e-5);
    for (depth, channels, height, width) in [(18, 1, 9, 14), (34, 3, 5, 3), (18, 3, 1, 1)] {
        let shape = ImageShape { channels, height, width };
        let (images, scorer) = untrained(shape, 5, Settings { depth, width: 2, ..tiny() });
        let largest = difference(&scorer, images.images());
        assert!(largest < 1e-5, "{depth}, {shape:?}: {largest}");
    }
}

#[test]
fn every_array_is_there_and_every_node_reads_what_there_is() {
    for (depth, convolutions) in [(18, 20), (34, 36)] {
        let (_, scorer) = untrained(SHAPE, 7, Settings { depth, width: 2, ..tiny() });
        let model = scorer.onnx().unwrap();
        let graph = decode(&model);
        let count = |kind: &str| graph.nodes.iter().filter(|node| node.kind == kind).count();
        assert_eq!([count("Conv"), count("BatchNormalization")], [convolutions; 2]);
        assert_eq!(count("Add"), if depth == 18 { 8 } else { 16 });
        assert_eq!([count("Gemm"), count("Softmax"), count("GlobalAveragePool")], [1; 3]);
        for (Array { name, shape }, values) in scorer.network.arrays.iter().zip(&*scorer.weights) {
            let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
            assert_eq!(graph.arrays[name.as_str()], (shape.clone(), values), "{name}");
        }
        assert_eq!(graph.arrays.len(), scorer.weights.len() + 3);
        let mut known: Vec<&str> = graph.arrays.keys().copied().collect();
        known.push("images");
        for node in &graph.nodes {
            assert!(node.inputs.iter().all(|input| known.contains(input)), "{}", node.output);
            assert!(!known.contains(&node.output), "{}", node.output);
            known.push(node.output);
        }
        let mut read: Vec<&str> = graph.nodes.iter().flat_map(|node| node.inputs.clone()).collect();
        read.push("probabilities");
        assert!(known.iter().all(|name| read.contains(name)), "nothing is there in vain");
        assert_eq!(graph.ports, [("images", vec![3, 12, 12]), ("probabilities", vec![7])]);
    }
}

#[test]
fn the_file_says_what_it_is_and_repeats_itself() {
    let (_, scorer) = untrained(SHAPE, 2, tiny());
    let model = scorer.onnx().unwrap();
    assert_eq!(wholes(&model, 1), [8]);
    assert_eq!(texts(&model, 2), ["vabal"]);
    let operators = children(&model, 8)[0];
    assert_eq!((texts(operators, 1), wholes(operators, 2)), (vec![""], vec![17]));
    let properties: Vec<_> =
        children(&model, 14).into_iter().map(|entry| (texts(entry, 1)[0], texts(entry, 2)[0])).collect();
    let classes = serde_json::to_string(scorer.classes()).unwrap();
    let about = [("vabal", env!("CARGO_PKG_VERSION")), ("classes", classes.as_str())];
    assert_eq!(properties, [&about[..], &PIXELS[..]].concat());
    assert!(model == scorer.onnx().unwrap());
    let folder = tempfile::tempdir().unwrap();
    scorer.save(&folder.path().join("a.safetensors")).unwrap();
    let again = Scorer::load(&folder.path().join("a.safetensors"), crate::Device::Cpu).unwrap();
    again.save_onnx(&folder.path().join("a.onnx")).unwrap();
    assert!(std::fs::read(folder.path().join("a.onnx")).unwrap() == model);
}

#[test]
fn the_file_read_as_a_backbone_gives_the_features_of_the_classifier() {
    for channels in [1, 3] {
        let (images, scorer) = untrained(ImageShape { channels, ..SHAPE }, 3, tiny());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        scorer.save_onnx(&path).unwrap();
        let backbone = Backbone::open(&path, &vabal_backbone::Settings::default()).unwrap();
        let spec = backbone.spec();
        assert_eq!(
            (spec.channels, spec.cut.as_deref(), spec.output.as_str()),
            (channels, Some("Gemm"), "embedding")
        );
        let ids: Vec<Id> = (0..3).collect();
        let signals = scorer
            .signals(
                images.images(),
                &ids,
                Needs { embedding: true, ..Needs::IDS },
                Seed::new(1),
                &mut silent(),
            )
            .unwrap();
        let embedding = signals.embedding().unwrap();
        let pictures: Vec<DynamicImage> = ids.iter().map(|&id| picture(images.images(), id)).collect();
        let features = backbone.worker().unwrap().features(&pictures.iter().collect::<Vec<_>>()).unwrap();
        let largest = embedding.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let apart = (&features - &embedding).iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        assert!(apart <= 1e-5 * largest, "{apart} of {largest}");
    }
}

/// An image as a decoder gives it.
fn picture(images: &Images, id: Id) -> DynamicImage {
    let ImageShape { channels, height, width } = images.shape();
    let planes = images.pixels(id);
    let at = |channel: usize, x: u32, y: u32| planes[(channel * height + y as usize) * width + x as usize];
    let (width, height) = (width as u32, height as u32);
    match channels {
        1 => DynamicImage::ImageLuma8(ImageBuffer::from_fn(width, height, |x, y| Luma([at(0, x, y)]))),
        _ => DynamicImage::ImageRgb8(ImageBuffer::from_fn(width, height, |x, y| {
            Rgb([0, 1, 2].map(|c| at(c, x, y)))
        })),
    }
}
