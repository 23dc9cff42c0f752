//! What items lie on: a muted colour, plain, blended into another, noisy or wavy.

use fastrand::Rng;
use image::{Rgb, RgbImage};

/// Side of a block of noise, in pixels.
const BLOCK: u32 = 4;
/// Height of a wave, in steps of a colour channel.
const HEIGHT: f64 = 8.0;

/// A background, to be painted in any size.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Background {
    base: [f64; 3],
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Flat,
    /// Blended into this colour.
    Gradient {
        other: [f64; 3],
        downwards: bool,
    },
    /// Blocks that each differ by a little, from a seed.
    Noise(u64),
    /// Two waves, by their steps per pixel in radians: down and across.
    Waves([f64; 2]),
}

impl Background {
    pub(super) fn draw(random: &mut Rng) -> Self {
        let base = muted(random);
        let kind = match random.u32(..4) {
            0 => Kind::Flat,
            1 => Kind::Gradient { other: muted(random), downwards: random.bool() },
            2 => Kind::Noise(random.u64(..)),
            _ => Kind::Waves([(); 2].map(|()| 0.05 + 0.35 * random.f64())),
        };
        Self { base, kind }
    }

    pub(super) fn render(&self, width: u32, height: u32) -> RgbImage {
        let plus = |offset: [f64; 3]| Rgb([0, 1, 2].map(|c: usize| (self.base[c] + offset[c]).clamp(0.0, 255.0) as u8));
        match &self.kind {
            Kind::Flat => RgbImage::from_pixel(width, height, plus([0.0; 3])),
            Kind::Gradient { other, downwards } => RgbImage::from_fn(width, height, |x, y| {
                let (at, length) = if *downwards { (y, height) } else { (x, width) };
                let share = f64::from(at) / f64::from(length - 1);
                plus([0, 1, 2].map(|c: usize| (other[c] - self.base[c]) * share))
            }),
            Kind::Noise(seed) => {
                let mut random = Rng::with_seed(*seed);
                let mut blocks = RgbImage::new(width.div_ceil(BLOCK), height.div_ceil(BLOCK));
                for block in blocks.pixels_mut() {
                    *block = plus([(); 3].map(|()| f64::from(random.i32(-14..=14))));
                }
                RgbImage::from_fn(width, height, |x, y| blocks[(x / BLOCK, y / BLOCK)])
            }
            Kind::Waves([down, across]) => {
                let (down, across) = (wave(*down, height), wave(*across, width));
                RgbImage::from_fn(width, height, |x, y| plus([down[y as usize] + across[x as usize]; 3]))
            }
        }
    }
}

/// Half way from a random colour to grey.
fn muted(random: &mut Rng) -> [f64; 3] {
    let colour = [(); 3].map(|()| f64::from(random.u32(70..=200)));
    let mean = colour.iter().sum::<f64>() / 3.0;
    colour.map(|channel| (channel + mean) / 2.0)
}

/// [`HEIGHT`] times the sine of n `step` radians, for n from 0 to `length`, each from the two before it. A platform's own sine
/// would differ in its last digits.
fn wave(step: f64, length: u32) -> Vec<f64> {
    let (sine, cosine) = sine_and_cosine(step);
    let (mut before, mut now) = (-sine, 0.0);
    let mut values = Vec::with_capacity(length as usize);
    for _ in 0..length {
        values.push(HEIGHT * now);
        (before, now) = (now, 2.0 * cosine * now - before);
    }
    values
}

/// Of an angle below one radian, by their power series.
fn sine_and_cosine(angle: f64) -> (f64, f64) {
    let (mut sine, mut cosine, mut term) = (0.0, 0.0, 1.0);
    for n in 0..20 {
        match n % 4 {
            0 => cosine += term,
            1 => sine += term,
            2 => cosine -= term,
            _ => sine -= term,
        }
        term *= angle / f64::from(n + 1);
    }
    (sine, cosine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_are_sines() {
        for step in [0.05, 0.1234, 0.4] {
            for (n, value) in wave(step, 1344).into_iter().enumerate() {
                assert!((value - 8.0 * (n as f64 * step).sin()).abs() < 1e-8, "{step} {n}");
            }
        }
    }

    #[test]
    fn each_kind_is_what_it_is_called() {
        let base = [100.0, 110.0, 120.0];
        let render = |kind| Background { base, kind }.render(56, 28);
        let flat = render(Kind::Flat);
        assert!(flat.pixels().all(|pixel| pixel.0 == [100, 110, 120]));
        let gradient = render(Kind::Gradient { other: [200.0, 110.0, 70.0], downwards: false });
        assert_eq!([gradient[(0, 9)].0, gradient[(55, 0)].0], [[100, 110, 120], [200, 110, 70]]);
        assert_eq!(gradient[(11, 3)].0, [120, 110, 110]);
        let gradient = render(Kind::Gradient { other: [200.0, 110.0, 66.0], downwards: true });
        assert_eq!([gradient[(9, 0)].0, gradient[(0, 9)].0], [[100, 110, 120], [133, 110, 102]]);
        let noise = render(Kind::Noise(1));
        assert!(noise.enumerate_pixels().all(|(x, y, pixel)| *pixel == noise[(x / 4 * 4, y / 4 * 4)]));
        assert!(noise.pixels().all(|pixel| (86..=114).contains(&pixel.0[0])));
        assert_ne!(noise[(0, 0)], noise[(4, 0)]);
        let waves = render(Kind::Waves([0.1, 0.2]));
        assert!(waves.pixels().all(|pixel| (84..=116).contains(&pixel.0[0]) && pixel.0[2] - pixel.0[0] == 20));
        assert_eq!(waves[(0, 0)].0, [100, 110, 120]);
    }
}
