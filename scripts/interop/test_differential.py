"""Changed files, read by this library and by the formats' own ones; `differential.py` does more of them."""

import differential


def test_what_both_accept_is_equal(folder):
    totals, differences, _ = differential.run(1200, 1, list(differential.READERS), folder, lambda line: None)
    assert not differences, "\n".join(f"{path.name}: {problem}" for path, problem in differences)
    # Enough files must get through, or nothing is compared.
    for kind, tally in totals.items():
        assert tally["both"] >= 5, (kind, tally)
