//! Features of images by a pretrained network: an ONNX file, run on the CPU by `rten`.
//!
//! [`Backbone::open`] reads from the file what goes in (layout, size, channels), what to take for
//! features, and where the classifier begins, which is cut off; [`Settings`] say it where the file
//! does not. Each image passes on its own, on one thread: its features are the same bits whatever
//! images are beside it and however many threads there are.
//!
//! ```
//! # #[cfg(feature = "embedded")] {
//! use vabal_backbone::{Backbone, Settings};
//!
//! let backbone = Backbone::embedded(&Settings { size: Some(64), ..Settings::default() })?;
//! let image = image::DynamicImage::new_rgb8(200, 100);
//! let features = backbone.worker()?.features(&[&image])?;
//! assert_eq!(features.dim(), (1, 1280));
//! # }
//! # Ok::<(), vabal_query::Error>(())
//! ```
//!
//! Never here: files of images, where features are kept, what is learnt from them.

mod export;
mod graph;
pub mod onnx;
mod pixels;
pub mod protobuf;
#[cfg(feature = "onnxruntime")]
mod runtime;
mod spec;
#[cfg(feature = "embedded")]
mod wish;

use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use image::DynamicImage;
use ndarray::{Array2, Axis as NdAxis};
use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool};
use rten_tensor::{AsView as _, Layout as _, Tensor};
use sha2::{Digest as _, Sha256};
use vabal_query::error::{Complaint, Error, Result, unknown};

pub use export::Linear;
use graph::{Axis, Graph, Port};
pub use pixels::on_white;
#[cfg(feature = "onnxruntime")]
pub use runtime::OnnxRuntime;
pub use spec::{Layout, Normalisation, Pooling, Settings, Spec};
#[cfg(feature = "embedded")]
pub use wish::{AUTO, Open, Wish, open};

/// The name of the network inside the program.
pub const EMBEDDED: &str = "efficientnet-lite0";

#[cfg(feature = "embedded")]
static FILE: &[u8] = include_bytes!("../default/efficientnet-lite0.onnx");

/// Side of the input where neither file nor user says it, in pixels: what most networks were
/// trained at.
const SIZE: usize = 224;
/// The largest file, with what is beside it.
const MOST_BYTES: u64 = 4 << 30;
/// The most images that a pass may need.
const MOST_BATCH: usize = 256;
/// The most features of an image.
const MOST_FEATURES: usize = 65_536;

/// A pretrained network, ready to give features.
#[derive(Clone)]
pub struct Backbone {
    spec: Spec,
    model: Arc<Model>,
    input: NodeId,
    output: NodeId,
    /// The file cut to what is used, for export.
    onnx: Arc<Vec<u8>>,
    /// What runs it in place of rten.
    #[cfg(feature = "onnxruntime")]
    runtime: Option<OnnxRuntime>,
}

