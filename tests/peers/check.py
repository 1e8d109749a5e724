"""Counts comparisons, and says what differs."""

passed = failed = 0


def check(what, got, wanted):
    """Counts one comparison; says what differs where it fails."""
    global passed, failed
    if got == wanted:
        passed += 1
        return
    failed += 1
    if isinstance(got, dict) and isinstance(wanted, dict):
        keys = [key for key in {**got, **wanted} if got.get(key) != wanted.get(key)]
        got, wanted = ({key: side.get(key) for key in keys} for side in (got, wanted))
    got, wanted = (text if len(text) < 2000 else text[:2000] + "…" for text in (repr(got), repr(wanted)))
    print(f"  FAILED {what}\n    got    {got}\n    wanted {wanted}", flush=True)


def count():
    """How many comparisons have failed."""
    return failed


def done():
    """Says the sum; the exit code."""
    print(f"{passed} passed, {failed} failed")
    return failed > 0
