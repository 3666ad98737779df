//! Images from bytes and to bytes. Every image goes through the one reader of [`decode`], over a
//! slice: the decoders are generic over what they read, and each further kind of reader compiles
//! all of them once more.
//!
//! Never here: files, and the shape that an image is brought to.

use std::io::Cursor;

use image::codecs::png::PngEncoder;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, ImageResult, Limits};

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

/// Whether a browser shows the bytes of this file as [`shown`] gives it: 8 bits, no alpha.
pub fn is_plain(bytes: &[u8], format: ImageFormat) -> bool {
    let decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder();
    decoder.is_ok_and(|decoder| matches!(decoder.color_type(), ColorType::L8 | ColorType::Rgb8))
}

/// The largest sample of 12 bits.
const TWELVE_BITS: u16 = (1 << 12) - 1;

/// A picture as eye and model see it.
pub struct Shown {
    /// 8 bits a channel, grey or colour, without alpha.
    pub image: DynamicImage,
    /// Whether it held 12 bits in 16, and was stretched.
    pub stretched: bool,
    /// Whether something was transparent.
    pub transparent: bool,
}

/// The picture in 8 bits, on white where it is transparent. Cameras of 12 bits save 16 of which the
/// upper four are empty: where no sample is larger than 12 bits hold, white is 4095 instead of 65535.
pub fn shown(image: DynamicImage) -> Shown {
    let stretched = most(&image).is_some_and(|most| (1..=TWELVE_BITS).contains(&most));
    let image = if stretched { stretch(image) } else { image };
    let transparent = match &image {
        DynamicImage::ImageLumaA8(image) => image.pixels().any(|pixel| pixel.0[1] < u8::MAX),
        DynamicImage::ImageLumaA16(image) => image.pixels().any(|pixel| pixel.0[1] < u16::MAX),
        DynamicImage::ImageRgba8(image) => image.pixels().any(|pixel| pixel.0[3] < u8::MAX),
        DynamicImage::ImageRgba16(image) => image.pixels().any(|pixel| pixel.0[3] < u16::MAX),
        DynamicImage::ImageRgba32F(image) => image.pixels().any(|pixel| pixel.0[3] < 1.0),
        _ => false,
    };
    let image = if transparent { vabal_backbone::on_white(image) } else { image };
    let image = match image.color().has_color() {
        true => DynamicImage::ImageRgb8(image.into_rgb8()),
        false => DynamicImage::ImageLuma8(image.into_luma8()),
    };
    Shown { image, stretched, transparent }
}

/// The largest sample of a picture of 16 bits, alpha left out.
fn most(image: &DynamicImage) -> Option<u16> {
    let colours = |samples: &[u16], channels: usize| {
        samples.chunks_exact(channels).flat_map(|pixel| &pixel[..channels - 1]).copied().max()
    };
    match image {
        DynamicImage::ImageLuma16(image) => image.as_raw().iter().copied().max(),
        DynamicImage::ImageRgb16(image) => image.as_raw().iter().copied().max(),
        DynamicImage::ImageLumaA16(image) => colours(image.as_raw(), 2),
        DynamicImage::ImageRgba16(image) => colours(image.as_raw(), 4),
        _ => None,
    }
}

fn stretch(mut image: DynamicImage) -> DynamicImage {
    let wide = |sample: &mut u16| {
        *sample = (u32::from(*sample) * u32::from(u16::MAX) / u32::from(TWELVE_BITS)) as u16;
    };
    let colours = |samples: &mut [u16], channels: usize| {
        samples.chunks_exact_mut(channels).flat_map(|pixel| &mut pixel[..channels - 1]).for_each(wide);
    };
    match &mut image {
        DynamicImage::ImageLuma16(image) => image.iter_mut().for_each(wide),
        DynamicImage::ImageRgb16(image) => image.iter_mut().for_each(wide),
        DynamicImage::ImageLumaA16(image) => colours(image, 2),
        DynamicImage::ImageRgba16(image) => colours(image, 4),
        _ => {}
    }
    image
}

/// What a file is that looks like an image of a kind that is not read, by its first [`SNIFF_BYTES`]
/// bytes.
pub fn foreign(head: &[u8]) -> Option<&'static str> {
    let at = |place: usize, text: &[u8]| head.get(place..).is_some_and(|rest| rest.starts_with(text));
    let brand = |names: &[&[u8; 4]]| at(4, b"ftyp") && names.iter().any(|name| at(8, *name));
    let kinds = [
        (at(0, b"II+\0") || at(0, b"MM\0+"), "BigTIFF"),
        (at(0, b"GIF87a") || at(0, b"GIF89a"), "GIF"),
        (brand(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]), "HEIC"),
        (brand(&[b"avif", b"avis"]), "AVIF"),
        (brand(&[b"crx "]), "Canon raw (CR3)"),
        (at(0, b"\xff\x0a") || at(4, b"JXL \r\n\x87\n"), "JPEG XL"),
        (at(0, b"\xff\x4f\xff\x51") || at(4, b"jP  \r\n\x87\n"), "JPEG 2000"),
        (at(0, b"8BPS"), "Photoshop (PSD)"),
        (at(0, b"qoif"), "QOI"),
        (at(0, b"\x76\x2f\x31\x01"), "OpenEXR"),
        (at(0, b"#?RADIANCE"), "Radiance HDR"),
        (at(0, b"DDS "), "DDS"),
        (at(0, b"SIMPLE  ="), "FITS"),
        (at(128, b"DICM"), "DICOM"),
    ];
    kinds.into_iter().find_map(|(is, name)| is.then_some(name))
}

/// Bytes of a file that tell what it is.
pub const SNIFF_BYTES: u64 = 132;

/// The image as the bytes of a PNG file.
pub fn png(image: &DynamicImage) -> ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    image.write_with_encoder(PngEncoder::new(&mut bytes))?;
    Ok(bytes)
}
