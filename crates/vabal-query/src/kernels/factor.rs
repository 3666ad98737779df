//! The Cholesky factor of a symmetric positive definite matrix in f64, and its inverse, as products
//! of halves: nearly all of the work is matrix products.
//!
//! Never here: which matrix.

use ndarray::{Array2, ArrayViewMut2, s};

use super::{Threads, matmul};

/// Rows that are factored one by one.
const SMALL: usize = 24;

/// L and L⁻¹ of A = L·Lᵀ, both lower triangular with zeros above.
#[derive(Debug, Clone)]
pub struct Factor {
    /// L, [d, d].
    pub lower: Array2<f64>,
    /// L⁻¹, [d, d].
    pub inverse: Array2<f64>,
}

impl Factor {
    /// Of a matrix [d, d], of which the lower triangle is read. `None` where it is not positive
    /// definite.
    #[must_use]
    pub fn of(mut matrix: Array2<f64>) -> Option<Self> {
        let mut inverse = Array2::zeros(matrix.dim());
        factor(matrix.view_mut(), inverse.view_mut())?;
        Some(Self { lower: matrix, inverse })
    }
}

fn factor(mut a: ArrayViewMut2<'_, f64>, mut inverse: ArrayViewMut2<'_, f64>) -> Option<()> {
    let d = a.nrows();
    if d <= SMALL {
        return small(a, inverse);
    }
    // [A₁₁ ·; A₂₁ A₂₂]: L₂₁ = A₂₁·L₁₁⁻ᵀ, L₂₂ is the factor of A₂₂ − L₂₁·L₂₁ᵀ, and the inverse has −L₂₂⁻¹·L₂₁·L₁₁⁻¹ below.
    let half = d / 2;
    let mut product = Array2::zeros((d - half, half));
    factor(a.slice_mut(s![..half, ..half]), inverse.slice_mut(s![..half, ..half]))?;
    let first = inverse.slice(s![..half, ..half]);
    matmul(a.slice(s![half.., ..half]), first.t(), 0.0, product.view_mut(), Threads::All);
    let negative = product.mapv(|v| -v);
    a.slice_mut(s![half.., ..half]).assign(&product);
    a.slice_mut(s![..half, half..]).fill(0.0);
    let second = a.slice_mut(s![half.., half..]);
    matmul(negative.view(), product.t(), 1.0, second, Threads::All);
    factor(a.slice_mut(s![half.., half..]), inverse.slice_mut(s![half.., half..]))?;
    matmul(negative.view(), inverse.slice(s![..half, ..half]), 0.0, product.view_mut(), Threads::All);
    let (above, mut below) = inverse.multi_slice_mut((s![half.., half..], s![half.., ..half]));
    matmul(above.view(), product.view(), 0.0, below.view_mut(), Threads::All);
    Some(())
}

fn small(mut a: ArrayViewMut2<'_, f64>, mut inverse: ArrayViewMut2<'_, f64>) -> Option<()> {
    let d = a.nrows();
    for i in 0..d {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| a[[i, k]] * a[[j, k]]).sum();
            let rest = a[[i, j]] - dot;
            if i > j {
                a[[i, j]] = rest / a[[j, j]];
            } else if rest > 0.0 && rest.is_finite() {
                a[[i, i]] = rest.sqrt();
            } else {
                return None;
            }
        }
        a.slice_mut(s![i, i + 1..]).fill(0.0);
    }
    for j in 0..d {
        inverse[[j, j]] = 1.0 / a[[j, j]];
        for i in j + 1..d {
            let dot: f64 = (j..i).map(|k| a[[i, k]] * inverse[[k, j]]).sum();
            inverse[[i, j]] = -dot / a[[i, i]];
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_and_its_inverse_give_the_matrix_and_the_identity_for_any_size() {
        for d in [1, 2, SMALL, SMALL + 1, 77, 130] {
            let root =
                Array2::from_shape_fn((d, d + 3), |(i, j)| ((i * 31 + j * 17) % 23) as f64 / 7.0 - 1.5);
            let matrix = root.dot(&root.t()) + Array2::<f64>::eye(d);
            let Factor { lower, inverse } = Factor::of(matrix.clone()).unwrap();
            assert!((lower.dot(&lower.t()) - &matrix).iter().all(|e| e.abs() < 1e-11 * d as f64), "{d}");
            assert!((lower.dot(&inverse) - Array2::<f64>::eye(d)).iter().all(|e| e.abs() < 1e-11), "{d}");
            for part in [&lower, &inverse] {
                assert!(part.indexed_iter().all(|((i, j), &v)| i >= j || v == 0.0));
            }
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_has_none() {
        let mut matrix = Array2::<f64>::eye(40);
        matrix[[33, 33]] = -1.0;
        assert!(Factor::of(matrix.clone()).is_none());
        matrix[[33, 33]] = f64::NAN;
        assert!(Factor::of(matrix).is_none());
    }
}
