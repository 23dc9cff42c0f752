//! The matrix products that our patches add to ggml's CPU backend.

use llama_cpp_sys_2 as sys;
use std::ffi::{CStr, c_void};
use std::ptr;

/// Weights of `m` rows and columns of `k` numbers, both row by row.
struct Factors {
    k: usize,
    weights: Vec<f32>,
    columns: Vec<f32>,
}

impl Factors {
    fn random(m: usize, n: usize, k: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(1);
        let mut draw = |count| std::iter::repeat_with(|| random.f32() * 2.0 - 1.0).take(count).collect();
        Self { k, weights: draw(m * k), columns: draw(n * k) }
    }

    fn column(&self, index: usize) -> Self {
        let columns = self.columns[index * self.k..(index + 1) * self.k].to_vec();
        Self { k: self.k, weights: self.weights.clone(), columns }
    }

    /// In 64 bits, column by column.
    fn exact(&self) -> Vec<f64> {
        let dot =
            |left: &[f32], right: &[f32]| left.iter().zip(right).map(|(&l, &r)| f64::from(l) * f64::from(r)).sum();
        let rows = |column| self.weights.chunks(self.k).map(move |row| dot(row, column));
        self.columns.chunks(self.k).flat_map(rows).collect()
    }

    /// By ggml, with weights of a type in a kind of memory.
    fn multiply(&self, kind: sys::ggml_type, memory: sys::ggml_backend_buffer_type_t, is_whole: bool) -> Vec<f32> {
        let (k, m, n) = (self.k, self.weights.len() / self.k, self.columns.len() / self.k);
        // SAFETY: all sizes are those of the tensors; everything is freed below, in the order of its use.
        unsafe {
            let mut packed = vec![0u8; m * sys::ggml_row_size(kind, k as i64)];
            let weights = self.weights.as_ptr();
            sys::ggml_quantize_chunk(kind, weights, packed.as_mut_ptr().cast(), 0, m as i64, k as i64, ptr::null());

            let context = || {
                let mem_size = 8 * sys::ggml_tensor_overhead() + sys::ggml_graph_overhead();
                sys::ggml_init(sys::ggml_init_params { mem_size, mem_buffer: ptr::null_mut(), no_alloc: true })
            };
            let (held, passing) = (context(), context());
            let a = sys::ggml_new_tensor_2d(held, kind, k as i64, m as i64);
            let held_buffer = sys::ggml_backend_alloc_ctx_tensors_from_buft(held, memory);
            let b = sys::ggml_new_tensor_2d(passing, sys::GGML_TYPE_F32, k as i64, n as i64);
            let c = sys::ggml_mul_mat(passing, a, b);
            if is_whole {
                sys::ggml_mul_mat_set_hint(c, sys::GGML_HINT_SRC1_IS_WHOLE);
            }
            let graph = sys::ggml_new_graph(passing);
            sys::ggml_build_forward_expand(graph, c);
            let backend = sys::ggml_backend_dev_init(cpu(), ptr::null());
            let passing_buffer = sys::ggml_backend_alloc_ctx_tensors(passing, backend);

            sys::ggml_backend_tensor_set(a, packed.as_ptr().cast(), 0, packed.len());
            sys::ggml_backend_tensor_set(b, self.columns.as_ptr().cast(), 0, size_of_val(&self.columns[..]));
            assert_eq!(sys::ggml_backend_graph_compute(backend, graph), sys::GGML_STATUS_SUCCESS);
            let mut product = vec![0f32; m * n];
            sys::ggml_backend_tensor_get(c, product.as_mut_ptr().cast(), 0, size_of_val(&product[..]));

            sys::ggml_backend_buffer_free(passing_buffer);
            sys::ggml_backend_buffer_free(held_buffer);
            sys::ggml_backend_free(backend);
            sys::ggml_free(passing);
            sys::ggml_free(held);
            product
        }
    }
}

fn cpu() -> sys::ggml_backend_dev_t {
    // SAFETY: the registry is static.
    unsafe { sys::ggml_backend_dev_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU) }
}

fn plain() -> sys::ggml_backend_buffer_type_t {
    // SAFETY: as above.
    unsafe { sys::ggml_backend_dev_buffer_type(cpu()) }
}

