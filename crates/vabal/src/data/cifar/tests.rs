//! Small files in the official layout, whole and torn.

use std::fs;
use std::io::Write;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::tests::{assert_tells, complaint};
use super::*;
use crate::progress::silent;

/// The bytes of a file of `labels`; every pixel of record n of file f is 10 f + n.
fn records(file: usize, labels: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (n, label) in labels.iter().enumerate() {
        bytes.extend_from_slice(label);
        bytes.extend(std::iter::repeat_n((10 * file + n) as u8, 3072));
    }
    bytes
}

/// All six files of CIFAR-10, two images each.
fn files() -> Vec<(String, Vec<u8>)> {
    let names = Version::Ten.layout().files;
    let content = |file: usize| records(file, &[&[file as u8], &[9 - file as u8]]);
    names.iter().enumerate().map(|(n, (name, _))| ((*name).to_string(), content(n))).collect()
}

fn folder(files: &[(String, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn read_ten(path: &Path) -> Result<DataSet> {
    read(path, Version::Ten, &mut silent())
}

#[test]
fn a_folder_is_read_in_the_order_of_its_files_and_the_last_is_the_test_set() {
    let folder = folder(&files());
    let set = read_ten(folder.path()).unwrap();
    assert_eq!((set.pool.len(), set.test.as_slice()), (10, [10, 11].as_slice()));
    assert_eq!(set.items.classes()[0], "airplane");
    assert_eq!((set.items.label(2), set.items.label(3)), (1, 8));
    assert!(set.items.images().pixels(3).iter().all(|&value| value == 11));
    assert_eq!(set.items.images().source(11), "test_batch.bin, record 1");
}

#[test]
fn the_archive_gives_the_same_set_whatever_its_order() {
    let folder = folder(&files());
    let mut shuffled = files();
    shuffled.reverse();
    shuffled.swap(1, 3);
    let names: String = (0..10).map(|n| format!("name {n}\n")).collect();
    shuffled.insert(2, ("batches.meta.txt".into(), format!("{names}\n").into_bytes()));
    fs::write(folder.path().join("batches.meta.txt"), &names).unwrap();
    let packed = tempfile::tempdir().unwrap();
    fs::write(packed.path().join("cifar-10-binary.tar.gz"), archive(&shuffled)).unwrap();
    let set = read_ten(packed.path()).unwrap();
    assert_eq!(set.items.classes()[9], "name 9");
    assert!(set == read_ten(folder.path()).unwrap());
    assert!(set == read_ten(&packed.path().join("cifar-10-binary.tar.gz")).unwrap());
}

#[test]
fn fine_and_coarse_labels_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("train.bin"), records(0, &[&[19, 99], &[0, 42]])).unwrap();
    fs::write(folder.path().join("test.bin"), records(1, &[&[3, 7]])).unwrap();
    let labels = |labels| {
        let set = read(folder.path(), Version::Hundred(labels), &mut silent()).unwrap();
        assert!(set.items.images().pixels(2).iter().all(|&value| value == 10));
        (set.items.classes().len(), (0..3).map(|id| set.items.label(id)).collect::<Vec<_>>())
    };
    assert_eq!(labels(Labels::Fine), (100, vec![99, 42, 7]));
    assert_eq!(labels(Labels::Coarse), (20, vec![19, 0, 3]));
}

#[test]
fn a_missing_path_says_what_to_fetch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere");
    let text = complaint(read_ten(&path));
    assert_tells(&text, &["CIFAR-10 is not there", &path.display().to_string(), "vabal fetch cifar10"]);
    let mut some = files();
    some.remove(2);
    let folder = self::folder(&some);
    assert_tells(&complaint(read_ten(folder.path())), &["data_batch_3.bin", "missing"]);
}

#[test]
fn truncated_and_over_long_files_are_named_with_their_record() {
    for (length, record) in [(3073 + 3072, 1), (2 * 3073 + 1, 2), (0, 0)] {
        let mut torn = files();
        torn[1].1.resize(length, 0);
        let place = format!("data_batch_2.bin, record {record}");
        let expected = [place.as_str(), "truncated or over-long", "whole records of 3073 bytes"];
        let folder = folder(&torn);
        assert_tells(&complaint(read_ten(folder.path())), &expected);
        let packed = folder.path().join("torn.tar.gz");
        fs::write(&packed, archive(&torn)).unwrap();
        assert_tells(&complaint(read_ten(&packed)), &expected);
    }
}

#[test]
fn a_label_out_of_range_is_named_with_its_record() {
    let mut wrong = files();
    wrong[4].1[3073] = 10;
    let folder = folder(&wrong);
    let expected = ["label out of range", "data_batch_5.bin, record 1 (byte 3073)", "0 to 9", "got: 10"];
    assert_tells(&complaint(read_ten(folder.path())), &expected);
}

#[test]
fn a_list_of_names_of_another_length_is_refused() {
    let folder = folder(&files());
    fs::write(folder.path().join("batches.meta.txt"), "one\ntwo\n").unwrap();
    assert_tells(&complaint(read_ten(folder.path())), &["batches.meta.txt", "10 names", "got: 2"]);
}

#[test]
fn files_shorter_than_the_official_ones_are_named_in_one_sentence() {
    let mut warnings = Vec::new();
    let mut listen = |event: Event<'_>| {
        if let Event::Warning(text) = event {
            warnings.push(text.to_string());
        }
        crate::Flow::Continue
    };
    let mut files = files();
    let source = |folder: &TempDir| {
        let text = format!("kind = \"cifar10\"\npath = '{}'", folder.path().display());
        toml::from_str::<super::super::Source>(&text).unwrap()
    };
    let mut load = |files: &[(String, Vec<u8>)]| {
        let folder = folder(files);
        source(&folder).load(crate::rng::Seed::new(0), folder.path(), &mut listen)
    };
    load(&files).unwrap();
    files[1].1.pop();
    load(&files).unwrap_err();
    let names = (1..=5).map(|n| format!("data_batch_{n}.bin 2 instead of 10000"));
    let names: Vec<String> = names.chain(["test_batch.bin 2 instead of 10000".into()]).collect();
    let text = format!("the images are not as many as in the official CIFAR-10: {}", names.join(", "));
    // Some classes have no test image: that is the other warning. The torn set gave none.
    assert_eq!(warnings.len(), 2);
    assert_eq!(warnings[0], text);
}

#[test]
fn something_that_is_no_archive_is_said_to_be_none() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"<html>404</html>").unwrap();
    assert_tells(&complaint(read_ten(file.path())), &["no .tar.gz"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Wherever a download broke off, there is an error and neither a panic nor half a data set.
    #[test]
    fn an_archive_torn_anywhere_is_an_error(cut in 0.0_f64..1.0) {
        let whole = archive(&files());
        let mut file = tempfile::NamedTempFile::new().unwrap();
        // The last bytes are padding of the tar format and the checksum of gzip.
        file.write_all(&whole[..(cut * (whole.len() - 64) as f64) as usize]).unwrap();
        complaint(read_ten(file.path()));
    }
}
