//! How a server is reached: the addresses it listens at, the names it is called by, the path that a
//! proxy passes on, and the token that stays with the project.
//!
//! Never here: who is let in with all that (`auth`).

use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::path::Path;

use vabal::{Error, Result};

use crate::auth;
use crate::{PORT, PORTS};

/// The token's file in a project's folder.
const TOKEN: &str = "token";
/// The first parts of paths that the server itself answers.
const TAKEN: [&str; 4] = ["api", "assets", "image", "thumb"];

/// The token of the project in `folder`, kept there for its owner alone, so that it is the same
/// after a restart. A file that others may read counts as none. Where it cannot be kept, it lasts
/// until the server ends.
///
/// # Errors
/// The system gives no random bytes.
pub fn token(folder: &Path) -> Result<String> {
    let path = folder.join(TOKEN);
    if let Some(token) = stored_token(&path) {
        return Ok(token);
    }
    let token = auth::token()?;
    // Nothing is lost where this fails: the next start makes another.
    let _ = keep(&path, &token);
    Ok(token)
}

fn stored_token(path: &Path) -> Option<String> {
    let meta = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o077 != 0 {
        return None;
    }
    let _ = meta;
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    (text.len() == 32 && text.bytes().all(|c| c.is_ascii_hexdigit())).then(|| text.to_owned())
}

fn keep(path: &Path, token: &str) -> io::Result<()> {
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let done = options
        .open(&new)
        .and_then(|mut file| {
            writeln!(file, "{token}")?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&new, path));
    if done.is_err() {
        let _ = fs::remove_file(&new);
    }
    done
}

/// Checks the names of `--allow-host`, and gives them in small letters.
///
/// # Errors
/// One that is no name, or no name and port.
pub fn allowed(names: &[String]) -> Result<Vec<String>> {
    names.iter().map(|name| allowed_name(name)).collect()
}

fn allowed_name(given: &str) -> Result<String> {
    let name = given.to_ascii_lowercase();
    let (bare, port) = auth::split(&name).unwrap_or(("", None));
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
    if bare.is_empty() || !bare.chars().all(fine) || port == Some(0) {
        return Err(Error::input("invalid host name")
            .at("--allow-host")
            .expected("a name as it stands in the address, such as lab.example or lab.example:8443")
            .got(format!("\"{given}\""))
            .hint("leave out https:// and the path; give the option once for each name")
            .into());
    }
    Ok(name)
}

/// Checks the path of `--base-path`: it begins with `/` and does not end with one; nothing for the
/// root.
///
/// # Errors
/// Anything that is no plain path, or one that the server itself answers.
pub fn base_path(given: &str) -> Result<String> {
    let base = given.trim_end_matches('/');
    let mut parts = base.split('/');
    let rooted = parts.next() == Some("");
    let plain = |part: &str| {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '~');
        !part.is_empty() && part.chars().all(fine) && !matches!(part, "." | "..")
    };
    let first = base.split('/').nth(1).unwrap_or_default();
    if !base.is_empty() && (!rooted || !parts.all(plain) || TAKEN.contains(&first)) {
        return Err(Error::input("invalid base path")
            .at("--base-path")
            .expected("/ and letters, digits, '-', '.', '_', such as /vabal or /labels/steel")
            .got(format!("\"{given}\""))
            .hint(format!(
                "it is the part of the address between the name and the page; not {}",
                TAKEN.join(", ")
            ))
            .into());
    }
    Ok(base.to_owned())
}

/// The names of this machine, as its network may know them: its own, and that with `.local`.
#[must_use]
pub fn machine_names() -> Vec<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .or_else(|| {
            let output = std::process::Command::new("hostname").output().ok()?;
            String::from_utf8(output.stdout).ok()
        })
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if name.is_empty() || name == "localhost" || !name.chars().all(plain) {
        return Vec::new();
    }
    let short = name.split('.').next().unwrap_or_default().to_owned();
    let mut names = vec![format!("{short}.local"), name];
    names.dedup();
    names
}

/// The address by which this machine goes out into its network. Nothing is sent to find it.
#[must_use]
pub fn network_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // An address set apart for documentation: only the route to it is looked up.
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

/// Binds to `host` and `port`, or to the first port that is free.
///
/// # Errors
/// A host that is not known, a port that cannot be used.
pub fn listen(host: &str, port: Option<u16>) -> Result<TcpListener> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let ports = match port {
        Some(port) => port..=port,
        None => PORT..=PORT + PORTS,
    };
    let mut refused = None;
    for port in ports.clone() {
        let addresses = (bare, port).to_socket_addrs().map_err(|error| {
            Error::from(
                Error::input("the host is not known")
                    .at("--host")
                    .expected("a name or address of this machine")
                    .got(format!("{host}: {error}"))
                    .hint("leave --host out to serve this machine alone, or give 0.0.0.0 for every address of it"),
            )
        })?;
        match TcpListener::bind(addresses.collect::<Vec<_>>().as_slice()) {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = Some(error),
        }
    }
    let what = match port {
        Some(port) => format!("the port {port} cannot be used"),
        None => format!("none of the ports {PORT} to {} can be used", PORT + PORTS),
    };
    let complaint = Error::input(what).at(host);
    let complaint = match refused {
        Some(error) => complaint.got(error),
        None => complaint,
    };
    Err(complaint.hint("give another with --port, or --port 0 for any that is free; check --host").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_stays_with_the_project_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = token(folder.path()).unwrap();
        assert_eq!(token(folder.path()).unwrap(), first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let file = folder.path().join(TOKEN);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            // Who could read it may have done so.
            fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
            let second = token(folder.path()).unwrap();
            assert_ne!(second, first);
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(&file, "half a tok").unwrap();
        assert_eq!(token(folder.path()).unwrap().len(), 32);
        // Where nothing can be kept there is one all the same.
        assert_eq!(token(&folder.path().join("nowhere")).unwrap().len(), 32);
    }

    #[test]
    fn names_and_paths_are_taken_as_they_stand_in_an_address() {
        let names = ["Lab.example", "lab.example:8443", "[fd00::7]", "[fd00::7]:80"].map(String::from);
        assert_eq!(
            allowed(&names).unwrap(),
            ["lab.example", "lab.example:8443", "[fd00::7]", "[fd00::7]:80"]
        );
        for name in
            ["", "https://lab.example", "lab.example/", "*.example", "lab.example:x", "a b", ":80", "lab:0"]
        {
            assert!(allowed(&[name.to_owned()]).is_err(), "{name}");
        }
        for (given, base) in [("", ""), ("/", ""), ("/x", "/x"), ("/labels/steel/", "/labels/steel")] {
            assert_eq!(base_path(given).unwrap(), base);
        }
        for given in ["x", "/a//b", "/..", "/a b", "/api", "/image/x", "/%41", "/a?b"] {
            assert!(base_path(given).is_err(), "{given}");
        }
    }
}
