//! Matrix products over the `gemm` crate, with shapes and strides taken from `ndarray` views so
//! that the call is safe.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};

use super::Real;

/// Multiplications below which gemm's own way of sharing a product costs more than it helps: a step
/// of the VAE, whose products have 2 to 8 million, took 1.5 times as long on two cores as on one.
const WORTH_SHARING: usize = 1 << 25;

/// Multiplications from which a product is worth two tasks, each of half the columns: some 10 µs
/// each.
const WORTH_HALVING: usize = 1 << 22;

/// Whether one product may use every core, or is one of many that run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    One,
    All,
}

/// Summands up to which gemm adds an element up in one go, whatever the shape.
const DEPTH: usize = 512;

/// Elements up to which gemm may add them up in another order, where both operands lie along the
/// sum.
const FEW: usize = 256;

/// `c = keep · c + a · b`, for a [m, k], b [k, n], c [m, n]. The sums of one element run in one
/// order whatever the number of threads, m and n: a row of c has the same bits alone and among
/// others, so that where a caller cuts its rows into chunks changes nothing.
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
    // gemm has paths of its own for one row and for one column: there are two, the second of which
    // is left.
    if m == 1 {
        let mut two = Array2::zeros((2, n));
        if !keep.is_zero() {
            two.row_mut(0).assign(&c.row(0));
        }
        let twice = a.broadcast((2, k)).expect("one row may be any number of rows");
        matmul(twice, b, keep, two.view_mut(), threads);
        return c.row_mut(0).assign(&two.row(0));
    }
    if n == 1 {
        return matmul(b.reversed_axes(), a.reversed_axes(), keep, c.reversed_axes(), threads);
    }
    // And one for few elements, which it takes where neither operand has to be rearranged.
    let rearranged =
        (m * n <= FEW && a.strides()[1] == 1 && b.strides()[0] == 1).then(|| b.as_standard_layout());
    let b = rearranged.as_ref().map_or(b, |b| b.view());
    // And it cuts the sums of many summands into blocks whose length depends on m and n.
    let step = k.div_ceil(k.div_ceil(DEPTH).max(1)).max(1);
    let parallelism = match threads {
        Threads::All if m * n * k >= WORTH_SHARING => gemm::Parallelism::Rayon(0),
        _ => gemm::Parallelism::None,
    };
    let mut keep = keep;
    for first in (0..k.max(1)).step_by(step) {
        let along = s![.., first..k.min(first + step)];
        product(a.slice(along), b.t().slice(along).reversed_axes(), keep, c.view_mut(), parallelism);
        keep = T::one();
    }
}

/// As [`matmul`], by gemm.
fn product<T: Real>(
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    keep: T,
    mut c: ArrayViewMut2<'_, T>,
    parallelism: gemm::Parallelism,
) {
    let ((m, k), n) = (a.dim(), b.ncols());
    assert!(k == b.nrows() && c.dim() == (m, n), "of one shape");
    let [c_rows, c_columns] = [c.strides()[0], c.strides()[1]];
    #[expect(
        unsafe_code,
        reason = "gemm takes raw pointers; the views above prove shapes, strides and exclusivity"
    )]
    // SAFETY: every element (i, j) below the asserted dimensions is inside its view at these
    // strides, `c` is borrowed mutably so it aliases neither operand, and T is f32 or f64, the
    // types gemm dispatches on.
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

        #[test]
        fn an_element_has_the_same_bits_whatever_rows_and_columns_are_beside_it(
            m in 1_usize..90, n in prop::sample::select(vec![1_usize, 2, 5, 10, 64, 65, 130]),
            k in prop::sample::select(vec![1_usize, 2, 3, 40, 512, 513, 768, 1100]),
            transpose in any::<(bool, bool, bool)>(), keep in prop::sample::select(vec![0.0_f32, 1.0]),
            rows in 1_usize..90, columns in 1_usize..140,
        ) {
            let salted = |rows, columns, salt| filled(rows, columns, salt).mapv(|v| (v * 1.1).sin() as f32);
            let a = if transpose.0 { salted(k, m, 1).reversed_axes() } else { salted(m, k, 1) };
            let b = if transpose.1 { salted(n, k, 2).reversed_axes() } else { salted(k, n, 2) };
            let before = if transpose.2 { salted(n, m, 3).reversed_axes() } else { salted(m, n, 3) };
            let product = |rows: usize, columns: usize, count: usize, broad: usize| {
                let (rows, columns) = (s![rows..rows + count, ..], s![.., columns..columns + broad]);
                let mut c = before.slice(rows).slice(columns).to_owned();
                matmul(a.slice(rows), b.slice(columns), keep, c.view_mut(), Threads::One);
                c
            };
            let whole = product(0, 0, m, n);
            for (count, broad) in [(1, n), (m, 1), (1, 1), (rows.min(m), columns.min(n))] {
                let part = product(m - count, n - broad, count, broad);
                prop_assert_eq!(part, whole.slice(s![m - count.., n - broad..]), "{} x {}", count, broad);
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
