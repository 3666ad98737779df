//! The VAE's networks: adapters, encoder, decoder, and the one flat vector of their parameters.
//!
//! Shapes: B batch, C classes, K latents per class, H = 128 hidden units, D = 128 · number of
//! stages. Never here: losses, the optimiser, Monte-Carlo draws.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};

use super::settings::{Adapter, Hidden, Settings};
use crate::kernels::{Real, wide};
use crate::rng::Seed;
use crate::strategies::layers::{
    Builder, HiddenLayer, HiddenTape, Linear, Named, Norm, NormTape, resize, rows, rows_mut, sigmoid,
};

/// Width of every hidden layer and of every adapter.
pub(super) const HIDDEN: usize = 128;
/// Hidden layers of the encoder, and of the decoder.
const DEPTH: usize = 3;

/// What decides every shape of the networks.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Architecture {
    /// Width of each stage's features.
    pub stages: Vec<usize>,
    /// C.
    pub classes: usize,
    /// K.
    pub latents: usize,
    pub adapter: Adapter,
    pub hidden: Hidden,
}

impl Architecture {
    pub fn new(settings: &Settings, stages: Vec<usize>, classes: usize) -> Self {
        Self {
            stages,
            classes,
            latents: settings.latents,
            adapter: settings.adapter,
            hidden: settings.hidden,
        }
    }

    /// D, the length of x.
    pub fn inputs(&self) -> usize {
        HIDDEN * self.stages.len()
    }

    /// C·K, the length of z.
    pub fn code(&self) -> usize {
        self.classes * self.latents
    }

    /// C_n, the latents of class `n`.
    pub fn block(&self, n: usize) -> Range<usize> {
        n * self.latents..(n + 1) * self.latents
    }
}

/// How one stage's features become [`HIDDEN`] columns of x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AdapterLayer {
    Sigmoid { norm: Norm, linear: Linear },
    Relu(HiddenLayer),
}

/// The networks and their numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Vae<T> {
    pub architecture: Architecture,
    pub adapters: Vec<AdapterLayer>,
    pub encoder: Vec<HiddenLayer>,
    pub mean: Linear,
    pub log_variance: Linear,
    pub decoder: Vec<HiddenLayer>,
    pub output: Linear,
    pub parameters: Vec<T>,
    pub running: Vec<T>,
    pub named: Vec<Named>,
}

/// The hidden layers of the encoder or of the decoder.
fn stack<T: Real>(b: &mut Builder<T>, name: &str, inputs: usize, normalised: bool) -> Vec<HiddenLayer> {
    let inputs = |i: usize| if i == 0 { inputs } else { HIDDEN };
    (0..DEPTH).map(|i| b.hidden(&format!("{name}.{i}"), (inputs(i), HIDDEN), normalised)).collect()
}

/// What the backward pass needs of the forward pass; kept from step to step so that nothing is
/// allocated.
#[derive(Debug, Clone)]
pub(super) struct Tape<T> {
    adapters: Vec<AdapterTape<T>>,
    encoder: Vec<HiddenTape<T>>,
    decoder: Vec<HiddenTape<T>>,
    /// x [B, D]
    pub x: Array2<T>,
    /// μ and log σ² [B, C·K]
    pub mean: Array2<T>,
    pub log_variance: Array2<T>,
    /// x̂ [B, D]
    pub output: Array2<T>,
    up: Array2<T>,
    down: Array2<T>,
    wide: Array2<T>,
}

#[derive(Debug, Clone, Default)]
struct AdapterTape<T> {
    /// The normalised features, for the sigmoid adapter.
    normalised: Array2<T>,
    d_normalised: Array2<T>,
    norm: NormTape<T>,
    hidden: HiddenTape<T>,
}

