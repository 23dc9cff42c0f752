//! A line plot as SVG, in a size for wide screens and one for phones.

use super::look::{GRID, Ink, Look, Marker, SOFT, TEXT};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::io;

/// What is drawn.
#[derive(Debug, Clone)]
pub(super) struct Plot {
    /// Unique on the page.
    pub(super) id: &'static str,
    /// What it shows, for those who do not see it.
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// Values that are plausible for the first reference.
    pub(super) band: Option<[f64; 2]>,
    pub(super) series: Vec<Series>,
    pub(super) names: Names,
}

#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) name: &'static str,
    pub(super) range: [f64; 2],
    /// Where it is labelled, ascending.
    pub(super) ticks: Vec<(f64, String)>,
}

#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) look: Look,
}

/// Where the names of the series stand, right of the plot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Beside the last point of each, moved apart where they would cover each other.
    AtEnd,
    /// In order from the top.
    Listed,
}

impl Plot {
    /// The plot for wide and for narrow screens; a style has to hide one of them.
    ///
    /// # Errors
    /// The backend's own.
    pub(super) fn draw(&self) -> Result<[String; 2], io::Error> {
        let sheets = [
            Sheet { class: "wide", width: 760, height: 430, text: 13 },
            Sheet { class: "narrow", width: 360, height: 430, text: 12 },
        ];
        let [wide, narrow] = sheets.map(|sheet| sheet.draw(self).map_err(io::Error::other));
        Ok([wide?, narrow?])
    }
}

type Error = DrawingAreaErrorKind<io::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Point = (i32, i32);

/// Sizes in pixels.
struct Sheet {
    class: &'static str,
    width: u32,
    height: u32,
    text: u32,
}

