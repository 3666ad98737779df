//! The kinds of chart, drawn from plain numbers and names: lines with bands, points, dots by row,
//! stacked bars, rows of pictures.
//!
//! Never here: records, strategies' meaning, colours by value.

use super::axis::{Axis, keep_apart};
use super::svg::{Anchor, Ink, Style, Svg, fit, text_width};
use super::text::{count, duration, percent};
use crate::error::Result;
use crate::experiment::thumbnail::Thumbnail;

/// Width of a figure for one column, in units.
pub const ONE_COLUMN: f64 = 330.0;
/// Width of a figure for two columns, 174 mm, in units.
pub const TWO_COLUMNS: f64 = 675.5;

const SIZE: f64 = 10.0;
const SMALL: f64 = 9.0;

/// Something that can be drawn.
pub trait Chart {
    /// Width and height in units.
    fn size(&self) -> (f64, f64);

    /// Draws it.
    ///
    /// # Errors
    /// A picture whose bytes do not match its size.
    fn draw(&self, svg: &mut Svg) -> Result<()>;
}

/// A name with its style, for legends and labels.
pub type Entry = (String, Style);

/// A point of a line: x, and mean and standard deviation of y, a fraction.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The horizontal value.
    pub x: f64,
    /// The mean, a fraction.
    pub y: f64,
    /// The standard deviation, where there are several values.
    pub sd: Option<f64>,
}

/// Lines over a count, of fractions shown in percent, with a band of one standard deviation and
/// names at the lines' ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines {
    /// What the horizontal axis counts.
    pub x_label: String,
    /// What the vertical axis shows.
    pub y_label: String,
    /// One line per strategy.
    pub lines: Vec<(Entry, Vec<Point>)>,
    /// A level to compare with, and its name.
    pub reference: Option<(String, f64)>,
}

impl Lines {
    fn vertical(&self) -> Axis {
        let points = self.lines.iter().flat_map(|(_, points)| points);
        let ends = points.flat_map(|p| [p.y - p.sd.unwrap_or(0.0), p.y + p.sd.unwrap_or(0.0)]);
        let (low, high) = range(ends.chain(self.reference.iter().map(|r| r.1)));
        Axis::linear((100.0 * low).max(0.0), (100.0 * high).min(100.0), 5)
    }

    /// Where the vertical axis begins, in percent, where that is not 0.
    #[must_use]
    pub fn floor(&self) -> Option<String> {
        let axis = self.vertical();
        (axis.low > 0.0).then(|| axis.label(axis.low))
    }
}

impl Chart for Lines {
    fn size(&self) -> (f64, f64) {
        (ONE_COLUMN, 214.0)
    }

