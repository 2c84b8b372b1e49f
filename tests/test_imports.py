"""Who may import whom: the table of docs/developer/architecture.md, checked in the source of every module."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# For each part: the other parts of the package, and the libraries, that its modules import.
PARTS = {
    "equations": ({"equations"}, {"brian2", "sympy"}),
    "plan": ({"plan", "equations"}, {"brian2", "numpy", "sympy", "scipy"}),
    "solvers": ({"solvers", "plan", "equations"}, {"brian2", "numpy", "scipy"}),
    "gradients": ({"gradients", "solvers", "plan"}, {"brian2", "numpy"}),
    "codegen": ({"codegen", "plan", "solvers", "equations"}, {"brian2", "numpy", "jinja2", "sympy"}),
    "data": ({"data"}, {"numpy", "scipy", "h5py", "pooch", "requests", "tqdm", "soundfile"}),
    "training": ({"training", "gradients", "_version"}, {"brian2", "numpy", "h5py", "pandas"}),
    "bridges": (
        {"bridges", "gradients", "solvers", "plan"},
        {"brian2", "numpy", "pandas", "torch", "jax", "nir", "neo", "quantities"},
    ),
    "models": ({"models", "equations"}, {"brian2", "numpy"}),
    "protocols": (
        {"protocols", "models", "training", "data", "plotting", "solvers", "gradients", "codegen"},
        {"brian2", "numpy", "scipy", "pandas", "jinja2", "joblib", "optuna", "sqlalchemy"},
    ),
    "preferences": (set(), {"brian2"}),
    "arguments": (set(), {"brian2", "numpy"}),
    "files": (set(), set()),
    "citations": ({"_version"}, set()),
    "example": ({"gradients", "solvers", "codegen"}, {"brian2", "numpy"}),
    "_shadow": (set(), set()),
    "_version": (set(), set()),
    "plotting": ({"plotting", "bridges", "solvers"}, {"brian2", "numpy", "matplotlib", "pandas"}),
    "cli": ({"_version", "solvers"}, {"brian2"}),
}
# Allowed inside functions, and for annotations, only: the type of a solver, the command's studies, the example's
# models, what draws, and a device that few have.
DEFERRED = {
    "cli": {"brian_qif.protocols"},
    "example": {"brian_qif.models"},
    "plotting": {"matplotlib"},
    "protocols": {"distributed", "elephant", "neo", "quantities", "pyspike"},
    "training": {"brian_qif.solvers.simulation"},
    "codegen": {"brian2genn", "brian2cuda"},
}
# Checks of what users give, and files that are written whole: no part can do without.
EVERYWHERE = {"arguments", "files"}
LIBRARY_FORBIDS = ("brian_qif.models", "brian_qif.protocols", "matplotlib")


def imports(source: str) -> list[tuple[str, bool]]:
    """Modules that a source imports, and whether it does so when it is imported itself."""
    tree = ast.parse(source)
    inside = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or _for_types_only(node)
        for child in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) not in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "brian_qif" else [base]
            found += [(name, id(node) not in inside) for name in names]
    return found


def _for_types_only(node: ast.AST) -> bool:
    """Whether it is an ``if TYPE_CHECKING:``, whose imports nobody executes."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def breaches(part: str, source: str) -> list[str]:
    """What a module of a part imports against the table."""
    parts, libraries = PARTS[part]
    found = []
    for name, at_import in imports(source):
        top, _, rest = name.partition(".")
        if top in sys.stdlib_module_names or top == "__future__":
            continue
        if not at_import and any(name.startswith(allowed) for allowed in DEFERRED.get(part, ())):
            continue
        if at_import and part not in ("models", "protocols") and name.startswith(LIBRARY_FORBIDS):
            found.append(f"{part} imports {name} when it is imported")
        elif top == "brian_qif":
            # A public name of the package itself is open to studies alone.
            section = rest.partition(".")[0]
            public = part == "protocols" and (section[:1].isupper() or section in ("", "__version__", "check_gradient"))
            if section not in {*parts, *EVERYWHERE} and section != part and not public:
                found.append(f"{part} imports {name}")
        elif top not in libraries:
            found.append(f"{part} imports {name}")
    return found


def modules():
    for path in sorted((ROOT / "brian_qif").rglob("*.py")):
        place = path.relative_to(ROOT / "brian_qif").parts
        if place != ("__init__.py",):
            yield (place[0] if len(place) > 1 else path.stem), path
    for folder in ("models", "protocols"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield folder, path


@pytest.mark.parametrize(
    "part, path", [pytest.param(*found, id=str(found[1].relative_to(ROOT))) for found in modules()]
)
def test_a_module_imports_what_its_part_may(part, path):
    assert breaches(part, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "part, source",
    [
        ("equations", "import numpy"),
        ("plan", "from brian_qif.solvers import sweeps"),
        ("solvers", "from brian_qif.gradients.losses import Loss"),
        ("gradients", "def f():\n    from brian_qif.codegen import backend"),
        ("codegen", "from brian_qif.models import LIFGroup"),
        ("codegen", "import brian2genn"),
        ("training", "import matplotlib"),
        ("data", "from brian_qif.training import datasets"),
        ("plotting", "import matplotlib.pyplot"),
        ("gradients", "import torch"),
        ("training", "from brian_qif.bridges import outputs"),
        ("cli", "from brian_qif.protocols import benchmark"),
        ("models", "from brian_qif.plan import reader"),
    ],
)
def test_a_planted_breach_is_found(part, source):
    assert breaches(part, source)


def test_deferred_imports_are_allowed():
    assert breaches("plotting", "def draw():\n    from matplotlib.figure import Figure") == []
    assert breaches("cli", "def main():\n    from brian_qif.protocols import benchmark") == []
