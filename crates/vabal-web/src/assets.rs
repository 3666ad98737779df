//! The page's own files, in the program itself: nothing is fetched from elsewhere.
//!
//! Never here: anything made at run time.

use vabal::experiment::report::{FONT, FONT_SEMI_BOLD};

use crate::app::App;
use crate::error::{Answer, Failure};
use crate::http::{Request, Response};

macro_rules! assets {
    ($($name:literal: $kind:ident),* $(,)?) => {
        /// Names below `/assets/`, types and contents.
        const ALL: &[(&str, &str, &[u8])] = &[$(($name, $kind, include_bytes!(concat!("../assets/", $name)))),*];
    };
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

assets! {
    "alike.js": JS,
    "api.js": JS,
    "chart.js": JS,
    "chosen.js": JS,
    "classes.js": JS,
    "confusion.js": JS,
    "details.js": JS,
    "dom.js": JS,
    "exchange.js": JS,
    "grid.js": JS,
    "guide.js": JS,
    "help.js": JS,
    "keys.js": JS,
    "label.js": JS,
    "main.js": JS,
    "map.js": JS,
    "outbox.js": JS,
    "page.css": CSS,
    "panel.js": JS,
    "pick.js": JS,
    "plot.js": JS,
    "progress.js": JS,
    "regions.js": JS,
    "review.js": JS,
    "state.js": JS,
    "tabs.js": JS,
    "theme.js": JS,
    "tiles.js": JS,
    "turns.js": JS,
    "viewer.js": JS,
}

/// The font of the page, which is that of the reports: kept once.
const FONTS: &[(&str, &str, &[u8])] =
    &[("Inter-Regular.ttf", "font/ttf", FONT), ("Inter-SemiBold.ttf", "font/ttf", FONT_SEMI_BOLD)];

/// The page.
#[must_use]
pub fn index() -> Response {
    Response::new(200, "text/html; charset=utf-8", include_bytes!("../assets/index.html").as_slice())
        .with("Cache-Control", "no-store")
}

/// `GET /assets/NAME`
pub fn show(_: &App, request: &Request) -> Answer {
    find(&request.id).ok_or_else(|| Failure::missing("file", &request.id))
}

/// A file of the page.
#[must_use]
pub fn find(name: &str) -> Option<Response> {
    let (_, kind, bytes) = ALL.iter().chain(FONTS).find(|(known, ..)| *known == name)?;
    // Another version of the program brings others under the same names.
    Some(Response::new(200, kind, *bytes).with("Cache-Control", "no-cache"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_in_the_program_and_asks_for_no_other_host() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "index.html")
            .collect();
        names.sort();
        assert_eq!(names, ALL.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
        let page = String::from_utf8(index().body.into()).unwrap();
        for (name, _, bytes) in ALL.iter().chain([&("index.html", "", page.as_bytes())]) {
            let text = std::str::from_utf8(bytes).unwrap();
            for far in ["https://", "//cdn", "@import url(h"] {
                assert!(!text.contains(far), "{name} has {far}");
            }
        }
        assert!(!page.contains("<style") && !page.contains("<script>") && !page.contains(" onclick="));
        let style =
            std::str::from_utf8(ALL.iter().find(|(name, ..)| *name == "page.css").unwrap().2).unwrap();
        for (name, ..) in FONTS {
            assert!(style.contains(&format!("url({name})")) && find(name).is_some(), "{name}");
        }
        assert_eq!(style.matches("url(").count(), FONTS.len());
        // A proxy may show the page below a path.
        for (name, _, bytes) in ALL.iter().chain([&("index.html", "", page.as_bytes())]) {
            let text = std::str::from_utf8(bytes).unwrap();
            for rooted in ["=\"/", "url(/", "href: '/", "href: `/", "src: `/", "fetch('/", "from '/"] {
                assert!(!text.contains(rooted), "{name} has {rooted}");
            }
        }
        assert!(find("../Cargo.toml").is_none() && find("").is_none());
    }
}