impl std::fmt::Debug for Backbone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backbone").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Backbone {
    /// The network inside the program: EfficientNet-lite0, trained on ImageNet (Apache-2.0), 1,280
    /// features.
    ///
    /// # Errors
    /// Settings that do not fit it.
    #[cfg(feature = "embedded")]
    pub fn embedded(settings: &Settings) -> Result<Self> {
        Self::of(FILE.to_vec(), EMBEDDED, EMBEDDED, BTreeMap::new(), settings)
    }

    /// Opens an ONNX file, with the files of arrays beside it, and runs it once on a black image.
    ///
    /// Every array's length is checked against its shape before the network is made. What a file
    /// may still ask for while it runs is bounded by nothing: a front end that opens files of
    /// strangers does it in a process of its own first.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or is no network on images; operations that are not
    /// supported; settings that do not fit it.
    pub fn open(path: &Path, settings: &Settings) -> Result<Self> {
        let size = fs::metadata(path).map_err(Error::io("read", path))?.len();
        if size > MOST_BYTES {
            let got = format!("{size} bytes");
            return Err(refused(path.display(), got).expected(format!("at most {MOST_BYTES} bytes")).into());
        }
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let graph = Graph::read(&bytes).map_err(|reason| refused(path.display(), reason))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut beside: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for array in &graph.external {
            let file = folder.join(&array.location);
            if !beside.contains_key(&array.location) {
                let size = fs::metadata(&file).map_err(Error::io("read", &file))?.len();
                if size > MOST_BYTES {
                    return Err(refused(file.display(), format!("{size} bytes")).into());
                }
                beside.insert(array.location.clone(), fs::read(&file).map_err(Error::io("read", &file))?);
            }
            let length = beside[&array.location].len() as u64;
            if array.end > length {
                return Err(refused(file.display(), format!("{length} bytes"))
                    .expected(format!("at least {} bytes: the file may be cut short", array.end))
                    .into());
            }
        }
        drop(graph);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self::of(bytes, &name, &path.display().to_string(), beside, settings)
    }

    fn of(
        bytes: Vec<u8>,
        name: &str,
        place: &str,
        beside: BTreeMap<String, Vec<u8>>,
        settings: &Settings,
    ) -> Result<Self> {
        settings.check()?;
        let mut hash = Sha256::new();
        hash.update(&bytes);
        beside.values().for_each(|bytes| hash.update(bytes));
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let graph = Graph::read(&bytes).map_err(|reason| refused(place, reason))?;
        let (port, layout, channels) = input(&graph, settings).map_err(|error| error.at(place))?;
        let axis = |place: usize| match port.axes.as_ref().and_then(|axes| axes.get(place)) {
            Some(&Axis::Fixed(length)) => Some(length as usize),
            _ => None,
        };
        let (height, width) = match layout {
            Layout::Nchw => (axis(2), axis(3)),
            Layout::Nhwc => (axis(1), axis(2)),
        };
        let side = |fixed: Option<usize>| match (fixed, settings.size) {
            (Some(fixed), Some(size)) if fixed != size => {
                Err(Error::input("the backbone takes images of another size")
                    .at("size")
                    .expected(format!("{fixed}: the file fixes it"))
                    .got(size)
                    .hint("leave the size out, or export the network with free height and width"))
            }
            (Some(fixed), _) if fixed > spec::LARGEST => {
                Err(refused(place, format!("an input of {fixed} pixels")))
            }
            (fixed, size) => Ok(fixed.or(size).unwrap_or(SIZE)),
        };
        let (height, width) = (side(height)?, side(width)?);
        let batch = axis(0).unwrap_or(1);
        if batch > MOST_BATCH {
            return Err(refused(place, format!("{batch} images a pass")).into());
        }
        let (output, cut) = output(&graph, settings)?;
        let normalisation = normalisation(&graph, settings).map_err(|error| error.at(place))?;
        let onnx = graph.cut(&output, &beside);
        drop(beside);
        let options = ModelOptions::with_all_ops();
        let model = guarded(place, || options.load(onnx.clone()))?
            .map_err(|error| refused(place, error).hint(operations(&graph)))?;
        let id = |value: &str| {
            model.node_id(value).map_err(|error| Error::from(refused(place, format!("{error} \"{value}\""))))
        };
        let ids = (id(port.name)?, id(&output)?);
        let spec = Spec {
            name: name.into(),
            sha256,
            input: port.name.into(),
            layout,
            channels,
            height,
            width,
            batch,
            output,
            cut: cut.map(str::to_owned),
            shape: Vec::new(),
            pooling: Pooling::None,
            normalisation,
            features: 0,
        };
        let mut this = Self {
            spec,
            model: Arc::new(model),
            input: ids.0,
            output: ids.1,
            onnx: Arc::new(onnx),
            #[cfg(feature = "onnxruntime")]
            runtime: None,
        };
        let black = DynamicImage::new_luma8(1, 1);
        let (shape, _) = this.worker()?.pass(&[&black])?;
        this.settle(&shape, settings.pooling)?;
        Ok(this)
    }

    /// The same network, run by ONNX Runtime. Its features differ by rounding alone, so that its
    /// [`key`](Self::key) is the same.
    ///
    /// # Errors
    /// A network that ONNX Runtime refuses, or whose features it does not agree on with rten to one
    /// in a thousand of the largest.
    #[cfg(feature = "onnxruntime")]
    pub fn with_runtime(mut self, runtime: &OnnxRuntime) -> Result<Self> {
        let image = DynamicImage::ImageRgb8(image::RgbImage::from_fn(64, 64, |x, y| {
            image::Rgb([(4 * x) as u8, (4 * y) as u8, (x * y % 251) as u8])
        }));
        let expected = self.worker()?.features(&[&image])?;
        self.runtime = Some(runtime.clone());
        let got = self.worker()?.features(&[&image])?;
        let scale = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let apart = expected.iter().zip(&got).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
        if apart > 1e-3 * scale {
            return Err(Error::input("ONNX Runtime gives other features than rten")
                .at(&self.spec.name)
                .expected("differences of at most 0.001 of the largest feature")
                .got(format!("{}", apart / scale))
                .hint("leave --runtime out, and tell us about this network")
                .into());
        }
        Ok(self)
    }

    /// What follows from the shape of the output.
    fn settle(&mut self, shape: &[usize], pooling: Option<Pooling>) -> Result<()> {
        let spec = &mut self.spec;
        let default = match shape {
            [_, _] | [_, _, 1, 1] => Pooling::None,
            // A grid of patches, and a token before it: what a vision transformer is read by.
            [_, tokens, _] if *tokens > 1 && is_square(tokens - 1) => Pooling::Class,
            _ => Pooling::Mean,
        };
        let pooling = pooling.unwrap_or(default);
        let features = match (shape, pooling) {
            ([_, d], Pooling::None) => Some(*d),
            ([_, d, h, w], Pooling::None) if h * w == 1 => Some(*d),
            ([_, d, h, w], Pooling::Mean) if spec.layout == Layout::Nchw && h * w > 0 => Some(*d),
            ([_, h, w, d], Pooling::Mean) if spec.layout == Layout::Nhwc && h * w > 0 => Some(*d),
            ([_, tokens, d], Pooling::Mean | Pooling::Class) if *tokens > 0 => Some(*d),
            _ => None,
        };
        let features = features.filter(|d| (1..=MOST_FEATURES).contains(d) && shape[0] == spec.batch);
        let Some(features) = features else {
            return Err(Error::input("features cannot be taken from this output of the backbone")
                .at(format!("{}, \"{}\"", spec.name, spec.output))
                .expected(
                    "[batch, d], [batch, d, height, width] or [batch, tokens, d], and a pooling that fits",
                )
                .got(format!("{shape:?}, pooling {}", word(pooling)))
                .hint("choose another value of the network by output, or another pooling")
                .into());
        };
        (spec.shape, spec.pooling, spec.features) = (shape.to_vec(), pooling, features);
        Ok(())
    }

    /// How it is used.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// What features depend on beside the image: file, input, output, preprocessing. 64 hexadecimal
    /// digits.
    #[must_use]
    pub fn key(&self) -> String {
        let spec = Spec { name: String::new(), ..self.spec.clone() };
        let text = format!("pixels {}\n{}", pixels::VERSION, serde_json::json!(spec));
        Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The network as ONNX, cut to what features need, with all of its arrays inside.
    #[must_use]
    pub fn onnx(&self) -> &[u8] {
        &self.onnx
    }

    /// Computes on one thread of its own.
    ///
    /// # Errors
    /// What ONNX Runtime says of the network, where that runs it.
    pub fn worker(&self) -> Result<Worker<'_>> {
        let options = RunOptions::default().with_thread_pool(Some(Arc::new(ThreadPool::with_num_threads(1))));
        let Spec { batch, channels, height, width, .. } = self.spec;
        Ok(Worker {
            backbone: self,
            options,
            values: vec![0.0; batch * channels * height * width],
            #[cfg(feature = "onnxruntime")]
            session: match &self.runtime {
                Some(runtime) => Some(runtime.session(&self.onnx, &self.spec.name)?),
                None => None,
            },
        })
    }
}