impl<T: Real> Vae<T> {
    /// The networks with their first values, drawn from `seed`.
    pub fn new(architecture: Architecture, seed: Seed) -> Self {
        let rng = seed.stream("vae-weights");
        let mut b = Builder::new(rng);
        let normalised = architecture.hidden == Hidden::Normalised;
        let adapters = (architecture.stages.iter().enumerate())
            .map(|(l, &width)| match architecture.adapter {
                Adapter::Sigmoid => {
                    let norm = b.norm(&format!("adapter.{l}.norm"), width);
                    AdapterLayer::Sigmoid {
                        norm,
                        linear: b.linear(&format!("adapter.{l}.linear"), width, HIDDEN),
                    }
                }
                Adapter::Relu => AdapterLayer::Relu(b.hidden(&format!("adapter.{l}"), (width, HIDDEN), true)),
            })
            .collect();
        let encoder = stack(&mut b, "encoder", architecture.inputs(), normalised);
        let mean = b.linear("mean", HIDDEN, architecture.code());
        let log_variance = b.linear("log_variance", HIDDEN, architecture.code());
        let decoder = stack(&mut b, "decoder", architecture.code(), normalised);
        let output = b.linear("output", HIDDEN, architecture.inputs());
        let Builder { parameters, running, named, .. } = b;
        Self {
            architecture,
            adapters,
            encoder,
            mean,
            log_variance,
            decoder,
            output,
            parameters,
            running,
            named,
        }
    }

    /// An empty tape for this network.
    pub fn tape(&self) -> Tape<T> {
        Tape {
            adapters: vec![AdapterTape::default(); self.adapters.len()],
            encoder: vec![HiddenTape::default(); self.encoder.len()],
            decoder: vec![HiddenTape::default(); self.decoder.len()],
            x: Array2::default((0, 0)),
            mean: Array2::default((0, 0)),
            log_variance: Array2::default((0, 0)),
            output: Array2::default((0, 0)),
            up: Array2::default((0, 0)),
            down: Array2::default((0, 0)),
            wide: Array2::default((0, 0)),
        }
    }

    /// Training mode: stage features [B, d_l] to x, μ and log σ², on the tape.
    pub fn encode(&self, stages: &[Array2<T>], tape: &mut Tape<T>) {
        let (p, batch) = (&self.parameters[..], stages[0].nrows());
        resize(&mut tape.x, batch, self.architecture.inputs());
        let half = self.half_of_adapters();
        let (tapes, later_tapes) = tape.adapters.split_at_mut(half);
        let (x, later_x) = tape.x.view_mut().split_at(Axis(1), half * HIDDEN);
        rayon::join(
            || forward_adapters(&self.adapters[..half], p, &stages[..half], tapes, x),
            || forward_adapters(&self.adapters[half..], p, &stages[half..], later_tapes, later_x),
        );
        forward_stack(&self.encoder, p, tape.x.view(), &mut tape.encoder);
        let hidden = self.encoder[DEPTH - 1].output(&tape.encoder[DEPTH - 1]);
        resize(&mut tape.mean, batch, self.architecture.code());
        resize(&mut tape.log_variance, batch, self.architecture.code());
        let (mean, log_variance) = (tape.mean.view_mut(), tape.log_variance.view_mut());
        rayon::join(
            || self.mean.forward(p, hidden, mean),
            || self.log_variance.forward(p, hidden, log_variance),
        );
    }

    /// Training mode: z [B, C·K] to x̂, on the tape.
    pub fn decode(&self, z: ArrayView2<'_, T>, tape: &mut Tape<T>) {
        let p = &self.parameters[..];
        resize(&mut tape.output, z.nrows(), self.architecture.inputs());
        forward_stack(&self.decoder, p, z, &mut tape.decoder);
        let hidden = self.decoder[DEPTH - 1].output(&tape.decoder[DEPTH - 1]);
        self.output.forward(p, hidden, tape.output.view_mut());
    }

    /// From the gradient of x̂ to the gradient of z, adding those of the decoder to `gradient`.
    pub fn decode_backward(
        &self,
        z: ArrayView2<'_, T>,
        d_output: ArrayView2<'_, T>,
        tape: &mut Tape<T>,
        gradient: &mut [T],
        dz: ArrayViewMut2<'_, T>,
    ) {
        let p = &self.parameters[..];
        resize(&mut tape.up, z.nrows(), HIDDEN);
        let hidden = self.decoder[DEPTH - 1].output(&tape.decoder[DEPTH - 1]);
        self.output.backward(p, hidden, d_output, gradient, Some(tape.up.view_mut()));
        backward_stack(&self.decoder, p, z, &mut tape.decoder, &mut tape.up, &mut tape.down, gradient, dz);
    }

