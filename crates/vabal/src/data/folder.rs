//! A folder with one sub-folder per class, with or without `train/` and `test/`: JPEG, PNG, BMP,
//! WebP and TIFF, told by content and not by name, decoded in parallel, brought to one shape.
//!
//! Never here: what is done with the images afterwards; the file that caches them (`cache`).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageFormat};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::codec::Shown;
use super::{DataSet, ImageSet, ImageShape, Images, Origin, cache, codec, walk};
use crate::error::{Error, Result};
use crate::progress::{Event, Progress, report};
use crate::{Id, Label};

/// How the images of a folder are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// Height and width that every image is brought to; 0 is the size they all have.
    pub size: usize,
    /// What becomes of an image that is not square when `size` is given.
    pub aspect: Aspect,
    /// One channel or three.
    pub colour: Colour,
    /// Leave out, with a warning each, images that cannot be decoded.
    pub skip_bad: bool,
}

/// How an image is brought to a square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// The whole image, centred, black beside it.
    #[default]
    Pad,
    /// The largest square in its middle.
    Crop,
    /// Each side on its own; shapes are distorted.
    Stretch,
}

/// The channels of the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// One channel if every pixel of every image is grey (equal channels count), else three.
    #[default]
    Auto,
    /// One channel; colours become their brightness.
    Grey,
    /// Three channels.
    Rgb,
}

/// Images decoded between two looks at the progress callback.
const BLOCK: usize = 256;

/// A file of the folder, before it is known to be an image.
struct Candidate {
    path: PathBuf,
    /// The path below the folder, with `/`.
    name: String,
    label: Label,
    test: bool,
    /// Bytes.
    size: u64,
    /// Time of the last change, as the system tells it.
    changed: Option<i64>,
}

/// What a file turned out to be.
enum Outcome {
    Image,
    /// An image of 12 bits in 16, which was stretched.
    Stretched,
    NoImage,
    Bad(String),
    /// The image has this height and width, not the one expected.
    Size(usize, usize),
    /// The image has colour, and grey was hoped for.
    Coloured,
}

/// Reads the classes of `folder`, sorted by name, and their images, sorted by path. With `train/`
/// and `test/` (or `val/`) of class folders, these are pool and test set; otherwise the test set is
/// empty. `cache` is a folder for decoded images, so that the second time is fast.
///
/// Hidden files, folders that systems make beside images, and files that neither are nor claim to
/// be images are left out. What is transparent is laid on white, 16 bits become 8, the orientation
/// that a camera noted is applied.
///
/// # Errors
/// A missing folder, no or one class, a class without an image, an image that cannot be decoded, is
/// empty or has no pixels (unless `skip_bad`), images of different sizes where no size is given, or
/// [`Error::Stopped`].
pub fn read(
    folder: &Path,
    reading: Reading,
    cache: Option<&Path>,
    progress: &mut Progress<'_>,
) -> Result<DataSet> {
    let (classes, candidates, notes) = survey(folder)?;
    for note in notes {
        let left_out = note.starts_with(LEFT_OUT);
        report(progress, if left_out { Event::Warning(&note) } else { Event::Note(&note) })?;
    }
    let slot = cache.map(|cache| cache::Slot::new(cache, folder, &reading, &classes, &listing(&candidates)));
    if let Some((set, warnings)) = slot.as_ref().and_then(cache::Slot::read_set) {
        for warning in &warnings {
            report(progress, Event::Warning(warning))?;
        }
        return Ok(set);
    }
    let decoded = decode_all(&candidates, reading, folder, progress)?;
    let Some(Decoded { shape, pixels, kept, warnings }) = decoded else {
        return Err(no_image(folder, "the folder").into());
    };
    let count = |n: usize| kept.iter().filter(|&&row| candidates[row].label as usize == n).count();
    if let Some(class) = (0..classes.len()).find(|&n| count(n) == 0) {
        return Err(no_image(&folder.join(&classes[class]), "a class").into());
    }
    let labels = kept.iter().map(|&row| candidates[row].label).collect();
    let paths = kept.iter().map(|&row| candidates[row].name.as_str().into()).collect();
    // Candidates are sorted with the pool first.
    let pool = kept.iter().filter(|&&row| !candidates[row].test).count() as Id;
    let all = kept.len() as Id;
    let name = folder.file_name().map_or_else(|| "images".into(), |name| name.to_string_lossy().into_owned());
    let images = ImageSet::new(Images::new(shape, pixels, Origin::Paths(paths))?, labels, classes)?;
    let set = DataSet { name, items: images, pool: (0..pool).collect(), test: (pool..all).collect() };
    for warning in &warnings {
        report(progress, Event::Warning(warning))?;
    }
    warn_of_cache(slot.map(|slot| slot.write_set(&set, &warnings)), progress)?;
    Ok(set)
}

