"""Copy the tables of a landscape study, rounded and without most of the single samples, to where a page reads them.

python docs/scripts/landscape_tables.py STUDY_DIR docs/studies/landscapes [STUDY_OF_A_SEED ...]

Of further studies, of networks trained from several seeds, ``seeds.csv`` has the measures.
"""

import json
import sys
from pathlib import Path

import pandas as pd

SAMPLES = 4  # single samples that are kept
PLACES = ["position"]  # columns whose digits are all kept


def measures_of(study):
    """Every number that the study says of each of its networks, a row for each."""
    summary = json.loads((Path(study) / "summary.json").read_text("utf-8"))
    rows = []
    for label, own in summary["networks"].items():
        row = {name: value for name, value in own.items() if isinstance(value, int | float)}
        steps = {f"disagreeing_directions at {step}": share for step, share in own["disagreeing_directions"].items()}
        rows.append({"study": Path(study).name, "network": label, "run": Path(own["run"]).name, **row, **steps})
    return rows


def main(study, folder, *others):
    study, folder = Path(study), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if others:
        rows = [row for one in others for row in measures_of(one)]
        pd.DataFrame(rows).to_csv(folder / "seeds.csv", index=False, float_format="%.4g")
    summary = json.loads((study / "summary.json").read_text("utf-8"))
    for own in summary["networks"].values():
        own["run"] = Path(own["run"]).name
    (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", "utf-8")
    samples = pd.read_csv(study / "samples.csv.gz")
    kept = samples["sample"].isin(summary["data"]["samples"][:SAMPLES])
    tables = {
        "samples": samples.loc[kept, ["network", "row", "column", "sample", "loss"]],
        **{name: pd.read_csv(study / f"{name}.csv") for name in ("grid", "lines", "changes")},
    }
    for name, table in tables.items():
        rounded = {
            column: table[column].map("{:.4g}".format).replace("nan", "")
            for column in table.select_dtypes("float")
            if column not in PLACES
        }
        packed = {"method": "gzip", "mtime": 1, "compresslevel": 9}
        table.assign(**rounded).to_csv(folder / f"{name}.csv.gz", index=False, compression=packed)


if __name__ == "__main__":
    main(*sys.argv[1:])
