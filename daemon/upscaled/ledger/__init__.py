"""The ledger: the SQLite database of jobs, attempts and spending, and the only authority (invariant I6)."""

from upscaled.ledger.store import Ledger

__all__ = ["Ledger"]
