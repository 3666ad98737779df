//! The parameters of a network as named arrays, so that whoever makes one says what every value is: burn's own first
//! values come from a global generator. The names are PyTorch's.
//!
//! Never here: what a network computes.

use std::ops::ControlFlow;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};

/// `module` with the values that `value` gives.
///
/// `value` is asked for every parameter and running statistic by its PyTorch name and shape, in the order of the
/// network, and answers the values or breaks off.
pub(crate) fn fill<M: Module, E>(
    module: M,
    device: &Device,
    value: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
) -> Result<M, E> {
    let mut filler =
        Filler { path: Path::default(), device, weight: value, state: ControlFlow::Continue(()) };
    let module = module.map(&mut filler);
    match filler.state {
        ControlFlow::Continue(()) => Ok(module),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Every parameter and running statistic in the order of the network: PyTorch name, shape, values.
pub(crate) fn values<M: Module>(module: &M) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut reader = Reader { path: Path::default(), weights: Vec::new() };
    module.visit(&mut reader);
    reader.weights
}

/// The way to a parameter: burn's names of rooms, PyTorch's names of weights.
#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn name(&self) -> String {
        self.0.join(".").replace(".gamma", ".weight").replace(".beta", ".bias")
    }
}

struct Filler<'a, E, F> {
    path: Path,
    device: &'a Device,
    weight: F,
    state: ControlFlow<E>,
}

impl<E, F: FnMut(&str, &[usize]) -> Result<Vec<f32>, E>> ModuleMapper for Filler<'_, E, F> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.0.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.state.is_break() {
            return param;
        }
        let shape = param.lazy_shape().to_vec();
        match (self.weight)(&self.path.name(), &shape) {
            Ok(values) => Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), self.device)),
            Err(error) => {
                self.state = ControlFlow::Break(error);
                param
            }
        }
    }
}

struct Reader {
    path: Path,
    weights: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.0.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.val().into_data();
        self.weights.push((self.path.name(), data.shape().to_vec(), data.iter::<f32>().collect()));
    }
}
