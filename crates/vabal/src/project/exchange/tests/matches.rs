//! Which image a line means.

use super::super::*;
use super::sum;
use crate::project::ImageId;

fn index() -> Index<'static> {
    let hash = |name: &str| -> &'static str { Box::leak(sum(name.as_bytes()).into_boxed_str()) };
    Index::new([
        (ImageId(1), "a.png", hash("1")),
        (ImageId(2), "x/b.png", hash("2")),
        (ImageId(3), "x/c.png", hash("same")),
        (ImageId(4), "y/c.png", hash("same")),
        (ImageId(5), "y/d.png", hash("5")),
        (ImageId(6), "x/y/d.png", hash("6")),
        (ImageId(7), "e f.png", hash("7")),
        (ImageId(8), "x/café.PNG", hash("8")),
    ])
    .inside("steel")
}

fn find(path: &str, content: Option<&str>) -> Found {
    let labels = csv::read("path,class\nx,y\n", &Reading::default()).unwrap();
    let hash = content.map(|content| sum(content.as_bytes()));
    index().find(&Record { path: path.into(), hash, ..labels.records[0].clone() })
}

#[test]
fn content_says_more_than_a_path_and_a_path_more_than_a_name() {
    use Found::{Ambiguous, Image, Named, Unknown};
    for (path, content, found) in [
        ("a.png", None, Image(ImageId(1))),
        ("a.png", Some("1"), Image(ImageId(1))),
        // Two files that were exchanged.
        ("a.png", Some("2"), Image(ImageId(2))),
        // A file whose content was changed since.
        ("a.png", Some("new"), Image(ImageId(1))),
        ("elsewhere/z.png", Some("5"), Image(ImageId(5))),
        ("elsewhere/c.png", Some("same"), Image(ImageId(3))),
        ("y/c.png", Some("same"), Image(ImageId(4))),
        // A name is not enough where the content is known to be another.
        ("elsewhere/b.png", Some("new"), Unknown),
        ("elsewhere/b.png", None, Named(ImageId(2))),
        ("b.png", None, Image(ImageId(2))),
        ("./x/b.png", None, Image(ImageId(2))),
        ("x\\b.png", None, Image(ImageId(2))),
        ("C:\\steel\\x\\y\\d.png", None, Image(ImageId(6))),
        ("/home/ada/steel/y/d.png", None, Image(ImageId(5))),
        ("/home/ada/steel/x/y/d.png", None, Image(ImageId(6))),
        ("c.png", None, Ambiguous(2)),
        ("z/d.png", None, Ambiguous(2)),
        // Its name is not its folder, and x/y/d.png ends with y/d.png alone.
        ("z/b.png", None, Named(ImageId(2))),
        ("z/a.png", None, Named(ImageId(1))),
        // The folder of images by its name.
        ("z/steel/a.png", None, Image(ImageId(1))),
        ("/steel/steel/a.png", None, Image(ImageId(1))),
        ("/home/x/steel2/a.png", None, Named(ImageId(1))),
        ("z.png", None, Unknown),
        ("", None, Unknown),
        ("/", None, Unknown),
        ("https://example.org/x/c.png?token=1#top", None, Image(ImageId(3))),
        ("file:///home/x/c.png", None, Image(ImageId(3))),
        ("file:///home/steel/e%20f.png", None, Image(ImageId(7))),
        ("file://localhost/home/steel/e%20f.png", None, Image(ImageId(7))),
        ("file:///C:/steel/x/caf%C3%A9.PNG", None, Image(ImageId(8))),
        ("x/cafe\u{301}.PNG", None, Image(ImageId(8))),
        // Another case of the ending, and none.
        ("x/café.png", None, Image(ImageId(8))),
        ("a", None, Image(ImageId(1))),
        ("x/b", None, Image(ImageId(2))),
        ("c", None, Ambiguous(2)),
        ("a.jpg", None, Unknown),
        ("/data/upload/3/12345678-b.png", None, Image(ImageId(2))),
        ("/data/local-files/?d=steel/x/c.png", None, Image(ImageId(3))),
        ("/data/local-files/?d=steel%5Cx%5Cc.png", None, Image(ImageId(3))),
        ("/data/local-files/?d=steel\\x\\c.png", None, Image(ImageId(3))),
        ("/data/local-files/?d=other%5Cb.png", None, Named(ImageId(2))),
        ("B.png", None, Unknown),
        // Only uploads lose their spaces.
        ("e_f.png", None, Unknown),
        ("/data/upload/3/12345678-e_f.png", None, Image(ImageId(7))),
    ] {
        assert_eq!(find(path, content), found, "{path}, {content:?}");
    }
}

