//! Writing files so that no half-written one is ever visible.

use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};

/// Writes `bytes` beside `path` under a temporary name, flushes them to the disk, then renames.
///
/// # Errors
/// The operating system's, with the path. On an error the temporary file is removed and `path` is untouched.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = (|| {
        let mut file = std::fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    })();
    written.map_err(|source| {
        // The write has failed already: a part that cannot be removed either changes nothing of that.
        let _ = std::fs::remove_file(&part);
        Error::io("write", path)(source)
    })
}
