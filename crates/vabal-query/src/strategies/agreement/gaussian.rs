//! The generative model of features: one Gaussian a class, one covariance for all, and what it says of a candidate.
//!
//! Never here: who predicts, what is asked.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::{Part, Posterior, centred, product, softmax};
use crate::Label;
use crate::error::{Error, Result};
use crate::kernels::{Factor, Threads, matmul};
use crate::progress::{Event, Progress, report};
use crate::strategies::rows::Rows;

/// Rows whose products are summed in f32 before they go to f64. Even in f32's worst case the sums are right to 1e-4.
const BLOCK: usize = 1024;
/// Rows whose logits one task computes.
const ROWS: usize = 256;
/// Columns of the covariance that are a task.
const PANEL: usize = 64;

/// Gaussians with a common covariance S, as logits that are linear in the features:
/// ln p(x | n) = (x − μ)·S⁻¹·(m_n − μ) − ½ (m_n − μ)·S⁻¹·(m_n − μ) + what is the same for all n.
#[derive(Debug)]
pub(super) struct Gaussian {
    /// μ, the mean of the candidates, \[d\].
    origin: Vec<f64>,
    /// S⁻¹·(m_n − μ), [d, C].
    slopes: Array2<f64>,
    /// \[C\].
    offsets: Array1<f64>,
}

impl Gaussian {
    /// Fits class means and the covariance within classes to two parts, the candidates first. Each class has one imaginary
    /// image beside its own, at the mean of the candidates: a class that nothing is predicted of lies there.
    ///
    /// # Errors
    /// A covariance that cannot be inverted, [`Error::Stopped`].
    pub fn fit(
        parts: [Part<'_>; 2],
        classes: usize,
        ridge: f64,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let width = parts[0].0.width();
        let mut sums = Array2::<f64>::zeros((classes, width));
        let mut counts = vec![0.0; classes];
        let mut origin = vec![0.0; width];
        for (which, (rows, order, labels)) in parts.into_iter().enumerate() {
            for &row in order {
                let class = labels[row] as usize;
                counts[class] += 1.0;
                let sums = sums.row_mut(class).into_slice().expect("row-major");
                sums.iter_mut().zip(rows.row(row)).for_each(|(sum, &x)| *sum += f64::from(x));
            }
            if which == 0 {
                let count = order.len().max(1) as f64;
                let total = sums.sum_axis(Axis(0));
                origin.iter_mut().zip(&total).for_each(|(mean, total)| *mean = total / count);
            }
        }
        // About the origin, where the imaginary image adds nothing.
        let mut means = sums;
        for (class, mut mean) in means.rows_mut().into_iter().enumerate() {
            let count = counts[class];
            mean.iter_mut().zip(&origin).for_each(|(m, origin)| *m = (*m - count * origin) / (count + 1.0));
        }
        let mut scatter = scatter(parts, &origin, progress)?;
        let total: f64 = counts.iter().sum::<f64>().max(1.0);
        let mut weighted = means.clone();
        weighted.rows_mut().into_iter().zip(&counts).for_each(|(mut mean, &count)| mean *= count);
        let mut between = scatter.view_mut();
        matmul(weighted.mapv(|v| -v).t(), means.view(), 1.0, between.view_mut(), Threads::All);
        scatter /= total;
        let mean_variance = (scatter.diag().sum() / width as f64).max(0.0);
        // Features that are the same for all: then the model says nothing, and every class is as likely.
        let least = if mean_variance > 0.0 { ridge * mean_variance } else { 1.0 };
        scatter.diag_mut().iter_mut().for_each(|v| *v += least);
        let factor = Factor::of(scatter).ok_or_else(|| -> Error {
            Error::input("the covariance of the features cannot be inverted")
                .at("ridge")
                .expected("a ridge that the features need")
                .got(ridge)
                .hint("set a larger ridge, such as 0.1")
                .into()
        })?;
        // S⁻¹·m = L⁻ᵀ·(L⁻¹·m), and the offset is the square of L⁻¹·m.
        let whitened = product(factor.inverse.view(), means.t(), Threads::All);
        let slopes = product(factor.inverse.t(), whitened.view(), Threads::All);
        let offsets = whitened.map_axis(Axis(0), |column| -0.5 * column.dot(&column));
        Ok(Self { origin, slopes, offsets })
    }

    /// The class that g(n | x) is largest of, and g of the class that was predicted, for each row.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn posterior(
        &self,
        rows: &Rows<'_>,
        order: &[usize],
        predicted: &[Label],
        progress: &mut Progress<'_>,
    ) -> Result<Posterior> {
        let mut all = Posterior { class: vec![0; order.len()], support: vec![0.0; order.len()] };
        let tell = |done| Event::Progress {
            phase: "agreement",
            done,
            total: order.len(),
            unit: "images",
            loss: None,
        };
        for (start, batch) in order.chunks(64 * ROWS).enumerate() {
            report(progress, tell(start * 64 * ROWS))?;
            let found: Vec<(usize, Label, f64)> = batch
                .par_chunks(ROWS)
                .flat_map_iter(|order| {
                    let g = self.of(centred(rows, order, &self.origin).view());
                    let found: Vec<_> = order
                        .iter()
                        .zip(g.rows())
                        .map(|(&row, g)| {
                            let best = g.iter().enumerate().fold((0, 0.0), |best, (class, &g)| {
                                if g > best.1 { (class, g) } else { best }
                            });
                            (row, best.0 as Label, g[predicted[row] as usize])
                        })
                        .collect();
                    found
                })
                .collect();
            for (row, class, support) in found {
                (all.class[row], all.support[row]) = (class, support);
            }
        }
        Ok(all)
    }

