//! Images that were chosen together on the page, kept in memory under short names: too many for an
//! address.
//!
//! Never here: what becomes of them.

use std::sync::{Arc, Mutex, PoisonError};

use vabal::project::ImageId;

/// Selections that are kept; the oldest goes first.
const MOST: usize = 64;

/// The newest selections of a server.
#[derive(Debug, Default)]
pub struct Selections(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    made: u64,
    all: Vec<(u64, Arc<[ImageId]>)>,
}

impl Selections {
    /// Keeps images. Gives back their name; the same for what is kept already.
    pub fn keep(&self, images: Vec<ImageId>) -> String {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, _)) = kept.all.iter().find(|(_, one)| **one == *images) {
            return name.to_string();
        }
        kept.made += 1;
        let name = kept.made;
        if kept.all.len() == MOST {
            kept.all.remove(0);
        }
        kept.all.push((name, images.into()));
        name.to_string()
    }

    /// The images of a name; `None` where it is no longer kept.
    pub fn find(&self, name: &str) -> Option<Arc<[ImageId]>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.all.iter().find(|(known, _)| known.to_string() == name).map(|(_, images)| Arc::clone(images))
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
        assert_ne!(selections.keep(of(0)), names[0]);
    }
}
