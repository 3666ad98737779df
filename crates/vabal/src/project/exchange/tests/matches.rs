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
    ])
}

fn find(path: &str, content: Option<&str>) -> Found {
    let labels = csv::read("path,class\nx,y\n").unwrap();
    let hash = content.map(|content| sum(content.as_bytes()));
    index().find(&Record { path: path.into(), hash, ..labels.records[0].clone() })
}

#[test]
fn content_says_more_than_a_path_and_a_path_more_than_a_name() {
    use Found::{Ambiguous, Image, Unknown};
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
        ("elsewhere/b.png", None, Image(ImageId(2))),
        ("./x/b.png", None, Image(ImageId(2))),
        ("x\\b.png", None, Image(ImageId(2))),
        ("C:\\steel\\x\\y\\d.png", None, Image(ImageId(6))),
        ("/home/ada/steel/y/d.png", None, Image(ImageId(5))),
        ("/home/ada/steel/x/y/d.png", None, Image(ImageId(6))),
        ("c.png", None, Ambiguous(2)),
        ("z/d.png", None, Ambiguous(2)),
        ("z.png", None, Unknown),
        ("", None, Unknown),
        ("/", None, Unknown),
        ("https://example.org/x/c.png?token=1#top", None, Image(ImageId(3))),
        ("file:///home/x/c.png", None, Image(ImageId(3))),
        ("/data/upload/3/12345678-b.png", None, Image(ImageId(2))),
        ("/data/local-files/?d=steel/x/c.png", None, Image(ImageId(3))),
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
    let labels = csv::read("path,class\nx/b.png,c\nz/b.png,c\n").unwrap();
    assert_eq!(
        labels.records.iter().map(|r| index.find(r)).collect::<Vec<_>>(),
        [Found::Ambiguous(3), Found::Image(ImageId(3))]
    );
}

#[test]
fn what_a_project_does_not_have_is_listed_once_and_in_order() {
    let text =
        "path,class\na.png,new\nnone.png,crack\nnone.png,other\nc.png,crack\nx/b.png,newer\na.png,new\n";
    let labels = csv::read(text).unwrap();
    let plan = matching::plan(&labels, &index(), ["crack"]);
    assert_eq!(plan.unknown, ["none.png", "c.png"]);
    assert_eq!(plan.new_classes, [super::class("new"), super::class("newer")]);
    let answers: Vec<_> = plan.answers.iter().map(|(id, a)| (id.0, a.class.as_deref().unwrap())).collect();
    assert_eq!(answers, [(1, "new"), (2, "newer"), (1, "new")]);
    // Classes that a file lists come in its order, also those without a label.
    let text = "{\"vabal\":\"labels\",\"format\":1,\"classes\":[{\"name\":\"z\",\"key\":\"KeyZ\"},{\"name\":\"crack\"}]}\n";
    let plan = matching::plan(&json_lines::read(text).unwrap(), &index(), ["crack"]);
    assert_eq!(plan.new_classes, [Class { key: Some("KeyZ".into()), ..super::class("z") }]);
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
    let labels = csv::read(&text).unwrap();
    let plan = matching::plan(&labels, &index, ["a"]);
    assert_eq!((plan.answers.len(), plan.unknown.len()), (20_000, 20_001));
}
