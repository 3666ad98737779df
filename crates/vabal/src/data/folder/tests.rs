//! Folders of small images, good and bad.

use std::fs;

use image::{GrayImage, Luma, Rgb, RgbImage};
use proptest::prelude::*;
use tempfile::TempDir;

use super::super::tests::{assert_tells, complaint};
use super::*;
use crate::progress::silent;

const AS_IS: Reading = Reading { size: 0, aspect: Aspect::Pad, colour: Colour::Auto, skip_bad: false };

/// A folder under construction.
struct Folder(TempDir);

impl Folder {
    /// Two classes with one grey image of 2 × 2 pixels each.
    fn two_classes() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.grey("ant/1.png", 10, 2, 2);
        folder.grey("bee/1.png", 20, 2, 2);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn grey(&self, name: &str, value: u8, width: u32, height: u32) {
        GrayImage::from_pixel(width, height, Luma([value])).save(self.path(name)).unwrap();
    }

    fn rgb(&self, name: &str, value: [u8; 3], width: u32, height: u32) {
        RgbImage::from_pixel(width, height, Rgb(value)).save(self.path(name)).unwrap();
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
    }

    fn read(&self, reading: Reading) -> Result<DataSet> {
        read(self.0.path(), reading, None, &mut silent())
    }

    /// The set, and the warnings and notes.
    fn read_and_listen(&self, reading: Reading, cache: Option<&Path>) -> (Result<DataSet>, Vec<String>) {
        let mut heard = Vec::new();
        let mut listen = |event: Event<'_>| {
            match event {
                Event::Warning(text) | Event::Note(text) => heard.push(text.to_string()),
                _ => {}
            }
            crate::Flow::Continue
        };
        (read(self.0.path(), reading, cache, &mut listen), heard)
    }
}

fn paths(set: &DataSet, ids: &[Id]) -> Vec<String> {
    ids.iter().map(|&id| set.items.images().source(id)).collect()
}

#[test]
fn classes_and_images_are_sorted_by_name() {
    let folder = Folder::two_classes();
    folder.grey("bee/0.png", 30, 2, 2);
    folder.grey("ant/deep/er/9.bmp", 40, 2, 2);
    let set = folder.read(AS_IS).unwrap();
    assert_eq!(set.items.classes(), ["ant", "bee"]);
    assert_eq!(paths(&set, &set.pool), ["ant/1.png", "ant/deep/er/9.bmp", "bee/0.png", "bee/1.png"]);
    assert_eq!(set.class_counts(&set.pool), [2, 2]);
    assert_eq!(set.items.images().pixels(2), [30; 4]);
    assert!(set.test.is_empty());
}

#[test]
fn every_format_is_told_by_its_content() {
    let folder = Folder::two_classes();
    for extension in ["jpg", "bmp", "webp", "tiff"] {
        let image = DynamicImage::ImageRgb8(RgbImage::from_pixel(2, 2, Rgb([50; 3])));
        let made = folder.path(&format!("made.{extension}"));
        image.save(&made).unwrap();
        // The name says something else, or nothing.
        fs::rename(&made, folder.path(&format!("ant/{extension}.png"))).unwrap();
        fs::copy(folder.path(&format!("ant/{extension}.png")), folder.path(&format!("bee/{extension}")))
            .unwrap();
    }
    let set = folder.read(AS_IS).unwrap();
    assert_eq!(set.class_counts(&set.pool), [5, 5]);
    for &id in set.pool.iter().filter(|&&id| !set.items.images().source(id).ends_with("1.png")) {
        assert_eq!(set.items.images().pixels(id), [50; 4], "{}", set.items.images().source(id));
    }
}

