//! Colours, markers and dashes of plots.
//!
//! The six colours of each mode differ from each other by more than a glance needs under the three kinds of colour
//! blindness, and stand out from the paper by 3 to 1. No line is known by its colour alone.

use plotters::style::RGBColor;

/// A colour as it is drawn, and what the page's style makes of it in dark mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ink {
    pub(super) light: RGBColor,
    pub(super) dark: RGBColor,
}

/// Text.
pub(super) const TEXT: Ink = ink(0x1b1f24, 0xe4e7ea);
/// References, and text of less weight.
pub(super) const SOFT: Ink = ink(0x586069, 0xa3abb4);
/// Grids.
pub(super) const GRID: Ink = ink(0xdde1e5, 0x333a42);

const SERIES: [Ink; 6] = [
    ink(0x1b45d1, 0x8a6bff),
    ink(0xd0567a, 0xffc2e4),
    ink(0x234a16, 0xb9e88a),
    ink(0x5a98cc, 0x4fc3ff),
    ink(0x5e0b52, 0xc46a14),
    ink(0x938a00, 0x12866a),
];

const MARKERS: [Marker; 7] = [
    Marker::Circle,
    Marker::Square,
    Marker::Triangle,
    Marker::Diamond,
    Marker::Cross,
    Marker::FallingTriangle,
    Marker::Hourglass,
];

/// All colours that are drawn.
pub(super) fn inks() -> impl Iterator<Item = Ink> {
    [TEXT, SOFT, GRID].into_iter().chain(SERIES)
}

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) ink: Ink,
    pub(super) marker: Option<Marker>,
    /// Dash and gap in pixels.
    pub(super) dash: Option<(u32, u32)>,
    pub(super) stroke: u32,
}

impl Look {
    /// That of the series with this index; the first is the strongest.
    pub(super) fn of(index: usize) -> Self {
        Self {
            ink: SERIES[index % SERIES.len()],
            marker: Some(MARKERS[index % MARKERS.len()]),
            dash: [None, Some((7, 4)), Some((2, 4))][index / SERIES.len() % 3],
            stroke: if index == 0 { 3 } else { 2 },
        }
    }

    /// That of a value which other lines are compared with.
    pub(super) fn reference(ink: Ink, dash: Option<(u32, u32)>) -> Self {
        Self { ink, marker: None, dash, stroke: 2 }
    }
}

/// The shape on a line's points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
    FallingTriangle,
    Hourglass,
}

/// `#RRGGBB`, as the SVG backend writes it.
pub(super) fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

const fn ink(light: u32, dark: u32) -> Ink {
    Ink { light: rgb(light), dark: rgb(dark) }
}

const fn rgb(hex: u32) -> RGBColor {
    let [_, red, green, blue] = hex.to_be_bytes();
    RGBColor(red, green, blue)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contrast(one: RGBColor, other: RGBColor) -> f64 {
        let luminance = |RGBColor(red, green, blue): RGBColor| {
            let linear = |byte: u8| {
                let value = f64::from(byte) / 255.0;
                if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue) + 0.05
        };
        let (one, other) = (luminance(one), luminance(other));
        one.max(other) / one.min(other)
    }

    #[test]
    fn contrast_suffices_in_both_modes() {
        let (paper, night) = (rgb(0xff_ffff), rgb(0x15_181c));
        for ink in SERIES {
            assert!(contrast(ink.light, paper) >= 3.0 && contrast(ink.dark, night) >= 3.0, "{ink:?}");
        }
        for ink in [TEXT, SOFT] {
            assert!(contrast(ink.light, paper) >= 4.5 && contrast(ink.dark, night) >= 4.5, "{ink:?}");
        }
    }

    #[test]
    fn lines_differ_without_their_colours() {
        let shapes: Vec<_> = (0..18).map(Look::of).map(|look| (look.marker, look.dash)).collect();
        for (index, shape) in shapes.iter().enumerate() {
            assert!(!shapes[..index].contains(shape), "{index}");
        }
    }
}
