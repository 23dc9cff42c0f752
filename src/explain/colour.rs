//! Pixels of the heat map, in `0..=255` per channel.

use image::Rgb;

/// Colour scale from cold to hot in equal steps; lightness grows along it, so it also reads in grey.
const HEAT_COLOURS: [[f32; 3]; 6] = [
    [16.0, 10.0, 52.0],
    [76.0, 22.0, 112.0],
    [158.0, 38.0, 106.0],
    [224.0, 82.0, 58.0],
    [248.0, 148.0, 24.0],
    [255.0, 230.0, 92.0],
];
/// Weight of the colour of the coldest token against the grey picture.
const COLD_WEIGHT: f32 = 0.55;
/// Share of its brightness that the grey picture keeps under the coldest token.
const COLD_LIGHT: f32 = 0.85;
/// Share of their brightness that heat colours keep over black.
const SHADE: f32 = 0.65;
/// Share of their colourfulness that dropped tokens keep.
const DIM_COLOUR: f32 = 0.35;
/// Share of their brightness that dropped tokens keep.
const DIM_LIGHT: f32 = 0.4;

/// Cold tokens let the grey picture through; hot ones show it as light and shade of their colour.
pub(super) fn heated(pixel: Rgb<u8>, heat: f32) -> Rgb<u8> {
    let grey = luminance(pixel);
    let shade = mix(SHADE, 1.0, grey / 255.0);
    let weight = mix(COLD_WEIGHT, 1.0, heat);
    Rgb(heat_colour(heat).map(|channel| mix(grey * COLD_LIGHT, channel * shade, weight) as u8))
}

pub(super) fn heat_colour(heat: f32) -> [f32; 3] {
    let position = heat.clamp(0.0, 1.0) * (HEAT_COLOURS.len() - 1) as f32;
    let at = |index: f32| HEAT_COLOURS.get(index as usize).copied().unwrap_or_default();
    let (below, above) = (at(position.floor()), at(position.ceil()));
    [0, 1, 2].map(|channel: usize| mix(below[channel], above[channel], position.fract()))
}

pub(super) fn dimmed(pixel: Rgb<u8>) -> Rgb<u8> {
    let grey = luminance(pixel);
    Rgb(pixel.0.map(|channel| (mix(grey, channel.into(), DIM_COLOUR) * DIM_LIGHT) as u8))
}

/// Rec. 709 weights on the stored values, in `0..=255`.
pub(super) fn luminance(Rgb([red, green, blue]): Rgb<u8>) -> f32 {
    0.2126 * f32::from(red) + 0.7152 * f32::from(green) + 0.0722 * f32::from(blue)
}

fn mix(from: f32, to: f32, weight: f32) -> f32 {
    from + (to - from) * weight
}
