//! Who may ask: the token, the name in `Host`, the page in `Origin`, the type of what is sent; and
//! the headers that bind the browser to the same.
//!
//! - Another web site, open in the same browser, can send requests here: it knows no token, its
//!   `Origin` is refused, and a form cannot send JSON.
//! - A name that it makes point to 127.0.0.1 (DNS rebinding) is not one of the names in `Host` that
//!   are answered.
//! - Another user of this machine can connect, but knows no token.
//!
//! Never here: what is answered once somebody is let in.

use std::net::IpAddr;

use constant_time_eq::constant_time_eq;
use vabal::{Error, Result};

use crate::http::{Head, Response};

/// The largest body of an import, in bytes.
const IMPORT: usize = 64 << 20;
/// The ids of a million images that were chosen together, in bytes.
const SELECTION: usize = 16 << 20;
/// The largest other body, in bytes.
const OTHER: usize = 1 << 20;
/// Scripts, styles and images from here alone, and nothing inline; no frame around the page, no
/// form to elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
     connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a request must have to be let in.
#[derive(Debug, Clone)]
pub struct Gate {
    token: String,
    /// Of the project: a browser sends cookies to every port of a host, and with one name for all,
    /// two projects that are open at once would take the place of each other's token.
    cookie: String,
    /// Names that are answered to at any port, in small letters: a tunnel or a proxy has one of its
    /// own. A page of another site can make neither of them point here.
    names: Vec<String>,
    /// What `Origin` may have besides the name in `Host`: a proxy may pass on another `Host` than
    /// it was asked for.
    origins: Vec<String>,
    /// Bound to every address: any address in numbers is one of this machine. A name never is, so
    /// that nobody can make one of their own point here.
    any_address: bool,
}

/// What a request that may come in is about.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    /// Go on; a body has at most this many bytes.
    Open(usize),
    /// The address with the token: the browser keeps it and asks again without.
    Keep,
}

/// Why a request is not let in.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 401, 403, 415.
    pub status: u16,
    /// What is wrong.
    pub what: &'static str,
    /// What to do.
    pub hint: &'static str,
}

