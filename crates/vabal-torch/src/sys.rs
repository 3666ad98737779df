//! PyTorch's stable C interface, made safe: the one room of this crate with `unsafe`.
//!
//! What stands here is a transcription: of the functions of
//! `torch/csrc/inductor/aoti_torch/c/shim.h` and `torch/csrc/stable/c/shim.h`, and of the schemas
//! of ATen's operations, as `torch.ops.aten.NAME` prints them. An operation called with other types
//! than its schema says is undefined, so nothing outside can call one by name. With the right
//! types, ATen checks what the values say, and answers with an error. Never here: how operations
//! are put together.

#![expect(unsafe_code, reason = "functions of a library that is opened at run time have no safe form")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::path::{Path, PathBuf};

use libloading::Library;
use vabal_query::error::{Error, Result};

use crate::find::missing;
use crate::{Device, Format};

/// A tensor of the library; freed when dropped.
type Handle = *mut c_void;

/// 0 where all went well.
type Status = i32;

/// The version whose schemas are written down here: 2.10.0, the first with all of this.
const VERSION: u64 = (2 << 56) | (10 << 48);

/// The functions of the library, each found under its name when it is opened.
macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            /// From 2.13 on.
            torch_exception_get_what_without_backtrace: Option<unsafe extern "C" fn() -> *const c_char>,
            /// From 2.13 on; before that, such a value comes from C++'s `new`.
            torch_new_stable_ivalue: Option<unsafe extern "C" fn(*mut *mut u64) -> Status>,
            new: Option<unsafe extern "C" fn(usize) -> *mut c_void>,
            /// Its own for each device.
            add: unsafe extern "C" fn(Handle, Handle, f64, *mut Handle) -> Status,
        }

        impl Functions {
            /// The functions, or the name of one that is not there.
            fn of(library: &Library, add: &'static CStr) -> Result<Self, &'static str> {
                // SAFETY: each has the type that the library's header declares, and `new` that of
                // C++.
                unsafe {
                    Ok(Self {
                        $($name: *library.get(stringify!($name)).map_err(|_| stringify!($name))?,)*
                        torch_exception_get_what_without_backtrace:
                            library.get(c"torch_exception_get_what_without_backtrace").ok().map(|found| *found),
                        torch_new_stable_ivalue: library.get(c"torch_new_stable_ivalue").ok().map(|found| *found),
                        new: library.get(c"_Znwm").ok().map(|found| *found),
                        add: *library.get(add).map_err(|_| "aoti_torch_…_add_Tensor")?,
                    })
                }
            }
        }
    };
}

functions! {
    torch_call_dispatcher: fn(*const c_char, *const c_char, *mut u64, u64) -> Status;
    torch_new_list_reserve_size: fn(usize, *mut Handle) -> Status;
    torch_list_push_back: fn(Handle, u64) -> Status;
    aoti_torch_abi_version: fn() -> u64;
    aoti_torch_device_type_cpu: fn() -> i32;
    aoti_torch_device_type_cuda: fn() -> i32;
    aoti_torch_dtype_float32: fn() -> i32;
    aoti_torch_dtype_int64: fn() -> i32;
    aoti_torch_new_tensor_handle: fn(Handle, *mut Handle) -> Status;
    aoti_torch_delete_tensor_object: fn(Handle) -> Status;
    aoti_torch_empty_strided: fn(i64, *const i64, *const i64, i32, i32, i32, *mut Handle) -> Status;
    aoti_torch_empty_strided_pinned: fn(i64, *const i64, *const i64, i32, i32, i32, *mut Handle) -> Status;
    aoti_torch_scalar_to_tensor_float32: fn(f32, *mut Handle) -> Status;
    aoti_torch_create_tensor_from_blob:
        fn(*mut c_void, i64, *const i64, *const i64, i64, i32, i32, i32, *mut Handle) -> Status;
    aoti_torch_copy_: fn(Handle, Handle, i32) -> Status;
    aoti_torch_zero_: fn(Handle) -> Status;
    aoti_torch_get_dim: fn(Handle, *mut i64) -> Status;
    aoti_torch_get_sizes: fn(Handle, *mut *mut i64) -> Status;
    aoti_torch_get_strides: fn(Handle, *mut *mut i64) -> Status;
    aoti_torch_create_device_guard: fn(i32, *mut Handle) -> Status;
    aoti_torch_delete_device_guard: fn(Handle) -> Status;
}

