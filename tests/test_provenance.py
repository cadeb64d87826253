"""What a run's machine says of itself, and what its energy is taken to be."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from ganbook import provenance
from ganbook.provenance import Energy, energy_of, machine

ROOT = Path(__file__).parent.parent


def test_the_machine_names_versions_lock_and_commit():
    found = machine()
    assert found["lock_sha256"] == hashlib.sha256((ROOT / "requirements.lock").read_bytes()).hexdigest()
    assert found["versions"]["torch"] and found["cpu"] and found["cores"] >= 1
    if (ROOT / ".git").exists():
        assert len(found["git_commit"]) == 40


def test_without_counters_energy_is_the_processor_time_of_children(monkeypatch, tmp_path):
    monkeypatch.setattr(provenance.shutil, "which", lambda name: None)
    seconds = iter([100.0, 160.0])
    monkeypatch.setattr(provenance, "_child_seconds", lambda: next(seconds))
    with energy_of(tmp_path) as energy:
        pass
    assert energy.joules == 60 * 10
    assert energy.as_dict() == {"watt_hours": 0.167, "basis": "estimated at 10 W a busy core"}


def test_processor_time_of_children_is_counted():
    before = provenance._child_seconds()
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    assert provenance._child_seconds() > before


def test_counters_are_read_by_package_and_start_anew_when_full(monkeypatch, tmp_path):
    for name, value in (("intel-rapl:0", 900), ("intel-rapl:1", 50), ("intel-rapl:0:0", 7)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(str(value * 10**6))
        (tmp_path / name / "max_energy_range_uj").write_text(str(1000 * 10**6))
    monkeypatch.setattr(provenance.shutil, "which", lambda name: None)
    with energy_of(tmp_path) as energy:
        (tmp_path / "intel-rapl:0" / "energy_uj").write_text(str(100 * 10**6))
        (tmp_path / "intel-rapl:1" / "energy_uj").write_text(str(80 * 10**6))
    assert energy.joules == pytest.approx(200 + 30)
    assert "measured" in energy.basis


def test_energy_that_is_not_known_stays_unknown():
    assert Energy().as_dict()["watt_hours"] is None
