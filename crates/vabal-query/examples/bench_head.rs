#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
use ndarray::Array2;
use vabal_query::head::{LinearHead, Settings};
use vabal_query::progress::silent;
fn main() {
    let _ = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
    let a: Vec<String> = std::env::args().collect();
    let folder = &a[1];
    let shapes: std::collections::HashMap<String, Vec<usize>> = serde_json::from_slice(&std::fs::read(format!("{folder}/shapes.json")).unwrap()).unwrap();
    let s = &shapes["features"];
    let x: Vec<f32> = std::fs::read(format!("{folder}/features.f32")).unwrap().chunks(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let y: Vec<u32> = std::fs::read(format!("{folder}/labels.u32")).unwrap().chunks(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let x = Array2::from_shape_vec((s[0], s[1]), x).unwrap();
    let tol: f64 = std::env::var("TOL").ok().and_then(|v| v.parse().ok()).unwrap_or(1e-6);
    let st = Settings { tolerance: tol, ..Settings::default() };
    let mut best = f64::MAX; let mut loss = 0.0; let mut it = 0;
    for _ in 0..7 {
        let t = std::time::Instant::now();
        let h = LinearHead::fit(x.view(), &y, shapes["classes"][0], &st, None, None, &mut silent()).unwrap();
        best = best.min(t.elapsed().as_secs_f64()); loss = h.loss(); it = h.iterations();
    }
    println!("{folder} ms {:.2} loss {loss} iterations {it}", best * 1e3);
}
