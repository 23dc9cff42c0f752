//! llama.cpp's own quantizer.

use super::{LlamaError, backend};
use crate::gguf::WeightType;
use llama_cpp_sys_2 as sys;
use std::ffi::CString;
use std::path::Path;

/// Writes a copy of a text model with other weight types, chosen tensor by tensor as `llama-quantize` does.
/// llama.cpp: `llama_model_quantize`.
///
/// # Errors
/// [`LlamaError::Quantize`] with the reason that llama.cpp logged, [`LlamaError::ZeroByte`].
pub fn quantize(from: &Path, to: &Path, weights: WeightType, n_threads: u32) -> Result<(), LlamaError> {
    let failed = |reason: String| LlamaError::Quantize { path: from.to_owned(), reason };
    let c_path = |path: &Path| {
        let text = path.to_str().ok_or_else(|| failed(format!("the path {} is not UTF-8", path.display())))?;
        CString::new(text).map_err(|_| LlamaError::ZeroByte { what: "the model's path" })
    };
    let (c_from, c_to) = (c_path(from)?, c_path(to)?);
    backend::backend();
    // SAFETY: returns a plain struct.
    let mut params = unsafe { sys::llama_model_quantize_default_params() };
    params.nthread = n_threads.clamp(1, i32::MAX as u32) as i32;
    params.allow_requantize = true;
    params.ftype = weights.file_type();
    backend::forget_errors();
    // SAFETY: both paths are NUL-terminated and the parameters valid during the call.
    match unsafe { sys::llama_model_quantize(c_from.as_ptr(), c_to.as_ptr(), &raw const params) } {
        0 => Ok(()),
        _ => Err(failed(backend::logged_reason())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llama::{Model, ModelOptions};
    use std::path::PathBuf;

    fn guide() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fidelity/llava/guide.gguf")
    }

    #[test]
    fn a_quantized_copy_is_smaller_and_loads() {
        let dir = tempfile::tempdir().unwrap();
        let sizes = [WeightType::F32, WeightType::F16, WeightType::Q8_0, WeightType::Q4_0].map(|weights| {
            let copy = dir.path().join(format!("{weights:?}.gguf"));
            quantize(&guide(), &copy, weights, 1).unwrap();
            let model = Model::load(&copy, ModelOptions { n_gpu_layers: Some(0), ..ModelOptions::default() }).unwrap();
            assert_eq!(model.n_layer(), 3);
            std::fs::metadata(copy).unwrap().len()
        });
        assert!(sizes.is_sorted_by(|larger, smaller| larger > smaller), "{sizes:?}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none.gguf");
        let error = quantize(&missing, &dir.path().join("copy.gguf"), WeightType::Q8_0, 1).unwrap_err().to_string();
        assert!(error.starts_with("cannot quantize") && error.contains("none.gguf"), "{error}");
    }
}
