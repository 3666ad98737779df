//! The map of the pool: a place in the plane for each image, so that images that look alike lie
//! together, and what colours it.
//!
//! Places are computed once from the features and kept in the project's folder, with what they were
//! computed from: a map of another network, of other images, or one that is torn is as good as
//! none. What the model says of the holdout colours nothing. Never here: HTTP, drawing, how places
//! are found ([`query::layout`](crate::query::layout)).
//!
//! ```no_run
//! use std::path::Path;
//! use vabal::progress::silent;
//! use vabal::project::map::{Stand, find, make};
//! use vabal::project::{Project, learn::Context};
//! use vabal::{Device, backbone};
//!
//! let project = Project::open(Path::new("steel"))?;
//! let context = Context::new(Device::Cpu, Box::new(backbone::open));
//! if find(&project, &context)? == Stand::Wanted {
//!     make(&project, &context, &mut silent())?;
//! }
//! # Ok::<(), vabal::Error>(())
//! ```

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use rusqlite::{Transaction, params};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::learn::{Context, embedding};
use super::listing::Order;
use super::store::Attempt;
use super::words::State;
use super::{ImageId, Project};
use crate::Label;
use crate::backbone::Hash;
use crate::error::Result;
use crate::files;
use crate::progress::Progress;
use crate::query::layout::layout;
use crate::rng::Seed;

/// The map, in the project's folder.
pub const FILE: &str = "map";
/// The first bytes of the file; the number changes with the layout of it and with how places are
/// found.
const MAGIC: &[u8; 16] = b"vabal map 1\0\0\0\0\0";
/// Magic, what it was computed from, number of images.
const HEADER: usize = MAGIC.len() + 32 + 4;
/// Bytes of an image: id, x, y.
const RECORD: usize = 4 + 2 + 2;
const CHECK: usize = 32;
/// No class, no doubt, where one would stand.
const NONE: u16 = u16::MAX;
/// Images that are told as a change; of more, all are read again.
const MOST_CHANGES: usize = 5000;

/// A map.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// What it was computed from.
    source: Hash,
    images: Vec<ImageId>,
    /// x and y of each image, 0 to 65,535, of one scale.
    places: Vec<[u16; 2]>,
}

/// Whether there is a map.
#[derive(Debug, Clone, PartialEq)]
pub enum Stand {
    /// It is there, of the project as it is now.
    Ready(Map),
    /// It can be computed.
    Wanted,
    /// It cannot, and why, in plain words.
    Impossible(String),
}

/// An image whose colour has changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changed {
    /// Which.
    pub id: ImageId,
    /// What is known of it now.
    pub state: State,
    /// Its class, where it is labelled.
    pub class: Option<Label>,
    /// As in [`Project::colours`], 0 to 1.
    pub doubt: Option<f64>,
}

/// What has changed since an answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changes {
    /// The last answer that there is.
    pub answer: i64,
    /// The images with answers since; `None` where they are so many that all are better read again.
    pub images: Option<Vec<Changed>>,
}

impl Map {
    /// Of positions [n, 2] of images in ascending order, brought to whole numbers.
    fn new(source: Hash, images: Vec<ImageId>, positions: &ndarray::Array2<f32>) -> Self {
        let bounds = |axis: usize| {
            let fold = |(least, most): (f32, f32), &v: &f32| (least.min(v), most.max(v));
            positions.column(axis).iter().fold((f32::INFINITY, f32::NEG_INFINITY), fold)
        };
        let bounds = [bounds(0), bounds(1)];
        let side = bounds.iter().map(|(least, most)| most - least).fold(f32::MIN_POSITIVE, f32::max);
        let whole = |axis: usize, v: f32| {
            let (least, most) = bounds[axis];
            // In the middle of a square.
            let share = (v - (least + most) / 2.0) / side + 0.5;
            (share * f32::from(u16::MAX)).round() as u16
        };
        let places = positions.rows().into_iter().map(|at| [whole(0, at[0]), whole(1, at[1])]);
        Self::of_places(source, images.into_iter().zip(places))
    }

    /// Of images in ascending order and the place of each.
    #[must_use]
    pub fn of_places(source: Hash, all: impl IntoIterator<Item = (ImageId, [u16; 2])>) -> Self {
        let (images, places) = all.into_iter().unzip();
        Self { source, images, places }
    }

