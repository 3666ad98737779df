//! Colours of classes that nobody has given one: a list first, then farthest-point choice in OKLab
//! (Ottosson 2020), so that sixty classes have sixty colours.
//!
//! Never here: which class has which.

/// Told apart on light and dark, by those who see few colours too; after Okabe and Ito, and Tol.
const LIST: [&str; 12] = [
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#999933", "#882255", "#44aa99",
    "#aa4499", "#117733", "#6699cc",
];
/// What further colours are mixed of.
const LEVELS: [u8; 6] = [0x00, 0x33, 0x66, 0x99, 0xcc, 0xff];
/// Lightness that is seen on white and on black.
const SEEN: std::ops::Range<f32> = 0.38..0.86;

type Lab = [f32; 3];

/// A colour that is unlike those that are used.
pub(super) fn unlike(used: &[String]) -> String {
    if let Some(free) = LIST.iter().find(|colour| !used.iter().any(|other| other == *colour)) {
        return (*free).to_owned();
    }
    let used: Vec<Lab> = used.iter().filter_map(|colour| rgb(colour)).map(lab).collect();
    let distance =
        |colour: Lab| used.iter().map(|&other| squared(colour, other)).fold(f32::INFINITY, f32::min);
    let mixed = LEVELS.into_iter().flat_map(|r| LEVELS.map(|g| (r, g)));
    let mixed = mixed.flat_map(|(r, g)| LEVELS.map(|b| [r, g, b]));
    let [r, g, b] = mixed
        .filter(|&rgb| SEEN.contains(&lab(rgb)[0]))
        .max_by(|&a, &b| distance(lab(a)).total_cmp(&distance(lab(b))))
        .unwrap_or_default();
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn squared(a: Lab, b: Lab) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn rgb(colour: &str) -> Option<[u8; 3]> {
    let value = u32::from_str_radix(colour.strip_prefix('#')?, 16).ok()?;
    let [_, r, g, b] = value.to_be_bytes();
    Some([r, g, b])
}

/// OKLab of an sRGB colour.
fn lab(rgb: [u8; 3]) -> Lab {
    let [r, g, b] = rgb.map(|value| {
        let value = f32::from(value) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    let l = (0.412_221_46 * r + 0.536_332_55 * g + 0.051_445_995 * b).cbrt();
    let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).cbrt();
    let s = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).cbrt();
    [
        0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
        1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
        0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_classes_have_sixty_colours_that_can_be_told_apart() {
        let mut colours: Vec<String> = Vec::new();
        for _ in 0..60 {
            colours.push(unlike(&colours));
        }
        let labs: Vec<Lab> = colours.iter().map(|colour| lab(rgb(colour).unwrap())).collect();
        for (n, &a) in labs.iter().enumerate() {
            for &b in &labs[n + 1..] {
                // A difference that is just seen, side by side, is about 0.02.
                assert!(squared(a, b).sqrt() > 0.04, "{colours:?}");
            }
        }
        // One that was given away is free again.
        colours.remove(3);
        assert_eq!(unlike(&colours), "#d55e00");
    }

    #[test]
    fn white_is_all_light_and_no_colour() {
        let white = lab([255; 3]);
        assert!((white[0] - 1.0).abs() < 1e-3 && white[1].abs() < 1e-3 && white[2].abs() < 1e-3, "{white:?}");
        assert_eq!(lab([0; 3]), [0.0; 3]);
    }
}
