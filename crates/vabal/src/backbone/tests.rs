//! Features of folders: the cache, stops, threads, and what is refused.

use std::fs;
use std::path::PathBuf;

use image::{DynamicImage, ImageBuffer, Rgb};

use super::*;
use crate::Flow;
use crate::progress::silent;

/// A small input: the tests look at files and caches, not at what is seen.
fn backbone(size: usize) -> Backbone {
    Backbone::embedded(&Settings { size: Some(size), ..Settings::default() }).unwrap()
}

/// Images that differ, in two folders, beside files that are not images.
fn folder(n: u8) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    for n in 0..n {
        let pixels =
            ImageBuffer::from_fn(20, 16, |x, y| Rgb([n * 20, (x * 9) as u8, (y * u32::from(n)) as u8]));
        let name = if n % 2 == 0 { format!("{n}.png") } else { format!("sub/{n}.png") };
        DynamicImage::ImageRgb8(pixels).save(folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("readme.txt"), "no image").unwrap();
    fs::write(folder.path().join("broken.png"), b"\x89PNG\r\n\x1a\nand no more").unwrap();
    folder
}

fn embed_folder(
    backbone: &Backbone,
    folder: &Path,
    cache: Option<&Path>,
    progress: &mut Progress<'_>,
) -> Result<Folder> {
    Listing::of(folder)?.embed(backbone, cache, progress)
}

fn threads<R: Send>(n: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(work)
}

#[test]
fn features_are_the_same_bits_with_any_number_of_threads_and_from_the_cache() {
    let (images, cache) = (folder(7), tempfile::tempdir().unwrap());
    let backbone = backbone(32);
    let plain = threads(1, || embed_folder(&backbone, images.path(), None, &mut silent()).unwrap());
    let names = ["0.png", "2.png", "4.png", "6.png", "sub/1.png", "sub/3.png", "sub/5.png"];
    assert_eq!(plain.paths, names);
    assert_eq!((plain.bad.len(), plain.bad[0].path.as_str(), plain.computed), (1, "broken.png", 7));
    assert!(plain.features.rows().into_iter().skip(1).all(|row| row != plain.features.row(0)));
    let kept = |computed: usize| Folder { computed, ..plain.clone() };
    let again =
        || threads(3, || embed_folder(&backbone, images.path(), Some(cache.path()), &mut silent())).unwrap();
    assert_eq!(again(), kept(7));
    assert_eq!(again(), kept(0));
    // A copy is known by its content, whatever it is called; a changed image is computed.
    fs::copy(images.path().join("0.png"), images.path().join("zz.png")).unwrap();
    fs::copy(images.path().join("sub/1.png"), images.path().join("2.png")).unwrap();
    let moved = again();
    assert_eq!(moved.computed, 0);
    assert_eq!(moved.features.row(7), plain.features.row(0));
    assert_eq!(moved.features.row(1), plain.features.row(4));
}

#[test]
fn a_stop_loses_nothing_that_was_computed() {
    let (images, cache) = (folder(9), tempfile::tempdir().unwrap());
    let backbone = backbone(32);
    let whole = embed_folder(&backbone, images.path(), None, &mut silent()).unwrap();
    let mut seen = 0;
    let stopped = embed_folder(&backbone, images.path(), Some(cache.path()), &mut |event| match event {
        Event::Progress { phase: "embed", done, .. } => {
            seen = done;
            if done >= 4 { Flow::Stop } else { Flow::Continue }
        }
        _ => Flow::Continue,
    });
    assert!(matches!(stopped, Err(Error::Stopped)) && seen == 4);
    let rest = embed_folder(&backbone, images.path(), Some(cache.path()), &mut silent()).unwrap();
    assert_eq!((rest.features, rest.paths), (whole.features, whole.paths));
    // One of the four may be the file that is no image.
    assert!((5..=6).contains(&rest.computed), "{}", rest.computed);
}

#[test]
fn another_preprocessing_is_another_cache() {
    let (images, cache) = (folder(2), tempfile::tempdir().unwrap());
    for size in [32, 40, 32] {
        let embedded =
            embed_folder(&backbone(size), images.path(), Some(cache.path()), &mut silent()).unwrap();
        let plain = embed_folder(&backbone(size), images.path(), None, &mut silent()).unwrap();
        assert_eq!(embedded.features, plain.features);
    }
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 2);
}

#[test]
fn a_cache_that_cannot_be_written_is_a_warning_where_the_features_are_there() {
    let images = folder(2);
    let backbone = backbone(32);
    let cache = tempfile::tempdir().unwrap();
    let held = Cache::open(cache.path(), &backbone.key(), 1280).unwrap();
    let mut warnings = Vec::new();
    let embedded = embed_folder(&backbone, images.path(), Some(cache.path()), &mut |event| {
        if let Event::Warning(text) = event {
            warnings.push(text.to_owned());
        }
        Flow::Continue
    });
    assert_eq!(embedded.unwrap().paths.len(), 2);
    assert!(warnings.len() == 1 && warnings[0].contains("another process"), "{warnings:?}");
    drop(held);
    let file = images.path().join("0.png");
    let error = embed_folder(&backbone, images.path(), Some(&file), &mut silent()).unwrap_err().to_string();
    assert!(error.contains("0.png"), "{error}");
}

#[test]
fn a_folder_without_images_says_what_is_there_instead() {
    let folder = tempfile::tempdir().unwrap();
    let embed =
        |path: PathBuf| embed_folder(&backbone(32), &path, None, &mut silent()).unwrap_err().to_string();
    assert!(embed(folder.path().into()).contains("got: none"));
    fs::write(folder.path().join("a.jpg"), "text").unwrap();
    let error = embed(folder.path().into());
    assert!(error.contains("a.jpg: its content is none of JPEG"), "{error}");
    assert!(embed(folder.path().join("none")).contains("none"));
}

#[test]
fn a_file_of_the_network_inside_the_program_gives_its_features() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.onnx");
    fs::write(&file, backbone(32).onnx()).unwrap();
    let mine = open(&Wish::new(&file.display().to_string(), 32, 0)).unwrap();
    assert_eq!((mine.spec().name.as_str(), mine.spec().features), ("mine.onnx", 1280));
    let image = DynamicImage::new_rgb8(40, 30);
    let features = |backbone: &Backbone| backbone.worker().unwrap().features(&[&image]).unwrap();
    assert_eq!(features(&mine), features(&backbone(32)));
    let error = open(&Wish::new("mine", 0, 0)).unwrap_err().to_string();
    assert!(error.contains("unknown backbone") && error.contains("hint: "), "{error}");
    // What suits its images, where no size is asked for.
    let height = |side| open(&Wish::new(AUTO, 0, side)).unwrap().spec().height;
    assert_eq!([height(64), height(1000)], [160, 224]);
}
