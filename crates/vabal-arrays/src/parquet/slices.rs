//! Slices of columns, and columns of bytes that are numbers.

use parquet::basic::Encoding;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::{prop, prop_assert_eq, proptest};
use vabal_query::progress::silent;

use super::super::{Values, open};
use super::*;

fn floats(entry: &Entry) -> Result<Values<f32>> {
    entry.floats(&mut Load::new(&mut silent()))
}

fn whole(entry: &Entry) -> Vec<Option<i64>> {
    entry.integers("whole numbers", &mut Load::new(&mut silent())).unwrap()
}

/// Values that 16 bits hold.
fn value(n: usize) -> f32 {
    (n * 7 % 2048) as f32 / 32.0
}

/// A file of rows in groups of `group`: `ids`; `features`, lists of `width`; and the same as bytes,
/// `stage1_f32`, `stage2_f16` and `stage3_f32` of fixed length.
fn written(rows: usize, width: usize, group: usize, settings: WriterProperties) -> Vec<u8> {
    let schema = format!(
        "message schema {{ required int64 ids; optional group features (LIST) {{ repeated group list {{ optional float element; }} }} \
         required binary stage1_f32; optional binary stage2_f16; required fixed_len_byte_array({}) stage3_f32; required binary names (UTF8); }}",
        4 * width
    );
    let schema = parse_message_type(&schema).unwrap();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(settings)).unwrap();
    for first in (0..rows).step_by(group) {
        let rows = first..(first + group).min(rows);
        let mut next = writer.next_row_group().unwrap();
        let values = |row: usize| (0..width).map(move |j| value(row * width + j));
        let lists: Vec<i16> = rows.clone().flat_map(|_| (0..width).map(|j| i16::from(j > 0))).collect();
        let all: Vec<f32> = rows.clone().flat_map(values).collect();
        let bytes = |half: bool| -> Vec<ByteArray> {
            let row = |row: usize| -> Vec<u8> {
                values(row)
                    .flat_map(|value| match half {
                        true => half::f16::from_f32(value).to_le_bytes().to_vec(),
                        false => value.to_le_bytes().to_vec(),
                    })
                    .collect()
            };
            rows.clone().map(|n| row(n).into()).collect()
        };
        let mut column = next.next_column().unwrap().unwrap();
        let ids: Vec<i64> = rows.clone().map(|row| row as i64 * 3).collect();
        column.typed::<Int64Type>().write_batch(&ids, None, None).unwrap();
        column.close().unwrap();
        let mut column = next.next_column().unwrap().unwrap();
        column.typed::<FloatType>().write_batch(&all, Some(&vec![3; all.len()]), Some(&lists)).unwrap();
        column.close().unwrap();
        let mut column = next.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&bytes(false), None, None).unwrap();
        column.close().unwrap();
        let mut column = next.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&bytes(true), Some(&vec![1; rows.len()]), None).unwrap();
        column.close().unwrap();
        let mut column = next.next_column().unwrap().unwrap();
        let fixed: Vec<_> = bytes(false).into_iter().map(Into::into).collect();
        column.typed::<FixedLenByteArrayType>().write_batch(&fixed, None, None).unwrap();
        column.close().unwrap();
        let mut column = next.next_column().unwrap().unwrap();
        let names: Vec<ByteArray> = rows.map(|row| format!("{row}.png").as_str().into()).collect();
        column.typed::<ByteArrayType>().write_batch(&names, None, None).unwrap();
        column.close().unwrap();
        next.close().unwrap();
    }
    writer.into_inner().unwrap()
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn every_layout_gives_the_same_values_in_slices_of_any_size(
        (rows, width) in (1_usize..300, 1_usize..9),
        group in prop::sample::select(vec![1, 7, 64, 1000]),
        page in prop::sample::select(vec![16_usize, 200, 1 << 20]),
        (second, dictionary, delta) in (prop::bool::ANY, prop::bool::ANY, prop::bool::ANY),
        steps in prop::collection::vec(1_usize..90, 1..6),
        (unit, skipped) in (1_usize..200, 0_usize..3),
    ) {
        let version = if second { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
        let mut settings = WriterProperties::builder()
            .set_writer_version(version)
            .set_dictionary_enabled(dictionary)
            .set_data_page_size_limit(page)
            .set_write_batch_size(5);
        if delta && !dictionary {
            settings = settings.set_column_encoding("names".into(), Encoding::DELTA_BYTE_ARRAY);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        std::fs::write(&path, written(rows, width, group, settings.build())).unwrap();
        let entries = open(&path).unwrap();
        let get = |name: &str| entries.iter().find(|entry| entry.name == name).unwrap();
        let groups = get("ids").groups().unwrap();
        prop_assert_eq!((groups.iter().sum::<usize>(), groups.len()), (rows, rows.div_ceil(group)));
        let all: Vec<f32> = (0..rows * width).map(value).collect();
        for name in ["features", "stage1", "stage2", "stage3"] {
            prop_assert_eq!(&get(name).shape, &[rows, width], "{}", name);
            prop_assert_eq!(&floats(get(name)).unwrap()[..], &all, "{}", name);
        }
        let mut steps = steps.into_iter().cycle();
        for first in (0..rows).step_by(unit) {
            let unit = first..(first + unit).min(rows);
            let units: Vec<Entry> = ["features", "stage1", "stage2", "stage3", "ids", "names"]
                .iter().map(|name| get(name).slice(unit.clone()).unwrap()).collect();
            let mut row = skipped.min(unit.len() - 1);
            while row < unit.len() {
                let of = row..(row + steps.next().unwrap()).min(unit.len());
                let slices: Vec<Entry> = units.iter().map(|entry| entry.slice(of.clone()).unwrap()).collect();
                let rows = first + of.start..first + of.end;
                for slice in &slices[..4] {
                    prop_assert_eq!(&slice.shape, &[of.len(), width]);
                    prop_assert_eq!(&floats(slice).unwrap()[..], &all[rows.start * width..rows.end * width]);
                }
                prop_assert_eq!(whole(&slices[4]), rows.clone().map(|row| Some(row as i64 * 3)).collect::<Vec<_>>());
                let names = slices[5].texts(&mut Load::new(&mut silent())).unwrap();
                prop_assert_eq!(names, rows.map(|row| format!("{row}.png")).collect::<Vec<_>>());
                row = of.end;
            }
            // A slice that was read can be read again.
            prop_assert_eq!(&floats(&units[0]).unwrap()[..], &all[unit.start * width..unit.end * width]);
        }
    }
}

#[test]
fn what_is_wrong_in_a_slice_is_named_by_the_row_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let write = |rows: &[&[u8]]| {
        let schema = parse_message_type("message schema { optional binary probs_f16; }").unwrap();
        let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::default()).unwrap();
        for rows in rows.chunks(2) {
            let mut group = writer.next_row_group().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            let there: Vec<i16> = rows.iter().map(|row| i16::from(!row.is_empty())).collect();
            let rows: Vec<ByteArray> =
                rows.iter().filter(|row| !row.is_empty()).map(|row| row.to_vec().into()).collect();
            column.typed::<ByteArrayType>().write_batch(&rows, Some(&there), None).unwrap();
            column.close().unwrap();
            group.close().unwrap();
        }
        std::fs::write(&path, writer.into_inner().unwrap()).unwrap();
        open(&path).unwrap().remove(0)
    };
    let uneven = write(&[&[0, 1, 2, 3], &[0, 1, 2, 3], &[0, 1, 2, 3], &[0, 1]]);
    assert_eq!((uneven.name.as_str(), &uneven.shape[..], &uneven.dtype), ("probs", &[4, 2][..], &Dtype::F16));
    floats(&uneven.slice(0..3).unwrap()).unwrap();
    let error = floats(&uneven.slice(2..4).unwrap()).unwrap_err().to_string();
    assert!(error.contains("row 3\n  expected: 4 bytes, as in row 0\n  got: 2 bytes"), "{error}");
    let missing = write(&[&[0, 1, 2, 3], &[0, 1, 2, 3], &[0, 1, 2, 3], &[]]);
    let error = floats(&missing.slice(2..4).unwrap()).unwrap_err().to_string();
    assert!(error.contains("row 3") && error.contains("got: null"), "{error}");
    assert!(missing.slice(2..5).is_none());
}

