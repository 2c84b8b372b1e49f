"""The arithmetic of single neurons is free of what only a host has: nvcc compiles it; no GPU need be there."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from brian_qif.codegen.source import PRECISIONS, event_source
from tests.codegen.plans import mixed_network

KERNEL = """
__global__ void each_neuron(int64_t count, const real *x, const real *step, real *y) {
    const int64_t n = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
    if (n >= count) return;
    real p, q, I, a, b, c;
    quadratic_flow<FEW_TERMS>(x[n], x[n + count], x[n + 2 * count], step[0], step[1], p, q, I);
    quadratic_flow_adjoint<MOST_TERMS>(p, q, I, step[0], step[1], x[n], x[n + count], x[n + 2 * count], a, b, c);
    linear_flow(p, I, decay_of(step[2], expm1_ratio(-step[2])), step[0], step[1], p, I);
    linear_flow_adjoint(0, 0, step[0], step[1], step[2], p, I, p, I);
    y[n] = a + b + c + p + I + stumpff_terms(c);
}
"""


def find_nvcc() -> Path | None:
    """The one on the path, else that of the packages from the Python index."""
    found = shutil.which("nvcc")
    packages = Path(sysconfig.get_path("purelib")) / "nvidia"
    return Path(found) if found else next(packages.glob("cu*/bin/nvcc"), None)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_nvcc_compiles_the_functions_of_single_neurons(dtype, tmp_path):
    nvcc = find_nvcc()
    if nvcc is None:
        pytest.skip("there is no nvcc here; make test-cuda installs one from the Python index (300 MB)")
    functions, marker, _ = event_source(mixed_network(0), dtype).partition("// Groups of neurons: vectorised flow")
    assert marker
    source = tmp_path / "neurons.cu"
    source.write_text(f"#define DEVICE_FUNCTION static __device__ inline\n{functions}{KERNEL}")
    command = [
        nvcc,
        "-std=c++17",
        f"-I{nvcc.parents[1] / 'include'}",
        "-cubin",
        "-o",
        tmp_path / "neurons.cubin",
        source,
    ]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr + finished.stdout
    assert (tmp_path / "neurons.cubin").stat().st_size > 1000
