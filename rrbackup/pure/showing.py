"""Values out of records that may be hostile, as messages show them: short, and whatever is in them."""

MAX_DIGITS = 20
_MOST = 60


def brief(value: object) -> str:
    """The value for a message, however long it is and whatever is in it."""
    if isinstance(value, dict | list):
        return "a JSON object" if isinstance(value, dict) else "a JSON list"
    shown = ascii(value) if not isinstance(value, int) or abs(value) < 10**MAX_DIGITS else "a huge number"
    return shown if len(shown) <= _MOST else f"{shown[:_MOST]}…"
