//! Memory that the kernels use again: a training step needs the same arrays as the one before, and taking them anew costs
//! a pass of zeros over each, on one thread, and the system's pages.
//!
//! Arrays are kept only while a [`Kept`] lives. Never here: what the numbers are.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{DType, Shape};

static SHELF: Mutex<Shelf> = Mutex::new(Shelf { users: 0, sizes: BTreeMap::new(), scratch: Vec::new() });

/// Values from which on an array is worth keeping: smaller ones come as fast from the allocator.
const LEAST: usize = 1024;

struct Shelf {
    /// How many [`Kept`] there are.
    users: usize,
    /// By the length of an array.
    sizes: BTreeMap<usize, Size>,
    /// Arrays to work in, the shortest first.
    scratch: Vec<Vec<f32>>,
}

#[derive(Default)]
struct Size {
    free: Vec<Vec<f32>>,
    /// How many were taken and have not come back. No more than these are kept: arrays that others made come in, too, one with
    /// every step, and nobody would take them.
    out: usize,
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
        if self.users > 0 {
            let at = self.scratch.partition_point(|other| other.len() < array.len());
            self.scratch.insert(at, array);
        }
    }
}

fn shelf() -> MutexGuard<'static, Shelf> {
    SHELF.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While one of these lives, arrays that are given back are kept for the next who asks; when the last is dropped,
/// they are freed. To be held over a training, or over a pass through a pool.
#[derive(Debug)]
pub(crate) struct Kept(());

impl Kept {
    pub fn new() -> Self {
        shelf().users += 1;
        Self(())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut shelf = shelf();
        shelf.users -= 1;
        if shelf.users == 0 {
            shelf.sizes = BTreeMap::new();
            shelf.scratch = Vec::new();
        }
    }
}

/// An array of `n` values, which are anything: whatever takes it writes them all.
pub(super) fn take(n: usize) -> Vec<f32> {
    let kept = {
        let mut shelf = shelf();
        (shelf.users > 0 && n >= LEAST).then(|| shelf.sizes.entry(n).or_default()).and_then(|size| {
            size.out += 1;
            size.free.pop()
        })
    };
    kept.unwrap_or_else(|| vec![0.0; n])
}

/// Gives an array back.
pub(super) fn give(array: Vec<f32>) {
    if let Some(size) = shelf().sizes.get_mut(&array.len())
        && size.out > 0
    {
        size.out -= 1;
        size.free.push(array);
    }
}

/// Gives the array of a tensor back, if nobody else holds it.
pub(super) fn reclaim(tensor: FlexTensor) {
    if tensor.is_unique() && tensor.dtype() == DType::F32 {
        let n = tensor.bytes().len() / size_of::<f32>();
        // As one row: how it was strided would ask for a copy.
        if let Ok(array) = tensor.with_layout(Layout::contiguous(Shape::from([n]))).into_data().try_into_vec()
        {
            give(array);
        }
    }
}

/// An array to work in, that gives itself back. It may be a part of a longer one: what works in it does not ask for a length that
/// every layer has another of.
pub(super) struct Buffer {
    array: Vec<f32>,
    n: usize,
}

impl Buffer {
    pub fn of(n: usize) -> Self {
        let kept = shelf().fitting(n);
        Self { array: kept.unwrap_or_else(|| vec![0.0; n]), n }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.array[..self.n]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.array[..self.n]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        shelf().put_back(std::mem::take(&mut self.array));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_to_work_in_are_no_more_than_are_used_at_once() {
        let mut shelf = Shelf { users: 1, sizes: BTreeMap::new(), scratch: Vec::new() };
        // Layers of any size, each with two arrays at once.
        for n in [300, 20, 500, 500, 10, 400] {
            let [a, b] = [n, n / 2].map(|n| shelf.fitting(n).unwrap_or_else(|| vec![0.0; n]));
            assert!(a.len() >= n && b.len() >= n / 2);
            shelf.put_back(a);
            shelf.put_back(b);
        }
        let lengths: Vec<usize> = shelf.scratch.iter().map(Vec::len).collect();
        assert_eq!(lengths, [250, 500]);
        shelf.users = 0;
        let last = shelf.fitting(1).unwrap();
        shelf.put_back(last);
        assert_eq!(shelf.scratch.len(), 1, "nobody keeps arrays any more");
    }
}
