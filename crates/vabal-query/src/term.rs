//! The terms behind a score, by name: what strategies write beside their picks, and front ends read
//! to say why.
//!
//! Names are stored with runs and projects, so that none of them ever changes its meaning.
//!
//! ```
//! use vabal_query::term;
//!
//! assert!(term::is_class(term::PREDICTED)); // a class number, printed as a whole number
//! assert!(!term::is_class(term::CONFIDENCE));
//! ```

/// The class that the classifier predicts.
pub const PREDICTED: &str = "predicted";
/// The class that VaB-AL's VAE predicts (Eq. 7).
pub const VAE_PREDICTED: &str = "vae-predicted";
/// A class that the image is asked for the sake of.
pub const CLASS: &str = "class";
/// The largest class probability.
pub const CONFIDENCE: &str = "confidence";
/// The largest class probability, corrected for the classes' shares of the labels.
pub const CORRECTED: &str = "corrected";
/// The probability of the predicted class by a generative model of the features.
pub const SUPPORT: &str = "support";
/// Labelled images of the class that the image is asked for the sake of, before this query.
pub const LABELLED: &str = "labelled";
/// VaB-AL's d_n of the predicted class (Eq. 11); small is hard.
pub const DIFFICULTY: &str = "difficulty";
/// VaB-AL's π_n of the predicted class (Eq. 12); small is rare.
pub const PRIOR: &str = "prior";
/// VaB-AL's ℓ(x, n): small is unlike the rest.
pub const LIKELIHOOD: &str = "likelihood";
/// VaB-AL's loss of the image in the place of a likelihood: small is like many.
pub const ENERGY: &str = "energy";
/// Mutual information between the prediction and the model, in nats.
pub const INFORMATION: &str = "information";
/// Expected entropy of the prediction over the draws, in nats.
pub const ALEATORIC: &str = "aleatoric";
/// Disagreement of a committee's votes.
pub const VOTES: &str = "votes";
/// The loss that a model of the loss predicts.
pub const LOSS: &str = "loss";
/// Norm of the gradient of the last layer at the predicted class.
pub const GRADIENT: &str = "gradient";
/// Distance from the nearest centre, labelled or picked before.
pub const DISTANCE: &str = "distance";
/// The discriminator's probability that the image is not labelled.
pub const DISCRIMINATOR: &str = "discriminator";
/// Cosine similarity with the nearest labelled image, by the features that the classifier is
/// trained on.
pub const NEAREST: &str = "nearest";
/// Candidates that the image stands for.
pub const REPRESENTED: &str = "represented";
/// Similarity with the nearest image of a wanted class.
pub const SIMILARITY: &str = "similarity";
/// Images within the radius of a ball that nothing covered before.
pub const COVERED: &str = "covered";
/// Radius of the balls.
pub const RADIUS: &str = "radius";
/// Inverse mean distance from the nearest neighbours.
pub const TYPICALITY: &str = "typicality";
/// Images of the cluster.
pub const CLUSTER_SIZE: &str = "cluster-size";
/// Labelled images of the cluster.
pub const CLUSTER_LABELLED: &str = "cluster-labelled";
/// Length of the path that was cut in two.
pub const PATH: &str = "path";

/// Whether a term's values are class numbers, to be printed as whole numbers.
#[must_use]
pub fn is_class(name: &str) -> bool {
    matches!(name, PREDICTED | VAE_PREDICTED | CLASS)
}