    /// From the gradients of μ and log σ² to those of encoder and adapters, added to `gradient`.
    /// The reconstruction target is not differentiated: without that the adapters could shrink x to
    /// cheat.
    pub fn encode_backward(
        &self,
        stages: &[Array2<T>],
        d_mean: ArrayView2<'_, T>,
        d_log_variance: ArrayView2<'_, T>,
        tape: &mut Tape<T>,
        gradient: &mut [T],
    ) {
        let (p, batch) = (&self.parameters[..], d_mean.nrows());
        resize(&mut tape.up, batch, HIDDEN);
        resize(&mut tape.down, batch, HIDDEN);
        let hidden = self.encoder[DEPTH - 1].output(&tape.encoder[DEPTH - 1]);
        self.mean.backward(p, hidden, d_mean, gradient, Some(tape.up.view_mut()));
        self.log_variance.backward(p, hidden, d_log_variance, gradient, Some(tape.down.view_mut()));
        tape.up += &tape.down;
        resize(&mut tape.wide, batch, self.architecture.inputs());
        let (x, dx) = (tape.x.view(), tape.wide.view_mut());
        backward_stack(&self.encoder, p, x, &mut tape.encoder, &mut tape.up, &mut tape.down, gradient, dx);
        let half = self.half_of_adapters();
        let start = self.adapters.get(half).map_or(self.encoder[0].linear.weight, AdapterLayer::start);
        let (gradient, later_gradient) = gradient.split_at_mut(start);
        let (tapes, later_tapes) = tape.adapters.split_at_mut(half);
        let (x, later_x) = tape.x.view().split_at(Axis(1), half * HIDDEN);
        let (dx, later_dx) = tape.wide.view_mut().split_at(Axis(1), half * HIDDEN);
        let later: Vec<_> = self.adapters[half..].iter().map(|layer| layer.within(start)).collect();
        rayon::join(
            || backward_adapters(&self.adapters[..half], p, &stages[..half], tapes, x, dx, gradient),
            || {
                let p = &p[start..];
                backward_adapters(&later, p, &stages[half..], later_tapes, later_x, later_dx, later_gradient);
            },
        );
    }

    /// How many of the adapters make about half of the work of all.
    fn half_of_adapters(&self) -> usize {
        let widths = &self.architecture.stages;
        let before = |l: usize| widths[..l].iter().sum::<usize>();
        (0..=widths.len()).min_by_key(|&l| (2 * before(l)).abs_diff(before(widths.len()))).unwrap_or(0)
    }

    /// Moves every running statistic towards the batch on the tape.
    pub fn update_running(&mut self, tape: &Tape<T>) {
        for (layer, tape) in self.adapters.iter().zip(&tape.adapters) {
            match layer {
                AdapterLayer::Sigmoid { norm, .. } => norm.update(&tape.norm, &mut self.running),
                AdapterLayer::Relu(HiddenLayer { norm: Some(norm), .. }) => {
                    norm.update(tape.hidden.norm(), &mut self.running);
                }
                AdapterLayer::Relu(_) => {}
            }
        }
        let layers = self.encoder.iter().chain(&self.decoder);
        for (layer, tape) in layers.zip(tape.encoder.iter().chain(&tape.decoder)) {
            if let Some(norm) = layer.norm {
                norm.update(tape.norm(), &mut self.running);
            }
        }
    }
}

impl AdapterLayer {
    /// Where its parameters start; they lie side by side.
    fn start(&self) -> usize {
        match self {
            AdapterLayer::Sigmoid { norm, .. } => norm.weight,
            AdapterLayer::Relu(hidden) => hidden.linear.weight,
        }
    }

    /// The layer in a slice of the parameters that starts at `start`.
    fn within(&self, start: usize) -> Self {
        match *self {
            AdapterLayer::Sigmoid { norm, linear } => {
                AdapterLayer::Sigmoid { norm: norm.within(start), linear: linear.within(start) }
            }
            AdapterLayer::Relu(hidden) => AdapterLayer::Relu(hidden.within(start)),
        }
    }
}

