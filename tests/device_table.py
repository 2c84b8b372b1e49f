"""The table of what every device of the clock-driven solver can do, from the tests that ran.

Run it as ``python -m tests.device_table`` (``make device-table``), or with the names of some devices; half an hour,
most of it in compilers. Devices that were not run, or that this environment does not have, keep the column of the run
that had them, with its date and versions: run it in the environment of GeNN too.
"""

import argparse
import datetime
import importlib.metadata
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from brian_qif.codegen.genn_installation import genn_version
from tests.codegen.test_device_features import DEVICES, FEATURES

DOCS = Path(__file__).parents[1] / "docs"
RECORD, TABLE = DOCS / "devices_table.json", DOCS / "devices_table.md"


def run_tests(devices: list[str]) -> dict[str, dict[str, str]]:
    """Outcomes by device and feature; tests that were skipped have none.

    Raises
    ------
    SystemExit
        If a test failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        file = "tests/codegen/test_device_features.py"
        name = "test_a_device_has_a_feature_or_refuses_it_by_name"
        tests = [f"{file}::{name}[{feature}-{device}]" for device in devices for feature in FEATURES]
        command = [sys.executable, "-m", "pytest", "-q", "-m", "long", "-p", "no:cacheprovider", *tests]
        finished = subprocess.run([*command, f"--junitxml={report}"], cwd=DOCS.parent)
        if finished.returncode != 0:
            raise SystemExit("Some tests failed; the table stays as it was.")
        found = {}
        for case in ElementTree.parse(report).iter("testcase"):
            own = {entry.get("name"): entry.get("value") for entry in case.iter("property")}
            if "outcome" in own:
                found.setdefault(own["device"], {})[own["feature"]] = own["outcome"]
    return found


def versions(device: str) -> str:
    """What a column was found with."""
    packages = ["brian2", *(["brian2genn"] if device == "genn" else [])]
    parts = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    parts += [f"GeNN {genn_version()}"] if device == "genn" else []
    return f"{', '.join(parts)}, {datetime.date.today().isoformat()}"


def table(record: dict) -> str:
    """Markdown."""
    lines = ["| | " + " | ".join(DEVICES) + " |", "|---" * (len(DEVICES) + 1) + "|"]
    for feature in FEATURES:
        cells = [record.get(device, {}).get("outcomes", {}).get(feature, "not run") for device in DEVICES]
        lines.append(f"| {feature} | " + " | ".join(cells) + " |")
    lines.append("| found with | " + " | ".join(record.get(x, {}).get("versions", "") for x in DEVICES) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.device_table", description="Test devices, write the table.")
    parser.add_argument("devices", nargs="*", help=f"all of {', '.join(DEVICES)}, or some")
    devices = parser.parse_args().devices or list(DEVICES)
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for device, outcomes in run_tests(devices).items():
        record[device] = {"versions": versions(device), "outcomes": outcomes}
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    TABLE.write_text(table(record))
    print(TABLE.read_text())


if __name__ == "__main__":
    main()
