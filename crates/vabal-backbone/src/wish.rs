//! A backbone by its name, at the size that suits its images.
//!
//! Never here: what a network is.

use std::path::Path;

use vabal_query::error::{Result, unknown};

use crate::{Backbone, EMBEDDED, Settings};

/// What is asked for of a backbone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    /// The name of the network inside the program, [`AUTO`], or an ONNX file.
    pub name: String,
    /// What its file does not say, or is not to be believed in.
    pub settings: Settings,
    /// Half of the images have no longer side than this, in pixels; 0 where nothing is known of
    /// them.
    pub side: usize,
}

impl Wish {
    /// The network of this name, its input `size` pixels high and wide, or 0 for what suits it, for
    /// images of `side` pixels.
    #[must_use]
    pub fn new(name: &str, size: usize, side: usize) -> Self {
        let settings = Settings { size: (size > 0).then_some(size), ..Settings::default() };
        Self { name: name.into(), settings, side }
    }
}

/// Opens a backbone.
pub type Open = dyn Fn(&Wish) -> Result<Backbone> + Send + Sync;

/// Opens the network inside the program or an ONNX file. The network inside the program takes
/// images at the size that suits them, where no size is asked for.
///
/// # Errors
/// An unknown name; what [`Backbone::open`] says.
pub fn open(wish: &Wish) -> Result<Backbone> {
    let Wish { name, settings, side } = wish;
    if name == AUTO || name == EMBEDDED {
        let size = settings.size.or(Some(suitable(*side)));
        return Backbone::embedded(&Settings { size, ..settings.clone() });
    }
    let path = Path::new(name);
    if !path.exists() && path.extension().is_none() {
        return Err(unknown(
            "backbone",
            name,
            &[AUTO, EMBEDDED],
            "or give an ONNX file: torch.onnx.export makes one of a network of yours",
        )
        .into());
    }
    Backbone::open(path, settings)
}

/// The name for what there is.
pub const AUTO: &str = "auto";

/// The input of the network inside the program for images of this side, in pixels:
/// docs/decisions/0023.
fn suitable(side: usize) -> usize {
    if side <= 96 { 160 } else { 224 }
}
