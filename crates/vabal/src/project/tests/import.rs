//! Folders that change between two imports, and files that are not what they say.

use std::os::unix::fs::symlink;

use super::*;

fn again(project: &mut Project) -> Imported {
    let imported = project.import(&mut silent()).unwrap();
    check_kept(project);
    imported
}

fn short(imported: &Imported) -> [usize; 5] {
    [imported.added, imported.unchanged, imported.moved, imported.changed, imported.missing]
}

#[test]
fn importing_again_adds_only_what_is_new_and_reads_nothing_twice() {
    let place = Place::new(5);
    let mut project = place.made(plain());
    assert_eq!(short(&again(&mut project)), [0, 5, 0, 0, 0]);
    // Touched, but the same.
    fs::write(place.images().join("000.png"), fs::read(place.images().join("000.png")).unwrap()).unwrap();
    place.draw("deep/er/new.png", 9);
    assert_eq!(short(&again(&mut project)), [1, 5, 0, 0, 0]);
    assert_eq!(by_path(&project)["deep/er/new.png"].id, 6);
    // A file that is not read cannot be found to have other content than the store says.
    project.connection.execute("UPDATE images SET hash = zeroblob(32) WHERE path = '001.png'", []).unwrap();
    assert_eq!(short(&again(&mut project)), [0, 6, 0, 0, 0]);
}

#[test]
fn moved_and_renamed_images_keep_id_and_label_also_when_they_change_places() {
    let place = Place::new(4);
    let mut project = place.made(plain());
    for id in 1..=4 {
        label(&mut project, "ann", id, id as Label - 1);
    }
    let file = |name: &str| place.images().join(name);
    fs::create_dir(file("sub")).unwrap();
    fs::rename(file("000.png"), file("sub/other.png")).unwrap();
    fs::rename(file("001.png"), file("swap")).unwrap();
    fs::rename(file("002.png"), file("001.png")).unwrap();
    fs::rename(file("swap"), file("002.png")).unwrap();
    // A chain: what was the fourth is now before it in the order of names.
    fs::rename(file("003.png"), file("000.png")).unwrap();
    let imported = again(&mut project);
    assert_eq!(short(&imported), [0, 0, 4, 0, 0]);
    let now: BTreeMap<String, (ImageId, Option<Label>)> =
        by_path(&project).into_iter().map(|(path, image)| (path, (image.id, image.class))).collect();
    let expected = [("sub/other.png", 1, 0), ("002.png", 2, 1), ("001.png", 3, 2), ("000.png", 4, 3)];
    assert_eq!(
        now,
        expected
            .into_iter()
            .map(|(path, id, class)| (path.to_string(), (ImageId(id), Some(class))))
            .collect()
    );
}

/// As from an archive, which gives all files one time, and images without compression one size.
#[cfg(unix)]
#[test]
fn files_of_one_size_and_time_that_change_places_are_told_apart() {
    let place = Place::new(0);
    fs::create_dir_all(place.images()).unwrap();
    let file = |name: &str| place.images().join(name);
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    for (name, k) in [("a.bmp", 0), ("b.bmp", 1)] {
        picture(k).save(file(name)).unwrap();
        fs::File::options().write(true).open(file(name)).unwrap().set_modified(time).unwrap();
    }
    let mut project = place.made(plain());
    label(&mut project, "ann", 1, 0);
    // Until the clock of the file system has gone on.
    let now = |name: &str| crate::data::walk::changed_at(&fs::metadata(file(name)).unwrap());
    let before = now("a.bmp").max(now("b.bmp"));
    loop {
        fs::write(place.project().join("clock"), "").unwrap();
        let data = fs::metadata(place.project().join("clock")).unwrap();
        if crate::data::walk::changed_at(&data) > before {
            break;
        }
    }
    fs::rename(file("a.bmp"), file("c.bmp")).unwrap();
    fs::rename(file("b.bmp"), file("a.bmp")).unwrap();
    fs::rename(file("c.bmp"), file("b.bmp")).unwrap();
    assert_eq!(short(&again(&mut project)), [0, 0, 2, 0, 0]);
    assert_eq!(by_path(&project)["b.bmp"].class, Some(0));
}

