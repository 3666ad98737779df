//! Which image of a project a file means: by content, by path, by name.
//!
//! Never here: reading files, storing answers.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::{Answer, Labels, Record};
use crate::project::ImageId;

/// The images of a project, to be found by what a file says of them.
#[derive(Debug)]
pub struct Index<'a> {
    /// Ids, paths and sums, sorted by path.
    images: Vec<(ImageId, &'a str, &'a str)>,
    by_path: HashMap<&'a str, usize>,
    by_hash: HashMap<&'a str, Vec<usize>>,
    by_name: HashMap<&'a str, Vec<usize>>,
    /// Of names that Label Studio changes when they are uploaded, by what it makes of them.
    by_uploaded: HashMap<String, Vec<usize>>,
    /// Paths the other way round, sorted.
    backwards: Vec<(String, usize)>,
}

/// What is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// One image.
    Image(ImageId),
    /// Several images that it could be, so many.
    Ambiguous(usize),
    /// None.
    Unknown,
}

impl<'a> Index<'a> {
    /// Of images: id, path below the image folder with `/`, SHA-256 as 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn new(images: impl IntoIterator<Item = (ImageId, &'a str, &'a str)>) -> Self {
        let mut images: Vec<_> = images.into_iter().collect();
        images.sort_by_key(|&(_, path, _)| path);
        let mut index = Self {
            images: Vec::new(),
            by_path: HashMap::with_capacity(images.len()),
            by_hash: HashMap::with_capacity(images.len()),
            by_name: HashMap::with_capacity(images.len()),
            by_uploaded: HashMap::new(),
            backwards: images.iter().enumerate().map(|(n, (_, path, _))| (backwards(path), n)).collect(),
        };
        index.backwards.sort();
        for (n, &(_, path, hash)) in images.iter().enumerate() {
            index.by_path.insert(path, n);
            index.by_hash.entry(hash).or_default().push(n);
            index.by_name.entry(name(path)).or_default().push(n);
            let uploaded = uploaded(name(path));
            if uploaded != name(path) {
                index.by_uploaded.entry(uploaded.into_owned()).or_default().push(n);
            }
        }
        index.images = images;
        index
    }

    /// The image that a line means. In this order: the path, if the content is the same or the line says nothing of
    /// it; the content, wherever it is now; the path; the end of the path from a folder on, where one is the end
    /// of the other; the file's name, where only one image has it. Names are not looked at where a line says a
    /// content that the project does not have.
    #[must_use]
    pub fn find(&self, record: &Record) -> Found {
        let path = self.by_path.get(record.path.as_str()).copied();
        if let Some(hash) = &record.hash {
            let same = self.by_hash.get(hash.as_str()).map_or(&[][..], Vec::as_slice);
            let still = path.filter(|&n| self.images[n].2 == hash);
            if let Some(n) = still.or_else(|| self.one_of(same, &record.path)) {
                return self.image(n);
            }
        }
        if let Some(n) = path {
            return self.image(n);
        }
        let ways = ways(&record.path);
        if let Some(n) = ways.iter().find_map(|way| self.by_path.get(way.as_ref())) {
            return self.image(*n);
        }
        if record.hash.is_some() {
            return Found::Unknown;
        }
        let mut most = 0;
        for way in &ways {
            if let Some(n) = self.by_end(way) {
                return self.image(n);
            }
            let named = self.by_name.get(name(way)).map_or(&[][..], Vec::as_slice);
            match named {
                [n] => return self.image(*n),
                _ => most = most.max(named.len()),
            }
            if !is_upload(&record.path) {
                continue;
            }
            let named = self.by_uploaded.get(name(way)).map_or(&[][..], Vec::as_slice);
            match named {
                [n] if most == 0 => return self.image(*n),
                _ => most = most.max(named.len()),
            }
        }
        if most == 0 { Found::Unknown } else { Found::Ambiguous(most) }
    }

    fn image(&self, n: usize) -> Found {
        Found::Image(self.images[n].0)
    }

    /// The image whose path ends as this one from a folder on: the longest that this one ends with, else the
    /// only one that ends with this one.
    fn by_end(&self, path: &str) -> Option<usize> {
        // From the name leftwards; the first of these is the name alone.
        let ends: Vec<usize> = path.rmatch_indices('/').map(|(slash, _)| slash + 1).take(DEEPEST).collect();
        let longest_first = ends.iter().skip(1).rev();
        if let Some(n) = longest_first.map(|&end| &path[end..]).find_map(|end| self.by_path.get(end)) {
            return Some(*n);
        }
        if ends.is_empty() {
            return None;
        }
        let end = backwards(path) + "/";
        let first = self.backwards.partition_point(|(other, _)| *other < end);
        let mut longer = self.backwards[first..].iter().take_while(|(other, _)| other.starts_with(&end));
        match (longer.next(), longer.next()) {
            (Some((_, n)), None) => Some(*n),
            _ => None,
        }
    }

    /// Of images of one content, the one with this name, else the first: it does not matter much, so not all of
    /// very many are looked at.
    fn one_of(&self, same: &[usize], path: &str) -> Option<usize> {
        let named = same.iter().take(MOST_SAME).find(|&&n| name(self.images[n].1) == name(path));
        named.or(same.first()).copied()
    }
}

