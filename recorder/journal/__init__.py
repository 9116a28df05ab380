"""The journal: append-only, crash-safe, tamper-evident. The only seam between the two halves."""
