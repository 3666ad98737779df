//! The files behind the images: where they are, what a browser can show of them, thumbnails.
//!
//! A [`Picture`] needs no connection, so that nobody waits for a decoder. A path never leaves the
//! folder of images, also not by a link; what is handed out is an image, whatever lies there by
//! now. Never here: which image is shown.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat};
use rusqlite::OptionalExtension as _;

use super::{ImageId, Project};
use crate::data::walk::{self, hash_of};
use crate::data::{codec, folder};
use crate::error::{Error, Result};
use crate::files;

/// Longest sides that thumbnails are made of, in pixels.
const SIZES: [u32; 5] = [64, 128, 256, 512, 1024];
const QUALITY: u8 = 88;

/// Where an image is, and what it was when it was imported.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The folder of images.
    folder: PathBuf,
    /// Below it.
    path: String,
    hash: Vec<u8>,
    bytes: u64,
    changed: i64,
    /// The folder of thumbnails.
    thumbs: PathBuf,
}

/// The bytes of a picture, and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// "image/jpeg", …
    pub content_type: &'static str,
}

impl Project {
    /// The file of an image; `None` where there is no image of this id. Nothing of it is read yet.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn picture(&self, id: ImageId) -> Result<Option<Picture>> {
        let folder = self.images_folder()?;
        let thumbs = self.folder.join("thumbs");
        self.read(|sql| {
            let picture = |row: &rusqlite::Row<'_>| {
                Ok(Picture {
                    folder: folder.clone(),
                    thumbs: thumbs.clone(),
                    path: row.get(0)?,
                    hash: row.get(1)?,
                    bytes: row.get(2)?,
                    changed: row.get(3)?,
                })
            };
            let mut select =
                sql.prepare_cached("SELECT path, hash, bytes, changed FROM images WHERE image = ?1")?;
            Ok(select.query_row([id], picture).optional()?)
        })
    }

    /// [`Picture::thumbnail`] of an image; `None` where there is no image of this id.
    ///
    /// # Errors
    /// As [`Picture::thumbnail`].
    pub fn thumbnail(&self, id: ImageId, size: u32) -> Result<Option<Vec<u8>>> {
        self.picture(id)?.map(|picture| picture.thumbnail(size)).transpose()
    }

    /// [`Picture::for_browser`] of an image; `None` where there is no image of this id.
    ///
    /// # Errors
    /// As [`Picture::for_browser`].
    pub fn browser_image(&self, id: ImageId) -> Result<Option<Content>> {
        self.picture(id)?.map(|picture| picture.for_browser()).transpose()
    }
}

impl Picture {
    /// The picture made small, as JPEG: its longest side is `size`, or the next of 64, 128, 256,
    /// 512, 1024; a smaller one is kept as it is. Made once: the next time it comes from the
    /// project's folder `thumbs`.
    ///
    /// # Errors
    /// A file that is gone, has changed since it was imported, leads out of the folder of images,
    /// or is no image any more. A thumbnail that cannot be kept, as on a full disk, is made anew
    /// each time.
    pub fn thumbnail(&self, size: u32) -> Result<Vec<u8>> {
        let side = SIZES.into_iter().find(|&side| side >= size).unwrap_or(SIZES[SIZES.len() - 1]);
        let hash: String = self.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let kept = self.thumbs.join(format!("{hash}-{side}.jpg"));
        if let Ok(bytes) = fs::read(&kept) {
            return Ok(bytes);
        }
        let small = shrink(self.decode()?.image, side);
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
        small.write_with_encoder(encoder).map_err(|error| self.wrong(&error))?;
        // The next one who wants it makes it again.
        let _ = files::write(&kept, &bytes);
        Ok(bytes)
    }

