//! Tests of the store, and the small projects that they work on.

mod asking;
mod crash;
mod import;
mod learn;
mod listing;
mod map;
mod model;
mod rounds;
mod status;
mod store;
mod suggesting;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::Label;
use crate::progress::silent;

/// A folder with images, and a project of them beside.
pub(super) struct Place {
    folder: TempDir,
}

impl Place {
    /// With `n` images of as many contents, not imported.
    pub fn new(n: u8) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        for k in 0..n {
            place.draw(&format!("{k:03}.png"), k);
        }
        fs::create_dir_all(place.images()).unwrap();
        place
    }

    pub fn images(&self) -> PathBuf {
        self.folder.path().join("images")
    }

    pub fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// Writes a picture that looks unlike those of other numbers.
    pub fn draw(&self, name: &str, k: u8) {
        let path = self.images().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        picture(k).save(path).unwrap();
    }

    /// The project with these settings over the defaults, and classes a, b, c, d; everything
    /// imported.
    pub fn made(&self, settings: Settings) -> Project {
        let classes = ["a", "b", "c", "d"].map(str::to_string);
        let mut project = Project::create(&self.project(), &self.images(), &classes, settings).unwrap();
        project.import(&mut silent()).unwrap();
        // What a power cut would do is not tested: nothing need reach the disk.
        quick(&project);
        project
    }

    pub fn open(&self) -> Project {
        let project = Project::open(&self.project()).unwrap();
        quick(&project);
        project
    }
}

pub(super) fn quick(project: &Project) {
    project.connection.pragma_update(None, "synchronous", "OFF").unwrap();
}

pub(super) fn picture(k: u8) -> image::GrayImage {
    let mut bits = u64::from(k).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits ^= bits >> 29;
    image::GrayImage::from_fn(9, 8, |x, y| {
        image::Luma([if bits >> ((x + 8 * y) % 64) & 1 == 1 { 240 } else { k }])
    })
}

// Tests write numbers of images as they are.
impl From<i64> for ImageId {
    fn from(number: i64) -> Self {
        Self(number)
    }
}

impl PartialEq<i64> for ImageId {
    fn eq(&self, number: &i64) -> bool {
        self.0 == *number
    }
}

/// No image of the holdout.
pub(super) fn plain() -> Settings {
    Settings { holdout: 0.0, ..Settings::default() }
}

pub(super) fn one(
    person: &str,
    token: &str,
    image: impl Into<ImageId>,
    act: Act,
    class: Option<Label>,
) -> Answers {
    Answers {
        person: person.into(),
        token: token.into(),
        answers: vec![Answer { image: image.into(), act, class, seconds: None, suggested: None }],
        duplicates: false,
        source: Source::Page,
    }
}

pub(super) fn label(
    project: &mut Project,
    person: &str,
    image: impl Into<ImageId>,
    class: Label,
) -> Answered {
    let rows: i64 =
        project.connection.query_row("SELECT count(*) FROM answers", [], |row| row.get(0)).unwrap();
    project.answer(&one(person, &format!("t{rows}"), image, Act::Label, Some(class))).unwrap()
}

pub(super) fn ids(images: &[Image]) -> Vec<ImageId> {
    images.iter().map(|image| image.id).collect()
}

pub(super) fn by_path(project: &Project) -> BTreeMap<String, Image> {
    let page = project.list(&ListQuery { limit: Some(1000), ..ListQuery::default() }).unwrap();
    page.images.into_iter().map(|image| (image.path.clone(), image)).collect()
}

/// All that is kept beside the answers is what follows from them.
pub(super) fn check_kept(project: &Project) {
    let sql = &project.connection;
    let empty = |query: &str| {
        let rows: i64 =
            sql.query_row(&format!("SELECT count(*) FROM ({query})"), [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{query}");
    };
    let states = "SELECT image, state, class, at, answers FROM";
    empty(&format!("{states} states EXCEPT {states} current"));
    empty(&format!("{states} current EXCEPT {states} states"));
    let tally = "SELECT holdout, missing, coalesce(state, 'open'), coalesce(class, -1), count(*)
                 FROM images LEFT JOIN states USING (image) GROUP BY 1, 2, 3, 4";
    empty(&format!("SELECT * FROM tally WHERE n <> 0 EXCEPT {tally}"));
    empty(&format!("SELECT * FROM ({tally}) EXCEPT SELECT * FROM tally"));
    empty(
        "SELECT 1 FROM images AS i WHERE ask <> (NOT EXISTS (SELECT 1 FROM states AS s WHERE s.image = i.image)
         AND NOT EXISTS (SELECT 1 FROM images AS d JOIN states AS t USING (image)
             WHERE d.hash = i.hash AND t.state = 'labelled'))",
    );
    empty("SELECT 1 FROM images GROUP BY hash HAVING count(DISTINCT holdout) > 1");
    let counts = project.counts().unwrap();
    let states =
        [counts.open, counts.labelled, counts.later, counts.unsure, counts.discarded, counts.conflict];
    assert_eq!(counts.images, states.iter().sum::<usize>());
    let all: usize = sql.query_row("SELECT count(*) FROM images", [], |row| row.get(0)).unwrap();
    assert_eq!(all, counts.images + counts.missing);
}

pub(super) fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
