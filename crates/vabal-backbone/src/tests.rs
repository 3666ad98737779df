//! Small networks, written here as ONNX: what is read of them, what they compute, what is refused.

use std::fs;

use image::imageops::FilterType;
use image::{DynamicImage, ImageBuffer, Luma, LumaA, Rgb, Rgba};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, proptest};

use super::*;
use crate::onnx::{indices, model, node, whole, wholes};
use crate::protobuf::Message;

const WEIGHTS: [f32; 12] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.5, -0.25, 0.125];
const BIAS: [f32; 4] = [0.0, 0.5, 0.25, 1.0];

fn tensor(name: &str, shape: &[i64], values: &[f32]) -> Message {
    let dims = shape.iter().fold(Message::default(), |message, &dim| message.whole(1, dim));
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    dims.whole(2, 1).text(8, name).bytes(9, &raw)
}

/// 0 is an axis of any length.
fn port(name: &str, axes: &[i64]) -> Message {
    let axes: Vec<_> = axes.iter().map(|&axis| (axis > 0).then_some(axis as usize)).collect();
    onnx::port(name, &axes)
}

/// A network of one convolution, ReLU, and what follows.
#[derive(Clone)]
struct Small {
    input: Vec<i64>,
    nodes: Vec<Message>,
    arrays: Vec<Message>,
    output: &'static str,
}

impl Small {
    /// Input `x`, output `map`, of four channels.
    fn new(input: &[i64]) -> Self {
        let nhwc = input[3] == 3;
        let transpose = node("Transpose", &["x"], "planes", &[wholes("perm", &[0, 3, 1, 2])]);
        let conv = [
            node("Conv", &[if nhwc { "planes" } else { "x" }, "weight", "bias"], "conv", &[]),
            node("Relu", &["conv"], "map", &[]),
        ];
        let nodes = nhwc.then_some(transpose).into_iter().chain(conv).collect();
        let arrays = vec![tensor("weight", &[4, 3, 1, 1], &WEIGHTS), tensor("bias", &[4], &BIAS)];
        Self { input: input.to_vec(), nodes, arrays, output: "map" }
    }

    fn then(mut self, kind: &str, inputs: &[&str], output: &'static str, attributes: &[Message]) -> Self {
        self.nodes.push(node(kind, inputs, output, attributes));
        self.output = output;
        self
    }

    fn with(mut self, array: Message) -> Self {
        self.arrays.push(array);
        self
    }

    fn pooled(self) -> Self {
        self.then("GlobalAveragePool", &["map"], "pool", &[]).then("Flatten", &["pool"], "embedding", &[])
    }

    /// With the last layer of a classifier of five classes.
    fn classifier(self) -> Self {
        let weights: Vec<f32> = (0..20).map(|value| value as f32 / 10.0).collect();
        self.pooled()
            .with(tensor("fc.weight", &[5, 4], &weights))
            .with(tensor("fc.bias", &[5], &[0.0; 5]))
            .then("Gemm", &["embedding", "fc.weight", "fc.bias"], "logits", &[whole("transB", 1)])
            .then("Softmax", &["logits"], "probabilities", &[whole("axis", 1)])
    }

    fn bytes(&self) -> Vec<u8> {
        let output = Message::default().text(1, self.output);
        let graph = onnx::graph("small", &self.nodes, &self.arrays, &[port("x", &self.input)], &[output]);
        model(&graph, &[]).into_bytes()
    }

    fn open(&self, settings: &Settings) -> Result<Backbone> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.onnx");
        fs::write(&path, self.bytes()).unwrap();
        Backbone::open(&path, settings)
    }
}

/// Plain values: pixels from 0 to 1.
fn plain() -> Settings {
    Settings { mean: Some([0.0; 3]), std: Some([1.0; 3]), ..Settings::default() }
}