/// 128 bits from the system, in hexadecimal digits.
///
/// # Errors
/// The system has none to give.
pub fn token() -> Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::input("the system gives no random bytes for the token of the page")
            .got(error)
            .hint("start again; if that does not help, restart the machine")
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Gate {
    /// The gate of a server of the project `id` that is bound to `host`, a name or an address.
    #[must_use]
    pub fn new(token: String, id: &str, host: &str) -> Self {
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let address: Option<IpAddr> = bare.parse().ok();
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        names.push(if matches!(address, Some(IpAddr::V6(_))) { format!("[{bare}]") } else { bare });
        Self {
            token,
            cookie: format!("vabal-token-{id}"),
            names,
            origins: Vec::new(),
            any_address: address.is_some_and(|a| a.is_unspecified()),
        }
    }

    /// Answers to further names, in small letters.
    pub fn answer_to(&mut self, names: Vec<String>) {
        self.names.extend(names);
    }

    /// Answers to the names of proxies, and takes requests of their pages: `name`, or `name:port`.
    pub fn allow(&mut self, names: &[String]) {
        self.names.extend(names.iter().filter_map(|name| Some(split(name)?.0.to_owned())));
        self.origins.extend_from_slice(names);
    }

    /// Looks at a request before its body is read.
    ///
    /// # Errors
    /// Why it is not let in.
    pub fn admit(&self, head: &Head) -> Result<Entry, Refusal> {
        let mut hosts = head.all("host");
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) if self.is_here(host) => host,
            _ => {
                return Err(Refusal {
                    status: 403,
                    what: "this name of the host is not answered",
                    hint: "open the address that `vabal label` printed; for another name start it with --allow-host NAME",
                });
            }
        };
        let foreign = Refusal {
            status: 403,
            what: "the request comes from another page",
            hint: "open the address that `vabal label` printed in a tab of its own; behind a proxy start it with \
                   --allow-host NAME, with the name and port of the proxy's address",
        };
        let here = |origin: &str| {
            let name = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            name.is_some_and(|name| {
                name.eq_ignore_ascii_case(host)
                    || self.origins.iter().any(|known| name.eq_ignore_ascii_case(known))
            })
        };
        if !head.all("origin").all(here) {
            return Err(foreign);
        }
        let site = head.header("sec-fetch-site").unwrap_or("none");
        let navigates = head.header("sec-fetch-mode") == Some("navigate") && is_read(&head.method);
        if !matches!(site, "none" | "same-origin") && !navigates {
            return Err(foreign);
        }
        if head.path.is_empty()
            && is_read(&head.method)
            && let Some(token) = head.asked("token")
        {
            // Whoever is asked for it may paste the whole address.
            let token = token.rsplit_once("token=").map_or(token, |(_, token)| token).trim();
            return if self.is_token(token) { Ok(Entry::Keep) } else { Err(UNKNOWN) };
        }
        let cookie = &self.cookie;
        let mut given = head
            .all("cookie")
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|pair| pair.trim().strip_prefix(cookie.as_str())?.strip_prefix('='))
            .chain(head.all("authorization").filter_map(bearer));
        if !given.any(|token| self.is_token(token)) {
            return Err(UNKNOWN);
        }
        if is_read(&head.method) {
            return Ok(Entry::Open(0));
        }
        let import = head.path.iter().map(String::as_str).eq(["api", "import"]);
        let kind = head.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "text/csv" | "application/x-ndjson" | "application/json" if import => Ok(Entry::Open(IMPORT)),
            "application/json" if head.path.iter().map(String::as_str).eq(["api", "selections"]) => {
                Ok(Entry::Open(SELECTION))
            }
            "application/json" => Ok(Entry::Open(OTHER)),
            _ => Err(Refusal {
                status: 415,
                what: "the type of what was sent is not taken",
                hint: "send Content-Type: application/json; to import also text/csv and application/x-ndjson",
            }),
        }
    }

    /// Sends the browser to the page, with the token where no script reads it and no other site
    /// makes it be sent.
    #[must_use]
    pub fn keep(&self, head: &Head) -> Response {
        // As long as the token itself lasts, so that a bookmark finds the page; a browser keeps
        // none for longer.
        let cookie =
            format!("{}={}; Path=/; Max-Age=34560000; HttpOnly; SameSite=Strict", self.cookie, self.token);
        let response = match head.header("sec-fetch-site") {
            // Who follows a link from another site is sent on by that site, as browsers see it, and
            // without such a cookie. A page of our own that goes on by itself is another matter.
            Some("cross-site" | "same-site") => {
                let page = format!(
                    "<!doctype html><html lang=en><title>vabal</title><a href=\"{0}\">Go on to the page</a>",
                    head.root
                );
                Response::new(200, "text/html; charset=utf-8", page.into_bytes())
                    .with("Refresh", format!("0; url={}", head.root))
            }
            _ => Response::empty(303).with("Location", head.root.clone()),
        };
        response.with("Set-Cookie", cookie).with("Cache-Control", "no-store")
    }

    fn is_token(&self, given: &str) -> bool {
        constant_time_eq(given.as_bytes(), self.token.as_bytes())
    }

    fn is_here(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let Some((name, _)) = split(&host) else { return false };
        let numbers = name.trim_start_matches('[').trim_end_matches(']');
        self.names.iter().any(|known| known == name) || self.any_address && numbers.parse::<IpAddr>().is_ok()
    }
}

/// The name and the port of what stands in `Host`; `None` where the port is no number.
pub(crate) fn split(host: &str) -> Option<(&str, Option<u16>)> {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => Some((name, Some(port.parse().ok()?))),
        _ => Some((host, None)),
    }
}

const UNKNOWN: Refusal = Refusal {
    status: 401,
    what: "the token is missing or wrong",
    hint: "open the address that `vabal label` printed, with the whole token",
};

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a method asks and changes nothing.
#[must_use]
pub fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

