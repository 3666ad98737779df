//! Squared Euclidean distances and dot products of rows with rows: a register tile of rows by
//! columns runs along their width, so that a value is loaded once for several sums.
//!
//! The sum of a pair is added in one order whatever else is in its tile, so that a pair gives the
//! same bits wherever it stands: equal rows are 0 apart, and their dot products are equal. Never
//! here: which rows are compared.

use pulp::{Simd, WithSimd};

use super::vectors::Vectors;
use super::wide;

/// What is added up over two rows.
trait Term {
    fn add<S: Simd>(simd: S, x: S::f32s, y: S::f32s, sum: S::f32s) -> S::f32s;
}

struct Square;

impl Term for Square {
    #[inline(always)]
    fn add<S: Simd>(simd: S, x: S::f32s, y: S::f32s, sum: S::f32s) -> S::f32s {
        let difference = simd.sub_f32s(x, y);
        simd.mul_add_e_f32s(difference, difference, sum)
    }
}

struct Product;

impl Term for Product {
    #[inline(always)]
    fn add<S: Simd>(simd: S, x: S::f32s, y: S::f32s, sum: S::f32s) -> S::f32s {
        simd.mul_add_e_f32s(x, y, sum)
    }
}

/// ‖x − y‖² for every row x of `rows` and y of `columns`, all of one width, into `out` [rows,
/// columns]. Each is right to [`distance_error`] of its size, and 0 where the rows are equal.
pub fn squared_distances(rows: &[&[f32]], columns: &[&[f32]], out: &mut [f32]) {
    Vectors::Widest.run(Pairs { rows, columns, out, term: Square });
}

/// x · y for every row x of `rows` and y of `columns`, all of one width, into `out` [rows,
/// columns].
pub fn dot_products(rows: &[&[f32]], columns: &[&[f32]], out: &mut [f32]) {
    Vectors::Widest.run(Pairs { rows, columns, out, term: Product });
}

/// What rounding can change of a squared distance of `width` terms, relative to it, at most.
pub fn distance_error(width: usize) -> f32 {
    // Of a sum of positive terms: one rounding for each addition on the way, three for the term
    // itself.
    let additions = width.div_ceil(Vectors::Widest.lanes()) + Vectors::Widest.lanes();
    (additions + 3) as f32 * (f32::EPSILON / 2.0)
}

/// ‖x − y‖² in f64.
pub fn exact_squared_distance(x: &[f32], y: &[f32]) -> f64 {
    x.iter().zip(y).map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2)).sum()
}

/// The largest |x| of `values`; not finite where any is not.
pub fn magnitude(values: &[f32]) -> f32 {
    // Without their sign, floats are in order as integers are, with infinity and then NaN above all
    // numbers.
    let bits = wide(
        #[inline(always)]
        || values.iter().fold(0, |most: u32, value| most.max(value.to_bits() & 0x7fff_ffff)),
    );
    f32::from_bits(bits)
}

struct Pairs<'a, T> {
    rows: &'a [&'a [f32]],
    columns: &'a [&'a [f32]],
    out: &'a mut [f32],
    #[expect(dead_code, reason = "says which term")]
    term: T,
}

impl<T: Term> WithSimd for Pairs<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, columns, out, .. } = self;
        if columns.is_empty() {
            return;
        }
        for (rows, out) in rows.chunks(2).zip(out.chunks_mut(2 * columns.len())) {
            match rows {
                [first, second] => {
                    let (out, below) = out.split_at_mut(columns.len());
                    stripe::<S, T, 2>(simd, [first, second], columns, [out, below]);
                }
                [row] => stripe::<S, T, 1>(simd, [row], columns, [out]),
                _ => {}
            }
        }
    }
}

#[inline(always)]
fn stripe<S: Simd, T: Term, const R: usize>(
    simd: S,
    rows: [&[f32]; R],
    columns: &[&[f32]],
    mut out: [&mut [f32]; R],
) {
    let mut at = 0;
    while let [a, b, c, d, ..] = columns[at..] {
        let sums = tile::<S, T, R, 4>(simd, rows, [a, b, c, d]);
        for (out, sums) in out.iter_mut().zip(&sums) {
            out[at..at + 4].copy_from_slice(sums);
        }
        at += 4;
    }
    for (at, column) in columns.iter().enumerate().skip(at) {
        let sums = tile::<S, T, R, 1>(simd, rows, [column]);
        for (out, sums) in out.iter_mut().zip(&sums) {
            out[at] = sums[0];
        }
    }
}

