//! Matrix products over the `gemm` crate, with shapes and strides taken from `ndarray` views so that
//! the call is safe.

use ndarray::{ArrayView2, ArrayViewMut2, Axis};

use super::Real;

/// Multiplications below which gemm's own way of sharing a product costs more than it helps: a step of the VAE, whose
/// products have 2 to 8 million, took 1.5 times as long on two cores as on one.
const WORTH_SHARING: usize = 1 << 25;

/// Multiplications from which a product is worth two tasks, each of half the columns: some 10 µs each.
const WORTH_HALVING: usize = 1 << 22;

/// Whether one product may use every core, or is one of many that run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    One,
    All,
}

/// `c = keep · c + a · b`, for a [m, k], b [k, n], c [m, n]. The sums of one element run in one order
/// whatever the number of threads.
pub fn matmul<T: Real>(
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    keep: T,
    mut c: ArrayViewMut2<'_, T>,
    threads: Threads,
) {
    let ((m, k), (inner, n)) = (a.dim(), b.dim());
    assert!(k == inner && c.dim() == (m, n), "matmul of {:?} and {:?} into {:?}", a.dim(), b.dim(), c.dim());
    if threads == Threads::All && (WORTH_HALVING..WORTH_SHARING).contains(&(m * n * k)) && n >= 64 {
        let (b, later_b) = b.split_at(Axis(1), n / 2);
        let (c, later_c) = c.split_at(Axis(1), n / 2);
        rayon::join(
            || matmul(a, b, keep, c, Threads::One),
            || matmul(a, later_b, keep, later_c, Threads::One),
        );
        return;
    }
    let parallelism = match threads {
        Threads::All if m * n * k >= WORTH_SHARING => gemm::Parallelism::Rayon(0),
        _ => gemm::Parallelism::None,
    };
    let [c_rows, c_columns] = [c.strides()[0], c.strides()[1]];
    #[expect(
        unsafe_code,
        reason = "gemm takes raw pointers; the views above prove shapes, strides and exclusivity"
    )]
    // SAFETY: every element (i, j) below the asserted dimensions is inside its view at these strides, `c` is
    // borrowed mutably so it aliases neither operand, and T is f32 or f64, the types gemm dispatches on.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            c_columns,
            c_rows,
            !keep.is_zero(),
            a.as_ptr(),
            a.strides()[1],
            a.strides()[0],
            b.as_ptr(),
            b.strides()[1],
            b.strides()[0],
            keep,
            T::one(),
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, s};
    use proptest::prelude::*;

    fn filled(rows: usize, columns: usize, salt: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 31 + j * 17 + salt) % 23) as f64 / 7.0 - 1.5)
    }

    proptest! {
        #[test]
        fn equals_the_triple_loop_for_any_shape_stride_and_transposition(
            m in 1_usize..40, n in 1_usize..40, k in 0_usize..40, keep in prop::sample::select(vec![0.0, 1.0]),
            transpose in any::<(bool, bool)>(),
        ) {
            let a = if transpose.0 { filled(k, m, 1).reversed_axes() } else { filled(m, 2 * k, 1).slice_move(s![.., ..;2]) };
            let b = if transpose.1 { filled(n, k, 2).reversed_axes() } else { filled(k, n, 2) };
            let before = filled(m, n, 3);
            let expected = Array2::from_shape_fn((m, n), |(i, j)| {
                keep * before[[i, j]] + (0..k).map(|l| a[[i, l]] * b[[l, j]]).sum::<f64>()
            });
            for threads in [Threads::One, Threads::All] {
                let mut c = before.clone();
                matmul(a.view(), b.view(), keep, c.view_mut(), threads);
                prop_assert!((&c - &expected).iter().all(|d| d.abs() < 1e-12));
            }
        }
    }

    #[test]
    fn threads_change_no_bit() {
        const { assert!(128 * 512 * 600 >= WORTH_SHARING && 128 * 512 * 67 < WORTH_SHARING) };
        for n in [600, 128, 67] {
            let a = filled(128, 512, 1).mapv(|v| v as f32 * 1.1);
            let b = filled(512, n, 2).mapv(|v| v as f32 * 0.7);
            let product = |threads| {
                let mut c = Array2::<f32>::zeros((128, n));
                matmul(a.view(), b.view(), 0.0, c.view_mut(), threads);
                c
            };
            let one = product(Threads::One);
            for count in 1..=4 {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
                assert_eq!(one, pool.install(|| product(Threads::All)), "{n} columns, {count} threads");
            }
        }
    }
}