/// One thread's share of a [`Backbone`].
#[derive(Debug)]
pub struct Worker<'a> {
    backbone: &'a Backbone,
    options: RunOptions,
    values: Vec<f32>,
    #[cfg(feature = "onnxruntime")]
    session: Option<ort::session::Session>,
}

impl Worker<'_> {
    /// Features of images [n, d], of any size and colour; transparency is left out.
    ///
    /// # Errors
    /// A network that fails on an image, or gives numbers that are not finite.
    pub fn features(&mut self, images: &[&DynamicImage]) -> Result<Array2<f32>> {
        let spec = &self.backbone.spec;
        let (batch, d) = (spec.batch, spec.features);
        let mut features = Array2::zeros((images.len(), d));
        for (images, mut rows) in images.chunks(batch).zip(features.axis_chunks_iter_mut(NdAxis(0), batch)) {
            let (shape, values) = self.pass(images)?;
            if shape != spec.shape {
                return Err(refused(&spec.name, format!("{shape:?} for another image"))
                    .expected(format!("the shape {:?} for every image", spec.shape))
                    .into());
            }
            let each = values.len() / batch;
            for (image, mut row) in values.chunks(each.max(1)).zip(rows.rows_mut()) {
                pool(image, spec, row.as_slice_mut().unwrap_or_default());
                if let Some(value) = row.iter().find(|value| !value.is_finite()) {
                    return Err(Error::input("the backbone gives a feature that is not finite")
                        .at(&spec.name)
                        .expected("finite numbers")
                        .got(value)
                        .hint("check mean and std: how were the images normalised that it was trained on?")
                        .into());
                }
            }
        }
        Ok(features)
    }

    /// The output for at most a batch of images: its shape and its values.
    fn pass(&mut self, images: &[&DynamicImage]) -> Result<(Vec<usize>, Vec<f32>)> {
        let Self { backbone: Backbone { spec, model, input, output, .. }, options, values, .. } = self;
        let each = spec.channels * spec.height * spec.width;
        // A batch that is not full has black images behind.
        for place in images.len()..spec.batch {
            values[place * each..][..each].fill(0.0);
        }
        for (image, values) in images.iter().zip(values.chunks_exact_mut(each)) {
            pixels::write(image, spec, values);
        }
        let shape = match spec.layout {
            Layout::Nchw => [spec.batch, spec.channels, spec.height, spec.width],
            Layout::Nhwc => [spec.batch, spec.height, spec.width, spec.channels],
        };
        #[cfg(feature = "onnxruntime")]
        if let Some(session) = &mut self.session {
            let value = runtime::run(session, &spec.input, shape, values);
            return value.map_err(|error| refused(&spec.name, error).into());
        }
        let tensor = Tensor::from_data(&shape[..], values.clone());
        let run = || model.run_n(vec![(*input, tensor.into())], [*output], Some(options.clone()));
        let [value] = guarded(&spec.name, run)?.map_err(|error| refused(&spec.name, error))?;
        let kind = value.dtype();
        let value = value.into_tensor::<f32>().ok_or_else(|| {
            refused(&spec.name, format!("an output of {kind:?}")).expected("an output of f32")
        })?;
        Ok((value.shape().to_vec(), value.to_vec()))
    }
}