#[test]
fn equal_channels_are_grey_and_one_colour_makes_all_of_three_channels() {
    let folder = Folder::two_classes();
    folder.rgb("ant/2.png", [7, 7, 7], 2, 2);
    assert_eq!(folder.read(AS_IS).unwrap().items.images().shape().channels, 1);
    folder.rgb("bee/2.png", [1, 2, 3], 2, 2);
    let set = folder.read(AS_IS).unwrap();
    assert_eq!(set.items.images().shape(), ImageShape { channels: 3, height: 2, width: 2 });
    assert_eq!(set.items.images().pixels(0), [10; 12]);
    assert_eq!(set.items.images().pixels(3), [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
    let grey = folder.read(Reading { colour: Colour::Grey, ..AS_IS }).unwrap();
    assert_eq!(grey.items.images().shape().channels, 1);
}

#[test]
fn a_photograph_taken_on_its_side_stands_upright() {
    let folder = Folder::two_classes();
    let wide = GrayImage::from_fn(32, 16, |x, _| Luma([if x < 16 { 0 } else { 255 }]));
    let path = folder.path("ant/photo.jpg");
    wide.save(&path).unwrap();
    let mut jpeg = fs::read(&path).unwrap();
    // An EXIF block of one entry, behind the start mark: orientation (0x0112) 6, turn clockwise.
    let mut exif = b"\xff\xe1\x00\x22Exif\0\0MM\x00\x2a\x00\x00\x00\x08\x00\x01".to_vec();
    exif.extend(b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00");
    jpeg.splice(2..2, exif);
    fs::write(&path, jpeg).unwrap();
    let set = folder.read(Reading { size: 32, ..AS_IS }).unwrap();
    // 16 × 32 within 32 × 32: black beside it, dark above, bright below.
    let pixel = |row: usize, column: usize| set.items.images().pixels(1)[row * 32 + column];
    assert_eq!((pixel(4, 16), pixel(28, 16), pixel(28, 2)), (0, 255, 0));
}

#[test]
fn what_is_transparent_is_white_and_sixteen_bits_become_eight() {
    let folder = Folder::two_classes();
    image::GrayAlphaImage::from_pixel(2, 2, image::LumaA([70, 0])).save(folder.path("ant/2.png")).unwrap();
    let half = image::RgbaImage::from_pixel(2, 2, image::Rgba([0, 0, 0, 102]));
    half.save(folder.path("ant/3.png")).unwrap();
    let deep = image::ImageBuffer::<Luma<u16>, Vec<u16>>::from_pixel(2, 2, Luma([0x8080]));
    deep.save(folder.path("ant/4.png")).unwrap();
    let set = folder.read(AS_IS).unwrap();
    let pixels = |n: Id| set.items.images().pixels(n)[0];
    assert_eq!([pixels(1), pixels(2), pixels(3)], [255, 153, 0x80]);
}

#[test]
fn twelve_bits_in_sixteen_are_stretched_and_said_also_from_the_cache() {
    let folder = Folder::two_classes();
    let ramp = |most: u16| {
        image::ImageBuffer::<Luma<u16>, Vec<u16>>::from_fn(2, 2, |x, y| Luma([most * (x + y) as u16 / 2]))
    };
    ramp(4095).save(folder.path("ant/2.tif")).unwrap();
    ramp(4096).save(folder.path("ant/3.tif")).unwrap();
    ramp(0).save(folder.path("ant/4.png")).unwrap();
    let cache = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let (set, heard) = folder.read_and_listen(AS_IS, Some(cache.path()));
        let set = set.unwrap();
        let pixels = |n: Id| set.items.images().pixels(n);
        assert_eq!([pixels(1), pixels(2), pixels(3)], [[0, 127, 127, 255], [0, 8, 8, 16], [0; 4]]);
        assert_eq!(
            heard,
            ["1 image holds 12 bits in 16, and 4095 is taken for white; the first is ant/2.tif"]
        );
    }
}

#[test]
fn formats_that_are_not_read_are_named() {
    let folder = Folder::two_classes();
    let mut dicom = vec![0; 128];
    dicom.extend(b"DICM");
    for (head, name) in [
        (&b"II+\0\x08\0\0\0"[..], "BigTIFF"),
        (b"MM\0+\0\x08\0\0", "BigTIFF"),
        (b"GIF89a\x01\0\x01\0", "GIF"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypavif", "AVIF"),
        (b"8BPS\0\x01", "Photoshop"),
        (&dicom, "DICOM"),
    ] {
        for file in ["a.tif", "no ending"] {
            folder.write(file, head);
            let reason = open(&folder.path(file)).unwrap_err();
            assert!(reason.contains(&format!("it is {name}")), "{file}: {reason}");
        }
    }
    folder.write("b.jp2", b"nothing known");
    assert!(open(&folder.path("b.jp2")).is_err());
    folder.write("ftyp.txt", b"about ftypheic");
    assert!(open(&folder.path("ftyp.txt")).unwrap().is_none());
}

#[test]
fn what_systems_lay_beside_images_is_passed_over() {
    let folder = Folder::two_classes();
    for name in ["@eaDir", "$RECYCLE.BIN", "__MACOSX", "#recycle", "System Volume Information"] {
        folder.grey(&format!("{name}/1.png"), 1, 2, 2);
        folder.grey(&format!("bee/{name}/1.png"), 1, 2, 2);
    }
    let set = folder.read(AS_IS).unwrap();
    assert_eq!((set.items.classes(), set.pool.len()), (&["ant".to_owned(), "bee".to_owned()][..], 2));
    assert_eq!(walk::images(folder.0.path()).unwrap().0.len(), 2);
}

/// A pipe would be waited for, a link to nothing ended the whole.
#[cfg(unix)]
#[test]
fn pipes_and_sockets_are_passed_over_and_links_to_nothing_are_named() {
    let folder = Folder::two_classes();
    let pipe = folder.path("ant/pipe.png");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(folder.path("ant/socket.png")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path("bee/device.png")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path("bee/gone.png")).unwrap();
    assert!(open(&pipe).unwrap().is_none());
    assert!(walk::hash_of(&pipe).is_err());
    let (set, heard) = folder.read_and_listen(AS_IS, None);
    assert_eq!(set.unwrap().pool.len(), 2);
    let gone = "bee/gone.png";
    assert_eq!(heard, [format!("left out {gone}: it is a link to a file that is not there")]);
    let (paths, bad) = walk::images(folder.0.path()).unwrap();
    assert_eq!((paths.len(), bad.len(), bad[0].path.as_str()), (2, 1, gone));
}

#[test]
fn images_of_different_sizes_ask_for_a_size() {
    let folder = Folder::two_classes();
    folder.grey("bee/2.png", 99, 4, 2);
    let expected = ["bee/2.png", "height 2, width 2", "height 2, width 4", "data.size"];
    assert_tells(&complaint(folder.read(AS_IS)), &expected);
    let pixels = |aspect| {
        let set = folder.read(Reading { size: 4, aspect, ..AS_IS }).unwrap();
        assert_eq!(set.items.images().shape(), ImageShape { channels: 1, height: 4, width: 4 });
        set.items.images().pixels(2).to_vec()
    };
    assert_eq!(pixels(Aspect::Pad), [[0; 4], [99; 4], [99; 4], [0; 4]].concat());
    assert_eq!(pixels(Aspect::Crop), [99; 16]);
    assert_eq!(pixels(Aspect::Stretch), [99; 16]);
}

#[test]
fn a_crop_is_the_middle() {
    let folder = Folder::two_classes();
    let wide = GrayImage::from_fn(6, 2, |x, _| Luma([if (2..4).contains(&x) { 200 } else { 0 }]));
    wide.save(folder.path("ant/wide.png")).unwrap();
    let set = folder.read(Reading { size: 2, aspect: Aspect::Crop, ..AS_IS }).unwrap();
    assert_eq!(set.items.images().pixels(1), [200; 4]);
}

#[test]
fn train_and_test_are_pool_and_test_set_and_val_stands_in_for_test() {
    let folder = Folder(tempfile::tempdir().unwrap());
    for name in ["train/ant/1.png", "train/bee/1.png", "val/bee/3.png"] {
        folder.grey(name, 1, 2, 2);
    }
    let set = folder.read(AS_IS).unwrap();
    assert_eq!(paths(&set, &set.pool), ["train/ant/1.png", "train/bee/1.png"]);
    assert_eq!(paths(&set, &set.test), ["val/bee/3.png"]);
    folder.grey("test/ant/2.png", 1, 2, 2);
    let (set, heard) = folder.read_and_listen(AS_IS, None);
    let set = set.unwrap();
    assert_eq!(paths(&set, &set.test), ["test/ant/2.png"]);
    assert_eq!(heard, ["the folder val is left out: pool and test set are train and test"]);
}

#[test]
fn a_class_called_train_is_a_class() {
    let folder = Folder::two_classes();
    folder.grey("train/1.png", 1, 2, 2);
    assert_eq!(folder.read(AS_IS).unwrap().items.classes(), ["ant", "bee", "train"]);
}

#[test]
fn hidden_files_and_files_that_claim_to_be_no_image_are_left_out() {
    let folder = Folder::two_classes();
    folder.write("ant/Thumbs.db", b"\xd0\xcf\x11\xe0 whatever");
    folder.write("ant/notes.txt", b"P1 is the first patient");
    folder.write("ant/.DS_Store", b"x");
    folder.write("ant/._1.png", b"resource fork");
    folder.write(".git/config", b"x");
    folder.write("bee/empty.csv", b"");
    folder.write("labels.csv", b"a,b");
    let set = folder.read(AS_IS).unwrap();
    assert_eq!(paths(&set, &set.pool), ["ant/1.png", "bee/1.png"]);
}

/// Bad images by name: their content and what must be said of them.
fn bad_images() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let folder = Folder::two_classes();
    let whole = fs::read(folder.path("ant/1.png")).unwrap();
    let mut no_pixels = whole.clone();
    no_pixels[16..20].fill(0);
    let bmp_of = |side: i32| {
        // A header alone: 24 bits a pixel, no pixels behind it.
        let mut bmp = b"BM".to_vec();
        bmp.extend([0, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0]);
        bmp.extend(side.to_le_bytes());
        bmp.extend(side.to_le_bytes());
        bmp.extend([1, 0, 24, 0]);
        bmp.extend([0; 24]);
        bmp
    };
    vec![
        ("empty.png", Vec::new(), "the file is empty"),
        ("text.jpg", b"not an image".to_vec(), "none of JPEG"),
        ("torn.png", whole[..whole.len() / 2].to_vec(), ""),
        ("zero.png", no_pixels, ""),
        ("zero.bmp", bmp_of(0), "0x0"),
        ("bomb.bmp", bmp_of(60_000), ""),
        ("moving.gif", b"GIF89a\x01\x00\x01\x00".to_vec(), "it is GIF"),
    ]
}

#[test]
fn a_bad_image_among_good_ones_is_named() {
    for (name, content, reason) in bad_images() {
        let folder = Folder::two_classes();
        folder.write(&format!("bee/{name}"), &content);
        let text = complaint(folder.read(AS_IS));
        assert_tells(&text, &["an image cannot be decoded", name, reason, "data.skip_bad = true"]);
    }
}

#[test]
fn bad_images_are_left_out_on_request_with_a_warning_each() {
    let folder = Folder::two_classes();
    for (name, content, _) in bad_images() {
        folder.write(&format!("ant/{name}"), &content);
    }
    let (set, heard) = folder.read_and_listen(Reading { skip_bad: true, ..AS_IS }, None);
    let set = set.unwrap();
    assert_eq!(paths(&set, &set.pool), ["ant/1.png", "bee/1.png"]);
    assert_eq!(set.items.images().pixels(1), [20; 4]);
    assert_eq!(heard.len(), bad_images().len());
    assert_tells(&heard.join("\n"), &["left out ant/empty.png: the file is empty", "left out ant/bomb.bmp"]);
}

#[test]
fn a_class_with_no_image_is_named() {
    let folder = Folder::two_classes();
    fs::create_dir(folder.path("cat")).unwrap();
    assert_tells(&complaint(folder.read(AS_IS)), &["a class with no image", "cat"]);
    // Also where its only image is left out.
    folder.write("cat/1.png", b"");
    assert_tells(
        &complaint(folder.read(Reading { skip_bad: true, ..AS_IS })),
        &["a class with no image", "cat"],
    );
}

#[test]
fn one_class_or_none_and_a_missing_folder_are_errors() {
    let folder = Folder(tempfile::tempdir().unwrap());
    folder.grey("1.png", 1, 2, 2);
    assert_tells(&complaint(folder.read(AS_IS)), &["one class only, or none", "no sub-folder, and 1 files"]);
    folder.grey("ant/1.png", 1, 2, 2);
    assert_tells(&complaint(folder.read(AS_IS)), &["one class only, or none", "only \"ant\""]);
    let nowhere = folder.0.path().join("nowhere");
    let text = complaint(read(&nowhere, AS_IS, None, &mut silent()));
    assert_tells(&text, &["no such folder", &nowhere.display().to_string()]);
}

#[test]
fn the_cache_gives_the_same_set_without_decoding_and_notices_changes() {
    let folder = Folder::two_classes();
    folder.write("ant/bad.png", b"");
    let cache = tempfile::tempdir().unwrap();
    let reading = Reading { skip_bad: true, ..AS_IS };
    let read = || {
        let (set, heard) = folder.read_and_listen(reading, Some(cache.path()));
        (set.unwrap(), heard)
    };
    // Each time that it is written, the cache is another file.
    let cached = || {
        let mut files = fs::read_dir(cache.path()).unwrap().map(|file| file.unwrap().metadata().unwrap());
        #[cfg(unix)]
        let file = std::os::unix::fs::MetadataExt::ino(&files.next().unwrap());
        #[cfg(not(unix))]
        let file = files.next().unwrap().modified().unwrap();
        file
    };
    let first = read();
    let written = cached();
    assert_eq!(read(), first);
    assert_eq!(cached(), written);
    let path = folder.path("ant/1.png");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let good = fs::read(&path).unwrap();
    let touch = |content: &[u8], time| {
        fs::write(&path, content).unwrap();
        File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    };
    // Another time: it is decoded again, and found to be bad.
    touch(&vec![0; good.len()], time + std::time::Duration::from_secs(1));
    let (set, _) = folder.read_and_listen(reading, Some(cache.path()));
    assert_tells(&complaint(set), &["a class with no image"]);
    touch(&good, time);
    // Another reading is another file.
    let (larger, _) = folder.read_and_listen(Reading { size: 4, ..reading }, Some(cache.path()));
    assert_eq!(larger.unwrap().items.images().shape().height, 4);
    assert_eq!(read(), first);
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 2);
    // A new class without an image is noticed, though no file has changed.
    fs::create_dir(folder.path("cat")).unwrap();
    let (set, _) = folder.read_and_listen(reading, Some(cache.path()));
    assert_tells(&complaint(set), &["a class with no image", "cat"]);
}

#[test]
fn a_torn_cache_is_ignored_and_written_again() {
    let folder = Folder::two_classes();
    let cache = tempfile::tempdir().unwrap();
    let read = || folder.read_and_listen(AS_IS, Some(cache.path())).0.unwrap();
    let first = read();
    let path = fs::read_dir(cache.path()).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&path).unwrap();
    for cut in (0..whole.len()).step_by(7) {
        fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(read(), first);
        assert!(fs::read(&path).unwrap() == whole, "not written again");
    }
    for byte in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[byte] ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert_eq!(read(), first);
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_a_warning() {
    let folder = Folder::two_classes();
    let file = tempfile::NamedTempFile::new().unwrap();
    let (set, heard) = folder.read_and_listen(AS_IS, Some(file.path()));
    assert_eq!(set.unwrap().pool.len(), 2);
    assert_tells(&heard.join("\n"), &["the decoded images were not cached"]);
}

#[test]
fn reading_stops_when_asked() {
    let folder = Folder::two_classes();
    let mut stop = |event: Event<'_>| match event {
        Event::Progress { .. } => crate::Flow::Stop,
        _ => crate::Flow::Continue,
    };
    assert!(matches!(read(folder.0.path(), AS_IS, None, &mut stop), Err(Error::Stopped)));
}

