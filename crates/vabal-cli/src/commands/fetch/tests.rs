//! Downloads from a server of a few lines on this machine.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::*;

/// What the server does with the n-th request; then the last again.
#[derive(Clone, Copy)]
enum Answer {
    /// Sends what is asked for.
    Whole,
    /// Sends what is asked for, but at most so many bytes, then hangs up.
    Part(usize),
    /// Hangs up at once.
    Nothing,
    /// Ignores `Range`.
    FromTheStart,
    /// Ignores `Range`, sends at most so many bytes, then hangs up.
    PartFromTheStart(usize),
    Status(&'static str),
}

/// A server for one file; its address, and the `Range` of every request it got.
fn serve(content: Vec<u8>, answers: Vec<Answer>) -> (String, Arc<Mutex<Vec<Option<usize>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let range = head.iter().find_map(|line| {
                line.to_lowercase().strip_prefix("range: bytes=")?.strip_suffix('-')?.parse::<usize>().ok()
            });
            log.lock().unwrap().push(range);
            let answer = answers[n.min(answers.len() - 1)];
            let from_the_start = matches!(answer, Answer::FromTheStart | Answer::PartFromTheStart(_));
            let start = if from_the_start { 0 } else { range.unwrap_or(0) };
            let body = &content[start.min(content.len())..];
            let status = match (answer, range) {
                (Answer::Nothing, _) => continue,
                (Answer::Status(status), _) => status,
                (Answer::Whole | Answer::Part(_), Some(_)) if body.is_empty() => "416 Range Not Satisfiable",
                (Answer::Whole | Answer::Part(_), Some(_)) => "206 Partial Content",
                _ => "200 OK",
            };
            let total = content.len();
            let end = total.saturating_sub(1);
            let mut head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
            if status.starts_with("206") {
                head += &format!("Content-Range: bytes {start}-{end}/{total}\r\n");
            }
            let most = match answer {
                Answer::Part(most) | Answer::PartFromTheStart(most) => most,
                _ => body.len(),
            };
            // The client may hang up first.
            let _ =
                write!(stream, "{head}\r\n").and_then(|()| stream.write_all(&body[..most.min(body.len())]));
        }
    });
    (address, asked)
}

