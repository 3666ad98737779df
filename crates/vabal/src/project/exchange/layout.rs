//! The labelled images as folders that other programs train from: a folder per class, Hugging
//! Face's image folders, or what YOLO trains classifiers from.
//!
//! Never here: how files come to where they belong, whole or not at all (`tree`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use super::names::{Taken, fold, safe};
use super::tree::{self, Content, Item};
use super::{Row, columns, json_lines};
use crate::csv::push_line;
use crate::error::{Error, Result};
use crate::progress::{Event, Progress, report};

/// How the folders lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `CLASS/NAME`, and `labels.csv`.
    Classes,
    /// `train/CLASS/NAME` and `test/CLASS/NAME`, the holdout, each with `metadata.jsonl`.
    HuggingFace,
    /// `train/CLASS/NAME` and `val/CLASS/NAME`, the holdout, and `labels.csv`. Both have a folder
    /// of every class, for classes are numbered by their folders.
    Yolo,
}

/// How the images come there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Means {
    /// As copies.
    #[default]
    Copy,
    /// As further names of the same files, on the same disk.
    HardLink,
    /// As links that name the files.
    SymLink,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// Images.
    pub images: usize,
    /// Paths of labelled images that are no longer there, and were left out.
    pub missing: Vec<String>,
    /// Paths of images whose content is no longer what was labelled. They are written as they are
    /// now.
    pub changed: Vec<String>,
}

/// The lists that lie beside class folders, of either layout.
pub(super) const LISTS: [&str; 3] = ["labels.csv", "train/metadata.jsonl", "test/metadata.jsonl"];
const LABELS: &str = LISTS[0];

/// Writes the labelled images of `rows`, which lie in the folder `images`, as folders at `target`,
/// and `extra` files at its top: a data sheet, by name and content. Whole or not at all: built in a
/// hidden folder beside, then renamed. `target` is absent, empty, or holds what an earlier export
/// wrote and nothing else, which is replaced.
///
/// A file keeps its name. Of files of one name in a class, each gets the folders of its path before
/// its name, joined by `__`; of what still is the same, all but the first get a number, in the
/// order of their paths. Names that some file system would not take are changed; the list beside
/// the classes says what an image was called.
///
/// Reports the phase "export" by images, and what is missing or changed as warnings.
///
/// # Errors
/// No labelled image, a target that holds something else or lies within `images`, a path that
/// leaves `images`, a disk that is full, links that cannot be made there, or [`Error::Stopped`].
/// Nothing is left behind, and `target` is as it was.
pub fn write(
    rows: &[Row],
    images: &Path,
    target: &Path,
    (layout, means): (Layout, Means),
    extra: &[(&str, &[u8])],
    progress: &mut Progress<'_>,
) -> Result<Written> {
    let mut labelled = columns::labelled(rows);
    for (row, _) in &labelled {
        if !row.path.split('/').all(|part| !["", ".", ".."].contains(&part))
            || Path::new(&row.path).is_absolute()
        {
            return Err(Error::input("a path that leaves the image folder")
                .at(&row.path)
                .expected("a path below the image folder")
                .into());
        }
    }
    let listed =
        |name: &str| fold(name) == fold(LABELS) || ["train", "test", "val", tree::MANIFEST].contains(&name);
    if let Some((name, _)) = extra.iter().find(|(name, _)| safe(name) != *name || listed(name)) {
        return Err(Error::input("a name that a file beside the images cannot have")
            .got(format!("\"{name}\""))
            .into());
    }
    let there: Vec<bool> = labelled.par_iter().map(|(row, _)| images.join(&row.path).is_file()).collect();
    let mut written = Written::default();
    let mut keep = there.iter().copied();
    labelled.retain(|(row, _)| {
        let keep = keep.next().unwrap_or(false);
        if !keep {
            written.missing.push(row.path.clone());
        }
        keep
    });
    if labelled.is_empty() {
        return Err(Error::input("no labelled image to export")
            .at(images.display())
            .expected("at least one image with a class, still in its folder")
            .got(format!("{} labelled images that are no longer there", written.missing.len()))
            .hint("label some images first, or put the image folder back")
            .into());
    }
    warn("no longer there and left out", &written.missing, progress)?;

    let places = arrange(&labelled, layout, extra);
    let mut items: Vec<Item<'_>> = Vec::with_capacity(places.len() + extra.len() + 2);
    for ((row, _), place) in labelled.iter().zip(&places) {
        let content = Content::Image { from: images.join(&row.path), hash: &row.hash };
        items.push(Item { place: place.clone(), content });
    }
    for (place, text) in lists(&labelled, &places, layout) {
        items.push(Item { place, content: Content::Bytes(text.into_bytes()) });
    }
    if layout == Layout::Yolo {
        items.extend(
            missing_folders(&places).into_iter().map(|folder| Item {
                place: format!("{folder}/{KEEP}"),
                content: Content::Bytes(Vec::new()),
            }),
        );
    }
    for (name, bytes) in extra {
        items.push(Item { place: (*name).to_owned(), content: Content::Bytes(bytes.to_vec()) });
    }
    let changed = tree::write(target, images, &items, means, progress)?;
    written.changed = changed.into_iter().filter_map(|n| Some(labelled.get(n)?.0.path.clone())).collect();
    warn("no longer what was labelled, and written as they are now", &written.changed, progress)?;
    written.images = labelled.len();
    Ok(written)
}

