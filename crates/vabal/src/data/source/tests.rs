//! The table as text, and the way from it to a data set.

use super::super::tests::{assert_tells, complaint};
use super::*;
use crate::progress::silent;

fn load(text: &str, data_dir: &Path) -> Result<DataSet> {
    let source: Source = toml::from_str(text).unwrap();
    match source.load(Seed::new(0), data_dir, &mut silent())? {
        Loaded::Images(set) => Ok(set),
        Loaded::Features(set) => panic!("features: {}", set.name),
    }
}

#[test]
fn every_key_is_written_out_and_read_again() {
    let source = Source::default();
    let text = toml::to_string(&source).unwrap();
    let keys = ["kind = \"demo\"", "path", "labels", "size", "aspect", "colour", "skip_bad", "seed"];
    assert_tells(&text, &keys);
    assert_tells(&text, &["[holdout]", "fraction", "by", "separator", "[imbalance]", "classes", "keep"]);
    assert_eq!(toml::from_str::<Source>(&text).unwrap(), source);
    assert!(toml::from_str::<Source>("knd = \"demo\"").is_err());
}

#[test]
fn imbalance_takes_from_the_pool_and_leaves_the_test_set() {
    let text = "kind = \"demo\"\nimbalance = { kind = \"dominant\", classes = [\"Coat\"], keep = 0.1 }";
    let set = load(text, Path::new("unused")).unwrap();
    assert_eq!(set.class_counts(&set.pool), [60, 60, 60, 60, 600, 60, 60, 60, 60, 60]);
    assert_eq!(set.class_counts(&set.test), [100; 10]);
    assert_eq!(set.rare_classes(), [0, 1, 2, 3, 5, 6, 7, 8, 9]);
    assert_tells(&set.name, &["dominant Coat"]);
    assert_eq!(set, load(text, Path::new("unused")).unwrap());
    let other = load(&format!("seed = 1\n{text}"), Path::new("unused")).unwrap();
    assert_ne!(set.pool, other.pool);
}

#[test]
fn data_that_are_not_there_say_what_to_put_where() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, archive) in [("cifar10", "cifar-10-binary.tar.gz"), ("cifar100", "cifar-100-binary.tar.gz")] {
        let text = complaint(load(&format!("kind = \"{kind}\""), folder.path()));
        let place = folder.path().join(kind).display().to_string();
        assert_tells(&text, &[&place, archive, &format!("vabal fetch {kind}")]);
    }
    let nowhere = folder.path().join("nowhere").display().to_string();
    for kind in ["folder", "idx", "cifar10", "fashion-mnist"] {
        let text = complaint(load(&format!("kind = \"{kind}\"\npath = '{nowhere}'"), folder.path()));
        assert_tells(&text, &[&nowhere]);
    }
}

#[test]
fn values_out_of_range_are_named_by_their_key() {
    let check = |text: &str, key: &str| assert_tells(&complaint(load(text, Path::new("unused"))), &[key]);
    check("kind = \"folder\"", "data.path");
    check("kind = \"demo\"\nsize = 32", "data.size");
    check("kind = \"folder\"\npath = \"x\"\nsize = 5000", "data.size");
    check("holdout = { fraction = 2.0 }", "data.holdout.fraction");
    check("imbalance = { kind = \"step\", keep = 0.0 }", "data.imbalance.keep");
}
