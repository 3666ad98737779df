//! The few small pictures that a run folder keeps of what was asked first, as `thumbnails/ID.png`,
//! so that the report can show them without the data set.
//!
//! Never here: which images are worth keeping; full-size images.

use std::fs;
use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use image::{ImageFormat, RgbImage};

use crate::Id;
use crate::data::{ImageShape, codec};
use crate::error::{Error, Result};
use crate::files;

/// How many of a round's first picks the report shows, and so how many a run folder keeps.
pub const PER_ROUND: usize = 8;

/// The longest side of a thumbnail, in pixels. Smaller images are kept as they are.
pub const SIDE: u32 = 96;

/// A small picture: red, green, blue, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// Columns of pixels, at least 1.
    pub width: u32,
    /// Rows of pixels, at least 1.
    pub height: u32,
    /// [height, width, 3]
    pub rgb: Vec<u8>,
}

impl Thumbnail {
    /// The thumbnail of an image given as [channels, height, width]; grey becomes three equal
    /// channels.
    ///
    /// # Errors
    /// A number of bytes that is not the shape's.
    pub fn of(shape: ImageShape, pixels: &[u8]) -> Result<Self> {
        let plane = shape.height * shape.width;
        if plane == 0 || pixels.len() != shape.bytes() {
            return Err(Error::input("pixels and shape disagree")
                .expected(format!("{} bytes", shape.bytes()))
                .got(format!("{} bytes", pixels.len()))
                .into());
        }
        let channel = |c: usize| if shape.channels == 3 { c } else { 0 };
        let rgb =
            (0..plane).flat_map(|p| [0, 1, 2].map(|c| pixels[channel(c) * plane + p])).collect::<Vec<u8>>();
        let full = Self { width: shape.width as u32, height: shape.height as u32, rgb };
        let longest = full.width.max(full.height);
        if longest <= SIDE {
            return Ok(full);
        }
        let side = |length: u32| (length * SIDE / longest).max(1);
        let small = image::imageops::resize(
            &full.buffer()?,
            side(full.width),
            side(full.height),
            FilterType::Triangle,
        );
        Ok(Self::from_buffer(small))
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// A number of bytes that is not width × height × 3.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        Ok(codec::png(&self.buffer()?.into())
            .map_err(|error| Error::input("a thumbnail cannot be written as PNG").got(error))?)
    }

    fn buffer(&self) -> Result<RgbImage> {
        RgbImage::from_raw(self.width, self.height, self.rgb.clone()).ok_or_else(|| {
            Error::input("pixels and size disagree")
                .expected(format!("{} × {} × 3 bytes", self.width, self.height))
                .got(format!("{} bytes", self.rgb.len()))
                .into()
        })
    }

    fn from_buffer(buffer: RgbImage) -> Self {
        Self { width: buffer.width(), height: buffer.height(), rgb: buffer.into_raw() }
    }
}

fn path(folder: &Path, id: Id) -> PathBuf {
    folder.join("thumbnails").join(format!("{id}.png"))
}

/// Keeps the thumbnail of an image in a run folder. Writing the same one again changes nothing.
///
/// # Errors
/// The folder cannot be written.
pub fn write(folder: &Path, id: Id, thumbnail: &Thumbnail) -> Result<()> {
    files::write(&path(folder, id), &thumbnail.to_png()?)
}

/// The thumbnail of an image, or `None` where the run folder has none.
///
/// # Errors
/// A file that is there but is no picture.
pub fn read(folder: &Path, id: Id) -> Result<Option<Thumbnail>> {
    let path = path(folder, id);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(Error::io("read", &path))?,
    };
    let picture = codec::decode(&bytes, ImageFormat::Png).map_err(|error| {
        Error::input("a thumbnail cannot be read")
            .at(path.display())
            .expected("a PNG picture")
            .got(error)
            .hint("delete the file; the report then goes without this picture")
    })?;
    Ok(Some(Thumbnail::from_buffer(picture.to_rgb8())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_become_interleaved_colours_and_survive_the_folder() {
        let shape = ImageShape { channels: 3, height: 1, width: 2 };
        let thumbnail = Thumbnail::of(shape, &[1, 2, 10, 20, 100, 200]).unwrap();
        assert_eq!(thumbnail.rgb, [1, 10, 100, 2, 20, 200]);
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path(), 7).unwrap(), None);
        write(folder.path(), 7, &thumbnail).unwrap();
        assert_eq!(read(folder.path(), 7).unwrap(), Some(thumbnail));
    }

    #[test]
    fn grey_is_repeated_and_large_images_shrink_with_their_aspect() {
        let shape = ImageShape { channels: 1, height: 100, width: 400 };
        let thumbnail = Thumbnail::of(shape, &vec![9; 40_000]).unwrap();
        assert_eq!((thumbnail.width, thumbnail.height), (SIDE, SIDE / 4));
        assert!(thumbnail.rgb.iter().all(|&value| value == 9));
    }

    #[test]
    fn a_file_that_is_no_picture_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("thumbnails")).unwrap();
        fs::write(folder.path().join("thumbnails/3.png"), b"no picture").unwrap();
        let error = read(folder.path(), 3).unwrap_err().to_string();
        assert!(error.contains("3.png") && error.contains("hint"), "{error}");
    }

    #[test]
    fn pixels_of_another_shape_are_refused() {
        assert!(Thumbnail::of(ImageShape { channels: 3, height: 2, width: 2 }, &[0; 4]).is_err());
    }
}
