//! The Gaussian body of the generative model: one mean a class, one covariance for all, from sums alone. Pools that are apart
//! are added up apart and merged: [`Statistics::merge`].
//!
//! Never here: who predicts, what is asked.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::super::rows::Rows;
use super::generative::{Candidates, Posterior, read};
use crate::Label;
use crate::error::{Complaint, Error, Result};
use crate::kernels::{Factor, Threads, matmul};
use crate::progress::{Event, Progress, between_reports, report};
use crate::query::Arrays;

/// Rows whose products are summed in f32 before they go to f64. Even in f32's worst case the sums are right to 1e-4.
const BLOCK: usize = 1024;
/// Rows whose logits one task computes.
const ROWS: usize = 256;
/// Columns of the covariance that are a task.
const PANEL: usize = 64;

/// Counts, sums and second moments of rows by class: all that a [`Gaussian`] needs of them, [C·d + d²] numbers however many
/// rows there are. In f64; the products of a block of rows in f32.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statistics {
    /// o, what the sums are about, \[d\]: the mean of the first rows, so that little is lost to cancellation.
    origin: Vec<f64>,
    /// Rows of each class, \[C\].
    pub counts: Array1<f64>,
    /// Σ (x − o) over the rows of each class, [C, d].
    pub sums: Array2<f64>,
    /// Σ (x − o)·(x − o)ᵀ over all rows, [d, d], of which only the lower triangle is right.
    pub moments: Array2<f64>,
}

