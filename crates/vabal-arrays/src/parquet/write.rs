//! Tables as Parquet: one group of rows, nothing missing, nothing compressed.

use std::sync::Arc;

use ndarray::ArrayView2;
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type};
use parquet::errors::Result;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
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
        match data {
            Data::Whole(values) => column.typed::<Int64Type>().write_batch(values, None, None)?,
            Data::Real(values) => column.typed::<DoubleType>().write_batch(values, None, None)?,
            Data::Texts(values) => {
                let texts: Vec<ByteArray> = values.iter().map(|text| text.as_str().into()).collect();
                column.typed::<ByteArrayType>().write_batch(&texts, None, None)?
            }
        };
        column.close()?;
    }
    rows.close()?;
    writer.into_inner()
}

/// Rows of a group, at most: what is in memory twice while it is written.
const GROUP: usize = 16_384;

/// Columns `ids`, texts, and `features`, lists of f32, with `about` as the metadata `backbone`.
pub fn write_features(ids: &[String], features: ArrayView2<'_, f32>, about: &str) -> Result<Vec<u8>> {
    let names = Type::primitive_type_builder("ids", Physical::BYTE_ARRAY)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::String))
        .build()?;
    // As the format's document has lists: a group, a repeated group, a value.
    let element = Type::primitive_type_builder("element", Physical::FLOAT)
        .with_repetition(Repetition::REQUIRED)
        .build()?;
    let list = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![Arc::new(element)])
        .build()?;
    let lists = Type::group_type_builder("features")
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(list)])
        .build()?;
    let schema =
        Type::group_type_builder("schema").with_fields(vec![Arc::new(names), Arc::new(lists)]).build()?;
    let about = KeyValue::new("backbone".to_owned(), about.to_owned());
    let settings = WriterProperties::builder()
        .set_created_by(concat!("vabal ", env!("CARGO_PKG_VERSION")).into())
        .set_key_value_metadata(Some(vec![about]))
        // No two features are the same number.
        .set_dictionary_enabled(false)
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(settings))?;
    for (ids, features) in ids.chunks(GROUP).zip(features.axis_chunks_iter(ndarray::Axis(0), GROUP)) {
        let mut group = writer.next_row_group()?;
        if let Some(mut column) = group.next_column()? {
            let texts: Vec<ByteArray> = ids.iter().map(|text| text.as_str().into()).collect();
            column.typed::<ByteArrayType>().write_batch(&texts, None, None)?;
            column.close()?;
        }
        if let Some(mut column) = group.next_column()? {
            let values: Vec<f32> = features.iter().copied().collect();
            let width = features.ncols();
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
