//! An image as the numbers that a backbone takes: the whole image, stretched to the input's size by
//! triangle filter with antialiasing, then normalised.
//!
//! Never here: decoding files.

use image::imageops::FilterType;
use image::{DynamicImage, GenericImageView as _, GrayImage, Luma, Rgb, RgbImage};

use crate::spec::{Layout, Spec};

/// Changes with what [`write`] computes, so that features of before are not taken for those of now.
pub(crate) const VERSION: u32 = 2;

/// The picture without alpha, on white where it is transparent, as an eye sees it on paper.
///
/// ```
/// use image::{DynamicImage, Rgb, RgbaImage};
///
/// let clear = DynamicImage::ImageRgba8(RgbaImage::new(1, 1));
/// assert_eq!(vabal_backbone::on_white(clear).to_rgb8().get_pixel(0, 0), &Rgb([255; 3]));
/// ```
#[must_use]
pub fn on_white(image: DynamicImage) -> DynamicImage {
    if !image.color().has_alpha() {
        return image;
    }
    let over = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let (width, height) = image.dimensions();
    match image.color().has_color() {
        true => {
            let image = image.into_rgba8();
            DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| {
                let [red, green, blue, alpha] = image.get_pixel(x, y).0;
                Rgb([red, green, blue].map(|value| over(value, alpha)))
            }))
        }
        false => {
            let image = image.into_luma_alpha8();
            DynamicImage::ImageLuma8(GrayImage::from_fn(width, height, |x, y| {
                let [grey, alpha] = image.get_pixel(x, y).0;
                Luma([over(grey, alpha)])
            }))
        }
    }
}

/// Writes one image [channels · height · width] in the order of the layout.
pub(crate) fn write(image: &DynamicImage, spec: &Spec, out: &mut [f32]) {
    let (height, width) = (spec.height as u32, spec.width as u32);
    let flat = image.color().has_alpha().then(|| on_white(image.clone()));
    let image = flat.as_ref().unwrap_or(image);
    // Wide images are gone through once, by whole pixels, which costs little; then well.
    let large = image.width() > 4 * width && image.height() > 4 * height;
    let smaller = large.then(|| image.thumbnail_exact(2 * width, 2 * height));
    let image = smaller.as_ref().unwrap_or(image);
    let resized = |image: DynamicImage| match image.dimensions() == (width, height) {
        true => image,
        false => image.resize_exact(width, height, FilterType::Triangle),
    };
    let bytes = match (spec.channels, image.color().has_color()) {
        (1, _) => resized(DynamicImage::ImageLuma8(image.to_luma8())).into_luma8().into_raw(),
        // Grey is resized once, not three times.
        (_, false) => {
            let grey = resized(DynamicImage::ImageLuma8(image.to_luma8())).into_luma8();
            grey.into_raw().into_iter().flat_map(|grey| [grey; 3]).collect()
        }
        _ => resized(DynamicImage::ImageRgb8(image.to_rgb8())).into_rgb8().into_raw(),
    };
    let channels = spec.channels;
    let table: Vec<[f32; 256]> = (0..channels)
        .map(|channel| {
            let (mean, std) = (spec.normalisation.mean[channel], spec.normalisation.std[channel]);
            std::array::from_fn(|value| (value as f32 / 255.0 - mean) / std)
        })
        .collect();
    let plane = spec.height * spec.width;
    for (place, pixel) in bytes.chunks_exact(channels).enumerate() {
        for (channel, (&value, table)) in pixel.iter().zip(&table).enumerate() {
            let at = match spec.layout {
                Layout::Nchw => channel * plane + place,
                Layout::Nhwc => place * channels + channel,
            };
            out[at] = table[value as usize];
        }
    }
}
