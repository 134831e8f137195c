"""A diagnosis is a sequence, and reads as a table, in a terminal and in a notebook."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from sk_dbn.inspection import Diagnosis, Finding

FINDING = Finding(
    kind="dead units",
    layers=(0, 1),
    where="hidden 1-2",
    epoch=3.0,
    evidence={"dead fraction": 0.912345},
    remedy="learning_rate_init=0.001; or activation='leaky_relu'",
    parameters={"learning_rate_init": 0.001},
)


class Cells(HTMLParser):
    """Collects the texts of a table's cells, and checks that what opens is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_sequence():
    """Length, index, iteration and truth are those of the findings."""
    diagnosis = Diagnosis([FINDING], "DBNClassifier")
    assert len(diagnosis) == 1 and diagnosis[0] is FINDING and list(diagnosis) == [FINDING]
    assert FINDING in diagnosis and bool(diagnosis)
    assert not Diagnosis([], "DBNClassifier")


def test_text():
    """What, where, since when, by which numbers, and what to do."""
    text = repr(Diagnosis([FINDING], "DBNClassifier"))
    assert text.splitlines() == [
        "DBNClassifier: 1 finding",
        "  dead units: hidden 1-2, from epoch 3 on",
        "    seen:   dead fraction 0.91",
        "    remedy: learning_rate_init=0.001; or activation='leaky_relu'",
    ]
    assert repr(Diagnosis([FINDING] * 2, "A")).startswith("A: 2 findings")
    assert repr(Diagnosis([], "A", ["b", "c"])) == "A: nothing found\n  note: b\n  note: c"
    assert repr(Diagnosis([], "A")) == "A: nothing found"
    scale = replace(FINDING, kind="scale of X", layers=(), where="feature 3", epoch=0.0)
    assert "  scale of X: feature 3\n" in repr(Diagnosis([scale], "A"))
    texts = Cells(Diagnosis([scale], "A")._repr_html_()).texts
    assert texts[-3:] == ["feature 3", scale.numbers, scale.remedy]


def test_html():
    """The same as a table that is well-formed, with quotes escaped."""
    html = Diagnosis([FINDING], "DBNClassifier")._repr_html_()
    texts = Cells(html).texts
    assert texts[0] == "DBNClassifier: 1 finding"
    assert texts[-5:] == ["dead units", "hidden 1-2", "3", FINDING.numbers, FINDING.remedy]
    assert "'leaky_relu'" not in html
    notes = Diagnosis([FINDING], "A", ["a < b"])._repr_html_()
    assert Cells(notes).texts[-1] == "Note: a < b" and "a &lt; b" in notes
    assert Cells(Diagnosis([], "A")._repr_html_()).texts == ["A: nothing found"]


def test_findings_do_not_change():
    """They are facts."""
    with pytest.raises(AttributeError):
        FINDING.kind = "diverged"