#[test]
fn a_chain_of_renames_loses_nobody() {
    let place = Place::new(3);
    let mut project = place.made(plain());
    let file = |name: &str| place.images().join(name);
    // 002 → 000-a, 001 → 002, 000 → 001: the first found is known by a path that another has by
    // now.
    fs::rename(file("002.png"), file("000-a.png")).unwrap();
    fs::rename(file("001.png"), file("002.png")).unwrap();
    fs::rename(file("000.png"), file("001.png")).unwrap();
    assert_eq!(short(&again(&mut project)), [0, 0, 3, 0, 0]);
    let ids: Vec<(String, ImageId)> =
        by_path(&project).into_iter().map(|(path, image)| (path, image.id)).collect();
    assert_eq!(
        ids,
        [("000-a.png", 3), ("001.png", 1), ("002.png", 2)].map(|(path, id)| (path.into(), ImageId(id)))
    );
}

#[test]
fn missing_images_keep_their_label_and_come_back() {
    let place = Place::new(3);
    let mut project = place.made(plain());
    label(&mut project, "ann", 2, 1);
    let (here, away) = (place.images().join("001.png"), place.project().join("away.png"));
    fs::rename(&here, &away).unwrap();
    assert_eq!(short(&again(&mut project)), [0, 2, 0, 0, 1]);
    assert!(project.images(&[ImageId(2)]).unwrap()[0].missing);
    assert!(!by_path(&project).contains_key("001.png"));
    assert_eq!(project.training_set().unwrap().0, Vec::<ImageId>::new());
    assert_eq!(project.classes().unwrap()[1].labels, 0);
    assert!(!ids(&project.next("ann", 10, &[]).unwrap().questions).contains(&ImageId(2)));
    let gone = ListQuery { state: Some(StateFilter::Missing), ..ListQuery::default() };
    assert_eq!(ids(&project.list(&gone).unwrap().images), [2]);
    // Another picture takes its name meanwhile, and it comes back under another.
    place.draw("001.png", 77);
    assert_eq!(short(&again(&mut project)), [1, 2, 0, 0, 1]);
    fs::rename(&away, place.images().join("back.png")).unwrap();
    assert_eq!(short(&again(&mut project)), [0, 3, 1, 0, 0]);
    let back = &by_path(&project)["back.png"];
    assert_eq!((back.id.0, back.class), (2, Some(1)));
    assert_eq!(project.training_set().unwrap(), (vec![ImageId(2)], vec![1]));
}

#[test]
fn another_picture_in_the_place_of_one_is_a_new_image_but_the_same_saved_anew_is_not() {
    let place = Place::new(2);
    let mut project = place.made(plain());
    label(&mut project, "ann", 1, 0);
    label(&mut project, "ann", 2, 1);
    place.draw("000.png", 50);
    // The same pixels, written by another program.
    let mut bytes = fs::read(place.images().join("001.png")).unwrap();
    bytes.extend_from_slice(b"a comment at the end");
    fs::write(place.images().join("001.png"), bytes).unwrap();
    assert_eq!(short(&again(&mut project)), [1, 0, 0, 1, 1]);
    let now = by_path(&project);
    assert_eq!((now["000.png"].id.0, now["000.png"].class), (3, None));
    assert_eq!((now["001.png"].id.0, now["001.png"].class), (2, Some(1)));
}

/// A picture in the folder of thumbnails, as the page makes them.
fn thumbnail(project: &Project) {
    project.thumbnail(ImageId(1), 64).unwrap().unwrap();
    assert_eq!(fs::read_dir(project.folder().join("thumbs")).unwrap().count(), 1);
    fs::create_dir_all(project.folder().join("cache")).unwrap();
    picture(200).save(project.folder().join("cache/decoded.png")).unwrap();
}

