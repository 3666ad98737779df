//! The optimiser of the small networks of strategies.

use rayon::prelude::*;

use crate::kernels::wide;

/// Adam (Kingma & Ba 2015) with PyTorch's defaults.
#[derive(Debug, Clone)]
pub struct Adam {
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
}

impl Adam {
    pub fn new(parameters: usize) -> Self {
        Self { first: vec![0.0; parameters], second: vec![0.0; parameters], steps: 0 }
    }

    pub fn step(&mut self, parameters: &mut [f32], gradient: &[f32], learning_rate: f64) {
        const BETA: (f64, f64) = (0.9, 0.999);
        const CHUNK: usize = 1 << 14;
        self.steps += 1;
        let rate = (learning_rate / (1.0 - BETA.0.powi(self.steps))) as f32;
        let root = (1.0 - BETA.1.powi(self.steps)).sqrt() as f32;
        let (b1, b2) = (BETA.0 as f32, BETA.1 as f32);
        let chunks = (parameters.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)))
            .zip(self.first.par_chunks_mut(CHUNK).zip(self.second.par_chunks_mut(CHUNK)));
        chunks.for_each(|((parameters, gradient), (first, second))| {
            wide(
                #[inline(always)]
                || {
                    for (((p, &g), m), v) in parameters.iter_mut().zip(gradient).zip(first).zip(second) {
                        *m = b1 * *m + (1.0 - b1) * g;
                        *v = b2 * *v + (1.0 - b2) * g * g;
                        *p -= rate * *m / (v.sqrt() / root + 1e-8);
                    }
                },
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adam_takes_the_published_first_steps() {
        // With a constant gradient, every bias-corrected step is the learning rate against its
        // sign.
        let mut adam = Adam::new(2);
        let mut parameters = [1.0_f32, -2.0];
        for steps in 1..=3 {
            adam.step(&mut parameters, &[0.5, -4.0], 0.1);
            let moved = 0.1 * steps as f32;
            assert!(
                (parameters[0] - (1.0 - moved)).abs() < 1e-5 && (parameters[1] - (-2.0 + moved)).abs() < 1e-5
            );
        }
    }
}
