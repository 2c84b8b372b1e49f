"""Processor time of a row of the grid of a landscape, 101 points and 64 samples: python -m ... RUN_DIR TEST_FILE."""

import sys
import time

from brian_qif.protocols.landscape_pieces import GridRow
from brian_qif.protocols.landscape_subject import read_subjects

SIZE, EVERY = 101, 4


def main(run, test):
    """Print the seconds of a row without gradients near the edge and of the middle one, which has some."""
    (subject,), _ = read_subjects([run], test, 64)
    GridRow(1, 3, 1.0, 1, "float32").compute(subject)  # compiles
    for row in (11, 50):
        wall, processor = time.perf_counter(), time.process_time()
        GridRow(row, SIZE, 1.0, EVERY, "float32").compute(subject)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        print(f"{subject.label}, row {row}: {processor:.2f} s of processor time, {wall:.2f} s on the clock")


if __name__ == "__main__":
    main(*sys.argv[1:])
