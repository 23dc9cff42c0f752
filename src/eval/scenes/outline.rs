//! Closed outlines, and how a point lies to them: what shapes and characters are painted by.

/// (x, y) in pixels; y points down.
pub(super) type Point = (f64, f64);

/// Closed contours of straight edges.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Outline {
    edges: Vec<(Point, Point)>,
}

impl Outline {
    /// One contour through these points.
    pub(super) fn polygon(points: &[Point]) -> Self {
        let next = points.iter().cycle().skip(1);
        Self { edges: points.iter().copied().zip(next.copied()).collect() }
    }

    /// Adds an edge. A contour is closed by the last of its edges.
    pub(super) fn push(&mut self, from: Point, to: Point) {
        self.edges.push((from, to));
    }

    /// Pixels to the nearest edge.
    pub(super) fn distance(&self, point: Point) -> f64 {
        self.edges.iter().map(|&edge| squared_distance(point, edge)).fold(f64::INFINITY, f64::min).sqrt()
    }

    /// Whether contours go around a point.
    pub(super) fn contains(&self, point: Point) -> bool {
        let passed = self.edges.iter().filter(|(from, to)| (from.1 <= point.1) != (to.1 <= point.1));
        let right = passed.filter(|&&edge| in_row(point.1, edge).0 > point.0);
        right.map(|(from, to)| if from.1 < to.1 { 1 } else { -1 }).sum::<i32>() != 0
    }

    /// Whether an edge lies less than half a pixel left or right of a point.
    pub(super) fn touches(&self, point: Point) -> bool {
        let here = self.edges.iter().filter(|(from, to)| from.1.min(to.1) <= point.1 && point.1 <= from.1.max(to.1));
        here.map(|&edge| in_row(point.1, edge)).any(|(left, right)| left - 0.5 < point.0 && point.0 < right + 0.5)
    }
}

/// From where to where an edge lies in a row that it reaches: one point unless it is level.
fn in_row(y: f64, (from, to): (Point, Point)) -> (f64, f64) {
    if from.1 == to.1 {
        return (from.0.min(to.0), from.0.max(to.0));
    }
    let x = from.0 + (to.0 - from.0) * (y - from.1) / (to.1 - from.1);
    (x, x)
}

fn squared_distance(point: Point, (from, to): (Point, Point)) -> f64 {
    let (edge, away) = ((to.0 - from.0, to.1 - from.1), (point.0 - from.0, point.1 - from.1));
    let length = edge.0 * edge.0 + edge.1 * edge.1;
    let along = if length > 0.0 { ((away.0 * edge.0 + away.1 * edge.1) / length).clamp(0.0, 1.0) } else { 0.0 };
    let (x, y) = (away.0 - along * edge.0, away.1 - along * edge.1);
    x * x + y * y
}
