//! Every format and type, against arrays written here byte by byte.

use std::fs;
use std::io::Write as _;

use tempfile::TempDir;
use vabal_query::progress::silent;

use super::*;

/// A file of `numpy.save`.
fn npy(descr: &str, fortran: bool, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let shape: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let fortran = if fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': ({shape}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.bytes());
    file.extend(bytes);
    file
}

fn npz(arrays: &[(&str, Vec<u8>)], method: zip::CompressionMethod) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        archive.start_file(format!("{name}.npy"), options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn floats(entry: &Entry, in_memory: usize) -> Result<Values<f32>> {
    entry.floats(&mut Load { progress: &mut silent(), in_memory })
}

fn only(path: &Path) -> Entry {
    let mut entries = open(path).unwrap();
    assert_eq!(entries.len(), 1);
    entries.remove(0)
}

const SHAPE: [usize; 3] = [5, 3, 2];

/// Values that every type of float holds, in C order.
fn wanted() -> Vec<f32> {
    (0..30).map(|n| n as f32 / 4.0 - 3.0).collect()
}

/// The same in the order of Fortran.
fn first_index_fastest(values: &[f32]) -> Vec<f32> {
    let [a, b, c] = SHAPE;
    let at = |n: usize| (n % a * b + n / a % b) * c + n / a / b;
    (0..values.len()).map(|n| values[at(n)]).collect()
}

fn bytes_of(values: &[f32], kind: &str, big: bool) -> Vec<u8> {
    let bytes = |value: f32| {
        let mut bytes = match kind {
            "f2" => half::f16::from_f32(value).to_le_bytes().to_vec(),
            "f4" => value.to_le_bytes().to_vec(),
            _ => f64::from(value).to_le_bytes().to_vec(),
        };
        if big {
            bytes.reverse();
        }
        bytes
    };
    values.iter().flat_map(|&value| bytes(value)).collect()
}

#[test]
fn floats_of_every_width_byte_order_and_array_order_are_the_same_numbers() {
    let place = Place::new();
    for kind in ["f2", "f4", "f8"] {
        for big in [false, true] {
            for fortran in [false, true] {
                let values = if fortran { first_index_fastest(&wanted()) } else { wanted() };
                let descr = format!("{}{kind}", if big { '>' } else { '<' });
                let file = npy(&descr, fortran, &SHAPE, &bytes_of(&values, kind, big));
                let mut paths = vec![place.write("a.npy", &file)];
                for (name, method) in
                    [("s.npz", zip::CompressionMethod::Stored), ("d.npz", zip::CompressionMethod::Deflated)]
                {
                    paths.push(place.write(name, &npz(&[("a", file.clone())], method)));
                }
                for path in paths {
                    let entry = only(&path);
                    assert_eq!((entry.name.as_str(), &entry.shape[..]), ("a", &SHAPE[..]));
                    // In memory, and in a file.
                    for in_memory in [1 << 20, 0] {
                        let read = floats(&entry, in_memory).unwrap();
                        assert_eq!(&read[..], wanted(), "{descr} {fortran} {}", path.display());
                        assert!(in_memory > 0 || read.is_mapped());
                    }
                }
            }
        }
    }
}

#[test]
fn what_lies_in_a_file_as_it_is_wanted_is_borrowed_from_it_and_nothing_else_is() {
    let place = Place::new();
    let f4 = npy("<f4", false, &SHAPE, &bytes_of(&wanted(), "f4", false));
    let f8 = npy("<f8", false, &SHAPE, &bytes_of(&wanted(), "f8", false));
    let mapped = |path: &Path| floats(&only(path), 1 << 20).unwrap().is_mapped();
    let path = place.write("a.npy", &f4);
    assert!(mapped(&path));
    assert!(!mapped(&place.write("b.npy", &f8)));
    // Ten letters of a name bring the values of an archive to a multiple of 4.
    let stored =
        |name: &str| place.write("c.npz", &npz(&[(name, f4.clone())], zip::CompressionMethod::Stored));
    let aligned: Vec<bool> = ["a", "ab", "abc", "abcd"].map(|name| mapped(&stored(name))).to_vec();
    assert_eq!(aligned.iter().filter(|&&is| is).count(), 1, "{aligned:?}");
    assert!(!mapped(&place.write("d.npz", &npz(&[("ab", f4)], zip::CompressionMethod::Deflated))));

    // Two readings are one piece of memory: that of the file.
    let entry = only(&path);
    let (one, two) = (floats(&entry, 0).unwrap(), floats(&entry, 0).unwrap());
    assert_eq!(one.as_ptr(), two.as_ptr());
    let Bytes::Mapped(map, range) = &entry.bytes else { panic!("not mapped") };
    assert_eq!(one.as_ptr().cast::<u8>(), map[range.clone()].as_ptr());
    let part = one.rows(6, &[1, 2, 3], &mut Load::new(&mut silent())).unwrap();
    assert_eq!(part.as_ptr(), one[6..].as_ptr());
    assert_eq!(&part[..], &wanted()[6..24]);
    let mixed = one.rows(6, &[4, 0], &mut Load::new(&mut silent())).unwrap();
    assert_eq!(&mixed[..], [&wanted()[24..], &wanted()[..6]].concat());
    let in_a_file = one.rows(6, &[4, 0], &mut Load { progress: &mut silent(), in_memory: 0 }).unwrap();
    assert!(in_a_file.is_mapped() && in_a_file[..] == mixed[..]);
    assert_eq!(one.rows(6, &[], &mut Load::new(&mut silent())).unwrap().len(), 0);
}

#[test]
fn safetensors_of_every_type_are_read() {
    use ::safetensors::tensor::{Dtype as Stored, TensorView, serialize};
    let place = Place::new();
    let halves: Vec<u8> = wanted().iter().flat_map(|&v| half::bf16::from_f32(v).to_le_bytes()).collect();
    let all = [
        ("a", Stored::F16, bytes_of(&wanted(), "f2", false)),
        ("b", Stored::F32, bytes_of(&wanted(), "f4", false)),
        ("c", Stored::F64, bytes_of(&wanted(), "f8", false)),
        ("d", Stored::BF16, halves),
    ];
    let views = all
        .iter()
        .map(|(name, dtype, bytes)| (*name, TensorView::new(*dtype, SHAPE.to_vec(), bytes).unwrap()));
    let path = place.write("a.safetensors", &serialize(views, None).unwrap());
    let entries = open(&path).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    for entry in &entries {
        let read = floats(entry, 1 << 20).unwrap();
        assert_eq!(&read[..], wanted(), "{}", entry.dtype);
        assert_eq!(read.is_mapped(), entry.dtype == Dtype::F32);
    }
}

#[test]
fn whole_numbers_of_every_type_are_read_and_what_does_not_fit_is_named_by_its_row() {
    let place = Place::new();
    let read = |descr: &str, bytes: &[u8], rows: usize| -> Result<Vec<Option<u32>>> {
        let entry = only(&place.write("labels.npy", &npy(descr, false, &[rows], bytes)));
        entry.integers("whole numbers from 0", &mut Load::new(&mut silent()))
    };
    let sevens = Ok::<_, String>(vec![Some(7), Some(7)]);
    for (descr, bytes) in [
        ("|u1", vec![7]),
        ("|i1", vec![7]),
        ("<i2", vec![7, 0]),
        (">u2", vec![0, 7]),
        ("<u4", vec![7, 0, 0, 0]),
        (">i4", vec![0, 0, 0, 7]),
        ("<i8", 7_i64.to_le_bytes().to_vec()),
        (">u8", 7_u64.to_be_bytes().to_vec()),
        ("<f4", 7_f32.to_le_bytes().to_vec()),
        ("<f8", 7_f64.to_le_bytes().to_vec()),
    ] {
        assert_eq!(read(descr, &bytes.repeat(2), 2).map_err(|e| e.to_string()), sevens, "{descr}");
    }
    let pair = |a: f64, b: f64| [a.to_le_bytes(), b.to_le_bytes()].concat();
    assert_eq!(read("<f8", &pair(1.0, f64::NAN), 2).unwrap(), [Some(1), None]);
    for (value, got) in
        [(-1.0, "got: -1"), (1.5, "got: 1.5"), (1e30, "got: 1000"), (f64::INFINITY, "got: inf")]
    {
        let error = read("<f8", &pair(1.0, value), 2).unwrap_err().to_string();
        assert!(error.contains("labels.npy, row 1") && error.contains(got), "{error}");
    }
    for (descr, got) in [("|b1", "bool"), ("|O", "Python objects"), ("<c8", "<c8"), ("<U2", "text")] {
        let error = read(descr, &[0; 64], 2).unwrap_err().to_string();
        assert!(error.contains("unsupported array type") && error.contains(got), "{error}");
    }
}

#[test]
fn texts_are_read_and_bytes_that_are_none_are_named_by_their_row() {
    let place = Place::new();
    let read = |descr: &str, bytes: &[u8]| {
        let entry = only(&place.write("ids.npy", &npy(descr, false, &[2], bytes)));
        entry.texts(&mut Load::new(&mut silent()))
    };
    let points = |texts: [&str; 2], big: bool| -> Vec<u8> {
        let padded = |text: &str| text.chars().map(u32::from).chain([0; 3]).take(3).collect::<Vec<u32>>();
        let bytes = |point: u32| if big { point.to_be_bytes() } else { point.to_le_bytes() };
        texts.into_iter().flat_map(padded).flat_map(bytes).collect()
    };
    assert_eq!(read("<U3", &points(["é字", "b c"], false)).unwrap(), ["é字", "b c"]);
    assert_eq!(read(">U3", &points(["", "b"], true)).unwrap(), ["", "b"]);
    assert_eq!(read("|S3", b"a\0\0abc").unwrap(), ["a", "abc"]);
    for (descr, bytes) in [("|S3", b"abc\xff\0\0".to_vec()), ("<U1", [[0; 4], [0xff; 4]].concat())] {
        let error = read(descr, &bytes).unwrap_err().to_string();
        assert!(error.contains("ids.npy, row 1") && error.contains("hint: "), "{error}");
    }
}

#[test]
fn a_file_torn_at_any_place_or_with_any_byte_changed_is_an_error_or_numbers_but_no_panic() {
    use ::safetensors::tensor::{Dtype as Stored, TensorView, serialize};
    let place = Place::new();
    let f4 = npy("<f4", false, &SHAPE, &bytes_of(&wanted(), "f4", false));
    let bytes = bytes_of(&wanted(), "f4", false);
    let view = TensorView::new(Stored::F32, SHAPE.to_vec(), &bytes).unwrap();
    let files = [
        ("a.npy", f4.clone()),
        ("b.npz", npz(&[("x", f4.clone()), ("y", f4.clone())], zip::CompressionMethod::Stored)),
        ("c.npz", npz(&[("x", f4.clone()), ("y", f4)], zip::CompressionMethod::Deflated)),
        ("d.safetensors", serialize([("x", view)], None).unwrap()),
    ];
    let read = |path: &Path| -> Result<()> {
        for entry in open(path)? {
            let load = &mut Load { progress: &mut silent(), in_memory: 1 << 16 };
            entry.floats(load).map(drop)?;
        }
        Ok(())
    };
    for (name, whole) in files {
        read(&place.write(name, &whole)).unwrap();
        for length in 0..whole.len() {
            let error = read(&place.write(name, &whole[..length])).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("hint: "), "{length}: {error}");
        }
        for at in 0..whole.len().min(700) {
            for change in [1, 0x80, 0xff] {
                let mut other = whole.clone();
                other[at] ^= change;
                if let Err(error) = read(&place.write(name, &other)) {
                    assert!(error.to_string().contains("hint: "), "{at}: {error}");
                }
            }
        }
    }
}