    fn draw(&self, svg: &mut Svg) -> Result<()> {
        let names = self.lines.iter().map(|((name, _), _)| text_width(name, SIZE));
        let room = names.fold(40.0, f64::max).min(96.0);
        let (left, right, top, bottom) = (26.0, svg.width - room - 24.0, 24.0, svg.height - 36.0);
        let mut xs: Vec<f64> = self.lines.iter().flat_map(|(_, ps)| ps).map(|p| p.x).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        let (low, high) = range(xs.iter().copied());
        let pad = 0.02 * (high - low);
        let mut horizontal = Axis::with_ticks(low - pad, high + pad, xs.clone());
        let widest = xs.iter().map(|&x| text_width(&count(x as usize), SMALL)).fold(0.0, f64::max);
        let places: Vec<f64> = xs.iter().map(|&x| horizontal.place(x, left, right)).collect();
        if places.windows(2).any(|pair| pair[1] - pair[0] < widest + 6.0) {
            horizontal = Axis::tight(low - pad, high + pad, 4);
        }
        let vertical = self.vertical();
        frame(svg, (left, right, top, bottom), &horizontal, &vertical, &self.x_label, &self.y_label);
        let place =
            |x: f64, y: f64| (horizontal.place(x, left, right), vertical.place(100.0 * y, bottom, top));
        if let Some((name, level)) = &self.reference {
            let (_, y) = place(low, *level);
            svg.line((left, y), (right, y), Ink::Muted, 1.0, "1 2.5");
            let name = format!("{name}, {} %", percent(*level));
            let below = self.lines.iter().flat_map(|(_, ps)| ps.last()).all(|p| p.y >= *level);
            svg.text((right, if below { y + 11.0 } else { y - 4.0 }), &name, SMALL, Anchor::End, Ink::Muted);
        }
        for ((_, style), points) in &self.lines {
            let edge = |sign: f64| {
                points.iter().map(move |p| {
                    place(
                        p.x,
                        (p.y + sign * p.sd.unwrap_or(0.0)).clamp(vertical.low / 100.0, vertical.high / 100.0),
                    )
                })
            };
            if points.len() > 1 && points.iter().any(|p| p.sd.is_some()) {
                let band: Vec<_> = edge(1.0).chain(edge(-1.0).rev()).collect();
                svg.area(&band, style.ink, 0.14);
            }
        }
        let mut ends = Vec::new();
        for ((name, style), points) in &self.lines {
            let line: Vec<_> = points.iter().map(|p| place(p.x, p.y)).collect();
            svg.polyline(&line, style.ink, 1.6, style.dash);
            for (&at, point) in line.iter().zip(points) {
                let sd = point.sd.map_or(String::new(), |sd| format!(" ± {}", percent(sd)));
                let tip = format!("{name}, {}: {}{sd} %", count(point.x as usize), percent(point.y));
                svg.tipped(&tip, |svg| svg.marker(at, *style, 2.6));
            }
            ends.push(line.last().copied());
        }
        let wanted: Vec<f64> = ends.iter().map(|end| end.map_or(bottom, |end| end.1)).collect();
        for (n, y) in keep_apart(&wanted, 12.0, top + 2.0, bottom + 4.0).into_iter().enumerate() {
            let (name, style) = &self.lines[n].0;
            let Some(end) = ends[n] else { continue };
            if end.0 > right - 10.0 {
                svg.line((end.0 + 4.0, end.1), (right + 9.0, y), style.ink, 0.6, "");
            } else {
                // A long way to the name must not look like more of the line.
                svg.line((end.0 + 5.0, end.1), (right + 9.0, y), Ink::Muted, 0.6, "1 3");
            }
            svg.marker((right + 13.0, y), *style, 2.8);
            svg.text((right + 19.0, y + 3.5), &fit(name, SIZE, room + 3.0), SIZE, Anchor::Start, Ink::Text);
        }
        Ok(())
    }
}

/// Points of several series over a count, y a fraction shown in percent. The horizontal axis is
/// logarithmic where its values differ much.
#[derive(Debug, Clone, PartialEq)]
pub struct Scatter {
    /// What the horizontal axis counts.
    pub x_label: String,
    /// What the vertical axis shows.
    pub y_label: String,
    /// The series with their points.
    pub series: Vec<(Entry, Vec<Named>)>,
}

/// A point of a [`Scatter`]: x, y and a name.
pub type Named = (f64, f64, String);

impl Chart for Scatter {
    fn size(&self) -> (f64, f64) {
        let entries: Vec<Entry> = self.series.iter().map(|(entry, _)| entry.clone()).collect();
        (ONE_COLUMN, 220.0 + legend_height(&entries, ONE_COLUMN - 10.0))
    }

