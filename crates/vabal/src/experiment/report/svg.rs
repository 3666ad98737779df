//! A small SVG writer: shapes, text and pictures in named inks, once with the page's colours as CSS
//! variables and once with the light colours written out, for papers.
//!
//! Never here: what a figure shows. Everything that comes from a user is escaped on its way in.

use std::fmt::Write as _;

use super::text::{base64, escape};
use crate::error::Result;
use crate::experiment::thumbnail::Thumbnail;

/// Millimetres of one unit: 330 units are a column of 85 mm, in which 10 units are type of 7.3
/// points.
pub const MILLIMETRES: f64 = 85.0 / 330.0;

/// Where the drawing will stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Inside the report page: colours follow the page's light or dark theme.
    Page,
    /// A file of its own: light colours, a white ground, its size in millimetres.
    Paper,
}

/// A colour by its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Titles, names, values.
    Text,
    /// Axis labels, ticks, notes.
    Muted,
    /// Grid lines.
    Grid,
    /// What lies behind everything.
    Ground,
    /// A strategy or a phase; 0 is grey, for the baseline.
    Series(usize),
}

/// Name, light value, dark value. The series are Okabe and Ito's colours (2008), darkened for white
/// paper and lightened for a dark page until each stands out by at least 3 : 1.
pub const INKS: [(&str, &str, &str); 13] = [
    ("text", "#1b1f24", "#e8edf2"),
    ("muted", "#57606a", "#a3adb8"),
    ("grid", "#d9dee4", "#333b44"),
    ("ground", "#ffffff", "#11161c"),
    ("s0", "#6a737d", "#a9b3bd"),
    ("s1", "#0072b2", "#56b4e9"),
    ("s2", "#d55e00", "#ff8a4c"),
    ("s3", "#00875f", "#2cc79d"),
    ("s4", "#b0478a", "#ea9ccb"),
    ("s5", "#a37600", "#f0c24b"),
    ("s6", "#1d91a8", "#7fe0f2"),
    ("s7", "#6b4fbb", "#b9a5f5"),
    ("bad", "#b04300", "#ff9d6b"),
];

impl Ink {
    fn row(self) -> (&'static str, &'static str, &'static str) {
        INKS[match self {
            Ink::Text => 0,
            Ink::Muted => 1,
            Ink::Grid => 2,
            Ink::Ground => 3,
            Ink::Series(0) => 4,
            Ink::Series(n) => 5 + (n - 1) % 7,
        }]
    }

    fn css(self, theme: Theme) -> String {
        match theme {
            Theme::Page => format!("var(--{})", self.row().0),
            Theme::Paper => self.row().1.into(),
        }
    }
}

/// A shape of point, so that nothing depends on colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// A filled disc.
    Disc,
    /// An open ring.
    Ring,
    /// A square on its side.
    Square,
    /// A square on its corner.
    Diamond,
    /// A triangle, point up.
    Up,
    /// A triangle, point down.
    Down,
    /// An upright cross.
    Plus,
    /// A diagonal cross.
    Cross,
}

/// Colour, line and point of one strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// The colour.
    pub ink: Ink,
    /// The line as SVG's `stroke-dasharray`; empty is solid.
    pub dash: &'static str,
    /// The point.
    pub marker: Marker,
}

impl Style {
    /// The style of the `n`-th strategy; 0 is the baseline. No two of the first 56 are alike.
    #[must_use]
    pub fn nth(n: usize) -> Self {
        const DASHES: [&str; 5] = ["", "6 2.5", "2 2", "7 2 2 2", "10 3"];
        const MARKERS: [Marker; 7] = [
            Marker::Disc,
            Marker::Square,
            Marker::Up,
            Marker::Diamond,
            Marker::Down,
            Marker::Cross,
            Marker::Plus,
        ];
        if n == 0 {
            return Self { ink: Ink::Series(0), dash: "3 2.5", marker: Marker::Ring };
        }
        let k = n - 1;
        Self { ink: Ink::Series(1 + k % 7), dash: DASHES[k % 5], marker: MARKERS[(k + k / 7) % 7] }
    }
}

/// Where a text stands at its x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Begins there.
    Start,
    /// Is centred there.
    Middle,
    /// Ends there.
    End,
}

