//! The transforms of F(4 × 4, 3 × 3) along one side: the matrices of Lavin & Gray, from the points
//! 0, ±1, ±2, ∞.
//!
//! Never here: where a tile lies.

use pulp::Simd;

use super::super::vectors::read;
use super::{SPAN, TILE};

#[inline(always)]
fn scaled<S: Simd>(simd: S, vector: S::f32s, by: f32) -> S::f32s {
    simd.mul_f32s(vector, simd.splat_f32s(by))
}

/// N vectors of `live` values, each `step` from the one before.
#[inline(always)]
pub(super) fn down<S: Simd, const N: usize>(
    simd: S,
    values: &[f32],
    step: usize,
    live: usize,
) -> [S::f32s; N] {
    let mut column = [simd.splat_f32s(0.0); N];
    for (i, vector) in column.iter_mut().enumerate() {
        *vector = read(simd, values, i * step, live);
    }
    column
}

/// Row `i` of a matrix given by its columns.
#[inline(always)]
pub(super) fn across<S: Simd, const M: usize, const N: usize>(
    simd: S,
    columns: &[[S::f32s; M]; N],
    i: usize,
) -> [S::f32s; N] {
    let mut row = [simd.splat_f32s(0.0); N];
    for (value, column) in row.iter_mut().zip(columns) {
        *value = column[i];
    }
    row
}

/// What takes N values along a side of a tile to the points of that side. A trait and not a
/// closure, which would not be compiled for the vectors of its caller.
pub(super) trait ToPoints<const N: usize>: Copy {
    fn along<S: Simd>(self, simd: S, values: [S::f32s; N]) -> [S::f32s; SPAN];
}

/// Bᵀ d: six inputs.
#[derive(Clone, Copy)]
pub(super) struct Input;

impl ToPoints<SPAN> for Input {
    #[inline(always)]
    fn along<S: Simd>(self, simd: S, d: [S::f32s; SPAN]) -> [S::f32s; SPAN] {
        let (two, four) = (simd.splat_f32s(2.0), simd.splat_f32s(4.0));
        let (less_four, less_five) = (simd.splat_f32s(-4.0), simd.splat_f32s(-5.0));
        let even = simd.mul_add_e_f32s(d[2], less_four, d[4]);
        let odd = simd.mul_add_e_f32s(d[1], less_four, d[3]);
        let near = simd.sub_f32s(d[4], d[2]);
        let slope = simd.mul_f32s(simd.sub_f32s(d[3], d[1]), two);
        [
            simd.add_f32s(simd.mul_add_e_f32s(d[2], less_five, d[4]), simd.mul_f32s(d[0], four)),
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            simd.add_f32s(near, slope),
            simd.sub_f32s(near, slope),
            simd.add_f32s(simd.mul_add_e_f32s(d[3], less_five, d[5]), simd.mul_f32s(d[1], four)),
        ]
    }
}

/// Aᵀ m: six points along a side.
#[inline(always)]
pub(super) fn output<S: Simd>(simd: S, m: [S::f32s; SPAN]) -> [S::f32s; TILE] {
    let (two, four, eight) = (simd.splat_f32s(2.0), simd.splat_f32s(4.0), simd.splat_f32s(8.0));
    let (near, far) = (simd.add_f32s(m[1], m[2]), simd.add_f32s(m[3], m[4]));
    let (near_slope, far_slope) = (simd.sub_f32s(m[1], m[2]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(simd.add_f32s(m[0], near), far),
        simd.mul_add_e_f32s(far_slope, two, near_slope),
        simd.mul_add_e_f32s(far, four, near),
        simd.add_f32s(simd.mul_add_e_f32s(far_slope, eight, near_slope), m[5]),
    ]
}

/// A y: the gradients of four outputs.
#[derive(Clone, Copy)]
pub(super) struct OutputBack;

impl ToPoints<TILE> for OutputBack {
    #[inline(always)]
    fn along<S: Simd>(self, simd: S, y: [S::f32s; TILE]) -> [S::f32s; SPAN] {
        let (two, four, eight) = (simd.splat_f32s(2.0), simd.splat_f32s(4.0), simd.splat_f32s(8.0));
        let (even, odd) = (simd.add_f32s(y[0], y[2]), simd.add_f32s(y[1], y[3]));
        let far_even = simd.mul_add_e_f32s(y[2], four, y[0]);
        let far_odd = simd.mul_add_e_f32s(y[3], eight, simd.mul_f32s(y[1], two));
        [
            y[0],
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            simd.add_f32s(far_even, far_odd),
            simd.sub_f32s(far_even, far_odd),
            y[3],
        ]
    }
}

/// G g: three weights along a side.
#[inline(always)]
pub(super) fn kernel<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; SPAN] {
    let near = scaled(simd, simd.add_f32s(g[0], g[2]), -1.0 / 6.0);
    let near_odd = scaled(simd, g[1], -1.0 / 6.0);
    let far = simd.add_f32s(scaled(simd, g[0], 1.0 / 24.0), scaled(simd, g[2], 1.0 / 6.0));
    let far_odd = scaled(simd, g[1], 1.0 / 12.0);
    [
        scaled(simd, g[0], 0.25),
        simd.add_f32s(near, near_odd),
        simd.sub_f32s(near, near_odd),
        simd.add_f32s(far, far_odd),
        simd.sub_f32s(far, far_odd),
        g[2],
    ]
}

/// Gᵀ u: [`kernel`] read backwards.
#[inline(always)]
pub(super) fn kernel_back<S: Simd>(simd: S, u: [S::f32s; SPAN]) -> [S::f32s; 3] {
    let near = scaled(simd, simd.add_f32s(u[1], u[2]), -1.0 / 6.0);
    let near_odd = scaled(simd, simd.sub_f32s(u[1], u[2]), -1.0 / 6.0);
    let (far, far_odd) = (simd.add_f32s(u[3], u[4]), simd.sub_f32s(u[3], u[4]));
    [
        simd.add_f32s(simd.add_f32s(scaled(simd, u[0], 0.25), near), scaled(simd, far, 1.0 / 24.0)),
        simd.add_f32s(near_odd, scaled(simd, far_odd, 1.0 / 12.0)),
        simd.add_f32s(simd.add_f32s(near, scaled(simd, far, 1.0 / 6.0)), u[5]),
    ]
}
