//! Process-wide state: backend initialization, devices, and the logs of llama.cpp, ggml and libmtmd.

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::{LlamaBackendDeviceType, list_llama_ggml_backend_devices};
use llama_cpp_sys_2 as sys;
use serde::Serialize;
use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::{self, Write};
use std::ptr;
use std::sync::{LazyLock, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

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
    /// Whether it shares the host's memory.
    #[serde(skip)]
    pub(super) is_integrated: bool,
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
        is_integrated: matches!(device.device_type, LlamaBackendDeviceType::IntegratedGpu),
        memory_total_bytes: device.memory_total as u64,
        memory_free_bytes: device.memory_free as u64,
        index: device.index,
    };
    devices.map(device).collect()
}

/// Ends the process at once, whatever its threads do. `std::process::exit` would run the destructors of C++, and ggml's Metal backend
/// ends the process in another way there when models are still loaded.
pub fn end_process(code: u8) -> ! {
    // Whoever writes to a full pipe may hold standard output for ever. Standard error keeps nothing back.
    let (flushed, is_flushed) = mpsc::channel();
    let flush = move || {
        io::stdout().flush().ok();
        flushed.send(()).ok();
    };
    if thread::Builder::new().spawn(flush).is_ok() {
        is_flushed.recv_timeout(Duration::from_millis(200)).ok();
    }
    unsafe extern "C" {
        fn _exit(code: c_int) -> !;
    }
    // SAFETY: a function of every system's C library that reads nothing of the program.
    unsafe { _exit(code.into()) }
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

thread_local! {
    /// The last errors that this thread logged since [`forget_errors`], since llama.cpp's functions return only null or a code.
    static ERRORS: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Empties the record of errors; called before a call whose failure will be explained.
pub(super) fn forget_errors() {
    ERRORS.with_borrow_mut(String::clear);
}

/// What was logged as an error since [`forget_errors`], on one line.
pub(super) fn logged_reason() -> String {
    let errors = ERRORS.with_borrow(String::clone);
    if errors.is_empty() { "no reason was logged; -v shows all logs".to_owned() } else { errors }
}

/// Memory of a context, in bytes, over all devices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The KV cache, and the states of recurrent layers.
    pub kv: u64,
    /// Buffers for intermediate results.
    pub compute: u64,
}

/// Buffers logged since [`forget_buffers`]: the C API does not tell.
static BUFFERS: Mutex<Memory> = Mutex::new(Memory { kv: 0, compute: 0 });

/// Empties the record of buffers; called before a context is made.
pub(super) fn forget_buffers() {
    *BUFFERS.lock().unwrap_or_else(PoisonError::into_inner) = Memory::default();
}

/// The buffers that were logged since [`forget_buffers`].
pub(super) fn logged_buffers() -> Memory {
    *BUFFERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line such as `llama_kv_cache:        CPU KV buffer size =   384.00 MiB`.
fn buffer(text: &str) -> Option<Memory> {
    let (name, size) = text.split_once(" buffer size = ")?;
    let bytes = (size.trim().strip_suffix(" MiB")?.trim().parse::<f64>().ok()? * f64::from(1 << 20)) as u64;
    match name.rsplit(' ').next()? {
        "KV" | "RS" => Some(Memory { kv: bytes, compute: 0 }),
        "compute" => Some(Memory { kv: 0, compute: bytes }),
        _ => None,
    }
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
            ERRORS.with_borrow_mut(|errors| {
                if errors.len() < MAX_REASON {
                    let separator = if errors.is_empty() { "" } else { "; " };
                    errors.push_str(separator);
                    errors.push_str(&text.replace('\n', " "));
                }
            });
        }
        sys::GGML_LOG_LEVEL_WARN => tracing::warn!(target: "llama.cpp", "{text}"),
        sys::GGML_LOG_LEVEL_INFO => {
            tracing::info!(target: "llama.cpp", "{text}");
            if let Some(Memory { kv, compute }) = buffer(text) {
                let mut buffers = BUFFERS.lock().unwrap_or_else(PoisonError::into_inner);
                *buffers = Memory { kv: buffers.kv + kv, compute: buffers.compute + compute };
            }
        }
        _ => tracing::debug!(target: "llama.cpp", "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_read_from_the_log() {
        let line = "llama_kv_cache:        CPU KV buffer size =   384.50 MiB";
        assert_eq!(buffer(line), Some(Memory { kv: 769 << 19, compute: 0 }));
        let line = "sched_reserve:        CPU compute buffer size =     2.00 MiB";
        assert_eq!(buffer(line), Some(Memory { kv: 0, compute: 2 << 20 }));
        for line in ["load_tensors: CPU_Mapped model buffer size = 1.00 MiB", "x KV buffer size = many MiB", "KV"] {
            assert_eq!(buffer(line), None, "{line}");
        }
    }
}
