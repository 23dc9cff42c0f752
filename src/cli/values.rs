//! Values of flags: ranges and words that are checked while parsing.

use sgl::guidance::Retain;
use sgl::llama::MAX_IMAGE_TOKENS;
use sgl::vlm::MAX_PARALLEL;
use std::str::FromStr;
use std::time::Duration;

/// Layers on the device: a number, `auto` or `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuLayers {
    Auto,
    All,
    Count(u32),
}

/// Devices by name, comma-separated, or `none`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceList {
    None,
    Named(Vec<String>),
}

impl FromStr for GpuLayers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" | "-1" => Ok(Self::Auto),
            "all" => Ok(Self::All),
            _ => number(text, |_: &u32| true, "a number of layers, auto or all").map(Self::Count),
        }
    }
}

impl FromStr for DeviceList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::None);
        }
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        if names.iter().any(String::is_empty) {
            return Err("must be names as `sgl devices` lists them, separated by commas, or none".to_owned());
        }
        Ok(Self::Named(names))
    }
}

/// 0 or more.
pub fn temperature(text: &str) -> Result<f32, String> {
    number(text, |value: &f32| value.is_finite() && *value >= 0.0, "a number of 0 or more")
}

/// `0 < p <= 1`.
pub fn share(text: &str) -> Result<f32, String> {
    number(text, |value: &f32| *value > 0.0 && *value <= 1.0, "a number above 0 and at most 1")
}

/// `0 <= p <= 1`.
pub fn probability(text: &str) -> Result<f32, String> {
    number(text, |value: &f32| (0.0..=1.0).contains(value), UNIT)
}

/// `0 <= score <= 1`.
pub fn score(text: &str) -> Result<f64, String> {
    number(text, |value: &f64| (0.0..=1.0).contains(value), UNIT)
}

/// A share of the visual tokens that leaves some out.
pub fn pruning(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(Retain::Share(share)) if share < 1.0 => Ok(share),
        _ => Err("must be a share above 0 and below 1, such as 0.1 or 10%".to_owned()),
    }
}

/// A share of anything that is neither none nor all of it.
pub fn fraction(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(Retain::Share(share)) if share < 1.0 => Ok(share),
        _ => Err("must be above 0 and below 1, such as 0.02 or 2%".to_owned()),
    }
}

/// Parts of a cross-validation.
pub fn folds(text: &str) -> Result<u32, String> {
    number(text, |value: &u32| (2..=100).contains(value), "a whole number from 2 to 100")
}

/// Tokens to draw from; 0: all.
pub fn top_k(text: &str) -> Result<i32, String> {
    number(text, |value: &i32| *value >= 0, "a whole number of 0 or more")
}

/// Any 32-bit number.
pub fn seed(text: &str) -> Result<u32, String> {
    number(text, |_: &u32| true, "a whole number from 0 to 4294967295")
}

/// Answer length in tokens.
pub fn length(text: &str) -> Result<u32, String> {
    number(text, |value: &u32| (1..=MAX_TOKENS).contains(value), "a whole number from 1 to 16777216")
}

/// Context size in tokens; 0: as needed.
pub fn context(text: &str) -> Result<u32, String> {
    number(text, |value: &u32| *value <= MAX_TOKENS, "a whole number from 0 to 16777216")
}

/// Batch size in tokens.
pub fn batch(text: &str) -> Result<u32, String> {
    length(text)
}

/// Visual tokens of a picture.
pub fn image_tokens(text: &str) -> Result<u32, String> {
    number(text, |value: &u32| (1..=MAX_IMAGE_TOKENS).contains(value), "a whole number from 1 to 65536")
}

/// Tiles of a picture.
pub fn tiles(text: &str) -> Result<u32, String> {
    number(text, |value: &u32| (1..=1024).contains(value), "a whole number from 1 to 1024")
}

/// Memory in MiB; 0: none.
pub fn mebibytes(text: &str) -> Result<usize, String> {
    number(text, |value: &usize| *value <= 1 << 20, "a whole number from 0 to 1048576")
}

/// Requests at once.
pub fn parallel(text: &str) -> Result<usize, String> {
    number(text, |value: &usize| (1..=MAX_PARALLEL).contains(value), "a whole number from 1 to 128")
}

/// Places in a queue.
pub fn queued(text: &str) -> Result<usize, String> {
    number(text, |value: &usize| (1..=65_536).contains(value), "a whole number from 1 to 65536")
}

/// Pictures of a request.
pub fn pictures(text: &str) -> Result<usize, String> {
    number(text, |value: &usize| (1..=1024).contains(value), "a whole number from 1 to 1024")
}

/// Millions of pixels.
pub fn megapixels(text: &str) -> Result<u64, String> {
    number(text, |value: &u64| (1..=1000).contains(value), "a whole number from 1 to 1000")
}

/// Size of a body in MiB.
pub fn body_mebibytes(text: &str) -> Result<usize, String> {
    number(text, |value: &usize| (1..=1024).contains(value), "a whole number from 1 to 1024")
}

