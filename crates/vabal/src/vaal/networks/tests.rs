//! The gradients of the networks against finite differences of their definition, in f64 and plain
//! loops.

use super::*;

/// Images that gradients are checked with.
const BATCH: usize = 4;

/// A layer by its definition, in f64: convolution or transpose, BatchNorm of the batch, ReLU.
fn layer(l: &Layer, p: &[f64], x: &[f64]) -> Vec<f64> {
    let (side, half, width) = (l.side, l.side / 2, l.width());
    let (large, small) = (side * side * l.shallow, half * half * l.deep);
    let (input, output) = if l.up { (small, large) } else { (large, small) };
    assert_eq!(x.len(), BATCH * input, "the layer before puts out maps of another side or depth");
    let mut y = vec![0.0; BATCH * output];
    for at in 0..BATCH * half * half {
        let (image, row, column) = (at / (half * half), at / half % half, at % half);
        for tap in 0..16 {
            let (i, j) = ((2 * row + tap / 4).wrapping_sub(1), (2 * column + tap % 4).wrapping_sub(1));
            if i >= side || j >= side {
                continue;
            }
            for (deep, shallow) in (0..l.deep * l.shallow).map(|n| (n / l.shallow, n % l.shallow)) {
                let w = p[l.start + (deep * l.shallow + shallow) * 16 + tap];
                let of_large = ((image * side + i) * side + j) * l.shallow + shallow;
                let of_small = at * l.deep + deep;
                let (to, from) = if l.up { (of_large, of_small) } else { (of_small, of_large) };
                y[to] += w * x[from];
            }
        }
    }
    let (norm, n) = (&p[l.start + 16 * l.deep * l.shallow..], (y.len() / width) as f64);
    for channel in 0..width {
        let sum =
            |of: &dyn Fn(f64) -> f64| y.iter().skip(channel).step_by(width).map(|&v| of(v)).sum::<f64>();
        let mean = sum(&|v| v) / n;
        let deviation = (sum(&|v| (v - mean).powi(2)) / n + 1e-5).sqrt();
        for v in y.iter_mut().skip(channel).step_by(width) {
            *v = (norm[channel] * (*v - mean) / deviation + norm[width + channel]).max(0.0);
        }
    }
    y
}

fn linear(l: &Linear, p: &[f64], x: &[f64]) -> Vec<f64> {
    let rows = x.chunks(l.inputs).flat_map(|x| (0..l.outputs).map(move |output| (x, output)));
    let product = |(x, output): (&[f64], usize)| {
        let weight = &p[l.weight + output * l.inputs..];
        p[l.bias + output] + x.iter().zip(weight).map(|(x, w)| x * w).sum::<f64>()
    };
    rows.map(product).collect()
}

/// Cross-entropy of the discriminator.
fn judged(d: &Discriminator, p: &[f64], latents: &[f64], labelled: bool) -> f64 {
    let hidden = |l: &HiddenLayer, x: &[f64]| -> Vec<f64> {
        linear(&l.linear, p, x).iter().map(|v| v.max(0.0)).collect()
    };
    let logits = linear(&d.last, p, &hidden(&d.second, &hidden(&d.first, latents)));
    let sign = if labelled { -1.0 } else { 1.0 };
    crate::metrics::mean(logits.iter().map(|logit| (1.0 + (sign * logit).exp()).ln()))
}

/// Means and log-variances of the latents, [B, 2, d].
fn encoded(a: &Autoencoder, p: &[f64], images: &[f64]) -> Vec<f64> {
    let code = a.layers[ENCODER].iter().fold(images.to_vec(), |x, l| layer(l, p, &x));
    linear(&a.heads, p, &code)
}