/// Where weights are rearranged for the processor.
fn repacked() -> sys::ggml_backend_buffer_type_t {
    type ExtraBufts = unsafe extern "C" fn(sys::ggml_backend_dev_t) -> *mut sys::ggml_backend_buffer_type_t;
    // SAFETY: ggml-cpu gives a function of this type by this name; its list ends with a null pointer.
    unsafe {
        let registry = sys::ggml_backend_dev_backend_reg(cpu());
        let list = sys::ggml_backend_reg_get_proc_address(registry, c"ggml_backend_dev_get_extra_bufts".as_ptr());
        let list = std::mem::transmute::<*mut c_void, ExtraBufts>(list)(cpu());
        let named =
            |buft: sys::ggml_backend_buffer_type_t| CStr::from_ptr(sys::ggml_backend_buft_name(buft)) == c"CPU_REPACK";
        (0..).map(|index| *list.add(index)).take_while(|buft| !buft.is_null()).find(|&buft| named(buft)).unwrap()
    }
}

/// Whether ggml was compiled for it.
fn has_avx2() -> bool {
    // SAFETY: a constant.
    unsafe { sys::ggml_cpu_has_avx2() != 0 }
}

/// Length of the error over length of the product.
fn error(product: &[f32], exact: &[f64]) -> f64 {
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    length(&mut product.iter().zip(exact).map(|(&p, &e)| f64::from(p) - e)) / length(&mut exact.iter().copied())
}

#[test]
fn a_column_of_q8_0_is_the_same_alone_and_among_others() {
    let memory = if has_avx2() { repacked() } else { plain() };
    // Two groups of eight rows and one; two groups of four columns and three.
    let factors = Factors::random(24, 11, 96);
    let all = factors.multiply(sys::GGML_TYPE_Q8_0, memory, false);
    assert!(error(&all, &factors.exact()) < 0.02);
    if has_avx2() {
        let alone = (0..11).flat_map(|index| factors.column(index).multiply(sys::GGML_TYPE_Q8_0, memory, false));
        assert_eq!(all, alone.collect::<Vec<_>>());
    }
}

#[test]
fn rearranged_weights_are_the_same_weights() {
    if has_avx2() {
        let factors = Factors::random(40, 5, 64);
        let rearranged = factors.multiply(sys::GGML_TYPE_Q8_0, repacked(), false);
        let as_they_are = factors.multiply(sys::GGML_TYPE_Q8_0, plain(), false);
        let exact: Vec<f64> = as_they_are.iter().map(|&value| f64::from(value)).collect();
        assert!(error(&rearranged, &exact) < 1e-6);
    }
}

#[test]
fn whole_products_are_as_near_as_their_weights() {
    // Neither rows, columns nor their length are multiples of the kernel's blocks, where the type allows it.
    for (kind, k, limit) in [
        (sys::GGML_TYPE_F16, 100, 5e-4),
        (sys::GGML_TYPE_BF16, 100, 5e-3),
        (sys::GGML_TYPE_Q8_0, 96, 0.02),
        (sys::GGML_TYPE_Q4_0, 96, 0.2),
    ] {
        let factors = Factors::random(37, 67, k);
        let whole = factors.multiply(kind, plain(), true);
        assert!(error(&whole, &factors.exact()) < limit, "type {kind}: {}", error(&whole, &factors.exact()));
        // Where there are no integer products, the hint changes nothing.
        let stock = factors.multiply(kind, plain(), false);
        assert_eq!(whole != stock, has_avx2(), "type {kind}");
    }
}

#[test]
fn what_is_no_number_stays_in_its_column() {
    let mut factors = Factors::random(16, 64, 128);
    factors.columns[3 * 128 + 5] = f32::NAN;
    let product = factors.multiply(sys::GGML_TYPE_F16, plain(), true);
    let nan: Vec<usize> =
        (0..64).filter(|column| product[column * 16..][..16].iter().any(|value| value.is_nan())).collect();
    assert_eq!(nan, [3]);
    assert!(product[3 * 16..][..16].iter().all(|value| value.is_nan()));
}
