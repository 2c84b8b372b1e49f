"""Programs for graphics cards: what brian2cuda writes of every feature, without a card.

Of each program it is checked that it is written, that it reads the files which are rewritten before every start and
leaves those which are read after it. Numbers come from a stand-in, the same objects on NumPy. That nvcc compiles the
programs takes minutes, in a test that is marked long.
"""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from brian2 import defaultclock, ms, prefs

from brian_qif import ClockSolver
from brian_qif.codegen import cuda_installation
from brian_qif.codegen.clock_cuda import Cuda, CudaProgram
from brian_qif.codegen.clock_devices import RuntimeProgram
from brian_qif.gradients.batch import BatchGradient
from brian_qif.solvers.clock_tasks import find_device, register_device
from tests.codegen.test_device_features import DURATION, FEATURES, samples

BACKEND = "devices.cuda_standalone.cuda_backend."
# A card that need not be here.
CARD = {"detect_gpus": False, "gpu_id": 0, "compute_capability": 8.0}
WRITTEN = "cuda_standalone, written only"


class WrittenProgram(CudaProgram):
    """A program that is written; what it would compute is left to NumPy."""

    made: list["WrittenProgram"] = []

    def __init__(self, build, values):
        super().__init__(build, values)
        self.stand_in = RuntimeProgram(build)
        self.monitor, self.array = self.stand_in.monitor, self.stand_in.array
        self.made.append(self)

    def _build(self):
        self.device.build(directory=str(self.directory), compile=False, run=False, with_output=False)

    def _command(self):
        return [sys.executable, "-c", ""]

    def run(self, values):
        super().run(values)
        self.stand_in.run(values)

    def text(self, name):
        return (self.directory / name).read_text()


class Written(Cuda):
    name = WRITTEN
    program = WrittenProgram

    def missing(self):
        return None


register_device(Written())


@pytest.fixture
def card():
    """brian2cuda, for a card that it does not look for."""
    pytest.importorskip("brian2cuda", reason="brian2cuda is not installed; pip install '.[cuda]' with Python 3.12")
    before, step = {BACKEND + key: prefs[BACKEND + key] for key in CARD}, defaultclock.dt
    prefs.update({BACKEND + key: value for key, value in CARD.items()})
    defaultclock.dt = 0.1 * ms
    # What one feature needed another may need again.
    find_device(WRITTEN)._programs.clear()
    WrittenProgram.made.clear()
    yield
    prefs.update(before)
    defaultclock.dt = step


def compute(gradient):
    if isinstance(gradient, BatchGradient):
        found = gradient(samples(), DURATION)
        return found.losses, found.slopes
    value, slopes = gradient(DURATION)
    return [value], slopes


@pytest.mark.parametrize("feature", [feature for feature in FEATURES if feature != "trials in segments"])
def test_both_programs_are_written(card, feature):
    values, slopes = compute(FEATURES[feature](WRITTEN))
    expected, others = compute(FEATURES[feature]("runtime"))
    assert values == pytest.approx(expected, rel=1e-12)
    for slope, other in zip(slopes, others, strict=True):
        assert np.asarray(slope) == pytest.approx(np.asarray(other), rel=1e-9)
    programs = WrittenProgram.made
    assert len(programs) % 2 == 0 and len(programs) > 0
    kinds = [{kind for kind in ("neurons", "adjoint") if f"qif_{kind}" in x.text("main.cu")} for x in programs]
    assert kinds == [{"neurons"}, {"adjoint"}] * (len(programs) // 2)
    for program in programs:
        objects, makefile = program.text("objects.cu"), program.text("makefile")
        rewritten = [file for file in program._files.values() if file is not None]
        rewritten += [f"{table.name}_values" for table in program.objects.tables.values()]
        for name in rewritten:
            assert f'"static_arrays/{name}"' in objects
        for name in program._results.values():
            assert f'"{name}"' in objects
        flags = next(line for line in makefile.splitlines() if line.startswith("NVCCFLAGS"))
        assert flags.index("-std=c++17") > flags.index("-std=c++11") and "fast_math" not in flags
        assert all(kernel.stat().st_size > 0 for kernel in (program.directory / "code_objects").glob("*.cu"))


def test_a_trial_that_does_not_fit_is_refused(card):
    before = prefs["brian_qif.trajectory_memory"]
    try:
        with pytest.raises(MemoryError, match="on cuda_standalone it cannot be cut into segments: raise the"):
            compute(FEATURES["trials in segments"](WRITTEN))
    finally:
        prefs["brian_qif.trajectory_memory"] = before


def nvcc_with_curand(folder):
    """Why the programs cannot be compiled here, or None."""
    nvcc = cuda_installation.nvcc_path()
    if nvcc is None:
        return "there is no nvcc here"
    source = folder / "probe.cu"
    source.write_text("#include <curand.h>\nint main() { return curandDestroyGenerator(0); }\n")
    done = subprocess.run([nvcc, str(source), "-lcurand", "-o", str(folder / "probe")], capture_output=True, text=True)
    return None if done.returncode == 0 else f"nvcc has no curand here: {done.stderr}"


@pytest.mark.long
def test_nvcc_compiles_both_programs(card, tmp_path):
    missing = nvcc_with_curand(tmp_path)
    if missing is not None:
        pytest.skip(missing)
    compute(FEATURES["loops with one delay per Synapses"](WRITTEN))
    assert len(WrittenProgram.made) == 2
    for program in WrittenProgram.made:
        done = subprocess.run(["make", "-j2"], cwd=program.directory, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert shutil.which(program.directory / "main")


def test_missing_parts_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CUDA_PATH", "CUDA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cuda_installation, "installed_version", lambda package: None)
    with pytest.raises(ImportError) as error:
        ClockSolver("cuda_standalone")
    assert str(error.value).startswith("The device 'cuda_standalone' needs the package brian2cuda: pip install '.[cuda")
    assert str(error.value).endswith(cuda_installation.ELSEWHERE)

    monkeypatch.setattr(cuda_installation, "installed_version", lambda package: "1.0b1")
    monkeypatch.setattr(cuda_installation.importlib, "import_module", lambda name: None)
    assert "needs the compiler nvcc: install NVIDIA's CUDA toolkit." in find_device("cuda_standalone").missing()
    for name, text in (("nvcc", "Cuda compilation tools, release 12.6, V12.6.85"), ("nvidia-smi", "No devices found.")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{text}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(cuda_installation, "prefs", {BACKEND + "detect_gpus": True})
    assert find_device("cuda_standalone").missing() == (
        f"The device 'cuda_standalone' found no graphics card (nvidia-smi). {cuda_installation.ELSEWHERE} "
        f"{cuda_installation.BY_HAND}."
    )
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H100 (UUID: GPU-8abe)'\n")
    assert cuda_installation.graphics_cards() == ["NVIDIA H100"]
    assert find_device("cuda_standalone").missing() is None