/// Some adapters: stage features [B, d_l] to their columns of x, [B, H] each.
fn forward_adapters<T: Real>(
    layers: &[AdapterLayer],
    p: &[T],
    stages: &[Array2<T>],
    tapes: &mut [AdapterTape<T>],
    mut x: ArrayViewMut2<'_, T>,
) {
    for (l, ((layer, features), tape)) in layers.iter().zip(stages).zip(tapes).enumerate() {
        let mut x = x.slice_mut(s![.., l * HIDDEN..(l + 1) * HIDDEN]);
        match layer {
            AdapterLayer::Sigmoid { norm, linear } => {
                resize(&mut tape.normalised, features.nrows(), norm.width);
                norm.forward(p, features.view(), tape.normalised.view_mut(), &mut tape.norm);
                linear.forward(p, tape.normalised.view(), x.view_mut());
                wide(
                    #[inline(always)]
                    || {
                        for row in rows_mut(x) {
                            row.iter_mut().for_each(|v| *v = sigmoid(*v));
                        }
                    },
                );
            }
            AdapterLayer::Relu(hidden) => x.assign(&hidden.forward(p, features.view(), &mut tape.hidden)),
        }
    }
}

/// From the gradient of their columns of x, which it turns into that of what the activation saw.
fn backward_adapters<T: Real>(
    layers: &[AdapterLayer],
    p: &[T],
    stages: &[Array2<T>],
    tapes: &mut [AdapterTape<T>],
    x: ArrayView2<'_, T>,
    mut dx: ArrayViewMut2<'_, T>,
    gradient: &mut [T],
) {
    for (l, ((layer, features), tape)) in layers.iter().zip(stages).zip(tapes).enumerate() {
        let columns = s![.., l * HIDDEN..(l + 1) * HIDDEN];
        let mut dx = dx.slice_mut(columns);
        match layer {
            AdapterLayer::Sigmoid { norm, linear } => {
                wide(
                    #[inline(always)]
                    || {
                        for (dx, x) in rows_mut(dx.view_mut()).zip(rows(x.slice(columns))) {
                            for (dx, &x) in dx.iter_mut().zip(x) {
                                *dx *= x * (T::one() - x);
                            }
                        }
                    },
                );
                resize(&mut tape.d_normalised, features.nrows(), norm.width);
                let d_normalised = tape.d_normalised.view_mut();
                linear.backward(p, tape.normalised.view(), dx.view(), gradient, Some(d_normalised));
                norm.backward(p, &tape.norm, gradient, tape.d_normalised.view_mut());
            }
            AdapterLayer::Relu(hidden) => {
                hidden.backward(p, features.view(), dx.view(), &mut tape.hidden, gradient, None);
            }
        }
    }
}

fn forward_stack<T: Real>(
    layers: &[HiddenLayer],
    p: &[T],
    x: ArrayView2<'_, T>,
    tapes: &mut [HiddenTape<T>],
) {
    layers[0].forward(p, x, &mut tapes[0]);
    for i in 1..layers.len() {
        let (before, after) = tapes.split_at_mut(i);
        layers[i].forward(p, layers[i - 1].output(&before[i - 1]), &mut after[0]);
    }
}

/// `up` holds the gradient of the last layer's output; `down` is scratch; `dx` gets the gradient of
/// `x`.
#[expect(clippy::too_many_arguments, reason = "the buffers are lent so that a step allocates nothing")]
fn backward_stack<T: Real>(
    layers: &[HiddenLayer],
    p: &[T],
    x: ArrayView2<'_, T>,
    tapes: &mut [HiddenTape<T>],
    up: &mut Array2<T>,
    down: &mut Array2<T>,
    gradient: &mut [T],
    dx: ArrayViewMut2<'_, T>,
) {
    resize(down, up.nrows(), HIDDEN);
    for i in (1..layers.len()).rev() {
        let (before, after) = tapes.split_at_mut(i);
        let input = layers[i - 1].output(&before[i - 1]);
        layers[i].backward(p, input, up.view(), &mut after[0], gradient, Some(down.view_mut()));
        std::mem::swap(up, down);
    }
    layers[0].backward(p, x, up.view(), &mut tapes[0], gradient, Some(dx));
}
