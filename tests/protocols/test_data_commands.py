import os
import re
import shutil
import sys
import wave

import h5py
import numpy as np
import pytest

from brian_qif.cli import main
from brian_qif.data.speech import WORDS, Variability, Voice, speak
from brian_qif.protocols import data_synthesise
from brian_qif.protocols.data_info import describe
from brian_qif.protocols.data_synthesise import divide
from brian_qif.training.datasets import SpikeDataset
from tests.data.word import word
from tests.training.spike_files import write_spike_file

needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="needs espeak-ng, Debian's package of that name"
)


def write_wave(path, sound, rate=48000, channels=1):
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(np.repeat(np.rint(sound * 32000).astype("<i2"), channels).tobytes())
    return path


@pytest.fixture
def recordings_of_two(tmp_path):
    """Two recordings and the table of their labels."""
    files = [write_wave(tmp_path / f"{name}.wav", word(duration=length)) for name, length in (("a", 0.5), ("b", 0.3))]
    table = tmp_path / "labels.csv"
    table.write_text("file,label,speaker\na.wav,ja,anna\nb.wav,nein,bert\n", encoding="utf-8")
    return files, table


def from_audio(files, table, out, *more):
    return main(
        ["data", "from-audio", *map(str, files), "--labels", str(table), "--out", str(out), "--channels", "30", *more]
    )


def test_recordings_become_a_file_of_spikes(recordings_of_two, tmp_path, capsys):
    files, table = recordings_of_two
    assert from_audio(files, table, tmp_path / "out.h5", "--source", "two words") == 0
    assert "2 samples" in capsys.readouterr().out
    dataset = SpikeDataset(tmp_path / "out.h5")
    assert dataset.class_names == ("ja", "nein")
    assert list(dataset.labels) == [0, 1]
    assert list(dataset.speakers) == [0, 1]
    assert (dataset.source, dataset.synthetic) == ("two words", False)
    assert len(dataset[0].times) > 30
    assert 0.3 < dataset[0].times.max() < 0.5


def test_files_of_one_table_have_the_same_classes_and_speakers(recordings_of_two, tmp_path):
    (one, other), table = recordings_of_two
    assert from_audio([one], table, tmp_path / "one.h5") == from_audio([other], table, tmp_path / "other.h5") == 0
    with SpikeDataset(tmp_path / "one.h5") as training, SpikeDataset(tmp_path / "other.h5") as test:
        assert training.class_names == test.class_names == ("ja", "nein")
        assert (training[0].label, training[0].speaker, test[0].label, test[0].speaker) == (0, 0, 1, 1)


def test_the_seed_decides_the_spikes(recordings_of_two, tmp_path):
    files, table = recordings_of_two
    for name, seed in (("one", "0"), ("two", "0"), ("three", "1")):
        assert from_audio(files, table, tmp_path / f"{name}.h5", "--seed", seed) == 0
    one, two, three = (SpikeDataset(tmp_path / f"{name}.h5")[0].times for name in ("one", "two", "three"))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, three)


def test_rate_and_channels_of_a_recording_hardly_matter(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,label\na.wav,0\nb.wav,1\n", encoding="utf-8")
    files = [
        write_wave(tmp_path / "a.wav", word(duration=0.3)),
        write_wave(tmp_path / "b.wav", word(24000, 0.3), rate=24000, channels=2),
    ]
    assert from_audio(files, table, tmp_path / "out.h5") == 0
    dataset = SpikeDataset(tmp_path / "out.h5")
    assert len(dataset[1].times) == pytest.approx(len(dataset[0].times), rel=0.2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("file,label\na.wav,ja\n", "has no row for '.*b.wav'; it needs one"),
        ("file,label\na.wav,ja\nb.wav,1\nb.wav,2\n", "has 2 rows for '.*b.wav'"),
        ("name,label\na.wav,ja\n", "needs the columns file and label in its first line"),
        ("", "needs the columns file and label"),
        ("file,label\na.wav\nb.wav,1\n", "Line 2 of the table of labels '.*labels.csv' is not complete"),
        ("file,label\na.wav,70000\nb.wav,1\n", "numbers below 65536, not 70000"),
    ],
)
def test_tables_that_do_not_fit(recordings_of_two, tmp_path, capsys, rows, message):
    files, table = recordings_of_two
    table.write_text(rows, encoding="utf-8")
    assert from_audio(files, table, tmp_path / "out.h5") == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize("content", [b"RIFF", b"RIFF\x24\0\0\0WAVE", b"RIFF\x24\0\0\0WAVEfmt " + bytes(30)])
def test_damaged_recordings(recordings_of_two, tmp_path, capsys, content):
    files, table = recordings_of_two
    files[1].write_bytes(content)
    assert from_audio(files, table, tmp_path / "out.h5") == 2
    assert "b.wav" in capsys.readouterr().err
    assert list(tmp_path.glob("out*")) == []


def test_other_formats_than_wav_name_the_package(recordings_of_two, tmp_path, capsys, monkeypatch):
    files, table = recordings_of_two
    files[0].write_bytes(b"fLaC" + bytes(40))
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert from_audio(files, table, tmp_path / "out.h5") == 2
    assert 'need the package soundfile: pip install "brian_qif[audio]"' in capsys.readouterr().err


def test_flac(recordings_of_two, tmp_path):
    soundfile = pytest.importorskip("soundfile", reason="needs the package soundfile")
    files, table = recordings_of_two
    soundfile.write(tmp_path / "a.flac", word(duration=0.5), 48000)
    table.write_text("file,label\na.flac,0\nb.wav,1\n", encoding="utf-8")
    assert from_audio([tmp_path / "a.flac", files[1]], table, tmp_path / "out.h5") == 0
    assert len(SpikeDataset(tmp_path / "out.h5")[0].times) > 30


