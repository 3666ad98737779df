//! What a phase costs: seconds by the wall clock, and the peak of resident memory where Linux
//! tells.
//!
//! Never here: what is measured.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::record::Phase;
use crate::error::Result;

/// The peaks so far of the phases under way, by a number of their own: the system knows one peak
/// for all of them, which every phase that begins sets back.
static UNDER_WAY: Mutex<(u64, BTreeMap<u64, u64>)> = Mutex::new((0, BTreeMap::new()));

/// Runs `work` and tells what it cost.
pub(super) fn measured<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<(T, Phase)> {
    let number = begin();
    let start = Instant::now();
    let value = work();
    let seconds = start.elapsed().as_secs_f64();
    let peak_bytes = end(number);
    Ok((value?, Phase { name: name.into(), seconds, peak_bytes }))
}

/// Begins to watch memory: keeps the peak for those under way, and sets it back.
fn begin() -> u64 {
    let mut under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    let so_far = if under_way.1.is_empty() { None } else { peak() };
    let (count, peaks) = &mut *under_way;
    for before in peaks.values_mut() {
        *before = (*before).max(so_far.unwrap_or(0));
    }
    *count += 1;
    if reset_peak() {
        peaks.insert(*count, 0);
    }
    *count
}

/// Ends it: the highest resident memory since, where the system tells.
fn end(number: u64) -> Option<u64> {
    let before = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&number)?;
    Some(peak()?.max(before))
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

    #[test]
    #[cfg(target_os = "linux")]
    fn a_phase_within_another_takes_nothing_from_its_peak() {
        let (inner, outer) = measured("outer", || {
            drop(std::hint::black_box(vec![1_u8; 256 << 20]));
            measured("inner", || Ok(()))
        })
        .unwrap();
        assert!(outer.peak_bytes.unwrap() >= 256 << 20);
        assert!(inner.1.peak_bytes.unwrap() <= outer.peak_bytes.unwrap());
    }
}
