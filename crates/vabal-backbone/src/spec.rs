//! How a backbone is used: what the file says, what the user says, and what follows from both.
//!
//! Never here: the file itself, running it.

use serde::{Deserialize, Serialize};
use vabal_query::error::{Error, Result, within};

/// Where the channels of the input are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// [batch, channels, height, width]
    Nchw,
    /// [batch, height, width, channels]
    Nhwc,
}

/// How an output of several vectors an image becomes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The output is one vector already.
    None,
    /// The mean over all places or tokens.
    Mean,
    /// The first token, the class token of a vision transformer.
    Class,
}

/// What is subtracted from each channel, and what it is divided by then: of values from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// Of red, green and blue.
    pub mean: [f32; 3],
    /// Likewise.
    pub std: [f32; 3],
}

impl Normalisation {
    /// That of ImageNet, by which most published networks were trained.
    pub const IMAGENET: Self = Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
}

/// Settings of a backbone that override what its file says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Height and width of the input, in pixels.
    pub size: Option<usize>,
    /// Where the channels are.
    pub layout: Option<Layout>,
    /// The value to take as features: the name of an output or of a value inside.
    pub output: Option<String>,
    /// How several vectors become one.
    pub pooling: Option<Pooling>,
    /// The mean of each channel, of values from 0 to 1.
    pub mean: Option<[f32; 3]>,
    /// The standard deviation of each channel, likewise.
    pub std: Option<[f32; 3]>,
}

/// The largest side of an input, in pixels.
pub(crate) const LARGEST: usize = 2048;

impl Settings {
    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        if let Some(size) = self.size {
            within("size", size, 8..=LARGEST)?;
        }
        for (key, values, least) in [("mean", self.mean, -1e3_f32), ("std", self.std, 1e-6)] {
            for value in values.into_iter().flatten() {
                within(key, value, least..=1e3)?;
            }
        }
        if self.output.as_deref() == Some("") {
            return Err(Error::input("the output has no name").at("output").into());
        }
        Ok(())
    }
}

/// How a backbone is used, every value known. Features are the same if this is the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The name of the file, without its folder, or of the embedded network.
    pub name: String,
    /// SHA-256 of the file and of what it keeps beside it, in hexadecimal digits.
    pub sha256: String,
    /// The input, by its name in the file.
    pub input: String,
    /// Where the channels are.
    pub layout: Layout,
    /// 3, or 1 of a network for grey images.
    pub channels: usize,
    /// Of the input, in pixels.
    pub height: usize,
    /// Likewise.
    pub width: usize,
    /// Images a pass must have; 1 where it may have any number.
    pub batch: usize,
    /// The value that is taken, by its name in the file.
    pub output: String,
    /// The operation that was cut off behind it, a classifier's last.
    pub cut: Option<String>,
    /// The shape of the value for one pass.
    pub shape: Vec<usize>,
    /// How several vectors become one.
    pub pooling: Pooling,
    /// How pixels become numbers.
    #[serde(flatten)]
    pub normalisation: Normalisation,
    /// Features of an image.
    pub features: usize,
}