/// Folders of a path that are looked at, from the file on.
const DEEPEST: usize = 64;
/// Images of one content whose names are looked at.
const MOST_SAME: usize = 1000;

/// Whether this is an address of a file that was uploaded to Label Studio.
fn is_upload(path: &str) -> bool {
    path.contains("/data/upload/") || path.starts_with("data/upload/")
}

/// The last part of a path.
fn name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// A path with its letters the other way round, so that ends are beginnings.
fn backwards(path: &str) -> String {
    path.chars().rev().collect()
}

/// What a path or address of a file may be in a project, best first.
fn ways(path: &str) -> Vec<Cow<'_, str>> {
    let mut ways: Vec<Cow<'_, str>> = Vec::new();
    let file = path.strip_prefix("file://");
    if let Some((_, query)) = path.split_once("/data/local-files/?d=") {
        ways.push(decode(query.split('&').next().unwrap_or_default()).into());
    } else if let Some((_, rest)) = path.split_once("://").filter(|_| file.is_none()) {
        let end = rest.find(['?', '#']).unwrap_or(rest.len());
        let rest = &rest[..end];
        ways.push(decode(rest.split_once('/').map_or("", |(_, path)| path)).into());
    } else {
        let path = file.unwrap_or(path).replace('\\', "/");
        let mut rest = path.as_str();
        while let Some(shorter) = rest.strip_prefix("./").or_else(|| rest.strip_prefix('/')) {
            rest = shorter;
        }
        ways.push(rest.to_owned().into());
    }
    // An upload: /data/upload/PROJECT/8 digits-NAME.
    if is_upload(path) {
        let uploaded = name(path);
        if let Some((digits, rest)) = uploaded.split_at_checked(8)
            && let Some(rest) = rest.strip_prefix('-')
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            ways.push(decode(rest).into());
        }
    }
    ways
}

/// What Label Studio makes of a file's name: spaces become `_`, and only letters, digits and `-_.` stay.
fn uploaded(name: &str) -> Cow<'_, str> {
    let good = |letter: char| letter.is_alphanumeric() || ['-', '_', '.'].contains(&letter);
    match name.chars().all(good) {
        true => name.into(),
        false => {
            name.trim().replace(' ', "_").chars().filter(|&letter| good(letter)).collect::<String>().into()
        }
    }
}

/// Percent-decoded; as it is where that gives no text.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.first_chunk::<2>().and_then(|two| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            Some((digit(two[0])? * 16 + digit(two[1])?) as u8)
        });
        match digits.filter(|_| byte == b'%') {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// What is to be stored of a file, and what cannot be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Answers for images of the project, in the order in which they were given. Their numbers, and those that an undo
    /// names, are the file's.
    pub answers: Vec<(ImageId, Answer)>,
    /// Images that the project does not have, or has several of, as the file calls them, each once.
    pub unknown: Vec<String>,
    /// Classes that the project does not have: those the file lists first, then in the order of the answers,
    /// also those that were only suggested.
    pub new_classes: Vec<super::Class>,
}

/// Finds the image of every answer. `known` are the classes of the project.
#[must_use]
pub fn plan<'a>(labels: &Labels, images: &Index<'_>, known: impl IntoIterator<Item = &'a str>) -> Plan {
    let mut plan = Plan::default();
    let mut classes: HashSet<&str> = known.into_iter().collect();
    let mut unknown: HashSet<&str> = HashSet::new();
    for class in &labels.classes {
        if classes.insert(&class.name) {
            plan.new_classes.push(class.clone());
        }
    }
    for record in &labels.records {
        let Found::Image(id) = images.find(record) else {
            if unknown.insert(&record.path) {
                plan.unknown.push(record.path.clone());
            }
            continue;
        };
        let named = [&record.answer.class, &record.answer.suggested];
        for class in named.into_iter().flatten().filter(|class| classes.insert(class)) {
            plan.new_classes.push(super::Class { name: class.clone(), key: None, colour: None });
        }
        plan.answers.push((id, record.answer.clone()));
    }
    plan
}
