//! Tables as Parquet: one group of rows, nothing missing, nothing compressed.

use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::Result;
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