/// The library of PyTorch, opened, with the device that it computes on. It stays open until the
/// process ends.
#[derive(Clone, Copy)]
pub struct Torch {
    functions: &'static Functions,
    device: Device,
}

impl fmt::Debug for Torch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PyTorch {} on {}", self.version(), self.device)
    }
}

impl Torch {
    /// Opens the library in `path`: the folder of the Python package `torch`, the folder of its
    /// libraries, or one of them. Then checks, on the device, the operations that PyTorch does not
    /// promise to keep.
    ///
    /// # Errors
    /// No PyTorch there, one that cannot be opened, is older than 2.10 or has no CUDA in it, a GPU
    /// that this machine does not have, or operations that compute something else.
    pub fn open(path: &Path, device: Device) -> Result<Self> {
        let folder = folder(path)?;
        let of_cpu = library(&folder.join(name("torch_cpu")))?;
        let (opened, add) = match device {
            Device::Cpu => (of_cpu, c"aoti_torch_cpu_add_Tensor"),
            Device::Cuda(index) => {
                let file = folder.join(name("torch_cuda"));
                if !file.exists() {
                    return Err(Error::input("this PyTorch has no CUDA in it")
                        .at(folder.display())
                        .expected(file.display())
                        .got("a PyTorch for CPUs alone")
                        .hint("install PyTorch for CUDA as pytorch.org says, or take --device torch-cpu")
                        .into());
                }
                let of_cuda = library(&file)?;
                check_gpu(of_cuda, index)?;
                (of_cuda, c"aoti_torch_cuda_add_Tensor")
            }
        };
        let functions = Functions::of(opened, add).map_err(|missing| {
            Error::input("this PyTorch is too old")
                .at(folder.display())
                .expected("PyTorch 2.10 or newer")
                .got(version_file(&folder).unwrap_or_else(|| format!("a library without {missing}")))
                .hint("`pip install --upgrade torch`, or name another one by VABAL_LIBTORCH")
        })?;
        let torch = Self { functions: Box::leak(Box::new(functions)), device };
        torch.check()?;
        Ok(torch)
    }

    /// The device of every tensor that is made.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// The library's version: `2.10.0`.
    #[must_use]
    pub fn version(&self) -> String {
        // SAFETY: it takes nothing and answers a number.
        let version = unsafe { (self.functions.aoti_torch_abi_version)() };
        let [major, minor, patch, ..] = version.to_be_bytes();
        format!("{major}.{minor}.{patch}")
    }

    /// Makes the device current for this thread until the guard goes: what is left to the library
    /// then runs there, be it `cuda:1`.
    ///
    /// # Errors
    /// A device that fails.
    pub fn guard(&self) -> Result<Guard> {
        let Device::Cuda(index) = self.device else { return Ok(Guard(None)) };
        // SAFETY: the guard is freed once, on this thread.
        let guard = unsafe {
            self.made(|guard| (self.functions.aoti_torch_create_device_guard)(number(index), guard))
        };
        Ok(Guard(Some((guard?, *self))))
    }

    /// A tensor of `shape` on the device, contiguous values stored in this format. No shape at all
    /// makes a scalar.
    ///
    /// # Errors
    /// Another number of values than the shape has, or a device that fails.
    pub fn tensor<T: Element>(&self, values: &[T], shape: &[usize], format: Format) -> Result<Tensor> {
        self.reordered(values, shape, Format::Contiguous, format)
    }

    /// A tensor of `shape`, with values that lie in one format stored in another.
    ///
    /// # Errors
    /// Another number of values than the shape has, or a device that fails.
    pub fn reordered<T: Element>(
        &self,
        values: &[T],
        shape: &[usize],
        from: Format,
        to: Format,
    ) -> Result<Tensor> {
        if values.len() != shape.iter().product::<usize>() {
            return Err(Error::input("a tensor has another number of values than its shape")
                .expected(format!("{shape:?}"))
                .got(format!("{} values", values.len()))
                .into());
        }
        let strides = from_usize(&to.strides(shape));
        let given = self.borrowed(values.as_ptr().cast_mut(), shape, from)?;
        let tensor = self.empty::<T>(shape, &strides, Place::Device)?;
        if self.device == Device::Cpu {
            tensor.copy(&given, false)?;
        } else {
            // From memory that stays where it is, a GPU fetches values while it still works on what
            // it was given before.
            let pinned = self.empty::<T>(shape, &strides, Place::Pinned)?;
            pinned.copy(&given, false)?;
            tensor.copy(&pinned, true)?;
        }
        Ok(tensor)
    }

