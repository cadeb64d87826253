"""Values carry their protocol, and tables refuse to mix what cannot be compared."""

import json
from dataclasses import replace

import pytest

from ganbook.errors import InputError
from ganbook.evaluation.protocol import INCEPTION, Protocol, Value, metric_name, table

P = Protocol("celeba", "train", "crop 178, Pillow bicubic to 64 px", "ab" * 32, 50000, 10000, INCEPTION, "cd" * 32)


def value(of="dcgan", name="fid10k", number=12.5, protocol=P, **more):
    return Value(name, number, of, protocol, **more)


def test_a_value_prints_everything_it_depends_on():
    text = str(value(low=12.1, high=12.9))
    for part in ("fid10k 12.5 [12.1, 12.9]", "celeba train", "crop 178", "50,000 real and 10,000 fake", "cdcdcdcd"):
        assert part in text
    assert "float32" in text and "ganbook" in text
    assert json.loads(json.dumps(value().as_dict()))["protocol"]["n_fake"] == 10000


@pytest.mark.parametrize(
    ("metric", "n", "extractor", "name"),
    [
        ("frechet", 10000, INCEPTION, "fid10k"),
        ("frechet", 2500, INCEPTION, "fid2500"),
        ("frechet", 5000, "mnist-judge", "fd5k(mnist-judge)"),
        ("kid", 50000, INCEPTION, "kid50k"),
        ("kid", 1000, "emoji-judge", "kd1k(emoji-judge)"),
        ("precision", 10000, INCEPTION, "precision10k"),
    ],
)
def test_only_inception_gives_an_fid(metric, n, extractor, name):
    assert metric_name(metric, n, extractor) == name


def test_values_of_one_protocol_share_a_table():
    frame = table([value(), value("sngan", number=9.0), value(name="kid10k", number=0.01)])
    assert list(frame.columns) == ["of", "fid10k", "kid10k"]
    assert frame.set_index("of").loc["sngan", "fid10k"] == 9.0
    assert table([]).empty


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "celeba10k"},
        {"split": "test"},
        {"preprocessing": "crop 140, Pillow bicubic to 64 px"},
        {"data_sha256": "ef" * 32},
        {"n_real": 10000},
        {"n_fake": 5000},
        {"extractor_sha256": "ef" * 32},
        {"dtype": "bfloat16"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_unlike_protocols_are_refused_or_marked(change):
    other = value("other", protocol=replace(P, **change))
    with pytest.raises(InputError, match=next(iter(change))):
        table([value(), other])
    marked = table([value(), other, value("third")], mixed="mark")
    assert marked["protocol"].tolist() == ["A", "B", "A"]
    assert set(marked.attrs["protocols"]) == {"A", "B"}


def test_another_version_of_the_library_is_no_other_protocol():
    frame = table([value(), value("older", protocol=replace(P, version="0.0.1"))])
    assert "protocol" not in frame and len(frame) == 2


def test_one_evaluation_may_use_other_counts_for_other_metrics():
    kid = replace(P, n_real=10000)
    values = [v for of in ("a", "b") for v in (value(of), value(of, "kid10k", 0.1, kid))]
    assert list(table(values).columns) == ["of", "fid10k", "kid10k"]
    with pytest.raises(InputError, match="n_real: 10000 and 50000"):
        table([*values, value("c", "kid10k", 0.2)])


def test_two_values_for_one_cell_are_refused():
    with pytest.raises(InputError, match="Two values claim to be fid10k of dcgan: 12.5 and 13"):
        table([value(), value(number=13.0)])
    assert len(table([value(), value()])) == 1
    twice = table([value(), value(protocol=replace(P, split="test"))], mixed="mark")
    assert twice["of"].tolist() == ["dcgan", "dcgan"] and twice["protocol"].tolist() == ["A", "B"]
