//! The memory that the kernels work in, and the vectors that they run with.
//!
//! A training step needs the same arrays as the one before, and taking them anew costs a pass of
//! zeros over each, on one thread, and the system's pages. So a workspace keeps what is given back
//! to it, until it is dropped. Never here: what the numbers are.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::vectors::Vectors;

/// Values from which on an array is worth keeping: smaller ones come as fast from the allocator.
const LEAST: usize = 1024;

/// What one training, or one pass over a pool, computes in.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub vectors: Vectors,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    /// Free arrays by their length.
    arrays: BTreeMap<usize, Vec<Vec<f32>>>,
    /// Free arrays to work in, the shortest first.
    scratch: Vec<Vec<f32>>,
}

impl Shelf {
    /// The shortest array to work in that has `n` values.
    fn fitting(&mut self, n: usize) -> Option<Vec<f32>> {
        match self.scratch.iter().position(|array| array.len() >= n) {
            Some(at) => Some(self.scratch.remove(at)),
            // The longest is too short: it makes way for one that will do for both.
            None => {
                self.scratch.pop();
                None
            }
        }
    }

    fn put_back(&mut self, array: Vec<f32>) {
        let at = self.scratch.partition_point(|other| other.len() < array.len());
        self.scratch.insert(at, array);
    }
}

impl Workspace {
    pub fn new(vectors: Vectors) -> Self {
        Self { vectors, shelf: Mutex::default() }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An array of `n` values, which are anything: whoever takes it writes them all.
    pub fn take(&self, n: usize) -> Vec<f32> {
        let kept = self.shelf().arrays.get_mut(&n).and_then(Vec::pop);
        kept.unwrap_or_else(|| vec![0.0; n])
    }

    /// Gives an array back that was [taken](Self::take).
    pub fn give(&self, array: Vec<f32>) {
        if array.len() >= LEAST {
            self.shelf().arrays.entry(array.len()).or_default().push(array);
        }
    }

    /// An array to work in, which gives itself back. It may be a part of a longer one: what works
    /// in it does not ask for a length that every layer has another of.
    pub(super) fn buffer(&self, n: usize) -> Buffer<'_> {
        let kept = self.shelf().fitting(n);
        Buffer { workspace: self, array: kept.unwrap_or_else(|| vec![0.0; n]), n }
    }
}

/// As [`Workspace::buffer`] says.
pub(super) struct Buffer<'a> {
    workspace: &'a Workspace,
    array: Vec<f32>,
    n: usize,
}

impl Deref for Buffer<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.array[..self.n]
    }
}

impl DerefMut for Buffer<'_> {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.array[..self.n]
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        self.workspace.shelf().put_back(std::mem::take(&mut self.array));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_that_was_given_back_is_taken_again() {
        let workspace = Workspace::default();
        let mut array = workspace.take(5000);
        array.fill(7.0);
        assert_eq!(workspace.take(5000)[0], 0.0, "the other is still out");
        workspace.give(array);
        assert_eq!(workspace.take(4999)[0], 0.0, "another length");
        assert_eq!(workspace.take(5000)[0], 7.0);
    }

    #[test]
    fn arrays_to_work_in_are_no_more_than_are_used_at_once() {
        let workspace = Workspace::default();
        // Layers of any size, each with two arrays at once.
        for n in [300, 20, 500, 500, 10, 400] {
            let [a, b] = [n, n / 2].map(|n| workspace.buffer(n));
            assert!(a.len() == n && b.len() == n / 2);
        }
        let lengths: Vec<usize> = workspace.shelf().scratch.iter().map(Vec::len).collect();
        assert_eq!(lengths, [250, 500]);
    }
}