    /// A number on the CPU, which operations take together with tensors of any device.
    ///
    /// # Errors
    /// No memory.
    pub fn scalar(&self, value: f32) -> Result<Tensor> {
        // SAFETY: it takes a number and makes a tensor.
        let handle = unsafe {
            self.made(|tensor| (self.functions.aoti_torch_scalar_to_tensor_float32)(value, tensor))
        };
        Ok(Tensor { handle: handle?, torch: *self })
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// A device that fails.
    pub fn zeros(&self, shape: &[usize], format: Format) -> Result<Tensor> {
        let tensor = self.empty::<f32>(shape, &from_usize(&format.strides(shape)), Place::Device)?;
        tensor.zero_()?;
        Ok(tensor)
    }

    fn empty<T: Element>(&self, shape: &[usize], strides: &[i64], place: Place) -> Result<Tensor> {
        let sizes = from_usize(shape);
        // SAFETY: as many strides as sizes, which live until it returns.
        let handle = unsafe {
            let cpu = (self.functions.aoti_torch_device_type_cpu)();
            let (new, kind, index) = match (place, self.device) {
                (Place::Pinned, _) => (self.functions.aoti_torch_empty_strided_pinned, cpu, 0),
                (_, Device::Cpu) => (self.functions.aoti_torch_empty_strided, cpu, 0),
                (_, Device::Cuda(index)) => {
                    let cuda = (self.functions.aoti_torch_device_type_cuda)();
                    (self.functions.aoti_torch_empty_strided, cuda, number(index))
                }
            };
            self.made(|tensor| {
                let (rank, sizes, strides) = (sizes.len() as i64, sizes.as_ptr(), strides.as_ptr());
                new(rank, sizes, strides, T::code(self), kind, index, tensor)
            })?
        };
        Ok(Tensor { handle, torch: *self })
    }

    /// A tensor of the CPU that does not own its values, and must not outlive them.
    fn borrowed<T: Element>(&self, values: *mut T, shape: &[usize], format: Format) -> Result<Tensor> {
        let (sizes, strides) = (from_usize(shape), from_usize(&format.strides(shape)));
        // SAFETY: as many strides as sizes; the values are looked at when the tensor is, which the
        // caller answers for.
        let handle = unsafe {
            let kind = (self.functions.aoti_torch_device_type_cpu)();
            self.made(|tensor| {
                let (rank, sizes, strides) = (sizes.len() as i64, sizes.as_ptr(), strides.as_ptr());
                let new = self.functions.aoti_torch_create_tensor_from_blob;
                new(values.cast(), rank, sizes, strides, 0, T::code(self), kind, 0, tensor)
            })?
        };
        Ok(Tensor { handle, torch: *self })
    }

    /// What `make` puts at the address that it is given.
    fn made<T>(&self, make: impl FnOnce(*mut *mut T) -> Status) -> Result<*mut T> {
        let mut made = std::ptr::null_mut();
        self.done(make(&raw mut made), "its own")?;
        Ok(made)
    }

    /// What the library says of the last operation.
    fn done(&self, status: Status, operation: &str) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        let said = self.functions.torch_exception_get_what_without_backtrace.map(|what| {
            // SAFETY: the text is the library's, ends with 0, and stays until the next error of
            // this thread.
            unsafe { CStr::from_ptr(what()) }.to_string_lossy().lines().next().unwrap_or_default().to_owned()
        });
        let got = said.unwrap_or_else(|| "an error that PyTorch tells of on the lines above".to_owned());
        let device = self.device;
        // Of CUDA, and of the CPU.
        let full = ["out of memory", "can't allocate memory"].iter().any(|words| got.contains(words));
        Err(match full {
            true => Error::input(format!("the device {device} has no memory left"))
                .got(got)
                .hint("use a smaller batch or a narrower network, or another --device"),
            false => Error::input(format!("PyTorch {} failed on the device {device}", self.version()))
                .at(format!("the operation {operation}"))
                .got(got)
                .hint("use a smaller batch if memory is short, or another --device"),
        }
        .into())
    }
}