/// Redirects.
pub fn redirects(text: &str) -> Result<u32, String> {
    number(text, |value: &u32| *value <= 20, "a whole number from 0 to 20")
}

/// A time, fractions of seconds too.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = number(text, |value: &f64| (0.001..=1e6).contains(value), "seconds from 0.001 to 1000000")?;
    Ok(Duration::from_secs_f64(seconds))
}

/// As many as ggml takes.
pub fn threads(text: &str) -> Result<u32, String> {
    number(text, |value: &u32| (1..=512).contains(value), "a whole number from 1 to 512")
}

/// Rounds of a measurement. Ranks of more are not counted exactly.
pub fn rounds(text: &str) -> Result<u32, String> {
    number(text, |value: &u32| (1..=500).contains(value), "a whole number from 1 to 500")
}

/// Rounds before a measurement.
pub fn warm_up(text: &str) -> Result<u32, String> {
    number(text, |value: &u32| *value <= 500, "a whole number from 0 to 500")
}

/// Width and height in pixels.
pub fn picture_size(text: &str) -> Result<[u32; 2], String> {
    let side = |text: &str| text.parse().ok().filter(|side| (1..=8192).contains(side));
    let size = text.split_once('x').and_then(|(width, height)| Some([side(width)?, side(height)?]));
    size.ok_or_else(|| "must be WIDTHxHEIGHT, each from 1 to 8192".to_owned())
}

const UNIT: &str = "a number from 0 to 1";
/// Far more than any model reads, and far from where 32-bit sizes overflow.
const MAX_TOKENS: u32 = 1 << 24;

fn number<T: FromStr>(text: &str, fits: impl FnOnce(&T) -> bool, wanted: &str) -> Result<T, String> {
    text.parse().ok().filter(fits).ok_or_else(|| format!("must be {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_their_range_are_refused() {
        for text in ["", " ", "x", "-0.1", "nan", "NaN", "inf", "-inf", "1e999", "0x1", "1,5"] {
            assert!(temperature(text).is_err(), "{text}");
            assert!(share(text).is_err(), "{text}");
            assert!(probability(text).is_err(), "{text}");
            assert!(score(text).is_err(), "{text}");
            assert!(seed(text).is_err(), "{text}");
        }
        assert_eq!((temperature("0"), temperature("2.5")), (Ok(0.0), Ok(2.5)));
        assert!(share("0").is_err() && share("1.0001").is_err());
        assert_eq!((share("1"), probability("0"), score("1")), (Ok(1.0), Ok(0.0), Ok(1.0)));
        assert!(threads("0").is_err() && threads("513").is_err() && length("0").is_err());
        assert!(seed("4294967296").is_err() && context("18446744073709551616").is_err());
        assert!(image_tokens("0").is_err() && image_tokens("65537").is_err());
        assert_eq!((context("0"), top_k("0"), mebibytes("0")), (Ok(0), Ok(0), Ok(0)));
        assert!(mebibytes("1048577").is_err());
        assert!(parallel("0").is_err() && parallel("128").is_ok() && parallel("129").is_err());
        assert!(seconds("0").is_err() && seconds("0.5").is_ok() && seconds("inf").is_err() && seconds("nan").is_err());
        assert!(megapixels("0").is_err() && queued("0").is_err() && redirects("0").is_ok() && redirects("21").is_err());
        assert!(rounds("0").is_err() && rounds("501").is_err() && warm_up("0").is_ok());
    }

    #[test]
    fn fractions_may_be_percent() {
        assert_eq!((fraction("1%"), fraction("0.01"), fraction("99.9%")), (Ok(0.01), Ok(0.01), Ok(0.999)));
        for text in ["", "%", "0", "1", "0%", "100%", "-1%", "1 %", "nan", "NaN%", "inf", "5"] {
            assert!(fraction(text).is_err(), "{text}");
        }
        assert!(folds("1").is_err() && folds("101").is_err() && folds("2").is_ok());
    }

    #[test]
    fn pictures_have_two_sides() {
        assert_eq!(picture_size("1344x896"), Ok([1344, 896]));
        for text in ["", "x", "448", "448x", "0x448", "448x8193", "448X448", "4x4x4", "-4x4"] {
            assert!(picture_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn layers_and_devices_have_words() {
        assert_eq!("auto".parse(), Ok(GpuLayers::Auto));
        assert_eq!("all".parse(), Ok(GpuLayers::All));
        assert_eq!("0".parse(), Ok(GpuLayers::Count(0)));
        assert!("-2".parse::<GpuLayers>().is_err() && "some".parse::<GpuLayers>().is_err());
        assert_eq!("none".parse(), Ok(DeviceList::None));
        assert_eq!("A, b".parse(), Ok(DeviceList::Named(vec!["A".into(), "b".into()])));
        assert!("A,,b".parse::<DeviceList>().is_err() && "".parse::<DeviceList>().is_err());
    }
}
