//! Helpers for the tests of every reader, and the checks that all readers share.

use super::*;

/// `n` images of 1 × 1 pixel whose classes go round; image i has the path `CLASS/g{i / 3}_{i}.png`.
pub(super) fn small_set(counts: &[usize]) -> ImageSet {
    let labels: Vec<Label> =
        counts.iter().enumerate().flat_map(|(n, &count)| std::iter::repeat_n(n as Label, count)).collect();
    let paths = labels.iter().enumerate().map(|(i, n)| format!("{n}/g{}_{i}.png", i / 3).into()).collect();
    let classes = (0..counts.len()).map(|n| format!("class {n}")).collect();
    let shape = ImageShape { channels: 1, height: 1, width: 1 };
    ImageSet::new(Images::new(shape, vec![0; labels.len()], Origin::Paths(paths)).unwrap(), labels, classes)
        .unwrap()
}

/// The text of the error, which must be one.
pub(super) fn complaint<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("no error"),
        Err(error) => {
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        }
    }
}

/// Asserts that `text` holds every one of `parts`.
#[track_caller]
pub(super) fn assert_tells(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "\"{part}\" is not told by:\n{text}");
    }
}

#[test]
fn parts_that_do_not_fit_together_are_refused() {
    let shape = ImageShape { channels: 1, height: 2, width: 2 };
    let names = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>();
    let origin = |n| Origin::Records(vec![("a.bin".into(), n)]);
    let check = |shape, bytes, labels: &[Label], classes, expected: &str| {
        let result = Images::new(shape, vec![0; bytes], origin(2))
            .and_then(|images| ImageSet::new(images, labels.to_vec(), classes));
        assert_tells(&complaint(result), &[expected]);
    };
    check(shape, 7, &[0, 1], names(2), "do not fit together");
    check(shape, 8, &[0], names(2), "images and labels do not fit together");
    check(shape, 8, &[0, 2], names(2), "where: a.bin, record 1\n  expected: 0 to 1\n  got: 2");
    check(shape, 8, &[0, 0], names(1), "one class only");
    check(shape, 8, &[0, 1], vec!["a".into(), "a".into()], "two classes with the same name");
    check(ImageShape { channels: 2, ..shape }, 16, &[0, 1], names(2), "unsupported image shape");
    check(ImageShape { width: 0, ..shape }, 0, &[0, 1], names(2), "unsupported image shape");
}

#[test]
fn an_image_knows_its_file_and_record() {
    let shape = ImageShape { channels: 1, height: 1, width: 1 };
    let origin = Origin::Records(vec![("a.bin".into(), 2), ("b.bin".into(), 1)]);
    let classes = vec!["x".into(), "y".into()];
    let set =
        ImageSet::new(Images::new(shape, vec![5, 6, 7], origin).unwrap(), vec![0, 1, 1], classes).unwrap();
    let sources: Vec<_> = (0..3).map(|id| set.images().source(id)).collect();
    assert_eq!(sources, ["a.bin, record 0", "a.bin, record 1", "b.bin, record 0"]);
    assert_eq!(set.images().pixels(2), [7]);
}

#[test]
fn a_class_without_an_image_in_the_pool_is_named() {
    let set = DataSet { name: "set".into(), items: small_set(&[2, 2]), pool: vec![0, 1], test: vec![2] };
    assert_tells(&complaint(set.check()), &["a class with no image", "\"class 1\""]);
}

#[test]
fn a_shape_that_no_memory_holds_is_refused_without_overflow() {
    let shape = ImageShape { channels: 3, height: 1 << 40, width: 1 << 40 };
    assert_eq!(shape.bytes(), usize::MAX);
    let images = Images::new(shape, vec![0; 7], Origin::Records(vec![("f".into(), 1)]));
    assert!(images.unwrap_err().to_string().contains("do not fit together"));
}