/// Warns of a cache that could not be written, which only makes the next time slower.
fn warn_of_cache(written: Option<Result<()>>, progress: &mut Progress<'_>) -> Result<()> {
    let Some(Err(error)) = written else { return Ok(()) };
    let text = error.to_string();
    let text = format!("the decoded images were not cached: {}", text.lines().next().unwrap_or_default());
    report(progress, Event::Warning(&text))
}

/// Reads the images at `paths`, below `folder`, which have no labels, and which of `paths` their
/// rows are. What is not there or cannot be decoded is left out, with a warning. `reading.size`
/// must be given; `cache` is as for [`read`].
///
/// # Errors
/// No image at all, too many for the memory, or [`Error::Stopped`].
pub(crate) fn read_files(
    folder: &Path,
    paths: &[PathBuf],
    reading: Reading,
    cache: Option<&Path>,
    progress: &mut Progress<'_>,
) -> Result<(Images, Vec<usize>)> {
    let candidate = |path: &PathBuf| {
        let data = std::fs::metadata(path).ok();
        let size = data.as_ref().map_or(0, std::fs::Metadata::len);
        let changed = data.map(|data| walk::changed_at(&data));
        Candidate {
            path: path.clone(),
            name: walk::below(folder, path),
            label: 0,
            test: false,
            size,
            changed,
        }
    };
    let candidates: Vec<Candidate> = paths.iter().map(candidate).collect();
    let slot = cache.map(|cache| cache::Slot::new(cache, folder, &reading, &[], &listing(&candidates)));
    let (images, warnings) = match slot.as_ref().and_then(cache::Slot::read_images) {
        Some(found) => found,
        None => {
            let reading = Reading { skip_bad: true, ..reading };
            let Some(decoded) = decode_all(&candidates, reading, folder, progress)? else {
                return Err(no_image(folder, "the folder").into());
            };
            let Decoded { shape, pixels, kept, warnings } = decoded;
            let paths = kept.iter().map(|&row| candidates[row].name.as_str().into()).collect();
            let images = Images::new(shape, pixels, Origin::Paths(paths))?;
            warn_of_cache(slot.map(|slot| slot.write_images(&images, &warnings)), progress)?;
            (images, warnings)
        }
    };
    for warning in &warnings {
        report(progress, Event::Warning(warning))?;
    }
    // The rows are in the order of `paths`, with gaps.
    let mut all = candidates.iter().enumerate();
    let rows = (0..images.len() as Id)
        .filter_map(|id| all.find(|(_, one)| images.path(id) == Some(&one.name)).map(|(row, _)| row))
        .collect();
    Ok((images, rows))
}

fn no_image(place: &Path, what: &str) -> crate::error::Complaint {
    Error::input(format!("{what} with no image"))
        .at(place.display())
        .expected("at least one JPEG, PNG, BMP, WebP or TIFF")
        .got("none")
        .hint("add images, or take the empty folder away")
}

/// What the cache must notice a change of: every file's name, size and time.
fn listing(candidates: &[Candidate]) -> Vec<(&str, u64, i64)> {
    candidates.iter().map(|c| (c.name.as_str(), c.size, c.changed.unwrap_or(0))).collect()
}

