//! Principal components of features: fewer columns, which keep as much of the variance as so many
//! can.
//!
//! [`Pca::fit`] takes the eigenvectors of the covariance matrix with the largest eigenvalues, by
//! subspace iteration with a Rayleigh–Ritz step (Halko, Martinsson and Tropp 2011). A
//! [`LinearHead`] on the components is also one on the features themselves: [`Pca::head`].
//!
//! ```
//! use ndarray::array;
//! use vabal_query::pca::Pca;
//! use vabal_query::progress::silent;
//! use vabal_query::rng::Seed;
//!
//! let features = array![[1.0, 1.0, 5.0], [2.0, 2.0, 5.0], [3.0, 3.0, 5.0], [5.0, 4.9, 5.0]];
//! let pca = Pca::fit(features.view(), &[0, 1, 2, 3], 1, Seed::new(1), &mut silent())?;
//! assert!(pca.explained() > 0.99);
//! assert_eq!(pca.transform(features.view())?.dim(), (4, 1));
//! # Ok::<(), vabal_query::Error>(())
//! ```
//!
//! Never here: what the components are used for.

#[cfg(test)]
mod tests;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::head::{LinearHead, dot, expect, finite, product};
use crate::kernels::{Factor, Threads, matmul, wide};
use crate::progress::{Event, Progress, report};
use crate::{Id, Seed};

/// Rows that enter a fit, at most.
const ROWS: usize = 10_000;

/// Rows that one task transforms.
const CHUNK: usize = 256;

/// Columns of a matrix of products that one task computes.
const PANEL: usize = 128;

/// Steps of the subspace iteration, at most.
const STEPS: usize = 50;

/// How far A·v may be from θ·v, relative to the largest eigenvalue.
const TOLERANCE: f64 = 1e-6;

/// Variances below this share of the largest are rounding.
const ROUNDING: f64 = 1e-12;

/// Principal components.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    mean: Array1<f64>,
    components: Array2<f64>,
    variances: Array1<f64>,
    total: f64,
}

impl Pca {
    /// The `components` directions in which features [n, d] vary most.
    ///
    /// At most 10,000 rows enter: those of which the ids have the smallest keys, so that the order
    /// of the rows changes nothing. There are fewer components where the features vary in fewer
    /// directions, and one of variance 0 where they do not vary at all. The same bits with any
    /// number of threads. Steps are reported as the phase "pca".
    ///
    /// Meant for some hundreds of components: it takes a time that grows as d² · `components`, and,
    /// from half of d on, as d³.
    ///
    /// # Errors
    /// Another number of ids than of rows, no row, column or component, features that are not
    /// finite; [`Error::Stopped`].
    pub fn fit(
        features: ArrayView2<'_, f32>,
        ids: &[Id],
        components: usize,
        seed: Seed,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let (n, width) = features.dim();
        if n == 0 || width == 0 || components == 0 {
            return Err(Error::input("nothing to take principal components of")
                .at("features and components")
                .expected("at least a row, a column and a component")
                .got(format!("{n} rows, {width} columns, {components} components"))
                .hint("give features of some images, and how many columns to keep")
                .into());
        }
        expect(ids.len() == n, "another number of ids than of rows", "ids", n, || ids.len())?;
        finite(features)?;
        step(progress, 0)?;
        let chosen = &seed.order("pca", ids)[..n.min(ROWS)];
        // Less the first row, so that a column of one value is exactly 0.
        let first = features.row(chosen[0]).mapv(f64::from);
        let mut rows = features.select(Axis(0), chosen).mapv(f64::from);
        rows -= &first;
        let rest = rows.sum_axis(Axis(0)) / chosen.len() as f64;
        rows -= &rest;
        // X·Xᵀ and Xᵀ·X have the same eigenvalues.
        let across = chosen.len() < width;
        let mut moments = moments(if across { rows.t() } else { rows.view() });
        moments /= (chosen.len() - 1).max(1) as f64;
        let total = moments.diag().sum();
        let (variances, mut components) = largest(&moments, components, seed, progress)?;
        if across {
            components = product(components.view(), rows.view());
        }
        if variances.is_empty() {
            components = Array2::zeros((0, width));
        }
        let mut pca = Self { mean: first + rest, components, variances: Array1::from_vec(variances), total };
        if pca.variances.is_empty() {
            pca.variances = Array1::zeros(1);
            pca.components =
                Array2::from_shape_fn((1, width), |(_, column)| f64::from(u8::from(column == 0)));
        }
        for mut component in pca.components.rows_mut() {
            // Of a length of 1, the largest entry above 0.
            let most = component.iter().fold(0.0_f64, |most, &v| if v.abs() > most.abs() { v } else { most });
            let length = component.dot(&component).sqrt().copysign(most);
            component /= length;
        }
        step(progress, STEPS)?;
        Ok(pca)
    }