fn loss(a: &Autoencoder, p: &[f64], images: &[f64], noise: &[f64], judge: impl Fn(&[f64]) -> f64) -> f64 {
    let d = a.open.inputs;
    let (mut means, mut drawn, mut kl) = (Vec::new(), Vec::new(), 0.0);
    for (code, noise) in encoded(a, p, images).chunks(2 * d).zip(noise.chunks(d)) {
        for (j, noise) in noise.iter().enumerate() {
            let (mean, log_variance) = (code[j], code[d + j]);
            means.push(mean);
            drawn.push(mean + (log_variance / 2.0).exp() * noise);
            kl += mean * mean + log_variance.exp() - log_variance - 1.0;
        }
    }
    let maps = a.layers[DECODER].iter().fold(linear(&a.open, p, &drawn), |x, l| layer(l, p, &x));
    let painted = linear(&a.paint, p, &maps);
    let squares: f64 = painted.iter().zip(images).map(|(painted, image)| (painted - image).powi(2)).sum();
    (squares + kl) / images.len() as f64 + judge(&means)
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn noise(n: usize, name: &str) -> Vec<f32> {
    let mut rng = Seed::new(4).stream(name);
    (0..n).map(|_| StandardNormal.sample(&mut rng)).collect()
}

/// Tiny networks with parameters that are none of the round first values; images of three channels,
/// and noise.
fn networks() -> (Autoencoder, Discriminator, Vec<f32>, Vec<f32>) {
    let settings = Settings { width: 2, latents: 3, ..Settings::default() };
    let mut a = Autoencoder::new(3, settings, Seed::new(2));
    let mut d = Discriminator::new(3, Seed::new(2));
    for (learnt, name) in [(&mut a.learnt, "autoencoder"), (&mut d.learnt, "discriminator")] {
        let moved = noise(learnt.parameters.len(), name);
        learnt.parameters.iter_mut().zip(moved).for_each(|(value, by)| *value += 0.1 * by);
    }
    (a, d, noise(BATCH * 3 * SIDE * SIDE, "images"), noise(BATCH * 3, "noise"))
}

/// Compares some of each array's values; `starts` says where the arrays start.
fn assert_gradient(learnt: &Learnt, mut starts: Vec<usize>, loss: impl Fn(&[f64]) -> f64) {
    let mut p = widened(&learnt.parameters);
    starts.push(p.len());
    starts.sort_unstable();
    for span in starts.windows(2) {
        let all = &learnt.gradient[span[0]..span[1]];
        let largest = all.iter().fold(0.0, |largest: f64, &value| largest.max(f64::from(value).abs()));
        for at in (span[0]..span[1]).step_by((all.len() / 8).max(1) | 1) {
            let before = p[at];
            let [above, below] = [1e-5, -1e-5].map(|by| {
                p[at] = before + by;
                loss(&p)
            });
            p[at] = before;
            let (got, expected) = (f64::from(learnt.gradient[at]), (above - below) / 2e-5);
            assert!((got - expected).abs() < 2e-5 * largest, "{at} of {span:?}: {got}, not {expected}");
        }
    }
}

#[test]
fn the_autoencoders_gradient_is_that_of_finite_differences() {
    let (mut a, mut d, images, noise) = networks();
    let of_discriminator = widened(&d.learnt.parameters);
    let got = a.differentiate(&images, &noise, &mut d, 0.7);
    let (images, noise) = (widened(&images), widened(&noise));
    let judge = |means: &[f64]| 0.7 * judged(&d, &of_discriminator, means, true);
    let loss = |p: &[f64]| loss(&a, p, &images, &noise, judge);
    let expected = loss(&widened(&a.learnt.parameters));
    assert!((got - expected).abs() < 1e-5 * expected, "{got}, not {expected}");
    let of_layer =
        |l: &Layer| [0, 16 * l.deep * l.shallow, 16 * l.deep * l.shallow + l.width()].map(|n| l.start + n);
    let linears = [a.heads, a.open, a.paint].iter().flat_map(|l| [l.weight, l.bias]).collect::<Vec<_>>();
    assert_gradient(&a.learnt, a.layers.iter().flat_map(of_layer).chain(linears).collect(), loss);
}

#[test]
fn the_discriminators_gradient_is_that_of_finite_differences() {
    let (_, mut d, _, latents) = networks();
    let (l, u) = latents.split_at(9);
    let got = d.differentiate(matrix(l, 3), true, None) + d.differentiate(matrix(u, 1), false, None);
    let (l, u) = (widened(l), widened(u));
    let loss = |p: &[f64]| judged(&d, p, &l, true) + judged(&d, p, &u, false);
    let expected = loss(&widened(&d.learnt.parameters));
    assert!((got - expected).abs() < 1e-5 * expected, "{got}, not {expected}");
    let linears = [d.first.linear, d.second.linear, d.last];
    assert_gradient(&d.learnt, linears.iter().flat_map(|l| [l.weight, l.bias]).collect(), loss);
}

#[test]
fn evaluation_has_the_statistics_of_the_batches_it_was_trained_on() {
    let (mut a, mut d, images, noise) = networks();
    // Of always the same one.
    for _ in 0..200 {
        a.differentiate(&images, &noise, &mut d, 1.0);
    }
    let expected = encoded(&a, &widened(&a.learnt.parameters), &widened(&images));
    for (got, expected) in a.means(&images).rows().into_iter().zip(expected.chunks(6)) {
        let near = |(got, expected): (&f32, &f64)| (f64::from(*got) - expected).abs() < 1e-4;
        assert!(got.iter().zip(expected).all(near), "{got}, not {expected:?}");
    }
}

#[test]
fn softplus_holds_at_any_logit() {
    assert_eq!(softplus(0.0), std::f64::consts::LN_2);
    assert_eq!((softplus(1e30), softplus(-1e30)), (1e30, 0.0));
    assert!((softplus(-40.0) / (-40.0_f64).exp() - 1.0).abs() < 1e-12);
    assert!(softplus(f64::NAN).is_nan());
}
