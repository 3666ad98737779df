//! Arrays in files as the tests of `rank`, `plan`, `score` and `pick` have them.

use std::fs;
use std::io::Write as _;
use std::path::Path;

/// An array of a file, in C order.
#[derive(Clone)]
pub struct Array {
    pub name: &'static str,
    pub descr: &'static str,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

pub fn f4(name: &'static str, shape: &[usize], values: impl IntoIterator<Item = f32>) -> Array {
    let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
    Array { name, descr: "<f4", shape: shape.to_vec(), bytes }
}

pub fn i8s(name: &'static str, values: impl IntoIterator<Item = i64>) -> Array {
    let bytes: Vec<u8> = values.into_iter().flat_map(i64::to_le_bytes).collect();
    Array { name, descr: "<i8", shape: vec![bytes.len() / 8], bytes }
}

pub fn texts(name: &'static str, values: &[String]) -> Array {
    let padded = |text: &String| text.chars().chain(['\0'; 12]).take(12).collect::<Vec<_>>();
    let bytes = values.iter().flat_map(padded).flat_map(|c| u32::from(c).to_le_bytes()).collect();
    Array { name, descr: "<U12", shape: vec![values.len()], bytes }
}

impl Array {
    pub fn npy(&self) -> Vec<u8> {
        let shape: String = self.shape.iter().map(|n| format!("{n}, ")).collect();
        let mut header =
            format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({shape}), }}", self.descr);
        while (11 + header.len()) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &self.bytes].concat()
    }

    pub fn values(&self) -> Vec<f32> {
        self.bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    pub fn as_f8(&self) -> Self {
        let bytes = self.values().into_iter().flat_map(|value| f64::from(value).to_le_bytes()).collect();
        Self { descr: "<f8", bytes, ..self.clone() }
    }

    pub fn as_f2(&self) -> Self {
        let bytes = self.values().into_iter().flat_map(|v| half::f16::from_f32(v).to_le_bytes()).collect();
        Self { descr: "<f2", bytes, ..self.clone() }
    }
}

pub fn npz(path: &Path, arrays: &[Array], method: zip::CompressionMethod) {
    let mut archive = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for array in arrays {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        archive.start_file(format!("{}.npy", array.name), options).unwrap();
        archive.write_all(&array.npy()).unwrap();
    }
    archive.finish().unwrap();
}

pub const STORED: zip::CompressionMethod = zip::CompressionMethod::Stored;

/// Rows of three classes, the third rare: two stages of features near the place of the class, and
/// probabilities that are mostly right. Every value is one that 16 bits hold.
pub fn rows(n: usize, first: usize) -> Vec<Array> {
    let class = |row: usize| [0, 1, 0, 1, 0, 1, 0, 1, 0, 2][row % 10];
    let noise = |row: usize, j: usize| ((row * 37 + j * 53 + row * j * 7) % 64) as f32 / 64.0;
    let feature = |row: usize, j: usize| noise(row, j) + if j % 3 == class(row) { 4.0 } else { 0.0 };
    let all = first..first + n;
    let stage = |name, width: usize, shift: usize| {
        let values = all.clone().flat_map(move |row| (0..width).map(move |j| feature(row, j + shift)));
        f4(name, &[n, width], values.collect::<Vec<_>>())
    };
    let p = all.clone().flat_map(|row| {
        let sure = 0.5 + 0.25 * ((row * 29 % 64) as f32 / 64.0);
        (0..3).map(move |c| if c == class(row) { sure } else { (1.0 - sure) / 2.0 })
    });
    vec![
        stage("stage1", 6, 0),
        stage("stage2", 9, 100),
        f4("probs", &[n, 3], p.collect::<Vec<_>>()),
        i8s("labels", all.clone().map(|row| class(row) as i64)),
        i8s("ids", all.map(|row| 1000 + row as i64)),
    ]
}

pub fn of<'a>(arrays: &'a [Array], name: &str) -> &'a Array {
    arrays.iter().find(|array| array.name == name).unwrap()
}

pub fn without(arrays: &[Array], name: &str) -> Vec<Array> {
    arrays.iter().filter(|array| array.name != name).cloned().collect()
}

pub fn changed(arrays: &[Array], array: Array) -> Vec<Array> {
    let mut all = without(arrays, array.name);
    all.push(array);
    all
}