/// A picture to be drawn over the raster image, which knows vector shapes alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// Left edge, in units.
    pub x: f64,
    /// Top edge, in units.
    pub y: f64,
    /// Side of the square that the picture fills without being stretched, in units.
    pub side: f64,
    /// The picture.
    pub picture: Thumbnail,
}

/// A drawing under way. Lengths are in units of [`MILLIMETRES`]; y points down.
#[derive(Debug, Clone)]
pub struct Svg {
    /// Width, in units.
    pub width: f64,
    /// Height, in units.
    pub height: f64,
    theme: Theme,
    body: String,
    placed: Vec<Placed>,
}

impl Svg {
    /// An empty drawing.
    #[must_use]
    pub fn new(width: f64, height: f64, theme: Theme) -> Self {
        Self { width, height, theme, body: String::new(), placed: Vec::new() }
    }

    /// The pictures placed so far.
    #[must_use]
    pub fn placed(&self) -> &[Placed] {
        &self.placed
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), ink: Ink, width: f64, dash: &str) {
        let ink = ink.css(self.theme);
        let _ = writeln!(
            self.body,
            r#"<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="{ink}" stroke-width="{}"{}/>"#,
            number(from.0),
            number(from.1),
            number(to.0),
            number(to.1),
            number(width),
            dashes(dash),
        );
    }

    /// A line through points.
    pub fn polyline(&mut self, points: &[(f64, f64)], ink: Ink, width: f64, dash: &str) {
        let (ink, points) = (ink.css(self.theme), list(points));
        let _ = writeln!(
            self.body,
            r#"<polyline points="{points}" fill="none" stroke="{ink}" stroke-width="{}" stroke-linejoin="round"{}/>"#,
            number(width),
            dashes(dash),
        );
    }

    /// A filled area.
    pub fn area(&mut self, points: &[(f64, f64)], ink: Ink, opacity: f64) {
        let (ink, points) = (ink.css(self.theme), list(points));
        let _ = writeln!(
            self.body,
            r#"<polygon points="{points}" fill="{ink}" fill-opacity="{}"/>"#,
            number(opacity)
        );
    }

    /// A filled rectangle.
    pub fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, ink: Ink) {
        let ink = ink.css(self.theme);
        let _ = writeln!(
            self.body,
            r#"<rect x="{}" y="{}" width="{}" height="{}" fill="{ink}"/>"#,
            number(x),
            number(y),
            number(width),
            number(height)
        );
    }

    /// A point, `r` from its centre to its edge.
    pub fn marker(&mut self, (x, y): (f64, f64), style: Style, r: f64) {
        let ink = style.ink.css(self.theme);
        let ground = Ink::Ground.css(self.theme);
        // A hair of ground around each point keeps points apart where they overlap.
        let around = format!(r#"fill="{ink}" stroke="{ground}" stroke-width="0.6""#);
        let polygon = |points: &[(f64, f64)]| {
            let points: Vec<_> = points.iter().map(|(dx, dy)| (x + dx * r, y + dy * r)).collect();
            format!(r#"<polygon points="{}" {around}/>"#, list(&points))
        };
        let strokes = |lines: [((f64, f64), (f64, f64)); 2]| {
            let path: String = lines
                .iter()
                .map(|((ax, ay), (bx, by))| {
                    format!(
                        "M{} {}L{} {}",
                        number(x + ax * r),
                        number(y + ay * r),
                        number(x + bx * r),
                        number(y + by * r)
                    )
                })
                .collect();
            format!(r#"<path d="{path}" fill="none" stroke="{ink}" stroke-width="1.6"/>"#)
        };
        let shape = match style.marker {
            Marker::Disc => {
                format!(r#"<circle cx="{}" cy="{}" r="{}" {around}/>"#, number(x), number(y), number(r))
            }
            Marker::Ring => format!(
                r#"<circle cx="{}" cy="{}" r="{}" fill="{ground}" stroke="{ink}" stroke-width="1.3"/>"#,
                number(x),
                number(y),
                number(r * 0.85)
            ),
            Marker::Square => polygon(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
            Marker::Diamond => polygon(&[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)]),
            Marker::Up => polygon(&[(0.0, -1.2), (1.15, 0.85), (-1.15, 0.85)]),
            Marker::Down => polygon(&[(0.0, 1.2), (1.15, -0.85), (-1.15, -0.85)]),
            Marker::Plus => strokes([((-1.1, 0.0), (1.1, 0.0)), ((0.0, -1.1), (0.0, 1.1))]),
            Marker::Cross => strokes([((-0.9, -0.9), (0.9, 0.9)), ((-0.9, 0.9), (0.9, -0.9))]),
        };
        self.body.push_str(&shape);
        self.body.push('\n');
    }

    /// A line of text with its baseline at y.
    pub fn text(&mut self, (x, y): (f64, f64), text: &str, size: f64, anchor: Anchor, ink: Ink) {
        self.text_weighted((x, y), text, size, anchor, ink, false);
    }

    /// A line of semi-bold text with its baseline at y.
    pub fn strong(&mut self, (x, y): (f64, f64), text: &str, size: f64, anchor: Anchor, ink: Ink) {
        self.text_weighted((x, y), text, size, anchor, ink, true);
    }

    fn text_weighted(
        &mut self,
        (x, y): (f64, f64),
        text: &str,
        size: f64,
        anchor: Anchor,
        ink: Ink,
        strong: bool,
    ) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        let weight = if strong { r#" font-weight="600""# } else { "" };
        let _ = writeln!(
            self.body,
            r#"<text x="{}" y="{}" font-size="{}"{anchor}{weight} fill="{}">{}</text>"#,
            number(x),
            number(y),
            number(size),
            ink.css(self.theme),
            escape(text)
        );
    }

    /// Draws something that shows `tip` when pointed at.
    pub fn tipped(&mut self, tip: &str, draw: impl FnOnce(&mut Self)) {
        let _ = write!(self.body, "<g><title>{}</title>", escape(tip));
        draw(self);
        self.body.push_str("</g>\n");
    }

    /// A picture, as large as fits into a square without being stretched.
    ///
    /// # Errors
    /// A picture whose bytes do not match its size.
    pub fn picture(&mut self, x: f64, y: f64, side: f64, picture: &Thumbnail) -> Result<()> {
        let _ = writeln!(
            self.body,
            r#"<image x="{}" y="{}" width="{side}" height="{side}" style="image-rendering:pixelated" href="data:image/png;base64,{}"/>"#,
            number(x),
            number(y),
            base64(&picture.to_png()?),
            side = number(side),
        );
        self.placed.push(Placed { x, y, side, picture: picture.clone() });
        Ok(())
    }

    /// The finished drawing as an `<svg>` element. `id` must be unique on its page.
    #[must_use]
    pub fn finish(&self, id: &str, title: &str, description: &str) -> String {
        let (width, height) = (number(self.width), number(self.height));
        let (size, ground) = match self.theme {
            Theme::Page => (String::new(), String::new()),
            Theme::Paper => (
                format!(
                    r#" width="{}mm" height="{}mm""#,
                    number(self.width * MILLIMETRES),
                    number(self.height * MILLIMETRES)
                ),
                format!(
                    "<rect width=\"{width}\" height=\"{height}\" fill=\"{}\"/>\n",
                    Ink::Ground.css(self.theme)
                ),
            ),
        };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\"{size} viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{id}-title {id}-desc\" font-family=\"Inter, Helvetica, Arial, sans-serif\">\n\
             <title id=\"{id}-title\">{}</title>\n<desc id=\"{id}-desc\">{}</desc>\n{ground}{}</svg>\n",
            escape(title),
            escape(description),
            self.body
        )
    }
}

fn dashes(dash: &str) -> String {
    if dash.is_empty() { String::new() } else { format!(r#" stroke-dasharray="{dash}""#) }
}

fn list(points: &[(f64, f64)]) -> String {
    let pairs: Vec<String> = points.iter().map(|&(x, y)| format!("{},{}", number(x), number(y))).collect();
    pairs.join(" ")
}

/// Two decimals at most: a hundredth of a unit is a four-hundredth of a millimetre.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

/// The width of a text in units, from the advance widths of the embedded font; wider than true for
/// characters beyond ASCII, so that nothing is cut off.
#[must_use]
pub fn text_width(text: &str, size: f64) -> f64 {
    // Inter Regular, U+0020 to U+007E, in thousandths of the type size.
    const ADVANCES: [u16; 95] = [
        281, 288, 466, 633, 642, 982, 644, 300, 365, 365, 501, 662, 288, 460, 288, 360, 631, 407, 610, 618,
        646, 593, 620, 566, 619, 620, 288, 302, 662, 662, 662, 511, 966, 690, 654, 730, 722, 601, 590, 746,
        743, 269, 571, 672, 565, 903, 753, 765, 639, 765, 644, 642, 646, 744, 690, 985, 682, 679, 629, 365,
        360, 365, 471, 456, 323, 562, 612, 571, 612, 583, 370, 613, 591, 242, 242, 549, 242, 876, 591, 600,
        612, 612, 376, 528, 327, 591, 562, 818, 546, 562, 552, 426, 333, 426, 662,
    ];
    let advance = |character: char| match u32::from(character) {
        code @ 0x20..=0x7e => f64::from(ADVANCES[code as usize - 0x20]),
        0x300..=0x36f => 0.0,
        0x80..=0x2fff => 700.0,
        _ => 1000.0,
    };
    text.chars().map(advance).sum::<f64>() * size / 1000.0
}

/// The text, or as much of its beginning as fits into `width` with an ellipsis.
#[must_use]
pub fn fit(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.into();
    }
    let mut short = String::new();
    for character in text.chars() {
        short.push(character);
        if text_width(&short, size) + 0.7 * size > width {
            short.pop();
            break;
        }
    }
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_minus_zero() {
        for (value, text) in [(1.0, "1"), (0.126, "0.13"), (-0.001, "0"), (12.5, "12.5"), (100.0, "100")] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn text_is_escaped_in_every_place() {
        let mut svg = Svg::new(10.0, 10.0, Theme::Paper);
        svg.text((0.0, 0.0), "<script>&\"", 10.0, Anchor::Start, Ink::Text);
        svg.tipped("<b>", |svg| svg.rect(0.0, 0.0, 1.0, 1.0, Ink::Grid));
        let text = svg.finish("f", "<i>", "<u>");
        for bad in ["<script>", "<b>", "<i>", "<u>"] {
            assert!(!text.contains(bad), "{text}");
        }
        assert!(resvg::usvg::roxmltree::Document::parse(&text).is_ok(), "{text}");
    }

    #[test]
    fn the_page_follows_its_theme_and_paper_is_light() {
        let draw = |theme| {
            let mut svg = Svg::new(10.0, 10.0, theme);
            svg.rect(0.0, 0.0, 1.0, 1.0, Ink::Series(1));
            svg.finish("f", "t", "d")
        };
        assert!(draw(Theme::Page).contains("var(--s1)") && !draw(Theme::Page).contains('#'));
        assert!(draw(Theme::Paper).contains("#0072b2") && !draw(Theme::Paper).contains("var("));
    }

    #[test]
    fn no_two_strategies_look_alike_even_without_colour() {
        let styles: Vec<Style> = (0..=35).map(Style::nth).collect();
        for (n, a) in styles.iter().enumerate() {
            for b in &styles[..n] {
                assert_ne!(a, b);
            }
        }
        for (n, a) in styles[..8].iter().enumerate() {
            for b in &styles[..n] {
                assert_ne!(a.marker, b.marker);
            }
        }
    }

    #[test]
    fn every_ink_stands_out_from_its_ground() {
        for (name, light, dark) in INKS.iter().filter(|(name, ..)| !["grid", "ground"].contains(name)) {
            let least = if name.starts_with('s') { 3.0 } else { 4.5 };
            for (ink, ground) in [(light, INKS[3].1), (dark, INKS[3].2)] {
                let contrast = contrast(ink, ground);
                assert!(contrast >= least, "{name} {ink} on {ground}: {contrast}");
            }
        }
    }

    /// Contrast ratio of the Web Content Accessibility Guidelines 2.2.
    fn contrast(a: &str, b: &str) -> f64 {
        let luminance = |hex: &str| {
            let channel = |from: usize| {
                let value = f64::from(u8::from_str_radix(&hex[from..from + 2], 16).unwrap()) / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn long_names_are_cut_to_their_room() {
        assert_eq!(fit("cat", 10.0, 100.0), "cat");
        let cut = fit("a very long name of a class", 10.0, 60.0);
        assert!(cut.ends_with('…') && text_width(&cut, 10.0) <= 61.0, "{cut}");
    }
}