    fn draw(&self, svg: &mut Svg) -> Result<()> {
        let entries: Vec<Entry> = self.series.iter().map(|(entry, _)| entry.clone()).collect();
        let under = legend(svg, &entries, 4.0, svg.width - 10.0);
        let (left, right, top, bottom) = (26.0, svg.width - 16.0, under + 24.0, svg.height - 36.0);
        let points = || self.series.iter().flat_map(|(_, points)| points);
        let (low, high) = range(points().map(|p| p.0));
        let horizontal = if low >= 1.0 && high > 8.0 * low {
            Axis::logarithmic(low, high)
        } else {
            Axis::linear(low.min(0.9 * low), high, 5)
        };
        let vertical = Axis::with_ticks(0.0, 100.0, vec![0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        let logarithmic = if horizontal.is_logarithmic() { ", logarithmic" } else { "" };
        let x_label = format!("{}{logarithmic}", self.x_label);
        frame(svg, (left, right, top, bottom), &horizontal, &vertical, &x_label, &self.y_label);
        for ((name, style), points) in &self.series {
            for (x, y, class) in points {
                let at = (horizontal.place(*x, left, right), vertical.place(100.0 * y, bottom, top));
                let tip = format!("{name}, {class}: {x:.0} labelled, {} % right", percent(*y));
                svg.tipped(&tip, |svg| svg.marker(at, *style, 3.2));
            }
        }
        Ok(())
    }
}

/// One row per class, one point per series on it, fractions shown in percent.
#[derive(Debug, Clone, PartialEq)]
pub struct Dots {
    /// What the points show.
    pub x_label: String,
    /// The series.
    pub entries: Vec<Entry>,
    /// Name, whether to stress it, and a value with its standard deviation per series.
    pub rows: Vec<DotRow>,
}

/// A row of [`Dots`].
#[derive(Debug, Clone, PartialEq)]
pub struct DotRow {
    /// The class.
    pub name: String,
    /// Whether the class is rare.
    pub rare: bool,
    /// Mean and standard deviation for each series, where there is one.
    pub values: Vec<Option<(f64, Option<f64>)>>,
}

impl Dots {
    fn row_height(&self) -> f64 {
        match self.rows.len() {
            0..=12 => (8.0 + 4.0 * self.entries.len() as f64).clamp(14.0, 30.0),
            13..=24 => 15.0,
            _ => 12.0,
        }
    }
}

impl Chart for Dots {
    fn size(&self) -> (f64, f64) {
        let rows = self.rows.len() as f64 * self.row_height();
        (ONE_COLUMN, 14.0 + legend_height(&self.entries, ONE_COLUMN - 10.0) + rows + 38.0)
    }

    fn draw(&self, svg: &mut Svg) -> Result<()> {
        let under = legend(svg, &self.entries, 4.0, svg.width - 10.0);
        let label = |row: &DotRow| if row.rare { format!("{} · rare", row.name) } else { row.name.clone() };
        let widest = self.rows.iter().map(|row| text_width(&label(row), SIZE)).fold(30.0, f64::max);
        let room = widest.min(110.0);
        let (left, right, top) = (room + 8.0, svg.width - 14.0, under + 10.0);
        let height = self.row_height();
        let bottom = top + height * self.rows.len() as f64;
        let axis = Axis::with_ticks(0.0, 100.0, vec![0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        for &tick in &axis.ticks {
            let x = axis.place(tick, left, right);
            svg.line((x, top), (x, bottom), Ink::Grid, 0.7, "");
            svg.text((x, bottom + 13.0), &axis.label(tick), SMALL, Anchor::Middle, Ink::Muted);
        }
        svg.text((right, bottom + 28.0), &self.x_label, SIZE, Anchor::End, Ink::Muted);
        for (n, row) in self.rows.iter().enumerate() {
            let y = top + height * (n as f64 + 0.5);
            svg.line((left, y + height / 2.0), (right, y + height / 2.0), Ink::Grid, 0.7, "");
            let tail = if row.rare { " · rare" } else { "" };
            let name = fit(&row.name, SIZE, room - text_width(tail, SIZE) + 0.5) + tail;
            svg.text((left - 6.0, y + 3.5), &name, SIZE, Anchor::End, Ink::Text);
            // Every series has a lane of its own within the row, so that equal values hide none.
            let lanes = self.entries.len().saturating_sub(1).max(1) as f64;
            for (k, ((name, style), value)) in self.entries.iter().zip(&row.values).enumerate() {
                let Some((mean, sd)) = *value else { continue };
                let lane = if self.entries.len() > 1 { k as f64 / lanes - 0.5 } else { 0.0 };
                let at = (axis.place(100.0 * mean, left, right), y + lane * (height - 8.0));
                let spread = sd.map_or(String::new(), |sd| format!(" ± {}", percent(sd)));
                let tip = format!("{name}, {}: {}{spread} %", row.name, percent(mean));
                svg.tipped(&tip, |svg| {
                    if let Some(sd) = sd {
                        let ends = [mean - sd, mean + sd]
                            .map(|v| axis.place(100.0 * v.clamp(0.0, 1.0), left, right));
                        svg.line((ends[0], at.1), (ends[1], at.1), style.ink, 0.9, "");
                    }
                    svg.marker(at, *style, 2.8);
                });
            }
        }
        Ok(())
    }
}

/// One bar per strategy, its parts side by side, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// What the bars measure; the unit of time is added.
    pub x_label: String,
    /// The parts, in order.
    pub parts: Vec<String>,
    /// Name and seconds per part.
    pub rows: Vec<(String, Vec<f64>)>,
}

impl Bars {
    fn entries(&self) -> Vec<Entry> {
        self.parts.iter().enumerate().map(|(n, part)| (part.clone(), Style::nth(n + 1))).collect()
    }
}

impl Chart for Bars {
    fn size(&self) -> (f64, f64) {
        let legend = legend_height(&self.entries(), ONE_COLUMN - 10.0);
        (ONE_COLUMN, legend + 52.0 + 26.0 * self.rows.len() as f64)
    }

    fn draw(&self, svg: &mut Svg) -> Result<()> {
        let entries = self.entries();
        let under = swatches(svg, &entries, 4.0, svg.width - 10.0);
        let widest = self.rows.iter().map(|(name, _)| text_width(name, SIZE)).fold(30.0, f64::max);
        let room = widest.min(100.0);
        let (left, right, top) = (room + 8.0, svg.width - 58.0, under + 10.0);
        let bottom = top + 26.0 * self.rows.len() as f64;
        let total = |parts: &[f64]| parts.iter().sum::<f64>();
        let longest = self.rows.iter().map(|(_, parts)| total(parts)).fold(1e-9, f64::max);
        let (unit, seconds) = match longest {
            longest if longest < 180.0 => ("seconds", 1.0),
            longest if longest < 3.0 * 3600.0 => ("minutes", 60.0),
            _ => ("hours", 3600.0),
        };
        let axis = Axis::linear(0.0, longest / seconds, 4);
        for &tick in &axis.ticks {
            let x = axis.place(tick, left, right);
            svg.line((x, top), (x, bottom), Ink::Grid, 0.7, "");
            svg.text((x, bottom + 13.0), &axis.label(tick), SMALL, Anchor::Middle, Ink::Muted);
        }
        let label = format!("{}, {unit}", self.x_label);
        svg.text((right, bottom + 28.0), &label, SIZE, Anchor::End, Ink::Muted);
        for (n, (name, parts)) in self.rows.iter().enumerate() {
            let y = top + 26.0 * n as f64;
            svg.text((left - 6.0, y + 16.5), &fit(name, SIZE, room + 0.5), SIZE, Anchor::End, Ink::Text);
            let mut from = 0.0;
            for ((part, style), &value) in entries.iter().zip(parts) {
                let (a, b) = (
                    axis.place(from / seconds, left, right),
                    axis.place((from + value) / seconds, left, right),
                );
                from += value;
                let tip = format!("{name}, {part}: {}", duration(value));
                // The letter names the part where colour cannot; the gap parts the parts.
                let letter = part.chars().next().map_or(String::new(), String::from);
                svg.tipped(&tip, |svg| {
                    svg.rect(a, y + 5.0, (b - a - 0.6).max(0.2), 16.0, style.ink);
                    if b - a > 14.0 {
                        svg.strong(((a + b) / 2.0, y + 16.5), &letter, SIZE, Anchor::Middle, Ink::Ground);
                    }
                });
            }
            let x = axis.place(from / seconds, left, right);
            svg.text((x + 5.0, y + 16.5), &duration(total(parts)), SMALL, Anchor::Start, Ink::Text);
        }
        Ok(())
    }
}

/// Mean ranks on an axis, as Demšar draws them (JMLR 2006, Figure 1): the best at the left, names
/// at both sides, bars that join what is not told apart; two columns wide.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranks {
    /// The strategies with their mean ranks, best first.
    pub rows: Vec<(Entry, f64)>,
    /// Of each group that is not told apart the first and the last of `rows`.
    pub groups: Vec<(usize, usize)>,
    /// How far apart mean ranks must be.
    pub critical_difference: f64,
}

impl Ranks {
    const AXIS: f64 = 54.0;
    const ROW: f64 = 16.0;
    const BAR: f64 = 6.0;

    /// Where the first name stands: below the bars.
    fn names(&self) -> f64 {
        Self::AXIS + 18.0 + Self::BAR * self.groups.len() as f64
    }
}

impl Chart for Ranks {
    fn size(&self) -> (f64, f64) {
        (TWO_COLUMNS, self.names() + Self::ROW * self.rows.len().div_ceil(2) as f64)
    }

    fn draw(&self, svg: &mut Svg) -> Result<()> {
        let names: Vec<String> = self
            .rows
            .iter()
            .map(|((name, _), rank)| format!("{} {rank:.2}", fit(name, SIZE, 140.0)))
            .collect();
        let room = names.iter().map(|name| text_width(name, SIZE)).fold(30.0, f64::max) + 12.0;
        let (left, right, y) = (room, svg.width - room, Self::AXIS);
        // With few data sets the difference may be longer than the ranks go.
        let high = (self.rows.len() as f64).max(1.0 + self.critical_difference);
        let axis = Axis::with_ticks(1.0, high, (1..=self.rows.len()).map(|rank| rank as f64).collect());
        let place = |rank: f64| axis.place(rank, left, right);

        let difference = (place(1.0), place(1.0 + self.critical_difference));
        svg.line((difference.0, 18.0), (difference.1, 18.0), Ink::Text, 1.0, "");
        for x in [difference.0, difference.1] {
            svg.line((x, 14.0), (x, 22.0), Ink::Text, 1.0, "");
        }
        let text = format!("critical difference {:.2}", self.critical_difference);
        svg.text((difference.0, 10.0), &text, SMALL, Anchor::Start, Ink::Muted);

        svg.line((left, y), (right, y), Ink::Muted, 0.8, "");
        for &tick in &axis.ticks {
            svg.line((place(tick), y - 4.0), (place(tick), y), Ink::Muted, 0.8, "");
            svg.text((place(tick), y - 8.0), &axis.label(tick), SMALL, Anchor::Middle, Ink::Muted);
        }
        for (n, &(first, last)) in self.groups.iter().enumerate() {
            let y = y + 8.0 + Self::BAR * n as f64;
            let [from, to] = [first, last].map(|row| place(self.rows[row].1));
            svg.line((from - 3.0, y), (to + 3.0, y), Ink::Text, 2.6, "");
        }
        // The better half at the left, the other at the right, the outermost on top: no line
        // crosses another.
        let half = self.rows.len().div_ceil(2);
        for (n, (((name, style), rank), text)) in self.rows.iter().zip(&names).enumerate() {
            let (row, end, anchor, away) = match n < half {
                true => (n, left, Anchor::End, -4.0),
                false => (self.rows.len() - 1 - n, right, Anchor::Start, 4.0),
            };
            let (x, at) = (place(*rank), self.names() + Self::ROW * row as f64);
            svg.tipped(&format!("{name}: mean rank {rank:.2}"), |svg| {
                svg.polyline(&[(x, y), (x, at), (end, at)], style.ink, 0.9, "");
                svg.marker((x, y), *style, 3.0);
                svg.text((end + away, at + 3.5), text, SIZE, anchor, Ink::Text);
            });
        }
        Ok(())
    }
}

/// Rows of pictures with two lines of words under each; two columns wide.
#[derive(Debug, Clone, PartialEq)]
pub struct Pictures {
    /// Name of each row, and its images.
    pub rows: Vec<(String, Vec<Tile>)>,
}

/// An image of [`Pictures`]: the picture where there is one, the first and the second line.
pub type Tile = (Option<Thumbnail>, String, String);

const SIDE: f64 = 72.0;

impl Chart for Pictures {
    fn size(&self) -> (f64, f64) {
        (TWO_COLUMNS, 6.0 + (SIDE + 48.0) * self.rows.len() as f64)
    }

    fn draw(&self, svg: &mut Svg) -> Result<()> {
        let columns = self.rows.iter().map(|(_, images)| images.len()).max().unwrap_or(1).max(1);
        let pitch = svg.width / (columns as f64).max(8.0);
        for (n, (name, images)) in self.rows.iter().enumerate() {
            let y = 14.0 + (SIDE + 48.0) * n as f64;
            svg.strong((0.0, y), name, SIZE, Anchor::Start, Ink::Text);
            for (k, (picture, first, second)) in images.iter().enumerate() {
                let x = pitch * k as f64;
                match picture {
                    Some(picture) => svg.picture(x, y + 6.0, SIDE, picture)?,
                    None => svg.rect(x, y + 6.0, SIDE, SIDE, Ink::Grid),
                }
                let words = |text: &str| fit(text, SMALL, pitch - 5.0);
                svg.text((x, y + SIDE + 17.0), &words(first), SMALL, Anchor::Start, Ink::Text);
                svg.text((x, y + SIDE + 28.0), &words(second), SMALL, Anchor::Start, Ink::Muted);
            }
        }
        Ok(())
    }
}

/// Grid, ticks and names of the two axes around (left, right, top, bottom).
fn frame(
    svg: &mut Svg,
    (left, right, top, bottom): (f64, f64, f64, f64),
    horizontal: &Axis,
    vertical: &Axis,
    x_label: &str,
    y_label: &str,
) {
    for &tick in &vertical.ticks {
        let y = vertical.place(tick, bottom, top);
        svg.line((left, y), (right, y), Ink::Grid, 0.7, "");
        svg.text((left - 5.0, y + 3.2), &vertical.label(tick), SMALL, Anchor::End, Ink::Muted);
    }
    svg.line((left, bottom), (right, bottom), Ink::Muted, 0.8, "");
    for &tick in &horizontal.ticks {
        let x = horizontal.place(tick, left, right);
        svg.line((x, bottom), (x, bottom + 3.0), Ink::Muted, 0.8, "");
        svg.text((x, bottom + 13.0), &horizontal.label(tick), SMALL, Anchor::Middle, Ink::Muted);
    }
    svg.text((right, bottom + 28.0), x_label, SIZE, Anchor::End, Ink::Muted);
    // Across the top and not up the side: read without turning the head.
    svg.strong((2.0, top - 12.0), y_label, SIZE, Anchor::Start, Ink::Text);
}

const LEGEND_LINE: f64 = 15.0;

/// Where each entry of a legend stands: (x, line), and the number of lines.
fn legend_layout(entries: &[Entry], width: f64) -> (Vec<(f64, usize)>, usize) {
    let (mut x, mut line, mut places) = (0.0, 0, Vec::new());
    for (name, _) in entries {
        let room = text_width(&fit(name, SIZE, 130.0), SIZE) + 28.0;
        if x > 0.0 && x + room - 12.0 > width {
            (x, line) = (0.0, line + 1);
        }
        places.push((x, line));
        x += room;
    }
    (places, line + 1)
}

fn legend_height(entries: &[Entry], width: f64) -> f64 {
    LEGEND_LINE * legend_layout(entries, width).1 as f64
}

/// Draws a legend of points at the top; returns where it ends.
fn legend(svg: &mut Svg, entries: &[Entry], left: f64, width: f64) -> f64 {
    let (places, lines) = legend_layout(entries, width);
    for ((name, style), (x, line)) in entries.iter().zip(places) {
        let y = 9.0 + LEGEND_LINE * line as f64;
        svg.marker((left + x + 4.0, y - 3.3), *style, 3.2);
        svg.text((left + x + 12.0, y), &fit(name, SIZE, 130.0), SIZE, Anchor::Start, Ink::Text);
    }
    LEGEND_LINE * lines as f64
}

/// Draws a legend of filled squares with the first letter of each name in it; returns where it
/// ends.
fn swatches(svg: &mut Svg, entries: &[Entry], left: f64, width: f64) -> f64 {
    let (places, lines) = legend_layout(entries, width);
    for ((name, style), (x, line)) in entries.iter().zip(places) {
        let y = 9.0 + LEGEND_LINE * line as f64;
        svg.rect(left + x - 4.0, y - 9.0, 12.0, 12.0, style.ink);
        let letter = name.chars().next().map_or(String::new(), String::from);
        svg.strong((left + x + 2.0, y), &letter, SMALL, Anchor::Middle, Ink::Ground);
        svg.text((left + x + 12.0, y), &fit(name, SIZE, 130.0), SIZE, Anchor::Start, Ink::Text);
    }
    LEGEND_LINE * lines as f64
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}
