//! Process-wide state: backend initialization, devices, and the logs of llama.cpp, ggml and libmtmd.

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::{LlamaBackendDeviceType, list_llama_ggml_backend_devices};
use llama_cpp_sys_2 as sys;
use serde::Serialize;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::{LazyLock, Mutex, PoisonError};

/// A compute device of this build, as `-dev` names it.
#[derive(Debug, Clone, Serialize)]
pub struct Device {
    /// Name for `-dev`, such as `CUDA0`.
    pub name: String,
    /// The maker's description.
    pub description: String,
    /// ggml backend: `CPU`, `CUDA`, `Metal`, `Vulkan`.
    pub backend: String,
    /// Whether models can be offloaded to it with `-ngl`.
    pub is_gpu: bool,
    /// Total and free memory, as the backend reports them.
    pub memory_total_bytes: u64,
    /// See `memory_total_bytes`.
    pub memory_free_bytes: u64,
    #[serde(skip)]
    pub(super) index: usize,
}

/// The devices that this build can use, in ggml's order.
pub fn devices() -> Vec<Device> {
    backend();
    let devices = list_llama_ggml_backend_devices().into_iter();
    let device = |device: llama_cpp_2::LlamaBackendDevice| Device {
        name: device.name,
        description: device.description,
        backend: device.backend,
        is_gpu: matches!(device.device_type, LlamaBackendDeviceType::Gpu | LlamaBackendDeviceType::IntegratedGpu),
        memory_total_bytes: device.memory_total as u64,
        memory_free_bytes: device.memory_free as u64,
        index: device.index,
    };
    devices.map(device).collect()
}

/// The initialized backend, for `llama-cpp-2`.
pub(super) fn backend() -> &'static LlamaBackend {
    static BACKEND: LazyLock<LlamaBackend> = LazyLock::new(|| {
        // SAFETY: the callback is a function without captured state and lives as long as the program.
        unsafe {
            sys::llama_log_set(Some(log), ptr::null_mut());
            sys::mtmd_helper_log_set(Some(log), ptr::null_mut());
        }
        match LlamaBackend::init() {
            Ok(backend) => backend,
            // Someone else in this process initialized it: the zero-sized proof is all that is missing.
            Err(_) => LlamaBackend {},
        }
    });
    &BACKEND
}

/// The last errors logged since [`forget_errors`], since llama.cpp's functions return only null or a code.
static ERRORS: Mutex<String> = Mutex::new(String::new());

/// Empties the record of errors; called before a call whose failure will be explained.
pub(super) fn forget_errors() {
    ERRORS.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// What was logged as an error since [`forget_errors`], on one line.
pub(super) fn logged_reason() -> String {
    let errors = ERRORS.lock().unwrap_or_else(PoisonError::into_inner);
    if errors.is_empty() { "no reason was logged; -v shows all logs".to_owned() } else { errors.clone() }
}

/// Longest record of errors, in bytes.
const MAX_REASON: usize = 500;

unsafe extern "C" fn log(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: ggml passes a NUL-terminated string that lives during the call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let text = text.trim_end();
    if text.is_empty() || text.chars().all(|c| c == '.') {
        return;
    }
    match level {
        sys::GGML_LOG_LEVEL_ERROR => {
            tracing::error!(target: "llama.cpp", "{text}");
            let mut errors = ERRORS.lock().unwrap_or_else(PoisonError::into_inner);
            if errors.len() < MAX_REASON {
                let separator = if errors.is_empty() { "" } else { "; " };
                errors.push_str(separator);
                errors.push_str(&text.replace('\n', " "));
            }
        }
        sys::GGML_LOG_LEVEL_WARN => tracing::warn!(target: "llama.cpp", "{text}"),
        sys::GGML_LOG_LEVEL_INFO => tracing::info!(target: "llama.cpp", "{text}"),
        _ => tracing::debug!(target: "llama.cpp", "{text}"),
    }
}
