//! Which images look alike: the cosine of their features, each compared with each, on all cores.
//!
//! Exact scans, without an index: 20,000 images of 1,280 features are 26 million multiplications.
//! Never here: what is asked.

use ndarray::{Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

use super::{Context, NONE};
use crate::backbone::{Hash, Known};
use crate::error::{Error, Result};
use crate::project::{ImageId, Project};

/// Rows of length 1; one of zeros stays so.
pub(super) fn directions(rows: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut rows = rows.to_owned();
    for mut row in rows.outer_iter_mut() {
        let length = row.dot(&row).sqrt();
        if length > 0.0 {
            row /= length;
        }
    }
    rows
}

/// Of each row of `from` the largest cosine with a row of `among`; with `others`, both are the same
/// rows and none is compared with itself. All rows have length 1.
pub(super) fn nearest(from: &Array2<f32>, among: &Array2<f32>, others: bool) -> Vec<f64> {
    let one = |(n, row): (usize, ArrayView1<'_, f32>)| {
        let rest = among.outer_iter().enumerate().filter(|&(m, _)| !(others && m == n));
        f64::from(rest.map(|(_, other)| row.dot(&other)).fold(-1.0_f32, f32::max))
    };
    let rows: Vec<_> = from.outer_iter().enumerate().collect();
    rows.into_par_iter().map(one).collect()
}

/// The value that nine in ten are not below; `None` of fewer than ten, which say nothing.
pub(super) fn usual(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    (values.len() >= 10).then(|| values[values.len() / 10])
}

/// The other images of a project by how alike they are to one of them, the most alike first, that
/// one at the front. Images whose features are not computed yet are left out.
///
/// # Errors
/// A project without features, an image that there is not, or whose features are not computed yet;
/// what opening the backbone and reading the features say.
pub fn alike(project: &Project, image: ImageId, context: &Context) -> Result<Vec<ImageId>> {
    let settings = project.settings()?;
    let Some(backbone) = context.backbone(project, &settings)? else {
        return Err(Error::input("this project has no features to compare images by")
            .at("backbone")
            .expected("a pretrained network, as `vabal set PROJECT backbone=auto` gives")
            .got(NONE)
            .hint("a network that is trained from scratch keeps no features")
            .into());
    };
    let images = project.contents()?;
    let Some(&(_, hash)) = images.iter().find(|(id, _)| *id == image) else {
        return Err(Error::input("there is no such image")
            .at("like")
            .got(image)
            .hint("load the page again")
            .into());
    };
    let known = context.known(project, &backbone)?;
    let Some((known, from)) = known.as_deref().and_then(|known| Some((known, known.features(&hash)?))) else {
        return Err(Error::input("the features of this image are not computed yet")
            .at("like")
            .got(image)
            .hint("they are computed in the background: try again in a minute")
            .into());
    };
    Ok(ranked(known, &from, image, &images))
}

/// Images by their cosine with `from`, `first` before those that are as near.
fn ranked(known: &Known, from: &[f32], first: ImageId, images: &[(ImageId, Hash)]) -> Vec<ImageId> {
    let from = ArrayView1::from(from);
    let mut rows: Vec<(ImageId, f32)> = images
        .par_iter()
        .map_init(
            || vec![0.0; from.len()],
            |row, (image, hash)| {
                if !known.read(hash, row) {
                    return None;
                }
                let row = ArrayView1::from(row.as_slice());
                let length = row.dot(&row).sqrt();
                Some((*image, if length > 0.0 { row.dot(&from) / length } else { f32::MIN }))
            },
        )
        .flatten()
        .collect();
    rows.par_sort_by(|a, b| {
        let place = |image: ImageId| (image != first, image);
        b.1.total_cmp(&a.1).then(place(a.0).cmp(&place(b.0)))
    });
    // Rounding may put an exact copy before the image itself.
    if let Some(place) = rows.iter().position(|row| row.0 == first) {
        rows[..=place].rotate_right(1);
    }
    rows.into_iter().map(|(image, _)| image).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_nearest_is_found_by_direction_alone_and_not_the_row_itself() {
        let rows = directions(array![[3.0, 0.0], [0.0, 2.0], [10.0, 10.0], [0.0, 0.0]].view());
        let half = 0.5_f64.sqrt();
        let found = nearest(&rows, &rows, true);
        for (found, expected) in found.iter().zip([half, half, half, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        assert!(nearest(&rows, &rows, false)[..3].iter().all(|value| (value - 1.0).abs() < 1e-6));
        assert_eq!(usual(vec![0.5; 9]), None);
        assert_eq!(usual((0..20).map(f64::from).collect()), Some(2.0));
    }
}
