//! Which image of a project a file means: by content, by path, by name.
//!
//! Never here: reading files, storing answers.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::path::Path;

use super::Record;
use crate::data::walk::claims;
use crate::project::ImageId;
use crate::project::names::composed;

/// The images of a project, to be found by what a file says of them.
#[derive(Debug)]
pub struct Index<'a> {
    /// Ids, paths and sums, sorted by path.
    images: Vec<(ImageId, &'a str, &'a str)>,
    by_hash: HashMap<&'a str, Vec<usize>>,
    by_id: HashMap<ImageId, usize>,
    /// The name of the folder that they are in.
    folder: &'a str,
    /// Whether a name is enough where the folders before it differ.
    by_name: bool,
    /// By spelling, made when first needed.
    names: [OnceCell<Names>; SPELLINGS.len()],
}

/// How closely a path is compared, always in Unicode's normal form NFC.
#[derive(Debug, Clone, Copy)]
enum Spelling {
    Exact,
    /// `.PNG` is `.png`.
    EndingInAnyCase,
    /// `1` is `1.png`.
    WithoutEnding,
}

const SPELLINGS: [Spelling; 3] = [Spelling::Exact, Spelling::EndingInAnyCase, Spelling::WithoutEnding];

/// The images of a project by their paths in one spelling.
#[derive(Debug, Default)]
struct Names {
    by_path: HashMap<String, Few>,
    by_name: HashMap<String, Few>,
    /// Of names that Label Studio changes when they are uploaded, by what it makes of them.
    by_uploaded: HashMap<String, Few>,
    /// Paths the other way round, sorted.
    backwards: Vec<(String, usize)>,
}

/// The first of several images, and how many there are.
#[derive(Debug, Clone, Copy)]
struct Few {
    first: usize,
    count: usize,
}

/// What is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// One image.
    Image(ImageId),
    /// Several images that it could be, so many.
    Ambiguous(usize),
    /// An image in another folder, which has this name.
    Named(ImageId),
    /// None.
    Unknown,
}

impl<'a> Index<'a> {
    /// Of images: id, path below the image folder with `/`, SHA-256 as 64 lower-case hexadecimal
    /// digits.
    #[must_use]
    pub fn new(images: impl IntoIterator<Item = (ImageId, &'a str, &'a str)>) -> Self {
        let mut images: Vec<_> = images.into_iter().collect();
        images.sort_by_key(|&(_, path, _)| path);
        let mut by_hash: HashMap<&str, Vec<usize>> = HashMap::with_capacity(images.len());
        for (n, &(_, _, hash)) in images.iter().enumerate() {
            by_hash.entry(hash).or_default().push(n);
        }
        let by_id = images.iter().enumerate().map(|(n, image)| (image.0, n)).collect();
        let names = [const { OnceCell::new() }; SPELLINGS.len()];
        Self { images, by_hash, by_id, folder: "", by_name: false, names }
    }

    /// With the name of the folder that the images are in: what follows it in a path is a path
    /// below it.
    #[must_use]
    pub fn inside(self, folder: &'a str) -> Self {
        Self { folder, ..self }
    }

    /// Whether a file's name is enough where the folders before it are others.
    #[must_use]
    pub fn by_name(self, by_name: bool) -> Self {
        Self { by_name, ..self }
    }

    /// The image that a line means. In this order: the path, if the content is the same or the line
    /// says nothing of it; the content, wherever it is now; the path, also behind the name of the
    /// image folder; the end of the path from a folder on, where one is the end of the other; a
    /// name without folders, where only one image has it; then the same again with another case of
    /// the ending, and for names without an ending. Names are not looked at where a line says a
    /// content that the project does not have.
    #[must_use]
    pub fn find(&self, record: &Record) -> Found {
        self.look(&record.path, record.hash.as_deref()).0
    }

