"""Counts comparisons, says what differs, and knows what is expected to fail as yet."""

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


def fails_as_yet(name, reason, works):
    """What does not work today. Once it does, this fails, so that the exception does not outlive its cause."""
    check(f"{name} works now ({reason}): make it a check like the others", works, False)
    print(f"{name}: fails as yet: {reason}", flush=True)


def done():
    """Says the sum; the exit code."""
    print(f"{passed} passed, {failed} failed")
    return failed > 0
