//! Pictures in terminals.
//!
//! What a terminal can show is read from the environment. Asking the terminal itself would be surer, but one that does not
//! answer (a recorder, a build log) would have to be waited for, and a late answer ends up in the user's next command.

use super::{ExplainError, encode_png};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::imageops::{self, ColorMap};
use image::{Rgb, RgbImage};
use std::collections::BTreeMap;

/// How a terminal is told to show a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Kitty's graphics protocol.
    Kitty,
    /// iTerm2's inline images.
    Iterm2,
    /// DEC's sixel graphics.
    Sixel,
    /// Two pixels a character, which any terminal with colours can show.
    Blocks {
        /// 24-bit colours instead of the 256 of xterm.
        true_colour: bool,
    },
}

/// Longest payload of one Kitty escape sequence, in characters.
const KITTY_CHUNK: usize = 4096;
/// Pixels taken for the width of a character, as terminals do not tell.
const CHARACTER_WIDTH: u32 = 8;
/// Widest sixel picture that a stock xterm shows.
const SIXEL_WIDTH: u32 = 1000;
/// Columns and lines beyond which blocks only take room.
const MOST_BLOCKS: (u32, u32) = (120, 60);

impl Protocol {
    /// What the terminal of these environment variables can show; `None`: nothing, or nothing is wanted (`NO_COLOR`).
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let has = |name: &str, values: &[&str]| {
            variable(name).is_some_and(|found| values.iter().any(|value| found.contains(value)))
        };
        if !is_set("TERM") || has("TERM", &["dumb"]) {
            return None;
        }
        // Multiplexers swallow what they do not know, whatever terminal they run in.
        let is_multiplexed = is_set("TMUX") || is_set("STY") || has("TERM", &["screen", "tmux"]);
        if !is_multiplexed {
            if is_set("KITTY_WINDOW_ID") || has("TERM", &["kitty", "ghostty"]) || has("TERM_PROGRAM", &["ghostty"]) {
                return Some(Self::Kitty);
            }
            if has("TERM_PROGRAM", &["iTerm", "WezTerm", "mintty", "rio", "WarpTerminal"])
                || has("LC_TERMINAL", &["iTerm"])
                || is_set("KONSOLE_VERSION")
            {
                return Some(Self::Iterm2);
            }
            if has("TERM", &["foot", "mlterm", "contour", "sixel"]) {
                return Some(Self::Sixel);
            }
        }
        (!is_set("NO_COLOR")).then(|| Self::blocks(variable))
    }

    /// Blocks, in as many colours as the terminal of these environment variables has.
    pub fn blocks(variable: impl Fn(&str) -> Option<String>) -> Self {
        let colours = variable("COLORTERM").unwrap_or_default();
        Self::Blocks { true_colour: ["truecolor", "24bit"].iter().any(|value| colours.contains(value)) }
    }

    /// What to write for a picture at most `columns` characters wide, without the last line break.
    ///
    /// # Errors
    /// The PNG encoder's own.
    pub fn draw(self, picture: &RgbImage, columns: u32) -> Result<String, ExplainError> {
        let columns = columns.max(1);
        let unscaled = columns.min(picture.width().div_ceil(CHARACTER_WIDTH));
        match self {
            Self::Kitty => Ok(kitty(&encode_png(picture)?, unscaled)),
            Self::Iterm2 => Ok(iterm2(&encode_png(picture)?, unscaled)),
            Self::Sixel => {
                let width = (unscaled * CHARACTER_WIDTH).min(SIXEL_WIDTH);
                Ok(sixel(&shrunk(picture, (width, u32::MAX))))
            }
            Self::Blocks { true_colour } => {
                let limit = (columns.min(MOST_BLOCKS.0), 2 * MOST_BLOCKS.1);
                Ok(blocks(&shrunk(picture, limit), true_colour))
            }
        }
    }
}

/// At most so many pixels wide and high.
fn shrunk(picture: &RgbImage, (width, height): (u32, u32)) -> RgbImage {
    let share = |limit: u32, side: u32| f64::from(limit) / f64::from(side);
    let scale = share(width, picture.width()).min(share(height, picture.height()));
    if scale >= 1.0 {
        return picture.clone();
    }
    let side = |side: u32, limit: u32| ((f64::from(side) * scale).round() as u32).clamp(1, limit);
    imageops::thumbnail(picture, side(picture.width(), width), side(picture.height(), height))
}

