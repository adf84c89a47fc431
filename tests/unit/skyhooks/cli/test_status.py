from skyhooks.cli.status import drawn
from skyhooks.tree import Outline


def test_a_tree_is_a_line_for_each_service() -> None:
    outline = Outline(
        "node",
        "ready",
        children=(
            Outline("store", "ready"),
            Outline("log", "failed", error="the disk is full", children=(Outline("heads", "stopped"),)),
            Outline("worker", "ready", detail="process 7"),
        ),
    )
    assert list(drawn(outline)) == [
        "node                     ready",
        "  store                  ready",
        "  log                    failed: the disk is full",
        "    heads                stopped",
        "  worker                 ready, process 7",
    ]
