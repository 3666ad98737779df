//! Arrays as data sets, and every way in which they can be wrong.

use std::path::Path;

use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use vabal_arrays::{Data, write_parquet};

use super::*;
use crate::data::source::{Loaded, Source};
use crate::progress::silent;
use crate::rng::Seed;

type Array<'a> = (&'a str, Dtype, Vec<usize>, Vec<u8>);

fn write(path: &Path, arrays: &[Array<'_>]) {
    let view = |(name, dtype, shape, bytes): &Array<'_>| {
        (
            name.to_string(),
            TensorView::new(*dtype, shape.clone(), bytes).unwrap().data().to_vec(),
            *dtype,
            shape.clone(),
        )
    };
    let owned: Vec<_> = arrays.iter().map(view).collect();
    let views = owned.iter().map(|(name, bytes, dtype, shape)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    serialize_to_file(views, None, path).unwrap();
}

fn floats<'a>(name: &'a str, width: usize, values: &[f32]) -> Array<'a> {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    (name, Dtype::F32, vec![values.len() / width, width], bytes)
}

fn whole<'a>(name: &'a str, values: &[i64]) -> Array<'a> {
    (name, Dtype::I64, vec![values.len()], values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn six() -> Vec<Array<'static>> {
    let values: Vec<f32> = (0..12).map(|n| n as f32).collect();
    vec![floats("features", 2, &values), whole("labels", &[0, 1, 0, 1, 0, 1])]
}

fn load(arrays: &[Array<'_>]) -> Result<DataSet<Features>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("six.safetensors");
    write(&path, arrays);
    read(&path, &mut silent())
}

fn with(array: Array<'static>) -> Vec<Array<'static>> {
    let mut arrays = six();
    arrays.retain(|(name, ..)| *name != array.0);
    arrays.push(array);
    arrays
}

#[test]
fn rows_after_train_rows_are_the_test_set_and_f16_is_converted() {
    // 1, 2, …, 6 in 16 bits.
    let halves = [0x3c00_u16, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600];
    let features =
        ("features", Dtype::F16, vec![6, 1], halves.iter().flat_map(|half| half.to_le_bytes()).collect());
    let mut arrays = with(features);
    arrays.push(("train_rows", Dtype::I64, vec![], 4_i64.to_le_bytes().to_vec()));
    let set = load(&arrays).unwrap();
    assert_eq!((set.pool.as_slice(), set.test.as_slice()), (&[0, 1, 2, 3][..], &[4, 5][..]));
    assert_eq!((set.name.as_str(), set.items.classes()), ("six", &["0".to_string(), "1".to_string()][..]));
    assert_eq!(set.items.items().rows(&[5, 0]).unwrap(), ndarray::array![[6.0], [1.0]]);
    assert!(set.items.items().source(3).ends_with("row 3"), "{}", set.items.items().source(3));
    assert!(set.items.items().rows(&[6]).is_err());
}

#[test]
fn a_folder_gives_test_arrays_ids_and_class_names() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("pool.safetensors"), &six());
    let test = [floats("test_features", 2, &[1.0; 4]), whole("test_labels", &[1, 0])];
    write(&folder.path().join("test.safetensors"), &test);
    let texts = |name: &str, texts: &[&str]| {
        let data = Data::Texts(texts.iter().map(ToString::to_string).collect());
        fs::write(folder.path().join(format!("{name}.parquet")), write_parquet(&[(name, data)]).unwrap())
            .unwrap();
    };
    texts("ids", &["a_1", "a_2", "b_1", "b_2", "c_1", "c_2"]);
    texts("classes", &["cat", "dog"]);
    fs::write(folder.path().join("notes.txt"), "left alone").unwrap();
    let set = read(folder.path(), &mut silent()).unwrap();
    assert_eq!((set.pool.len(), set.test.as_slice()), (6, &[6, 7][..]));
    assert_eq!(set.items.classes(), ["cat", "dog"]);
    assert_eq!((set.items.label(6), set.items.items().source(3).as_str()), (1, "b_2"));
    // A part of the ids is a group, as with file names.
    fs::remove_file(folder.path().join("test.safetensors")).unwrap();
    let text = format!(
        "kind = \"features\"\npath = '{}'\nholdout = {{ by = \"group\", fraction = 0.4 }}",
        folder.path().display()
    );
    let source: Source = toml::from_str(&text).unwrap();
    let Loaded::Features(set) = source.load(Seed::new(0), Path::new("unused"), &mut silent()).unwrap() else {
        panic!("images");
    };
    assert_eq!(set.test.len(), 2);
    assert_eq!(set.test[0] + 1, set.test[1]);
}

#[test]
fn every_wrong_array_is_one_error_that_says_what_where_expected_got_and_what_to_do() {
    let mut two_tests = six();
    two_tests.extend([
        floats("test_features", 2, &[1.0; 4]),
        whole("test_labels", &[1, 0]),
        whole("train_rows", &[4]),
    ]);
    let mut narrow = six();
    narrow.extend([floats("test_features", 1, &[1.0; 4]), whole("test_labels", &[1, 0, 1, 0])]);
    let mut unlabelled_test = six();
    unlabelled_test.push(floats("test_features", 2, &[1.0; 4]));
    let mut nan = vec![1.0; 12];
    nan[7] = f32::NAN;
    let mut train = six();
    train.push(whole("train_rows", &[6]));
    let mut ids = six();
    ids.push(whole("ids", &[1, 2]));
    let cases: Vec<(Vec<Array<'_>>, &[&str])> = vec![
        (six()[..1].to_vec(), &["an array is missing", "labels [n]", "got: features"]),
        (six()[1..].to_vec(), &["an array is missing", "features [n, d]"]),
        (with(whole("labels", &[0, 1])), &["another number of labels", "expected: 6", "got: 2"]),
        (with(whole("labels", &[0, 1, 0, 1, 0, -1])), &["out of range", "row 5", "got: -1"]),
        (with(whole("labels", &[0; 6])), &["too few", "got: 1"]),
        (with(whole("features", &[0; 6])), &["unexpected array shape or type", "[n, d]", "[6] of int64"]),
        (with(floats("features", 2, &nan)), &["not finite", "row 3, column 1"]),
        (train, &["train_rows", "1 to 5", "got: 6"]),
        (ids, &["another number of ids", "expected: 6", "got: 2"]),
        (two_tests, &["two test sets", "got: train_rows and test arrays"]),
        (narrow, &["two widths", "2 columns", "got: 1"]),
        (unlabelled_test, &["an array is missing", "test_labels"]),
    ];
    for (arrays, parts) in cases {
        let error = load(&arrays).unwrap_err().to_string();
        for part in parts.iter().chain(&["where: ", "expected: ", "got: ", "hint: "]) {
            assert!(error.contains(part), "{part:?} is not in:\n{error}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let complaint = || read(folder.path(), &mut silent()).unwrap_err().to_string();
    assert!(complaint().contains("a folder without arrays"));
    write(&folder.path().join("a.safetensors"), &six());
    write(&folder.path().join("b.safetensors"), &six());
    assert!(complaint().contains("duplicate array"));
}