impl Sheet {
    fn draw(&self, plot: &Plot) -> Result<String, Error> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (self.width, self.height)).into_drawing_area();
            let chart = ChartBuilder::on(&area)
                .margin_top(2 * self.text)
                .margin_bottom(7 * self.text / 2)
                .margin_left(4 * self.text)
                .margin_right(self.names_width(plot))
                .build_cartesian_2d(plot.x.range[0]..plot.x.range[1], plot.y.range[0]..plot.y.range[1])?;
            self.draw_axes(&area, &chart, plot)?;
            for series in &plot.series {
                let points: Vec<Point> = series.points.iter().map(|point| chart.backend_coord(point)).collect();
                draw_line(&area, &points, series.look)?;
                points.iter().try_for_each(|&point| draw_marker(&area, point, series.look))?;
            }
            self.draw_names(&area, &chart, plot)?;
            area.present()?;
        }
        let id = format!("plot-{}-{}", plot.id, self.class);
        let title = minijinja::HtmlEscape(&plot.title);
        let open = format!(
            "<svg class=\"{}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}\">\n<title id=\"{id}\">{title}</title>",
            self.class, self.width, self.height
        );
        let drawn = svg.split_once('>').map_or(svg.as_str(), |(_, drawn)| drawn);
        Ok(open + drawn)
    }

    fn draw_axes(&self, area: &Area, chart: &Chart, plot: &Plot) -> Result<(), Error> {
        let ([left, right], [low, high]) = (plot.x.range, plot.y.range);
        if let Some([from, to]) = plot.band {
            let corners = [chart.backend_coord(&(left, to)), chart.backend_coord(&(right, from))];
            area.draw(&Rectangle::new(corners, SOFT.light.mix(0.12).filled()))?;
        }
        let line = GRID.light.stroke_width(1);
        for (y, label) in &plot.y.ticks {
            let ends = [(left, *y), (right, *y)].map(|point| chart.backend_coord(&point));
            area.draw(&PathElement::new(ends, line))?;
            self.draw_text(area, label, (ends[0].0 - 6, ends[0].1), HPos::Right, SOFT)?;
        }
        let mut free_from = i32::MIN;
        for (x, label) in &plot.x.ticks {
            let ends = [(*x, low), (*x, high)].map(|point| chart.backend_coord(&point));
            area.draw(&PathElement::new(ends, line))?;
            let half = self.text_width(label) / 2;
            if ends[0].0 - half >= free_from {
                free_from = ends[0].0 + half + 4;
                self.draw_text(area, label, (ends[0].0, ends[0].1 + self.text as i32), HPos::Center, SOFT)?;
            }
        }
        let (top, bottom) = (chart.backend_coord(&(left, high)), chart.backend_coord(&((left + right) / 2.0, low)));
        self.draw_text(area, plot.y.name, (2, top.1 - 4 * self.text as i32 / 3), HPos::Left, TEXT)?;
        let middle = bottom.0.max(self.text_width(plot.x.name) / 2);
        self.draw_text(area, plot.x.name, (middle, bottom.1 + 5 * self.text as i32 / 2), HPos::Center, TEXT)
    }

    fn draw_names(&self, area: &Area, chart: &Chart, plot: &Plot) -> Result<(), Error> {
        let (right, top) = chart.backend_coord(&(plot.x.range[1], plot.y.range[1]));
        let bottom = self.height as i32 - self.text as i32;
        let named: Vec<(&Series, Point)> = plot
            .series
            .iter()
            .filter_map(|series| Some((series, chart.backend_coord(series.points.last()?))))
            .collect();
        let wanted: Vec<i32> = match plot.names {
            Names::AtEnd => named.iter().map(|(_, end)| end.1).collect(),
            Names::Listed => vec![top; named.len()],
        };
        let rows = spread(&wanted, self.text as i32 + 3, self.text as i32, bottom);
        for ((series, end), y) in named.into_iter().zip(rows) {
            let x = right + 18;
            if plot.names == Names::AtEnd {
                let leader = series.look.ink.light.mix(0.6).stroke_width(1);
                area.draw(&PathElement::new([(end.0 + 5, end.1), (right + 8, y), (x, y)], leader))?;
            }
            draw_line(area, &[(x, y), (x + KEY_WIDTH, y)], series.look)?;
            draw_marker(area, (x + KEY_WIDTH / 2, y), series.look)?;
            self.draw_text(area, &shortened(&series.name), (x + KEY_WIDTH + 5, y), HPos::Left, TEXT)?;
        }
        Ok(())
    }

    fn draw_text(&self, area: &Area, text: &str, at: Point, side: HPos, ink: Ink) -> Result<(), Error> {
        // The backend writes 1 / 1.24 of a size.
        let style = ("sans-serif", f64::from(self.text) * 1.24).into_font().color(&ink.light);
        area.draw(&Text::new(text.to_owned(), at, style.pos(Pos::new(side, VPos::Center))))
    }

    fn names_width(&self, plot: &Plot) -> u32 {
        let widest = plot.series.iter().map(|series| self.text_width(&shortened(&series.name))).max();
        widest.unwrap_or(0).unsigned_abs() + KEY_WIDTH.unsigned_abs() + 26
    }

    fn text_width(&self, text: &str) -> i32 {
        // Six tenths of the size for a character are enough in every common sans-serif font.
        (text.chars().count() as u32 * self.text * 6 / 10) as i32
    }
}

const KEY_WIDTH: i32 = 22;
const MAX_NAME_CHARS: usize = 18;

fn shortened(name: &str) -> String {
    if name.chars().count() <= MAX_NAME_CHARS {
        return name.to_owned();
    }
    name.chars().take(MAX_NAME_CHARS - 1).chain(['…']).collect()
}

fn draw_line(area: &Area, points: &[Point], look: Look) -> Result<(), Error> {
    let style = look.ink.light.stroke_width(look.stroke);
    match look.dash {
        _ if points.len() < 2 => Ok(()),
        Some((dash, gap)) => area.draw(&DashedPathElement::new(points.to_vec(), dash, gap, style)),
        None => area.draw(&PathElement::new(points, style)),
    }
}

fn draw_marker(area: &Area, (x, y): Point, look: Look) -> Result<(), Error> {
    let style = look.ink.light.filled();
    let polygon = |corners: &[Point]| {
        let corners: Vec<Point> = corners.iter().map(|(right, down)| (x + right, y + down)).collect();
        area.draw(&Polygon::new(corners, style))
    };
    match look.marker {
        None => Ok(()),
        Some(Marker::Circle) => area.draw(&Circle::new((x, y), 5, style)),
        Some(Marker::Square) => polygon(&[(-4, -4), (4, -4), (4, 4), (-4, 4)]),
        Some(Marker::Triangle) => polygon(&[(0, -6), (5, 4), (-5, 4)]),
        Some(Marker::Diamond) => polygon(&[(0, -6), (6, 0), (0, 6), (-6, 0)]),
        Some(Marker::Cross) => area.draw(&Cross::new((x, y), 4, look.ink.light.stroke_width(2))),
        Some(Marker::FallingTriangle) => polygon(&[(0, 6), (5, -4), (-5, -4)]),
        Some(Marker::Hourglass) => polygon(&[(-5, -5), (5, -5), (-5, 5), (5, 5)]),
    }
}