/// What the network makes of an image of one colour.
fn expected(colour: [u8; 3], mean: [f32; 3], std: [f32; 3]) -> [f32; 4] {
    let x: [f32; 3] = std::array::from_fn(|c| (f32::from(colour[c]) / 255.0 - mean[c]) / std[c]);
    std::array::from_fn(|row| {
        let sum: f32 = (0..3).map(|c| WEIGHTS[3 * row + c] * x[c]).sum();
        (sum + BIAS[row]).max(0.0)
    })
}

fn of_colour(colour: [u8; 3]) -> DynamicImage {
    DynamicImage::ImageRgb8(ImageBuffer::from_pixel(7, 5, Rgb(colour)))
}

fn close(got: &Array2<f32>, expected: &[[f32; 4]]) {
    assert_eq!(got.dim(), (expected.len(), 4));
    for (got, expected) in got.rows().into_iter().zip(expected) {
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{got} {expected:?}");
    }
}

const RED: [u8; 3] = [200, 30, 60];

#[test]
fn every_form_of_network_gives_the_features_before_the_classifier() {
    let tokens = |small: Small| {
        small.with(indices("shape", &[0, 4, -1])).then("Reshape", &["map", "shape"], "flat", &[]).then(
            "Transpose",
            &["flat"],
            "tokens",
            &[wholes("perm", &[0, 2, 1])],
        )
    };
    let with_class = |small: Small| {
        tokens(small).with(tensor("class", &[1, 1, 4], &expected(RED, [0.0; 3], [1.0; 3]))).then(
            "Concat",
            &["class", "tokens"],
            "all",
            &[whole("axis", 1)],
        )
    };
    let free = [0, 3, 0, 0];
    let cases: [(&str, Small, Option<&str>, Pooling, usize); 9] = [
        ("classifier", Small::new(&free).classifier(), Some("Gemm"), Pooling::None, 1),
        ("pooled", Small::new(&free).pooled(), None, Pooling::None, 1),
        ("map", Small::new(&free), None, Pooling::Mean, 1),
        ("map of one place", Small::new(&[0, 3, 1, 1]), None, Pooling::None, 1),
        ("channels last", Small::new(&[0, 0, 0, 3]).classifier(), Some("Gemm"), Pooling::None, 1),
        ("tokens", tokens(Small::new(&[0, 3, 8, 8])), None, Pooling::Mean, 1),
        ("class token", with_class(Small::new(&[1, 3, 8, 8])), None, Pooling::Class, 1),
        ("fixed batch", Small::new(&[3, 3, 8, 8]).classifier(), Some("Gemm"), Pooling::None, 3),
        ("fixed batch of maps", Small::new(&[2, 3, 9, 8]), None, Pooling::Mean, 2),
    ];
    for (name, small, cut, pooling, batch) in cases {
        let size = small.input[1..].iter().all(|&n| n == 0 || n == 3).then_some(16);
        let settings = Settings { size, ..plain() };
        let backbone = small.open(&settings).unwrap_or_else(|error| panic!("{name}: {error}"));
        let spec = backbone.spec();
        assert_eq!((spec.cut.as_deref(), spec.pooling, spec.batch), (cut, pooling, batch), "{name}");
        let other = if name == "class token" { RED } else { [0, 255, 128] };
        let images = [of_colour(RED), of_colour(other), of_colour(RED), of_colour(other)];
        let features = backbone.worker().unwrap().features(&images.each_ref()).unwrap();
        let expected = [RED, other, RED, other].map(|colour| expected(colour, [0.0; 3], [1.0; 3]));
        close(&features, &expected);
    }
}

