//! The page's own files, in the program itself: nothing is fetched from elsewhere.
//!
//! Never here: anything made at run time.

use crate::http::Response;

macro_rules! assets {
    ($($name:literal: $kind:ident),* $(,)?) => {
        /// Names below `/assets/`, types and contents.
        const ALL: &[(&str, &str, &[u8])] = &[$(($name, $kind, include_bytes!(concat!("../assets/", $name)))),*];
    };
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

assets! {}

/// The page.
#[must_use]
pub fn index() -> Response {
    Response::new(200, "text/html; charset=utf-8", include_bytes!("../assets/index.html").as_slice())
        .with("Cache-Control", "no-store")
}

/// A file of the page.
#[must_use]
pub fn find(name: &str) -> Option<Response> {
    let (_, kind, bytes) = ALL.iter().find(|(known, ..)| *known == name)?;
    // Another version of the program brings others under the same names.
    Some(Response::new(200, kind, *bytes).with("Cache-Control", "no-cache"))
}