/// Positions at least `gap` apart within `top..=bottom`, in the order of `wanted` and as near to it as the least squares
/// of a monotonic regression are. Where there is no room, they run over the bottom.
fn spread(wanted: &[i32], gap: i32, top: i32, bottom: i32) -> Vec<i32> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|&index| wanted[index]);
    // Blocks of neighbours that touch: the sum of what they want beyond their places in the queue, and their number.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for (place, &index) in order.iter().enumerate() {
        let mut block = (f64::from(wanted[index] - gap * place as i32), 1);
        while let Some(before) = blocks.pop_if(|before| before.0 / before.1 as f64 > block.0 / block.1 as f64) {
            block = (before.0 + block.0, before.1 + block.1);
        }
        blocks.push(block);
    }
    let last_start = (bottom - gap * (wanted.len() as i32 - 1)).max(top);
    let starts = blocks.iter().flat_map(|&(sum, n)| std::iter::repeat_n((sum / n as f64).round() as i32, n));
    let mut spread = vec![0; wanted.len()];
    for ((place, &index), start) in order.iter().enumerate().zip(starts) {
        spread[index] = start.clamp(top, last_start) + gap * place as i32;
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::super::fixture::check_markup;
    use super::*;

    fn plot(names: Names) -> Plot {
        let axis =
            || Axis { name: "size & \"weight\"", range: [0.0, 1.0], ticks: vec![(0.0, "0".into()), (1.0, "1".into())] };
        let series = |(index, name): (usize, &str)| Series {
            name: name.into(),
            points: vec![(0.0, 0.2), (1.0, 0.7)],
            look: Look::of(index),
        };
        Plot {
            id: "test",
            title: "a <b> & c".into(),
            x: axis(),
            y: axis(),
            band: Some([0.4, 0.6]),
            series: ["</svg><script>alert(1)</script>", "short", "x"].into_iter().enumerate().map(series).collect(),
            names,
        }
    }

    #[test]
    fn the_markup_is_well_formed_and_escaped() {
        for names in [Names::AtEnd, Names::Listed] {
            for svg in plot(names).draw().unwrap() {
                check_markup(&svg);
                assert!(svg.starts_with("<svg class="), "{svg}");
                assert!(svg.contains(">a &lt;b&gt; &amp; c</title>"), "{svg}");
                assert!(svg.contains("&lt;/svg&gt;&lt;script&gt;ale…"), "{svg}");
                assert!(!svg.contains("<script"));
            }
        }
    }

    #[test]
    fn only_known_colours_are_drawn() {
        let known: Vec<String> = super::super::look::inks().map(|ink| super::super::look::hex(ink.light)).collect();
        let [wide, _] = plot(Names::AtEnd).draw().unwrap();
        let drawn: Vec<&str> = wide.match_indices("=\"#").map(|(at, _)| &wide[at + 2..at + 9]).collect();
        assert!(drawn.len() > 10);
        assert!(drawn.iter().all(|colour| known.iter().any(|known| known == colour)), "{drawn:?}");
    }

    #[test]
    fn an_empty_plot_is_drawn_too() {
        let empty = Plot { series: Vec::new(), band: None, ..plot(Names::AtEnd) };
        empty.draw().unwrap().iter().for_each(|svg| check_markup(svg));
    }

    #[test]
    fn names_are_moved_apart_and_no_further() {
        assert_eq!(spread(&[10, 50, 90], 15, 0, 100), [10, 50, 90]);
        assert_eq!(spread(&[50, 50], 10, 0, 100), [45, 55]);
        assert_eq!(spread(&[52, 48, 90], 10, 0, 100), [55, 45, 90]);
        assert_eq!(spread(&[0, 0, 100, 100], 10, 0, 100), [0, 10, 90, 100]);
        assert_eq!(spread(&[5; 3], 10, 0, 15), [0, 10, 20]);
        assert_eq!(spread(&[], 10, 0, 15), [0; 0]);
    }
}