#[test]
fn normalisation_is_what_is_said_or_written_or_that_of_imagenet() {
    let image = of_colour(RED);
    let features = |backbone: Backbone| backbone.worker().unwrap().features(&[&image]).unwrap();
    let small = Small::new(&[0, 3, 8, 8]);
    let Normalisation { mean, std } = Normalisation::IMAGENET;
    close(&features(small.open(&Settings::default()).unwrap()), &[expected(RED, mean, std)]);
    let (mean, std) = ([0.1, 0.2, 0.3], [0.5, 1.0, 2.0]);
    let said = Settings { mean: Some(mean), std: Some(std), ..Settings::default() };
    close(&features(small.open(&said).unwrap()), &[expected(RED, mean, std)]);
    let written = onnx::property;
    let bytes = [
        small.bytes(),
        Message::default().child(14, &written("vabal.mean", "0.1, 0.2,0.3")).into_bytes(),
        Message::default().child(14, &written("vabal.std", "2")).into_bytes(),
    ];
    let of = |settings: &Settings| Backbone::of(bytes.concat(), "small", "small", BTreeMap::new(), settings);
    close(&features(of(&Settings::default()).unwrap()), &[expected(RED, mean, [2.0; 3])]);
    close(&features(of(&Settings { mean: said.mean, ..plain() }).unwrap()), &[expected(RED, mean, [1.0; 3])]);
}

#[test]
fn images_of_any_kind_are_seen_as_a_browser_shows_them() {
    let backbone = Small::new(&[0, 3, 8, 8]).open(&plain()).unwrap();
    let deep: ImageBuffer<Rgb<u16>, Vec<u16>> =
        ImageBuffer::from_pixel(3, 9, Rgb(RED.map(|v| u16::from(v) * 257)));
    let images = [
        DynamicImage::ImageRgba8(ImageBuffer::from_pixel(30, 20, Rgba([RED[0], RED[1], RED[2], 255]))),
        // Its colour does not count where nothing is seen of it.
        DynamicImage::ImageRgba8(ImageBuffer::from_pixel(30, 20, Rgba([RED[0], RED[1], RED[2], 0]))),
        DynamicImage::ImageLumaA8(ImageBuffer::from_pixel(30, 20, LumaA([0, 102]))),
        DynamicImage::ImageRgb16(deep),
        DynamicImage::ImageLuma8(ImageBuffer::from_pixel(1, 1, Luma([77]))),
        DynamicImage::ImageLuma16(ImageBuffer::from_pixel(400, 300, Luma([77 * 257]))),
        of_colour(RED).resize_exact(1000, 3, FilterType::Nearest),
    ];
    let features = backbone.worker().unwrap().features(&images.each_ref()).unwrap();
    let [red, white, pale, grey] =
        [RED, [255; 3], [153; 3], [77; 3]].map(|colour| expected(colour, [0.0; 3], [1.0; 3]));
    close(&features, &[red, white, pale, red, grey, grey, red]);
}

#[test]
fn a_network_for_grey_images_takes_their_brightness() {
    let mut small = Small::new(&[0, 1, 8, 8]);
    small.arrays =
        vec![tensor("weight", &[4, 1, 1, 1], &[1.0, 2.0, 3.0, 4.0]), tensor("bias", &[4], &[0.0; 4])];
    let backbone = small.open(&plain()).unwrap();
    assert_eq!(backbone.spec().channels, 1);
    let features = backbone.worker().unwrap().features(&[&of_colour([51; 3])]).unwrap();
    close(&features, &[[0.2, 0.4, 0.6, 0.8]]);
}

#[test]
fn an_image_has_the_same_bits_whatever_is_beside_it() {
    let backbone = Small::new(&[3, 3, 12, 12]).classifier().open(&Settings::default()).unwrap();
    let image = |n: u32| {
        DynamicImage::ImageRgb8(ImageBuffer::from_fn(40 + n, 30, |x, y| {
            Rgb([(x * n) as u8, (y * 7) as u8, n as u8])
        }))
    };
    let images: Vec<_> = (0..7).map(image).collect();
    let all: Vec<_> = images.iter().collect();
    let together = backbone.worker().unwrap().features(&all).unwrap();
    for (row, image) in together.rows().into_iter().zip(&images) {
        assert_eq!(row, backbone.worker().unwrap().features(&[image]).unwrap().row(0));
    }
}

