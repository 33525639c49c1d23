"""The append-only log of the trace: what a record is, how it is hashed, folded and stored."""