    /// Those of a mean \[d\], components [k, d], their variances \[k\] and the variance of all
    /// columns that were kept.
    ///
    /// # Errors
    /// Shapes that do not fit each other, no component, values that are not finite, variances below 0.
    pub fn of(
        mean: Array1<f64>,
        components: Array2<f64>,
        variances: Array1<f64>,
        total: f64,
    ) -> Result<Self> {
        let (count, width) = components.dim();
        let finite = mean.iter().chain(&components).all(|v| v.is_finite());
        let least = variances.iter().chain([&total]).all(|v| *v >= 0.0 && v.is_finite());
        if (mean.len(), variances.len()) != (width, count) || components.is_empty() || !finite || !least {
            return Err(Error::input("arrays that make no principal components")
                .at("mean, components and variances")
                .expected("finite numbers, [d], [k, d] and [k], variances of 0 or more")
                .got(format!("{}, ({count}, {width}) and {}", mean.len(), variances.len()))
                .hint("give all as they were")
                .into());
        }
        Ok(Self { mean, components, variances, total })
    }

    /// (x − mean)·componentsᵀ for features [n, d], [n, k]. A row has the same bits whatever rows
    /// are beside it.
    ///
    /// # Errors
    /// Another number of columns than it was fitted to; features that are not finite.
    pub fn transform(&self, features: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        let (count, width) = self.components.dim();
        let right = features.ncols() == width;
        expect(right, "unexpected width of features", "features", format!("{width} columns"), || {
            features.ncols()
        })?;
        finite(features)?;
        let mut out = Array2::zeros((features.nrows(), count));
        let chunks = out.axis_chunks_iter_mut(Axis(0), CHUNK).zip(features.axis_chunks_iter(Axis(0), CHUNK));
        chunks.collect::<Vec<_>>().into_par_iter().for_each(|(mut out, features)| {
            let rows = features.mapv(f64::from) - &self.mean;
            let mut found = Array2::zeros(out.dim());
            matmul(rows.view(), self.components.t(), 0.0, found.view_mut(), Threads::One);
            out.zip_mut_with(&found, |out, &value| *out = value as f32);
        });
        Ok(out)
    }

    /// The head [C, d] on features that has the logits of `head` [C, k] on their components.
    ///
    /// # Errors
    /// A head of another number of columns than there are components.
    pub fn head(&self, head: &LinearHead) -> Result<LinearHead> {
        let (count, width) = (self.components.nrows(), head.weights().ncols());
        let what = "a head on another number of components";
        expect(count == width, what, "head", format!("{count} columns"), || width)?;
        Ok(head.on(self.components.view(), self.mean.view()))
    }