#[test]
fn another_value_can_be_chosen_and_another_pooling() {
    let small = Small::new(&[0, 3, 8, 8]).classifier();
    let with = |output: &str, pooling| {
        small
            .open(&Settings { output: Some(output.into()), pooling, ..plain() })
            .map(|backbone| backbone.spec().clone())
    };
    assert_eq!(with("probabilities", None).unwrap().features, 5);
    let map = with("map", None).unwrap();
    assert_eq!((map.features, map.pooling, &map.shape[..]), (4, Pooling::Mean, &[1, 4, 8, 8][..]));
    let error = with("map", Some(Pooling::None)).unwrap_err().to_string();
    assert!(error.contains("[1, 4, 8, 8], pooling none"), "{error}");
    let error = with("probabilites", None).unwrap_err().to_string();
    assert!(error.contains("did you mean \"probabilities\"?"), "{error}");
}

#[test]
fn arrays_beside_the_file_are_read_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.onnx");
    let external = |location: &str, length: &str| {
        let entry = onnx::property;
        let dims = [4, 3, 1, 1].iter().fold(Message::default(), |message, &dim| message.whole(1, dim));
        let place = dims.whole(2, 1).text(8, "weight").child(13, &entry("location", location));
        place.child(13, &entry("offset", "8")).child(13, &entry("length", length)).whole(14, 1)
    };
    let mut small = Small::new(&[0, 3, 8, 8]).pooled();
    let mut open = |array: Message| {
        small.arrays[0] = array;
        fs::write(&path, small.bytes()).unwrap();
        Backbone::open(&path, &plain())
    };
    let values: Vec<u8> = WEIGHTS.iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(folder.path().join("small.onnx.data"), [vec![0; 8], values].concat()).unwrap();
    let backbone = open(external("small.onnx.data", "48")).unwrap();
    let features = backbone.worker().unwrap().features(&[&of_colour(RED)]).unwrap();
    close(&features, &[expected(RED, [0.0; 3], [1.0; 3])]);
    for (location, length, says) in [
        ("../small.onnx.data", "48", "not beside the file"),
        ("/etc/hostname", "48", "not beside the file"),
        ("small.onnx.data", "52", "not 12"),
        ("small.onnx.data", "-1", "no readable place"),
        ("other.data", "48", "other.data"),
    ] {
        let error = open(external(location, length)).unwrap_err().to_string();
        assert!(error.contains(says), "{location} {length}: {error}");
    }
    fs::write(folder.path().join("small.onnx.data"), [0; 40]).unwrap();
    let error = open(external("small.onnx.data", "48")).unwrap_err().to_string();
    assert!(error.contains("at least 56 bytes"), "{error}");
}

#[test]
fn every_complaint_says_what_is_wrong() {
    let array = |shape: &[i64], values: &[f32]| {
        let mut small = Small::new(&[0, 3, 8, 8]);
        small.arrays[1] = tensor("bias", shape, values);
        small
    };
    let mut two = Small::new(&[0, 3, 8, 8]);
    two.nodes.push(node("Add", &["map", "y"], "sum", &[]));
    let graph = |small: &Small| small.bytes();
    let cases: [(Vec<u8>, Settings, &str); 9] = [
        (b"no ONNX file at all".to_vec(), plain(), "no ONNX file"),
        (Vec::new(), plain(), "no graph"),
        (graph(&array(&[4], &[0.0; 3])), plain(), "has 12 bytes, not 16"),
        (graph(&array(&[1 << 40, 1 << 40], &[0.0; 4])), plain(), "too large"),
        (graph(&array(&[-4], &[0.0; 4])), plain(), "too large"),
        (graph(&Small::new(&[0, 5, 8, 8])), plain(), "5 channels"),
        (graph(&Small::new(&[0, 3, 8, 8])), Settings { size: Some(9), ..plain() }, "the file fixes it"),
        (graph(&Small::new(&[0, 3, 8, 8])), Settings { size: Some(4), ..plain() }, "8 to 2048"),
        (
            graph(&Small::new(&[0, 3, 8, 8]).then("NoSuchOperation", &["map"], "none", &[])),
            plain(),
            "NoSuchOperation",
        ),
    ];
    for (bytes, settings, says) in cases {
        let error = Backbone::of(bytes, "small", "small.onnx", BTreeMap::new(), &settings).unwrap_err();
        assert!(error.to_string().contains(says), "{says}: {error}");
        assert!(error.to_string().contains("hint:") || says == "8 to 2048", "{error}");
    }
    let huge = Settings { mean: Some([-1e3; 3]), std: Some([1e-6; 3]), ..Settings::default() };
    let mut small = Small::new(&[0, 3, 8, 8]);
    small.arrays[0] = tensor("weight", &[4, 3, 1, 1], &[1e32; 12]);
    let backbone = small.open(&huge).unwrap();
    let error = backbone.worker().unwrap().features(&[&of_colour(RED)]).unwrap_err().to_string();
    assert!(error.contains("not finite"), "{error}");
}