/// One image's part of the output as features.
fn pool(image: &[f32], spec: &Spec, out: &mut [f32]) {
    let d = out.len();
    match (spec.pooling, &spec.shape[..]) {
        (Pooling::Mean, [_, _, _, _]) if spec.layout == Layout::Nchw => {
            for (out, plane) in out.iter_mut().zip(image.chunks_exact(image.len() / d)) {
                *out = (plane.iter().map(|&x| f64::from(x)).sum::<f64>() / plane.len() as f64) as f32;
            }
        }
        (Pooling::Mean, _) => {
            let mut sums = vec![0.0_f64; d];
            for row in image.chunks_exact(d) {
                sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
            }
            let rows = (image.len() / d) as f64;
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = (sum / rows) as f32);
        }
        (Pooling::None | Pooling::Class, _) => out.copy_from_slice(&image[..d]),
    }
}

fn is_square(n: usize) -> bool {
    n.isqrt().pow(2) == n
}

fn word(pooling: Pooling) -> &'static str {
    match pooling {
        Pooling::None => "none",
        Pooling::Mean => "mean",
        Pooling::Class => "class",
    }
}

/// A complaint about a file, with its reason.
fn refused(place: impl std::fmt::Display, reason: impl std::fmt::Display) -> Complaint {
    Error::input("this backbone cannot be used")
        .at(place)
        .expected("a network on images as an ONNX file")
        .got(reason)
        .hint("export it again; `vabal backbone show FILE` says what is read of it")
}

/// Runs what may panic on a network that is out of the ordinary.
fn guarded<T>(name: &str, run: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        refused(name, format!("its computation broke off: {text}")).into()
    })
}

fn operations(graph: &Graph<'_>) -> String {
    let kinds: Vec<_> =
        graph.kinds().iter().take(12).map(|(kind, count)| format!("{kind} × {count}")).collect();
    format!("it has the operations {}", kinds.join(", "))
}

