//! How all points repel each: those that are far count as one, by a tree of squares (Barnes and Hut
//! 1986).
//!
//! The points are sorted along a Z-order curve; a square is a range of them, and the squares stand
//! in the order in which they are visited, each with the place to go on at where it is not opened.
//! Never here: what attracts points, how they move.

use rayon::prelude::*;

use super::{CHUNK, Point};

/// Levels of squares: bits of a coordinate.
const LEVELS: u32 = 16;
/// Points of a square that is not divided.
const LEAF: usize = 8;
/// A square counts as one point where its side is below this share of the distance. At 1/√2 or less
/// none does so for a point in it.
const ANGLE: f32 = 0.6;

struct Square {
    /// Centre of mass.
    at: Point,
    /// Squared distance from which on it counts as one point.
    far: f32,
    /// First point, and the one after the last.
    points: (u32, u32),
    /// The square that comes after all squares in this one.
    next: u32,
    is_leaf: bool,
}

/// Points, and the squares that they lie in.
pub(super) struct Tree {
    /// The points, sorted.
    points: Vec<Point>,
    /// Which point each of them was.
    order: Vec<u32>,
    codes: Vec<u32>,
    squares: Vec<Square>,
    angle: f32,
}

impl Tree {
    /// Of finite points.
    pub fn of(positions: &[Point]) -> Self {
        Self::with_angle(positions, ANGLE)
    }

    fn with_angle(positions: &[Point], angle: f32) -> Self {
        let bound = |pick: fn(f32, f32) -> f32, from: f32| {
            let bounds = positions.iter().fold([from; 2], |b, at| [pick(b[0], at[0]), pick(b[1], at[1])]);
            if positions.is_empty() { [0.0; 2] } else { bounds }
        };
        let (least, most) = (bound(f32::min, f32::INFINITY), bound(f32::max, f32::NEG_INFINITY));
        let side = (most[0] - least[0]).max(most[1] - least[1]);
        let scale = if side > 0.0 { (1_u32 << LEVELS) as f32 / side } else { 0.0 };
        let whole = |at: f32, least: f32| (((at - least) * scale) as u32).min((1 << LEVELS) - 1);
        let code = |at: &Point| spread(whole(at[0], least[0])) | spread(whole(at[1], least[1])) << 1;
        let mut keys: Vec<u64> = positions
            .par_iter()
            .enumerate()
            .map(|(point, at)| u64::from(code(at)) << 32 | point as u64)
            .collect();
        keys.par_sort_unstable();
        let order: Vec<u32> = keys.iter().map(|&key| key as u32).collect();
        let codes = keys.iter().map(|&key| (key >> 32) as u32).collect();
        let points = order.iter().map(|&point| positions[point as usize]).collect();
        let squares = Vec::with_capacity(positions.len() / 2 + 1);
        let mut tree = Self { points, order, codes, squares, angle };
        if !positions.is_empty() {
            tree.divide(0, positions.len(), 0, side);
        }
        tree
    }

    /// Adds the square of these points, and those in it. Gives back the sum of their coordinates.
    fn divide(&mut self, first: usize, last: usize, mut level: u32, mut side: f32) -> [f64; 2] {
        let shift = |level: u32| 2 * (LEVELS - 1 - level);
        // A square that is in one quarter of itself need not be visited.
        while level < LEVELS && self.codes[first] >> shift(level) == self.codes[last - 1] >> shift(level) {
            level += 1;
            side *= 0.5;
        }
        let is_leaf = last - first <= LEAF || level == LEVELS;
        let number = self.squares.len();
        let far = (side / self.angle).powi(2);
        let points = (first as u32, last as u32);
        self.squares.push(Square { at: [0.0; 2], far, points, next: 0, is_leaf });
        let sum = if is_leaf {
            let add = |sum: [f64; 2], at: &Point| [sum[0] + f64::from(at[0]), sum[1] + f64::from(at[1])];
            self.points[first..last].iter().fold([0.0; 2], add)
        } else {
            let (mut sum, mut from) = ([0.0; 2], first);
            while from < last {
                let quarter = self.codes[from] >> shift(level);
                let to =
                    from + self.codes[from..last].partition_point(|code| code >> shift(level) == quarter);
                let part = self.divide(from, to, level + 1, side * 0.5);
                sum = [sum[0] + part[0], sum[1] + part[1]];
                from = to;
            }
            sum
        };
        let (mass, next) = ((last - first) as f64, self.squares.len() as u32);
        let square = &mut self.squares[number];
        square.at = sum.map(|sum| (sum / mass) as f32);
        square.next = next;
        sum
    }