    /// The mean of the features, \[d\].
    #[must_use]
    pub fn mean(&self) -> ArrayView1<'_, f64> {
        self.mean.view()
    }

    /// The components, [k, d], that of the largest variance first: rows of length 1 at right angles
    /// to each other, the largest entry of each above 0.
    #[must_use]
    pub fn components(&self) -> ArrayView2<'_, f64> {
        self.components.view()
    }

    /// The variance along each component, \[k\].
    #[must_use]
    pub fn variances(&self) -> ArrayView1<'_, f64> {
        self.variances.view()
    }

    /// The variance of all columns of the features, summed.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.total
    }

    /// The share of the variance that the components have, 0 to 1; 1 of features that do not vary.
    #[must_use]
    pub fn explained(&self) -> f64 {
        if self.total > 0.0 { (self.variances.sum() / self.total).min(1.0) } else { 1.0 }
    }
}

fn step(progress: &mut Progress<'_>, done: usize) -> Result<()> {
    report(progress, Event::Progress { phase: "pca", done, total: STEPS, unit: "step", loss: None })
}

/// Xᵀ·X, one half computed and mirrored.
fn moments(rows: ArrayView2<'_, f64>) -> Array2<f64> {
    let width = rows.ncols();
    let mut matrix = Array2::zeros((width, width));
    let panels: Vec<_> = matrix.axis_chunks_iter_mut(Axis(1), PANEL).collect();
    panels.into_par_iter().enumerate().for_each(|(number, mut panel)| {
        let (start, end) = (number * PANEL, number * PANEL + panel.ncols());
        let (below, columns) = (rows.slice(s![.., start..]), rows.slice(s![.., start..end]));
        matmul(below.t(), columns, 0.0, panel.slice_mut(s![start.., ..]), Threads::One);
    });
    mirror(&mut matrix);
    matrix
}

/// Writes the lower triangle over the upper one.
fn mirror(matrix: &mut Array2<f64>) {
    for row in 0..matrix.nrows() {
        for column in 0..row {
            matrix[[column, row]] = matrix[[row, column]];
        }
    }
}

/// The largest eigenvalues of a symmetric matrix that has none below 0, `count` at most, in
/// descending order, and their eigenvectors as rows; without those that are rounding.
fn largest(
    matrix: &Array2<f64>,
    count: usize,
    seed: Seed,
    progress: &mut Progress<'_>,
) -> Result<(Vec<f64>, Array2<f64>)> {
    let side = matrix.nrows();
    let count = count.min(side);
    // More directions than asked for converge faster.
    let block = count + count / 2 + 16;
    let cut = |mut values: Vec<f64>, vectors: Array2<f64>| {
        let floor = ROUNDING * values.first().copied().unwrap_or(0.0);
        values.truncate(values.iter().take(count).take_while(|&&value| value > floor).count());
        let vectors = vectors.slice(s![..values.len(), ..]).to_owned();
        (values, vectors)
    };
    if 2 * block >= side {
        let (values, vectors) = eigenvectors(matrix, 0, progress)?;
        return Ok(cut(values, vectors));
    }
    let mut vectors = Array2::<f64>::zeros((block, side));
    let mut draws = vec![0.0; block * side];
    seed.normals("pca").fill(&mut draws);
    vectors.iter_mut().zip(draws).for_each(|(to, draw)| *to = f64::from(draw));
    for done in 0.. {
        orthonormalise(&mut vectors);
        // Twice, as that costs less than the step.
        vectors = product(vectors.view(), matrix.view());
        orthonormalise(&mut vectors);
        let image = product(vectors.view(), matrix.view());
        let mut small = product(image.view(), vectors.t());
        mirror(&mut small);
        let (values, turn) = eigenvectors(&small, done, progress)?;
        vectors = product(turn.view(), vectors.view());
        let image = product(turn.view(), image.view());
        let residual = |at: usize| {
            let pairs =
                image.row(at).into_iter().zip(vectors.row(at)).map(|(a, v)| (a - values[at] * v).powi(2));
            pairs.sum::<f64>().sqrt()
        };
        let worst = (0..count.min(values.len())).map(residual).fold(0.0, f64::max);
        if worst <= TOLERANCE * values[0] || done + 1 == STEPS {
            return Ok(cut(values, vectors));
        }
        let kept = values.iter().take_while(|&&value| value > 0.01 * ROUNDING * values[0]).count();
        vectors = image.slice(s![..kept, ..]).to_owned();
    }
    unreachable!("the loop ends at the last step")
}