#[test]
fn what_a_project_makes_is_no_image_of_it_wherever_its_folder_lies() {
    // The project in the folder of images.
    let place = Place::new(4);
    let inside = place.images().join("steel");
    let mut project = Project::create(&inside, &place.images(), &[], plain()).unwrap();
    assert_eq!(project.settings().unwrap().images, "..");
    assert_eq!(short(&again(&mut project)), [4, 0, 0, 0, 0]);
    thumbnail(&project);
    assert_eq!(short(&again(&mut project)), [0, 4, 0, 0, 0]);
    // The folder of images in that of the project.
    let place = Place::new(0);
    let folder = place.project();
    fs::create_dir_all(folder.join("photos/thumbs")).unwrap();
    for (name, k) in [("a.png", 0), ("thumbs/b.png", 1)] {
        picture(k).save(folder.join("photos").join(name)).unwrap();
    }
    // One folder cannot be both.
    let error = Project::create(&folder, &folder, &[], plain()).unwrap_err().to_string();
    assert!(error.contains("the folder of images itself"), "{error}");
    let mut project = Project::create(&folder, &folder.join("photos"), &[], plain()).unwrap();
    assert_eq!(project.settings().unwrap().images, "photos");
    // A folder of the user's own of that name counts.
    assert_eq!(short(&again(&mut project)), [2, 0, 0, 0, 0]);
    thumbnail(&project);
    assert_eq!(short(&again(&mut project)), [0, 2, 0, 0, 0]);
}

#[test]
fn duplicates_are_counted_asked_once_and_stay_on_one_side() {
    let place = Place::new(0);
    for k in 0..30 {
        for copy in 0..3 {
            place.draw(&format!("{copy}/{k}.png"), k);
        }
    }
    let settings = Settings { holdout: 0.5, ..Settings::default() };
    let mut project = place.made(settings);
    check_kept(&project);
    let counts = project.counts().unwrap();
    assert!((15..75).contains(&counts.holdout.images), "{counts:?}");
    assert!(by_path(&project).values().all(|image| image.duplicates == 2));
    let questions = project.next("ann", 1000, &[]).unwrap().questions;
    assert_eq!(questions.len(), 30);
    // A copy that comes later, under another share, is on the side of the others.
    let share = "UPDATE project SET value = json_set(value, '$.holdout', 0.0) WHERE key = 'settings'";
    assert_eq!(project.connection.execute(share, []).unwrap(), 1);
    for k in 0..30 {
        place.draw(&format!("3/{k}.png"), k);
    }
    again(&mut project);
    let first = questions[0].id;
    let answered = label(&mut project, "ann", first, 0);
    assert_eq!(answered.images.len(), 1);
    let mut given = one("ann", "all", first, Act::Label, Some(1));
    given.duplicates = true;
    assert_eq!(project.answer(&given).unwrap().images.len(), 4);
    assert_eq!(project.classes().unwrap()[1].labels, 4);
    check_kept(&project);
    assert!(project.undo("ann", None).unwrap().unwrap().images.len() == 4);
    assert_eq!(project.classes().unwrap()[0].labels, 1);
    let groups = project.duplicates(false, None, Some(20)).unwrap();
    assert_eq!((groups.groups.len(), groups.groups[0].images.len()), (20, 4));
    let rest = project.duplicates(false, groups.next.as_deref(), Some(20)).unwrap();
    assert_eq!((rest.groups.len(), rest.next), (10, None));
    // All of one content: that is no near-duplicate.
    assert!(project.duplicates(true, None, None).unwrap().groups.is_empty());
}

#[test]
fn files_that_cannot_be_used_are_told_and_the_rest_is_imported() {
    let place = Place::new(2);
    let file = |name: &str| place.images().join(name);
    write(&file("empty.jpg"), b"");
    write(&file("text.png"), b"no picture at all");
    write(&file("notes.txt"), b"left out");
    write(&file(".hidden.png"), b"left out");
    write(&file(".hidden/in.png"), &fs::read(file("000.png")).unwrap());
    // A GIF is a picture, but none of ours.
    write(&file("other.gif"), b"GIF89a\x01\x00\x01\x00\x00\x00\x00;");
    let mut cut = fs::read(file("000.png")).unwrap();
    cut.truncate(cut.len() / 2);
    write(&file("cut.png"), &cut);
    write(&file("bomb.bmp"), &bomb());
    // Told by content, not by name.
    write(&file("unnamed"), &fs::read(file("001.png")).unwrap());
    let mut project = place.made(plain());
    let imported = again(&mut project);
    assert_eq!(short(&imported), [0, 3, 0, 0, 0]);
    assert_eq!(imported.others, 1);
    let bad: Vec<&str> = imported.bad.iter().map(|bad| bad.path.as_str()).collect();
    assert_eq!(bad, ["bomb.bmp", "cut.png", "empty.jpg", "other.gif", "text.png"]);
    assert!(imported.bad[0].reason.contains("too large"), "{:?}", imported.bad[0]);
    assert!(by_path(&project).contains_key("unnamed"));
}

