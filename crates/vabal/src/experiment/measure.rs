//! What a phase costs: seconds by the wall clock, and the peak of resident memory where Linux tells.
//!
//! Never here: what is measured.

use std::fs;
use std::time::Instant;

use super::record::Phase;
use crate::error::Result;

/// Runs `work` and tells what it cost.
pub(super) fn measured<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<(T, Phase)> {
    let reset = reset_peak();
    let start = Instant::now();
    let value = work()?;
    let seconds = start.elapsed().as_secs_f64();
    let peak_bytes = if reset { peak() } else { None };
    Ok((value, Phase { name: name.into(), seconds, peak_bytes }))
}

/// Sets the peak back to what is resident now; false where the system knows no such thing.
fn reset_peak() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// VmHWM of this process, in bytes.
fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Processor, cores and system, where they can be told: one (name, value) each.
pub(super) fn machine() -> Vec<(String, String)> {
    let mut machine = vec![("vabal".into(), env!("CARGO_PKG_VERSION").into())];
    let cpu = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_string())
    });
    machine.extend(cpu.map(|cpu| ("processor".into(), cpu)));
    if let Ok(cores) = std::thread::available_parallelism() {
        machine.push(("cores".into(), cores.to_string()));
    }
    machine.push(("system".into(), format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)));
    machine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_is_in_bytes_and_holds_what_the_phase_holds() {
        // What is held while the peak is read is resident then, whatever other threads do.
        let (held, phase) = measured("fill", || Ok(std::hint::black_box(vec![1_u8; 64 << 20]))).unwrap();
        let peak = phase.peak_bytes.unwrap();
        assert!(peak > held.len() as u64 && peak < 1 << 40, "{peak}");
    }
}