/// The classes, every file in them, pool first, each part sorted by path, and what should be said.
fn survey(folder: &Path) -> Result<(Vec<String>, Vec<Candidate>, Vec<String>)> {
    if !folder.is_dir() {
        return Err(Error::input("no such folder of images")
            .at(folder.display())
            .expected("a folder with one sub-folder per class")
            .got(if folder.exists() { "a file" } else { "nothing there" })
            .hint("check data.path; relative paths start from the current folder")
            .into());
    }
    let mut notes = Vec::new();
    let top = walk::listed(folder)?;
    let is_split = |name: &str| -> Result<bool> {
        let split = folder.join(name);
        Ok(split.is_dir() && walk::listed(&split)?.iter().any(|path| path.is_dir()))
    };
    // A folder called "train" is a split only if it holds folders: it may be the class of trains.
    let mut parts = Vec::new();
    if is_split("train")? {
        parts.push((folder.join("train"), false));
        let others = ["test", "val", "valid", "validation"];
        let mut present = Vec::new();
        for other in others {
            if is_split(other)? {
                present.push(other);
            }
        }
        if let Some(test) = present.first() {
            parts.push((folder.join(test), true));
        }
        let used: Vec<&str> = std::iter::once("train").chain(present.first().copied()).collect();
        for path in top.iter().filter(|path| path.is_dir()) {
            let name = file_name(path);
            if !used.contains(&name.as_str()) {
                notes.push(format!(
                    "the folder {name} is left out: pool and test set are {}",
                    used.join(" and ")
                ));
            }
        }
    } else {
        parts.push((folder.to_path_buf(), false));
    }

    let mut classes = Vec::new();
    for (part, _) in &parts {
        classes.extend(walk::listed(part)?.iter().filter(|path| path.is_dir()).map(|path| file_name(path)));
    }
    classes.sort();
    classes.dedup();
    if classes.len() < 2 {
        let got = match classes.first() {
            Some(only) => format!("only \"{only}\""),
            None => format!("no sub-folder, and {} files", top.len()),
        };
        return Err(Error::input("one class only, or none: there is nothing to tell apart")
            .at(folder.display())
            .expected("at least 2 sub-folders, one per class")
            .got(got)
            .hint("put the images of each class into a sub-folder with the class's name")
            .into());
    }
    let mut candidates = Vec::new();
    for (part, test) in &parts {
        let start = candidates.len();
        for path in walk::listed(part)?.iter().filter(|path| path.is_dir()) {
            let name = file_name(path);
            let label = classes.binary_search(&name).unwrap_or_default() as Label;
            walk(folder, path, (label, *test), &mut candidates, &mut notes)?;
        }
        candidates[start..].sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok((classes, candidates, notes))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Every file below a class folder; a link to nothing is noted. Links to folders are not followed:
/// they may lead in a circle. Pipes, sockets and devices are passed over.
fn walk(
    root: &Path,
    folder: &Path,
    (label, test): (Label, bool),
    found: &mut Vec<Candidate>,
    notes: &mut Vec<String>,
) -> Result<()> {
    for path in walk::listed(folder)? {
        let Some(data) = walk::metadata(&path).map_err(Error::io("read", &path))? else {
            notes.push(format!("{LEFT_OUT}{}: {}", walk::below(root, &path), walk::DANGLING));
            continue;
        };
        if data.is_dir() && !path.is_symlink() {
            walk(root, &path, (label, test), found, notes)?;
        } else if data.is_file() {
            let (size, changed) = (data.len(), Some(walk::changed_at(&data)));
            found.push(Candidate { name: walk::below(root, &path), path, label, test, size, changed });
        }
    }
    Ok(())
}

/// The images of a folder, in one block.
struct Decoded {
    shape: ImageShape,
    pixels: Vec<u8>,
    /// The rows of the candidates that are images.
    kept: Vec<usize>,
    /// What `skip_bad` let pass.
    warnings: Vec<String>,
}

/// Decodes everything with as few channels as `reading` allows; `None` where there is no image.
fn decode_all(
    candidates: &[Candidate],
    reading: Reading,
    folder: &Path,
    progress: &mut Progress<'_>,
) -> Result<Option<Decoded>> {
    match reading.colour {
        Colour::Rgb => decode(candidates, reading, 3, folder, progress),
        Colour::Grey => decode(candidates, reading, 1, folder, progress),
        // Grey is hoped for and given up at the first colour, so that pixels are never held twice.
        Colour::Auto => match decode(candidates, reading, 1, folder, progress)? {
            Some(grey) => Ok(Some(grey)),
            None => decode(candidates, reading, 3, folder, progress),
        },
    }
}

/// Decodes everything into one block; `None` where there is no image, or where one channel was
/// hoped for and colour was found.
fn decode(
    candidates: &[Candidate],
    reading: Reading,
    channels: usize,
    folder: &Path,
    progress: &mut Progress<'_>,
) -> Result<Option<Decoded>> {
    let Some(side) = common_size(candidates, reading)? else { return Ok(None) };
    let shape = ImageShape { channels, height: side.0, width: side.1 };
    let bytes = shape.bytes();
    let total = candidates.len();
    let mut pixels = Vec::new();
    if total.checked_mul(bytes).is_none_or(|all| pixels.try_reserve_exact(all).is_err()) {
        return Err(Error::input("the images do not fit into memory")
            .at(folder.display())
            .got(format!("{total} images of {bytes} bytes"))
            .hint("give a smaller data.size")
            .into());
    }
    let must_be_grey = channels == 1 && reading.colour == Colour::Auto;
    let (mut kept, mut bad, mut stretched) = (Vec::new(), Vec::new(), Vec::new());
    let colour_seen = AtomicBool::new(false);
    for (block, files) in candidates.chunks(BLOCK).enumerate() {
        let start = pixels.len();
        pixels.resize(start + files.len() * bytes, 0);
        let outcomes: Vec<Outcome> = files
            .par_iter()
            .zip(pixels[start..].par_chunks_mut(bytes))
            .map(|(file, slot)| {
                if colour_seen.load(Ordering::Relaxed) {
                    return Outcome::Coloured;
                }
                let outcome = decode_one(&file.path, shape, reading, must_be_grey, slot);
                if matches!(outcome, Outcome::Coloured) {
                    colour_seen.store(true, Ordering::Relaxed);
                }
                outcome
            })
            .collect();
        if colour_seen.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut end = start;
        for (n, outcome) in outcomes.into_iter().enumerate() {
            let file = &files[n];
            if matches!(outcome, Outcome::Stretched) {
                stretched.push(file.name.as_str());
            }
            match outcome {
                Outcome::Image | Outcome::Stretched => {
                    pixels.copy_within(start + n * bytes..start + (n + 1) * bytes, end);
                    end += bytes;
                    kept.push(block * BLOCK + n);
                }
                Outcome::NoImage => {}
                Outcome::Bad(reason) => bad.push((file, reason)),
                Outcome::Size(height, width) => return Err(sizes_differ(file, (height, width), side)),
                Outcome::Coloured => return Ok(None),
            }
        }
        pixels.truncate(end);
        let done = (block * BLOCK + files.len()).min(total);
        report(progress, Event::Progress { phase: "decode", done, total, unit: "image", loss: None })?;
    }
    if let Some((file, reason)) = bad.first()
        && !reading.skip_bad
    {
        let more = if bad.len() > 1 { format!(" ({} such files)", bad.len()) } else { String::new() };
        return Err(Error::input("an image cannot be decoded")
            .at(file.path.display())
            .expected("a JPEG, PNG, BMP, WebP or TIFF image")
            .got(format!("{reason}{more}"))
            .hint("fix or remove it, or leave such files out with data.skip_bad = true")
            .into());
    }
    let left_out = bad.iter().map(|(file, reason)| format!("{LEFT_OUT}{}: {reason}", file.name));
    let warnings = left_out.chain(stretched_warning(&stretched)).collect();
    if kept.is_empty() {
        return Ok(None);
    }
    Ok(Some(Decoded { shape, pixels, kept, warnings }))
}

/// How the warning of a file that is left out begins.
pub(crate) const LEFT_OUT: &str = "left out ";

/// What is said of images of 12 bits in 16.
pub(crate) fn stretched_warning(names: &[&str]) -> Option<String> {
    let first = names.first()?;
    let images =
        if names.len() == 1 { "1 image holds".into() } else { format!("{} images hold", names.len()) };
    Some(format!("{images} 12 bits in 16, and 4095 is taken for white; the first is {first}"))
}

fn sizes_differ(file: &Candidate, got: (usize, usize), expected: (usize, usize)) -> Error {
    Error::input("images of different sizes")
        .at(file.path.display())
        .expected(format!("height {}, width {}, as the first image has", expected.0, expected.1))
        .got(format!("height {}, width {}", got.0, got.1))
        .hint("give the size that all are brought to, as in data.size = 64")
        .into()
}

/// Height and width that every image must have: as set, or those of the first image.
fn common_size(candidates: &[Candidate], reading: Reading) -> Result<Option<(usize, usize)>> {
    if reading.size > 0 {
        return Ok(Some((reading.size, reading.size)));
    }
    for file in candidates {
        match open(&file.path) {
            Ok(Some(image)) => return Ok(Some((image.height() as usize, image.width() as usize))),
            Ok(None) => {}
            // Told, or skipped, when everything is decoded.
            Err(_) => {}
        }
    }
    // No image at all: any size will do to find out why.
    Ok((!candidates.is_empty()).then_some((1, 1)))
}

/// The image in a file as it is seen: upright, 8 bits, on white where it is transparent
/// ([`codec::shown`]); `None` if the file neither is nor claims to be one.
pub(crate) fn open(path: &Path) -> Result<Option<DynamicImage>, String> {
    Ok(look(path)?.map(|shown| shown.image))
}

/// [`open`], with what was done to the image.
pub(crate) fn look(path: &Path) -> Result<Option<codec::Shown>, String> {
    // Opening a pipe would wait for somebody to write into it.
    if !std::fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Ok(None);
    }
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let mut head = Vec::new();
    file.by_ref().take(codec::SNIFF_BYTES).read_to_end(&mut head).map_err(|error| error.to_string())?;
    let known = image::guess_format(&head).ok().filter(|format| {
        use ImageFormat::{Bmp, Jpeg, Png, Tiff, WebP};
        matches!(format, Jpeg | Png | Bmp | WebP | Tiff)
    });
    let Some(format) = known else {
        if let Some(kind) = codec::foreign(&head) {
            return Err(format!("it is {kind}, which is not read: save it as PNG, JPEG or TIFF"));
        }
        return match (walk::claims(path), head.is_empty()) {
            (false, _) => Ok(None),
            (true, true) => Err("the file is empty".into()),
            (true, false) => Err("its content is none of JPEG, PNG, BMP, WebP, TIFF".into()),
        };
    };
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    if length > codec::MOST_BYTES {
        return Err(format!("the file is too large: {length} bytes, of at most {}", codec::MOST_BYTES));
    }
    let mut bytes = head;
    file.take(length).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    codec::decode(&bytes, format).map(|image| Some(codec::shown(image)))
}

/// Decodes one file into its slot, [channels, height, width].
fn decode_one(
    path: &Path,
    shape: ImageShape,
    reading: Reading,
    must_be_grey: bool,
    slot: &mut [u8],
) -> Outcome {
    let Shown { image, stretched, .. } = match look(path) {
        Ok(Some(shown)) => shown,
        Ok(None) => return Outcome::NoImage,
        Err(reason) => return Outcome::Bad(reason),
    };
    let (height, width) = (image.height() as usize, image.width() as usize);
    if reading.size == 0 && (height, width) != (shape.height, shape.width) {
        return Outcome::Size(height, width);
    }
    if shape.channels == 1 {
        let has_colour = image.color().has_color();
        let image = if has_colour {
            let rgb = image.to_rgb8();
            let grey = rgb.pixels().all(|pixel| pixel.0[0] == pixel.0[1] && pixel.0[1] == pixel.0[2]);
            if must_be_grey && !grey {
                return Outcome::Coloured;
            }
            image.into_luma8()
        } else {
            image.into_luma8()
        };
        slot.copy_from_slice(&fit(image, shape, reading));
    } else {
        let planes = shape.height * shape.width;
        for (n, pixel) in fit(image.into_rgb8(), shape, reading).chunks_exact(3).enumerate() {
            for (channel, &value) in pixel.iter().enumerate() {
                slot[channel * planes + n] = value;
            }
        }
    }
    if stretched { Outcome::Stretched } else { Outcome::Image }
}

/// Brings an image to the shape; its samples, row by row.
fn fit<P>(image: image::ImageBuffer<P, Vec<u8>>, shape: ImageShape, reading: Reading) -> Vec<u8>
where
    P: image::Pixel<Subpixel = u8> + 'static,
{
    let (width, height) = image.dimensions();
    let (wide, high) = (shape.width as u32, shape.height as u32);
    if (width, height) == (wide, high) {
        return image.into_raw();
    }
    // Triangle: averages when it shrinks, adds no ringing at the edges of defects.
    let resize = |image: &_, wide: u32, high: u32| imageops::resize(image, wide, high, FilterType::Triangle);
    match reading.aspect {
        Aspect::Stretch => resize(&image, wide, high).into_raw(),
        Aspect::Crop => {
            let side = width.min(height);
            let (x, y) = ((width - side) / 2, (height - side) / 2);
            resize(&imageops::crop_imm(&image, x, y, side, side).to_image(), wide, high).into_raw()
        }
        Aspect::Pad => {
            let longest = u64::from(width.max(height));
            // At least one pixel remains of a very thin image.
            let scaled = |side: u32, to: u32| {
                ((u64::from(side) * u64::from(to) + longest / 2) / longest).max(1) as u32
            };
            let (w, h) = (scaled(width, wide), scaled(height, high));
            let mut square = image::ImageBuffer::<P, Vec<u8>>::new(wide, high);
            let (x, y) = ((wide - w) / 2, (high - h) / 2);
            imageops::replace(&mut square, &resize(&image, w, h), x.into(), y.into());
            square.into_raw()
        }
    }
}

#[cfg(test)]
mod tests;
