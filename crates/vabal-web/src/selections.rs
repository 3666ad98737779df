//! Images that were chosen together on the page, kept in memory under short names: too many for an
//! address. A name is a hash of the images, so that a link of an earlier server finds the same ones
//! or none.
//!
//! Never here: what becomes of them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

use vabal::project::ImageId;

/// Selections that are kept; the oldest goes first.
const MOST: usize = 64;

/// The newest selections of a server.
#[derive(Debug, Default)]
pub struct Selections(Mutex<Vec<(u64, Arc<[ImageId]>)>>);

impl Selections {
    /// Keeps images. Gives back their name.
    pub fn keep(&self, images: Vec<ImageId>) -> String {
        let mut hasher = DefaultHasher::new();
        images.hash(&mut hasher);
        let name = hasher.finish();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.iter().any(|(known, _)| *known == name) {
            if kept.len() == MOST {
                kept.remove(0);
            }
            kept.push((name, images.into()));
        }
        name.to_string()
    }

    /// The images of a name; `None` where it is no longer kept.
    pub fn find(&self, name: &str) -> Option<Arc<[ImageId]>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| known.to_string() == name).map(|(_, images)| Arc::clone(images))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_the_same_images_have_one_name() {
        let selections = Selections::default();
        let of = |n: i64| vec![ImageId(n), ImageId(n + 1)];
        let names: Vec<String> = (0..=MOST as i64).map(|n| selections.keep(of(n))).collect();
        assert_eq!(selections.keep(of(5)), names[5]);
        assert!(selections.find(&names[0]).is_none() && selections.find("x").is_none());
        assert_eq!(*selections.find(&names[1]).unwrap(), of(1));
        // Of an earlier server, whatever that had kept before.
        let later = Selections::default();
        assert!(later.find(&names[1]).is_none());
        later.keep(of(7));
        assert_eq!(later.keep(of(1)), names[1]);
        assert_ne!(names[1], names[2]);
    }
}
