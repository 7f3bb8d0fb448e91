"""How a reservation is named in people's calendars: mails, files and feeds must agree, or it is there twice."""

import hashlib


def uid(reservation_id: str, domain: str) -> str:
    """Stable for the life of a reservation and opaque: the id itself stays out of other people's calendars."""
    digest = hashlib.sha256(f"reservation {reservation_id}".encode()).hexdigest()
    return f"{digest[:32]}@{domain}"


def sequence(version: int) -> int:
    """Every change of a reservation raises its version, so SEQUENCE (RFC 5546) rises too."""
    return max(0, version - 1)