/// `a=T`: transmit and show, `f=100`: PNG, `q=2`: do not answer, `m=1`: more follows.
fn kitty(png: &[u8], columns: u32) -> String {
    let data = STANDARD.encode(png);
    let mut text = String::new();
    let mut rest = data.as_str();
    let mut control = format!("a=T,f=100,q=2,c={columns},");
    while !rest.is_empty() {
        let (chunk, others) = rest.split_at(rest.len().min(KITTY_CHUNK));
        let more = u8::from(!others.is_empty());
        text += &format!("\x1b_G{control}m={more};{chunk}\x1b\\");
        control.clear();
        rest = others;
    }
    text
}

fn iterm2(png: &[u8], columns: u32) -> String {
    let (size, data) = (png.len(), STANDARD.encode(png));
    format!("\x1b]1337;File=inline=1;size={size};width={columns};height=auto;preserveAspectRatio=1:{data}\x07")
}

/// Bands of six rows, in each of them one run of characters for every colour that occurs.
fn sixel(picture: &RgbImage) -> String {
    let (width, height) = picture.dimensions();
    let mut dithered = picture.clone();
    if width > 1 {
        imageops::dither(&mut dithered, &Cube); // which panics on a single column
    }
    let mut text = format!("\x1bPq\"1;1;{width};{height}");
    for index in 0..216usize {
        let [red, green, blue] = Cube::colour(index).0.map(|channel| u32::from(channel) * 100 / 255);
        text += &format!("#{index};2;{red};{green};{blue}");
    }
    for top in (0..height).step_by(6) {
        let rows = top..(top + 6).min(height);
        let mut bands: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        for (y, bit) in rows.zip(0..) {
            for x in 0..width {
                let band =
                    bands.entry(Cube.index_of(dithered.get_pixel(x, y))).or_insert_with(|| vec![0; width as usize]);
                band[x as usize] |= 1 << bit;
            }
        }
        for (index, band) in &bands {
            text += &format!("#{index}");
            for run in band.chunk_by(|a, b| a == b) {
                let pixels = run.iter().map(|bits| char::from(b'?' + bits));
                match pixels.clone().next() {
                    Some(character) if run.len() > 3 => text += &format!("!{}{character}", run.len()),
                    _ => text.extend(pixels),
                }
            }
            text.push('$');
        }
        text.push('-');
    }
    text + "\x1b\\"
}

/// Upper half blocks: the foreground is the upper pixel, the background the lower one.
fn blocks(picture: &RgbImage, true_colour: bool) -> String {
    let colour = |layer: u8, pixel: &Rgb<u8>| {
        let Rgb([red, green, blue]) = *pixel;
        match true_colour {
            true => format!("{layer};2;{red};{green};{blue}"),
            false => format!("{layer};5;{}", 16 + Cube.index_of(pixel)),
        }
    };
    let line = |y: u32| {
        let mut line = String::new();
        let mut last = String::new();
        for x in 0..picture.width() {
            let above = colour(38, picture.get_pixel(x, y));
            let below = picture.get_pixel_checked(x, y + 1).map_or("49".to_owned(), |pixel| colour(48, pixel));
            let colours = format!("\x1b[{above};{below}m");
            if colours != last {
                line += &colours;
            }
            line.push('\u{2580}');
            last = colours;
        }
        line + "\x1b[0m"
    };
    let lines: Vec<String> = (0..picture.height()).step_by(2).map(line).collect();
    lines.join("\n")
}

/// The six levels a channel of xterm's 256 colours.
struct Cube;

impl Cube {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];

    fn colour(index: usize) -> Rgb<u8> {
        Rgb([index / 36, index / 6 % 6, index % 6].map(|level| Self::LEVELS[level % 6]))
    }

    fn index_of(&self, pixel: &Rgb<u8>) -> usize {
        pixel.0.iter().fold(0, |index, channel| {
            let level = (0..6).min_by_key(|&level: &usize| Self::LEVELS[level].abs_diff(*channel)).unwrap_or(0);
            6 * index + level
        })
    }
}

impl ColorMap for Cube {
    type Color = Rgb<u8>;

    fn index_of(&self, colour: &Rgb<u8>) -> usize {
        Self::index_of(self, colour)
    }

