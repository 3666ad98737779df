//! What is said where PyTorch cannot be opened, with libraries made on the spot.

#![expect(clippy::unwrap_used, reason = "the lint spares tests, but not the functions they share")]

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use vabal_torch::{Device, Torch};

const DLL: &str = std::env::consts::DLL_SUFFIX;

fn refused(path: &Path, device: Device) -> String {
    let error = Torch::open(path, device).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let text = error.to_string();
    assert!(text.contains("\n  hint: "), "{text}");
    text
}

/// Compiles a library of C into the folder `lib` of a folder such as that of the package `torch`.
fn compile(package: &TempDir, name: &str, source: &str) {
    let (lib, file) = (package.path().join("lib"), package.path().join("source.c"));
    std::fs::create_dir_all(&lib).unwrap();
    std::fs::write(&file, source).unwrap();
    let out = lib.join(format!("{}{name}{DLL}", std::env::consts::DLL_PREFIX));
    let done = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(out).arg(file).status();
    assert!(done.unwrap().success());
}

#[test]
fn a_folder_without_pytorch_is_refused() {
    let empty = TempDir::new().unwrap();
    for path in [empty.path(), &empty.path().join("nowhere"), &empty.path().join("libtorch_cpu.so")] {
        let text = refused(path, Device::Cpu);
        assert!(text.starts_with("PyTorch is not found\n  where: "), "{text}");
        assert!(text.contains("pip install torch") && text.contains("VABAL_LIBTORCH"), "{text}");
    }
}

#[test]
fn a_file_that_is_no_library_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join(format!("{}torch_cpu{DLL}", std::env::consts::DLL_PREFIX));
    std::fs::write(&file, "not a library").unwrap();
    // By the folder, or by the file itself.
    for path in [folder.path(), &file] {
        let text = refused(path, Device::Cpu);
        assert!(text.starts_with("PyTorch cannot be opened\n  where: "), "{text}");
    }
}

#[test]
fn an_old_pytorch_is_refused_by_its_version() {
    let package = TempDir::new().unwrap();
    compile(&package, "torch_cpu", "int of_another_time(void) { return 1; }");
    let text = refused(package.path(), Device::Cpu);
    assert!(text.starts_with("this PyTorch is too old\n"), "{text}");
    assert!(text.contains("\n  got: a library without torch_call_dispatcher\n"), "{text}");
    std::fs::write(package.path().join("version.py"), "debug = False\n__version__ = '2.9.1+cu128'\n")
        .unwrap();
    let text = refused(&package.path().join("lib"), Device::Cpu);
    assert!(text.contains("\n  expected: PyTorch 2.10 or newer\n  got: PyTorch 2.9.1+cu128\n"), "{text}");
}

#[test]
fn a_pytorch_without_cuda_is_refused() {
    let package = TempDir::new().unwrap();
    compile(&package, "torch_cpu", "int nothing(void) { return 0; }");
    let text = refused(package.path(), Device::Cuda(0));
    assert!(text.starts_with("this PyTorch has no CUDA in it\n"), "{text}");
    assert!(text.contains("--device torch-cpu"), "{text}");
}

#[test]
fn a_gpu_that_is_not_there_is_refused() {
    for (answer, expected) in [
        ("*count = 2; return 0;", "cuda:0 to cuda:1"),
        ("*count = 1; return 0;", "cuda:0, the only GPU"),
        ("*count = 9; return 35;", "a machine with an NVIDIA GPU and a driver that fits this PyTorch"),
    ] {
        let package = TempDir::new().unwrap();
        compile(&package, "torch_cpu", "int nothing(void) { return 0; }");
        compile(&package, "torch_cuda", &format!("int cudaGetDeviceCount(int *count) {{ {answer} }}"));
        let text = refused(package.path(), Device::Cuda(2));
        assert!(text.starts_with("there is no such GPU\n"), "{text}");
        assert!(text.contains(&format!("\n  expected: {expected}\n  got: cuda:2\n")), "{text}");
    }
}
