//! Images that look alike, found without comparing each with each.
//!
//! Of two words of 64 bits that differ in at most four, cut into five bands, one band is the same
//! in both: only words that share a band are compared. A group is a first image and what is within
//! four bits of it, so that a chain of small steps does not tie together what is unlike. Never
//! here: images, files.

use std::collections::HashMap;

use super::ImageId;

/// Bits in which two looks may differ.
pub(super) const MOST_BITS: u32 = 4;
/// First bit and width of each band.
const BANDS: [(u32, u32); 5] = [(0, 13), (13, 13), (26, 13), (39, 13), (52, 12)];

/// What an image looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    pub image: ImageId,
    /// The difference hash.
    pub bits: u64,
    /// The same number for the same content.
    pub content: u32,
}

/// Groups of at least two images with at least two contents, each by id, the groups by their first
/// image. `looks` is sorted by image.
pub(super) fn groups(looks: &[Look]) -> Vec<Vec<ImageId>> {
    // Each word once, in the order of its first image.
    let mut words = Vec::<(u64, Vec<usize>)>::new();
    let mut known = HashMap::<u64, usize>::new();
    for (row, look) in looks.iter().enumerate() {
        let word = *known.entry(look.bits).or_insert_with(|| {
            words.push((look.bits, Vec::new()));
            words.len() - 1
        });
        words[word].1.push(row);
    }
    let band = |bits: u64, (first, width): (u32, u32)| (bits >> first & ((1 << width) - 1)) as usize;
    let mut buckets: Vec<Vec<Vec<u32>>> =
        BANDS.iter().map(|&(_, width)| vec![Vec::new(); 1 << width]).collect();
    for (word, (bits, _)) in words.iter().enumerate() {
        for (buckets, &place) in buckets.iter_mut().zip(&BANDS) {
            buckets[band(*bits, place)].push(word as u32);
        }
    }
    let mut free = vec![true; words.len()];
    let mut found = Vec::new();
    for first in 0..words.len() {
        if !free[first] {
            continue;
        }
        free[first] = false;
        let bits = words[first].0;
        let mut members = words[first].1.clone();
        for (buckets, &place) in buckets.iter_mut().zip(&BANDS) {
            // What has found its group is not looked at again.
            buckets[band(bits, place)].retain(|&word| {
                let word = word as usize;
                if free[word] && (words[word].0 ^ bits).count_ones() <= MOST_BITS {
                    free[word] = false;
                    members.extend(&words[word].1);
                }
                free[word]
            });
        }
        if members.iter().any(|&row| looks[row].content != looks[members[0]].content) {
            members.sort_unstable();
            found.push(members.into_iter().map(|row| looks[row].image).collect());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by comparing each with each.
    fn plain(looks: &[Look]) -> Vec<Vec<ImageId>> {
        let mut free = vec![true; looks.len()];
        let mut found = Vec::new();
        for first in 0..looks.len() {
            if !free[first] {
                continue;
            }
            let near =
                |row: &usize| free[*row] && (looks[*row].bits ^ looks[first].bits).count_ones() <= MOST_BITS;
            let members: Vec<usize> = (first..looks.len()).filter(near).collect();
            members.iter().for_each(|&row| free[row] = false);
            if members.iter().any(|&row| looks[row].content != looks[first].content) {
                found.push(members.into_iter().map(|row| looks[row].image).collect());
            }
        }
        found
    }

    proptest! {
        #[test]
        fn the_bands_find_what_comparing_each_with_each_finds(
            centres in prop::collection::vec(any::<u64>(), 1..4),
            rows in prop::collection::vec((0..4_usize, prop::collection::vec(0..64_u32, 0..6), 0..3_u32), 0..60),
        ) {
            let look = |(n, (centre, flips, content)): (usize, (usize, Vec<u32>, u32))| {
                let bits = flips.iter().fold(centres[centre % centres.len()], |bits, flip| bits ^ 1 << flip);
                Look { image: ImageId(10 + n as i64), bits, content }
            };
            let looks: Vec<Look> = rows.into_iter().enumerate().map(look).collect();
            prop_assert_eq!(groups(&looks), plain(&looks));
        }
    }
}
