//! Features of images by a pretrained network, each computed once.
//!
//! The network itself is `vabal-backbone`. Here files are read, the work is shared out over the
//! cores, and what is known is taken from a cache by the content of the file. Never here: what is
//! learnt from features.
//!
//! ```no_run
//! use std::path::Path;
//! use vabal::backbone::{AUTO, Listing, Wish, open};
//! use vabal::progress::silent;
//!
//! let photos = Listing::of(Path::new("photos"))?;
//! let backbone = open(&Wish::new(AUTO, 0, photos.usual_side()))?;
//! let found = photos.embed(&backbone, None, &mut silent())?;
//! println!("{} images, {} features each", found.paths.len(), found.features.ncols());
//! # Ok::<(), vabal::Error>(())
//! ```

mod cache;
pub(crate) mod file;
mod model;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

use half::f16;
use image::{DynamicImage, ImageBuffer, Luma, Rgb};
use ndarray::{Array1, Array2, ArrayView1, Axis};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use vabal_backbone::Worker;
pub use vabal_backbone::{
    AUTO, Backbone, EMBEDDED, Layout, Normalisation, OnnxRuntime, Open, Pooling, Settings, Spec, Wish, open,
};

use crate::Id;
use crate::data::walk::{self, Bad};
use crate::data::{ImageShape, Images, folder};
use crate::error::{Error, Result};
use crate::progress::{Event, Progress, report};
use cache::Cache;
pub use cache::Hash;
pub use model::LinearModel;

/// A file of an image.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// SHA-256 of its content, where it is known.
    pub hash: Option<Hash>,
}

/// Features of files.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// [n, d], of the files that are images.
    pub features: Array2<f32>,
    /// The places of these files among those that were given, ascending.
    pub places: Vec<usize>,
    /// Place and reason of files that claim to be images and cannot be read.
    pub bad: Vec<(usize, String)>,
    /// How many were computed, and not found in the cache.
    pub computed: usize,
}

/// Features of the images of a folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Folder {
    /// Below the folder, with `/`, ascending.
    pub paths: Vec<String>,
    /// [n, d], a row for each path.
    pub features: Array2<f32>,
    /// What claims to be an image and cannot be read, and folders that cannot be read.
    pub bad: Vec<Bad>,
    /// How many were computed, and not found in the cache.
    pub computed: usize,
}

/// The features of a backbone in a folder, as far as they were computed; read where they lie.
#[derive(Debug)]
pub(crate) struct Known(Cache);

impl Known {
    /// Opens them; `None` where there are none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn open(folder: &Path, backbone: &Backbone) -> Result<Option<Self>> {
        Ok(Cache::peek(folder, &backbone.key(), backbone.spec().features)?.map(Self))
    }

    /// Whether these are all that there are by now of this backbone in this folder.
    pub(crate) fn is_all_of(&self, folder: &Path, backbone: &Backbone) -> bool {
        self.0.file() == Cache::path(folder, &backbone.key()) && self.0.is_all()
    }

    /// Copies the features of an image; false where they are not known.
    pub(crate) fn read(&self, hash: &Hash, out: &mut [f32]) -> bool {
        self.0.read(hash, out)
    }

    /// The features of an image; `None` where they are not known.
    pub(crate) fn features(&self, hash: &Hash) -> Option<Vec<f32>> {
        let mut row = vec![0.0; self.0.width()];
        self.0.read(hash, &mut row).then_some(row)
    }
}

/// The images of a folder and those below it. Hidden files and the folders of labelling projects
/// are left out, links to folders not followed.
#[derive(Debug, Clone)]
pub struct Listing {
    folder: PathBuf,
    root: PathBuf,
    paths: Vec<PathBuf>,
    bad: Vec<Bad>,
}

impl Listing {
    /// Lists a folder.
    ///
    /// # Errors
    /// No such folder.
    pub fn of(folder: &Path) -> Result<Self> {
        let root = std::fs::canonicalize(folder).map_err(Error::io("read", folder))?;
        let (paths, bad) = walk::images(&root)?;
        Ok(Self { folder: folder.into(), root, paths, bad })
    }