/// A BMP of 58 bytes that says it has 60,000 × 60,000 pixels.
fn bomb() -> Vec<u8> {
    let mut bytes = b"BM".to_vec();
    for number in [58_u32, 0, 54, 40, 60_000, 60_000, 24 << 16 | 1, 0, 0, 2835, 2835, 0, 0, 0] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes
}

#[test]
fn a_path_never_leaves_the_folder_of_images() {
    let place = Place::new(3);
    let outside = place.project().with_file_name("secret.png");
    picture(99).save(&outside).unwrap();
    symlink(&outside, place.images().join("link.png")).unwrap();
    symlink(place.images().join("001.png"), place.images().join("inner.png")).unwrap();
    symlink(place.images(), place.images().join("circle")).unwrap();
    symlink("nowhere", place.images().join("broken.png")).unwrap();
    let mut project = place.made(plain());
    let imported = again(&mut project);
    let bad: Vec<&str> = imported.bad.iter().map(|bad| bad.path.as_str()).collect();
    assert_eq!(bad, ["broken.png", "link.png"]);
    assert_eq!(by_path(&project).len(), 4);
    // A file that becomes a link after it was imported, and a path that somebody wrote into the
    // store.
    fs::remove_file(place.images().join("000.png")).unwrap();
    symlink(&outside, place.images().join("000.png")).unwrap();
    let sql = "UPDATE images SET path = '../secret.png' WHERE path = '002.png'";
    project.connection.execute(sql, []).unwrap();
    for id in [ImageId(1), by_path(&project)["../secret.png"].id] {
        for error in [project.thumbnail(id, 64).unwrap_err(), project.browser_image(id).unwrap_err()] {
            assert!(error.to_string().contains("not in the folder of images"), "{error}");
        }
    }
    let paths: Vec<ImageId> = project.paths().unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(paths, [2, 4]);
    // What changed behind the project's back is not shown under the old answer.
    fs::remove_file(place.images().join("001.png")).unwrap();
    place.draw("001.png", 42);
    assert!(project.thumbnail(ImageId(2), 64).unwrap_err().to_string().contains("import the images again"));
}

#[test]
fn thumbnails_are_made_once_and_a_browser_gets_what_it_can_show() {
    let place = Place::new(1);
    let wide = image::RgbImage::from_fn(600, 200, |x, _| image::Rgb([(x / 3) as u8, 0, 90]));
    wide.save(place.images().join("wide.tiff")).unwrap();
    image::GrayImage::from_fn(1, 900, |_, y| image::Luma([y as u8]))
        .save(place.images().join("thin.png"))
        .unwrap();
    let project = place.made(plain());
    let id = |name: &str| by_path(&project)[name].id;
    let size = |bytes: &[u8]| {
        let image = image::load_from_memory_with_format(bytes, image::ImageFormat::Jpeg).unwrap();
        (image.width(), image.height())
    };
    let thumb = project.thumbnail(id("wide.tiff"), 100).unwrap().unwrap();
    assert_eq!(size(&thumb), (128, 42));
    assert_eq!(size(&project.thumbnail(id("thin.png"), 1).unwrap().unwrap()), (1, 64));
    assert_eq!(size(&project.thumbnail(id("000.png"), 9999).unwrap().unwrap()), (9, 8));
    assert_eq!(fs::read_dir(place.project().join("thumbs")).unwrap().count(), 3);
    assert_eq!(project.browser_image(id("wide.tiff")).unwrap().unwrap().content_type, "image/png");
    let own = project.browser_image(id("000.png")).unwrap().unwrap();
    assert_eq!(own.bytes, fs::read(place.images().join("000.png")).unwrap());
    assert_eq!(project.thumbnail(ImageId(77), 64).unwrap(), None);
    fs::remove_file(place.images().join("wide.tiff")).unwrap();
    assert_eq!(project.thumbnail(id("wide.tiff"), 128).unwrap().unwrap(), thumb);
    assert!(project.browser_image(id("wide.tiff")).is_err());
}

