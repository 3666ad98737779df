//! Which vectors of the processor the kernels are compiled for, chosen at run time.
//!
//! Never here: a kernel.

use pulp::{Scalar, Simd, WithSimd};

/// The vectors to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Vectors {
    /// The widest that this processor has.
    #[default]
    Widest,
    /// None: every processor has what this takes.
    Plain,
}

struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

impl Vectors {
    /// Runs an operation compiled for these vectors.
    #[inline(always)]
    pub fn run<T: WithSimd>(self, operation: T) -> T::Output {
        match self {
            Self::Widest => pulp::Arch::new().dispatch(operation),
            Self::Plain => Scalar.vectorize(operation),
        }
    }

    /// Values in a vector.
    pub fn lanes(self) -> usize {
        self.run(Lanes)
    }

    /// Channels that are computed together where there are `channels`: one vector, or two.
    pub fn block(self, channels: usize) -> usize {
        let lanes = self.lanes();
        if channels > lanes { 2 * lanes } else { lanes }
    }
}

/// A vector from anywhere in memory.
///
/// # Safety
/// As many values as the vector has are readable.
#[inline(always)]
#[expect(unsafe_code, reason = "reads by pointer")]
pub unsafe fn load<S: Simd>(_: S, from: *const f32) -> S::f32s {
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// The `live` values at `at`.
#[inline(always)]
pub fn read<S: Simd>(simd: S, values: &[f32], at: usize, live: usize) -> S::f32s {
    let values = &values[at..at + live];
    if live < S::F32_LANES {
        return simd.partial_load_f32s(values);
    }
    #[expect(unsafe_code, reason = "a vector is loaded by pointer")]
    // SAFETY: the slice has as many values as the vector.
    unsafe {
        load(simd, values.as_ptr())
    }
}

/// Writes vectors to as many values.
#[inline(always)]
pub fn store<S: Simd>(simd: S, vectors: &[S::f32s], out: &mut [f32]) {
    if out.len() == vectors.len() * S::F32_LANES {
        let (whole, _) = S::as_mut_simd_f32s(out);
        // Not `copy_from_slice`, which becomes a call for each vector.
        for (to, vector) in whole.iter_mut().zip(vectors) {
            *to = *vector;
        }
    } else {
        for (vector, out) in vectors.iter().zip(out.chunks_mut(S::F32_LANES)) {
            simd.partial_store_f32s(out, *vector);
        }
    }
}