    /// The median of the longer sides of the images, in pixels, estimated from 64 of them; 0
    /// without images.
    #[must_use]
    pub fn usual_side(&self) -> usize {
        let some = self.paths.iter().step_by(self.paths.len().div_ceil(64).max(1));
        let side = |path: &PathBuf| {
            let size =
                image::ImageReader::open(path).ok()?.with_guessed_format().ok()?.into_dimensions().ok()?;
            Some(size.0.max(size.1) as usize)
        };
        let mut sides: Vec<usize> = some.filter_map(side).collect();
        sides.sort_unstable();
        sides.get(sides.len() / 2).copied().unwrap_or(0)
    }

    /// Computes features of all of them, as [`embed`] does.
    ///
    /// # Errors
    /// No image that can be read; what [`embed`] says.
    pub fn embed(
        self,
        backbone: &Backbone,
        cache: Option<&Path>,
        progress: &mut Progress<'_>,
    ) -> Result<Folder> {
        let Self { folder, root, paths, mut bad } = self;
        let files: Vec<Source<'_>> = paths.iter().map(|path| Source { path, hash: None }).collect();
        let embedded = embed(backbone, &files, cache, progress)?;
        let name = |place: usize| walk::below(&root, &paths[place]);
        bad.extend(embedded.bad.into_iter().map(|(place, reason)| Bad { path: name(place), reason }));
        bad.sort_by(|a, b| a.path.cmp(&b.path));
        if embedded.places.is_empty() {
            return Err(walk::no_images(&folder, &bad).into());
        }
        let paths = embedded.places.into_iter().map(name).collect();
        Ok(Folder { paths, features: embedded.features, bad, computed: embedded.computed })
    }
}

/// Computes features of images in memory [n, d], in the order of `ids`, as [`embed`] does of files.
///
/// # Errors
/// Ids that are not of `images`; what [`embed`] says.
pub fn embed_images(
    backbone: &Backbone,
    images: &Images,
    ids: &[Id],
    cache: Option<&Path>,
    progress: &mut Progress<'_>,
) -> Result<Array2<f32>> {
    images.check_ids(ids)?;
    let shape = images.shape();
    let hash = |&id: &Id| {
        let hash = Sha256::new().chain_update(b"pixels").chain_update(format!("{shape:?}"));
        Hash::from(hash.chain_update(images.pixels(id)).finalize())
    };
    let hashes: Vec<Option<Hash>> = ids.par_iter().map(|id| cache.is_some().then(|| hash(id))).collect();
    let open = |place: usize| Ok(Some(picture(shape, images.pixels(ids[place]))));
    // All of them are images.
    Ok(collect(backbone, &hashes, &open, cache, progress)?.features)
}

/// An image of planes as decoders give it.
fn picture(shape: ImageShape, planes: &[u8]) -> DynamicImage {
    let ImageShape { channels, height, width } = shape;
    let (w, h) = (width as u32, height as u32);
    let at = |channel: usize, x: u32, y: u32| planes[(channel * height + y as usize) * width + x as usize];
    match channels {
        1 => DynamicImage::ImageLuma8(ImageBuffer::from_fn(w, h, |x, y| Luma([at(0, x, y)]))),
        _ => DynamicImage::ImageRgb8(ImageBuffer::from_fn(w, h, |x, y| Rgb([0, 1, 2].map(|c| at(c, x, y))))),
    }
}

/// What became of an image.
enum Seen {
    /// Its features.
    Features(Vec<f16>),
    /// It neither is an image nor claims to be one.
    Other,
    /// Why it cannot be read.
    Bad(String),
}

/// Files between two looks at the progress callback, while they are read.
const BATCH: usize = 64;