/// The input for images, its layout and its channels.
fn input<'a, 'g>(
    graph: &'a Graph<'g>,
    settings: &Settings,
) -> std::result::Result<(&'a Port<'g>, Layout, usize), Complaint> {
    let names =
        || graph.inputs.iter().map(|port| format!("\"{}\"", port.name)).collect::<Vec<_>>().join(", ");
    let [port] = &graph.inputs[..] else {
        return Err(Error::input("this backbone cannot be used")
            .expected("a network with one input, the images")
            .got(format!("{} inputs: {}", graph.inputs.len(), names()))
            .hint("export the part for images alone"));
    };
    // 0: the file does not say.
    if ![0, 1].contains(&port.element) {
        return Err(Error::input("this backbone cannot be used")
            .expected("an input of f32")
            .got(format!("\"{}\", of the ONNX type {}", port.name, port.element))
            .hint("export it with float inputs"));
    }
    let Some(axes) = &port.axes else { return Ok((port, settings.layout.unwrap_or(Layout::Nchw), 3)) };
    let channels = |axis: Axis| match axis {
        Axis::Fixed(n @ (1 | 3)) => Some(n as usize),
        _ => None,
    };
    let &[_, second, _, last] = &axes[..] else {
        return Err(Error::input("this backbone cannot be used")
            .expected("an input of four axes: images")
            .got(format!("\"{}\", of {} axes", port.name, axes.len()))
            .hint("export the part that takes images"));
    };
    let layout = settings.layout.unwrap_or(match (channels(second), channels(last)) {
        (None, Some(_)) => Layout::Nhwc,
        _ => Layout::Nchw,
    });
    let axis = match layout {
        Layout::Nchw => second,
        Layout::Nhwc => last,
    };
    match (axis, channels(axis)) {
        (Axis::Free, _) => Ok((port, layout, 3)),
        (_, Some(channels)) => Ok((port, layout, channels)),
        (Axis::Fixed(n), None) => Err(Error::input("this backbone cannot be used")
            .expected("images of 3 channels, or of 1")
            .got(format!("\"{}\", of {n} channels", port.name))
            .hint("say the layout, nchw or nhwc, if the file has it another way")),
    }
}

/// The value that features are taken from, and the operation that is cut off behind it.
fn output<'g>(graph: &Graph<'g>, settings: &Settings) -> Result<(String, Option<&'g str>)> {
    if let Some(name) = &settings.output {
        if graph.makes(name) {
            return Ok((name.clone(), None));
        }
        let known: Vec<&str> = graph.outputs.iter().map(|port| port.name).collect();
        let hint = "give the name of a value inside the network: tools such as Netron show them";
        return Err(unknown("output", name, &known, hint).at("output").into());
    }
    let Some(port) = graph.outputs.iter().find(|port| graph.makes(port.name)) else {
        return Err(Error::input("this backbone cannot be used")
            .expected("a network with an output")
            .got(format!("{} outputs", graph.outputs.len()))
            .hint("export it again, with the features as its output")
            .into());
    };
    match graph.head(port.name).filter(|head| graph.makes(head.input)) {
        Some(head) => Ok((head.input.to_owned(), Some(head.kind))),
        None => Ok((port.name.to_owned(), None)),
    }
}

/// Said by the user, written into the file, or ImageNet's.
fn normalisation(graph: &Graph<'_>, settings: &Settings) -> std::result::Result<Normalisation, Complaint> {
    let read = |key: &str| -> std::result::Result<Option<[f32; 3]>, Complaint> {
        let Some(text) = graph.metadata.get(key) else { return Ok(None) };
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        let values: Vec<f32> = words.map_while(|word| word.parse().ok()).collect();
        match values[..] {
            [one] => Ok(Some([one; 3])),
            [r, g, b] => Ok(Some([r, g, b])),
            _ => Err(Error::input("the metadata of the backbone cannot be read")
                .expected(format!("{key}: a number for each channel"))
                .got(format!("\"{text}\""))
                .hint("say mean and std yourself")),
        }
    };
    let Normalisation { mean, std } = Normalisation::IMAGENET;
    let found = Normalisation {
        mean: settings.mean.or(read("vabal.mean")?).unwrap_or(mean),
        std: settings.std.or(read("vabal.std")?).unwrap_or(std),
    };
    match found.std.iter().all(|std| std.is_finite() && *std > 0.0)
        && found.mean.iter().all(|m| m.is_finite())
    {
        true => Ok(found),
        false => Err(Error::input("the normalisation of the backbone cannot be used")
            .expected("finite means, and deviations above 0")
            .got(format!("mean {:?}, std {:?}", found.mean, found.std))
            .hint("say mean and std yourself")),
    }
}

#[cfg(test)]
mod tests;