impl Statistics {
    /// Of the rows `order` of `rows`, each with its label, in that order.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn of(
        rows: &Rows<'_>,
        order: &[usize],
        labels: &[Label],
        classes: usize,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let width = rows.width();
        let first = &order[..order.len().min(BLOCK)];
        let mut origin = vec![0.0; width];
        for &row in first {
            origin.iter_mut().zip(rows.row(row)).for_each(|(mean, &x)| *mean += f64::from(x));
        }
        origin.iter_mut().for_each(|mean| *mean /= first.len().max(1) as f64);
        let (mut counts, mut sums) = (Array1::zeros(classes), Array2::<f64>::zeros((classes, width)));
        let mut moments = vec![0.0; width * width];
        let mut block = vec![0.0_f32; BLOCK * width];
        for (at, order) in order.chunks(BLOCK).enumerate() {
            let (done, total) = (at * BLOCK, order.len());
            report(
                progress,
                Event::Progress { phase: "covariance", done, total, unit: "images", loss: None },
            )?;
            let block = &mut block[..order.len() * width];
            block.par_chunks_mut(width).with_min_len(64).zip(order).for_each(|(out, &row)| {
                let values = rows.row(row).iter().zip(&origin);
                out.iter_mut().zip(values).for_each(|(out, (&x, mean))| *out = (f64::from(x) - mean) as f32);
            });
            for (&row, x) in order.iter().zip(block.chunks_exact(width)) {
                let class = labels[row] as usize;
                counts[class] += 1.0;
                sums.row_mut(class).iter_mut().zip(x).for_each(|(sum, &x)| *sum += f64::from(x));
            }
            let block = ArrayView2::from_shape((order.len(), width), &*block).expect("of this length");
            moments.par_chunks_mut(PANEL * width).enumerate().for_each(|(panel, moments)| {
                let first = panel * PANEL;
                let last = first + moments.len() / width;
                let mut products = Array2::<f32>::zeros((last - first, last));
                let left = block.slice(s![.., first..last]);
                matmul(left.t(), block.slice(s![.., ..last]), 0.0, products.view_mut(), Threads::One);
                for (sum, products) in moments.chunks_exact_mut(width).zip(products.rows()) {
                    sum.iter_mut().zip(products).for_each(|(sum, &product)| *sum += f64::from(product));
                }
            });
        }
        let moments = Array2::from_shape_vec((width, width), moments).expect("d rows of d");
        Ok(Self { origin, counts, sums, moments })
    }

    /// The mean of all rows, \[d\]; the origin if there are no rows.
    pub fn mean(&self) -> Vec<f64> {
        let count = self.counts.sum().max(1.0);
        self.origin
            .iter()
            .zip(&self.sums.sum_axis(Axis(0)))
            .map(|(origin, sum)| origin + sum / count)
            .collect()
    }

    /// The same rows with sums about another origin.
    pub fn about(mut self, origin: &[f64]) -> Self {
        let moved: Array1<f64> = origin.iter().zip(&self.origin).map(|(new, old)| new - old).collect();
        let (count, sum) = (self.counts.sum(), self.sums.sum_axis(Axis(0)));
        // Σ (x − o − δ)(x − o − δ)ᵀ = Σ (x − o)(x − o)ᵀ − s·δᵀ − δ·sᵀ + n·δ·δᵀ
        for ((mut row, &delta), &s) in self.moments.rows_mut().into_iter().zip(&moved).zip(&sum) {
            let others = moved.iter().zip(&sum);
            row.iter_mut()
                .zip(others)
                .for_each(|(m, (d, other))| *m += count * delta * d - s * d - delta * other);
        }
        for (mut sums, &count) in self.sums.rows_mut().into_iter().zip(&self.counts) {
            sums.scaled_add(-count, &moved);
        }
        self.origin = origin.to_vec();
        self
    }

    /// Of these rows and of others together.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        let other = other.about(&self.origin);
        self.counts += &other.counts;
        self.sums += &other.sums;
        self.moments += &other.moments;
        self
    }
}

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
    /// Fits class means and the covariance within classes to the unlabelled pool by predicted and to the labelled pool by given
    /// labels.
    ///
    /// # Errors
    /// A covariance that cannot be inverted, [`Error::Stopped`].
    pub fn fit(
        candidates: &Candidates<'_>,
        predicted: &[Label],
        ridge: f64,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let Candidates { open: (open, order), closed: (closed, known), labels, classes, .. } = candidates;
        let all = Statistics::of(open, order, predicted, *classes, progress)?;
        let middle = all.mean();
        let all = match known.is_empty() {
            true => all,
            false => all.merge(Statistics::of(closed, known, labels, *classes, progress)?),
        };
        Self::of(all, &middle, ridge)
    }

    /// From the sums over all rows. Each class has one imaginary image beside its own, in the `middle`: a class without images
    /// lies there.
    ///
    /// # Errors
    /// A covariance that cannot be inverted.
    pub fn of(statistics: Statistics, middle: &[f64], ridge: f64) -> Result<Self> {
        // About the middle, where the imaginary image adds nothing.
        let Statistics { origin, counts, sums: mut means, moments: mut scatter } = statistics.about(middle);
        let width = origin.len();
        means.rows_mut().into_iter().zip(&counts).for_each(|(mut mean, &count)| mean /= count + 1.0);
        let total = counts.sum().max(1.0);
        let mut weighted = means.clone();
        weighted.rows_mut().into_iter().zip(&counts).for_each(|(mut mean, &count)| mean *= -count);
        matmul(weighted.t(), means.view(), 1.0, scatter.view_mut(), Threads::All);
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

    /// Its arrays by name: μ [1, d], the slopes [d, C] and the offsets [1, C].
    pub fn into_arrays(self) -> Arrays {
        let row = |values: Vec<f64>| Array1::from_vec(values).insert_axis(Axis(0));
        let arrays =
            [(ORIGIN, row(self.origin)), (SLOPES, self.slopes), (OFFSETS, self.offsets.insert_axis(Axis(0)))];
        arrays.map(|(name, array)| (name.to_owned(), array)).into()
    }

    /// The same from its arrays, of C `classes`.
    ///
    /// # Errors
    /// Arrays that are missing, or of another shape.
    pub fn from_arrays(arrays: &Arrays, classes: usize) -> Result<Self> {
        let array = |name: &str| arrays.get(name).ok_or_else(|| -> Error { unfit(name, "none").into() });
        let (origin, slopes, offsets) = (array(ORIGIN)?, array(SLOPES)?, array(OFFSETS)?);
        let width = slopes.nrows();
        for (name, array, shape) in [
            (ORIGIN, origin, (1, width)),
            (SLOPES, slopes, (width, classes)),
            (OFFSETS, offsets, (1, classes)),
        ] {
            if array.dim() != shape || width == 0 {
                return Err(unfit(name, format!("{:?}", array.dim())).expected(format!("{shape:?}")).into());
            }
        }
        let standard = slopes.as_standard_layout().into_owned();
        Ok(Self {
            origin: origin.iter().copied().collect(),
            slopes: standard,
            offsets: offsets.row(0).to_owned(),
        })
    }

    /// Columns of the features.
    pub fn width(&self) -> usize {
        self.origin.len()
    }

    /// ln p(x | n), up to a term that is the same for all n, of the rows `order`, at most [`ROWS`]. The block is filled up with
    /// rows of 0 to [`ROWS`]: the order of summation in a matrix product depends on its shape, and a row must have the same bits
    /// beside any others.
    fn logits(&self, rows: &Rows<'_>, order: &[usize]) -> Array2<f64> {
        let mut centred = Array2::zeros((ROWS, self.origin.len()));
        for (mut out, &row) in centred.rows_mut().into_iter().zip(order) {
            let values = rows.row(row).iter().zip(&self.origin);
            out.iter_mut().zip(values).for_each(|(out, (&x, mean))| *out = f64::from(x) - mean);
        }
        product(centred.view(), self.slopes.view(), Threads::One) + &self.offsets
    }

    /// What it says of each of these rows, beside their predicted classes.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn of_rows(
        &self,
        rows: &Rows<'_>,
        predicted: &[Label],
        progress: &mut Progress<'_>,
    ) -> Result<Posterior> {
        let order: Vec<usize> = (0..predicted.len()).collect();
        let mut all = Posterior { class: vec![0; order.len()], support: vec![0.0; order.len()] };
        // In f64, which takes twice as long.
        let threads = rayon::current_num_threads();
        let size = ROWS * between_reports(2 * ROWS * self.slopes.len(), threads, 64);
        for (at, batch) in order.chunks(size).enumerate() {
            let (done, total) = (at * size, order.len());
            report(
                progress,
                Event::Progress { phase: "posterior", done, total, unit: "images", loss: None },
            )?;
            let found: Vec<(Label, f64)> = batch
                .par_chunks(ROWS)
                .flat_map_iter(|order| {
                    let mut logits = self.logits(rows, order);
                    let rows = logits.rows_mut().into_iter().zip(order);
                    rows.map(|(logits, &row)| read(logits, predicted[row])).collect::<Vec<_>>()
                })
                .collect();
            for (&row, (class, support)) in batch.iter().zip(found) {
                (all.class[row], all.support[row]) = (class, support);
            }
        }
        Ok(all)
    }
}

const ORIGIN: &str = "gaussian.origin";
const SLOPES: &str = "gaussian.slopes";
const OFFSETS: &str = "gaussian.offsets";

fn unfit(name: &str, got: impl std::fmt::Display) -> Complaint {
    Error::input("an array of the plan does not fit").at(name).got(got).hint("make the plan again")
}

/// The product a·b.
fn product(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>, threads: Threads) -> Array2<f64> {
    let mut c = Array2::zeros((a.nrows(), b.ncols()));
    matmul(a, b, 0.0, c.view_mut(), threads);
    c
}