    /// Writes it into a project's folder, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, folder: &Path) -> Result<()> {
        files::write(&path(folder), &self.file())
    }

    /// What tells it from others: hexadecimal digits.
    #[must_use]
    pub fn tag(&self) -> String {
        self.source.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// How many images it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether it has none; it never does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// n as u32, then n ids as u32, then x and y of each as u16; all little endian.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = (self.images.len() as u32).to_le_bytes().to_vec();
        bytes.extend(self.images.iter().flat_map(|image| (image.0 as u32).to_le_bytes()));
        bytes.extend(self.places.iter().flatten().flat_map(|at| at.to_le_bytes()));
        bytes
    }

    fn file(&self) -> Vec<u8> {
        let mut bytes = [MAGIC.as_slice(), &self.source, &self.bytes()].concat();
        let check = Sha256::digest(&bytes);
        bytes.extend(check);
        bytes
    }

    /// `None` of a file that is torn, damaged or of another version.
    fn of_file(bytes: &[u8]) -> Option<Self> {
        let (content, check) = bytes.split_at_checked(bytes.len().checked_sub(CHECK)?)?;
        let rest = content.strip_prefix(MAGIC)?;
        let (source, rest) = rest.split_first_chunk::<32>()?;
        let (n, rest) = rest.split_first_chunk::<4>()?;
        let n = u32::from_le_bytes(*n) as usize;
        if rest.len() != n.checked_mul(RECORD)? || Sha256::digest(content).as_slice() != check {
            return None;
        }
        let (ids, places) = rest.split_at(4 * n);
        let images = ids.as_chunks().0.iter().map(|&id| ImageId(u32::from_le_bytes(id).into())).collect();
        let places = places.as_chunks().0.iter();
        let places = places.map(|&[a, b, c, d]| [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])]);
        Some(Self { source: *source, images, places: places.collect() })
    }

    /// The map that is kept in a project's folder, whatever it was computed from; `None` where none
    /// is whole.
    fn kept(folder: &Path) -> Option<Self> {
        let bytes = std::fs::read(path(folder)).ok()?;
        (bytes.len() >= HEADER + CHECK).then(|| Self::of_file(&bytes)).flatten()
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// Whether a project has its map.
///
/// # Errors
/// The backbone or the store cannot be opened.
pub fn find(project: &Project, context: &Context) -> Result<Stand> {
    Ok(match embedding::source(project, context)? {
        Err(why) => Stand::Impossible(why),
        Ok(source) => match Map::kept(project.folder()).filter(|map| map.source == source) {
            Some(map) => Stand::Ready(map),
            None => Stand::Wanted,
        },
    })
}

/// Computes the map of a project and keeps it. Features that are not there yet are computed first.
///
/// # Errors
/// Nothing to compute it from, images that cannot be read, a file that cannot be written;
/// [`Error::Stopped`](crate::Error::Stopped), and the map stays as it was.
pub fn make(project: &Project, context: &Context, progress: &mut Progress<'_>) -> Result<()> {
    let source = match embedding::source(project, context)? {
        Ok(source) => source,
        Err(why) => return Err(crate::Error::input("there is nothing to make a map of").got(why).into()),
    };
    let (images, features) = embedding::rows(project, context, progress)?;
    let ids: Vec<crate::Id> = images.iter().map(|image| image.0.cast_unsigned()).collect();
    let seed = Seed::new(project.settings()?.seed).child("map", 0);
    let positions = layout(features.view(), &ids, seed, progress)?;
    Map::new(source, images, &positions).keep(project.folder())
}

impl Project {
    /// The map with this tag, where it is still the one that is kept.
    #[must_use]
    pub fn kept_map(&self, tag: &str) -> Option<Map> {
        Map::kept(self.folder()).filter(|map| map.tag() == tag)
    }

    /// What colours a map: the last answer as i64 and n as u32, then of all images the class as
    /// u16, then the predicted class as u16, then the state and then the doubt as bytes, all little
    /// endian. 65535 is no class, 255 no doubt.
    ///
    /// A state counts from 0 in the order of [`State`], with 128 added in the holdout. The doubt is
    /// 1 − the probability of the label, of an image without one of the guess, from 0 to 254. Of
    /// the holdout there is neither guess nor doubt.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn colours(&self, map: &Map) -> Result<Vec<u8>> {
        self.read(|sql| {
            let n = map.images.len();
            let mut classes = vec![NONE; n];
            let mut guesses = vec![NONE; n];
            let mut states = vec![0; n];
            let mut doubts = vec![u8::MAX; n];
            let mut doubting = Doubting::default();
            let mut select = sql.prepare_cached(&format!("{SELECT} ORDER BY i.image"))?;
            let mut rows = select.query([])?;
            let mut place = 0;
            while let Some(row) = rows.next()? {
                let image: ImageId = row.get(0)?;
                while map.images.get(place).is_some_and(|&one| one < image) {
                    place += 1;
                }
                if map.images.get(place) != Some(&image) {
                    continue;
                }
                let short =
                    |class: Option<Label>| class.and_then(|class| class.try_into().ok()).unwrap_or(NONE);
                let (state, holdout): (State, bool) = (row.get(1)?, row.get(3)?);
                classes[place] = short(row.get(2)?);
                states[place] = code(state) | u8::from(holdout) << 7;
                if !holdout {
                    guesses[place] = short(row.get(4)?);
                    let doubt = doubting.of(sql, row)?;
                    doubts[place] = doubt.map_or(u8::MAX, |doubt| (doubt * 254.0).round() as u8);
                }
            }
            let mut bytes = last_answer(sql)?.to_le_bytes().to_vec();
            bytes.extend((n as u32).to_le_bytes());
            bytes.extend(classes.iter().chain(&guesses).flat_map(|class| class.to_le_bytes()));
            bytes.extend(states);
            bytes.extend(doubts);
            Ok(bytes)
        })
    }

    /// The images that were answered after the answer `since`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn answered_since(&self, since: i64) -> Result<Changes> {
        self.read(|sql| {
            let answer = last_answer(sql)?;
            let text = format!(
                "{SELECT} AND i.image IN (SELECT image FROM answers WHERE answer > ?1) LIMIT {}",
                MOST_CHANGES + 1
            );
            let mut select = sql.prepare_cached(&text)?;
            let mut rows = select.query(params![since])?;
            let mut doubting = Doubting::default();
            let mut images = Vec::new();
            while let Some(row) = rows.next()? {
                let (holdout, id): (bool, ImageId) = (row.get(3)?, row.get(0)?);
                let doubt = if holdout { None } else { doubting.of(sql, row)? };
                images.push(Changed { id, state: row.get(1)?, class: row.get(2)?, doubt });
            }
            Ok(Changes { answer, images: (images.len() <= MOST_CHANGES).then_some(images) })
        })
    }
}

