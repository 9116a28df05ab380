"""The service: records pools into the journal. It never imports `query` or duckdb."""

VERSION = "0.1.0"
"""Of xentrail; packaging reads it here. Asking the installed package is a twentieth of a start."""