/// The sums of R rows with C columns.
#[inline(always)]
fn tile<S: Simd, T: Term, const R: usize, const C: usize>(
    simd: S,
    rows: [&[f32]; R],
    columns: [&[f32]; C],
) -> [[f32; C]; R] {
    let width = rows[0].len();
    let whole = width / S::F32_LANES;
    let mut x: [&[S::f32s]; R] = [&[]; R];
    let mut y: [&[S::f32s]; C] = [&[]; C];
    for (x, row) in x.iter_mut().zip(&rows) {
        *x = &S::as_simd_f32s(&row[..width]).0[..whole];
    }
    for (y, column) in y.iter_mut().zip(&columns) {
        *y = &S::as_simd_f32s(&column[..width]).0[..whole];
    }
    let mut sums = [[simd.splat_f32s(0.0); C]; R];
    for v in 0..whole {
        let mut b = [simd.splat_f32s(0.0); C];
        for (b, y) in b.iter_mut().zip(&y) {
            *b = y[v];
        }
        for (sums, x) in sums.iter_mut().zip(&x) {
            let a = x[v];
            for (sum, &b) in sums.iter_mut().zip(&b) {
                *sum = T::add(simd, a, b, *sum);
            }
        }
    }
    let rest = whole * S::F32_LANES;
    if rest < width {
        for (sums, row) in sums.iter_mut().zip(&rows) {
            let a = simd.partial_load_f32s(&row[rest..]);
            for (sum, column) in sums.iter_mut().zip(&columns) {
                *sum = T::add(simd, a, simd.partial_load_f32s(&column[rest..width]), *sum);
            }
        }
    }
    let mut out = [[0.0; C]; R];
    for (out, sums) in out.iter_mut().zip(&sums) {
        for (out, &sum) in out.iter_mut().zip(sums) {
            *out = simd.reduce_sum_f32s(sum);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(rows: usize, width: usize, salt: usize) -> Vec<Vec<f32>> {
        let value = |i: usize| ((i * 7919 + salt * 31) % 1009) as f32 / 97.0 - 5.0;
        (0..rows).map(|row| (0..width).map(|column| value(row * width + column)).collect()).collect()
    }

    fn slices(rows: &[Vec<f32>]) -> Vec<&[f32]> {
        rows.iter().map(Vec::as_slice).collect()
    }

    proptest! {
        #[test]
        fn equal_the_sums_in_f64_and_do_not_depend_on_the_tile(
            rows in 0_usize..7, columns in 0_usize..11, width in 1_usize..70,
        ) {
            let (x, y) = (filled(rows, width, 1), filled(columns, width, 2));
            let (x, y) = (slices(&x), slices(&y));
            let (mut distances, mut products) = (vec![0.0; rows * columns], vec![0.0; rows * columns]);
            squared_distances(&x, &y, &mut distances);
            dot_products(&x, &y, &mut products);
            for (i, &x) in x.iter().enumerate() {
                for (j, &y) in y.iter().enumerate() {
                    let exact = exact_squared_distance(x, y);
                    let error = f64::from(distance_error(width)) * exact;
                    prop_assert!((f64::from(distances[i * columns + j]) - exact).abs() <= error);
                    let exact: f64 = x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
                    prop_assert!((f64::from(products[i * columns + j]) - exact).abs() < 1e-4 * width as f64);
                    let mut alone = [0.0];
                    squared_distances(&[x], &[y], &mut alone);
                    prop_assert_eq!(alone[0], distances[i * columns + j]);
                    dot_products(&[y], &[x], &mut alone);
                    prop_assert_eq!(alone[0], products[i * columns + j]);
                }
            }
        }
    }

    #[test]
    fn equal_rows_are_exactly_nothing_apart() {
        for width in [1, 15, 16, 33, 512] {
            let x = filled(3, width, 3);
            let mut out = vec![1.0; 9];
            squared_distances(&slices(&x), &slices(&x), &mut out);
            assert_eq!([out[0], out[4], out[8]], [0.0; 3], "{width}");
        }
    }

    #[test]
    fn the_magnitude_is_the_largest_without_its_sign_and_tells_what_is_not_finite() {
        assert_eq!(magnitude(&[]), 0.0);
        assert_eq!(magnitude(&[1.0, -3.5, 2.0]), 3.5);
        assert_eq!(magnitude(&[-0.0, 1e-40]), 1e-40);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN] {
            assert!(!magnitude(&[1.0, bad, f32::MAX]).is_finite());
        }
    }
}