    /// [`Index::find`], and whether the path itself says so: two paths that are one image by their
    /// ends may be of two images, one of which the project does not have.
    pub(super) fn look(&self, stated: &str, hash: Option<&str>) -> (Found, bool) {
        let exact = |path: &str| {
            let n = self.images.partition_point(|&(_, other, _)| other < path);
            self.images.get(n).is_some_and(|&(_, other, _)| other == path).then_some(n)
        };
        let path = exact(stated);
        if let Some(hash) = hash {
            let same = self.by_hash.get(hash).map_or(&[][..], Vec::as_slice);
            let still = path.filter(|&n| self.images[n].2 == hash);
            if let Some(n) = still.or_else(|| self.one_of(same, stated)) {
                return (self.image(n), true);
            }
        }
        if let Some(n) = path {
            return (self.image(n), true);
        }
        let ways = ways(stated);
        for way in ways.iter().filter(|way| !way.is_upload) {
            let sure = exact(&way.path).or_else(|| self.whole(Spelling::Exact, &way.path));
            if let Some(n) = sure {
                return (self.image(n), true);
            }
        }
        if hash.is_some() {
            return (Found::Unknown, false);
        }
        let mut named: Option<Few> = None;
        for spelling in SPELLINGS {
            if matches!(spelling, Spelling::WithoutEnding)
                && ways.iter().any(|way| claims(Path::new(&way.path)))
            {
                continue;
            }
            let mut most = 0;
            for way in &ways {
                let found = match self.near(spelling, way, &mut named) {
                    Some(Few { first, count: 1 }) => first,
                    Some(Few { count, .. }) => {
                        most = most.max(count);
                        continue;
                    }
                    None => continue,
                };
                return (self.image(found), false);
            }
            if most > 0 {
                return (Found::Ambiguous(most), false);
            }
        }
        let found = match named {
            None => Found::Unknown,
            Some(Few { first, count: 1 }) if self.by_name => self.image(first),
            Some(Few { first, count: 1 }) => Found::Named(self.images[first].0),
            Some(Few { count, .. }) => Found::Ambiguous(count),
        };
        (found, false)
    }

    fn image(&self, n: usize) -> Found {
        Found::Image(self.images[n].0)
    }

    fn names(&self, spelling: Spelling) -> &Names {
        self.names[spelling as usize].get_or_init(|| Names::new(&self.images, spelling))
    }

    /// The image of this path, also where the path goes through the image folder.
    fn whole(&self, spelling: Spelling, path: &str) -> Option<usize> {
        let names = self.names(spelling);
        let path = spelling.of(path);
        let behind = path.match_indices('/').take(DEEPEST).filter_map(|(slash, _)| {
            let before = &path[..slash];
            let folder = before.strip_suffix(self.folder)?;
            (!self.folder.is_empty() && (folder.is_empty() || folder.ends_with('/')))
                .then(|| &path[slash + 1..])
        });
        let mut all = std::iter::once(&*path).chain(behind);
        all.find_map(|path| names.by_path.get(path)).filter(|few| few.count == 1).map(|few| few.first)
    }

    /// Images that a path in one spelling may be; `named` are those that have only its name.
    fn near(&self, spelling: Spelling, way: &Way, named: &mut Option<Few>) -> Option<Few> {
        let names = self.names(spelling);
        let path = spelling.of(&way.path);
        if let Some(first) = self.whole(spelling, &way.path).or_else(|| self.by_end(names, &path)) {
            return Some(Few { first, count: 1 });
        }
        let own = name(&path);
        let mut few = names.by_name.get(own).copied();
        if few.is_none() && way.is_upload {
            few = names.by_uploaded.get(own).copied();
        }
        if path.contains('/') {
            *named = named.or(few);
            return None;
        }
        few
    }

    /// The image whose path ends as this one from a folder on: the longest that this one ends with,
    /// else the only one that ends with this one.
    fn by_end(&self, names: &Names, path: &str) -> Option<usize> {
        // From the name leftwards; the first of these is the name alone.
        let ends: Vec<usize> = path.rmatch_indices('/').map(|(slash, _)| slash + 1).take(DEEPEST).collect();
        let longest_first = ends.iter().skip(1).rev();
        let found = longest_first.map(|&end| &path[end..]).find_map(|end| names.by_path.get(end));
        if let Some(few) = found.filter(|few| few.count == 1) {
            return Some(few.first);
        }
        if ends.is_empty() {
            return None;
        }
        let end = backwards(path) + "/";
        let first = names.backwards.partition_point(|(other, _)| *other < end);
        let mut longer = names.backwards[first..].iter().take_while(|(other, _)| other.starts_with(&end));
        match (longer.next(), longer.next()) {
            (Some((_, n)), None) => Some(*n),
            _ => None,
        }
    }