def test_nothing_is_overwritten(recordings_of_two, tmp_path, capsys):
    files, table = recordings_of_two
    (tmp_path / "out.h5").write_text("mine")
    assert from_audio(files, table, tmp_path / "out.h5") == 2
    assert "already; choose another name" in capsys.readouterr().err
    assert (tmp_path / "out.h5").read_text() == "mine"


def test_info_tells_what_a_file_holds(tmp_path, capsys):
    path = write_spike_file(
        tmp_path / "words.h5", [[0.25, 0.125, 0.125, 0.125], [0.5], []], [[2, 4, 3, 3], [0], []], [0, 2, 1], [5, 6, 5]
    )
    found = describe(path)
    assert found["samples"] == "3"
    assert found["classes"] == "3: zero (1), one (1), two (1)"
    assert found["speakers"] == "2: 5 (2), 6 (1)"
    assert found["units"] == "5, of which a sample uses 1 (median), 0 to 3"
    assert found["spikes per sample"] == "1 (median), 0 to 4"
    assert found["last spike (s)"] == "0.250 (median), 0.000 to 0.500"
    assert found["spikes at the time of another"] == "40.0%"
    assert found["twice the same unit at one time"] == "1 in 1 samples"
    assert found["samples without a spike"] == "1"
    picture = tmp_path / "raster.png"
    assert main(["data", "info", str(path), "--raster", "0", "--out", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "spikes per sample" in capsys.readouterr().out
    assert main(["data", "info", str(path), "--raster", "3", "--out", str(picture)]) == 2
    assert "has the samples 0 to 2, no sample 3" in capsys.readouterr().err


def test_info_says_what_is_wrong(tmp_path, capsys):
    path = write_spike_file(tmp_path / "words.h5", [[0.1]], [[0]], [0], omit="labels")
    assert main(["data", "info", str(path)]) == 2
    assert "lacks the key 'labels'" in capsys.readouterr().err


def test_data_alone_shows_its_commands(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["data"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("download", "from-audio", "synthesise", "info"))


def test_speakers_4_and_5_are_in_the_test_file_only():
    training, test = divide(12, 40)
    assert set(training[:, 0]) == set(range(12)) - {4, 5}
    assert len(training) + len(test) == 12 * 40 * 20
    assert np.isin(test[:, 0], (4, 5)).mean() == pytest.approx(0.8)


# Stands for espeak-ng where its own bits must not matter: a buzz whose pitch and length are those asked for.
SPEAKER = """#!{python}
import math, struct, sys
options = dict(zip(sys.argv[1:-2:2], sys.argv[2:-2:2]))
pitch, length = 80 + float(options["-p"]), int(22050 * 40 / float(options["-s"]))
values = [sum(math.sin(math.tau * k * pitch * n / 22050) / k for k in range(1, 9)) for n in range(length)]
values = [int(6000 * value * math.sin(math.pi * n / length)) for n, value in enumerate(values)]
header = b"RIFF" + bytes(4) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 22050, 44100, 2, 16) + b"data" + bytes(4)
sys.stdout.buffer.write(header + struct.pack(f"<{{length}}h", *values))
"""


@pytest.fixture
def speaker(tmp_path, monkeypatch):
    """A program of the name of espeak-ng that says the same whenever it is asked the same."""
    program = tmp_path / "bin" / "espeak-ng"
    program.parent.mkdir()
    program.write_text(SPEAKER.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)


def test_synthetic_digits(speaker, tmp_path, capsys, monkeypatch):
    def few(speakers, takes, seed):
        return (part[:9] for part in divide(speakers, takes, seed))

    monkeypatch.setattr(data_synthesise, "divide", few)
    command = ["data", "synthesise", "--speakers", "6", "--takes", "2", "--channels", "20", "--every", "2"]
    assert main([*command, "--jobs", "1", "--out", str(tmp_path / "a")]) == 0
    assert "SYNTHETIC speech" in capsys.readouterr().out
    training = SpikeDataset(tmp_path / "a" / "synthetic_digits_train.h5")
    test = SpikeDataset(tmp_path / "a" / "synthetic_digits_test.h5")
    assert training.synthetic
    assert training.class_names == WORDS
    assert (len(training), len(test)) == (9, 9)
    with h5py.File(training.path) as file:
        assert file.attrs["units"] == 10
        assert file.attrs["command"] == "brian-qif " + " ".join(command) + " --seed 0"
    assert main([*command, "--jobs", "2", "--out", str(tmp_path / "b")]) == 0
    again = SpikeDataset(tmp_path / "b" / "synthetic_digits_train.h5")
    for index in range(9):
        np.testing.assert_array_equal(training[index].times, again[index].times)
        np.testing.assert_array_equal(training[index].units, again[index].units)
    assert main([*command, "--out", str(tmp_path / "a")]) == 2
    assert "already; choose another folder" in capsys.readouterr().err


@needs_espeak
def test_speakers_differ_and_takes_too():
    variability = Variability()
    voices = [Voice.of_speaker(speaker, 0, variability) for speaker in range(12)]
    assert len(set(voices)) == 12
    one, two = (speak(3, voices[0], np.random.default_rng(seed), variability) for seed in (0, 1))
    assert len(one) != len(two)


def test_without_espeak_one_line_says_how_to_get_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["data", "synthesise", "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert "The program espeak-ng, which speaks the words, is not installed" in message
    assert "apt-get install espeak-ng" in message


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("--speakers", "5", "'speakers' has to be at least 6, not 5"), ("--takes", "1", "'takes' has to be at least 2")],
)
def test_numbers_that_make_no_sense(tmp_path, capsys, option, value, message):
    assert main(["data", "synthesise", option, value, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
