//! Small IDX files, plain and gzipped, whole and torn.

use std::fs;
use std::io::Write;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::tests::{assert_tells, complaint};
use super::*;
use crate::progress::silent;

fn file(dimensions: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    bytes.extend(dimensions.iter().flat_map(|dimension| dimension.to_be_bytes()));
    bytes.extend_from_slice(values);
    bytes
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Four images of 2 × 3 pixels for training, one for testing, three classes.
fn folder(suffix: &str, pack: impl Fn(&[u8]) -> Vec<u8>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        fs::write(folder.path().join(format!("{name}{suffix}")), pack(content)).unwrap();
    };
    let pixels: Vec<u8> = (0..24).collect();
    write("train-images-idx3-ubyte", &file(&[4, 2, 3], &pixels));
    write("train-labels-idx1-ubyte", &file(&[4], &[0, 1, 2, 1]));
    write("t10k-images-idx3-ubyte", &file(&[1, 2, 3], &[9; 6]));
    write("t10k-labels-idx1-ubyte", &file(&[1], &[2]));
    folder
}

fn read_folder(folder: &TempDir) -> Result<DataSet> {
    read(folder.path(), "set", &[], &mut silent())
}

fn replace(name: &str, content: &[u8]) -> TempDir {
    let folder = folder("", <[u8]>::to_vec);
    fs::write(folder.path().join(name), content).unwrap();
    folder
}

#[test]
fn plain_and_gzipped_files_give_the_same_set_whatever_their_names_say() {
    let plain = read_folder(&folder("", <[u8]>::to_vec)).unwrap();
    assert_eq!((plain.pool.as_slice(), plain.test.as_slice()), ([0, 1, 2, 3].as_slice(), [4].as_slice()));
    assert_eq!(plain.items.classes(), ["0", "1", "2"]);
    assert_eq!(plain.items.images().pixels(1), [6, 7, 8, 9, 10, 11]);
    assert_eq!(plain.items.images().pixels(4), [9; 6]);
    let gzipped = read_folder(&folder(".gz", gzip)).unwrap();
    assert!(plain.items.images().pixels(3) == gzipped.items.images().pixels(3) && plain.pool == gzipped.pool);
    assert!(read_folder(&folder("", gzip)).unwrap() == plain);
}

#[test]
fn class_names_come_from_a_file_where_there_is_one() {
    let set = read_folder(&replace("classes.txt", b"ant\nbee\ncat\n")).unwrap();
    assert_eq!(set.items.classes(), ["ant", "bee", "cat"]);
    let text = complaint(read_folder(&replace("classes.txt", b"ant\nbee\n")));
    assert_tells(&text, &["label out of range", "train-images-idx3-ubyte, record 2", "0 to 1"]);
}

#[test]
fn torn_and_odd_files_are_named() {
    let check = |name: &str, content: &[u8], expected: &[&str]| {
        let text = complaint(read_folder(&replace(name, content)));
        assert_tells(&text, &[name]);
        assert_tells(&text, expected);
    };
    let images = "train-images-idx3-ubyte";
    check(images, &file(&[4, 2, 3], &[0; 23]), &["truncated", "4 × 2 × 3 bytes", "23 bytes"]);
    check(images, &file(&[4, 2, 3], &[0; 25]), &["truncated", "more than that"]);
    check(images, &file(&[3, 2, 3], &[0; 18]), &["do not fit together", "3 labels", "got: 4"]);
    check(images, &file(&[4], &[0; 4]), &["00 00 08 03", "00 00 08 01", "swapped"]);
    check(images, &[0, 0, 8], &["ends early"]);
    check(images, b"", &["ends early"]);
    check(images, &file(&[4, u32::MAX, u32::MAX], &[]), &["truncated"]);
    check("t10k-images-idx3-ubyte", &file(&[1, 3, 2], &[0; 6]), &["different sizes", "2 × 3"]);
}

#[test]
fn a_header_that_promises_more_than_memory_is_an_error() {
    let folder = folder("", <[u8]>::to_vec);
    let most = u32::MAX;
    fs::write(folder.path().join("train-images-idx3-ubyte"), file(&[most, 2, 1 << 20], &[])).unwrap();
    fs::write(folder.path().join("train-labels-idx1-ubyte"), file(&[most], &[])).unwrap();
    assert_tells(&complaint(read_folder(&folder)), &["promises more than memory holds"]);
}

#[test]
fn missing_files_say_what_to_fetch() {
    let folder = folder("", <[u8]>::to_vec);
    fs::remove_file(folder.path().join("train-labels-idx1-ubyte")).unwrap();
    assert_tells(&complaint(read_folder(&folder)), &["train-labels-idx1-ubyte.gz", "vabal fetch"]);
    let nowhere = folder.path().join("nowhere");
    let text = complaint(read(&nowhere, "set", &[], &mut silent()));
    assert_tells(&text, &["no such folder", &nowhere.display().to_string()]);
}

#[test]
fn without_a_test_pair_the_test_set_is_empty() {
    let folder = folder("", <[u8]>::to_vec);
    fs::remove_file(folder.path().join("t10k-images-idx3-ubyte")).unwrap();
    fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte")).unwrap();
    assert!(read_folder(&folder).unwrap().test.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_gzipped_file_torn_anywhere_is_an_error(cut in 0.0_f64..1.0) {
        let folder = folder(".gz", gzip);
        let path = folder.path().join("train-images-idx3-ubyte.gz");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..(cut * whole.len() as f64) as usize]).unwrap();
        complaint(read_folder(&folder));
    }
}
