//! One function for each kind of file or message that strangers send. Whatever the bytes are, each
//! returns: an error is an answer, a panic or an abort is a fault.

use std::cell::RefCell;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tempfile::TempDir;
use vabal::config::Config;
use vabal::data::Source;
use vabal::project::exchange::{self, Format, Reading};
use vabal::project::Project;
use vabal::project::map::Stand;
use vabal_backbone::{Backbone, Settings};
use vabal_query::Seed;
use vabal_query::arrays::{Kind, Source as _};
use vabal_query::progress::silent;

/// Arrays beyond this are listed and not read: what a header claims may be true, and large.
const MOST_BYTES: usize = 16 << 20;

thread_local! {
    static FOLDER: RefCell<TempDir> = RefCell::new(tempfile::tempdir().expect("a folder for files"));
}

/// Calls `read` with a file of these bytes.
fn with_file(name: &str, bytes: &[u8], read: impl FnOnce(&Path)) {
    FOLDER.with_borrow(|folder| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file in the folder");
        read(&path);
    });
}

fn arrays(name: &str, bytes: &[u8]) {
    with_file(name, bytes, |path| {
        for entry in vabal_arrays::open(path).into_iter().flatten() {
            let values = entry.shape.iter().try_fold(1_usize, |all, &n| all.checked_mul(n));
            if values.is_none_or(|values| values.saturating_mul(entry.dtype.size().max(1)) > MOST_BYTES) {
                continue;
            }
            for kind in [Kind::Floats, Kind::Bytes, Kind::Ids, Kind::Labels] {
                _ = entry.read(kind, &mut silent());
            }
        }
    });
}

/// NumPy's array.
pub fn npy(bytes: &[u8]) {
    arrays("a.npy", bytes);
}

/// NumPy's archive.
pub fn npz(bytes: &[u8]) {
    arrays("a.npz", bytes);
}

/// Safetensors.
pub fn safetensors(bytes: &[u8]) {
    arrays("a.safetensors", bytes);
}

/// Parquet.
pub fn parquet(bytes: &[u8]) {
    arrays("a.parquet", bytes);
}

/// Labels as CSV.
pub fn csv(bytes: &[u8]) {
    _ = exchange::read(bytes, Format::Csv, &Reading::default());
}

/// Labels as JSON lines.
pub fn json_lines(bytes: &[u8]) {
    _ = exchange::read(bytes, Format::JsonLines, &Reading::default());
}

/// An export of Label Studio.
pub fn label_studio(bytes: &[u8]) {
    _ = exchange::read(bytes, Format::LabelStudio, &Reading::default());
}

/// Loads a data set of files that all have these bytes.
fn data(kind: &str, names: &[&str], bytes: &[u8]) {
    FOLDER.with_borrow(|folder| {
        let folder = folder.path().join(kind);
        fs::create_dir_all(&folder).expect("a folder for the data");
        for name in names {
            fs::write(folder.join(name), bytes).expect("a file in the folder");
        }
        let text = format!("[data]\nkind = \"{kind}\"\npath = {:?}\n", folder.display().to_string());
        let config = Config::parse(&text, "fuzz", "fuzz", &[]).expect("a configuration");
        let source: Source = config.data;
        _ = source.load(Seed::new(1), &folder, &mut silent());
    });
}

/// CIFAR-10 as binary files.
pub fn cifar(bytes: &[u8]) {
    let batches = ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"];
    data("cifar10", &batches, bytes);
}

/// MNIST's format.
pub fn idx(bytes: &[u8]) {
    let names = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
    data("idx", &names, bytes);
}

/// An image in a folder with one class beside it.
pub fn image(bytes: &[u8]) {
    FOLDER.with_borrow(|folder| {
        let root = folder.path().join("photos");
        for class in ["one", "two"] {
            fs::create_dir_all(root.join(class)).expect("a folder for the class");
            for (n, ending) in ["png", "jpg", "bmp", "tif", "webp"].iter().enumerate() {
                fs::write(root.join(class).join(format!("{n}.{ending}")), bytes).expect("a file in the folder");
            }
        }
        let text = format!("[data]\nkind = \"folder\"\nsize = 8\npath = {:?}\n", root.display().to_string());
        let config = Config::parse(&text, "fuzz", "fuzz", &[]).expect("a configuration");
        _ = config.data.load(Seed::new(1), folder.path(), &mut silent());
    });
}

/// A backbone: the file's check, before anything of it is run.
pub fn onnx(bytes: &[u8]) {
    with_file("model.onnx", bytes, |path| _ = Backbone::open(path, &Settings::default()));
}

/// The configuration of an experiment.
pub fn toml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(config) = Config::parse(text, "fuzz", "fuzz", &[]) {
        _ = config.check();
        let written = config.to_toml().expect("a resolved configuration can be written");
        let read = Config::parse(&written, "fuzz", "fuzz", &[]).expect("and read again");
        assert_eq!(read, config);
    }
}

/// The plan of a pool in parts.
pub fn plan(bytes: &[u8]) {
    _ = vabal_query::plan::Plan::from_bytes(bytes, "fuzz");
}

static SERVER: LazyLock<(u16, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder for the project").keep();
    let images = folder.join("images");
    fs::create_dir_all(&images).expect("a folder for images");
    let project = folder.join("project");
    Project::create(&project, &images, &["one".into(), "two".into()], vabal::project::Settings::default()).expect("a project");
    let options = vabal_web::Options {
        project,
        host: "127.0.0.1".into(),
        port: Some(0),
        allowed: Vec::new(),
        base_path: String::new(),
        token: Some("0123456789abcdef".into()),
        person: None,
    };
    let work = vabal_web::Work {
        learn: Arc::new(|_, _| Ok(())),
        map: Arc::new(|_| Ok(Stand::Impossible("no map here".into()))),
        make_map: Arc::new(|_, _| Ok(())),
        alike: Arc::new(|_, _| Ok(Vec::new())),
        cold_start: false,
        status: Arc::new(|_| Ok(serde_json::Value::Null)),
    };
    let server = vabal_web::Server::bind(options, work).expect("a server");
    let port = server.address().split([':', '/']).find_map(|part| part.parse().ok()).expect("a port");
    std::thread::spawn(move || server.run(&|| false));
    (port, folder)
});

/// A request to the page's server, with its token in front, so that what lies behind the gate is
/// reached too. The server must answer the next request as ever.
pub fn http(bytes: &[u8]) {
    let port = SERVER.0;
    let send = |bytes: &[u8]| -> Vec<u8> {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return Vec::new() };
        _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
        _ = stream.write_all(bytes);
        _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        _ = stream.take(1 << 20).read_to_end(&mut answer);
        answer
    };
    let line = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |place| place + 1);
    let gate = format!("Host: 127.0.0.1:{port}\r\nAuthorization: Bearer 0123456789abcdef\r\n");
    send(&[&bytes[..line], gate.as_bytes(), &bytes[line..]].concat());
    let answer = send(format!("GET /api/pulse HTTP/1.1\r\n{gate}Connection: close\r\n\r\n").as_bytes());
    assert!(answer.starts_with(b"HTTP/1.1 200"), "the server answers no more: {}", String::from_utf8_lossy(&answer));
}
