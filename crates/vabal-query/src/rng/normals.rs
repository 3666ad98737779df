//! Standard normal draws in bulk: the same numbers as `StandardNormal` draws from the stream of the
//! same name, bit for bit, at a fraction of the time. The stream is made sixteen blocks at a time,
//! and the nine draws of ten that the ziggurat (Doornik 2005) takes at once are found with vectors;
//! every other is left to `rand_distr` itself.

use std::convert::Infallible;
use std::sync::LazyLock;

use rand::TryRng;
use rand_distr::{Distribution, StandardNormal};

use crate::kernels::wide;

/// Blocks of ChaCha made together.
const LANES: usize = 16;
/// Words of one refill: a block is 64 bytes.
const WORDS: usize = 8 * LANES;

/// x_i and x_{i+1}, the edges of every layer of the ziggurat, as `rand_distr` has them.
static EDGES: LazyLock<[(f64, f64); 256]> = LazyLock::new(|| {
    let edge = |layer: u64| {
        // A first word that says 2⁻¹⁰ of the layer's width, which is inside; the top layer wants a
        // second word.
        let mut script = Script(((1 << 51) + (1 << 41)) << 12 | layer);
        let x: f64 = StandardNormal.sample(&mut script);
        1024.0 * x
    };
    std::array::from_fn(|layer| {
        let layer = layer as u64;
        (edge(layer), if layer == 255 { 0.0 } else { edge(layer + 1) })
    })
});

/// One chosen word, then the largest there is.
struct Script(u64);

impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|word| word as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(std::mem::replace(&mut self.0, u64::MAX))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(u8::MAX);
        Ok(())
    }
}

/// A stream of standard normal draws.
#[derive(Debug, Clone)]
pub struct Normals {
    key: [u32; 8],
    /// The next block.
    counter: u64,
    words: [u64; WORDS],
    /// What each word is drawn to where its bit in `slow` is 0.
    values: [f32; WORDS],
    slow: u128,
    /// The next word.
    next: usize,
}

impl Normals {
    /// The draws of `ChaCha8Rng::from_seed(seed)`.
    pub(super) fn new(seed: [u8; 32]) -> Self {
        let key = std::array::from_fn(|i| {
            u32::from_le_bytes([seed[4 * i], seed[4 * i + 1], seed[4 * i + 2], seed[4 * i + 3]])
        });
        Self { key, counter: 0, words: [0; WORDS], values: [0.0; WORDS], slow: 0, next: WORDS }
    }

    /// Writes the next draws to `out`.
    pub fn fill(&mut self, mut out: &mut [f32]) {
        while !out.is_empty() {
            if self.next == WORDS {
                self.refill();
            }
            let sure = (self.slow >> self.next).trailing_zeros() as usize;
            let run = sure.min(WORDS - self.next).min(out.len());
            if run == 0 {
                out[0] = StandardNormal.sample(self);
                out = &mut out[1..];
                continue;
            }
            let (now, later) = out.split_at_mut(run);
            now.copy_from_slice(&self.values[self.next..self.next + run]);
            self.next += run;
            out = later;
        }
    }

    fn refill(&mut self) {
        let edges = &*EDGES;
        let Self { key, counter, words, values, slow, .. } = self;
        let start = start(key, *counter);
        let mut blocks = start;
        wide(
            #[inline(always)]
            || chacha8(&mut blocks),
        );
        join(&blocks, &start, words);
        let mut outside = [0_u8; WORDS];
        wide(
            #[inline(always)]
            || {
                for ((word, value), outside) in words.iter().zip(values).zip(&mut outside) {
                    let (edge, inner) = edges[(word & 0xff) as usize];
                    // In [2, 4), less 3.
                    let x = (f64::from_bits((word >> 12) | (0x400 << 52)) - 3.0) * edge;
                    *value = x as f32;
                    *outside = u8::from(x.abs() >= inner);
                }
            },
        );
        // Eight bytes of 0 or 1 to eight bits by one multiplication.
        *slow = outside.as_chunks().0.iter().rev().fold(0, |slow, &bytes| {
            let bits = u64::from_le_bytes(bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
            (slow << 8) | u128::from(bits)
        });
        *counter = counter.wrapping_add(LANES as u64);
        self.next = 0;
    }
}

/// The stream itself, for the draws that take several words. `StandardNormal` asks for whole words
/// alone.
impl TryRng for Normals {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|word| word as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        if self.next == WORDS {
            self.refill();
        }
        self.next += 1;
        Ok(self.words[self.next - 1])
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.try_next_u64()?.to_le_bytes()[..part.len()]);
        }
        Ok(())
    }
}

