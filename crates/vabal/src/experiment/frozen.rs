//! The images of an experiment as features of a pretrained network.
//!
//! Never here: how they are computed; what is learnt from them.

use std::path::Path;

use ndarray::{Array2, s};

use crate::backbone::{self, Open, Wish};
use crate::config::Frozen;
use crate::data::{DataSet, Features, ImageShape};
use crate::error::Result;
use crate::progress::Progress;
use crate::query::pca::Pca;
use crate::rng::Seed;

/// The images that take part as features of a pretrained network, a row for each image; the
/// principal components are those of the pool. Features that were computed once are in the data
/// folder.
pub(super) fn see(
    frozen: &Frozen,
    data: &DataSet,
    open: &Open,
    data_dir: &Path,
    progress: &mut Progress<'_>,
) -> Result<Features> {
    let images = data.items.images();
    let ImageShape { height, width, .. } = images.shape();
    let backbone = open(&Wish::new(&frozen.backbone, frozen.size, height.max(width)))
        .map_err(|error| error.or_hint("set classifier.backbone to \"auto\" or to an ONNX file"))?;
    let ids = [&data.pool[..], &data.test[..]].concat();
    let rows = backbone::embed_images(&backbone, images, &ids, Some(&data_dir.join("features")), progress)?;
    let rows = match frozen.components {
        0 => rows,
        components => {
            let pool = rows.slice(s![..data.pool.len(), ..]);
            let pca = Pca::fit(pool, &data.pool, components, Seed::new(0), progress)?;
            pca.transform(rows.view())?
        }
    };
    // What imbalance took away is never looked at.
    let mut all = Array2::zeros((images.len(), rows.ncols()));
    ids.iter().zip(rows.rows()).for_each(|(&id, row)| all.row_mut(id as usize).assign(&row));
    Features::new(all, None)
}
