"""The summary of `render --diff`, and the progress of long commands."""

from secretsyncer.commands.diff import Difference, summary
from secretsyncer.commands.progress import Progress


def test_the_summary_counts_and_names_what_differs():
    found = [
        Difference("web/a", (), ()),
        Difference("web/b", ("~ x (1 bytes, ab)",), ("keys x, y", "type")),
        Difference("web/c", ("~ label a=b",), ("label",)),
    ]
    assert summary(found, 2) == (
        "1 Secret the same, 2 differ, 2 objects with an error:\n  web/b: keys x, y, type\n  web/c: label"
    )
    assert summary(found[:1] * 3, 0) == "3 Secrets the same, 0 differ"
    assert summary([], 0, ["web/s"]) == "0 Secrets the same, 0 differ\n1 suspended object left out: web/s"
    assert summary([], 1) == "0 Secrets the same, 0 differ, 1 object with an error"


def test_long_work_shows_its_progress_and_short_work_shows_nothing(capsys):
    long, short = Progress("objects rendered", 250), Progress("objects rendered", 100)
    for _ in range(250):
        long.step()
    for _ in range(100):
        short.step()
    assert capsys.readouterr().err == "100 of 250 objects rendered\n200 of 250 objects rendered\n"