/// What the blocks `counter` to `counter + LANES` of ChaCha (Bernstein 2008) begin with: a 64-bit
/// counter, and stream 0.
#[expect(clippy::needless_range_loop, reason = "a lane is the same place in several rows")]
fn start(key: &[u32; 8], counter: u64) -> [[u32; LANES]; 16] {
    let mut start = [[0_u32; LANES]; 16];
    let constants = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
    for (row, &word) in start.iter_mut().zip(constants.iter().chain(key)) {
        row.fill(word);
    }
    for lane in 0..LANES {
        let block = counter.wrapping_add(lane as u64);
        (start[12][lane], start[13][lane]) = (block as u32, (block >> 32) as u32);
    }
    start
}

/// The eight rounds.
#[inline(always)]
fn chacha8(state: &mut [[u32; LANES]; 16]) {
    for _ in 0..4 {
        for [a, b, c, d] in [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]] {
            quarter(state, a, b, c, d);
        }
        for [a, b, c, d] in [[0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]] {
            quarter(state, a, b, c, d);
        }
    }
}

/// Adds the start, and puts the words of the blocks one after the other. Not for wide vectors,
/// which would be gathered and scattered.
#[inline(never)]
fn join(blocks: &[[u32; LANES]; 16], start: &[[u32; LANES]; 16], words: &mut [u64; WORDS]) {
    for (lane, words) in words.chunks_exact_mut(8).enumerate() {
        let word = |row: usize| u64::from(blocks[row][lane].wrapping_add(start[row][lane]));
        for (i, joined) in words.iter_mut().enumerate() {
            *joined = word(2 * i) | (word(2 * i + 1) << 32);
        }
    }
}

/// One quarter round of every block.
#[expect(clippy::needless_range_loop, reason = "a lane is the same place in several rows")]
#[inline(always)]
fn quarter(state: &mut [[u32; LANES]; 16], a: usize, b: usize, c: usize, d: usize) {
    for lane in 0..LANES {
        let (mut x, mut y, mut z, mut w) = (state[a][lane], state[b][lane], state[c][lane], state[d][lane]);
        x = x.wrapping_add(y);
        w = (w ^ x).rotate_left(16);
        z = z.wrapping_add(w);
        y = (y ^ z).rotate_left(12);
        x = x.wrapping_add(y);
        w = (w ^ x).rotate_left(8);
        z = z.wrapping_add(w);
        y = (y ^ z).rotate_left(7);
        (state[a][lane], state[b][lane], state[c][lane], state[d][lane]) = (x, y, z, w);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn the_layers_are_the_256_of_equal_area_that_end_at_3_654() {
        let height = |x: f64| (-0.5 * x * x).exp();
        assert_eq!(EDGES[0].1.to_bits(), 3.654_152_885_361_009_f64.to_bits());
        for (layer, &(x, inner)) in EDGES.iter().enumerate() {
            let area = x * (height(inner) - if layer == 0 { 0.0 } else { height(x) });
            assert!((area - 0.004_928_673_233_99).abs() < 1e-11, "layer {layer}: {area}");
        }
    }

    #[test]
    fn the_draws_are_those_of_the_plain_stream_bit_for_bit_however_they_are_asked_for() {
        for index in 0..3 {
            let seed = Seed::new(3).child("image", index);
            let (mut plain, mut bulk) = (seed.stream("z"), seed.normals("z"));
            let mut most = 0.0_f32;
            // Lengths that end before, at and after a refill; 2,000,000 draws see every layer, the
            // tail and the top.
            for length in [0, 1, 7, 127, 128, 129, 1000, 2_000_000] {
                let mut got = vec![0.0_f32; length];
                bulk.fill(&mut got);
                for (i, &got) in got.iter().enumerate() {
                    let expected: f32 = StandardNormal.sample(&mut plain);
                    assert_eq!(
                        got.to_bits(),
                        expected.to_bits(),
                        "draw {i} of {length}: {got} for {expected}"
                    );
                    most = most.max(got.abs());
                }
            }
            assert!(most > 3.9, "the tail was drawn from: {most}");
        }
    }
}
