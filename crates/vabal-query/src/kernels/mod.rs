//! Arithmetic below the level of arrays. Each `unsafe` states its reason.
//!
//! Public for vabal's own crates, and no part of the library's promises. Never here: anything that
//! knows what the numbers mean.

mod distance;
mod entropy;
mod exp;
mod factor;
mod matmul;
mod vectors;

pub use distance::{distance_error, dot_products, exact_squared_distance, magnitude, squared_distances};
pub use entropy::{entropy_of, entropy_sum, mean_of_rows, two_largest};
pub use factor::Factor;
pub use matmul::{Threads, matmul};
pub use vectors::{Vectors, load, read, store};

/// Runs plain loops compiled for the widest vectors that this processor has, if they are
/// `#[inline(always)]`: a closure that is called instead was compiled for the least of all
/// processors. Same bits on every processor: wider vectors change neither the order of a sum nor
/// how it is rounded.
#[inline(always)]
pub fn wide<R>(loops: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(loops)
}

/// The floats the arithmetic is written for: f32 to work with, f64 to check it by.
pub trait Real:
    num_traits::Float + num_traits::NumAssign + std::iter::Sum + Default + Send + Sync + std::fmt::Debug + 'static
{
    /// The nearest value of this type.
    fn of(value: f64) -> Self;
    /// As f64, exactly.
    fn wide(self) -> f64;
    /// e^self, in f32 by arithmetic that loops can run with vectors.
    fn exponential(self) -> Self;
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn exponential(self) -> Self {
        exp::exp(self)
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }
    fn wide(self) -> f64 {
        self
    }
    #[inline(always)]
    fn exponential(self) -> Self {
        self.exp()
    }
}