    /// Σ w²·(y − y′) of every point over all others, w = 1/(1 + ‖y − y′‖²), and Σ w over all pairs.
    pub fn repulsion(&self) -> (Vec<Point>, f32) {
        let forces: Vec<(Vec<Point>, f64)> = (0..self.points.len().div_ceil(CHUNK))
            .into_par_iter()
            .map(|chunk| {
                let range = chunk * CHUNK..self.points.len().min((chunk + 1) * CHUNK);
                let mut all = 0.0;
                let force = |point| {
                    let (force, sum) = self.force(point);
                    all += f64::from(sum);
                    force
                };
                (range.map(force).collect(), all)
            })
            .collect();
        let mut repulsion = vec![[0.0; 2]; self.points.len()];
        let sorted = forces.iter().flat_map(|(forces, _)| forces);
        self.order.iter().zip(sorted).for_each(|(&point, &force)| repulsion[point as usize] = force);
        let all: f64 = forces.iter().map(|(_, all)| all).sum();
        (repulsion, (all as f32).max(f32::MIN_POSITIVE))
    }

    fn force(&self, point: usize) -> (Point, f32) {
        let [x, y] = self.points[point];
        let (mut force, mut all) = ([0.0; 2], 0.0);
        let mut add = |at: Point, mass: f32| {
            let (dx, dy) = (x - at[0], y - at[1]);
            let w = 1.0 / (1.0 + dx * dx + dy * dy);
            let push = mass * w * w;
            all += mass * w;
            force[0] += push * dx;
            force[1] += push * dy;
        };
        let mut number = 0;
        while let Some(square) = self.squares.get(number) {
            let (first, last) = (square.points.0 as usize, square.points.1 as usize);
            let (dx, dy) = (x - square.at[0], y - square.at[1]);
            if dx * dx + dy * dy > square.far {
                add(square.at, (last - first) as f32);
            } else if !square.is_leaf {
                number += 1;
                continue;
            } else if last - first > LEAF {
                // All of them at one place, as good as.
                let inside = (first..last).contains(&point);
                add(square.at, (last - first - usize::from(inside)) as f32);
            } else {
                for other in first..last {
                    if other != point {
                        add(self.points[other], 1.0);
                    }
                }
            }
            number = square.next as usize;
        }
        (force, all)
    }
}

/// The lower 16 bits, each with a 0 before it.
fn spread(bits: u32) -> u32 {
    let bits = (bits | bits << 8) & 0x00ff_00ff;
    let bits = (bits | bits << 4) & 0x0f0f_0f0f;
    let bits = (bits | bits << 2) & 0x3333_3333;
    (bits | bits << 1) & 0x5555_5555
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    #[test]
    fn the_tree_repels_as_all_pairs_do() {
        let mut draws = vec![0.0; 2 * 700];
        Seed::new(3).normals("points").fill(&mut draws);
        let mut points: Vec<Point> = draws.chunks(2).map(|at| [7.0 * at[0], 3.0 * at[1]]).collect();
        // Many at one place, as copies are.
        points.extend([[1.0, 2.0]; 40]);
        let mut sum = 0.0;
        let mut forces = vec![[0.0; 2]; points.len()];
        for (i, a) in points.iter().enumerate() {
            for (j, b) in points.iter().enumerate() {
                let [dx, dy] = [0, 1].map(|axis| f64::from(a[axis]) - f64::from(b[axis]));
                if i != j {
                    let w = 1.0 / (1.0 + dx * dx + dy * dy);
                    sum += w;
                    forces[i] = [forces[i][0] + w * w * dx, forces[i][1] + w * w * dy];
                }
            }
        }
        // How far the tree is off: its forces by their squares, and Σ w.
        let off = |angle: f32| {
            let (found, all) = Tree::with_angle(&points, angle).repulsion();
            let (mut off, mut size) = (0.0, 0.0);
            for (found, force) in found.iter().zip(&forces) {
                off += (f64::from(found[0]) - force[0]).powi(2) + (f64::from(found[1]) - force[1]).powi(2);
                size += force[0].powi(2) + force[1].powi(2);
            }
            (off / size, (f64::from(all) / sum - 1.0).abs())
        };
        // No square is far enough: every pair by itself.
        let (force, all) = off(1e-4);
        assert!(force < 1e-10 && all < 1e-5, "{force} {all}");
        // Halving the angle brings it nearer, to less than a hundredth.
        let ((coarse, coarse_all), (fine, fine_all)) = (off(ANGLE), off(0.5 * ANGLE));
        assert!(fine < 0.25 * coarse && fine < 1e-4, "{fine} {coarse}");
        assert!(fine_all < 0.5 * coarse_all && fine_all < 0.01, "{fine_all} {coarse_all}");
        assert!(coarse < 1e-3 && coarse_all < 0.02, "{coarse} {coarse_all}");
    }
}
