//! Files of pyarrow in every encoding that is read (fixtures.py), and those written here.

use std::path::PathBuf;

use vabal::progress::silent;

use super::super::{Values, open};
use super::*;

const N: usize = 50;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/arrays/parquet/fixtures").join(format!("{name}.parquet"))
}

fn find<'e>(entries: &'e [Entry], name: &str) -> &'e Entry {
    entries.iter().find(|entry| entry.name == name).unwrap()
}

fn floats(entry: &Entry) -> Result<Values<f32>> {
    entry.floats(&mut Load::new(&mut silent()))
}

fn whole(entry: &Entry) -> Result<Vec<i64>> {
    let values: Vec<Option<i64>> = entry.integers("whole numbers", &mut Load::new(&mut silent()))?;
    Ok(values.into_iter().flatten().collect())
}

#[test]
fn every_encoding_and_codec_of_pyarrow_gives_the_same_table() {
    let features: Vec<f32> =
        (0..N).flat_map(|row| (0..4).map(move |j| ((row * 7 + j * 5) % 32) as f32 / 4.0 - 3.0)).collect();
    let pair = |row: usize| [0.25 + (row % 8) as f32 / 16.0, 0.75 - (row % 8) as f32 / 16.0];
    let probs: Vec<f32> = (0..N).flat_map(pair).collect();
    let draws: Vec<f32> = (0..N).map(pair).flat_map(|[p, q]| [p, q, q, p, p, q]).collect();
    for name in ["snappy", "zstd", "gzip", "plain", "second", "delta", "lengths", "prefixes"] {
        let entries = open(&fixture(name)).unwrap();
        let get = |column: &str| find(&entries, column);
        assert_eq!(
            (&get("features").shape[..], &get("probs").shape[..]),
            (&[N, 4][..], &[N, 2][..]),
            "{name}"
        );
        assert_eq!(get("mc_probs").shape, [N, 3, 2], "{name}");
        assert_eq!(floats(get("features")).unwrap()[..], features, "{name}");
        assert_eq!(floats(get("probs")).unwrap()[..], probs, "{name}");
        assert_eq!(floats(get("mc_probs")).unwrap()[..], draws, "{name}");
        let labels: Vec<i64> = (0..N as i64).map(|row| row % 3 - 1).collect();
        assert_eq!(whole(get("label")).unwrap(), labels, "{name}");
        if get("id").dtype.is_text() {
            let texts: Vec<String> = (0..N).map(|row| format!("img/{row:03}.png")).collect();
            assert_eq!(get("id").texts(&mut Load::new(&mut silent())).unwrap(), texts, "{name}");
        } else {
            assert_eq!(
                whole(get("id")).unwrap(),
                (0..N as i64).map(|row| 3 * row).collect::<Vec<_>>(),
                "{name}"
            );
        }
        assert_eq!(get("sure").dtype, Dtype::Bool);
        let mut bits = Vec::new();
        let Bytes::Column(column) = &get("sure").bytes else { panic!("no column") };
        let mut put = |_: usize, bytes: &[u8]| {
            bits.extend_from_slice(bytes);
            Ok(())
        };
        column.each_block(&mut Load::new(&mut silent()), &mut put).unwrap();
        assert_eq!(bits, (0..N).map(|row| u8::from(row % 4 == 0)).collect::<Vec<_>>(), "{name}");
        assert_eq!(get("other").dtype, Dtype::Other("a structure".into()));
    }
}

#[test]
fn what_is_no_array_is_named_by_column_and_row() {
    let entries = open(&fixture("uneven")).unwrap();
    let error = floats(find(&entries, "features")).unwrap_err().to_string();
    assert!(error.contains("uneven.parquet, features, row 9") && error.contains("another length"), "{error}");
    let error = whole(find(&entries, "label")).unwrap_err().to_string();
    assert!(error.contains("uneven.parquet, label, row 2") && error.contains("got: null"), "{error}");
    let error = floats(find(&entries, "probs")).unwrap_err().to_string();
    assert!(error.contains("lists of different lengths"), "{error}");
    let error = whole(find(&open(&fixture("brotli")).unwrap(), "label")).unwrap_err().to_string();
    assert!(error.contains("brotli.parquet, label") && error.contains("compressed with Brotli"), "{error}");
}

#[test]
fn a_table_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    for rows in [0, 1, 100_000] {
        let names: Vec<String> = (0..rows).map(|row| format!("ü{row}")).collect();
        let columns = [
            ("rank", Data::Whole((0..rows as i64).collect())),
            ("score", Data::Real((0..rows).map(|row| row as f64 / 8.0).collect())),
            ("id", Data::Texts(names.clone())),
        ];
        std::fs::write(&path, write(&columns).unwrap()).unwrap();
        let entries = open(&path).unwrap();
        assert_eq!(whole(find(&entries, "rank")).unwrap(), (0..rows as i64).collect::<Vec<_>>());
        assert_eq!(
            floats(find(&entries, "score")).unwrap()[..],
            (0..rows).map(|r| r as f32 / 8.0).collect::<Vec<_>>()
        );
        assert_eq!(find(&entries, "id").texts(&mut Load::new(&mut silent())).unwrap(), names);
    }
}

#[test]
fn a_file_torn_at_any_place_or_with_any_byte_changed_is_an_error_or_a_table_but_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let read = || -> Result<()> {
        for entry in open(&path)? {
            let load = &mut Load { progress: &mut silent(), in_memory: 1 << 20 };
            if entry.dtype.is_float() {
                floats(&entry)?;
            } else if entry.dtype.is_text() {
                entry.texts(load)?;
            } else if !matches!(entry.dtype, Dtype::Other(_) | Dtype::Bool) {
                whole(&entry)?;
            }
        }
        Ok(())
    };
    for name in ["snappy", "zstd", "delta"] {
        let file = std::fs::read(fixture(name)).unwrap();
        for length in 0..file.len() {
            std::fs::write(&path, &file[..length]).unwrap();
            let error = read().unwrap_err().to_string();
            assert!(error.contains("a.parquet") && error.contains("hint: "), "{length}: {error}");
        }
        for at in 0..file.len() {
            for change in [1, 0xff] {
                let mut other = file.clone();
                other[at] ^= change;
                std::fs::write(&path, other).unwrap();
                if let Err(error) = read() {
                    assert!(error.to_string().contains("hint: "), "{name} {at}: {error}");
                }
            }
        }
    }
}

#[test]
fn a_dictionary_of_a_few_bytes_cannot_fill_the_memory() {
    let known = pages::Decoded::Texts(vec![vec![b'a'; 1 << 20]]);
    // A run of the one entry: 2 · length in seven bits a byte, then the entry.
    let texts = |bytes: &[u8], length| pages::values(Physical::Texts, 8, bytes, length, Some(&known));
    let error = texts(&[1, 0xa0, 0x1f, 0], 2000).unwrap_err();
    assert!(error.contains("1 GiB"), "{error}");
    let pages::Decoded::Texts(few) = texts(&[1, 6, 0], 3).unwrap() else { panic!("texts") };
    assert_eq!(few.len(), 3);
}
