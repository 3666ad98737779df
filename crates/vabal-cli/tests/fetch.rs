//! `vabal fetch` as a person runs it, without a network.

use std::net::TcpListener;
use std::process::{Command, Output};

fn vabal(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vabal"));
    command.args(arguments).env("NO_PROXY", "*").output().expect("the program starts")
}

#[test]
fn without_a_network_it_exits_2_with_one_error_that_says_what_to_put_where() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    // An address where nobody listens any more.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let output = vabal(&["fetch", "cifar100", "--dir", folder, "--from", &format!("http://{address}")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(&address, "ADDRESS");
    settings.add_filter(folder, "DIR");
    settings.add_filter("got: .*", "got: REASON");
    settings.bind(|| {
        insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r"
        error: a file could not be fetched
          where: http://ADDRESS/cifar-100-binary.tar.gz
          got: REASON
          hint: run the same command again with a network; or get the file elsewhere and put it at DIR/cifar100/cifar-100-binary.tar.gz
        ");
    });
}

#[test]
fn quiet_still_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("cifar100");
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("cifar-100-binary.tar.gz"), "something else").unwrap();
    let output = vabal(&["fetch", "cifar100", "--quiet", "--dir", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: a file is there with another checksum"), "{said}");
}

#[test]
fn an_unknown_name_exits_2_and_offers_the_nearest() {
    let output = vabal(&["fetch", "fashon-mnist"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r#"
    error: unknown data set or network
      expected: cifar10, cifar100, fashion-mnist, resnet18, resnet50
      got: "fashon-mnist"
      hint: did you mean "fashion-mnist"?
    "#);
}