    /// g(n | x) of rows less the origin, [rows, C].
    fn of(&self, centred: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut logits = product(centred, self.slopes.view(), Threads::One);
        logits += &self.offsets;
        softmax(logits.view_mut());
        logits
    }
}

/// Σ (x − μ)·(x − μ)ᵀ over all rows, [d, d], of which only the lower triangle is right. Products of a block in f32, their sums
/// in f64, in one order whatever the number of threads.
fn scatter(parts: [Part<'_>; 2], origin: &[f64], progress: &mut Progress<'_>) -> Result<Array2<f64>> {
    let width = origin.len();
    let mut sum = vec![0.0; width * width];
    let mut block = vec![0.0_f32; BLOCK * width];
    let total = parts[0].1.len() + parts[1].1.len();
    let mut done = 0;
    for (rows, order, _) in parts {
        for order in order.chunks(BLOCK) {
            report(
                progress,
                Event::Progress { phase: "covariance", done, total, unit: "images", loss: None },
            )?;
            done += order.len();
            let block = &mut block[..order.len() * width];
            block.par_chunks_mut(width).with_min_len(64).zip(order).for_each(|(out, &row)| {
                let values = rows.row(row).iter().zip(origin);
                out.iter_mut().zip(values).for_each(|(out, (&x, mean))| *out = (f64::from(x) - mean) as f32);
            });
            let block = ArrayView2::from_shape((order.len(), width), &*block).expect("of this length");
            sum.par_chunks_mut(PANEL * width).enumerate().for_each(|(panel, sum)| {
                let first = panel * PANEL;
                let last = first + sum.len() / width;
                let mut products = Array2::<f32>::zeros((last - first, last));
                let left = block.slice(s![.., first..last]);
                matmul(left.t(), block.slice(s![.., ..last]), 0.0, products.view_mut(), Threads::One);
                for (sum, products) in sum.chunks_exact_mut(width).zip(products.rows()) {
                    sum.iter_mut().zip(products).for_each(|(sum, &product)| *sum += f64::from(product));
                }
            });
        }
    }
    Ok(Array2::from_shape_vec((width, width), sum).expect("d rows of d"))
}