    /// The file itself where browsers show it as the model sees it, else the picture as PNG: of
    /// TIFF, of what is transparent and would be on the page's background, of 12 bits in 16. The
    /// type is told by the content.
    ///
    /// # Errors
    /// As [`Picture::thumbnail`].
    pub fn for_browser(&self) -> Result<Content> {
        let path = self.locate()?;
        let mut bytes = Vec::new();
        let file = File::open(&path).map_err(Error::io("read", &path))?;
        let most = codec::MOST_BYTES;
        file.take(most + 1).read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
        let format = image::guess_format(&bytes).ok().filter(|_| bytes.len() as u64 <= most);
        let content_type = match format {
            Some(ImageFormat::Jpeg) => "image/jpeg",
            Some(ImageFormat::Png) => "image/png",
            Some(ImageFormat::WebP) => "image/webp",
            Some(ImageFormat::Bmp) => "image/bmp",
            _ => "",
        };
        let plain =
            format.is_some_and(|format| format == ImageFormat::Jpeg || codec::is_plain(&bytes, format));
        if !content_type.is_empty() && plain {
            return Ok(Content { bytes, content_type });
        }
        let shown = self.decode()?;
        if !content_type.is_empty() && !shown.transparent && !shown.stretched {
            return Ok(Content { bytes, content_type });
        }
        let bytes = codec::png(&shown.image).map_err(|error| self.wrong(&error))?;
        Ok(Content { bytes, content_type: "image/png" })
    }

    /// Where the file is: below the folder of images, and with the content that was imported.
    ///
    /// # Errors
    /// A file that is gone, has changed, or leads out of the folder of images.
    pub fn locate(&self) -> Result<PathBuf> {
        let path = inside(&canonical(&self.folder)?, &self.path)?;
        let data = fs::metadata(&path).map_err(Error::io("read", &path))?;
        // A file that was only touched is the same still.
        let same = data.len() == self.bytes && walk::changed_at(&data) == self.changed;
        if !same && hash_of(&path).map_err(Error::io("read", &path))?.as_slice() != self.hash {
            return Err(Error::input("the file has changed since it was imported")
                .at(&self.path)
                .hint("import the images again")
                .into());
        }
        Ok(path)
    }

    fn decode(&self) -> Result<codec::Shown> {
        match folder::look(&self.locate()?) {
            Ok(Some(shown)) => Ok(shown),
            Ok(None) => Err(self.wrong(&"it is no image")),
            Err(reason) => Err(self.wrong(&reason)),
        }
    }

    fn wrong(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::input("the image cannot be shown")
            .at(&self.path)
            .got(reason)
            .hint("import the images again")
            .into()
    }
}

/// The picture, its longest side at most `side`.
fn shrink(image: DynamicImage, side: u32) -> DynamicImage {
    let longest = u64::from(image.width().max(image.height()));
    let scaled = |length: u32| (u64::from(length) * u64::from(side) / longest.max(1)).max(1) as u32;
    let (width, height) = (scaled(image.width()), scaled(image.height()));
    match longest > u64::from(side) {
        // First by whole pixels, which costs little, then well.
        true if longest > 4 * u64::from(side) => image
            .thumbnail_exact(width.saturating_mul(2), height.saturating_mul(2))
            .resize_exact(width, height, FilterType::Triangle),
        true => image.resize_exact(width, height, FilterType::Triangle),
        false => image,
    }
}

/// The folder of images without links in its path.
pub(super) fn canonical(folder: &Path) -> Result<PathBuf> {
    fs::canonicalize(folder).map_err(Error::io("read", folder))
}

/// The folder of images itself, for work that cannot do without it.
pub(super) fn root(folder: &Path) -> Result<PathBuf> {
    if !folder.exists() {
        return Err(Error::input("the folder of images is not there")
            .at(folder.display())
            .hint("if it was moved, say where to: vabal scan PROJECT --images DIR")
            .into());
    }
    canonical(folder)
}

/// The file at a path below a canonical folder.
///
/// # Errors
/// Nothing there, or something that is outside once links are followed.
pub(super) fn inside(folder: &Path, path: &str) -> Result<PathBuf> {
    let full = folder.join(path);
    let real = fs::canonicalize(&full).map_err(Error::io("read", &full))?;
    if real.starts_with(folder) {
        return Ok(real);
    }
    Err(Error::input("the file is not in the folder of images")
        .at(path)
        .hint("replace the link by the file itself")
        .into())
}