/// Computes the features of the images among `files`, rounded to f16, or takes them from the cache
/// in the folder `cache`. Files are read and the network runs on all cores; the result does not
/// depend on how many there are. After a stop the same call goes on where it was. Reports the
/// phases "hash", where a hash is not given, and "embed", by images.
///
/// # Errors
/// A network that fails, features that f16 cannot hold, or [`Error::Stopped`]; what was computed is
/// in the cache. A cache that cannot be written is a warning.
pub fn embed(
    backbone: &Backbone,
    files: &[Source<'_>],
    cache: Option<&Path>,
    progress: &mut Progress<'_>,
) -> Result<Embedded> {
    let hashes = hashes(files, cache.is_some(), progress)?;
    let stretched = Mutex::new(Vec::new());
    let open = |place: usize| {
        let Some(shown) = folder::look(files[place].path)? else { return Ok(None) };
        if shown.stretched {
            stretched.lock().unwrap_or_else(PoisonError::into_inner).push(place);
        }
        Ok(Some(shown.image))
    };
    let embedded = collect(backbone, &hashes, &open, cache, progress)?;
    let mut stretched = stretched.into_inner().unwrap_or_else(PoisonError::into_inner);
    stretched.sort_unstable();
    let names: Vec<String> = stretched.iter().map(|&n| files[n].path.display().to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if let Some(warning) = folder::stretched_warning(&names) {
        report(progress, Event::Warning(&warning))?;
    }
    Ok(embedded)
}

/// Decodes the image at a place; `None` of a file that is not an image, and the reason where it
/// cannot be decoded.
type Opener<'a> = dyn Fn(usize) -> std::result::Result<Option<DynamicImage>, String> + Sync + 'a;

/// Computes features of images by their hashes, or takes them from the cache.
fn collect(
    backbone: &Backbone,
    hashes: &[Option<Hash>],
    open: &Opener<'_>,
    cache: Option<&Path>,
    progress: &mut Progress<'_>,
) -> Result<Embedded> {
    let spec = backbone.spec();
    let mut cache = cache.map(|folder| Cache::open(folder, &backbone.key(), spec.features)).transpose()?;
    if cache.as_ref().is_some_and(Cache::is_held) {
        let text = "another process computes features with this backbone: those computed here are not kept";
        report(progress, Event::Warning(text))?;
    }
    let mut features = Array2::zeros((hashes.len(), spec.features));
    let mut known: Vec<bool> = (features.axis_iter_mut(Axis(0)).zip(hashes))
        .map(|(mut row, hash)| {
            let kept = cache.as_ref().zip(hash.as_ref()).zip(row.as_slice_mut());
            kept.is_some_and(|((cache, hash), row)| cache.read(hash, row))
        })
        .collect();
    let missing: Vec<usize> = (0..hashes.len()).filter(|&place| !known[place]).collect();
    let (mut bad, mut computed, mut done) = (Vec::new(), 0, hashes.len() - missing.len());
    let total = hashes.len().max(1);
    report(progress, Event::Progress { phase: "embed", done, total, unit: "image", loss: None })?;
    let mut keep = |place: usize, seen: Seen| -> Result<()> {
        done += 1;
        match seen {
            Seen::Features(row) => {
                computed += 1;
                known[place] = true;
                let wide = row.iter().map(|value| value.to_f32()).collect();
                features.row_mut(place).assign(&Array1::from_vec(wide));
                if let Some((written, hash)) = cache.as_mut().zip(hashes[place].as_ref())
                    && let Err(error) = written.add(hash, &row)
                {
                    cache = None;
                    warn(&error, progress)?;
                }
            }
            Seen::Other => {}
            Seen::Bad(reason) => bad.push((place, reason)),
        }
        report(progress, Event::Progress { phase: "embed", done, total, unit: "image", loss: None })
    };
    compute(backbone, open, &missing, &mut keep)?;
    bad.sort_unstable();
    let places: Vec<usize> = (0..hashes.len()).filter(|&place| known[place]).collect();
    if places.len() < hashes.len() {
        features = features.select(Axis(0), &places);
    }
    Ok(Embedded { features, places, bad, computed })
}

fn warn(error: &Error, progress: &mut Progress<'_>) -> Result<()> {
    let text = error.to_string();
    let text = format!("the features are not kept: {}", text.lines().next().unwrap_or_default());
    report(progress, Event::Warning(&text))
}

/// The hash of each file, where it is needed and can be read.
fn hashes(files: &[Source<'_>], needed: bool, progress: &mut Progress<'_>) -> Result<Vec<Option<Hash>>> {
    let mut hashes: Vec<Option<Hash>> = files.iter().map(|file| file.hash).collect();
    let unknown: Vec<usize> = (0..files.len()).filter(|&place| needed && hashes[place].is_none()).collect();
    for (batch, places) in unknown.chunks(BATCH).enumerate() {
        // A file that cannot be read says so when it is decoded.
        let read: Vec<_> = places.par_iter().map(|&place| walk::hash_of(files[place].path).ok()).collect();
        places.iter().zip(read).for_each(|(&place, hash)| hashes[place] = hash);
        let (done, total) = (batch * BATCH + places.len(), unknown.len());
        report(progress, Event::Progress { phase: "hash", done, total, unit: "image", loss: None })?;
    }
    Ok(hashes)
}

/// Reads and computes on all cores, each image on one of them, and hands over what becomes of each,
/// in no order. Ends with the first error, of the network or of `keep`, once the images at hand are
/// through.
fn compute(
    backbone: &Backbone,
    open: &Opener<'_>,
    places: &[usize],
    keep: &mut dyn FnMut(usize, Seen) -> Result<()>,
) -> Result<()> {
    let batch = backbone.spec().batch;
    let threads = rayon::current_num_threads().min(places.len().div_ceil(batch));
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::sync_channel(2 * threads.max(1));
        for _ in 0..threads {
            let (send, next, stop) = (send.clone(), &next, &stop);
            scope.spawn(move || {
                let work = || -> Result<()> {
                    let mut worker = backbone.worker()?;
                    while !stop.load(Ordering::Relaxed) {
                        let start = next.fetch_add(batch, Ordering::Relaxed);
                        let Some(some) = places.get(start..places.len().min(start + batch)) else { break };
                        if some.is_empty() {
                            break;
                        }
                        for (place, seen) in look(&mut worker, open, some)? {
                            if send.send(Ok((place, seen))).is_err() {
                                return Ok(());
                            }
                        }
                    }
                    Ok(())
                };
                if let Err(error) = work() {
                    // Nobody listens any more where another error came first.
                    let _ = send.send(Err(error));
                }
            });
        }
        drop(send);
        let mut ended = Ok(());
        for seen in receive {
            let kept = seen.and_then(|(place, seen)| if ended.is_ok() { keep(place, seen) } else { Ok(()) });
            if let Err(error) = kept
                && ended.is_ok()
            {
                stop.store(true, Ordering::Relaxed);
                ended = Err(error);
            }
        }
        ended
    })
}

/// Those that are images through the network.
fn look(worker: &mut Worker<'_>, open: &Opener<'_>, places: &[usize]) -> Result<Vec<(usize, Seen)>> {
    let (mut seen, mut images) = (Vec::new(), Vec::new());
    for &place in places {
        match open(place) {
            Ok(Some(image)) => images.push((place, image)),
            Ok(None) => seen.push((place, Seen::Other)),
            Err(reason) => seen.push((place, Seen::Bad(reason))),
        }
    }
    let whole: Vec<_> = images.iter().map(|(_, image)| image).collect();
    let features = worker.features(&whole)?;
    for ((place, _), row) in images.iter().zip(features.rows()) {
        seen.push((*place, Seen::Features(rounded(row)?)));
    }
    Ok(seen)
}

fn rounded(row: ArrayView1<'_, f32>) -> Result<Vec<f16>> {
    let rounded: Vec<f16> = row.iter().map(|&value| f16::from_f32(value)).collect();
    match row.iter().zip(&rounded).find(|(_, rounded)| !rounded.is_finite()) {
        None => Ok(rounded),
        Some((value, _)) => Err(Error::input("a feature is too large to be kept as f16")
            .expected("at most 65,504")
            .got(value)
            .hint(
                "check mean and std of the backbone: how were the images normalised that it was trained on?",
            )
            .into()),
    }
}

#[cfg(test)]
mod tests;