#[test]
fn one_path_that_ends_several_is_none_of_them() {
    let index = Index::new([
        (ImageId(1), "p/x/b.png", "1"),
        (ImageId(2), "q/x/b.png", "2"),
        (ImageId(3), "q/z/b.png", "3"),
    ]);
    let labels = csv::read("path,class\nx/b.png,c\nz/b.png,c\n", &Reading::default()).unwrap();
    assert_eq!(
        labels.records.iter().map(|r| index.find(r)).collect::<Vec<_>>(),
        [Found::Ambiguous(3), Found::Image(ImageId(3))]
    );
}

#[test]
fn two_paths_that_would_be_one_image_by_their_ends_are_of_neither() {
    let said = |text: &str, by_name: bool| {
        let labels = csv::read(&format!("path,class\n{text}"), &Reading::default()).unwrap();
        let found = plan(&labels, &index().by_name(by_name), [], "eve");
        let unknown: Vec<String> = found.unknown.iter().map(ToString::to_string).collect();
        (found.answers.iter().map(|one| one.image.0).collect::<Vec<_>>(), unknown.join("; "))
    };
    let neither = "train/x/b.png: would be x/b.png, as val/x/b.png would; val/x/b.png: would be x/b.png, as train/x/b.png would";
    let text = "train/x/b.png,c\nval/x/b.png,c\ntrain/x/b.png,c\n";
    assert_eq!(said(text, false), (vec![], neither.to_owned()));
    assert_eq!(said(text, true), (vec![2, 2, 2], String::new()));
    // Two uploads of one name are of two files.
    let uploads = "/data/upload/1/12345678-b.png,c\n/data/upload/1/87654321-b.png,c\n";
    assert_eq!(said(uploads, false).0, Vec::<i64>::new());
    // One that says so itself is used.
    assert_eq!(said("x/b.png,c\nval/x/b.png,c\n/any/steel/x/b.png,c\n", false).0, [2, 2]);
    assert_eq!(
        said("train/a.png,c\nval/b.png,c\n", false),
        (
            vec![],
            "train/a.png: only its name is that of a.png; val/b.png: only its name is that of x/b.png".into()
        )
    );
    assert_eq!(said("train/a.png,c\nval/b.png,c\n", true), (vec![1, 2], String::new()));
}

#[test]
fn names_that_differ_in_how_their_letters_are_written_are_told_apart_by_that() {
    let index = Index::new([(ImageId(1), "é.png", "1"), (ImageId(2), "e\u{301}.png", "2")]);
    let labels = csv::read("path,class\ne\u{301}.png,c\né.png,c\nx/é.png,c\n", &Reading::default()).unwrap();
    let found: Vec<Found> = labels.records.iter().map(|record| index.find(record)).collect();
    assert_eq!(found, [Found::Image(ImageId(2)), Found::Image(ImageId(1)), Found::Ambiguous(2)]);
}

#[test]
fn what_a_project_does_not_have_is_listed_once_and_in_order() {
    let text =
        "path,class\na.png,new\nnone.png,crack\nnone.png,other\nc.png,crack\nx/b.png,newer\na.png,new\n";
    let labels = csv::read(text, &Reading::default()).unwrap();
    let found = plan(&labels, &index(), ["crack"], "eve");
    let unknown: Vec<String> = found.unknown.iter().map(ToString::to_string).collect();
    assert_eq!(unknown, ["none.png", "c.png: may be any of 2 images"]);
    assert_eq!(found.new_classes, [super::class("new"), super::class("newer")]);
    let answers: Vec<_> =
        found.answers.iter().map(|one| (one.image.0, one.answer.class.as_deref().unwrap())).collect();
    assert_eq!(answers, [(1, "new"), (2, "newer"), (1, "new")]);
    // Classes that a file lists come in its order, also those without a label.
    let text = "{\"vabal\":\"labels\",\"format\":1,\"classes\":[{\"name\":\"z\",\"key\":\"KeyZ\"},{\"name\":\"crack\"}]}\n";
    let found = plan(&json_lines::read(text, &Reading::default()).unwrap(), &index(), ["crack"], "eve");
    assert_eq!(found.new_classes, [Class { key: Some("KeyZ".into()), ..super::class("z") }]);
}

#[test]
fn a_hundred_thousand_images_of_one_name_are_found_quickly() {
    let paths: Vec<String> = (0..100_000).map(|n| format!("{n}/image.png")).collect();
    let index = Index::new(paths.iter().enumerate().map(|(n, path)| (ImageId(n as i64), path.as_str(), "")));
    let mut text = "path,class\n".to_owned();
    text.push_str(&format!("{},a\n", "/a".repeat(16_000)));
    for n in 0..20_000 {
        text.push_str(&format!("/data/steel/{n}/image.png,a\nnowhere/{n}x/image.png,a\n"));
    }
    let labels = csv::read(&text, &Reading::default()).unwrap();
    let found = plan(&labels, &index, ["a"], "eve");
    assert_eq!((found.answers.len(), found.unknown.len()), (20_000, 20_001));
}