    fn map_color(&self, colour: &mut Rgb<u8>) {
        *colour = Self::colour(Self::index_of(self, colour));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn detect(variables: &[(&str, &str)]) -> Option<Protocol> {
        Protocol::detect(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn terminals_are_known_by_their_environment() {
        let xterm = ("TERM", "xterm-256color");
        let blocks = |true_colour| Some(Protocol::Blocks { true_colour });
        assert_eq!(detect(&[]), None);
        assert_eq!(detect(&[("TERM", "dumb"), ("COLORTERM", "truecolor")]), None);
        assert_eq!(detect(&[xterm]), blocks(false));
        assert_eq!(detect(&[xterm, ("COLORTERM", "truecolor")]), blocks(true));
        assert_eq!(detect(&[xterm, ("NO_COLOR", "1")]), None);
        assert_eq!(detect(&[("TERM", "xterm-kitty")]), Some(Protocol::Kitty));
        assert_eq!(detect(&[xterm, ("TERM_PROGRAM", "iTerm.app"), ("NO_COLOR", "1")]), Some(Protocol::Iterm2));
        assert_eq!(detect(&[("TERM", "foot")]), Some(Protocol::Sixel));
        assert_eq!(detect(&[("TERM", "tmux-256color"), ("KITTY_WINDOW_ID", "1")]), blocks(false));
    }

    #[test]
    fn blocks_are_two_pixels_high() {
        let picture = RgbImage::from_fn(2, 3, |_, y| Rgb([255, 0, 40 * y as u8]));
        let drawn = Protocol::Blocks { true_colour: true }.draw(&picture, 80).unwrap();
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], "\x1b[38;2;255;0;0;48;2;255;0;40m\u{2580}\u{2580}\x1b[0m");
        assert_eq!(lines[1], "\x1b[38;2;255;0;80;49m\u{2580}\u{2580}\x1b[0m");
        let drawn = Protocol::Blocks { true_colour: false }.draw(&picture, 80).unwrap();
        assert!(drawn.starts_with("\x1b[38;5;196;48;5;196m\u{2580}"), "{drawn:?}");
    }

    #[test]
    fn blocks_fill_no_more_than_a_screen_or_two() {
        let lines = |width, height| {
            let drawn = Protocol::Blocks { true_colour: true }.draw(&RgbImage::new(width, height), 80).unwrap();
            (drawn.lines().next().unwrap().matches('\u{2580}').count(), drawn.lines().count())
        };
        assert_eq!(lines(960, 480), (80, 20));
        assert_eq!(lines(300, 1200), (30, 60));
        assert_eq!(lines(1, 4000), (1, 60));
    }

    #[test]
    fn kitty_gets_the_file_in_pieces_and_does_not_answer() {
        let picture = RgbImage::from_fn(200, 200, |x, y| Rgb([(x * y) as u8, (x ^ y) as u8, (x + 7 * y) as u8]));
        let drawn = Protocol::Kitty.draw(&picture, 80).unwrap();
        let pieces: Vec<&str> = drawn.split_terminator("\x1b\\").collect();
        assert!(pieces.len() > 2);
        assert!(pieces[0].starts_with("\x1b_Ga=T,f=100,q=2,c=25,m=1;"), "{:?}", &pieces[0][..40]);
        assert!(pieces[1].starts_with("\x1b_Gm=1;") && pieces.last().unwrap().starts_with("\x1b_Gm=0;"));
        let data: String = pieces.iter().map(|piece| piece.split_once(';').unwrap().1).collect();
        assert_eq!(STANDARD.decode(data).unwrap(), encode_png(&picture).unwrap());
    }

    #[test]
    fn iterm_gets_the_whole_file() {
        let picture = RgbImage::new(80, 8);
        let drawn = Protocol::Iterm2.draw(&picture, 4).unwrap();
        let (head, data) = drawn.strip_suffix('\x07').unwrap().split_once(':').unwrap();
        assert!(head.starts_with("\x1b]1337;File=inline=1;") && head.contains(";width=4;"), "{head:?}");
        assert_eq!(STANDARD.decode(data).unwrap(), encode_png(&picture).unwrap());
    }

    #[test]
    fn sixels_are_bands_of_six_rows() {
        let picture = RgbImage::from_fn(10, 8, |x, _| if x < 5 { Rgb([255, 0, 0]) } else { Rgb([255; 3]) });
        let drawn = Protocol::Sixel.draw(&picture, 80).unwrap();
        assert!(drawn.starts_with("\x1bPq\"1;1;10;8#0;2;0;0;0#1;2;0;0;37"), "{drawn:?}");
        let bands = drawn.split_once("#215;2;100;100;100").unwrap().1;
        assert_eq!(bands, "#180!5~!5?$#215!5?!5~$-#180!5B!5?$#215!5?!5B$-\x1b\\");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_picture_can_be_drawn(width in 1u32..40, height in 1u32..40, columns in 0u32..60, shade in any::<u8>()) {
            let picture = RgbImage::from_pixel(width, height, Rgb([shade, 9, 200]));
            for protocol in [
                Protocol::Kitty,
                Protocol::Iterm2,
                Protocol::Sixel,
                Protocol::Blocks { true_colour: true },
                Protocol::Blocks { true_colour: false },
            ] {
                prop_assert!(!protocol.draw(&picture, columns).unwrap().is_empty());
            }
        }
    }
}