#[test]
fn bytes_are_of_the_type_that_their_name_or_their_width_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let read = |column: &str| {
        let schema = parse_message_type(&format!("message schema {{ required binary {column}; }}")).unwrap();
        let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        // 1.0 twice in 16 bits.
        let row = ByteArray::from(vec![0, 0x3c, 0, 0x3c]);
        column.typed::<ByteArrayType>().write_batch(&[row], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        std::fs::write(&path, writer.into_inner().unwrap()).unwrap();
        open(&path).unwrap().remove(0)
    };
    assert_eq!(floats(&read("probs_f16")).unwrap()[..], [1.0, 1.0]);
    assert_eq!(floats(&read("probs").of_width(2)).unwrap()[..], [1.0, 1.0]);
    assert_eq!(floats(&read("probs").of_width(1)).unwrap()[..], [f32::from_bits(0x3c00_3c00)]);
    // What the name says holds.
    assert_eq!(floats(&read("probs_f32").of_width(2)).unwrap().len(), 1);
    let error = floats(&read("features").of_width(3)).unwrap_err().to_string();
    assert!(error.contains("features_f16 or features_f32"), "{error}");
    // Bytes of another name are texts, as they were.
    assert!(read("names_f16").dtype.is_text() && read("ids").dtype.is_text());
}
