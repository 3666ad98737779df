//! Features of named rows as a file that NumPy, pandas and this crate read: `.npz` or `.parquet`.
//!
//! Never here: how features are made.

use std::io::{self, Write as _};
use std::path::Path;

use ndarray::ArrayView2;
use vabal_query::{Error, Result, files};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::parquet::{self, Data};

/// Writes `ids` \[n\], texts, and `features` [n, d], f32, whole or not at all; `about`, how they
/// were made, as JSON, is with them: the array `backbone` of an archive, the metadata `backbone` of
/// a table.
///
/// # Errors
/// An ending that is neither `.npz` nor `.parquet`, a file that cannot be written.
pub fn write_features(path: &Path, ids: &[String], features: ArrayView2<'_, f32>, about: &str) -> Result<()> {
    match features_ending(path)? {
        "npz" => files::write_with(path, |file| npz(file, ids, features, about)),
        _ => {
            let bytes = parquet::write_features(ids, features, about).map_err(|error| {
                Error::input("the features cannot be written as Parquet")
                    .at(path.display())
                    .got(error)
                    .hint("write .npz instead")
            })?;
            files::write(path, &bytes)
        }
    }
}

/// Writes `ids` and arrays [n, d] as the columns of a Parquet file, whole or not at all.
///
/// # Errors
/// Texts that are too long for a page, a file that cannot be written.
pub fn write_rows(path: &Path, ids: &Data, arrays: &[(&str, ArrayView2<'_, f32>)]) -> Result<()> {
    files::write_with(path, |file| {
        parquet::write_lists(file, ids, arrays, None).map(drop).map_err(io::Error::other)
    })
}

/// The ending of a file for features.
///
/// # Errors
/// Neither `.npz` nor `.parquet`.
pub fn features_ending(path: &Path) -> Result<&'static str> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    match ending.as_deref() {
        Some("npz") => Ok("npz"),
        Some("parquet") => Ok("parquet"),
        _ => Err(Error::input("unknown file extension")
            .at(path.display())
            .expected("a file ending in .npz or .parquet")
            .got(ending.map_or("no ending".into(), |ending| format!(".{ending}")))
            .hint("--out features.npz")
            .into()),
    }
}

fn npz(
    file: &mut std::fs::File,
    ids: &[String],
    features: ArrayView2<'_, f32>,
    about: &str,
) -> io::Result<()> {
    let mut archive = ZipWriter::new(io::BufWriter::new(file));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    archive.start_file("features.npy", options)?;
    let (n, d) = features.dim();
    archive.write_all(&header("<f4", &format!("({n}, {d})")))?;
    for row in features.rows() {
        let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
        archive.write_all(&bytes)?;
    }
    for (name, texts, shape) in
        [("ids.npy", ids, format!("({n},)")), ("backbone.npy", &[about.to_owned()], "()".to_owned())]
    {
        archive.start_file(name, options)?;
        // NumPy has no text of length 0.
        let points = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
        archive.write_all(&header(&format!("<U{points}"), &shape))?;
        for text in texts {
            let mut bytes: Vec<u8> = text.chars().flat_map(|point| u32::from(point).to_le_bytes()).collect();
            bytes.resize(4 * points, 0);
            archive.write_all(&bytes)?;
        }
    }
    archive.finish()?.flush()
}

/// The header of a `.npy` in C order: version 1, padded to 64 bytes.
fn header(descr: &str, shape: &str) -> Vec<u8> {
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    while text.len() + 1 < length {
        text.push(' ');
    }
    text.push('\n');
    [b"\x93NUMPY\x01\x00".as_slice(), &(length as u16).to_le_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn both_formats_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let ids = ["a.png", "ü/Ω.jpg", ""].map(String::from);
        let features = array![[1.0_f32, -2.5], [0.0, f32::MAX], [3.0, 1e-40]];
        for name in ["pool.npz", "pool.PARQUET"] {
            let path = folder.path().join(name);
            write_features(&path, &ids, features.view(), "{\"name\": \"π\"}").unwrap();
            // The program names the ending in small letters.
            let path = match name {
                "pool.PARQUET" => {
                    let small = folder.path().join("pool.parquet");
                    std::fs::rename(&path, &small).unwrap();
                    small
                }
                _ => path,
            };
            let entries = crate::open(&path).unwrap();
            let entry = |name: &str| entries.iter().find(|entry| entry.name == name).unwrap();
            let mut silent = vabal_query::progress::silent();
            let mut load = crate::Load::new(&mut silent);
            assert_eq!(entry("features").shape, [3, 2], "{name}");
            let values = entry("features").floats(&mut load).unwrap();
            assert_eq!(&*values, features.as_slice().unwrap(), "{name}");
            assert_eq!(entry("ids").texts(&mut load).unwrap(), ids, "{name}");
        }
    }

    #[test]
    fn another_ending_is_refused_before_anything_is_written() {
        let error = features_ending(Path::new("pool.csv")).unwrap_err().to_string();
        assert!(error.contains("hint: --out features.npz") && error.contains(".csv"), "{error}");
    }
}