/// Where a tensor is made.
#[derive(Clone, Copy)]
enum Place {
    Device,
    /// Memory of the CPU that a GPU can read by itself.
    Pinned,
}

/// The device of a thread, current until this goes.
pub struct Guard(Option<(Handle, Torch)>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some((guard, torch)) = self.0.take() {
            // SAFETY: made by `create`, and freed here alone.
            unsafe { (torch.functions.aoti_torch_delete_device_guard)(guard) };
        }
    }
}

/// A tensor on the device of its library. It belongs to the thread that made it.
pub struct Tensor {
    handle: Handle,
    torch: Torch,
}

impl Drop for Tensor {
    fn drop(&mut self) {
        // SAFETY: the handle is this tensor's alone.
        unsafe { (self.torch.functions.aoti_torch_delete_tensor_object)(self.handle) };
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({:?} on {})", self.shape(), self.torch.device)
    }
}

impl Tensor {
    /// The library that it is of.
    #[must_use]
    pub fn torch(&self) -> Torch {
        self.torch
    }

    /// The length of each dimension; none where the library does not say.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        self.numbers(self.torch.functions.aoti_torch_get_sizes).iter().map(|&size| size as usize).collect()
    }

    fn numbers(&self, of: unsafe extern "C" fn(Handle, *mut *mut i64) -> Status) -> Vec<i64> {
        let (mut rank, mut numbers) = (0, std::ptr::null_mut());
        // SAFETY: the library points at as many numbers as there are dimensions, which stay as long
        // as the tensor.
        unsafe {
            let status = (self.torch.functions.aoti_torch_get_dim)(self.handle, &raw mut rank);
            if status != 0 || of(self.handle, &raw mut numbers) != 0 || rank <= 0 || numbers.is_null() {
                return Vec::new();
            }
            std::slice::from_raw_parts(numbers, rank as usize).to_vec()
        }
    }

    /// The values, contiguous, whatever the format. Waits for the device.
    ///
    /// # Errors
    /// A device that fails.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        let shape = self.shape();
        let mut values = vec![T::default(); shape.iter().product()];
        self.torch.borrowed(values.as_mut_ptr(), &shape, Format::Contiguous)?.copy(self, false)?;
        Ok(values)
    }

    /// Takes over the values of another tensor of this shape.
    ///
    /// # Errors
    /// Another shape, or a device that fails.
    pub fn copy_(&self, from: &Tensor) -> Result<()> {
        self.copy(from, false)
    }

    /// The same; `later` does not wait for values that are pinned, which the library then keeps as
    /// long as it takes.
    fn copy(&self, from: &Tensor, later: bool) -> Result<()> {
        // SAFETY: both are tensors, and `later` is said of memory alone that the library looks
        // after.
        let status =
            unsafe { (self.torch.functions.aoti_torch_copy_)(self.handle, from.handle, later.into()) };
        self.torch.done(status, "copy_")
    }

    /// Makes all values 0.
    ///
    /// # Errors
    /// A device that fails.
    pub fn zero_(&self) -> Result<()> {
        // SAFETY: it is a tensor.
        let status = unsafe { (self.torch.functions.aoti_torch_zero_)(self.handle) };
        self.torch.done(status, "zero_")
    }

    /// `self + alpha · other`.
    ///
    /// # Errors
    /// Shapes that do not fit, or a device that fails.
    pub fn add(&self, other: &Tensor, alpha: f64) -> Result<Tensor> {
        // SAFETY: both are tensors; what is made is a new one.
        let handle = unsafe {
            self.torch.made(|sum| (self.torch.functions.add)(self.handle, other.handle, alpha, sum))
        };
        Ok(Tensor { handle: handle?, torch: self.torch })
    }

    /// The same values in memory as those of `like` are, a tensor of the same shape.
    ///
    /// # Errors
    /// Another shape, or a device that fails.
    pub fn laid_out_as(self, like: &Tensor) -> Result<Tensor> {
        let strides = like.numbers(like.torch.functions.aoti_torch_get_strides);
        if self.numbers(self.torch.functions.aoti_torch_get_strides) == strides {
            return Ok(self);
        }
        let tensor = self.torch.empty::<f32>(&like.shape(), &strides, Place::Device)?;
        tensor.copy_(&self)?;
        Ok(tensor)
    }
}

