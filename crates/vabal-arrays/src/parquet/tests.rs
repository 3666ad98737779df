//! Files of pyarrow in every encoding that is read (fixtures.py), and those written here.

use std::path::PathBuf;

use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use vabal_query::progress::silent;

use super::super::{Values, open};
use super::*;

const N: usize = 50;

/// Those of the same table.
const FIXTURES: [&str; 10] =
    ["snappy", "zstd", "gzip", "brotli", "lz4", "plain", "second", "delta", "lengths", "prefixes"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/parquet/fixtures").join(format!("{name}.parquet"))
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
    for name in FIXTURES {
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
        column.each_block(1, &mut Load::new(&mut silent()), &mut put).unwrap();
        assert_eq!(bits, (0..N).map(|row| u8::from(row % 4 == 0)).collect::<Vec<_>>(), "{name}");
        assert_eq!(get("other").dtype, Dtype::Other("a structure".into()));
    }
}

#[test]
fn what_is_no_array_is_named_by_column_and_row() {
    let entries = open(&fixture("uneven")).unwrap();
    let error = floats(find(&entries, "features")).unwrap_err().to_string();
    assert!(
        error.contains("uneven.parquet, features, row 9\n  expected: 2 values, as in row 0\n  got: 1 "),
        "{error}"
    );
    let error = whole(find(&entries, "label")).unwrap_err().to_string();
    assert!(error.contains("uneven.parquet, label, row 2") && error.contains("got: null"), "{error}");
    let error = floats(find(&entries, "probs")).unwrap_err().to_string();
    assert!(error.contains("probs, row 10\n  expected: 1 values, as in row 0\n  got: 3 values"), "{error}");
    let error = floats(find(&entries, "empty")).unwrap_err().to_string();
    assert!(error.contains("uneven.parquet, empty, row 4") && error.contains("got: null"), "{error}");
    for (name, got) in [("date", "got: dates or times"), ("price", "got: decimal numbers")] {
        let error = whole(find(&entries, name)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(got), "{error}");
    }
}