fn content() -> Vec<u8> {
    (0..200_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect()
}

fn md5(content: &[u8]) -> String {
    Md5::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Outcome {
    result: Result<()>,
    folder: tempfile::TempDir,
    asked: Vec<Option<usize>>,
}

/// Downloads `content` with `part` already there.
fn download(answers: &[Answer], part: Option<&[u8]>, sum: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    if let Some(part) = part {
        fs::write(folder.path().join("set.gz.part"), part).unwrap();
    }
    let (base, asked) = serve(content(), answers.to_vec());
    let agent: ureq::Agent =
        ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build().into();
    let target = folder.path().join("set.gz");
    let url = format!("{base}/set.gz");
    let download = Download { agent: &agent, url: &url, target: &target, sum };
    let result = download.run(&mut vabal::progress::silent());
    let asked = asked.lock().unwrap().clone();
    Outcome { result, folder, asked }
}

impl Outcome {
    fn file(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.path().join(name)).ok()
    }

    fn assert_whole(&self) {
        self.result.as_ref().unwrap();
        assert!(self.file("set.gz") == Some(content()), "the file is not what the server holds");
        assert_eq!(self.file("set.gz.part"), None);
    }
}

#[test]
fn a_file_is_fetched_verified_and_renamed() {
    let outcome = download(&[Answer::Whole], None, &md5(&content()));
    outcome.assert_whole();
    assert_eq!(outcome.asked, [None]);
}

#[test]
fn a_partial_file_is_gone_on_with_and_not_fetched_again() {
    let outcome = download(&[Answer::Whole], Some(&content()[..150_000]), &md5(&content()));
    outcome.assert_whole();
    assert_eq!(outcome.asked, [Some(150_000)]);
}

#[test]
fn a_connection_that_breaks_off_is_resumed_at_once() {
    let answers = [Answer::Part(70_000), Answer::Part(50_000), Answer::Whole];
    let outcome = download(&answers, None, &md5(&content()));
    outcome.assert_whole();
    assert_eq!(outcome.asked, [None, Some(70_000), Some(120_000)]);
}

#[test]
fn a_connection_that_stays_broken_is_one_error_and_keeps_what_came() {
    let outcome = download(&[Answer::Part(70_000), Answer::Nothing], None, &md5(&content()));
    let text = outcome.result.as_ref().unwrap_err().to_string();
    assert!(text.contains("goes on after 70000 bytes"), "{text}");
    assert_eq!(outcome.file("set.gz"), None);
    assert!(outcome.file("set.gz.part").as_deref() == Some(&content()[..70_000]));
}

#[test]
fn a_server_that_cannot_resume_is_read_from_the_start() {
    download(&[Answer::FromTheStart], Some(b"stale bytes"), &md5(&content())).assert_whole();
}

#[test]
fn a_server_that_cannot_resume_and_always_breaks_off_is_given_up() {
    let outcome = download(&[Answer::PartFromTheStart(70_000)], None, &md5(&content()));
    let text = outcome.result.as_ref().unwrap_err().to_string();
    assert!(text.contains("goes on after 70000 bytes"), "{text}");
    assert_eq!(outcome.asked, [None, Some(70_000)]);
}

#[test]
fn a_part_that_is_already_whole_is_verified_and_renamed() {
    download(&[Answer::Whole], Some(&content()), &md5(&content())).assert_whole();
}

#[test]
fn a_wrong_checksum_is_an_error_and_leaves_nothing() {
    let outcome = download(&[Answer::Whole], None, "00000000000000000000000000000000");
    let text = outcome.result.as_ref().unwrap_err().to_string();
    assert!(text.contains("wrong checksum") && text.contains(&md5(&content())), "{text}");
    assert_eq!(outcome.file("set.gz"), None);
    assert_eq!(outcome.file("set.gz.part"), None);
}

#[test]
fn a_refusal_names_the_status_and_where_to_put_the_file() {
    let outcome = download(&[Answer::Status("404 Not Found")], None, &md5(&content()));
    let text = outcome.result.as_ref().unwrap_err().to_string();
    let target = outcome.folder.path().join("set.gz").display().to_string();
    assert!(text.contains("404 Not Found") && text.contains(&target), "{text}");
    assert_eq!(outcome.file("set.gz.part"), None);
}

/// The whole command against an address where nobody listens.
#[test]
fn no_network_is_one_error_that_names_the_file_and_where_to_put_it() {
    let folder = tempfile::tempdir().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let args = Fetch {
        name: "cifar10".into(),
        dir: Some(folder.path().to_path_buf()),
        from: Some(format!("http://{closed}")),
        quiet: false,
    };
    let error = run(&args, Path::new("unused"), &mut vabal::progress::silent()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let target = folder.path().join("cifar10/cifar-10-binary.tar.gz").display().to_string();
    assert!(error.to_string().contains(&format!("put it at {target}")), "{error}");
}

#[test]
fn a_file_that_is_there_is_verified_and_not_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("cifar10/cifar-10-binary.tar.gz");
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::write(&target, "something else").unwrap();
    let args =
        Fetch { name: "cifar10".into(), dir: Some(folder.path().to_path_buf()), from: None, quiet: false };
    let error = run(&args, Path::new("unused"), &mut vabal::progress::silent()).unwrap_err();
    assert!(error.to_string().contains("another checksum"), "{error}");
    assert_eq!(fs::read(&target).unwrap(), b"something else");
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let args = Fetch { name: "cifar-10".into(), dir: None, from: None, quiet: false };
    let error = run(&args, Path::new("unused"), &mut vabal::progress::silent()).unwrap_err();
    assert!(error.to_string().contains("did you mean \"cifar10\"?"), "{error}");
}

#[test]
fn a_sum_of_64_digits_is_sha_256() {
    download(&[Answer::Whole], None, &sha256(&content())).assert_whole();
    let wrong = download(&[Answer::Whole], None, &sha256(b"something else"));
    let error = wrong.result.as_ref().unwrap_err().to_string();
    assert!(error.contains("expected: SHA-256 ") && wrong.file("set.gz").is_none(), "{error}");
}

#[test]
fn a_fetched_network_lies_where_it_is_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    for name in backbones() {
        let file = backbone_file(name, folder.path()).unwrap();
        assert!(file.starts_with(folder.path().join("backbones")) && file.extension().is_some(), "{name}");
    }
    assert_eq!(backbone_file("cifar10", folder.path()), None);
    assert!(SETS.iter().flat_map(|set| set.files).all(|(_, sum)| [32, 64].contains(&sum.len())));
}