fn warn(what: &str, paths: &[String], progress: &mut Progress<'_>) -> Result<()> {
    let Some(first) = paths.first() else { return Ok(()) };
    let images = if paths.len() == 1 { "image is" } else { "images are" };
    report(progress, Event::Warning(&format!("{} {images} {what}; the first is {first}", paths.len())))
}

/// The part of a row: a folder of its own in Hugging Face's layout.
fn part(row: &Row, layout: Layout) -> &'static str {
    match layout {
        Layout::Classes => "",
        Layout::HuggingFace if row.holdout => "test/",
        Layout::Yolo if row.holdout => VAL,
        Layout::HuggingFace | Layout::Yolo => TRAIN,
    }
}

const TRAIN: &str = "train/";
const VAL: &str = "val/";
/// What keeps a folder without images.
const KEEP: &str = ".keep";

/// The folders of classes that one part has and the other has not.
fn missing_folders(places: &[String]) -> Vec<String> {
    let folder = |place: &String| place.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let folders: BTreeSet<String> = places.iter().filter_map(folder).collect();
    let other = |folder: &String| match folder.strip_prefix(VAL) {
        Some(class) => format!("{TRAIN}{class}"),
        None => format!("{VAL}{}", folder.strip_prefix(TRAIN).unwrap_or(folder)),
    };
    folders.iter().map(other).filter(|other| !folders.contains(other)).collect()
}

/// The place of every image below the target, in the order of `labelled`, which is that of paths.
fn arrange(labelled: &[(&Row, &str)], layout: Layout, extra: &[(&str, &[u8])]) -> Vec<String> {
    let mut taken = Taken::default();
    for name in extra.iter().map(|(name, _)| *name).chain([LABELS, "metadata.jsonl", "metadata.csv"]) {
        taken.file(name);
    }
    let classes: BTreeSet<&str> = labelled.iter().map(|(_, class)| *class).collect();
    let folders: HashMap<&str, String> =
        classes.into_iter().map(|class| (class, taken.folder(&safe(class)))).collect();
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (n, (row, class)) in labelled.iter().enumerate() {
        let folder = folders.get(class).map_or("_", String::as_str);
        groups.entry(format!("{}{folder}/", part(row, layout))).or_default().push(n);
    }
    let mut places = vec![String::new(); labelled.len()];
    for (folder, members) in groups {
        let own = |n: usize| safe(labelled[n].0.path.rsplit('/').next().unwrap_or_default());
        let mut same: HashMap<String, usize> = HashMap::new();
        for &n in &members {
            *same.entry(fold(&own(n))).or_default() += 1;
        }
        let (single, several): (Vec<usize>, Vec<usize>) =
            members.into_iter().partition(|&n| same.get(&fold(&own(n))) == Some(&1));
        let mut taken = Taken::default();
        for n in single {
            places[n] = format!("{folder}{}", taken.file(&own(n)));
        }
        for n in several {
            let flat = safe(&labelled[n].0.path.replace('/', "__"));
            places[n] = format!("{folder}{}", taken.file(&flat));
        }
    }
    places
}

/// A line of `metadata.jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    file_name: &'a str,
    label: &'a str,
    path: &'a str,
    hash: &'a str,
}

/// What lies beside the class folders: which image is which.
fn lists(labelled: &[(&Row, &str)], places: &[String], layout: Layout) -> Vec<(String, String)> {
    match layout {
        Layout::Classes | Layout::Yolo => {
            let mut text = "file,class,path,split,hash\n".to_owned();
            for ((row, class), place) in labelled.iter().zip(places) {
                push_line(&mut text, [place.as_str(), class, &row.path, columns::split(row), &row.hash]);
            }
            vec![(LABELS.to_owned(), text)]
        }
        // Not CSV: a class called "01" or "NA" would be read as something else.
        Layout::HuggingFace => {
            let mut texts: BTreeMap<&str, String> = BTreeMap::new();
            for ((row, class), place) in labelled.iter().zip(places) {
                let part = part(row, layout);
                let file_name = place.strip_prefix(part).unwrap_or(place);
                let line = Line { file_name, label: class, path: &row.path, hash: &row.hash };
                let text = texts.entry(part).or_default();
                text.push_str(&json_lines::json(&line));
                text.push('\n');
            }
            texts.into_iter().map(|(part, text)| (format!("{part}metadata.jsonl"), text)).collect()
        }
    }
}