#[cfg(unix)]
#[test]
fn a_linked_class_folder_is_read_and_a_link_in_a_circle_is_not_followed() {
    let folder = Folder::two_classes();
    let elsewhere = Folder::two_classes();
    std::os::unix::fs::symlink(elsewhere.0.path().join("ant"), folder.0.path().join("cat")).unwrap();
    std::os::unix::fs::symlink(folder.0.path().join("ant"), folder.0.path().join("ant/again")).unwrap();
    let set = folder.read(AS_IS).unwrap();
    assert_eq!(paths(&set, &set.pool), ["ant/1.png", "bee/1.png", "cat/1.png"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever a damaged file holds, it is read or refused; a decoder that panics would end the
    /// test.
    #[test]
    fn damaged_images_are_read_or_refused(
        format in prop::sample::select(vec!["jpg", "png", "bmp", "webp", "tiff"]),
        damage in prop::collection::vec((0.0_f64..1.0, any::<u8>()), 1..8),
        cut in 0.2_f64..1.2,
    ) {
        let folder = Folder::two_classes();
        let image = RgbImage::from_fn(9, 7, |x, y| Rgb([(x * 20) as u8, (y * 30) as u8, 99]));
        let path = folder.path(&format!("ant/2.{format}"));
        image.save(&path).unwrap();
        let mut content = fs::read(&path).unwrap();
        for (place, value) in damage {
            let place = (place * content.len() as f64) as usize;
            content[place] = value;
        }
        content.truncate((cut * content.len() as f64) as usize);
        fs::write(&path, content).unwrap();
        let set = folder.read(Reading { size: 4, skip_bad: true, ..AS_IS }).unwrap();
        prop_assert!((2..=3).contains(&set.pool.len()));
        prop_assert_eq!(set.items.label(0), 0);
    }
}
