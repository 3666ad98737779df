//! Figures as PNG, 300 dots to the inch, with the embedded font: the same on every machine.

use std::sync::{Arc, LazyLock};

use image::RgbaImage;
use image::imageops::FilterType;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb::Database};

use super::svg::{MILLIMETRES, Svg};
use crate::data::codec;
use crate::error::{Error, Result};

/// Inter 4, Regular and SemiBold, cut down to Latin and Greek letters and common signs. SIL Open
/// Font Licence 1.1, see `assets/Inter-LICENSE.txt`.
pub const REGULAR: &[u8] = include_bytes!("assets/Inter-Regular.ttf");
/// See [`REGULAR`].
pub const SEMI_BOLD: &[u8] = include_bytes!("assets/Inter-SemiBold.ttf");

/// Pixels of one unit.
const SCALE: f64 = MILLIMETRES / 25.4 * 300.0;

static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(REGULAR.to_vec());
    fonts.load_font_data(SEMI_BOLD.to_vec());
    fonts.set_sans_serif_family("Inter");
    Arc::new(fonts)
});

/// Width and height in pixels of a drawing.
#[must_use]
pub fn pixels(svg: &Svg) -> (u32, u32) {
    let side = |units: f64| ((units * SCALE).round() as u32).max(1);
    (side(svg.width), side(svg.height))
}

/// Renders a drawing whose text, for paper, is `text`.
///
/// # Errors
/// A drawing that is no SVG or too large, which would be a fault of this crate.
pub fn png(svg: &Svg, text: &str) -> Result<Vec<u8>> {
    let fault = |what: &str, error: &dyn std::fmt::Display| {
        Error::from(Error::input(format!("a figure cannot be {what}")).got(error))
    };
    let options = Options { fontdb: Arc::clone(&FONTS), font_family: "Inter".into(), ..Options::default() };
    let tree = Tree::from_str(text, &options).map_err(|error| fault("read as SVG", &error))?;
    let (width, height) = pixels(svg);
    let mut pixmap =
        Pixmap::new(width, height).ok_or_else(|| fault("rendered", &format!("{width} × {height} pixels")))?;
    let scale = |to: u32, from: f32| to as f32 / from;
    let transform =
        Transform::from_scale(scale(width, tree.size().width()), scale(height, tree.size().height()));
    resvg::render(&tree, transform, &mut pixmap.as_mut());
    let mut canvas = RgbaImage::from_raw(width, height, pixmap.take_demultiplied())
        .ok_or_else(|| fault("rendered", &"a pixel buffer of the wrong size"))?;
    for placed in svg.placed() {
        let picture = &placed.picture;
        let longest = f64::from(picture.width.max(picture.height));
        let side = |length: u32| ((f64::from(length) / longest * placed.side * SCALE).round() as u32).max(1);
        let (w, h) = (side(picture.width), side(picture.height));
        let rgba: Vec<u8> = picture.rgb.chunks(3).flat_map(|rgb| [rgb[0], rgb[1], rgb[2], 255]).collect();
        let Some(buffer) = RgbaImage::from_raw(picture.width, picture.height, rgba) else { continue };
        // Pixels stay square: a picture of 32 × 32 is shown as it is, not as it might have been.
        let scaled = image::imageops::resize(&buffer, w, h, FilterType::Nearest);
        let middle = |start: f64, length: u32| {
            ((start + placed.side / 2.0) * SCALE - f64::from(length) / 2.0).round() as i64
        };
        image::imageops::overlay(&mut canvas, &scaled, middle(placed.x, w), middle(placed.y, h));
    }
    codec::png(&canvas.into()).map_err(|error| fault("written as PNG", &error))
}