    /// Of images of one content, the one with this name, else the first: it does not matter much,
    /// so not all of very many are looked at.
    fn one_of(&self, same: &[usize], path: &str) -> Option<usize> {
        let named = same.iter().take(MOST_SAME).find(|&&n| name(self.images[n].1) == name(path));
        named.or(same.first()).copied()
    }

    /// The path of an image in the project.
    pub(super) fn path_of(&self, id: ImageId) -> &str {
        self.by_id.get(&id).map_or("", |&n| self.images[n].1)
    }

    /// Whether a name is enough.
    pub(super) fn is_by_name(&self) -> bool {
        self.by_name
    }
}

impl Names {
    fn new(images: &[(ImageId, &str, &str)], spelling: Spelling) -> Self {
        let mut names = Self::default();
        let add = |map: &mut HashMap<String, Few>, key: &str, n: usize| match map.get_mut(key) {
            Some(few) => few.count += 1,
            None => _ = map.insert(key.to_owned(), Few { first: n, count: 1 }),
        };
        for (n, (_, path, _)) in images.iter().enumerate() {
            let path = spelling.of(path);
            add(&mut names.by_path, &path, n);
            add(&mut names.by_name, name(&path), n);
            let uploaded = uploaded(name(&path));
            if uploaded != name(&path) {
                add(&mut names.by_uploaded, &uploaded, n);
            }
            names.backwards.push((backwards(&path), n));
        }
        names.backwards.sort();
        names
    }
}

impl Spelling {
    /// A path in this spelling.
    fn of(self, path: &str) -> Cow<'_, str> {
        let path = composed(path);
        let stem = path.len() - name(&path).len() + name(&path).rfind('.').unwrap_or(name(&path).len());
        match self {
            Self::Exact => path,
            Self::EndingInAnyCase => (path[..stem].to_owned() + &path[stem..].to_lowercase()).into(),
            Self::WithoutEnding if claims(Path::new(&*path)) => path[..stem].to_owned().into(),
            Self::WithoutEnding => path,
        }
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

/// What a path or address of a file may be in a project.
struct Way {
    path: String,
    /// Of an upload only the name is known.
    is_upload: bool,
}

/// What a path or address of a file may be in a project, best first.
fn ways(path: &str) -> Vec<Way> {
    let plain = |path: &str| -> String {
        let path = path.replace('\\', "/");
        let mut rest = path.as_str();
        while let Some(shorter) = rest.strip_prefix("./").or_else(|| rest.strip_prefix('/')) {
            rest = shorter;
        }
        rest.to_owned()
    };
    // An upload: /data/upload/PROJECT/8 digits-NAME.
    if is_upload(path) {
        let own = name(path);
        let stripped = own.split_at_checked(8).and_then(|(digits, rest)| {
            let rest = rest.strip_prefix('-')?;
            digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(rest)
        });
        let names = [Some(own.to_owned()), stripped.map(decode)];
        return names.into_iter().flatten().map(|path| Way { path, is_upload: true }).collect();
    }
    let mut ways = Vec::new();
    if let Some((_, query)) = path.split_once("/data/local-files/?d=") {
        ways.push(plain(&decode(query.split('&').next().unwrap_or_default())));
    } else if let Some(file) = path.strip_prefix("file://") {
        // As an address, else as somebody wrote it who did not encode it.
        ways.extend([plain(&decode(file)), plain(file)]);
    } else if let Some((_, rest)) = path.split_once("://") {
        let end = rest.find(['?', '#']).unwrap_or(rest.len());
        let rest = &rest[..end];
        ways.push(decode(rest.split_once('/').map_or("", |(_, path)| path)));
    } else {
        ways.push(plain(path));
    }
    ways.into_iter().map(|path| Way { path, is_upload: false }).collect()
}

/// What Label Studio makes of a file's name: spaces become `_`, and only letters, digits and `-_.`
/// stay.
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