/// rten 0.27 loops forever at a number of ten bytes or more that all say "goes on".
#[test]
fn a_number_without_an_end_is_refused_wherever_it_stands() {
    let endless = [&[0x08][..], &[0xff; 10]].concat();
    let attribute = |graph: &[u8]| Message::default().text(1, "body").bytes(6, graph);
    let inside = |graph: &[u8]| {
        let small = Small::new(&[0, 3, 8, 8]).then("If", &["map"], "then", &[attribute(graph)]);
        small.bytes()
    };
    let mut cases = [1, 5, 11, 12, 13].map(|number| inside(&field_of(number, &endless))).to_vec();
    cases.push(inside(&endless));
    let operation = node("If", &[], "inner", &[attribute(&endless)]);
    cases.push(inside(Message::default().child(1, &operation).as_bytes()));
    // The versions of the operations: such a number, and one that is cut off.
    for versions in [&endless[..], &[0x62, 0x62]] {
        cases.push([Small::new(&[0, 3, 8, 8]).bytes(), field_of(8, versions)].concat());
    }
    for bytes in cases {
        let error = Backbone::of(bytes, "small", "small.onnx", BTreeMap::new(), &plain()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("64 bits") || error.contains("longer than the file"), "{error}");
    }
    let deep = (0..9).fold(Message::default(), |graph, _| {
        Message::default().child(1, &node("If", &[], "inner", &[attribute(graph.as_bytes())]))
    });
    let error = Backbone::of(inside(deep.as_bytes()), "small", "small.onnx", BTreeMap::new(), &plain());
    assert!(error.unwrap_err().to_string().contains("inside 8 graphs"));
}

fn field_of(number: u64, bytes: &[u8]) -> Vec<u8> {
    Message::default().bytes(number, bytes).into_bytes()
}

#[test]
fn features_depend_on_all_that_the_key_says() {
    let small = Small::new(&[0, 3, 0, 0]).classifier();
    let key = |settings: Settings| small.open(&settings).unwrap().key();
    let base = Settings { size: Some(16), ..plain() };
    let others = [
        Settings { size: Some(17), ..base.clone() },
        Settings { output: Some("probabilities".into()), ..base.clone() },
        Settings { mean: Some([0.5; 3]), ..base.clone() },
        Settings { std: Some([0.5; 3]), ..base.clone() },
    ];
    assert_eq!(key(base.clone()), key(base.clone()));
    others.into_iter().for_each(|other| assert_ne!(key(other), key(base.clone())));
    let mut other = small.clone();
    other.arrays[1] = tensor("bias", &[4], &[0.0; 4]);
    assert_ne!(other.open(&base).unwrap().key(), key(base));
}