/// What is drawn in alpha alone was seen on the page and black for the model; 12 bits were nearly
/// black for both.
#[test]
fn a_browser_gets_transparent_and_twelve_bit_pictures_as_the_model_sees_them() {
    let place = Place::new(0);
    let write = |name: &str, image: image::DynamicImage| image.save(place.images().join(name)).unwrap();
    let clear = |alpha| {
        image::RgbaImage::from_fn(9, 8, |x, _| image::Rgba([0, 0, 0, if x < 4 { 255 } else { alpha }]))
    };
    write("bar.png", clear(0).into());
    write("opaque.png", clear(255).into());
    let deep =
        image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_fn(9, 8, |x, _| image::Luma([x as u16 * 455]));
    write("deep.png", deep.into());
    let mut project = Project::create(&place.project(), &place.images(), &[], plain()).unwrap();
    let mut heard = Vec::new();
    let imported = project.import(&mut |event| {
        if let crate::Event::Warning(text) = event {
            heard.push(text.to_owned());
        }
        crate::Flow::Continue
    });
    assert_eq!(imported.unwrap().stretched, ["deep.png"]);
    assert_eq!(heard, ["1 image holds 12 bits in 16, and 4095 is taken for white; the first is deep.png"]);
    let id = |name: &str| by_path(&project)[name].id;
    let row = |name: &str| {
        let bytes = project.browser_image(id(name)).unwrap().unwrap().bytes;
        let image = image::load_from_memory(&bytes).unwrap();
        assert!(!image.color().has_alpha() || name == "opaque.png");
        let small = project.thumbnail(id(name), 64).unwrap().unwrap();
        let small = image::load_from_memory(&small).unwrap().into_luma8();
        [0, 8].map(|x| {
            let value = image.to_luma8().get_pixel(x, 4).0[0];
            assert!(small.get_pixel(x, 4).0[0].abs_diff(value) < 30, "{name}");
            value
        })
    };
    assert_eq!((row("bar.png"), row("deep.png")), ([0, 255], [0, 227]));
    row("opaque.png");
    let own = project.browser_image(id("opaque.png")).unwrap().unwrap();
    assert_eq!(own.bytes, fs::read(place.images().join("opaque.png")).unwrap());
}

#[test]
fn an_import_that_is_stopped_goes_on_where_it_was() {
    let place = Place::new(0);
    for n in 0..600_u32 {
        let path = place.images().join(format!("{n:04}.bmp"));
        image::GrayImage::from_fn(4, 4, |x, y| image::Luma([(n >> (x + 4 * y) & 1) as u8 * 200]))
            .save(path)
            .unwrap();
    }
    let mut project = Project::create(&place.project(), &place.images(), &[], plain()).unwrap();
    let mut seen = Vec::new();
    let stopped = project.import(&mut |event| {
        if let crate::Event::Progress { phase: "import", done, total: 600, .. } = event {
            seen.push(done);
        }
        if seen.len() < 3 { crate::Flow::Continue } else { crate::Flow::Stop }
    });
    assert!(matches!(stopped, Err(crate::Error::Stopped)));
    assert_eq!(seen, [0, 256, 512]);
    assert_eq!(short(&again(&mut project)), [88, 512, 0, 0, 0]);
}

#[test]
fn a_folder_of_images_that_has_gone_is_an_error_and_loses_nothing() {
    let place = Place::new(3);
    let mut project = place.made(plain());
    let away = place.images().with_file_name("away");
    fs::rename(place.images(), &away).unwrap();
    assert!(project.import(&mut silent()).is_err());
    assert_eq!(project.counts().unwrap().missing, 0);
    assert!(project.set_images(&place.images()).is_err());
    project.set_images(&away).unwrap();
    assert_eq!(short(&again(&mut project)), [0, 3, 0, 0, 0]);
    assert_eq!(project.settings().unwrap().images, "../away");
}
