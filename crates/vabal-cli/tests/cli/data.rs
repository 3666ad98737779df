//! Data that cannot be used, as a person meets them: one error, nothing begun.

use std::fs;
use std::path::Path;

use crate::support::{Place, refused, succeeded, text};

/// A grey BMP of `side` × `side` pixels of one value.
fn bmp(side: u32, value: u8) -> Vec<u8> {
    let row = (3 * side).div_ceil(4) * 4;
    let mut bytes = b"BM".to_vec();
    for word in [54 + row * side, 0, 54, 40, side, side, 1 | 24 << 16, 0, row * side, 2835, 2835, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(std::iter::repeat_n(value, (row * side) as usize));
    bytes
}

fn class(folder: &Path, name: &str, images: u8) {
    fs::create_dir_all(folder.join(name)).unwrap();
    for n in 0..images {
        fs::write(folder.join(name).join(format!("{n}.bmp")), bmp(8, n.wrapping_mul(40))).unwrap();
    }
}

const FOLDER: [&str; 6] =
    ["--set", "data.kind=folder", "--set", "data.path=images", "--set", "rounds.initial=4"];

#[test]
fn a_folder_of_images_that_cannot_be_used_is_one_error_that_names_what_is_wrong() {
    let place = Place::new();
    let images = place.path().join("images");
    let mut all = String::new();
    let mut add = |name: &str| all += &format!("## {name}\n{}\n", refused(&place, &mut place.run(&FOLDER)));
    add("no folder");
    class(&images, "scratch", 6);
    add("one class only");
    fs::create_dir(images.join("dent")).unwrap();
    add("a class with no image");
    class(&images, "dent", 6);
    fs::write(images.join("dent/9.png"), b"").unwrap();
    add("an empty image");
    fs::write(images.join("dent/9.png"), &bmp(8, 1)[..60]).unwrap();
    add("a torn image");
    // 2^31 − 1 pixels wide and high, in 54 bytes.
    let mut huge = bmp(8, 1);
    huge[18..26].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f]);
    fs::write(images.join("dent/9.png"), huge).unwrap();
    add("an image that claims to be huge");
    fs::write(images.join("dent/9.png"), bmp(9, 1)).unwrap();
    add("images of different sizes");
    insta::assert_snapshot!(all);
}

/// The six files of CIFAR-10 with 20 records each, two of every class.
fn cifar(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for name in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
    {
        let record = |n: u8| std::iter::once(n % 10).chain((0..3072).map(move |_| 25 * (n % 10) + n / 10));
        fs::write(folder.join(format!("{name}.bin")), (0..20).flat_map(record).collect::<Vec<u8>>()).unwrap();
    }
}

const CIFAR: [&str; 4] = ["--set", "data.kind=cifar10", "--set", "data.path=cifar"];

#[test]
fn cifar_files_that_cannot_be_used_are_one_error_and_no_warning() {
    let place = Place::new();
    let folder = place.path().join("cifar");
    let mut all = String::new();
    let mut add = |name: &str, file: &str, spoil: &dyn Fn(&mut Vec<u8>)| {
        cifar(&folder);
        let path = folder.join(file);
        let mut bytes = fs::read(&path).unwrap();
        spoil(&mut bytes);
        fs::write(path, bytes).unwrap();
        let error = refused(&place, &mut place.run(&CIFAR));
        assert!(error.starts_with("error:") && !error.contains("warning"), "{error}");
        all += &format!("## {name}\n{error}\n");
    };
    add("torn", "data_batch_3.bin", &|bytes| bytes.truncate(5 * 3073 + 100));
    add("over-long", "test_batch.bin", &|bytes| bytes.push(0));
    add("empty", "data_batch_1.bin", &|bytes| bytes.clear());
    add("a label out of range", "data_batch_5.bin", &|bytes| bytes[7 * 3073] = 10);
    fs::remove_file(folder.join("data_batch_2.bin")).unwrap();
    all += &format!("## a missing file\n{}", refused(&place, &mut place.run(&CIFAR)));
    insta::assert_snapshot!(all);
    assert!(!place.out().join("weights").exists());
}

#[test]
fn cifar_with_fewer_images_than_the_official_files_is_warned_of_once_and_after_the_configuration() {
    let place = Place::new();
    cifar(&place.path().join("cifar"));
    let mut run = place.run(&CIFAR);
    run.args(["--set", "rounds.initial=101"]);
    let error = refused(&place, &mut run);
    assert!(error.contains("at most 100") && !error.contains("warning"), "{error}");
    let mut run = place.run(&CIFAR);
    run.args(["--set", "strategies=[random]", "--set", "rounds.count=1", "--set", "seeds=[1]"]);
    let output = run.output().unwrap();
    let warnings = text(&output.stderr);
    succeeded(output);
    assert_eq!(warnings.matches("warning:").count(), 1, "{warnings}");
    assert!(warnings.contains("data_batch_1.bin 20 instead of 10000"), "{warnings}");
}

#[test]
fn what_the_hint_says_can_be_done_in_the_same_folder() {
    let place = Place::new();
    let images = place.path().join("images");
    class(&images, "scratch", 9);
    class(&images, "dent", 9);
    fs::write(images.join("dent/large.bmp"), bmp(9, 1)).unwrap();
    let error = refused(&place, &mut place.run(&FOLDER));
    assert!(error.contains("data.size = 64"), "{error}");
    let mut run = place.run(&FOLDER);
    run.args(["--set", "data.size=8", "--set", "strategies=[random]", "--set", "rounds.budget=3"]);
    succeeded(run.output().unwrap());
    assert!(fs::read_to_string(place.out().join("config.toml")).unwrap().contains("size = 8"));
}

#[test]
fn a_bad_image_is_left_out_on_request_and_told_of() {
    let place = Place::new();
    let images = place.path().join("images");
    class(&images, "scratch", 9);
    class(&images, "dent", 9);
    fs::write(images.join("dent/torn.jpg"), b"\xff\xd8\xff\xe0 and no more").unwrap();
    let mut run = place.run(&FOLDER);
    run.args([
        "--set",
        "data.skip_bad=true",
        "--set",
        "strategies=[random,entropy]",
        "--set",
        "rounds.budget=3",
    ]);
    let output = run.output().unwrap();
    let warnings = text(&output.stderr);
    assert!(warnings.contains("left out dent/torn.jpg"), "{warnings}");
    assert!(succeeded(output).contains("dent"));
}

#[test]
fn idx_files_of_one_class_only_are_refused() {
    let place = Place::new();
    for part in ["train", "t10k"] {
        let path = place.path().join(format!("{part}-labels-idx1-ubyte"));
        let mut labels = fs::read(&path).unwrap();
        labels[8..].fill(0);
        fs::write(&path, labels).unwrap();
    }
    let error = refused(&place, &mut place.run(&[]));
    assert!(error.contains("one class only") && error.contains("at least 2 classes"), "{error}");
    assert!(!place.out().join("weights").exists());
}

#[test]
fn a_run_refuses_to_go_on_with_other_data() {
    let place = Place::new();
    let args = ["--set", "strategies=[random]", "--set", "classifier.learning_rate=1e30"];
    // It begins, and breaks off.
    refused(&place, &mut place.run(&args));
    let path = place.path().join("train-images-idx3-ubyte");
    let mut images = fs::read(&path).unwrap();
    images[16] ^= 1;
    fs::write(&path, images).unwrap();
    let error = refused(&place, &mut place.run(&args));
    assert!(
        error.contains("data set has changed since this run started") && error.contains("--out"),
        "{error}"
    );
}