#[cfg(feature = "embedded")]
#[test]
fn the_embedded_network_tells_pictures_apart() {
    let backbone = Backbone::embedded(&Settings { size: Some(64), ..Settings::default() }).unwrap();
    let stripes = |vertical: bool| {
        DynamicImage::ImageRgb8(ImageBuffer::from_fn(64, 64, |x, y| {
            Rgb([if (if vertical { x } else { y }) % 8 < 4 { 255 } else { 0 }; 3])
        }))
    };
    let images = [stripes(true), stripes(false), stripes(true).brighten(5), of_colour(RED)];
    let rows = backbone.worker().unwrap().features(&images.each_ref()).unwrap();
    let apart = |a: usize, b: usize| (&rows.row(a) - &rows.row(b)).mapv(|x| x * x).sum();
    assert!(4.0 * apart(0, 2) < apart(0, 1) && 4.0 * apart(0, 2) < apart(0, 3), "{}", apart(0, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_damaged_file_is_an_error_or_a_network(
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
        form in 0..3,
    ) {
        let small = match form {
            0 => Small::new(&[0, 3, 8, 8]).classifier(),
            1 => Small::new(&[0, 8, 8, 3]).pooled(),
            _ => Small::new(&[2, 3, 8, 8]),
        };
        let mut bytes = small.bytes();
        let place = place.index(bytes.len());
        if cut {
            bytes.truncate(place);
        } else {
            bytes[place] = byte;
        }
        let opened = Backbone::of(bytes, "small", "small", BTreeMap::new(), &plain());
        let ran = opened.and_then(|backbone| {
            let rows = backbone.worker()?.features(&[&of_colour(RED)])?;
            Ok((rows, backbone.spec().features))
        });
        match ran {
            Ok((rows, width)) => prop_assert!(rows.dim() == (1, width) && rows.iter().all(|x| x.is_finite())),
            Err(error) => prop_assert!(error.to_string().contains("\n  hint: "), "{error}"),
        }
    }
}

#[test]
fn a_network_with_a_classifier_behind_it_gives_the_probabilities_of_its_features() {
    let weights = ndarray::array![[1.0, -1.0, 0.5, 0.25], [0.0, 2.0, -0.5, 0.125], [0.5, 0.5, 0.5, -1.0]];
    let bias = ndarray::array![0.1, -0.2, 0.3];
    let classes = ["a", "b", "ü \"c\""].map(String::from);
    let linear = Linear { weights: weights.view(), bias: bias.view(), classes: &classes };
    let free = [0, 3, 0, 0];
    let settings =
        Settings { size: Some(16), mean: Some([0.1, 0.2, 0.3]), std: Some([0.5; 3]), ..Settings::default() };
    let pooled = Settings { pooling: Some(Pooling::Class), ..settings.clone() };
    let tokens = Small::new(&[1, 3, 16, 16])
        .with(indices("shape", &[0, 4, -1]))
        .then("Reshape", &["map", "shape"], "flat", &[])
        .then("Transpose", &["flat"], "tokens", &[wholes("perm", &[0, 2, 1])]);
    let cases = [
        (Small::new(&free).classifier(), &settings),
        (Small::new(&free), &settings),
        (Small::new(&[0, 0, 0, 3]).pooled(), &settings),
        (tokens.clone(), &settings),
        (tokens, &pooled),
        (Small::new(&free).then("GlobalAveragePool", &["map"], "pool", &[]), &settings),
    ];
    let image = of_colour(RED);
    for (place, (small, settings)) in cases.into_iter().enumerate() {
        let backbone = small.open(settings).unwrap();
        let features = backbone.worker().unwrap().features(&[&image]).unwrap().mapv(f64::from);
        let logits = features.dot(&weights.t()) + &bias;
        let powers = logits.mapv(f64::exp);
        let expected = &powers / powers.sum();
        // Read back as a network that takes pixels of 0 to 255, and whose output is the
        // probabilities.
        let bytes = backbone.with_classifier(linear).unwrap();
        let plain = Settings { output: Some("probabilities".into()), ..Settings::default() };
        let whole = Backbone::of(bytes, "whole", "whole", BTreeMap::new(), &plain).unwrap();
        let got = whole.worker().unwrap().features(&[&image]).unwrap().mapv(f64::from);
        assert!((&got - &expected).iter().all(|d| d.abs() < 1e-6), "{place}: {got} {expected}");
        let graph = Graph::read(whole.onnx()).unwrap();
        assert_eq!(graph.metadata["classes"], "[\"a\",\"b\",\"ü \\\"c\\\"\"]");
        let head = Graph::read(&linear.onnx(backbone.spec())).map(|graph| graph.inputs[0].name.to_owned());
        assert_eq!(head.unwrap(), "features");
    }
}