/// A table of one column `features`, a list of floats a row or none, and of whole numbers under
/// other names.
fn table(features: &[Option<Vec<f32>>], numbers: &[(&str, Vec<i64>)], pandas: Option<&str>) -> Vec<u8> {
    let columns: String = numbers.iter().map(|(name, _)| format!("required int64 {name};")).collect();
    let list = "optional group features (LIST) { repeated group list { required float element; } }";
    let schema = parse_message_type(&format!("message schema {{ {list} {columns} }}")).unwrap();
    let pairs = pandas.map(|value| vec![KeyValue::new("pandas".into(), value.to_owned())]);
    let settings = WriterProperties::builder().set_key_value_metadata(pairs).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(settings)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let (mut values, mut there, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    for row in features {
        let row = row.as_deref();
        let count = row.map_or(0, <[f32]>::len);
        there.extend(vec![2; count]);
        lists.extend((0..count.max(1)).map(|n| i16::from(n > 0)));
        if count == 0 {
            there.push(i16::from(row.is_some()));
        }
        values.extend_from_slice(row.unwrap_or_default());
    }
    column.typed::<FloatType>().write_batch(&values, Some(&there), Some(&lists)).unwrap();
    column.close().unwrap();
    for (_, values) in numbers {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(values, None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn rows_of_different_lengths_are_named_by_the_first_that_differs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let of = |lengths: &[Option<usize>]| {
        let rows: Vec<_> = lengths.iter().map(|length| length.map(|length| vec![0.5; length])).collect();
        std::fs::write(&path, table(&rows, &[], None)).unwrap();
        floats(find(&open(&path).unwrap(), "features"))
    };
    assert_eq!(of(&[Some(4); 3]).unwrap().len(), 12);
    let length = "lists of different lengths";
    for (lengths, what, row, got) in [
        (
            vec![Some(4), Some(4), Some(3), Some(4)],
            length,
            2,
            "expected: 4 values, as in row 0\n  got: 3 values",
        ),
        // As many values as rows of one length have.
        (vec![Some(4), Some(5), Some(3)], length, 1, "got: 5 values"),
        (vec![Some(1), Some(3)], length, 1, "expected: 1 values, as in row 0\n  got: 3 values"),
        (vec![Some(4), Some(4), None], "a value is missing", 2, "got: null, or an empty list"),
        (vec![Some(4), Some(0)], "a value is missing", 1, "got: null"),
        (vec![None, Some(1), Some(4)], "a value is missing", 0, "got: null"),
    ] {
        let error = of(&lengths).unwrap_err().to_string();
        let place = format!("a.parquet, features, row {row}\n");
        assert!(
            [what, &place, got, "hint: "].iter().all(|part| error.contains(part)),
            "{lengths:?}: {error}"
        );
    }
}

#[test]
fn the_index_of_pandas_is_the_ids_where_there_are_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let ids = |columns: &[(&str, Vec<i64>)], pandas: &str| {
        std::fs::write(&path, table(&[Some(vec![0.5]), Some(vec![0.25])], columns, Some(pandas))).unwrap();
        let entries = open(&path).unwrap();
        let found = entries.iter().find(|entry| entry.name == "ids" || entry.name == "id");
        found.map(|entry| (whole(entry).unwrap(), entry.place.rsplit(' ').next().unwrap().to_owned()))
    };
    let index = |names: &str| format!("{{\"index_columns\": [{names}], \"columns\": []}}");
    let level = ("__index_level_0__", vec![18, 1]);
    let own = index("\"__index_level_0__\"");
    assert_eq!(ids(std::slice::from_ref(&level), &own), Some((vec![18, 1], "__index_level_0__".into())));
    assert_eq!(ids(&[("path", vec![7, 3])], &index("\"path\"")).unwrap().0, [7, 3]);
    assert_eq!(ids(&[level.clone(), ("id", vec![5, 6])], &own).unwrap().0, [5, 6]);
    // Several levels, a range, which has no column, and what is known by another name are no ids.
    for pandas in [
        index("\"path\", \"__index_level_0__\""),
        index("{\"kind\": \"range\"}"),
        index("\"label\""),
        "{".into(),
    ] {
        assert_eq!(ids(&[level.clone(), ("label", vec![0, 1])], &pandas), None, "{pandas}");
    }
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

/// Reads all that can be read of a file with these bytes.
fn read(file: &[u8]) -> Result<()> {
    let mut map = memmap2::MmapMut::map_anon(file.len()).unwrap();
    map.copy_from_slice(file);
    for entry in columns(&Arc::new(Map::Own(map)), Path::new("a.parquet"))? {
        let load = &mut Load { progress: &mut silent(), in_memory: 1 << 20 };
        if entry.dtype.is_float() {
            entry.floats(load)?;
        } else if entry.dtype.is_text() {
            entry.texts(load)?;
        } else if !matches!(entry.dtype, Dtype::Other(_) | Dtype::Bool) {
            let _: Vec<Option<i64>> = entry.integers("whole numbers", load)?;
        }
    }
    Ok(())
}

#[test]
fn a_file_torn_at_any_place_or_with_any_byte_changed_is_an_error_or_a_table_but_no_panic() {
    for name in FIXTURES {
        let file = std::fs::read(fixture(name)).unwrap();
        for length in 1..file.len() {
            let error = read(&file[..length]).unwrap_err().to_string();
            assert!(error.contains("a.parquet") && error.contains("hint: "), "{length}: {error}");
        }
        for at in 0..file.len() {
            let mut other = file.clone();
            other[at] ^= [1, 0xff][at % 2];
            if let Err(error) = read(&other) {
                assert!(error.to_string().contains("hint: "), "{name} {at}: {error}");
            }
        }
    }
}

#[test]
fn a_footer_cannot_claim_what_its_bytes_do_not_hold() {
    // Field 2, a list of structures; in each, field 5, the number of its children, as a zigzag
    // number.
    let schema = |count: &[u8], elements: &[u8]| [&[0x29], count, elements, &[0]].concat();
    let element = |children: &[u8]| [&[0x55], children, &[0]].concat();
    assert!(guard::footer(&schema(&[0x1c], &element(&[2]))).is_some());
    let (huge, most) = ([0xfc, 0xff, 0xff, 0xff, 0xff, 7], [0xfe, 0xff, 0xff, 0xff, 0xf]);
    assert!(guard::footer(&schema(&huge, &element(&[2]))).is_none());
    assert!(guard::footer(&schema(&[0x1c], &element(&most))).is_none());
    // Each the only child of the one before.
    let deep = |depth: u8| schema(&[0xfc, depth], &element(&[2]).repeat(depth.into()));
    assert!(guard::footer(&deep(30)).is_some() && guard::footer(&deep(100)).is_none());
    // Side by side.
    let flat = [element(&[198, 1]), element(&[0]).repeat(99)].concat();
    assert!(guard::footer(&schema(&[0xfc, 100], &flat)).is_some());
    // Lists within lists, and one of truths, which take no byte for the crate.
    assert!(guard::footer(&[[0x19].as_slice(), &[0x19].repeat(1000)].concat()).is_none());
    assert!(guard::footer(&[0x19, 0xf1, 1, 1, 0]).is_none());
}

#[test]
fn every_framing_of_lz4_is_read_and_no_codec_unpacks_more_than_its_bytes_can_hold() {
    use CompressionCodec as Codec;
    let unpack =
        |codec, bytes: &[u8], size| pages::decompressed(codec, &Shared::copy_from_slice(bytes), size);
    // Blocks of literals alone: their number in the upper half of a byte, then they.
    let (raw, framed) = (b"\x50hello", b"\0\0\0\x02\0\0\0\x03\x20he\0\0\0\x03\0\0\0\x04\x30llo");
    assert_eq!(unpack(Codec::LZ4_RAW, raw, 5).unwrap(), "hello");
    assert_eq!(unpack(Codec::LZ4, raw, 5).unwrap(), "hello");
    assert_eq!(unpack(Codec::LZ4, framed, 5).unwrap(), "hello");
    for codec in CompressionCodec::VARIANTS.iter().filter(|&&codec| codec != Codec::UNCOMPRESSED) {
        for bytes in [&raw[..], framed, &[0xff, 0xff, 0xff, 0xff, 7, 0], &[]] {
            unpack(*codec, bytes, i32::MAX as usize).unwrap_err();
        }
    }
    let error = unpack(Codec::LZO, raw, 5).unwrap_err().to_string();
    assert!(error.contains("compressed with LZO"), "{error}");
}

/// A column of one text, again and again.
fn repeated(text: &ByteArray, rows: usize) -> parquet::errors::Result<Vec<u8>> {
    let schema = parse_message_type("message schema { required binary a (UTF8); }")?;
    let settings = WriterProperties::builder().set_dictionary_page_size_limit(1 << 22).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(settings))?;
    let mut group = writer.next_row_group()?;
    let mut column = group.next_column()?.unwrap();
    column.typed::<ByteArrayType>().write_batch(&vec![text.clone(); rows], None, None)?;
    column.close()?;
    group.close()?;
    writer.into_inner()
}

#[test]
fn a_dictionary_of_a_few_bytes_cannot_fill_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let text = ByteArray::from(vec![b'a'; 1 << 20]);
    for (rows, fits) in [(3, true), (2000, false)] {
        std::fs::write(&path, repeated(&text, rows).unwrap()).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() < 3 << 20);
        let texts = open(&path).unwrap()[0].texts(&mut Load::new(&mut silent()));
        match texts {
            Ok(texts) => assert!(fits && texts.len() == rows),
            Err(error) => assert!(!fits && error.to_string().contains("1 GiB"), "{error}"),
        }
    }
}
