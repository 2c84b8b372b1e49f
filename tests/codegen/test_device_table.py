"""The table of devices in the documentation is that of the tests as they are."""

import json

from tests.codegen.test_device_features import DEVICES, FEATURES, REFUSED
from tests.device_table import RECORD, TABLE, table


def test_the_table_is_what_was_recorded():
    assert TABLE.read_text() == table(json.loads(RECORD.read_text()))


def test_every_feature_was_tested_on_every_device():
    record = json.loads(RECORD.read_text())
    expected = {
        device: {feature: "refused" if (feature, device) in REFUSED else "yes" for feature in FEATURES}
        for device in DEVICES
    }
    assert {device: record[device]["outcomes"] for device in DEVICES} == expected
