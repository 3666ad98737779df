//! Projects of tiny images, and the server over them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::json;
use tempfile::TempDir;
use vabal::project::map::Stand;
use vabal::project::{ListQuery, Project, Settings};
use vabal_web::{Options, Server, Work};

use crate::client::Client;

pub const TOKEN: &str = "0123456789abcdef";

/// A folder with a project of `n` images of 4 × 4 pixels, no two alike.
pub struct Place {
    pub folder: TempDir,
}

/// A colour BMP of 4 × 4 pixels that has the bytes of `n` in it.
pub fn bmp(n: u32) -> Vec<u8> {
    let mut bytes = b"BM".to_vec();
    for word in [102, 0, 54, 40, 4, 4, 1 | 24 << 16, 0, 48, 2835, 2835, 0, 0_u32] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(n.to_le_bytes().iter().copied().cycle().take(48));
    bytes
}

impl Place {
    pub fn new(n: u32, settings: &serde_json::Value) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(place.images()).unwrap();
        for image in 0..n {
            fs::write(place.images().join(format!("{image:05}.bmp")), bmp(image)).unwrap();
        }
        let settings = Settings::default().changed(settings).unwrap();
        let classes = ["crazing", "patches", "scratches"].map(String::from);
        let mut project = Project::create(&place.project(), &place.images(), &classes, settings).unwrap();
        project.import(&mut vabal::progress::silent()).unwrap();
        place
    }

    pub fn images(&self) -> PathBuf {
        self.folder.path().join("images")
    }

    pub fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    pub fn open(&self) -> Project {
        Project::open(&self.project()).unwrap()
    }

    /// The server over it, with a training that does nothing.
    pub fn serve(&self) -> Running {
        self.serve_with(idle())
    }

    pub fn serve_with(&self, work: Work) -> Running {
        Running::new(self.options(), work)
    }

    /// The same, reached in another way.
    pub fn serve_as(&self, change: impl FnOnce(&mut Options)) -> Running {
        let mut options = self.options();
        change(&mut options);
        Running::new(options, idle())
    }

    fn options(&self) -> Options {
        Options {
            project: self.project(),
            host: "127.0.0.1".into(),
            port: Some(0),
            allowed: Vec::new(),
            base_path: String::new(),
            token: Some(TOKEN.into()),
            person: None,
        }
    }
}

pub fn idle() -> Work {
    Work {
        learn: Arc::new(|_, _| Ok(())),
        cold_start: false,
        status: Arc::new(|project| Ok(json!({ "counts": project.counts()? }))),
        map: Arc::new(|_| Ok(Stand::Wanted)),
        make_map: Arc::new(|_, _| Ok(())),
        // The one that is asked for, then the others from the last to the first.
        alike: Arc::new(|project, image| {
            let mut all: Vec<_> =
                project.list(&ListQuery::default())?.images.iter().map(|one| one.id).collect();
            if !all.contains(&image) {
                return Err(vabal::Error::input("there is no such image").at("like").got(image).into());
            }
            all.sort_by_key(|&id| (id != image, std::cmp::Reverse(id)));
            Ok(all)
        }),
    }
}

/// A server that runs until it is dropped.
pub struct Running {
    pub address: String,
    pub others: Vec<String>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn new(options: Options, work: Work) -> Self {
        let server = Server::bind(options, work).unwrap();
        let address = server.address().strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
        let others = server.others().to_vec();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || server.run(&|| stopped.load(Ordering::SeqCst)));
        Self { address, others, stop, thread: Some(thread) }
    }

    pub fn client(&self) -> Client {
        Client::new(&self.address, TOKEN)
    }

    /// Ends it as Ctrl-C does.
    pub fn end(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
