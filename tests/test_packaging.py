"""What is installed: the wheel against the tree, and public names against those of Brian2."""

import email
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import brian2
import pytest

import brian_qif
from brian_qif._shadow import refuse_shadowed_import

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with a wheel, made from the source distribution, and that distribution itself."""
    out = tmp_path_factory.mktemp("built")
    source = out / "source"
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in tracked.stdout.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(out), str(source)], check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def wheel(built):
    """Names of all files in the wheel, without its metadata."""
    (file,) = built.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_the_tree_and_nothing_else(wheel):
    expected = set()
    for path in ROOT.glob("brian_qif/**/*"):
        if path.suffix == ".py" or (path.parent.name in ("templates", "embedded") and path.is_file()):
            expected.add(path.relative_to(ROOT).as_posix())
    for folder in ("models", "protocols"):
        expected |= {f"brian_qif/{folder}/{path.name}" for path in (ROOT / folder).glob("*.py")}
    assert wheel == expected | {"brian_qif/py.typed"}


def test_the_source_distribution_holds_what_a_wheel_needs(built, wheel):
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    sources = {name if (ROOT / name).exists() else name.removeprefix("brian_qif/") for name in wheel}
    metadata = {"LICENSE", "CITATION.cff", "CHANGELOG.md", "README.md", "setup.cfg", "pyproject.toml", "PKG-INFO"}
    assert sources | metadata <= names
    others = {name for name in names - sources - metadata if not name.startswith(("brian_qif.egg-info/", "tests/"))}
    assert others <= {"MANIFEST.in", "Makefile"}


def test_the_metadata_name_the_licence_and_every_extra(built):
    (file,) = built.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
        licences = [name for name in archive.namelist() if name.endswith("LICENSE")]
    assert len(licences) == 1
    assert metadata["Name"] == "brian_qif" and metadata["Version"] == brian_qif.__version__
    assert {"torch", "jax", "nir", "neo", "search", "audio", "test", "docs"} <= set(metadata.get_all("Provides-Extra"))


def test_the_embedded_data_are_small():
    files = list((ROOT / "brian_qif" / "data" / "embedded").glob("*.h5"))
    assert len(files) == 2
    assert sum(file.stat().st_size for file in files) < 3e6


def test_public_names_do_not_hide_those_of_brian2():
    assert sorted(set(brian_qif.__all__) & set(dir(brian2)) - {"__version__"}) == []
    from brian_qif import models

    assert sorted(set(models.__all__) & set(dir(brian2))) == []


def test_all_public_names_are_there():
    assert [name for name in brian_qif.__all__ if not hasattr(brian_qif, name)] == []
    assert brian_qif.__all__ == sorted(brian_qif.__all__)


def test_a_source_folder_in_front_of_the_package_explains_itself(monkeypatch):
    monkeypatch.setattr("brian_qif._shadow.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="Start Python in another folder, or install from the source folder"):
        refuse_shadowed_import(ROOT / "brian_qif")


def test_the_source_folder_alone_is_refused(tmp_path):
    (tmp_path / "brian_qif").symlink_to(ROOT / "brian_qif")
    code = (
        "import sys; sys.path.insert(0, '.'); "
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]; import brian_qif"
    )
    finished = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert finished.returncode != 0
    assert "that folder alone is not the whole package" in finished.stderr
