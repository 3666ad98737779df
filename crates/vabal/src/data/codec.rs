//! Images from bytes and to bytes. Every image goes through the one reader of [`decode`], over a slice: the decoders are
//! generic over what they read, and each further kind of reader compiles all of them once more.
//!
//! Never here: files, and the shape that an image is brought to.

use std::io::Cursor;

use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, ImageResult, Limits};

/// The most bytes of an image, in its file and as pixels: a file of a few bytes may claim any size.
pub const MOST_BYTES: u64 = 512 << 20;

/// The image in these bytes, upright. The error is the reason.
pub fn decode(bytes: &[u8], format: ImageFormat) -> Result<DynamicImage, String> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(format!("it has no pixels: {width} × {height}"));
    }
    if decoder.total_bytes() > MOST_BYTES {
        return Err(format!("it is too large: {width} × {height}"));
    }
    let orientation = decoder.orientation().map_err(|error| error.to_string())?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// The image as the bytes of a PNG file.
pub fn png(image: &DynamicImage) -> ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    image.write_with_encoder(PngEncoder::new(&mut bytes))?;
    Ok(bytes)
}
