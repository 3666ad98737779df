//! Tables as Parquet: one group of rows, nothing missing, nothing compressed.

use std::ops::Range;
use std::sync::Arc;

use ndarray::ArrayView2;
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type};
use parquet::errors::Result;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use vabal_query::Error;

/// The values of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Whole numbers.
    Whole(Vec<i64>),
    /// Numbers.
    Real(Vec<f64>),
    /// Texts.
    Texts(Vec<String>),
}

impl Data {
    fn field(&self, name: &str) -> Result<Type> {
        let (physical, logical) = match self {
            Self::Whole(_) => (Physical::INT64, None),
            Self::Real(_) => (Physical::DOUBLE, None),
            Self::Texts(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let field = Type::primitive_type_builder(name, physical).with_repetition(Repetition::REQUIRED);
        field.with_logical_type(logical).build()
    }

    fn len(&self) -> usize {
        match self {
            Self::Whole(values) => values.len(),
            Self::Real(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }

    /// Writes some of its rows.
    fn put(&self, rows: Range<usize>, column: &mut SerializedColumnWriter<'_>) -> Result<()> {
        match self {
            Self::Whole(values) => column.typed::<Int64Type>().write_batch(&values[rows], None, None)?,
            Self::Real(values) => column.typed::<DoubleType>().write_batch(&values[rows], None, None)?,
            Self::Texts(values) => {
                let texts: Vec<ByteArray> = values[rows].iter().map(|text| text.as_str().into()).collect();
                column.typed::<ByteArrayType>().write_batch(&texts, None, None)?
            }
        };
        Ok(())
    }
}

/// The Parquet file with these columns, all of the same length.
///
/// # Errors
/// Texts that are too long for a page.
pub fn write(columns: &[(&str, Data)]) -> vabal_query::Result<Vec<u8>> {
    written(columns).map_err(|error| {
        Error::input("texts that are too long for Parquet")
            .got(error)
            .hint("write .csv or .jsonl instead")
            .into()
    })
}

fn written(columns: &[(&str, Data)]) -> Result<Vec<u8>> {
    let fields = columns.iter().map(|(name, data)| data.field(name).map(Arc::new)).collect::<Result<_>>()?;
    let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
    let made = concat!("vabal ", env!("CARGO_PKG_VERSION"));
    let settings = WriterProperties::builder().set_created_by(made.into()).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(settings))?;
    let mut rows = writer.next_row_group()?;
    for (_, data) in columns {
        let Some(mut column) = rows.next_column()? else { break };
        data.put(0..data.len(), &mut column)?;
        column.close()?;
    }
    rows.close()?;
    writer.into_inner()
}

/// Rows of a group, at most: what is in memory twice while it is written.
const GROUP: usize = 16_384;

/// Columns `ids`, texts, and `features`, lists of f32, with `about` as the metadata `backbone`.
pub fn write_features(ids: &[String], features: ArrayView2<'_, f32>, about: &str) -> Result<Vec<u8>> {
    let about = KeyValue::new("backbone".to_owned(), about.to_owned());
    write_lists(Vec::new(), &Data::Texts(ids.to_vec()), &[("features", features)], Some(vec![about]))
}

/// Columns `ids` and lists of f32, each of as many rows, in groups of rows.
pub fn write_lists<W: std::io::Write + Send>(
    out: W,
    ids: &Data,
    arrays: &[(&str, ArrayView2<'_, f32>)],
    about: Option<Vec<KeyValue>>,
) -> Result<W> {
    // As the format's document has lists: a group, a repeated group, a value.
    let lists = |name: &str| {
        let element = Type::primitive_type_builder("element", Physical::FLOAT)
            .with_repetition(Repetition::REQUIRED)
            .build()?;
        let list = Type::group_type_builder("list")
            .with_repetition(Repetition::REPEATED)
            .with_fields(vec![Arc::new(element)])
            .build()?;
        Type::group_type_builder(name)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(Some(LogicalType::List))
            .with_fields(vec![Arc::new(list)])
            .build()
    };
    let mut fields = vec![Arc::new(ids.field("ids")?)];
    for (name, _) in arrays {
        fields.push(Arc::new(lists(name)?));
    }
    let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
    let settings = WriterProperties::builder()
        .set_created_by(concat!("vabal ", env!("CARGO_PKG_VERSION")).into())
        .set_key_value_metadata(about)
        // No two features are the same number.
        .set_dictionary_enabled(false)
        .build();
    let mut writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(settings))?;
    let rows = ids.len();
    for first in (0..rows).step_by(GROUP) {
        let rows = first..(first + GROUP).min(rows);
        let mut group = writer.next_row_group()?;
        if let Some(mut column) = group.next_column()? {
            ids.put(rows.clone(), &mut column)?;
            column.close()?;
        }
        for (_, array) in arrays {
            let Some(mut column) = group.next_column()? else { break };
            let values: Vec<f32> = array.slice(ndarray::s![rows.clone(), ..]).iter().copied().collect();
            let width = array.ncols();
            // 0 begins a list.
            let repetitions: Vec<i16> =
                (0..values.len()).map(|place| i16::from(place % width != 0)).collect();
            let definitions = vec![1; values.len()];
            column.typed::<FloatType>().write_batch(&values, Some(&definitions), Some(&repetitions))?;
            column.close()?;
        }
        group.close()?;
    }
    writer.into_inner()
}