/// Makes rows that are nearly at right angles so, and of length 1, by the Cholesky factor of their
/// products, again where they were not nearly so.
fn orthonormalise(rows: &mut Array2<f64>) {
    for _ in 0..3 {
        for mut row in rows.rows_mut() {
            let length = row.dot(&row).sqrt();
            row /= length.max(f64::MIN_POSITIVE);
        }
        let products = product(rows.view(), rows.t());
        let least = Array2::<f64>::eye(rows.nrows()) * 1e-12;
        let Some(factor) = Factor::of(products.clone()).or_else(|| Factor::of(products + least)) else {
            return;
        };
        *rows = product(factor.inverse.view(), rows.view());
        if factor.lower.diag().iter().all(|&v| v > 0.3) {
            return;
        }
    }
}

/// Sweeps of Jacobi's method, at most; some ten do.
const SWEEPS: usize = 60;

/// Multiplications of one round of rotations from which they are shared out.
const WORTH_SHARING: usize = 1 << 17;

/// All eigenvalues, in descending order, of a symmetric matrix that has none below 0, and the
/// eigenvectors as rows, by Jacobi's method from one side (Hestenes 1958): rows are turned in pairs
/// until all are at right angles. They are then the eigenvectors, as long as the eigenvalues.
fn eigenvectors(
    matrix: &Array2<f64>,
    done: usize,
    progress: &mut Progress<'_>,
) -> Result<(Vec<f64>, Array2<f64>)> {
    let side = matrix.nrows();
    let mut rows: Vec<Vec<f64>> = matrix.rows().into_iter().map(|row| row.to_vec()).collect();
    // Shorter than this, a row is rounding.
    let least = (1e-15 * matrix.diag().sum()).powi(2);
    for _ in 0..SWEEPS {
        step(progress, done)?;
        let mut turned = false;
        // Each row meets each other once as neighbours change places.
        for round in 0..side {
            let pairs = &mut rows[round % 2..];
            let meet = |pair: &mut [Vec<f64>]| match pair {
                [a, b] => {
                    let turned = turn(a, b, least);
                    std::mem::swap(a, b);
                    turned
                }
                _ => false,
            };
            turned |= if side * side < WORTH_SHARING {
                pairs.chunks_mut(2).fold(false, |turned, pair| meet(pair) | turned)
            } else {
                pairs.par_chunks_mut(2).map(meet).reduce(|| false, |a, b| a | b)
            };
        }
        if !turned {
            break;
        }
    }
    let mut found: Vec<(f64, Vec<f64>)> = rows.into_iter().map(|row| (dot(&row, &row).sqrt(), row)).collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut vectors = Array2::zeros((side, side));
    for (mut vector, (length, row)) in vectors.rows_mut().into_iter().zip(&found) {
        vector.assign(&ArrayView1::from(row));
        vector /= length.max(f64::MIN_POSITIVE);
    }
    Ok((found.into_iter().map(|(value, _)| value).collect(), vectors))
}

/// Turns two rows in their plane to a right angle; whether there was none.
fn turn(a: &mut [f64], b: &mut [f64], least: f64) -> bool {
    let (aa, bb, ab) = (dot(a, a), dot(b, b), dot(a, b));
    if aa.min(bb) <= least || ab.abs() <= 4e-14 * (aa * bb).sqrt() {
        return false;
    }
    let zeta = (bb - aa) / (2.0 * ab);
    let tangent = 1.0_f64.copysign(zeta) / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
    let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
    let sine = cosine * tangent;
    wide(
        #[inline(always)]
        || {
            for (a, b) in a.iter_mut().zip(b) {
                (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
            }
        },
    );
    true
}
