//! The losses of one step and their gradient, against Eqs. 8 to 10 written out and finite
//! differences, in f64.

use ndarray::Array1;
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::rng::Seed;
use crate::strategies::vabal_paper::tests::{normal, reference_w};
use crate::strategies::vabal_paper::vae::Architecture;
use crate::strategies::vabal_paper::{Adapter, Hidden};

#[test]
fn the_gradient_is_the_slope_of_the_loss_for_every_switch() {
    let stages = [normal(6, 3, "s1"), normal(6, 5, "s2")];
    let labels = [0, 1, 2, 2, 1, 0];
    let noise = normal(6, 6, "noise");
    for adapter in [Adapter::Sigmoid, Adapter::Relu] {
        for hidden in [Hidden::Plain, Hidden::Normalised] {
            for absence in [Absence::Square, Absence::Abs, Absence::Sigmoid] {
                for mask in [false, true] {
                    let architecture =
                        Architecture { stages: vec![3, 5], classes: 3, latents: 2, adapter, hidden };
                    let mut vae = Vae::<f64>::new(architecture, Seed::new(3));
                    // Away from the first values, where norms are the identity.
                    let mut rng = Seed::new(4).stream("away");
                    for p in &mut vae.parameters {
                        *p += 0.02 * Distribution::<f64>::sample(&StandardNormal, &mut rng);
                    }
                    let objective = Objective { lambda: 0.7, absence, mask };
                    let (mut tape, mut scratch) = (vae.tape(), Scratch::default());
                    let mut gradient = vec![0.0; vae.parameters.len()];
                    let input = (&stages[..], &labels[..], &noise);
                    // The target is x with its gradient stopped, so the slope is taken with x̂
                    // compared to a fixed x.
                    let x = {
                        step(&vae, objective, input, &mut tape, &mut scratch, &mut gradient);
                        tape.x.clone()
                    };
                    let mut loss_at = |vae: &Vae<f64>| {
                        let (mut tape, mut unused) = (vae.tape(), vec![0.0; vae.parameters.len()]);
                        let losses = step(vae, objective, input, &mut tape, &mut scratch, &mut unused);
                        let squares = (&tape.output - &x).mapv(|d| d * d).mean().unwrap();
                        squares + losses.kl + objective.lambda * losses.class
                    };
                    // Each named array on its own, along a random direction.
                    for named in vae.named.clone().iter().filter(|named| !named.running) {
                        let direction: Vec<f64> =
                            named.range.clone().map(|_| StandardNormal.sample(&mut rng)).collect();
                        let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
                        let direction: Vec<f64> = direction.iter().map(|d| d / length).collect();
                        let at = |vae: &Vae<f64>, h: f64| {
                            let mut moved = vae.clone();
                            for (p, d) in moved.parameters[named.range.clone()].iter_mut().zip(&direction) {
                                *p += h * d;
                            }
                            moved
                        };
                        let h = 1e-7;
                        let slope = (loss_at(&at(&vae, h)) - loss_at(&at(&vae, -h))) / (2.0 * h);
                        let expected: f64 =
                            gradient[named.range.clone()].iter().zip(&direction).map(|(g, d)| g * d).sum();
                        assert!(
                            (slope - expected).abs() < 1e-5 * (1.0 + expected.abs()),
                            "{adapter:?} {hidden:?} {absence:?} mask {mask}, {}: slope {slope}, gradient {expected}",
                            named.name
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn the_losses_of_a_step_are_equations_8_to_10_written_out() {
    let stages = [normal(6, 3, "s1"), normal(6, 5, "s2")];
    let labels: [Label; 6] = [0, 1, 2, 2, 1, 0];
    let noise = normal(6, 6, "noise");
    for absence in [Absence::Square, Absence::Abs, Absence::Sigmoid] {
        let architecture = Architecture {
            stages: vec![3, 5],
            classes: 3,
            latents: 2,
            adapter: Adapter::Sigmoid,
            hidden: Hidden::Normalised,
        };
        let vae = Vae::<f64>::new(architecture, Seed::new(3));
        let (mut tape, mut gradient) = (vae.tape(), vec![0.0; vae.parameters.len()]);
        let objective = Objective { lambda: 0.7, absence, mask: true };
        let input = (&stages[..], &labels[..], &noise);
        let losses = step(&vae, objective, input, &mut tape, &mut Scratch::default(), &mut gradient);
        let reconstruction = (&tape.output - &tape.x).mapv(|d| d * d).mean().unwrap();
        let (mean, log_variance) = (&tape.mean, &tape.log_variance);
        let kl = -0.5 * (1.0 + log_variance - mean * mean - log_variance.mapv(f64::exp)).mean().unwrap();
        let z = mean + log_variance.mapv(|v| (0.5 * v).exp()) * &noise;
        let cross_entropy = labels.iter().enumerate().map(|(row, &label)| {
            let w = reference_w(absence, &z.row(row).to_owned(), 2);
            w[label as usize] + w.iter().map(|w| (-w).exp()).sum::<f64>().ln()
        });
        let class = cross_entropy.sum::<f64>() / 6.0;
        for (got, expected) in
            [(losses.reconstruction, reconstruction), (losses.kl, kl), (losses.class, class)]
        {
            assert!((got - expected).abs() < 1e-12, "{absence:?}: {got} is not {expected}");
        }
        assert!((losses.total(0.7) - (reconstruction + kl + 0.7 * class)).abs() < 1e-12);
    }
}

#[test]
fn the_class_loss_is_equation_8() {
    let z = Array1::from(vec![0.3, -0.4, 1.2, 0.1, -0.2, 0.05]);
    for absence in [Absence::Square, Absence::Abs, Absence::Sigmoid] {
        let w = reference_w(absence, &z, 2);
        let total: f64 = w.iter().map(|w| (-w).exp()).sum();
        let expected = -((-w[1]).exp() / total).ln();
        let got = class_loss(absence, z.as_slice().unwrap(), 1, 2, &mut [0.0; 6]);
        assert!((got - expected).abs() < 1e-12);
        let least = (0..3).min_by(|&a, &b| w[a].total_cmp(&w[b])).unwrap();
        assert_eq!(predicted(absence, z.as_slice().unwrap(), 2), least);
    }
}