/// What a tensor holds: `f32` or `i64`.
pub trait Element: Copy + Default + sealed::Element {}

impl Element for f32 {}
impl Element for i64 {}

mod sealed {
    /// The library's number of a type.
    pub trait Element {
        fn code(torch: &super::Torch) -> i32;
    }

    impl Element for f32 {
        fn code(torch: &super::Torch) -> i32 {
            // SAFETY: it takes nothing and answers a number.
            unsafe { (torch.functions.aoti_torch_dtype_float32)() }
        }
    }

    impl Element for i64 {
        fn code(torch: &super::Torch) -> i32 {
            // SAFETY: it takes nothing and answers a number.
            unsafe { (torch.functions.aoti_torch_dtype_int64)() }
        }
    }
}

/// An argument of an operation, as the dispatcher takes it: a number, or a pointer that then is the
/// library's.
trait Pack {
    fn pack(self, torch: Torch) -> Result<u64>;
}

/// An optional argument that is not given.
pub(crate) struct Nothing;

/// The type `float32`.
pub(crate) struct Float32;

impl Pack for Nothing {
    fn pack(self, _: Torch) -> Result<u64> {
        Ok(0)
    }
}

impl Pack for Float32 {
    fn pack(self, torch: Torch) -> Result<u64> {
        Ok(<f32 as sealed::Element>::code(&torch) as u32 as u64)
    }
}

impl Pack for bool {
    fn pack(self, _: Torch) -> Result<u64> {
        Ok(self.into())
    }
}

impl Pack for i64 {
    fn pack(self, _: Torch) -> Result<u64> {
        Ok(self.cast_unsigned())
    }
}

impl Pack for f64 {
    fn pack(self, _: Torch) -> Result<u64> {
        Ok(self.to_bits())
    }
}

impl Pack for &Tensor {
    fn pack(self, torch: Torch) -> Result<u64> {
        // SAFETY: it is a tensor; the handle is a second one, which the dispatcher frees.
        let made = unsafe {
            torch.made(|handle| (torch.functions.aoti_torch_new_tensor_handle)(self.handle, handle))
        };
        Ok(made? as u64)
    }
}

impl<T: Pack> Pack for Option<T> {
    fn pack(self, torch: Torch) -> Result<u64> {
        let Some(value) = self else { return Ok(0) };
        let value = value.pack(torch)?;
        let Functions { torch_new_stable_ivalue, new, .. } = *torch.functions;
        // SAFETY: both give room for one such value, and the dispatcher frees it as it was made.
        unsafe {
            let at: *mut u64 = match (torch_new_stable_ivalue, new) {
                (Some(make), _) => torch.made(|at| make(at))?,
                (None, Some(new)) => new(size_of::<u64>()).cast(),
                (None, None) => {
                    return Err(Error::input("this PyTorch is too old").expected("2.13 or newer").into());
                }
            };
            at.write(value);
            Ok(at as u64)
        }
    }
}

impl<T: Pack, const N: usize> Pack for [T; N] {
    fn pack(self, torch: Torch) -> Result<u64> {
        list(torch, self.into_iter())
    }
}

impl Pack for &[usize] {
    fn pack(self, torch: Torch) -> Result<u64> {
        list(torch, self.iter().map(|&size| size as i64))
    }
}

impl Pack for &[Tensor] {
    fn pack(self, torch: Torch) -> Result<u64> {
        list(torch, self.iter())
    }
}

fn list<T: Pack>(torch: Torch, values: impl ExactSizeIterator<Item = T>) -> Result<u64> {
    let Functions { torch_new_list_reserve_size, torch_list_push_back, .. } = *torch.functions;
    // SAFETY: a list of the library, of values that each fit in its place; the dispatcher frees it.
    unsafe {
        let list = torch.made(|list| torch_new_list_reserve_size(values.len(), list))?;
        for value in values {
            torch.done(torch_list_push_back(list, value.pack(torch)?), "list")?;
        }
        Ok(list as u64)
    }
}