/// What an image is coloured by.
const SELECT: &str =
    "SELECT i.image, coalesce(s.state, 'open'), s.class, i.holdout, coalesce(c.merged_into, c.class),
        p.confidence, p.round, p.probabilities
    FROM images AS i LEFT JOIN states AS s USING (image) LEFT JOIN predictions AS p USING (image)
        LEFT JOIN classes AS c ON c.class = p.class
    WHERE i.missing = 0";

fn last_answer(sql: &Transaction<'_>) -> Attempt<i64> {
    Ok(sql.query_row("SELECT coalesce(max(answer), 0) FROM answers", [], |row| row.get(0))?)
}

fn code(state: State) -> u8 {
    match state {
        State::Open => 0,
        State::Labelled => 1,
        State::Later => 2,
        State::Unsure => 3,
        State::Discarded => 4,
        State::Conflict => 5,
    }
}

/// How much a model doubts, with the classes of each round that there are predictions of.
#[derive(Default)]
struct Doubting(HashMap<u64, Order>);

impl Doubting {
    /// Of a row of [`SELECT`].
    fn of(&mut self, sql: &Transaction<'_>, row: &rusqlite::Row<'_>) -> Attempt<Option<f64>> {
        let (class, confidence, round): (Option<Label>, Option<f64>, Option<u64>) =
            (row.get(2)?, row.get(5)?, row.get(6)?);
        let Some(confidence) = confidence else { return Ok(None) };
        let sure = match class.zip(round) {
            Some((class, round)) => {
                let order = match self.0.entry(round) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => entry.insert(Order::of(sql, round)?),
                };
                let bytes = row.get_ref(7)?.as_blob().map_err(rusqlite::Error::from)?;
                order.probability(bytes, class)
            }
            None => confidence,
        };
        Ok(Some((1.0 - sure).clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn map() -> Map {
        let positions = array![[-3.0, 1.0], [5.0, 1.5], [1.0, 0.5]];
        Map::new([7; 32], vec![ImageId(1), ImageId(2), ImageId(9)], &positions)
    }

    #[test]
    fn places_fill_a_square_in_one_scale() {
        assert_eq!(map().places, [[0, 32768], [65535, 36863], [32768, 28672]]);
        let one = Map::new([0; 32], vec![ImageId(4)], &array![[2.0, 2.0]]);
        assert_eq!(one.places, [[32768, 32768]]);
    }

    #[test]
    fn a_file_that_is_torn_or_damaged_anywhere_is_no_map() {
        let bytes = map().file();
        assert_eq!(Map::of_file(&bytes), Some(map()));
        for length in 0..bytes.len() {
            assert_eq!(Map::of_file(&bytes[..length]), None, "{length} bytes");
        }
        for place in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[place] ^= 0x10;
            assert_eq!(Map::of_file(&bytes), None, "byte {place}");
        }
        assert_eq!(Map::of_file(&[bytes, vec![0]].concat()), None);
    }
}