#[test]
fn an_archive_that_claims_more_than_it_can_hold_is_refused_before_any_memory_is_taken() {
    let place = Place::new();
    // 40 TB of zeros, of which nothing is there.
    let header = npy("<f4", false, &[10_000_000_000_000], &[]);
    for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
        let error =
            open(&place.write("a.npz", &npz(&[("x", header.clone())], method))).unwrap_err().to_string();
        assert!(error.contains("a.npz, x") && error.contains("of 40000000000000 bytes"), "{error}");
    }
    let error = open(&place.write("a.npy", &header)).unwrap_err().to_string();
    assert!(error.contains("40000000000000 bytes of values") && error.contains("got: 0 bytes"), "{error}");
    // Of a type that is not read, a value has a byte at least.
    for descr in ["|O", "<c8"] {
        let header = npy(descr, false, &[1_000_000_000_000, 4], &[0; 64]);
        let error = open(&place.write("a.npy", &header)).unwrap_err().to_string();
        assert!(error.contains("4000000000000 bytes") && error.contains("got: 64 bytes"), "{error}");
        let archive = npz(&[("x", header)], zip::CompressionMethod::Deflated);
        let error = open(&place.write("a.npz", &archive)).unwrap_err().to_string();
        assert!(error.contains("64 of 4000000000000 bytes"), "{error}");
    }
}

#[test]
fn reading_stops_when_it_is_asked_to() {
    let place = Place::new();
    let f8 = npy("<f8", false, &SHAPE, &bytes_of(&wanted(), "f8", false));
    let entry = only(&place.write("a.npy", &f8));
    let mut stop = |_: vabal_query::Event<'_>| vabal_query::Flow::Stop;
    assert!(matches!(entry.floats(&mut Load::new(&mut stop)), Err(Error::Stopped)));
}
