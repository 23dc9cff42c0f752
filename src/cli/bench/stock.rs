//! How a stock llama-mtmd-cli is called: with the flags that this program's target has.

use crate::cli::error::{Exit, Failure};
use image::{ImageFormat, RgbImage};
use sgl::bench::{Engine, Question, Stock};
use sgl::media::Picture;
use sgl::vlm::VlmOptions;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The program, and the folder with its pictures.
pub struct Called {
    stock: Stock,
    _pictures: Pictures,
}

impl Called {
    pub fn new(
        program: &Path,
        engine: &mut Engine,
        asked: &Question,
        target: &VlmOptions,
        threads: usize,
    ) -> Result<Self, Failure> {
        let pictures = Pictures::write(&asked.pictures).map_err(|error| {
            Failure::new(Exit::Output, format!("cannot write the pictures for {}: {error}", program.display()))
        })?;
        let n_ctx = match target.n_ctx {
            Some(n_ctx) => n_ctx as usize,
            None => engine.context_needed(asked)?,
        };
        let mut arguments = arguments(target, asked, threads, n_ctx);
        arguments.extend(pictures.files.iter().flat_map(|file| ["--image".into(), file.clone().into()]));
        Ok(Self { stock: Stock::new(program, arguments, asked.n_predict)?, _pictures: pictures })
    }

    pub fn stock(&self) -> &Stock {
        &self.stock
    }
}

fn arguments(target: &VlmOptions, asked: &Question, threads: usize, n_ctx: usize) -> Vec<OsString> {
    let context = &target.context;
    let values: [(&str, OsString); 12] = [
        ("-m", target.model.clone().into()),
        ("--mmproj", target.mmproj.clone().into()),
        ("-p", asked.text.clone().into()),
        ("-n", asked.n_predict.to_string().into()),
        ("--temp", "0".into()),
        ("-t", threads.to_string().into()),
        ("-c", n_ctx.to_string().into()),
        ("-b", context.n_batch.to_string().into()),
        ("-ub", context.n_ubatch.to_string().into()),
        ("-fa", context.flash_attention.to_string().into()),
        ("-ctk", context.cache_k.to_string().into()),
        ("-ctv", context.cache_v.to_string().into()),
    ];
    let mut arguments: Vec<OsString> = values.into_iter().flat_map(|(flag, value)| [flag.into(), value]).collect();
    let mut add = |flag: &str, value: String| arguments.extend([flag.into(), value.into()]);
    if let Some(layers) = target.n_gpu_layers {
        add("-ngl", layers.min(MOST_LAYERS).to_string());
    }
    if let Some(names) = &target.devices {
        add("-dev", if names.is_empty() { "none".to_owned() } else { names.join(",") });
    }
    if let Some(min) = target.image_tokens.min {
        add("--image-min-tokens", min.to_string());
    }
    if let Some(max) = target.image_tokens.max {
        add("--image-max-tokens", max.to_string());
    }
    if target.is_cpu_only() {
        arguments.push("--no-mmproj-offload".into());
    }
    arguments
}

/// More than any model has.
const MOST_LAYERS: u32 = 9999;

/// Pictures as this program has decoded them; removed in the end.
struct Pictures {
    dir: PathBuf,
    files: Vec<PathBuf>,
}

impl Pictures {
    fn write(pictures: &[Picture]) -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("sgl-bench-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let mut written = Self { dir, files: Vec::new() };
        for (index, picture) in pictures.iter().enumerate() {
            let path = written.dir.join(format!("{index}.png"));
            let pixels = RgbImage::from_raw(picture.width(), picture.height(), picture.rgb().to_vec());
            let pixels = pixels.ok_or(io::ErrorKind::InvalidData)?;
            pixels.save_with_format(&path, ImageFormat::Png).map_err(io::Error::other)?;
            written.files.push(path);
        }
        Ok(written)
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
