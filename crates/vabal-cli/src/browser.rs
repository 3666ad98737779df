//! Opens an address in the person's browser.
//!
//! The address holds the token, and everybody on a machine can read the arguments of a program:
//! what is opened is a file of the person's own that leads on to the address.
//!
//! Never here: what is at the address.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A file that leads to the page, for as long as this is kept.
#[derive(Debug)]
pub struct RedirectFile(PathBuf);

impl RedirectFile {
    /// Opens `address` by way of a file in `folder`. Whether a browser comes is not known, nor
    /// waited for.
    ///
    /// # Errors
    /// The file cannot be written, or there is no program that opens a browser.
    pub fn open(folder: &Path, address: &str) -> io::Result<Self> {
        let folder = folder.canonicalize()?;
        let path = folder.join(format!("open-{}.html", std::process::id()));
        let page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>vabal</title>\n\
             <meta http-equiv=\"refresh\" content=\"0; url={address}\">\n<a href=\"{address}\">Go on to the page</a>\n"
        );
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let _ = fs::remove_file(&path);
        let door = Self(path);
        options.open(&door.0)?.write_all(page.as_bytes())?;
        let (program, arguments) = opener(&door.0)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no desktop is open in this session"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // It ends at once or with the browser; nobody waits for it but the system.
        std::thread::spawn(move || child.wait());
        Ok(door)
    }
}

impl Drop for RedirectFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What opens a file as a click on it would.
fn opener(file: &Path) -> Option<(&'static str, Vec<OsString>)> {
    let file = file.as_os_str().to_owned();
    if cfg!(target_os = "macos") {
        return Some(("open", vec![file]));
    }
    if cfg!(windows) {
        return Some(("explorer", vec![file]));
    }
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    desktop.then(|| ("xdg-open", vec![file]))
}