/// What an operation answers: tensors, from the first place of the stack on.
trait Unpack: Sized {
    /// # Safety
    /// The dispatcher has put as many tensors on the stack, and they are taken off it once.
    unsafe fn unpack(stack: &[u64], torch: Torch) -> Self;
}

impl<const N: usize> Unpack for [Tensor; N] {
    unsafe fn unpack(stack: &[u64], torch: Torch) -> Self {
        std::array::from_fn(|place| Tensor { handle: stack[place] as Handle, torch })
    }
}

/// More than any operation has arguments or results.
const PLACES: usize = 16;

/// Operations by their schemas: `rust_name = "name" "overload" (arguments) -> [Tensor; results]`.
macro_rules! operations {
    ($($rust:ident = $name:literal $overload:literal ($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        #[expect(clippy::too_many_arguments, reason = "an operation has as many as its schema")]
        impl Torch {
            $(
                pub(crate) fn $rust(self, $($argument: $type),*) -> Result<$result> {
                    let mut stack = [0; PLACES];
                    let arguments = [$($argument.pack(self)?,)*];
                    stack[..arguments.len()].copy_from_slice(&arguments);
                    // SAFETY: the arguments are those of the schema, in its order, and the stack
                    // has room for the results, which are tensors.
                    unsafe {
                        let call = self.functions.torch_call_dispatcher;
                        let status = call($name.as_ptr(), $overload.as_ptr(), stack.as_mut_ptr(), VERSION);
                        self.done(status, stringify!($rust))?;
                        Ok(<$result>::unpack(&stack, self))
                    }
                }
            )*
        }
    };
}

operations! {
    convolution = c"aten::convolution" c"" (input: &Tensor, weight: &Tensor, bias: Option<&Tensor>, stride: [i64; 2],
        padding: [i64; 2], dilation: [i64; 2], transposed: bool, output_padding: [i64; 2], groups: i64) -> [Tensor; 1];
    convolution_backward = c"aten::convolution_backward" c"" (grad_output: &Tensor, input: &Tensor, weight: &Tensor,
        bias_sizes: Nothing, stride: [i64; 2], padding: [i64; 2], dilation: [i64; 2], transposed: bool,
        output_padding: [i64; 2], groups: i64, output_mask: [bool; 3]) -> [Tensor; 3];
    batch_norm_with_update = c"aten::_batch_norm_with_update" c"" (input: &Tensor, weight: Option<&Tensor>,
        bias: Option<&Tensor>, running_mean: &Tensor, running_var: &Tensor, momentum: f64, eps: f64) -> [Tensor; 4];
    batch_norm_backward = c"aten::batch_norm_backward" c"" (grad_out: &Tensor, input: &Tensor, weight: &Tensor,
        running_mean: Option<&Tensor>, running_var: Option<&Tensor>, save_mean: Option<&Tensor>,
        save_var: Option<&Tensor>, update: bool, eps: f64, output_mask: [bool; 3], reserve: &Tensor) -> [Tensor; 3];
    relu_ = c"aten::relu_" c"" (input: &Tensor) -> [Tensor; 1];
    sign = c"aten::sign" c"" (input: &Tensor) -> [Tensor; 1];
    mul = c"aten::mul" c"Tensor" (input: &Tensor, other: &Tensor) -> [Tensor; 1];
    mul_ = c"aten::mul_" c"Tensor" (input: &Tensor, other: &Tensor) -> [Tensor; 1];
    mean = c"aten::mean" c"dim" (input: &Tensor, dim: Option<[i64; 2]>, keepdim: bool, dtype: Nothing) -> [Tensor; 1];
    sum = c"aten::sum" c"dim_IntList" (input: &Tensor, dim: Option<[i64; 1]>, keepdim: bool, dtype: Nothing)
        -> [Tensor; 1];
    ones_like = c"aten::ones_like" c"" (input: &Tensor, dtype: Nothing, layout: Nothing, device: Nothing, pin_memory: Nothing,
        memory_format: Nothing) -> [Tensor; 1];
    view = c"aten::view" c"" (input: &Tensor, size: &[usize]) -> [Tensor; 1];
    linear = c"aten::linear" c"" (input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> [Tensor; 1];
    mm = c"aten::mm" c"" (input: &Tensor, mat2: &Tensor) -> [Tensor; 1];
    t = c"aten::t" c"" (input: &Tensor) -> [Tensor; 1];
    log_softmax = c"aten::_log_softmax" c"" (input: &Tensor, dim: i64, half_to_float: bool) -> [Tensor; 1];
    log_softmax_backward = c"aten::_log_softmax_backward_data" c"" (grad_output: &Tensor, output: &Tensor, dim: i64,
        input_dtype: Float32) -> [Tensor; 1];
    nll_loss = c"aten::nll_loss_forward" c"" (input: &Tensor, target: &Tensor, weight: Nothing, reduction: i64,
        ignore_index: i64) -> [Tensor; 2];
    nll_loss_backward = c"aten::nll_loss_backward" c"" (grad_output: &Tensor, input: &Tensor, target: &Tensor,
        weight: Nothing, reduction: i64, ignore_index: i64, total_weight: &Tensor) -> [Tensor; 1];
    fused_sgd_ = c"aten::_fused_sgd_" c"" (input: &[Tensor], grads: &[Tensor], momentum_buffer_list: &[Tensor],
        weight_decay: f64, momentum: f64, lr: f64, dampening: f64, nesterov: bool, maximize: bool, is_first_step: bool,
        grad_scale: Nothing, found_inf: Nothing) -> [Tensor; 0];
}

/// The name of a library's file on this system.
fn name(library: &str) -> String {
    format!("{}{library}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// The folder that the libraries are in.
fn folder(path: &Path) -> Result<PathBuf> {
    let folders = [path.join("lib"), path.to_owned(), path.parent().map(Path::to_owned).unwrap_or_default()];
    let found = folders.into_iter().find(|folder| folder.join(name("torch_cpu")).is_file());
    found.ok_or_else(|| missing().at(path.display()).got(format!("no {} there", name("torch_cpu"))).into())
}

/// The version of the Python package whose libraries are in `folder`.
fn version_file(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.parent()?.join("version.py")).ok()?;
    let version = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(format!("PyTorch {}", version.trim_matches('\'')))
}

/// Opens a library, for as long as the process lives: what it starts cannot be stopped.
fn library(file: &Path) -> Result<&'static Library> {
    // SAFETY: what a library does when it is opened is its own; this one is named by the user, as a
    // program would be.
    match unsafe { Library::new(file) } {
        Ok(library) => Ok(Box::leak(Box::new(library))),
        Err(error) => Err(Error::input("PyTorch cannot be opened")
            .at(file.display())
            .expected("a library of PyTorch, with those that it needs")
            .got(error)
            .hint("does `python3 -c 'import torch'` work? If not, install PyTorch again, or name another one by VABAL_LIBTORCH")
            .into()),
    }
}

/// Asks CUDA itself whether there is such a GPU: PyTorch has no such question.
fn check_gpu(library: &Library, index: usize) -> Result<()> {
    let mut found: c_int = 0;
    // SAFETY: a function of CUDA, which the library is built on, with the type of its header.
    let status = unsafe {
        let count = library.get::<unsafe extern "C" fn(*mut c_int) -> c_int>(c"cudaGetDeviceCount");
        count.map_or(-1, |count| count(&raw mut found))
    };
    let found = if status == 0 { usize::try_from(found).unwrap_or(0) } else { 0 };
    if index < found {
        return Ok(());
    }
    let expected = match found {
        0 => "a machine with an NVIDIA GPU and a driver that fits this PyTorch".to_owned(),
        1 => "cuda:0, the only GPU".to_owned(),
        _ => format!("cuda:0 to cuda:{}", found - 1),
    };
    Err(Error::input("there is no such GPU")
        .expected(expected)
        .got(Device::Cuda(index))
        .hint("look at `nvidia-smi`, or leave --device out to use the CPU")
        .into())
}

fn from_usize(numbers: &[usize]) -> Vec<i64> {
    numbers.iter().map(|&number| number as i64).collect()
}

fn number(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}