/// The answer with the headers that every answer has. A page with a form sends it to us alone.
#[must_use]
pub fn seal(response: Response, form: bool) -> Response {
    let policy =
        if form { POLICY.replace("form-action 'none'", "form-action 'self'") } else { POLICY.into() };
    response
        .with("Content-Security-Policy", policy)
        .with("X-Content-Type-Options", "nosniff")
        .with("Referrer-Policy", "no-referrer")
        .with("Cross-Origin-Resource-Policy", "same-origin")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(host: &str) -> Gate {
        Gate::new("secret".into(), "p1", host)
    }

    fn ask(gate: &Gate, method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Entry, u16> {
        let headers = headers.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        gate.admit(&Head::new(method, target, headers).unwrap()).map_err(|refusal| refusal.status)
    }

    const HOST: (&str, &str) = ("host", "localhost:8000");
    const COOKIE: (&str, &str) = ("cookie", "a=b; vabal-token-p1=secret");
    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

    #[test]
    fn the_token_comes_as_cookie_or_header_and_nothing_else_does() {
        let gate = gate("127.0.0.1");
        assert_eq!(ask(&gate, "GET", "/", &[HOST, COOKIE]), Ok(Entry::Open(0)));
        let bearer = ("authorization", "Bearer secret");
        assert_eq!(ask(&gate, "GET", "/api/project", &[HOST, bearer]), Ok(Entry::Open(0)));
        assert_eq!(ask(&gate, "GET", "/?token=secret", &[HOST]), Ok(Entry::Keep));
        let pasted = "/?token=http%3A%2F%2Flocalhost%3A8000%2F%3Ftoken%3Dsecret+";
        assert_eq!(ask(&gate, "GET", pasted, &[HOST]), Ok(Entry::Keep));
        for (target, header) in [
            ("/", ("cookie", "vabal-token-p1=Secret")),
            ("/", ("cookie", "vabal-token-p1=")),
            ("/", ("cookie", "vabal-token-p11=secret")),
            ("/", ("cookie", "xvabal-token-p1=secret")),
            ("/", ("authorization", "Basic secret")),
            ("/", ("authorization", "Bearer secretsecret")),
            ("/?token=secre", ("accept", "*/*")),
            ("/?token=", ("accept", "*/*")),
            ("/api/project?token=secret", ("accept", "*/*")),
            ("/page.js", ("accept", "*/*")),
        ] {
            assert_eq!(ask(&gate, "GET", target, &[HOST, header]), Err(401), "{target} {header:?}");
        }
        assert_eq!(ask(&gate, "POST", "/?token=secret", &[HOST, JSON]), Err(401));
    }

    #[test]
    fn only_names_of_this_machine_are_answered_at_any_port() {
        let local = gate("127.0.0.1");
        // A tunnel ends at a port of its own.
        for host in
            ["localhost:8000", "LOCALHOST:9", "localhost", "127.0.0.1:8000", "127.0.0.1", "[::1]:80", "[::1]"]
        {
            assert_eq!(ask(&local, "GET", "/", &[("host", host), COOKIE]), Ok(Entry::Open(0)), "{host}");
        }
        let foreign = [
            "evil.example:8000",
            "localhost:8000.evil.example",
            "localhost:80000",
            "127.0.0.1.evil.example:8000",
            "192.168.1.7:8000",
            "",
            ":8000",
        ];
        for host in foreign {
            assert_eq!(ask(&local, "GET", "/?token=secret", &[("host", host), COOKIE]), Err(403), "{host}");
        }
        assert_eq!(ask(&local, "GET", "/", &[COOKIE]), Err(403));
        assert_eq!(ask(&local, "GET", "/", &[HOST, HOST, COOKIE]), Err(403));

        let named = gate("Lab.example");
        assert_eq!(ask(&named, "GET", "/", &[("host", "lab.example:8000"), COOKIE]), Ok(Entry::Open(0)));
        let mut proxied = gate("127.0.0.1");
        proxied.allow(&["lab.example".into(), "lab.example:8443".into()]);
        proxied.answer_to(vec!["pc7.local".into()]);
        for host in ["lab.example", "LAB.example:443", "pc7.local:8000", "127.0.0.1:8000"] {
            assert_eq!(ask(&proxied, "GET", "/", &[("host", host), COOKIE]), Ok(Entry::Open(0)), "{host}");
        }
        assert_eq!(ask(&proxied, "GET", "/", &[("host", "www.lab.example"), COOKIE]), Err(403));
        // A proxy that does not pass on the name it was asked for.
        for (origin, answer) in [
            ("https://lab.example", Ok(Entry::Open(OTHER))),
            ("https://lab.example:8443", Ok(Entry::Open(OTHER))),
            ("https://lab.example:3000", Err(403)),
            ("https://pc7.local", Err(403)),
        ] {
            let headers = [HOST, COOKIE, JSON, ("origin", origin)];
            assert_eq!(ask(&proxied, "POST", "/api/answers", &headers), answer, "{origin}");
        }
        let open = gate("0.0.0.0");
        for (host, answer) in [
            ("192.168.1.7:8000", Ok(Entry::Open(0))),
            ("[fe80::1]:8000", Ok(Entry::Open(0))),
            ("evil.example:8000", Err(403)),
        ] {
            assert_eq!(ask(&open, "GET", "/", &[("host", host), COOKIE]), answer, "{host}");
        }
    }

    #[test]
    fn another_page_is_refused_even_with_the_cookie() {
        let gate = gate("127.0.0.1");
        let post = |headers: &[(&str, &str)]| {
            ask(&gate, "POST", "/api/answers", &[&[HOST, COOKIE, JSON], headers].concat())
        };
        assert_eq!(post(&[]), Ok(Entry::Open(OTHER)));
        // With TLS before it, the page is at https.
        for origin in ["http://localhost:8000", "https://localhost:8000"] {
            assert_eq!(post(&[("origin", origin)]), Ok(Entry::Open(OTHER)));
        }
        for origin in ["null", "http://evil.example", "http://localhost:3000", "ftp://localhost:8000", ""] {
            assert_eq!(post(&[("origin", origin)]), Err(403), "{origin}");
        }
        assert_eq!(post(&[("sec-fetch-site", "same-origin")]), Ok(Entry::Open(OTHER)));
        for site in ["cross-site", "same-site"] {
            assert_eq!(post(&[("sec-fetch-site", site)]), Err(403));
            assert_eq!(post(&[("sec-fetch-site", site), ("sec-fetch-mode", "navigate")]), Err(403));
            assert_eq!(ask(&gate, "GET", "/image/1", &[HOST, COOKIE, ("sec-fetch-site", site)]), Err(403));
            // A link to the address with the token, in a mail or a notebook.
            let link = [HOST, ("sec-fetch-site", site), ("sec-fetch-mode", "navigate")];
            assert_eq!(ask(&gate, "GET", "/?token=secret", &link), Ok(Entry::Keep));
        }
    }

    #[test]
    fn what_is_sent_has_a_type_that_no_form_can_send() {
        let gate = gate("127.0.0.1");
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
        {
            let headers = [HOST, COOKIE, ("content-type", kind)];
            assert_eq!(ask(&gate, "POST", "/api/answers", &headers), Err(415), "{kind}");
            assert_eq!(ask(&gate, "POST", "/api/import?format=csv", &headers), Err(415), "{kind}");
        }
        let csv = [HOST, COOKIE, ("content-type", "text/csv")];
        assert_eq!(ask(&gate, "POST", "/api/import?format=csv", &csv), Ok(Entry::Open(IMPORT)));
        assert_eq!(ask(&gate, "POST", "/api/answers", &csv), Err(415));
        assert_eq!(ask(&gate, "DELETE", "/api/answers", &[HOST, COOKIE]), Err(415));
    }

    #[test]
    fn tokens_have_128_bits_and_never_come_twice() {
        let (a, b) = (token().unwrap(), token().unwrap());
        assert!(a.len() == 32 && a.bytes().all(|c| c.is_ascii_hexdigit()) && a != b);
    }
}
